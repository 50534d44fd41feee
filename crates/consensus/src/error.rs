//! What can go wrong, as answers to the caller's question: retry, go elsewhere, or stop.

use crate::config::ConfigError;
use crate::log::LogUnavailable;
use stdx::NodeId;

/// Why a message was not processed. The replica is unharmed unless it says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It is addressed to another node, or claims to come from this one.
    #[error("message from {from} to {to} was delivered to {here}")]
    WrongReceiver {
        /// The sender it names.
        from: NodeId,
        /// The receiver it names.
        to: NodeId,
        /// This replica.
        here: NodeId,
    },
    /// No correct peer sends this.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// An answer from a node that is no member (any more).
    #[error("{0} is not a member of the group")]
    UnknownPeer(NodeId),
    /// The leader counts on entries that this replica confirmed and does not have: its disk lost acknowledged data.
    /// Fence the replica and rebuild it from its peers.
    #[error(
        "the leader knows that this replica stored entry {expected}, but its log ends at {last}: acknowledged entries were lost"
    )]
    LogLost {
        /// An entry that was confirmed.
        expected: u64,
        /// The last entry that is there.
        last: u64,
    },
    /// The log could not be read: this replica takes no part until it is rebuilt.
    #[error("the replica is fenced: {0}")]
    Fenced(LogUnavailable),
}

/// Why nothing was proposed. Nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Go to the leader, where it is known.
    #[error("not the leader")]
    NotLeader {
        /// Who leads, as far as this replica knows.
        leader: Option<NodeId>,
    },
    /// Too much waits to be committed: back off and retry.
    #[error("too much is waiting to be committed")]
    Busy,
    /// Leadership is moving: retry at the next leader.
    #[error("leadership is being transferred")]
    TransferInProgress,
    /// It can never be proposed: it exceeds what may be uncommitted at once.
    #[error("the entry exceeds the limit of uncommitted bytes")]
    TooLarge,
}

/// Why the membership was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// As for any proposal.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    /// An earlier change is not applied yet, or the group is between two memberships: retry later.
    #[error("a membership change is in progress")]
    InProgress,
    /// The change makes no sense for the membership in force.
    #[error("invalid membership change: {0}")]
    Invalid(String),
    /// A snapshot that includes the entry is being installed: stop applying, what was handed out before it is void.
    #[error("a snapshot that includes the entry is being installed")]
    Superseded,
    /// The bytes of the entry are no membership change: the log is not ours.
    #[error("the membership entry cannot be decoded")]
    Undecodable,
}

/// Why a group could not be started from what was restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The configuration is unusable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What was restored contradicts itself: fence the replica.
    #[error("the restored state is inconsistent: {0}")]
    Inconsistent(String),
    /// The log could not be read: fence the replica.
    #[error(transparent)]
    Log(#[from] LogUnavailable),
}
