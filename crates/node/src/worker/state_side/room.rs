//! The waiting room of a shard: blocking commands that found nothing, until something is there or their time is up.
//!
//! Whoever came first is asked first. A place is kept while its command is evaluated again in vain, and given up when it is
//! answered or leadership ends: what waits is then dispatched again, and waits elsewhere for the rest of its time.
//!
//! Invariants: every wait is found by its keys, its session and its deadline; a session has one at most.

use crate::io::Task;
use bytes::Bytes;
use command::SessionId;
use state::records::Type;
use state::{Awaited, Wait};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use stdx::{Mono, NodeId};

/// Waits of one shard, of clients on all nodes; one more is refused as overload.
pub const WAITS_MAX: usize = 65_536;
/// Keys that all waits of one shard name; about 200 bytes each.
pub const WAITED_KEYS_MAX: usize = 524_288;

/// A command that waits.
#[derive(Debug)]
pub struct Waiting<R> {
    /// The task, whose deadline does not count here.
    pub task: Task<R>,
    wait: Wait,
    until: Option<Mono>,
}

/// See the module.
#[derive(Debug)]
pub struct Room<R> {
    /// In the order in which they came.
    waits: BTreeMap<u64, Waiting<R>>,
    by_key: BTreeMap<(u16, Bytes), BTreeMap<u64, Wanted>>,
    by_deadline: BTreeSet<(Mono, u64)>,
    by_session: BTreeMap<SessionId, u64>,
    keys: usize,
    /// The keys, for the evaluator to say which of them were touched.
    pub awaited: Awaited,
}

/// What a wait wants of its keys.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    kind: Type,
    without_key: bool,
}

impl Wanted {
    /// Whether a key that holds this is worth another look.
    fn matches(self, found: Option<Type>) -> bool {
        found == Some(self.kind) || self.without_key
    }
}

impl<R> Default for Room<R> {
    fn default() -> Room<R> {
        Room {
            waits: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_deadline: BTreeSet::new(),
            by_session: BTreeMap::new(),
            keys: 0,
            awaited: Awaited::default(),
        }
    }
}

impl<R> Room<R> {
    /// Takes a task in, at the place `ticket`; gives it back when there is no room.
    pub fn enter(&mut self, ticket: u64, task: Task<R>, wait: Wait, until: Option<Mono>) -> Result<(), Task<R>> {
        if self.waits.len() >= WAITS_MAX || self.keys + wait.keys.len() > WAITED_KEYS_MAX {
            return Err(task);
        }
        let db = task.request.db;
        let wanted = Wanted { kind: wait.kind, without_key: wait.ends_without_key };
        for key in &wait.keys {
            self.awaited.add(db, key);
            self.by_key.entry((db, key.clone())).or_default().insert(ticket, wanted);
        }
        self.keys += wait.keys.len();
        self.by_deadline.extend(until.map(|until| (until, ticket)));
        self.by_session.insert(task.request.session, ticket);
        self.waits.insert(ticket, Waiting { task, wait, until });
        Ok(())
    }

    /// The first after the place `after` that waits for a key which holds a value of the type `found`.
    pub fn next(&self, db: u16, key: &Bytes, after: u64, found: Option<Type>) -> Option<u64> {
        let tickets = self.by_key.get(&(db, key.clone()))?;
        let mut later = tickets.range((Bound::Excluded(after), Bound::Unbounded));
        later.find(|(_, wanted)| wanted.matches(found)).map(|(ticket, _)| *ticket)
    }

    /// Takes out the task at a place that is kept, for its command to be evaluated.
    pub fn lift(&mut self, ticket: u64) -> Option<Waiting<R>> {
        self.waits.remove(&ticket)
    }

    /// Puts back what was lifted.
    pub fn put_back(&mut self, ticket: u64, waiting: Waiting<R>) {
        self.waits.insert(ticket, waiting);
    }

    /// Gives up the place of what was lifted.
    pub fn leave(&mut self, ticket: u64, waiting: Waiting<R>) -> Task<R> {
        let Waiting { task, wait, until } = waiting;
        let db = task.request.db;
        for key in wait.keys {
            self.awaited.remove(db, &key);
            self.keys -= 1;
            let place = (db, key);
            if let Some(tickets) = self.by_key.get_mut(&place) {
                tickets.remove(&ticket);
                if tickets.is_empty() {
                    self.by_key.remove(&place);
                }
            }
        }
        if let Some(until) = until {
            self.by_deadline.remove(&(until, ticket));
        }
        if self.by_session.get(&task.request.session) == Some(&ticket) {
            self.by_session.remove(&task.request.session);
        }
        task
    }

    fn remove(&mut self, ticket: u64) -> Option<Task<R>> {
        let waiting = self.lift(ticket)?;
        Some(self.leave(ticket, waiting))
    }

    /// Removes the first whose time is up.
    pub fn remove_due(&mut self, now: Mono) -> Option<Task<R>> {
        let (until, ticket) = *self.by_deadline.first()?;
        if now < until { None } else { self.remove(ticket) }
    }

    /// Removes whatever a session waits for.
    pub fn remove_session(&mut self, session: SessionId) -> Option<Task<R>> {
        let ticket = *self.by_session.get(&session)?;
        self.remove(ticket)
    }

    /// Removes this wait of a session.
    pub fn remove_wait(&mut self, session: SessionId, number: u64) -> Option<Task<R>> {
        let ticket = *self.by_session.get(&session)?;
        if self.waits.get(&ticket)?.task.is_wait(session, number) { self.remove(ticket) } else { None }
    }

    /// Removes what the clients of a node wait for.
    pub fn remove_node(&mut self, node: NodeId) -> Vec<Task<R>> {
        let theirs = self.by_session.range(SessionId { node, client: 0 }..);
        let tickets: Vec<u64> = theirs.take_while(|(session, _)| session.node == node).map(|(_, t)| *t).collect();
        tickets.into_iter().filter_map(|ticket| self.remove(ticket)).collect()
    }

    /// Empties the room: all that wait, with their places.
    pub fn clear(&mut self) -> Vec<(u64, Task<R>)> {
        let all = std::mem::take(self).waits;
        all.into_iter().map(|(ticket, waiting)| (ticket, waiting.task)).collect()
    }
}
