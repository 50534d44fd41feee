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
//!
//! A sender may also do without a wake: `hand_over` tells it that the receiver sleeps, and the sender does what it would
//! have done (`worker::Stage`).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// How much the most urgent of the items hurries.
    hurry: Hurry,
    asleep: Asleep,
    /// Until when a receiver that sleeps lightly is left alone by all but what it waits for.
    quiet_until: Option<Instant>,
    stop: bool,
}

impl<T> Queue<T> {
    fn push(&mut self, hurry: Hurry, f: impl FnOnce(&mut Vec<T>)) {
        f(&mut self.items);
        self.hurry = self.hurry.max(hurry);
    }

    fn take(&mut self, out: &mut Vec<T>) {
        debug_assert!(out.is_empty(), "what was received before has been handled");
        std::mem::swap(&mut self.items, out);
        self.hurry = Hurry::Later;
    }

    /// Whether what is queued is to be acted on now, by whoever can.
    fn is_due(&self) -> bool {
        let quiet = self.quiet_until.is_some_and(|until| Instant::now() < until);
        self.hurry > if quiet { Hurry::Soon } else { Hurry::Later }
    }
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
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

    /// Changes the queue. Whether the receiver sleeps and has to act on it.
    fn change(&self, hurry: Hurry, f: impl FnOnce(&mut Queue<T>)) -> (MutexGuard<'_, Queue<T>>, bool) {
        let mut queue = self.lock();
        f(&mut queue);
        let due = match queue.asleep {
            Asleep::No => false,
            Asleep::Quietly => hurry == Hurry::Now,
            Asleep::Lightly => hurry > Hurry::Later && queue.is_due(),
        };
        (queue, due)
    }

    fn change_and_wake(&self, hurry: Hurry, f: impl FnOnce(&mut Queue<T>)) {
        let (mut queue, due) = self.change(hurry, f);
        if due {
            queue.asleep = Asleep::No;
        }
        drop(queue);
        if due {
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
        let queue = Mutex::new(Queue {
            items: Vec::new(),
            hurry: Hurry::Later,
            asleep: Asleep::No,
            quiet_until: None,
            stop: false,
        });
        let shared = Arc::new(Shared { queue, ready: Condvar::new() });
        (Inbox(shared.clone()), Outlet(shared))
    }

    /// Sends one thing.
    pub fn send(&self, item: T) {
        self.0.change_and_wake(Hurry::Soon, |queue| queue.push(Hurry::Soon, |items| items.push(item)));
    }

    /// Sends everything in `items`, in order, and leaves it empty.
    pub fn send_all(&self, items: &mut Vec<T>, hurry: Hurry) {
        if !items.is_empty() {
            self.0.change_and_wake(hurry, |queue| queue.push(hurry, |all| all.append(items)));
        }
    }

    /// The same without waking anybody. True when the receiver sleeps and has to act on it: then the sender sees to that.
    #[must_use]
    pub fn hand_over(&self, items: &mut Vec<T>, hurry: Hurry) -> bool {
        !items.is_empty() && self.0.change(hurry, |queue| queue.push(hurry, |all| all.append(items))).1
    }

    /// Whether the receiver sleeps.
    #[cfg(test)]
    pub fn is_asleep(&self) -> bool {
        self.0.lock().asleep != Asleep::No
    }

    /// Ends the thread once it has handled what was sent before.
    pub fn stop(&self) {
        self.0.change_and_wake(Hurry::Now, |queue| queue.stop = true);
    }
}

impl<T> Outlet<T> {
    /// Waits up to `wait` for something and moves all there is into `out`, which must be empty.
    pub fn receive(&self, wait: Duration, out: &mut Vec<T>) -> Round {
        let round = self.wait(wait, Duration::ZERO);
        self.take(out);
        round
    }

    /// Waits up to `wait` for something. For the first `quiet` of it only what the receiver waits for ends the wait
    /// (`Hurry::Now`).
    pub fn wait(&self, wait: Duration, quiet: Duration) -> Round {
        let mut queue = self.0.lock();
        queue.quiet_until = None;
        if !quiet.is_zero() && queue.hurry < Hurry::Now {
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
        if queue.stop { Round::Stop } else { Round::Go }
    }

    /// Moves all there is into `out`, which must be empty.
    pub fn take(&self, out: &mut Vec<T>) {
        self.0.lock().take(out);
    }

    /// The same when something of it is due: for a sender that does the receiver's work. Whether it was.
    pub fn take_due(&self, out: &mut Vec<T>) -> bool {
        let mut queue = self.0.lock();
        let due = queue.is_due();
        if due {
            queue.take(out);
        }
        due
    }

    /// Whether something is due.
    pub fn is_due(&self) -> bool {
        self.0.lock().is_due()
    }

    /// For so long only what the receiver waits for is due (`Hurry::Now`), if it sleeps at all.
    pub fn quieten(&self, quiet: Duration) {
        let mut queue = self.0.lock();
        queue.quiet_until = (!quiet.is_zero()).then(|| Instant::now() + quiet);
    }

    /// Wakes the receiver.
    pub fn wake(&self) {
        self.0.lock().asleep = Asleep::No;
        self.0.ready.notify_one();
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
        assert_eq!(outlet.receive(Duration::ZERO, &mut out), Round::Go);
        assert_eq!(outlet.receive(Duration::from_millis(1), &mut out), Round::Go);
        inbox.send(1);
        inbox.send_all(&mut vec![2, 3], Hurry::Later);
        inbox.stop();
        assert_eq!(outlet.receive(Duration::from_secs(9), &mut out), Round::Stop);
        assert_eq!(out, [1, 2, 3]);
    }

    #[test]
    fn a_quiet_receiver_is_woken_only_by_what_it_waits_for() {
        let long = Duration::from_secs(60);
        let (inbox, outlet) = Inbox::new();
        let thread = std::thread::spawn(move || {
            let mut out = Vec::new();
            outlet.wait(long, long);
            outlet.take(&mut out);
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
        outlet.receive(Duration::from_secs(60), &mut out);
        assert_eq!(out, [1]);
    }

    #[test]
    fn a_sleeping_receiver_is_woken() {
        let (inbox, outlet) = Inbox::new();
        let thread = std::thread::spawn(move || {
            let mut got = Vec::new();
            let mut out = Vec::new();
            while outlet.receive(Duration::from_secs(60), &mut out) == Round::Go {
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
