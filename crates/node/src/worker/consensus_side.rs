//! Steps every Raft group of a worker. Everything that became ready in one round shares one write set and so one fsync:
//! group commit across groups.

mod effects;
mod rebuild;

pub use rebuild::forget_records;

use crate::io::{ConsensusInput, ConsensusOutput, StateEvent};
use crate::shared::ShardHandle;
use crate::worker::log_view::ShardLog;
use bytes::Bytes;
use cluster::{Fitness, PeerMessage};
use command::Fault;
use consensus::{Barrier, Config, Group, HardState, Message, ProposeError, Restored, Role, StepError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng, ShardId};
use storage::Disk;
use storage::log::{LogReader, WriteSet};

/// How the consensus side behaves.
#[derive(Clone, Debug)]
pub struct ConsensusConfig {
    /// Raft timing and limits.
    pub raft: Config,
    /// A group without traffic for so long stops ticking.
    pub hibernate_after: Duration,
    /// Entries below what the engine holds are kept for followers that lag, up to so many bytes a shard.
    pub log_bytes_kept: u64,
    /// How often a leadership that the cluster map prefers elsewhere is offered to that node; zero never.
    pub balance_interval: Duration,
}

/// Entries of one shard on their way to the disk, in bytes, beyond which no more are taken from a leader.
const UNWRITTEN_BYTES_MAX: u64 = 64 << 20;

/// A replica as found or created at start.
#[derive(Debug)]
pub struct ReplicaBoot {
    /// What other threads see of it.
    pub handle: Arc<ShardHandle>,
    /// Its Raft state.
    pub restored: Restored,
    /// The nodes that hold its replicas, this one included.
    pub members: Vec<NodeId>,
    /// The node that should lead it when it can.
    pub preferred_leader: NodeId,
}

struct Slot<D: Disk> {
    group: Group<ShardLog<D>>,
    handle: Arc<ShardHandle>,
    members: Vec<NodeId>,
    preferred_leader: NodeId,
    /// Persist numbers in order, whether each is durable, and its bytes. The group must hear of them in order.
    persisting: VecDeque<(u64, bool, u64)>,
    /// The latest hard state, and what of it was last written.
    hard_state: HardState,
    written: HardState,
    barriers: BTreeMap<Barrier, u64>,
    role: (Role, u64, Option<NodeId>),
    start: u64,
    applied: u64,
    /// The last index given to the state side as committed.
    handed_out: u64,
    flushed: (u64, u64),
    active_at: Mono,
    hibernating: bool,
    balanced_at: Mono,
    snapshots: BTreeSet<NodeId>,
    /// Bytes of entries under way to the log.
    unwritten: u64,
    /// Whether leadership was offered to the preferred node in this reign: once is enough, because a transfer that is
    /// tried in vain costs the lease of the term.
    offered: bool,
    /// When leadership was last handed to a node with room on its disk.
    evaded_at: Mono,
    /// The newest epoch of which a proposal was refused; 0 for none.
    refused_epoch: u64,
    /// Why the replica has to be rebuilt.
    damage: Option<String>,
}

/// Whether there is room on disks for another entry.
#[derive(Clone, Copy)]
struct Room {
    here: bool,
    majority: bool,
}

/// All Raft groups of one worker.
pub struct ConsensusSide<D: Disk> {
    node: NodeId,
    config: ConsensusConfig,
    log: LogReader<D>,
    slots: BTreeMap<ShardId, Slot<D>>,
    touched: BTreeSet<ShardId>,
    in_flight: VecDeque<(u64, Vec<(ShardId, u64)>)>,
    next_ticket: u64,
    /// Shards whose log is to be removed in the next write set.
    wiped: BTreeSet<ShardId>,
    /// For groups that are started anew.
    rng: Rng,
    disk_full: bool,
    resigned: bool,
    /// Nodes that had better not lead, and those of them whose disk is full.
    unfit: BTreeSet<NodeId>,
    full: BTreeSet<NodeId>,
}

impl<D: Disk + Clone> ConsensusSide<D> {
    /// Starts the groups of one worker.
    ///
    /// # Errors
    /// When a group's restored state contradicts itself: the replica must be fenced by the caller.
    pub fn new(
        node: NodeId,
        config: ConsensusConfig,
        log: LogReader<D>,
        replicas: Vec<ReplicaBoot>,
        rng: &mut Rng,
        now: Mono,
    ) -> Result<ConsensusSide<D>, String> {
        let mut side = ConsensusSide {
            node,
            config,
            log,
            slots: BTreeMap::new(),
            touched: BTreeSet::new(),
            in_flight: VecDeque::new(),
            next_ticket: 1,
            wiped: BTreeSet::new(),
            rng: rng.fork(),
            disk_full: false,
            resigned: false,
            unfit: BTreeSet::new(),
            full: BTreeSet::new(),
        };
        for boot in replicas {
            side.add(boot, now)?;
        }
        Ok(side)
    }

    fn add(&mut self, boot: ReplicaBoot, now: Mono) -> Result<(), String> {
        let shard = boot.handle.id;
        let older = ShardLog::new(self.log.clone(), shard);
        let (start, applied, written) = (boot.restored.start, boot.restored.applied, boot.restored.hard_state);
        let mut group = Group::new(&self.config.raft, boot.restored, older, self.rng.fork(), now)
            .map_err(|e| format!("{shard}: {e}"))?;
        group.introduce(&boot.members);
        group.prefer(boot.preferred_leader);
        group.avoid(&self.unfit);
        let slot = Slot {
            role: (group.role(), group.term(), group.leader()),
            group,
            handle: boot.handle,
            members: boot.members,
            preferred_leader: boot.preferred_leader,
            persisting: VecDeque::new(),
            hard_state: written,
            written,
            barriers: BTreeMap::new(),
            start: start.0,
            applied,
            handed_out: applied,
            flushed: start,
            active_at: now,
            hibernating: false,
            balanced_at: now,
            snapshots: BTreeSet::new(),
            unwritten: 0,
            offered: false,
            evaded_at: Mono(0),
            refused_epoch: 0,
            damage: None,
        };
        self.slots.insert(shard, slot);
        self.touched.insert(shard);
        Ok(())
    }

    /// The only door in. Effects of the groups appear at the next `advance`.
    pub fn handle(&mut self, input: ConsensusInput, now: Mono, out: &mut Vec<ConsensusOutput>) {
        match input {
            ConsensusInput::Tick => self.tick(now, out),
            ConsensusInput::Raft(shard, message) => self.raft(shard, message, now, out),
            ConsensusInput::LinkDown(node) => self.for_led_by(node, now, |slot| slot.group.suspect_leader(now)),
            // Silence of the whole node is evidence, too: all its groups elect at once, in order of rank, instead of each by
            // the luck of its own timeout.
            ConsensusInput::Silent(node) => self.for_led_by(node, now, |slot| slot.group.suspect_leader(now)),
            ConsensusInput::LinkUp(_) => {}
            ConsensusInput::Hibernate(from, shards) => self.hibernate(from, &shards),
            ConsensusInput::Propose { shard, epoch, sequence, term, entries } => {
                self.propose(shard, epoch, sequence, term, entries, now, out);
            }
            ConsensusInput::Persisted(ticket) => self.persisted(ticket, now),
            ConsensusInput::Applied { shard, applied, flushed } => self.applied(shard, applied, flushed),
            ConsensusInput::Barrier { shard, token } => self.barrier(shard, token, now, out),
            ConsensusInput::SnapshotTaken { shard, to, meta } => self.snapshot_taken(shard, to, meta),
            ConsensusInput::SnapshotInstalled { shard, message } => self.raft(shard, message, now, out),
            ConsensusInput::SnapshotReported { shard, to, installed } => {
                self.snapshot_reported(shard, to, installed, now)
            }
            ConsensusInput::StepDown => self.step_down(now),
            ConsensusInput::Resume => self.resume(),
            ConsensusInput::Transfer(shard, to) => self.with(shard, now, |slot| slot.group.transfer_leader(to, now)),
            ConsensusInput::Rebuild(shard, why) => self.rebuild(shard, why, now, out),
            ConsensusInput::Fitness(node, fitness) => self.fitness(node, fitness, now),
            ConsensusInput::DiskFull(full) => {
                self.disk_full = full;
                self.find_room(now);
            }
        }
    }

    /// Collects what the groups want done since the last round. To be called after a run of `handle`.
    pub fn advance(&mut self, now: Mono, out: &mut Vec<ConsensusOutput>) {
        let wiped = std::mem::take(&mut self.wiped);
        let mut set = WriteSet { records: wiped.into_iter().flat_map(forget_records).collect() };
        let mut numbers = Vec::new();
        let mut faults = Vec::new();
        for shard in std::mem::take(&mut self.touched) {
            let Some(slot) = self.slots.get_mut(&shard) else { continue };
            while let Some(ready) = slot.group.ready(now) {
                slot.take(self.node, ready, &mut set, &mut numbers, now, out);
            }
            slot.compact(&self.log, self.config.log_bytes_kept, &mut set);
            slot.publish(now, out);
            let damage = slot.damage.take().or_else(|| slot.group.fault().map(|fault| fault.to_string()));
            faults.extend(damage.map(|why| (shard, why)));
        }
        if !set.records.is_empty() {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.in_flight.push_back((ticket, numbers));
            out.push(ConsensusOutput::Persist(ticket, set));
        }
        for (shard, why) in faults {
            self.rebuild(shard, why, now, out);
        }
    }

    /// Shards led here, for status and tests.
    pub fn leading(&self) -> impl Iterator<Item = ShardId> + '_ {
        self.slots.iter().filter(|(_, s)| s.group.role() == Role::Leader).map(|(id, _)| *id)
    }

    fn with(&mut self, shard: ShardId, now: Mono, f: impl FnOnce(&mut Slot<D>)) {
        if let Some(slot) = self.slots.get_mut(&shard) {
            slot.wake(now);
            f(slot);
            self.touched.insert(shard);
        }
    }

    fn for_led_by(&mut self, node: NodeId, now: Mono, f: impl Fn(&mut Slot<D>)) {
        for (shard, slot) in &mut self.slots {
            if slot.group.leader() == Some(node) {
                slot.wake(now);
                f(slot);
                self.touched.insert(*shard);
            }
        }
    }

    fn tick(&mut self, now: Mono, out: &mut Vec<ConsensusOutput>) {
        let mut asleep: BTreeMap<NodeId, Vec<(ShardId, u64, u64)>> = BTreeMap::new();
        for (shard, slot) in &mut self.slots {
            if slot.hibernating {
                continue;
            }
            slot.group.tick(now);
            self.touched.insert(*shard);
            if slot.group.role() != Role::Leader {
                continue;
            }
            if slot.group.can_hibernate()
                && now.since(slot.active_at) >= self.config.hibernate_after
                && slot.barriers.is_empty()
            {
                slot.hibernating = true;
                slot.group.hibernate();
                for peer in slot.group.peers() {
                    asleep.entry(peer).or_default().push((*shard, slot.group.term(), slot.group.last_index()));
                }
            }
            let interval = self.config.balance_interval;
            let elsewhere = slot.preferred_leader != self.node && !interval.is_zero() && !slot.offered;
            if elsewhere && !self.resigned && now.since(slot.balanced_at) >= interval {
                slot.balanced_at = now;
                if slot.group.is_caught_up(slot.preferred_leader) {
                    slot.offered = true;
                    slot.group.transfer_leader(slot.preferred_leader, now);
                }
            }
        }
        self.find_room(now);
        out.extend(asleep.into_iter().map(|(to, shards)| ConsensusOutput::Send(to, PeerMessage::Hibernate { shards })));
    }

    fn raft(&mut self, shard: ShardId, message: Message, now: Mono, out: &mut Vec<ConsensusOutput>) {
        let mut damage = None;
        self.with(shard, now, |slot| {
            // A log that does not keep up must not be fed: the leader sends it again.
            if !message.entries.is_empty() && slot.unwritten > UNWRITTEN_BYTES_MAX {
                return;
            }
            // Heartbeats are no activity: they must not keep a group awake.
            if !message.entries.is_empty() {
                slot.active_at = now;
            }
            // Any other refusal is of a stale or foreign message: Raft tolerates its loss.
            if let Err(error @ (StepError::LogLost { .. } | StepError::Fenced(_))) = slot.group.step(message, now) {
                damage = Some(error.to_string());
            }
        });
        if let Some(why) = damage {
            self.rebuild(shard, why, now, out);
        }
    }

    fn hibernate(&mut self, from: NodeId, shards: &[(ShardId, u64, u64)]) {
        for (shard, term, last) in shards {
            let Some(slot) = self.slots.get_mut(shard) else { continue };
            let group = &slot.group;
            if group.leader() == Some(from)
                && group.term() == *term
                && group.last_index() == *last
                && group.role() == Role::Follower
            {
                slot.hibernating = true;
                slot.group.hibernate();
            }
        }
    }

    /// Takes proposals into the log of a group, or says from which one on it did not.
    fn propose(
        &mut self,
        shard: ShardId,
        epoch: u64,
        sequence: u64,
        term: u64,
        entries: Vec<Bytes>,
        now: Mono,
        out: &mut Vec<ConsensusOutput>,
    ) {
        let total = entries.len() as u64;
        let Some(slot) = self.slots.get_mut(&shard) else {
            let fault = Fault::NotLeader { leader: None };
            out.push(ConsensusOutput::State(StateEvent::Refused { shard, sequence, count: total, fault }));
            return;
        };
        slot.wake(now);
        slot.active_at = now;
        self.touched.insert(shard);
        let mut first = None;
        let mut taken = 0;
        let room =
            Room { here: !self.disk_full, majority: slot.majority_has_room(self.node, self.disk_full, &self.full) };
        if !room.here && room.majority {
            slot.evade(&self.config.raft, now);
        }
        let mut refusal = slot.refuses(epoch, term, room);
        for data in entries {
            if refusal.is_some() {
                break;
            }
            match slot.group.propose(data) {
                Ok(position) => {
                    first.get_or_insert(position.index);
                    taken += 1;
                }
                Err(error) => refusal = Some(fault_of(&error)),
            }
        }
        if let Some(index) = first {
            out.push(ConsensusOutput::State(StateEvent::Proposed { shard, sequence, count: taken, term, index }));
        }
        let Some(fault) = refusal else { return };
        slot.refused_epoch = epoch;
        let (sequence, count) = (sequence + taken, total - taken);
        out.push(ConsensusOutput::State(StateEvent::Refused { shard, sequence, count, fault }));
    }

    fn persisted(&mut self, ticket: u64, now: Mono) {
        while self.in_flight.front().is_some_and(|(t, _)| *t <= ticket) {
            let Some((_, numbers)) = self.in_flight.pop_front() else { break };
            for (shard, number) in numbers {
                if let Some(slot) = self.slots.get_mut(&shard) {
                    slot.mark_durable(number, now);
                    self.touched.insert(shard);
                }
            }
        }
    }

    fn applied(&mut self, shard: ShardId, applied: u64, flushed: (u64, u64)) {
        // What is reported to a group that joins is about the data that it lost.
        if let Some(slot) = self.slots.get_mut(&shard).filter(|slot| !slot.group.is_joining()) {
            // An installed snapshot may have brought the state past what Raft has handed out here.
            let applied = applied.min(slot.handed_out);
            if applied > slot.applied {
                slot.applied = applied;
                slot.group.applied(applied);
            }
            slot.flushed = slot.flushed.max(flushed);
            self.touched.insert(shard);
        }
    }

    fn barrier(&mut self, shard: ShardId, token: u64, now: Mono, out: &mut Vec<ConsensusOutput>) {
        let failed = ConsensusOutput::State(StateEvent::BarrierFailed { shard, token });
        let Some(slot) = self.slots.get_mut(&shard) else {
            out.push(failed);
            return;
        };
        slot.wake(now);
        self.touched.insert(shard);
        match slot.group.read_barrier(now) {
            Ok(barrier) => {
                slot.barriers.insert(barrier, token);
            }
            Err(_) => out.push(failed),
        }
    }

    fn step_down(&mut self, now: Mono) {
        self.resigned = true;
        for (shard, slot) in &mut self.slots {
            if slot.group.role() == Role::Leader {
                slot.wake(now);
            }
            slot.group.step_down(now);
            self.touched.insert(*shard);
        }
    }

    fn fitness(&mut self, node: NodeId, fitness: Fitness, now: Mono) {
        let put = |set: &mut BTreeSet<NodeId>, holds: bool| if holds { set.insert(node) } else { set.remove(&node) };
        put(&mut self.full, fitness == Fitness::Full);
        if put(&mut self.unfit, fitness != Fitness::Fit) {
            self.slots.values_mut().for_each(|slot| slot.group.avoid(&self.unfit));
        }
        self.find_room(now);
    }

    /// Without room on the disk, hands leaderships to nodes that have some.
    fn find_room(&mut self, now: Mono) {
        if !self.disk_full {
            return;
        }
        for (shard, slot) in &mut self.slots {
            if slot.group.role() == Role::Leader && slot.majority_has_room(self.node, true, &self.full) {
                slot.wake(now);
                slot.evade(&self.config.raft, now);
                self.touched.insert(*shard);
            }
        }
    }

    fn resume(&mut self) {
        self.resigned = false;
        self.slots.values_mut().for_each(|slot| slot.group.allow_campaign());
    }
}

fn fault_of(error: &ProposeError) -> Fault {
    match error {
        ProposeError::Busy => Fault::Overloaded,
        ProposeError::NotLeader { leader } => Fault::NotLeader { leader: *leader },
        ProposeError::TransferInProgress => Fault::NotLeader { leader: None },
        ProposeError::TooLarge => Fault::TooLarge("the effects of the command exceed the limit of one log entry"),
    }
}

impl<D: Disk + Clone> Slot<D> {
    /// Why proposals of this epoch and term cannot be taken, if so.
    fn refuses(&self, epoch: u64, term: u64, room: Room) -> Option<Fault> {
        if epoch <= self.refused_epoch || self.group.term() != term || self.group.role() != Role::Leader {
            Some(Fault::NotLeader { leader: self.group.leader() })
        } else if room.here && room.majority {
            None
        } else if room.majority && self.group.fit_transferee().is_some() {
            // Leadership is on its way to a node with room.
            Some(Fault::NotLeader { leader: None })
        } else {
            Some(Fault::DiskFull)
        }
    }

    /// Whether an entry fits onto the disks of a majority, as far as is known. Refused in time, none has to wait for room with
    /// its outcome open.
    fn majority_has_room(&self, node: NodeId, disk_full: bool, full: &BTreeSet<NodeId>) -> bool {
        let voters = &self.group.membership().voters;
        let without = voters.iter().filter(|v| if **v == node { disk_full } else { full.contains(v) }).count();
        2 * without < voters.len()
    }

    /// Hands leadership to a node that is fit, if there is one: at most once in the time that an attempt may take.
    fn evade(&mut self, raft: &Config, now: Mono) {
        if now.since(self.evaded_at) < raft.election_timeout {
            return;
        }
        if let Some(to) = self.group.fit_transferee() {
            self.evaded_at = now;
            self.group.transfer_leader(to, now);
        }
    }

    fn wake(&mut self, now: Mono) {
        if self.hibernating {
            self.hibernating = false;
            self.active_at = now;
            self.group.wake(now);
        }
    }
}
