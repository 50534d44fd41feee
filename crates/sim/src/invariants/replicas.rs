//! Replicas at the same applied index hold the same bytes, whether they replayed the log or installed a snapshot.

use super::Broken;
use std::collections::BTreeMap;
use stdx::{NodeId, ShardId};

/// The first checksum seen at each index.
#[derive(Default)]
pub struct Replicas(BTreeMap<(ShardId, u64), (NodeId, u64)>);

impl Replicas {
    /// A node's replicas stand at these indexes with these checksums.
    pub fn compare(&mut self, node: NodeId, sums: &[(ShardId, u64, u64)]) -> Result<(), Broken> {
        for (shard, index, sum) in sums {
            let (first, theirs) = *self.0.entry((*shard, *index)).or_insert((node, *sum));
            if theirs != *sum {
                return Err(format!("replicas of {shard} on {first} and {node} differ at index {index}"));
            }
        }
        Ok(())
    }
}
