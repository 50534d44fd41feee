//! The text of a double as Redis 7.2 writes it: the fewest digits that read back as the same number, plain where that is
//! short and with an exponent elsewhere.

use std::io::Write as _;

/// Doubles up to this magnitude without a fraction are written as integers.
const MAX_PLAIN_INTEGER: f64 = (i64::MAX / 2) as f64;

/// Appends the text of `value` to `out`.
pub fn write(out: &mut Vec<u8>, value: f64) {
    // Writing to a vector cannot fail, so the results below are not looked at.
    if value.is_nan() {
        out.extend_from_slice(b"nan");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.fract() == 0.0 && value.abs() <= MAX_PLAIN_INTEGER {
        let _ = write!(out, "{}", value as i64);
    } else {
        write_shortest(out, value);
    }
}

/// The text of `value`.
#[must_use]
pub fn to_text(value: f64) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    write(&mut out, value);
    out
}

fn write_shortest(out: &mut Vec<u8>, value: f64) {
    // Rust's scientific form has the shortest digits; only their arrangement differs.
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(|b| *b != b'.').collect();
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let count = digits.len() as i32;
    // value = digits × 10^scale
    let scale = exponent - (count - 1);
    if value < 0.0 {
        out.push(b'-');
    }
    if scale >= 0 && exponent.abs() < count + 7 {
        out.extend_from_slice(&digits);
        out.extend(std::iter::repeat_n(b'0', scale.unsigned_abs() as usize));
    } else if scale < 0 && (scale > -7 || exponent.abs() < 4) {
        let whole = count + scale;
        if whole <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', whole.unsigned_abs() as usize));
            out.extend_from_slice(&digits);
        } else {
            let (whole, fraction) = digits.split_at(whole.unsigned_abs() as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
    } else {
        out.push(digits[0]);
        if count > 1 {
            out.push(b'.');
            out.extend_from_slice(&digits[1..]);
        }
        let _ = write!(out, "e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn text_is_that_of_redis() {
        let check = |value: f64, text: &str| assert_eq!(String::from_utf8(to_text(value)).unwrap(), text);
        check(0.0, "0");
        check(-0.0, "-0");
        check(3.0, "3");
        check(-17.5, "-17.5");
        check(0.1 + 0.2, "0.30000000000000004");
        check(1.0 / 3.0, "0.3333333333333333");
        check(1e-5, "0.00001");
        check(1e-7, "1e-7");
        check(1.5e-10, "1.5e-10");
        check(1e17, "100000000000000000");
        check(1e20, "1e+20");
        check(1.234e25, "1.234e+25");
        check(f64::MAX, "1.7976931348623157e+308");
        check(f64::MIN_POSITIVE, "2.2250738585072014e-308");
        check(f64::INFINITY, "inf");
        check(f64::NEG_INFINITY, "-inf");
        check(f64::NAN, "nan");
    }
}
