//! What each replica's log holds durably, rebuilt from the write sets that were synced. Log matching: two logs that hold
//! the same term at an index hold the same entries up to it. And nothing is committed that a majority does not hold.

use super::Broken;
use consensus::{Entry, Restored};
use node::ShardHandle;
use std::collections::{BTreeMap, VecDeque};
use stdx::{NodeId, ShardId, crc};
use storage::MemDisk;
use storage::log::{Damage, LogReader, Record, WriteSet};

/// Bytes of entries read at once when a process starts: more than any log of a simulation holds.
const READ_BYTES_MAX: u64 = 1 << 30;

/// A replica's log as found at a start.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The shard.
    pub shard: ShardId,
    /// How far its state is.
    pub applied: u64,
    /// Its log said that something of it is damaged.
    pub damaged: bool,
    /// It serves nothing before it is rebuilt.
    pub fenced: bool,
    start: u64,
    entries: Vec<(u64, u32)>,
}

impl Recovery {
    /// Reads the log of a replica. `damaged` is what the log found when it was opened.
    pub fn of(handle: &ShardHandle, restored: &Restored, log: &LogReader<MemDisk>, damaged: &[Damage]) -> Recovery {
        let (shard, start) = (handle.id, restored.start.0);
        let damaged = damaged.iter().any(|d| d.shard.is_none_or(|hurt| hurt == shard));
        let entries = log.entries(shard, start + 1, restored.last.0 + 1, READ_BYTES_MAX).unwrap_or_default();
        let entries = entries.iter().map(|e| (e.term, crc::crc32c(&e.data))).collect();
        Recovery { shard, applied: restored.applied, damaged, fenced: handle.fenced(), start, entries }
    }
}

/// The entries after `start`, with term and checksum.
#[derive(Clone, Default)]
struct ReplicaLog {
    start: u64,
    entries: VecDeque<(u64, u32)>,
}

impl ReplicaLog {
    fn last(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    fn get(&self, index: u64) -> Option<(u64, u32)> {
        self.entries.get(usize::try_from(index.checked_sub(self.start + 1)?).ok()?).copied()
    }

    fn put(&mut self, index: u64, entry: (u64, u32)) {
        if index <= self.start {
            return;
        }
        self.entries.truncate((index - self.start - 1) as usize);
        if index == self.last() + 1 {
            self.entries.push_back(entry);
        }
    }

    fn begin_after(&mut self, index: u64, term: u64) {
        if index > self.last() || (index > self.start && self.get(index).is_some_and(|e| e.0 != term)) {
            self.entries.clear();
        } else {
            self.entries.drain(..(index.saturating_sub(self.start)) as usize);
        }
        self.start = self.start.max(index);
    }
}

/// The logs of all replicas.
#[derive(Default)]
pub struct Logs(BTreeMap<(ShardId, NodeId), ReplicaLog>);

impl Logs {
    /// A process found this. A replica whose log is damaged may have forgotten what it promised: it must not go on.
    pub fn recovered(&mut self, node: NodeId, found: &Recovery) -> Result<(), Broken> {
        if found.damaged && !found.fenced {
            return Err(format!("{node} goes on with the log of {}, which is damaged", found.shard));
        }
        let log = ReplicaLog { start: found.start, entries: found.entries.iter().copied().collect() };
        self.0.insert((found.shard, node), log);
        Ok(())
    }

    /// These changes were synced.
    pub fn durable(&mut self, node: NodeId, set: &WriteSet) {
        for record in &set.records {
            let log = self.0.entry((record.shard(), node)).or_default();
            match record {
                Record::Entries { entries, .. } => {
                    entries.iter().for_each(|e| log.put(e.index, (e.term, crc::crc32c(&e.data))));
                }
                Record::Start { index, term, .. } => log.begin_after(*index, *term),
                Record::Remove { .. } => *log = ReplicaLog::default(),
                Record::HardState { .. } => {}
            }
        }
    }

    /// The last index that a node's log holds.
    pub fn last(&self, node: NodeId, shard: ShardId) -> u64 {
        self.0.get(&(shard, node)).map_or(0, ReplicaLog::last)
    }

    /// The entry is in the logs of a majority, or below their beginning.
    pub fn on_a_quorum(&self, shard: ShardId, entry: &Entry, members: &[NodeId]) -> Result<(), Broken> {
        let holds = |node: &&NodeId| {
            self.0
                .get(&(shard, **node))
                .is_some_and(|log| entry.index <= log.start || log.get(entry.index).is_some_and(|e| e.0 == entry.term))
        };
        let holders = members.iter().filter(holds).count();
        if holders > members.len() / 2 {
            return Ok(());
        }
        Err(format!(
            "entry {} of {shard} in term {} was committed on {holders} of {} replicas",
            entry.index,
            entry.term,
            members.len()
        ))
    }

    /// Log matching, over all pairs.
    pub fn match_each_other(&self) -> Result<(), Broken> {
        for ((shard, node), log) in &self.0 {
            for ((_, other), theirs) in self.0.range((*shard, NodeId(node.0 + 1))..=(*shard, NodeId(u64::MAX))) {
                let (low, high) = (log.start.max(theirs.start) + 1, log.last().min(theirs.last()));
                let agree = (low..=high).rev().find(|i| log.get(*i).map(|e| e.0) == theirs.get(*i).map(|e| e.0));
                let Some(agree) = agree else { continue };
                if let Some(index) = (low..=agree).find(|i| log.get(*i) != theirs.get(*i)) {
                    return Err(format!(
                        "the logs of {shard} on {node} and {other} agree at {agree} and differ at {index}"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::log::LogEntry;

    const SHARD: ShardId = ShardId(1);

    fn write(logs: &mut Logs, node: u64, first: u64, terms: &[u64]) {
        let entries = (first..)
            .zip(terms)
            .map(|(index, term)| LogEntry { term: *term, index, kind: 0, data: format!("{index}").into() })
            .collect();
        logs.durable(NodeId(node), &WriteSet { records: vec![Record::Entries { shard: SHARD, entries }] });
    }

    #[test]
    fn logs_that_agree_at_an_index_agree_below() {
        let mut logs = Logs::default();
        write(&mut logs, 1, 1, &[1, 1, 2]);
        write(&mut logs, 2, 1, &[1, 1, 1]);
        assert_eq!(logs.match_each_other(), Ok(()));
        write(&mut logs, 2, 3, &[2, 2]);
        assert_eq!(logs.match_each_other(), Ok(()));
        write(&mut logs, 3, 1, &[1, 2, 2]);
        assert!(logs.match_each_other().is_err_and(|why| why.contains("agree at 3 and differ at 2")));
    }

    #[test]
    fn a_replica_with_a_damaged_log_must_be_fenced() {
        let mut logs = Logs::default();
        let found =
            |damaged, fenced| Recovery { shard: SHARD, applied: 1, damaged, fenced, start: 1, entries: Vec::new() };
        assert_eq!(logs.recovered(NodeId(1), &found(false, false)), Ok(()));
        assert_eq!(logs.recovered(NodeId(1), &found(true, true)), Ok(()));
        assert!(logs.recovered(NodeId(1), &found(true, false)).is_err());
    }

    #[test]
    fn an_entry_needs_a_majority() {
        let mut logs = Logs::default();
        let members = [NodeId(1), NodeId(2), NodeId(3)];
        write(&mut logs, 1, 1, &[1, 2]);
        let entry = Entry { index: 2, term: 2, kind: consensus::EntryKind::Normal, data: "2".into() };
        assert!(logs.on_a_quorum(SHARD, &entry, &members).is_err());
        write(&mut logs, 2, 1, &[1, 1]);
        assert!(logs.on_a_quorum(SHARD, &entry, &members).is_err(), "another term");
        logs.durable(NodeId(3), &WriteSet { records: vec![Record::Start { shard: SHARD, index: 5, term: 2 }] });
        assert_eq!(logs.on_a_quorum(SHARD, &entry, &members), Ok(()), "a snapshot covers it");
    }
}
