//! One simulated node: the same machines as in the server, joined by queues that this shell steps when it pleases.

use crate::plan::Plan;
use bytes::Bytes;
use cluster::{ClusterMap, ForwardedReply, NodeRecord, PeerMessage, Request, bootstrap};
use command::{Fault, Reply};
use node::{
    ConsensusConfig, ConsensusInput, ConsensusOutput, ConsensusSide, DispatchOutput, Dispatcher, Liveness,
    LivenessOutput, Shared, StateConfig, StateInput, StateOutput, StateSide, Task, TransferConfig, boot,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng, ShardId, WallMs};
use storage::log::{Damage, Log, LogError, LogOptions, LogWriter, Recovered, WriteSet};
use storage::{MemDisk, MemEngine, Store, StoreOptions};

/// Who waits for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// The operation of this number.
    Client(u64),
    /// A forwarded request.
    Peer(NodeId, u64),
}

/// What a node asks of the world.
#[derive(Debug)]
pub enum NodeEffect {
    /// Deliver a message.
    Send(NodeId, PeerMessage),
    /// Answer an operation.
    Answer(u64, Result<Reply, Fault>),
    /// The consensus side has something to do.
    StepConsensus,
    /// The state side has something to do.
    StepState,
    /// A write set was handed to the log: finish it after a while.
    SyncLog,
    /// A fenced replica was rebuilt.
    Rebuilt,
    /// A replica installed a snapshot.
    SnapshotInstalled,
}

/// What survives the process.
#[derive(Clone)]
pub struct Disks {
    /// The log's disk.
    pub log: MemDisk,
    /// The engine's.
    pub engine: MemEngine,
}

/// A running process.
pub struct SimNode {
    consensus: ConsensusSide<MemDisk>,
    state: StateSide<Waiter>,
    dispatcher: Dispatcher<Waiter>,
    liveness: Liveness,
    writer: LogWriter<MemDisk>,
    /// Applied state.
    pub store: Store,
    to_consensus: VecDeque<ConsensusInput>,
    to_state: VecDeque<StateInput<Waiter>>,
    to_log: VecDeque<(u64, WriteSet)>,
    /// Replicas that are fenced and not rebuilt yet.
    fenced: BTreeSet<ShardId>,
    flush_bytes: u64,
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

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const LEADER_WAIT: Duration = Duration::from_secs(2);
/// Small segments, so that many are filled, freed and recycled in one run.
const SEGMENT_BYTES: u32 = 64 << 10;

impl SimNode {
    /// Starts a process on what the disks hold.
    pub fn start(id: NodeId, plan: &Plan, disks: &Disks, now: Mono, rng: &mut Rng) -> Result<SimNode, String> {
        let options = LogOptions { identity: id.0, segment_bytes: SEGMENT_BYTES, max_recycled: 2, reserve_bytes: 0 };
        let (mut writer, reader, recovered) = Log::open(disks.log.clone(), options).map_err(|e| e.to_string())?;
        let store_options =
            StoreOptions { cache_bytes: 1 << 20, flush_bytes: plan.flush_bytes, hash_seed: rng.next_u64() };
        let store = Store::open(Arc::new(disks.engine.clone()), store_options).map_err(|e| e.to_string())?;
        let map: Arc<ClusterMap> = Arc::new(bootstrap(records(plan.nodes)));
        let recovered: [Recovered; 1] = [recovered];
        let mut booted = boot(id, map, &store, &recovered, now).map_err(|e| e.to_string())?;
        let worker = booted.workers.remove(0);
        if !worker.first.records.is_empty() {
            writer.append(&worker.first).and_then(|()| writer.sync()).map_err(|e| e.to_string())?;
        }
        let shared = Arc::new(Shared::new(id, booted.table));
        let consensus_config = ConsensusConfig {
            raft: consensus::Config::new(id),
            hibernate_after: Duration::from_secs(3),
            log_bytes_kept: plan.log_bytes_kept,
            balance_interval: Duration::from_secs(5),
        };
        let consensus = ConsensusSide::new(id, consensus_config, reader, worker.replicas, rng, now)?;
        let transfer = TransferConfig { chunk_bytes: 2_000, ..TransferConfig::default() };
        let state_config = StateConfig { transfer, sweep_interval: node::SWEEP_INTERVAL, nodes: records(plan.nodes) };
        let peers = (1..=plan.nodes).map(NodeId).filter(|n| *n != id);
        Ok(SimNode {
            consensus,
            state: StateSide::new(id, state_config, worker.states, rng.fork()),
            dispatcher: Dispatcher::new(shared.clone(), LEADER_WAIT, rng.next_u64() >> 1),
            liveness: Liveness::new(shared, peers, Duration::from_secs(1)),
            writer,
            store,
            to_consensus: VecDeque::new(),
            to_state: VecDeque::new(),
            to_log: VecDeque::new(),
            fenced: booted.rebuilt.iter().map(|(shard, _)| *shard).collect(),
            flush_bytes: plan.flush_bytes,
        })
    }

    /// A client's request arrives.
    pub fn submit(&mut self, request: Request, operation: u64, now: Mono, out: &mut Vec<NodeEffect>) {
        let task = Task { request, deadline: now + REQUEST_TIMEOUT, to: Waiter::Client(operation) };
        self.dispatch(out, |d, o| d.submit(task, now, o));
    }

    /// A message arrives.
    pub fn receive(&mut self, from: NodeId, message: PeerMessage, now: Mono, out: &mut Vec<NodeEffect>) {
        let mut live = Vec::new();
        self.liveness.heard(from, &message, now, &mut live);
        self.live(live, now, out);
        match message {
            PeerMessage::Raft { shard, message } => self.consensus_input(ConsensusInput::Raft(shard, message), out),
            PeerMessage::Hibernate { shards } => self.consensus_input(ConsensusInput::Hibernate(from, shards), out),
            PeerMessage::Forward { id, request } => {
                let deadline = now + Duration::from_millis(u64::from(request.timeout_ms));
                let task = Task { request, deadline, to: Waiter::Peer(from, id) };
                self.state_input(StateInput::Tasks(vec![task]), out);
            }
            PeerMessage::ForwardReply { id, outcome } => self.dispatch(out, |d, o| d.replied(id, outcome, now, o)),
            PeerMessage::SessionClosed { session } => self.state_input(StateInput::SessionClosed(session), out),
            PeerMessage::SnapshotOffer { .. }
            | PeerMessage::SnapshotFetch { .. }
            | PeerMessage::SnapshotData { .. }
            | PeerMessage::SnapshotGone { .. }
            | PeerMessage::SnapshotDone { .. } => self.state_input(StateInput::Snapshot(from, message), out),
            PeerMessage::Liveness { .. } | PeerMessage::MapWanted | PeerMessage::Map { .. } => {}
        }
    }

    /// A link stands or broke.
    pub fn link(&mut self, peer: NodeId, up: bool, now: Mono, out: &mut Vec<NodeEffect>) {
        if up {
            self.liveness.link_up(peer);
            self.dispatch(out, |d, o| d.link_up(peer, now, o));
            self.consensus_input(ConsensusInput::LinkUp(peer), out);
        } else {
            self.liveness.link_down(peer, now);
            self.dispatch(out, |d, o| d.link_down(peer, now, o));
            self.consensus_input(ConsensusInput::LinkDown(peer), out);
        }
    }

    /// The periodic work of all machines; `round` counts 25 ms.
    pub fn tick(&mut self, round: u64, now: Mono, out: &mut Vec<NodeEffect>) {
        self.consensus_input(ConsensusInput::Tick, out);
        if round.is_multiple_of(2) {
            self.state_input(StateInput::Tick, out);
            self.dispatch(out, |d, o| d.tick(now, o));
        }
        if round.is_multiple_of(4) {
            let mut live = Vec::new();
            self.liveness.tick(now, &mut live);
            self.live(live, now, out);
        }
        if self.store.memory_bytes() >= self.flush_bytes && self.store.flush().is_ok() {
            self.state_input(StateInput::Flushed, out);
        }
        // A reclaim that fails is tried again at the next tick.
        for damage in self.writer.reclaim().map(|r| r.damaged).unwrap_or_default() {
            if let Some(shard) = damage.shard {
                self.consensus_input(ConsensusInput::Rebuild(shard, damage.to_string()), out);
            }
        }
    }

    /// Steps the consensus side over everything queued.
    pub fn step_consensus(&mut self, now: Mono, out: &mut Vec<NodeEffect>) {
        let mut effects = Vec::new();
        while let Some(input) = self.to_consensus.pop_front() {
            self.consensus.handle(input, now, &mut effects);
        }
        self.consensus.advance(now, &mut effects);
        for effect in effects {
            match effect {
                ConsensusOutput::Send(to, message) => out.push(NodeEffect::Send(to, message)),
                ConsensusOutput::Persist(ticket, set) => {
                    self.to_log.push_back((ticket, set));
                    out.push(NodeEffect::SyncLog);
                }
                ConsensusOutput::State(event) => self.state_input(StateInput::Event(event), out),
            }
        }
    }

    /// Steps the state side over everything queued.
    pub fn step_state(&mut self, now: Mono, wall: WallMs, out: &mut Vec<NodeEffect>) {
        let mut effects = Vec::new();
        while let Some(input) = self.to_state.pop_front() {
            self.state.handle(input, now, wall, &mut effects);
        }
        self.state.advance(now, wall, &mut effects);
        for effect in effects {
            match effect {
                StateOutput::Reply(to, outcome) => self.answer(to, outcome, out),
                StateOutput::Bounce(task, leader) => match task.to {
                    Waiter::Peer(..) => self.answer(task.to, Err(Fault::NotLeader { leader }), out),
                    Waiter::Client(_) => self.dispatch(out, |d, o| d.bounced(task, now, o)),
                },
                StateOutput::Consensus(input) => {
                    if matches!(input, ConsensusInput::SnapshotInstalled { .. }) {
                        out.push(NodeEffect::SnapshotInstalled);
                    }
                    self.consensus_input(input, out);
                }
                StateOutput::Send(to, message) => out.push(NodeEffect::Send(to, message)),
                StateOutput::MapChanged(_) => {}
                StateOutput::Restored(shard) => {
                    self.fenced.remove(&shard);
                    out.push(NodeEffect::Rebuilt);
                }
                StateOutput::Fenced(shard, _) => {
                    self.fenced.insert(shard);
                }
            }
        }
    }

    /// The log thread's round: everything queued becomes durable at once.
    pub fn sync_log(&mut self, out: &mut Vec<NodeEffect>) -> Result<(), LogError> {
        let mut last = None;
        for (ticket, mut set) in std::mem::take(&mut self.to_log) {
            while let Err(error) = self.writer.append(&set) {
                let LogError::Damaged(Damage { shard: Some(shard), .. }) = error else { return Err(error) };
                self.consensus_input(ConsensusInput::Rebuild(shard, error.to_string()), out);
                set.records.retain(|r| r.shard() != shard);
            }
            last = Some(ticket);
        }
        if let Some(ticket) = last {
            self.writer.sync()?;
            self.consensus_input(ConsensusInput::Persisted(ticket), out);
        }
        Ok(())
    }

    /// What was appended but not synced when the process dies: some of it reached the disk.
    pub fn append_unsynced(&mut self, rng: &mut Rng) {
        while rng.one_in(2) {
            let Some((_, set)) = self.to_log.pop_front() else { return };
            let _ = self.writer.append(&set);
        }
    }

    /// Whether no replica here is damaged.
    pub fn is_whole(&self) -> bool {
        self.fenced.is_empty()
    }

    /// Shards whose local replica stands at an index, with the checksum of the state.
    pub fn checksums(&self) -> Vec<(ShardId, u64, u64)> {
        let replicas = self.store.replicas();
        let sum = |r: &storage::Replica| r.snapshot().and_then(|s| Ok((s.applied().index, s.checksum()?)));
        replicas.iter().filter_map(|r| sum(r).ok().map(|(index, checksum)| (r.shard(), index, checksum))).collect()
    }

    fn answer(&mut self, to: Waiter, outcome: Result<Reply, Fault>, out: &mut Vec<NodeEffect>) {
        match to {
            Waiter::Client(operation) => out.push(NodeEffect::Answer(operation, outcome)),
            Waiter::Peer(node, id) => {
                let outcome = match outcome {
                    Ok(reply) => ForwardedReply::Done(reply),
                    Err(fault) => ForwardedReply::Failed(fault),
                };
                out.push(NodeEffect::Send(node, PeerMessage::ForwardReply { id, outcome }));
            }
        }
    }

    fn dispatch(
        &mut self,
        out: &mut Vec<NodeEffect>,
        f: impl FnOnce(&mut Dispatcher<Waiter>, &mut Vec<DispatchOutput<Waiter>>),
    ) {
        let mut effects = Vec::new();
        f(&mut self.dispatcher, &mut effects);
        for effect in effects {
            match effect {
                DispatchOutput::Local { task, .. } => self.state_input(StateInput::Tasks(vec![task]), out),
                DispatchOutput::Send(to, message) => out.push(NodeEffect::Send(to, message)),
                DispatchOutput::Reply(to, outcome) => self.answer(to, outcome, out),
            }
        }
    }

    fn live(&mut self, effects: Vec<LivenessOutput>, now: Mono, out: &mut Vec<NodeEffect>) {
        for effect in effects {
            match effect {
                LivenessOutput::Send(to, message) => out.push(NodeEffect::Send(to, message)),
                LivenessOutput::Silent(node) => self.consensus_input(ConsensusInput::Silent(node), out),
                LivenessOutput::LeadersChanged => self.dispatch(out, |d, o| d.leaders_changed(now, o)),
                LivenessOutput::Heard(_) | LivenessOutput::NewMap(_) => {}
            }
        }
    }

    fn consensus_input(&mut self, input: ConsensusInput, out: &mut Vec<NodeEffect>) {
        self.to_consensus.push_back(input);
        out.push(NodeEffect::StepConsensus);
    }

    fn state_input(&mut self, input: StateInput<Waiter>, out: &mut Vec<NodeEffect>) {
        self.to_state.push_back(input);
        out.push(NodeEffect::StepState);
    }
}

/// The number a counter reply carries: an integer, a decimal string, or 0 for none.
pub fn number(reply: &Reply) -> Option<u64> {
    match reply {
        Reply::Integer(v) => u64::try_from(*v).ok(),
        Reply::Bulk(b) => std::str::from_utf8(b).ok()?.parse().ok(),
        Reply::Null => Some(0),
        _ => None,
    }
}

/// The key of a number.
pub fn key_name(key: u64) -> Bytes {
    format!("counter:{key}").into()
}
