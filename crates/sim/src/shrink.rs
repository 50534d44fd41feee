//! The smallest plan that still fails: kinds of fault, single faults, chance, nodes, clients and time are left out one after
//! another, and what does not matter stays out. Every draw hangs on the plan's seed and on the thing itself, so the
//! rest stays as it was.

use crate::fault::Kind;
use crate::plan::Plan;
use crate::run::{Failure, Outcome, run};
use std::time::Duration;

/// Most runs spent on one failure.
pub const RUNS_MAX: u32 = 150;

/// What shrinking came to.
#[derive(Debug)]
pub struct Shrunk {
    /// The smallest plan found.
    pub plan: Plan,
    /// How it fails.
    pub outcome: Outcome,
    /// Runs it took.
    pub runs: u32,
}

/// A failure being made smaller.
struct Shrinker {
    failure: Failure,
    best: Plan,
    outcome: Outcome,
    runs: u32,
}

/// Makes a failing plan smaller. `outcome` is what it led to.
#[must_use]
pub fn shrink(plan: Plan, outcome: Outcome) -> Option<Shrunk> {
    let failure = outcome.failure.clone()?;
    let mut shrinker = Shrinker { failure, best: plan, outcome, runs: 0 };
    loop {
        let before = shrinker.best.clone();
        shrinker.pass();
        if shrinker.best == before || shrinker.runs >= RUNS_MAX {
            break;
        }
    }
    let Shrinker { best, outcome, runs, .. } = shrinker;
    Some(Shrunk { plan: best, outcome, runs })
}

impl Shrinker {
    fn pass(&mut self) {
        self.end_at_the_failure();
        for kind in Kind::SCHEDULED {
            self.attempt(|plan| plan.faults.retain(|fault| fault.kind != kind));
        }
        self.drop_faults();
        self.attempt(|plan| plan.rates.lose_one_in = 0);
        self.attempt(|plan| plan.rates.duplicate_one_in = 0);
        self.attempt(|plan| plan.rates.delay_one_in = 0);
        self.attempt(|plan| plan.rates.reorder = false);
        self.attempt(|plan| plan.rates.apply_stall_max = Duration::from_millis(1));
        self.attempt(|plan| (plan.shape.skew_ms_max, plan.shape.drift_ppm_max) = (0, 0));
        self.attempt(|plan| plan.shape.frame_bytes_max = 0);
        self.attempt(|plan| plan.shape.append_bytes = 1 << 20);
        self.attempt(|plan| plan.shape.workers = 1);
        for nodes in [1, 2, 3, 5] {
            if nodes < self.best.shape.nodes {
                self.attempt(|plan| {
                    plan.shape.nodes = nodes;
                    plan.faults.retain(|fault| fault.node.0 <= nodes && fault.peer.0 <= nodes);
                });
            }
        }
        for place in (0..self.best.workloads.len()).rev() {
            if self.best.workloads.len() > 1 {
                self.attempt(|plan| {
                    plan.workloads.remove(place);
                });
            }
        }
        for place in 0..self.best.workloads.len() {
            while self.best.workloads[place].clients > 1 && self.attempt(|plan| plan.workloads[place].clients /= 2) {}
        }
    }

    /// Ends the faulty phase as early as it still fails.
    fn end_at_the_failure(&mut self) {
        for _ in 0..3 {
            self.attempt(|plan| {
                plan.faulty = plan.faulty * 2 / 3;
                let end = plan.faulty;
                plan.faults.retain(|fault| fault.at < end);
            });
        }
    }

    /// Leaves out halves, quarters and so on, down to single faults.
    fn drop_faults(&mut self) {
        let mut size = self.best.faults.len().div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while from < self.best.faults.len() {
                let dropped = self.attempt(|plan| {
                    plan.faults.drain(from..(from + size).min(plan.faults.len()));
                });
                if !dropped {
                    from += size;
                }
            }
            size /= 2;
        }
    }

    /// Tries a smaller plan; whether it still fails.
    fn attempt(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.clone();
        change(&mut plan);
        if plan == self.best || self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let outcome = run(&plan);
        let same = outcome.failure.as_ref().is_some_and(|found| found.resembles(&self.failure));
        if same {
            (self.best, self.outcome) = (plan, outcome);
        }
        same
    }
}
