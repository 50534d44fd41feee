//! Starting a process on what its disks hold, as crates/server/src/server/assembly.rs does.

use super::worker::Worker;
use super::{Disks, SimNode};
use crate::invariants::Recovery;
use crate::plan::Shape;
use cluster::{ClusterMap, Fitness, NodeRecord, bootstrap};
use node::gateway::{Facts, Gateway, Settings};
use node::{
    Boot, ConsensusConfig, ConsensusSide, Dispatcher, Liveness, Origin, Shared, StateConfig, StateSide, TransferConfig,
    boot,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng};
use storage::log::{Log, LogOptions, LogReader, Recovered};
use storage::{Store, StoreOptions};

/// As in the server's defaults.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const LEADER_WAIT: Duration = Duration::from_secs(2);
/// Idle groups stop ticking soon, so that the runs show it.
const HIBERNATE_AFTER: Duration = Duration::from_secs(3);
const BALANCE_INTERVAL: Duration = Duration::from_secs(5);
/// A snapshot that nobody asked for is given up soon, so that one whose offer was lost is offered again within a run.
const TRANSFER_IDLE: Duration = Duration::from_secs(5);
/// Segment files kept for the next segments.
const RECYCLED: usize = 2;
/// Hot values kept in memory.
const CACHE_BYTES: u64 = 1 << 20;
/// More than clients of any plan.
const CLIENTS_MAX: usize = 1_000;
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// A process that came up.
pub struct Start {
    /// The process.
    pub process: SimNode,
    /// What its log held, by shard.
    pub recovered: Vec<Recovery>,
}

/// The cluster's nodes as everybody's configuration lists them.
pub fn records(nodes: u64) -> BTreeMap<u64, NodeRecord> {
    (1..=nodes)
        .map(|i| {
            let at = |port: u64| format!("sim{i}:{port}");
            (i, NodeRecord { peer: at(1), redis: at(2), redis_cluster: at(3), http: at(4), zone: String::new() })
        })
        .collect()
}

impl Start {
    /// Starts the process of a node. One that has been part of the cluster comes back to a cluster that exists, even with
    /// empty disks.
    ///
    /// # Errors
    /// When the disks refuse, in words.
    pub fn run(
        id: NodeId,
        shape: &Shape,
        disks: &Disks,
        origin: Origin,
        now: Mono,
        rng: &mut Rng,
    ) -> Result<Start, String> {
        let mut logs = Vec::new();
        let mut recovered: Vec<(LogReader<_>, Recovered)> = Vec::new();
        for (worker, disk) in disks.logs.iter().enumerate() {
            let options = LogOptions {
                identity: id.0 << 8 | worker as u64,
                segment_bytes: shape.segment_bytes,
                max_recycled: RECYCLED,
                reserve_bytes: 0,
            };
            let (writer, reader, found) = Log::open(disk.clone(), options).map_err(|e| e.to_string())?;
            recovered.push((reader.clone(), found));
            logs.push((writer, reader));
        }
        let options =
            StoreOptions { cache_bytes: CACHE_BYTES, flush_bytes: shape.flush_bytes, hash_seed: rng.next_u64() };
        let store = Store::open(Arc::new(disks.engine.clone()), options).map_err(|e| e.to_string())?;
        let map: Arc<ClusterMap> = Arc::new(bootstrap(records(shape.nodes), shape.shards));
        let Boot { table, workers: boots, rebuilt } =
            boot(id, map, &store, &recovered, origin, now).map_err(|e| e.to_string())?;
        let shared = Arc::new(Shared::new(id, table));
        let mut report = Vec::new();
        let mut workers = Vec::new();
        for ((boot, (mut writer, reader)), (_, Recovered { damaged, .. })) in
            boots.into_iter().zip(logs).zip(&recovered)
        {
            report.extend(boot.replicas.iter().map(|r| Recovery::of(&r.handle, &r.restored, &reader, damaged)));
            if !boot.first.records.is_empty() {
                writer.append(&boot.first).and_then(|()| writer.sync()).map_err(|e| e.to_string())?;
            }
            let consensus = ConsensusSide::new(id, consensus_config(id, shape), reader, boot.replicas, rng, now)?;
            let transfer =
                TransferConfig { chunk_bytes: shape.chunk_bytes, idle: TRANSFER_IDLE, ..TransferConfig::default() };
            let config = StateConfig {
                transfer,
                sweep_interval: node::SWEEP_INTERVAL,
                nodes: records(shape.nodes),
                shards: shape.shards,
                scripts: node::ScriptLimits::DEFAULT,
            };
            let state = StateSide::new(id, config, boot.states, rng.fork());
            workers.push(Worker::new(consensus, state, writer));
        }
        let peers = (1..=shape.nodes).map(NodeId).filter(|n| *n != id);
        let process = SimNode {
            id,
            gateway: gateway(id, now),
            dispatcher: Dispatcher::new(shared.clone(), LEADER_WAIT, rng.next_u64() >> 1),
            liveness: Liveness::new(shared.clone(), peers, Duration::from_secs(1)),
            shared,
            links: BTreeSet::new(),
            workers,
            store,
            connections: BTreeMap::new(),
            forwarded: BTreeMap::new(),
            fenced: rebuilt.iter().map(|(shard, _)| *shard).collect(),
            fitness: Fitness::Fit,
            flush_bytes: shape.flush_bytes,
            flushed_at: now,
        };
        Ok(Start { process, recovered: report })
    }
}

fn consensus_config(id: NodeId, shape: &Shape) -> ConsensusConfig {
    ConsensusConfig {
        raft: consensus::Config { max_message_bytes: shape.append_bytes, ..consensus::Config::new(id) },
        hibernate_after: HIBERNATE_AFTER,
        log_bytes_kept: shape.log_bytes_kept,
        balance_interval: BALANCE_INTERVAL,
    }
}

fn gateway(id: NodeId, now: Mono) -> Gateway {
    let facts = Facts { version: "sim", ..Facts::default() };
    let settings = Settings::new(CLIENTS_MAX, OUTPUT_BYTES_MAX, "sim", 0);
    let ms = |d: Duration| d.as_millis() as u32;
    Gateway::new(id, facts, settings, now, ms(REQUEST_TIMEOUT), ms(LEADER_WAIT))
}
