//! Which fault begins when: drawn from the seed alone, before the run.

use crate::faults::{Kind, shuffle};
use stdx::Rng;

/// Quiet at the beginning and at least between two faults that do not overlap, in milliseconds.
const QUIET_MS: u64 = 1500;

/// What may be added to the quiet.
const QUIET_MORE_MS: u64 = 2500;

/// A fault to be.
pub struct Planned {
    /// Its kind.
    pub kind: &'static Kind,
    /// When it begins, in milliseconds since the clients began.
    pub at_ms: u64,
    /// How long it lasts, in milliseconds.
    pub lasts_ms: u64,
    /// What decides everything else about it.
    pub seed: u64,
}

/// Faults until `total_ms`. Kinds are dealt like cards, so that each comes once before any comes twice; with `overlap`, one
/// in three begins before the one before it has ended.
pub fn draw(kinds: &[&'static Kind], total_ms: u64, overlap: bool, rng: &mut Rng) -> Vec<Planned> {
    let mut plan = Vec::new();
    let mut deck: Vec<&'static Kind> = Vec::new();
    let mut at_ms = QUIET_MS;
    while at_ms < total_ms && !kinds.is_empty() {
        if deck.is_empty() {
            deck = kinds.to_vec();
            shuffle(&mut deck, rng);
        }
        let Some(kind) = deck.pop() else { break };
        let lasts_ms = rng.range(kind.lasts_ms.0, kind.lasts_ms.1 + 1);
        plan.push(Planned { kind, at_ms, lasts_ms, seed: rng.next_u64() });
        let overlaps = overlap && rng.one_in(3);
        at_ms += if overlaps { lasts_ms / 2 } else { lasts_ms + QUIET_MS + rng.below(QUIET_MORE_MS) };
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::KINDS;

    #[test]
    fn every_kind_comes_before_any_comes_twice_and_the_seed_decides_all() {
        let kinds: Vec<&'static Kind> = KINDS.iter().collect();
        let plan = draw(&kinds, 600_000, true, &mut Rng::new(5));
        let mut names: Vec<_> = plan.iter().take(kinds.len()).map(|p| p.kind.name).collect();
        names.sort_unstable();
        let mut all: Vec<_> = kinds.iter().map(|k| k.name).collect();
        all.sort_unstable();
        assert_eq!(names, all);
        let again = draw(&kinds, 600_000, true, &mut Rng::new(5));
        let facts = |p: &Planned| (p.kind.name, p.at_ms, p.lasts_ms, p.seed);
        assert!(plan.iter().map(facts).eq(again.iter().map(facts)));
        assert!(plan.windows(2).all(|two| two[0].at_ms <= two[1].at_ms));
    }
}
