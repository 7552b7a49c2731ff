//! Scalars, the hot path: bytes as protobuf would have them, without building a message.
//!
//! ```text
//! Event    1 wall_time (fixed64, absent if 0)  2 step (varint, absent if 0)  5 summary
//! Summary  1 value*
//! Value    1 tag  2 simple_value (fixed32)
//! ```
//!
//! A simple value needs no metadata: every reader takes it for a scalar, and would ignore any.

use crate::wire::{put_bytes, put_length, put_uint, put_varint, varint_len};

/// An event with numbers, whose length is known before it is written.
pub(super) struct Scalars<'a, T> {
    values: &'a [(T, f32)],
    summary_len: usize,
}

impl<'a, T: AsRef<str>> Scalars<'a, T> {
    #[inline]
    pub(super) fn new(values: &'a [(T, f32)]) -> Self {
        let values_len = values.iter().map(|(tag, _)| {
            let length = value_len(tag.as_ref());
            1 + varint_len(length as u64) + length
        });
        Self { values, summary_len: values_len.sum() }
    }

    /// How long the event is at most.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.summary_len + LONGEST_FRAME
    }

    /// Appends the event.
    #[inline]
    pub(super) fn put(&self, out: &mut Vec<u8>, wall_time: f64, step: i64) {
        if wall_time.to_bits() != 0 {
            out.push(WALL_TIME);
            out.extend_from_slice(&wall_time.to_le_bytes());
        }
        if step != 0 {
            put_uint(out, 2, step as u64);
        }
        put_length(out, 5, self.summary_len);
        for (tag, value) in self.values {
            let tag = tag.as_ref();
            put_length(out, 1, value_len(tag));
            if !tag.is_empty() {
                put_bytes(out, 1, tag.as_bytes());
            }
            put_varint(out, SIMPLE_VALUE);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

#[inline]
fn value_len(tag: &str) -> usize {
    let tag_len = if tag.is_empty() { 0 } else { 1 + varint_len(tag.len() as u64) + tag.len() };
    tag_len + 5
}

/// Key of field 1, eight bytes.
const WALL_TIME: u8 = 1 << 3 | 1;

/// Key of field 2, four bytes.
const SIMPLE_VALUE: u64 = 2 << 3 | 5;

/// Wall time, step, and the key and length of the summary.
const LONGEST_FRAME: usize = 9 + 11 + 11;
