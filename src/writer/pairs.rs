//! Sequences of (key, value) pairs.

use super::entries::{Entries, ValueError, refuse_scalars};
use super::key::Key;
use serde::Serialize;
use serde::ser::{self, Impossible, Serializer};

/// The elements of a sequence, each of which is a (key, value) pair.
pub(super) struct Pairs<'a, S>(pub(super) &'a mut S);

macro_rules! pairs {
    ($trait:ident, $method:ident) => {
        impl<S: Entries> ser::$trait for Pairs<'_, S> {
            type Ok = ();
            type Error = ValueError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), ValueError> {
                element.serialize(Pair(self.0))
            }

            #[inline]
            fn end(self) -> Result<(), ValueError> {
                Ok(())
            }
        }
    };
}

pairs!(SerializeSeq, serialize_element);
pairs!(SerializeTuple, serialize_element);
pairs!(SerializeTupleStruct, serialize_field);

/// One element of a sequence of pairs.
struct Pair<'a, S>(&'a mut S);

impl<S> Pair<'_, S> {
    #[cold]
    fn refuse(what: &str) -> ValueError {
        ValueError(format!(
            "a sequence must hold (key, value) pairs here, not {what}; a single pair is logged as \
             [(key, value)]"
        ))
    }
}

impl<'a, S: Entries> Serializer for Pair<'a, S> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = PairParts<'a, S>;
    type SerializeTuple = PairParts<'a, S>;
    type SerializeTupleStruct = PairParts<'a, S>;
    type SerializeTupleVariant = Impossible<(), ValueError>;
    type SerializeMap = Impossible<(), ValueError>;
    type SerializeStruct = Impossible<(), ValueError>;
    type SerializeStructVariant = Impossible<(), ValueError>;

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
        serialize_unit_struct: &'static str = "nothing";
    }

    fn serialize_none(self) -> Result<(), ValueError> {
        Err(Self::refuse("nothing"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ValueError> {
        Err(Self::refuse("nothing"))
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
        _: &'static str,
        _: &T,
    ) -> Result<(), ValueError> {
        Err(Self::refuse("an enum"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<PairParts<'a, S>, ValueError> {
        Ok(PairParts::new(self.0))
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<PairParts<'a, S>, ValueError> {
        Ok(PairParts::new(self.0))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<PairParts<'a, S>, ValueError> {
        Ok(PairParts::new(self.0))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, ValueError> {
        Err(Self::refuse("an enum"))
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
        Err(Self::refuse("an enum"))
    }
}

/// The two halves of a pair.
struct PairParts<'a, S> {
    entries: &'a mut S,
    parts: usize,
    mark: Option<usize>,
}

impl<'a, S: Entries> PairParts<'a, S> {
    #[inline]
    const fn new(entries: &'a mut S) -> Self {
        Self { entries, parts: 0, mark: None }
    }

    #[inline]
    fn part<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), ValueError> {
        self.parts += 1;
        match self.parts {
            1 => self.mark = part.serialize(Key(|text: &str| self.entries.enter(text)))?,
            2 => {
                if let Some(mark) = self.mark {
                    self.entries.value(part)?;
                    self.entries.leave(mark);
                }
            }
            _ => return Err(Pair::<S>::refuse("more than two things")),
        }
        Ok(())
    }

    #[inline]
    fn close(self) -> Result<(), ValueError> {
        if self.parts < 2 { Err(Pair::<S>::refuse("fewer than two things")) } else { Ok(()) }
    }
}

macro_rules! pair_parts {
    ($trait:ident, $method:ident) => {
        impl<S: Entries> ser::$trait for PairParts<'_, S> {
            type Ok = ();
            type Error = ValueError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, part: &T) -> Result<(), ValueError> {
                self.part(part)
            }

            #[inline]
            fn end(self) -> Result<(), ValueError> {
                self.close()
            }
        }
    };
}

pair_parts!(SerializeSeq, serialize_element);
pair_parts!(SerializeTuple, serialize_element);
pair_parts!(SerializeTupleStruct, serialize_field);
