//! Reading one applied state.

use super::keys::{Applied, join};
use super::merge::{Direction, Span, Visit, scan_merged};
use super::table::Probe;
use super::{Replica, State};
use crate::{EngineError, View};
use bytes::Bytes;
use parking_lot::RwLockReadGuard;

/// A replica at one applied state, which does not change while the guard lives. Applying waits for it, so hold it
/// for one command, and never take a second one of the same replica meanwhile: a waiting writer goes first, and both would wait
/// forever.
pub struct ReadGuard<'a> {
    replica: &'a Replica,
    state: RwLockReadGuard<'a, State>,
}

impl Replica {
    /// The state as applied so far.
    #[must_use]
    pub fn read(&self) -> ReadGuard<'_> {
        ReadGuard { replica: self, state: self.state.read() }
    }
}

impl ReadGuard<'_> {
    /// How far this state has come.
    #[must_use]
    pub fn applied(&self) -> &Applied {
        &self.state.applied
    }

    /// The value in the engine, kept in the cache for the next reader. See `cache` for why this is coherent.
    fn fetch(&self, probe: Probe<'_>) -> Result<Option<Bytes>, EngineError> {
        let shared = &self.replica.shared;
        let value = shared.engine.get(&join(self.replica.prefix(&self.state), probe.bytes))?;
        if let Some(value) = &value {
            shared.cache.set(self.state.owner, probe, value.clone());
        }
        Ok(value)
    }

    fn scan_in(&self, span: Span<'_>, direction: Direction, visit: Visit<'_>) -> Result<(), EngineError> {
        self.state.check()?;
        let engine = self.replica.shared.engine.as_ref();
        let prefix = self.replica.prefix(&self.state);
        scan_merged(self.state.tables(), engine, prefix, span, direction, visit)
    }
}

impl View for ReadGuard<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        let probe = self.replica.shared.probe(key);
        if let Some(slot) = self.state.tables().find_map(|table| table.get(probe)) {
            slot.touch();
            return Ok(slot.value.clone());
        }
        if let Some(value) = self.replica.shared.cache.get(self.state.owner, probe) {
            return Ok(Some(value));
        }
        self.state.check()?;
        self.fetch(probe)
    }

    fn scan(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> Result<(), EngineError> {
        self.scan_in(Span { start, end: Some(end) }, Direction::Ascending, visit)
    }

    fn scan_reverse(&self, start: &[u8], end: &[u8], visit: Visit<'_>) -> Result<(), EngineError> {
        self.scan_in(Span { start, end: Some(end) }, Direction::Descending, visit)
    }
}
