//! What follows from a call into the engine.

use super::{Group, Role};
use crate::convert::message_from_raft;
use crate::log::{Log, OlderEntries};
use crate::message::{Membership, MessageKind};
use raft::RawNode;
use stdx::Mono;

/// The engine restarts its election timer by setting the elapsed ticks to zero. As it never ticks, any other value means
/// that it did not; and this one makes it believe that its own, coarser vote guard has expired.
pub(super) const ENGINE_ELECTION_TICKS: usize = 2;

struct Before {
    role: Role,
    term: u64,
    lease_end: Option<Mono>,
}

impl<L: OlderEntries> Group<L> {
    /// Calls the engine, and draws the consequences.
    pub(super) fn run<R>(&mut self, call: impl FnOnce(&mut RawNode<Log<L>>) -> R) -> R {
        let before = Before { role: self.engine_role(), term: self.term(), lease_end: self.lease_end() };
        self.raw.raft.election_elapsed = ENGINE_ELECTION_TICKS;
        let result = call(&mut self.raw);
        self.collect_messages();
        if self.raw.raft.election_elapsed == 0 {
            self.clock.restart_wait();
        }
        if (before.role, before.term) != (self.engine_role(), self.term()) {
            self.changed_role(&before);
        }
        if self.raw.raft.lead_transferee.is_some() {
            self.lease.revoke();
        }
        self.check_invariants();
        result
    }

    fn changed_role(&mut self, before: &Before) {
        self.clock.draw_timeout();
        if before.role == Role::Leader {
            // Reads may still be served under the old lease by whoever has not seen the change.
            if let Some(end) = before.lease_end {
                self.clock.guard_at_least_until(end);
            }
            self.barriers.lose_all();
            self.own_first = u64::MAX;
            self.resign_at = None;
            self.snapshots_asked.clear();
            self.rejoined.clear();
        }
        match self.engine_role() {
            Role::Leader => {
                self.lease.begin(self.clock.now);
                self.clock.trust();
                self.own_first = self.last_index();
                self.broadcast = self.last_index();
                self.commit_told = self.commit_index();
            }
            Role::Candidate => self.clock.became_candidate(),
            Role::Follower | Role::PreCandidate => {}
        }
    }

    fn collect_messages(&mut self) {
        for message in std::mem::take(&mut self.raw.raft.msgs) {
            let Some(mut message) = message_from_raft(&message) else {
                continue;
            };
            if message.kind == MessageKind::Snapshot {
                message.context = self.life_of(message.to);
                self.raw.mut_store().withdraw(message.to);
                self.snapshots_asked.remove(&message.to);
            }
            self.outbox.push(message);
        }
    }

    pub(super) fn refresh_membership(&mut self) {
        self.membership = Membership::from_raft(&self.raw.raft.prs().conf().to_conf_state());
    }

    /// Also in release: a group that violates one of these must not answer anybody.
    pub(super) fn check_invariants(&self) {
        if self.is_fenced() {
            return;
        }
        let log = &self.raw.raft.raft_log;
        let (start, applied, committed, last) = (self.start().0, log.applied, log.committed, log.last_index());
        let installing = log.unstable_snapshot().is_some() || !self.installs.is_empty();
        assert!(installing || start <= applied, "the log begins after {start}, but only {applied} is applied");
        assert!(applied <= committed, "{applied} is applied, but only {committed} is committed");
        assert!(committed <= last, "{committed} is committed, but the log ends at {last}");
        assert!(log.persisted <= last, "{} is durable, but the log ends at {last}", log.persisted);
        assert!(applied <= self.emitted, "{applied} is applied, but only {} was handed out", self.emitted);
        assert!(
            self.term() >= self.saved.term,
            "term {} is below the one handed out, {}",
            self.term(),
            self.saved.term
        );
    }
}
