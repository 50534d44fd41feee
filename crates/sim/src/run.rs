//! Runs one plan: a faulty phase in which only safety counts, then a healed one that must answer everybody.

use crate::fault::Counts;
use crate::plan::Plan;
use crate::world::{Group, Note, World};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use workload::Operation;

/// Within so long after the last fault every client is answered and every replica is whole.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// Then within so long what is open is answered, and all concluding requests are.
const CONCLUDE_MAX: Duration = Duration::from_secs(60);
/// Then within so long all replicas stand at the same index.
const CATCH_UP_MAX: Duration = Duration::from_secs(20);
/// How often it is looked whether a phase is over.
const LOOK: Duration = Duration::from_millis(250);

/// How a history went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// A checker found a contradiction in what clients saw.
    Workload(workload::Violation),
    /// An invariant of the protocol was broken, or a process stopped without a reason.
    Invariant(String),
    /// The healed cluster did not become whole, or did not answer.
    NotLive(String),
    /// An assertion of the core failed.
    Panic(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Workload(violation) => violation.fmt(f),
            Failure::Invariant(why) => write!(f, "invariant: {why}"),
            Failure::NotLive(why) => write!(f, "not live: {why}"),
            Failure::Panic(message) => write!(f, "assertion: {message}"),
        }
    }
}

impl Failure {
    /// Whether shrinking may take the one for the other: the same checker, the same class.
    #[must_use]
    pub fn resembles(&self, other: &Failure) -> bool {
        match (self, other) {
            (Failure::Workload(a), Failure::Workload(b)) => a.workload == b.workload,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

/// What one plan led to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Hash of the whole history.
    pub trace: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests whose outcome stayed unknown.
    pub unknown: u64,
    /// Virtual time.
    pub simulated: Duration,
    /// Virtual time from the last fault until everybody was answered and whole.
    pub settled: Duration,
    /// What was injected.
    pub counts: Counts,
    /// Snapshots installed.
    pub snapshots: u64,
    /// Replicas rebuilt.
    pub rebuilt: u64,
    /// Requests by workload.
    pub requests: BTreeMap<&'static str, u64>,
    /// Histories of a workload that no search decided: no failure, and no proof either.
    pub undecided: u64,
    /// The first broken promise.
    pub failure: Option<Failure>,
    /// What happened to the nodes, for the story.
    pub notes: Vec<Note>,
    /// What the clients of the workload that failed saw.
    pub history: Vec<Operation>,
}

/// Runs the history of a seed.
#[must_use]
pub fn run_seed(seed: u64) -> Outcome {
    run(&Plan::draw(seed))
}

/// Runs a plan. An assertion of the core that fails is a finding like any other.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let mut world = World::new(plan.clone());
    let ran = catch_unwind(AssertUnwindSafe(|| {
        world.run_for(plan.faulty);
        world.heal();
        phases(&mut world)
    }));
    let mut failure = match ran {
        Ok(ran) => ran.err(),
        Err(payload) => Some(Failure::Panic(words_of(payload.as_ref()))),
    };
    let mut outcome = Outcome {
        trace: world.trace,
        answered: world.operations().0,
        unknown: world.operations().1,
        simulated: world.elapsed(),
        settled: world.settled.saturating_sub(plan.faulty),
        counts: world.counts(),
        snapshots: world.transfers.0,
        rebuilt: world.transfers.1,
        notes: std::mem::take(&mut world.notes),
        ..Outcome::default()
    };
    // What clients saw is judged in any case: it says more than a rule that was broken on the way.
    for Group { workload, history, .. } in world.into_groups() {
        *outcome.requests.entry(workload.name()).or_default() += history.len() as u64;
        if matches!(failure, Some(Failure::Workload(_))) {
            continue;
        }
        match workload.check(&history) {
            Ok(()) => {}
            Err(violation) if violation.undecided => outcome.undecided += 1,
            Err(violation) => {
                failure = Some(Failure::Workload(violation));
                outcome.history = history;
            }
        }
    }
    outcome.failure = failure;
    outcome
}

fn words_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap_or_else(|| "without words".to_owned())
}

/// Everything after the last fault.
fn phases(world: &mut World) -> Result<(), Failure> {
    wait(world, SETTLE_MAX, |w| w.unsettled())?;
    world.settled = world.elapsed();
    world.stop_clients();
    let open = |w: &World| (w.busy() > 0).then(|| format!("{} requests are not answered", w.busy()));
    wait(world, CONCLUDE_MAX, open)?;
    world.conclude();
    wait(world, CONCLUDE_MAX, open)?;
    wait(world, CATCH_UP_MAX, |w| w.lagging())?;
    world.checkpoint();
    broken(world)
}

/// Runs until nothing is missing.
fn wait(world: &mut World, most: Duration, missing: impl Fn(&World) -> Option<String>) -> Result<(), Failure> {
    let end = world.elapsed() + most;
    loop {
        broken(world)?;
        let Some(what) = missing(world) else { return Ok(()) };
        if world.elapsed() >= end {
            return Err(Failure::NotLive(what));
        }
        world.run_for(LOOK);
    }
}

fn broken(world: &World) -> Result<(), Failure> {
    world.broken.clone().map_or(Ok(()), |why| Err(Failure::Invariant(why)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;

    #[test]
    fn same_seed_same_history() {
        for seed in [1, 2] {
            let (a, b) = (run_seed(seed), run_seed(seed));
            assert_eq!((a.trace, a.answered, a.simulated), (b.trace, b.answered, b.simulated), "seed {seed}");
        }
    }

    /// A debug build is slow: `cargo xtask test sim` runs whole plans.
    #[test]
    fn clusters_with_skewed_clocks_and_slow_disks_hold() {
        let mut answered = 0;
        for seed in 100..103 {
            let mut plan = Plan::draw(seed);
            plan.faulty = Duration::from_secs(5);
            plan.faults.retain(|f| matches!(f.kind, Kind::ClockStep | Kind::SlowDisk | Kind::SlowEngine));
            let outcome = run(&plan);
            assert_eq!(outcome.failure, None, "seed {seed}");
            answered += outcome.answered;
        }
        assert!(answered > 100, "the workloads ran: {answered} requests were answered");
    }
}
