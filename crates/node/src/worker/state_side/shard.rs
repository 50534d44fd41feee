//! One shard on the state side: evaluation while this replica leads, application always.

use super::pending::{Pending, Waiter};
use crate::io::{ConsensusInput, StateOutput, Task};
use crate::shared::{Local, ShardHandle};
use crate::worker::entry::Payload;
use bytes::Bytes;
use cluster::Layout;
use command::{Fault, Reply, Work};
use consensus::{Entry, EntryKind, Role};
use state::{Env, Evaluated, Leading, Overlay, ProposalBuilder, Transaction, WatchOutcome, Watches, evaluate_read};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use stdx::{Mono, NodeId, Rng, WallMs};
use storage::{Applied, Batch, EngineError, Replica};

/// Entries of one shard on their way at once. A builder stays open while so many are, so that a busy shard makes larger
/// entries instead of more.
const IN_FLIGHT_MAX: usize = 4;
/// An entry is closed at this size, in bytes; one command may exceed it.
const ENTRY_BYTES_TARGET: usize = 1 << 20;
/// Tasks of one shard that may wait for leadership to settle; one more is refused as overload.
const WAITING_MAX: usize = 16_384;
/// Effects of a shard that are proposed and not applied, in bytes: beyond it nothing more is evaluated until some are.
const OVERLAY_BYTES_MAX: usize = 64 << 20;
/// Effects of one step of expiry or of background deletion, in records.
const SWEEP_STEP: usize = 200;

/// The term this replica leads in, and whether it may evaluate yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reign {
    term: u64,
    /// An entry of the term is applied: everything committed before is, too.
    begun: bool,
    /// A proposal was refused, so the overlay was dropped: nothing is evaluated until the rest of the pipeline landed.
    settling: bool,
}

/// One shard.
pub struct Shard<R> {
    node: NodeId,
    pub handle: Arc<ShardHandle>,
    pub replica: Arc<Replica>,
    reign: Option<Reign>,
    /// Counts evaluations that started from applied state alone: proposals of an earlier one are void once one of them
    /// was refused.
    epoch: u64,
    leader: Option<NodeId>,
    overlay: Overlay,
    watches: Watches,
    builder: Option<(ProposalBuilder, Vec<Waiter<R>>)>,
    next_sequence: u64,
    pub pending: Pending<R>,
    waiting: VecDeque<Task<R>>,
    /// Replies that wait for proof that this replica still led after they were evaluated, by token. What was
    /// acknowledged before is applied here, so the proof makes them linearizable.
    barriers: BTreeMap<u64, Vec<(Task<R>, Reply)>>,
    barrier_wanted: Vec<(Task<R>, Reply)>,
    next_token: u64,
    pub applied: Applied,
    membership: VecDeque<(u64, Bytes)>,
    pub fenced: bool,
    pub sweep_at: Mono,
}

/// What an evaluation step left to do.
type Step = Result<(), EngineError>;

impl<R> Shard<R> {
    /// A shard as found at start.
    pub fn new(node: NodeId, handle: Arc<ShardHandle>, replica: Arc<Replica>) -> Shard<R> {
        let applied = replica.applied();
        handle.set_applied(applied.index);
        let fenced = handle.fenced();
        Shard {
            node,
            handle,
            replica,
            reign: None,
            epoch: 1,
            leader: None,
            overlay: Overlay::new(),
            watches: Watches::new(),
            builder: None,
            next_sequence: 1,
            pending: Pending::default(),
            waiting: VecDeque::new(),
            barriers: BTreeMap::new(),
            barrier_wanted: Vec::new(),
            next_token: 1,
            applied,
            membership: VecDeque::new(),
            fenced,
            sweep_at: Mono(0),
        }
    }

    /// Whether this replica leads and has applied an entry of its own term.
    pub fn leads(&self) -> bool {
        self.reign.is_some_and(|r| r.begun)
    }

    fn evaluates(&self) -> bool {
        self.reign.is_some_and(|r| r.begun && !r.settling) && !self.fenced && self.overlay.bytes() < OVERLAY_BYTES_MAX
    }

    /// Tasks whose answer is still due.
    pub fn unanswered(&self) -> usize {
        let held: usize = self.barriers.values().map(Vec::len).sum();
        let building = self.builder.as_ref().map_or(0, |(_, waiters)| waiters.len());
        self.pending.len() + self.waiting.len() + held + self.barrier_wanted.len() + building
    }

    /// A task arrived.
    pub fn task(
        &mut self,
        task: Task<R>,
        now: Mono,
        wall: WallMs,
        rng: &mut Rng,
        out: &mut Vec<StateOutput<R>>,
    ) -> Step {
        if self.fenced {
            out.push(StateOutput::Reply(task.to, Err(Fault::Fenced)));
            return Ok(());
        }
        if self.evaluates() && self.waiting.is_empty() {
            return self.evaluate(task, now, wall, rng, out);
        }
        // Without leadership a task goes back at once, unless tasks before it may still come back themselves.
        if self.reign.is_none() && !self.pending.has_unplaced() && self.waiting.is_empty() {
            out.push(StateOutput::Bounce(task, self.leader));
        } else if self.waiting.len() >= WAITING_MAX {
            out.push(StateOutput::Reply(task.to, Err(Fault::Overloaded)));
        } else {
            self.waiting.push_back(task);
        }
        Ok(())
    }

    /// Evaluates what waited, or sends it back, as leadership allows.
    pub fn settle(&mut self, now: Mono, wall: WallMs, rng: &mut Rng, out: &mut Vec<StateOutput<R>>) -> Step {
        if let Some(reign) = &mut self.reign
            && reign.settling
            && self.pending.is_empty()
        {
            reign.settling = false;
        }
        while self.evaluates() || (self.reign.is_none() && !self.pending.has_unplaced()) {
            let Some(task) = self.waiting.pop_front() else { break };
            if self.evaluates() {
                self.evaluate(task, now, wall, rng, out)?;
            } else {
                out.push(StateOutput::Bounce(task, self.leader));
            }
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        task: Task<R>,
        now: Mono,
        wall: WallMs,
        rng: &mut Rng,
        out: &mut Vec<StateOutput<R>>,
    ) -> Step {
        if now >= task.deadline {
            out.push(StateOutput::Reply(task.to, Err(Fault::Deadline)));
            return Ok(());
        }
        let env = Env {
            db: task.request.db,
            now_ms: self.handle.time_ms(wall, self.applied.stamp_ms),
            layout: if self.handle.layout == Layout::Sharded {
                state::Layout::Sharded
            } else {
                state::Layout::Colocated
            },
            resp3: task.request.resp >= 3,
        };
        if let Work::Single(command) = &task.request.work
            && command.spec.is_readonly()
            && self.pending.is_empty()
            && self.builder.is_none()
            && let Some(Local { directory, .. }) = &self.handle.local
        {
            let reply = evaluate_read(command, &self.replica.read(), directory, env, rng)?;
            self.reply_as_leader(task, reply, now, out);
            return Ok(());
        }
        let evaluated = self.run(&task, env, rng)?;
        self.answer(task, evaluated, now, out);
        if self.builder.as_ref().is_some_and(|(b, _)| b.size() >= ENTRY_BYTES_TARGET) {
            self.seal(wall, rng, out);
        }
        Ok(())
    }

    fn run(&mut self, task: &Task<R>, env: Env, rng: &mut Rng) -> Result<Evaluated, EngineError> {
        let session = task.request.session;
        if let Work::Transaction { watched: true, .. } = &task.request.work
            && self.watches.take(session, env.now_ms) != WatchOutcome::Clean
        {
            return Ok(Evaluated { reply: Reply::NullArray, effects: false, observed: None });
        }
        let (builder, _) = self.builder.get_or_insert_with(|| (ProposalBuilder::new(self.next_sequence), Vec::new()));
        let base = self.replica.read();
        let on = &mut Leading { base: &base, overlay: &mut self.overlay, watches: &mut self.watches, rng };
        match &task.request.work {
            Work::Single(command) => builder.evaluate(on, env, command),
            Work::Transaction { commands, .. } => builder.execute(on, env, Transaction { commands }),
            Work::Watch { keys } => builder.watch(on, env, session, keys),
            Work::Unwatch => {
                self.watches.unwatch(session);
                Ok(Evaluated { reply: Reply::OK, effects: false, observed: None })
            }
        }
    }

    /// Decides when the reply may leave: with the entry that holds the effects, or with the newest one it depends on, or
    /// at once if leadership is certain.
    fn answer(&mut self, task: Task<R>, evaluated: Evaluated, now: Mono, out: &mut Vec<StateOutput<R>>) {
        let Evaluated { reply, effects, observed } = evaluated;
        if let Some((builder, waiters)) = &mut self.builder {
            if effects || observed == Some(self.next_sequence) {
                waiters.push(Waiter { task, reply, wrote: effects });
                return;
            }
            if builder.is_empty() {
                self.builder = None;
            }
        }
        if observed.is_some() {
            // The newest proposal of the reign comes after what was observed.
            let term = self.reign.map_or(0, |r| r.term);
            match self.pending.join(term, Waiter { task, reply, wrote: false }) {
                Ok(()) => {}
                Err(Waiter { task, reply, .. }) => self.reply_as_leader(task, reply, now, out),
            }
        } else {
            self.reply_as_leader(task, reply, now, out);
        }
    }

    /// A reply that rests on applied state alone leaves at once under a lease, else when leadership is proven.
    fn reply_as_leader(&mut self, task: Task<R>, reply: Reply, now: Mono, out: &mut Vec<StateOutput<R>>) {
        if self.handle.lease_valid(now) {
            out.push(StateOutput::Reply(task.to, Ok(reply)));
        } else {
            self.barrier_wanted.push((task, reply));
        }
    }

    /// Ends a round: proposes what was built, and asks for the proofs that are wanted.
    pub fn advance(&mut self, wall: WallMs, rng: &mut Rng, out: &mut Vec<StateOutput<R>>) {
        if self.builder.is_some() && self.pending.len() < IN_FLIGHT_MAX {
            self.seal(wall, rng, out);
        }
        if !self.barrier_wanted.is_empty() {
            let token = self.next_token;
            self.next_token += 1;
            self.barriers.insert(token, std::mem::take(&mut self.barrier_wanted));
            out.push(StateOutput::Consensus(ConsensusInput::Barrier { shard: self.handle.id, token }));
        }
    }

    fn seal(&mut self, wall: WallMs, rng: &mut Rng, out: &mut Vec<StateOutput<R>>) {
        let Some(Reign { term, .. }) = self.reign else { return };
        let Some((builder, waiters)) = self.builder.take() else { return };
        if builder.is_empty() {
            debug_assert!(waiters.is_empty(), "only effects make a task wait for an entry under construction");
            return;
        }
        let batch = {
            let base = self.replica.read();
            builder.finish(&mut Leading { base: &base, overlay: &mut self.overlay, watches: &mut self.watches, rng })
        };
        self.propose(batch, term, waiters, wall, out);
    }

    fn propose(
        &mut self,
        batch: Batch,
        term: u64,
        waiters: Vec<Waiter<R>>,
        wall: WallMs,
        out: &mut Vec<StateOutput<R>>,
    ) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let stamp = WallMs(self.handle.time_ms(wall, self.applied.stamp_ms));
        let data = Payload { proposer: self.node, sequence, stamp, batch }.encode();
        self.pending.push(sequence, term, waiters);
        let (shard, epoch) = (self.handle.id, self.epoch);
        out.push(StateOutput::Consensus(ConsensusInput::Propose { shard, epoch, sequence, term, entries: vec![data] }));
    }

    /// Proposes a batch that no client asked for (the system shard's own records).
    pub fn propose_own(&mut self, batch: Batch, wall: WallMs, out: &mut Vec<StateOutput<R>>) {
        if let Some(Reign { term, begun: true, .. }) = self.reign {
            self.propose(batch, term, Vec::new(), wall, out);
        }
    }

    /// Deletes what has expired and what was left behind, in bounded steps, when this replica leads and is not busy.
    /// Returns whether more is due.
    pub fn sweep(&mut self, wall: WallMs, rng: &mut Rng) -> Result<bool, EngineError> {
        if !self.evaluates() || self.pending.len() >= IN_FLIGHT_MAX {
            return Ok(false);
        }
        let env = Env {
            db: 0,
            now_ms: self.handle.time_ms(wall, self.applied.stamp_ms),
            layout: if self.handle.layout == Layout::Sharded {
                state::Layout::Sharded
            } else {
                state::Layout::Colocated
            },
            resp3: false,
        };
        let (builder, _) = self.builder.get_or_insert_with(|| (ProposalBuilder::new(self.next_sequence), Vec::new()));
        let base = self.replica.read();
        let on = &mut Leading { base: &base, overlay: &mut self.overlay, watches: &mut self.watches, rng };
        let expired = builder.expire_due(on, env, SWEEP_STEP)?;
        let collected = builder.collect_garbage(on, env, SWEEP_STEP)?;
        if builder.is_empty() {
            self.builder = None;
        }
        Ok(collected.more || expired.next_due_ms.is_some_and(|at| at < env.now_ms))
    }

    /// The role changed.
    pub fn role(&mut self, role: Role, term: u64, leader: Option<NodeId>) {
        self.leader = leader.filter(|l| *l != self.node);
        let reign = (role == Role::Leader).then_some(term);
        if reign.is_some() && reign == self.reign.map(|r| r.term) {
            return;
        }
        self.reset();
        self.watches.clear();
        self.reign = reign.map(|term| Reign { term, begun: false, settling: false });
    }

    /// Drops everything that was evaluated and not proposed, and all that rests on leadership.
    fn reset(&mut self) {
        self.epoch += 1;
        self.overlay.clear();
        let building = self.builder.take().map(|(_, waiters)| waiters).unwrap_or_default();
        let mut back: Vec<Task<R>> = building.into_iter().map(|w| w.task).collect();
        let held = std::mem::take(&mut self.barriers).into_values().flatten().chain(self.barrier_wanted.drain(..));
        back.extend(held.map(|(task, _)| task));
        // They go to the front of what waits, in order: `settle` sends them back or evaluates them again.
        for task in back.into_iter().rev() {
            self.waiting.push_front(task);
        }
    }

    /// The consensus side refused a proposal and so every later one of its epoch: nothing of them will be in the log,
    /// and nothing evaluated on top of them may be.
    pub fn refused(&mut self, sequence: u64, fault: &Fault, out: &mut Vec<StateOutput<R>>) {
        let Some(refused) = self.pending.refused(sequence) else { return };
        self.reset();
        // Those who watch may have seen effects that will never be; they must not find a fresh table either.
        self.watches.spoil();
        if let Some(reign) = &mut self.reign {
            reign.settling = true;
        }
        if matches!(fault, Fault::NotLeader { .. }) {
            for waiter in refused.into_iter().rev() {
                self.waiting.push_front(waiter.task);
            }
        } else {
            out.extend(refused.into_iter().map(|w| StateOutput::Reply(w.task.to, Err(fault.clone()))));
        }
    }

    /// A barrier passed: this replica led after the replies were evaluated.
    pub fn barrier_passed(&mut self, token: u64, out: &mut Vec<StateOutput<R>>) {
        for (task, reply) in self.barriers.remove(&token).unwrap_or_default() {
            out.push(StateOutput::Reply(task.to, Ok(reply)));
        }
    }

    /// A barrier failed.
    pub fn barrier_failed(&mut self, token: u64, out: &mut Vec<StateOutput<R>>) {
        for (task, _) in self.barriers.remove(&token).unwrap_or_default() {
            out.push(StateOutput::Bounce(task, self.leader));
        }
    }

    /// Raft accepted a snapshot whose data is the state here: a fence from before ends.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn accepted(&mut self, index: u64, out: &mut Vec<StateOutput<R>>) -> Step {
        assert!(self.applied.index >= index, "Raft accepts a snapshot only after its data is installed");
        if self.fenced && self.applied.index == index { self.installed(out) } else { Ok(()) }
    }

    /// A membership in force from `index` on, to be stored with the state there.
    pub fn membership(&mut self, index: u64, encoded: Bytes) {
        self.membership.push_back((index, encoded));
    }

    /// Applies committed entries and answers who waited for them.
    ///
    /// # Errors
    /// When the engine fails or an entry does not decode: the replica must be fenced.
    pub fn commit(&mut self, entries: Vec<Entry>, out: &mut Vec<StateOutput<R>>) -> Step {
        let mut batches = Vec::with_capacity(entries.len());
        let mut done = Vec::with_capacity(entries.len());
        let mut applied = self.applied.clone();
        for entry in entries {
            // A snapshot may have brought the replica past entries that the log delivers later.
            if entry.index <= applied.index {
                continue;
            }
            assert_eq!(
                entry.index,
                applied.index + 1,
                "entries are applied one after another, none twice and none left out"
            );
            (applied.index, applied.term) = (entry.index, entry.term);
            let mut payload = None;
            if entry.kind == EntryKind::Normal && !entry.data.is_empty() {
                let mut p = Payload::decode(entry.data)
                    .map_err(|e| EngineError::Damaged(format!("entry {}: {e}", entry.index)))?;
                applied.stamp_ms = applied.stamp_ms.max(p.stamp.0);
                batches.push(std::mem::take(&mut p.batch));
                payload = Some(p);
            }
            while self.membership.front().is_some_and(|(at, _)| *at <= entry.index) {
                if let Some((_, encoded)) = self.membership.pop_front() {
                    applied.membership = encoded;
                }
            }
            done.push((entry.index, entry.term, payload));
        }
        if done.is_empty() {
            return Ok(());
        }
        match &self.handle.local {
            Some(local) => self
                .replica
                .apply_with(&batches, applied.clone(), || batches.iter().for_each(|b| local.directory.observe(b)))?,
            None => self.replica.apply(&batches, applied.clone())?,
        }
        self.applied = applied;
        self.handle.set_applied(self.applied.index);
        for (index, term, payload) in done {
            if let Some(reign) = &mut self.reign
                && reign.term == term
            {
                reign.begun = true;
                if let Some(p) = &payload
                    && p.proposer == self.node
                {
                    self.overlay.retire(p.sequence);
                }
            }
            self.pending.applied(self.node, index, term, payload.as_ref(), |to, outcome| {
                out.push(StateOutput::Reply(to, outcome))
            });
        }
        Ok(())
    }

    /// The replica was replaced by a snapshot.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn installed(&mut self, out: &mut Vec<StateOutput<R>>) -> Step {
        self.applied = self.replica.applied();
        self.handle.set_applied(self.applied.index);
        if let Some(local) = &self.handle.local {
            local.directory.load(&self.replica.read())?;
        }
        self.pending.skipped(self.applied.index, |to, outcome| out.push(StateOutput::Reply(to, outcome)));
        if std::mem::take(&mut self.fenced) {
            self.handle.set_fenced(false);
            out.push(StateOutput::Restored(self.handle.id));
        }
        Ok(())
    }

    /// Gives up on tasks whose deadline passed.
    pub fn expire(&mut self, now: Mono, out: &mut Vec<StateOutput<R>>) {
        self.pending.expire(now, |to, outcome| out.push(StateOutput::Reply(to, outcome)));
        let mut late = Vec::new();
        take_late(&mut self.waiting, now, &mut late);
        for held in self.barriers.values_mut() {
            let (gone, rest): (Vec<_>, Vec<_>) = std::mem::take(held).into_iter().partition(|(t, _)| now >= t.deadline);
            *held = rest;
            late.extend(gone.into_iter().map(|(task, _)| task));
        }
        out.extend(late.into_iter().map(|task| StateOutput::Reply(task.to, Err(Fault::Deadline))));
    }

    /// A session ended.
    pub fn session_closed(&mut self, session: command::SessionId) {
        self.watches.unwatch(session);
    }

    /// Refuses everything from here on: the data is damaged.
    pub fn fence(&mut self, out: &mut Vec<StateOutput<R>>) {
        self.fenced = true;
        self.handle.set_fenced(true);
        self.reign = None;
        self.reset();
        let waiting = std::mem::take(&mut self.waiting);
        out.extend(waiting.into_iter().map(|task| StateOutput::Reply(task.to, Err(Fault::Fenced))));
    }
}

fn take_late<R>(queue: &mut VecDeque<Task<R>>, now: Mono, late: &mut Vec<Task<R>>) {
    if queue.iter().all(|t| now < t.deadline) {
        return;
    }
    for task in std::mem::take(queue) {
        if now >= task.deadline {
            late.push(task);
        } else {
            queue.push_back(task);
        }
    }
}
