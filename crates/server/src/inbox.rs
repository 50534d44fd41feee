//! The queues in front of a worker's threads.
//!
//! The channels themselves have no limit; what comes from outside is admitted by count before it is sent (`Admission`), and
//! what comes from inside is bounded by its producer: the log writer answers each write set once, the consensus side
//! hands on entries it was allowed to take, the state side has at most the admitted tasks.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Things sent together are received together, and cost the channel once.
#[derive(Debug)]
pub enum Chunk<T> {
    /// One thing.
    One(T),
    /// Several, in order.
    Many(Vec<T>),
    /// The thread shall end.
    Stop,
}

/// The sending side of a thread's queue.
#[derive(Debug)]
pub struct Inbox<T> {
    sender: Sender<Chunk<T>>,
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Inbox<T> {
        Inbox { sender: self.sender.clone() }
    }
}

impl<T> Inbox<T> {
    /// A queue.
    #[must_use]
    pub fn new() -> (Inbox<T>, Receiver<Chunk<T>>) {
        let (sender, receiver) = unbounded();
        (Inbox { sender }, receiver)
    }

    /// Sends one thing. After the thread ended nothing happens: the process is about to end too.
    pub fn send(&self, item: T) {
        let _ = self.sender.send(Chunk::One(item));
    }

    /// Sends everything in `items`, in order, and leaves it empty.
    pub fn send_all(&self, items: &mut Vec<T>) {
        match items.len() {
            0 => {}
            1 => items.drain(..).for_each(|item| self.send(item)),
            _ => {
                let _ = self.sender.send(Chunk::Many(std::mem::take(items)));
            }
        }
    }

    /// Ends the thread once it has handled what was sent before.
    pub fn stop(&self) {
        let _ = self.sender.send(Chunk::Stop);
    }
}

/// How many things of one kind are queued, against a limit.
#[derive(Debug)]
pub struct Admission {
    queued: AtomicUsize,
    limit: usize,
}

impl Admission {
    /// Nothing queued.
    #[must_use]
    pub fn new(limit: usize) -> Admission {
        Admission { queued: AtomicUsize::new(0), limit }
    }

    /// Admits `n` more, or none.
    #[must_use]
    pub fn admit(&self, n: usize) -> bool {
        if self.queued.fetch_add(n, Relaxed) + n <= self.limit {
            return true;
        }
        self.queued.fetch_sub(n, Relaxed);
        false
    }

    /// `n` left the queue.
    pub fn release(&self, n: usize) {
        self.queued.fetch_sub(n, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;

    #[test]
    fn admission_is_all_or_nothing() {
        let a = Admission::new(3);
        assert!(a.admit(2));
        assert!(!a.admit(2));
        assert!(a.admit(1));
        a.release(3);
        assert!(a.admit(3));
    }
}
