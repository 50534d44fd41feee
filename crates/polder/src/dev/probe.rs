//! Asks the nodes over HTTP how they are, each from a thread of its own, so that one that hangs delays nobody.

use super::layout::{NodePlan, local};
use crate::http;
use crate::status::Status;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A node on this machine that does not answer within this is stopped or overloaded.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Pause between questions while a node is not ready: it becomes so in fractions of a second.
const PAUSE_STARTING: Duration = Duration::from_millis(100);
/// Pause between questions to a node that is ready.
const PAUSE_READY: Duration = Duration::from_secs(1);

/// How a node answered last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Health {
    /// It has not answered since it was started.
    #[default]
    Starting,
    /// It says that it is ready.
    Ready,
    /// It answers that it is not ready.
    NotReady,
    /// It answered earlier, and does not now.
    Silent,
}

/// What is known of a node from its answers.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How it is.
    pub health: Health,
    /// Why it is not ready, in its own words; empty if it does not say.
    pub reason: String,
    /// Its latest view of the cluster.
    pub status: Option<Status>,
}

/// The latest answers of one node.
#[derive(Clone, Debug, Default)]
pub struct Probe(Arc<Mutex<Seen>>);

impl Probe {
    /// Begins to ask. The thread ends with the process.
    pub fn begin(plan: &NodePlan) -> std::io::Result<Probe> {
        let probe = Probe::default();
        let (mine, address) = (probe.clone(), local(plan.http));
        std::thread::Builder::new().name(format!("probe-n{}", plan.id)).spawn(move || mine.run(&address))?;
        Ok(probe)
    }

    /// The latest answers.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// How the node is.
    pub fn health(&self) -> Health {
        self.lock().health
    }

    /// The process was started again: earlier answers say nothing about it.
    pub fn reset(&self) {
        *self.lock() = Seen::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, address: &str) {
        loop {
            let answer = http::get(address, "/readyz", ANSWER_LIMIT).ok();
            let health = next(self.health(), answer.as_ref().map(|r| r.code));
            let reason = answer.filter(|r| r.code != 200).and_then(|r| r.body.lines().next().map(str::to_owned));
            let status = match health {
                Health::Ready | Health::NotReady => http::get(address, "/status", ANSWER_LIMIT).ok(),
                Health::Starting | Health::Silent => None,
            };
            let status = status.filter(|r| r.code == 200).and_then(|r| Status::parse(&r.body).ok());
            {
                let mut seen = self.lock();
                seen.health = health;
                seen.reason = reason.unwrap_or_default();
                // An older view is better than none while the node is silent; who reads it looks at the health first.
                seen.status = status.or(seen.status.take());
            }
            std::thread::sleep(if health == Health::Ready { PAUSE_READY } else { PAUSE_STARTING });
        }
    }
}

/// The next state by the code of the answer, if there was one.
fn next(before: Health, code: Option<u16>) -> Health {
    match (code, before) {
        (Some(200), _) => Health::Ready,
        (Some(_), Health::Starting) => Health::Starting,
        (Some(_), _) => Health::NotReady,
        (None, Health::Starting) => Health::Starting,
        (None, _) => Health::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_follows_the_answers() {
        let answers = [None, Some(503), Some(200), Some(503), None, None, Some(200)];
        let mut health = Health::default();
        let seen: Vec<_> = answers
            .iter()
            .map(|a| {
                health = next(health, *a);
                health
            })
            .collect();
        use Health::{NotReady, Ready, Silent, Starting};
        assert_eq!(seen, [Starting, Starting, Ready, NotReady, Silent, Silent, Ready]);
    }
}
