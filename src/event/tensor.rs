//! Tensors: shape, type, and the single number of those that hold one.
//!
//! ```text
//! TensorProto  1 dtype  2 shape { 2 dim* { 1 size }  3 unknown_rank }  4 tensor_content
//!              5 float*  6 double*  7 int*  8 string*  10 int64*  11 bool*  13 half*
//!              16 uint32*  17 uint64*  18 float8 (bytes)
//! ```

use super::dtype::DataType;
use super::scalar::{NotScalar, ScalarValue};
use crate::cursor::Cursor;
use crate::wire::{Field, Fields, WireValue};
use std::borrow::Cow;

/// A `TensorProto`, decoded as it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorView<'a> {
    message: Cow<'a, [u8]>,
}

impl<'a> TensorView<'a> {
    /// A view over the bytes of a `TensorProto`. Bytes that are none hold nothing.
    pub const fn new(message: Cow<'a, [u8]>) -> Self {
        Self { message }
    }

    pub(super) fn into_message(self) -> Cow<'a, [u8]> {
        self.message
    }

    /// The message itself, for prost.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        Fields::new(&self.message).map_while(Result::ok)
    }

    /// The number of the element type in TensorFlow's `DataType`.
    pub fn dtype_number(&self) -> i32 {
        self.head().dtype
    }

    /// The element type, if it is one of real numbers.
    pub fn dtype(&self) -> Option<DataType> {
        DataType::from_number(self.dtype_number())
    }

    /// The elements in `tensor_content`; empty if they are in a list instead.
    pub fn content(&self) -> &[u8] {
        self.head().content
    }

    /// The number this tensor holds, if it is a tensor of a single number.
    ///
    /// Any rank will do as long as the shape has room for one element. As in TensorFlow, content wins
    /// over lists, and a scalar without any element is zero.
    ///
    /// # Errors
    /// Why it is no scalar.
    pub fn scalar(&self) -> Result<ScalarValue, NotScalar> {
        let head = self.head();
        let dtype = DataType::from_number(head.dtype).ok_or(NotScalar::Type(head.dtype))?;
        if head.elements.is_some_and(|elements| elements != 1) {
            return Err(NotScalar::Shape);
        }
        if !head.content.is_empty() {
            let wrong = if head.elements.is_some() { NotScalar::Length } else { NotScalar::Shape };
            return match head.content.len() == dtype.size() {
                true => dtype.read(head.content).ok_or(wrong),
                false => Err(wrong),
            };
        }
        let mut list = self.list(dtype.list());
        // torch stores bytes in the list of 32-bit unsigned integers.
        if list.count == 0 && matches!(dtype, DataType::Uint(1..=16)) {
            list = self.list(UINT32_VAL);
        }
        match (list.count, head.elements) {
            (0, Some(_)) => Ok(dtype.of_bits(0)),
            (0, None) => Err(NotScalar::Shape),
            (1, _) => Ok(list.value(dtype)),
            (_, Some(_)) => Err(NotScalar::Length),
            (_, None) => Err(NotScalar::Shape),
        }
    }

    fn head(&self) -> Head<'_> {
        let mut head = Head { dtype: 0, elements: Some(1), content: &[] };
        for Field { number, value } in self.fields() {
            match (number, value) {
                (DTYPE, WireValue::Varint(dtype)) => head.dtype = dtype as i32,
                (SHAPE, WireValue::Bytes(message)) => head.shape(message),
                (CONTENT, WireValue::Bytes(content)) => head.content = content,
                _ => {}
            }
        }
        head
    }

    fn list(&self, field: u32) -> List {
        let mut list = List::default();
        for value in self.fields().filter(|f| f.number == field).map(|f| f.value) {
            match value {
                // Bytes, not a list: the last one counts.
                WireValue::Bytes(bytes) if field == FLOAT8_VAL => {
                    list = List::default();
                    list.add_packed(bytes, field);
                }
                WireValue::Bytes(packed) => list.add_packed(packed, field),
                WireValue::Varint(bits) | WireValue::Fixed64(bits) => list.add(bits),
                WireValue::Fixed32(bits) => list.add(u64::from(bits)),
                WireValue::Group(_) => {}
            }
        }
        list
    }
}

struct Head<'a> {
    dtype: i32,
    /// How many elements the shape has room for, if it says.
    elements: Option<u64>,
    content: &'a [u8],
}

impl Head<'_> {
    fn shape(&mut self, message: &[u8]) {
        for Field { number, value } in Fields::new(message).map_while(Result::ok) {
            match (number, value) {
                (2, WireValue::Bytes(dim)) => self.dim(dim),
                (3, WireValue::Varint(unknown)) if unknown != 0 => self.elements = None,
                _ => {}
            }
        }
    }

    fn dim(&mut self, message: &[u8]) {
        let sizes = Fields::new(message).map_while(Result::ok).filter(|field| field.number == 1);
        let size = sizes.filter_map(|field| field.value.varint()).last().unwrap_or(0);
        // A size of -1 is an unknown one.
        let size = u64::try_from(size as i64).ok();
        self.elements = self.elements.zip(size).map(|(product, size)| product.saturating_mul(size));
    }
}

/// A list of numbers, as far as a scalar needs it.
#[derive(Default)]
struct List {
    count: u64,
    first: u64,
}

impl List {
    const fn add(&mut self, bits: u64) {
        if self.count == 0 {
            self.first = bits;
        }
        self.count += 1;
    }

    fn add_packed(&mut self, packed: &[u8], field: u32) {
        let mut cursor = Cursor::new(packed);
        while !cursor.is_empty() {
            let bits = match field {
                FLOAT_VAL => cursor.u32_le().map(u64::from),
                DOUBLE_VAL => cursor.u64_le(),
                FLOAT8_VAL => cursor.u8().map(u64::from),
                _ => cursor.varint(),
            };
            let Some(bits) = bits else { return };
            self.add(bits);
        }
    }

    fn value(&self, dtype: DataType) -> ScalarValue {
        match dtype {
            // torch stores the bits of a 32-bit float here.
            DataType::Half | DataType::BFloat16 if self.first as u32 > 0xffff => {
                DataType::Float.of_bits(self.first)
            }
            _ => dtype.of_bits(self.first),
        }
    }
}

impl DataType {
    /// The field that lists elements of this type.
    const fn list(self) -> u32 {
        match self {
            Self::Float => FLOAT_VAL,
            Self::Double => DOUBLE_VAL,
            Self::Half | Self::BFloat16 => 13,
            Self::Int(64) => 10,
            Self::Uint(64) => 17,
            Self::Uint(32) => UINT32_VAL,
            Self::Int(_) | Self::Uint(_) => 7,
            Self::Bool => 11,
            _ => FLOAT8_VAL,
        }
    }
}

const DTYPE: u32 = 1;
const SHAPE: u32 = 2;
const CONTENT: u32 = 4;
const FLOAT_VAL: u32 = 5;
const DOUBLE_VAL: u32 = 6;
const UINT32_VAL: u32 = 16;
const FLOAT8_VAL: u32 = 18;
