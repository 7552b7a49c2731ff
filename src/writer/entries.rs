//! The outer shape of what is logged: whatever serde calls a set of (key, value) entries.
//!
//! A row, a config and a nested object all come in as structs, maps, or sequences of pairs. This
//! serializer reduces them to calls of [`Entries`], which decides what a value becomes.

use super::key::Key;
use super::pairs::Pairs;
use serde::Serialize;
use serde::ser::{self, Impossible, Serializer};
use std::fmt;

/// Takes entries, one after another.
pub(super) trait Entries {
    /// Whether entries can be begun within entries.
    const NEST: bool;

    /// Begins the entry `key`. `None` drops the entry; else [`Self::leave`] gets the mark back.
    fn enter(&mut self, key: &str) -> Option<usize>;

    /// The value of the entry just begun.
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError>;

    /// Ends the entry. Not called if its value failed, so that the path still names the culprit.
    fn leave(&mut self, mark: usize);

    /// The value of the entry just begun, as JSON text from elsewhere.
    fn raw(&mut self, text: &str) -> Result<(), ValueError>;

    /// A whole entry.
    #[inline]
    fn entry<K, T>(&mut self, key: &K, value: &T) -> Result<(), ValueError>
    where
        K: Serialize + ?Sized,
        T: Serialize + ?Sized,
    {
        let Some(mark) = key.serialize(Key(|text: &str| self.enter(text)))? else {
            return Ok(());
        };
        self.value(value)?;
        self.leave(mark);
        Ok(())
    }
}

/// A value that cannot be logged, and why.
#[derive(Debug)]
pub(super) struct ValueError(pub(super) String);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

impl ser::Error for ValueError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Answers the scalar methods of [`Serializer`] with `$self.refuse(what)`.
macro_rules! refuse_scalars {
    ($($method:ident: $type:ty = $what:literal;)*) => {
        $(fn $method(self, _: $type) -> Result<Self::Ok, Self::Error> {
            Err(Self::refuse($what))
        })*
    };
}

pub(super) use refuse_scalars;

/// Whether a struct of this name is serde_json's way to hand over JSON text: a number, if its feature
/// `arbitrary_precision` is on somewhere in the program, or a `RawValue`.
#[inline]
pub(super) const fn is_raw(name: &str) -> bool {
    matches!(name.as_bytes(), b"$serde_json::private::Number" | b"$serde_json::private::RawValue")
}

/// Serializes a top-level value into `S`.
pub(super) struct TopLevel<'a, S>(pub(super) &'a mut S);

impl<S> TopLevel<'_, S> {
    #[cold]
    fn refuse(what: &str) -> ValueError {
        ValueError(format!(
            "a struct, a map or a sequence of (key, value) pairs is wanted here, not {what}"
        ))
    }
}

impl<'a, S: Entries> Serializer for TopLevel<'a, S> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = Pairs<'a, S>;
    type SerializeTuple = Pairs<'a, S>;
    type SerializeTupleStruct = Pairs<'a, S>;
    type SerializeTupleVariant = Impossible<(), ValueError>;
    type SerializeMap = Map<'a, S>;
    type SerializeStruct = Map<'a, S>;
    type SerializeStructVariant = Map<'a, S>;

    refuse_scalars! {
        serialize_bool: bool = "a boolean";
        serialize_i8: i8 = "a number";
        serialize_i16: i16 = "a number";
        serialize_i32: i32 = "a number";
        serialize_i64: i64 = "a number";
        serialize_u8: u8 = "a number";
        serialize_u16: u16 = "a number";
        serialize_u32: u32 = "a number";
        serialize_u64: u64 = "a number";
        serialize_f32: f32 = "a number";
        serialize_f64: f64 = "a number";
        serialize_char: char = "a character";
        serialize_str: &str = "a string";
        serialize_bytes: &[u8] = "bytes";
    }

    fn serialize_none(self) -> Result<(), ValueError> {
        Err(Self::refuse("nothing"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        value.serialize(self)
    }

    /// The tuple of no pairs.
    fn serialize_unit(self) -> Result<(), ValueError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), ValueError> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), ValueError> {
        Err(Self::refuse("a string"))
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
        self.0.entry(variant, value)
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Pairs<'a, S>, ValueError> {
        Ok(Pairs(self.0))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Pairs<'a, S>, ValueError> {
        Ok(Pairs(self.0))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Pairs<'a, S>, ValueError> {
        Ok(Pairs(self.0))
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

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Map<'a, S>, ValueError> {
        Ok(Map::new(self.0))
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Map<'a, S>, ValueError> {
        if is_raw(name) {
            return Err(Self::refuse("raw JSON"));
        }
        Ok(Map::new(self.0))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map<'a, S>, ValueError> {
        if !S::NEST {
            return Err(Self::refuse("an enum that holds a struct"));
        }
        Ok(Map::within(self.0, variant))
    }
}

/// The entries of a map or struct.
pub(super) struct Map<'a, S> {
    entries: &'a mut S,
    /// The entry all of this map is under, for struct variants: `Some(None)` if that was dropped.
    outer: Option<Option<usize>>,
    /// The entry whose key has come and whose value has not.
    open: Option<usize>,
    /// This is no struct at all but serde_json's way to hand over text; see [`is_raw`].
    raw: bool,
}

impl<'a, S: Entries> Map<'a, S> {
    #[inline]
    pub(super) const fn new(entries: &'a mut S) -> Self {
        Self { entries, outer: None, open: None, raw: false }
    }

    pub(super) const fn named(entries: &'a mut S, name: &'static str) -> Self {
        Self { entries, outer: None, open: None, raw: is_raw(name) }
    }

    pub(super) fn within(entries: &'a mut S, key: &str) -> Self {
        let outer = Some(entries.enter(key));
        Self { entries, outer, open: None, raw: false }
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), ValueError> {
        if self.raw {
            return value.serialize(Key(|text: &str| self.entries.raw(text)))?;
        }
        if self.outer == Some(None) {
            return Ok(());
        }
        let Some(mark) = self.entries.enter(key) else { return Ok(()) };
        self.entries.value(value)?;
        self.entries.leave(mark);
        Ok(())
    }

    #[inline]
    fn close(self) {
        if let Some(Some(mark)) = self.outer {
            self.entries.leave(mark);
        }
    }
}

impl<S: Entries> ser::SerializeMap for Map<'_, S> {
    type Ok = ();
    type Error = ValueError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        self.open = key.serialize(Key(|text: &str| self.entries.enter(text)))?;
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let Some(mark) = self.open.take() else { return Ok(()) };
        self.entries.value(value)?;
        self.entries.leave(mark);
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), ValueError> {
        self.close();
        Ok(())
    }
}

impl<S: Entries> ser::SerializeStruct for Map<'_, S> {
    type Ok = ();
    type Error = ValueError;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.field(key, value)
    }

    #[inline]
    fn end(self) -> Result<(), ValueError> {
        self.close();
        Ok(())
    }
}

impl<S: Entries> ser::SerializeStructVariant for Map<'_, S> {
    type Ok = ();
    type Error = ValueError;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), ValueError> {
        self.close();
        Ok(())
    }
}
