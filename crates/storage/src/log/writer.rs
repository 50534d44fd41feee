//! Writing: one round per append, one sync for any number of rounds.

use super::format::{self, Encoder, INDEX_LIMIT, SEGMENT_HEADER_BYTES, Tag};
use super::index::{Change, Group, Location, Segment, Shared};
use super::pool::{Files, NewSegment, Preparer, full_or};
use super::{Damage, ENTRY_BYTES_MAX, LogEntry, LogError, Position, ROUND_BYTES_MAX, Record, WriteSet};
use crate::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::ShardId;

/// Share of a segment that entries leave to hard states, starts and reclaiming when no further segment can be had.
const CONTROL_SHARE: u32 = 8;
/// The most that is left to them.
const CONTROL_BYTES_MAX: u32 = 1 << 20;

/// What the writer must know of a shard, what waits for a sync included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    start: Position,
    last: u64,
    pub(crate) fence: Option<(u32, u32)>,
}

impl Tail {
    pub(crate) fn of(group: &Group) -> Tail {
        Tail { start: group.start, last: group.last_index(), fence: group.fence }
    }
}

/// The segment being written.
pub(crate) struct Current<F> {
    pub sequence: u32,
    pub file: Arc<F>,
    pub seed: u32,
    pub length: u32,
    /// Where the next round begins.
    pub tail: u32,
    /// Everything before this is synced.
    pub synced: u32,
    /// Nothing is written to a segment with damage in it: what lies behind may be all that tells of it.
    pub closed: bool,
}

impl<F> Current<F> {
    fn room(&self) -> u64 {
        if self.closed { 0 } else { u64::from(self.length.saturating_sub(self.tail)) }
    }
}

/// Who asks for room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// Entries: the reserve is not theirs.
    Entries,
    /// What helps to free space.
    Control,
}

/// The writing side of a log. It belongs to one thread.
pub struct LogWriter<D: Disk> {
    pub(crate) files: Files<D>,
    pub(crate) shared: Shared<D::File>,
    pub(crate) current: Current<D::File>,
    pub(crate) epoch: u32,
    pub(crate) base: u32,
    pub(crate) tails: BTreeMap<ShardId, Tail>,
    pub(crate) pending: Vec<Change>,
    pub(crate) locations: Vec<Location>,
    pub(crate) encoder: Encoder,
    /// Tails as they were before the round being encoded.
    undo: Vec<(ShardId, Option<Tail>)>,
    poisoned: bool,
}

/// How to take back a round that was not written.
pub(crate) struct Mark {
    pending: usize,
    locations: usize,
}

impl<D: Disk> LogWriter<D> {
    pub(crate) fn new(
        files: Files<D>,
        shared: Shared<D::File>,
        current: Current<D::File>,
        epoch: u32,
        base: u32,
    ) -> LogWriter<D> {
        let tails = shared.read().groups.iter().map(|(shard, group)| (*shard, Tail::of(group))).collect();
        LogWriter {
            files,
            shared,
            current,
            epoch,
            base,
            tails,
            pending: Vec::new(),
            locations: Vec::new(),
            encoder: Encoder::default(),
            undo: Vec::new(),
            poisoned: false,
        }
    }

    /// Writes the changes as one round. They are neither durable nor visible to readers before `sync`.
    ///
    /// # Errors
    /// `Full`, `Invalid`, `Damaged` (the shard is fenced and the change is not its removal) and `Io` leave the log as it was.
    /// `Poisoned` is final.
    pub fn append(&mut self, set: &WriteSet) -> Result<(), LogError> {
        self.check()?;
        let bytes = measure(set)?;
        let entries = set.records.iter().any(|r| matches!(r, Record::Entries { .. }));
        self.ensure_room(bytes, if entries { Need::Entries } else { Need::Control })?;
        let mark = self.begin();
        for record in &set.records {
            if let Err(e) = self.encode(record) {
                self.roll_back(&mark);
                return Err(e);
            }
        }
        self.write(mark)
    }

    /// Makes every appended round durable, then visible to readers.
    ///
    /// # Errors
    /// `Poisoned`, which is final: after a failed sync nobody knows what the disk holds, so the process must stop.
    pub fn sync(&mut self) -> Result<(), LogError> {
        self.check()?;
        if self.current.synced < self.current.tail {
            self.current.file.sync().map_err(|_| self.poison())?;
            self.current.synced = self.current.tail;
        }
        if !self.pending.is_empty() {
            let mut index = self.shared.write();
            for change in self.pending.drain(..) {
                index.apply(change, &self.locations);
            }
            self.locations.clear();
        }
        Ok(())
    }

    /// Bytes of records that can still be appended before `Full`: in the current segment, in spare ones, and in those that
    /// the file system has room for above the reserve. A round needs its own size and a few bytes for each record.
    #[must_use]
    pub fn headroom(&self) -> u64 {
        self.current.room().saturating_sub(self.control_bytes()) + self.files.room()
    }

    /// A handle that makes segments ahead of need from another thread.
    #[must_use]
    pub fn preparer(&self) -> Preparer<D> {
        Preparer(self.files.clone())
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        if self.poisoned { Err(LogError::Poisoned) } else { Ok(()) }
    }

    pub(crate) fn poison(&mut self) -> LogError {
        self.poisoned = true;
        LogError::Poisoned
    }

    fn control_bytes(&self) -> u64 {
        u64::from((self.files.options.segment_bytes / CONTROL_SHARE).min(CONTROL_BYTES_MAX))
    }

    /// Makes sure that a round of `bytes` fits into the current segment, which may be a fresh one afterwards.
    pub(crate) fn ensure_room(&mut self, bytes: u64, need: Need) -> Result<(), LogError> {
        let room = self.current.room();
        if bytes > room {
            return self.rotate(bytes, need);
        }
        let spacious = need == Need::Control || bytes + self.control_bytes() <= room;
        if spacious || self.files.can_create() { Ok(()) } else { Err(LogError::Full) }
    }

    fn rotate(&mut self, bytes: u64, need: Need) -> Result<(), LogError> {
        let sequence = self.current.sequence.checked_add(1).ok_or(LogError::Invalid("segment numbers are used up"))?;
        let made = self.files.create(sequence, self.current.tail, bytes, need == Need::Entries);
        let NewSegment { file, length } = made.map_err(|e| if e == LogError::Poisoned { self.poison() } else { e })?;
        // The next segment's first commit proves to recovery that this one is whole.
        if self.current.synced < self.current.tail {
            self.current.file.sync().map_err(|_| self.poison())?;
        }
        let file = Arc::new(file);
        let seed = format::seed(self.files.options.identity, sequence);
        let segment = Segment { file: file.clone(), seed, length: u64::from(length), live: 0 };
        self.shared.write().segments.insert(sequence, segment);
        let tail = SEGMENT_HEADER_BYTES;
        self.current = Current { sequence, file, seed, length, tail, synced: tail, closed: false };
        Ok(())
    }

    /// Starts encoding a round.
    pub(crate) fn begin(&mut self) -> Mark {
        self.undo.clear();
        self.encoder.begin(self.current.seed);
        Mark { pending: self.pending.len(), locations: self.locations.len() }
    }

    pub(crate) fn roll_back(&mut self, mark: &Mark) {
        self.pending.truncate(mark.pending);
        self.locations.truncate(mark.locations);
        for (shard, tail) in self.undo.drain(..).rev() {
            match tail {
                Some(tail) => self.tails.insert(shard, tail),
                None => self.tails.remove(&shard),
            };
        }
    }

    /// Writes the encoded round.
    pub(crate) fn write(&mut self, mark: Mark) -> Result<(), LogError> {
        let Current { tail, synced, .. } = self.current;
        self.encoder.commit(tail, synced, self.epoch, self.base);
        let bytes = self.encoder.bytes();
        debug_assert!(bytes.len() as u64 <= self.current.room(), "measured before encoding");
        match self.current.file.write_at(u64::from(tail), bytes).map_err(|e| full_or(e, "write")) {
            Ok(()) => {
                self.current.tail += bytes.len() as u32;
                Ok(())
            }
            Err(LogError::Full) => {
                // Part of the round may lie beyond the tail; a higher epoch tells it from what comes next.
                self.epoch = self.epoch.saturating_add(1);
                self.roll_back(&mark);
                Err(LogError::Full)
            }
            Err(_) => Err(self.poison()),
        }
    }

    fn encode(&mut self, record: &Record) -> Result<(), LogError> {
        match record {
            Record::Entries { shard, entries } => self.encode_entries(*shard, entries),
            Record::HardState { shard, state } => {
                if state.commit >= INDEX_LIMIT {
                    return Err(LogError::Invalid("an index is out of range"));
                }
                self.tail(*shard)?;
                self.encoder.hard_state(*shard, state);
                self.pending.push(Change::HardState { shard: *shard, state: *state, segment: self.current.sequence });
                Ok(())
            }
            Record::Start { shard, index, term } => self.encode_start(*shard, Position { index: *index, term: *term }),
            Record::Remove { shard } => {
                self.undo.push((*shard, self.tails.remove(shard)));
                self.encode_remove(*shard);
                Ok(())
            }
        }
    }

    fn encode_remove(&mut self, shard: ShardId) {
        self.encoder.position(Tag::Remove, shard, Position::default());
        self.pending.push(Change::Remove { shard });
    }

    fn encode_entries(&mut self, shard: ShardId, entries: &[LogEntry]) -> Result<(), LogError> {
        let Some((first, last)) = entries.first().zip(entries.last()).map(|(a, b)| (a.index, b.index)) else {
            return Ok(());
        };
        let mut tail = self.tail(shard)?;
        if first <= tail.start.index || first > tail.last + 1 {
            return Err(LogError::Invalid("entries do not follow the shard's log"));
        }
        if last >= INDEX_LIMIT {
            return Err(LogError::Invalid("an index is out of range"));
        }
        let from = self.locations.len();
        let Current { sequence: segment, tail: base, .. } = self.current;
        for (entry, index) in entries.iter().zip(first..) {
            if entry.index != index {
                return Err(LogError::Invalid("entries are not consecutive"));
            }
            let at = self.encoder.entry(Tag::Entry, shard, entry.term, index, entry.kind, &entry.data);
            let length = entry.data.len() as u32;
            self.locations.push(Location { term: entry.term, segment, offset: base + at, length });
        }
        self.pending.push(Change::Entries { shard, first, from, count: entries.len() });
        tail.last = last;
        self.set_tail(shard, tail);
        Ok(())
    }

    fn encode_start(&mut self, shard: ShardId, start: Position) -> Result<(), LogError> {
        let mut tail = self.tail(shard)?;
        if start.index < tail.start.index {
            return Err(LogError::Invalid("a log's start does not go back"));
        }
        if start.index >= INDEX_LIMIT {
            return Err(LogError::Invalid("an index is out of range"));
        }
        // Decided here and written down: at recovery the entry that decides may be in a segment that is gone.
        let reset = self.term_at(shard, &tail, start.index) != Some(start.term);
        self.encoder.position(if reset { Tag::Reset } else { Tag::Start }, shard, start);
        self.pending.push(Change::Start { shard, start, reset, segment: self.current.sequence });
        tail.start = start;
        if reset {
            tail.last = start.index;
        }
        self.set_tail(shard, tail);
        Ok(())
    }

    /// The term at an index of the log as it will be after the next sync.
    fn term_at(&self, shard: ShardId, tail: &Tail, index: u64) -> Option<u64> {
        if index == tail.start.index {
            return Some(tail.start.term);
        }
        if index > tail.last {
            return None;
        }
        // The latest change that wrote the entry; anything that voids it would have moved start or last past it.
        let written = self.pending.iter().rev().find_map(|change| match change {
            Change::Entries { shard: s, first, from, count } if *s == shard => {
                let at = usize::try_from(index.checked_sub(*first)?).ok()?;
                (at < *count).then(|| self.locations[from + at].term)
            }
            _ => None,
        });
        written.or_else(|| self.shared.read().groups.get(&shard).and_then(|group| group.term(index)))
    }

    /// The shard's tail; an unknown shard begins here, with a record that voids whatever may lie before.
    fn tail(&mut self, shard: ShardId) -> Result<Tail, LogError> {
        match self.tails.get(&shard) {
            Some(Tail { fence: Some((segment, offset)), .. }) => {
                Err(LogError::Damaged(Damage { shard: Some(shard), segment: *segment, offset: *offset }))
            }
            Some(tail) => Ok(*tail),
            None => {
                let tail = Tail { start: Position::default(), last: 0, fence: None };
                self.encode_remove(shard);
                self.set_tail(shard, tail);
                Ok(tail)
            }
        }
    }

    pub(crate) fn set_tail(&mut self, shard: ShardId, tail: Tail) {
        let before = self.tails.insert(shard, tail);
        self.undo.push((shard, before));
    }
}

/// An upper bound of a write set's bytes.
fn measure(set: &WriteSet) -> Result<u64, LogError> {
    let mut bytes = format::commit_size(set.records.len());
    for record in &set.records {
        // A shard's first record may be preceded by a removal.
        bytes += format::record_size(0);
        bytes += match record {
            Record::Entries { entries, .. } => {
                if entries.iter().any(|e| e.data.len() > ENTRY_BYTES_MAX) {
                    return Err(LogError::Invalid("an entry exceeds ENTRY_BYTES_MAX"));
                }
                entries.iter().map(|e| format::record_size(e.data.len())).sum()
            }
            Record::HardState { .. } => format::hard_state_size(),
            Record::Start { .. } | Record::Remove { .. } => format::record_size(0),
        };
    }
    if bytes > ROUND_BYTES_MAX { Err(LogError::Invalid("a round exceeds ROUND_BYTES_MAX")) } else { Ok(bytes) }
}
