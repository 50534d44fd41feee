//! The group itself: what it is made of, how it starts, what can be asked of it.
//!
//! Every call into the engine goes through `run`, which afterwards draws the consequences of what changed (timers, lease,
//! barriers), collects the messages and checks the invariants.

mod drive;
mod lead;
mod rejoin;
mod settle;

use crate::barrier::Barriers;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::GroupError;
use crate::lease::Lease;
use crate::log::{Log, LogUnavailable, OlderEntries};
use crate::message::{EntryKind, HardState, Membership};
use crate::outbox::Outbox;
use crate::ready::Restored;
use raft::{ProgressState, RawNode, StateRole};
use rejoin::{Newcomer, Rejoined};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use stdx::{Mono, NodeId, Rng};

/// Durable and applied entries kept in memory for followers that lag a little.
const RECENT_BYTES: usize = 4 << 20;

/// Payload bytes of decided entries in one `Ready`; the rest comes with the next.
const COMMITTED_BYTES_MAX: u64 = 8 << 20;

/// Entries read at once when the log's tail is searched at the start.
const SCAN_BYTES: u64 = 1 << 20;

/// What a replica is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether it would be elected.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads its term.
    Leader,
}

/// What a leader knows of one other member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerProgress {
    /// Who.
    pub id: NodeId,
    /// It has the log durably up to here.
    pub matched: u64,
    /// It has confirmed the commit index up to here.
    pub committed: u64,
    /// It answered since the last check for a quorum.
    pub recent_active: bool,
    /// It waits for a snapshot, or for the outcome of one.
    pub snapshot_pending: bool,
    /// It does not vote.
    pub learner: bool,
    /// When the leader sent the latest message that it answered.
    pub heard: Option<Mono>,
}

/// One Raft group's state on this node.
pub struct Group<L: OlderEntries> {
    config: Config,
    raw: RawNode<Log<L>>,
    clock: Clock,
    lease: Lease,
    outbox: Outbox,
    barriers: Barriers,
    membership: Membership,
    /// The hard state as last handed out to be persisted.
    saved: HardState,
    /// Role, term and leader as last told by a `Ready`.
    told: (Role, u64, Option<NodeId>),
    /// Everything up to here was handed out as committed, or is covered by a snapshot handed out.
    emitted: u64,
    /// Snapshots handed out and not persisted: number of the persist, index.
    installs: VecDeque<(u64, u64)>,
    /// The first entry of this leader's term.
    own_first: u64,
    /// Appends were sent up to here.
    broadcast: u64,
    /// Followers were told this commit index.
    commit_told: u64,
    /// Peers whose need for a snapshot was told.
    snapshots_asked: BTreeSet<NodeId>,
    may_campaign: bool,
    resign_at: Option<Mono>,
    /// This replica holds nothing.
    newcomer: Option<Newcomer>,
    /// As leader: members that said that they hold nothing, and those of them that `ready` has not told yet.
    rejoined: BTreeMap<NodeId, Rejoined>,
    rejoined_news: Vec<NodeId>,
    /// Who should lead when it can.
    preferred: Option<NodeId>,
    /// Nodes that had better not lead.
    unfit: BTreeSet<NodeId>,
    asleep: bool,
}

impl<L: OlderEntries> Group<L> {
    /// Starts a replica from what was found on disk. `now` is this process's clock, `rng` its own generator.
    ///
    /// # Errors
    /// When the configuration is unusable, or what was restored contradicts itself or cannot be read: then fence the replica.
    pub fn new(config: &Config, restored: Restored, older: L, mut rng: Rng, now: Mono) -> Result<Group<L>, GroupError> {
        config.validate()?;
        let restored = checked(restored)?;
        let log = Log::new(&restored, older);
        let needs_guard = needs_guard(config.id, &restored, log.older())?;
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&engine_config(config, restored.applied), log, &logger)
            .map_err(|e| GroupError::Inconsistent(e.to_string()))?;
        let newcomer = restored.membership.voters.is_empty().then(|| Newcomer::new(&mut rng));
        let mut group = Group {
            config: config.clone(),
            raw,
            clock: Clock::new(config, rng, now),
            lease: Lease::default(),
            outbox: Outbox::default(),
            barriers: Barriers::default(),
            membership: restored.membership,
            saved: restored.hard_state,
            told: (Role::Follower, restored.hard_state.term, None),
            emitted: restored.applied,
            installs: VecDeque::new(),
            own_first: u64::MAX,
            broadcast: restored.last.0,
            commit_told: restored.hard_state.commit,
            snapshots_asked: BTreeSet::new(),
            may_campaign: true,
            resign_at: None,
            newcomer,
            rejoined: BTreeMap::new(),
            rejoined_news: Vec::new(),
            preferred: None,
            unfit: BTreeSet::new(),
            asleep: false,
        };
        if needs_guard {
            group.clock.guard_for(config.vote_guard);
        }
        // A replica that starts has heard of no leader: if there is one it says so within a heartbeat.
        let rank = group.rank();
        group.clock.suspect(rank);
        group.check_invariants();
        Ok(group)
    }

    /// What this replica is. A fenced one only follows.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.is_fenced() {
            return Role::Follower;
        }
        self.engine_role()
    }

    fn engine_role(&self) -> Role {
        match self.raw.raft.state {
            StateRole::Follower => Role::Follower,
            StateRole::PreCandidate => Role::PreCandidate,
            StateRole::Candidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        }
    }

    fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader && !self.is_fenced()
    }

    /// This replica's node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// The current term.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.raw.raft.term
    }

    /// The leader of the current term, as far as it is known here.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        (self.raw.raft.leader_id != raft::INVALID_ID && !self.is_fenced()).then_some(NodeId(self.raw.raft.leader_id))
    }

    /// Everything up to here is decided.
    #[must_use]
    pub fn commit_index(&self) -> u64 {
        self.raw.raft.raft_log.committed
    }

    /// The state machine was reported to contain everything up to here.
    #[must_use]
    pub fn applied_index(&self) -> u64 {
        self.raw.raft.raft_log.applied
    }

    /// The last entry, durable or not.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        self.raw.raft.raft_log.last_index()
    }

    /// Index and term after which the log begins.
    #[must_use]
    pub fn start(&self) -> (u64, u64) {
        self.raw.store().start()
    }

    /// The term of the entry at `index`, where the log still knows it.
    #[must_use]
    pub fn term_of(&self, index: u64) -> Option<u64> {
        self.raw.raft.raft_log.term(index).ok().filter(|term| *term > 0)
    }

    /// The membership in force here.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Every other member.
    #[must_use]
    pub fn peers(&self) -> Vec<NodeId> {
        self.membership.members().into_iter().filter(|id| *id != self.config.id).collect()
    }

    /// Why this replica takes no part any more: its log could not be read. Drop it and rebuild it from its peers.
    #[must_use]
    pub fn fault(&self) -> Option<LogUnavailable> {
        self.raw.store().fault()
    }

    fn is_fenced(&self) -> bool {
        self.raw.store().is_faulty()
    }

    /// What this leader knows of the others, by id; empty when it does not lead.
    #[must_use]
    pub fn progress(&self) -> Vec<PeerProgress> {
        if !self.is_leader() {
            return Vec::new();
        }
        let peer = |id: NodeId| {
            let progress = self.raw.raft.prs().get(id.0)?;
            Some(PeerProgress {
                id,
                matched: progress.matched,
                committed: progress.committed_index,
                recent_active: progress.recent_active,
                snapshot_pending: progress.state == ProgressState::Snapshot || self.snapshots_asked.contains(&id),
                learner: self.membership.learners.contains(&id),
                heard: self.lease.last_echo(id),
            })
        };
        self.peers().into_iter().filter_map(peer).collect()
    }

    /// The index that every other member has durably; `None` when this replica does not lead or is alone.
    #[must_use]
    pub fn lowest_matched(&self) -> Option<u64> {
        self.progress().iter().map(|p| p.matched).min()
    }

    /// Whether `id` could take over without a noticeable pause: it votes, answers, has everything that is decided, and is
    /// not known to be unfit.
    #[must_use]
    pub fn is_caught_up(&self, id: NodeId) -> bool {
        !self.unfit.contains(&id) && self.candidates().iter().any(|p| p.id == id && p.matched >= self.commit_index())
    }

    /// Whom to hand leadership to: of the voters that answer, the one with the longest log; one that is unfit only if all
    /// of them are.
    #[must_use]
    pub fn pick_transferee(&self) -> Option<NodeId> {
        self.fit_transferee().or_else(|| longest(&self.candidates()))
    }

    /// As `pick_transferee`, and never one that is unfit.
    #[must_use]
    pub fn fit_transferee(&self) -> Option<NodeId> {
        let mut candidates = self.candidates();
        candidates.retain(|p| !self.unfit.contains(&p.id));
        longest(&candidates)
    }

    fn candidates(&self) -> Vec<PeerProgress> {
        let answers =
            |p: &PeerProgress| p.heard.is_some_and(|at| self.clock.now.since(at) < self.config.election_timeout);
        let votes = |p: &PeerProgress| self.membership.voters.contains(&p.id);
        self.progress().into_iter().filter(|p| votes(p) && !p.snapshot_pending && answers(p)).collect()
    }

    /// Until when this leader may serve reads from its applied state, by the clock that `now` is read from: compare with
    /// a fresh reading when the read is served. `None` when it does not lead, has not yet applied an entry of its own
    /// term, was never answered by a quorum, or has begun to hand leadership over in this term: then use `read_barrier`.
    #[must_use]
    pub fn lease_until(&self) -> Option<Mono> {
        if self.applied_index() < self.own_first {
            return None;
        }
        self.lease_end()
    }

    fn lease_end(&self) -> Option<Mono> {
        if !self.is_leader() || self.lease.is_revoked() {
            return None;
        }
        Some(self.lease.start(&self.membership, self.config.id, self.clock.now)? + self.config.lease)
    }

    /// When `tick` will next have something to do, for callers that sleep until then; `None` while hibernating.
    #[must_use]
    pub fn next_tick(&self) -> Option<Mono> {
        (!self.asleep && !self.is_fenced()).then(|| self.clock.now + self.config.tick)
    }

    /// Names the member that should lead when it can: at start and after a crash it campaigns before the others.
    pub fn prefer(&mut self, node: NodeId) {
        self.preferred = Some(node);
        let rank = self.rank();
        self.clock.rank_again(rank);
    }

    /// Names the nodes, possibly this one, that had better not lead, because their disk is full for example. They are handed
    /// no leadership, and campaign after the others.
    pub fn avoid(&mut self, unfit: &BTreeSet<NodeId>) {
        self.unfit.clone_from(unfit);
        // Timeouts differ by up to the configured one: after so long everybody else had a chance.
        let hesitates = unfit.contains(&self.config.id);
        self.clock.hesitation = if hesitates { self.config.election_timeout } else { Duration::ZERO };
        let rank = self.rank();
        self.clock.rank_again(rank);
    }

    /// Where this replica comes when all of them want to succeed the same leader at once. Differs by term and leader, so
    /// that the groups of a dead leader spread over the others.
    fn rank(&self) -> u32 {
        let leader = self.raw.raft.leader_id;
        let voters: Vec<NodeId> = self.membership.voters.iter().copied().filter(|id| id.0 != leader).collect();
        let count = voters.len() as u64;
        let place_of = |id: NodeId| voters.iter().position(|v| *v == id).map(|place| place as u64);
        let Some(place) = place_of(self.config.id) else {
            return 0;
        };
        let rotated = match self.preferred.and_then(place_of) {
            Some(first) => (place + count - first) % count,
            None => (place + self.term() % count + leader % count) % count,
        };
        let behind = if self.unfit.contains(&self.config.id) { count } else { 0 };
        u32::try_from(rotated + behind).unwrap_or(0)
    }
}

fn longest(candidates: &[PeerProgress]) -> Option<NodeId> {
    let most = candidates.iter().map(|p| p.matched).max()?;
    candidates.iter().find(|p| p.matched == most).map(|p| p.id)
}

fn engine_config(config: &Config, applied: u64) -> raft::Config {
    raft::Config {
        id: config.id.0,
        // The engine never ticks; these only have to pass its validation.
        heartbeat_tick: 1,
        election_tick: settle::ENGINE_ELECTION_TICKS,
        applied,
        max_size_per_msg: config.max_message_bytes,
        max_inflight_msgs: config.max_inflight,
        check_quorum: true,
        pre_vote: true,
        // Followers learn what is decided with the next append, or at the next tick.
        skip_bcast_commit: true,
        max_uncommitted_size: config.max_uncommitted_bytes,
        max_committed_size_per_ready: COMMITTED_BYTES_MAX,
        ..raft::Config::default()
    }
}

/// What was restored, with the commit index completed: what was applied was decided, and the commit index may have been
/// written before entries that did not survive.
fn checked(mut restored: Restored) -> Result<Restored, GroupError> {
    let (start, applied, last) = (restored.start, restored.applied, restored.last);
    let inconsistent = |sentence: String| Err(GroupError::Inconsistent(sentence));
    if let Some(problem) = restored.membership.problem() {
        return inconsistent(problem.to_string());
    }
    if start.0 > applied || applied > last.0 {
        return inconsistent(format!("the log holds {} to {}, but {applied} is applied", start.0, last.0));
    }
    if start.1 > last.1 || last.1 > restored.hard_state.term || (start.0 == last.0 && start.1 != last.1) {
        let term = restored.hard_state.term;
        return inconsistent(format!(
            "terms {} at the start, {} at the end and {term} in the hard state",
            start.1, last.1
        ));
    }
    restored.hard_state.commit = restored.hard_state.commit.max(applied).min(last.0);
    Ok(restored)
}

/// Whether a leader may count on this replica although it forgot. Not if it never heard of one, and not if it is and always
/// was the only member: a change of that would be in its log.
fn needs_guard<L: OlderEntries>(id: NodeId, restored: &Restored, older: &L) -> Result<bool, LogUnavailable> {
    let state = restored.hard_state;
    let is_new = restored.start.0 <= 1
        && restored.last == restored.start
        && state.term == restored.start.1
        && state.vote == NodeId(0);
    if is_new {
        return Ok(false);
    }
    if restored.membership.members() != [id] {
        return Ok(true);
    }
    let mut next = restored.applied + 1;
    while next <= restored.last.0 {
        let entries = older.entries(next, restored.last.0 + 1, SCAN_BYTES)?;
        let Some(last) = entries.last() else {
            return Err(LogUnavailable(format!("entry {next} is not there")));
        };
        if entries.iter().any(|e| e.kind == EntryKind::Membership) {
            return Ok(true);
        }
        next = last.index + 1;
    }
    Ok(false)
}
