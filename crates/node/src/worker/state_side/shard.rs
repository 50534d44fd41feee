//! One shard on the state side: evaluation while this replica leads, application always.

mod waits;

use super::pending::{Pending, Waiter};
use super::room::Room;
use crate::io::{ConsensusInput, StateOutput, Task};
use crate::shared::{Local, ShardHandle};
use crate::worker::entry::Payload;
use bytes::Bytes;
use cluster::Layout;
use command::{Fault, Reply, Work};
use consensus::{Entry, EntryKind, Role};
use state::{
    Env, Evaluated, Leading, Overlay, ProposalBuilder, ScriptLimits, Scripts, Transaction, WatchOutcome, Watches,
    evaluate_read,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
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
/// How long a leader whose proposals were refused waits before it proposes again.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
/// Effects of one step of expiry or of background deletion, in records.
const SWEEP_STEP: usize = 200;

/// The term this replica leads in, and whether it may evaluate yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reign {
    term: u64,
    /// An entry of the term is applied: everything committed before is, too.
    begun: bool,
    /// A proposal was refused, so the overlay was dropped: nothing is evaluated until the rest of the pipeline landed,
    /// and not before this time: leadership is probably on its way elsewhere, and asking all the time would not speed it up.
    settling: Option<Mono>,
}

/// A reply that waits for proof of leadership.
struct Held<R> {
    waiter: Waiter<R>,
    /// Proposals from this one on were made after it was evaluated: that one of them is committed in its term is proof,
    /// too. And then the task must not be evaluated again, because it would see effects of requests that came later.
    sequence: u64,
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
    scripts: Scripts,
    builder: Option<(ProposalBuilder, Vec<Waiter<R>>)>,
    /// A task in the entry under construction is past its deadline: the entry leaves, and the task is told what became of
    /// it as far as that is known.
    overdue: bool,
    next_sequence: u64,
    pub pending: Pending<R>,
    waiting: VecDeque<Task<R>>,
    /// Blocking commands that found nothing.
    room: Room<R>,
    /// The node ends: nothing waits for long any more.
    draining: bool,
    /// Replies that wait for proof that this replica still led after they were evaluated, by token. What was
    /// acknowledged before is applied here, so the proof makes them linearizable.
    barriers: BTreeMap<u64, Vec<Held<R>>>,
    barrier_wanted: Vec<Held<R>>,
    next_token: u64,
    evaluations: u64,
    pub applied: Applied,
    membership: VecDeque<(u64, Bytes)>,
    pub fenced: bool,
    /// A snapshot was installed since the replica was fenced.
    rebuilt: bool,
    pub sweep_at: Mono,
    /// The position at which a sweep left nothing to do, and when a key of that state expires, in ms.
    swept: Option<(u64, Option<u64>)>,
    /// Applied and flushed positions as last told to the consensus side; `None` when they shall be told again.
    pub told: Option<(u64, u64, u64)>,
}

/// What an evaluation step left to do.
type Step = Result<(), EngineError>;

impl<R: Clone> Shard<R> {
    /// A shard as found at start.
    pub fn new(node: NodeId, handle: Arc<ShardHandle>, replica: Arc<Replica>, scripts: ScriptLimits) -> Shard<R> {
        let applied = replica.applied();
        handle.set_applied(applied.index);
        let (fenced, hash_seed) = (handle.fenced(), replica.hash_seed());
        Shard {
            node,
            handle,
            replica,
            reign: None,
            epoch: 1,
            leader: None,
            overlay: Overlay::with_hash_seed(hash_seed),
            watches: Watches::new(),
            scripts: Scripts::new(scripts),
            builder: None,
            overdue: false,
            next_sequence: 1,
            pending: Pending::default(),
            waiting: VecDeque::new(),
            room: Room::default(),
            draining: false,
            barriers: BTreeMap::new(),
            barrier_wanted: Vec::new(),
            next_token: 1,
            evaluations: 0,
            applied,
            membership: VecDeque::new(),
            fenced,
            rebuilt: false,
            sweep_at: Mono(0),
            swept: None,
            told: None,
        }
    }

    /// Whether this replica leads and has applied an entry of its own term.
    pub fn leads(&self) -> bool {
        self.reign.is_some_and(|r| r.begun)
    }

    /// Whether time alone may let it go on.
    pub fn is_settling(&self) -> bool {
        self.overdue || self.reign.is_some_and(|r| r.settling.is_some())
    }

    /// How far this replica has come, when that changed since it was last asked.
    pub fn progress(&mut self) -> Option<ConsensusInput> {
        let flushed = self.replica.flushed();
        let progress = (self.applied.index, flushed.index, flushed.term);
        if self.told.replace(progress) == Some(progress) {
            return None;
        }
        let (shard, applied) = (self.handle.id, self.applied.index);
        Some(ConsensusInput::Applied { shard, applied, flushed: (flushed.index, flushed.term) })
    }

    fn evaluates(&self) -> bool {
        self.reign.is_some_and(|r| r.begun && r.settling.is_none())
            && !self.fenced
            && self.overlay.bytes() < OVERLAY_BYTES_MAX
            && !self.replica.must_wait()
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
            // The leader serves it meanwhile.
            out.push(StateOutput::Bounce(task, self.leader));
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
            && reign.settling.is_some_and(|until| now >= until)
            && self.pending.is_empty()
        {
            reign.settling = None;
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

    fn env(&self, db: u16, resp: u8, wall: WallMs) -> Env {
        let layout = match self.handle.layout {
            Layout::Sharded => state::Layout::Sharded,
            Layout::Colocated | Layout::System => state::Layout::Colocated,
        };
        let proven_ms = self.applied.stamp_ms;
        Env { db, now_ms: self.handle.time_ms(wall, proven_ms), proven_ms, layout, resp3: resp >= 3 }
    }

    fn evaluate(
        &mut self,
        task: Task<R>,
        now: Mono,
        wall: WallMs,
        rng: &mut Rng,
        out: &mut Vec<StateOutput<R>>,
    ) -> Step {
        if let Some(how) = task.ended() {
            out.push(StateOutput::Reply(task.to, how.answer()));
            return Ok(());
        }
        if now >= task.deadline {
            out.push(StateOutput::Reply(task.to, Err(Fault::Deadline)));
            return Ok(());
        }
        self.evaluations += 1;
        let order = self.evaluations;
        let env = self.env(task.request.db, task.request.resp, wall);
        if let Work::Single(command) = &task.request.work
            && command.spec.is_readonly()
            && self.pending.is_empty()
            && self.builder.is_none()
            && let Some(Local { directory, .. }) = &self.handle.local
        {
            let reply = evaluate_read(command, &self.replica.read(), directory, env, rng)?;
            if let Some(reply) = reply {
                self.reply_as_leader(order, task, reply, now, out);
                return Ok(());
            }
        }
        let evaluated = self.run(&task, env, rng)?;
        self.conclude(order, task, evaluated, now, out);
        self.seal_if_large(wall, rng, out);
        // What waits is served behind the command, transaction or script that made it possible.
        self.serve(now, wall, rng, out)
    }

    fn seal_if_large(&mut self, wall: WallMs, rng: &mut Rng, out: &mut Vec<StateOutput<R>>) {
        if self.builder.as_ref().is_some_and(|(b, _)| b.size() >= ENTRY_BYTES_TARGET) {
            self.seal(wall, rng, out);
        }
    }

    fn drop_empty_builder(&mut self) {
        if self.builder.as_ref().is_some_and(|(builder, _)| builder.is_empty()) {
            self.builder = None;
        }
    }

    fn run(&mut self, task: &Task<R>, env: Env, rng: &mut Rng) -> Result<Evaluated, EngineError> {
        let session = task.request.session;
        if let Work::Transaction { watched: true, .. } = &task.request.work
            && self.watches.take(session, env.now_ms) != WatchOutcome::Clean
        {
            return Ok(Evaluated {
                reply: Reply::NullArray,
                effects: false,
                observed: None,
                unproven: false,
                wait: None,
            });
        }
        if let Work::Watch { continues: true, .. } = &task.request.work {
            self.watches.resume(session);
        }
        let (builder, _) = self.builder.get_or_insert_with(|| (ProposalBuilder::new(self.next_sequence), Vec::new()));
        let base = self.replica.read();
        let on = &mut Leading {
            base: &base,
            overlay: &mut self.overlay,
            watches: &mut self.watches,
            awaited: &mut self.room.awaited,
            rng,
            scripts: &mut self.scripts,
        };
        match &task.request.work {
            Work::Single(command) | Work::Blocking { command, .. } => builder.evaluate(on, env, command),
            Work::Transaction { commands, .. } => builder.execute(on, env, Transaction { commands }),
            Work::Watch { keys, .. } => builder.watch(on, env, session, keys),
            Work::Unwatch => {
                self.watches.unwatch(session);
                Ok(Evaluated { reply: Reply::OK, effects: false, observed: None, unproven: false, wait: None })
            }
        }
    }

    /// Decides when the reply may leave: with the entry that holds the effects, or with the newest one it depends on, or
    /// at once if leadership is certain.
    fn answer(&mut self, order: u64, task: Task<R>, evaluated: Evaluated, now: Mono, out: &mut Vec<StateOutput<R>>) {
        let Evaluated { reply, effects, observed, unproven, .. } = evaluated;
        // What was seen of an open proposal may commit under a later leader, which has written more since: without a lease
        // only an entry proposed from here on proves that nobody had by the time of this reply.
        let unproven = unproven || (observed.is_some() && !self.handle.lease_valid(now));
        if let Some((builder, waiters)) = &mut self.builder {
            if unproven {
                builder.prove_time();
            }
            if effects || unproven || observed == Some(self.next_sequence) {
                waiters.push(Waiter { order, task, reply, wrote: effects });
                return;
            }
            self.drop_empty_builder();
        }
        if observed.is_some() {
            // The newest proposal of the reign comes after what was observed.
            let term = self.reign.map_or(0, |r| r.term);
            match self.pending.join(term, Waiter { order, task, reply, wrote: false }) {
                Ok(()) => {}
                Err(Waiter { task, reply, .. }) => self.reply_as_leader(order, task, reply, now, out),
            }
        } else {
            self.reply_as_leader(order, task, reply, now, out);
        }
    }

    /// A reply that rests on applied state alone leaves at once under a lease, else when leadership is proven.
    fn reply_as_leader(&mut self, order: u64, task: Task<R>, reply: Reply, now: Mono, out: &mut Vec<StateOutput<R>>) {
        if self.handle.lease_valid(now) {
            out.push(StateOutput::Reply(task.to, Ok(reply)));
        } else {
            let waiter = Waiter { order, task, reply, wrote: false };
            self.barrier_wanted.push(Held { waiter, sequence: self.next_sequence });
        }
    }

    /// Ends a round: proposes what was built, and asks for the proofs that are wanted.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn advance(&mut self, now: Mono, wall: WallMs, rng: &mut Rng, out: &mut Vec<StateOutput<R>>) -> Step {
        if self.evaluates() {
            // A sweep may have removed what is waited for.
            self.serve(now, wall, rng, out)?;
        }
        if self.may_propose() {
            self.seal(wall, rng, out);
        }
        if !self.barrier_wanted.is_empty() {
            let token = self.next_token;
            self.next_token += 1;
            self.barriers.insert(token, std::mem::take(&mut self.barrier_wanted));
            out.push(StateOutput::Consensus(ConsensusInput::Barrier { shard: self.handle.id, token }));
        }
        Ok(())
    }

    /// Whether the entry under construction may leave. While others are on their way it waits until it answers as many
    /// tasks as they do together: every entry costs a message to each follower, a sync on every replica and the wakes between
    /// threads, so many clients with one command each are better served by few large entries than by many small ones.
    fn may_propose(&self) -> bool {
        let Some((_, waiters)) = &self.builder else { return false };
        let worth_it = self.pending.len() < IN_FLIGHT_MAX && waiters.len() >= self.pending.waiters();
        self.pending.is_empty() || worth_it || self.overdue
    }

    fn seal(&mut self, wall: WallMs, rng: &mut Rng, out: &mut Vec<StateOutput<R>>) {
        let Some(Reign { term, .. }) = self.reign else { return };
        let Some((builder, waiters)) = self.builder.take() else { return };
        self.overdue = false;
        if builder.is_empty() {
            debug_assert!(waiters.is_empty(), "only effects make a task wait for an entry under construction");
            return;
        }
        let batch = {
            let base = self.replica.read();
            builder.finish(&mut Leading {
                base: &base,
                overlay: &mut self.overlay,
                watches: &mut self.watches,
                awaited: &mut self.room.awaited,
                rng,
                scripts: &mut self.scripts,
            })
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
        let (shard, epoch) = (self.handle.id, self.epoch);
        self.pending.push(sequence, epoch, term, waiters);
        out.push(StateOutput::Consensus(ConsensusInput::Propose { shard, epoch, sequence, term, entries: vec![data] }));
    }

    /// Proposes a batch that no client asked for (the system shard's own records).
    pub fn propose_own(&mut self, batch: Batch, wall: WallMs, out: &mut Vec<StateOutput<R>>) {
        if let Some(Reign { term, begun: true, .. }) = self.reign {
            self.propose(batch, term, Vec::new(), wall, out);
        }
    }

    /// Whether a sweep could find something: the shard changed since the last one, or a key has expired.
    pub fn may_sweep(&self, wall: WallMs) -> bool {
        let now_ms = self.handle.time_ms(wall, self.applied.stamp_ms);
        !self.swept.is_some_and(|(at, due)| at == self.applied.index && due.is_none_or(|due| now_ms <= due))
    }

    /// Deletes what has expired and what was left behind, in bounded steps, when this replica leads and is not busy.
    /// Returns whether more is due.
    pub fn sweep(&mut self, wall: WallMs, rng: &mut Rng) -> Result<bool, EngineError> {
        if !self.evaluates() || self.pending.len() >= IN_FLIGHT_MAX {
            return Ok(false);
        }
        let env = self.env(0, 2, wall);
        let (builder, _) = self.builder.get_or_insert_with(|| (ProposalBuilder::new(self.next_sequence), Vec::new()));
        let base = self.replica.read();
        let on = &mut Leading {
            base: &base,
            overlay: &mut self.overlay,
            watches: &mut self.watches,
            awaited: &mut self.room.awaited,
            rng,
            scripts: &mut self.scripts,
        };
        let expired = builder.expire_due(on, env, SWEEP_STEP)?;
        let collected = builder.collect_garbage(on, env, SWEEP_STEP)?;
        if builder.is_empty() {
            self.builder = None;
        }
        let more = collected.more || expired.next_due_ms.is_some_and(|at| at < env.now_ms);
        self.swept = (!more).then_some((self.applied.index, expired.next_due_ms));
        Ok(more)
    }

    /// The role changed.
    pub fn role(&mut self, role: Role, term: u64, leader: Option<NodeId>, now: Mono) {
        self.leader = leader.filter(|l| *l != self.node);
        let reign = (role == Role::Leader).then_some(term);
        if reign.is_some() && reign == self.reign.map(|r| r.term) {
            return;
        }
        self.reset(Vec::new(), now);
        self.watches.clear();
        self.scripts.rest();
        self.swept = None;
        self.reign = reign.map(|term| Reign { term, begun: false, settling: None });
    }

    /// Drops everything that was evaluated and not proposed, and all that rests on leadership. What is to be evaluated again,
    /// with `more`, goes to the front of what waits in the order in which it came: `settle` sends it back or evaluates it. So does
    /// the waiting room: nobody there was told anything.
    fn reset(&mut self, more: Vec<Waiter<R>>, now: Mono) {
        self.epoch += 1;
        self.overlay.clear();
        let mut back = self.builder.take().map(|(_, waiters)| waiters).unwrap_or_default();
        back.extend(more);
        let held: Vec<Held<R>> =
            std::mem::take(&mut self.barriers).into_values().flatten().chain(self.barrier_wanted.drain(..)).collect();
        back.extend(held.into_iter().filter_map(|held| self.without_barrier(held)));
        let mut back: Vec<_> = back.into_iter().map(|waiter| (waiter.order, waiter.task)).collect();
        for (ticket, mut task) in self.room.clear() {
            task.renew(now);
            back.push((ticket, task));
        }
        self.wait_again(back);
    }

    /// To the front of what waits, in the order in which they were evaluated.
    fn wait_again(&mut self, mut back: Vec<(u64, Task<R>)>) {
        back.sort_by_key(|(order, _)| *order);
        for (_, task) in back.into_iter().rev() {
            self.waiting.push_front(task);
        }
    }

    /// The barrier that a reply waits for will not pass. It shares the fate of a later proposal, if one is open: committed in
    /// its term, it is proof as well. Otherwise it is given back, to be evaluated again.
    fn without_barrier(&mut self, held: Held<R>) -> Option<Waiter<R>> {
        let term = self.reign.map_or(0, |r| r.term);
        if self.pending.reaches(term, held.sequence) {
            self.pending.join(term, held.waiter).err()
        } else {
            Some(held.waiter)
        }
    }

    /// An own proposal of this reign was committed: proof for the replies that were evaluated before it was made.
    fn proven(&mut self, sequence: u64, out: &mut Vec<StateOutput<R>>) {
        for held in self.barriers.values_mut() {
            let (proven, rest): (Vec<_>, Vec<_>) =
                std::mem::take(held).into_iter().partition(|held| held.sequence <= sequence);
            *held = rest;
            out.extend(proven.into_iter().map(|h| StateOutput::Reply(h.waiter.task.to, Ok(h.waiter.reply))));
        }
    }

    /// The consensus side refused a proposal and so every later one of its epoch: nothing of them will be in the log,
    /// and nothing evaluated on top of them may be.
    pub fn refused(&mut self, sequence: u64, fault: &Fault, now: Mono, out: &mut Vec<StateOutput<R>>) {
        let Some((epoch, refused)) = self.pending.refused(sequence) else { return };
        let (again, gone) =
            if matches!(fault, Fault::NotLeader { .. }) { (refused, Vec::new()) } else { (Vec::new(), refused) };
        // What a later reign evaluated does not rest on what an earlier one proposed.
        if epoch == self.epoch {
            self.reset(again, now);
            // Those who watch may have seen effects that will never be; they must not find a fresh table either.
            self.watches.spoil();
            if let Some(reign) = &mut self.reign {
                let moving = matches!(fault, Fault::NotLeader { .. });
                reign.settling = Some(if moving { now + REFUSED_PAUSE } else { now });
            }
        } else {
            self.wait_again(again.into_iter().map(|waiter| (waiter.order, waiter.task)).collect());
        }
        out.extend(gone.into_iter().map(|w| StateOutput::Reply(w.task.to, Err(fault.clone()))));
    }

    /// A barrier passed: this replica led after the replies were evaluated.
    pub fn barrier_passed(&mut self, token: u64, out: &mut Vec<StateOutput<R>>) {
        for Held { waiter, .. } in self.barriers.remove(&token).unwrap_or_default() {
            out.push(StateOutput::Reply(waiter.task.to, Ok(waiter.reply)));
        }
    }

    /// A barrier failed.
    pub fn barrier_failed(&mut self, token: u64, out: &mut Vec<StateOutput<R>>) {
        for held in self.barriers.remove(&token).unwrap_or_default() {
            if let Some(waiter) = self.without_barrier(held) {
                out.push(StateOutput::Bounce(waiter.task, self.leader));
            }
        }
    }

    /// Raft accepted a snapshot whose data is the state here: a fence from before ends.
    pub fn accepted(&mut self, index: u64, out: &mut Vec<StateOutput<R>>) {
        assert!(self.applied.index >= index, "Raft accepts a snapshot only after its data is installed");
        if self.fenced && std::mem::take(&mut self.rebuilt) {
            self.fenced = false;
            self.handle.set_fenced(false);
            out.push(StateOutput::Restored(self.handle.id));
        }
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
                    self.proven(p.sequence, out);
                }
            }
            self.pending.applied(self.node, index, term, payload.as_ref(), |to, outcome| {
                out.push(StateOutput::Reply(to, outcome))
            });
        }
        Ok(())
    }

    /// The replica was replaced by a snapshot. One that is fenced stays so until Raft has accepted it.
    ///
    /// # Errors
    /// When the engine cannot read.
    pub fn installed(&mut self, out: &mut Vec<StateOutput<R>>) -> Step {
        self.applied = self.replica.applied();
        self.rebuilt = self.fenced;
        self.handle.set_applied(self.applied.index);
        if let Some(local) = &self.handle.local {
            local.directory.load(&self.replica.read())?;
        }
        self.pending.skipped(self.applied.index, |to, outcome| out.push(StateOutput::Reply(to, outcome)));
        Ok(())
    }

    /// Gives up on tasks whose deadline passed.
    pub fn expire(&mut self, now: Mono, out: &mut Vec<StateOutput<R>>) {
        self.pending.expire(now, |to, outcome| out.push(StateOutput::Reply(to, outcome)));
        self.overdue = self.builder.iter().flat_map(|(_, waiters)| waiters).any(|w| now >= w.task.deadline);
        let mut late = Vec::new();
        take_late(&mut self.waiting, now, &mut late);
        for held in self.barriers.values_mut() {
            let (gone, rest): (Vec<_>, Vec<_>) =
                std::mem::take(held).into_iter().partition(|h| now >= h.waiter.task.deadline);
            *held = rest;
            late.extend(gone.into_iter().map(|h| h.waiter.task));
        }
        out.extend(late.into_iter().map(|task| StateOutput::Reply(task.to, Err(Fault::Deadline))));
    }

    /// A session ended.
    pub fn session_closed(&mut self, session: command::SessionId) {
        self.watches.unwatch(session);
    }

    /// Serves nothing from here on: the data is damaged.
    pub fn fence(&mut self, now: Mono, out: &mut Vec<StateOutput<R>>) {
        (self.fenced, self.rebuilt) = (true, false);
        self.handle.set_fenced(true);
        self.reign = None;
        self.reset(Vec::new(), now);
        let waiting = std::mem::take(&mut self.waiting);
        out.extend(waiting.into_iter().map(|task| StateOutput::Bounce(task, self.leader)));
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
