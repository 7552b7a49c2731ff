//! Any value as one text of W&B's JSON: lists within rows, config values, summary values.

use super::entries::{ValueError, is_raw};
use super::key::Key;
use crate::json::{put_f32, put_f64, put_i64, put_str, put_u64};
use serde::Serialize;
use serde::ser::{self, Serializer};

/// What becomes of NaN.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nan {
    /// The bare token `NaN`, as in rows and summaries.
    Bare,
    /// `null`, which is what W&B makes of it in a config.
    Null,
}

/// Appends `value` as JSON text.
pub(super) fn put_json<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    nan: Nan,
    value: &T,
) -> Result<(), ValueError> {
    value.serialize(Json { out, nan })
}

/// Serializes into `out`.
pub(super) struct Json<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) nan: Nan,
}

impl<'a> Json<'a> {
    fn open(self, bracket: u8, close: &'static [u8]) -> Compound<'a> {
        self.out.push(bracket);
        Compound { out: self.out, nan: self.nan, empty: true, raw: false, close }
    }

    /// Opens `{"variant":` and then the variant's own bracket.
    fn open_variant(self, name: &str, bracket: u8, close: &'static [u8]) -> Compound<'a> {
        self.out.push(b'{');
        put_str(self.out, name);
        self.out.push(b':');
        self.open(bracket, close)
    }
}

macro_rules! numbers {
    ($($method:ident: $type:ty => $put:ident;)*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), ValueError> {
            $put(self.out, value.into());
            Ok(())
        })*
    };
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    numbers! {
        serialize_i8: i8 => put_i64;
        serialize_i16: i16 => put_i64;
        serialize_i32: i32 => put_i64;
        serialize_i64: i64 => put_i64;
        serialize_u8: u8 => put_u64;
        serialize_u16: u16 => put_u64;
        serialize_u32: u32 => put_u64;
        serialize_u64: u64 => put_u64;
    }

    fn serialize_i128(self, value: i128) -> Result<(), ValueError> {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), ValueError> {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), ValueError> {
        if value.is_nan() && self.nan == Nan::Null {
            return self.serialize_unit();
        }
        put_f32(self.out, value);
        Ok(())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), ValueError> {
        if value.is_nan() && self.nan == Nan::Null {
            return self.serialize_unit();
        }
        put_f64(self.out, value);
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> Result<(), ValueError> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), ValueError> {
        put_str(self.out, value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), ValueError> {
        put_str(self.out, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), ValueError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ValueError> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), ValueError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), ValueError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        let mut object = self.open(b'{', b"}");
        object.field(variant, value)?;
        object.close()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, ValueError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, ValueError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, ValueError> {
        Ok(self.open(b'[', b"]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, ValueError> {
        Ok(self.open_variant(variant, b'[', b"]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, ValueError> {
        Ok(self.open(b'{', b"}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'a>, ValueError> {
        if is_raw(name) {
            return Ok(Compound {
                out: self.out,
                nan: self.nan,
                empty: true,
                raw: true,
                close: b"",
            });
        }
        Ok(self.open(b'{', b"}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, ValueError> {
        Ok(self.open_variant(variant, b'{', b"}}"))
    }
}

/// An array or object being written.
pub(super) struct Compound<'a> {
    out: &'a mut Vec<u8>,
    nan: Nan,
    empty: bool,
    /// What follows is JSON text from elsewhere.
    raw: bool,
    close: &'static [u8],
}

impl Compound<'_> {
    fn comma(&mut self) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.comma();
        put_json(self.out, self.nan, value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), ValueError> {
        if self.raw {
            return value.serialize(Key(|text: &str| self.out.extend_from_slice(text.as_bytes())));
        }
        self.comma();
        put_str(self.out, key);
        self.out.push(b':');
        put_json(self.out, self.nan, value)
    }

    fn close(self) -> Result<(), ValueError> {
        self.out.extend_from_slice(self.close);
        Ok(())
    }
}

macro_rules! compounds {
    ($($trait:ident, $method:ident($($key:ident: $type:ty)?) => $as:ident;)*) => {
        $(impl ser::$trait for Compound<'_> {
            type Ok = ();
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: $type,)?
                value: &T,
            ) -> Result<(), ValueError> {
                self.$as($($key,)? value)
            }

            fn end(self) -> Result<(), ValueError> {
                self.close()
            }
        })*
    };
}

compounds! {
    SerializeSeq, serialize_element() => element;
    SerializeTuple, serialize_element() => element;
    SerializeTupleStruct, serialize_field() => element;
    SerializeTupleVariant, serialize_field() => element;
    SerializeStruct, serialize_field(key: &'static str) => field;
    SerializeStructVariant, serialize_field(key: &'static str) => field;
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        self.comma();
        key.serialize(Key(|text: &str| put_str(self.out, text)))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.out.push(b':');
        put_json(self.out, self.nan, value)
    }

    fn end(self) -> Result<(), ValueError> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn json<T: Serialize>(nan: Nan, value: T) -> String {
        let mut out = Vec::new();
        put_json(&mut out, nan, &value).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[derive(Serialize)]
    enum Optimizer {
        Sgd,
        Adam { betas: (f32, f32) },
        Named(&'static str),
        Pair(u8, f64),
    }

    #[test]
    fn every_shape_of_serde_has_the_text_serde_json_gives_it() {
        let shapes = [
            Optimizer::Sgd,
            Optimizer::Adam { betas: (0.9, 0.999) },
            Optimizer::Named("a\"b"),
            Optimizer::Pair(1, 2.0),
        ];
        assert_eq!(json(Nan::Bare, &shapes), serde_json::to_string(&shapes).unwrap());
        let map = BTreeMap::from([(1, (None, Some('x'))), (2, (Some(()), None))]);
        assert_eq!(json(Nan::Bare, &map), serde_json::to_string(&map).unwrap());
    }

    #[test]
    fn numbers_keep_their_kind_and_every_digit() {
        let numbers = (1.0, 1, u64::MAX, i64::MIN, i128::MIN, u128::MAX, 0.1f32);
        assert_eq!(
            json(Nan::Bare, numbers),
            "[1.0,1,18446744073709551615,-9223372036854775808,\
             -170141183460469231731687303715884105728,340282366920938463463374607431768211455,0.1]"
        );
    }

    #[test]
    fn nan_is_bare_in_rows_and_null_in_configs() {
        let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(json(Nan::Bare, values), "[NaN,Infinity,-Infinity]");
        assert_eq!(json(Nan::Null, values), "[null,Infinity,-Infinity]");
    }
}
