//! Applying: the only way a replica's state changes, apart from installing a snapshot.

use super::keys::{Applied, MAX_KEY_BYTES};
use super::merge::{Direction, Span, scan_merged};
use super::table::{Probe, Table};
use super::{Replica, State};
use crate::engine::value::owned;
use crate::{Batch, EngineError, Op};
use bytes::Bytes;
use parking_lot::RwLockUpgradableReadGuard;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

/// A change made ready outside the lock.
enum Ready<'b> {
    Set(Probe<'b>, Option<Bytes>),
    RemoveRange(&'b [u8], &'b [u8]),
}

impl Replica {
    /// Applies `batches` in order and moves the replica to `applied`; readers see all of it or nothing.
    /// It waits for `ReadGuard`s of this replica, so the caller must hold none.
    ///
    /// # Errors
    /// `Damaged` for a key above `MAX_KEY_BYTES`; any error of the engine when a range must be resolved against it.
    /// Nothing has changed then.
    pub fn apply(&self, batches: &[Batch], applied: Applied) -> Result<(), EngineError> {
        self.apply_with(batches, applied, || {})
    }

    /// As `apply`; `under_lock` runs at the instant of the change, so that what the caller keeps beside the replica
    /// changes with it for every reader. It must be short.
    ///
    /// # Errors
    /// As `apply`; then `under_lock` did not run.
    pub fn apply_with(
        &self,
        batches: &[Batch],
        applied: Applied,
        under_lock: impl FnOnce(),
    ) -> Result<(), EngineError> {
        let ready = self.prepare(batches)?;
        let ranges = ready.iter().any(|change| matches!(change, Ready::RemoveRange(..)));
        let (mut state, resolved) = if ranges {
            // Others may read while the engine is scanned, and nobody else may change the state.
            let state = self.state.upgradable_read();
            state.check()?;
            let resolved = self.resolve(&state, &ready)?;
            (RwLockUpgradableReadGuard::upgrade(state), resolved)
        } else {
            (self.state.write(), Vec::new())
        };
        state.check()?;
        let before = state.active.memory();
        self.insert_all(&mut state.active, ready, resolved);
        state.applied = applied;
        under_lock();
        self.shared.active_bytes.fetch_add(state.active.memory().wrapping_sub(before), Relaxed);
        Ok(())
    }

    /// The keys that each range removes from the state before this call, one list per range in order.
    fn resolve(&self, state: &State, ready: &[Ready<'_>]) -> Result<Vec<Vec<Bytes>>, EngineError> {
        let mut resolved = Vec::new();
        for change in ready {
            if let Ready::RemoveRange(start, end) = change {
                let mut keys = Vec::new();
                let mut visit = |key: &[u8], _: &Bytes| {
                    keys.push(Bytes::copy_from_slice(key));
                    ControlFlow::Continue(())
                };
                let span = Span { start, end: Some(end) };
                let engine = self.shared.engine.as_ref();
                scan_merged(state.tables(), engine, self.prefix(state), span, Direction::Ascending, &mut visit)?;
                resolved.push(keys);
            }
        }
        Ok(resolved)
    }

    /// Hashes and copies what can be hashed and copied outside the lock.
    fn prepare<'b>(&self, batches: &'b [Batch]) -> Result<Vec<Ready<'b>>, EngineError> {
        let mut ready = Vec::with_capacity(batches.iter().map(|b| b.ops.len()).sum());
        for op in batches.iter().flat_map(|batch| &batch.ops) {
            ready.push(match op {
                Op::Put(key, value) => Ready::Set(self.checked(key)?, Some(owned(value))),
                Op::Delete(key) => Ready::Set(self.checked(key)?, None),
                Op::DeleteRange(start, end) => Ready::RemoveRange(start, end),
            });
        }
        Ok(ready)
    }

    fn checked<'k>(&self, key: &'k [u8]) -> Result<Probe<'k>, EngineError> {
        if key.len() > MAX_KEY_BYTES {
            return Err(EngineError::Damaged(format!("a batch holds a key of {} bytes", key.len())));
        }
        Ok(self.shared.probe(key))
    }

    fn insert_all(&self, table: &mut Table, ready: Vec<Ready<'_>>, resolved: Vec<Vec<Bytes>>) {
        let mut resolved = resolved.into_iter();
        for change in ready {
            match change {
                Ready::Set(probe, value) => table.insert(probe, value),
                Ready::RemoveRange(start, end) => {
                    // First what earlier changes of this call put there, then what was visible before it.
                    table.remove_range(start, end);
                    for key in resolved.next().into_iter().flatten() {
                        table.insert(self.shared.probe(&key), None);
                    }
                }
            }
        }
    }
}
