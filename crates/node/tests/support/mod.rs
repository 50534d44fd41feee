//! A state side without its consensus side, whose log and leadership the tests write by hand.

#![allow(clippy::unwrap_used)] // A test file is not recognised as one by the lint outside its test functions.
#![allow(dead_code, reason = "not every test needs all of it")]

use cluster::{NodeRecord, bootstrap};
use node::{Origin, SWEEP_INTERVAL, ScriptLimits, ShardHandle, StateConfig, StateSide, TransferConfig, boot};
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::{Mono, NodeId, Rng, ShardId, WallMs};
use storage::log::{Log, LogOptions};
use storage::{MemDisk, MemEngine, Store, StoreOptions};

/// The co-located shard.
pub const SHARD: ShardId = ShardId(1);
/// The wall clock.
pub const WALL: WallMs = WallMs(1_700_000_000_000);
/// The monotonic clock at the start.
pub const BEGIN: Mono = Mono(1_000_000_000);
/// Tables of this size are to be flushed.
pub const FLUSH_BYTES: u64 = 1 << 20;

/// Nodes 1 to 3.
pub fn records() -> BTreeMap<u64, NodeRecord> {
    let record = |i: u64| NodeRecord {
        peer: format!("n{i}:1"),
        redis: format!("n{i}:2"),
        redis_cluster: format!("n{i}:3"),
        http: format!("n{i}:4"),
        zone: String::new(),
    };
    (1..=3).map(|i| (i, record(i))).collect()
}

/// The state side of node 1 of a new cluster, the handle of its co-located shard, and what it stores.
pub fn founded<R: Clone>() -> (StateSide<R>, Arc<ShardHandle>, Store) {
    let nodes = records();
    let options = StoreOptions { cache_bytes: 1 << 20, flush_bytes: FLUSH_BYTES, hash_seed: 1 };
    let store = Store::open(Arc::new(MemEngine::new()), options).unwrap();
    let log = LogOptions { identity: 1, segment_bytes: 64 << 10, max_recycled: 2, reserve_bytes: 0 };
    let (_, reader, found) = Log::open(MemDisk::new(), log).unwrap();
    let map = Arc::new(bootstrap(nodes.clone(), 1));
    let mut boot = boot(NodeId(1), map, &store, &[(reader, found)], Origin::Founding, BEGIN).unwrap();
    let handle = boot.table.shards[&SHARD].clone();
    let config = StateConfig {
        transfer: TransferConfig::default(),
        sweep_interval: SWEEP_INTERVAL,
        nodes,
        shards: 1,
        scripts: ScriptLimits::DEFAULT,
    };
    let side = StateSide::new(NodeId(1), config, std::mem::take(&mut boot.workers[0].states), Rng::new(1));
    (side, handle, store)
}
