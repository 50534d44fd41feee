//! Tests of the log, on a simulated disk.

mod damage;
mod golden;
mod model;
mod recycle;
mod space;
mod story;

use super::{
    HardState, Log, LogEntry, LogError, LogOptions, LogReader, LogWriter, Position, Record, Recovered, WriteSet,
};
use crate::memdisk::MemDisk;
use bytes::Bytes;
use std::collections::BTreeMap;
use stdx::ShardId;

/// Small segments, so that tests rotate and reclaim.
pub(super) const SEGMENT: u32 = 16 << 10;

type Open = (LogWriter<MemDisk>, LogReader<MemDisk>, Recovered);

fn options() -> LogOptions {
    LogOptions { identity: 0x1122_3344_5566_7788, segment_bytes: SEGMENT, max_recycled: 2, reserve_bytes: 0 }
}

fn open(disk: &MemDisk) -> Open {
    Log::open(disk.clone(), options()).expect("opens")
}

fn shard(n: u32) -> ShardId {
    ShardId(n)
}

/// An entry whose data tells it from every other one.
fn entry(term: u64, index: u64, size: usize) -> LogEntry {
    let text = format!("{term}.{index}.");
    let data = text.bytes().cycle().take(size).collect::<Vec<_>>();
    LogEntry { term, index, kind: (index % 3) as u8, data: Bytes::from(data) }
}

fn entries(n: u32, term: u64, from: u64, to: u64, size: usize) -> Record {
    Record::Entries { shard: shard(n), entries: (from..=to).map(|i| entry(term, i, size)).collect() }
}

fn hard_state(n: u32, term: u64, vote: u64, commit: u64) -> Record {
    Record::HardState { shard: shard(n), state: HardState { term, vote, commit } }
}

fn start(n: u32, index: u64, term: u64) -> Record {
    Record::Start { shard: shard(n), index, term }
}

fn write(writer: &mut LogWriter<MemDisk>, records: Vec<Record>) -> Result<(), LogError> {
    writer.append(&WriteSet { records })?;
    writer.sync()
}

/// What a shard's log should hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct ModelGroup {
    start: Position,
    hard_state: HardState,
    entries: BTreeMap<u64, LogEntry>,
}

impl ModelGroup {
    fn last(&self) -> Position {
        self.entries.values().next_back().map_or(self.start, |e| Position { index: e.index, term: e.term })
    }

    fn term(&self, index: u64) -> Option<u64> {
        if index == self.start.index { Some(self.start.term) } else { self.entries.get(&index).map(|e| e.term) }
    }
}

/// The log as simply as it can be said.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Model {
    groups: BTreeMap<ShardId, ModelGroup>,
}

impl Model {
    fn apply(&mut self, record: &Record) {
        match record {
            Record::Entries { shard, entries } => {
                let group = self.groups.entry(*shard).or_default();
                for e in entries {
                    group.entries.split_off(&e.index);
                    group.entries.insert(e.index, e.clone());
                }
            }
            Record::HardState { shard, state } => self.groups.entry(*shard).or_default().hard_state = *state,
            Record::Start { shard, index, term } => {
                let group = self.groups.entry(*shard).or_default();
                group.entries = if group.term(*index) == Some(*term) {
                    group.entries.split_off(&(index + 1))
                } else {
                    BTreeMap::new()
                };
                group.start = Position { index: *index, term: *term };
            }
            Record::Remove { shard } => {
                self.groups.remove(shard);
            }
        }
    }

    /// Asserts that a reader sees exactly this.
    fn check(&self, reader: &LogReader<MemDisk>, shards: u32) {
        for n in 0..shards {
            let (id, empty) = (shard(n), ModelGroup::default());
            let group = self.groups.get(&id).unwrap_or(&empty);
            assert_eq!(reader.start(id), group.start, "start of {id}");
            assert_eq!(reader.last(id), group.last(), "last of {id}");
            let read = reader.entries(id, group.start.index + 1, u64::MAX, u64::MAX).expect("reads");
            assert!(read.iter().eq(group.entries.values()), "entries of {id}");
            for index in group.start.index.saturating_sub(1)..=group.last().index + 1 {
                assert_eq!(reader.term(id, index).expect("reads"), group.term(index), "term of {id} at {index}");
            }
        }
    }

    /// Whether recovery found exactly this.
    fn matches(&self, recovered: &Recovered, reader: &LogReader<MemDisk>) -> bool {
        recovered.groups.len() == self.groups.len()
            && recovered.groups.iter().all(|(id, found)| {
                self.groups.get(id).is_some_and(|group| {
                    found.start == group.start
                        && found.hard_state == group.hard_state
                        && found.last == group.last()
                        && reader
                            .entries(*id, found.start.index + 1, u64::MAX, u64::MAX)
                            .is_ok_and(|read| read.iter().eq(group.entries.values()))
                })
            })
    }
}

/// Asserts that the live bytes kept for every segment are those of the entries in it.
fn check_accounts(reader: &LogReader<MemDisk>) {
    let index = reader.0.read();
    let mut live: BTreeMap<u32, u64> = index.segments.keys().map(|s| (*s, 0)).collect();
    for group in index.groups.values() {
        assert_eq!(group.bytes, group.entries.iter().map(|l| l.size()).sum::<u64>());
        for location in &group.entries {
            *live.get_mut(&location.segment).expect("no entry lies in a freed segment") += location.size();
        }
    }
    assert_eq!(live, index.segments.iter().map(|(s, segment)| (*s, segment.live)).collect());
}
