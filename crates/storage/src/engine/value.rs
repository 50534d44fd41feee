//! Values as they are kept in memory, in tables, cache and by readers of the engine: in allocations of their own.
//!
//! Log entries carry many changes, and one small value must not keep its whole entry in memory, so values are copied out. A
//! short one is copied beside its reference count, into one allocation: a reader that clones it misses the processor's
//! cache once where `Bytes::from(Vec)` misses it twice and allocates the count at the first clone.

use bytes::Bytes;

/// Values above this many bytes share the entry they arrived in: they are most of it anyway, and copying takes long.
const COPIED_BYTES: usize = 64 * 1024;

/// Up to `N` bytes in place.
struct InPlace<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> AsRef<[u8]> for InPlace<N> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

fn in_place<const N: usize>(value: &[u8]) -> Bytes {
    let mut bytes = [0; N];
    bytes[..value.len()].copy_from_slice(value);
    let len = u8::try_from(value.len()).expect("every size below is less than 256");
    Bytes::from_owner(InPlace { len, bytes })
}

/// A copy of `value` in an allocation of its own.
pub(crate) fn copied(value: &[u8]) -> Bytes {
    // With 17 bytes of header these fill the size classes of common allocators: 32, 64, 96, ... 256.
    match value.len() {
        0 => Bytes::new(),
        1..=15 => in_place::<15>(value),
        16..=47 => in_place::<47>(value),
        48..=79 => in_place::<79>(value),
        80..=111 => in_place::<111>(value),
        112..=143 => in_place::<143>(value),
        144..=175 => in_place::<175>(value),
        176..=207 => in_place::<207>(value),
        208..=239 => in_place::<239>(value),
        _ => Bytes::copy_from_slice(value),
    }
}

/// `value` in an allocation that holds little else.
pub(crate) fn owned(value: &Bytes) -> Bytes {
    if value.len() <= COPIED_BYTES { copied(value) } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_equal_their_source_at_every_length() {
        let source = Bytes::from((0..COPIED_BYTES + 2).map(|n| n as u8).collect::<Vec<_>>());
        for len in (0..300).chain([COPIED_BYTES, COPIED_BYTES + 1]) {
            let value = source.slice(..len);
            assert_eq!(owned(&value), value);
            assert_eq!(owned(&value).clone().slice(len / 2..), value.slice(len / 2..));
        }
    }
}
