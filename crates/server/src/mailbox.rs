//! How answers find those who wait for them.
//!
//! A worker answers many requests of many connections in one round. It puts each answer into the connection's mailbox and
//! wakes each connection once, when the round is over: a wake costs more than an answer.

use crate::peer::Peers;
use cluster::{PeerMessage, Unblock};
use command::Reply;
pub use node::gateway::Answer;
use node::gateway::Closer;
use node::pubsub::{PushLimits, Pushes};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use stdx::{Mono, NodeId};

/// Who waits for an answer.
#[derive(Clone, Debug)]
pub enum Waiter {
    /// A connection, at this place of its pipeline.
    Client {
        /// Where the answer goes.
        mailbox: Arc<Mailbox>,
        /// The place.
        slot: u64,
        /// Which part of the request, when it went to several shards.
        part: u32,
    },
    /// Another node, on behalf of its connection `client`.
    Peer {
        /// The node.
        node: NodeId,
        /// Its number for the request.
        id: u64,
        /// Its connection.
        client: u64,
    },
}

/// One answer in a mailbox.
#[derive(Debug)]
pub struct Delivery {
    /// Place in the pipeline.
    pub slot: u64,
    /// Part of the request.
    pub part: u32,
    /// The answer.
    pub answer: Answer,
}

/// Answers for one connection that it has not taken yet. Bounded by the requests the connection may have under way.
#[derive(Debug, Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
    closed: AtomicBool,
    finishing: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    deliveries: Vec<Delivery>,
    /// What the client is told without having asked.
    pushes: Pushes,
    /// Whether there is more of that than the connection has heard of.
    pushed: bool,
    /// A wait of the connection that is to end, and how.
    unblock: Option<(u64, Unblock)>,
    waker: Option<Waker>,
}

/// What a connection finds in its mailbox.
#[derive(Debug, PartialEq, Eq)]
pub enum Mail {
    /// Answers were moved into the connection's buffer.
    Answers,
    /// There is something to tell the client that it has not asked for: `next_push`.
    Pushes,
    /// This wait is to end, if the connection is still in it.
    Unblock(u64, Unblock),
    /// The connection is to be closed.
    Closed,
}

impl Mailbox {
    /// Puts an answer in; true when nothing was there before, so that the connection has to be woken.
    fn put(&self, delivery: Delivery) -> bool {
        let mut inner = self.inner.lock();
        inner.deliveries.push(delivery);
        inner.deliveries.len() == 1
    }

    fn wake(&self) {
        let waker = self.inner.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the connection is to be closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    /// Whether the connection is to come to its end. Asked after `poll`, which registers for news of it.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        self.finishing.load(Relaxed)
    }

    /// The next thing to tell the client that it has not asked for.
    #[must_use]
    pub fn next_push(&self) -> Option<Arc<Reply>> {
        self.inner.lock().pushes.pop()
    }

    /// How many there are.
    #[must_use]
    pub fn pushes(&self) -> usize {
        self.inner.lock().pushes.len()
    }

    /// Moves what arrived into `out`, which must be empty; without anything, the task is woken later.
    pub fn poll(&self, cx: &mut Context<'_>, out: &mut Vec<Delivery>) -> Poll<Mail> {
        let mut inner = self.inner.lock();
        // What is answered is delivered also to a connection that is about to be closed.
        if !inner.deliveries.is_empty() {
            std::mem::swap(&mut inner.deliveries, out);
            return Poll::Ready(Mail::Answers);
        }
        if std::mem::take(&mut inner.pushed) {
            return Poll::Ready(Mail::Pushes);
        }
        if let Some((number, how)) = inner.unblock.take() {
            return Poll::Ready(Mail::Unblock(number, how));
        }
        if self.is_closed() {
            return Poll::Ready(Mail::Closed);
        }
        match &mut inner.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => inner.waker = Some(cx.waker().clone()),
        }
        drop(inner);
        // `close` sets the flag before it looks for a waker: whichever came first, one of the two sees the other.
        if self.is_closed() { Poll::Ready(Mail::Closed) } else { Poll::Pending }
    }
}

/// The mailbox as the registry of clients holds it.
#[derive(Debug)]
pub struct MailboxCloser(pub Arc<Mailbox>);

impl Closer for MailboxCloser {
    fn close(&self) {
        self.0.closed.store(true, Relaxed);
        self.0.wake();
    }

    fn finish(&self) {
        self.0.finishing.store(true, Relaxed);
        self.0.wake();
    }

    fn push(&self, message: &Arc<Reply>, limits: PushLimits, now: Mono) {
        let mut inner = self.0.inner.lock();
        if !inner.pushes.push(message, limits, now) {
            drop(inner);
            return self.close();
        }
        // A connection that has not taken up what came before will find this, too.
        let waker = if std::mem::replace(&mut inner.pushed, true) { None } else { inner.waker.take() };
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn unblock(&self, number: u64, how: Unblock) {
        self.0.inner.lock().unblock = Some((number, how));
        self.0.wake();
    }
}

/// What one round of work leaves to be done at its end: connections to wake, messages for peers.
#[derive(Debug, Default)]
pub struct Wakes {
    mailboxes: Vec<Arc<Mailbox>>,
    messages: BTreeMap<NodeId, Vec<PeerMessage>>,
}

impl Wakes {
    /// Delivers an answer to a connection of this node.
    pub fn deliver(&mut self, mailbox: Arc<Mailbox>, slot: u64, part: u32, answer: Answer) {
        if mailbox.put(Delivery { slot, part, answer }) {
            self.mailboxes.push(mailbox);
        }
    }

    /// Sends a message to a peer at the end of the round.
    pub fn send(&mut self, to: NodeId, message: PeerMessage) {
        self.messages.entry(to).or_default().push(message);
    }

    /// Ends the round.
    pub fn finish(&mut self, peers: &Peers) {
        for mailbox in self.mailboxes.drain(..) {
            mailbox.wake();
        }
        for (to, messages) in &mut self.messages {
            // Forwarded requests, which may be refused, do not come this way.
            peers.send_all(*to, messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_of_answers_wakes_a_connection_once() {
        let mailbox = Arc::new(Mailbox::default());
        let mut wakes = Wakes::default();
        for slot in 0..3 {
            wakes.deliver(mailbox.clone(), slot, 0, Ok(Reply::OK));
        }
        assert_eq!(wakes.mailboxes.len(), 1);
        wakes.finish(&Peers::default());
        let mut cx = Context::from_waker(Waker::noop());
        let mut out = Vec::new();
        assert_eq!(mailbox.poll(&mut cx, &mut out), Poll::Ready(Mail::Answers));
        assert_eq!(out.len(), 3);
        out.clear();
        assert_eq!(mailbox.poll(&mut cx, &mut out), Poll::Pending);
        MailboxCloser(mailbox.clone()).close();
        assert_eq!(mailbox.poll(&mut cx, &mut out), Poll::Ready(Mail::Closed));
    }
}
