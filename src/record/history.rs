//! The hot path: a history row as a view over its bytes.
//!
//! A row is nine tenths of all records, and prost spends most of its time allocating the keys. This view
//! walks the bytes instead. It accepts and rejects exactly what prost's `HistoryRecord` does, and
//! gives the same values; a test and a fuzz target hold the two together.
//!
//! ```text
//! HistoryRecord  1 item*  2 step { 1 num }  200 _info { 1 stream_id  100 _tracelog_id }
//! HistoryItem    1 key  2 nested_key*  16 value_json
//!                3 none | 4 boolean | 5 integer (zigzag) | 6 number | 7 text | 8 json   (since 0.31.0)
//! ```

use crate::cursor::Cursor;
use crate::json::{put_f64, put_i64, put_str};
use crate::wire::{Field, Fields, Malformed, WireValue, is_text};
use std::str;

/// A `HistoryRecord`, decoded as it is walked.
#[derive(Clone, Copy, Debug)]
pub struct HistoryView<'a> {
    message: &'a [u8],
}

impl<'a> HistoryView<'a> {
    /// A view over the bytes of a `HistoryRecord`, the body of a history record.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { message }
    }

    /// The row's items, in file order, which carries no meaning.
    #[inline]
    pub fn items(&self) -> impl Iterator<Item = Result<HistoryItem<'a>, Malformed>> + use<'a> {
        let mut fields = Fields::new(self.message);
        std::iter::from_fn(move || {
            loop {
                let at = fields.consumed();
                let item = match fields.next_bytes(ITEM_KEY) {
                    Some(item) => Some(item),
                    None => match fields.next()? {
                        Ok(Field { number: ITEM, value }) => value.bytes(),
                        Ok(_) => continue,
                        Err(error) => return Some(Err(error)),
                    },
                };
                return Some(item.and_then(HistoryItem::read).ok_or(Malformed { at }));
            }
        })
    }

    /// The row's step as its record states it: the `step` field, where a present but empty one means 0,
    /// else an item `_step`. `None` if it has neither; rows are then counted.
    ///
    /// # Errors
    /// When the bytes are not a `HistoryRecord`.
    pub fn step(&self) -> Result<Option<i64>, Malformed> {
        match self.step_field()? {
            Some(step) => Ok(Some(step)),
            None => self.step_item(),
        }
    }

    /// The `step` field alone.
    ///
    /// # Errors
    /// When the bytes are not a `HistoryRecord`.
    #[inline]
    pub fn step_field(&self) -> Result<Option<i64>, Malformed> {
        let mut step = None;
        let mut fields = Fields::new(self.message);
        loop {
            while fields.next_bytes(ITEM_KEY).is_some() {}
            let at = fields.consumed();
            match fields.next() {
                None => return Ok(step),
                Some(Err(error)) => return Err(error),
                Some(Ok(Field { number: STEP, value })) => {
                    let message = value.bytes().ok_or(Malformed { at })?;
                    let num = read_step(message).ok_or(Malformed { at })?;
                    step = Some(num.or(step).unwrap_or(0));
                }
                Some(Ok(_)) => {}
            }
        }
    }

    fn step_item(&self) -> Result<Option<i64>, Malformed> {
        let mut step = None;
        for item in self.items() {
            let item = item?;
            if item.path.single() == Some("_step") {
                step = item.value.as_integer();
            }
        }
        Ok(step)
    }

    /// Whether prost would decode these bytes: every item, the step and the bookkeeping are well formed.
    ///
    /// # Errors
    /// When it would not.
    pub fn check(&self) -> Result<(), Malformed> {
        self.checked_step().map(drop)
    }

    /// [`Self::check`] and [`Self::step`] in one walk.
    ///
    /// # Errors
    /// When prost would not decode the bytes.
    pub(crate) fn checked_step(&self) -> Result<Option<i64>, Malformed> {
        let (mut step, mut item_step) = (None, None);
        let mut check = |item| {
            let is_step = check_item(item)?;
            if is_step {
                item_step = Some(item);
            }
            Some(())
        };
        let mut fields = Fields::new(self.message);
        loop {
            let at = fields.consumed();
            if let Some(item) = fields.next_bytes(ITEM_KEY) {
                check(item).ok_or(Malformed { at })?;
                continue;
            }
            let Some(field) = fields.next() else { break };
            let Field { number, value } = field?;
            let sound = match number {
                ITEM => value.bytes().and_then(&mut check),
                STEP => value
                    .bytes()
                    .and_then(read_step)
                    .map(|num| step = Some(num.or(step).unwrap_or(0))),
                INFO => value.bytes().filter(|info| is_info(info)).map(drop),
                _ => Some(()),
            };
            sound.ok_or(Malformed { at })?;
        }
        Ok(step.or_else(|| HistoryItem::read(item_step?)?.value.as_integer()))
    }
}

/// One value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HistoryItem<'a> {
    /// Its key.
    pub path: KeyPath<'a>,
    /// Its value.
    pub value: ItemValue<'a>,
}

impl<'a> HistoryItem<'a> {
    /// Decodes a `HistoryItem`, or a `SummaryItem`, `ConfigItem` or `StatsItem`, whose fields have the
    /// same numbers.
    #[inline]
    pub(crate) fn read(message: &'a [u8]) -> Option<Self> {
        match Self::read_plain(message) {
            Some(item) => Some(item),
            None => Self::read_fields(message, true),
        }
    }

    /// Reads an item as clients write nearly all. `None` if it is any other, or not sound.
    #[inline(always)]
    fn read_plain(message: &'a [u8]) -> Option<Self> {
        let (nested, key, json) = plain(message)?;
        let path = KeyPath { item: message, nested, first: text(key)? };
        Some(Self { path, value: ItemValue::Json(text(json)?) })
    }

    /// Reads a `SummaryItem` or `ConfigItem`, which are history items without typed values: what stands
    /// at those numbers is unknown, and no reason to refuse the item.
    pub(crate) fn read_untyped(message: &'a [u8]) -> Option<Self> {
        Self::read_fields(message, false)
    }

    #[inline(never)]
    fn read_fields(message: &'a [u8], typed_values: bool) -> Option<Self> {
        let mut path = KeyPath { item: message, nested: 0, first: "" };
        let (mut key, mut value_json, mut typed) = ("", "", None);
        for field in Fields::new(message) {
            let Field { number, value } = field.ok()?;
            match (number, value) {
                (1, WireValue::Bytes(bytes)) => key = text(bytes)?,
                (2, WireValue::Bytes(bytes)) => {
                    let element = text(bytes)?;
                    if path.nested == 0 {
                        path.first = element;
                    }
                    path.nested += 1;
                }
                (16, WireValue::Bytes(bytes)) => value_json = text(bytes)?,
                (3..=8, _) if !typed_values => {}
                (3, WireValue::Varint(_)) => typed = Some(ItemValue::Null),
                (4, WireValue::Varint(value)) => typed = Some(ItemValue::Bool(value != 0)),
                (5, WireValue::Varint(value)) => typed = Some(ItemValue::Integer(unzigzag(value))),
                (6, WireValue::Fixed64(bits)) => {
                    typed = Some(ItemValue::Number(f64::from_bits(bits)));
                }
                (7, WireValue::Bytes(bytes)) => typed = Some(ItemValue::Text(text(bytes)?)),
                (8, WireValue::Bytes(bytes)) => typed = Some(ItemValue::Json(text(bytes)?)),
                (1..=8 | 16, _) => return None,
                _ => {}
            }
        }
        if path.nested == 0 {
            path.first = key;
        }
        let value = match typed {
            Some(value) => value,
            None if value_json.is_empty() => ItemValue::Missing,
            None => ItemValue::Json(value_json),
        };
        Some(Self { path, value })
    }
}

/// A key: one element in files of the Python client (0.17 and older), the path of a leaf in later ones.
///
/// Elements are raw: `["a.b"]` and `["a", "b"]` are different keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyPath<'a> {
    item: &'a [u8],
    nested: usize,
    first: &'a str,
}

impl<'a> KeyPath<'a> {
    /// The key, if it has just one element.
    #[inline]
    pub const fn single(&self) -> Option<&'a str> {
        if self.nested <= 1 { Some(self.first) } else { None }
    }

    /// The elements; at least one.
    pub fn elements(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let nested = match self.nested {
            0 | 1 => &[],
            _ => self.item,
        };
        let all = Fields::new(nested).filter_map(|field| match field {
            Ok(Field { number: 2, value: WireValue::Bytes(bytes) }) => str::from_utf8(bytes).ok(),
            _ => None,
        });
        self.single().into_iter().chain(all)
    }
}

impl PartialEq for KeyPath<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.elements().eq(other.elements())
    }
}

/// The value of an item. The typed fields of 0.31.0 win over `value_json`, for they keep 1.0 a float.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ItemValue<'a> {
    /// No value at all.
    Missing,
    /// A typed null.
    Null,
    /// A typed boolean.
    Bool(bool),
    /// A typed integer.
    Integer(i64),
    /// A typed number.
    Number(f64),
    /// A typed string.
    Text(&'a str),
    /// W&B's JSON, see [`crate::json`].
    Json(&'a str),
}

impl ItemValue<'_> {
    /// The value as an integer, if it is one, also when written as a number without a fraction.
    pub fn as_integer(&self) -> Option<i64> {
        match *self {
            Self::Integer(value) => Some(value),
            Self::Number(value) if value.fract() == 0.0 && value.abs() < 2f64.powi(63) => {
                Some(value as i64)
            }
            Self::Json(text) => match text.parse() {
                Ok(value) => Some(value),
                Err(_) => text.parse().ok().and_then(|value| Self::Number(value).as_integer()),
            },
            _ => None,
        }
    }

    /// Appends the value as W&B's JSON; nothing if it is missing.
    pub(crate) fn put_json(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Missing => {}
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Integer(value) => put_i64(out, value),
            Self::Number(value) => put_f64(out, value),
            Self::Text(text) => put_str(out, text),
            Self::Json(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

/// Takes an item apart that is as clients write nearly all: a key of one element and a `value_json`, in this
/// order and nothing else. How many elements of it are nested, the key, and the value.
#[inline]
fn plain(message: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let mut cursor = Cursor::new(message);
    let nested = match cursor.u8()? {
        KEY => 0,
        NESTED_KEY => 1,
        _ => return None,
    };
    let key = cursor.prefixed()?;
    if cursor.take_array()? != VALUE_JSON {
        return None;
    }
    let json = cursor.prefixed()?;
    (cursor.is_empty() && !json.is_empty()).then_some((nested, key, json))
}

/// Whether an item is that of the step; `None` if it is malformed.
#[inline]
fn check_item(message: &[u8]) -> Option<bool> {
    match plain(message) {
        Some((_, key, json)) => (is_text(key) && is_text(json)).then_some(key == b"_step"),
        None => Some(HistoryItem::read(message)?.path.single() == Some("_step")),
    }
}

/// The `num` of a `HistoryStep`, `None` within if it is not there.
pub(crate) fn read_step(message: &[u8]) -> Option<Option<i64>> {
    let mut num = None;
    for field in Fields::new(message) {
        let Field { number, value } = field.ok()?;
        if number == 1 {
            num = Some(value.varint()? as i64);
        }
    }
    Some(num)
}

/// Whether the bytes are a `_RecordInfo`: a message whose fields 1 and 100 are strings.
fn is_info(message: &[u8]) -> bool {
    Fields::new(message).all(|field| match field {
        Ok(Field { number: 1 | 100, value }) => value.bytes().and_then(text).is_some(),
        Ok(_) => true,
        Err(_) => false,
    })
}

#[inline]
fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

const ITEM: u32 = 1;
const STEP: u32 = 2;
const INFO: u32 = 200;

/// The key on the wire of an item, as it is mostly written.
pub(crate) const ITEM_KEY: u8 = 0x0a;

/// The keys on the wire of the fields of an item that have bytes, as they are mostly written.
pub(crate) const KEY: u8 = 0x0a;
pub(crate) const NESTED_KEY: u8 = 0x12;
pub(crate) const VALUE_JSON: [u8; 2] = [0x82, 0x01];
