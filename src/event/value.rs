//! The values of a summary.

use super::WALKED;
use super::scalar::{NotScalar, ScalarValue};
use super::tensor::TensorView;
use crate::proto::schema::MessageType;
use crate::proto::{descriptors as types, is_message};
use crate::wire::{Field, Fields, Malformed, WireValue};
use std::borrow::Cow;
use std::str;

/// One value: a tag, and what was logged under it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValueView<'a> {
    /// The tag; may be empty.
    pub tag: &'a str,
    /// Obsolete; some readers take it for the tag of a tensor that has none.
    pub node_name: &'a str,
    /// Whose series it is. Writers may leave it out after the first value of a tag.
    pub metadata: Option<MetadataView<'a>>,
    /// The value.
    pub kind: ValueKind<'a>,
}

/// What was logged: the member of the oneof that is set. Messages are the undecoded bytes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ValueKind<'a> {
    /// Nothing but metadata, as torch and tensorboardX write hparams.
    None,
    /// A number of the older form.
    Simple(f32),
    /// A histogram of a form that no reader shows any more.
    OldHistogram(&'a [u8]),
    /// A `Summary.Image`.
    Image(Cow<'a, [u8]>),
    /// A `HistogramProto`.
    Histogram(Cow<'a, [u8]>),
    /// A `Summary.Audio`.
    Audio(Cow<'a, [u8]>),
    /// A `TensorProto`: whatever TensorFlow 2 logs.
    Tensor(TensorView<'a>),
}

impl<'a> ValueView<'a> {
    /// The number, if the value is one: a simple value, or a tensor of one element.
    ///
    /// # Errors
    /// Why it is none.
    #[inline]
    pub fn scalar(&self) -> Result<ScalarValue, NotScalar> {
        match &self.kind {
            ValueKind::Simple(value) => Ok(ScalarValue::F32(*value)),
            ValueKind::Tensor(tensor) => tensor.scalar(),
            _ => Err(NotScalar::Kind),
        }
    }

    /// A view over the bytes of a `Summary.Value`, walked whole as by [`EventView`](super::EventView).
    ///
    /// # Errors
    /// When they are not one.
    pub fn from_message(message: &'a [u8]) -> Result<Self, Malformed> {
        Self::read::<true>(message).ok_or(Malformed { at: 0 })
    }

    /// Walks the bytes of a `Summary.Value`; `None` if they are not one. With `CHECK`, everything inside
    /// is checked too.
    #[inline]
    pub(super) fn read<const CHECK: bool>(message: &'a [u8]) -> Option<Self> {
        let (mut tag, mut node_name) = ("", "");
        let mut metadata: Option<Cow<'a, [u8]>> = None;
        let mut kind = ValueKind::None;
        for field in Fields::new(message) {
            let Field { number, value } = field.ok()?;
            match (number, value) {
                (TAG, WireValue::Bytes(bytes)) => tag = str::from_utf8(bytes).ok()?,
                (2, WireValue::Fixed32(bits)) => kind = ValueKind::Simple(f32::from_bits(bits)),
                (METADATA, WireValue::Bytes(bytes)) => {
                    if CHECK && !is_message(bytes, &types::TENSORBOARD_SUMMARY_METADATA, WALKED) {
                        return None;
                    }
                    join(&mut metadata, bytes);
                }
                (NODE_NAME, WireValue::Bytes(bytes)) => node_name = str::from_utf8(bytes).ok()?,
                (3..=6 | 8, WireValue::Bytes(bytes)) => {
                    if CHECK && !Self::is_member(number, bytes) {
                        return None;
                    }
                    kind = Self::member(number, bytes, kind);
                }
                (1..=9, _) => return None,
                _ => {}
            }
        }
        Some(Self {
            tag,
            node_name,
            metadata: metadata.map(|message| MetadataView { message }),
            kind,
        })
    }

    fn is_member(number: u32, bytes: &[u8]) -> bool {
        let of: &'static MessageType = match number {
            4 => &types::TENSORBOARD_SUMMARY_IMAGE,
            5 => &types::TENSORBOARD_HISTOGRAM_PROTO,
            6 => &types::TENSORBOARD_SUMMARY_AUDIO,
            8 => &types::TENSORBOARD_TENSOR_PROTO,
            _ => return true,
        };
        is_message(bytes, of, WALKED)
    }

    /// The oneof after one more member: the last wins, but a message that comes twice in a row is one
    /// message in two parts.
    fn member(number: u32, bytes: &'a [u8], before: ValueKind<'a>) -> ValueKind<'a> {
        let message = match (number, before) {
            (4, ValueKind::Image(first))
            | (5, ValueKind::Histogram(first))
            | (6, ValueKind::Audio(first)) => joined(first, bytes),
            (8, ValueKind::Tensor(first)) => joined(first.into_message(), bytes),
            _ => Cow::Borrowed(bytes),
        };
        match number {
            4 => ValueKind::Image(message),
            5 => ValueKind::Histogram(message),
            6 => ValueKind::Audio(message),
            8 => ValueKind::Tensor(TensorView::new(message)),
            _ => ValueKind::OldHistogram(bytes),
        }
    }
}

impl ValueKind<'_> {
    /// The name of the kind, for reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "metadata",
            Self::Simple(_) => "scalar",
            Self::OldHistogram(_) => "old histogram",
            Self::Image(_) => "image",
            Self::Histogram(_) => "histogram",
            Self::Audio(_) => "audio",
            Self::Tensor(_) => "tensor",
        }
    }
}

/// What a `SummaryMetadata` says that readers act on.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataView<'a> {
    message: Cow<'a, [u8]>,
}

impl MetadataView<'_> {
    /// How a reader is to store the series.
    pub fn data_class(&self) -> DataClass {
        let classes = fields(&self.message).filter(|field| field.number == 4);
        let class = classes.filter_map(|field| field.value.varint()).last();
        DataClass::from_number(class.unwrap_or(0) as i32)
    }

    /// The plugin the series belongs to, like `scalars`; may be empty.
    pub fn plugin_name(&self) -> &str {
        self.plugin_data().filter(|f| f.number == 1).filter_map(text).last().unwrap_or("")
    }

    /// The plugin's own message.
    pub fn plugin_content(&self) -> &[u8] {
        let contents = self.plugin_data().filter(|field| field.number == 2);
        contents.filter_map(|field| field.value.bytes()).last().unwrap_or(&[])
    }

    fn plugin_data(&self) -> impl Iterator<Item = Field<'_>> {
        let parts = fields(&self.message).filter(|field| field.number == 1);
        parts.filter_map(|field| field.value.bytes()).flat_map(fields)
    }

    /// The name to show in place of the tag; may be empty.
    pub fn display_name(&self) -> &str {
        fields(&self.message).filter(|f| f.number == 2).filter_map(text).last().unwrap_or("")
    }

    /// Markdown about the series; may be empty.
    pub fn description(&self) -> &str {
        fields(&self.message).filter(|f| f.number == 3).filter_map(text).last().unwrap_or("")
    }
}

/// How a reader is to store a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataClass {
    /// Not said, or by a number this crate does not know: the kind of value and the plugin decide.
    Unknown,
    /// As numbers.
    Scalar,
    /// As tensors.
    Tensor,
    /// As lists of bytes.
    BlobSequence,
}

impl DataClass {
    const fn from_number(number: i32) -> Self {
        match number {
            1 => Self::Scalar,
            2 => Self::Tensor,
            3 => Self::BlobSequence,
            _ => Self::Unknown,
        }
    }
}

/// A message field that comes once more: together they are one message.
pub(super) fn join<'a>(message: &mut Option<Cow<'a, [u8]>>, bytes: &'a [u8]) {
    *message = Some(match message.take() {
        Some(first) => joined(first, bytes),
        None => Cow::Borrowed(bytes),
    });
}

pub(super) fn joined<'a>(first: Cow<'a, [u8]>, bytes: &[u8]) -> Cow<'a, [u8]> {
    let mut whole = first.into_owned();
    whole.extend_from_slice(bytes);
    Cow::Owned(whole)
}

fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    Fields::new(message).map_while(Result::ok)
}

fn text(field: Field<'_>) -> Option<&str> {
    str::from_utf8(field.value.bytes()?).ok()
}

const TAG: u32 = 1;
const NODE_NAME: u32 = 7;
const METADATA: u32 = 9;
