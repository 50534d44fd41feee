//! The thread that keeps memory and log bounded: writes applied state to the engine, makes log segments ahead of need,
//! and removes what nobody reads any more.

use crate::node::Node;
use node::StateInput;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use storage::log::{LogError, Preparer};
use storage::{Disk, Store};

/// How often the thread looks.
const INTERVAL: Duration = Duration::from_millis(50);
/// Applied state is written at the latest after so long, so that the log can be freed and a restart has little to replay.
const FLUSH_AGE_MAX: Duration = Duration::from_secs(30);
/// Pause after a failed flush.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);
/// Keys removed in one step of garbage collection.
const GARBAGE_KEYS: usize = 4_096;

/// What the thread owns.
pub struct FlushThread<D> {
    /// The process.
    pub node: Arc<Node>,
    /// Applied state.
    pub store: Store,
    /// The workers' logs.
    pub preparers: Vec<Preparer<D>>,
    /// Told, or closed, when the thread shall flush a last time and end.
    pub stop: Receiver<()>,
}

impl<D: Disk> FlushThread<D> {
    /// Runs until told to stop.
    pub fn run(self) {
        let mut flushed = Instant::now();
        loop {
            let stop = !matches!(self.stop.recv_timeout(INTERVAL), Err(RecvTimeoutError::Timeout));
            let bytes = self.store.memory_bytes();
            if stop || self.store.needs_flush() || (bytes > 0 && flushed.elapsed() > FLUSH_AGE_MAX) {
                self.flush();
                flushed = Instant::now();
            }
            if stop {
                return;
            }
            if let Some(why) = self.store.engine().damage() {
                self.node.engine_damaged(why);
            }
            self.prepare();
            match self.store.collect_garbage(GARBAGE_KEYS) {
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "garbage could not be removed"),
            }
        }
    }

    fn flush(&self) {
        let begun = Instant::now();
        match self.store.flush() {
            Ok(report) if report.replicas > 0 => {
                tracing::debug!(keys = report.keys, bytes = report.bytes, took = ?begun.elapsed(), "flushed");
                for worker in &self.node.workers {
                    worker.state.send(StateInput::Flushed);
                }
            }
            Ok(_) => {}
            Err(error) => {
                // Nothing is lost: it stays in memory, and the log still holds it.
                tracing::error!(%error, "applied state could not be written to the engine");
                std::thread::sleep(FAILURE_PAUSE);
            }
        }
    }

    fn prepare(&self) {
        for preparer in &self.preparers {
            match preparer.prepare() {
                Ok(_) | Err(LogError::Full) => {}
                Err(error) => tracing::warn!(%error, "a log segment could not be prepared"),
            }
        }
    }
}
