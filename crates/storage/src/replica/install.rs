//! Receiving a snapshot beside the data it replaces.

use super::keys::{Applied, MAX_KEY_BYTES, encode_record, join_owned, prefix, record_key};
use super::{Replica, State};
use crate::EngineError;
use crate::engine::Change;
use bytes::Bytes;
use std::sync::Arc;

/// Bytes gathered before they are ingested: each ingestion costs a table and several syncs.
const INGEST_BYTES: usize = 8 * 1024 * 1024;

/// A snapshot on its way into a replica. The replica serves its old state until `finish`; dropping this instead leaves it so,
/// and what was written becomes garbage.
pub struct Install {
    replica: Arc<Replica>,
    incarnation: u32,
    applied: Applied,
    pending: Vec<(Bytes, Bytes)>,
    pending_bytes: usize,
    last: Option<Bytes>,
    state: Progress,
}

#[derive(PartialEq, Eq)]
enum Progress {
    /// The incarnation belongs to nobody yet.
    Receiving,
    /// The switch was tried and failed: which incarnation is live on disk is unknown until the next flush or open.
    Uncertain,
    /// The incarnation is the replica's.
    Done,
}

impl Replica {
    /// Begins to receive a snapshot that was taken at `applied`.
    ///
    /// # Errors
    /// When the replica was removed.
    pub fn begin_install(self: &Arc<Self>, applied: Applied) -> Result<Install, EngineError> {
        self.state.read_recursive().check()?;
        Ok(Install {
            incarnation: self.shared.next_incarnation(self.shard)?,
            replica: Arc::clone(self),
            applied,
            pending: Vec::new(),
            pending_bytes: 0,
            last: None,
            state: Progress::Receiving,
        })
    }
}

impl Install {
    /// The last key written so far: where the sender goes on after an interruption.
    #[must_use]
    pub fn last_key(&self) -> Option<&Bytes> {
        self.last.as_ref()
    }

    /// What the snapshot was taken at.
    #[must_use]
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Takes the next pairs, which ascend and lie behind `last_key`.
    ///
    /// # Errors
    /// `Damaged` when they do not ascend or a key is too long; `Full` when there is no room: then the same chunk may be
    /// written again from `last_key`. Any other error of the engine is final.
    pub fn write_chunk(&mut self, pairs: Vec<(Bytes, Bytes)>) -> Result<(), EngineError> {
        for (key, value) in pairs {
            if self.last.as_ref().is_some_and(|last| *last >= key) {
                return Err(EngineError::Damaged("a snapshot is not sorted".into()));
            }
            if key.len() > MAX_KEY_BYTES {
                return Err(EngineError::Damaged("a snapshot holds a key that is too long".into()));
            }
            if self.pending_bytes >= INGEST_BYTES {
                self.ingest_pending()?;
            }
            self.pending_bytes += key.len() + value.len();
            self.last = Some(key.clone());
            self.pending.push((key, value));
        }
        Ok(())
    }

    /// Writes what is left and makes the snapshot the replica's state, atomically and durably. What was applied to the
    /// old state is gone, also what was applied during the installation.
    ///
    /// # Errors
    /// Of the engine; the replica keeps its old state in this process. A crash before the next successful flush may bring
    /// up either state.
    pub fn finish(mut self) -> Result<(), EngineError> {
        let replica = Arc::clone(&self.replica);
        // No flush may be under way: it would write the record of the old incarnation over ours.
        let _exclusive = replica.shared.maintenance.lock();
        replica.state.read_recursive().check()?;
        let record = encode_record(self.incarnation, &self.applied);
        let key = Bytes::copy_from_slice(&record_key(replica.shard));
        let mut changes = std::iter::once((key, Some(record))).chain(self.changes());
        let result = replica.shared.engine.ingest(&mut changes);
        drop(changes);
        if let Err(error) = result {
            self.state = Progress::Uncertain;
            return Err(error);
        }
        self.state = Progress::Done;
        self.switch();
        Ok(())
    }

    fn switch(&mut self) {
        let shared = &self.replica.shared;
        let fresh = State::new(self.incarnation, shared.next_owner(), self.applied.clone());
        let old = std::mem::replace(&mut *self.replica.state.write(), fresh);
        shared.forget_tables(&old);
        shared.add_garbage(self.replica.shard, old.incarnation);
        // Dropped here, outside the lock: a large table takes milliseconds to free.
        drop(old);
    }

    fn changes(&self) -> impl Iterator<Item = Change> {
        let prefix = prefix(self.replica.shard, self.incarnation);
        self.pending.iter().map(move |(key, value)| (join_owned(prefix, key), Some(value.clone())))
    }

    fn ingest_pending(&mut self) -> Result<(), EngineError> {
        self.replica.shared.engine.ingest(&mut self.changes())?;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }
}

impl Drop for Install {
    fn drop(&mut self) {
        if self.state == Progress::Receiving {
            self.replica.shared.add_garbage(self.replica.shard, self.incarnation);
        }
    }
}
