//! The event queue: what happens next, and to whom.

use crate::check::{Kind, Operation};
use crate::network::Network;
use crate::node::{Disks, NodeEffect, SimNode, key_name, number};
use crate::plan::Plan;
use cluster::{PeerMessage, Request, slot_of};
use command::{Command, Fault, Reply, Retry, SessionId, Work};
use std::collections::BTreeMap;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng, WallMs};
use storage::{Disk, MemDisk, MemEngine};

/// Something that happens.
#[derive(Debug)]
enum Event {
    Deliver(NodeId, NodeId, u64, PeerMessage),
    StepConsensus(NodeId, u64),
    StepState(NodeId, u64),
    SyncLog(NodeId, u64),
    Tick(NodeId, u64, u64),
    Answer(u64, Result<Reply, Fault>),
    Client(u64),
    GiveUp(u64),
    Start(NodeId),
    Link(NodeId, NodeId, bool),
    Resume(NodeId),
    Fault,
    Join,
}

/// Counts of what was done to the cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultCounts {
    /// Processes killed.
    pub kills: u64,
    /// Processes paused.
    pub pauses: u64,
    /// Nodes cut off in both directions.
    pub isolations: u64,
    /// Single directions cut.
    pub one_way_cuts: u64,
    /// Connections reset between living nodes.
    pub resets: u64,
    /// Steps of a wall clock.
    pub clock_steps: u64,
    /// Bytes of a log that rotted while its process was down.
    pub rotten_bytes: u64,
    /// Replicas that were fenced and rebuilt from their peers.
    pub rebuilt: u64,
    /// Snapshots installed by replicas that fell behind.
    pub snapshots: u64,
    /// Messages lost by chance.
    pub lost: u64,
    /// Messages lost to a cut.
    pub cut: u64,
    /// Messages delivered twice.
    pub duplicated: u64,
}

impl FaultCounts {
    /// Every count with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 12] {
        [
            ("kills", self.kills),
            ("pauses", self.pauses),
            ("isolations", self.isolations),
            ("one-way cuts", self.one_way_cuts),
            ("connection resets", self.resets),
            ("wall-clock steps", self.clock_steps),
            ("rotten log bytes", self.rotten_bytes),
            ("replicas rebuilt", self.rebuilt),
            ("snapshots installed", self.snapshots),
            ("messages lost", self.lost),
            ("messages cut off", self.cut),
            ("messages duplicated", self.duplicated),
        ]
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &FaultCounts) {
        let FaultCounts { kills, pauses, isolations, one_way_cuts, resets, clock_steps, .. } = other;
        self.kills += kills;
        self.pauses += pauses;
        self.isolations += isolations;
        self.one_way_cuts += one_way_cuts;
        self.resets += resets;
        self.clock_steps += clock_steps;
        self.rotten_bytes += other.rotten_bytes;
        self.rebuilt += other.rebuilt;
        self.snapshots += other.snapshots;
        self.lost += other.lost;
        self.cut += other.cut;
        self.duplicated += other.duplicated;
    }
}

struct Slot {
    disks: Disks,
    process: Option<SimNode>,
    /// Counts lives, so that events of an earlier one are void.
    life: u64,
    paused_until: Option<Mono>,
    deferred: Vec<Event>,
    consensus_due: bool,
    state_due: bool,
    sync_due: bool,
    wall_offset_ms: i64,
}

/// A cluster and its clients.
pub struct World {
    plan: Plan,
    rng: Rng,
    /// Virtual time.
    pub now: Mono,
    queue: BTreeMap<(Mono, u64), Event>,
    next_event: u64,
    nodes: BTreeMap<NodeId, Slot>,
    /// The network.
    pub network: Network,
    /// All operations so far; an operation's number is its place.
    pub operations: Vec<Operation>,
    current: BTreeMap<u64, u64>,
    stopping: bool,
    quiet_until: Mono,
    /// What was injected.
    pub faults: FaultCounts,
    /// A running hash of everything that happened.
    pub trace: u64,
    namespaces: [(u32, u16); 2],
}

const TICK: Duration = Duration::from_millis(25);
const CLIENT_TIMEOUT: Duration = Duration::from_secs(8);
/// Longest time a killed process stays down.
const DOWN_MAX: Duration = Duration::from_secs(5);
/// Time in which a node that lost part of its log catches up.
const CATCH_UP: Duration = Duration::from_secs(5);
const EPOCH_MS: u64 = 1_700_000_000_000;

impl World {
    /// A cluster that starts at time one second.
    pub fn new(plan: Plan, mut rng: Rng) -> World {
        let nodes = (1..=plan.nodes)
            .map(|i| {
                let disks = Disks { log: MemDisk::new(), engine: MemEngine::new() };
                let slot = Slot {
                    disks,
                    process: None,
                    life: 0,
                    paused_until: None,
                    deferred: Vec::new(),
                    consensus_due: false,
                    state_due: false,
                    sync_due: false,
                    wall_offset_ms: rng.range(0, 2_000) as i64 - 1_000,
                };
                (NodeId(i), slot)
            })
            .collect();
        let mut world = World {
            network: Network::new(&plan),
            now: Mono(1_000_000_000),
            queue: BTreeMap::new(),
            next_event: 0,
            nodes,
            operations: Vec::new(),
            current: BTreeMap::new(),
            stopping: false,
            quiet_until: Mono(0),
            faults: FaultCounts::default(),
            trace: 0,
            namespaces: [(1, 1), (2, 16)],
            plan,
            rng,
        };
        for id in world.nodes.keys().copied().collect::<Vec<_>>() {
            world.at(Duration::ZERO, Event::Start(id));
        }
        for client in 0..world.plan.clients {
            world.at(Duration::from_millis(500), Event::Client(client));
        }
        let first = world.fault_gap();
        world.at(Duration::from_secs(2) + first, Event::Fault);
        world
    }

    /// Runs until the virtual time `end` or until nothing is left to do.
    pub fn run_until(&mut self, end: Mono) {
        while let Some(((at, _), _)) = self.queue.first_key_value() {
            if *at > end {
                break;
            }
            if let Some(((at, _), event)) = self.queue.pop_first() {
                self.now = at;
                self.happen(event);
            }
        }
        self.now = end;
    }

    /// No more faults: everything is joined, restarted and resumed.
    pub fn heal(&mut self) {
        self.network.heal();
        for id in self.nodes.keys().copied().collect::<Vec<_>>() {
            if self.nodes[&id].paused_until.is_some() {
                self.at(Duration::ZERO, Event::Resume(id));
            }
        }
        self.queue.retain(|_, event| !matches!(event, Event::Fault));
    }

    /// Clients begin no more operations.
    pub fn stop_clients(&mut self) {
        self.stopping = true;
    }

    /// Clients whose operation is open.
    pub fn open_operations(&self) -> usize {
        self.current.len()
    }

    /// Checksums of all replicas of all living nodes, by shard and index.
    pub fn divergence(&self) -> Option<(u32, u64)> {
        let mut seen: BTreeMap<(u32, u64), u64> = BTreeMap::new();
        for process in self.nodes.values().filter_map(|s| s.process.as_ref()) {
            for (shard, index, checksum) in process.checksums() {
                if *seen.entry((shard.0, index)).or_insert(checksum) != checksum {
                    return Some((shard.0, index));
                }
            }
        }
        None
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.at_time(self.now + after, event);
    }

    fn at_time(&mut self, at: Mono, event: Event) {
        self.next_event += 1;
        self.queue.insert((at, self.next_event), event);
    }

    fn fault_gap(&mut self) -> Duration {
        Duration::from_nanos(self.rng.below(2 * self.plan.fault_every.as_nanos() as u64))
    }

    fn note(&mut self, what: u64) {
        let mut x = self.trace ^ what.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.now.0;
        x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.trace = x ^ (x >> 29);
    }

    fn wall(&self, id: NodeId) -> WallMs {
        let ms = EPOCH_MS + self.now.0 / 1_000_000;
        WallMs(ms.saturating_add_signed(self.nodes.get(&id).map_or(0, |s| s.wall_offset_ms)))
    }

    fn happen(&mut self, event: Event) {
        let target = match &event {
            Event::Deliver(_, to, ..) => Some(*to),
            Event::StepConsensus(id, _) | Event::StepState(id, _) | Event::SyncLog(id, _) | Event::Tick(id, ..) => {
                Some(*id)
            }
            Event::Link(id, ..) => Some(*id),
            _ => None,
        };
        // A paused process does nothing; the world goes on and what it should have done waits.
        if let Some(slot) = target.and_then(|id| self.nodes.get_mut(&id))
            && slot.paused_until.is_some()
        {
            slot.deferred.push(event);
            return;
        }
        match event {
            Event::Deliver(from, to, life, message) => {
                self.note(to.0 << 8 | 1);
                self.with(to, Some(life), |node, now, _, out| node.receive(from, message, now, out));
            }
            Event::StepConsensus(id, life) => {
                self.due(id, life, |s| s.consensus_due = false);
                self.with(id, Some(life), |node, now, _, out| node.step_consensus(now, out));
            }
            Event::StepState(id, life) => {
                self.due(id, life, |s| s.state_due = false);
                self.with(id, Some(life), |node, now, wall, out| node.step_state(now, wall, out));
            }
            Event::SyncLog(id, life) => {
                self.due(id, life, |s| s.sync_due = false);
                self.with(id, Some(life), |node, _, _, out| {
                    node.sync_log(out).unwrap_or_else(|e| panic!("the log failed without a fault injected: {e}"));
                });
            }
            Event::Tick(id, life, round) => {
                if self.nodes.get(&id).is_some_and(|s| s.life == life && s.process.is_some()) {
                    self.at(TICK, Event::Tick(id, life, round + 1));
                    self.with(id, Some(life), |node, now, _, out| node.tick(round, now, out));
                }
            }
            Event::Answer(operation, outcome) => self.answered(operation, outcome),
            Event::Client(client) => self.client(client),
            Event::GiveUp(operation) => self.give_up(operation),
            Event::Start(id) => self.start(id),
            Event::Link(id, peer, up) => self.with(id, None, |node, now, _, out| node.link(peer, up, now, out)),
            Event::Resume(id) => self.resume(id),
            Event::Fault => self.fault(),
            Event::Join => self.network.join_all(),
        }
    }

    fn due(&mut self, id: NodeId, life: u64, f: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.nodes.get_mut(&id).filter(|s| s.life == life) {
            f(slot);
        }
    }

    /// Lets a node act and carries out what it wants.
    fn with(
        &mut self,
        id: NodeId,
        life: Option<u64>,
        f: impl FnOnce(&mut SimNode, Mono, WallMs, &mut Vec<NodeEffect>),
    ) {
        let (now, wall) = (self.now, self.wall(id));
        let Some(slot) = self.nodes.get_mut(&id).filter(|s| life.is_none_or(|l| l == s.life)) else { return };
        let Some(process) = slot.process.as_mut() else { return };
        let mut effects = Vec::new();
        f(process, now, wall, &mut effects);
        let life = slot.life;
        for effect in effects {
            self.effect(id, life, effect);
        }
    }

    fn effect(&mut self, id: NodeId, life: u64, effect: NodeEffect) {
        match effect {
            NodeEffect::Send(to, message) => {
                let Some(to_life) = self.nodes.get(&to).map(|s| s.life) else { return };
                let once = matches!(message, PeerMessage::Forward { .. });
                for at in self.network.send(id, to, once, self.now, &mut self.rng) {
                    self.at_time(at, Event::Deliver(id, to, to_life, message.clone()));
                }
            }
            NodeEffect::Rebuilt => self.faults.rebuilt += 1,
            NodeEffect::SnapshotInstalled => self.faults.snapshots += 1,
            NodeEffect::Answer(operation, outcome) => {
                self.at(Duration::from_micros(50), Event::Answer(operation, outcome))
            }
            NodeEffect::StepConsensus => {
                self.schedule(id, life, |s| &mut s.consensus_due, Event::StepConsensus(id, life), 50)
            }
            NodeEffect::StepState => {
                // The engine stalls now and then.
                let limit = if self.rng.one_in(500) { 300_000 } else { 100 };
                self.schedule(id, life, |s| &mut s.state_due, Event::StepState(id, life), limit);
            }
            NodeEffect::SyncLog => {
                let limit = if self.rng.one_in(20) { self.plan.sync_max.as_micros() as u64 } else { 500 };
                self.schedule(id, life, |s| &mut s.sync_due, Event::SyncLog(id, life), limit);
            }
        }
    }

    fn schedule(
        &mut self,
        id: NodeId,
        life: u64,
        due: impl FnOnce(&mut Slot) -> &mut bool,
        event: Event,
        limit_us: u64,
    ) {
        let delay = Duration::from_micros(1 + self.rng.below(limit_us));
        let Some(slot) = self.nodes.get_mut(&id).filter(|s| s.life == life) else { return };
        if !std::mem::replace(due(slot), true) {
            self.at(delay, event);
        }
    }

    fn start(&mut self, id: NodeId) {
        let now = self.now;
        let Some(slot) = self.nodes.get_mut(&id).filter(|s| s.process.is_none()) else { return };
        slot.life += 1;
        (slot.consensus_due, slot.state_due, slot.sync_due) = (false, false, false);
        slot.deferred.clear();
        let life = slot.life;
        match SimNode::start(id, &self.plan, &slot.disks, now, &mut self.rng) {
            Ok(process) => slot.process = Some(process),
            Err(why) => panic!("{id} does not start although no disk fault was injected: {why}"),
        }
        self.at(TICK, Event::Tick(id, life, 0));
        for peer in self.living() {
            if peer != id {
                self.at(Duration::from_millis(5), Event::Link(id, peer, true));
                self.at(Duration::from_millis(5), Event::Link(peer, id, true));
            }
        }
    }

    fn living(&self) -> Vec<NodeId> {
        self.nodes.iter().filter(|(_, s)| s.process.is_some()).map(|(id, _)| *id).collect()
    }

    fn kill(&mut self, id: NodeId) {
        let Some(slot) = self.nodes.get_mut(&id) else { return };
        let Some(mut process) = slot.process.take() else { return };
        process.append_unsynced(&mut self.rng);
        drop(process);
        slot.paused_until = None;
        slot.deferred.clear();
        slot.disks.log.crash(&mut self.rng);
        self.faults.kills += 1;
        self.rot(id);
        for peer in self.living() {
            // The kernel of a dead process says so, if the network lets it.
            if self.network.passes(id, peer) {
                self.at(Duration::from_micros(200), Event::Link(peer, id, false));
            }
        }
        let down = self.rng.range(50, DOWN_MAX.as_millis() as u64);
        self.at(Duration::from_millis(down), Event::Start(id));
    }

    /// Now and then a byte of the dead process's log rots, if every other node is whole and reachable. Nothing else
    /// happens until the node has caught up: a rotten last round cannot be told from one that was torn, so until then an
    /// entry may be on one disk less than a majority, and more is not promised.
    fn rot(&mut self, id: NodeId) {
        let well = |s: &Slot| s.paused_until.is_none() && s.process.as_ref().is_some_and(SimNode::is_whole);
        let others_well = self.nodes.iter().all(|(other, s)| *other == id || well(s));
        if self.plan.nodes < 3 || !others_well || self.network.has_cuts() || !self.rng.one_in(3) {
            return;
        }
        self.quiet_until = self.now + DOWN_MAX + CATCH_UP;
        let Some(slot) = self.nodes.get_mut(&id) else { return };
        let disk = &slot.disks.log;
        let Ok(mut files) = disk.list() else { return };
        files.retain(|name| name.ends_with(".log"));
        files.sort();
        let Some(name) = files.get(self.rng.below(files.len() as u64) as usize) else { return };
        let length = disk.contents(name).map_or(0, |c| c.len() as u64);
        if disk.rot(name, self.rng.below(length.max(1)), 1 << self.rng.below(8)) {
            self.faults.rotten_bytes += 1;
        }
    }

    /// What was injected, with what the network and the nodes counted.
    pub fn fault_counts(&self) -> FaultCounts {
        let network = self.network.counts;
        FaultCounts { lost: network.lost, cut: network.cut, duplicated: network.duplicated, ..self.faults }
    }

    fn resume(&mut self, id: NodeId) {
        let Some(slot) = self.nodes.get_mut(&id) else { return };
        slot.paused_until = None;
        for event in std::mem::take(&mut slot.deferred) {
            self.at(Duration::ZERO, event);
        }
    }

    fn fault(&mut self) {
        let gap = self.fault_gap();
        self.at(gap, Event::Fault);
        let living = self.living();
        if living.is_empty() || self.now < self.quiet_until {
            return;
        }
        let victim = living[self.rng.below(living.len() as u64) as usize];
        let other = NodeId(1 + self.rng.below(self.plan.nodes));
        match self.rng.below(10) {
            0..3 => self.kill(victim),
            3..5 => {
                let pause = Duration::from_millis(self.rng.range(10, 4_000));
                let until = self.now + pause;
                if let Some(slot) = self.nodes.get_mut(&victim).filter(|s| s.paused_until.is_none()) {
                    slot.paused_until = Some(until);
                    self.faults.pauses += 1;
                    self.at(pause, Event::Resume(victim));
                }
            }
            5 | 6 => {
                for peer in (1..=self.plan.nodes).map(NodeId).filter(|p| *p != victim) {
                    self.network.cut(victim, peer);
                    self.network.cut(peer, victim);
                }
                self.faults.isolations += 1;
                self.join_later();
            }
            7 => {
                self.network.cut(victim, other);
                self.faults.one_way_cuts += 1;
                self.join_later();
            }
            8 => {
                if victim != other && living.contains(&other) {
                    for (a, b) in [(victim, other), (other, victim)] {
                        self.at(Duration::from_micros(100), Event::Link(a, b, false));
                        self.at(Duration::from_millis(50), Event::Link(a, b, true));
                    }
                    self.faults.resets += 1;
                }
            }
            _ => {
                let step = self.rng.range(0, 20_000) as i64 - 10_000;
                if let Some(slot) = self.nodes.get_mut(&victim) {
                    slot.wall_offset_ms += step;
                    self.faults.clock_steps += 1;
                }
            }
        }
    }

    fn join_later(&mut self) {
        let after = Duration::from_millis(self.rng.range(100, 5_000));
        self.at(after, Event::Join);
    }

    fn client(&mut self, client: u64) {
        if self.stopping || self.current.contains_key(&client) {
            return;
        }
        let key = self.rng.below(self.plan.keys);
        let kind = if self.rng.one_in(2) { Kind::Increment } else { Kind::Read };
        let number = self.operations.len() as u64;
        self.operations.push(Operation { client, key, kind, invoked: self.now, answer: None });
        self.current.insert(client, number);
        self.at(CLIENT_TIMEOUT, Event::GiveUp(number));
        self.send_operation(number);
    }

    fn send_operation(&mut self, number: u64) {
        let Operation { client, key, kind, .. } = self.operations[number as usize];
        let living = self.living();
        if living.is_empty() {
            return;
        }
        let node = living[self.rng.below(living.len() as u64) as usize];
        let name = key_name(key);
        // Even keys live in the co-located namespace, odd ones in the sharded one.
        let (namespace, shards) = self.namespaces[(key % 2) as usize];
        let shard = if shards == 1 { 1 } else { 2 + u32::from(slot_of(&name).0 / (cluster::SLOT_COUNT / shards)) };
        debug_assert!(namespace > 0, "the system namespace has no clients");
        let words: command::Args = match kind {
            Kind::Increment => [bytes::Bytes::from_static(b"INCR"), name].into_iter().collect(),
            Kind::Read => [bytes::Bytes::from_static(b"GET"), name].into_iter().collect(),
        };
        let Ok(command) = Command::parse(words) else { panic!("INCR and GET are in the table") };
        let request = Request {
            shard: stdx::ShardId(shard),
            session: SessionId { node, client },
            db: 0,
            resp: 2,
            timeout_ms: 5_000,
            stale_ok: false,
            work: Work::Single(command),
        };
        self.with(node, None, |n, now, _, out| n.submit(request, number, now, out));
    }

    fn answered(&mut self, number_of: u64, outcome: Result<Reply, Fault>) {
        let operation = self.operations[number_of as usize];
        if self.current.get(&operation.client) != Some(&number_of) {
            return;
        }
        match outcome {
            Ok(reply) => {
                let Some(value) = number(&reply) else { panic!("a counter answered {reply:?}") };
                self.note(value << 16 | operation.key);
                self.operations[number_of as usize].answer = Some((self.now, value));
                self.finish(operation.client);
            }
            Err(fault) if fault.retry() == Retry::Unknown && operation.kind == Kind::Increment => {
                self.finish(operation.client)
            }
            // Nothing happened: the same operation goes on elsewhere, as a client library would do.
            Err(_) => {
                let pause = Duration::from_millis(self.rng.range(1, 50));
                self.at(pause, Event::Client(operation.client));
                self.current.remove(&operation.client);
            }
        }
    }

    fn give_up(&mut self, number: u64) {
        let client = self.operations[number as usize].client;
        if self.current.get(&client) == Some(&number) {
            self.finish(client);
        }
    }

    fn finish(&mut self, client: u64) {
        self.current.remove(&client);
        let think = Duration::from_micros(self.rng.range(10, 20_000));
        self.at(think, Event::Client(client));
    }
}
