//! The arithmetic of INCRBYFLOAT and HINCRBYFLOAT: exact decimals, printed with at most 17 decimal places.
//!
//! Redis adds in `long double` and prints 17 decimal places, so its result depends on the machine: where that type has
//! 113 bits, sums are exact to far more than 17 places; on x86 it has 64 bits and 1000 + 0.1 gives
//! 1000.09999999999999998. Adding the decimal text itself is exact, the same on every machine, and equal to what Redis
//! gives wherever its type is precise enough. The range is that of `long double`: a value beyond it is not a float.

/// The longest text that is read as a number, bytes (Redis' MAX_LONG_DOUBLE_CHARS).
const TEXT_MAX: usize = 5 * 1024;

/// Decimal places of results.
const PLACES: i64 = 17;

/// The decimal exponent of the largest `long double`, 1.19e4932.
const EXPONENT_MAX: i64 = 4932;

/// A magnitude below 10^-5000 is less than the smallest `long double`.
const EXPONENT_MIN: i64 = -5000;

/// A number as text spelled it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Decimal {
    Finite(Finite),
    Infinite { negative: bool },
}

/// `digits` × 10^`exponent`. Digits are values 0 to 9, most significant first, without leading zeros; empty is zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finite {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

/// The result of an addition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sum {
    /// A finite number in its shortest form with at most 17 decimal places.
    Finite(String),
    /// Infinite, too large, or not a number.
    NotFinite,
}

impl Decimal {
    pub(crate) const ZERO: Decimal = Decimal::Finite(Finite { negative: false, digits: Vec::new(), exponent: 0 });

    /// Reads what C's `strtold` reads as a whole and Redis accepts, except hexadecimal: digits with a point and an
    /// exponent, or an infinity. `None` for anything else, NaN and numbers out of range included.
    pub(crate) fn parse(text: &[u8]) -> Option<Decimal> {
        if text.len() >= TEXT_MAX {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Decimal::Infinite { negative });
        }
        Finite::parse(negative, rest).map(Decimal::Finite)
    }

    pub(crate) fn is_infinite(&self) -> bool {
        matches!(self, Decimal::Infinite { .. })
    }

    pub(crate) fn add(&self, other: &Decimal) -> Sum {
        match (self, other) {
            (Decimal::Finite(a), Decimal::Finite(b)) => a.add(b).print(),
            _ => Sum::NotFinite,
        }
    }
}

impl Finite {
    fn parse(negative: bool, text: &[u8]) -> Option<Finite> {
        let (mantissa, written) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
            Some(at) => (&text[..at], exponent(&text[at + 1..])?),
            None => (text, 0),
        };
        let mut digits = Vec::with_capacity(mantissa.len());
        let mut point = None;
        for (at, b) in mantissa.iter().enumerate() {
            match b {
                b'0'..=b'9' => digits.push(b - b'0'),
                b'.' if point.is_none() => point = Some(mantissa.len() - at - 1),
                _ => return None,
            }
        }
        if digits.is_empty() {
            return None;
        }
        let exponent = written.saturating_sub(point.unwrap_or(0) as i64);
        Finite { negative, digits, exponent }.normal().in_range()
    }

    fn normal(mut self) -> Finite {
        let leading = self.digits.iter().take_while(|d| **d == 0).count();
        self.digits.drain(..leading);
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.exponent = self.exponent.saturating_add(1);
        }
        if self.digits.is_empty() {
            self.exponent = 0;
        }
        self
    }

    /// The power of ten of the first digit.
    fn magnitude(&self) -> i64 {
        self.exponent.saturating_add(self.digits.len() as i64 - 1)
    }

    fn in_range(self) -> Option<Finite> {
        let fits =
            self.digits.is_empty() || (EXPONENT_MIN..=EXPONENT_MAX).contains(&self.magnitude()) && !self.too_large();
        fits.then_some(self)
    }

    /// Whether it exceeds the largest `long double`, 1.18973…e4932.
    fn too_large(&self) -> bool {
        const LARGEST: [u8; 6] = [1, 1, 8, 9, 7, 3];
        self.magnitude() > EXPONENT_MAX
            || self.magnitude() == EXPONENT_MAX && self.digits.iter().take(LARGEST.len()).gt(LARGEST.iter())
    }

    /// The digit that stands at 10^`power`.
    fn digit(&self, power: i64) -> u8 {
        let at = self.digits.len() as i64 - 1 - (power - self.exponent);
        usize::try_from(at).ok().and_then(|at| self.digits.get(at).copied()).unwrap_or(0)
    }

    fn add(&self, other: &Finite) -> Finite {
        let low = self.exponent.min(other.exponent);
        let high = self.magnitude().max(other.magnitude());
        let (large, small) = if self.at_least(other, low, high) { (self, other) } else { (other, self) };
        let same_sign = self.negative == other.negative;
        let mut digits = Vec::with_capacity((high - low + 2) as usize);
        let mut carry = 0i8;
        for power in low..=high + 1 {
            let (a, b) = (large.digit(power) as i8, small.digit(power) as i8);
            let d = if same_sign { a + b + carry } else { a - b + carry };
            carry = d.div_euclid(10);
            digits.push(d.rem_euclid(10) as u8);
        }
        digits.reverse();
        Finite { negative: large.negative, digits, exponent: low }.normal()
    }

    fn at_least(&self, other: &Finite, low: i64, high: i64) -> bool {
        (low..=high).rev().map(|p| self.digit(p)).ge((low..=high).rev().map(|p| other.digit(p)))
    }

    /// Rounded to `PLACES`, half to even, without trailing zeros.
    fn print(&self) -> Sum {
        if self.too_large() {
            return Sum::NotFinite;
        }
        let rounded = self.rounded();
        let mut out = String::new();
        for power in (0..=rounded.magnitude().max(0)).rev() {
            out.push(char::from(b'0' + rounded.digit(power)));
        }
        if rounded.exponent < 0 {
            out.push('.');
            out.extend((rounded.exponent..0).rev().map(|p| char::from(b'0' + rounded.digit(p))));
        }
        if rounded.negative && !rounded.digits.is_empty() {
            out.insert(0, '-');
        }
        Sum::Finite(out)
    }

    fn rounded(&self) -> Finite {
        if self.exponent >= -PLACES {
            return self.clone();
        }
        let first_lost = self.digit(-PLACES - 1);
        let rest_lost = (self.exponent..-PLACES - 1).any(|p| self.digit(p) != 0);
        let odd = self.digit(-PLACES) % 2 == 1;
        let up = first_lost > 5 || first_lost == 5 && (rest_lost || odd);
        let high = self.magnitude().max(-PLACES);
        let kept = (-PLACES..=high).rev().map(|p| self.digit(p)).collect();
        let kept = Finite { negative: self.negative, digits: kept, exponent: -PLACES }.normal();
        if !up {
            return kept;
        }
        let sum = kept.add(&Finite { negative: self.negative, digits: vec![1], exponent: -PLACES });
        Finite { negative: self.negative, ..sum }
    }
}

/// A written exponent, clamped to what matters.
fn exponent(text: &[u8]) -> Option<i64> {
    /// Beyond this every number is out of range, whatever its digits: they are fewer than `TEXT_MAX`.
    const CLAMP: i64 = 1_000_000;
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for b in digits {
        value = (value * 10 + i64::from(b.is_ascii_digit().then(|| b - b'0')?)).min(CLAMP);
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::{Decimal, Sum};

    fn add(a: &str, b: &str) -> Option<String> {
        let (a, b) = (Decimal::parse(a.as_bytes())?, Decimal::parse(b.as_bytes())?);
        Some(match a.add(&b) {
            Sum::Finite(s) => s,
            Sum::NotFinite => "not finite".to_owned(),
        })
    }

    #[test]
    fn sums_are_exact_and_short() {
        for (a, b, sum) in [
            ("0.1", "0.2", "0.3"),
            ("1", "-1.1", "-0.1"),
            ("1.5", "1.5", "3"),
            ("3.0e3", "5.0e3", "8000"),
            ("5.0e3", "0", "5000"),
            ("17179869184", "17179869184", "34359738368"),
            ("1000", "0.1", "1000.1"),
            ("-0.1", "0.1", "0"),
            ("-0", "-0.0", "0"),
            ("1", "1e-17", "1.00000000000000001"),
            ("1", "5e-18", "1"),
            ("1", "15e-18", "1.00000000000000002"),
            ("1", "5.1e-18", "1.00000000000000001"),
            ("0.99999999999999999", "5.1e-18", "1"),
            ("-1", "-6e-18", "-1.00000000000000001"),
            ("0", "1e-4000", "0"),
            ("0", "-1e-4000", "0"),
            (".5", "5.", "5.5"),
            ("+1", "1E+2", "101"),
            ("100", "-0.000001", "99.999999"),
            ("inf", "1", "not finite"),
            ("-Infinity", "inf", "not finite"),
            ("1e4932", "1e4932", "not finite"),
        ] {
            assert_eq!(add(a, b).as_deref(), Some(sum), "{a} + {b}");
            assert_eq!(add(b, a).as_deref(), Some(sum), "{b} + {a}");
        }
        assert_eq!(add("1e4932", "0").unwrap().len(), 4933);
    }

    #[test]
    fn what_is_not_a_float_is_refused() {
        let long = "1".repeat(6000);
        for bad in [
            "", " ", "a", " 1", "1 ", "1.2.3", "e5", "1e", "1e+", ".", "-", "+-1", "nan", "1e4933", "1e-5001", "1,5",
            &long,
        ] {
            assert_eq!(Decimal::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(add("0e999999999999999999999", "1").as_deref(), Some("1"));
    }
}
