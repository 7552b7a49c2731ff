//! Events.

use super::WALKED;
use super::value::{ValueView, join};
use crate::proto::{descriptors as types, is_message};
use crate::wire::{Field, Fields, Malformed, WireValue};
use std::borrow::Cow;
use std::str;

/// An `Event`: when, at which step, what.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventView<'a> {
    /// Seconds since 1970; may be anything a double can be.
    pub wall_time: f64,
    /// The step; may be negative.
    pub step: i64,
    /// What happened.
    pub what: What<'a>,
}

/// What happened: the member of the oneof that is set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum What<'a> {
    /// Nothing, or something this crate does not know.
    None,
    /// The first event of a file, and of a restart: `brain.Event:2`.
    FileVersion(&'a str),
    /// A serialized `GraphDef`.
    GraphDef(&'a [u8]),
    /// Values of one step.
    Summary(SummaryView<'a>),
    /// A `LogMessage`; deprecated.
    LogMessage(Cow<'a, [u8]>),
    /// A session starts, stops or is saved.
    SessionLog(SessionLogView<'a>),
    /// A `TaggedRunMetadata`.
    TaggedRunMetadata(Cow<'a, [u8]>),
    /// A serialized `MetaGraphDef`.
    MetaGraphDef(&'a [u8]),
}

impl<'a> EventView<'a> {
    /// Walks the bytes of an `Event` and all the messages inside, so that what the view delivers later
    /// is known to be sound.
    ///
    /// # Errors
    /// When prost would not decode the bytes: as in a tag that is not UTF-8, a field of a wrong type, or
    /// a message that is cut short.
    pub fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut event = Self { wall_time: 0.0, step: 0, what: What::None };
        let mut fields = Fields::new(message);
        loop {
            let at = fields.consumed();
            let Some(field) = fields.next() else { return Ok(event) };
            event.take(field?, fields.consumed()).ok_or(Malformed { at })?;
        }
    }

    #[inline]
    fn take(&mut self, Field { number, value }: Field<'a>, end: usize) -> Option<()> {
        match (number, value) {
            (1, WireValue::Fixed64(bits)) => self.wall_time = f64::from_bits(bits),
            (2, WireValue::Varint(step)) => self.step = step as i64,
            (5, WireValue::Bytes(bytes)) => {
                check_summary(bytes)?;
                let mut message = match std::mem::replace(&mut self.what, What::None) {
                    What::Summary(summary) => Some(summary.message),
                    _ => None,
                };
                join(&mut message, bytes);
                let start = end.checked_sub(bytes.len())?;
                self.what = What::Summary(SummaryView { message: message?, start });
            }
            (3..=10, WireValue::Bytes(bytes)) => self.take_other(number, bytes)?,
            (1..=10, _) => return None,
            _ => {}
        }
        Some(())
    }

    /// The rarer members. As in protobuf, the last one wins, and a message that comes twice in a row is
    /// one message in two parts.
    #[cold]
    fn take_other(&mut self, number: u32, bytes: &'a [u8]) -> Option<()> {
        let of = match number {
            6 => Some(&types::TENSORBOARD_LOG_MESSAGE),
            7 => Some(&types::TENSORBOARD_SESSION_LOG),
            8 => Some(&types::TENSORBOARD_TAGGED_RUN_METADATA),
            10 => Some(&types::TENSORBOARD_SOURCE_METADATA),
            _ => None,
        };
        if of.is_some_and(|of| !is_message(bytes, of, WALKED)) {
            return None;
        }
        if number == 10 {
            return Some(());
        }
        let mut message = match (number, std::mem::replace(&mut self.what, What::None)) {
            (6, What::LogMessage(first)) | (8, What::TaggedRunMetadata(first)) => Some(first),
            (7, What::SessionLog(first)) => Some(first.message),
            _ => None,
        };
        join(&mut message, bytes);
        self.what = match number {
            3 => What::FileVersion(str::from_utf8(bytes).ok()?),
            4 => What::GraphDef(bytes),
            6 => What::LogMessage(message?),
            7 => What::SessionLog(SessionLogView { message: message? }),
            8 => What::TaggedRunMetadata(message?),
            _ => What::MetaGraphDef(bytes),
        };
        Some(())
    }
}

#[inline]
fn check_summary(message: &[u8]) -> Option<()> {
    for field in Fields::new(message) {
        let Field { number, value } = field.ok()?;
        if number == 1 {
            ValueView::read::<true>(value.bytes()?)?;
        }
    }
    Some(())
}

/// A `Summary`: values of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct SummaryView<'a> {
    message: Cow<'a, [u8]>,
    /// Where the message, or its last part, begins in that of the event.
    start: usize,
}

impl SummaryView<'_> {
    /// The values, in file order. The same tag may come more than once.
    #[inline]
    pub fn values(&self) -> impl Iterator<Item = ValueView<'_>> {
        Fields::new(&self.message).map_while(Result::ok).filter_map(|field| {
            let message = field.value.bytes().filter(|_| field.number == 1)?;
            ValueView::read::<false>(message)
        })
    }

    /// The same values, each with the bytes of its message and where its field, key and length in front,
    /// begins in the message of the event; `None` if the summary stands there in several parts.
    pub fn located(&self) -> impl Iterator<Item = LocatedValue<'_>> {
        let start = matches!(self.message, Cow::Borrowed(_)).then_some(self.start);
        let mut fields = Fields::new(&self.message);
        std::iter::from_fn(move || {
            loop {
                let offset = start.map(|start| start + fields.consumed());
                let Field { number, value } = fields.next()?.ok()?;
                let Some(message) = value.bytes().filter(|_| number == 1) else { continue };
                let Some(view) = ValueView::read::<false>(message) else { continue };
                return Some(LocatedValue { view, message, offset });
            }
        })
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LocatedValue<'a> {
    /// The value.
    pub view: ValueView<'a>,
    /// Its bytes.
    pub message: &'a [u8],
    /// Where its field begins in the message of the event.
    pub offset: Option<usize>,
}

/// A `SessionLog`: what the training session did.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionLogView<'a> {
    message: Cow<'a, [u8]>,
}

impl SessionLogView<'_> {
    /// What it did.
    pub fn status(&self) -> SessionStatus {
        let statuses = Fields::new(&self.message).map_while(Result::ok).filter(|f| f.number == 1);
        match statuses.filter_map(|field| field.value.varint()).last().unwrap_or(0) as i32 {
            1 => SessionStatus::Start,
            2 => SessionStatus::Stop,
            3 => SessionStatus::Checkpoint,
            _ => SessionStatus::Unspecified,
        }
    }
}

/// What a training session did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatus {
    /// Not said, or by a number this crate does not know.
    Unspecified,
    /// It starts, perhaps again: what was logged for this step and later ones no longer counts.
    Start,
    /// It stops.
    Stop,
    /// It saved itself.
    Checkpoint,
}
