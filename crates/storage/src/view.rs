//! Reading: one trait for every layer that can answer "what is stored under this key".

use bytes::Bytes;
use std::ops::ControlFlow;

/// Why stored data could not be read. Always local to this node, never a client's fault: the replica is fenced.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EngineError {
    /// The operating system refused.
    #[error("engine I/O: {0}")]
    Io(String),
    /// A checksum did not match or a record did not decode.
    #[error("engine data is damaged: {0}")]
    Damaged(String),
    /// There is no room left to write; nothing changed, and the same call may succeed once space returns.
    #[error("engine has no room: {0}")]
    Full(String),
}

/// Ordered keys and values at one point in time. Keys are relative to one shard, except where an implementation says
/// otherwise (an engine's keys carry the shard).
pub trait View {
    /// The value under `key`.
    ///
    /// # Errors
    /// When the engine cannot read; never for an absent key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Visits pairs with `start <= key < end` in ascending order until `visit` breaks.
    ///
    /// # Errors
    /// When the engine cannot read.
    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError>;

    /// Visits pairs with `start <= key < end` in descending order until `visit` breaks.
    ///
    /// # Errors
    /// When the engine cannot read.
    fn scan_reverse(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError>;
}
