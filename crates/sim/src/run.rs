//! Runs seeds: a faulty phase in which only safety counts, then a healed one that must answer everything.

use crate::check::{Violation, check};
use crate::plan::Plan;
use crate::world::{FaultCounts, World};
use std::fmt;
use std::time::Duration;
use stdx::Rng;

/// What one seed led to.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Hash of the whole history.
    pub trace: u64,
    /// Operations that were answered.
    pub answered: u64,
    /// Operations whose outcome stayed unknown.
    pub unknown: u64,
    /// Virtual time.
    pub simulated: Duration,
    /// What was injected.
    pub faults: FaultCounts,
    /// The first broken promise.
    pub violation: Option<Violation>,
}

/// Sums over a batch.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Operations answered.
    pub answered: u64,
    /// Operations of unknown outcome.
    pub unknown: u64,
    /// Virtual time.
    pub simulated: Duration,
    /// Faults.
    pub faults: FaultCounts,
    /// Failed seeds with what they broke.
    pub failures: Vec<(u64, Violation)>,
}

/// Runs one history.
#[must_use]
pub fn run_seed(seed: u64) -> Outcome {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng);
    let (faulty, healing) = (plan.faulty, plan.healing);
    let mut world = World::new(plan, rng);
    let begin = world.now;
    world.run_until(begin + faulty);
    world.heal();
    world.run_until(begin + faulty + healing / 2);
    let answered_before = count_answered(&world);
    world.run_until(begin + faulty + healing);
    let alive = count_answered(&world) > answered_before;
    world.stop_clients();
    let end = world.now + Duration::from_secs(10);
    world.run_until(end);
    let violation = check(&world.operations)
        .err()
        .or_else(|| (!alive || world.open_operations() > 0).then(|| Violation::NotLive(world.open_operations())))
        .or_else(|| world.divergence().map(|(shard, index)| Violation::Diverged { shard, index }));
    let answered = count_answered(&world);
    Outcome {
        seed,
        trace: world.trace,
        answered,
        unknown: world.operations.len() as u64 - answered,
        simulated: world.now.since(begin),
        faults: world.fault_counts(),
        violation,
    }
}

impl Summary {
    /// Adds one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.answered += outcome.answered;
        self.unknown += outcome.unknown;
        self.simulated += outcome.simulated;
        self.faults.add(&outcome.faults);
        self.failures.extend(outcome.violation.clone().map(|v| (outcome.seed, v)));
    }

    /// Kinds of fault with a count of zero.
    #[must_use]
    pub fn kinds_that_never_happened(&self) -> Vec<&'static str> {
        self.faults.named().into_iter().filter(|(_, n)| *n == 0).map(|(name, _)| name).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.simulated.as_secs_f64() / 3600.0;
        writeln!(
            f,
            "{} seeds, {hours:.2} simulated hours, {} operations answered, {} of unknown outcome",
            self.seeds, self.answered, self.unknown
        )?;
        for (name, count) in self.faults.named() {
            writeln!(f, "  {name:<28}{count}")?;
        }
        Ok(())
    }
}

/// Runs `count` seeds from `first` on.
pub fn run_batch(first: u64, count: u64, mut each: impl FnMut(&Outcome)) -> Summary {
    let mut sum = Summary::default();
    for seed in first..first.saturating_add(count) {
        let outcome = run_seed(seed);
        sum.add(&outcome);
        each(&outcome);
    }
    sum
}

fn count_answered(world: &World) -> u64 {
    world.operations.iter().filter(|o| o.answer.is_some()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_history() {
        for seed in [1, 2] {
            assert_eq!(run_seed(seed).trace, run_seed(seed).trace, "seed {seed}");
        }
    }

    #[test]
    fn a_few_seeds_hold() {
        let summary = run_batch(100, 10, |_| {});
        assert_eq!(summary.failures, [], "replay with the seed named here");
        assert!(summary.answered > 1_000, "the workload ran: {summary:?}");
    }
}
