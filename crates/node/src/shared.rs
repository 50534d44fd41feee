//! What connections share with the workers: where each shard is led, and whether it may be read here.

use cluster::{ClusterMap, Layout, NamespaceId, SLOT_COUNT, Slot};
use parking_lot::RwLock;
use state::Directory;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Release},
};
use stdx::{Mono, NodeId, ShardId, WallMs};
use storage::Replica;

/// One shard as this node sees it. Written by the worker that owns the local replica (or by liveness messages when there
/// is none), read by every connection.
#[derive(Debug)]
pub struct ShardHandle {
    /// The shard.
    pub id: ShardId,
    /// Its namespace.
    pub namespace: NamespaceId,
    /// The namespace's layout.
    pub layout: Layout,
    /// The worker that owns the local replica.
    pub worker: usize,
    /// The local replica and its directory of keyspaces, if this node holds one.
    pub local: Option<Local>,
    leader: AtomicU64,
    term: AtomicU64,
    leaderless_since: AtomicU64,
    lease_until: AtomicU64,
    fenced: AtomicBool,
    time_ms: AtomicU64,
    applied: AtomicU64,
    committed: AtomicU64,
}

/// The local replica of a shard.
pub struct Local {
    /// Applied state.
    pub replica: Arc<Replica>,
    /// The mapping of database numbers to keyspaces at the applied state.
    pub directory: Arc<Directory>,
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("applied", &self.replica.applied().index).finish_non_exhaustive()
    }
}

impl ShardHandle {
    /// A handle that knows no leader yet.
    #[must_use]
    pub fn new(
        id: ShardId,
        namespace: NamespaceId,
        layout: Layout,
        worker: usize,
        local: Option<Local>,
        now: Mono,
    ) -> ShardHandle {
        ShardHandle {
            id,
            namespace,
            layout,
            worker,
            local,
            leader: AtomicU64::new(0),
            term: AtomicU64::new(0),
            leaderless_since: AtomicU64::new(now.0),
            lease_until: AtomicU64::new(0),
            fenced: AtomicBool::new(false),
            time_ms: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        }
    }

    /// Who leads, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match self.leader.load(Acquire) {
            0 => None,
            id => Some(NodeId(id)),
        }
    }

    /// The term of `leader`.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.term.load(Acquire)
    }

    /// Since when no leader is known; meaningful only while `leader()` is `None`.
    #[must_use]
    pub fn leaderless_since(&self) -> Mono {
        Mono(self.leaderless_since.load(Acquire))
    }

    /// Whether applied state may be served as linearizable at `now`. To be asked at the moment of serving, after
    /// reading the clock and before reading the data.
    #[must_use]
    pub fn lease_valid(&self, now: Mono) -> bool {
        now.0 < self.lease_until.load(Acquire)
    }

    /// Whether the local replica's data is damaged and being rebuilt: nothing may be read from it.
    #[must_use]
    pub fn fenced(&self) -> bool {
        self.fenced.load(Acquire)
    }

    /// Fences the local replica, or opens it again.
    pub fn set_fenced(&self, fenced: bool) {
        self.fenced.store(fenced, Release);
    }

    /// The shard's time at `wall`, in milliseconds since the epoch: never goes back here, whatever the wall clock does,
    /// and not behind `stamp_ms`, the time of the state that is read. A key that was seen to expire stays expired.
    #[must_use]
    pub fn time_ms(&self, wall: WallMs, stamp_ms: u64) -> u64 {
        let now = wall.0.max(stamp_ms);
        let latest = self.time_ms.load(Acquire);
        if now > latest { now.max(self.time_ms.fetch_max(now, Release)) } else { latest }
    }

    /// Last applied index here, for status.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied.load(Acquire)
    }

    /// Last committed index known here, for status.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed.load(Acquire)
    }

    /// Records who leads in `term`; knowledge of an older term is ignored.
    pub fn set_leader(&self, leader: Option<NodeId>, term: u64, now: Mono) {
        if term < self.term.load(Acquire) {
            return;
        }
        self.term.store(term, Release);
        let new = leader.map_or(0, |n| n.0);
        let old = self.leader.swap(new, Release);
        if new == 0 && old != 0 {
            self.leaderless_since.store(now.0, Release);
        }
    }

    /// Forgets a leader that is believed dead, unless another is known by now.
    pub fn forget_leader(&self, dead: NodeId, now: Mono) {
        if self.leader.compare_exchange(dead.0, 0, Release, Acquire).is_ok() {
            self.leaderless_since.store(now.0, Release);
        }
    }

    /// Publishes the end of the lease; `Mono(0)` revokes it.
    pub fn set_lease(&self, until: Mono) {
        self.lease_until.store(until.0, Release);
    }

    /// Publishes how far the local replica has applied.
    pub fn set_applied(&self, index: u64) {
        self.applied.store(index, Release);
    }

    /// Publishes what the local replica knows to be committed.
    pub fn set_committed(&self, index: u64) {
        self.committed.store(index, Release);
    }
}

/// Where every key is, as one immutable value.
#[derive(Debug)]
pub struct RouteTable {
    /// The map it was made from.
    pub map: Arc<ClusterMap>,
    /// All shards.
    pub shards: BTreeMap<ShardId, Arc<ShardHandle>>,
    by_slot: BTreeMap<NamespaceId, Vec<Arc<ShardHandle>>>,
}

impl RouteTable {
    /// Builds the table; every shard of `map` must have its handle in `shards`.
    #[must_use]
    pub fn new(map: Arc<ClusterMap>, shards: BTreeMap<ShardId, Arc<ShardHandle>>) -> RouteTable {
        let mut by_slot = BTreeMap::new();
        for (id, record) in &map.namespaces {
            if record.layout != Layout::Sharded {
                continue;
            }
            let mut slots = vec![None; usize::from(SLOT_COUNT)];
            for (shard, record) in map.shards_of(*id) {
                let range = usize::from(record.slots.start)..=usize::from(record.slots.end);
                slots[range].fill(shards.get(&shard).cloned());
            }
            let slots: Vec<_> = slots.into_iter().flatten().collect();
            assert_eq!(slots.len(), usize::from(SLOT_COUNT), "every slot of a sharded namespace has a shard");
            by_slot.insert(*id, slots);
        }
        RouteTable { map, shards, by_slot }
    }

    /// The shard of a slot; a namespace that is not sharded has one shard for all of them.
    #[must_use]
    pub fn shard(&self, namespace: NamespaceId, slot: Slot) -> Option<&Arc<ShardHandle>> {
        match self.by_slot.get(&namespace) {
            Some(slots) => slots.get(usize::from(slot.0)),
            None => self.shards.values().find(|s| s.namespace == namespace),
        }
    }

    /// Shards of a namespace in slot order.
    pub fn shards_of(&self, namespace: NamespaceId) -> impl Iterator<Item = &Arc<ShardHandle>> {
        self.shards.values().filter(move |s| s.namespace == namespace)
    }
}

/// The current route table, replaced as a whole.
#[derive(Debug)]
pub struct Shared {
    /// This node.
    pub node: NodeId,
    version: AtomicU64,
    table: RwLock<Arc<RouteTable>>,
}

impl Shared {
    /// Starts with `table`.
    #[must_use]
    pub fn new(node: NodeId, table: RouteTable) -> Shared {
        Shared { node, version: AtomicU64::new(1), table: RwLock::new(Arc::new(table)) }
    }

    /// A number that changes when the table does: a connection keeps its `Arc` until then.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// The current table.
    #[must_use]
    pub fn table(&self) -> Arc<RouteTable> {
        self.table.read().clone()
    }

    /// Replaces the table.
    pub fn replace(&self, table: RouteTable) {
        *self.table.write() = Arc::new(table);
        self.version.fetch_add(1, Release);
    }
}
