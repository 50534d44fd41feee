//! Membership changes: our own encoding, and the engine's form in memory.
//!
//! The payload of a membership entry, byte by byte:
//!
//! ```text
//!   version u8 = 1 │ transition u8 │ count varint │ count × ( kind u8 │ node varint )
//! ```
//!
//! An empty payload leaves a joint membership: the engine appends it on its own where it was entered with `Implicit`.

use crate::message::Membership;
use bytes::Bytes;
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};
use std::collections::BTreeSet;
use stdx::NodeId;
use stdx::codec::{DecodeError, Put, Reader};

const VERSION: u8 = 1;

/// Members one change may name: far above any sensible group.
const CHANGES_MAX: u64 = 64;

/// How to get from one membership to the next. Values are persisted: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Transition {
    /// One step where a single voter changes, otherwise as `Implicit`.
    #[default]
    Auto = 0,
    /// Through a joint membership, left automatically.
    Implicit = 1,
    /// Into a joint membership, to be left with `MembershipChange::leave`.
    Explicit = 2,
}

/// What becomes of one node. Values are persisted: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ChangeKind {
    /// It votes.
    Voter = 0,
    /// It only follows.
    Learner = 1,
    /// It leaves.
    Remove = 2,
}

/// A change of membership.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MembershipChange {
    /// How.
    pub transition: Transition,
    /// Who, in order.
    pub changes: Vec<(ChangeKind, NodeId)>,
}

impl MembershipChange {
    /// Several changes at once, through a joint membership where one step would be unsafe.
    #[must_use]
    pub fn new(changes: Vec<(ChangeKind, NodeId)>) -> MembershipChange {
        MembershipChange { transition: Transition::Auto, changes }
    }

    /// Leaves a joint membership.
    #[must_use]
    pub fn leave() -> MembershipChange {
        MembershipChange::default()
    }

    pub(crate) fn is_leave(&self) -> bool {
        self.transition == Transition::Auto && self.changes.is_empty()
    }

    /// The payload of a membership entry.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        if self.is_leave() {
            return Bytes::new();
        }
        let mut out = vec![VERSION, self.transition as u8];
        out.put_varint(self.changes.len() as u64);
        for (kind, node) in &self.changes {
            out.put_u8(*kind as u8);
            out.put_varint(node.0);
        }
        Bytes::from(out)
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// Whatever else it is.
    pub fn decode(data: Bytes) -> Result<MembershipChange, DecodeError> {
        if data.is_empty() {
            return Ok(MembershipChange::leave());
        }
        let mut reader = Reader::new(data);
        if reader.u8()? != VERSION {
            return Err(DecodeError::Malformed("unknown version of a membership change"));
        }
        let transition = match reader.u8()? {
            0 => Transition::Auto,
            1 => Transition::Implicit,
            2 => Transition::Explicit,
            _ => return Err(DecodeError::Malformed("unknown transition")),
        };
        let count = reader.varint()?;
        if count == 0 || count > CHANGES_MAX {
            return Err(DecodeError::Malformed("number of membership changes out of range"));
        }
        let mut changes = Vec::new();
        for _ in 0..count {
            let kind = match reader.u8()? {
                0 => ChangeKind::Voter,
                1 => ChangeKind::Learner,
                2 => ChangeKind::Remove,
                _ => return Err(DecodeError::Malformed("unknown kind of membership change")),
            };
            let node = NodeId(reader.varint()?);
            if node == NodeId(0) {
                return Err(DecodeError::Malformed("node 0 cannot be a member"));
            }
            changes.push((kind, node));
        }
        reader.finish()?;
        Ok(MembershipChange { transition, changes })
    }

    pub(crate) fn to_raft(&self) -> ConfChangeV2 {
        let mut change = ConfChangeV2::default();
        change.set_transition(match self.transition {
            Transition::Auto => ConfChangeTransition::Auto,
            Transition::Implicit => ConfChangeTransition::Implicit,
            Transition::Explicit => ConfChangeTransition::Explicit,
        });
        let single = |(kind, node): &(ChangeKind, NodeId)| {
            let mut single = ConfChangeSingle::default();
            single.set_change_type(match kind {
                ChangeKind::Voter => ConfChangeType::AddNode,
                ChangeKind::Learner => ConfChangeType::AddLearnerNode,
                ChangeKind::Remove => ConfChangeType::RemoveNode,
            });
            single.node_id = node.0;
            single
        };
        change.set_changes(self.changes.iter().map(single).collect::<Vec<_>>().into());
        change
    }
}

impl Membership {
    /// A plain membership of voters.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Membership {
        let mut voters: Vec<NodeId> = voters.into_iter().collect();
        voters.sort_unstable();
        Membership { voters, ..Membership::default() }
    }

    /// Every member once, in order of their ids.
    #[must_use]
    pub fn members(&self) -> Vec<NodeId> {
        let lists = [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next];
        lists.into_iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Whether `id` votes, in either half.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.voters_outgoing.contains(&id)
    }

    /// Whether a joint membership is in force.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Why this cannot be anybody's membership. One without voters is that of a replica that knows nothing yet.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let lists = [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next];
        let has_duplicates = |list: &&Vec<NodeId>| list.iter().collect::<BTreeSet<_>>().len() != list.len();
        let votes = |id: &NodeId| self.is_voter(*id);
        if lists.iter().any(|l| l.contains(&NodeId(0))) {
            Some("node 0 cannot be a member")
        } else if lists.iter().any(has_duplicates) {
            Some("a member is named twice")
        } else if self.voters.is_empty() && self.members().is_empty() {
            None
        } else if self.voters.is_empty() {
            Some("a membership needs a voter")
        } else if self.learners.iter().any(votes) {
            Some("a learner votes")
        } else if self.learners_next.iter().any(|id| self.voters.contains(id) || !self.voters_outgoing.contains(id)) {
            Some("a voter that becomes a learner must be an outgoing one")
        } else if !self.is_joint() && (self.auto_leave || !self.learners_next.is_empty()) {
            Some("a membership that is not joint cannot be left")
        } else {
            None
        }
    }

    pub(crate) fn to_raft(&self) -> ConfState {
        let list = |ids: &[NodeId]| ids.iter().map(|id| id.0).collect::<Vec<u64>>();
        let mut state = ConfState::default();
        state.set_voters(list(&self.voters));
        state.set_learners(list(&self.learners));
        state.set_voters_outgoing(list(&self.voters_outgoing));
        state.set_learners_next(list(&self.learners_next));
        state.auto_leave = self.auto_leave;
        state
    }

    /// Sorted: the engine keeps members in hash order.
    pub(crate) fn from_raft(state: &ConfState) -> Membership {
        let list = |ids: &[u64]| {
            let mut ids: Vec<NodeId> = ids.iter().map(|id| NodeId(*id)).collect();
            ids.sort_unstable();
            ids
        };
        Membership {
            voters: list(state.get_voters()),
            learners: list(state.get_learners()),
            voters_outgoing: list(state.get_voters_outgoing()),
            learners_next: list(state.get_learners_next()),
            auto_leave: state.auto_leave,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ChangeKind, MembershipChange, Transition};
    use crate::message::Membership;
    use bytes::Bytes;
    use stdx::NodeId;

    #[test]
    fn golden_bytes() {
        let change = MembershipChange {
            transition: Transition::Explicit,
            changes: vec![
                (ChangeKind::Voter, NodeId(4)),
                (ChangeKind::Learner, NodeId(300)),
                (ChangeKind::Remove, NodeId(1)),
            ],
        };
        let bytes = change.encode();
        assert_eq!(bytes.as_ref(), [1, 2, 3, 0, 4, 1, 0xac, 2, 2, 1]);
        assert_eq!(MembershipChange::decode(bytes), Ok(change));
        assert_eq!(MembershipChange::decode(Bytes::new()), Ok(MembershipChange::leave()));
    }

    #[test]
    fn hostile_bytes_are_errors() {
        for bytes in [
            &[2u8, 0, 1, 0, 1][..],
            &[1],
            &[1, 3, 1, 0, 1],
            &[1, 0, 0],
            &[1, 0, 1, 3, 1],
            &[1, 0, 1, 0, 0],
            &[1, 0, 1, 0, 1, 9],
        ] {
            assert!(MembershipChange::decode(Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn impossible_memberships_are_named() {
        let ids = |l: &[u64]| l.iter().map(|i| NodeId(*i)).collect::<Vec<_>>();
        let good = Membership { voters: ids(&[1, 2]), learners: ids(&[3]), ..Membership::default() };
        assert_eq!(good.problem(), None);
        assert_eq!(Membership::default().problem(), None);
        assert!(Membership { voters: ids(&[1, 1]), ..Membership::default() }.problem().is_some());
        assert!(Membership { learners: ids(&[1]), ..Membership::default() }.problem().is_some());
        assert!(Membership { learners: ids(&[2]), ..good.clone() }.problem().is_some());
        assert!(Membership { learners_next: ids(&[2]), ..good.clone() }.problem().is_some());
        assert!(Membership { auto_leave: true, ..good }.problem().is_some());
    }
}
