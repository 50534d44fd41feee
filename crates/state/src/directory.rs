//! Which keyspace a database uses, for readers: a read must not pay a second lookup for it.

use crate::records::{directory_key, directory_range};
use bytes::Bytes;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use storage::{Batch, EngineError, Op, View};

/// Databases of a co-located namespace, as Redis has by default.
pub const DATABASES: u16 = 16;

/// The applied mapping from database to keyspace of one shard. Kept beside the replica: loaded when it opens or
/// installs a snapshot, and shown every batch while it is applied, under the same lock that keeps readers out.
#[derive(Debug)]
pub struct Directory {
    keyspaces: [AtomicU32; DATABASES as usize],
}

impl Default for Directory {
    fn default() -> Directory {
        Directory { keyspaces: initial().map(AtomicU32::new) }
    }
}

/// A database that was never flushed uses the keyspace of its own number.
fn initial() -> [u32; DATABASES as usize] {
    std::array::from_fn(|db| db as u32)
}

impl Directory {
    /// The mapping of an empty shard.
    #[must_use]
    pub fn new() -> Directory {
        Directory::default()
    }

    /// Replaces the mapping with what `view` holds.
    ///
    /// # Errors
    /// When the engine cannot read, or a record is malformed.
    pub fn load(&self, view: &dyn View) -> Result<(), EngineError> {
        for (cell, keyspace) in self.keyspaces.iter().zip(read_directory(view)?) {
            cell.store(keyspace, Ordering::Release);
        }
        Ok(())
    }

    /// Takes over what a batch that is being applied says about the mapping.
    pub fn observe(&self, batch: &Batch) {
        for op in &batch.ops {
            if let Op::Put(key, value) = op
                && let Some((db, keyspace)) = decode(key, value)
                && let Some(cell) = self.keyspaces.get(db)
            {
                cell.store(keyspace, Ordering::Release);
            }
        }
    }

    /// The keyspace of `db`.
    pub(crate) fn keyspace(&self, db: u16) -> u32 {
        self.keyspaces.get(usize::from(db)).map_or(u32::from(db), |cell| cell.load(Ordering::Acquire))
    }
}

/// The mapping in `view`.
pub(crate) fn read_directory(view: &dyn View) -> Result<[u32; DATABASES as usize], EngineError> {
    let mut out = initial();
    let (start, end) = directory_range();
    let mut bad = false;
    view.scan(&start, &end, &mut |key, value| {
        match decode(key, value) {
            Some((db, keyspace)) if db < out.len() => out[db] = keyspace,
            _ => bad = true,
        }
        ControlFlow::Continue(())
    })?;
    if bad { Err(EngineError::Damaged("a directory record does not decode".to_owned())) } else { Ok(out) }
}

fn decode(key: &[u8], value: &Bytes) -> Option<(usize, u32)> {
    let db = u16::from_be_bytes(key.get(1..)?.try_into().ok()?);
    (key == directory_key(db)).then_some(())?;
    Some((usize::from(db), u32::from_be_bytes(value.as_ref().try_into().ok()?)))
}
