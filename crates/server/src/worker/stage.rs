//! A machine that is stepped by whoever brings it something.
//!
//! A stage has a thread, which steps it when time passes and when nobody else does. But a wake costs more than a step, in
//! processor time and above all in latency, and a write crosses many stages. So a sender that finds the thread asleep steps the
//! machine itself, on its own thread. Under load that would make many small steps of what the thread does in a few large ones,
//! so then it is the thread that is woken.
//!
//! A sender must hold no lock that a step may want. Whatever is taken from the queue is taken by the one who holds the
//! machine, so it is handled in order.

use super::AbortOnPanic;
use crate::clock;
use crate::inbox::{Outlet, Round};
use crate::worker::pace::Crowd;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// How many steps in a row a sender does, before it leaves the rest to the thread.
const STEPS_MAX: usize = 4;
/// Inputs within a millisecond that tell load from single requests: a write takes six on its leader.
const CROWD: usize = 12;

/// What a stage steps.
pub trait Machine<T> {
    /// Handles the inputs, which may be none, and leaves them empty. Returns for how long the next ones are worth waiting for,
    /// other than urgent ones.
    fn step(&mut self, inputs: &mut Vec<T>) -> Duration;

    /// How long it can wait for inputs.
    fn patience(&self) -> Duration;

    /// No step follows.
    fn end(&mut self);
}

/// See the module.
pub struct Stage<T, M> {
    queue: Outlet<T>,
    machine: Mutex<Held<T, M>>,
    crowded: AtomicBool,
}

struct Held<T, M> {
    machine: M,
    inputs: Vec<T>,
    crowd: Crowd,
}

/// Something that a sender may step.
pub trait Step: Send + Sync {
    /// Handles what is due, unless somebody else does.
    fn step(&self);
}

impl<T, M: Machine<T>> Stage<T, M> {
    /// A machine behind its queue.
    pub fn new(queue: Outlet<T>, machine: M) -> Stage<T, M> {
        let held = Held { machine, inputs: Vec::new(), crowd: Crowd::new(clock::now()) };
        Stage { queue, machine: Mutex::new(held), crowded: AtomicBool::new(false) }
    }

    /// Runs as the stage's thread until told to stop. Nobody else steps it to its end: the last inputs are handled here.
    pub fn run(&self) {
        let mut quiet = Duration::ZERO;
        loop {
            let patience = self.machine.lock().machine.patience();
            let round = self.queue.wait(patience, quiet);
            let mut held = self.machine.lock();
            self.queue.take(&mut held.inputs);
            quiet = held.step(&self.crowded);
            if round == Round::Stop {
                held.machine.end();
                return;
            }
        }
    }
}

impl<T: Send, M: Machine<T> + Send> Step for Stage<T, M> {
    fn step(&self) {
        if self.crowded.load(Relaxed) {
            self.queue.wake();
            return;
        }
        let mut steps = 0;
        // Who finds the machine taken goes away, so whoever lets go of it looks again.
        while self.queue.is_due() {
            let Some(mut held) = self.machine.try_lock() else { return };
            while self.queue.take_due(&mut held.inputs) {
                let quiet = held.step(&self.crowded);
                self.queue.quieten(quiet);
                steps += 1;
                if steps == STEPS_MAX {
                    self.queue.wake();
                    return;
                }
            }
        }
    }
}

impl<T, M: Machine<T>> Held<T, M> {
    fn step(&mut self, crowded: &AtomicBool) -> Duration {
        self.crowd.add(self.inputs.len(), clock::now());
        crowded.store(self.crowd.size() >= CROWD, Relaxed);
        // A task that panics is caught; the machine must not be stepped after that.
        let guard = AbortOnPanic;
        let quiet = self.machine.step(&mut self.inputs);
        drop(guard);
        debug_assert!(self.inputs.is_empty(), "a step handles everything");
        self.inputs.clear();
        quiet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::{Hurry, Inbox};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    /// Remembers what it saw, and counts it where others can see.
    struct Recorder {
        seen: Vec<(usize, usize)>,
        count: Arc<AtomicUsize>,
        quiet: Duration,
    }

    impl Machine<(usize, usize)> for Recorder {
        fn step(&mut self, inputs: &mut Vec<(usize, usize)>) -> Duration {
            self.count.fetch_add(inputs.len(), SeqCst);
            self.seen.append(inputs);
            self.quiet
        }

        fn patience(&self) -> Duration {
            LONG
        }

        fn end(&mut self) {}
    }

    type Recorded = Stage<(usize, usize), Recorder>;

    fn stage(quiet: Duration) -> (Inbox<(usize, usize)>, Arc<Recorded>, Arc<AtomicUsize>) {
        let (inbox, outlet) = Inbox::new();
        let count = Arc::new(AtomicUsize::new(0));
        let recorder = Recorder { seen: Vec::new(), count: count.clone(), quiet };
        (inbox, Arc::new(Stage::new(outlet, recorder)), count)
    }

    fn until(done: impl Fn() -> bool) {
        let limit = Instant::now() + LONG / 2;
        while !done() {
            assert!(Instant::now() < limit, "something was left in the queue");
            std::thread::yield_now();
        }
    }

    /// Several senders at once, with and without the thread: everything is handled soon, and in each sender's order.
    #[test]
    fn nothing_is_left_behind_and_each_sender_keeps_its_order() {
        const SENDERS: usize = 4;
        const EACH: usize = 5_000;
        let (inbox, stage, count) = stage(Duration::ZERO);
        let thread = std::thread::spawn({
            let stage = stage.clone();
            move || stage.run()
        });
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let (inbox, stage, count) = (&inbox, &stage, &count);
                scope.spawn(move || {
                    for i in 0..EACH {
                        match i % 3 {
                            0 => inbox.send((sender, i)),
                            _ if inbox.hand_over(&mut vec![(sender, i)], Hurry::Soon) => stage.step(),
                            _ => {}
                        }
                        if i % 100 == 0 {
                            // Lets the thread fall asleep, and finds what only the thread's patience would bring to light.
                            until(|| count.load(SeqCst) > i);
                        }
                    }
                });
            }
        });
        until(|| count.load(SeqCst) == SENDERS * EACH);
        inbox.stop();
        thread.join().expect("the thread ends");
        let seen = &stage.machine.lock().machine.seen;
        for sender in 0..SENDERS {
            assert!(seen.iter().filter(|(s, _)| *s == sender).map(|(_, i)| *i).eq(0..EACH));
        }
    }

    #[test]
    fn a_sender_steps_it_while_the_thread_sleeps() {
        let (inbox, stage, count) = stage(Duration::ZERO);
        assert!(!inbox.hand_over(&mut vec![(0, 0)], Hurry::Soon), "the thread is about to look");
        let thread = std::thread::spawn({
            let stage = stage.clone();
            move || stage.run()
        });
        until(|| count.load(SeqCst) == 1 && inbox.is_asleep());
        assert!(inbox.hand_over(&mut vec![(0, 1)], Hurry::Soon));
        assert_eq!(count.load(SeqCst), 1, "nobody was woken");
        stage.step();
        assert_eq!(stage.machine.lock().machine.seen, [(0, 0), (0, 1)]);
        inbox.stop();
        thread.join().expect("the thread ends");
    }

    #[test]
    fn what_does_not_hurry_waits_while_the_machine_wants_quiet() {
        let (inbox, stage, count) = stage(LONG);
        let thread = std::thread::spawn({
            let stage = stage.clone();
            move || stage.run()
        });
        until(|| inbox.is_asleep());
        assert!(inbox.hand_over(&mut vec![(0, 0)], Hurry::Soon));
        stage.step();
        assert_eq!(count.load(SeqCst), 1);
        assert!(!inbox.hand_over(&mut vec![(0, 1)], Hurry::Soon));
        stage.step();
        assert_eq!(count.load(SeqCst), 1, "the machine wants quiet");
        assert!(inbox.hand_over(&mut vec![(0, 2)], Hurry::Now));
        stage.step();
        assert_eq!(count.load(SeqCst), 3);
        inbox.stop();
        thread.join().expect("the thread ends");
    }
}
