//! What a group wants done, turned into log records, messages and events.

use super::Slot;
use crate::io::{ConsensusOutput, StateEvent};
use crate::worker::log_view::entry_to_log;
use cluster::PeerMessage;
use consensus::{EntryKind, HardState, MembershipError, MessageKind, Persist, Ready, Role};
use stdx::{Mono, NodeId, ShardId};
use storage::Disk;
use storage::log::{LogReader, Record, WriteSet};

/// Truncating the log costs a record, so it waits until so many entries can go.
const COMPACT_ENTRIES_MIN: u64 = 256;

impl<D: Disk + Clone> Slot<D> {
    pub(super) fn take(
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
                match self.group.apply_membership(entry) {
                    Ok(membership) => {
                        out.push(ConsensusOutput::State(StateEvent::MembershipChanged(shard, entry.index, membership)));
                    }
                    // The state is that of the snapshot already: its membership came with it, and it skips this entry.
                    Err(MembershipError::Superseded) => {}
                    Err(error) => self.damage = Some(format!("entry {}: {error}", entry.index)),
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
        for peer in ready.rejoined {
            self.snapshots.remove(&peer);
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

    pub(super) fn mark_durable(&mut self, number: u64, now: Mono) {
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
    pub(super) fn compact(&mut self, log: &LogReader<D>, bytes_kept: u64, set: &mut WriteSet) {
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
    pub(super) fn publish(&mut self, now: Mono, out: &mut Vec<ConsensusOutput>) {
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
