//! Integers of 1 to 64 bits at any bit of a string: reading, writing, and what happens on overflow.

use crate::parse::{integer, is};
use crate::reply::{Outcome, fail};

/// A type such as `u8` or `i16`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Format {
    pub(super) signed: bool,
    /// 1 to 64; to 63 without a sign, so that every value is a reply.
    pub(super) width: u32,
}

/// What is done with a value that is too large or too small.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Overflow {
    /// The highest bits are lost.
    #[default]
    Wrap,
    /// The nearest value is taken.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl Overflow {
    pub(super) fn parse(word: &[u8]) -> Outcome<Overflow> {
        match () {
            () if is(word, "wrap") => Ok(Overflow::Wrap),
            () if is(word, "sat") => Ok(Overflow::Saturate),
            () if is(word, "fail") => Ok(Overflow::Fail),
            () => fail("ERR Invalid OVERFLOW type specified"),
        }
    }
}

impl Format {
    pub(super) fn parse(word: &[u8]) -> Outcome<Format> {
        let format = match word {
            [b'i', width @ ..] => integer(width).filter(|w| (1..=64).contains(w)).map(|w| (true, w)),
            [b'u', width @ ..] => integer(width).filter(|w| (1..=63).contains(w)).map(|w| (false, w)),
            _ => None,
        };
        match format {
            Some((signed, width)) => Ok(Format { signed, width: width as u32 }),
            None => {
                fail("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.")
            }
        }
    }

    /// The integer at a bit offset; bits behind the end of the string are zero.
    pub(super) fn read(self, string: &[u8], offset: u64) -> i64 {
        let mut value = 0u64;
        for bit in offset..offset + u64::from(self.width) {
            let byte = string.get((bit / 8) as usize).copied().unwrap_or(0);
            value = value << 1 | u64::from(byte >> (7 - bit % 8) & 1);
        }
        self.of_bits(value)
    }

    /// Writes an integer at a bit offset inside the string.
    pub(super) fn write(self, string: &mut [u8], offset: u64, value: i64) {
        for i in 0..u64::from(self.width) {
            let bit = offset + i;
            let mask = 0x80u8 >> (bit % 8);
            let byte = &mut string[(bit / 8) as usize];
            let on = value as u64 >> (u64::from(self.width) - 1 - i) & 1 == 1;
            *byte = if on { *byte | mask } else { *byte & !mask };
        }
    }

    /// The integer that the lowest bits of `bits` mean.
    fn of_bits(self, bits: u64) -> i64 {
        let unused = 64 - self.width;
        if self.signed { (bits << unused) as i64 >> unused } else { (bits << unused >> unused) as i64 }
    }

    /// `value` as this type can hold it; `None` when it cannot and must not be written.
    pub(super) fn fit(self, value: i128, overflow: Overflow) -> Option<i64> {
        let (min, max) = match self.signed {
            true => (-(1i128 << (self.width - 1)), (1i128 << (self.width - 1)) - 1),
            false => (0, (1i128 << self.width) - 1),
        };
        match (i64::try_from(value), overflow) {
            (Ok(plain), _) if (min..=max).contains(&value) => Some(plain),
            (_, Overflow::Wrap) => Some(self.of_bits(value as u64)),
            (_, Overflow::Saturate) => i64::try_from(value.clamp(min, max)).ok(),
            (_, Overflow::Fail) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, Overflow};

    #[test]
    fn what_was_written_is_read_at_every_offset_and_width() {
        for width in 1..=64 {
            for signed in [true, false] {
                if width == 64 && !signed {
                    continue;
                }
                let format = Format { signed, width };
                for offset in 0..20 {
                    let value = format.fit(0x5a5a_c3c3_0ff0_9669, Overflow::Wrap).unwrap();
                    for background in [0x00, 0xff] {
                        let mut string = vec![background; 11];
                        format.write(&mut string, offset, value);
                        assert_eq!(format.read(&string, offset), value, "{format:?} at {offset}");
                        let zero = format.fit(0, Overflow::Fail).unwrap();
                        format.write(&mut string, offset, zero);
                        let ones = string.iter().map(|b| b.count_ones()).sum::<u32>();
                        assert_eq!(ones, if background == 0 { 0 } else { 88 - width }, "neighbours stay");
                    }
                }
            }
        }
    }

    #[test]
    fn overflow_wraps_saturates_or_fails() {
        let u8 = Format { signed: false, width: 8 };
        let i8 = Format { signed: true, width: 8 };
        let i64 = Format { signed: true, width: 64 };
        assert_eq!(u8.fit(256, Overflow::Wrap), Some(0));
        assert_eq!(u8.fit(-1, Overflow::Wrap), Some(255));
        assert_eq!(u8.fit(-1, Overflow::Saturate), Some(0));
        assert_eq!(u8.fit(300, Overflow::Saturate), Some(255));
        assert_eq!(u8.fit(300, Overflow::Fail), None);
        assert_eq!(i8.fit(128, Overflow::Wrap), Some(-128));
        assert_eq!(i8.fit(-129, Overflow::Saturate), Some(-128));
        assert_eq!(i64.fit(i128::from(i64::MAX) + 1, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(i64.fit(i128::from(i64::MIN) - 1, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(i64.fit(5, Overflow::Fail), Some(5));
    }
}
