//! Brings each request to the node that leads its shard: parks it while nobody leads, forwards it when another node
//! does, sends it again when leadership moved, and says clearly when none of that helped in time.
//!
//! A request that may have been proposed elsewhere is never sent twice: when the link to that node breaks, a write ends
//! with `OutcomeUnknown`; only what certainly was not proposed is dispatched again.
//!
//! A request that waits there for what it did not find stays under way until it is answered, however long. What ends its wait here
//! (its client is gone, say) is sent after it. When the link breaks meanwhile, the wait there is ended as soon as there is one again.
//!
//! The requests of one session to one shard take effect in their order. One that came back is sent again only when the
//! later ones of its session have come back, too; when one of those was carried out, or may have been, the earlier one
//! fails, and nothing was written by it.

use crate::io::Task;
use crate::shared::Shared;
use cluster::{ForwardedReply, PeerMessage, Unblock};
use command::{Command, Fault, Reply, Retry, SessionId, Work};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use stdx::{Mono, NodeId, ShardId};

/// Requests that may wait for a leader on one node, all shards together; one more is refused as overload.
pub const PARKED_MAX: usize = 16_384;
/// Requests that may be under way to other nodes at once; one more is refused as overload.
pub const FORWARDED_MAX: usize = 65_536;
/// Waits at one node that are to be ended when there is a link to it; of more the oldest are forgotten. Those of a process that
/// died are gone with it.
const ORPHANS_MAX: usize = 16_384;
/// How long before a request whose target refused it is tried again, so that two nodes with old knowledge do not play
/// ping-pong.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// What the dispatcher wants done.
#[derive(Debug)]
pub enum DispatchOutput<R> {
    /// Hand the task to the state side of a local worker.
    Local {
        /// The worker.
        worker: usize,
        /// The task.
        task: Task<R>,
    },
    /// Send to a peer.
    Send(NodeId, PeerMessage),
    /// Answer the waiter.
    Reply(R, Result<Reply, Fault>),
}

#[derive(Debug)]
struct Parked<R> {
    /// Its place among all requests that came here.
    order: u64,
    task: Task<R>,
    since: Mono,
    not_before: Mono,
}

#[derive(Debug)]
struct Forwarded<R> {
    order: u64,
    task: Task<R>,
    to: NodeId,
    /// It waits there: no deadline counts until it is answered.
    waits: bool,
}

/// Requests whose order matters to somebody: those of one session to one shard.
type Sequence = (ShardId, SessionId);

/// Ends the wait of a task at the node it was sent to, if it has one: its client is told otherwise.
fn forget_wait<R>(task: &Task<R>) -> Option<PeerMessage> {
    let Work::Blocking { number, .. } = task.request.work else { return None };
    let (shard, session) = (task.request.shard, task.request.session);
    Some(PeerMessage::Unblock { shard, session, number, how: Unblock::Gone })
}

fn sequence<R>(task: &Task<R>) -> Sequence {
    (task.request.shard, task.request.session)
}

/// Requests of this node's clients that are not in the hands of a local worker.
#[derive(Debug)]
pub struct Dispatcher<R> {
    shared: Arc<Shared>,
    leader_wait: Duration,
    links: BTreeSet<NodeId>,
    parked: BTreeMap<ShardId, VecDeque<Parked<R>>>,
    parked_count: usize,
    forwarded: BTreeMap<u64, Forwarded<R>>,
    /// Requests under way that may wait, by session.
    blocking: BTreeMap<SessionId, u64>,
    /// Waits at other nodes that nobody here knows any more, to be ended when there is a link.
    orphans: BTreeMap<NodeId, Vec<PeerMessage>>,
    next_id: u64,
    next_order: u64,
}

impl<R> Dispatcher<R> {
    /// A dispatcher that lets a request wait up to `leader_wait` for its shard to have a leader. `first_id` must differ
    /// between two lives of the process, so that a late answer to the one is no answer to the other.
    #[must_use]
    pub fn new(shared: Arc<Shared>, leader_wait: Duration, first_id: u64) -> Dispatcher<R> {
        Dispatcher {
            shared,
            leader_wait,
            links: BTreeSet::new(),
            parked: BTreeMap::new(),
            parked_count: 0,
            forwarded: BTreeMap::new(),
            blocking: BTreeMap::new(),
            orphans: BTreeMap::new(),
            next_id: first_id,
            next_order: 0,
        }
    }

    /// A request from a client of this node.
    pub fn submit(&mut self, task: Task<R>, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        let order = self.order();
        let parked = Parked { order, task, since: now, not_before: now };
        // Requests of a shard leave in the order in which they came.
        if self.parked.contains_key(&parked.task.request.shard) {
            self.park(parked, out);
        } else {
            self.route(parked, now, out);
        }
    }

    fn order(&mut self) -> u64 {
        self.next_order += 1;
        self.next_order
    }

    /// A local worker does not lead the shard; nothing was proposed.
    pub fn bounced(&mut self, task: Task<R>, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        let order = self.order();
        if now >= task.deadline {
            out.push(DispatchOutput::Reply(task.to, Err(Fault::NoLeader)));
        } else {
            self.park(Parked { order, task, since: now, not_before: now + RETRY_DELAY }, out);
        }
    }

    /// A peer answered a forwarded request.
    pub fn replied(&mut self, id: u64, outcome: ForwardedReply, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        // An unknown id is an answer that came after its deadline: the client has been told.
        if let ForwardedReply::Waits(again) = outcome {
            return self.waits(id, again);
        }
        let Some(Forwarded { order, mut task, .. }) = self.take(id) else { return };
        match outcome {
            ForwardedReply::Failed(Fault::NotLeader { .. } | Fault::ShuttingDown) => {
                if task.patience.is_some() {
                    task.renew(now);
                }
                self.park(Parked { order, task, since: now, not_before: now + RETRY_DELAY }, out);
            }
            ForwardedReply::Done(reply) => {
                self.overtaken(order, &task, out);
                out.push(DispatchOutput::Reply(task.to, Ok(reply)));
            }
            ForwardedReply::Failed(fault) => {
                if fault.retry() == Retry::Unknown {
                    self.overtaken(order, &task, out);
                }
                out.push(DispatchOutput::Reply(task.to, Err(fault)));
            }
            ForwardedReply::Waits(_) => {}
        }
    }

    /// A request waits at the peer.
    fn waits(&mut self, id: u64, again: Option<Command>) {
        let Some(forwarded) = self.forwarded.get_mut(&id) else { return };
        forwarded.waits = true;
        if let (Some(again), Work::Blocking { command, .. }) = (again, &mut forwarded.task.request.work) {
            *command = again;
        }
    }

    /// A wait of a session is ended, wherever it is. Its task says so already; this finds those that rest.
    pub fn unblock(
        &mut self,
        shard: ShardId,
        session: SessionId,
        number: u64,
        how: Unblock,
        out: &mut Vec<DispatchOutput<R>>,
    ) {
        if let Some(queue) = self.parked.get_mut(&shard)
            && let Some(at) = queue.iter().position(|p| p.task.is_wait(session, number))
        {
            if let Some(parked) = queue.remove(at) {
                self.parked_count -= 1;
                out.push(DispatchOutput::Reply(parked.task.to, how.answer()));
            }
            if queue.is_empty() {
                self.parked.remove(&shard);
            }
        }
        let under_way = self.blocking.get(&session).and_then(|id| self.forwarded.get(id));
        if let Some(f) = under_way.filter(|f| f.task.is_wait(session, number)) {
            out.push(DispatchOutput::Send(f.to, PeerMessage::Unblock { shard, session, number, how }));
        }
    }

    /// A request is not under way any more.
    fn take(&mut self, id: u64) -> Option<Forwarded<R>> {
        let taken = self.forwarded.remove(&id)?;
        if taken.task.patience.is_some() {
            self.blocking.remove(&taken.task.request.session);
        }
        Some(taken)
    }

    /// A request was carried out, or may have been: earlier ones of its session that came back must not be any more.
    fn overtaken(&mut self, order: u64, task: &Task<R>, out: &mut Vec<DispatchOutput<R>>) {
        let Some(queue) = self.parked.get_mut(&task.request.shard) else { return };
        let earlier = |p: &Parked<R>| p.order < order && sequence(&p.task) == sequence(task);
        if !queue.iter().any(earlier) {
            return;
        }
        let (gone, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(queue).into_iter().partition(earlier);
        *queue = rest;
        if queue.is_empty() {
            self.parked.remove(&task.request.shard);
        }
        self.parked_count -= gone.len();
        let fault = || Err(Fault::NotLeader { leader: None });
        out.extend(gone.into_iter().map(|p| DispatchOutput::Reply(p.task.to, fault())));
    }

    /// A link to `node` is usable.
    pub fn link_up(&mut self, node: NodeId, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        self.links.insert(node);
        let orphans = self.orphans.remove(&node).unwrap_or_default();
        out.extend(orphans.into_iter().map(|message| DispatchOutput::Send(node, message)));
        self.unpark(now, out);
    }

    /// The link to `node` broke: what was under way to it may or may not have arrived.
    pub fn link_down(&mut self, node: NodeId, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        self.links.remove(&node);
        let lost: Vec<u64> = self.forwarded.iter().filter(|(_, f)| f.to == node).map(|(id, _)| *id).collect();
        for id in lost {
            let Some(Forwarded { order, mut task, .. }) = self.take(id) else { continue };
            if let Some(message) = forget_wait(&task) {
                let orphans = self.orphans.entry(node).or_default();
                orphans.push(message);
                let excess = orphans.len().saturating_sub(ORPHANS_MAX);
                orphans.drain(..excess);
                task.renew(now);
            }
            if task.request.work.is_read() {
                self.park(Parked { order, task, since: now, not_before: now + RETRY_DELAY }, out);
            } else {
                self.overtaken(order, &task, out);
                out.push(DispatchOutput::Reply(task.to, Err(Fault::OutcomeUnknown)));
            }
        }
    }

    /// A shard's leader may have become known.
    pub fn leaders_changed(&mut self, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        self.unpark(now, out);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        self.unpark(now, out);
        let late: Vec<u64> =
            self.forwarded.iter().filter(|(_, f)| !f.waits && now >= f.task.deadline).map(|(id, _)| *id).collect();
        for id in late {
            let Some(Forwarded { order, task, to, .. }) = self.take(id) else { continue };
            out.extend(forget_wait(&task).map(|message| DispatchOutput::Send(to, message)));
            self.overtaken(order, &task, out);
            let fault = if task.request.work.is_read() { Fault::Deadline } else { Fault::OutcomeUnknown };
            out.push(DispatchOutput::Reply(task.to, Err(fault)));
        }
    }

    /// Requests waiting here for a leader or for a peer's answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.parked_count + self.forwarded.len()
    }

    fn route(&mut self, parked: Parked<R>, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        let Parked { order, task, since, .. } = parked;
        if let Some(how) = task.ended() {
            out.push(DispatchOutput::Reply(task.to, how.answer()));
            return;
        }
        let table = self.shared.table();
        let Some(handle) = table.shards.get(&task.request.shard) else {
            out.push(DispatchOutput::Reply(task.to, Err(Fault::NoLeader)));
            return;
        };
        match handle.leader() {
            Some(leader) if leader == self.shared.node => {
                out.push(DispatchOutput::Local { worker: handle.worker, task })
            }
            Some(leader) if self.links.contains(&leader) => self.forward(leader, order, task, now, out),
            None if now.since(handle.leaderless_since()) > self.leader_wait && now.since(since) >= RETRY_DELAY => {
                out.push(DispatchOutput::Reply(task.to, Err(Fault::NoLeader)));
            }
            _ => self.park(Parked { order, task, since, not_before: now }, out),
        }
    }

    fn forward(&mut self, to: NodeId, order: u64, mut task: Task<R>, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        if self.forwarded.len() >= FORWARDED_MAX {
            out.push(DispatchOutput::Reply(task.to, Err(Fault::Overloaded)));
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        if let (Some(patience), Work::Blocking { waited_ms, .. }) = (&task.patience, &mut task.request.work) {
            *waited_ms = u64::try_from(now.since(patience.since).as_millis()).unwrap_or(u64::MAX);
            self.blocking.insert(task.request.session, id);
        }
        out.push(DispatchOutput::Send(to, PeerMessage::Forward { id, request: task.request.clone() }));
        self.forwarded.insert(id, Forwarded { order, task, to, waits: false });
    }

    /// Keeps a request for later, in order.
    fn park(&mut self, parked: Parked<R>, out: &mut Vec<DispatchOutput<R>>) {
        if let Some(how) = parked.task.ended() {
            out.push(DispatchOutput::Reply(parked.task.to, how.answer()));
            return;
        }
        if self.parked_count >= PARKED_MAX {
            out.push(DispatchOutput::Reply(parked.task.to, Err(Fault::Overloaded)));
            return;
        }
        self.parked_count += 1;
        let queue = self.parked.entry(parked.task.request.shard).or_default();
        let at = queue.iter().rposition(|p| p.order < parked.order).map_or(0, |at| at + 1);
        queue.insert(at, parked);
    }

    /// The latest request under way of each sequence.
    fn latest_forwarded(&self) -> BTreeMap<Sequence, u64> {
        let mut latest = BTreeMap::new();
        for f in self.forwarded.values() {
            let order: &mut u64 = latest.entry(sequence(&f.task)).or_default();
            *order = f.order.max(*order);
        }
        latest
    }

    /// Dispatches again whatever may find a leader now, in order, and gives up on what waited too long.
    fn unpark(&mut self, now: Mono, out: &mut Vec<DispatchOutput<R>>) {
        if self.parked_count == 0 {
            return;
        }
        let table = self.shared.table();
        let latest = self.latest_forwarded();
        for (shard, mut queue) in std::mem::take(&mut self.parked) {
            let reachable = table
                .shards
                .get(&shard)
                .and_then(|h| h.leader())
                .is_some_and(|l| l == self.shared.node || self.links.contains(&l));
            let mut held_up = !reachable;
            while let Some(parked) = queue.pop_front() {
                self.parked_count -= 1;
                let waited = now.since(parked.since) >= self.leader_wait || now >= parked.task.deadline;
                // Nobody overtakes one that is not tried again yet, or whose successors are still under way.
                let followed = latest.get(&sequence(&parked.task)).is_some_and(|order| *order > parked.order);
                held_up |= now < parked.not_before || followed;
                if !held_up {
                    self.route(parked, now, out);
                } else if waited {
                    out.push(DispatchOutput::Reply(parked.task.to, Err(Fault::NoLeader)));
                } else {
                    self.parked_count += 1;
                    self.parked.entry(shard).or_default().push_back(parked);
                }
            }
        }
    }
}
