//! The items of a row, and how long the row's line is when it is uploaded.
//!
//! The official client (0.31.0) sends each row, and the summary, as one line of JSON, and drops a line
//! of more than 10,383,360 bytes: 10 MiB less 100 KiB. It prints numbers anew, at worst `1e300` as
//! `1e+300`, a fifth longer. So no row is made that is over [`LINE_LEN`] as it is counted here.

use crate::json::put_str;
use crate::wire;

/// Bytes of the longest line.
pub(super) const LINE_LEN: usize = 8 << 20;

/// What an item takes beside its key and its text: punctuation there, tags and lengths here.
pub(super) const ITEM_OVERHEAD: usize = 24;

/// More than the items take that every row has.
pub(super) const RESERVED_LEN: usize = 512;

/// The longest text of a number.
pub(super) const LONGEST_NUMBER: usize = 32;

/// A history record in the making.
#[derive(Debug, Default)]
pub(super) struct Line {
    record: Vec<u8>,
    /// What the items take.
    length: usize,
}

impl Line {
    /// Starts anew, with room set aside for the items that every row has.
    pub(super) fn clear(&mut self) {
        self.record.clear();
        self.length = RESERVED_LEN;
    }

    /// Sets room aside for items of this size, if there is as much.
    #[inline]
    pub(super) const fn reserve(&mut self, length: usize) -> bool {
        let fits = length <= LINE_LEN - self.length;
        if fits {
            self.length += length;
        }
        fits
    }

    /// Adds an item. `path` is what [`item_path`] made.
    #[inline]
    pub(super) fn item(&mut self, path: &[u8], text: &[u8]) {
        let length = path.len() + wire::varint_len(text.len() as u64) + text.len();
        wire::put_length(&mut self.record, ITEM, length);
        self.record.extend_from_slice(path);
        wire::put_varint(&mut self.record, text.len() as u64);
        self.record.extend_from_slice(text);
    }

    /// The whole record, when the number of its step is added.
    pub(super) fn end(&mut self, step: i64) -> &[u8] {
        wire::put_length(&mut self.record, STEP, 1 + wire::varint_len(step as u64));
        wire::put_uint(&mut self.record, 1, step as u64);
        &self.record
    }
}

/// The fields of an item in front of its value's length.
pub(super) fn item_path(elements: &[&str]) -> Vec<u8> {
    let mut path = Vec::new();
    for element in elements {
        wire::put_bytes(&mut path, NESTED_KEY, element.as_bytes());
    }
    wire::put_varint(&mut path, VALUE_JSON << 3 | 2);
    path
}

/// Bytes of a string in a line.
pub(super) fn text_len(text: &str) -> usize {
    let mut json = Vec::new();
    put_str(&mut json, text);
    json.len()
}

const ITEM: u32 = 1;
const STEP: u32 = 2;
const NESTED_KEY: u32 = 2;
const VALUE_JSON: u64 = 16;

// What `item_path` makes of the reserved keys; a test says so.
pub(super) const STEP_PATH: &[u8] = b"\x12\x05_step\x82\x01";
pub(super) const TIMESTAMP_PATH: &[u8] = b"\x12\x0a_timestamp\x82\x01";
pub(super) const RUNTIME_PATH: &[u8] = b"\x12\x08_runtime\x82\x01";
pub(super) const GLOBAL_STEP_PATH: &[u8] = b"\x12\x0bglobal_step\x82\x01";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_reserved_keys_are_what_is_made_of_them() {
        assert_eq!(item_path(&["_step"]), STEP_PATH);
        assert_eq!(item_path(&["_timestamp"]), TIMESTAMP_PATH);
        assert_eq!(item_path(&["_runtime"]), RUNTIME_PATH);
        assert_eq!(item_path(&["global_step"]), GLOBAL_STEP_PATH);
    }
}
