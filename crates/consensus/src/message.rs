//! Messages and log entries of one group as plain values, free of any codec. The peer protocol encodes them.

use bytes::Bytes;
use stdx::NodeId;
use stdx::codec::{DecodeError, Put, Reader};

/// What an entry carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    /// Opaque bytes of the state machine; empty for the entry a new leader begins its term with.
    Normal,
    /// A membership change, in this crate's own encoding.
    Membership,
}

/// One log entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The term of the leader that created it.
    pub term: u64,
    /// Its position, from 1.
    pub index: u64,
    /// What `data` is.
    pub kind: EntryKind,
    /// The payload.
    pub data: Bytes,
}

/// What a replica must never forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    /// The latest term seen.
    pub term: u64,
    /// Whom this replica voted for in `term`; `NodeId(0)` for nobody.
    pub vote: NodeId,
    /// The highest index known to be committed (an optimisation: it may lag).
    pub commit: u64,
}

/// Membership: voters and learners, both halves of a joint configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Membership {
    /// Replicas that vote.
    pub voters: Vec<NodeId>,
    /// Replicas that only follow.
    pub learners: Vec<NodeId>,
    /// The outgoing voters while a joint configuration is in force.
    pub voters_outgoing: Vec<NodeId>,
    /// Voters that become learners when the joint configuration is left.
    pub learners_next: Vec<NodeId>,
    /// Whether a joint configuration is left automatically.
    pub auto_leave: bool,
}

impl Membership {
    /// The bytes kept with the applied state: four lists of node ids, then the flag.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        for list in [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next] {
            out.put_varint(list.len() as u64);
            list.iter().for_each(|id| out.put_varint(id.0));
        }
        out.put_u8(u8::from(self.auto_leave));
        out.into()
    }

    /// Reads what `encode` wrote.
    ///
    /// # Errors
    /// On anything else.
    pub fn decode(bytes: Bytes) -> Result<Membership, DecodeError> {
        let mut r = Reader::new(bytes);
        let mut list = || {
            let n = r.varint()?;
            (0..n).map(|_| r.varint().map(NodeId)).collect::<Result<Vec<_>, _>>()
        };
        let (voters, learners, voters_outgoing, learners_next) = (list()?, list()?, list()?, list()?);
        let auto_leave = r.u8()? != 0;
        r.finish()?;
        Ok(Membership { voters, learners, voters_outgoing, learners_next, auto_leave })
    }
}

/// Where a snapshot of the state machine stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SnapshotMeta {
    /// The last entry it includes.
    pub index: u64,
    /// That entry's term.
    pub term: u64,
    /// The membership in force at `index`.
    pub membership: Membership,
}

/// The kinds of message. Values are wire tags: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum MessageKind {
    /// Entries to append (or an empty probe).
    Append = 1,
    /// Answer to `Append`.
    AppendResponse = 2,
    /// A candidate asks for a vote.
    RequestVote = 3,
    /// Answer to `RequestVote`.
    RequestVoteResponse = 4,
    /// "Here is where my snapshot stands": its data travels outside Raft.
    Snapshot = 5,
    /// The leader is alive.
    Heartbeat = 6,
    /// Answer to `Heartbeat`.
    HeartbeatResponse = 7,
    /// "Campaign at once": leadership is being transferred to the receiver.
    TimeoutNow = 8,
    /// "Would you vote for me?", without raising the term.
    RequestPreVote = 9,
    /// Answer to `RequestPreVote`.
    RequestPreVoteResponse = 10,
    /// A follower asks its leader to hand leadership to it.
    TransferLeader = 11,
    /// "I hold nothing of this group: do not count on what I confirmed before, and send me a snapshot." `context` tells this
    /// life of the replica from earlier ones; a `Snapshot` for it carries the same.
    Joining = 12,
}

/// Bytes of the number that tells lives of a joining replica apart.
pub(crate) const LIFE_BYTES: usize = 8;

/// One message between two replicas of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The kind.
    pub kind: MessageKind,
    /// Sender.
    pub from: NodeId,
    /// Receiver.
    pub to: NodeId,
    /// The sender's term (or the prospective one, for a pre-vote).
    pub term: u64,
    /// Term of the entry at `index`.
    pub log_term: u64,
    /// Position the message speaks about.
    pub index: u64,
    /// The sender's commit index.
    pub commit: u64,
    /// Term of the entry at `commit`, where the kind carries it.
    pub commit_term: u64,
    /// Entries of an `Append`, consecutive from `index + 1`.
    pub entries: Vec<Entry>,
    /// Where the snapshot of a `Snapshot` stands.
    pub snapshot: Option<SnapshotMeta>,
    /// Whether a request was refused.
    pub reject: bool,
    /// With a refusal: where the refuser's log may match.
    pub reject_hint: u64,
    /// A request token that comes back in the answer (read barriers, transfer), or the life of a joining replica.
    pub context: Bytes,
    /// The candidate's priority.
    pub priority: i64,
    /// The leader's monotonic clock when it sent this, echoed unchanged by the answer: what leases are measured from. 0 = none.
    pub sent_at: u64,
}

impl Message {
    /// "I hold nothing of this group."
    pub(crate) fn joining(from: NodeId, to: NodeId, term: u64, life: Bytes) -> Message {
        Message {
            kind: MessageKind::Joining,
            from,
            to,
            term,
            log_term: 0,
            index: 0,
            commit: 0,
            commit_term: 0,
            entries: Vec::new(),
            snapshot: None,
            reject: false,
            reject_hint: 0,
            context: life,
            priority: 0,
            sent_at: 0,
        }
    }
}
