//! Hot values of the engine, shared by all replicas of a node.
//!
//! Coherence. The cache holds what the engine holds, so a table above always hides it. A reader fills it only while it holds
//! its replica's read lock, and only for a key that no table has. Flushing freezes tables under the write lock: from then on no
//! reader can fill a key that is being flushed, and the flush sets or removes those keys here before it takes the frozen
//! table away. So no lock covers the cache and a table together.

use super::table::Probe;
use bytes::Bytes;
use quick_cache::sync::Cache as QuickCache;
use quick_cache::{Equivalent, OptionsBuilder, Weighter};
use std::hash::{BuildHasher, Hash, Hasher};

/// Memory of an entry beyond the bytes of its key and value: its slot and its share of growth (about 120), headers and
/// rounding of two allocations (about 56).
const ENTRY_OVERHEAD_BYTES: usize = 176;

/// Bytes of key and value by which the number of slots is first estimated.
const EXPECTED_ENTRY_BYTES: u64 = 1024;

/// A value that takes more than this part of the cache is not worth what it would push out.
const LARGEST_PART: u64 = 64;

/// Shards of locks: a few per core of a node.
const LOCKS: usize = 16;

/// Tells the incarnations of all replicas of a process apart. Never used twice, so entries of an abandoned incarnation are
/// unreachable and age out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner(pub(crate) u64);

struct CacheKey {
    hash: u64,
    owner: Owner,
    bytes: Box<[u8]>,
}

struct Lookup<'a> {
    hash: u64,
    owner: Owner,
    bytes: &'a [u8],
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &CacheKey) -> bool {
        self.hash == other.hash && self.owner == other.owner && self.bytes == other.bytes
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Lookup<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<CacheKey> for Lookup<'_> {
    fn equivalent(&self, key: &CacheKey) -> bool {
        self.hash == key.hash && self.owner == key.owner && *self.bytes == *key.bytes
    }
}

/// Spreads equal keys of different owners.
fn mix(owner: Owner, hash: u64) -> u64 {
    hash ^ owner.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Keys carry their hash.
#[derive(Clone, Default)]
struct Carried;

struct CarriedHasher(u64);

impl BuildHasher for Carried {
    type Hasher = CarriedHasher;
    fn build_hasher(&self) -> CarriedHasher {
        CarriedHasher(0)
    }
}

impl Hasher for CarriedHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        // Keys write one number only; anything else still has to give a hash.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<CacheKey, Bytes> for ByBytes {
    fn weight(&self, key: &CacheKey, value: &Bytes) -> u64 {
        (key.bytes.len() + value.len() + ENTRY_OVERHEAD_BYTES) as u64
    }
}

/// See the module.
pub(crate) struct Cache {
    map: QuickCache<CacheKey, Bytes, ByBytes, Carried>,
    largest: u64,
}

impl Cache {
    /// A cache of `capacity` bytes.
    pub(crate) fn new(capacity: u64) -> Cache {
        let items = (capacity / EXPECTED_ENTRY_BYTES) as usize;
        let options = OptionsBuilder::new()
            .shards(LOCKS)
            .estimated_items_capacity(items.max(1))
            .weight_capacity(capacity.max(1))
            .build()
            .expect("both required options are set above");
        let map = QuickCache::with_options(options, ByBytes, Carried, Default::default());
        Cache { map, largest: capacity / LARGEST_PART }
    }

    pub(crate) fn get(&self, owner: Owner, probe: Probe<'_>) -> Option<Bytes> {
        self.map.get(&Lookup { hash: mix(owner, probe.hash), owner, bytes: probe.bytes })
    }

    /// Sets the value of a key, or forgets it when it is too large to keep.
    pub(crate) fn set(&self, owner: Owner, probe: Probe<'_>, value: Bytes) {
        if (probe.bytes.len() + value.len()) as u64 > self.largest {
            return self.remove(owner, probe);
        }
        let hash = mix(owner, probe.hash);
        self.map.insert(CacheKey { hash, owner, bytes: probe.bytes.into() }, value);
    }

    pub(crate) fn remove(&self, owner: Owner, probe: Probe<'_>) {
        self.map.remove(&Lookup { hash: mix(owner, probe.hash), owner, bytes: probe.bytes });
    }

    /// Bytes of memory, overhead included.
    pub(crate) fn memory(&self) -> u64 {
        self.map.weight()
    }
}
