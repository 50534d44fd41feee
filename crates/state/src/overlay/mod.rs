//! What a leader has proposed and not yet applied, seen as if it were applied: the next command on a key is evaluated
//! against it instead of waiting for a round trip.

mod effects;
mod savepoint;

use crate::directory::DATABASES;
use crate::scripting::ScriptIndex;
use bytes::Bytes;
use effects::{Effect, Effects};
use savepoint::Savepoint;
use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use storage::{EngineError, View};

/// Effects proposed but not applied, and the shard's numbers as of the last proposal.
///
/// It belongs to one reign: dropped with `clear` when leadership is lost, or when a proposal is given up before it
/// reached the log, because everything evaluated after that proposal counted on it.
#[derive(Debug, Default)]
pub struct Overlay {
    effects: Effects,
    /// Keys by the proposal that wrote them, oldest first, for `retire`.
    order: VecDeque<(u64, Bytes)>,
    tombstones: VecDeque<Tombstone>,
    newest: u64,
    bytes: usize,
    pub(crate) numbers: Numbers,
    savepoint: Option<Savepoint>,
}

/// A deleted range. Effects inserted before it were removed, so an effect in its range is always later.
#[derive(Debug)]
struct Tombstone {
    sequence: u64,
    start: Bytes,
    end: Bytes,
}

/// Numbers the leader keeps in memory between proposals; each is read once per reign and logged as an absolute value.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    pub(crate) keyspaces: Option<[u32; DATABASES as usize]>,
    pub(crate) next_version: Option<u64>,
    pub(crate) next_keyspace: Option<u32>,
    /// Keys per keyspace, or per slot of it.
    pub(crate) counts: BTreeMap<(u32, Option<u16>), u64>,
    /// No record of the expiry index is below this key, so that deleted ones at its head are not read again.
    pub(crate) expiry_head: Bytes,
    /// No garbage record is below this key.
    pub(crate) garbage_head: Bytes,
    /// Where background deletion stopped inside the first garbage record's range.
    pub(crate) garbage_at: Bytes,
    /// Which scripts are kept.
    pub(crate) scripts: Option<ScriptIndex>,
}

/// What the overlay knows of a key.
pub(crate) enum Hit<'a> {
    /// Nothing: the base decides.
    Miss,
    /// The value, or its absence, and the proposal that decided it.
    Decided(u64, Option<&'a Bytes>),
}

impl Overlay {
    /// An empty overlay.
    #[must_use]
    pub fn new() -> Overlay {
        Overlay::default()
    }

    /// An empty overlay that hashes keys with `seed`: secret, so that clients cannot choose keys that collide.
    #[must_use]
    pub fn with_hash_seed(seed: u64) -> Overlay {
        Overlay { effects: Effects::new(seed), ..Overlay::default() }
    }

    /// Drops the effects of proposals up to and including `sequence`: the base has them.
    pub fn retire(&mut self, sequence: u64) {
        while self.order.front().is_some_and(|(s, _)| *s <= sequence) {
            if let Some((s, key)) = self.order.pop_front()
                && let Some(old) = self.effects.remove_if(&key, |e| e.sequence == s)
            {
                self.bytes -= weight(&key, old.value.as_ref());
            }
        }
        while self.tombstones.front().is_some_and(|t| t.sequence <= sequence) {
            self.tombstones.pop_front();
        }
    }

    /// Forgets everything, the numbers too.
    pub fn clear(&mut self) {
        *self = Overlay::with_hash_seed(self.effects.seed());
    }

    /// Whether no effect is outstanding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty() && self.tombstones.is_empty()
    }

    /// Bytes of keys and values held, for limits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A time before which no key expires, for the next call of `expire_due`; `None` before the first call.
    #[must_use]
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let head = &self.numbers.expiry_head;
        (head.len() >= 9).then(|| head[1..9].iter().fold(0, |v, b| (v << 8) | u64::from(*b)))
    }

    /// The sequence of the last effect ever inserted, when some are outstanding.
    pub(crate) fn newest(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.newest)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Hit<'_> {
        if let Some(e) = self.effects.get(key) {
            return Hit::Decided(e.sequence, e.value.as_ref());
        }
        match self.covering(key) {
            Some(sequence) => Hit::Decided(sequence, None),
            None => Hit::Miss,
        }
    }

    fn covering(&self, key: &[u8]) -> Option<u64> {
        self.tombstones.iter().rev().find(|t| t.start <= key && key < t.end).map(|t| t.sequence)
    }

    /// Records a change of proposal `sequence`, made by its batch's change number `op`. When the same proposal changed
    /// the key before, the number of that change is returned and stays the key's.
    pub(crate) fn insert(&mut self, sequence: u64, op: usize, key: Bytes, value: Option<Bytes>) -> Option<usize> {
        self.newest = sequence;
        self.bytes += weight(&key, value.as_ref());
        if let Some(savepoint) = &mut self.savepoint {
            savepoint.note(sequence, &key, self.effects.get(&key));
        }
        if let Some(e) = self.effects.get_mut(&key) {
            self.bytes -= weight(&key, e.value.as_ref());
            e.value = value;
            if e.sequence == sequence {
                return Some(e.op);
            }
            (e.sequence, e.op) = (sequence, op);
            self.order.push_back((sequence, key));
            return None;
        }
        self.order.push_back((sequence, key.clone()));
        self.effects.insert(key, Effect { sequence, op, value });
        None
    }

    /// Moves the change of `key` to the batch's change number `op`.
    pub(crate) fn renumber(&mut self, key: &[u8], op: usize) {
        if let Some(e) = self.effects.get_mut(key) {
            e.op = op;
        }
    }

    /// Records that proposal `sequence` deletes `start..end`.
    pub(crate) fn insert_range(&mut self, sequence: u64, start: Bytes, end: Bytes) {
        self.newest = sequence;
        let inside: Vec<Bytes> = self.effects.range(&start, &end).map(|(k, _)| k.clone()).collect();
        for key in inside {
            if let Some(savepoint) = &mut self.savepoint {
                savepoint.note(sequence, &key, self.effects.get(&key));
            }
            if let Some(old) = self.effects.remove_if(&key, |_| true) {
                self.bytes -= weight(&key, old.value.as_ref());
            }
        }
        self.tombstones.push_back(Tombstone { sequence, start, end });
    }
}

fn weight(key: &Bytes, value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, Bytes::len)
}

/// A base view with an overlay above it.
#[derive(Clone, Copy)]
pub struct Merged<'a> {
    base: &'a dyn View,
    overlay: &'a Overlay,
}

impl<'a> Merged<'a> {
    /// `base` as it will be once everything in `overlay` is applied.
    #[must_use]
    pub fn new(base: &'a dyn View, overlay: &'a Overlay) -> Merged<'a> {
        Merged { base, overlay }
    }

    /// Both directions: `before` says which order an overlay key has to a base key.
    fn merge<'e>(
        &self,
        mut pending: std::iter::Peekable<impl Iterator<Item = (&'e Bytes, &'e Effect)>>,
        before: Ordering,
        scan: impl FnOnce(&mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>) -> Result<(), EngineError>,
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let mut stopped = false;
        scan(&mut |key, value| {
            let mut decided = false;
            while let Some((k, e)) = pending.next_if(|(k, _)| k.as_ref().cmp(key) == before || k.as_ref() == key) {
                decided = k.as_ref() == key;
                if let Some(v) = &e.value
                    && visit(k, v).is_break()
                {
                    stopped = true;
                    return ControlFlow::Break(());
                }
            }
            if decided || self.overlay.covering(key).is_some() {
                return ControlFlow::Continue(());
            }
            let flow = visit(key, value);
            stopped = flow.is_break();
            flow
        })?;
        while let Some((k, e)) = pending.next().filter(|_| !stopped) {
            if let Some(v) = &e.value
                && visit(k, v).is_break()
            {
                break;
            }
        }
        Ok(())
    }
}

impl View for Merged<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.overlay.get(key) {
            Hit::Decided(_, value) => Ok(value.cloned()),
            Hit::Miss => self.base.get(key),
        }
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        if self.overlay.is_empty() {
            return self.base.scan(start, end, visit);
        }
        let pending = self.overlay.effects.range(start, end).peekable();
        self.merge(pending, Ordering::Less, |v| self.base.scan(start, end, v), visit)
    }

    fn scan_reverse(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        if self.overlay.is_empty() {
            return self.base.scan_reverse(start, end, visit);
        }
        let pending = self.overlay.effects.range(start, end).rev().peekable();
        self.merge(pending, Ordering::Greater, |v| self.base.scan_reverse(start, end, v), visit)
    }
}

#[cfg(test)]
mod tests;
