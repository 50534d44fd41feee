//! Messages on their way out. What a message claims decides what must be durable first:
//!
//! | message | claims | leaves when durable |
//! |---|---|---|
//! | append, heartbeat, snapshot, timeout-now | "I lead this term" | term and vote |
//! | heartbeat answer, transfer request, joining | "I am in this term" | term and vote |
//! | append answer, votes and requests for them | "my log, my vote are so" | everything handed out before |
//!
//! So a leader replicates while its own disk still writes, and a follower confirms heartbeats, which carry leases,
//! without waiting for the entries in front of them.

use crate::message::{Message, MessageKind};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    fresh: Vec<Message>,
    held: BTreeMap<u64, Vec<Message>>,
    released: Vec<Message>,
    /// The newest persist handed out, and the newest that changed term or vote.
    newest: u64,
    newest_vote: u64,
    durable: u64,
}

fn claims_only_its_term(kind: MessageKind) -> bool {
    match kind {
        MessageKind::Append
        | MessageKind::Heartbeat
        | MessageKind::Snapshot
        | MessageKind::TimeoutNow
        | MessageKind::HeartbeatResponse
        | MessageKind::Joining
        | MessageKind::TransferLeader => true,
        MessageKind::AppendResponse
        | MessageKind::RequestVote
        | MessageKind::RequestVoteResponse
        | MessageKind::RequestPreVote
        | MessageKind::RequestPreVoteResponse => false,
    }
}

impl Outbox {
    pub fn push(&mut self, message: Message) {
        self.fresh.push(message);
    }

    /// Answers produced since `mark`, for stamping.
    pub fn fresh_since(&mut self, mark: usize) -> &mut [Message] {
        &mut self.fresh[mark..]
    }

    pub fn mark(&self) -> usize {
        self.fresh.len()
    }

    /// Answers produced since `mark` are not sent.
    pub fn forget_since(&mut self, mark: usize) {
        self.fresh.truncate(mark);
    }

    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.released.is_empty()
    }

    /// Whether something waits for the disk.
    pub fn is_waiting(&self) -> bool {
        self.durable < self.newest
    }

    /// A persist was handed out.
    pub fn handed_out(&mut self, number: u64, changes_vote: bool) {
        assert!(number > self.newest, "persist {number} was handed out after {}", self.newest);
        self.newest = number;
        if changes_vote {
            self.newest_vote = number;
        }
    }

    /// Everything up to `number` is durable.
    pub fn durable(&mut self, number: u64) {
        assert!(number <= self.newest, "persist {number} is reported durable, but only {} was handed out", self.newest);
        self.durable = self.durable.max(number);
        let later = self.held.split_off(&(self.durable + 1));
        self.released.extend(std::mem::replace(&mut self.held, later).into_values().flatten());
    }

    /// What may leave, by receiver, each receiver's in order.
    pub fn take(&mut self) -> Vec<Message> {
        let mut out = std::mem::take(&mut self.released);
        for message in std::mem::take(&mut self.fresh) {
            let needs = if claims_only_its_term(message.kind) { self.newest_vote } else { self.newest };
            if needs <= self.durable {
                out.push(message);
            } else {
                self.held.entry(needs).or_default().push(message);
            }
        }
        // The engine iterates over its peers in the order of a hash table.
        out.sort_by_key(|m| m.to);
        out
    }
}
