//! Inputs that make time and the protocol advance, and the outputs they lead to.

use super::{Group, RECENT_BYTES, Role};
use crate::check::{Here, check};
use crate::convert::{entry_from_raft, hard_state_from_raft, message_to_raft, snapshot_from_raft};
use crate::error::StepError;
use crate::log::OlderEntries;
use crate::message::{Message, MessageKind};
use crate::ready::{Persist, Ready};
use raft::eraftpb::{self, MessageType};
use stdx::{Mono, NodeId};

/// Entries decided and not applied with which a replica may still campaign.
const BACKLOG_MAX: u64 = 1 << 14;

impl<L: OlderEntries> Group<L> {
    /// Time has passed: campaigns, heartbeats, gives up. Call it at any rate; the configured tick is a good one.
    pub fn tick(&mut self, now: Mono) {
        self.clock.observe(now);
        if self.is_fenced() {
            return;
        }
        if self.asleep {
            self.clock.skip();
            return;
        }
        self.clock.count();
        self.tick_newcomer();
        if self.is_leader() { self.tick_leader() } else { self.tick_follower() }
    }

    fn tick_leader(&mut self) {
        if self.resign_at.is_some_and(|at| self.clock.now >= at) {
            self.resign();
            return;
        }
        if self.resign_at.is_some() {
            self.find_successor();
        }
        if self.clock.waited >= self.config.election_timeout {
            self.clock.restart_wait();
            self.snapshots_asked.clear();
            self.run(|raw| {
                let mut check_quorum = eraftpb::Message::default();
                check_quorum.set_msg_type(MessageType::MsgCheckQuorum);
                // It fails only for messages from outside.
                let _ = raw.raft.step(check_quorum);
                raw.raft.abort_leader_transfer();
            });
            if !self.is_leader() {
                return;
            }
        }
        if self.clock.since_heartbeat >= self.config.heartbeat {
            // The rest counts for the next one, but a long pause causes no burst.
            let rest = self.clock.since_heartbeat - self.config.heartbeat;
            self.clock.since_heartbeat = rest.min(self.config.tick);
            self.run(|raw| raw.ping());
        }
        let committed = self.commit_index();
        if committed > self.commit_told {
            self.commit_told = committed;
            self.run(|raw| raw.raft.bcast_append());
        }
    }

    fn tick_follower(&mut self) {
        if self.clock.is_election_due() && self.can_campaign() {
            self.clock.campaigned();
            // It fails only for messages from outside.
            let _ = self.run(|raw| raw.campaign());
        }
    }

    /// A campaign needs the right to vote, and nobody to whom this replica owes patience.
    fn can_campaign(&self) -> bool {
        self.is_fit_to_lead() && self.raw.raft.promotable() && !self.clock.is_guarded()
    }

    /// Also when leadership is handed to it, a leader needs a log that is durable to its end, and to have applied nearly
    /// everything: it could not serve before, and the engine reads all of the rest to look for membership changes.
    fn is_fit_to_lead(&self) -> bool {
        let backlog = self.commit_index() - self.applied_index();
        self.may_campaign && self.is_log_durable() && backlog <= BACKLOG_MAX
    }

    fn is_log_durable(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        log.persisted == log.last_index() && log.unstable_snapshot().is_none()
    }

    /// A message arrived. `now` must have been read after it arrived: an earlier reading would shorten the time for which
    /// this replica protects the sender's lease.
    ///
    /// # Errors
    /// When it was not processed. Apart from `LogLost` and `Fenced`, that is as if it had been lost.
    pub fn step(&mut self, mut message: Message, now: Mono) -> Result<(), StepError> {
        self.clock.observe(now);
        if let Some(fault) = self.fault() {
            return Err(StepError::Fenced(fault));
        }
        if self.is_joining() && message.kind == MessageKind::Heartbeat {
            // The leader counts on what an earlier life confirmed, until it hears that this one holds nothing.
            message.commit = message.commit.min(self.last_index());
        }
        let here = Here { id: self.config.id, term: self.term(), is_leader: self.is_leader(), last: self.last_index() };
        check(&message, &here)?;
        self.wake(now);
        if message.kind == MessageKind::Joining {
            self.heard_newcomer(&message);
            return Ok(());
        }
        if self.ignores(&message) {
            return Ok(());
        }
        let (kind, from, term, sent_at) = (message.kind, message.from, message.term, message.sent_at);
        if kind == MessageKind::RequestPreVoteResponse && message.reject && term < self.term() {
            // The engine drops refusals from lower terms, and with them the news of what is decided. A replica that needs the
            // vote of one with a lower term and a longer log, which is no voter any more, would wait for ever.
            message.term = self.term();
        }
        let mark = self.outbox.mark();
        let Some(message) = message_to_raft(message) else { return Ok(()) };
        let outcome = self.run(|raw| raw.step(message));
        if let Some(fault) = self.fault() {
            return Err(StepError::Fenced(fault));
        }
        outcome.map_err(|_| StepError::UnknownPeer(from))?;
        let of_this_term = self.term() == term;
        match kind {
            MessageKind::Append | MessageKind::Heartbeat | MessageKind::Snapshot
                if of_this_term && self.leader() == Some(from) =>
            {
                self.clock.heard_leader();
                self.echo(mark, from, sent_at);
                self.after_leader_spoke(from, mark);
            }
            MessageKind::AppendResponse | MessageKind::HeartbeatResponse if of_this_term && self.is_leader() => {
                self.lease.echoed(from, sent_at, self.clock.now);
            }
            _ => {}
        }
        if kind == MessageKind::Snapshot {
            self.refresh_membership();
        }
        Ok(())
    }

    /// Whether the engine must not see a message.
    fn ignores(&self, message: &Message) -> bool {
        if self.is_kept_from_newcomer(message) || self.is_of_earlier_life(message) {
            return true;
        }
        match message.kind {
            // The engine checks this only for higher terms, and counts it in ticks.
            MessageKind::RequestVote | MessageKind::RequestPreVote => {
                let bypasses = message.context.as_ref() == raft::CAMPAIGN_TRANSFER;
                message.term >= self.term() && !bypasses && self.is_guarded()
            }
            // Votes are asked for when the log is durable; the engine counts on that when it is elected.
            MessageKind::RequestVoteResponse | MessageKind::RequestPreVoteResponse => !self.is_log_durable(),
            MessageKind::TimeoutNow => !self.is_fit_to_lead(),
            // The engine would forward it, and does not survive that for messages from outside.
            MessageKind::TransferLeader => !self.is_leader(),
            _ => false,
        }
    }

    /// Whether this replica owes a leader, possibly itself, not to help elect another one.
    fn is_guarded(&self) -> bool {
        if self.clock.is_guarded() {
            return true;
        }
        if !self.is_leader() {
            return false;
        }
        let confirmed = self.lease.start(&self.membership, self.config.id, self.clock.now).unwrap_or_default();
        self.clock.now < confirmed.max(self.lease.since()) + self.config.vote_guard
    }

    /// Gives the leader its stamp back in the answers since `mark`.
    fn echo(&mut self, mark: usize, leader: NodeId, sent_at: u64) {
        let term = self.term();
        for answer in self.outbox.fresh_since(mark) {
            let is_answer = matches!(answer.kind, MessageKind::AppendResponse | MessageKind::HeartbeatResponse);
            if is_answer && answer.to == leader && answer.term == term {
                answer.sent_at = sent_at;
            }
        }
    }

    /// Everything in the persist of that number, and all before it, is durable. What depended on it is in the next `ready`.
    pub fn persisted(&mut self, number: u64, now: Mono) {
        self.clock.observe(now);
        self.outbox.durable(number);
        if self.is_fenced() {
            return;
        }
        self.run(|raw| raw.on_persist_ready(number));
        while let Some((_, index)) = self.installs.front().copied().filter(|(n, _)| *n <= number) {
            self.installs.pop_front();
            if index > self.applied_index() {
                self.run(|raw| raw.advance_apply_to(index));
            }
        }
        self.trim();
    }

    /// The state machine contains everything up to `index`, which was handed out as committed. Membership entries must have
    /// gone through `apply_membership` before.
    pub fn applied(&mut self, index: u64) {
        assert!(index <= self.emitted, "{index} is reported applied, but only {} was handed out", self.emitted);
        if index <= self.applied_index() || self.is_fenced() {
            return;
        }
        self.run(|raw| raw.advance_apply_to(index));
        self.trim();
    }

    /// The log begins after `index`, which is applied and durably part of the state machine: older entries are gone.
    pub fn compact(&mut self, index: u64, term: u64) {
        if index <= self.start().0 || self.is_fenced() {
            return;
        }
        assert!(
            index <= self.applied_index(),
            "the log cannot begin after {index}: only {} is applied",
            self.applied_index()
        );
        self.raw.mut_store().compact(index, term);
        self.check_invariants();
    }

    fn trim(&mut self) {
        let log = &self.raw.raft.raft_log;
        let limit = log.applied.min(log.persisted);
        self.raw.mut_store().trim(limit, RECENT_BYTES);
    }

    /// What is to be done. Call it until there is nothing; act on every one in order.
    pub fn ready(&mut self, now: Mono) -> Option<Ready> {
        self.clock.observe(now);
        if self.is_fenced() {
            return None;
        }
        self.send_appends();
        self.begin_round();
        self.ask_for_rejoined();
        let rejoined = std::mem::take(&mut self.rejoined_news);
        let mut ready = Ready { snapshot_wanted: self.snapshots_to_ask(), rejoined, ..Ready::default() };
        let told = (self.role(), self.term(), self.leader());
        ready.role_changed = told != self.told;
        let engine_has_work = self.raw.has_ready();
        let has_results = self.barriers.has_results() || !self.outbox.is_empty();
        if self.is_fenced()
            || !(engine_has_work
                || has_results
                || ready.role_changed
                || !ready.snapshot_wanted.is_empty()
                || !ready.rejoined.is_empty())
        {
            return None;
        }
        self.told = told;
        if engine_has_work {
            self.take_engine_ready(&mut ready);
        }
        if self.is_fenced() {
            return None;
        }
        (ready.barriers, ready.barriers_lost) = self.barriers.take_results();
        ready.messages = self.outbox.take();
        for message in &mut ready.messages {
            let is_leaders =
                matches!(message.kind, MessageKind::Append | MessageKind::Heartbeat | MessageKind::Snapshot);
            if is_leaders && message.sent_at == 0 {
                message.sent_at = self.clock.now.0;
            }
        }
        self.check_invariants();
        Some(ready)
    }

    fn take_engine_ready(&mut self, out: &mut Ready) {
        let mut ready = self.raw.ready();
        for state in ready.take_read_states() {
            self.barriers.complete(&state.request_ctx, state.index);
        }
        out.persist = self.take_persist(&ready);
        out.committed = ready.take_committed_entries().iter().map(entry_from_raft).collect();
        if let Some(last) = out.committed.last() {
            self.emitted = last.index;
        }
        let number = ready.number();
        self.raw.advance_append_async(ready);
        if out.persist.is_none() && !self.outbox.is_waiting() {
            self.run(|raw| raw.on_persist_ready(number));
        }
    }

    /// What must become durable. A bare advance of the commit index need not: it is learned again.
    fn take_persist(&mut self, ready: &raft::Ready) -> Option<Persist> {
        let install = (!ready.snapshot().is_empty()).then(|| snapshot_from_raft(ready.snapshot()));
        let state = hard_state_from_raft(&self.raw.raft.hard_state());
        let changes_vote = (state.term, state.vote) != (self.saved.term, self.saved.vote);
        if install.is_none() && ready.entries().is_empty() && !changes_vote {
            return None;
        }
        let number = ready.number();
        if let Some(meta) = &install {
            self.raw.mut_store().reset(meta.index, meta.term);
            self.installs.push_back((number, meta.index));
            self.emitted = meta.index;
        }
        self.raw.mut_store().append(ready.entries());
        self.outbox.handed_out(number, changes_vote);
        let hard_state = (state != self.saved).then_some(state);
        self.saved = state;
        let entries = ready.entries().iter().map(entry_from_raft).collect();
        Some(Persist { number, entries, hard_state, install })
    }

    /// Stops counting time until `wake` or the next message, proposal or barrier: for groups without traffic whose nodes'
    /// liveness is watched otherwise.
    pub fn hibernate(&mut self) {
        self.asleep = true;
    }

    /// Whether time is not counted.
    #[must_use]
    pub fn is_hibernating(&self) -> bool {
        self.asleep
    }

    /// Counts time again, from now. A leader says at once that it is there.
    pub fn wake(&mut self, now: Mono) {
        self.clock.observe(now);
        if !self.asleep {
            return;
        }
        self.asleep = false;
        self.clock.skip();
        self.clock.since_heartbeat = self.config.heartbeat;
        if self.is_leader() {
            // Followers that woke first must not replace a leader that is about to speak.
            self.clock.guard_for(self.config.vote_guard);
        }
    }

    /// Whether nothing is going on that needs time: everything is durable, applied and known everywhere.
    #[must_use]
    pub fn can_hibernate(&self) -> bool {
        let (last, applied) = (self.last_index(), self.applied_index());
        let settled = applied == last && self.is_log_durable() && self.outbox.is_empty() && !self.outbox.is_waiting();
        let decided = !self.raw.raft.has_pending_conf() && !self.membership.is_joint() && !self.barriers.is_pending();
        let quiet = settled && decided && self.raw.raft.lead_transferee.is_none() && self.resign_at.is_none();
        match self.role() {
            Role::Leader => quiet && self.progress().iter().all(|p| p.matched == last && p.committed == last),
            Role::Follower => quiet && self.leader().is_some(),
            Role::PreCandidate | Role::Candidate => false,
        }
    }
}
