//! Taking back what a part of an entry under construction changed: a script that is ended for its limits leaves nothing.

use super::Overlay;
use super::effects::Effect;
use crate::directory::DATABASES;
use bytes::Bytes;
use std::collections::BTreeMap;

/// What the overlay was like, as far as it has changed since.
#[derive(Debug)]
pub(super) struct Savepoint {
    /// The number of the first change of the batch that came later.
    op: usize,
    /// The effects of keys as they were, each once.
    effects: Vec<(Bytes, Option<Effect>)>,
    counts: BTreeMap<(u32, Option<u16>), Option<u64>>,
    keyspaces: Option<[u32; DATABASES as usize]>,
    order: usize,
    tombstones: usize,
    newest: u64,
    bytes: usize,
}

impl Savepoint {
    /// `key` is about to be changed by proposal `sequence`; this is its effect so far.
    pub(super) fn note(&mut self, sequence: u64, key: &Bytes, effect: Option<&Effect>) {
        // Changes before the savepoint are not replaced in place, so this one was made after it and is noted already.
        if effect.is_none_or(|e| e.sequence != sequence || e.op < self.op) {
            self.effects.push((key.clone(), effect.cloned()));
        }
    }
}

impl Overlay {
    /// From here on changes can be taken back; the next one has the number `op` in its batch.
    pub(crate) fn save(&mut self, op: usize) {
        debug_assert!(self.savepoint.is_none(), "savepoints do not nest");
        self.savepoint = Some(Savepoint {
            op,
            effects: Vec::new(),
            counts: BTreeMap::new(),
            keyspaces: self.numbers.keyspaces,
            order: self.order.len(),
            tombstones: self.tombstones.len(),
            newest: self.newest,
            bytes: self.bytes,
        });
    }

    /// What was changed since `save` stays.
    pub(crate) fn keep(&mut self) {
        self.savepoint = None;
    }

    /// Everything is as it was at `save`. Numbers that are only ever allocated stay allocated.
    pub(crate) fn undo(&mut self) {
        let Some(saved) = self.savepoint.take() else { return };
        for (key, effect) in saved.effects.into_iter().rev() {
            match (effect, self.effects.get_mut(&key)) {
                (Some(old), Some(cell)) => *cell = old,
                (Some(old), None) => self.effects.insert(key, old),
                (None, _) => drop(self.effects.remove_if(&key, |_| true)),
            }
        }
        for (at, count) in saved.counts {
            match count {
                Some(n) => drop(self.numbers.counts.insert(at, n)),
                None => drop(self.numbers.counts.remove(&at)),
            }
        }
        self.numbers.keyspaces = saved.keyspaces;
        self.order.truncate(saved.order);
        self.tombstones.truncate(saved.tombstones);
        self.newest = saved.newest;
        self.bytes = saved.bytes;
    }

    /// Sets a count.
    pub(crate) fn set_count(&mut self, at: (u32, Option<u16>), n: u64) {
        let old = self.numbers.counts.insert(at, n);
        if let Some(saved) = &mut self.savepoint {
            saved.counts.entry(at).or_insert(old);
        }
    }

    /// Forgets the counts of a keyspace.
    pub(crate) fn forget_counts(&mut self, keyspace: u32) {
        let gone = self.numbers.counts.range((keyspace, None)..=(keyspace, Some(u16::MAX)));
        let gone: Vec<_> = gone.map(|(at, n)| (*at, *n)).collect();
        for (at, n) in gone {
            self.numbers.counts.remove(&at);
            if let Some(saved) = &mut self.savepoint {
                saved.counts.entry(at).or_insert(Some(n));
            }
        }
    }
}
