//! All replicas of a node over one engine.

use super::cache::{Cache, Owner};
use super::garbage::Garbage;
use super::keys::{
    Applied, FIRST_INCARNATION, Record, decode_record, encode_record, is_valid_shard, local_key, prefix, prefix_end,
    record_key, split,
};
use super::table::Probe;
use super::{Replica, State};
use crate::EngineError;
use crate::engine::{Change, Engine};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use stdx::ShardId;

/// Settings of a `Store`.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Bytes of hot values kept in memory, for all replicas together.
    pub cache_bytes: u64,
    /// Bytes of tables, for all replicas together, at which `Store::needs_flush` says so.
    pub flush_bytes: u64,
    /// Seed of the hash function of tables and cache. Give each process its own, so that clients cannot choose keys that collide.
    pub hash_seed: u64,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions { cache_bytes: 32 * 1024 * 1024, flush_bytes: 16 * 1024 * 1024, hash_seed: 0 }
    }
}

/// Memory of a store in bytes, overhead of its structures included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryUse {
    /// Active tables: what grows with each applied batch.
    pub active: u64,
    /// Frozen tables: on their way to the engine.
    pub frozen: u64,
    /// Hot values.
    pub cache: u64,
}

/// All replicas of a node. Clones are handles of the same store.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) replicas: RwLock<BTreeMap<ShardId, Arc<Replica>>>,
}

/// What replicas share.
pub(super) struct Shared {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) cache: Cache,
    hash_seed: u64,
    flush_bytes: u64,
    /// Held while records of replicas are written, so that what is in memory and what is in the engine change in step.
    pub(super) maintenance: Mutex<()>,
    pub(super) garbage: Mutex<Garbage>,
    pub(super) active_bytes: AtomicUsize,
    frozen_bytes: AtomicUsize,
    owners: AtomicU64,
    /// The highest incarnation ever seen of each shard; none is used twice by one process.
    incarnations: Mutex<BTreeMap<ShardId, u32>>,
}

impl Store {
    /// Opens the store in `engine` and finds its replicas.
    ///
    /// # Errors
    /// Of the engine, or `Damaged` when a replica's record cannot be read.
    pub fn open(engine: Arc<dyn Engine>, options: StoreOptions) -> Result<Store, EngineError> {
        let found = survey(engine.as_ref())?;
        let shared = Arc::new(Shared {
            engine,
            cache: Cache::new(options.cache_bytes),
            hash_seed: options.hash_seed,
            flush_bytes: options.flush_bytes,
            maintenance: Mutex::new(()),
            garbage: Mutex::new(found.garbage),
            active_bytes: AtomicUsize::new(0),
            frozen_bytes: AtomicUsize::new(0),
            owners: AtomicU64::new(0),
            incarnations: Mutex::new(found.incarnations),
        });
        let replicas = found.records.into_iter().map(|(shard, record)| {
            (shard, Replica::new(shard, record.incarnation, record.applied, Arc::clone(&shared)))
        });
        let replicas = RwLock::new(replicas.collect());
        Ok(Store { inner: Arc::new(Inner { shared, replicas }) })
    }

    /// All replicas, by shard.
    #[must_use]
    pub fn replicas(&self) -> Vec<Arc<Replica>> {
        self.inner.replicas.read().values().cloned().collect()
    }

    /// The replica of `shard`, if this node has one.
    #[must_use]
    pub fn replica(&self, shard: ShardId) -> Option<Arc<Replica>> {
        self.inner.replicas.read().get(&shard).cloned()
    }

    /// Creates an empty replica at `applied`, durably. An existing replica is returned as it is.
    ///
    /// # Errors
    /// Of the engine; `Damaged` for the one shard number that is taken (`u32::MAX`).
    pub fn create_replica(&self, shard: ShardId, applied: Applied) -> Result<Arc<Replica>, EngineError> {
        self.create_replicas(&[(shard, applied)])?;
        self.replica(shard).ok_or_else(|| EngineError::Io("the replica was removed from this node".into()))
    }

    /// Creates empty replicas, all of them durably with one ingestion. Existing ones stay as they are.
    ///
    /// # Errors
    /// As `create_replica`; none is created then.
    pub fn create_replicas(&self, wanted: &[(ShardId, Applied)]) -> Result<(), EngineError> {
        let shared = &self.inner.shared;
        let _exclusive = shared.maintenance.lock();
        let mut fresh = BTreeMap::new();
        for (shard, applied) in wanted {
            if !is_valid_shard(*shard) {
                return Err(EngineError::Damaged(format!("shard {shard} cannot have replicas")));
            }
            if self.replica(*shard).is_none() && !fresh.contains_key(shard) {
                let incarnation = shared.next_incarnation(*shard)?;
                fresh.insert(*shard, Record { incarnation, applied: applied.clone() });
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let mut records = fresh.iter().map(|(shard, record)| {
            let value = encode_record(record.incarnation, &record.applied);
            (Bytes::copy_from_slice(&record_key(*shard)), Some(value))
        });
        shared.engine.ingest(&mut records)?;
        let mut replicas = self.inner.replicas.write();
        for (shard, record) in fresh {
            replicas.insert(shard, Replica::new(shard, record.incarnation, record.applied, Arc::clone(shared)));
        }
        Ok(())
    }

    /// Removes the replica of `shard`, durably; its data becomes garbage, and handles of it answer with an error.
    /// Nothing happens when there is none.
    ///
    /// # Errors
    /// Of the engine; the replica stays then.
    pub fn remove_replica(&self, shard: ShardId) -> Result<(), EngineError> {
        let shared = &self.inner.shared;
        let _exclusive = shared.maintenance.lock();
        let Some(replica) = self.replica(shard) else {
            return Ok(());
        };
        let removal: Change = (Bytes::copy_from_slice(&record_key(shard)), None);
        shared.engine.ingest(&mut std::iter::once(removal))?;
        self.inner.replicas.write().remove(&shard);
        let mut gone = State::new(FIRST_INCARNATION, shared.next_owner(), Applied::default());
        gone.removed = true;
        let old = std::mem::replace(&mut *replica.state.write(), gone);
        shared.forget_tables(&old);
        shared.add_garbage(shard, old.incarnation);
        Ok(())
    }

    /// The record of the node under `name`.
    ///
    /// # Errors
    /// Of the engine.
    pub fn get_local(&self, name: &str) -> Result<Option<Bytes>, EngineError> {
        self.inner.shared.engine.get(&local_key(name))
    }

    /// Sets a record of the node, durably when it returns.
    ///
    /// # Errors
    /// Of the engine.
    pub fn put_local(&self, name: &str, value: Bytes) -> Result<(), EngineError> {
        self.inner.shared.engine.ingest(&mut std::iter::once((local_key(name), Some(value))))
    }

    /// Bytes of all tables: what the next flush will write, roughly. Snapshots freeze tables, too, and a flush that failed
    /// leaves them behind.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.inner.shared.table_bytes()
    }

    /// All memory of the store, in parts.
    #[must_use]
    pub fn memory(&self) -> MemoryUse {
        let shared = &self.inner.shared;
        MemoryUse {
            active: shared.active_bytes.load(Relaxed) as u64,
            frozen: shared.frozen_bytes.load(Relaxed) as u64,
            cache: shared.cache.memory(),
        }
    }

    /// Whether tables have reached the limit of the options.
    #[must_use]
    pub fn needs_flush(&self) -> bool {
        self.memory_bytes() >= self.inner.shared.flush_bytes
    }

    /// As [`Replica::must_wait`]: it is the same for all replicas.
    #[must_use]
    pub fn must_wait(&self) -> bool {
        self.inner.shared.must_wait()
    }

    /// The engine below, for its own figures.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.shared.engine
    }
}

impl Replica {
    fn new(shard: ShardId, incarnation: u32, applied: Applied, shared: Arc<Shared>) -> Arc<Replica> {
        let state = State::new(incarnation, shared.next_owner(), applied);
        Arc::new(Replica { shard, state: RwLock::new(state), shared })
    }

    /// Whether the tables of all replicas, those on their way to the engine included, take twice the flush limit of
    /// the store: then the caller stops accepting writes until a flush has ended, which bounds the store's memory.
    #[must_use]
    pub fn must_wait(&self) -> bool {
        self.shared.must_wait()
    }
}

impl Shared {
    fn table_bytes(&self) -> u64 {
        (self.active_bytes.load(Relaxed) + self.frozen_bytes.load(Relaxed)) as u64
    }

    fn must_wait(&self) -> bool {
        self.table_bytes() >= self.flush_bytes.saturating_mul(2)
    }

    pub(super) fn probe<'k>(&self, key: &'k [u8]) -> Probe<'k> {
        Probe::new(key, self.hash_seed)
    }

    pub(super) fn hash_seed(&self) -> u64 {
        self.hash_seed
    }

    pub(super) fn next_owner(&self) -> Owner {
        Owner(self.owners.fetch_add(1, Relaxed))
    }

    /// An incarnation of `shard` that nothing in the engine belongs to.
    pub(super) fn next_incarnation(&self, shard: ShardId) -> Result<u32, EngineError> {
        let mut incarnations = self.incarnations.lock();
        let highest = incarnations.entry(shard).or_insert(FIRST_INCARNATION - 1);
        *highest = highest
            .checked_add(1)
            .ok_or_else(|| EngineError::Damaged(format!("{shard} has used all its incarnations")))?;
        Ok(*highest)
    }

    pub(super) fn add_garbage(&self, shard: ShardId, incarnation: u32) {
        self.garbage.lock().add(prefix(shard, incarnation));
    }

    /// Accounts for bytes that went from the active table to the frozen ones.
    pub(super) fn move_to_frozen(&self, bytes: usize) {
        self.active_bytes.fetch_sub(bytes, Relaxed);
        self.frozen_bytes.fetch_add(bytes, Relaxed);
    }

    /// Accounts for frozen tables that are gone.
    pub(super) fn forget_frozen(&self, bytes: usize) {
        self.frozen_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Accounts for all tables of a state that is replaced.
    pub(super) fn forget_tables(&self, old: &State) {
        self.active_bytes.fetch_sub(old.active.memory(), Relaxed);
        self.forget_frozen(old.frozen.iter().map(|f| f.table.memory()).sum());
    }
}

/// What lies in an engine.
#[derive(Default)]
struct Found {
    records: BTreeMap<ShardId, Record>,
    incarnations: BTreeMap<ShardId, u32>,
    garbage: Garbage,
}

/// Looks for the first key of each shard and incarnation; the data between is skipped.
fn survey(engine: &dyn Engine) -> Result<Found, EngineError> {
    let mut found = Found::default();
    let end = local_key("");
    let mut from = prefix(ShardId(0), 0);
    while let Some((key, value)) = first_pair(engine, &from, &end)? {
        let (shard, incarnation) =
            split(&key).ok_or_else(|| EngineError::Damaged("a key without shard and incarnation".into()))?;
        if incarnation < FIRST_INCARNATION {
            found.records.insert(shard, decode_record(value)?);
        } else {
            found.incarnations.insert(shard, incarnation);
            let live = found.records.get(&shard).map(|record| record.incarnation);
            if live != Some(incarnation) {
                found.garbage.add(prefix(shard, incarnation));
            }
        }
        from = prefix_end(prefix(shard, incarnation));
    }
    for (shard, record) in &found.records {
        // A live incarnation without data leaves no key behind.
        let highest = found.incarnations.entry(*shard).or_insert(record.incarnation);
        *highest = (*highest).max(record.incarnation);
    }
    Ok(found)
}

fn first_pair(engine: &dyn Engine, from: &[u8], end: &[u8]) -> Result<Option<(Bytes, Bytes)>, EngineError> {
    let mut first = None;
    engine.scan(from, end, &mut |key, value| {
        first = Some((Bytes::copy_from_slice(key), value.clone()));
        ControlFlow::Break(())
    })?;
    Ok(first)
}
