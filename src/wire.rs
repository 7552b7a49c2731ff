//! Protobuf wire format, walked without a schema and without copying.
//!
//! prost drops unknown fields and allocates for each value; whatever only looks at a message, or moves
//! it from one file to another, walks its fields here. The walk accepts exactly what prost accepts:
//! the same varint overflow rule, the same group nesting limit, the same range of field numbers.
//! Encoding: <https://protobuf.dev/programming-guides/encoding/>.

use crate::cursor::Cursor;

/// The fields of one message, in file order.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    cursor: Cursor<'a>,
    length: usize,
}

impl<'a> Fields<'a> {
    /// Walks `message`, the bytes of one protobuf message.
    #[inline]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(message), length: message.len() }
    }

    /// How many bytes of the message have been read.
    #[inline]
    pub const fn consumed(&self) -> usize {
        self.length - self.cursor.rest().len()
    }

    /// The bytes of the next field, if that has this key of one byte, which is one of bytes; a shorter way than to
    /// look at any field. If it has another, or is malformed, nothing is read.
    #[inline]
    pub(crate) fn next_bytes(&mut self, key: u8) -> Option<&'a [u8]> {
        let mut cursor = self.cursor;
        let bytes = if cursor.u8()? == key { cursor.prefixed()? } else { return None };
        self.cursor = cursor;
        Some(bytes)
    }

    #[inline]
    fn read(&mut self) -> Option<Field<'a>> {
        let mut cursor = self.cursor;
        let (number, wire_type) = key(&mut cursor)?;
        let value = match wire_type {
            0 => WireValue::Varint(cursor.varint()?),
            2 => WireValue::Bytes(cursor.prefixed()?),
            _ => rare_value(&mut cursor, number, wire_type)?,
        };
        self.cursor = cursor;
        Some(Field { number, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        match self.read() {
            Some(field) => Some(Ok(field)),
            None => {
                let at = self.consumed();
                self.cursor = Cursor::new(&[]);
                Some(Err(Malformed { at }))
            }
        }
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// The field number, 1 or more.
    pub number: u32,
    /// Its value as it stands on the wire.
    pub value: WireValue<'a>,
}

/// A value by wire type; what it means is the schema's business. Complete: protobuf has no others.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(clippy::exhaustive_enums, reason = "the wire types of protobuf are fixed")]
pub enum WireValue<'a> {
    /// Wire type 0: integers, booleans, enums.
    Varint(u64),
    /// Wire type 1: doubles and 64-bit fixed integers.
    Fixed64(u64),
    /// Wire type 2: strings, bytes, messages, packed numbers.
    Bytes(&'a [u8]),
    /// Wire types 3 and 4: the bytes between the two marks of a group (an extinct form).
    Group(&'a [u8]),
    /// Wire type 5: floats and 32-bit fixed integers.
    Fixed32(u32),
}

impl<'a> WireValue<'a> {
    /// The bytes of a string, bytes or message field.
    #[inline]
    pub const fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A varint.
    #[inline]
    pub const fn varint(self) -> Option<u64> {
        match self {
            Self::Varint(value) => Some(value),
            _ => None,
        }
    }
}

/// The bytes are not a protobuf message; `at` is the position of the first field that cannot be read,
/// relative to the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf field {at} bytes into the message")]
pub struct Malformed {
    /// Position relative to the start of the message.
    pub at: usize,
}

/// Appends a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the key and the length of a length-delimited field; its `length` bytes must follow.
#[inline]
pub fn put_length(out: &mut Vec<u8>, number: u32, length: usize) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, length as u64);
}

/// Appends a string, bytes or message field.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_length(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends an integer, boolean or enum field.
#[inline]
pub fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// How many bytes [`put_varint`] appends.
#[inline]
pub const fn varint_len(value: u64) -> usize {
    // 7 bits a byte; zero takes one byte too.
    (63 - (value | 1).leading_zeros() as usize) / 7 + 1
}

#[inline]
fn key(cursor: &mut Cursor<'_>) -> Option<(u32, u8)> {
    let key = u32::try_from(cursor.varint()?).ok()?;
    (key >> 3 != 0).then_some((key >> 3, (key & 7) as u8))
}

/// Reads a value of a wire type that hardly any field has.
#[inline(never)]
fn rare_value<'a>(cursor: &mut Cursor<'a>, number: u32, wire_type: u8) -> Option<WireValue<'a>> {
    Some(match wire_type {
        1 => WireValue::Fixed64(cursor.u64_le()?),
        3 => WireValue::Group(group(cursor, number, GROUP_DEPTH)?),
        5 => WireValue::Fixed32(cursor.u32_le()?),
        _ => return None,
    })
}

/// Whether the bytes are UTF-8, found out faster where they are short and ASCII, as keys and numbers are.
#[inline]
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    is_short_ascii(bytes) || std::str::from_utf8(bytes).is_ok()
}

/// Whether the bytes are ASCII, looked at in two pieces, which overlap; `false` of more than 32.
#[inline]
fn is_short_ascii(bytes: &[u8]) -> bool {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        let both = u128::from_le_bytes(*first) | u128::from_le_bytes(*last);
        return bytes.len() <= 32 && both & (u128::MAX / 255 * 128) == 0;
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        let both = u64::from_le_bytes(*first) | u64::from_le_bytes(*last);
        return both & (u64::MAX / 255 * 128) == 0;
    }
    bytes.iter().all(u8::is_ascii)
}

/// Reads to the end mark of group `number` and returns what lies between.
fn group<'a>(cursor: &mut Cursor<'a>, number: u32, depth: u32) -> Option<&'a [u8]> {
    let body = cursor.rest();
    let depth = depth.checked_sub(1)?;
    loop {
        let before = cursor.rest().len();
        let (inner, wire_type) = key(cursor)?;
        match wire_type {
            4 if inner == number => return body.get(..body.len() - before),
            0 => drop(cursor.varint()?),
            1 => drop(cursor.take(8)?),
            2 => {
                let length = usize::try_from(cursor.varint()?).ok()?;
                cursor.take(length)?;
            }
            3 => drop(group(cursor, inner, depth)?),
            5 => drop(cursor.take(4)?),
            _ => return None,
        }
    }
}

/// prost's recursion limit.
const GROUP_DEPTH: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_in_file_order() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x0d, 1, 0, 0, 0];
        let fields: Vec<_> = Fields::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0], Field { number: 1, value: WireValue::Varint(150) });
        assert_eq!(fields[1], Field { number: 2, value: WireValue::Bytes(b"hi") });
        assert_eq!(fields[2], Field { number: 1, value: WireValue::Fixed32(1) });
    }

    #[test]
    fn a_malformed_field_ends_the_walk_and_names_its_place() {
        let mut fields = Fields::new(&[0x08, 0x01, 0x12, 0x05, 1]);
        assert!(fields.next().unwrap().is_ok());
        assert_eq!(fields.next(), Some(Err(Malformed { at: 2 })));
        assert_eq!(fields.next(), None);
    }

    #[test]
    fn groups_are_passed_over_whole_and_nest_only_so_deep() {
        let bytes = [0x0b, 0x10, 0x01, 0x0c, 0x18, 0x07];
        let fields: Vec<_> = Fields::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields[0].value, WireValue::Group(&[0x10, 0x01]));
        assert_eq!(fields[1], Field { number: 3, value: WireValue::Varint(7) });
        assert!(Fields::new(&[0x0b; 5000]).next().unwrap().is_err());
        assert!(Fields::new(&[0x0c]).next().unwrap().is_err(), "an end without a start");
    }

    #[test]
    fn text_is_what_the_standard_library_takes_for_it() {
        for length in 0..40 {
            let mut bytes = vec![b'a'; length];
            assert!(is_text(&bytes));
            for at in 0..length {
                bytes[at] = 0xc3;
                assert_eq!(
                    is_text(&bytes),
                    std::str::from_utf8(&bytes).is_ok(),
                    "{at} of {length}"
                );
                if let Some(next) = bytes.get_mut(at + 1) {
                    *next = 0xa4;
                    assert!(is_text(&bytes), "{at} of {length}");
                    bytes[at + 1] = b'a';
                }
                bytes[at] = b'a';
            }
        }
    }

    #[test]
    fn varint_lengths_are_exact() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1u64 << shift) - 1] {
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(varint_len(value), out.len(), "{value}");
            }
        }
    }
}
