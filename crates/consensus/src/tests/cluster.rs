//! Replicas, the network between them and time.

use super::checker::Checker;
use super::replica::{Machine, Replica};
use crate::{Config, Membership, Message, MessageKind, Restored, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stdx::{Mono, NodeId, Rng};

/// How the network misbehaves: one message in so many, 0 for never.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub drop: u64,
    pub duplicate: u64,
    pub late: u64,
}

struct Envelope {
    message: Message,
    data: Option<Machine>,
}

pub struct Cluster {
    pub config: Config,
    pub now: Mono,
    pub replicas: BTreeMap<u64, Replica>,
    pub checker: Checker,
    pub weather: Weather,
    pub cut: BTreeSet<(u64, u64)>,
    pub dropped_kinds: BTreeSet<u8>,
    pub rng: Rng,
    /// Disk writes take up to so long.
    pub write_max: Duration,
    /// Entries applied per step at most.
    pub apply_max: usize,
    pub trace: u64,
    mail: BTreeMap<(Mono, u64), Envelope>,
    inbox: BTreeMap<u64, Vec<Envelope>>,
    sent: u64,
}

pub const STEP: Duration = Duration::from_millis(1);

impl Cluster {
    pub fn new(voters: u64, spares: u64, config: Config, seed: u64) -> Cluster {
        let founder = Restored::founder(Membership::of_voters((1..=voters).map(NodeId)));
        let mut replicas = BTreeMap::new();
        for id in 1..=voters + spares {
            let restored = if id <= voters { founder.clone() } else { Restored::joining() };
            replicas.insert(id, Replica::new(id, &restored));
        }
        let mut cluster = Cluster {
            config,
            now: Mono(1_000_000),
            replicas,
            checker: Checker::default(),
            weather: Weather::default(),
            cut: BTreeSet::new(),
            dropped_kinds: BTreeSet::new(),
            rng: Rng::new(seed),
            write_max: Duration::from_millis(1),
            apply_max: usize::MAX,
            trace: 0xcbf2_9ce4_8422_2325,
            mail: BTreeMap::new(),
            inbox: BTreeMap::new(),
            sent: 0,
        };
        for id in 1..=voters + spares {
            cluster.start(id);
        }
        cluster
    }

    pub fn start(&mut self, id: u64) {
        let (rng, now, config) = (self.rng.fork(), self.now, self.config.clone());
        let replica = self.replica(id);
        if replica.group.is_none() {
            replica.start(&config, rng, now);
        }
        let members: Vec<NodeId> = self.ids().into_iter().map(NodeId).collect();
        let replica = self.replica(id);
        if let Some(group) = replica.group.as_mut().filter(|_| replica.wiped) {
            group.introduce(&members);
        }
    }

    /// The disk is lost, and the node comes back with an empty one. Connections end with the process, and with them its
    /// votes.
    pub fn wipe(&mut self, id: u64) {
        self.crash(id);
        self.mail.retain(|_, e| e.message.from != NodeId(id) || e.message.kind != MessageKind::RequestVoteResponse);
        let clock = self.replica(id).clock;
        let mut empty = Replica::new(id, &Restored::joining());
        (empty.clock, empty.wiped) = (clock, true);
        self.replicas.insert(id, empty);
        self.checker.count("wiped");
        self.start(id);
    }

    pub fn crash(&mut self, id: u64) {
        let kept = self.rng.below(3) as usize;
        for envelope in self.inbox.remove(&id).unwrap_or_default() {
            self.snapshot_outcome(&envelope.message, false);
        }
        self.replica(id).crash(kept);
    }

    pub fn replica(&mut self, id: u64) -> &mut Replica {
        self.replicas.get_mut(&id).expect("the node exists")
    }

    pub fn time(&self, id: u64) -> Mono {
        self.replicas[&id].time(self.now)
    }

    pub fn ids(&self) -> Vec<u64> {
        self.replicas.keys().copied().collect()
    }

    /// The running leader of the highest term.
    pub fn leader(&self) -> Option<u64> {
        let leads = |r: &&Replica| r.group.as_ref().is_some_and(|g| g.role() == Role::Leader);
        self.replicas.values().filter(leads).max_by_key(|r| r.group.as_ref().map(|g| g.term())).map(|r| r.id)
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// One millisecond.
    pub fn step(&mut self) {
        self.now = self.now + STEP;
        for id in self.ids() {
            let now = self.now;
            let checker = &mut self.checker;
            let replica = self.replicas.get_mut(&id).expect("the node exists");
            replica.complete_writes(now, checker);
        }
        self.deliver();
        let grain = u64::try_from(self.config.tick.as_millis()).unwrap_or(1);
        for id in self.ids() {
            let (now, time) = (self.now, self.time(id));
            let apply_max = self.apply_max;
            let replica = self.replica(id);
            if !replica.paused {
                if (now.0 / 1_000_000 + id) % grain == 0
                    && let Some(group) = &mut replica.group
                {
                    group.tick(time);
                }
                replica.apply(apply_max);
            }
            self.collect(id);
        }
        self.check();
    }

    /// Sends what a replica has ready.
    pub fn collect(&mut self, id: u64) {
        let write_takes = Duration::from_micros(self.rng.below(self.write_max.as_micros() as u64 + 1));
        let now = self.now;
        let checker = &mut self.checker;
        let replica = self.replicas.get_mut(&id).expect("the node exists");
        if replica.paused {
            return;
        }
        for (message, data) in replica.drain(now, write_takes, checker) {
            self.post(message, data);
        }
    }

    fn post(&mut self, message: Message, data: Option<Machine>) {
        if self.rng.one_in(self.weather.drop) || self.dropped_kinds.contains(&(message.kind as u8)) {
            self.checker.count("dropped");
            self.snapshot_outcome(&message, false);
            return;
        }
        let copies = if self.rng.one_in(self.weather.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let late = if self.rng.one_in(self.weather.late) { 2_000_000 + self.rng.below(400_000_000) } else { 0 };
            let due = self.now + Duration::from_nanos(100_000 + self.rng.below(900_000) + late);
            self.sent += 1;
            self.mail.insert((due, self.sent), Envelope { message: message.clone(), data: data.clone() });
        }
    }

    fn snapshot_outcome(&mut self, message: &Message, ok: bool) {
        if message.kind == MessageKind::Snapshot
            && let Some(group) = &mut self.replica(message.from.0).group
        {
            group.report_snapshot(message.to, ok);
        }
    }

    fn deliver(&mut self) {
        let later = self.mail.split_off(&(self.now, u64::MAX));
        for envelope in std::mem::replace(&mut self.mail, later).into_values() {
            let (from, to) = (envelope.message.from.0, envelope.message.to.0);
            let Some(replica) = self.replicas.get(&to) else {
                continue;
            };
            if self.cut.contains(&(from, to)) || replica.group.is_none() {
                self.checker.count("dropped");
                self.snapshot_outcome(&envelope.message, false);
            } else if replica.paused {
                self.inbox.entry(to).or_default().push(envelope);
            } else {
                self.receive(envelope);
            }
        }
        for id in self.ids() {
            if !self.replicas[&id].paused {
                for envelope in self.inbox.remove(&id).unwrap_or_default() {
                    self.receive(envelope);
                }
            }
        }
    }

    fn receive(&mut self, envelope: Envelope) {
        let Envelope { message, data } = envelope;
        let id = message.to.0;
        self.note(&format!("{} {message:?}", self.now.0));
        let time = self.time(id);
        self.snapshot_outcome(&message, true);
        let replica = self.replica(id);
        if let (Some(machine), Some(meta)) = (data, &message.snapshot) {
            replica.incoming.insert(meta.index, machine);
        }
        let from = message.from;
        let Some(group) = &mut replica.group else {
            return;
        };
        match group.step(message, time) {
            Ok(()) | Err(crate::StepError::UnknownPeer(_) | crate::StepError::Fenced(_)) => {}
            Err(error) => panic!("n{id} refuses a message of {from}: {error}"),
        }
        self.checker.count("delivered");
        self.collect(id);
    }

    /// Everything that happens is part of the trace.
    pub fn note(&mut self, what: &str) {
        for byte in what.bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Nodes that may serve reads under their lease, with their term.
    pub fn leases(&self) -> Vec<(u64, u64)> {
        let lease = |r: &Replica| {
            let group = r.group.as_ref()?;
            (group.lease_until()? > r.time(self.now)).then(|| (r.id, group.term()))
        };
        self.replicas.values().filter_map(lease).collect()
    }

    pub fn check(&mut self) {
        for replica in self.replicas.values() {
            if let Some(group) = replica.group.as_ref().filter(|g| g.role() == Role::Leader) {
                self.checker.leads(group.term(), replica.id);
            }
        }
        let leases = self.leases();
        self.checker.leases(&leases);
    }

    /// Where every replica stands.
    pub fn status(&self) -> String {
        let mut out = String::new();
        for (id, replica) in &self.replicas {
            let Some(group) = &replica.group else {
                out += &format!("n{id} is down\n");
                continue;
            };
            let leader = group.leader().map_or("nobody".to_string(), |l| l.to_string());
            out += &format!("n{id} {:?} term {} of {leader}", group.role(), group.term());
            out += &format!(", log {}..{}", group.start().0, group.last_index());
            let joining = if group.is_joining() { ", joining" } else { "" };
            out += &format!(", committed {}, applied {}{joining}\n", group.commit_index(), group.applied_index());
        }
        out
    }

    /// All members, as the leader sees them, have applied the same.
    pub fn assert_converged(&self) {
        let leader = &self.replicas[&self.leader().expect("somebody leads")];
        for id in leader.machine.membership.members() {
            let replica = &self.replicas[&id.0];
            let (ours, theirs) = (leader.machine.values.len(), replica.machine.values.len());
            assert!(
                leader.machine.values == replica.machine.values,
                "n{} applied {ours}, {id} {theirs}:\n{}",
                leader.id,
                self.status()
            );
        }
    }
}
