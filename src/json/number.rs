//! Numbers, the commonest value of all, read without building a [`Value`](super::Value).

use std::str;

/// A number as its text states it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "a number is one of these")]
pub enum Number {
    /// An integer text within `i64`.
    Int(i64),
    /// An integer text above `i64::MAX`.
    UInt(u64),
    /// Any other number: with a fraction or an exponent, `-0`, `NaN`, an infinity, or an integer beyond
    /// 64 bits, which is rounded.
    Float(f64),
}

impl Number {
    /// The number as a float; integers beyond 2^53 are rounded.
    #[inline]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::UInt(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// Reads a text that is one number and nothing else; `None` if it is something else.
///
/// ```
/// use wandb_offline::json::{Number, number};
///
/// assert_eq!(number("1e+06"), Some(Number::Float(1e6)));
/// assert_eq!(number("-12"), Some(Number::Int(-12)));
/// assert_eq!(number("\"1\""), None);
/// ```
#[inline]
pub fn number(text: &str) -> Option<Number> {
    let scanned = Scan::new(text.as_bytes())?;
    if scanned.length == text.len() { scanned.value(text) } else { None }
}

/// A number at the front of some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    /// How many bytes it takes.
    pub(super) length: usize,
    /// Whether it is digits only, apart from the sign.
    pub(super) integer: bool,
    negative: bool,
    /// The value of the digits, as long as they fit.
    magnitude: Option<u64>,
}

impl Scan {
    /// Measures the number that `bytes` begin with.
    #[inline]
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let negative = bytes.first() == Some(&b'-');
        let start = usize::from(negative);
        let mut at = start;
        let mut value = 0u64;
        let mut fits = true;
        while let Some(digit) = digit(bytes, at) {
            let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit)));
            fits &= next.is_some();
            value = next.unwrap_or(0);
            at += 1;
        }
        if at == start {
            return Self::token(bytes, start, negative);
        }
        if at - start > 1 && bytes.get(start) == Some(&b'0') {
            return None;
        }
        let digits = at;
        if bytes.get(at) == Some(&b'.') {
            at = digits_from(bytes, at + 1)?;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            at = digits_from(bytes, at + 1 + sign)?;
        }
        let magnitude = fits.then_some(value);
        Some(Self { length: at, integer: at == digits, negative, magnitude })
    }

    fn token(bytes: &[u8], start: usize, negative: bool) -> Option<Self> {
        let rest = bytes.get(start..)?;
        let length = match (rest.starts_with(b"Infinity"), rest.starts_with(b"NaN")) {
            (true, _) => start + 8,
            (_, true) if !negative => start + 3,
            _ => return None,
        };
        Some(Self { length, integer: false, negative, magnitude: None })
    }

    /// The value, where `text` is the text of the number.
    #[inline]
    pub(super) fn value(self, text: &str) -> Option<Number> {
        match (self.integer, self.magnitude, self.negative) {
            (true, Some(0), true) => Some(Number::Float(-0.0)),
            (true, Some(value), false) => {
                Some(i64::try_from(value).map_or(Number::UInt(value), Number::Int))
            }
            (true, Some(value), true) if value <= 1 << 63 => {
                Some(Number::Int((value as i64).wrapping_neg()))
            }
            // std reads "NaN" and "Infinity" as well, in any case; Scan has seen to the case.
            _ => text.parse().ok().map(Number::Float),
        }
    }
}

#[inline]
fn digit(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10)
}

/// The position behind the digits that begin at `at`; there must be one.
#[inline]
fn digits_from(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = at;
    while digit(bytes, end).is_some() {
        end += 1;
    }
    (end > at).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_up_to_64_bits() {
        assert_eq!(number("0"), Some(Number::Int(0)));
        assert_eq!(number("9223372036854775807"), Some(Number::Int(i64::MAX)));
        assert_eq!(number("-9223372036854775808"), Some(Number::Int(i64::MIN)));
        assert_eq!(number("9223372036854775808"), Some(Number::UInt(1 << 63)));
        assert_eq!(number("18446744073709551615"), Some(Number::UInt(u64::MAX)));
        assert_eq!(number("18446744073709551616"), Some(Number::Float(2f64.powi(64))));
        assert_eq!(number("-9223372036854775809"), Some(Number::Float(-(2f64.powi(63)))));
    }

    #[test]
    fn every_spelling_of_a_float_is_read() {
        for (text, want) in [
            ("1e+06", 1e6),
            ("1e-07", 1e-7),
            ("5e-324", 5e-324),
            ("1.7954861083228178e+09", 1_795_486_108.322_817_8),
            ("1E3", 1000.0),
            ("-0.5", -0.5),
            ("1e999", f64::INFINITY),
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(number(text), Some(Number::Float(want)), "{text}");
        }
        assert!(number("NaN").is_some_and(|nan| nan.as_f64().is_nan()));
        assert!(number("-0").is_some_and(|zero| zero.as_f64().is_sign_negative()));
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "", "-", "+1", ".5", "1.", "1e", "1e+", "01", "-01", "nan", "inf", "-NaN", "1 ", " 1",
            "0x1", "1_0", "null", "true", "\"1\"", "infinity", "1é",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
