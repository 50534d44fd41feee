//! Links that lose, hold back, or cut what is under way.

use super::{Fault, pick, shown, shuffled};
use crate::cluster::Cluster;
use crate::net::Imposed;
use crate::tools::Outcome;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use stdx::Rng;

/// A part of all frames between nodes is lost.
#[derive(Default)]
pub struct Loss {
    imposed: Option<Imposed>,
}

impl Fault for Loss {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        let percent = rng.range(2, 31);
        let rule = format!("ip saddr 10.83.0.0/24 numgen random mod 100 < {percent} counter drop");
        self.imposed = Some(cluster.net.impose(vec![rule])?);
        Ok(Some(format!("{percent} % of all frames between nodes")))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        match self.imposed.take() {
            Some(imposed) => Ok(cluster.net.lift(&imposed)? > 0),
            None => Ok(false),
        }
    }
}

/// What some nodes send arrives late, at clients too.
#[derive(Default)]
pub struct Delay {
    nodes: Vec<usize>,
    helper: Option<Helper>,
}

/// The process that holds frames back.
struct Helper {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Helper {
    fn start(taps: usize) -> Outcome<Helper> {
        let mut command = Command::new("python3");
        command.args(["-c", include_str!("../delay.py")]).args((1..=taps).map(|n| format!("t{n}")));
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("python3 could not be started: {e}"))?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or("python3 has no pipes")?;
        let mut helper = Helper { child, stdin, stdout: BufReader::new(stdout) };
        helper.answer()?;
        Ok(helper)
    }

    fn answer(&mut self) -> Outcome<String> {
        let mut line = String::new();
        match self.stdout.read_line(&mut line) {
            Ok(n) if n > 0 => Ok(line.trim().to_owned()),
            _ => Err("delay.py ended".to_owned()),
        }
    }

    /// Sets the delay; the answer is how many frames came since it was set before.
    fn set(&mut self, delay_ms: u64, jitter_ms: u64) -> Outcome<u64> {
        // One write: the helper takes what it reads for whole lines.
        let line = format!("{delay_ms} {jitter_ms}\n");
        self.stdin.write_all(line.as_bytes()).map_err(|e| format!("delay.py: {e}"))?;
        self.answer()?.parse().map_err(|e| format!("delay.py: {e}"))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended by itself; then there is only its exit code to collect.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Fault for Delay {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        let nodes = cluster.nodes.len();
        let (delay, jitter) = (rng.range(5, 120), rng.range(0, 40));
        let mut helper = Helper::start(nodes)?;
        helper.set(delay, jitter)?;
        let count = if rng.one_in(3) { nodes } else { 1 };
        self.helper = Some(helper);
        for node in shuffled(nodes, rng).into_iter().take(count) {
            cluster.net.begin_detour(node)?;
            self.nodes.push(node);
        }
        Ok(Some(format!("{delay} ms and up to {jitter} ms more for what node {} sends", shown(&self.nodes))))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        for node in self.nodes.drain(..) {
            cluster.net.end_detour(node)?;
        }
        match self.helper.take() {
            Some(mut helper) => Ok(helper.set(0, 0)? > 0),
            None => Ok(false),
        }
    }
}

/// All connections of some nodes are reset, those of clients too.
#[derive(Default)]
pub struct Reset {
    nodes: Vec<usize>,
}

impl Fault for Reset {
    fn begin(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Outcome<Option<String>> {
        let all: Vec<usize> = (0..cluster.nodes.len()).collect();
        let nodes = if rng.one_in(3) { all } else { pick(&all, rng).into_iter().collect() };
        for node in nodes {
            cluster.net.begin_resets(node)?;
            self.nodes.push(node);
        }
        Ok(Some(format!("every segment to node {} is answered with a reset", shown(&self.nodes))))
    }

    fn end(&mut self, cluster: &mut Cluster) -> Outcome<bool> {
        let mut met = 0;
        for node in self.nodes.drain(..) {
            met += cluster.net.end_resets(node)?;
        }
        Ok(met > 0)
    }
}
