//! The event queue: what happens next, and to whom.

mod clients;
mod effects;
mod faults;
mod slot;

pub use clients::Group;

use crate::fault::{Counts, Fault, Kind};
use crate::invariants::{Broken, Invariants};
use crate::network::Network;
use crate::node::{NodeEffect, TICK, records};
use crate::plan::Plan;
use bytes::Bytes;
use clients::Clients;
use cluster::{ClusterMap, PeerMessage, bootstrap};
use command::Reply;
use node::gateway::Port;
use slot::Slot;
use std::collections::BTreeMap;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng, ShardId};

/// Something that happens.
#[derive(Debug)]
enum Event {
    /// A message arrives at a life of a process, on a connection between nodes.
    Deliver { from: NodeId, to: NodeId, life: u64, generation: u64, message: PeerMessage },
    /// A consensus side has something to do.
    StepConsensus(NodeId, u64, usize),
    /// A state side has something to do.
    StepState(NodeId, u64, usize),
    /// A step of a consensus side that was stuck ends, with what it wants.
    EndConsensus(NodeId, u64, usize, Vec<NodeEffect>),
    /// The same of a state side.
    EndState(NodeId, u64, usize, Vec<NodeEffect>),
    /// A log has something to do.
    SyncLog(NodeId, u64, usize),
    /// Time passes in a process; the count of its ticks.
    Tick(NodeId, u64, u64),
    /// A client's commands arrive; on a connection that begins with them, if there is a port.
    Commands { node: NodeId, connection: u64, port: Option<Port>, commands: Vec<Vec<Bytes>> },
    /// A client's connection ended.
    Disconnect(NodeId, u64),
    /// Replies arrive at a client.
    Replies(u64, Vec<Reply>),
    /// A client sees that its connection broke.
    Broken(u64),
    /// A client does something.
    Client(u64),
    /// A client's patience ends for its request of this number.
    GiveUp(u64, u64),
    /// A process starts.
    Start(NodeId),
    /// A node sees that a connection to a peer stands or broke.
    Link(NodeId, NodeId, bool),
    /// A pause ends.
    Resume(NodeId),
    /// A fault of the plan begins.
    Fault(usize),
    /// Its second half begins.
    Silence(usize),
    /// It ends.
    End(usize),
    /// A process is killed for a rolling restart.
    Roll(NodeId, Duration),
    /// Logs and replicas are compared.
    Checkpoint,
}

/// A line of the story.
#[derive(Clone, Debug)]
pub struct Note {
    /// When.
    pub at: Mono,
    /// What.
    pub text: String,
}

/// Most lines kept for the story.
const NOTES_MAX: usize = 100_000;
/// Logs and replicas are compared so often.
const CHECKPOINT: Duration = Duration::from_secs(5);
/// Virtual time begins here.
const BEGIN: Mono = Mono(1_000_000_000);

/// A cluster and its clients.
pub struct World {
    plan: Plan,
    map: ClusterMap,
    /// Virtual time, by a clock that nobody in the cluster has.
    pub now: Mono,
    queue: BTreeMap<(Mono, u64), Box<Event>>,
    next_event: u64,
    nodes: BTreeMap<NodeId, Slot>,
    network: Network,
    clients: Clients,
    invariants: Invariants,
    /// The first rule that was broken.
    pub broken: Option<Broken>,
    counts: Counts,
    /// Snapshots installed, replicas rebuilt.
    pub transfers: (u64, u64),
    /// What happened to whom, for the story.
    pub notes: Vec<Note>,
    /// When the healed cluster was whole and everybody answered, after the start.
    pub settled: Duration,
    healed: bool,
    steps: Rng,
    disks: Rng,
    /// A running hash of everything that happened.
    pub trace: u64,
}

impl World {
    /// A cluster about to start.
    pub fn new(plan: Plan) -> World {
        let mut rng = Rng::new(plan.seed ^ 0x706f_6c64_6572);
        let map = bootstrap(records(plan.shape.nodes), plan.shape.shards);
        let members =
            map.shards.iter().map(|(id, s)| (ShardId(*id), s.replicas.iter().map(|n| NodeId(*n)).collect())).collect();
        let mut counts = Counts::default();
        let mut clocks = rng.fork();
        let nodes =
            (1..=plan.shape.nodes).map(|i| (NodeId(i), Slot::draw(&plan.shape, &mut clocks, &mut counts))).collect();
        let network = Network::new(&plan, rng.fork());
        let mut world = World {
            clients: Clients::new(&plan, rng.fork()),
            invariants: Invariants::new(members, plan.shape.flush_bytes),
            map,
            now: BEGIN,
            queue: BTreeMap::new(),
            next_event: 0,
            nodes,
            network,
            broken: None,
            counts,
            transfers: (0, 0),
            notes: Vec::new(),
            settled: Duration::ZERO,
            healed: false,
            steps: rng.fork(),
            disks: rng.fork(),
            trace: 0,
            plan,
        };
        for id in world.ids() {
            world.after(Duration::ZERO, Event::Start(id));
        }
        for client in world.clients.numbers() {
            world.after(Duration::from_millis(500), Event::Client(client));
        }
        for (number, fault) in world.plan.faults.clone().into_iter().enumerate() {
            world.after(fault.at, Event::Fault(number));
        }
        world.after(CHECKPOINT, Event::Checkpoint);
        world
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.now.since(BEGIN)
    }

    /// Runs for a while, or until a rule is broken.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > end || self.broken.is_some() {
                break;
            }
            let event = *entry.remove();
            self.now = self.now.max(at);
            self.happen(event);
        }
        if self.broken.is_none() {
            self.now = end;
        }
    }

    /// What was injected.
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts.clone();
        counts.merge(&self.network.counts);
        counts
    }

    fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    fn living(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, s)| s.process.is_some()).map(|(id, _)| *id).collect()
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.at(self.now + time, event);
    }

    fn at(&mut self, at: Mono, event: Event) {
        self.next_event += 1;
        self.queue.insert((at, self.next_event), Box::new(event));
    }

    /// Mixes something that happened into the trace.
    fn mix(&mut self, what: u64) {
        let mut x = self.trace ^ what.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.now.0;
        x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.trace = x ^ (x >> 29);
    }

    fn note(&mut self, text: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note { at: self.now, text });
        }
    }

    fn break_rule(&mut self, why: Broken) {
        self.broken.get_or_insert(why);
    }

    fn happen(&mut self, event: Event) {
        // A paused process does nothing; the world goes on and what it should have done waits.
        if let Some(slot) = event.process().and_then(|id| self.nodes.get_mut(&id))
            && slot.paused
        {
            slot.deferred.push(event);
            return;
        }
        match event {
            Event::Deliver { from, to, life, generation, message } => {
                if self.network.stands(from, to, generation) {
                    self.mix(from.0 << 8 | to.0);
                    self.with(to, Some(life), |node, now, wall, out| node.receive(from, message, now, wall, out));
                }
            }
            Event::StepConsensus(id, life, worker) => self.step_consensus(id, life, worker),
            Event::StepState(id, life, worker) => self.step_state(id, life, worker),
            Event::EndConsensus(id, life, worker, effects) => {
                self.due(id, life, worker, |due| due.consensus = false);
                self.carry_out(id, life, effects);
                self.with(id, Some(life), |_, _, _, out| out.push(NodeEffect::StepConsensus(worker)));
            }
            Event::EndState(id, life, worker, effects) => {
                self.due(id, life, worker, |due| due.state = false);
                self.carry_out(id, life, effects);
                self.with(id, Some(life), |_, _, _, out| out.push(NodeEffect::StepState(worker)));
            }
            Event::SyncLog(id, life, worker) => self.sync_log(id, life, worker),
            Event::Tick(id, life, round) => self.tick(id, life, round),
            Event::Commands { node, connection, port, commands } => {
                self.mix(connection << 16 | node.0);
                self.with(node, None, |n, now, wall, out| {
                    if let Some(port) = port {
                        n.connect(connection, port, now);
                    }
                    n.commands(connection, commands, now, wall, out);
                });
            }
            Event::Disconnect(node, connection) => {
                self.with(node, None, |n, _, _, out| n.disconnect(connection, out));
            }
            Event::Replies(connection, replies) => self.replies(connection, replies),
            Event::Broken(connection) => self.connection_broke(connection),
            Event::Client(client) => self.client(client),
            Event::GiveUp(client, number) => self.give_up(client, number),
            Event::Start(id) => self.start(id),
            Event::Link(id, peer, up) => self.with(id, None, |node, now, _, out| node.link(peer, up, now, out)),
            Event::Resume(id) => self.resume(id),
            Event::Fault(number) => self.fault(number),
            Event::Silence(number) => self.silence(number),
            Event::End(number) => self.end_fault(number),
            Event::Roll(id, down) => self.kill(id, down),
            Event::Checkpoint => {
                self.checkpoint();
                self.after(CHECKPOINT, Event::Checkpoint);
            }
        }
    }

    fn tick(&mut self, id: NodeId, life: u64, round: u64) {
        let Some(process) = self.nodes.get(&id).filter(|s| s.life == life).and_then(|s| s.process.as_ref()) else {
            return;
        };
        if let Err(why) = self.invariants.amounts(id, &process.amounts(), self.now) {
            self.break_rule(why);
        }
        self.after(TICK, Event::Tick(id, life, round + 1));
        self.with(id, Some(life), |node, now, _, out| node.tick(round, now, out));
    }

    /// Compares logs and replicas.
    pub fn checkpoint(&mut self) {
        let nodes = self.nodes.iter().filter_map(|(id, s)| Some((*id, s.process.as_ref()?.checksums())));
        if let Err(why) = self.invariants.checkpoint(nodes.collect::<Vec<_>>()) {
            self.break_rule(why);
        }
    }

    /// What keeps the healed cluster from being whole; `None` when it is.
    pub fn unsettled(&self) -> Option<String> {
        for (id, slot) in &self.nodes {
            match &slot.process {
                None => return Some(format!("{id} is down")),
                Some(process) if !process.is_whole() => return Some(format!("{id} has replicas to be rebuilt")),
                Some(_) => {}
            }
        }
        self.clients.unanswered().map(|client| format!("client {client} was not answered since the cluster was healed"))
    }

    /// The replicas of a shard that are not at the same applied index; `None` when there are none.
    pub fn lagging(&self) -> Option<String> {
        for (id, record) in &self.map.shards {
            let shard = ShardId(*id);
            let slots = record.replicas.iter().filter_map(|node| self.nodes.get(&NodeId(*node)));
            let mut all: Vec<u64> = slots.map(|slot| slot.applied(shard)).collect();
            all.dedup();
            if all.len() > 1 {
                return Some(format!("replicas of {shard} stand at {all:?}"));
            }
        }
        None
    }

    /// All groups of clients with their histories.
    pub fn into_groups(self) -> Vec<Group> {
        self.clients.into_groups(self.now)
    }
}

impl Event {
    /// The process in which it happens.
    fn process(&self) -> Option<NodeId> {
        match self {
            Event::Deliver { to: id, .. }
            | Event::StepConsensus(id, ..)
            | Event::StepState(id, ..)
            | Event::EndConsensus(id, ..)
            | Event::EndState(id, ..)
            | Event::SyncLog(id, ..)
            | Event::Tick(id, ..)
            | Event::Commands { node: id, .. }
            | Event::Disconnect(id, _)
            | Event::Link(id, ..) => Some(*id),
            _ => None,
        }
    }
}

/// A fault of the plan as the story tells it.
fn told(fault: &Fault) -> String {
    if fault.kind == Kind::ClockStep {
        format!("fault: wall clock step of node {}", fault.node.0)
    } else {
        format!("fault: {fault}")
    }
}
