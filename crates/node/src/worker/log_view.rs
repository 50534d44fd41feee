//! One shard's part of the worker's log, as the consensus crate wants to see it.

use consensus::{Entry, EntryKind, LogUnavailable, OlderEntries};
use stdx::ShardId;
use storage::Disk;
use storage::log::{LogEntry, LogReader};

/// Reads durable entries of one shard.
pub struct ShardLog<D: Disk> {
    reader: LogReader<D>,
    shard: ShardId,
}

impl<D: Disk> ShardLog<D> {
    /// The part of `reader` that belongs to `shard`.
    pub fn new(reader: LogReader<D>, shard: ShardId) -> ShardLog<D> {
        ShardLog { reader, shard }
    }
}

impl<D: Disk> OlderEntries for ShardLog<D> {
    fn entries(&self, low: u64, high: u64, max_bytes: u64) -> Result<Vec<Entry>, LogUnavailable> {
        let entries =
            self.reader.entries(self.shard, low, high, max_bytes).map_err(|e| LogUnavailable(e.to_string()))?;
        entries.into_iter().map(entry_from_log).collect()
    }

    fn term(&self, index: u64) -> Result<Option<u64>, LogUnavailable> {
        self.reader.term(self.shard, index).map_err(|e| LogUnavailable(e.to_string()))
    }
}

// Persisted tags: never reuse one.
const NORMAL: u8 = 0;
const MEMBERSHIP: u8 = 1;

/// The entry as the log keeps it.
pub fn entry_to_log(entry: Entry) -> LogEntry {
    let kind = match entry.kind {
        EntryKind::Normal => NORMAL,
        EntryKind::Membership => MEMBERSHIP,
    };
    LogEntry { term: entry.term, index: entry.index, kind, data: entry.data }
}

fn entry_from_log(entry: LogEntry) -> Result<Entry, LogUnavailable> {
    let kind = match entry.kind {
        NORMAL => EntryKind::Normal,
        MEMBERSHIP => EntryKind::Membership,
        _ => return Err(LogUnavailable(format!("entry {} has an unknown kind {}", entry.index, entry.kind))),
    };
    Ok(Entry { term: entry.term, index: entry.index, kind, data: entry.data })
}
