//! Identifiers that every layer names.

use std::fmt;

/// A process of the cluster. Never zero: zero means "nobody" in Raft messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct NodeId(pub u64);

/// A shard: one Raft group. Shard 0 is the system shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct ShardId(pub u32);

impl ShardId {
    /// The shard that holds nodes, namespaces and the shard map.
    pub const SYSTEM: ShardId = ShardId(0);
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}
