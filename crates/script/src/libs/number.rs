//! Numbers as C writes and reads them.

use std::io::Write as _;

/// Appends `n` as C's `%.{digits}g` does: so many significant digits, without trailing zeros, with an exponent where that is
/// shorter. `n` is finite.
pub(super) fn general(out: &mut Vec<u8>, n: f64, digits: u32) {
    let digits = digits.max(1) as usize;
    // Rounding to so many digits may change the exponent, so it is looked for in the rounded form.
    let scientific = format!("{:.*e}", digits - 1, n);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    // Writing to a vector cannot fail.
    let _ = if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs())
    } else {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        write!(out, "{}", trimmed(&format!("{n:.decimals$}")))
    };
}

/// The number that a text begins with, as C's `strtod` finds it: decimal, hexadecimal, `inf` or `nan`; and its length.
pub(super) fn leading_float(text: &[u8]) -> Option<(f64, usize)> {
    let signs = text.iter().take(1).filter(|b| matches!(b, b'+' | b'-')).count();
    let negative = text.first() == Some(&b'-');
    let rest = &text[signs..];
    let signed = |n: f64| if negative { -n } else { n };
    let begins = |word: &str| rest.get(..word.len()).is_some_and(|r| r.eq_ignore_ascii_case(word.as_bytes()));
    for (word, value) in [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)] {
        if begins(word) {
            return Some((signed(value), signs + word.len()));
        }
    }
    if begins("0x")
        && let Some((n, length)) = hexadecimal(&rest[2..])
    {
        return Some((signed(n), signs + 2 + length));
    }
    let length = decimal_length(rest)?;
    let n: f64 = std::str::from_utf8(&rest[..length]).ok()?.parse().ok()?;
    Some((signed(n), signs + length))
}

fn digits(text: &[u8], is: fn(&u8) -> bool) -> usize {
    text.iter().take_while(|b| is(b)).count()
}

/// How much of a text is digits, a point among them, and an exponent.
fn decimal_length(text: &[u8]) -> Option<usize> {
    let whole = digits(text, u8::is_ascii_digit);
    let mut length = whole;
    if text.get(whole) == Some(&b'.') {
        let fraction = digits(&text[whole + 1..], u8::is_ascii_digit);
        if whole + fraction == 0 {
            return None;
        }
        length += 1 + fraction;
    } else if whole == 0 {
        return None;
    }
    Some(length + exponent_length(&text[length..], b'e'))
}

fn exponent_length(text: &[u8], letter: u8) -> usize {
    if !text.first().is_some_and(|b| b.eq_ignore_ascii_case(&letter)) {
        return 0;
    }
    let sign = usize::from(matches!(text.get(1), Some(b'+' | b'-')));
    match digits(&text[1 + sign..], u8::is_ascii_digit) {
        0 => 0,
        n => 1 + sign + n,
    }
}

fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let whole = digits(text, u8::is_ascii_hexdigit);
    let has_point = text.get(whole) == Some(&b'.');
    let fraction = if has_point { digits(&text[whole + 1..], u8::is_ascii_hexdigit) } else { 0 };
    if whole + fraction == 0 {
        return None;
    }
    let length = whole + if fraction > 0 { 1 + fraction } else { 0 };
    let value = text[..length]
        .iter()
        .filter_map(|b| (*b as char).to_digit(16))
        .fold(0.0, |n: f64, digit| n * 16.0 + f64::from(digit));
    let exponent = exponent_length(&text[length..], b'p');
    let power: i32 = std::str::from_utf8(text[length..length + exponent].get(1..).unwrap_or_default())
        .ok()
        .and_then(|p| p.trim_start_matches('+').parse().ok())
        .unwrap_or(0);
    let scale = power.saturating_sub(4 * i32::try_from(fraction).ok()?);
    Some((value * 2f64.powi(scale), length + exponent))
}

#[cfg(test)]
mod tests {
    use super::{general, leading_float};

    #[test]
    fn numbers_are_written_as_c_does() {
        let check = |n: f64, digits: u32, text: &str| {
            let mut out = Vec::new();
            general(&mut out, n, digits);
            assert_eq!(String::from_utf8(out).unwrap(), text, "{n} with {digits}");
        };
        check(0.0, 14, "0");
        check(-0.0, 14, "-0");
        check(1.0, 14, "1");
        check(0.1, 14, "0.1");
        check(0.1, 17, "0.10000000000000001");
        check(100.0, 14, "100");
        check(1e14, 14, "1e+14");
        check(123456789012345.0, 14, "1.2345678901234e+14");
        check(99999999999999.9, 14, "1e+14");
        check(0.0001, 14, "0.0001");
        check(0.00001, 14, "1e-05");
        check(-1.5e-300, 14, "-1.5e-300");
        check(1.0 / 3.0, 3, "0.333");
        check(1500.0, 2, "1.5e+03");
    }

    #[test]
    fn numbers_are_read_as_c_does() {
        let check =
            |text: &str, expected: Option<(f64, usize)>| assert_eq!(leading_float(text.as_bytes()), expected, "{text}");
        check("1", Some((1.0, 1)));
        check("-1.5e3x", Some((-1500.0, 6)));
        check("1e", Some((1.0, 1)));
        check("1.e2", Some((100.0, 4)));
        check(".5", Some((0.5, 2)));
        check("0x10", Some((16.0, 4)));
        check("0x.8p1,", Some((1.0, 6)));
        check("0xg", Some((0.0, 1)));
        check("-inf", Some((f64::NEG_INFINITY, 4)));
        check("Infinity", Some((f64::INFINITY, 8)));
        check("-", None);
        check(".", None);
        check("x", None);
    }
}
