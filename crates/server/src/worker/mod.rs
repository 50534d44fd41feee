//! A worker's threads.
//!
//! ```text
//!   connections, links ─▶ state thread ─ proposals ─▶ consensus thread ─ write sets ─▶ log thread ─ write, fsync ─┐
//!                            ▲  │ replies                ▲  │ messages ─▶ links                                    │
//!                            │  ▼                        │  └ committed ─▶ state thread                            │
//!                            └──────────────             └────────────────── persisted ◀───────────────────────────┘
//! ```
//!
//! Each thread takes everything that is in its queue before it acts on it: under load the batches grow by themselves,
//! and with them what one fsync, one wake and one write pay for. While the consensus thread sleeps, the state thread, the log
//! thread and the links do its work when they bring it some ([`stage`]). A thread that panics ends the process, because
//! the others would wait for it for ever.

mod consensus;
mod flush;
mod log;
mod pace;
mod stage;
mod state;

pub use consensus::{ConsensusMachine, ConsensusStage};
pub use flush::FlushThread;
pub use log::LogThread;
pub use stage::Step;
pub use state::StateThread;

use std::io;
use std::thread::JoinHandle;

/// The stack of a worker's thread, bytes: scripts may nest a thousand tables in one another, and calls of functions 200 deep. Memory is
/// taken only for what is used.
const STACK_BYTES: usize = 16 << 20;

/// Starts a thread that ends the process if it panics.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(move || {
        let guard = AbortOnPanic;
        run();
        drop(guard);
    })
}

/// The panic's message is on the log by the time this is dropped.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}
