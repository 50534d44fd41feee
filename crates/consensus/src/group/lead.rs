//! What a leader is asked to do, and how leadership moves.

use super::Group;
use crate::barrier::Barrier;
use crate::error::{MembershipError, ProposeError};
use crate::log::OlderEntries;
use crate::membership::{ChangeKind, MembershipChange};
use crate::message::{Entry, Membership, SnapshotMeta};
use crate::ready::Position;
use bytes::Bytes;
use raft::eraftpb::Entry as RaftEntry;
use raft::eraftpb::{self, ConfChangeV2, EntryType, MessageType};
use raft::{Changer, SnapshotStatus};
use stdx::{Mono, NodeId};

impl<L: OlderEntries> Group<L> {
    /// Appends an entry. It is sent with the next `ready`, together with all others proposed until then.
    ///
    /// # Errors
    /// Nothing was appended; see each variant for what to do.
    ///
    /// # Panics
    /// On empty data, which marks the entry a leader begins its term with.
    pub fn propose(&mut self, data: Bytes) -> Result<Position, ProposeError> {
        assert!(!data.is_empty(), "an entry without data marks the beginning of a term");
        if data.len() as u64 > self.config.max_uncommitted_bytes {
            return Err(ProposeError::TooLarge);
        }
        self.append(RaftEntry { data, ..RaftEntry::default() })
    }

    fn append(&mut self, entry: RaftEntry) -> Result<Position, ProposeError> {
        self.check_leading()?;
        if self.raw.raft.lead_transferee.is_some() || self.resign_at.is_some() {
            return Err(ProposeError::TransferInProgress);
        }
        self.wake(self.clock.now);
        if !self.run(|raw| raw.raft.append_entry(&mut [entry])) {
            return Err(ProposeError::Busy);
        }
        Ok(Position { term: self.term(), index: self.last_index() })
    }

    fn check_leading(&self) -> Result<(), ProposeError> {
        if self.is_leader() { Ok(()) } else { Err(ProposeError::NotLeader { leader: self.leader() }) }
    }

    /// Proposes a change of membership. One at a time: the next is refused until this one is applied here.
    ///
    /// # Errors
    /// Nothing was appended; see each variant for what to do.
    pub fn propose_membership(&mut self, change: MembershipChange) -> Result<Position, MembershipError> {
        self.check_leading()?;
        if self.raw.raft.has_pending_conf() || (self.membership.is_joint() && !change.is_leave()) {
            return Err(MembershipError::InProgress);
        }
        if MembershipChange::decode(change.encode()).as_ref() != Ok(&change) {
            return Err(MembershipError::Invalid("too many changes, none, or node 0".into()));
        }
        if let Some(stranger) = self.stranger(&change) {
            return Err(MembershipError::Invalid(format!("{stranger} must follow as a learner before it may vote")));
        }
        self.try_change(&change.to_raft()).map_err(|e| MembershipError::Invalid(e.to_string()))?;
        let mut entry = RaftEntry::default();
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        entry.context = change.encode();
        let position = self.append(entry)?;
        // The engine does this for proposals whose protobuf it parsed.
        self.raw.raft.pending_conf_index = position.index;
        Ok(position)
    }

    /// A node that would vote before it knows anything: it would count for every majority and answer for none.
    fn stranger(&self, change: &MembershipChange) -> Option<NodeId> {
        let knows = |id: NodeId| self.raw.raft.prs().get(id.0).is_some_and(|p| p.matched > 0);
        let mut votes = change.changes.iter().filter(|(kind, _)| *kind == ChangeKind::Voter);
        votes.find(|(_, id)| !self.membership.is_voter(*id) && !knows(*id)).map(|(_, id)| *id)
    }

    /// Whether the change can be applied to the membership in force.
    fn try_change(&self, change: &ConfChangeV2) -> raft::Result<()> {
        let mut changer = Changer::new(self.raw.raft.prs());
        if change.leave_joint() {
            changer.leave_joint()?;
        } else if let Some(auto_leave) = change.enter_joint() {
            changer.enter_joint(auto_leave, &change.changes)?;
        } else {
            changer.simple(&change.changes)?;
        }
        Ok(())
    }

    /// A committed membership entry is being applied. To be called for each, in order, before `applied` covers it. Returns
    /// the membership from here on, to be kept with the state machine.
    ///
    /// # Errors
    /// `Superseded` when a snapshot was accepted in between: wait for its `install`. Otherwise the entry makes no sense for the
    /// membership in force: this replica's state is not what the log was made for.
    pub fn apply_membership(&mut self, entry: &Entry) -> Result<Membership, MembershipError> {
        let change = MembershipChange::decode(entry.data.clone()).map_err(|_| MembershipError::Undecodable)?;
        let accepted = self.raw.raft.snap().map(|s| s.get_metadata().index);
        if accepted.max(self.installs.back().map(|(_, index)| *index)).is_some_and(|index| entry.index <= index) {
            return Err(MembershipError::Superseded);
        }
        self.run(|raw| raw.apply_conf_change(&change.to_raft()))
            .map_err(|e| MembershipError::Invalid(e.to_string()))?;
        self.refresh_membership();
        if self.is_leader() && !self.membership.is_voter(self.config.id) {
            self.leave_leadership();
        }
        Ok(self.membership.clone())
    }

    /// This leader is no voter any more. The engine would go on and stumble over its own absence.
    fn leave_leadership(&mut self) {
        let successor = self.pick_transferee();
        // The successor's campaign bypasses the vote guard.
        self.lease.revoke();
        self.run(|raw| {
            if let Some(to) = successor {
                raw.raft.send_timeout_now(to.0);
            }
            // The others must learn that the change is decided: in the membership before it they might need this replica.
            raw.raft.bcast_append();
        });
        self.resign();
    }

    /// Asks for the index that a linearizable read must wait for. The answer is in a later `Ready`, in `barriers` or, when
    /// leadership was lost, in `barriers_lost`. A leader that has not committed an entry of its own term answers when it has.
    ///
    /// # Errors
    /// `NotLeader`, or `Busy` when too many wait.
    pub fn read_barrier(&mut self, now: Mono) -> Result<Barrier, ProposeError> {
        self.clock.observe(now);
        self.check_leading()?;
        self.wake(now);
        self.barriers.open().ok_or(ProposeError::Busy)
    }

    /// Begins one exchange for all open barriers.
    pub(super) fn begin_round(&mut self) {
        if self.is_leader()
            && self.commit_index() >= self.own_first
            && let Some(context) = self.barriers.begin_round()
        {
            self.run(|raw| raw.read_index(context.to_vec()));
        }
    }

    /// Sends what was appended since the last time, to everyone who can take it.
    pub(super) fn send_appends(&mut self) {
        let last = self.last_index();
        if !self.is_leader() || last == self.broadcast {
            return;
        }
        self.broadcast = last;
        self.commit_told = self.commit_index();
        for peer in self.peers() {
            self.run(|raw| {
                let next = |raw: &raft::RawNode<_>| {
                    raw.raft.prs().get(peer.0).filter(|p| !p.is_paused() && p.next_idx <= last).map(|p| p.next_idx)
                };
                let mut from = next(raw);
                while from.is_some() {
                    raw.raft.send_append(peer.0);
                    let then = next(raw);
                    from = if then > from { then } else { None };
                }
            });
        }
    }

    /// Begins to hand leadership to `to`; nothing happens if this replica does not lead or `to` is no other voter.
    /// Proposals are refused until it succeeds or an election timeout has passed, and there is no lease for the rest of the term.
    pub fn transfer_leader(&mut self, to: NodeId, now: Mono) {
        self.clock.observe(now);
        if self.is_leader() && to != self.config.id && self.membership.voters.contains(&to) {
            self.wake(now);
            self.run(|raw| raw.transfer_leader(to.0));
        }
    }

    /// As a follower, asks the leader to hand leadership to this replica.
    pub fn request_leadership(&mut self, now: Mono) {
        self.clock.observe(now);
        if self.is_leader() || self.leader().is_none() || self.is_fenced() {
            return;
        }
        let id = self.config.id.0;
        self.run(|raw| {
            let mut request = eraftpb::Message::default();
            request.set_msg_type(MessageType::MsgTransferLeader);
            request.from = id;
            // It fails only for messages from outside.
            let _ = raw.raft.step(request);
        });
    }

    /// This replica is unfit to lead, for example because its disk stalls: it hands leadership over, or gives it up after
    /// a vote guard at the latest, and does not campaign until `allow_campaign`. It goes on voting and following. The only
    /// voter goes on leading: nobody else could.
    pub fn step_down(&mut self, now: Mono) {
        self.clock.observe(now);
        if self.membership.voters == [self.config.id] {
            return;
        }
        self.may_campaign = false;
        if !self.is_leader() || self.resign_at.is_some() {
            return;
        }
        self.wake(now);
        self.resign_at = Some(self.clock.now + self.config.vote_guard);
        self.find_successor();
    }

    /// Hands leadership to whoever can take it. A group that slept has to hear its followers first.
    pub(super) fn find_successor(&mut self) {
        if self.raw.raft.lead_transferee.is_none()
            && let Some(to) = self.pick_transferee()
        {
            self.transfer_leader(to, self.clock.now);
        }
    }

    /// Takes back `step_down`.
    pub fn allow_campaign(&mut self) {
        self.may_campaign = true;
    }

    /// Follows, without knowing whom.
    pub(super) fn resign(&mut self) {
        self.run(|raw| {
            let term = raw.raft.term;
            raw.raft.become_follower(term, raft::INVALID_ID);
        });
    }

    /// Evidence that the leader crashed, such as its broken connection: this replica campaigns as soon as the vote guard
    /// allows and keeps trying, rather than wait for the election timeout. A leader that goes on speaking ends the suspicion.
    pub fn suspect_leader(&mut self, now: Mono) {
        self.clock.observe(now);
        if self.is_leader() {
            return;
        }
        self.wake(now);
        let rank = self.rank();
        self.clock.suspect(rank);
    }

    /// A message to `peer` was probably lost: probe it before sending more at once.
    pub fn report_unreachable(&mut self, peer: NodeId) {
        if !self.is_fenced() {
            self.run(|raw| raw.report_unreachable(peer.0));
        }
    }

    /// The snapshot that was asked for in `snapshot_wanted` is about to be sent: `meta` says where it stands. The group
    /// emits the message of kind `Snapshot` for it, to be stepped at the receiver once the data is there.
    pub fn provide_snapshot(&mut self, to: NodeId, meta: SnapshotMeta) {
        if !self.is_leader() || self.raw.raft.prs().get(to.0).is_none() {
            return;
        }
        if self.includes_promises(to, meta.index) {
            self.raw.mut_store().offer(to, meta);
            self.send_snapshot_to(to);
        } else {
            // It was taken before the peer lost its memory: a later one is asked for.
            self.snapshots_asked.remove(&to);
        }
    }

    /// How sending a snapshot ended. Until this, nothing else is sent to that peer.
    pub fn report_snapshot(&mut self, to: NodeId, ok: bool) {
        self.snapshots_asked.remove(&to);
        if !self.is_fenced() {
            let status = if ok { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
            self.run(|raw| raw.report_snapshot(to.0, status));
        }
    }

    pub(super) fn snapshots_to_ask(&mut self) -> Vec<NodeId> {
        let wanted = self.raw.store().take_wanted();
        if !self.is_leader() {
            return Vec::new();
        }
        wanted.into_iter().filter(|id| self.may_rejoin(*id) && self.snapshots_asked.insert(*id)).collect()
    }
}
