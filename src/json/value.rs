//! Values as a tree.

use super::parse::{self, ParseError};
use super::text::{put_f64, put_i64, put_str, put_u64};
use crate::limits::Limits;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// A value of W&B's JSON.
///
/// Its own text form ([`Self::write_json`], `Display`) is W&B's, with bare `NaN`. Its [`Serialize`] is
/// standard JSON, where the non-finite floats are the strings `"NaN"`, `"Infinity"`, `"-Infinity"`, as
/// W&B's own tools print them.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "JSON has no other values")]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above `i64::MAX`; smaller ones are always [`Self::Int`].
    UInt(u64),
    /// A number with a fraction or an exponent, minus zero, or not finite.
    Float(f64),
    /// The digits of an integer beyond 64 bits.
    BigInt(Box<str>),
    /// Text.
    String(String),
    /// A list.
    Array(Vec<Self>),
    /// An object; its keys are sorted.
    Object(BTreeMap<String, Self>),
}

impl Value {
    /// Parses a text that holds one value, nested as deep as [`Limits::DEFAULT`] allows.
    ///
    /// # Errors
    /// When the text is not W&B's JSON.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::parse(text, Limits::DEFAULT.json_depth)
    }

    /// Parses a text that holds one value, whose arrays and objects nest at most `depth` deep.
    ///
    /// # Errors
    /// When the text is not W&B's JSON, or nested deeper.
    pub fn parse_within(text: &str, depth: usize) -> Result<Self, ParseError> {
        parse::parse(text, depth)
    }

    /// Parses a text, and takes it for a string if it is not W&B's JSON: nothing is lost.
    pub(crate) fn parse_or_text(text: &str, depth: usize) -> Self {
        Self::parse_within(text, depth).unwrap_or_else(|_| Self::String(text.into()))
    }

    /// An object without members.
    pub const fn object() -> Self {
        Self::Object(BTreeMap::new())
    }

    /// Whether this is null.
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// A boolean.
    pub const fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A number as an integer, if it is one, also when written as a float without a fraction.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 2f64.powi(63) => {
                Some(*value as i64)
            }
            _ => None,
        }
    }

    /// A number as a float; integers beyond 2^53 are rounded.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::UInt(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::BigInt(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// A string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A list.
    pub fn as_array(&self) -> Option<&[Self]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The members of an object.
    pub const fn as_object(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The member `key` of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    /// The value at a path of keys through nested objects.
    pub fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Self> {
        path.into_iter().try_fold(self, |value, key| value.get(key))
    }

    /// Appends the value as W&B's JSON, without spaces.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(value) => put_i64(out, *value),
            Self::UInt(value) => put_u64(out, *value),
            Self::Float(value) => put_f64(out, *value),
            Self::BigInt(digits) => out.extend_from_slice(digits.as_bytes()),
            Self::String(text) => put_str(out, text),
            Self::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    put_str(out, key);
                    out.push(b':');
                    value.write_json(out);
                }
                out.push(b'}');
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Vec::new();
        self.write_json(&mut out);
        f.write_str(&String::from_utf8_lossy(&out))
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::UInt(value) => serializer.serialize_u64(*value),
            Self::Float(value) if value.is_finite() => serializer.serialize_f64(*value),
            Self::Float(value) if value.is_nan() => serializer.serialize_str("NaN"),
            Self::Float(value) if *value > 0.0 => serializer.serialize_str("Infinity"),
            Self::Float(_) => serializer.serialize_str("-Infinity"),
            Self::BigInt(digits) => big_int(digits, serializer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Exact up to 128 bits, beyond that rounded, and a string where even a float ends.
fn big_int<S: Serializer>(digits: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(value) = digits.parse::<i128>() {
        return serializer.serialize_i128(value);
    }
    match digits.parse::<f64>() {
        Ok(value) if value.is_finite() => serializer.serialize_f64(value),
        _ => serializer.serialize_str(digits),
    }
}

macro_rules! from {
    ($($from:ty => $value:ident, $make:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $make
            }
        })*
    };
}

from! {
    bool => value, Self::Bool(value);
    i64 => value, Self::Int(value);
    u64 => value, i64::try_from(value).map_or(Self::UInt(value), Self::Int);
    f64 => value, Self::Float(value);
    &str => value, Self::String(value.into());
    String => value, Self::String(value);
    Vec<Self> => value, Self::Array(value);
    BTreeMap<String, Self> => value, Self::Object(value);
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<K: Into<String>> FromIterator<(K, Self)> for Value {
    fn from_iter<I: IntoIterator<Item = (K, Self)>>(members: I) -> Self {
        Self::Object(members.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_text_reads_back_the_same() {
        let text = r#"{"a":[1,1.5,-0.0,NaN,Infinity,-Infinity],"b":{"x":null,"y":"q\"\u0001é"},"c":true,"d":340282366920938463463374607431768211456}"#;
        let value = Value::parse(text).unwrap();
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn standard_json_has_strings_for_what_it_cannot_say() {
        let value = Value::parse("[NaN,Infinity,-Infinity,1.0,1,100000000000000000000]").unwrap();
        let text = serde_json::to_string(&value).unwrap();
        assert_eq!(text, r#"["NaN","Infinity","-Infinity",1.0,1,100000000000000000000]"#);
        let huge = Value::BigInt("9".repeat(400).into());
        assert_eq!(serde_json::to_string(&huge).unwrap(), format!("\"{}\"", "9".repeat(400)));
    }

    #[test]
    fn numbers_are_taken_for_what_they_are_worth() {
        assert_eq!(Value::Float(3.0).as_i64(), Some(3));
        assert_eq!(Value::Float(3.5).as_i64(), None);
        assert_eq!(Value::Float(1e19).as_i64(), None);
        assert_eq!(Value::Float(f64::NAN).as_i64(), None);
        assert_eq!(Value::BigInt("100000000000000000000".into()).as_f64(), Some(1e20));
        assert_eq!(Value::from(u64::MAX).as_f64(), Some(u64::MAX as f64));
        assert_eq!(Value::from(7u64), Value::Int(7));
        assert_eq!(Value::String("1".into()).as_f64(), None);
    }

    #[test]
    fn paths_lead_through_objects_only() {
        let value = Value::parse(r#"{"a":{"b":[{"c":1}]}}"#).unwrap();
        assert!(value.at(["a", "b"]).is_some_and(|list| list.as_array().is_some()));
        assert_eq!(value.at(["a", "b", "c"]), None);
        assert_eq!(value.at([]), Some(&value));
    }
}
