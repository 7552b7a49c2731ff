//! The tolerant parser.

use super::Value;
use super::number::{Number, number_prefix};
use std::collections::BTreeMap;
use std::fmt;

/// Why a text is not W&B's JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    at: usize,
    reason: &'static str,
}

impl ParseError {
    /// The byte of the text at which it went wrong.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// What went wrong there.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.at)
    }
}

impl std::error::Error for ParseError {}

/// Parses a whole text. `depth` is how many arrays and objects may stand inside one another; no more
/// than [`DEPTH_AT_MOST`] ever may, for the parser and every walk over a value recurse.
pub(super) fn parse(text: &str, depth: usize) -> Result<Value, ParseError> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(depth.min(DEPTH_AT_MOST))?;
    parser.blank();
    if parser.at < text.len() {
        return Err(parser.error("unexpected text behind the value"));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, ParseError> {
        self.blank();
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'[') => self.array(self.inside(depth)?),
            Some(b'{') => self.object(self.inside(depth)?),
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("the text ends where a value should be")),
        }
    }

    fn inside(&self, depth: usize) -> Result<usize, ParseError> {
        depth.checked_sub(1).ok_or_else(|| self.error("nested too deep"))
    }

    fn array(&mut self, depth: usize) -> Result<Value, ParseError> {
        let mut items = Vec::new();
        self.at += 1;
        self.blank();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.blank();
            if self.eat(b']') {
                return Ok(Value::Array(items));
            }
            if !self.eat(b',') {
                return Err(self.error("expected `,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, ParseError> {
        let mut members = BTreeMap::new();
        self.at += 1;
        self.blank();
        if self.eat(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.blank();
            if self.peek() != Some(b'"') {
                return Err(self.error("expected a key in quotes"));
            }
            let key = self.string()?;
            self.blank();
            if !self.eat(b':') {
                return Err(self.error("expected `:`"));
            }
            let value = self.value(depth)?;
            members.insert(key, value);
            self.blank();
            if self.eat(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.error("expected `,` or `}`"));
            }
        }
    }

    fn number(&mut self) -> Result<Value, ParseError> {
        let rest = self.rest();
        let Some((number, length, integer)) = number_prefix(rest) else {
            return Err(self.error("malformed number"));
        };
        let value = match number {
            Number::Int(value) => Value::Int(value),
            Number::UInt(value) => Value::UInt(value),
            Number::Float(value) if integer && value != 0.0 => {
                Value::BigInt(rest.get(..length).unwrap_or_default().into())
            }
            Number::Float(value) => Value::Float(value),
        };
        self.at += length;
        Ok(value)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, ParseError> {
        if !self.rest().starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    /// Reads a string. Control characters in it are let pass, as Python's own reader can be told to do.
    fn string(&mut self) -> Result<String, ParseError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let Some(plain) = rest.bytes().position(|byte| byte == b'"' || byte == b'\\') else {
                self.at = self.text.len();
                return Err(self.error("the text ends inside a string"));
            };
            out.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            if self.eat(b'"') {
                return Ok(out);
            }
            self.escape(&mut out)?;
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), ParseError> {
        let plain = match self.text.as_bytes().get(self.at + 1) {
            Some(b'u') => return self.unicode(out),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(&byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            _ => return Err(self.error("unknown escape")),
        };
        out.push(plain);
        self.at += 2;
        Ok(())
    }

    /// Reads `\uXXXX`. Two halves of a surrogate pair are one character; half a pair, which Python
    /// writes for text that is not Unicode, is U+FFFD.
    fn unicode(&mut self, out: &mut String) -> Result<(), ParseError> {
        let high = self.hex(self.at).ok_or_else(|| self.error("malformed \\u escape"))?;
        self.at += 6;
        if (0xd800..0xdc00).contains(&high)
            && let Some(low @ 0xdc00..0xe000) = self.hex(self.at)
        {
            self.at += 6;
            let joined = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            out.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
        } else {
            out.push(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Ok(())
    }

    /// The number of the `\uXXXX` that stands at `at`.
    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at.checked_add(6)?)?.strip_prefix("\\u")?;
        digits.bytes().try_fold(0, |value, byte| Some(value << 4 | char::from(byte).to_digit(16)?))
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\t' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    const fn error(&self, reason: &'static str) -> ParseError {
        ParseError { at: self.at, reason }
    }
}

const DEPTH_AT_MOST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Value {
        parse(text, 128).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[track_caller]
    fn refused(text: &str, at: usize, reason: &str) {
        let error = parse(text, 4).unwrap_err();
        assert_eq!((error.at(), error.reason()), (at, reason), "{text}");
    }

    #[test]
    fn bare_tokens_stand_anywhere() {
        let value = read(r#" {"a": [NaN, {"b": -Infinity}], "c": Infinity} "#);
        let list = value.get("a").and_then(Value::as_array).unwrap();
        assert!(list[0].as_f64().unwrap().is_nan());
        assert_eq!(list[1].get("b"), Some(&Value::Float(f64::NEG_INFINITY)));
        assert_eq!(value.get("c"), Some(&Value::Float(f64::INFINITY)));
    }

    #[test]
    fn integers_keep_all_their_digits() {
        assert_eq!(read("9007199254740993"), Value::Int(9_007_199_254_740_993));
        assert_eq!(read("18446744073709551615"), Value::UInt(u64::MAX));
        let huge = "123456789012345678901234567890";
        assert_eq!(read(huge), Value::BigInt(huge.into()));
        assert_eq!(read(&format!("-{huge}")).to_string(), format!("-{huge}"));
        assert!(matches!(read("-0"), Value::Float(zero) if zero.is_sign_negative()));
        assert!(matches!(read("-0.0"), Value::Float(zero) if zero.is_sign_negative()));
        assert_eq!(read("1e+06"), Value::Float(1e6));
    }

    #[test]
    fn surrogates_join_and_half_a_pair_is_replaced() {
        assert_eq!(read(r#""\ud83d\ude00""#).as_str(), Some("😀"));
        assert_eq!(read(r#""\ud83d""#).as_str(), Some("\u{fffd}"));
        assert_eq!(read(r#""\ud83dx\ude00""#).as_str(), Some("\u{fffd}x\u{fffd}"));
        assert_eq!(read(r#""\ud83d\ud83d\ude00""#).as_str(), Some("\u{fffd}😀"));
        assert_eq!(
            read(r#""\u0000\u00e9\/\b\f\n\r\t\"\\""#).as_str(),
            Some("\0é/\u{8}\u{c}\n\r\t\"\\")
        );
    }

    #[test]
    fn the_last_of_duplicate_keys_wins() {
        assert_eq!(read(r#"{"k":1,"k":2}"#).get("k"), Some(&Value::Int(2)));
    }

    #[test]
    fn errors_name_the_byte_and_the_reason() {
        refused("", 0, "the text ends where a value should be");
        refused("[1,", 3, "the text ends where a value should be");
        refused("[1 2]", 3, "expected `,` or `]`");
        refused("[1,]", 3, "expected a value");
        refused("{\"a\" 1}", 5, "expected `:`");
        refused("{a:1}", 1, "expected a key in quotes");
        refused("{\"a\":1;", 6, "expected `,` or `}`");
        refused("nul", 0, "expected a value");
        refused("1 x", 2, "unexpected text behind the value");
        refused("-", 0, "malformed number");
        refused("\"abc", 4, "the text ends inside a string");
        refused(r#""\x""#, 1, "unknown escape");
        refused(r#""\u12g4""#, 1, "malformed \\u escape");
        refused(r#""\u+123""#, 1, "malformed \\u escape");
        refused(r#""\u12é""#, 1, "malformed \\u escape");
        refused("[[[[[]]]]]", 4, "nested too deep");
    }

    #[test]
    fn no_depth_overflows_the_stack() {
        for open in ["[", "{\"a\":"] {
            let error = parse(&open.repeat(1 << 20), usize::MAX).unwrap_err();
            assert_eq!(error.reason(), "nested too deep");
        }
        let deepest = format!("{}{}", "[".repeat(DEPTH_AT_MOST), "]".repeat(DEPTH_AT_MOST));
        assert_eq!(parse(&deepest, usize::MAX).unwrap().to_string(), deepest);
    }
}
