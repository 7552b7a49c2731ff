//! Small floats, widened to `f32`, which holds each of their values exactly.

/// IEEE half precision.
pub(super) fn f16(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let (exponent, mantissa) = (u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    match exponent {
        0 => {
            let magnitude = mantissa as f32 * exp2(-24);
            f32::from_bits(sign | magnitude.to_bits())
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | mantissa << 13),
    }
}

/// Four bits of exponent with bias 7, three of mantissa, no infinities.
pub(super) fn e4m3fn(bits: u8) -> f32 {
    if bits & 0x7f == 0x7f { f32::NAN } else { small(bits, 3, 7) }
}

/// The "fnuz" kinds: finite, and the only NaN is what would be negative zero.
pub(super) fn fnuz(bits: u8, mantissa_bits: u32, bias: i32) -> f32 {
    if bits == 0x80 { f32::NAN } else { small(bits, mantissa_bits, bias) }
}

fn small(bits: u8, mantissa_bits: u32, bias: i32) -> f32 {
    let magnitude = u32::from(bits & 0x7f);
    let exponent = (magnitude >> mantissa_bits) as i32;
    let mantissa = magnitude & ((1 << mantissa_bits) - 1);
    let (significand, exponent) = match exponent {
        0 => (mantissa, 1),
        _ => (mantissa | 1 << mantissa_bits, exponent),
    };
    let value = significand as f32 * exp2(exponent - bias - mantissa_bits as i32);
    if bits & 0x80 == 0 { value } else { -value }
}

fn exp2(exponent: i32) -> f32 {
    2f32.powi(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_widens_exactly() {
        for (bits, want) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x3c00, 1.0),
            (0xbe00, -1.5),
            (0x0001, 5.960_464_5e-8),
            (0x8001, -5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f16(bits).to_bits(), f32::to_bits(want), "{bits:#06x}");
        }
        assert!(f16(0x7e00).is_nan());
    }

    #[test]
    fn eight_bit_floats_have_the_extremes_their_papers_give() {
        assert_eq!(e4m3fn(0x7e), 448.0);
        assert_eq!(e4m3fn(0x01), 2f32.powi(-9));
        assert_eq!(e4m3fn(0x38), 1.0);
        assert_eq!(e4m3fn(0xb8), -1.0);
        assert!(e4m3fn(0xff).is_nan());
        assert_eq!(fnuz(0x7f, 3, 8), 240.0);
        assert_eq!(fnuz(0x7f, 3, 11), 30.0);
        assert_eq!(fnuz(0x7f, 2, 16), 57344.0);
        assert!(fnuz(0x80, 2, 16).is_nan());
    }
}
