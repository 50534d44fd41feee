//! The queues in front of a worker's threads.
//!
//! A queue itself has no limit; what comes from outside is admitted by count before it is sent (`Admission`), and what
//! comes from inside is bounded by its producer: the log writer answers each write set once, the consensus side hands on
//! entries it was allowed to take, the state side has at most the admitted tasks.
//!
//! The receiver takes everything at once, so that a batch costs one lock. A wake costs more than most of what is sent, so
//! few are made: what matters only together with something later wakes nobody, and a receiver that waits for one thing
//! (the disk) sleeps through the rest. Before it sleeps it offers its core to others: those who are about to send get to
//! run, and nobody pays for waking it.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often the receiver offers its core before it sleeps.
const YIELDS: usize = 2;

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    ready: Condvar,
}

#[derive(Debug)]
struct Queue<T> {
    items: Vec<T>,
    asleep: Asleep,
    stop: bool,
}

/// What wakes the receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asleep {
    /// It is awake, or about to look anyway.
    No,
    /// It waits for what it asked for; anything else it takes along then.
    Quietly,
    /// It waits for anything.
    Lightly,
}

/// How much a message hurries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hurry {
    /// It is needed only with whatever comes next.
    Later,
    /// The receiver shall act on it, but may collect more of the kind for a moment.
    Soon,
    /// The receiver waits for this.
    Now,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        // Whoever panicked while holding it was only pushing: the queue is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, hurry: Hurry, f: impl FnOnce(&mut Queue<T>)) {
        let mut queue = self.lock();
        f(&mut queue);
        let wake = match hurry {
            Hurry::Later => false,
            Hurry::Soon => queue.asleep == Asleep::Lightly,
            Hurry::Now => queue.asleep != Asleep::No,
        };
        if wake {
            queue.asleep = Asleep::No;
        }
        drop(queue);
        if wake {
            self.ready.notify_one();
        }
    }
}

/// The sending side of a thread's queue.
#[derive(Debug)]
pub struct Inbox<T>(Arc<Shared<T>>);

/// The receiving side. There is one.
#[derive(Debug)]
pub struct Outlet<T>(Arc<Shared<T>>);

/// Whether a thread goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Round {
    /// It does.
    Go,
    /// It ends after what it was given.
    Stop,
}

impl<T> Inbox<T> {
    /// A queue.
    #[must_use]
    pub fn new() -> (Inbox<T>, Outlet<T>) {
        let queue = Mutex::new(Queue { items: Vec::new(), asleep: Asleep::No, stop: false });
        let shared = Arc::new(Shared { queue, ready: Condvar::new() });
        (Inbox(shared.clone()), Outlet(shared))
    }

    /// Sends one thing.
    pub fn send(&self, item: T) {
        self.0.change(Hurry::Soon, |queue| queue.items.push(item));
    }

    /// Sends everything in `items`, in order, and leaves it empty.
    pub fn send_all(&self, items: &mut Vec<T>, hurry: Hurry) {
        if !items.is_empty() {
            self.0.change(hurry, |queue| queue.items.append(items));
        }
    }

    /// Ends the thread once it has handled what was sent before.
    pub fn stop(&self) {
        self.0.change(Hurry::Now, |queue| queue.stop = true);
    }
}

impl<T> Outlet<T> {
    /// Waits up to `wait` for something and moves all there is into `out`, which must be empty. For the first `quiet` of
    /// it only what the receiver waits for ends the wait (`Hurry::Now`).
    pub fn receive(&self, wait: Duration, quiet: Duration, out: &mut Vec<T>) -> Round {
        debug_assert!(out.is_empty(), "what was received before has been handled");
        let mut queue = self.0.lock();
        if !quiet.is_zero() {
            queue = self.sleep(queue, Asleep::Quietly, quiet.min(wait));
        }
        for _ in 0..YIELDS {
            if !queue.items.is_empty() || queue.stop || wait.is_zero() {
                break;
            }
            drop(queue);
            std::thread::yield_now();
            queue = self.0.lock();
        }
        if queue.items.is_empty() {
            queue = self.sleep(queue, Asleep::Lightly, wait.saturating_sub(quiet));
        }
        std::mem::swap(&mut queue.items, out);
        if queue.stop { Round::Stop } else { Round::Go }
    }

    fn sleep<'q>(&self, mut queue: MutexGuard<'q, Queue<T>>, how: Asleep, wait: Duration) -> MutexGuard<'q, Queue<T>> {
        if queue.stop || wait.is_zero() {
            return queue;
        }
        queue.asleep = how;
        // A wake without a cause ends the wait early, which only costs a round.
        let mut queue = self.0.ready.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        queue.asleep = Asleep::No;
        queue
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
    use super::*;

    #[test]
    fn admission_is_all_or_nothing() {
        let a = Admission::new(3);
        assert!(a.admit(2));
        assert!(!a.admit(2));
        assert!(a.admit(1));
        a.release(3);
        assert!(a.admit(3));
    }

    #[test]
    fn a_receiver_takes_all_there_is_in_order_and_then_stops() {
        let (inbox, outlet) = Inbox::new();
        let mut out = Vec::new();
        assert_eq!(outlet.receive(Duration::ZERO, Duration::ZERO, &mut out), Round::Go);
        assert_eq!(outlet.receive(Duration::from_millis(1), Duration::ZERO, &mut out), Round::Go);
        inbox.send(1);
        inbox.send_all(&mut vec![2, 3], Hurry::Later);
        inbox.stop();
        assert_eq!(outlet.receive(Duration::from_secs(9), Duration::ZERO, &mut out), Round::Stop);
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn a_quiet_receiver_is_woken_only_by_what_it_waits_for() {
        let long = Duration::from_secs(60);
        let (inbox, outlet) = Inbox::new();
        let thread = std::thread::spawn(move || {
            let mut out = Vec::new();
            outlet.receive(long, long, &mut out);
            out
        });
        while inbox.0.lock().asleep != Asleep::Quietly {
            std::thread::yield_now();
        }
        inbox.send(1);
        inbox.send_all(&mut vec![2], Hurry::Later);
        assert_eq!(inbox.0.lock().asleep, Asleep::Quietly);
        inbox.send_all(&mut vec![3], Hurry::Now);
        assert_eq!(thread.join().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn what_comes_later_wakes_nobody_and_is_taken_along() {
        let (inbox, outlet) = Inbox::new();
        let mut out = Vec::new();
        inbox.send_all(&mut vec![1], Hurry::Later);
        outlet.receive(Duration::from_secs(60), Duration::ZERO, &mut out);
        assert_eq!(out, [1]);
    }

    #[test]
    fn a_sleeping_receiver_is_woken() {
        let (inbox, outlet) = Inbox::new();
        let thread = std::thread::spawn(move || {
            let mut got = Vec::new();
            let mut out = Vec::new();
            while outlet.receive(Duration::from_secs(60), Duration::ZERO, &mut out) == Round::Go {
                got.append(&mut out);
            }
            got.append(&mut out);
            got
        });
        for i in 0..1000 {
            inbox.send(i);
        }
        inbox.stop();
        assert_eq!(thread.join().unwrap(), (0..1000).collect::<Vec<_>>());
    }
}
