//! The shape of a tensor and its elements, one after another.

use super::dtype::DataType;
use super::scalar::{NotScalar, ScalarValue};
use super::tensor::{
    CONTENT, DOUBLE_VAL, FLOAT_VAL, FLOAT8_VAL, SHAPE, STRING_VAL, TensorView, UINT32_VAL,
};
use crate::cursor::Cursor;
use crate::wire::{Field, Fields, WireValue};

impl TensorView<'_> {
    /// The sizes of the dimensions; `None` if the rank or one of the sizes is unknown.
    pub fn shape(&self) -> Option<Vec<u64>> {
        let mut sizes = Vec::new();
        let shapes = self.fields().filter(|field| field.number == SHAPE);
        for field in shapes.filter_map(|field| field.value.bytes()).flat_map(fields) {
            match (field.number, field.value) {
                (2, WireValue::Bytes(dim)) => {
                    let size = fields(dim).filter(|field| field.number == 1);
                    let size = size.filter_map(|field| field.value.varint()).last().unwrap_or(0);
                    // A size of -1 is an unknown one.
                    sizes.push(u64::try_from(size as i64).ok()?);
                }
                (3, WireValue::Varint(unknown)) if unknown != 0 => return None,
                _ => {}
            }
        }
        Some(sizes)
    }

    /// The elements of a tensor of strings, which need not be UTF-8.
    pub fn strings(&self) -> impl Iterator<Item = &[u8]> {
        let strings = self.fields().filter(|field| field.number == STRING_VAL);
        strings.filter_map(|field| field.value.bytes())
    }

    /// The elements of a tensor of real numbers.
    ///
    /// As in TensorFlow, content wins over lists, and where fewer elements are given than the shape has
    /// room for, the last one stands for the rest, or zero if there is none.
    ///
    /// # Errors
    /// When the element type has no real numbers, or elements and shape contradict each other.
    pub fn elements(&self) -> Result<Elements<'_>, NotScalar> {
        let number = self.dtype_number();
        let dtype = DataType::from_number(number).ok_or(NotScalar::Type(number))?;
        let content = self.last_bytes(CONTENT);
        let given = if !content.is_empty() {
            if !content.len().is_multiple_of(dtype.size()) {
                return Err(NotScalar::Length);
            }
            Given::of_bytes(dtype, content)
        } else if dtype.list() == FLOAT8_VAL {
            Given::of_bytes(dtype, self.last_bytes(FLOAT8_VAL))
        } else {
            self.listed(dtype)
        };
        let (mut given_len, mut last) = (0, None);
        for element in given.clone() {
            (given_len, last) = (given_len + 1, Some(element));
        }
        let room = self.shape().map(|shape| shape.into_iter().fold(1, u64::saturating_mul));
        let len = room.unwrap_or(given_len);
        // Content is all there is or damaged; lists may be short.
        if given_len > len || (given_len < len && !content.is_empty()) {
            return Err(NotScalar::Length);
        }
        Ok(Elements { given, given_len, len, fill: last.unwrap_or_else(|| dtype.of_bits(0)) })
    }

    /// The real and imaginary parts, in turn, of a tensor of complex numbers, all of which must be given.
    ///
    /// # Errors
    /// When the elements are no complex numbers, or elements and shape contradict each other.
    pub fn complex_parts(&self) -> Result<Elements<'_>, NotScalar> {
        let (dtype, list) = match self.dtype_number() {
            8 => (DataType::Float, SCOMPLEX_VAL),
            18 => (DataType::Double, DCOMPLEX_VAL),
            number => return Err(NotScalar::Type(number)),
        };
        let content = self.last_bytes(CONTENT);
        let given = match content.len() {
            0 => Given::of_list(dtype, self.message(), list),
            length if length % (2 * dtype.size()) != 0 => return Err(NotScalar::Length),
            _ => Given::of_bytes(dtype, content),
        };
        let given_len = given.clone().count() as u64;
        let room = self.shape().map(|shape| shape.into_iter().fold(2, u64::saturating_mul));
        if given_len != room.unwrap_or(given_len) || !given_len.is_multiple_of(2) {
            return Err(NotScalar::Length);
        }
        Ok(Elements { given, given_len, len: given_len, fill: dtype.of_bits(0) })
    }

    fn listed(&self, dtype: DataType) -> Given<'_> {
        let given = Given::of_list(dtype, self.message(), dtype.list());
        match dtype {
            // torch stores bytes in the list of 32-bit unsigned integers,
            DataType::Uint(1..=16) if given.clone().next().is_none() => {
                Given::of_list(dtype, self.message(), UINT32_VAL)
            }
            // and the bits of 32-bit floats in the list of 16-bit ones.
            DataType::Half | DataType::BFloat16
                if given.clone().bits().any(|bits| bits as u32 > 0xffff) =>
            {
                Given { dtype: DataType::Float, ..given }
            }
            _ => given,
        }
    }

    fn last_bytes(&self, number: u32) -> &[u8] {
        let values = self.fields().filter(|field| field.number == number);
        values.filter_map(|field| field.value.bytes()).last().unwrap_or(&[])
    }
}

/// The elements of a tensor: those that are given, and one that stands for all others.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    given: Given<'a>,
    given_len: u64,
    len: u64,
    fill: ScalarValue,
}

impl Elements<'_> {
    /// How many elements the tensor has. This comes from its shape and can be any number.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements that are given, in row-major order.
    pub fn given(&self) -> impl Iterator<Item = ScalarValue> {
        self.given.clone()
    }

    /// How many are given.
    pub const fn given_len(&self) -> u64 {
        self.given_len
    }

    /// What the elements that are not given are, if there are any.
    pub fn fill(&self) -> Option<ScalarValue> {
        (self.given_len < self.len).then_some(self.fill)
    }

    /// All elements, given or not.
    pub fn iter(&self) -> impl Iterator<Item = ScalarValue> {
        let all = self.given().chain(std::iter::repeat(self.fill));
        all.take(usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

/// Walks elements where they stand: bytes of the element's size, or the values of a list, packed or not.
#[derive(Clone, Debug)]
struct Given<'a> {
    dtype: DataType,
    cursor: Cursor<'a>,
    list: Option<(Fields<'a>, u32)>,
}

impl<'a> Given<'a> {
    const fn of_bytes(dtype: DataType, bytes: &'a [u8]) -> Self {
        Self { dtype, cursor: Cursor::new(bytes), list: None }
    }

    const fn of_list(dtype: DataType, message: &'a [u8], number: u32) -> Self {
        let list = Some((Fields::new(message), number));
        Self { dtype, cursor: Cursor::new(&[]), list }
    }

    fn next_bits(&mut self) -> Option<u64> {
        let Some((fields, number)) = &mut self.list else {
            return match self.dtype.size() {
                1 => self.cursor.u8().map(u64::from),
                2 => self.cursor.u16_le().map(u64::from),
                4 => self.cursor.u32_le().map(u64::from),
                _ => self.cursor.u64_le(),
            };
        };
        loop {
            if !self.cursor.is_empty() {
                return match *number {
                    FLOAT_VAL | SCOMPLEX_VAL => self.cursor.u32_le().map(u64::from),
                    DOUBLE_VAL | DCOMPLEX_VAL => self.cursor.u64_le(),
                    _ => self.cursor.varint(),
                };
            }
            let Field { number: of, value } = fields.next()?.ok()?;
            match value {
                _ if of != *number => {}
                WireValue::Bytes(packed) => self.cursor = Cursor::new(packed),
                WireValue::Varint(bits) | WireValue::Fixed64(bits) => return Some(bits),
                WireValue::Fixed32(bits) => return Some(u64::from(bits)),
                WireValue::Group(_) => {}
            }
        }
    }

    fn bits(mut self) -> impl Iterator<Item = u64> {
        std::iter::from_fn(move || self.next_bits())
    }
}

impl Iterator for Given<'_> {
    type Item = ScalarValue;

    fn next(&mut self) -> Option<ScalarValue> {
        let bits = self.next_bits()?;
        Some(self.dtype.of_bits(bits))
    }
}

const SCOMPLEX_VAL: u32 = 9;
const DCOMPLEX_VAL: u32 = 12;

fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    Fields::new(message).map_while(Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tensorboard::{TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
    use prost::Message;
    use std::borrow::Cow;

    fn view(tensor: &TensorProto) -> TensorView<'static> {
        TensorView::new(Cow::Owned(tensor.encode_to_vec()))
    }

    fn shaped(sizes: &[i64]) -> Option<TensorShapeProto> {
        let dims = sizes.iter().map(|&size| Dim { size, ..Dim::default() });
        Some(TensorShapeProto { dim: dims.collect(), ..TensorShapeProto::default() })
    }

    fn numbers(tensor: &TensorProto) -> Result<Vec<f64>, NotScalar> {
        view(tensor).elements().map(|all| all.iter().map(ScalarValue::as_f64).collect())
    }

    #[test]
    fn elements_come_from_content_or_lists() {
        let tensor_content = [1.5f64, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let tensor_shape = shaped(&[2, 1]);
        let content = TensorProto { dtype: 2, tensor_content, tensor_shape, ..Default::default() };
        assert_eq!(view(&content).shape(), Some(vec![2, 1]));
        assert_eq!(numbers(&content), Ok(vec![1.5, -2.0]));
        let int_val = vec![3, -4, 5];
        let list =
            TensorProto { dtype: 3, int_val, tensor_shape: shaped(&[3]), ..Default::default() };
        assert_eq!(numbers(&list), Ok(vec![3.0, -4.0, 5.0]));
        let float8_val = vec![0x3e, 0x42];
        let float8 =
            TensorProto { dtype: 28, float8_val, tensor_shape: shaped(&[2]), ..Default::default() };
        assert_eq!(numbers(&float8).unwrap().len(), 2);
    }

    #[test]
    fn the_last_element_stands_for_the_rest() {
        let float_val = vec![1.0, 2.0];
        let mut tensor =
            TensorProto { dtype: 1, float_val, tensor_shape: shaped(&[4]), ..Default::default() };
        assert_eq!(numbers(&tensor), Ok(vec![1.0, 2.0, 2.0, 2.0]));
        tensor.tensor_shape = shaped(&[1]);
        assert_eq!(numbers(&tensor), Err(NotScalar::Length));
        tensor.tensor_shape = shaped(&[-1]);
        assert_eq!(numbers(&tensor), Ok(vec![1.0, 2.0]));
        tensor.tensor_shape = shaped(&[i64::MAX, i64::MAX]);
        assert_eq!(view(&tensor).elements().unwrap().len(), u64::MAX);
        tensor.float_val.clear();
        tensor.tensor_shape = shaped(&[2]);
        assert_eq!(numbers(&tensor), Ok(vec![0.0, 0.0]));
    }

    #[test]
    fn complex_numbers_are_given_in_parts() {
        let parts = |tensor: &TensorProto| {
            let view = view(tensor);
            let parts = view.complex_parts();
            parts.map(|all| all.iter().map(ScalarValue::as_f64).collect::<Vec<_>>())
        };
        let scomplex_val = vec![1.0, -2.0, 0.0, 4.0];
        let tensor_shape = shaped(&[2]);
        let mut tensor = TensorProto { dtype: 8, tensor_shape, scomplex_val, ..Default::default() };
        assert_eq!(parts(&tensor), Ok(vec![1.0, -2.0, 0.0, 4.0]));
        tensor.scomplex_val.pop();
        assert_eq!(parts(&tensor), Err(NotScalar::Length));
        let tensor_content = [1.5f64, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let content = TensorProto { dtype: 18, tensor_content, ..Default::default() };
        assert_eq!(parts(&content), Ok(vec![1.5, -2.0]));
        assert_eq!(parts(&TensorProto { dtype: 1, ..content }), Err(NotScalar::Type(1)));
    }

    #[test]
    fn what_torch_stores_in_the_wrong_list_is_understood() {
        let half_val = [0.5f32, 0.0].map(|x| x.to_bits() as i32).to_vec();
        let half =
            TensorProto { dtype: 19, half_val, tensor_shape: shaped(&[2]), ..Default::default() };
        assert_eq!(numbers(&half), Ok(vec![0.5, 0.0]));
        let uint32_val = vec![7, 8];
        let bytes =
            TensorProto { dtype: 4, uint32_val, tensor_shape: shaped(&[2]), ..Default::default() };
        assert_eq!(numbers(&bytes), Ok(vec![7.0, 8.0]));
    }
}
