//! Ranges of a string in bytes or bits, as BITCOUNT and BITPOS read them.

use crate::parse::is;
use crate::reply::{Outcome, SYNTAX, fail};

/// What the ends of a range count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Byte,
    Bit,
}

impl Unit {
    /// The unit that the word behind the ends names; bytes without it.
    pub(super) fn parse(word: Option<&bytes::Bytes>) -> Outcome<Unit> {
        match word {
            None => Ok(Unit::Byte),
            Some(word) if is(word, "byte") => Ok(Unit::Byte),
            Some(word) if is(word, "bit") => Ok(Unit::Bit),
            Some(_) => fail(SYNTAX),
        }
    }
}

/// Bits `first` to `last`, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bits {
    first: u64,
    last: u64,
}

impl Bits {
    /// All bits of a string of `len` bytes; `None` when it is empty.
    pub(super) fn all(len: usize) -> Option<Bits> {
        Bits::between(len, 0, -1, Unit::Byte)
    }

    /// The bits of a string of `len` bytes from `start` to `end`, counted from its end when negative; `None` for none.
    pub(super) fn between(len: usize, start: i64, end: i64, unit: Unit) -> Option<Bits> {
        let width = if unit == Unit::Byte { 8 } else { 1 };
        let total = (len as i64).saturating_mul(8 / width);
        let place = |n: i64| if n < 0 { n.saturating_add(total).max(0) } else { n };
        let (from, to) = (place(start), place(end).min(total - 1));
        (from <= to)
            .then(|| Bits { first: (from * width).unsigned_abs(), last: (to * width + width - 1).unsigned_abs() })
    }

    /// The bytes that hold the range, and for each the mask of its bits that are inside.
    pub(super) fn bytes<'a>(&self, string: &'a [u8]) -> impl Iterator<Item = (usize, u8, u8)> + use<'a> {
        let Bits { first, last } = *self;
        let (from, to) = ((first / 8) as usize, (last / 8) as usize);
        let inside = string.get(from..=to).unwrap_or_default();
        inside.iter().enumerate().map(move |(i, byte)| {
            let at = from + i;
            let head = if at == from { 0xff >> (first % 8) } else { 0xff };
            let tail = if at == to { 0xff << (7 - last % 8) } else { 0xff };
            (at, *byte, head & tail)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Bits, Unit};

    #[test]
    fn ranges_are_clamped_as_redis_does() {
        let check = |len, start, end, unit, expected: Option<(u64, u64)>| {
            let found = Bits::between(len, start, end, unit).map(|b| (b.first, b.last));
            assert_eq!(found, expected, "{len} {start} {end} {unit:?}");
        };
        check(4, 0, -1, Unit::Byte, Some((0, 31)));
        check(4, -1, -1, Unit::Byte, Some((24, 31)));
        check(4, -1, -1, Unit::Bit, Some((31, 31)));
        check(4, 5, 30, Unit::Bit, Some((5, 30)));
        check(4, 2, 1, Unit::Byte, None);
        check(4, -100, 0, Unit::Byte, Some((0, 7)));
        check(4, 0, i64::MAX, Unit::Bit, Some((0, 31)));
        check(4, i64::MIN, i64::MIN, Unit::Byte, Some((0, 7)));
        check(0, 0, -1, Unit::Byte, None);
        let masks: Vec<_> = Bits { first: 5, last: 17 }.bytes(&[0; 4]).map(|(at, _, mask)| (at, mask)).collect();
        assert_eq!(masks, [(0, 0b111), (1, 0xff), (2, 0b1100_0000)]);
    }
}
