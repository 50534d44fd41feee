//! The fault atlas: which faults may happen now, so that whatever was acknowledged stays recoverable and every violation is a
//! bug.
//!
//! Faults that keep what was synced (kills, torn writes, cuts, pauses, clocks, full and slow disks, failed writes and
//! fsyncs) may happen to any nodes at any time: the promise covers them. Faults that destroy what was synced happen to
//! one node at a time, and only while each other node runs and is whole, and each other replica of the node's shards
//! holds durably whatever is known to be committed. So until the node is rebuilt, each entry that was acknowledged is on
//! every other replica, or will be on a majority without it.
//!
//! Damage to a log at rest is judged more strictly, because a rotten last round cannot be told from one that was torn:
//! the replica may come back without entries (or a vote) that it had promised, and be none the wiser. So the node must
//! have been down for a while, and every other replica must have *applied* all that its log holds.

use crate::invariants::Invariants;
use cluster::ClusterMap;
use stdx::{NodeId, ShardId};

/// Below this a destroyed replica cannot be rebuilt from a majority.
const REPLICAS_MIN: usize = 3;

/// A node as the atlas sees it.
pub struct NodeView {
    /// Which.
    pub id: NodeId,
    /// It runs, is not paused, no replica is being rebuilt and nothing that destroys is going on.
    pub well: bool,
    /// How far its replica of a shard has applied.
    pub applied: Box<dyn Fn(ShardId) -> u64>,
}

/// Whether data of `victim` may be destroyed. `at_rest`: while its process is down.
pub fn may_destroy(
    victim: NodeId,
    at_rest: bool,
    map: &ClusterMap,
    nodes: &[NodeView],
    invariants: &Invariants,
) -> bool {
    if nodes.iter().any(|n| n.id != victim && !n.well) {
        return false;
    }
    map.shards.iter().filter(|(_, record)| record.replicas.contains(&victim.0)).all(|(id, record)| {
        let shard = ShardId(*id);
        let covered = |n: &NodeView| {
            if at_rest {
                (n.applied)(shard) >= invariants.last(victim, shard)
            } else {
                invariants.last(n.id, shard) >= invariants.committed(shard)
            }
        };
        let mut others = nodes.iter().filter(|n| n.id != victim && record.replicas.contains(&n.id.0));
        record.replicas.len() >= REPLICAS_MIN && others.all(covered)
    })
}
