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
pub(crate) use history::read_step;
pub use history::{HistoryItem, HistoryView, ItemValue, KeyPath};
pub use key::{join_key, split_key};
pub use kind::RecordKind;
pub use rule::KeyRule;

use crate::error::{Error, ErrorKind, Result};
use crate::framing::Span;
use crate::proto::descriptors::WANDB_INTERNAL_RECORD;
use crate::proto::is_message;
use crate::wire::{Fields, Malformed, WireValue};
use std::borrow::Cow;

/// The bytes of one record, and where they stand.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RawRecord<'a> {
    /// Where the record stands in its file.
    pub span: Span,
    /// The protobuf message, a `wandb_internal.Record`.
    pub payload: &'a [u8],
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
        Self { span, payload }
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
        match is_message(self.payload, &WANDB_INTERNAL_RECORD, 0) {
            true => Ok(()),
            false => Err(self.message_error("a field of it is malformed".to_owned())),
        }
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
fn body(payload: &[u8]) -> Result<Option<Body<'_>>, Malformed> {
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

const NUM: u32 = 1;
