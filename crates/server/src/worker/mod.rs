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
//! and with them what one fsync, one wake and one write pay for. A thread that panics ends the process, because the
//! others would wait for it for ever.

mod consensus;
mod flush;
mod log;
mod state;

pub use consensus::ConsensusThread;
pub use flush::FlushThread;
pub use log::LogThread;
pub use state::StateThread;

use crate::inbox::Chunk;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

/// Things taken from a queue in one round: bounds how long a tick can be late.
const ROUND_MAX: usize = 8_192;

/// Starts a thread that ends the process if it panics.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(move || {
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

/// How a round of receiving ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Round {
    /// Go on.
    Go,
    /// The thread shall end after what it was given.
    Stop,
}

/// Waits up to `wait` for something and then takes all there is.
fn receive<T>(queue: &Receiver<Chunk<T>>, wait: Duration, mut take: impl FnMut(T)) -> Round {
    let mut next = match queue.recv_timeout(wait) {
        Ok(chunk) => Some(chunk),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => return Round::Stop,
    };
    let mut taken = 0;
    while let Some(chunk) = next {
        match chunk {
            Chunk::One(item) => {
                taken += 1;
                take(item);
            }
            Chunk::Many(items) => {
                taken += items.len();
                items.into_iter().for_each(&mut take);
            }
            Chunk::Stop => return Round::Stop,
        }
        next = if taken < ROUND_MAX { queue.try_recv().ok() } else { None };
    }
    Round::Go
}
