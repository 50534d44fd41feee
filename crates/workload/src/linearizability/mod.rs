//! Is a history linearizable? The search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with two
//! ideas of Lowe ("Testing for Linearizability", 2017): what was tried is remembered, as a pair of the operations that
//! took effect and the state they led to; and an operation takes effect no earlier than it must, when its answer, or
//! that of another one, needs it.
//!
//! ```text
//!   beginnings and ends in the order of time
//!     beginning: the operation is open
//!     end of X:  every configuration (state, open operations that took effect) in which X has not taken effect is
//!                replaced by those reached by open operations followed by X; none left: not linearizable
//! ```
//!
//! An operation of unknown outcome has no end. It stays open, and may take effect at any later time or never. So of two
//! configurations that differ only in how many of those took effect, the one with fewer can do all that the other can,
//! and the other is dropped: an unknown write whose value was overwritten costs nothing.

mod frontier;
#[cfg(test)]
mod tests;

use frontier::{Bits, Frontier, MAX_OPEN};
use std::collections::BTreeSet;
use stdx::Mono;

/// Configurations visited for the end of one operation before the search gives up.
const MAX_VISITED: usize = 200_000;

/// Operations named in a failure.
const MAX_NAMED: usize = 12;

/// What the operations should have done, said by a sequential machine.
pub trait Specification {
    /// The state of the object.
    type State: Clone + Ord;
    /// An operation with its answer, if that is known.
    type Call;

    /// The state at the beginning.
    fn initial(&self) -> Self::State;

    /// The state after `call` took effect in `state`; `None` if its answer cannot be given there.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;

    /// Whether the call changes no state whatever.
    fn only_reads(&self, call: &Self::Call) -> bool;

    /// Whether two calls of unknown outcome have the same effect in every state: then only their number matters.
    fn interchangeable(&self, one: &Self::Call, other: &Self::Call) -> bool;
}

/// One operation on the object.
#[derive(Clone, Debug)]
pub struct Event<C> {
    /// What was asked and answered.
    pub call: C,
    /// What the failure calls it: a place in a history.
    pub position: usize,
    /// When it was sent.
    pub invoked: Mono,
    /// When it was answered; `None` if it may take effect at any later time or never.
    pub ended: Option<Mono>,
    /// For an event with an end: another one with an end, earlier in the list, that took effect before it because one
    /// connection sent both.
    pub after: Option<usize>,
}

/// Why a history was not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// No order of the operations explains the answer of the first one named; the others overlap it or ended just
    /// before.
    NotLinearizable(Vec<usize>),
    /// The history is too entangled to be judged with bounded means; the event at which the search stopped.
    GaveUp(usize),
}

/// Looks for an order in which the operations could have taken effect, each between its beginning and its end.
///
/// # Errors
/// There is none, or the search was too large.
pub fn check<S: Specification>(spec: &S, events: &[Event<S::Call>]) -> Result<(), Failure> {
    let mut edges: Vec<(Mono, bool, usize)> = Vec::with_capacity(2 * events.len());
    for (i, event) in events.iter().enumerate() {
        edges.push((event.invoked, true, i));
        // An end at the instant of another's beginning counts as before it; an operation ends after it begins.
        edges.extend(event.ended.map(|ended| (ended.max(Mono(event.invoked.0.saturating_add(1))), false, i)));
    }
    edges.sort_unstable();
    let mut search = Search::new(spec, events);
    for (_, begins, i) in edges {
        if begins { search.begin(i)? } else { search.end(i)? }
    }
    Ok(())
}

struct Search<'a, S: Specification> {
    spec: &'a S,
    events: &'a [Event<S::Call>],
    /// Open operations, by the bit that stands for them.
    open: Vec<Option<usize>>,
    /// Bits of the open operations that have no end.
    endless: Bits,
    frontier: Frontier<S::State>,
    /// The events that ended last.
    recent: Vec<usize>,
}

impl<'a, S: Specification> Search<'a, S> {
    fn new(spec: &'a S, events: &'a [Event<S::Call>]) -> Self {
        let mut frontier = Frontier::default();
        frontier.insert(spec.initial(), 0, 0);
        Search { spec, events, open: Vec::new(), endless: 0, frontier, recent: Vec::new() }
    }

    fn begin(&mut self, event: usize) -> Result<(), Failure> {
        let bit = match self.open.iter().position(Option::is_none) {
            Some(free) => free,
            None if self.open.len() < MAX_OPEN => {
                self.open.push(None);
                self.open.len() - 1
            }
            None => return Err(Failure::GaveUp(self.events[event].position)),
        };
        self.open[bit] = Some(event);
        if self.events[event].ended.is_none() {
            self.endless |= 1 << bit;
        }
        Ok(())
    }

    fn end(&mut self, event: usize) -> Result<(), Failure> {
        let Some(bit) = self.open.iter().position(|o| *o == Some(event)) else { return Ok(()) };
        let before = std::mem::take(&mut self.frontier);
        let mut visited: Frontier<S::State> = Frontier::default();
        let mut todo: Vec<Configuration<S::State>> = Vec::new();
        for (state, done) in before.iter() {
            if done & (1 << bit) != 0 {
                self.frontier.insert(state.clone(), done & !(1 << bit), self.endless);
            } else if visited.insert(state.clone(), done, self.endless) {
                todo.push(Configuration { state: state.clone(), done, from: None });
            }
        }
        let mut left = MAX_VISITED;
        while let Some(configuration) = todo.pop() {
            if left == 0 {
                return Err(Failure::GaveUp(self.events[event].position));
            }
            left -= 1;
            self.explore(&configuration, bit, &mut visited, &mut todo);
        }
        if self.frontier.is_empty() {
            return Err(Failure::NotLinearizable(self.name(event)));
        }
        self.close(bit, event);
        Ok(())
    }

    /// Lets the operation `last` take effect, or else others before it.
    fn explore(
        &mut self,
        at: &Configuration<S::State>,
        last: usize,
        visited: &mut Frontier<S::State>,
        todo: &mut Vec<Configuration<S::State>>,
    ) {
        if let Some(next) = self.step(&at.state, at.done, last) {
            if !self.swaps(at, last, &next) {
                self.frontier.insert(next, at.done, self.endless);
            }
            // What others do before a read that is possible at once, they can do after it.
            if self.open[last].is_some_and(|event| self.spec.only_reads(&self.events[event].call)) {
                return;
            }
        }
        for bit in (0..self.open.len()).filter(|b| *b != last) {
            if at.done & (1 << bit) != 0 || self.has_twin(at.done, bit) {
                continue;
            }
            let Some(next) = self.step(&at.state, at.done, bit) else { continue };
            let done = at.done | 1 << bit;
            if visited.insert(next.clone(), done, self.endless) {
                todo.push(Configuration { state: next, done, from: Some((at.state.clone(), at.done, bit)) });
            }
        }
    }

    /// The state after the open operation `bit` took effect, if it can now.
    fn step(&self, state: &S::State, done: Bits, bit: usize) -> Option<S::State> {
        let event = &self.events[self.open[bit]?];
        let waits =
            event.after.filter(|_| event.ended.is_some()).and_then(|a| self.open.iter().position(|o| *o == Some(a)));
        if waits.is_some_and(|w| done & (1 << w) == 0) {
            return None;
        }
        self.spec.step(state, &event.call)
    }

    /// Whether the operation before `last` could as well have followed it: then it can take effect later, when an
    /// answer needs it, and need not be considered before `last`.
    fn swaps(&self, at: &Configuration<S::State>, last: usize, next: &S::State) -> bool {
        let Some((state, done, bit)) = &at.from else { return false };
        let Some(other) = self.step(state, *done, last) else { return false };
        self.step(&other, *done | 1 << last, *bit).as_ref() == Some(next)
    }

    /// Whether an operation that is as good as this one, and was sent before it, has not taken effect.
    fn has_twin(&self, done: Bits, bit: usize) -> bool {
        if self.endless & (1 << bit) == 0 {
            return false;
        }
        let Some(event) = self.open[bit] else { return false };
        self.open.iter().enumerate().any(|(b, other)| {
            let Some(other) = *other else { return false };
            other < event
                && self.endless & (1 << b) != 0
                && done & (1 << b) == 0
                && self.spec.interchangeable(&self.events[other].call, &self.events[event].call)
        })
    }

    fn close(&mut self, bit: usize, event: usize) {
        self.open[bit] = None;
        // An operation without an end that took effect in every configuration is settled.
        let settled = self.endless & self.frontier.common();
        if settled != 0 {
            for b in (0..self.open.len()).filter(|b| settled & (1 << b) != 0) {
                self.open[b] = None;
            }
            self.endless &= !settled;
            self.frontier.forget(settled);
        }
        if self.recent.len() == MAX_NAMED / 2 {
            self.recent.remove(0);
        }
        self.recent.push(event);
    }

    fn name(&self, event: usize) -> Vec<usize> {
        let open: BTreeSet<usize> = self.open.iter().flatten().copied().filter(|e| *e != event).collect();
        let others = self.recent.iter().rev().chain(open.iter().rev());
        let mut named: Vec<usize> = Vec::new();
        for e in std::iter::once(&event).chain(others).take(MAX_NAMED) {
            let position = self.events[*e].position;
            if !named.contains(&position) {
                named.push(position);
            }
        }
        named
    }
}

struct Configuration<T> {
    state: T,
    done: Bits,
    /// The configuration before and the operation that led here.
    from: Option<(T, Bits, usize)>,
}
