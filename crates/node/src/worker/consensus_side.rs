//! Steps every Raft group of a worker. Everything that became ready in one round shares one write set and so one fsync:
//! group commit across groups.

use crate::io::{ConsensusInput, ConsensusOutput, StateEvent};
use crate::shared::ShardHandle;
use crate::worker::log_view::{ShardLog, entry_to_log};
use bytes::Bytes;
use cluster::PeerMessage;
use command::Fault;
use consensus::{
    Barrier, Config, EntryKind, Group, HardState, Message, MessageKind, Persist, ProposeError, Ready, Restored, Role,
    SnapshotMeta, StepError,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, Rng, ShardId};
use storage::Disk;
use storage::log::{LogReader, Record, WriteSet};

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

/// Truncating the log costs a record, so it waits until so many entries can go.
const COMPACT_ENTRIES_MIN: u64 = 256;

/// A replica as found or created at start.
#[derive(Debug)]
pub struct ReplicaBoot {
    /// What other threads see of it.
    pub handle: Arc<ShardHandle>,
    /// Its Raft state.
    pub restored: Restored,
    /// The node that should lead it when it can.
    pub preferred_leader: NodeId,
}

struct Slot<D: Disk> {
    group: Group<ShardLog<D>>,
    handle: Arc<ShardHandle>,
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
    /// It knows nothing and waits for a snapshot.
    joining: bool,
    /// Bytes of entries under way to the log.
    unwritten: u64,
    /// Whether leadership was offered to the preferred node in this reign: once is enough, because a transfer that is
    /// tried in vain costs the lease of the term.
    offered: bool,
    /// The newest epoch of which a proposal was refused; 0 for none.
    refused_epoch: u64,
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
        let joining = start.0 == 0;
        let mut group = Group::new(&self.config.raft, boot.restored, older, self.rng.fork(), now)
            .map_err(|e| format!("{shard}: {e}"))?;
        group.prefer(boot.preferred_leader);
        let slot = Slot {
            role: (group.role(), group.term(), group.leader()),
            group,
            handle: boot.handle,
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
            joining,
            unwritten: 0,
            offered: false,
            refused_epoch: 0,
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
            ConsensusInput::DiskFull(full) => self.disk_full = full,
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
            faults.extend(slot.group.fault().map(|fault| (shard, fault.to_string())));
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

    /// Starts a group anew as one that knows nothing: it takes no part in elections until it has installed a snapshot,
    /// because it may have promised what it forgets here.
    fn rebuild(&mut self, shard: ShardId, why: String, now: Mono, out: &mut Vec<ConsensusOutput>) {
        // One that waits for a snapshot anyway has nothing more to lose.
        let Some(old) = (match self.slots.get(&shard) {
            Some(slot) if slot.joining => None,
            _ => self.slots.remove(&shard),
        }) else {
            return;
        };
        out.push(ConsensusOutput::State(StateEvent::Damaged(shard, why)));
        old.handle.set_lease(Mono(0));
        for token in old.barriers.into_values() {
            out.push(ConsensusOutput::State(StateEvent::BarrierFailed { shard, token }));
        }
        // What is under way to the log belongs to the old group.
        for (_, numbers) in &mut self.in_flight {
            numbers.retain(|(s, _)| *s != shard);
        }
        self.wiped.insert(shard);
        let boot =
            ReplicaBoot { handle: old.handle, restored: Restored::joining(), preferred_leader: old.preferred_leader };
        if let Err(why) = self.add(boot, now) {
            out.push(ConsensusOutput::State(StateEvent::Damaged(shard, why)));
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
        let mut refusal = slot.refuses(epoch, term, self.disk_full);
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
        if let Some(slot) = self.slots.get_mut(&shard) {
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

    fn snapshot_taken(&mut self, shard: ShardId, to: NodeId, meta: Option<SnapshotMeta>) {
        let Some(slot) = self.slots.get_mut(&shard) else { return };
        match meta {
            Some(meta) => slot.group.provide_snapshot(to, meta),
            None => {
                slot.snapshots.remove(&to);
            }
        }
        self.touched.insert(shard);
    }

    fn snapshot_reported(&mut self, shard: ShardId, to: NodeId, installed: bool, now: Mono) {
        self.with(shard, now, |slot| {
            slot.snapshots.remove(&to);
            slot.group.report_snapshot(to, installed);
        });
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

    fn resume(&mut self) {
        self.resigned = false;
        self.slots.values_mut().for_each(|slot| slot.group.allow_campaign());
    }
}

/// The records of a replica that forgets everything: the hard state of a log without a beginning is the mark of one
/// that is being rebuilt, should the process end before it is.
pub fn forget_records(shard: ShardId) -> [Record; 2] {
    [Record::Remove { shard }, Record::HardState { shard, state: storage::log::HardState::default() }]
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
    fn refuses(&self, epoch: u64, term: u64, disk_full: bool) -> Option<Fault> {
        if epoch <= self.refused_epoch || self.group.term() != term {
            Some(Fault::NotLeader { leader: self.group.leader() })
        } else if disk_full {
            Some(Fault::DiskFull)
        } else {
            None
        }
    }

    fn wake(&mut self, now: Mono) {
        if self.hibernating {
            self.hibernating = false;
            self.active_at = now;
            self.group.wake(now);
        }
    }

    fn take(
        &mut self,
        node: NodeId,
        ready: Ready,
        set: &mut WriteSet,
        numbers: &mut Vec<(ShardId, u64)>,
        now: Mono,
        out: &mut Vec<ConsensusOutput>,
    ) {
        let shard = self.handle.id;
        for message in ready.messages {
            debug_assert_eq!(message.from, node, "a group speaks only for its own node");
            out.push(match message.kind {
                MessageKind::Snapshot => ConsensusOutput::State(StateEvent::SnapshotAnnounced(shard, message)),
                _ => ConsensusOutput::Send(message.to, PeerMessage::Raft { shard, message }),
            });
        }
        if let Some(persist) = ready.persist {
            self.persist(persist, set, numbers, now, out);
        }
        if let Some(last) = ready.committed.last() {
            self.handed_out = last.index;
            self.active_at = now;
            for entry in ready.committed.iter().filter(|e| e.kind == EntryKind::Membership) {
                // Nobody proposes changes while membership is static, so there is none to be refused here.
                if let Ok(membership) = self.group.apply_membership(entry) {
                    out.push(ConsensusOutput::State(StateEvent::MembershipChanged(shard, entry.index, membership)));
                }
            }
            out.push(ConsensusOutput::State(StateEvent::Committed(shard, ready.committed)));
        }
        for (barrier, index) in ready.barriers {
            if let Some(token) = self.barriers.remove(&barrier) {
                out.push(ConsensusOutput::State(StateEvent::BarrierPassed { shard, token, index }));
            }
        }
        for barrier in ready.barriers_lost {
            if let Some(token) = self.barriers.remove(&barrier) {
                out.push(ConsensusOutput::State(StateEvent::BarrierFailed { shard, token }));
            }
        }
        for to in ready.snapshot_wanted {
            if self.snapshots.insert(to) {
                out.push(ConsensusOutput::State(StateEvent::SnapshotWanted(shard, to)));
            }
        }
    }

    /// Turns what Raft wants durable into log records. A bare advance of the commit index is written with the next
    /// entries: it can be learned again, and an fsync of its own would double the cost of every write.
    fn persist(
        &mut self,
        persist: Persist,
        set: &mut WriteSet,
        numbers: &mut Vec<(ShardId, u64)>,
        now: Mono,
        out: &mut Vec<ConsensusOutput>,
    ) {
        let shard = self.handle.id;
        let records_before = set.records.len();
        let bytes: u64 = persist.entries.iter().map(|e| e.data.len() as u64).sum();
        if let Some(meta) = persist.install {
            self.start = meta.index;
            self.joining = false;
            self.applied = self.applied.max(meta.index);
            self.handed_out = self.handed_out.max(meta.index);
            set.records.push(Record::Start { shard, index: meta.index, term: meta.term });
            out.push(ConsensusOutput::State(StateEvent::SnapshotAccepted(shard, meta)));
        }
        self.hard_state = persist.hard_state.unwrap_or(self.hard_state);
        let voted = (self.hard_state.term, self.hard_state.vote) != (self.written.term, self.written.vote);
        if voted || (!persist.entries.is_empty() && self.hard_state != self.written) {
            self.written = self.hard_state;
            let HardState { term, vote, commit } = self.hard_state;
            set.records
                .push(Record::HardState { shard, state: storage::log::HardState { term, vote: vote.0, commit } });
        }
        if !persist.entries.is_empty() {
            let entries = persist.entries.into_iter().map(entry_to_log).collect();
            set.records.push(Record::Entries { shard, entries });
        }
        let nothing = set.records.len() == records_before;
        self.unwritten += bytes;
        self.persisting.push_back((persist.number, nothing, bytes));
        if nothing {
            self.release(now);
        } else {
            numbers.push((shard, persist.number));
        }
    }

    fn mark_durable(&mut self, number: u64, now: Mono) {
        if let Some(entry) = self.persisting.iter_mut().find(|(n, ..)| *n == number) {
            entry.1 = true;
        }
        self.release(now);
    }

    /// Tells the group about the longest durable run, in order.
    fn release(&mut self, now: Mono) {
        let mut last = None;
        while let Some((number, true, bytes)) = self.persisting.front().copied() {
            self.persisting.pop_front();
            self.unwritten -= bytes;
            last = Some(number);
        }
        if let Some(number) = last {
            self.group.persisted(number, now);
        }
    }

    /// Frees log entries that the engine holds and that every follower has, or that exceed what is kept for laggards.
    fn compact(&mut self, log: &LogReader<D>, bytes_kept: u64, set: &mut WriteSet) {
        let flushed = self.flushed.0.min(self.applied);
        if flushed <= self.start {
            return;
        }
        let over = log.bytes(self.handle.id) > bytes_kept;
        let needed = self.group.lowest_matched().unwrap_or(flushed);
        let target = if over { flushed } else { flushed.min(needed) };
        if target <= self.start || (!over && target < self.start + COMPACT_ENTRIES_MIN) {
            return;
        }
        let Some(term) = self.group.term_of(target) else { return };
        self.group.compact(target, term);
        self.start = target;
        set.records.push(Record::Start { shard: self.handle.id, index: target, term });
    }

    /// Makes role, lease and progress visible to connections and to the state side.
    fn publish(&mut self, now: Mono, out: &mut Vec<ConsensusOutput>) {
        let role = (self.group.role(), self.group.term(), self.group.leader());
        // The lease goes first: nobody may read under the lease of a term that has ended.
        self.handle.set_lease(self.group.lease_until().unwrap_or_default());
        self.handle.set_committed(self.group.commit_index());
        if role != self.role {
            if role.0 == Role::Leader {
                (self.balanced_at, self.offered) = (now, false);
            }
            self.role = role;
            self.handle.set_leader(role.2, role.1, now);
            let (role, term, leader) = role;
            out.push(ConsensusOutput::State(StateEvent::Role { shard: self.handle.id, role, term, leader }));
        }
    }
}
