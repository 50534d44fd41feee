//! Entry IDs: `<ms>-<seq>`, ordered by time and then by number.

use crate::parse::integer;
use crate::reply::{Outcome, fail};
use command::Reply;
use std::fmt;

/// The ID of an entry: the upper 64 bits are milliseconds, the lower ones count within a millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Id(u128);

/// How an incomplete ID, which says only milliseconds, goes on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Missing {
    /// With the first ID of the millisecond.
    First,
    /// With the last one.
    Last,
}

/// The longest word that Redis takes for an ID, bytes.
const WORD_BYTES_MAX: usize = 127;

pub(super) const INVALID_ID: &str = "ERR Invalid stream ID specified as stream command argument";

impl Id {
    /// Before every entry; no entry has it.
    pub const MIN: Id = Id(0);
    /// The last possible one.
    pub const MAX: Id = Id(u128::MAX);

    /// The ID `ms-seq`.
    #[must_use]
    pub fn new(ms: u64, seq: u64) -> Id {
        Id(u128::from(ms) << 64 | u128::from(seq))
    }

    /// Its time, milliseconds since the epoch.
    #[must_use]
    pub fn ms(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// Its number within the millisecond.
    #[must_use]
    pub fn seq(self) -> u64 {
        self.0 as u64
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Option<Id> {
        self.0.checked_add(1).map(Id)
    }

    /// The one before it.
    #[must_use]
    pub fn prev(self) -> Option<Id> {
        self.0.checked_sub(1).map(Id)
    }

    /// Sixteen bytes that sort as IDs do.
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads what `bytes` wrote.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Option<Id> {
        Some(Id(u128::from_be_bytes(bytes.try_into().ok()?)))
    }

    pub(super) fn reply(self) -> Reply {
        Reply::Bulk(self.to_string().into())
    }

    /// A complete or incomplete ID, or `None`.
    pub(super) fn parse(word: &[u8], missing: Missing) -> Option<Id> {
        let (ms, seq) = split(word)?;
        let seq = match (seq, missing) {
            (Some(seq), _) => number(seq)?,
            (None, Missing::First) => 0,
            (None, Missing::Last) => u64::MAX,
        };
        Some(Id::new(number(ms)?, seq))
    }

    /// A complete or incomplete ID, or the error Redis gives for another word.
    pub(super) fn arg(word: &[u8]) -> Outcome<Id> {
        Id::parse(word, Missing::First).map_or_else(|| fail(INVALID_ID), Ok)
    }

    /// As `arg`, but also `-` and `+` for the least and the greatest.
    pub(super) fn open_arg(word: &[u8], missing: Missing) -> Outcome<Id> {
        match word {
            b"-" => Ok(Id::MIN),
            b"+" => Ok(Id::MAX),
            word => Id::parse(word, missing).map_or_else(|| fail(INVALID_ID), Ok),
        }
    }

    /// Where an interval begins; a parenthesis excludes the ID itself.
    pub(super) fn start_arg(word: &[u8]) -> Outcome<Id> {
        match word {
            [b'(', excluded @ ..] if !excluded.is_empty() => {
                Id::arg(excluded)?.next().map_or_else(|| fail("ERR invalid start ID for the interval"), Ok)
            }
            word => Id::open_arg(word, Missing::First),
        }
    }

    /// Where an interval ends, that ID included; a parenthesis excludes it.
    pub(super) fn end_arg(word: &[u8]) -> Outcome<Id> {
        match word {
            [b'(', excluded @ ..] if !excluded.is_empty() => {
                let end = Id::parse(excluded, Missing::Last).map_or_else(|| fail(INVALID_ID), Ok)?;
                end.prev().map_or_else(|| fail("ERR invalid end ID for the interval"), Ok)
            }
            word => Id::open_arg(word, Missing::Last),
        }
    }
}

/// The words around the first hyphen of an ID; the second is `None` for an incomplete one.
fn split(word: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    // Redis reads up to the first NUL.
    let word = word.split(|b| *b == 0).next()?;
    let mut parts = word.splitn(2, |b| *b == b'-');
    Some((parts.next()?, parts.next()))
}

/// The time of an ID `<ms>-*`, whose number is to be chosen.
pub(super) fn only_time(word: &[u8]) -> Option<u64> {
    match split(word)? {
        (ms, Some(b"*")) => number(ms),
        _ => None,
    }
}

/// An unsigned number as C's `strtoull` reads a whole word: blanks, a sign and zeros may lead. What is plainly negative
/// is refused.
fn number(word: &[u8]) -> Option<u64> {
    if let Some(n) = integer(word) {
        return u64::try_from(n).ok();
    }
    let blank = |b: &&u8| matches!(b, b' ' | b'\t'..=b'\r');
    let word = &word[word.iter().take_while(blank).count()..];
    let (negative, digits) = match word {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let add = |n: u64, d: &u8| n.checked_mul(10)?.checked_add(u64::from(d.is_ascii_digit().then(|| d - b'0')?));
    let n = digits.iter().try_fold(0, add)?;
    Some(if negative { n.wrapping_neg() } else { n })
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms(), self.seq())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Id, Missing, only_time};

    #[test]
    fn words_are_read_as_redis_reads_them() {
        let read = |word: &str| Id::parse(word.as_bytes(), Missing::First).map(|id| id.to_string());
        for (word, id) in [
            ("5", "5-0"),
            ("5-3", "5-3"),
            ("007-01", "7-1"),
            ("+7- 1", "7-1"),
            ("18446744073709551615-18446744073709551615", "18446744073709551615-18446744073709551615"),
            ("5-3\0x", "5-3"),
        ] {
            assert_eq!(read(word).as_deref(), Some(id), "{word}");
        }
        for word in ["", "-", "+", "-5", "5-", "5--1", "x", "5-x", "5-3-1", "5 ", "18446744073709551616", "5-*", "*"] {
            assert_eq!(read(word), None, "{word}");
        }
        assert_eq!(only_time(b"5-*"), Some(5));
        assert_eq!(only_time(b"5-**"), None);
        assert_eq!(Id::parse(b"5", Missing::Last), Some(Id::new(5, u64::MAX)));
    }

    #[test]
    fn bytes_sort_as_ids_do() {
        let ids = [Id::MIN, Id::new(0, 1), Id::new(0, u64::MAX), Id::new(1, 0), Id::new(256, 3), Id::MAX];
        for pair in ids.windows(2) {
            assert!(pair[0] < pair[1] && pair[0].bytes() < pair[1].bytes());
            assert_eq!(Id::of_bytes(&pair[0].bytes()), Some(pair[0]));
        }
        assert_eq!(Id::new(0, u64::MAX).next(), Some(Id::new(1, 0)));
        assert_eq!((Id::MAX.next(), Id::MIN.prev()), (None, None));
    }
}
