//! Numbers, the commonest value of all, read without building a [`Value`](super::Value).

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
    let bytes = text.as_bytes();
    let whole = Whole::new(bytes)?;
    match (bytes.get(whole.end), bytes.get(whole.end + 1)) {
        (None, _) => whole.integer(text),
        // From here on std is as strict as JSON.
        (Some(b'.'), Some(b'0'..=b'9')) | (Some(b'e' | b'E'), _) if whole.has_digits() => {
            text.parse().ok().map(Number::Float)
        }
        _ => token(bytes).filter(|(length, _)| *length == bytes.len()).map(|(_, value)| value),
    }
}

/// The number that `text` begins with, how many bytes it takes, and whether it is an integer.
pub(super) fn number_prefix(text: &str) -> Option<(Number, usize, bool)> {
    let bytes = text.as_bytes();
    let whole = Whole::new(bytes)?;
    if !whole.has_digits() {
        return token(bytes).map(|(length, value)| (value, length, false));
    }
    let mut end = whole.end;
    if bytes.get(end) == Some(&b'.') {
        end = digits_from(bytes, end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits_from(bytes, end + 1 + sign)?;
    }
    let text = text.get(..end)?;
    if end == whole.end {
        return Some((whole.integer(text)?, end, true));
    }
    Some((Number::Float(text.parse().ok()?), end, false))
}

/// The sign and the digits before the point.
#[derive(Clone, Copy, Debug)]
struct Whole {
    negative: bool,
    /// The value of the digits, modulo 2^64.
    digits: u64,
    end: usize,
}

impl Whole {
    /// Reads them; `None` if there are zeros in front.
    #[inline]
    fn new(bytes: &[u8]) -> Option<Self> {
        let negative = bytes.first() == Some(&b'-');
        let start = usize::from(negative);
        let (mut end, mut digits) = (start, 0u64);
        while let Some(digit) = digit(bytes, end) {
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
            end += 1;
        }
        let padded = end > start + 1 && bytes.get(start) == Some(&b'0');
        (!padded).then_some(Self { negative, digits, end })
    }

    #[inline]
    const fn has_digits(&self) -> bool {
        self.end > self.negative as usize
    }

    /// The value of `text`, which is these digits and nothing else.
    #[inline]
    fn integer(&self, text: &str) -> Option<Number> {
        if !self.has_digits() {
            return None;
        }
        if self.end > DIGITS_THAT_FIT {
            return Some(long_integer(text));
        }
        Some(match (i64::try_from(self.digits), self.negative) {
            (Ok(0), true) => Number::Float(-0.0),
            (Ok(value), true) => Number::Int(-value),
            (Ok(value), false) => Number::Int(value),
            (Err(_), _) => long_integer(text),
        })
    }
}

#[cold]
fn long_integer(text: &str) -> Number {
    if let Ok(value) = text.parse() {
        return Number::Int(value);
    }
    if let Ok(value) = text.parse() {
        return Number::UInt(value);
    }
    Number::Float(text.parse().unwrap_or(f64::NAN))
}

/// The bare token that `bytes` begin with.
#[cold]
fn token(bytes: &[u8]) -> Option<(usize, Number)> {
    let tokens: [(&[u8], f64); 3] =
        [(b"NaN", f64::NAN), (b"Infinity", f64::INFINITY), (b"-Infinity", f64::NEG_INFINITY)];
    let found = tokens.into_iter().find(|(token, _)| bytes.starts_with(token));
    found.map(|(token, value)| (token.len(), Number::Float(value)))
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

/// So many characters of digits and sign always fit into 64 bits.
const DIGITS_THAT_FIT: usize = 19;

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
    fn a_number_at_the_front_is_measured() {
        for (text, length) in
            [("1,", 1), ("-0.5e-3]", 7), ("1e+06 ", 5), ("NaN}", 3), ("-Infinity", 9)]
        {
            let (_, found, _) = number_prefix(text).unwrap();
            assert_eq!(found, length, "{text}");
            assert!(number(&text[..length]).is_some());
        }
        for text in ["", "-", "1.", "1.e5", "1e", "01", "-NaN", "x"] {
            assert!(number_prefix(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "", "-", "+1", ".5", "1.", "1e", "1e+", "01", "-01", "nan", "inf", "-NaN", "1 ", " 1",
            "0x1", "1.e5", "1.5.", "1.5e", "--1", "1-", "1_0", "null", "true", "\"1\"", "infinity",
            "1é",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
