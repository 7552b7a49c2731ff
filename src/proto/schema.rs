//! The types of the field tables in `descriptors.rs`.
//!
//! prost compiles a schema into code that decodes; to show the bytes of a message, unknown fields and
//! all, it is easier to walk them with a table of the fields at hand.

use self::Shape::{Many, Map, One, OneOf};

/// A message type: its fields, in order of number.
#[derive(Debug)]
pub(crate) struct MessageType {
    /// With the package.
    pub name: &'static str,
    pub fields: &'static [FieldType],
}

impl MessageType {
    /// The field of that number.
    pub(crate) fn field(&self, number: u32) -> Option<&'static FieldType> {
        let index = self.fields.binary_search_by_key(&number, |field| field.number).ok()?;
        self.fields.get(index)
    }
}

/// A field of a message type.
#[derive(Debug)]
pub(crate) struct FieldType {
    pub number: u32,
    pub name: &'static str,
    pub kind: Kind,
    pub shape: Shape,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    /// One, and at most one among the members of the oneof. No message here has two oneofs.
    OneOf,
    Many,
    /// Many entries: messages of a key (field 1, a string) and a value (field 2).
    Map,
}

/// The type of one value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    /// Zigzag.
    Sint64,
    Float,
    Double,
    String,
    Bytes,
    Enum(&'static EnumType),
    Message(&'static MessageType),
}

/// An enum type: numbers and names, in order of number.
#[derive(Debug)]
pub(crate) struct EnumType {
    /// With the package and the message around it.
    pub name: &'static str,
    pub values: &'static [(i32, &'static str)],
}

impl EnumType {
    /// The name of that value.
    pub(crate) fn value(&self, number: i32) -> Option<&'static str> {
        let index = self.values.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.values.get(index).map(|(_, name)| *name)
    }
}

// For the tables: a field to a line.

pub(super) const fn one(number: u32, name: &'static str, kind: Kind) -> FieldType {
    FieldType { number, name, kind, shape: One }
}

pub(super) const fn member(number: u32, name: &'static str, kind: Kind) -> FieldType {
    FieldType { number, name, kind, shape: OneOf }
}

pub(super) const fn many(number: u32, name: &'static str, kind: Kind) -> FieldType {
    FieldType { number, name, kind, shape: Many }
}

pub(super) const fn map(number: u32, name: &'static str, kind: Kind) -> FieldType {
    FieldType { number, name, kind, shape: Map }
}
