//! A table in memory: what was applied and is not in the engine yet.

use super::merge::Span;
use bytes::Bytes;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::btree_map::{Entry, Range};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Memory of an entry beyond the bytes of its key and value: its share of a tree node (72 bytes at a fill of about two thirds) and
/// the headers of two allocations. Measured with glibc: see docs/internals/engine.md.
const ENTRY_OVERHEAD_BYTES: usize = 144;

/// Values up to this many bytes are copied out of the log entry they arrived in. Entries carry many changes, and one small
/// value must not keep the whole entry in memory. Longer values share it: they are most of their entry anyway.
const COPIED_VALUE_BYTES: usize = 64 * 1024;

/// A key with its first 16 bytes as a number, so that most comparisons in the tree follow no pointer: keys of one shard
/// differ within those bytes (kind, keyspace, slot, hash).
#[derive(Clone, Debug)]
pub(crate) struct TableKey {
    head: u128,
    bytes: Box<[u8]>,
}

/// What the tree compares: owned keys and keys being looked up alike.
pub(crate) trait Ordered {
    fn head(&self) -> u128;
    fn bytes(&self) -> &[u8];
}

/// A key being looked up.
pub(crate) struct Probe<'a> {
    head: u128,
    bytes: &'a [u8],
}

/// A value, or that there is none, and whether it was read since it was written.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) value: Option<Bytes>,
    hot: AtomicBool,
}

/// An ordered map of changes. Removed keys stay as tombstones, to hide what lies below.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    map: BTreeMap<TableKey, Slot>,
    memory: usize,
}

fn head_of(key: &[u8]) -> u128 {
    let mut head = [0; 16];
    let n = key.len().min(16);
    head[..n].copy_from_slice(&key[..n]);
    u128::from_be_bytes(head)
}

impl TableKey {
    pub(crate) fn new(key: &[u8]) -> TableKey {
        TableKey {
            head: head_of(key),
            bytes: key.into(),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<'a> Probe<'a> {
    pub(crate) fn new(key: &'a [u8]) -> Probe<'a> {
        Probe {
            head: head_of(key),
            bytes: key,
        }
    }
}

impl Ordered for TableKey {
    fn head(&self) -> u128 {
        self.head
    }
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Ordered for Probe<'_> {
    fn head(&self) -> u128 {
        self.head
    }
    fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

/// Byte order. Short keys are padded with zeros in `head`, so equal heads say nothing and the bytes decide.
fn compare(a: (u128, &[u8]), b: (u128, &[u8])) -> Ordering {
    a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1))
}

impl Ord for TableKey {
    fn cmp(&self, other: &TableKey) -> Ordering {
        compare((self.head, &self.bytes), (other.head, &other.bytes))
    }
}

impl PartialOrd for TableKey {
    fn partial_cmp(&self, other: &TableKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for TableKey {
    fn eq(&self, other: &TableKey) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for TableKey {}

impl<'a> Borrow<dyn Ordered + 'a> for TableKey {
    fn borrow(&self) -> &(dyn Ordered + 'a) {
        self
    }
}

impl Ord for dyn Ordered + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        compare((self.head(), self.bytes()), (other.head(), other.bytes()))
    }
}

impl PartialOrd for dyn Ordered + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Ordered + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for dyn Ordered + '_ {}

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
        Slot {
            value: self.value.clone(),
            hot: AtomicBool::new(self.is_hot()),
        }
    }
}

/// The value in an allocation that holds little else.
pub(crate) fn own_value(value: &Bytes) -> Bytes {
    if value.len() <= COPIED_VALUE_BYTES {
        Bytes::copy_from_slice(value)
    } else {
        value.clone()
    }
}

impl Table {
    /// The entry of `key`, be it a value or a tombstone.
    pub(crate) fn get(&self, key: &Probe<'_>) -> Option<&Slot> {
        self.map.get(key as &dyn Ordered)
    }

    /// Sets the value of `key`, or its tombstone.
    pub(crate) fn insert(&mut self, key: TableKey, value: Option<Bytes>) {
        match self.map.entry(key) {
            Entry::Vacant(entry) => {
                let slot = Slot {
                    value,
                    hot: AtomicBool::new(false),
                };
                self.memory += entry.key().bytes.len() + slot.value_bytes() + ENTRY_OVERHEAD_BYTES;
                entry.insert(slot);
            }
            Entry::Occupied(mut entry) => {
                let slot = entry.get_mut();
                self.memory -= slot.value_bytes();
                slot.value = value;
                self.memory += slot.value_bytes();
            }
        }
    }

    /// Turns every value in `start..end` into a tombstone.
    pub(crate) fn remove_range(&mut self, start: &[u8], end: &[u8]) {
        if start >= end {
            return;
        }
        let (start, end) = (Probe::new(start), Probe::new(end));
        let bounds = (
            Bound::Included(&start as &dyn Ordered),
            Bound::Excluded(&end as &dyn Ordered),
        );
        for (_, slot) in self.map.range_mut::<dyn Ordered, _>(bounds) {
            self.memory -= slot.value_bytes();
            slot.value = None;
        }
    }

    /// Entries in `span`, ascending; it must not be inverted.
    pub(crate) fn range<'a>(&'a self, span: Span<'_>) -> Range<'a, TableKey, Slot> {
        debug_assert!(
            span.end.is_none_or(|end| span.start <= end),
            "callers answer an inverted range themselves"
        );
        let start = Probe::new(span.start);
        let end = span.end.map(Probe::new);
        let end = end
            .as_ref()
            .map_or(Bound::Unbounded, |end| Bound::Excluded(end as &dyn Ordered));
        self.map
            .range::<dyn Ordered, _>((Bound::Included(&start as &dyn Ordered), end))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Bytes of memory, overhead included.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                assert_eq!(
                    TableKey::new(a).cmp(&TableKey::new(b)),
                    a.cmp(b),
                    "{a:?} {b:?}"
                );
            }
        }
    }

    #[test]
    fn memory_follows_values() {
        let mut table = Table::default();
        table.insert(TableKey::new(b"k"), Some(Bytes::from_static(b"four")));
        table.insert(TableKey::new(b"k"), Some(Bytes::from_static(b"sixsix")));
        assert_eq!(table.memory(), 1 + 6 + ENTRY_OVERHEAD_BYTES);
        table.remove_range(b"", b"z");
        assert_eq!(table.memory(), 1 + ENTRY_OVERHEAD_BYTES);
        assert!(!table.is_empty());
    }
}
