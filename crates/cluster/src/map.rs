//! The cluster map: nodes, namespaces and shards, as one versioned value held in the system shard.

use crate::SLOT_COUNT;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use stdx::{NodeId, ShardId};

/// A node as others reach it. Addresses are `host:port`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Where peers connect.
    pub peer: String,
    /// Redis protocol, co-located namespace.
    pub redis: String,
    /// Redis Cluster protocol, sharded namespace.
    pub redis_cluster: String,
    /// Health, readiness and status over HTTP.
    pub http: String,
    /// Failure domain; empty when unknown.
    #[serde(default)]
    pub zone: String,
}

/// Number of a namespace.
pub type NamespaceId = u32;

/// How a namespace lays its keys out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One shard holds everything: SELECT, MULTI and multi-key commands over any keys.
    Colocated,
    /// 16,384 slots over many shards, the Redis Cluster model.
    Sharded,
    /// The cluster's own records.
    System,
}

/// The unit of policy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NamespaceRecord {
    /// Its name.
    pub name: String,
    /// Its layout.
    pub layout: Layout,
    /// How many replicas each of its shards should have.
    pub replication_factor: u8,
}

/// An inclusive range of slots, as Redis Cluster writes them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotRange {
    /// First slot.
    pub start: u16,
    /// Last slot.
    pub end: u16,
}

/// One shard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ShardRecord {
    /// The namespace it belongs to.
    pub namespace: NamespaceId,
    /// Its slots (all of them for an unsharded namespace).
    pub slots: SlotRange,
    /// The nodes that hold a replica; the first is the preferred leader.
    pub replicas: Vec<u64>,
    /// Rises with every change of this record.
    pub epoch: u64,
}

/// Everything a node must know to route.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ClusterMap {
    /// Rises with every change.
    pub version: u64,
    /// Nodes by number.
    pub nodes: BTreeMap<u64, NodeRecord>,
    /// Namespaces by number.
    pub namespaces: BTreeMap<NamespaceId, NamespaceRecord>,
    /// Shards by number.
    pub shards: BTreeMap<u32, ShardRecord>,
}

impl ClusterMap {
    /// Shards of a namespace in slot order.
    pub fn shards_of(&self, namespace: NamespaceId) -> impl Iterator<Item = (ShardId, &ShardRecord)> {
        self.shards.iter().filter(move |(_, s)| s.namespace == namespace).map(|(id, s)| (ShardId(*id), s))
    }

    /// The namespace with this name.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<(NamespaceId, &NamespaceRecord)> {
        self.namespaces.iter().find(|(_, n)| n.name == name).map(|(id, n)| (*id, n))
    }

    /// Whether `node` holds a replica of `shard`.
    #[must_use]
    pub fn hosts(&self, node: NodeId, shard: ShardId) -> bool {
        self.shards.get(&shard.0).is_some_and(|s| s.replicas.contains(&node.0))
    }
}

/// Number of replicas of every shard of a new cluster that has at least so many nodes.
const REPLICATION_FACTOR: usize = 3;
/// Shards of the sharded namespace of a new cluster, unless it is told otherwise.
pub const SHARDS_DEFAULT: u16 = 16;
/// The most shards of a namespace: four slots each.
pub const SHARDS_MAX: u16 = SLOT_COUNT / 4;

/// The map of a new cluster of `nodes`: the system shard, namespace `default` (co-located, one shard) and namespace
/// `cluster` (sharded over `sharded`, at least one and at most `SHARDS_MAX`), replicas and preferred leaders spread round-robin. A pure function, so that every node
/// of a statically configured cluster starts from the same map.
#[must_use]
pub fn bootstrap(nodes: BTreeMap<u64, NodeRecord>, sharded: u16) -> ClusterMap {
    let sharded = sharded.clamp(1, SHARDS_MAX);
    let ids: Vec<u64> = nodes.keys().copied().collect();
    let factor = REPLICATION_FACTOR.min(ids.len());
    let record = |namespace, slots, first: usize| ShardRecord {
        namespace,
        slots,
        replicas: (0..factor).map(|i| ids[(first + i) % ids.len()]).collect(),
        epoch: 1,
    };
    let all = SlotRange { start: 0, end: SLOT_COUNT - 1 };
    let mut shards = BTreeMap::from([(0, record(0, all, 0)), (1, record(1, all, 0))]);
    let first_slot = |i: u16| (u32::from(i) * u32::from(SLOT_COUNT) / u32::from(sharded)) as u16;
    for i in 0..sharded {
        let slots = SlotRange { start: first_slot(i), end: first_slot(i + 1) - 1 };
        shards.insert(u32::from(i) + 2, record(2, slots, usize::from(i) % ids.len()));
    }
    let namespace =
        |name: &str, layout| NamespaceRecord { name: name.into(), layout, replication_factor: factor as u8 };
    ClusterMap {
        version: 1,
        nodes,
        namespaces: BTreeMap::from([
            (0, namespace("system", Layout::System)),
            (1, namespace("default", Layout::Colocated)),
            (2, namespace("cluster", Layout::Sharded)),
        ]),
        shards,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(n: u64) -> BTreeMap<u64, NodeRecord> {
        (1..=n)
            .map(|i| {
                let at = |base: u64| format!("127.0.0.1:{}", base + i);
                (
                    i,
                    NodeRecord {
                        peer: at(1000),
                        redis: at(2000),
                        redis_cluster: at(3000),
                        http: at(4000),
                        zone: String::new(),
                    },
                )
            })
            .collect()
    }

    #[test]
    fn every_slot_has_exactly_one_shard() {
        for (n, shards) in [(1, 1), (2, 16), (3, 7), (5, SHARDS_MAX)] {
            let map = bootstrap(nodes(n), shards);
            assert_eq!(map.shards_of(2).count(), usize::from(shards));
            for slot in 0..SLOT_COUNT {
                let owners = map.shards_of(2).filter(|(_, s)| s.slots.start <= slot && slot <= s.slots.end).count();
                assert_eq!(owners, 1, "slot {slot} of {n} nodes");
            }
        }
    }

    #[test]
    fn replicas_and_preferred_leaders_are_spread() {
        let map = bootstrap(nodes(5), SHARDS_DEFAULT);
        let mut led = BTreeMap::new();
        for (_, s) in map.shards_of(2) {
            assert_eq!(s.replicas.len(), 3);
            *led.entry(s.replicas[0]).or_insert(0) += 1;
        }
        assert!(led.values().all(|n| (3..=4).contains(n)), "{led:?}");
    }
}
