//! One thread that reorganizes an engine's tables whenever it is told that there may be work.
//!
//! fjall has a worker pool of its own, but a worker ends for good at its first error: a full disk would stop compaction
//! until the process restarts. Here an error is remembered, reported to the next ingestion that finds tables piling up, and the
//! work is tried again at the next signal.

use crate::EngineError;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What one round of work came to.
pub(super) enum Round {
    /// Something was reorganized; there may be more to do.
    Progress,
    /// Nothing is left to do.
    Idle,
}

/// Rounds after one signal at most, so that a strategy that never settles cannot keep a core busy.
const ROUNDS_PER_SIGNAL: usize = 64;

#[derive(Default)]
struct Signals {
    pending: bool,
    stop: bool,
    error: Option<EngineError>,
}

#[derive(Default)]
struct Shared {
    signals: Mutex<Signals>,
    wake: Condvar,
    rounds_done: Condvar,
}

/// Handle of the thread; dropping it stops the thread and waits for the round in progress.
pub(super) struct Compactor {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Compactor {
    /// Starts the thread, which calls `round` until it is idle, once per signal.
    pub(super) fn start(
        round: impl FnMut() -> Result<Round, EngineError> + Send + 'static,
    ) -> Result<Compactor, EngineError> {
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("engine-compact".into())
            .spawn(move || run(&for_thread, round))
            .map_err(|e| EngineError::Io(format!("cannot start the compaction thread: {e}")))?;
        Ok(Compactor { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Tells the thread that there may be work.
    pub(super) fn signal(&self) {
        self.shared.signals.lock().pending = true;
        self.shared.wake.notify_one();
    }

    /// Waits until a round ends or `limit` passes, then returns the error of the last round, if it failed.
    pub(super) fn wait_for_round(&self, limit: Duration) -> Option<EngineError> {
        let mut signals = self.shared.signals.lock();
        self.shared.rounds_done.wait_for(&mut signals, limit);
        signals.error.clone()
    }

    /// The error of the last round, if it failed.
    pub(super) fn error(&self) -> Option<EngineError> {
        self.shared.signals.lock().error.clone()
    }

    /// Stops the thread and waits for it.
    pub(super) fn stop(&self) {
        self.shared.signals.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // The thread contains panics of the engine, so a failed join has nothing to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared, mut round: impl FnMut() -> Result<Round, EngineError>) {
    loop {
        {
            let mut signals = shared.signals.lock();
            while !signals.pending && !signals.stop {
                shared.wake.wait(&mut signals);
            }
            if signals.stop {
                return;
            }
            signals.pending = false;
        }
        for _ in 0..ROUNDS_PER_SIGNAL {
            let result = round();
            let mut signals = shared.signals.lock();
            let again = matches!(result, Ok(Round::Progress)) && !signals.stop;
            signals.error = result.err();
            shared.rounds_done.notify_all();
            if !again {
                break;
            }
        }
    }
}
