//! Moving applied state from memory to the engine.

use super::cache::Owner;
use super::keys::{Applied, encode_record, join_owned, prefix, record_key};
use super::merge::{Direction, Layers, Span};
use super::table::Table;
use super::{Frozen, Replica, Store};
use crate::EngineError;
use crate::engine::Change;
use bytes::Bytes;
use std::sync::Arc;

/// What a flush wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlushReport {
    /// Replicas whose `flushed` moved.
    pub replicas: usize,
    /// Keys set or removed.
    pub keys: usize,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// What a flush takes from one replica.
struct Portion {
    replica: Arc<Replica>,
    incarnation: u32,
    owner: Owner,
    // Oldest first.
    tables: Vec<Arc<Frozen>>,
    applied: Applied,
}

impl Store {
    /// Writes everything that was applied when it began to the engine and releases its memory. Applying and reading go
    /// on meanwhile; a second call waits for the first.
    ///
    /// # Errors
    /// Of the engine. Then nothing is lost: the tables stay in memory, readable, and the next call tries again.
    pub fn flush(&self) -> Result<FlushReport, EngineError> {
        let shared = &self.inner.shared;
        let _exclusive = shared.maintenance.lock();
        let portions: Vec<Portion> = self.replicas().into_iter().filter_map(Portion::take).collect();
        if portions.is_empty() {
            return Ok(FlushReport::default());
        }
        let mut report = FlushReport { replicas: portions.len(), ..FlushReport::default() };
        let mut changes = portions.iter().flat_map(Portion::changes).inspect(|(key, value)| {
            report.keys += 1;
            report.bytes += (key.len() + value.as_ref().map_or(0, Bytes::len)) as u64;
        });
        shared.engine.ingest(&mut changes)?;
        drop(changes);
        report.keys -= portions.len();
        for portion in portions {
            portion.update_cache();
            portion.release();
        }
        Ok(report)
    }
}

impl Portion {
    /// Freezes what `replica` has in memory; `None` if the engine has it all.
    fn take(replica: Arc<Replica>) -> Option<Portion> {
        let mut state = replica.state.write();
        let active = state.active.memory();
        let all_frozen = state.freeze();
        replica.shared.move_to_frozen(active - state.active.memory());
        let applied = match state.frozen.last() {
            Some(newest) if !all_frozen => newest.applied.clone(),
            _ => state.applied.clone(),
        };
        if state.frozen.is_empty() && applied == state.flushed {
            return None;
        }
        let (incarnation, owner, tables) = (state.incarnation, state.owner, state.frozen.clone());
        drop(state);
        Some(Portion { replica, incarnation, owner, tables, applied })
    }

    fn layers(&self) -> Layers<'_> {
        Layers::new(self.newest_first(), Span::ALL, Direction::Ascending)
    }

    fn newest_first(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().rev().map(|f| &f.table)
    }

    /// The replica's record and its data, in the order of the engine.
    fn changes(&self) -> impl Iterator<Item = Change> {
        let shard = self.replica.shard;
        let record = (Bytes::copy_from_slice(&record_key(shard)), Some(encode_record(self.incarnation, &self.applied)));
        let prefix = prefix(shard, self.incarnation);
        let data = self.layers().map(move |(key, slot)| (join_owned(prefix, key), slot.value.clone()));
        std::iter::once(record).chain(data)
    }

    /// Tells the cache what the engine now holds: values that were read while in memory stay, all others are forgotten.
    /// The tables still hide these keys from readers, so nobody can put an older value back.
    fn update_cache(&self) {
        let shared = &self.replica.shared;
        // Oldest table first, so that what a newer one says comes last.
        for (probe, slot) in self.tables.iter().flat_map(|frozen| frozen.table.entries()) {
            match &slot.value {
                Some(value) if slot.is_hot() => shared.cache.set(self.owner, probe, value.clone()),
                _ => shared.cache.remove(self.owner, probe),
            }
        }
    }

    /// Takes the tables away from the readers.
    fn release(self) {
        let mut state = self.replica.state.write();
        // Snapshots may have frozen more since; those come later in the list.
        let released: Vec<Arc<Frozen>> = state.frozen.drain(..self.tables.len()).collect();
        state.flushed = self.applied;
        drop(state);
        self.replica.shared.forget_frozen(released.iter().map(|f| f.table.memory()).sum());
        // The tables are freed here, outside the lock: a large one takes milliseconds.
        drop((released, self.tables));
    }
}
