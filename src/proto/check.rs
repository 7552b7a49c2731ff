//! Whether prost would take some bytes for a message of a type, found out with the table of its fields
//! and without decoding anything.

use crate::cursor::Cursor;
use crate::proto::schema::{FieldType, Kind, MessageType, Shape};
use crate::wire::{Fields, WireValue, is_text};

/// Whether the bytes are a message of this type: fields of the table have its wire types, strings are
/// UTF-8, packed numbers fill their bytes, and messages inside are sound in turn. They may nest as deep as
/// prost allows, less the levels around these bytes that were `walked` before.
pub(crate) fn is_message(bytes: &[u8], of: &MessageType, walked: u32) -> bool {
    check(bytes, of, DEPTH.saturating_sub(walked))
}

fn check(bytes: &[u8], of: &MessageType, depth: u32) -> bool {
    Fields::new(bytes).all(|field| {
        let Ok(field) = field else { return false };
        match find(of, field.number) {
            Some(known) => check_field(field.value, known, depth),
            None => true,
        }
    })
}

/// The field of that number; mostly fields are numbered without holes.
fn find(of: &MessageType, number: u32) -> Option<&'static FieldType> {
    let guess = of.fields.get((number as usize).saturating_sub(1));
    guess.filter(|field| field.number == number).or_else(|| of.field(number))
}

fn check_field(value: WireValue<'_>, known: &FieldType, depth: u32) -> bool {
    match (known.shape, value) {
        (Shape::Many, WireValue::Bytes(bytes)) if known.kind.is_number() => {
            is_packed(bytes, known.kind)
        }
        _ => check_value(value, known.kind, depth),
    }
}

fn check_value(value: WireValue<'_>, kind: Kind, depth: u32) -> bool {
    match (kind, value) {
        (Kind::Float, WireValue::Fixed32(_)) | (Kind::Double, WireValue::Fixed64(_)) => true,
        (Kind::String, WireValue::Bytes(bytes)) => is_text(bytes),
        (Kind::Bytes, WireValue::Bytes(_)) => true,
        (Kind::Message(of), WireValue::Bytes(bytes)) => depth > 0 && check(bytes, of, depth - 1),
        (Kind::Float | Kind::Double | Kind::String | Kind::Bytes | Kind::Message(_), _) => false,
        (_, value) => value.varint().is_some(),
    }
}

fn is_packed(bytes: &[u8], kind: Kind) -> bool {
    match kind {
        Kind::Float => bytes.len().is_multiple_of(4),
        Kind::Double => bytes.len().is_multiple_of(8),
        _ => {
            let mut cursor = Cursor::new(bytes);
            while !cursor.is_empty() {
                if cursor.varint().is_none() {
                    return false;
                }
            }
            true
        }
    }
}

impl Kind {
    const fn is_number(self) -> bool {
        !matches!(self, Self::String | Self::Bytes | Self::Message(_))
    }
}

/// prost's recursion limit.
const DEPTH: u32 = 100;
