//! The leader's lease: how long it may serve reads without asking anybody.
//!
//! Every heartbeat and append carries the leader's clock at sending; a follower that accepts the sender as leader of its
//! term echoes the stamp in its answer. The lease begins at the latest time that a quorum has echoed (the leader itself
//! counts as now), in both halves of a joint membership.
//!
//! Why it is safe: a follower that echoed stamp `s` received it after `s`, and from then on helps nobody else become
//! leader (no vote, no pre-vote, no campaign) for `vote_guard`; after a restart it does not remember, so it stays out for
//! `vote_guard` from its start. Any quorum that could elect another leader contains one of those followers, also across
//! one membership change, and at most one is ever unapplied. So nobody else is elected before `s + vote_guard`, and the
//! lease ends at `s + lease`, earlier by more than clocks drift. Only a transfer of leadership bypasses the guard: from its
//! start the lease is given up for the rest of the term.
//!
//! The stamp is compared with readings of the same clock in the same process only: an answer of the same term can
//! only go to the process that led that term.

use crate::message::Membership;
use std::collections::BTreeMap;
use stdx::{Mono, NodeId};

#[derive(Debug, Default)]
pub(crate) struct Lease {
    stamps: BTreeMap<NodeId, Mono>,
    since: Mono,
    revoked: bool,
}

impl Lease {
    /// Leadership of a new term begins.
    pub fn begin(&mut self, now: Mono) {
        *self = Lease { stamps: BTreeMap::new(), since: now, revoked: false };
    }

    /// When leadership began.
    pub fn since(&self) -> Mono {
        self.since
    }

    /// `from` answered what was sent at `sent_at`. A stamp from the future cannot be ours.
    pub fn echoed(&mut self, from: NodeId, sent_at: u64, now: Mono) {
        if sent_at == 0 || sent_at > now.0 {
            return;
        }
        let stamp = self.stamps.entry(from).or_default();
        *stamp = (*stamp).max(Mono(sent_at));
    }

    /// `peer` does not remember what it echoed.
    pub fn forget(&mut self, peer: NodeId) {
        self.stamps.remove(&peer);
    }

    /// The latest stamp `peer` echoed.
    pub fn last_echo(&self, peer: NodeId) -> Option<Mono> {
        self.stamps.get(&peer).copied()
    }

    /// No lease for the rest of this term.
    pub fn revoke(&mut self) {
        self.revoked = true;
    }

    pub fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// The latest moment by which a quorum had heard from the leader. `None` when a quorum never answered.
    pub fn start(&self, membership: &Membership, leader: NodeId, now: Mono) -> Option<Mono> {
        let heard = |half: &[NodeId]| {
            let stamp = |id: &NodeId| {
                if *id == leader { Some(now) } else { self.stamps.get(id).copied() }
            };
            let quorum = half.len() / 2 + 1;
            let enough = |s: &Mono| half.iter().filter_map(stamp).filter(|other| other >= s).count() >= quorum;
            half.iter().filter_map(stamp).filter(enough).max()
        };
        let incoming = heard(&membership.voters)?;
        if membership.voters_outgoing.is_empty() {
            return Some(incoming);
        }
        Some(incoming.min(heard(&membership.voters_outgoing)?))
    }
}

#[cfg(test)]
mod tests {
    use super::Lease;
    use crate::message::Membership;
    use stdx::{Mono, NodeId};

    fn ids(list: &[u64]) -> Vec<NodeId> {
        list.iter().map(|i| NodeId(*i)).collect()
    }

    #[test]
    fn starts_at_the_stamp_of_a_quorum_in_both_halves() {
        let mut lease = Lease::default();
        lease.begin(Mono(5));
        let mut members = Membership { voters: ids(&[1, 2, 3]), learners: ids(&[9]), ..Membership::default() };
        let now = Mono(1000);
        assert_eq!(lease.start(&members, NodeId(1), now), None);
        lease.echoed(NodeId(9), 900, now);
        assert_eq!(lease.start(&members, NodeId(1), now), None, "a learner protects nothing");
        lease.echoed(NodeId(2), 100, now);
        lease.echoed(NodeId(3), 300, now);
        lease.echoed(NodeId(3), 200, now);
        lease.echoed(NodeId(2), 2000, now);
        assert_eq!(lease.start(&members, NodeId(1), now), Some(Mono(300)));
        members.voters_outgoing = ids(&[2, 4, 5]);
        assert_eq!(lease.start(&members, NodeId(1), now), None);
        lease.echoed(NodeId(4), 50, now);
        assert_eq!(lease.start(&members, NodeId(1), now), Some(Mono(50)));
        let alone = Membership { voters: ids(&[1]), ..Membership::default() };
        assert_eq!(lease.start(&alone, NodeId(1), now), Some(now));
    }
}
