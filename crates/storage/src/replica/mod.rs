//! The applied state of the replicas of a node.
//!
//! ```text
//!                      apply                        flush                    get, scan
//!     log entries ─────────────▶ active table ──┐               ┌───────── active, frozen tables
//!                                (memory)       ▼               ▼                  │ absent
//!                                          frozen tables ─▶ Engine ◀── cache ◀─────┘
//! ```
//!
//! - Applying inserts into the active table of a replica under a short write lock. A reader holds the read lock for one command, so it
//!   sees one applied state.
//! - A flush freezes the active tables of all replicas, ingests them sorted, together with how far each replica has applied,
//!   and drops them. After a crash the log is applied again from there.
//! - Data lies in the engine under an **incarnation** of its replica. A snapshot is installed under a new incarnation, and
//!   the record that names the live one changes in the same ingestion as the last of its data. Old incarnations are garbage.
//!
//! Invariants: what a table says hides what lies below it; the engine's record of a replica and its data are always of
//! the same applied index; a reader's state never changes under it.
//!
//! Not here: who may read, what keys mean, when to flush. Threads and clocks belong to the caller.

mod apply;
mod cache;
mod flush;
mod garbage;
mod install;
mod keys;
mod merge;
mod read;
mod snapshot;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use flush::FlushReport;
pub use garbage::GarbageReport;
pub use install::Install;
pub use keys::{Applied, MAX_KEY_BYTES};
pub use read::ReadGuard;
pub use snapshot::{Chunk, ReplicaSnapshot};
pub use store::{MemoryUse, Store, StoreOptions};

use crate::EngineError;
use cache::Owner;
use keys::{Prefix, prefix, prefix_end};
use parking_lot::RwLock;
use std::sync::Arc;
use stdx::ShardId;
use store::Shared;
use table::Table;

/// Frozen tables a replica may have at once. Flushing takes all of them; they pile up only while flushes fail or snapshots
/// are taken between two flushes, and each one costs every read a lookup.
const MAX_FROZEN_TABLES: usize = 4;

/// One shard's applied state on this node. Shared freely between threads; one thread at a time applies.
pub struct Replica {
    shard: ShardId,
    state: RwLock<State>,
    shared: Arc<Shared>,
}

/// What the lock of a replica guards.
struct State {
    /// The live incarnation, in engine keys.
    incarnation: u32,
    /// The live incarnation, in the cache.
    owner: Owner,
    /// What was applied since the last freeze.
    active: Table,
    /// Oldest first.
    frozen: Vec<Arc<Frozen>>,
    applied: Applied,
    flushed: Applied,
    removed: bool,
}

/// A table that no longer changes, and how far it goes.
struct Frozen {
    table: Table,
    applied: Applied,
}

impl State {
    fn new(incarnation: u32, owner: Owner, applied: Applied) -> State {
        State {
            incarnation,
            owner,
            active: Table::default(),
            frozen: Vec::new(),
            flushed: applied.clone(),
            applied,
            removed: false,
        }
    }

    /// All tables, newest first.
    fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&self.active).chain(self.frozen.iter().rev().map(|f| &f.table))
    }

    /// Makes the active table the newest frozen one, unless it is empty or too many are frozen. Returns whether
    /// everything applied is frozen after it.
    fn freeze(&mut self) -> bool {
        if self.active.is_empty() {
            return true;
        }
        if self.frozen.len() >= MAX_FROZEN_TABLES {
            return false;
        }
        let table = std::mem::take(&mut self.active);
        self.frozen.push(Arc::new(Frozen { table, applied: self.applied.clone() }));
        true
    }

    fn check(&self) -> Result<(), EngineError> {
        if self.removed {
            return Err(EngineError::Io("the replica was removed from this node".into()));
        }
        Ok(())
    }
}

impl Replica {
    /// The shard this is a replica of.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// How far the state in memory has come. May be called while a `ReadGuard` of this replica is held.
    #[must_use]
    pub fn applied(&self) -> Applied {
        self.state.read_recursive().applied.clone()
    }

    /// How far the engine has come: the log is needed only behind this. May be called while a `ReadGuard` is held.
    #[must_use]
    pub fn flushed(&self) -> Applied {
        self.state.read_recursive().flushed.clone()
    }

    /// Bytes this replica takes, roughly: tables in memory and its part of the engine.
    #[must_use]
    pub fn approximate_bytes(&self) -> u64 {
        let (memory, prefix) = {
            let state = self.state.read_recursive();
            let memory: usize = state.tables().map(Table::memory).sum();
            (memory as u64, self.prefix(&state))
        };
        memory + self.shared.engine.approximate_bytes(&prefix, &prefix_end(prefix))
    }

    /// The secret seed of this process for hashing keys that clients choose.
    #[must_use]
    pub fn hash_seed(&self) -> u64 {
        self.shared.hash_seed()
    }

    fn prefix(&self, state: &State) -> Prefix {
        prefix(self.shard, state.incarnation)
    }
}
