//! What all threads and tasks of the process share, and the paths between them.

use crate::clock;
use crate::config::Config;
use crate::inbox::{Admission, Hurry, Inbox};
use crate::mailbox::{Answer, Waiter, Wakes};
use crate::peer::{Outbox, Peers};
use crate::worker::Step;
use cluster::{ClusterMap, Fitness, ForwardedReply, PeerMessage, Publication, Request, Unblock};
use command::{Command, Fault};
use node::gateway::{Blocked, Gateway};
use node::{
    ConsensusInput, DispatchOutput, Dispatcher, Liveness, LivenessOutput, RouteTable, ShardHandle, Shared, StateInput,
    Task, worker_of,
};
use parking_lot::Mutex;
use protocol::peer::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock, Weak};
use stdx::{NodeId, ShardId};
use storage::Store;

/// Raft messages that may wait for one worker. Beyond it they are dropped, which Raft tolerates as loss.
const RAFT_QUEUE_MAX: usize = 16_384;

/// The queues of one worker.
pub struct WorkerInbox {
    /// To its consensus side.
    pub consensus: Inbox<ConsensusInput>,
    /// The consensus side itself, for those who may step it.
    consensus_stage: OnceLock<Weak<dyn Step>>,
    /// To its state thread.
    pub state: Inbox<StateInput<Waiter>>,
    /// Tasks queued for the state thread.
    pub tasks: Admission,
    /// Raft messages queued for the consensus side.
    pub raft: Admission,
    /// Tasks and proposals of the state thread whose answer is due.
    pub unanswered: AtomicUsize,
    /// When the log writer began the write and sync that is going on, on the monotonic clock; 0 while none is.
    pub writing_since: AtomicU64,
    /// Whether the disk of the log has no room.
    pub full: AtomicBool,
    /// Whether the disk of the log stalls.
    pub stalled: AtomicBool,
}

impl WorkerInbox {
    /// The queues of a worker, whose threads receive from the other ends.
    #[must_use]
    pub fn new(consensus: Inbox<ConsensusInput>, state: Inbox<StateInput<Waiter>>, worker_queue: usize) -> WorkerInbox {
        WorkerInbox {
            consensus,
            consensus_stage: OnceLock::new(),
            state,
            tasks: Admission::new(worker_queue),
            raft: Admission::new(RAFT_QUEUE_MAX),
            unanswered: AtomicUsize::new(0),
            writing_since: AtomicU64::new(0),
            full: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
        }
    }

    /// Says where the consensus side is.
    pub fn set_consensus_stage(&self, stage: Weak<dyn Step>) {
        // There is one for the life of the process.
        let _ = self.consensus_stage.set(stage);
    }

    /// Sends something to the consensus side and, where that sleeps, does its work. The caller holds no lock.
    pub fn bring_consensus(&self, inputs: &mut Vec<ConsensusInput>, hurry: Hurry) {
        if self.consensus.hand_over(inputs, hurry)
            && let Some(stage) = self.consensus_stage.get().and_then(Weak::upgrade)
        {
            stage.step();
        }
    }
}

/// The process.
pub struct Node {
    /// This node.
    pub id: NodeId,
    /// As configured.
    pub config: Config,
    /// Where every shard is led.
    pub shared: Arc<Shared>,
    /// What connections share.
    pub gateway: Arc<Gateway>,
    /// The workers' queues.
    pub workers: Vec<WorkerInbox>,
    /// Links to the other nodes.
    pub peers: Peers,
    dispatcher: Mutex<Dispatcher<Waiter>>,
    liveness: Mutex<Liveness>,
    /// Requests of peers under way here, by node and connection there.
    forwarded: Mutex<BTreeMap<(NodeId, u64), u32>>,
    fenced: Mutex<BTreeMap<ShardId, String>>,
    store: Store,
    /// How this node's data directory stands, as far as that does not change.
    standing: Standing,
    engine_damage: Mutex<Option<String>>,
    draining: AtomicBool,
    refusing: AtomicBool,
    stopping: AtomicBool,
    end: Mutex<Option<End>>,
    stop: tokio::sync::Notify,
}

/// Why a node ends without being told to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// It cannot go on, and nothing that is in memory may be trusted to be durable.
    Failed(String),
    /// Its engine is damaged: it begins again without.
    EngineDamaged,
}

impl Node {
    /// Brings the parts together.
    #[must_use]
    pub fn new(
        config: Config,
        shared: Arc<Shared>,
        gateway: Arc<Gateway>,
        workers: Vec<WorkerInbox>,
        peers: Peers,
        store: Store,
        standing: Standing,
        first_request: u64,
    ) -> Node {
        let others = config.peers.keys().map(|id| NodeId(*id)).filter(|id| *id != config.node);
        // A node that was not heard for as long as an election takes is not waited for.
        let liveness = Liveness::new(shared.clone(), others, config.raft.election_timeout);
        Node {
            id: config.node,
            dispatcher: Mutex::new(Dispatcher::new(shared.clone(), config.timeouts.leader_wait, first_request)),
            liveness: Mutex::new(liveness),
            config,
            shared,
            gateway,
            workers,
            peers,
            forwarded: Mutex::default(),
            fenced: Mutex::default(),
            store,
            standing,
            engine_damage: Mutex::default(),
            draining: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            end: Mutex::default(),
            stop: tokio::sync::Notify::new(),
        }
    }

    /// The queues of the worker that owns a shard.
    #[must_use]
    pub fn worker(&self, shard: ShardId) -> &WorkerInbox {
        &self.workers[worker_of(shard, self.workers.len())]
    }

    /// Hands tasks to a worker, all with one send. Without room, all are refused.
    pub fn submit_local(&self, worker: usize, tasks: Vec<Task<Waiter>>, wakes: &mut Wakes) {
        let inbox = &self.workers[worker];
        if inbox.tasks.admit(tasks.len()) {
            inbox.state.send(StateInput::Tasks(tasks));
        } else {
            for task in tasks {
                self.answer(task.to, Err(Fault::Overloaded), wakes);
            }
        }
    }

    /// Hands tasks for shards that are led elsewhere, or by nobody, to the dispatcher.
    pub fn submit_elsewhere(&self, tasks: impl IntoIterator<Item = Task<Waiter>>, wakes: &mut Wakes) {
        self.dispatch(wakes, |dispatcher, out| {
            let now = clock::now();
            for task in tasks {
                dispatcher.submit(task, now, out);
            }
        });
    }

    /// A worker gave tasks back because it does not lead their shard. Those of peers go back to them.
    pub fn bounced(&self, tasks: Vec<(Task<Waiter>, Option<NodeId>)>, wakes: &mut Wakes) {
        let mut own = Vec::new();
        for (task, leader) in tasks {
            if matches!(task.to, Waiter::Peer { .. }) {
                self.answer(task.to, Err(Fault::NotLeader { leader }), wakes);
            } else {
                own.push(task);
            }
        }
        self.dispatch(wakes, |dispatcher, out| {
            let now = clock::now();
            for task in own {
                dispatcher.bounced(task, now, out);
            }
        });
    }

    /// Tells the subscribers on all other nodes.
    pub fn tell_peers(&self, publications: Vec<Publication>) {
        for publication in publications {
            self.peers.send_to_all(&PeerMessage::Publish(publication));
        }
    }

    /// Some shard's leader became known or was lost.
    pub fn leaders_changed(&self, wakes: &mut Wakes) {
        self.gateway.shed_channels(&self.shared.table(), clock::now());
        self.dispatch(wakes, |dispatcher, out| dispatcher.leaders_changed(clock::now(), out));
    }

    /// Time has passed, for requests that wait.
    pub fn tick_dispatcher(&self, wakes: &mut Wakes) {
        self.dispatch(wakes, |dispatcher, out| dispatcher.tick(clock::now(), out));
    }

    /// Peers answered.
    pub fn replied(&self, replies: &mut Vec<(u64, ForwardedReply)>, wakes: &mut Wakes) {
        if replies.is_empty() {
            return;
        }
        self.dispatch(wakes, |dispatcher, out| {
            let now = clock::now();
            for (id, outcome) in replies.drain(..) {
                dispatcher.replied(id, outcome, now, out);
            }
        });
    }

    /// Runs the dispatcher and carries out what it wants.
    fn dispatch(&self, wakes: &mut Wakes, f: impl FnOnce(&mut Dispatcher<Waiter>, &mut Vec<DispatchOutput<Waiter>>)) {
        let mut out = Vec::new();
        let mut dispatcher = self.dispatcher.lock();
        f(&mut dispatcher, &mut out);
        let mut local: BTreeMap<usize, Vec<Task<Waiter>>> = BTreeMap::new();
        let mut forwards: BTreeMap<NodeId, Vec<PeerMessage>> = BTreeMap::new();
        for output in out {
            match output {
                DispatchOutput::Local { worker, task } => local.entry(worker).or_default().push(task),
                DispatchOutput::Send(to, message) => forwards.entry(to).or_default().push(message),
                DispatchOutput::Reply(to, answer) => self.answer(to, answer, wakes),
            }
        }
        for (worker, tasks) in local {
            self.submit_local(worker, tasks, wakes);
        }
        let mut refused = Vec::new();
        for (to, mut messages) in forwards {
            for id in self.peers.send_all(to, &mut messages) {
                dispatcher.replied(id, ForwardedReply::Failed(Fault::Overloaded), clock::now(), &mut refused);
            }
        }
        for output in refused {
            if let DispatchOutput::Reply(to, answer) = output {
                self.answer(to, answer, wakes);
            }
        }
        // Held until here, so that no later request of a connection overtakes what another thread dispatched.
        drop(dispatcher);
    }

    /// Gives an answer to whoever waits for it.
    pub fn answer(&self, to: Waiter, answer: Answer, wakes: &mut Wakes) {
        match to {
            Waiter::Client { mailbox, slot, part } => wakes.deliver(mailbox, slot, part, answer),
            Waiter::Peer { node, id, client } => {
                self.forward_ended(node, client);
                let outcome = match answer {
                    Ok(reply) => ForwardedReply::Done(reply),
                    Err(fault) => ForwardedReply::Failed(fault),
                };
                wakes.send(node, PeerMessage::ForwardReply { id, outcome });
            }
        }
    }

    /// A task for a peer's request. Reads behind it from the same connection must not overtake it.
    pub fn forward_began(&self, from: NodeId, id: u64, request: Request) -> Task<Waiter> {
        let client = request.session.client;
        *self.forwarded.lock().entry((from, client)).or_default() += 1;
        Task::new(request, clock::now(), Waiter::Peer { node: from, id, client })
    }

    /// A request waits here: a peer is told, so that it does not give up on it.
    pub fn waits(&self, to: Waiter, again: Option<Command>, wakes: &mut Wakes) {
        if let Waiter::Peer { node, id, .. } = to {
            wakes.send(node, PeerMessage::ForwardReply { id, outcome: ForwardedReply::Waits(again) });
        }
    }

    /// Ends the wait of a connection, wherever its request is.
    pub fn unblock(&self, blocked: &Blocked, how: Unblock, wakes: &mut Wakes) {
        let Blocked { session, shard, number, .. } = *blocked;
        blocked.end(how);
        self.worker(shard).state.send(StateInput::Unblock { shard, session, number, how });
        self.dispatch(wakes, |dispatcher, out| dispatcher.unblock(shard, session, number, how, out));
    }

    /// Nothing is to be taken for clients of a node that cannot be told.
    fn peer_lost(&self, id: NodeId) {
        self.workers.iter().for_each(|w| w.state.send(StateInput::PeerLost(id)));
    }

    /// Whether a connection of a peer has requests under way here.
    #[must_use]
    pub fn forwards_under_way(&self, from: NodeId, client: u64) -> bool {
        self.forwarded.lock().contains_key(&(from, client))
    }

    fn forward_ended(&self, from: NodeId, client: u64) {
        let mut forwarded = self.forwarded.lock();
        if let Some(count) = forwarded.get_mut(&(from, client)) {
            *count -= 1;
            if *count == 0 {
                forwarded.remove(&(from, client));
            }
        }
    }

    /// Runs liveness and carries out what it found.
    pub fn liveness(&self, wakes: &mut Wakes, f: impl FnOnce(&mut Liveness, &mut Vec<LivenessOutput>)) {
        let mut out = Vec::new();
        f(&mut self.liveness.lock(), &mut out);
        let mut leaders = false;
        let mut suspects = false;
        for output in out {
            match output {
                LivenessOutput::Send(to, message) => wakes.send(to, message),
                LivenessOutput::Silent(id) => {
                    suspects = true;
                    leaders = true;
                    self.tell_consensus(|| ConsensusInput::Silent(id));
                    self.peer_lost(id);
                    // What was sent there will not be answered in time, if ever: its waiters are told now, and later
                    // requests wait for the election instead of for a node that is paused.
                    self.dispatch(wakes, |dispatcher, out| dispatcher.link_down(id, clock::now(), out));
                }
                LivenessOutput::Heard(id) => {
                    suspects = true;
                    self.tell_consensus(|| ConsensusInput::LinkUp(id));
                    if self.peers.outbox(id).is_some_and(Outbox::is_up) {
                        self.dispatch(wakes, |dispatcher, out| dispatcher.link_up(id, clock::now(), out));
                    }
                }
                LivenessOutput::NewMap(map) => self.adopt_map(&map),
                LivenessOutput::Fitness(id, fitness) => self.tell_consensus(|| ConsensusInput::Fitness(id, fitness)),
                LivenessOutput::LeadersChanged => leaders = true,
            }
        }
        if suspects {
            self.publish_suspects();
        }
        if leaders {
            self.leaders_changed(wakes);
        }
    }

    /// Whether this node can lead.
    #[must_use]
    pub fn fitness(&self) -> Fitness {
        if self.workers.iter().any(|w| w.full.load(Relaxed)) {
            Fitness::Full
        } else if self.draining() || self.workers.iter().any(|w| w.stalled.load(Relaxed)) {
            Fitness::Unfit
        } else {
            Fitness::Fit
        }
    }

    /// Whether a node is heard.
    #[must_use]
    pub fn alive(&self, id: NodeId) -> bool {
        self.liveness.lock().alive(id)
    }

    fn publish_suspects(&self) {
        let liveness = self.liveness.lock();
        let suspects: BTreeSet<NodeId> =
            self.config.peers.keys().map(|id| NodeId(*id)).filter(|id| !liveness.alive(*id)).collect();
        drop(liveness);
        self.gateway.set_suspects(suspects);
    }

    /// A link to a peer came up: messages can be sent.
    pub fn link_up(&self, id: NodeId) {
        let mut wakes = Wakes::default();
        self.liveness(&mut wakes, |liveness, _| liveness.link_up(id));
        self.dispatch(&mut wakes, |dispatcher, out| dispatcher.link_up(id, clock::now(), out));
        wakes.finish(&self.peers);
        self.publish_suspects();
    }

    /// A link from or to a peer broke: evidence that the process there died.
    pub fn link_down(&self, id: NodeId) {
        let mut wakes = Wakes::default();
        let now = clock::now();
        self.liveness(&mut wakes, |liveness, _| liveness.link_down(id, now));
        self.tell_consensus(|| ConsensusInput::LinkDown(id));
        self.peer_lost(id);
        self.dispatch(&mut wakes, |dispatcher, out| dispatcher.link_down(id, now, out));
        wakes.finish(&self.peers);
        self.publish_suspects();
    }

    /// Tells the consensus side of every worker.
    pub fn tell_consensus(&self, input: impl Fn() -> ConsensusInput) {
        for worker in &self.workers {
            worker.consensus.send(input());
        }
    }

    /// Takes over a newer map. With static membership shards and replicas stay what they are; addresses may change.
    pub fn adopt_map(&self, map: &Arc<ClusterMap>) {
        let table = self.shared.table();
        if map.version == table.map.version && !map.shards.keys().eq(table.map.shards.keys()) {
            // It was founded here and elsewhere with different settings: what this node serves is not the cluster's.
            let (theirs, ours) = (map.shards.len(), table.map.shards.len());
            self.fail(format!(
                "the cluster was founded with {theirs} shards and this node with {ours}: give all nodes the same \
                 namespaces.cluster.shards, and this one an empty data_dir"
            ));
            return;
        }
        if map.version <= table.map.version {
            return;
        }
        if !map.shards.keys().eq(table.map.shards.keys()) || !map.nodes.keys().eq(table.map.nodes.keys()) {
            tracing::warn!(
                version = map.version,
                "a cluster map with other nodes or shards is not served by this version"
            );
            return;
        }
        let shards: BTreeMap<ShardId, Arc<ShardHandle>> = table.shards.clone();
        if let Err(error) = crate::datadir::save_map(&self.store, map) {
            tracing::warn!(%error, "the cluster map could not be saved; it will be learned again");
        }
        tracing::info!(version = map.version, "cluster map adopted");
        self.shared.replace(RouteTable::new(map.clone(), shards));
    }

    /// Records that a replica here cannot be used.
    pub fn fence(&self, shard: ShardId, why: String) {
        tracing::error!(%shard, why, "replica fenced: it is rebuilt from its peers");
        self.fenced.lock().insert(shard, why);
    }

    /// A fenced replica was rebuilt from its peers.
    pub fn restored(&self, shard: ShardId) {
        tracing::info!(%shard, "replica rebuilt");
        self.fenced.lock().remove(&shard);
    }

    /// Replicas that cannot be used, and why.
    #[must_use]
    pub fn fenced(&self) -> BTreeMap<ShardId, String> {
        self.fenced.lock().clone()
    }

    /// The engine found that its data is damaged.
    pub fn engine_damaged(&self, why: String) {
        let mut damage = self.engine_damage.lock();
        if damage.is_none() {
            tracing::error!(why, "the engine is damaged: its state is rebuilt when enough other nodes are whole");
            *damage = Some(why);
        }
    }

    /// What the engine found damaged, if anything.
    #[must_use]
    pub fn engine_damage(&self) -> Option<String> {
        self.engine_damage.lock().clone()
    }

    /// How this node stands, for others.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let whole = self.fenced.lock().is_empty() && self.engine_damage.lock().is_none();
        Standing { whole, ..self.standing.clone() }
    }

    /// Whether the node is being shut down.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Acquire)
    }

    /// Begins the shutdown.
    pub fn begin_drain(&self) {
        self.draining.store(true, Release);
    }

    /// Whether requests are refused because the node ends.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.refusing.load(Acquire)
    }

    /// From here on requests of clients and peers are refused; those under way are finished.
    pub fn begin_refusing(&self) {
        self.refusing.store(true, Release);
        self.gateway.clients.finish_all();
    }

    /// Whether the threads are being ended.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Acquire)
    }

    /// Ends the work that would otherwise go on for ever.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Release);
    }

    /// Requests that wait for a leader, a peer or a worker.
    #[must_use]
    pub fn pending(&self) -> usize {
        let workers: usize = self.workers.iter().map(|w| w.unanswered.load(Relaxed)).sum();
        workers + self.dispatcher.lock().pending()
    }

    /// Whether every connection of a client has ended and every request of a peer is answered.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.gateway.clients.is_empty() && self.forwarded.lock().is_empty()
    }

    /// Shards led here.
    #[must_use]
    pub fn leading(&self) -> usize {
        self.shared.table().shards.values().filter(|s| s.leader() == Some(self.id)).count()
    }

    /// The process cannot go on: it stops, and its exit code says that it failed.
    pub fn fail(&self, why: String) {
        tracing::error!(why, "this node stops");
        self.end(End::Failed(why));
    }

    /// The node ends; the first reason counts.
    pub fn end(&self, why: End) {
        self.end.lock().get_or_insert(why);
        self.stop.notify_one();
    }

    /// Completes when the node ends without being told to.
    pub async fn ended(&self) -> End {
        loop {
            if let Some(why) = self.end.lock().clone() {
                return why;
            }
            self.stop.notified().await;
        }
    }
}
