//! Reading arguments as strictly as Redis does, and the limits of values and replies.

use crate::reply::{NOT_FLOAT, NOT_IN_LONG, NOT_INTEGER, Outcome, fail};

/// The largest reply that one command may build, bytes of its parts: what a node's memory can bear a few times.
pub const REPLY_LIMIT_BYTES: usize = 256 << 20;

/// What a reply element costs besides its bytes, so that many tiny ones are limited as well.
pub(crate) const REPLY_ELEMENT_BYTES: usize = 64;

/// A 64-bit integer in its one canonical form: no spaces, no plus sign, no leading zeros, no `-0`.
pub(crate) fn integer(word: &[u8]) -> Option<i64> {
    let (negative, digits) = match word {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, word),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value = 0i128;
    for d in digits {
        if !d.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i128::from(d - b'0');
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

/// An integer argument, or the error Redis gives for it.
pub(crate) fn int_arg(word: &[u8]) -> Outcome<i64> {
    integer(word).map_or_else(|| fail(NOT_INTEGER), Ok)
}

/// A double as C's `strtod` reads the whole word, but without hexadecimal: neither what is too large nor what is too small
/// for a double, and not NaN.
pub(crate) fn float(word: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    let has_digit = |digits: std::ops::RangeInclusive<u8>| {
        word.iter().take_while(|b| !b"eE".contains(b)).any(|b| digits.contains(b))
    };
    let in_range = match value {
        _ if value.is_nan() => false,
        _ if value.is_infinite() => !has_digit(b'0'..=b'9'),
        0.0 => !has_digit(b'1'..=b'9'),
        _ => true,
    };
    in_range.then_some(value)
}

/// A double argument, or the error Redis gives for it.
pub(crate) fn float_arg(word: &[u8]) -> Outcome<f64> {
    float(word).map_or_else(|| fail(NOT_FLOAT), Ok)
}

/// An integer argument whose magnitude is an integer as well.
pub(crate) fn magnitude_arg(word: &[u8]) -> Outcome<i64> {
    match int_arg(word)? {
        i64::MIN => fail(NOT_IN_LONG),
        n => Ok(n),
    }
}

/// An integer argument between two bounds, both included, or the error `otherwise`.
pub(crate) fn ranged(word: &[u8], min: i64, max: i64, otherwise: &'static str) -> Outcome<i64> {
    integer(word).filter(|n| (min..=max).contains(n)).map_or_else(|| fail(otherwise), Ok)
}

/// Whether a word is the option `name`, in any case.
pub(crate) fn is(word: &[u8], name: &str) -> bool {
    word.eq_ignore_ascii_case(name.as_bytes())
}

/// Adds up what a reply costs and stops at the limit.
#[derive(Default)]
pub(crate) struct ReplyMeter {
    bytes: usize,
}

impl ReplyMeter {
    /// Counts one element; false once the reply is too large.
    pub(crate) fn fits(&mut self, element: usize) -> bool {
        self.bytes += element + REPLY_ELEMENT_BYTES;
        self.bytes <= REPLY_LIMIT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::{float, integer};

    #[test]
    fn integers_have_one_form() {
        for good in ["0", "1", "-1", "9223372036854775807", "-9223372036854775808", "10"] {
            assert_eq!(integer(good.as_bytes()).map(|v| v.to_string()).as_deref(), Some(good));
        }
        for bad in
            ["", "-", "+1", " 1", "1 ", "01", "-0", "00", "1a", "9223372036854775808", "-9223372036854775809", "1e3"]
        {
            assert_eq!(integer(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn floats_are_finite_unless_they_say_otherwise() {
        for (text, value) in [
            ("1", 1.0),
            ("-0.5", -0.5),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("+2", 2.0),
            ("-inf", f64::NEG_INFINITY),
            ("0e9", 0.0),
        ] {
            assert_eq!(float(text.as_bytes()), Some(value), "{text}");
        }
        for bad in ["", " 1", "1 ", "nan", "-nan", "1e400", "-1e400", "1e-400", "0x10", "1_0", "e5", "1e"] {
            assert_eq!(float(bad.as_bytes()), None, "{bad}");
        }
    }
}
