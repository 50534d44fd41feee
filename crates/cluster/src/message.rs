//! What nodes say to each other. The encoding lives in `protocol::peer`.

use crate::NamespaceId;
use bytes::Bytes;
use command::{Command, Fault, Reply, SessionId, Work};
use consensus::{Message, SnapshotMeta};
use stdx::{NodeId, ShardId};

/// Work for a shard, from whichever node the client is connected to.
#[derive(Clone, Debug)]
pub struct Request {
    /// The shard it is for.
    pub shard: ShardId,
    /// Who asks.
    pub session: SessionId,
    /// The selected database, 0 to 15 (0 in sharded namespaces).
    pub db: u16,
    /// RESP version of the client, 2 or 3: a few commands nest differently.
    pub resp: u8,
    /// Milliseconds from receipt after which nobody waits for the answer.
    pub timeout_ms: u32,
    /// A read that may be answered from applied state without proof of leadership (READONLY connections).
    pub stale_ok: bool,
    /// What to do.
    pub work: Work,
}

/// The answer to a forwarded request.
#[derive(Clone, Debug)]
pub enum ForwardedReply {
    /// It was carried out.
    Done(Reply),
    /// It was not, or nobody knows.
    Failed(Fault),
    /// Not the answer: it waits for what it did not find, for as long as it wants to. Should it be sent elsewhere later,
    /// it is to be sent as this command, if one is given.
    Waits(Option<Command>),
}

/// Why a wait ends before what it waits for is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Unblock {
    /// The client is gone: nobody will read the answer.
    Gone = 1,
    /// CLIENT UNBLOCK: as if its time were up.
    Timeout = 2,
    /// CLIENT UNBLOCK with an error.
    Error = 3,
    /// The client's node ends.
    Forced = 4,
}

impl Unblock {
    /// The value with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Unblock> {
        [Unblock::Gone, Unblock::Timeout, Unblock::Error, Unblock::Forced].into_iter().find(|u| *u as u8 == number)
    }

    /// What the client is told.
    ///
    /// # Errors
    /// The fault, when the node and not a client ends the wait.
    pub fn answer(self) -> Result<Reply, Fault> {
        match self {
            Unblock::Timeout => Ok(Reply::NullArray),
            Unblock::Error => Ok(Reply::error("UNBLOCKED client unblocked via CLIENT UNBLOCK")),
            Unblock::Gone | Unblock::Forced => Err(Fault::Unblocked),
        }
    }
}

/// Names one snapshot of one shard on the node that offers it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SnapshotId(pub u64);

/// A run of a snapshot's pairs in key order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotChunk {
    /// Keys and values.
    pub pairs: Vec<(Bytes, Bytes)>,
    /// CRC-32C over all pairs (key length, key, value length, value), checked before anything is written.
    pub checksum: u32,
    /// Whether nothing follows.
    pub last: bool,
}

/// Whether a node can lead shards.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Fitness {
    /// It can.
    #[default]
    Fit,
    /// Its disk has no room for entries: it had better lead nothing, and soon it will not follow either.
    Full,
    /// It had better lead nothing: its disk stalls, or it shuts down.
    Unfit,
}

/// A message of pub/sub on its way to those who subscribe. It is delivered at most once and kept nowhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publication {
    /// Whose channel it is.
    pub namespace: NamespaceId,
    /// Whether it is for a shard channel, whose names are apart from those of other channels.
    pub sharded: bool,
    /// The channel.
    pub channel: Bytes,
    /// What is said.
    pub payload: Bytes,
}

/// A message between two nodes. Links may lose messages when they break; nothing relies on delivery.
#[derive(Clone, Debug)]
pub enum PeerMessage {
    /// A Raft message of one shard.
    Raft {
        /// The group.
        shard: ShardId,
        /// The message.
        message: Message,
    },
    /// Sent both ways at the heartbeat interval: "I am alive, and these are the shards I lead, in these terms".
    Liveness {
        /// The sender's monotonic clock, echoed by the answer.
        sent_at: u64,
        /// The receiver's latest `sent_at` as seen here; 0 before the first.
        echo: u64,
        /// Shards led by the sender, with their terms; only when it changed or once in a while (`full`).
        leading: Vec<(ShardId, u64)>,
        /// Whether `leading` is the complete list.
        full: bool,
        /// Version of the sender's cluster map.
        map_version: u64,
        /// Whether the sender can lead.
        fitness: Fitness,
    },
    /// "All your replicas of these groups match mine: let us stop ticking until one of us fails or something happens."
    Hibernate {
        /// Groups with the leader's term and last index.
        shards: Vec<(ShardId, u64, u64)>,
    },
    /// Asks the receiver for its cluster map.
    MapWanted,
    /// A cluster map, JSON.
    Map {
        /// The encoded map.
        json: Bytes,
    },
    /// Work for a shard the receiver is believed to lead.
    Forward {
        /// Chosen by the sender, returned in the answer.
        id: u64,
        /// The work.
        request: Request,
    },
    /// The answer to `Forward`.
    ForwardReply {
        /// As in the request.
        id: u64,
        /// The outcome.
        outcome: ForwardedReply,
    },
    /// Forget a session's watches (its connection closed).
    SessionClosed {
        /// The session.
        session: SessionId,
    },
    /// End a wait of a session, if it still waits.
    Unblock {
        /// The shard it waits on.
        shard: ShardId,
        /// The session.
        session: SessionId,
        /// Which of its waits.
        number: u64,
        /// Why.
        how: Unblock,
    },
    /// For the subscribers on the receiver.
    Publish(Publication),
    /// "You fell behind my log: fetch this snapshot." The Raft message is to be stepped once the data is here.
    SnapshotOffer {
        /// The group.
        shard: ShardId,
        /// The snapshot on the sender.
        id: SnapshotId,
        /// Where it stands.
        meta: SnapshotMeta,
        /// The shard's time stamp at `meta.index`, in wall-clock milliseconds.
        stamp_ms: u64,
        /// The Raft message of kind `Snapshot`.
        message: Message,
    },
    /// Asks for the pairs that follow `after`; sent again after a break: this is how a transfer resumes.
    SnapshotFetch {
        /// The group.
        shard: ShardId,
        /// The snapshot.
        id: SnapshotId,
        /// The last key received; `None` for the beginning.
        after: Option<Bytes>,
        /// Bytes the answer should not exceed (one pair may).
        max_bytes: u32,
    },
    /// Pairs of a snapshot.
    SnapshotData {
        /// The group.
        shard: ShardId,
        /// The snapshot.
        id: SnapshotId,
        /// As asked.
        after: Option<Bytes>,
        /// The pairs.
        chunk: SnapshotChunk,
    },
    /// The snapshot is not held any more; a fresh offer will come.
    SnapshotGone {
        /// The group.
        shard: ShardId,
        /// The snapshot.
        id: SnapshotId,
    },
    /// The receiver of an offer says how it ended.
    SnapshotDone {
        /// The group.
        shard: ShardId,
        /// The snapshot.
        id: SnapshotId,
        /// Who reports.
        node: NodeId,
        /// Whether it was installed.
        installed: bool,
    },
}
