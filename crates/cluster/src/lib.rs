//! What the cluster is made of: slots, namespaces, the shard map, and what nodes say to each other.
//!
//! Invariants: pure data and pure functions; no I/O, no clock. A `ClusterMap` is a value: nodes replace theirs only by one
//! with a higher version.
//!
//! Not here: Raft itself (`consensus`), how frames are encoded (`protocol`), who executes a change (`node`).

mod map;
mod message;

pub use command::{SLOT_COUNT, Slot, hash_tag, slot_of};
pub use map::{
    ClusterMap, Layout, NamespaceId, NamespaceRecord, NodeRecord, SHARDS_DEFAULT, SHARDS_MAX, ShardRecord, SlotRange,
    bootstrap,
};
pub use message::{Fitness, ForwardedReply, PeerMessage, Publication, Request, SnapshotChunk, SnapshotId, Unblock};
