//! Which first bytes a set of keys has: where the first byte of a key is its kind, this tells cheaply that a walk over some kind
//! will find nothing.

/// A set of first bytes. The empty key counts as beginning with zero.
#[derive(Clone, Debug, Default)]
pub struct LeadingBytes([u64; 4]);

impl LeadingBytes {
    /// Takes the first byte of `key` in.
    pub fn add(&mut self, key: &[u8]) {
        let byte = first(key);
        self.0[usize::from(byte / 64)] |= 1 << (byte % 64);
    }

    /// Whether a key from `start` to before `end` (to the last key without one) could have one of the bytes; never false
    /// when one has.
    #[must_use]
    pub fn may_begin(&self, start: &[u8], end: Option<&[u8]>) -> bool {
        let last = match end {
            None => u8::MAX,
            // Of the keys that begin with this byte none is less than the byte alone.
            Some([byte]) => byte.saturating_sub(1),
            Some(end) => first(end),
        };
        (first(start)..=last).any(|byte| self.0[usize::from(byte / 64)] & 1 << (byte % 64) != 0)
    }
}

fn first(key: &[u8]) -> u8 {
    key.first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_span_is_never_missed() {
        let keys: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"a", b"aa", b"b", b"\xff", b"\xff\xff"];
        for key in keys {
            let mut leading = LeadingBytes::default();
            leading.add(key);
            for start in keys {
                for end in keys.iter().copied().map(Some).chain([None]) {
                    let inside = key >= start && end.is_none_or(|end| key < end);
                    assert!(leading.may_begin(start, end) || !inside, "{key:?} in {start:?}..{end:?}");
                }
            }
        }
    }

    #[test]
    fn spans_of_other_kinds_are_known_to_be_empty() {
        let mut leading = LeadingBytes::default();
        leading.add(b"mkey");
        for (start, end) in [(&b"a"[..], Some(&b"b"[..])), (b"a", Some(b"m")), (b"n", None), (b"", Some(b"l\xff"))] {
            assert!(!leading.may_begin(start, end), "{start:?}..{end:?}");
        }
    }
}
