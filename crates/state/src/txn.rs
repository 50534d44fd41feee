//! Reading and writing on a leader: the applied base, the overlay above it, and the batch that is being built.

use crate::awaited::Awaited;
use crate::directory::read_directory;
use crate::overlay::{Hit, Merged, Overlay};
use crate::records::{self, FIRST_FLUSH_KEYSPACE, System};
use crate::watches::Watches;
use bytes::Bytes;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use storage::{Batch, EngineError, Op, View};

/// The entry under construction.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    sequence: u64,
    batch: Batch,
    size: usize,
    /// Changes written so far, coalesced ones included: tells whether a command had effects.
    pub(crate) writes: u64,
    /// Changes before this one precede a range delete and may not be replaced in place.
    sealed: usize,
    counts: BTreeSet<(u32, Option<u16>)>,
    version: bool,
    keyspace: bool,
    /// The entry is wanted for its stamp, also without changes.
    pub(crate) proves_time: bool,
    saved: Option<Saved>,
}

/// The batch at a savepoint.
#[derive(Debug)]
struct Saved {
    ops: usize,
    size: usize,
    sealed: usize,
    writes: u64,
    counts: BTreeSet<(u32, Option<u16>)>,
}

/// Bytes that a change costs in an entry besides its key and value.
const OP_OVERHEAD: usize = 9;

impl Draft {
    pub(crate) fn new(sequence: u64) -> Draft {
        Draft { sequence, ..Draft::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty() && !self.proves_time
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    fn push(&mut self, op: Op) {
        self.size += cost(&op);
        self.batch.ops.push(op);
    }

    /// Puts a change where an earlier one of the same key stands: a counter that is incremented a hundred times in one
    /// entry is logged once. False when a range delete came in between.
    fn replace(&mut self, at: usize, op: &Op) -> bool {
        let Some(slot) = self.batch.ops.get_mut(at).filter(|_| at >= self.sealed) else { return false };
        self.size = self.size - cost(slot) + cost(op);
        *slot = op.clone();
        true
    }
}

fn cost(op: &Op) -> usize {
    OP_OVERHEAD
        + match op {
            Op::Put(a, b) | Op::DeleteRange(a, b) => a.len() + b.len(),
            Op::Delete(k) => k.len(),
        }
}

/// One evaluation's access to the state.
pub(crate) struct Txn<'a> {
    pub(crate) base: &'a dyn View,
    pub(crate) overlay: &'a mut Overlay,
    pub(crate) watches: &'a mut Watches,
    pub(crate) awaited: &'a mut Awaited,
    pub(crate) draft: &'a mut Draft,
    /// The newest proposal whose effects were seen.
    pub(crate) observed: Cell<Option<u64>>,
}

impl Txn<'_> {
    /// A key was changed: those who watch it and those who wait for it are concerned.
    pub(crate) fn touch(&mut self, db: u16, key: &[u8]) {
        self.watches.touch(db, key);
        self.awaited.touch(db, key);
    }

    /// The remains of an expired key were removed.
    pub(crate) fn touch_expired(&mut self, db: u16, key: &[u8]) {
        self.watches.touch_expired(db, key);
        self.awaited.touch(db, key);
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        match self.overlay.get(key) {
            Hit::Miss => self.base.get(key),
            Hit::Decided(sequence, value) => {
                self.observed.set(self.observed.get().max(Some(sequence)));
                Ok(value.cloned())
            }
        }
    }

    /// Everything proposed counts as observed: a scan depends on what is absent, too.
    pub(crate) fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        self.observed.set(self.observed.get().max(self.overlay.newest()));
        Merged::new(self.base, self.overlay).scan(start, end, visit)
    }

    /// As `scan`, in descending order.
    pub(crate) fn scan_reverse(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        self.observed.set(self.observed.get().max(self.overlay.newest()));
        Merged::new(self.base, self.overlay).scan_reverse(start, end, visit)
    }

    /// From here on changes can be taken back, with `undo`, or become the entry's, with `keep`.
    pub(crate) fn save(&mut self) {
        let draft = &mut *self.draft;
        let ops = draft.batch.ops.len();
        let counts = draft.counts.clone();
        draft.saved = Some(Saved { ops, size: draft.size, sealed: draft.sealed, writes: draft.writes, counts });
        // What was written before is not replaced in place, so that it is still there.
        draft.sealed = ops;
        self.overlay.save(ops);
    }

    /// What was changed since `save` stays.
    pub(crate) fn keep(&mut self) {
        self.overlay.keep();
        if let Some(saved) = self.draft.saved.take()
            && self.draft.sealed == saved.ops
        {
            self.draft.sealed = saved.sealed;
        }
    }

    /// Everything is as it was at `save`, except that sessions which watch keys changed since will find them changed.
    pub(crate) fn undo(&mut self) {
        self.overlay.undo();
        let draft = &mut *self.draft;
        if let Some(saved) = draft.saved.take() {
            draft.batch.ops.truncate(saved.ops);
            (draft.size, draft.sealed, draft.writes, draft.counts) =
                (saved.size, saved.sealed, saved.writes, saved.counts);
        }
    }

    pub(crate) fn put(&mut self, key: Bytes, value: Bytes) {
        self.write(key.clone(), Some(value.clone()), Op::Put(key, value));
    }

    pub(crate) fn delete(&mut self, key: Bytes) {
        self.write(key.clone(), None, Op::Delete(key));
    }

    fn write(&mut self, key: Bytes, value: Option<Bytes>, op: Op) {
        let draft = &mut *self.draft;
        draft.writes += 1;
        let next = draft.batch.ops.len();
        match self.overlay.insert(draft.sequence, next, key.clone(), value) {
            Some(earlier) if draft.replace(earlier, &op) => {}
            Some(_) => {
                draft.push(op);
                self.overlay.renumber(&key, next);
            }
            None => draft.push(op),
        }
    }

    /// Deletes `start..end`; the caller has made sure that it holds a bounded number of keys.
    pub(crate) fn delete_range(&mut self, start: Bytes, end: Bytes) {
        self.draft.writes += 1;
        self.overlay.insert_range(self.draft.sequence, start.clone(), end.clone());
        self.draft.push(Op::DeleteRange(start, end));
        self.draft.sealed = self.draft.batch.ops.len();
    }

    /// The keyspace of `db` as of the last proposal.
    pub(crate) fn keyspace(&mut self, db: u16) -> Result<u32, EngineError> {
        // What is read under a keyspace that a proposed flush has given depends on that flush.
        if let Hit::Decided(sequence, _) = self.overlay.get(&records::directory_key(db)) {
            self.observed.set(self.observed.get().max(Some(sequence)));
        }
        let keyspaces = match self.overlay.numbers.keyspaces {
            Some(k) => k,
            None => *self.overlay.numbers.keyspaces.insert(read_directory(self.base)?),
        };
        Ok(keyspaces.get(usize::from(db)).copied().unwrap_or(u32::from(db)))
    }

    /// Gives `db` an empty keyspace and leaves the old one to background deletion.
    pub(crate) fn replace_keyspace(&mut self, db: u16) -> Result<(), EngineError> {
        let old = self.keyspace(db)?;
        let next = match self.overlay.numbers.next_keyspace {
            Some(n) => n,
            None => self.number(System::NextKeyspace)?.map_or(FIRST_FLUSH_KEYSPACE, |n| n as u32),
        };
        self.overlay.numbers.next_keyspace = Some(next + 1);
        self.draft.keyspace = true;
        if let Some(cell) = self.overlay.numbers.keyspaces.as_mut().and_then(|k| k.get_mut(usize::from(db))) {
            *cell = next;
        }
        self.put(Bytes::copy_from_slice(&records::directory_key(db)), Bytes::copy_from_slice(&next.to_be_bytes()));
        self.put_garbage(records::garbage_keyspace(old));
        // Counts of the old keyspace go with its records; none may be written again.
        self.overlay.forget_counts(old);
        self.draft.counts.retain(|(keyspace, _)| *keyspace != old);
        Ok(())
    }

    /// Lets two databases exchange their keyspaces.
    pub(crate) fn swap_keyspaces(&mut self, a: u16, b: u16) -> Result<(), EngineError> {
        let (of_a, of_b) = (self.keyspace(a)?, self.keyspace(b)?);
        for (db, keyspace) in [(a, of_b), (b, of_a)] {
            if let Some(cell) = self.overlay.numbers.keyspaces.as_mut().and_then(|k| k.get_mut(usize::from(db))) {
                *cell = keyspace;
            }
            self.put(
                Bytes::copy_from_slice(&records::directory_key(db)),
                Bytes::copy_from_slice(&keyspace.to_be_bytes()),
            );
        }
        Ok(())
    }

    /// Asks for background deletion of a keyspace or a collection.
    pub(crate) fn put_garbage(&mut self, key: Bytes) {
        self.put_garbage_until(key, Bytes::new());
    }

    /// Asks for background deletion of the sub-records from `start` to `end`, which nobody reads or writes again.
    pub(crate) fn put_garbage_span(&mut self, start: &[u8], end: Bytes) {
        self.put_garbage_until(records::garbage_span(start), end);
    }

    fn put_garbage_until(&mut self, key: Bytes, end: Bytes) {
        let head = &mut self.overlay.numbers.garbage_head;
        if key < *head {
            // What was being deleted is no longer first, so the place reached in it is forgotten.
            *head = key.clone();
            self.overlay.numbers.garbage_at = Bytes::new();
        }
        self.put(key, end);
    }

    /// A number no other collection of this shard has or had.
    pub(crate) fn allocate_version(&mut self) -> Result<u64, EngineError> {
        let version = match self.overlay.numbers.next_version {
            Some(v) => v,
            None => self.number(System::NextVersion)?.unwrap_or(1),
        };
        self.overlay.numbers.next_version = Some(version + 1);
        self.draft.version = true;
        Ok(version)
    }

    fn number(&self, which: System) -> Result<Option<u64>, EngineError> {
        self.get(&records::system_key(which))?.map(|v| decode_number(&v)).transpose()
    }

    /// How many keys a keyspace, or one slot of it, holds.
    pub(crate) fn count(&mut self, keyspace: u32, slot: Option<u16>) -> Result<u64, EngineError> {
        self.observed.set(self.observed.get().max(self.overlay.newest()));
        if let Some(n) = self.overlay.numbers.counts.get(&(keyspace, slot)) {
            return Ok(*n);
        }
        let stored = self.get(&records::count_key(keyspace, slot))?.map(|v| decode_number(&v)).transpose()?;
        let n = stored.unwrap_or(0);
        self.overlay.numbers.counts.insert((keyspace, slot), n);
        Ok(n)
    }

    /// The counts of slots that were changed or read in this reign.
    pub(crate) fn known_counts(&self, keyspace: u32) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.overlay.numbers.counts.range((keyspace, None)..=(keyspace, Some(u16::MAX)));
        counts.filter_map(|((_, slot), n)| Some(((*slot)?, *n)))
    }

    /// Counts keys that came (`by` > 0) or went. Logged once per entry, by `seal`.
    pub(crate) fn adjust(&mut self, keyspace: u32, slot: Option<u16>, by: i64) -> Result<(), EngineError> {
        let n = match self.overlay.numbers.counts.get(&(keyspace, slot)) {
            Some(n) => *n,
            None => self.count(keyspace, slot)?,
        };
        let n = n.checked_add_signed(by).ok_or_else(|| records::damaged("fewer keys are counted than exist"))?;
        self.overlay.set_count((keyspace, slot), n);
        self.draft.counts.insert((keyspace, slot));
        Ok(())
    }

    /// Writes the numbers that changed, as absolute values.
    pub(crate) fn seal(&mut self) {
        for (keyspace, slot) in std::mem::take(&mut self.draft.counts) {
            if let Some(n) = self.overlay.numbers.counts.get(&(keyspace, slot)).copied() {
                self.put_number(&records::count_key(keyspace, slot), n);
            }
        }
        if let Some(v) = self.overlay.numbers.next_version.filter(|_| self.draft.version) {
            self.put_number(&records::system_key(System::NextVersion), v);
        }
        if let Some(k) = self.overlay.numbers.next_keyspace.filter(|_| self.draft.keyspace) {
            self.put_number(&records::system_key(System::NextKeyspace), u64::from(k));
        }
        (self.draft.version, self.draft.keyspace) = (false, false);
    }

    fn put_number(&mut self, key: &[u8], n: u64) {
        self.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(&n.to_be_bytes()));
    }

    pub(crate) fn take_batch(&mut self) -> Batch {
        std::mem::take(&mut self.draft.batch)
    }
}

/// Reads one of the shard's numbers.
pub(crate) fn decode_number(value: &[u8]) -> Result<u64, EngineError> {
    let bytes: [u8; 8] = value.try_into().map_err(|_| records::damaged("a number is not eight bytes long"))?;
    Ok(u64::from_be_bytes(bytes))
}
