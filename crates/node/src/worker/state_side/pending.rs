//! Proposals whose fate is open. An entry's fate is read from the log, never guessed: committed at its position, or
//! another leader's entry stands there. Only when the deadline passes first is the outcome reported as unknown.

use crate::io::Task;
use crate::worker::entry::Payload;
use command::{Fault, Reply};
use std::collections::VecDeque;
use stdx::{Mono, NodeId};

/// A task that was evaluated and waits for the entry that its answer depends on.
#[derive(Debug)]
pub struct Waiter<R> {
    /// Counts evaluations: tasks that are evaluated again keep the order in which they came.
    pub order: u64,
    /// The task: kept whole, so that it can be dispatched again if nothing was proposed.
    pub task: Task<R>,
    /// What it will be told when the entry is applied.
    pub reply: Reply,
    /// Whether it has effects of its own in the entry (otherwise it only observed).
    pub wrote: bool,
}

#[derive(Debug)]
struct Proposal<R> {
    sequence: u64,
    epoch: u64,
    term: u64,
    index: Option<u64>,
    waiters: Vec<Waiter<R>>,
}

/// Open proposals of one shard in order of sequence.
#[derive(Debug)]
pub struct Pending<R> {
    queue: VecDeque<Proposal<R>>,
}

impl<R> Default for Pending<R> {
    fn default() -> Self {
        Pending { queue: VecDeque::new() }
    }
}

impl<R> Pending<R> {
    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Tasks that wait for open proposals.
    pub fn waiters(&self) -> usize {
        self.queue.iter().map(|p| p.waiters.len()).sum()
    }

    /// Those tasks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Waiter<R>> {
        self.queue.iter().flat_map(|p| &p.waiters)
    }

    /// Whether some proposal has neither a position nor a refusal.
    pub fn has_unplaced(&self) -> bool {
        self.queue.iter().any(|p| p.index.is_none())
    }

    /// A proposal handed to the consensus side.
    pub fn push(&mut self, sequence: u64, epoch: u64, term: u64, waiters: Vec<Waiter<R>>) {
        debug_assert!(self.queue.back().is_none_or(|p| p.sequence < sequence), "sequences rise");
        self.queue.push_back(Proposal { sequence, epoch, term, index: None, waiters });
    }

    /// Whether a proposal of `term` with this sequence or a later one is open.
    pub fn reaches(&self, term: u64, sequence: u64) -> bool {
        self.queue.back().is_some_and(|p| p.term == term && p.sequence >= sequence)
    }

    /// Joins the newest proposal of `term`: the answer leaves when that entry is applied.
    pub fn join(&mut self, term: u64, waiter: Waiter<R>) -> Result<(), Waiter<R>> {
        match self.queue.back_mut() {
            Some(p) if p.term == term => {
                p.waiters.push(waiter);
                Ok(())
            }
            _ => Err(waiter),
        }
    }

    /// Proposals were placed into the log at consecutive positions.
    pub fn placed(&mut self, sequence: u64, count: u64, term: u64, index: u64) {
        for p in self.queue.iter_mut().rev() {
            if p.sequence < sequence {
                break;
            }
            if p.sequence < sequence + count {
                assert_eq!(p.term, term, "a proposal is placed in the term it was made for");
                p.index = Some(index + (p.sequence - sequence));
            }
        }
    }

    /// The proposals of one epoch from `sequence` on will never be in the log: the consensus side takes nothing more of
    /// that epoch. Those of a later one, proposed before the refusal was heard of, stay. Returns the epoch and its tasks in
    /// order, or `None` when they are known to be gone already.
    pub fn refused(&mut self, sequence: u64) -> Option<(u64, Vec<Waiter<R>>)> {
        let epoch = self.queue.iter().find(|p| p.sequence == sequence)?.epoch;
        let void = |p: &Proposal<R>| p.epoch == epoch && p.sequence >= sequence;
        let (gone, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.queue).into_iter().partition(void);
        self.queue = rest;
        Some((epoch, gone.into_iter().flat_map(|p| p.waiters).collect()))
    }

    /// The entry at `index` is applied. Returns who may be answered, and with what.
    pub fn applied(
        &mut self,
        node: NodeId,
        index: u64,
        term: u64,
        payload: Option<&Payload>,
        mut answer: impl FnMut(R, Result<Reply, Fault>),
    ) {
        // An entry of a later term stands here, so what an earlier term had placed here or above will never be: every
        // later leader has this entry (leader completeness).
        let dead = |p: &Proposal<R>| p.term < term && p.index.is_some_and(|at| at >= index);
        if self.queue.iter().any(dead) {
            let (gone, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.queue).into_iter().partition(dead);
            self.queue = rest;
            for waiter in gone.into_iter().flat_map(|p| p.waiters) {
                answer(waiter.task.to, Err(Fault::Overwritten));
            }
        }
        while let Some(front) = self.queue.front() {
            let Some(at) = front.index else { break };
            if at > index {
                break;
            }
            let ours = at == index
                && term == front.term
                && payload.is_some_and(|p| p.proposer == node && p.sequence == front.sequence);
            let Some(done) = self.queue.pop_front() else { break };
            for waiter in done.waiters {
                answer(waiter.task.to, if ours { Ok(waiter.reply) } else { Err(Fault::Overwritten) });
            }
        }
    }

    /// The replica jumped to a snapshot: what stood at or below `index` can no longer be read from the log.
    pub fn skipped(&mut self, index: u64, mut answer: impl FnMut(R, Result<Reply, Fault>)) {
        while self.queue.front().is_some_and(|p| p.index.is_some_and(|at| at <= index)) {
            let Some(done) = self.queue.pop_front() else { break };
            for waiter in done.waiters {
                let fault = if waiter.wrote { Fault::OutcomeUnknown } else { Fault::Deadline };
                answer(waiter.task.to, Err(fault));
            }
        }
    }

    /// Gives up on waiters whose deadline passed; their entries' fate stays open.
    pub fn expire(&mut self, now: Mono, mut answer: impl FnMut(R, Result<Reply, Fault>)) {
        for p in &mut self.queue {
            if p.waiters.iter().all(|w| now < w.task.deadline) {
                continue;
            }
            let (late, waiting) = std::mem::take(&mut p.waiters).into_iter().partition(|w| now >= w.task.deadline);
            p.waiters = waiting;
            let late: Vec<Waiter<R>> = late;
            for waiter in late {
                let fault = if waiter.wrote { Fault::OutcomeUnknown } else { Fault::Deadline };
                answer(waiter.task.to, Err(fault));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pending;

    /// The consensus side may refuse a proposal of a lost term after this node was elected again and proposed more.
    #[test]
    fn a_late_refusal_voids_its_own_epoch_only() {
        let mut pending: Pending<()> = Pending::default();
        pending.push(4, 1, 7, Vec::new());
        pending.push(5, 1, 7, Vec::new());
        pending.push(6, 3, 9, Vec::new());
        pending.placed(6, 1, 9, 100);
        assert!(pending.has_unplaced(), "4 and 5 may still be refused");
        assert!(matches!(pending.refused(4), Some((1, waiters)) if waiters.is_empty()));
        assert_eq!((pending.len(), pending.has_unplaced()), (1, false));
        assert!(pending.refused(5).is_none(), "it went with 4");
    }
}
