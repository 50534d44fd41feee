//! The log as the engine reads it: a cache of recent entries in memory, and below it what the caller keeps on disk.

use crate::convert::{entry_to_raft, hard_state_to_raft, snapshot_to_raft};
use crate::message::{Entry, SnapshotMeta};
use crate::ready::Restored;
use raft::eraftpb;
use raft::{GetEntriesContext, RaftState, Storage, StorageError};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use stdx::NodeId;

/// Entries that are durable and no longer in the group's memory. Only indexes after the log's start are asked for.
pub trait OlderEntries {
    /// Consecutive entries from `low` up to before `high`, cut after about `max_bytes` of payload, but at least one.
    ///
    /// # Errors
    /// When they cannot be read: the replica is fenced.
    fn entries(&self, low: u64, high: u64, max_bytes: u64) -> Result<Vec<Entry>, LogUnavailable>;

    /// The term of the entry at `index`, `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read: the replica is fenced.
    fn term(&self, index: u64) -> Result<Option<u64>, LogUnavailable>;
}

/// Durable entries cannot be read: why, in a sentence.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the log cannot be read: {0}")]
pub struct LogUnavailable(pub String);

/// Memory of an entry beyond its payload, about.
const ENTRY_OVERHEAD: usize = 128;

/// Invariant: the cache ends with the last entry; entries that are not durable or not applied are in it if they came
/// since the start of the process.
pub(crate) struct Log<L> {
    start: (u64, u64),
    last: (u64, u64),
    cache: VecDeque<eraftpb::Entry>,
    cache_first: u64,
    cache_bytes: usize,
    older: L,
    initial: RaftState,
    offered: BTreeMap<NodeId, SnapshotMeta>,
    wanted: RefCell<BTreeSet<NodeId>>,
    fault: RefCell<Option<LogUnavailable>>,
}

fn footprint(entry: &eraftpb::Entry) -> usize {
    entry.data.len() + entry.context.len() + ENTRY_OVERHEAD
}

impl<L: OlderEntries> Log<L> {
    pub fn new(restored: &Restored, older: L) -> Log<L> {
        Log {
            start: restored.start,
            last: restored.last,
            cache: VecDeque::new(),
            cache_first: restored.last.0 + 1,
            cache_bytes: 0,
            older,
            initial: RaftState::new(hard_state_to_raft(&restored.hard_state), restored.membership.to_raft()),
            offered: BTreeMap::new(),
            wanted: RefCell::new(BTreeSet::new()),
            fault: RefCell::new(None),
        }
    }

    pub fn start(&self) -> (u64, u64) {
        self.start
    }

    pub fn older(&self) -> &L {
        &self.older
    }

    /// Why the log can no longer be trusted. What the engine concluded from such a log must never leave.
    pub fn fault(&self) -> Option<LogUnavailable> {
        self.fault.borrow().clone()
    }

    pub fn is_faulty(&self) -> bool {
        self.fault.borrow().is_some()
    }

    fn fail(&self, error: LogUnavailable) {
        self.fault.borrow_mut().get_or_insert(error);
    }

    /// Appends, replacing what was at and after the first index.
    pub fn append(&mut self, entries: &[eraftpb::Entry]) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        assert!(first.index > self.start.0, "entry {} is not after the log's start {}", first.index, self.start.0);
        assert!(first.index <= self.last.0 + 1, "entry {} leaves a gap after {}", first.index, self.last.0);
        while self.cache.back().is_some_and(|e| e.index >= first.index) {
            self.cache_bytes -= self.cache.pop_back().as_ref().map_or(0, footprint);
        }
        self.cache_first = self.cache_first.min(first.index);
        self.cache_bytes += entries.iter().map(footprint).sum::<usize>();
        self.cache.extend(entries.iter().cloned());
        self.last = (last.index, last.term);
    }

    /// Drops the oldest entries up to `limit` while the cache exceeds `keep_bytes`.
    pub fn trim(&mut self, limit: u64, keep_bytes: usize) {
        while self.cache_bytes > keep_bytes && self.cache.front().is_some_and(|e| e.index <= limit) {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.cache.pop_front() {
            self.cache_bytes -= footprint(&entry);
            self.cache_first = entry.index + 1;
        }
    }

    /// The log begins after `index`.
    pub fn compact(&mut self, index: u64, term: u64) {
        while self.cache.front().is_some_and(|e| e.index <= index) {
            self.pop_front();
        }
        self.start = (index, term);
        self.offered.retain(|_, meta| meta.index >= index);
    }

    /// The log is empty and begins after the snapshot.
    pub fn reset(&mut self, index: u64, term: u64) {
        self.start = (index, term);
        self.last = (index, term);
        self.cache.clear();
        self.cache_first = index + 1;
        self.cache_bytes = 0;
        self.offered.clear();
    }

    /// A snapshot for `to`, until it is sent.
    pub fn offer(&mut self, to: NodeId, meta: SnapshotMeta) {
        if meta.index >= self.start.0 {
            self.offered.insert(to, meta);
        }
    }

    pub fn withdraw(&mut self, to: NodeId) {
        self.offered.remove(&to);
        self.wanted.borrow_mut().remove(&to);
    }

    /// Peers for which the engine asked for a snapshot since the last call.
    pub fn take_wanted(&self) -> BTreeSet<NodeId> {
        std::mem::take(&mut *self.wanted.borrow_mut())
    }

    fn read_older(&self, low: u64, high: u64, max_bytes: u64) -> Vec<eraftpb::Entry> {
        let entries = match self.older.entries(low, high, max_bytes) {
            Ok(entries) => entries,
            Err(error) => {
                self.fail(error);
                return Vec::new();
            }
        };
        let consecutive = entries.iter().zip(low..high).all(|(e, index)| e.index == index);
        if entries.is_empty() || entries.len() as u64 > high - low || !consecutive {
            self.fail(LogUnavailable(format!("entries from {low} to {} are not all there", high - 1)));
            return Vec::new();
        }
        entries.into_iter().map(entry_to_raft).collect()
    }
}

impl<L: OlderEntries> Storage for Log<L> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    /// Where durable entries cannot be read the answer is short, and the fault makes everything that follows from it moot.
    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        let max_size = max_size.into();
        if low <= self.start.0 {
            return Err(StorageError::Compacted.into());
        }
        let mut out = Vec::new();
        if low < self.cache_first {
            let wanted = high.min(self.cache_first);
            out = self.read_older(low, wanted, max_size.unwrap_or(u64::MAX));
            if (out.len() as u64) < wanted - low {
                return Ok(out);
            }
        }
        let from = low.max(self.cache_first);
        if high > from {
            let offset = |index: u64| usize::try_from(index - self.cache_first).unwrap_or(usize::MAX);
            out.extend(self.cache.range(offset(from)..offset(high)).cloned());
        }
        raft::util::limit_size(&mut out, max_size);
        Ok(out)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.last.0 {
            return Ok(self.last.1);
        }
        if index == self.start.0 {
            return Ok(self.start.1);
        }
        if index < self.start.0 {
            return Err(StorageError::Compacted.into());
        }
        if index > self.last.0 {
            return Err(StorageError::Unavailable.into());
        }
        if index >= self.cache_first {
            let at = usize::try_from(index - self.cache_first).unwrap_or(usize::MAX);
            return self.cache.get(at).map(|e| e.term).ok_or_else(|| StorageError::Unavailable.into());
        }
        match self.older.term(index) {
            Ok(Some(term)) => Ok(term),
            Ok(None) => {
                self.fail(LogUnavailable(format!("entry {index} is not there")));
                Ok(0)
            }
            Err(error) => {
                self.fail(error);
                Ok(0)
            }
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.start.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last.0)
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<eraftpb::Snapshot> {
        match self.offered.get(&NodeId(to)) {
            Some(meta) if meta.index >= request_index => Ok(snapshot_to_raft(meta)),
            _ => {
                self.wanted.borrow_mut().insert(NodeId(to));
                Err(StorageError::SnapshotTemporarilyUnavailable.into())
            }
        }
    }
}
