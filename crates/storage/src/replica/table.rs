//! A table in memory: what was applied and is not in the engine yet.
//!
//! Entries lie in chunks in the order they came. Two indexes point at them: a hash table for single keys, which is most of
//! the traffic, and an ordered map for walks. Nothing is ever taken out, since a removed key stays as a tombstone, so places never change. (An
//! ordered map alone needs two to three times as long to find one of 45,000 keys: each level is a cache miss.)
//!
//! The ordered map is made when the first walk asks for it and kept up from then on. Most tables are walked once, when they
//! are flushed, and sorting their keys then costs a fraction of what inserting them one by one would.

use super::merge::Span;
use bytes::Bytes;
use hashbrown::HashTable;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use stdx::LeadingBytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Memory of an entry beyond the bytes of its key and value: the entry itself (64), its share of an ordered map's node (about
/// 62, counted from the start: any walk may ask for the map) and of the hash table (about 10), headers and rounding of its two
/// allocations (about 56).
const ENTRY_OVERHEAD_BYTES: usize = 192;

/// Entries of a chunk: 32 KiB, so that growing never moves much.
const CHUNK_ENTRIES: usize = 512;

/// A key being looked up, with its hash.
#[derive(Clone, Copy)]
pub(crate) struct Probe<'a> {
    pub(crate) hash: u64,
    pub(crate) bytes: &'a [u8],
}

/// A value, or that there is none, and whether it was read since it was written.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) value: Option<Bytes>,
    hot: AtomicBool,
}

type ByKey = BTreeMap<OrderedKey, u32>;

#[derive(Clone, Debug)]
struct Entry {
    hash: u64,
    key: Arc<[u8]>,
    slot: Slot,
}

/// A map of changes. Removed keys stay as tombstones, to hide what lies below.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    chunks: Vec<Vec<Entry>>,
    by_hash: HashTable<u32>,
    by_key: OnceLock<ByKey>,
    leading: LeadingBytes,
    len: u32,
    memory: usize,
}

impl<'a> Probe<'a> {
    /// The key `bytes`; `seed` is the same for all lookups of a store.
    pub(crate) fn new(bytes: &'a [u8], seed: u64) -> Probe<'a> {
        Probe { hash: xxh3_64_with_seed(bytes, seed), bytes }
    }
}

impl Slot {
    /// Whether the value was read while it was here.
    pub(crate) fn is_hot(&self) -> bool {
        self.hot.load(Relaxed)
    }

    /// Notes that the value was read. Stores only once, to keep the cache line shared between readers.
    pub(crate) fn touch(&self) {
        if !self.hot.load(Relaxed) {
            self.hot.store(true, Relaxed);
        }
    }

    fn value_bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Bytes::len)
    }
}

impl Clone for Slot {
    fn clone(&self) -> Slot {
        Slot { value: self.value.clone(), hot: AtomicBool::new(self.is_hot()) }
    }
}

/// The ordered map over the entries in `chunks`, made if it is not there.
fn by_key<'t>(made: &'t OnceLock<ByKey>, chunks: &[Vec<Entry>]) -> &'t ByKey {
    made.get_or_init(|| chunks.iter().flatten().map(|entry| OrderedKey::new(&entry.key)).zip(0..).collect())
}

fn entry(chunks: &[Vec<Entry>], place: u32) -> &Entry {
    let place = place as usize;
    &chunks[place / CHUNK_ENTRIES][place % CHUNK_ENTRIES]
}

impl Table {
    /// The entry of a key, be it a value or a tombstone.
    pub(crate) fn get(&self, probe: Probe<'_>) -> Option<&Slot> {
        let place = *self.by_hash.find(probe.hash, |place| *entry(&self.chunks, *place).key == *probe.bytes)?;
        Some(&entry(&self.chunks, place).slot)
    }

    /// Sets the value of a key, or its tombstone.
    pub(crate) fn insert(&mut self, probe: Probe<'_>, value: Option<Bytes>) {
        let chunks = &mut self.chunks;
        match self.by_hash.find(probe.hash, |place| *entry(chunks, *place).key == *probe.bytes) {
            Some(place) => {
                let place = *place as usize;
                let slot = &mut chunks[place / CHUNK_ENTRIES][place % CHUNK_ENTRIES].slot;
                self.memory -= slot.value_bytes();
                slot.value = value;
                self.memory += slot.value_bytes();
            }
            None => self.push(probe, value),
        }
    }

    fn push(&mut self, probe: Probe<'_>, value: Option<Bytes>) {
        let place = self.len;
        self.len = place.checked_add(1).expect("four billion entries exceed any limit on memory");
        let key: Arc<[u8]> = probe.bytes.into();
        let slot = Slot { value, hot: AtomicBool::new(false) };
        self.memory += key.len() + slot.value_bytes() + ENTRY_OVERHEAD_BYTES;
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ENTRIES => {
                chunk.push(Entry { hash: probe.hash, key: Arc::clone(&key), slot });
            }
            last => {
                // The first chunk grows as it fills: most replicas of a node are small.
                let mut chunk = if last.is_some() { Vec::with_capacity(CHUNK_ENTRIES) } else { Vec::new() };
                chunk.push(Entry { hash: probe.hash, key: Arc::clone(&key), slot });
                self.chunks.push(chunk);
            }
        }
        let chunks = &self.chunks;
        self.by_hash.insert_unique(probe.hash, place, |place| entry(chunks, *place).hash);
        self.leading.add(&key);
        if let Some(by_key) = self.by_key.get_mut() {
            by_key.insert(OrderedKey::new(&key), place);
        }
    }

    /// Turns every value in `start..end` into a tombstone.
    pub(crate) fn remove_range(&mut self, start: &[u8], end: &[u8]) {
        let span = Span { start, end: Some(end) };
        if span.is_empty() || !self.may_hold(span) {
            return;
        }
        for (_, place) in ordered_range(by_key(&self.by_key, &self.chunks), span) {
            let place = *place as usize;
            let slot = &mut self.chunks[place / CHUNK_ENTRIES][place % CHUNK_ENTRIES].slot;
            self.memory -= slot.value_bytes();
            slot.value = None;
        }
    }

    /// Entries in `span`, ascending; it must not be inverted.
    pub(crate) fn range<'a>(
        &'a self,
        span: Span<'_>,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a Slot)> + use<'a> {
        ordered_range(by_key(&self.by_key, &self.chunks), span)
            .map(|(key, place)| (&*key.bytes, &entry(&self.chunks, *place).slot))
    }

    /// All entries in the order their keys first came, which is the order they lie in memory.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Probe<'_>, &Slot)> {
        self.chunks.iter().flatten().map(|entry| (Probe { hash: entry.hash, bytes: &entry.key }, &entry.slot))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a walk of `span` could meet an entry. Says so without the ordered map, and for kinds of keys, not for single ones.
    pub(crate) fn may_hold(&self, span: Span<'_>) -> bool {
        self.leading.may_begin(span.start, span.end)
    }

    /// Bytes of memory, overhead included.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

/// A key with its first 16 bytes as a number, so that most comparisons in the ordered map follow no pointer: keys of one
/// shard differ within those bytes (kind, keyspace, slot, hash).
#[derive(Clone, Debug)]
struct OrderedKey {
    head: u128,
    bytes: Arc<[u8]>,
}

impl OrderedKey {
    fn new(key: &Arc<[u8]>) -> OrderedKey {
        OrderedKey { head: head_of(key), bytes: Arc::clone(key) }
    }
}

/// The edge of a range.
struct Edge<'a> {
    head: u128,
    bytes: &'a [u8],
}

/// What the ordered map compares: keys and edges alike.
trait Ordered {
    fn parts(&self) -> (u128, &[u8]);
}

fn head_of(key: &[u8]) -> u128 {
    let mut head = [0; 16];
    let n = key.len().min(16);
    head[..n].copy_from_slice(&key[..n]);
    u128::from_be_bytes(head)
}

/// Byte order. Short keys are padded with zeros in the head, so equal heads say nothing and the bytes decide.
fn compare(a: (u128, &[u8]), b: (u128, &[u8])) -> Ordering {
    a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1))
}

fn ordered_range<'a>(map: &'a ByKey, span: Span<'_>) -> std::collections::btree_map::Range<'a, OrderedKey, u32> {
    debug_assert!(span.end.is_none_or(|end| span.start <= end), "callers answer an inverted range themselves");
    let start = Edge { head: head_of(span.start), bytes: span.start };
    let end = span.end.map(|bytes| Edge { head: head_of(bytes), bytes });
    let end = end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(end as &dyn Ordered));
    map.range::<dyn Ordered, _>((Bound::Included(&start as &dyn Ordered), end))
}

impl Ordered for OrderedKey {
    fn parts(&self) -> (u128, &[u8]) {
        (self.head, &self.bytes)
    }
}

impl Ordered for Edge<'_> {
    fn parts(&self) -> (u128, &[u8]) {
        (self.head, self.bytes)
    }
}

impl<'a> Borrow<dyn Ordered + 'a> for OrderedKey {
    fn borrow(&self) -> &(dyn Ordered + 'a) {
        self
    }
}

impl Ord for OrderedKey {
    fn cmp(&self, other: &OrderedKey) -> Ordering {
        compare(self.parts(), other.parts())
    }
}

impl PartialOrd for OrderedKey {
    fn partial_cmp(&self, other: &OrderedKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OrderedKey {
    fn eq(&self, other: &OrderedKey) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for OrderedKey {}

impl Ord for dyn Ordered + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(self.parts(), other.parts())
    }
}

impl PartialOrd for dyn Ordered + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Ordered + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts().1 == other.parts().1
    }
}

impl Eq for dyn Ordered + '_ {}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(key: &[u8]) -> OrderedKey {
        OrderedKey::new(&key.into())
    }

    #[test]
    fn keys_order_as_bytes_whatever_their_length() {
        let keys: Vec<Vec<u8>> = vec![
            vec![],
            vec![0],
            vec![0, 0],
            vec![0; 15],
            vec![0; 16],
            vec![0; 17],
            vec![1],
            vec![1; 16],
            [vec![1; 16], vec![0]].concat(),
            vec![1; 17],
            vec![0xff; 16],
            vec![0xff; 40],
        ];
        for a in &keys {
            for b in &keys {
                assert_eq!(ordered(a).cmp(&ordered(b)), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn memory_follows_values() {
        let mut table = Table::default();
        table.insert(Probe::new(b"k", 0), Some(Bytes::from_static(b"four")));
        table.insert(Probe::new(b"k", 0), Some(Bytes::from_static(b"sixsix")));
        assert_eq!(table.memory(), 1 + 6 + ENTRY_OVERHEAD_BYTES);
        table.remove_range(b"", b"z");
        assert_eq!(table.memory(), 1 + ENTRY_OVERHEAD_BYTES);
        assert!(!table.is_empty());
    }

    #[test]
    fn both_indexes_agree_over_many_chunks() {
        let mut table = Table::default();
        let key = |n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes();
        for n in 0..3000 {
            table.insert(Probe::new(&key(n), 7), Some(Bytes::copy_from_slice(&n.to_be_bytes())));
        }
        for n in 0..3000 {
            let value = table.get(Probe::new(&key(n), 7)).and_then(|slot| slot.value.clone());
            assert_eq!(value.as_deref(), Some(&n.to_be_bytes()[..]));
        }
        assert!(table.get(Probe::new(&key(3000), 7)).is_none());
        let walked = |table: &Table| -> Vec<Vec<u8>> { table.range(Span::ALL).map(|(key, _)| key.to_vec()).collect() };
        let before = walked(&table);
        assert!(before.len() == 3000 && before.is_sorted());
        // The first walk made the ordered map; what comes later finds its place in it.
        for n in 3000..3100 {
            table.insert(Probe::new(&key(n), 7), None);
        }
        let after = walked(&table);
        assert!(after.len() == 3100 && after.is_sorted());
        table.remove_range(&before[0], &before[10]);
        assert!(before[..10].iter().all(|k| table.get(Probe::new(k, 7)).is_some_and(|slot| slot.value.is_none())));
    }

    #[test]
    fn a_walk_where_no_key_begins_needs_no_order() {
        let mut table = Table::default();
        table.insert(Probe::new(b"mk", 0), Some(Bytes::new()));
        table.remove_range(b"a", b"b");
        assert!(
            !table.may_hold(Span { start: b"n", end: None }) && table.may_hold(Span { start: b"m", end: Some(b"mz") })
        );
        assert!(table.by_key.get().is_none());
    }
}
