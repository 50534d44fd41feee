//! The changes of an overlay by key: a hash table, and an order of the keys that is made when the first scan asks for it.
//!
//! Nearly every command looks single keys up, several times each; few scan. The order is kept up once it was made, and forgotten
//! when the table is empty.

use bytes::Bytes;
use hashbrown::HashTable;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::ops::Bound;
use stdx::LeadingBytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What the newest proposal that changed a key made of it.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub(super) sequence: u64,
    /// Where the change is in its proposal's batch.
    pub(super) op: usize,
    /// `None`: deleted.
    pub(super) value: Option<Bytes>,
}

#[derive(Debug)]
struct Row {
    hash: u64,
    key: Bytes,
    effect: Effect,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Effects {
    seed: u64,
    rows: HashTable<Row>,
    leading: LeadingBytes,
    ordered: OnceCell<BTreeSet<Bytes>>,
}

impl Effects {
    /// None; keys are hashed with `seed`.
    pub(super) fn new(seed: u64) -> Effects {
        Effects { seed, ..Effects::default() }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn hash(&self, key: &[u8]) -> u64 {
        xxh3_64_with_seed(key, self.seed)
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Effect> {
        self.rows.find(self.hash(key), |row| row.key == key).map(|row| &row.effect)
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Effect> {
        self.rows.find_mut(self.hash(key), |row| row.key == key).map(|row| &mut row.effect)
    }

    /// Adds a key that has no effect here.
    pub(super) fn insert(&mut self, key: Bytes, effect: Effect) {
        debug_assert!(self.get(&key).is_none(), "a key has one effect");
        self.leading.add(&key);
        if let Some(ordered) = self.ordered.get_mut() {
            ordered.insert(key.clone());
        }
        let hash = self.hash(&key);
        self.rows.insert_unique(hash, Row { hash, key, effect }, |row| row.hash);
    }

    /// Removes the effect of `key` if there is one and `condition` holds of it.
    pub(super) fn remove_if(&mut self, key: &[u8], condition: impl FnOnce(&Effect) -> bool) -> Option<Effect> {
        let found = self.rows.find_entry(self.hash(key), |row| row.key == key).ok()?;
        if !condition(&found.get().effect) {
            return None;
        }
        let (row, _) = found.remove();
        if self.rows.is_empty() {
            (self.leading, self.ordered) = Default::default();
        } else if let Some(ordered) = self.ordered.get_mut() {
            ordered.remove(key);
        }
        Some(row.effect)
    }

    /// The effects on keys in `start..end`, ascending; none when the range is inverted.
    pub(super) fn range<'a>(
        &'a self,
        start: &[u8],
        end: &[u8],
    ) -> impl DoubleEndedIterator<Item = (&'a Bytes, &'a Effect)> + use<'a> {
        let any = start < end && self.leading.may_begin(start, Some(end));
        let ordered = any.then(|| self.ordered.get_or_init(|| self.rows.iter().map(|row| row.key.clone()).collect()));
        let keys = ordered.map(|keys| keys.range::<[u8], _>((Bound::Included(start), Bound::Excluded(end))));
        keys.into_iter().flatten().filter_map(|key| Some((key, self.get(key)?)))
    }
}
