//! Removing incarnations that nobody will read again.

use super::Store;
use super::keys::{PREFIX_BYTES, Prefix, prefix_end};
use crate::EngineError;
use crate::engine::Change;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What one step of garbage collection did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GarbageReport {
    /// Keys removed.
    pub removed: usize,
    /// Whether more is left.
    pub more: bool,
}

/// Incarnations to be removed, and for each the first key that may be left.
#[derive(Default)]
pub(super) struct Garbage {
    from: BTreeMap<Prefix, Bytes>,
}

impl Garbage {
    pub(super) fn add(&mut self, prefix: Prefix) {
        self.from.entry(prefix).or_insert_with(|| Bytes::copy_from_slice(&prefix));
    }
}

impl Store {
    /// Removes up to `max_keys` keys of incarnations that are no longer, or never became, those of a replica. Call it in
    /// the background while `more` is set.
    ///
    /// # Errors
    /// Of the engine; the step may be repeated.
    pub fn collect_garbage(&self, max_keys: usize) -> Result<GarbageReport, EngineError> {
        let shared = &self.inner.shared;
        let _exclusive = shared.maintenance.lock();
        let Some((prefix, from)) = shared.garbage.lock().from.first_key_value().map(|(p, f)| (*p, f.clone())) else {
            return Ok(GarbageReport::default());
        };
        let mut keys: Vec<Bytes> = Vec::new();
        // One more than wanted tells whether that was all, and where to go on.
        let mut next = None;
        shared.engine.scan(&from, &prefix_end(prefix), &mut |key, _| {
            debug_assert!(key.len() >= PREFIX_BYTES, "the range holds only keys with the prefix");
            if keys.len() == max_keys.max(1) {
                next = Some(Bytes::copy_from_slice(key));
                return ControlFlow::Break(());
            }
            keys.push(Bytes::copy_from_slice(key));
            ControlFlow::Continue(())
        })?;
        let removed = keys.len();
        if removed > 0 {
            shared.engine.ingest(&mut keys.into_iter().map(|key| -> Change { (key, None) }))?;
        }
        let mut garbage = shared.garbage.lock();
        match next {
            Some(next) => garbage.from.insert(prefix, next),
            None => garbage.from.remove(&prefix),
        };
        Ok(GarbageReport { removed, more: !garbage.from.is_empty() })
    }
}
