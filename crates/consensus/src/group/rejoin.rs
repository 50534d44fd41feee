//! Replicas that hold nothing: those that join, and those that lost their disk and with it what they promised.
//!
//! ```text
//!   newcomer                                  leader
//!      │ Joining(life) ─────────────────────▶ counts nothing that it confirmed before
//!      │                heartbeats ─────────▶ a majority without the newcomer answers: nobody was elected meanwhile
//!      │                                      everything that was decided before is applied
//!      ◀───────────────────── Snapshot(life)  from then on the newcomer is a replica like any other
//! ```
//!
//! Why it is safe. Let the newcomer have confirmed an entry in its earlier life, so that the entry was decided, or voted for a leader.
//! Every majority with the newcomer shares a replica with every majority without it. So the leader that such a majority confirms after
//! the newcomer's loss is the latest that was elected with its vote, and holds every entry that was decided with its help; an entry of
//! the leader's own term is decided, so all of these are among what is decided by then, and the snapshot includes that. Until it is installed
//! the newcomer neither votes nor answers. The number of its life, drawn at each start, tells apart snapshots and answers that were on
//! their way when it lost its memory. Not covered is a vote of the earlier life that arrives after all of this: it was sent over
//! a connection that ended with that life.

use super::Group;
use crate::config::Config;
use crate::log::OlderEntries;
use crate::message::{Message, MessageKind};
use bytes::Bytes;
use raft::ProgressState;
use stdx::{Mono, NodeId, Rng};

/// What a replica that holds nothing knows of itself.
#[derive(Debug)]
pub(super) struct Newcomer {
    /// The number of this life, as it travels.
    life: Bytes,
    /// Who may be told.
    others: Vec<NodeId>,
    /// There is only one other member: whatever was promised, it was promised with that one.
    with_one: bool,
    told_at: Option<Mono>,
}

impl Newcomer {
    pub fn new(rng: &mut Rng) -> Newcomer {
        let life = Bytes::copy_from_slice(&rng.next_u64().to_be_bytes());
        Newcomer { life, others: Vec::new(), with_one: false, told_at: None }
    }
}

/// A member that said it holds nothing, as the leader remembers it for the rest of its term.
#[derive(Debug)]
pub(super) struct Rejoined {
    life: Bytes,
    /// When it said so: what it answers to earlier messages is from an earlier life.
    since: Mono,
    /// What was decided then, an entry of the leader's own term included: its snapshot must hold this.
    target: u64,
}

impl<L: OlderEntries> Group<L> {
    /// Whether this replica holds nothing, and waits for a leader to send it a snapshot.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.newcomer.is_some()
    }

    /// Names the members of the group to a replica that holds nothing, so that it can tell them. Without this it waits until
    /// a leader speaks to it.
    pub fn introduce(&mut self, members: &[NodeId]) {
        let me = self.config.id;
        if let Some(newcomer) = &mut self.newcomer {
            newcomer.others = members.iter().copied().filter(|id| *id != me).collect();
            newcomer.with_one = newcomer.others.len() == 1;
        }
    }

    /// The newcomer says that it is one, until it is none any more.
    pub(super) fn tick_newcomer(&mut self) {
        let interval = telling_interval(&self.config);
        let (now, term, from) = (self.clock.now, self.term().max(1), self.config.id);
        let Some(newcomer) = &mut self.newcomer else { return };
        if newcomer.told_at.is_some_and(|at| now.since(at) < interval) {
            return;
        }
        newcomer.told_at = Some(now);
        for to in &newcomer.others {
            self.outbox.push(Message::joining(from, *to, term, newcomer.life.clone()));
        }
    }

    /// Whether the engine must not see a message, because this replica holds nothing.
    pub(super) fn is_kept_from_newcomer(&self, message: &Message) -> bool {
        let Some(newcomer) = &self.newcomer else { return false };
        match message.kind {
            // It does not remember what it promised.
            MessageKind::RequestVote | MessageKind::RequestPreVote => !newcomer.with_one,
            // A snapshot that was meant for an earlier life says nothing about what this one may have forgotten.
            MessageKind::Snapshot => message.context != newcomer.life,
            _ => false,
        }
    }

    /// After a message of the leader: what a newcomer would answer counts for nothing, so it is not sent.
    pub(super) fn after_leader_spoke(&mut self, from: NodeId, mark: usize) {
        let installs = self.raw.raft.raft_log.unstable_snapshot().is_some();
        let Some(newcomer) = &mut self.newcomer else { return };
        if installs {
            self.newcomer = None;
            // Whomever it voted for in this term: it helps nobody else in it.
            if self.raw.raft.vote == raft::INVALID_ID {
                self.raw.raft.vote = from.0;
            }
            return;
        }
        if !newcomer.with_one {
            self.outbox.forget_since(mark);
        }
        if !newcomer.others.contains(&from) {
            newcomer.others.push(from);
        }
        self.tick_newcomer();
    }

    /// A member says that it holds nothing.
    pub(super) fn heard_newcomer(&mut self, message: &Message) {
        let from = message.from;
        if !self.is_leader() || self.raw.raft.prs().get(from.0).is_none() {
            return;
        }
        if self.rejoined.get(&from).is_some_and(|r| r.life == message.context) {
            return;
        }
        // Of two members, whatever the newcomer promised was promised with this one. And an entry of the own term might never be
        // decided without it.
        let alone = self.peers() == [from];
        let target = if alone { self.commit_index() } else { self.commit_index().max(self.own_first) };
        self.rejoined.insert(from, Rejoined { life: message.context.clone(), since: self.clock.now, target });
        self.rejoined_news.push(from);
        self.snapshots_asked.remove(&from);
        self.raw.mut_store().withdraw(from);
        self.lease.forget(from);
        if let Some(progress) = self.raw.raft.mut_prs().get_mut(from.0) {
            progress.matched = 0;
            progress.committed_index = 0;
            progress.become_probe();
            progress.next_idx = 1;
            progress.recent_active = false;
        }
        // Asks the others at once.
        self.run(|raw| raw.ping());
    }

    /// Whether an answer was given by an earlier life of a member that rejoined. One of a later term confirms nothing: it says
    /// that this leader is none any more, which must be heard from whichever life.
    pub(super) fn is_of_earlier_life(&self, message: &Message) -> bool {
        let is_answer = matches!(message.kind, MessageKind::AppendResponse | MessageKind::HeartbeatResponse);
        is_answer
            && message.term <= self.term()
            && self.rejoined.get(&message.from).is_some_and(|r| message.sent_at < r.since.0)
    }

    /// Asks for the snapshots of those that rejoined and may have one by now.
    pub(super) fn ask_for_rejoined(&mut self) {
        if self.rejoined.is_empty() || !self.is_leader() {
            return;
        }
        let waits = |id: &NodeId| {
            let progress = self.raw.raft.prs().get(id.0);
            // Once a snapshot is sent its next entry is the one after it.
            let probed = progress.is_some_and(|p| p.matched == 0 && p.next_idx == 1 && p.state == ProgressState::Probe);
            probed && !self.snapshots_asked.contains(id) && self.may_rejoin(*id)
        };
        let waiting: Vec<NodeId> = self.rejoined.keys().copied().filter(waits).collect();
        for id in waiting {
            self.send_snapshot_to(id);
        }
    }

    /// Whether what `id` may have promised in an earlier life is covered by this leader's state.
    pub(super) fn may_rejoin(&self, id: NodeId) -> bool {
        let Some(rejoined) = self.rejoined.get(&id) else { return true };
        let answered =
            |v: &NodeId| *v == self.config.id || self.lease.last_echo(*v).is_some_and(|at| at >= rejoined.since);
        let confirmed = |half: &[NodeId]| {
            let others = half.iter().filter(|v| **v != id);
            // All of the others are as good as a majority: nobody is left who could know better.
            let enough = (half.len() / 2 + 1).min(others.clone().count());
            others.filter(|v| answered(v)).count() >= enough
        };
        let members = &self.membership;
        self.applied_index() >= rejoined.target && confirmed(&members.voters) && confirmed(&members.voters_outgoing)
    }

    /// Whether a snapshot at `index` includes what `id` may have promised in an earlier life.
    pub(super) fn includes_promises(&self, id: NodeId, index: u64) -> bool {
        self.rejoined.get(&id).is_none_or(|r| index >= r.target)
    }

    /// The number of the life for which a snapshot is meant.
    pub(super) fn life_of(&self, id: NodeId) -> Bytes {
        self.rejoined.get(&id).map_or_else(Bytes::new, |r| r.life.clone())
    }

    /// Lets the engine send the snapshot that is offered, or ask for one. It sends none to a member that does not answer, which a
    /// newcomer does not.
    pub(super) fn send_snapshot_to(&mut self, to: NodeId) {
        let silent = self.rejoined.contains_key(&to);
        self.run(|raw| {
            let progress = raw.raft.mut_prs().get_mut(to.0).filter(|_| silent);
            let was_active = progress.map(|p| {
                p.resume();
                std::mem::replace(&mut p.recent_active, true)
            });
            raw.raft.send_append(to.0);
            if let (Some(was), Some(progress)) = (was_active, raw.raft.mut_prs().get_mut(to.0)) {
                progress.recent_active = was;
            }
        });
    }
}

/// How often a newcomer says that it is one.
fn telling_interval(config: &Config) -> std::time::Duration {
    config.election_timeout / 2
}
