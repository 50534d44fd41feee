//! The replicated log: one per worker, shared by all its groups, in preallocated segment files.
//!
//! ```text
//!   WriteSet ─ append ─▶ round: record record … commit ─ write_at ─▶ current segment ─ sync ─▶ visible to LogReader
//!                                                                          │ full
//!   00000004.log  00000005.log  00000006.log ◀──────── rotate ─────────────┘
//!     └── reclaim: copy the small live rest into the current segment, raise `base`, recycle the file ──▶ 00000007.free
//! ```
//!
//! Invariants:
//! - A round counts as a whole or not at all; it never spans segments. A segment is synced before the next one is written.
//! - Segments are freed from the oldest on. So a record that voids others (a replaced suffix, a start, a removal) never
//!   outlives what it voids, and never has to be kept for its own sake.
//! - A file is called `NNNNNNNN.log` only after its header is durable, and no longer before it is overwritten.
//! - Bytes are verified whenever they are read; what was synced and does not verify is damage, never a torn tail.
//!
//! Not here: what an entry means, when to compact, threads.

mod format;
mod index;
mod pool;
mod reader;
mod reclaim;
mod recover;
mod replay;
mod runs;
mod scan;
mod writer;

#[cfg(test)]
mod tests;

pub use pool::Preparer;
pub use reader::LogReader;
pub use reclaim::Reclaimed;
pub use writer::LogWriter;

use crate::disk::Disk;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use stdx::ShardId;

/// The door: opening a log.
pub struct Log;

impl Log {
    /// Opens the log in `disk`, creating it when there is none, and recovers what was synced. The writer belongs to one
    /// thread; readers may be cloned into any.
    ///
    /// # Errors
    /// `Newer` and `Foreign` when a segment is not ours to read; `Full` when there is no room for the first segment; `Io`.
    /// Damage is not an error here but part of `Recovered`: groups that it does not touch go on.
    pub fn open<D: Disk>(disk: D, options: LogOptions) -> Result<(LogWriter<D>, LogReader<D>, Recovered), LogError> {
        recover::open(disk, options)
    }
}

/// One entry of a shard's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    /// The term of the leader that created it.
    pub term: u64,
    /// Its position, from 1.
    pub index: u64,
    /// What `data` is: the consensus side's tag, kept as it is.
    pub kind: u8,
    /// The payload.
    pub data: Bytes,
}

/// What a replica must never forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    /// The latest term seen.
    pub term: u64,
    /// Whom this replica voted for in `term`; 0 for nobody.
    pub vote: u64,
    /// The highest index known to be committed.
    pub commit: u64,
}

/// A point in a shard's log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Position {
    /// The entry's index; 0 before the first.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
}

/// One change to the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// Entries with consecutive indexes. The first may be at most one beyond the last entry; everything of the shard at or
    /// above it is replaced.
    Entries {
        /// Whose log.
        shard: ShardId,
        /// The entries.
        entries: Vec<LogEntry>,
    },
    /// Term, vote and commit index.
    HardState {
        /// Whose.
        shard: ShardId,
        /// The state.
        state: HardState,
    },
    /// The log of this shard begins after this position: compaction, or an installed snapshot. Entries at or below it are
    /// gone. Entries above it stay if the log holds exactly this position; otherwise (a snapshot beyond the last entry, or
    /// of another history) all are gone.
    Start {
        /// Whose log.
        shard: ShardId,
        /// The last entry that is gone.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// Everything about the shard is gone, its fence after damage included.
    Remove {
        /// Whose log.
        shard: ShardId,
    },
}

impl Record {
    /// Whose log it is about.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        match self {
            Record::Entries { shard, .. }
            | Record::HardState { shard, .. }
            | Record::Start { shard, .. }
            | Record::Remove { shard } => *shard,
        }
    }
}

/// Changes that become durable together or not at all. One without records writes a marker that proves to recovery that
/// everything before it was synced: worth writing when the log goes idle and at shutdown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WriteSet {
    /// The changes in order.
    pub records: Vec<Record>,
}

/// How a log is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Whose log this is (cluster, node and worker, hashed). A log of another identity is refused.
    pub identity: u64,
    /// Bytes of a segment file. A larger round gets a segment of its own size.
    pub segment_bytes: u32,
    /// Freed segment files kept for the next segments; more are removed.
    pub max_recycled: usize,
    /// Free bytes of the file system that entries never use. Hard states, starts and reclaiming may.
    pub reserve_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { identity: 0, segment_bytes: 64 << 20, max_recycled: 4, reserve_bytes: 128 << 20 }
    }
}

/// Smallest segment: the header's page and as much again three times.
pub const SEGMENT_BYTES_MIN: u32 = 16 << 10;
/// Largest segment to configure; offsets are 32 bits and a large round must still fit beside.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 30;
/// Largest payload of one entry: four of the largest values.
pub const ENTRY_BYTES_MAX: usize = 256 << 20;
/// Largest encoded write set.
pub const ROUND_BYTES_MAX: u64 = 1 << 30;

/// A place in the log whose bytes are not what was synced there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Damage {
    /// Whose records are hurt. `None` when that is lost too: every group of the log that was known is fenced then.
    pub shard: Option<ShardId>,
    /// The segment's sequence number.
    pub segment: u32,
    /// The offset in it.
    pub offset: u32,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shard {
            Some(shard) => write!(f, "log of {shard} in segment {} at {}", self.segment, self.offset),
            None => write!(f, "log in segment {} at {}", self.segment, self.offset),
        }
    }
}

/// Why the log refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogError {
    /// No room. Nothing was written and the log is as it was; it accepts again when space returns.
    #[error("the log's disk is full")]
    Full,
    /// A write or sync failed earlier: what is on the disk is unknown, so this process must stop.
    #[error("the log failed to write earlier and is stopped")]
    Poisoned,
    /// The operating system refused.
    #[error("log {operation}: {text}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The system's class of error.
        kind: io::ErrorKind,
        /// The system's words.
        text: String,
    },
    /// The shard's log is not what was synced. The replica must be fenced and rebuilt: `Remove`, then a snapshot.
    #[error("damaged {0}")]
    Damaged(Damage),
    /// Written by a later version of this software.
    #[error("log segment {segment} has format {version}, this version reads up to {FORMAT}", FORMAT = format::FORMAT_VERSION)]
    Newer {
        /// The segment.
        segment: u32,
        /// Its format.
        version: u32,
    },
    /// The log of another cluster, node or worker.
    #[error("log segment {segment} belongs to {found:016x}, expected {expected:016x}")]
    Foreign {
        /// The segment.
        segment: u32,
        /// The identity it carries.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// The entry asked for is at or below the log's start.
    #[error("entries of {shard} begin at {first}")]
    Compacted {
        /// Whose log.
        shard: ShardId,
        /// The lowest index there may be.
        first: u64,
    },
    /// A write set or an option that has no meaning. Nothing was written.
    #[error("invalid request to the log: {0}")]
    Invalid(&'static str),
}

impl LogError {
    pub(crate) fn io(operation: &'static str) -> impl Fn(io::Error) -> LogError {
        move |e| LogError::Io { operation, kind: e.kind(), text: e.to_string() }
    }
}

/// What opening found.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Healthy groups.
    pub groups: BTreeMap<ShardId, RecoveredGroup>,
    /// What must be fenced and rebuilt: fenced groups, one line each, and places where the shard is unknown.
    pub damaged: Vec<Damage>,
    /// What was cut, freed or repaired, for the operator.
    pub notes: Vec<Note>,
}

/// A group as recovery found it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecoveredGroup {
    /// The log begins after this.
    pub start: Position,
    /// The last hard state.
    pub hard_state: HardState,
    /// The last entry; `start` when there is none.
    pub last: Position,
}

/// Something recovery did that loses nothing that was synced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// A round that was being written when the process ended was cut.
    TornTail {
        /// The segment.
        segment: u32,
        /// Where it ends.
        offset: u32,
    },
    /// A segment's header did not verify; its records did.
    HeaderDamaged {
        /// The segment.
        segment: u32,
    },
    /// A round's commit did not verify, but everything it speaks of is there.
    CommitDamaged {
        /// The segment.
        segment: u32,
        /// The commit's offset.
        offset: u32,
    },
    /// A segment that was prepared but never written was removed.
    EmptyRemoved {
        /// The segment.
        segment: u32,
    },
    /// A segment that had been freed before the process ended was freed again.
    Freed {
        /// The segment.
        segment: u32,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::TornTail { segment, offset } => write!(f, "cut an unfinished round in segment {segment} at {offset}"),
            Note::HeaderDamaged { segment } => {
                write!(f, "the header of segment {segment} is damaged, its records are read")
            }
            Note::CommitDamaged { segment, offset } => {
                write!(f, "a commit in segment {segment} at {offset} is damaged, its round is complete")
            }
            Note::EmptyRemoved { segment } => write!(f, "removed the unused segment {segment}"),
            Note::Freed { segment } => write!(f, "freed the obsolete segment {segment}"),
        }
    }
}
