//! The two checksums of the two formats, as types that print the way a hex dump shows them.
//!
//! A `.wandb` chunk carries a plain CRC-32 (IEEE, the one of zlib) over its type byte and payload.
//! A TFRecord carries CRC-32C (Castagnoli), rotated and offset ("masked") so that a checksum stored
//! inside checksummed data does not cancel out.

use std::fmt;

/// CRC-32 (IEEE) over a chunk's type byte followed by its payload.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crc32(pub u32);

impl Crc32 {
    /// The checksum of a chunk of type `kind` with this payload.
    ///
    /// ```
    /// use wandb_offline::checksum::Crc32;
    /// assert_eq!(Crc32::of_chunk(1, b""), Crc32(0xa505df1b));
    /// ```
    #[inline]
    pub fn of_chunk(kind: u8, payload: &[u8]) -> Self {
        let mut hasher = match CRC_OF_TYPE.get(usize::from(kind)) {
            Some(&start) => crc32fast::Hasher::new_with_initial(start),
            None => {
                let mut hasher = crc32fast::Hasher::new();
                hasher.update(&[kind]);
                hasher
            }
        };
        hasher.update(payload);
        Self(hasher.finalize())
    }
}

impl fmt::Display for Crc32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Debug for Crc32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Masked CRC-32C, as stored in a TFRecord.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaskedCrc32c(pub u32);

impl MaskedCrc32c {
    /// The masked checksum of `bytes`.
    ///
    /// ```
    /// use wandb_offline::checksum::MaskedCrc32c;
    /// assert_eq!(MaskedCrc32c::of(b"123456789"), MaskedCrc32c(0xc78ab0e5));
    /// ```
    #[inline]
    pub fn of(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK_DELTA))
    }
}

impl fmt::Display for MaskedCrc32c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Debug for MaskedCrc32c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// CRC-32 of the single byte 0, 1, 2, 3, 4: where the checksum of a chunk of that type starts.
const CRC_OF_TYPE: [u32; 5] = [0xd202_ef8d, 0xa505_df1b, 0x3c0c_8ea1, 0x4b0b_be37, 0xd56f_2b94];

/// TensorFlow's mask: rotate right by 15, add this.
const MASK_DELTA: u32 = 0xa282_ead8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_checksum_starts_with_the_type_byte() {
        for kind in 0..=255 {
            let whole = crc32fast::hash(&[&[kind], &b"payload"[..]].concat());
            assert_eq!(Crc32::of_chunk(kind, b"payload"), Crc32(whole));
        }
    }

    #[test]
    fn masked_checksums_equal_tensorflows() {
        assert_eq!(MaskedCrc32c::of(b""), MaskedCrc32c(0xa282_ead8));
        assert_eq!(MaskedCrc32c::of(&[0; 32]), MaskedCrc32c(0x0fd7_fffa));
        assert_eq!(MaskedCrc32c::of(&24u64.to_le_bytes()), MaskedCrc32c(0x224b_7fa3));
        assert_eq!(MaskedCrc32c::of(&0u64.to_le_bytes()), MaskedCrc32c(0x0798_0329));
    }

    #[test]
    fn checksums_print_as_padded_hex() {
        assert_eq!(format!("{:?}", Crc32(0xab)), "0x000000ab");
        assert_eq!(format!("{}", MaskedCrc32c(0xab)), "0x000000ab");
    }
}
