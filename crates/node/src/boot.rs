//! What a node starts from: the cluster map, what the log recovered and what the engine holds are brought together into
//! replicas, or the contradiction between them is named and the replica rebuilt from its peers.

use crate::shared::{Local, RouteTable, ShardHandle};
use crate::worker::{ReplicaBoot, forget_records};
use cluster::{ClusterMap, Layout};
use consensus::{HardState, Membership, Restored};
use state::Directory;
use std::collections::BTreeMap;
use std::sync::Arc;
use stdx::{Mono, NodeId, ShardId};
use storage::log::{LogReader, Record, Recovered, RecoveredGroup, WriteSet};
use storage::{Applied, Disk, EngineError, Replica, Store};

/// Why a replica that the map places here may be missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The cluster is being founded, and this node has not taken part in it yet: what is missing begins as a founder.
    Founding,
    /// The node belongs to a cluster that exists: what is missing was lost, and with it what the replica voted for and
    /// confirmed. It begins as one that knows nothing.
    Existing,
}

/// Everything a shell needs to start its workers.
pub struct Boot {
    /// All shards as this node sees them.
    pub table: RouteTable,
    /// One per worker.
    pub workers: Vec<WorkerBoot>,
    /// Replicas that are rebuilt from their peers, and why.
    pub rebuilt: Vec<(ShardId, String)>,
}

/// What one worker starts with.
#[derive(Default)]
pub struct WorkerBoot {
    /// For its consensus side.
    pub replicas: Vec<ReplicaBoot>,
    /// For its state side.
    pub states: Vec<(Arc<ShardHandle>, Arc<Replica>)>,
    /// To be made durable in the worker's log before anything else.
    pub first: WriteSet,
}

/// The worker that owns a shard.
#[must_use]
pub fn worker_of(shard: ShardId, workers: usize) -> usize {
    shard.0 as usize % workers.max(1)
}

/// Brings map, log and engine together. `logs` has one element per worker: what was recovered, and its reader.
///
/// # Errors
/// When the engine cannot be read or written.
pub fn boot<D: Disk>(
    node: NodeId,
    map: Arc<ClusterMap>,
    store: &Store,
    logs: &[(LogReader<D>, Recovered)],
    origin: Origin,
    now: Mono,
) -> Result<Boot, EngineError> {
    let mut workers: Vec<WorkerBoot> = logs.iter().map(|_| WorkerBoot::default()).collect();
    let mut handles = BTreeMap::new();
    let mut rebuilt = Vec::new();
    create_missing(node, &map, store, origin)?;
    for (id, record) in &map.shards {
        let shard = ShardId(*id);
        let layout = map.namespaces.get(&record.namespace).map_or(Layout::System, |n| n.layout);
        let worker = worker_of(shard, workers.len());
        let replica = if map.hosts(node, shard) { store.replica(shard) } else { None };
        let local = replica.as_ref().map(local).transpose()?;
        let handle = Arc::new(ShardHandle::new(shard, record.namespace, layout, worker, local, now));
        handles.insert(shard, handle.clone());
        let Some(replica) = replica else { continue };
        let applied = replica.applied();
        let (restored, first, reason) = restore(shard, &applied, &logs[worker], origin);
        handle.set_fenced(reason.is_some());
        rebuilt.extend(reason.map(|why| (shard, why)));
        let boot = &mut workers[worker];
        boot.first.records.extend(first);
        let preferred_leader = NodeId(record.replicas.first().copied().unwrap_or(node.0));
        let members = record.replicas.iter().map(|n| NodeId(*n)).collect();
        boot.replicas.push(ReplicaBoot { handle: handle.clone(), restored, members, preferred_leader });
        boot.states.push((handle, replica));
    }
    Ok(Boot { table: RouteTable::new(map, handles), workers, rebuilt })
}

fn local(replica: &Arc<Replica>) -> Result<Local, EngineError> {
    let directory = Arc::new(Directory::new());
    directory.load(&replica.read())?;
    Ok(Local { replica: replica.clone(), directory })
}

/// Replicas that the map places here and the engine does not know.
fn create_missing(node: NodeId, map: &ClusterMap, store: &Store, origin: Origin) -> Result<(), EngineError> {
    let missing: Vec<(ShardId, Applied)> = map
        .shards
        .iter()
        .filter(|(id, record)| record.replicas.contains(&node.0) && store.replica(ShardId(**id)).is_none())
        .map(|(id, record)| {
            let membership = Membership::of_voters(record.replicas.iter().map(|n| NodeId(*n)));
            let begins = match origin {
                Origin::Founding => Restored::founder(membership),
                Origin::Existing => Restored::joining(),
            };
            let membership = begins.membership.encode();
            (ShardId(*id), Applied { index: begins.applied, term: begins.start.1, stamp_ms: 0, membership })
        })
        .collect();
    if missing.is_empty() { Ok(()) } else { store.create_replicas(&missing) }
}

/// One replica's Raft state, records to write first, and why it is rebuilt if it is.
fn restore<D: Disk>(
    shard: ShardId,
    applied: &Applied,
    (reader, recovered): &(LogReader<D>, Recovered),
    origin: Origin,
) -> (Restored, Vec<Record>, Option<String>) {
    let rebuild = |why: String| (Restored::joining(), forget_records(shard).to_vec(), Some(why));
    let Ok(membership) = Membership::decode(applied.membership.clone()) else {
        return rebuild("the membership stored with its state does not decode".into());
    };
    if let Some(damage) = recovered.damaged.iter().find(|d| d.shard.is_none_or(|s| s == shard)) {
        return rebuild(format!("damaged {damage}"));
    }
    if applied.index == 0 {
        return rebuild("this node holds nothing of it".into());
    }
    let founded = Restored::founder(membership.clone());
    let Some(group) = recovered.groups.get(&shard) else {
        if origin == Origin::Founding && applied.index == founded.applied {
            let state =
                storage::log::HardState { term: founded.hard_state.term, vote: 0, commit: founded.hard_state.commit };
            let (index, term) = founded.start;
            return (founded, vec![Record::Start { shard, index, term }, Record::HardState { shard, state }], None);
        }
        return rebuild(format!("its log is missing although entries up to {} were applied", applied.index));
    };
    let RecoveredGroup { start, hard_state, last } = *group;
    // Founders begin after a first entry: a log without a beginning is that of a replica that forgot everything.
    if start.index == 0 {
        return rebuild("the process ended before it was rebuilt".into());
    }
    if start.index > applied.index {
        return rebuild(format!("its state ends at {} and its log begins after {}", applied.index, start.index));
    }
    let mut restored = Restored {
        hard_state: HardState {
            term: hard_state.term,
            vote: NodeId(hard_state.vote),
            commit: hard_state.commit.max(applied.index),
        },
        membership,
        start: (start.index, start.term),
        last: (last.index, last.term),
        applied: applied.index,
    };
    // What was applied is committed. A log that ends before it, or holds another entry in its place, is one whose process
    // installed a snapshot and ended before Raft heard of it: whatever it holds from there on was never committed.
    let held = reader.term(shard, applied.index).ok().flatten();
    if held != Some(applied.term) {
        let (index, term) = (applied.index, applied.term);
        (restored.start, restored.last) = ((index, term), (index, term));
        restored.hard_state.term = restored.hard_state.term.max(term);
        return (restored, vec![Record::Start { shard, index, term }], None);
    }
    (restored, Vec::new(), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use cluster::{NodeRecord, SHARDS_DEFAULT, bootstrap};
    use storage::log::{Log, LogEntry, LogOptions};
    use storage::{MemDisk, MemEngine, StoreOptions};

    fn open_store(engine: &MemEngine) -> Store {
        Store::open(Arc::new(engine.clone()), StoreOptions::default()).unwrap()
    }

    /// What node 1 of three makes of these disks.
    fn booted(log: &MemDisk, engine: &MemEngine, origin: Origin) -> Boot {
        let record = |i: u64| {
            let at = |port: u64| format!("n{i}:{port}");
            NodeRecord { peer: at(1), redis: at(2), redis_cluster: at(3), http: at(4), zone: String::new() }
        };
        let map = Arc::new(bootstrap((1..=3).map(|i| (i, record(i))).collect(), SHARDS_DEFAULT));
        let options = LogOptions { identity: 1, ..LogOptions::default() };
        let (mut writer, reader, recovered) = Log::open(log.clone(), options).unwrap();
        let booted = boot(NodeId(1), map, &open_store(engine), &[(reader, recovered)], origin, Mono(1)).unwrap();
        let first = &booted.workers[0].first;
        if !first.records.is_empty() {
            writer.append(first).and_then(|()| writer.sync()).unwrap();
        }
        booted
    }

    /// The number of replicas that it rebuilds.
    fn rebuilt(log: &MemDisk, engine: &MemEngine, origin: Origin) -> usize {
        let booted = booted(log, engine, origin);
        assert_eq!(booted.workers[0].replicas.len(), 18);
        let joining = booted.workers[0].replicas.iter().filter(|r| r.restored == Restored::joining()).count();
        assert_eq!(joining, booted.rebuilt.len(), "what is rebuilt begins as one that knows nothing");
        joining
    }

    #[test]
    fn a_node_that_lost_its_disks_does_not_found_its_groups_again() {
        let (log, engine) = (MemDisk::new(), MemEngine::new());
        assert_eq!(rebuilt(&log, &engine, Origin::Founding), 0);
        assert_eq!(rebuilt(&log, &engine, Origin::Existing), 0, "nothing is missing");
        assert_eq!(rebuilt(&MemDisk::new(), &engine, Origin::Existing), 18, "the logs are gone");
        assert_eq!(rebuilt(&log, &MemEngine::new(), Origin::Existing), 18, "the state is gone");
        let (log, engine) = (MemDisk::new(), MemEngine::new());
        assert_eq!(rebuilt(&log, &engine, Origin::Existing), 18, "everything is gone");
        assert_eq!(rebuilt(&log, &engine, Origin::Existing), 18, "and it ended before it was rebuilt");
    }

    #[test]
    fn a_snapshot_of_another_history_than_the_log_replaces_it() {
        let (log, engine) = (MemDisk::new(), MemEngine::new());
        assert_eq!(rebuilt(&log, &engine, Origin::Founding), 0);
        let shard = ShardId(1);
        let entry = |index| LogEntry { term: 1, index, kind: 0, data: Bytes::from_static(b"never committed") };
        let options = LogOptions { identity: 1, ..LogOptions::default() };
        let (mut writer, _, _) = Log::open(log.clone(), options).unwrap();
        let entries = Record::Entries { shard, entries: (2..=5).map(entry).collect() };
        writer.append(&WriteSet { records: vec![entries] }).and_then(|()| writer.sync()).unwrap();
        drop(writer);
        // The process installs a snapshot of a later term and ends before Raft hears of it.
        let store = open_store(&engine);
        let replica = store.replica(shard).unwrap();
        let applied = Applied { index: 4, term: 2, ..replica.applied() };
        replica.begin_install(applied).unwrap().finish().unwrap();
        drop((replica, store));
        for _ in 0..2 {
            let booted = booted(&log, &engine, Origin::Existing);
            let replica = booted.workers[0].replicas.iter().find(|r| r.handle.id == shard).unwrap();
            assert_eq!((replica.restored.start, replica.restored.last), ((4, 2), (4, 2)));
            assert_eq!((replica.restored.applied, replica.restored.hard_state.commit), (4, 4));
        }
    }
}
