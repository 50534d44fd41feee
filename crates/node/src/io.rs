//! The closed input and output enums of a worker's two machines.

use crate::patience::{Ended, Patience};
use bytes::Bytes;
use cluster::{ClusterMap, Fitness, PeerMessage, Request, Unblock};
use command::{Command, Fault, Reply, SessionId, Work};
use consensus::{Entry, Membership, Message, Role, SnapshotMeta};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, ShardId};
use storage::log::WriteSet;

/// A request on its way to an answer. `R` names who waits for it; the shell chooses the type.
#[derive(Clone, Debug)]
pub struct Task<R> {
    /// What to do.
    pub request: Request,
    /// When nobody waits any more.
    pub deadline: Mono,
    /// Who waits.
    pub to: R,
    /// Set where the request may wait for longer than until its deadline.
    pub patience: Option<Patience>,
}

impl<R> Task<R> {
    /// The task for a request that arrived at `now`.
    #[must_use]
    pub fn new(request: Request, now: Mono, to: R) -> Task<R> {
        let patience = match &request.work {
            Work::Blocking { waited_ms, .. } => {
                Some(Patience { since: now - Duration::from_millis(*waited_ms), ended: Ended::default() })
            }
            _ => None,
        };
        let mut task = Task { request, deadline: now, to, patience };
        task.renew(now);
        task
    }

    /// What comes next with it may take as long as it might have taken when the request arrived.
    pub fn renew(&mut self, now: Mono) {
        self.deadline = now + Duration::from_millis(u64::from(self.request.timeout_ms));
    }

    /// How its wait was ended from outside, if it was.
    #[must_use]
    pub fn ended(&self) -> Option<Unblock> {
        self.patience.as_ref().and_then(|p| p.ended.get())
    }

    /// Whether it is this wait of a session.
    #[must_use]
    pub fn is_wait(&self, session: SessionId, wait: u64) -> bool {
        self.request.session == session && matches!(self.request.work, Work::Blocking { number, .. } if number == wait)
    }
}

/// What the consensus side is told.
#[derive(Debug)]
pub enum ConsensusInput {
    /// Time has passed; to be sent at least every `Config::tick`.
    Tick,
    /// A Raft message from a peer.
    Raft(ShardId, Message),
    /// A link to a node broke: evidence that the process died.
    LinkDown(NodeId),
    /// A node is heard again.
    LinkUp(NodeId),
    /// Nothing is heard from a node any more, though its link may stand: groups it leads must tick again.
    Silent(NodeId),
    /// A leader asks its followers to stop ticking for groups at (term, last index).
    Hibernate(NodeId, Vec<(ShardId, u64, u64)>),
    /// Entries for the log of a shard, in order; `sequence` counts the proposals of the shard's state side.
    Propose {
        /// The shard.
        shard: ShardId,
        /// What the proposals were evaluated on: after a refusal, later proposals of the same epoch are refused, too,
        /// because they may build on the one that will never be.
        epoch: u64,
        /// The first proposal's sequence; the rest follow consecutively.
        sequence: u64,
        /// The term in which the proposer believes to lead.
        term: u64,
        /// Encoded entries.
        entries: Vec<Bytes>,
    },
    /// The write set of this ticket is durable.
    Persisted(u64),
    /// The state side has applied a shard up to `applied`, and has `flushed` durably in the engine.
    Applied {
        /// The shard.
        shard: ShardId,
        /// Last applied index.
        applied: u64,
        /// Last index and term the engine holds durably: the log may be truncated up to here.
        flushed: (u64, u64),
    },
    /// The state side wants proof of leadership for reads that arrived before now.
    Barrier {
        /// The shard.
        shard: ShardId,
        /// Returned in `StateEvent::BarrierPassed`.
        token: u64,
    },
    /// The state side took a snapshot that a lagging peer may fetch.
    SnapshotTaken {
        /// The shard.
        shard: ShardId,
        /// The peer.
        to: NodeId,
        /// Where it stands; `None` when none could be taken.
        meta: Option<SnapshotMeta>,
    },
    /// A snapshot's data is installed in the engine; the Raft message may be stepped.
    SnapshotInstalled {
        /// The shard.
        shard: ShardId,
        /// The leader's message of kind `Snapshot`.
        message: Message,
    },
    /// A peer reported how a transfer ended.
    SnapshotReported {
        /// The shard.
        shard: ShardId,
        /// The peer.
        to: NodeId,
        /// Whether it has it.
        installed: bool,
    },
    /// Hand all leaderships to others and take none (drain, or a disk that stalls).
    StepDown,
    /// Leaderships may be taken again.
    Resume,
    /// A node, possibly this one, became fit to lead, or unfit.
    Fitness(NodeId, Fitness),
    /// Hand one leadership to a node.
    Transfer(ShardId, NodeId),
    /// The replica's data is damaged: it forgets everything and is rebuilt from a snapshot of its peers.
    Rebuild(ShardId, String),
    /// The log of this worker has no room (true), or has room again. Without room leaderships go to nodes that have some; if
    /// fewer than a majority have, they stay, and writes are refused.
    DiskFull(bool),
}

/// What the consensus side wants done.
#[derive(Debug)]
pub enum ConsensusOutput {
    /// Send to a peer.
    Send(NodeId, PeerMessage),
    /// Make durable, then answer `Persisted(ticket)`. Tickets rise by one.
    Persist(u64, WriteSet),
    /// Tell the state side.
    State(StateEvent),
}

/// What the consensus side tells the state side.
#[derive(Debug)]
pub enum StateEvent {
    /// The role of the local replica changed.
    Role {
        /// The shard.
        shard: ShardId,
        /// The role.
        role: Role,
        /// The term.
        term: u64,
        /// The leader, if known.
        leader: Option<NodeId>,
    },
    /// Proposals were taken into the leader's log at consecutive positions.
    Proposed {
        /// The shard.
        shard: ShardId,
        /// First sequence.
        sequence: u64,
        /// How many.
        count: u64,
        /// Term.
        term: u64,
        /// Index of the first.
        index: u64,
    },
    /// Proposals from this sequence on were not taken: nothing of them will ever be in the log.
    Refused {
        /// The shard.
        shard: ShardId,
        /// First sequence.
        sequence: u64,
        /// How many.
        count: u64,
        /// Why.
        fault: Fault,
    },
    /// Entries are committed and durable here; consecutive, each emitted once.
    Committed(ShardId, Vec<Entry>),
    /// Everything up to `index` was committed when the barrier was asked for: reads may be served once it is applied.
    BarrierPassed {
        /// The shard.
        shard: ShardId,
        /// As asked.
        token: u64,
        /// The index to wait for.
        index: u64,
    },
    /// The barrier cannot be passed (leadership is lost or in doubt).
    BarrierFailed {
        /// The shard.
        shard: ShardId,
        /// As asked.
        token: u64,
    },
    /// A peer fell behind the log: take a snapshot for it.
    SnapshotWanted(ShardId, NodeId),
    /// The message that announces a snapshot taken before.
    SnapshotAnnounced(ShardId, Message),
    /// The membership in force from the entry at this index on.
    MembershipChanged(ShardId, u64, Membership),
    /// The log of the replica is damaged or lost: nothing of its state may be trusted until a snapshot is installed.
    Damaged(ShardId, String),
    /// Raft accepted the installed snapshot: the replica continues from it.
    SnapshotAccepted(ShardId, SnapshotMeta),
}

/// What the state side is told.
#[derive(Debug)]
pub enum StateInput<R> {
    /// Work from clients and peers, in order of arrival.
    Tasks(Vec<Task<R>>),
    /// From the consensus side.
    Event(StateEvent),
    /// Time has passed (expiry, deadlines); to be sent at least every 50 ms.
    Tick,
    /// A wait is to end, if it still waits here.
    Unblock {
        /// The shard it waits on.
        shard: ShardId,
        /// Whose.
        session: SessionId,
        /// Which of the session's.
        number: u64,
        /// Why.
        how: Unblock,
    },
    /// The link to a node broke, or it is not heard any more: nobody there is told anything, so nothing is to be taken for its
    /// clients.
    PeerLost(NodeId),
    /// A session ended: its watches are dropped.
    SessionClosed(SessionId),
    /// A flush of the engine finished.
    Flushed,
    /// A snapshot message (`SnapshotOffer`, `SnapshotFetch`, `SnapshotData`, `SnapshotGone`, `SnapshotDone`) from a peer.
    Snapshot(NodeId, PeerMessage),
    /// Stop accepting work: what is pending is finished.
    Drain,
}

/// What the state side wants done.
#[derive(Debug)]
pub enum StateOutput<R> {
    /// Answer a waiter.
    Reply(R, Result<Reply, Fault>),
    /// The request of a peer waits here, for as long as it wants to. It is this command by now, if one is given.
    Waits(R, Option<Command>),
    /// This node does not lead the shard: dispatch the task again. Nothing was proposed.
    Bounce(Task<R>, Option<NodeId>),
    /// Tell the consensus side.
    Consensus(ConsensusInput),
    /// Send to a peer (snapshot traffic).
    Send(NodeId, PeerMessage),
    /// The system shard applied a new map.
    MapChanged(Arc<ClusterMap>),
    /// The replica's data is damaged or the engine failed: it is fenced and being rebuilt.
    Fenced(ShardId, String),
    /// A fenced replica was rebuilt.
    Restored(ShardId),
}
