//! Any serialisable value as a [`Value`].

use super::Value;
use crate::error::{Error, ErrorKind};
use serde::ser::{self, Impossible, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Turns a value into a [`Value`], as `serde_json` would, except that non-finite floats stay what they
/// are, and an `f32` becomes the `f64` with the same shortest text: `0.1f32` is 0.1.
///
/// ```
/// use wandb_offline::json::{Value, to_value};
///
/// let value = to_value(&(0.1f32, f64::NAN, Some("x"), ()))?;
/// assert_eq!(value.to_string(), r#"[0.1,NaN,"x",null]"#);
/// # Ok::<(), wandb_offline::Error>(())
/// ```
///
/// # Errors
/// When a map has a key that is no string, number, boolean or name of a variant, or when the value's own
/// code refuses.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value, Error> {
    value.serialize(ToValue).map_err(|Refused(reason)| Error::new(ErrorKind::Value(reason)))
}

struct ToValue;

/// Why a value cannot be turned.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self(reason.to_string())
    }
}

type Done = Result<Value, Refused>;

impl ser::Serializer for ToValue {
    type Ok = Value;
    type Error = Refused;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Members;
    type SerializeStruct = Members;
    type SerializeStructVariant = Members;

    fn serialize_bool(self, value: bool) -> Done {
        Ok(Value::Bool(value))
    }
    fn serialize_i8(self, value: i8) -> Done {
        Ok(Value::Int(value.into()))
    }
    fn serialize_i16(self, value: i16) -> Done {
        Ok(Value::Int(value.into()))
    }
    fn serialize_i32(self, value: i32) -> Done {
        Ok(Value::Int(value.into()))
    }
    fn serialize_i64(self, value: i64) -> Done {
        Ok(Value::Int(value))
    }
    fn serialize_i128(self, value: i128) -> Done {
        Ok(match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => Value::Int(value),
            (_, Ok(value)) => Value::UInt(value),
            _ => Value::BigInt(value.to_string().into()),
        })
    }
    fn serialize_u8(self, value: u8) -> Done {
        Ok(Value::Int(value.into()))
    }
    fn serialize_u16(self, value: u16) -> Done {
        Ok(Value::Int(value.into()))
    }
    fn serialize_u32(self, value: u32) -> Done {
        Ok(Value::Int(value.into()))
    }
    fn serialize_u64(self, value: u64) -> Done {
        Ok(value.into())
    }
    fn serialize_u128(self, value: u128) -> Done {
        Ok(match u64::try_from(value) {
            Ok(value) => value.into(),
            Err(_) => Value::BigInt(value.to_string().into()),
        })
    }
    fn serialize_f32(self, value: f32) -> Done {
        let shortest = value.to_string().parse();
        Ok(Value::Float(shortest.unwrap_or_else(|_| f64::from(value))))
    }
    fn serialize_f64(self, value: f64) -> Done {
        Ok(Value::Float(value))
    }
    fn serialize_char(self, value: char) -> Done {
        Ok(Value::String(value.into()))
    }
    fn serialize_str(self, value: &str) -> Done {
        Ok(Value::String(value.into()))
    }
    fn serialize_bytes(self, value: &[u8]) -> Done {
        Ok(Value::Array(value.iter().map(|byte| Value::Int(i64::from(*byte))).collect()))
    }
    fn serialize_none(self) -> Done {
        Ok(Value::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Done {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Done {
        Ok(Value::Null)
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Done {
        Ok(Value::String(variant.into()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        Ok(Value::from_iter([(variant, value.serialize(self)?)]))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List, Refused> {
        Ok(List::default())
    }
    fn serialize_tuple(self, _: usize) -> Result<List, Refused> {
        Ok(List::default())
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List, Refused> {
        Ok(List::default())
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List, Refused> {
        Ok(List { variant: Some(variant), ..List::default() })
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Members, Refused> {
        Ok(Members::default())
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Members, Refused> {
        Ok(Members::default())
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members, Refused> {
        Ok(Members { variant: Some(variant), ..Members::default() })
    }
}

/// The elements of a list or tuple, and the name to wrap them in.
#[derive(Default)]
struct List {
    items: Vec<Value>,
    variant: Option<&'static str>,
}

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.items.push(value.serialize(ToValue)?);
        Ok(())
    }

    fn done(self) -> Done {
        Ok(wrapped(self.variant, Value::Array(self.items)))
    }
}

/// The members of a map or struct, and the name to wrap them in.
#[derive(Default)]
struct Members {
    members: BTreeMap<String, Value>,
    key: Option<String>,
    variant: Option<&'static str>,
}

impl Members {
    fn insert<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), Refused> {
        self.members.insert(key, value.serialize(ToValue)?);
        Ok(())
    }

    fn done(self) -> Done {
        Ok(wrapped(self.variant, Value::Object(self.members)))
    }
}

fn wrapped(variant: Option<&'static str>, value: Value) -> Value {
    match variant {
        Some(name) => Value::from_iter([(name, value)]),
        None => value,
    }
}

/// The four kinds of list differ only in the names serde gives their methods.
macro_rules! list {
    ($($kind:ident, $method:ident;)*) => {
        $(impl ser::$kind for List {
            type Ok = Value;
            type Error = Refused;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
                self.push(value)
            }
            fn end(self) -> Done {
                self.done()
            }
        })*
    };
}

list! {
    SerializeSeq, serialize_element;
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
}

macro_rules! members {
    ($($kind:ident;)*) => {
        $(impl ser::$kind for Members {
            type Ok = Value;
            type Error = Refused;
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Refused> {
                self.insert(key.into(), value)
            }
            fn end(self) -> Done {
                self.done()
            }
        })*
    };
}

members! {
    SerializeStruct;
    SerializeStructVariant;
}

impl ser::SerializeMap for Members {
    type Ok = Value;
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.key = Some(key.serialize(ToKey)?);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let key =
            self.key.take().ok_or_else(|| Refused("a map gave a value before its key".into()))?;
        self.insert(key, value)
    }
    fn end(self) -> Done {
        self.done()
    }
}

/// Keys: strings, and whatever has an obvious text.
struct ToKey;

type Key = Result<String, Refused>;
type NoKey = Impossible<String, Refused>;

fn no_key<T>(what: &str) -> Result<T, Refused> {
    Err(Refused(format!("{what} cannot be the key of an object")))
}

macro_rules! keys {
    ($($method:ident: $from:ty;)*) => {
        $(fn $method(self, value: $from) -> Key {
            Ok(value.to_string())
        })*
    };
}

impl ser::Serializer for ToKey {
    type Ok = String;
    type Error = Refused;
    type SerializeSeq = NoKey;
    type SerializeTuple = NoKey;
    type SerializeTupleStruct = NoKey;
    type SerializeTupleVariant = NoKey;
    type SerializeMap = NoKey;
    type SerializeStruct = NoKey;
    type SerializeStructVariant = NoKey;

    keys! {
        serialize_bool: bool;
        serialize_i8: i8;
        serialize_i16: i16;
        serialize_i32: i32;
        serialize_i64: i64;
        serialize_i128: i128;
        serialize_u8: u8;
        serialize_u16: u16;
        serialize_u32: u32;
        serialize_u64: u64;
        serialize_u128: u128;
        serialize_char: char;
        serialize_str: &str;
    }

    fn serialize_f32(self, value: f32) -> Key {
        ToValue.serialize_f32(value).map(|value| value.to_string())
    }
    fn serialize_f64(self, value: f64) -> Key {
        Ok(Value::Float(value).to_string())
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Key {
        Ok(variant.into())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Key {
        value.serialize(self)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Key {
        value.serialize(self)
    }
    fn serialize_bytes(self, _: &[u8]) -> Key {
        no_key("a list of bytes")
    }
    fn serialize_none(self) -> Key {
        no_key("nothing")
    }
    fn serialize_unit(self) -> Key {
        no_key("nothing")
    }
    fn serialize_unit_struct(self, name: &'static str) -> Key {
        no_key(name)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Key {
        no_key(name)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<NoKey, Refused> {
        no_key("a list")
    }
    fn serialize_tuple(self, _: usize) -> Result<NoKey, Refused> {
        no_key("a tuple")
    }
    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<NoKey, Refused> {
        no_key(name)
    }
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<NoKey, Refused> {
        no_key(name)
    }
    fn serialize_map(self, _: Option<usize>) -> Result<NoKey, Refused> {
        no_key("a map")
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<NoKey, Refused> {
        no_key(name)
    }
    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<NoKey, Refused> {
        no_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(serde::Serialize)]
    enum Shape {
        Unit,
        New(i32),
        Pair(i32, i32),
        Named { a: Option<u8> },
    }

    fn text<T: Serialize + ?Sized>(value: &T) -> String {
        to_value(value).unwrap().to_string()
    }

    #[test]
    fn enums_look_as_serde_json_has_them() {
        let shapes = [Shape::Unit, Shape::New(1), Shape::Pair(1, 2), Shape::Named { a: None }];
        assert_eq!(text(&shapes), serde_json::to_string(&shapes).unwrap());
    }

    #[test]
    fn floats_keep_what_they_are() {
        assert_eq!(text(&0.1f32), "0.1");
        assert_eq!(text(&f32::MAX), "3.4028235e+38");
        assert_eq!(text(&[f32::NAN, f32::NEG_INFINITY]), "[NaN,-Infinity]");
        assert_eq!(text(&1.0), "1.0");
    }

    #[test]
    fn integers_of_any_width_are_exact() {
        assert_eq!(to_value(&u64::MAX).unwrap(), Value::UInt(u64::MAX));
        assert_eq!(to_value(&(i128::from(u64::MAX))).unwrap(), Value::UInt(u64::MAX));
        assert_eq!(text(&i128::MIN), i128::MIN.to_string());
        assert_eq!(text(&u128::MAX), u128::MAX.to_string());
    }

    #[test]
    fn keys_become_text_where_they_have_one() {
        assert_eq!(text(&HashMap::from([(1u8, true)])), r#"{"1":true}"#);
        assert_eq!(text(&HashMap::from([(false, 'c')])), r#"{"false":"c"}"#);
        let error = to_value(&HashMap::from([((1, 2), 3)])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot log this value: a tuple cannot be the key of an object"
        );
    }
}
