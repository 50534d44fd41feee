//! Commands that wait: into the waiting room, asked again when their keys were touched, and out of it in every other way.

use super::{Shard, Step};
use crate::io::{StateOutput, Task};
use bytes::Bytes;
use cluster::Unblock;
use command::{Fault, Reply, SessionId, Work};
use state::records::Type;
use state::{Evaluated, Leading, ProposalBuilder, Wait};
use std::time::Duration;
use stdx::{Mono, NodeId, Rng, WallMs};
use storage::EngineError;

/// The error when the waiting room is full.
const ROOM_FULL: &str = "BUSY too many clients wait on this shard; nothing was written, back off and retry";

impl<R: Clone> Shard<R> {
    /// Answers a task that was evaluated, or lets it wait for what it did not find.
    pub(super) fn conclude(
        &mut self,
        order: u64,
        task: Task<R>,
        mut evaluated: Evaluated,
        now: Mono,
        out: &mut Vec<StateOutput<R>>,
    ) {
        let (Some(wait), Some(patience)) = (evaluated.wait.take(), &task.patience) else {
            return self.answer(order, task, evaluated, now, out);
        };
        let until = wait.timeout.and_then(|timeout| end(patience.since, timeout));
        if until.is_some_and(|until| until <= now) {
            // Redis says so whatever the command is.
            evaluated.reply = Reply::NullArray;
            return self.answer(order, task, evaluated, now, out);
        }
        self.drop_empty_builder();
        if self.draining {
            let fault = self.ended_by_drain(&task);
            out.push(StateOutput::Reply(task.to, Err(fault)));
        } else {
            self.enter_room(order, task, wait, until, out);
        }
    }

    fn enter_room(
        &mut self,
        order: u64,
        mut task: Task<R>,
        mut wait: Wait,
        until: Option<Mono>,
        out: &mut Vec<StateOutput<R>>,
    ) {
        // One that its node gave up without our hearing of it.
        if let Some(forgotten) = self.room.remove_session(task.request.session) {
            out.push(StateOutput::Reply(forgotten.to, Err(Fault::Unblocked)));
        }
        let again = wait.again.take();
        if let (Some(again), Work::Blocking { command, .. }) = (&again, &mut task.request.work) {
            *command = again.clone();
        }
        if task.request.session.node != self.node {
            out.push(StateOutput::Waits(task.to.clone(), again));
        }
        if let Err(task) = self.room.enter(order, task, wait, until) {
            out.push(StateOutput::Reply(task.to, Ok(Reply::error(ROOM_FULL))));
        }
    }

    /// Asks those again who wait for keys that were touched, until nothing more follows from that.
    pub(super) fn serve(&mut self, now: Mono, wall: WallMs, rng: &mut Rng, out: &mut Vec<StateOutput<R>>) -> Step {
        while let Some((db, key)) = self.room.awaited.next_touched() {
            let mut after = 0;
            loop {
                let found = self.kind_of(db, &key, wall, rng)?;
                let Some(ticket) = self.room.next(db, &key, after, found) else { break };
                after = ticket;
                self.ask_again(ticket, now, wall, rng, out)?;
            }
        }
        Ok(())
    }

    fn kind_of(&mut self, db: u16, key: &Bytes, wall: WallMs, rng: &mut Rng) -> Result<Option<Type>, EngineError> {
        let env = self.env(db, 2, wall);
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
        let found = builder.kind_of(on, env, key);
        drop(base);
        self.drop_empty_builder();
        found
    }

    fn ask_again(
        &mut self,
        ticket: u64,
        now: Mono,
        wall: WallMs,
        rng: &mut Rng,
        out: &mut Vec<StateOutput<R>>,
    ) -> Step {
        let Some(waiting) = self.room.lift(ticket) else { return Ok(()) };
        if let Some(how) = waiting.task.ended() {
            let task = self.room.leave(ticket, waiting);
            out.push(StateOutput::Reply(task.to, how.answer()));
            return Ok(());
        }
        let env = self.env(waiting.task.request.db, waiting.task.request.resp, wall);
        let touched = self.room.awaited.touched();
        let evaluated = match self.run(&waiting.task, env, rng) {
            Ok(evaluated) => evaluated,
            Err(error) => {
                self.room.put_back(ticket, waiting);
                return Err(error);
            }
        };
        if evaluated.wait.is_some() {
            // It may have noted that it asked, which nobody waits for: two of them would wake each other for ever.
            self.room.awaited.forget_touched(touched);
            self.drop_empty_builder();
            self.room.put_back(ticket, waiting);
            return Ok(());
        }
        let mut task = self.room.leave(ticket, waiting);
        task.renew(now);
        self.answer(ticket, task, evaluated, now, out);
        self.seal_if_large(wall, rng, out);
        Ok(())
    }

    /// Answers those whose time is up: their commands are evaluated once more, so that the answer is true when it is given.
    pub fn end_due_waits(
        &mut self,
        now: Mono,
        wall: WallMs,
        rng: &mut Rng,
        out: &mut Vec<StateOutput<R>>,
    ) -> Result<bool, EngineError> {
        let mut any = false;
        while let Some(mut task) = self.room.remove_due(now) {
            any = true;
            task.renew(now);
            self.task(task, now, wall, rng, out)?;
        }
        Ok(any)
    }

    /// A wait is ended from outside.
    pub fn unblock(&mut self, session: SessionId, number: u64, how: Unblock, out: &mut Vec<StateOutput<R>>) {
        let queued = self.waiting.iter().position(|task| task.is_wait(session, number));
        let task = self.room.remove_wait(session, number).or_else(|| queued.and_then(|at| self.waiting.remove(at)));
        if let Some(task) = task {
            out.push(StateOutput::Reply(task.to, how.answer()));
            return;
        }
        // It was evaluated and is being answered, unless what it found is lost with the proposal.
        self.end_evaluated(how, |task| task.is_wait(session, number));
    }

    /// Nobody at this node is told anything any more.
    pub fn peer_lost(&mut self, node: NodeId, out: &mut Vec<StateOutput<R>>) {
        let is_theirs = |task: &Task<R>| task.request.session.node == node && task.patience.is_some();
        self.end_evaluated(Unblock::Gone, is_theirs);
        self.waiting.iter().filter(|task| is_theirs(task)).for_each(|task| end_wait(task, Unblock::Gone));
        let gone = self.room.remove_node(node);
        out.extend(gone.into_iter().map(|task| StateOutput::Reply(task.to, Err(Fault::Unblocked))));
    }

    fn end_evaluated(&self, how: Unblock, which: impl Fn(&Task<R>) -> bool) {
        let building = self.builder.iter().flat_map(|(_, waiters)| waiters);
        let held = self.barriers.values().flatten().chain(&self.barrier_wanted).map(|held| &held.waiter);
        let evaluated = building.chain(self.pending.iter()).chain(held).map(|waiter| &waiter.task);
        evaluated.filter(|task| which(task)).for_each(|task| end_wait(task, how));
    }

    /// The node ends: nothing waits here any more.
    pub fn drain(&mut self, out: &mut Vec<StateOutput<R>>) {
        self.draining = true;
        for (_, task) in self.room.clear() {
            let fault = self.ended_by_drain(&task);
            out.push(StateOutput::Reply(task.to, Err(fault)));
        }
    }

    /// Other nodes dispatch again what this one gives back.
    fn ended_by_drain(&self, task: &Task<R>) -> Fault {
        if task.request.session.node == self.node { Fault::Unblocked } else { Fault::ShuttingDown }
    }
}

fn end_wait<R>(task: &Task<R>, how: Unblock) {
    if let Some(patience) = &task.patience {
        patience.ended.set(how);
    }
}

/// When a wait ends; `None` beyond what the clock can say.
fn end(since: Mono, timeout: Duration) -> Option<Mono> {
    u64::try_from(timeout.as_nanos()).ok().and_then(|ns| since.0.checked_add(ns)).map(Mono)
}
