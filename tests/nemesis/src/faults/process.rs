//! Processes that die, stand still, or are restarted by an operator.

use super::{Fault, shown, shuffled, target};
use crate::cluster::Cluster;
use crate::http;
use crate::node::State;
use crate::tools::Outcome;
use std::time::{Duration, Instant};
use stdx::Rng;

/// How long a restarted node may take to be ready before the next is restarted anyway: other faults may keep it from being so.
const READY_LIMIT: Duration = Duration::from_secs(10);

/// kill -9 of one node or of all; they start again at the end.
pub struct Kill {
    all: bool,
    victims: Vec<usize>,
}

impl Kill {
    /// Of one node.
    pub fn one() -> Kill {
        Kill { all: false, victims: Vec::new() }
    }

    /// Of all nodes at once.
    pub fn all() -> Kill {
        Kill { all: true, victims: Vec::new() }
    }
}

impl Fault for Kill {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        self.victims = if self.all { cluster.untouched() } else { target(cluster, rng).into_iter().collect() };
        for &victim in &self.victims {
            cluster.nodes[victim].touched = true;
            cluster.nodes[victim].kill();
        }
        Ok((!self.victims.is_empty()).then(|| format!("kill -9 of node {}", shown(&self.victims))))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        let were_down = self.victims.iter().all(|&victim| cluster.nodes[victim].state() == State::Down);
        for &victim in &self.victims {
            cluster.nodes[victim].start()?;
            cluster.nodes[victim].touched = false;
        }
        Ok(were_down)
    }
}

/// SIGSTOP: the process does nothing while time, and everybody else's lease, goes on.
#[derive(Default)]
pub struct Pause {
    victims: Vec<usize>,
}

impl Fault for Pause {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        self.victims.extend(target(cluster, rng));
        // Now and then a second one: of three nodes no majority is left.
        if rng.one_in(4) {
            let mut others = cluster.untouched();
            others.retain(|other| !self.victims.contains(other));
            self.victims.extend(super::pick(&others, rng));
        }
        for &victim in &self.victims {
            cluster.nodes[victim].touched = true;
            cluster.nodes[victim].pause();
        }
        Ok((!self.victims.is_empty()).then(|| format!("SIGSTOP of node {}", shown(&self.victims))))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        let stood = self.victims.iter().all(|&victim| stands(cluster, victim));
        for &victim in &self.victims {
            cluster.nodes[victim].resume();
            cluster.nodes[victim].touched = false;
        }
        Ok(stood)
    }
}

/// Whether the kernel says that a node's process is stopped.
fn stands(cluster: &Cluster, index: usize) -> bool {
    let Some(pid) = cluster.nodes[index].pid() else { return false };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The state follows the name, which stands in parentheses.
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

/// SIGTERM and a start for one node after the other, as an operator upgrades.
#[derive(Default)]
pub struct Rolling {
    /// Nodes to come, the next one last.
    to_come: Vec<usize>,
    current: Option<(usize, Phase)>,
    restarted: usize,
}

/// What the node that is being restarted is doing.
enum Phase {
    Stopping,
    StartingSince(Instant),
}

impl Fault for Rolling {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        self.to_come = shuffled(cluster.nodes.len(), rng);
        let order: Vec<usize> = self.to_come.iter().rev().copied().collect();
        Ok(Some(format!("SIGTERM and start of node {}, one after the other", shown(&order))))
    }

    fn tend(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        self.current = match self.current.take() {
            None => {
                let Some(next) = self.to_come.pop() else { return Ok(false) };
                cluster.untouched().contains(&next).then(|| {
                    cluster.nodes[next].touched = true;
                    cluster.nodes[next].terminate();
                    (next, Phase::Stopping)
                })
            }
            Some((index, Phase::Stopping)) if cluster.nodes[index].state() == State::Down => {
                cluster.nodes[index].start()?;
                Some((index, Phase::StartingSince(Instant::now())))
            }
            Some((index, Phase::StartingSince(since))) if is_ready(cluster, index) || since.elapsed() > READY_LIMIT => {
                cluster.nodes[index].touched = false;
                self.restarted += 1;
                None
            }
            waiting => waiting,
        };
        Ok(self.current.is_some() || !self.to_come.is_empty())
    }

    fn end(&mut self, _: &mut Cluster) -> Outcome<bool> {
        Ok(self.restarted > 0)
    }
}

fn is_ready(cluster: &Cluster, index: usize) -> bool {
    http::get(cluster.nodes[index].http(), "/readyz").is_ok_and(|(code, _)| code == 200)
}
