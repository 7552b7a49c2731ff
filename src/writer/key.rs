//! Keys.

use super::entries::{ValueError, refuse_scalars};
use serde::Serialize;
use serde::ser::{Impossible, Serializer};

/// Hands the text of a key to a function. Integers and booleans become their text, as in JSON.
pub(super) struct Key<F>(pub(super) F);

impl<R, F: FnOnce(&str) -> R> Key<F> {
    #[cold]
    fn refuse(what: &str) -> ValueError {
        ValueError(format!("a key is a string, an integer or a boolean, not {what}"))
    }
}

macro_rules! integer_keys {
    ($($method:ident: $type:ty;)*) => {
        $(fn $method(self, value: $type) -> Result<R, ValueError> {
            Ok((self.0)(itoa::Buffer::new().format(value)))
        })*
    };
}

impl<R, F: FnOnce(&str) -> R> Serializer for Key<F> {
    type Ok = R;
    type Error = ValueError;
    type SerializeSeq = Impossible<R, ValueError>;
    type SerializeTuple = Impossible<R, ValueError>;
    type SerializeTupleStruct = Impossible<R, ValueError>;
    type SerializeTupleVariant = Impossible<R, ValueError>;
    type SerializeMap = Impossible<R, ValueError>;
    type SerializeStruct = Impossible<R, ValueError>;
    type SerializeStructVariant = Impossible<R, ValueError>;

    integer_keys! {
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
    }

    refuse_scalars! {
        serialize_f32: f32 = "a float";
        serialize_f64: f64 = "a float";
        serialize_bytes: &[u8] = "bytes";
        serialize_unit_struct: &'static str = "nothing";
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<R, ValueError> {
        Ok((self.0)(text))
    }

    fn serialize_char(self, value: char) -> Result<R, ValueError> {
        Ok((self.0)(value.encode_utf8(&mut [0; 4])))
    }

    fn serialize_bool(self, value: bool) -> Result<R, ValueError> {
        Ok((self.0)(if value { "true" } else { "false" }))
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<R, ValueError> {
        Ok((self.0)(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<R, ValueError> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<R, ValueError> {
        Err(Self::refuse("nothing"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<R, ValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<R, ValueError> {
        Err(Self::refuse("nothing"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<R, ValueError> {
        Err(Self::refuse("an enum that holds a value"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, ValueError> {
        Err(Self::refuse("a sequence"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, ValueError> {
        Err(Self::refuse("a tuple"))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, ValueError> {
        Err(Self::refuse("a tuple"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, ValueError> {
        Err(Self::refuse("an enum that holds a tuple"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, ValueError> {
        Err(Self::refuse("a map"))
    }

    fn serialize_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStruct, ValueError> {
        Err(Self::refuse("a struct"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, ValueError> {
        Err(Self::refuse("an enum that holds a value"))
    }
}
