//! A stable copy of a replica to send to another node.

use super::keys::{Applied, Prefix};
use super::merge::{Direction, Span, scan_merged};
use super::{Frozen, Replica};
use crate::{EngineError, View};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

/// Everything of a replica at one applied index, unaffected by what is applied or flushed later. It keeps tables in
/// memory and files on disk alive, so drop it soon.
pub struct ReplicaSnapshot {
    applied: Applied,
    // Oldest first.
    tables: Vec<Arc<Frozen>>,
    engine: Box<dyn View + Send + Sync>,
    prefix: Prefix,
}

/// A run of pairs of a snapshot, in ascending order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chunk {
    /// Keys and values. Empty only if the snapshot has no more.
    pub pairs: Vec<(Bytes, Bytes)>,
    /// Whether the snapshot ends here.
    pub last: bool,
}

impl Replica {
    /// Takes a snapshot. Cheap: the active table is frozen, not copied, unless too many are frozen already.
    ///
    /// # Errors
    /// When the engine cannot be read.
    pub fn snapshot(&self) -> Result<ReplicaSnapshot, EngineError> {
        let mut state = self.state.write();
        state.check()?;
        // Under the lock, so that no flush can take a table away between the two.
        let engine = self.shared.engine.snapshot()?;
        let active = state.active.memory();
        let all_frozen = state.freeze();
        self.shared.move_to_frozen(active - state.active.memory());
        let mut tables = state.frozen.clone();
        if !all_frozen {
            tables.push(Arc::new(Frozen { table: state.active.clone(), applied: state.applied.clone() }));
        }
        Ok(ReplicaSnapshot { applied: state.applied.clone(), tables, engine, prefix: self.prefix(&state) })
    }
}

impl ReplicaSnapshot {
    /// How far the state in the snapshot has come.
    #[must_use]
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// The pairs behind `after` (from the beginning for `None`), until keys and values exceed `max_bytes`. At least one
    /// pair, so a value larger than `max_bytes` comes alone.
    ///
    /// # Errors
    /// When the engine cannot be read.
    pub fn chunk(&self, after: Option<&[u8]>, max_bytes: usize) -> Result<Chunk, EngineError> {
        let mut chunk = Chunk { pairs: Vec::new(), last: true };
        let mut bytes = 0usize;
        self.walk(after, &mut |key, value| {
            let size = key.len() + value.len();
            if !chunk.pairs.is_empty() && bytes + size > max_bytes {
                chunk.last = false;
                return ControlFlow::Break(());
            }
            bytes += size;
            chunk.pairs.push((Bytes::copy_from_slice(key), value.clone()));
            ControlFlow::Continue(())
        })?;
        Ok(chunk)
    }

    /// A checksum of all pairs in order: equal on all replicas of a shard at the same applied index. It reads everything.
    ///
    /// # Errors
    /// When the engine cannot be read.
    pub fn checksum(&self) -> Result<u64, EngineError> {
        let mut hash = Xxh3::new();
        self.walk(None, &mut |key, value| {
            for part in [key, value.as_ref()] {
                hash.update(&(part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            ControlFlow::Continue(())
        })?;
        Ok(hash.digest())
    }

    fn walk(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        // The least key greater than `after` is `after` and a zero byte.
        let start: Vec<u8> = after.map_or_else(Vec::new, |key| [key, &[0]].concat());
        let tables = self.tables.iter().rev().map(|f| &f.table);
        let span = Span { start: &start, end: None };
        scan_merged(tables, self.engine.as_ref(), self.prefix, span, Direction::Ascending, visit)
    }
}
