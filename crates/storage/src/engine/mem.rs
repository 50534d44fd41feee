//! An engine in memory for tests and the simulator. Clones share the contents, so a clone kept aside plays the disk
//! that survives when everything else is dropped.

use super::{Change, Engine, MAX_ENGINE_KEY_BYTES};
use crate::{EngineError, View};
use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

/// What shall go wrong, until healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every read fails with this error.
    Reads(EngineError),
    /// Every ingestion fails with this error and changes nothing.
    Ingests(EngineError),
    /// Reads that touch a key in `start..end` fail with `Damaged`.
    Damage(Bytes, Bytes),
}

#[derive(Clone, Default)]
struct Contents {
    map: Arc<BTreeMap<Bytes, Bytes>>,
    faults: Vec<Fault>,
}

/// See the module. Cheap to clone; all clones are the same engine.
#[derive(Clone, Default)]
pub struct MemEngine {
    contents: Arc<RwLock<Contents>>,
}

impl MemEngine {
    /// An empty engine.
    #[must_use]
    pub fn new() -> MemEngine {
        MemEngine::default()
    }

    /// Adds a fault.
    pub fn inject(&self, fault: Fault) {
        self.contents.write().faults.push(fault);
    }

    /// Removes all faults.
    pub fn heal(&self) {
        self.contents.write().faults.clear();
    }

    /// Number of keys, whoever they belong to.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.contents.read().map.len()
    }

    fn view(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read()
    }
}

impl Contents {
    fn check_reads(&self) -> Result<(), EngineError> {
        for fault in &self.faults {
            if let Fault::Reads(error) = fault {
                return Err(error.clone());
            }
        }
        Ok(())
    }

    fn check_key(&self, key: &[u8]) -> Result<(), EngineError> {
        for fault in &self.faults {
            if let Fault::Damage(start, end) = fault
                && key >= start.as_ref()
                && key < end.as_ref()
            {
                return Err(EngineError::Damaged("injected damage".into()));
            }
        }
        Ok(())
    }

    fn visit<'a>(
        &self,
        pairs: impl Iterator<Item = (&'a Bytes, &'a Bytes)>,
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        for (key, value) in pairs {
            self.check_key(key)?;
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// `None` for an inverted range, which a map refuses.
fn bounds<'a>(start: &'a [u8], end: &'a [u8]) -> Option<Bounds<'a>> {
    (start < end).then_some((Bound::Included(start), Bound::Excluded(end)))
}

impl View for Contents {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.check_reads()?;
        self.check_key(key)?;
        Ok(self.map.get(key).cloned())
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        self.check_reads()?;
        let Some(range) = bounds(start, end) else {
            return Ok(());
        };
        self.visit(self.map.range::<[u8], _>(range), visit)
    }

    fn scan_reverse(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        self.check_reads()?;
        let Some(range) = bounds(start, end) else {
            return Ok(());
        };
        self.visit(self.map.range::<[u8], _>(range).rev(), visit)
    }
}

impl View for MemEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.view().get(key)
    }

    fn scan(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        // A copy of the handle, so that a visitor may call the engine again.
        let contents = self.view().clone();
        contents.scan(start, end, visit)
    }

    fn scan_reverse(
        &self,
        start: &[u8],
        end: &[u8],
        visit: &mut dyn FnMut(&[u8], &Bytes) -> ControlFlow<()>,
    ) -> Result<(), EngineError> {
        let contents = self.view().clone();
        contents.scan_reverse(start, end, visit)
    }
}

impl Engine for MemEngine {
    fn ingest(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), EngineError> {
        let changes: Vec<Change> = changes.collect();
        if changes.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(EngineError::Damaged("ingestion is not sorted".into()));
        }
        if changes.iter().any(|(key, _)| key.len() > MAX_ENGINE_KEY_BYTES) {
            return Err(EngineError::Damaged("a key is too long".into()));
        }
        let mut contents = self.contents.write();
        for fault in &contents.faults {
            if let Fault::Ingests(error) = fault {
                return Err(error.clone());
            }
        }
        let map = Arc::make_mut(&mut contents.map);
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        Ok(())
    }

    fn snapshot(&self) -> Result<Box<dyn View + Send + Sync>, EngineError> {
        let contents = self.view().clone();
        contents.check_reads()?;
        Ok(Box::new(contents))
    }

    fn approximate_bytes(&self, start: &[u8], end: &[u8]) -> u64 {
        let map = Arc::clone(&self.view().map);
        let Some(range) = bounds(start, end) else {
            return 0;
        };
        map.range::<[u8], _>(range).map(|(k, v)| (k.len() + v.len()) as u64).sum()
    }

    fn compact(&self) {}

    fn close(&self) -> Result<(), EngineError> {
        Ok(())
    }
}
