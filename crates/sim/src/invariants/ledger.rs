//! One history for all: an entry that one node took as committed stands at its place on every other, and each node
//! takes them one by one.

use super::Broken;
use consensus::Entry;
use std::collections::BTreeMap;
use stdx::{NodeId, ShardId, crc};

/// What was committed, by shard and index, and how far each node is.
#[derive(Default)]
pub struct Ledger {
    entries: BTreeMap<(ShardId, u64), (u64, u32)>,
    next: BTreeMap<(NodeId, ShardId), u64>,
}

impl Ledger {
    /// A replica starts with everything up to `applied`.
    pub fn starts(&mut self, node: NodeId, shard: ShardId, applied: u64) {
        self.next.insert((node, shard), applied + 1);
    }

    /// A replica continues from a snapshot, unless it is beyond it.
    pub fn installed(&mut self, node: NodeId, shard: ShardId, index: u64) {
        let next = self.next.entry((node, shard)).or_default();
        *next = (*next).max(index + 1);
    }

    /// The last index of a shard that is known to be committed.
    pub fn last(&self, shard: ShardId) -> u64 {
        self.entries
            .range(..=(shard, u64::MAX))
            .next_back()
            .filter(|((s, _), _)| *s == shard)
            .map_or(0, |((_, i), _)| *i)
    }

    /// A replica lost its state.
    pub fn forgot(&mut self, node: NodeId, shard: ShardId) {
        self.next.remove(&(node, shard));
    }

    /// A node took an entry as committed. Whether it is the first one to do so.
    pub fn committed(&mut self, node: NodeId, shard: ShardId, entry: &Entry) -> Result<bool, Broken> {
        if let Some(next) = self.next.get_mut(&(node, shard)) {
            if entry.index != *next {
                return Err(format!("{node} took entry {} of {shard} as committed, not {next}", entry.index));
            }
            *next += 1;
        } else {
            self.next.insert((node, shard), entry.index + 1);
        }
        let mine = (entry.term, crc::crc32c(&entry.data));
        let mut first = false;
        let known = *self.entries.entry((shard, entry.index)).or_insert_with(|| {
            first = true;
            mine
        });
        if known == mine {
            return Ok(first);
        }
        Err(format!(
            "entry {} of {shard} is committed in term {} with {:08x}, and on {node} in term {} with {:08x}",
            entry.index, known.0, known.1, mine.0, mine.1
        ))
    }
}
