//! The network between nodes: every message is a question to the dice.

use crate::plan::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stdx::{Mono, NodeId, Rng};

/// Counts of what the network did.
#[derive(Clone, Copy, Debug, Default)]
pub struct NetworkCounts {
    /// Delivered.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost to a cut.
    pub cut: u64,
    /// Delivered twice.
    pub duplicated: u64,
}

/// Cuts and delays.
pub struct Network {
    cuts: BTreeSet<(NodeId, NodeId)>,
    lose_one_in: u64,
    duplicate_one_in: u64,
    reorder: bool,
    delay_max: Duration,
    last_arrival: BTreeMap<(NodeId, NodeId), Mono>,
    /// What happened so far.
    pub counts: NetworkCounts,
}

impl Network {
    /// A network as the plan wants it.
    pub fn new(plan: &Plan) -> Network {
        Network {
            cuts: BTreeSet::new(),
            lose_one_in: plan.lose_one_in,
            duplicate_one_in: plan.duplicate_one_in,
            reorder: plan.reorder,
            delay_max: plan.delay_max,
            last_arrival: BTreeMap::new(),
            counts: NetworkCounts::default(),
        }
    }

    /// When a message sent now arrives: nowhere, once or twice. Links are TCP, so requests come at most `once`; what is
    /// idempotent by design is doubled all the same.
    pub fn send(&mut self, from: NodeId, to: NodeId, once: bool, now: Mono, rng: &mut Rng) -> Vec<Mono> {
        if self.cuts.contains(&(from, to)) {
            self.counts.cut += 1;
            return Vec::new();
        }
        if rng.one_in(self.lose_one_in) {
            self.counts.lost += 1;
            return Vec::new();
        }
        let copies = if !once && rng.one_in(self.duplicate_one_in) { 2 } else { 1 };
        self.counts.duplicated += copies - 1;
        self.counts.delivered += copies;
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            // Mostly fast, sometimes as slow as it gets.
            let limit = if rng.one_in(10) { self.delay_max } else { Duration::from_micros(300) };
            let mut at = now + Duration::from_nanos(50_000 + rng.below(limit.as_nanos() as u64));
            if !self.reorder {
                let last = self.last_arrival.entry((from, to)).or_default();
                at = at.max(*last + Duration::from_nanos(1));
                *last = at;
            }
            arrivals.push(at);
        }
        arrivals
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.cuts.insert((from, to));
    }

    /// Whether messages can pass.
    pub fn passes(&self, from: NodeId, to: NodeId) -> bool {
        !self.cuts.contains(&(from, to))
    }

    /// Whether any link is cut.
    pub fn has_cuts(&self) -> bool {
        !self.cuts.is_empty()
    }

    /// Removes all cuts.
    pub fn join_all(&mut self) {
        self.cuts.clear();
    }

    /// No more loss, duplication or long delays.
    pub fn heal(&mut self) {
        self.join_all();
        self.lose_one_in = 0;
        self.duplicate_one_in = 0;
        self.delay_max = Duration::from_millis(1);
    }
}
