//! What a task that may wait carries along: since when its client waits, and whether somebody ended that.

use cluster::Unblock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use stdx::Mono;

/// The patience of a client.
#[derive(Clone, Debug)]
pub struct Patience {
    /// When the client asked, on the clock of this node: a wait that goes on elsewhere ends when it would have ended.
    pub since: Mono,
    /// Whether the wait was ended.
    pub ended: Ended,
}

/// Whether a wait was ended from outside. Its connection shares it with whoever holds the task on the same node, which may be
/// on its way between two of them when the wait is ended.
#[derive(Clone, Debug, Default)]
pub struct Ended(Arc<AtomicU8>);

impl Ended {
    /// Ends the wait.
    pub fn set(&self, how: Unblock) {
        self.0.store(how as u8, Relaxed);
    }

    /// How it was ended, if it was.
    #[must_use]
    pub fn get(&self) -> Option<Unblock> {
        Unblock::from_number(self.0.load(Relaxed))
    }
}
