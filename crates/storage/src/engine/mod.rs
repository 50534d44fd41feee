//! The engine: the ordered, durable map below the applied state of all replicas of a node.
//!
//! ```text
//!   Replica ─ flush ─▶ Engine::ingest(sorted puts and removals)   atomic and durable on return
//!           ─ read ──▶ Engine as a View over full keys            [shard][incarnation][key]
//! ```
//!
//! The engine never sees single writes: the log is the write-ahead log, and state arrives in sorted runs. That is all
//! the trait asks for, so that another engine can take its place.
//!
//! Not here: shards, replicas and caching (see `replica`), and the log.

mod compactor;
mod fjall;
mod mem;
#[cfg(test)]
mod tests;
pub(crate) mod value;

pub use fjall::{FjallEngine, FjallOptions};
pub use mem::{Fault, MemEngine};

use crate::{EngineError, View};
use bytes::Bytes;

/// Longest key an engine stores, in bytes, its prefix included (the tables of fjall hold lengths in 16 bits).
pub const MAX_ENGINE_KEY_BYTES: usize = u16::MAX as usize;

/// A change to be ingested: a key and its value, or `None` to remove the key.
pub type Change = (Bytes, Option<Bytes>);

/// A durable ordered map. Reading (`View`) uses full engine keys and may go on during every other call.
pub trait Engine: View + Send + Sync + 'static {
    /// Applies `changes`, which ascend strictly by key, all or none. When it returns they survive a crash.
    ///
    /// # Errors
    /// `Full` when there is no room, and `Damaged` for unsorted or oversized keys: then nothing changed. After `Io`
    /// nothing is visible in this process, but a later open may find the changes in place.
    fn ingest(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), EngineError>;

    /// The state as of this moment, unaffected by later changes. It keeps the space of what it can see, so drop it soon.
    ///
    /// # Errors
    /// When the engine is beyond use.
    fn snapshot(&self) -> Result<Box<dyn View + Send + Sync>, EngineError>;

    /// Bytes on disk of `start..end`, roughly: tables that are only partly inside count half.
    fn approximate_bytes(&self, start: &[u8], end: &[u8]) -> u64;

    /// What was found damaged since it was opened, if anything: parts of the data cannot be read any more, and reorganization
    /// has to stop at them.
    fn damage(&self) -> Option<String> {
        None
    }

    /// Asks for reorganization in the background. Returns at once.
    fn compact(&self);

    /// Stops background work and waits for it. Reading still works; the data is durable already.
    ///
    /// # Errors
    /// The last failure of background work, if it was not overcome.
    fn close(&self) -> Result<(), EngineError>;
}
