//! Sums over many seeds.

use crate::fault::{Counts, Kind};
use crate::run::{Failure, Outcome};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// In a batch of so many seeds every kind of fault must have happened: one that misses some tests less than it says.
pub const SEEDS_FOR_ALL_KINDS: u64 = 200;
/// Of so many seeds one may be left undecided: a checker that gives up more often proves too little.
pub const SEEDS_PER_UNDECIDED: u64 = 200;

/// Sums over a batch.
#[derive(Debug, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Requests answered.
    pub answered: u64,
    /// Requests of unknown outcome.
    pub unknown: u64,
    /// Virtual time.
    pub simulated: Duration,
    /// The longest time from the last fault until everybody was answered and whole.
    pub settled_max: Duration,
    /// Faults.
    pub counts: Counts,
    /// Snapshots installed.
    pub snapshots: u64,
    /// Replicas rebuilt.
    pub rebuilt: u64,
    /// Requests by workload.
    pub requests: BTreeMap<&'static str, u64>,
    /// Seeds with a history that no search decided.
    pub undecided: u64,
    /// Failed seeds with what they broke.
    pub failures: Vec<(u64, Failure)>,
}

impl Summary {
    /// Adds what a seed led to.
    pub fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.answered += outcome.answered;
        self.unknown += outcome.unknown;
        self.simulated += outcome.simulated;
        self.settled_max = self.settled_max.max(outcome.settled);
        self.counts.merge(&outcome.counts);
        self.snapshots += outcome.snapshots;
        self.rebuilt += outcome.rebuilt;
        for (name, n) in &outcome.requests {
            *self.requests.entry(name).or_default() += n;
        }
        self.undecided += u64::from(outcome.undecided > 0);
        self.failures.extend(outcome.failure.clone().map(|failure| (seed, failure)));
    }

    /// Adds another batch's.
    pub fn merge(&mut self, other: Summary) {
        self.seeds += other.seeds;
        self.answered += other.answered;
        self.unknown += other.unknown;
        self.simulated += other.simulated;
        self.settled_max = self.settled_max.max(other.settled_max);
        self.counts.merge(&other.counts);
        self.snapshots += other.snapshots;
        self.rebuilt += other.rebuilt;
        for (name, n) in other.requests {
            *self.requests.entry(name).or_default() += n;
        }
        self.undecided += other.undecided;
        self.failures.extend(other.failures);
    }

    /// Whether more seeds were left undecided than a sound batch has.
    #[must_use]
    pub fn leaves_too_much_undecided(&self) -> bool {
        self.undecided > self.seeds.div_ceil(SEEDS_PER_UNDECIDED)
    }

    /// Kinds of fault that should have happened in so many seeds and did not.
    #[must_use]
    pub fn missing(&self) -> Vec<Kind> {
        if self.seeds < SEEDS_FOR_ALL_KINDS { Vec::new() } else { self.counts.silent() }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hours = self.simulated.as_secs_f64() / 3600.0;
        writeln!(
            f,
            "{} seeds, {hours:.2} simulated hours, {} requests answered, {} of unknown outcome",
            self.seeds, self.answered, self.unknown
        )?;
        writeln!(f, "{} seeds undecided: a search was given up", self.undecided)?;
        writeln!(f, "healed clusters settled within {:.1} s", self.settled_max.as_secs_f64())?;
        for (name, n) in &self.requests {
            writeln!(f, "  requests of {name:<20}{n:>12}")?;
        }
        for kind in Kind::ALL {
            writeln!(f, "  {:<32}{:>12}", kind.name(), self.counts.of(kind))?;
        }
        writeln!(f, "  {:<32}{:>12}", "(snapshots installed)", self.snapshots)?;
        writeln!(f, "  {:<32}{:>12}", "(replicas rebuilt)", self.rebuilt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_seeds_may_be_undecided() {
        let mut sum = Summary::default();
        let decided = Outcome::default();
        let undecided = Outcome { undecided: 2, ..Outcome::default() };
        (0..SEEDS_PER_UNDECIDED).for_each(|seed| sum.add(seed, &decided));
        assert!(!sum.leaves_too_much_undecided());
        sum.add(1, &undecided);
        assert_eq!((sum.undecided, sum.leaves_too_much_undecided()), (1, false));
        (0..2).for_each(|seed| sum.add(seed, &undecided));
        assert!(sum.leaves_too_much_undecided(), "3 of 203");
    }
}
