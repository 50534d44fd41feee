//! One simulated process: the same machines as in the server, joined by queues that this shell steps when it pleases.
//! It carries out what they want as `server` does (crates/server/src/node.rs, peer/route.rs, worker/).

mod connection;
mod disks;
mod start;
mod worker;

pub use disks::Disks;
pub use start::{Start, records};

use crate::invariants::Seen;
use bytes::Bytes;
use cluster::{Fitness, ForwardedReply, PeerMessage, Request, Unblock};
use command::{Fault, Reply, Work};
use connection::Connection;
use node::gateway::{Blocked, Gateway, Port, Way};
use node::{
    ConsensusInput, DispatchOutput, Dispatcher, Liveness, LivenessOutput, RouteTable, Shared, StateInput, Task,
    worker_of,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, ShardId, WallMs};
use storage::Store;
use worker::Worker;

/// Ticks are so far apart, as configured in the server.
pub const TICK: Duration = Duration::from_millis(25);
/// The state side ticks every so many ticks.
const STATE_TICKS: u64 = 2;
/// Liveness is exchanged every so many ticks.
const LIVENESS_TICKS: u64 = 4;
/// The flusher looks for garbage every so many ticks.
const GARBAGE_TICKS: u64 = 16;
/// Keys removed in one step of garbage collection.
const GARBAGE_KEYS: usize = 64;

/// Who waits for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// A connection, at this place of its pipeline, for a part of the request.
    Client { connection: u64, slot: u64, part: u32 },
    /// A forwarded request, on behalf of a connection there.
    Peer { node: NodeId, id: u64, client: u64 },
}

/// What a node asks of the world.
#[derive(Debug)]
pub enum NodeEffect {
    /// Deliver a message.
    Send(NodeId, PeerMessage),
    /// Replies leave a connection.
    Replies(u64, Vec<Reply>),
    /// A connection takes up the commands behind one that waited.
    GoOn(u64),
    /// The consensus side of a worker has something to do.
    StepConsensus(usize),
    /// The state side of a worker has something to do.
    StepState(usize),
    /// The log thread of a worker has something to do.
    SyncLog(usize),
    /// Something that the invariants are about.
    Seen(Seen),
    /// The process cannot go on.
    Fatal(String),
    /// A replica is being rebuilt, and why.
    Fenced(ShardId, String),
    /// A fenced replica was rebuilt.
    Rebuilt(ShardId),
    /// A replica installed a snapshot.
    SnapshotInstalled(ShardId),
}

/// A running process.
pub struct SimNode {
    id: NodeId,
    shared: Arc<Shared>,
    gateway: Gateway,
    dispatcher: Dispatcher<Waiter>,
    liveness: Liveness,
    links: BTreeSet<NodeId>,
    workers: Vec<Worker>,
    store: Store,
    connections: BTreeMap<u64, Connection>,
    /// Requests of peers under way here, by node and connection there.
    forwarded: BTreeMap<(NodeId, u64), u32>,
    fenced: BTreeSet<ShardId>,
    fitness: Fitness,
    flush_bytes: u64,
    flushed_at: Mono,
}

impl SimNode {
    /// A message arrives.
    pub fn receive(&mut self, from: NodeId, message: PeerMessage, now: Mono, wall: WallMs, out: &mut Vec<NodeEffect>) {
        match message {
            PeerMessage::Raft { shard, message } => {
                let worker = self.worker_of(shard);
                self.consensus_input(worker, ConsensusInput::Raft(shard, message), out);
            }
            PeerMessage::Hibernate { shards } => {
                for worker in 0..self.workers.len() {
                    let ours: Vec<_> = shards.iter().filter(|(s, ..)| self.worker_of(*s) == worker).copied().collect();
                    if !ours.is_empty() {
                        self.consensus_input(worker, ConsensusInput::Hibernate(from, ours), out);
                    }
                }
            }
            PeerMessage::Forward { id, request } => self.forward(from, id, request, now, wall, out),
            PeerMessage::ForwardReply { id, outcome } => self.dispatch(out, |d, o| d.replied(id, outcome, now, o)),
            PeerMessage::Unblock { shard, session, number, how } => {
                let worker = self.worker_of(shard);
                self.state_input(worker, StateInput::Unblock { shard, session, number, how }, out);
            }
            PeerMessage::SessionClosed { session } => {
                for worker in 0..self.workers.len() {
                    self.state_input(worker, StateInput::SessionClosed(session), out);
                }
            }
            PeerMessage::Publish(publication) => {
                self.gateway.publish(&publication, now);
            }
            PeerMessage::SnapshotOffer { shard, .. }
            | PeerMessage::SnapshotFetch { shard, .. }
            | PeerMessage::SnapshotData { shard, .. }
            | PeerMessage::SnapshotGone { shard, .. }
            | PeerMessage::SnapshotDone { shard, .. } => {
                let worker = self.worker_of(shard);
                self.state_input(worker, StateInput::Snapshot(from, message), out);
            }
            PeerMessage::Liveness { .. } | PeerMessage::MapWanted | PeerMessage::Map { .. } => {
                let mut live = Vec::new();
                self.liveness.heard(from, &message, now, &mut live);
                self.live(live, now, out);
            }
        }
    }

    /// A read under a valid lease is answered here, unless the same connection's earlier requests are under way.
    fn forward(&mut self, from: NodeId, id: u64, request: Request, now: Mono, wall: WallMs, out: &mut Vec<NodeEffect>) {
        let client = request.session.client;
        if let Work::Single(command) = &request.work
            && command.spec.is_readonly()
            && !self.forwarded.contains_key(&(from, client))
            && let Some(handle) = self.shared.table().shards.get(&request.shard)
            && let Some(reply) =
                node::gateway::read(handle, command, request.db, request.resp, request.stale_ok, now, wall)
        {
            let outcome = ForwardedReply::Done(reply);
            out.push(NodeEffect::Send(from, PeerMessage::ForwardReply { id, outcome }));
            return;
        }
        *self.forwarded.entry((from, client)).or_default() += 1;
        let worker = self.worker_of(request.shard);
        let task = Task::new(request, now, Waiter::Peer { node: from, id, client });
        self.state_input(worker, StateInput::Tasks(vec![task]), out);
    }

    /// A link stands or broke.
    pub fn link(&mut self, peer: NodeId, up: bool, now: Mono, out: &mut Vec<NodeEffect>) {
        if up {
            self.links.insert(peer);
            self.liveness.link_up(peer);
            self.dispatch(out, |d, o| d.link_up(peer, now, o));
        } else {
            self.links.remove(&peer);
            self.liveness.link_down(peer, now);
            self.tell_consensus(|| ConsensusInput::LinkDown(peer), out);
            self.peer_lost(peer, out);
            self.dispatch(out, |d, o| d.link_down(peer, now, o));
        }
    }

    /// The periodic work of all machines; `round` counts ticks.
    pub fn tick(&mut self, round: u64, now: Mono, out: &mut Vec<NodeEffect>) {
        for worker in 0..self.workers.len() {
            self.watch_sync(worker, now, out);
            self.consensus_input(worker, ConsensusInput::Tick, out);
            if round.is_multiple_of(STATE_TICKS) {
                self.state_input(worker, StateInput::Tick, out);
            }
            if self.workers[worker].log_has_work() {
                out.push(NodeEffect::SyncLog(worker));
            }
        }
        self.publish_fitness(out);
        if round.is_multiple_of(STATE_TICKS) {
            self.dispatch(out, |d, o| d.tick(now, o));
        }
        if round.is_multiple_of(LIVENESS_TICKS) {
            let mut live = Vec::new();
            self.liveness.tick(now, &mut live);
            self.live(live, now, out);
        }
        self.flush(round, now, out);
    }

    /// Tells everybody whether this node can lead, when that changed.
    fn publish_fitness(&mut self, out: &mut Vec<NodeEffect>) {
        let fitness = if self.workers.iter().any(|w| w.full) {
            Fitness::Full
        } else if self.workers.iter().any(|w| w.stalled_at.is_some()) {
            Fitness::Unfit
        } else {
            Fitness::Fit
        };
        if fitness != std::mem::replace(&mut self.fitness, fitness) {
            self.liveness.set_fitness(fitness);
            let own = self.id;
            self.tell_consensus(|| ConsensusInput::Fitness(own, fitness), out);
        }
    }

    /// What the server's flush thread does.
    fn flush(&mut self, round: u64, now: Mono, out: &mut Vec<NodeEffect>) {
        const AGE_MAX: Duration = Duration::from_secs(10);
        let bytes = self.store.memory_bytes();
        if bytes >= self.flush_bytes || (bytes > 0 && now.since(self.flushed_at) > AGE_MAX) {
            self.flushed_at = now;
            // A flush that fails is tried again: it stays in memory, and the log still holds it.
            if self.store.flush().is_ok_and(|report| report.replicas > 0) {
                for worker in 0..self.workers.len() {
                    self.state_input(worker, StateInput::Flushed, out);
                }
            }
        }
        if round.is_multiple_of(GARBAGE_TICKS) {
            for worker in &self.workers {
                // Without room there is nothing to prepare.
                let _ = worker.preparer.prepare();
            }
            // Garbage that cannot be removed stays garbage.
            let _ = self.store.collect_garbage(GARBAGE_KEYS);
        }
    }

    /// Whether no replica here is damaged.
    pub fn is_whole(&self) -> bool {
        self.fenced.is_empty()
    }

    /// Whether a replica here is being rebuilt.
    pub fn is_fenced(&self, shard: ShardId) -> bool {
        self.fenced.contains(&shard)
    }

    /// Where everything is, as this process sees it.
    pub fn table(&self) -> Arc<RouteTable> {
        self.shared.table()
    }

    /// Shards whose local replica stands at an index, with the checksum of the state.
    pub fn checksums(&self) -> Vec<(ShardId, u64, u64)> {
        let replicas = self.store.replicas();
        let sum = |r: &storage::Replica| r.snapshot().and_then(|s| Ok((s.applied().index, s.checksum()?)));
        replicas
            .iter()
            .filter(|r| !self.is_fenced(r.shard()))
            .filter_map(|r| sum(r).ok().map(|(index, checksum)| (r.shard(), index, checksum)))
            .collect()
    }

    /// Lengths of queues and other amounts that must stay bounded.
    pub fn amounts(&self) -> [(&'static str, usize); 6] {
        let most = |f: fn(&Worker) -> usize| self.workers.iter().map(f).max().unwrap_or(0);
        [
            ("inputs of a consensus side", most(|w| w.to_consensus.len())),
            ("inputs of a state side", most(|w| w.to_state.len())),
            ("write sets waiting for the log", most(|w| w.to_log.len())),
            ("unanswered tasks of a worker", most(|w| w.state.unanswered())),
            ("requests waiting in the dispatcher", self.dispatcher.pending()),
            ("bytes of tables in memory", self.store.memory_bytes() as usize),
        ]
    }

    /// A client connected.
    pub fn connect(&mut self, connection: u64, port: Port, now: Mono) {
        if let Some(opened) = Connection::open(self.id, &self.gateway, connection, port, now) {
            self.connections.insert(connection, opened);
        }
    }

    /// A client's commands arrive.
    pub fn commands(
        &mut self,
        connection: u64,
        commands: Vec<Vec<Bytes>>,
        now: Mono,
        wall: WallMs,
        out: &mut Vec<NodeEffect>,
    ) {
        let Some(mut opened) = self.connections.remove(&connection) else { return };
        let table = self.shared.table();
        let mut tasks = Vec::new();
        opened.take(commands);
        opened.run(&self.gateway, &table, now, wall, &mut tasks);
        let replies = opened.ready();
        if !replies.is_empty() {
            out.push(NodeEffect::Replies(connection, replies));
        }
        self.connections.insert(connection, opened);
        for (way, task) in tasks {
            match way {
                Way::Local(worker) => self.state_input(worker, StateInput::Tasks(vec![task]), out),
                Way::Dispatched => self.dispatch(out, |d, o| d.submit(task, now, o)),
            }
        }
    }

    /// A client's connection ended.
    pub fn disconnect(&mut self, connection: u64, out: &mut Vec<NodeEffect>) {
        let Some(closed) = self.connections.remove(&connection) else { return };
        if let Some(blocked) = closed.blocked() {
            let Blocked { session, shard, number, .. } = *blocked;
            let how = Unblock::Gone;
            blocked.end(how);
            self.state_input(self.worker_of(shard), StateInput::Unblock { shard, session, number, how }, out);
            self.dispatch(out, |d, o| d.unblock(shard, session, number, how, o));
        }
        self.gateway.clients.disconnect(closed.session_id().client);
        let table = self.shared.table();
        for shard in closed.watched() {
            let session = closed.session_id();
            match table.shards.get(shard).and_then(|h| h.leader()) {
                Some(leader) if leader != self.id => {
                    out.push(NodeEffect::Send(leader, PeerMessage::SessionClosed { session }))
                }
                _ => self.state_input(self.worker_of(*shard), StateInput::SessionClosed(session), out),
            }
        }
    }

    fn answer(&mut self, to: Waiter, outcome: Result<Reply, Fault>, out: &mut Vec<NodeEffect>) {
        match to {
            Waiter::Client { connection, slot, part } => {
                let Some(opened) = self.connections.get_mut(&connection) else { return };
                opened.deliver(slot, part, outcome);
                let replies = opened.ready();
                if !replies.is_empty() {
                    out.push(NodeEffect::Replies(connection, replies));
                }
                if opened.has_more() {
                    out.push(NodeEffect::GoOn(connection));
                }
            }
            Waiter::Peer { node, id, client } => {
                if let Some(count) = self.forwarded.get_mut(&(node, client)) {
                    *count -= 1;
                    if *count == 0 {
                        self.forwarded.remove(&(node, client));
                    }
                }
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
                DispatchOutput::Local { worker, task } => self.state_input(worker, StateInput::Tasks(vec![task]), out),
                DispatchOutput::Send(to, message) => out.push(NodeEffect::Send(to, message)),
                DispatchOutput::Reply(to, outcome) => self.answer(to, outcome, out),
            }
        }
    }

    fn live(&mut self, effects: Vec<LivenessOutput>, now: Mono, out: &mut Vec<NodeEffect>) {
        for effect in effects {
            match effect {
                LivenessOutput::Send(to, message) => out.push(NodeEffect::Send(to, message)),
                LivenessOutput::Silent(node) => {
                    self.tell_consensus(|| ConsensusInput::Silent(node), out);
                    self.peer_lost(node, out);
                    self.dispatch(out, |d, o| d.link_down(node, now, o));
                    self.dispatch(out, |d, o| d.leaders_changed(now, o));
                }
                LivenessOutput::Heard(node) => {
                    self.tell_consensus(|| ConsensusInput::LinkUp(node), out);
                    if self.links.contains(&node) {
                        self.dispatch(out, |d, o| d.link_up(node, now, o));
                    }
                }
                LivenessOutput::Fitness(node, fitness) => {
                    self.tell_consensus(|| ConsensusInput::Fitness(node, fitness), out);
                }
                LivenessOutput::LeadersChanged => self.dispatch(out, |d, o| d.leaders_changed(now, o)),
                // Membership is static here: maps differ in addresses only, which the simulator has none of.
                LivenessOutput::NewMap(_) => {}
            }
        }
    }

    /// Nothing is to be taken for clients of a node that cannot be told.
    fn peer_lost(&mut self, peer: NodeId, out: &mut Vec<NodeEffect>) {
        for worker in 0..self.workers.len() {
            self.state_input(worker, StateInput::PeerLost(peer), out);
        }
    }

    fn worker_of(&self, shard: ShardId) -> usize {
        worker_of(shard, self.workers.len())
    }

    fn tell_consensus(&mut self, input: impl Fn() -> ConsensusInput, out: &mut Vec<NodeEffect>) {
        for worker in 0..self.workers.len() {
            self.consensus_input(worker, input(), out);
        }
    }

    fn consensus_input(&mut self, worker: usize, input: ConsensusInput, out: &mut Vec<NodeEffect>) {
        self.workers[worker].to_consensus.push_back(input);
        out.push(NodeEffect::StepConsensus(worker));
    }

    fn state_input(&mut self, worker: usize, input: StateInput<Waiter>, out: &mut Vec<NodeEffect>) {
        self.workers[worker].to_state.push_back(input);
        out.push(NodeEffect::StepState(worker));
    }
}
