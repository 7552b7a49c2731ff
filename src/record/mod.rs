//! The records of a `.wandb` log as borrowed views over their bytes.
//!
//! Each record is one protobuf message `wandb_internal.Record`: a number, one of some twenty kinds of
//! body, and bookkeeping. Field numbers are those of wandb 0.31.0; none has ever been reused.

mod filter;
mod history;
mod key;
mod kind;
pub mod render;
mod rule;

pub use filter::KeyFilter;
pub use history::{HistoryItem, HistoryView, ItemValue, KeyPath};
pub(crate) use history::{ITEM_KEY, KEY, NESTED_KEY, VALUE_JSON, read_step};
pub use key::{join_key, split_key};
pub use kind::RecordKind;
pub use rule::KeyRule;

use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::framing::Span;
use crate::proto::descriptors::WANDB_INTERNAL_RECORD;
use crate::proto::is_message;
use crate::wire::{Field, Fields, Malformed, WireValue};
use std::borrow::Cow;

/// The bytes of one record, and where they stand.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RawRecord<'a> {
    /// Where the record stands in its file.
    pub span: Span,
    /// The protobuf message, a `wandb_internal.Record`.
    pub payload: &'a [u8],
    /// The chunk that holds all of it and nothing else, if there is one and its checksum was found right.
    pub(crate) chunk: Option<&'a [u8]>,
}

/// The body of a record: the message its kind names.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body<'a> {
    /// What the message is.
    pub kind: RecordKind,
    /// The message. Owned only in the odd record whose body comes in several parts, which protobuf
    /// defines to be one message.
    pub message: Cow<'a, [u8]>,
}

impl<'a> RawRecord<'a> {
    /// A record with these bytes at this place.
    pub const fn new(span: Span, payload: &'a [u8]) -> Self {
        Self { span, payload, chunk: None }
    }

    /// The kind of record; `None` if it has no body this crate knows of, which readers skip.
    ///
    /// # Errors
    /// When the bytes are not a protobuf message.
    pub fn kind(&self) -> Result<Option<RecordKind>> {
        Ok(self.body()?.map(|body| body.kind))
    }

    /// The record's number, counted from 1 in each file; 0 before wandb 0.13.8.
    ///
    /// # Errors
    /// When the bytes are not a protobuf message.
    pub fn num(&self) -> Result<i64> {
        let mut num = 0;
        for field in Fields::new(self.payload) {
            let field = field.map_err(|error| self.malformed(error))?;
            if let (NUM, Some(value)) = (field.number, field.value.varint()) {
                num = value as i64;
            }
        }
        Ok(num)
    }

    /// The record's body; `None` if it has none this crate knows of, which readers skip.
    ///
    /// # Errors
    /// When the bytes are not a protobuf message.
    pub fn body(&self) -> Result<Option<Body<'a>>> {
        body(self.payload).map_err(|error| self.malformed(error))
    }

    /// Whether prost would decode the record whole, which takes more time and memory than finding out.
    ///
    /// # Errors
    /// When the bytes are not a `wandb_internal.Record`.
    pub fn check(&self) -> Result<()> {
        let is_sound = match self.as_row() {
            Some((_, row)) => row.check().is_ok(),
            None => is_message(self.payload, &WANDB_INTERNAL_RECORD, 0),
        };
        match is_sound {
            true => Ok(()),
            false => Err(self.message_error("a field of it is malformed".to_owned())),
        }
    }

    /// The same, but if it is a row as clients write nearly all, that is left to whoever reads it.
    pub(crate) fn check_around_row(&self) -> Result<()> {
        if self.as_row().is_some() { Ok(()) } else { self.check() }
    }

    /// The number and the row, if the record is a row as clients write nearly all: its number, its body, and
    /// behind them at most fields of which prost would decode each and that are neither. The row itself is
    /// not looked at.
    #[inline]
    pub(crate) fn as_row(&self) -> Option<(i64, HistoryView<'a>)> {
        let (num, row, rest) = split_row(self.payload)?;
        (rest.is_empty() || is_bookkeeping(rest)).then_some((num, HistoryView::new(row)))
    }

    /// The record decoded whole with prost. Fields this crate does not know are dropped: to move a
    /// record to another file, move [`Self::payload`].
    ///
    /// # Errors
    /// When the bytes are not a `wandb_internal.Record`.
    pub fn decode(&self) -> Result<crate::proto::wandb_internal::Record> {
        prost::Message::decode(self.payload)
            .map_err(|error: prost::DecodeError| self.message_error(error.to_string()))
    }

    /// Appends the record as one line of JSON, see [`render::record_json`].
    ///
    /// # Errors
    /// When the bytes are not a protobuf message; `out` is then as it was.
    pub fn append_json(&self, out: &mut String) -> Result<()> {
        render::record_json(self.payload, out).map_err(|error| self.malformed(error))
    }

    pub(crate) fn malformed(&self, error: Malformed) -> Error {
        self.message_error(error.to_string())
    }

    pub(crate) fn message_error(&self, reason: String) -> Error {
        Error::new(ErrorKind::Message { offset: self.span.offset, reason })
    }
}

/// Finds the body of a record. As in protobuf, the last member of the oneof wins, and a member that
/// comes twice in a row is one message in two parts.
#[inline]
fn body(payload: &[u8]) -> Result<Option<Body<'_>>, Malformed> {
    match split_row(payload) {
        Some((_, row, [])) => {
            Ok(Some(Body { kind: RecordKind::History, message: Cow::Borrowed(row) }))
        }
        _ => any_body(payload),
    }
}

fn any_body(payload: &[u8]) -> Result<Option<Body<'_>>, Malformed> {
    let mut found: Option<Body<'_>> = None;
    for field in Fields::new(payload) {
        let field = field?;
        let Some(kind) = RecordKind::from_field(field.number) else { continue };
        let WireValue::Bytes(bytes) = field.value else { continue };
        match &mut found {
            Some(body) if body.kind == kind => body.message.to_mut().extend_from_slice(bytes),
            _ => found = Some(Body { kind, message: Cow::Borrowed(bytes) }),
        }
    }
    Ok(found)
}

/// The number, the row, and what stands behind it, in a record that begins with a number and a row.
#[inline]
fn split_row(payload: &[u8]) -> Option<(i64, &[u8], &[u8])> {
    let mut cursor = Cursor::new(payload);
    let num = match cursor.u8()? {
        NUM_KEY => cursor.varint()? as i64,
        _ => return None,
    };
    let row = match cursor.u8()? {
        HISTORY_KEY => cursor.prefixed()?,
        _ => return None,
    };
    Some((num, row, cursor.rest()))
}

/// Whether these are fields of a sound record that are neither its number nor its body.
fn is_bookkeeping(fields: &[u8]) -> bool {
    let is_other = |field: Result<Field<'_>, Malformed>| {
        field.is_ok_and(|Field { number, .. }| {
            number != NUM && RecordKind::from_field(number).is_none()
        })
    };
    Fields::new(fields).all(is_other) && is_message(fields, &WANDB_INTERNAL_RECORD, 0)
}

const NUM: u32 = 1;

/// The keys on the wire of a record's number and of the body of a row.
const NUM_KEY: u8 = 0x08;
const HISTORY_KEY: u8 = 0x12;
