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

    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'_>> {
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
        // Mostly the tensor has one list, and it is the right one.
        let field = dtype.list();
        let mut list = if head.list_field == field { head.list } else { self.list(field) };
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

    #[inline]
    fn head(&self) -> Head<'_> {
        let mut head = Head {
            dtype: 0,
            elements: Some(1),
            content: &[],
            list_field: 0,
            list: List::default(),
        };
        for Field { number, value } in self.fields() {
            match (number, value) {
                (DTYPE, WireValue::Varint(dtype)) => head.dtype = dtype as i32,
                (SHAPE, WireValue::Bytes(message)) => head.shape(message),
                (CONTENT, WireValue::Bytes(content)) => head.content = content,
                (5.., value) if head.list_field == 0 || head.list_field == number => {
                    head.list_field = number;
                    head.list.extend(value, number);
                }
                _ => {}
            }
        }
        head
    }

    fn list(&self, field: u32) -> List {
        let mut list = List::default();
        for value in self.fields().filter(|f| f.number == field).map(|f| f.value) {
            list.extend(value, field);
        }
        list
    }
}

struct Head<'a> {
    dtype: i32,
    /// How many elements the shape has room for, if it says.
    elements: Option<u64>,
    content: &'a [u8],
    /// The first field that may be a list of elements, and the elements.
    list_field: u32,
    list: List,
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
    #[inline]
    fn extend(&mut self, value: WireValue<'_>, field: u32) {
        match value {
            // Bytes, not a list: the last one counts.
            WireValue::Bytes(bytes) if field == FLOAT8_VAL => {
                *self = Self::default();
                self.add_packed(bytes, field);
            }
            WireValue::Bytes(packed) => self.add_packed(packed, field),
            WireValue::Varint(bits) | WireValue::Fixed64(bits) => self.add(bits),
            WireValue::Fixed32(bits) => self.add(u64::from(bits)),
            WireValue::Group(_) => {}
        }
    }

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
    pub(super) const fn list(self) -> u32 {
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
pub(super) const SHAPE: u32 = 2;
pub(super) const CONTENT: u32 = 4;
pub(super) const FLOAT_VAL: u32 = 5;
pub(super) const DOUBLE_VAL: u32 = 6;
pub(super) const STRING_VAL: u32 = 8;
pub(super) const UINT32_VAL: u32 = 16;
pub(super) const FLOAT8_VAL: u32 = 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tensorboard::{TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
    use prost::Message;

    fn scalar(tensor: &TensorProto) -> Result<ScalarValue, NotScalar> {
        TensorView::new(Cow::Owned(tensor.encode_to_vec())).scalar()
    }

    fn shaped(sizes: &[i64]) -> Option<TensorShapeProto> {
        let dims = sizes.iter().map(|&size| Dim { size, ..Dim::default() });
        Some(TensorShapeProto { dim: dims.collect(), ..TensorShapeProto::default() })
    }

    #[test]
    fn content_of_every_type_is_little_endian() {
        use ScalarValue::{Bool, F32, F64, I64, U64};
        let table: &[(i32, &[u8], ScalarValue)] = &[
            (1, &1.5f32.to_le_bytes(), F32(1.5)),
            (2, &0.1f64.to_le_bytes(), F64(0.1)),
            (3, &(-7i32).to_le_bytes(), I64(-7)),
            (4, &[200], I64(200)),
            (5, &(-300i16).to_le_bytes(), I64(-300)),
            (6, &[0xff], I64(-1)),
            (9, &i64::MIN.to_le_bytes(), I64(i64::MIN)),
            (10, &[1], Bool(true)),
            (11, &[0x80], I64(-128)),
            (12, &[0x80], I64(128)),
            (13, &i32::MIN.to_le_bytes(), I64(i32::MIN as i64)),
            (14, &[0xc0, 0x3f], F32(1.5)),
            (15, &[0xff, 0x7f], I64(0x7fff)),
            (16, &[0xff, 0xff], I64(0xffff)),
            (17, &[0xff, 0xff], I64(0xffff)),
            (19, &[0x00, 0x3e], F32(1.5)),
            (22, &u32::MAX.to_le_bytes(), I64(u32::MAX as i64)),
            (23, &u64::MAX.to_le_bytes(), U64(u64::MAX)),
            (24, &[0x3e], F32(1.5)),
            (25, &[0x3c], F32(1.5)),
            (26, &[0x44], F32(1.5)),
            (27, &[0x5c], F32(1.5)),
            (28, &[0x42], F32(1.5)),
            (29, &[0x0f], I64(-1)),
            (30, &[0x0f], I64(15)),
            (31, &[0x02], I64(-2)),
            (32, &[0x03], I64(3)),
        ];
        for &(dtype, content, want) in table {
            let tensor_content = content.to_vec();
            let tensor = TensorProto { dtype, tensor_content, ..TensorProto::default() };
            assert_eq!(scalar(&tensor), Ok(want), "dtype {dtype}");
            let tensor = TensorProto { tensor_content: [content, &[0]].concat(), ..tensor };
            assert_eq!(scalar(&tensor), Err(NotScalar::Length), "dtype {dtype}");
        }
    }

    #[test]
    fn typed_lists_hold_what_content_would() {
        use ScalarValue::{Bool, F32, F64, I64, U64};
        let of = |dtype, tensor: TensorProto| scalar(&TensorProto { dtype, ..tensor });
        let none = TensorProto::default;
        assert_eq!(of(1, TensorProto { float_val: vec![-0.5], ..none() }), Ok(F32(-0.5)));
        assert_eq!(of(2, TensorProto { double_val: vec![0.1], ..none() }), Ok(F64(0.1)));
        for dtype in [3, 5, 6, 11, 13, 15] {
            assert_eq!(of(dtype, TensorProto { int_val: vec![-3], ..none() }), Ok(I64(-3)));
        }
        for dtype in [4, 12, 16, 17] {
            assert_eq!(of(dtype, TensorProto { int_val: vec![200], ..none() }), Ok(I64(200)));
        }
        let most = TensorProto { int64_val: vec![i64::MAX], ..none() };
        assert_eq!(of(9, most), Ok(I64(i64::MAX)));
        assert_eq!(of(10, TensorProto { bool_val: vec![true], ..none() }), Ok(Bool(true)));
        let most = TensorProto { uint32_val: vec![u32::MAX], ..none() };
        assert_eq!(of(22, most), Ok(I64(i64::from(u32::MAX))));
        let most = TensorProto { uint64_val: vec![u64::MAX], ..none() };
        assert_eq!(of(23, most), Ok(U64(u64::MAX)));
        assert_eq!(of(19, TensorProto { half_val: vec![0x3e00], ..none() }), Ok(F32(1.5)));
        assert_eq!(of(14, TensorProto { half_val: vec![0x3fc0], ..none() }), Ok(F32(1.5)));
        assert_eq!(of(24, TensorProto { float8_val: vec![0x3e], ..none() }), Ok(F32(1.5)));
    }

    #[test]
    fn what_torch_stores_in_the_wrong_list_is_understood() {
        for (value, dtype) in [(1.5f32, 19), (-2.0, 19), (0.0, 14), (f32::MIN_POSITIVE, 14)] {
            let half_val = vec![value.to_bits() as i32];
            let tensor = TensorProto { dtype, half_val, ..TensorProto::default() };
            assert_eq!(scalar(&tensor), Ok(ScalarValue::F32(value)));
        }
        let tensor = TensorProto { dtype: 4, uint32_val: vec![7], ..TensorProto::default() };
        assert_eq!(scalar(&tensor), Ok(ScalarValue::I64(7)));
    }

    #[test]
    fn one_element_of_any_rank_is_a_scalar_and_nothing_else_is() {
        let one = TensorProto { dtype: 1, float_val: vec![2.0], ..TensorProto::default() };
        let with = |tensor_shape| scalar(&TensorProto { tensor_shape, ..one.clone() });
        let two = Ok(ScalarValue::F32(2.0));
        for sizes in [&[][..], &[1], &[1, 1, 1], &[-1], &[-1, 1]] {
            assert_eq!(with(shaped(sizes)), two, "{sizes:?}");
        }
        for sizes in [&[0][..], &[2], &[1, 3], &[i64::MAX, i64::MAX]] {
            assert_eq!(with(shaped(sizes)), Err(NotScalar::Shape), "{sizes:?}");
        }
        let unknown = TensorShapeProto { unknown_rank: true, ..TensorShapeProto::default() };
        assert_eq!(with(Some(unknown)), two);
        let empty = TensorProto { dtype: 1, ..TensorProto::default() };
        assert_eq!(scalar(&empty), Ok(ScalarValue::F32(0.0)), "zero is implied");
        let empty = TensorProto { tensor_shape: shaped(&[-1]), ..empty };
        assert_eq!(scalar(&empty), Err(NotScalar::Shape));
        let many = TensorProto { dtype: 1, float_val: vec![1.0, 2.0], ..TensorProto::default() };
        assert_eq!(scalar(&many), Err(NotScalar::Length));
        for dtype in [0, 7, 8, 18, 20, 21, 101, 999] {
            let tensor = TensorProto { dtype, ..one.clone() };
            assert_eq!(scalar(&tensor), Err(NotScalar::Type(dtype)));
        }
    }

    #[test]
    fn numbers_need_not_be_packed() {
        // dtype 1; 5: fixed32 1.5, unpacked.
        let message = [0x08, 1, 0x2d, 0, 0, 0xc0, 0x3f];
        let tensor = TensorView::new(Cow::Borrowed(&message));
        assert_eq!(tensor.scalar(), Ok(ScalarValue::F32(1.5)));
    }
}
