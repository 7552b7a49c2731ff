//! The element types of tensors.

use super::float;
use super::scalar::ScalarValue;
use crate::cursor::Cursor;

/// A numeric element type of a tensor, as far as it has values a scalar can hold.
///
/// The numbers are those of TensorFlow's `DataType`. Strings, complex numbers, resources and variants
/// are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataType {
    /// 32-bit float.
    Float,
    /// 64-bit float.
    Double,
    /// 16-bit float (IEEE).
    Half,
    /// The upper half of a 32-bit float.
    BFloat16,
    /// 8-bit float, IEEE-like, with infinities.
    Float8E5M2,
    /// 8-bit float without infinities; all ones is NaN.
    Float8E4M3Fn,
    /// 8-bit float of bias 8 without infinities and negative zero.
    Float8E4M3Fnuz,
    /// 8-bit float of bias 11 without infinities and negative zero.
    Float8E4M3B11Fnuz,
    /// 8-bit float of bias 16 without infinities and negative zero.
    Float8E5M2Fnuz,
    /// Signed integer of so many bits: 2, 4, 8, 16, 32 or 64; also the quantized ones.
    Int(u8),
    /// Unsigned integer of so many bits: 2, 4, 8, 16, 32 or 64; also the quantized ones.
    Uint(u8),
    /// One byte, not zero for true.
    Bool,
}

impl DataType {
    /// The type of this number in TensorFlow's enum; `None` if its elements are no real numbers.
    pub const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Float,
            2 => Self::Double,
            3 | 13 => Self::Int(32),
            4 | 12 => Self::Uint(8),
            5 | 15 => Self::Int(16),
            6 | 11 => Self::Int(8),
            9 => Self::Int(64),
            10 => Self::Bool,
            14 => Self::BFloat16,
            16 | 17 => Self::Uint(16),
            19 => Self::Half,
            22 => Self::Uint(32),
            23 => Self::Uint(64),
            24 => Self::Float8E5M2,
            25 => Self::Float8E4M3Fn,
            26 => Self::Float8E4M3Fnuz,
            27 => Self::Float8E4M3B11Fnuz,
            28 => Self::Float8E5M2Fnuz,
            29 => Self::Int(4),
            30 => Self::Uint(4),
            31 => Self::Int(2),
            32 => Self::Uint(2),
            _ => return None,
        })
    }

    /// Bytes of one element in `tensor_content`. The types of less than a byte take a whole one.
    pub const fn size(self) -> usize {
        match self {
            Self::Float => 4,
            Self::Double => 8,
            Self::Half | Self::BFloat16 => 2,
            Self::Int(bits) | Self::Uint(bits) => bits.div_ceil(8) as usize,
            _ => 1,
        }
    }

    /// The element that `bytes`, of [`Self::size`], hold in little-endian order.
    pub(super) fn read(self, bytes: &[u8]) -> Option<ScalarValue> {
        let mut cursor = Cursor::new(bytes);
        let value = match bytes.len() {
            1 => u64::from(cursor.u8()?),
            2 => u64::from(cursor.u16_le()?),
            4 => u64::from(cursor.u32_le()?),
            8 => cursor.u64_le()?,
            _ => return None,
        };
        Some(self.of_bits(value))
    }

    /// The element with these bits, right-aligned.
    pub(super) fn of_bits(self, bits: u64) -> ScalarValue {
        match self {
            Self::Float => ScalarValue::F32(f32::from_bits(bits as u32)),
            Self::Double => ScalarValue::F64(f64::from_bits(bits)),
            Self::Half => ScalarValue::F32(float::f16(bits as u16)),
            Self::BFloat16 => ScalarValue::F32(f32::from_bits((bits as u32) << 16)),
            Self::Float8E5M2 => ScalarValue::F32(float::f16((bits as u16) << 8)),
            Self::Float8E4M3Fn => ScalarValue::F32(float::e4m3fn(bits as u8)),
            Self::Float8E4M3Fnuz => ScalarValue::F32(float::fnuz(bits as u8, 3, 8)),
            Self::Float8E4M3B11Fnuz => ScalarValue::F32(float::fnuz(bits as u8, 3, 11)),
            Self::Float8E5M2Fnuz => ScalarValue::F32(float::fnuz(bits as u8, 2, 16)),
            Self::Int(width) => {
                let unused = 64u32.saturating_sub(u32::from(width));
                ScalarValue::I64((bits << unused) as i64 >> unused)
            }
            Self::Uint(64) => ScalarValue::U64(bits),
            Self::Uint(width) => {
                let unused = 64u32.saturating_sub(u32::from(width));
                ScalarValue::I64((bits << unused >> unused) as i64)
            }
            Self::Bool => ScalarValue::Bool(bits != 0),
        }
    }
}
