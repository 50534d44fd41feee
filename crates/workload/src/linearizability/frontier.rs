//! Sets of configurations without those that others make superfluous.

use std::collections::BTreeMap;

/// Open operations, a bit each.
pub(super) type Bits = u128;

/// Operations that can be open at a time.
pub(super) const MAX_OPEN: usize = Bits::BITS as usize;

/// Configurations: a state, and the open operations that took effect on the way to it.
#[derive(Debug)]
pub(super) struct Frontier<T> {
    by_state: BTreeMap<T, Vec<Bits>>,
}

impl<T> Default for Frontier<T> {
    fn default() -> Self {
        Frontier { by_state: BTreeMap::new() }
    }
}

impl<T: Ord> Frontier<T> {
    /// Adds a configuration unless one is there that can do all it can; `endless` are the operations that need not take
    /// effect. Whether it was added.
    pub(super) fn insert(&mut self, state: T, done: Bits, endless: Bits) -> bool {
        let all = self.by_state.entry(state).or_default();
        // `a` can do all that `b` can.
        let covers = |a: Bits, b: Bits| (a & !endless) == (b & !endless) && a & endless & !b == 0;
        if all.iter().any(|known| covers(*known, done)) {
            return false;
        }
        all.retain(|known| !covers(done, *known));
        all.push(done);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_state.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&T, Bits)> {
        self.by_state.iter().flat_map(|(state, all)| all.iter().map(move |done| (state, *done)))
    }

    /// The operations that took effect in every configuration.
    pub(super) fn common(&self) -> Bits {
        self.by_state.values().flatten().fold(Bits::MAX, |common, done| common & done)
    }

    /// Takes operations out of all configurations.
    pub(super) fn forget(&mut self, settled: Bits) {
        self.by_state.values_mut().flatten().for_each(|done| *done &= !settled);
    }
}
