//! One number, in the type it was logged in.

use std::fmt;

/// The value of a scalar, exact: a 64-bit integer is not squeezed through a float.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScalarValue {
    /// Single precision, also widened from the 16 and 8 bit floats. What all older writers store.
    F32(f32),
    /// Double precision.
    F64(f64),
    /// Any integer but an unsigned one of 64 bits.
    I64(i64),
    /// An unsigned integer of 64 bits.
    U64(u64),
    /// A boolean.
    Bool(bool),
}

impl ScalarValue {
    /// The nearest `f64`; 1 for true.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::F32(value) => f64::from(value),
            Self::F64(value) => value,
            Self::I64(value) => value as f64,
            Self::U64(value) => value as f64,
            Self::Bool(value) => f64::from(u8::from(value)),
        }
    }

    /// Whether two values are the same value of the same type, bit for bit: a NaN is itself.
    pub fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => a.to_bits() == b.to_bits(),
            (Self::F64(a), Self::F64(b)) => a.to_bits() == b.to_bits(),
            _ => self == other,
        }
    }
}

/// Why a value is not a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum NotScalar {
    /// It is an image, a histogram, a sound, or nothing but metadata.
    Kind,
    /// It is a tensor whose element type has no real numbers; its number in TensorFlow's `DataType`.
    Type(i32),
    /// It is a tensor of no or several elements.
    Shape,
    /// It is a tensor whose shape and elements contradict each other.
    Length,
}

impl fmt::Display for NotScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => write!(f, "no number"),
            Self::Type(7) => write!(f, "tensor of strings"),
            Self::Type(8 | 18) => write!(f, "tensor of complex numbers"),
            Self::Type(number) => write!(f, "tensor of element type {number}"),
            Self::Shape => write!(f, "tensor of no or several elements"),
            Self::Length => write!(f, "tensor with more or fewer elements than its shape says"),
        }
    }
}
