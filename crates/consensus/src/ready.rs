//! What a group is started from and what it wants done.

use crate::barrier::Barrier;
use crate::message::{Entry, HardState, Membership, Message, SnapshotMeta};
use stdx::NodeId;

/// What was found on disk for this replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The last durable hard state.
    pub hard_state: HardState,
    /// The membership in force at `applied`: that of the snapshot or initial configuration, with every membership
    /// entry up to `applied` on top.
    pub membership: Membership,
    /// Index and term after which the log begins.
    pub start: (u64, u64),
    /// Index and term of the last durable entry; `start` when the log is empty.
    pub last: (u64, u64),
    /// The state machine contains everything up to here.
    pub applied: u64,
}

impl Restored {
    /// A founding member of a group. All founders must pass the same membership. Their log begins after a first entry
    /// that does not exist, so that a replica that joins later is sent a snapshot, and with it the membership.
    #[must_use]
    pub fn founder(membership: Membership) -> Restored {
        let hard_state = HardState { term: 1, vote: NodeId(0), commit: 1 };
        Restored { hard_state, membership, start: (1, 1), last: (1, 1), applied: 1 }
    }

    /// A replica that knows nothing and waits for a leader to send it a snapshot. It does not vote or campaign, and what it
    /// answers counts for nothing. Tell the group who its members are (`Group::introduce`).
    #[must_use]
    pub fn joining() -> Restored {
        let hard_state = HardState::default();
        Restored { hard_state, membership: Membership::default(), start: (0, 0), last: (0, 0), applied: 0 }
    }
}

/// Where a proposal was appended. It is decided when an entry at `index` is committed: ours if `term` matches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The leader's term.
    pub term: u64,
    /// The entry's index.
    pub index: u64,
}

/// Something to make durable. Do it in the order of the numbers, each one completely or not at all: `install`, then
/// `hard_state` and `entries`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// To be given to `persisted`. Numbers rise and have gaps.
    pub number: u64,
    /// Consecutive entries; entries from the first one's index on that were there before are replaced.
    pub entries: Vec<Entry>,
    /// The hard state, when it changed. Its commit index must be stored together with `entries`: a replica that restarts
    /// must know as committed any membership change that precedes a later one it holds.
    pub hard_state: Option<HardState>,
    /// The state machine and the log are to be replaced by this snapshot, whose data is already here. The log then
    /// begins after it. Entries handed out before and not yet applied are void. Report it persisted only when the state
    /// machine's switch is durable too: from then on everything up to its index counts as applied.
    pub install: Option<SnapshotMeta>,
}

/// What one round produced. Everything in it must be acted on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ready {
    /// To be sent at once: what they claim is durable already. Any may be lost. A leader's appends are here before its
    /// own disk has the entries (Raft dissertation, 10.2.1); what depends on `persist` is kept back until `persisted`.
    pub messages: Vec<Message>,
    /// To be made durable.
    pub persist: Option<Persist>,
    /// Decided entries, each exactly once and in order. Only entries that are durable *here* are handed out, also on a
    /// leader whose followers were faster: so what is applied is never ahead of the own log.
    pub committed: Vec<Entry>,
    /// Role, term or known leader changed: publish `role`, `leader` and `lease_until` before sending `messages`.
    pub role_changed: bool,
    /// Reads that may be served once the state machine has applied the index.
    pub barriers: Vec<(Barrier, u64)>,
    /// Reads that must start again: leadership was lost.
    pub barriers_lost: Vec<Barrier>,
    /// Peers that lost what they had: a snapshot on its way to one of them is void.
    pub rejoined: Vec<NodeId>,
    /// Peers that need a snapshot: answer with `provide_snapshot`. Repeated while it is not provided.
    pub snapshot_wanted: Vec<NodeId>,
}
