//! The two checksums of the two formats, as types that print the way a hex dump shows them, and a digest that
//! is in neither.
//!
//! A `.wandb` chunk carries a plain CRC-32 (IEEE, the one of zlib) over its type byte and payload.
//! A TFRecord carries CRC-32C (Castagnoli), rotated and offset ("masked") so that a checksum stored
//! inside checksummed data does not cancel out.

mod marks;

pub(crate) use marks::Marks;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

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

/// The CRC-32 of any stretch of some bytes, in constant time once the bytes were walked.
///
/// The register of a CRC, started at zero, is linear. The one after a stretch is the one before it, moved
/// on by as many zero bytes, plus that of the stretch alone; so the stretch alone is what remains.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stretches {
    /// The register behind each byte.
    registers: Vec<u32>,
    /// The register before the first of them.
    before: u32,
}

impl Stretches {
    /// How many bytes were walked and not forgotten.
    pub(crate) const fn len(&self) -> usize {
        self.registers.len()
    }

    /// Adds the bytes that follow.
    pub(crate) fn walk(&mut self, bytes: &[u8]) {
        let mut register = self.registers.last().copied().unwrap_or(self.before);
        self.registers.extend(bytes.iter().map(|&byte| {
            let [low, ..] = register.to_le_bytes();
            let step = BYTE_STEPS.get(usize::from(low ^ byte)).copied().unwrap_or_default();
            register = register >> 8 ^ step;
            register
        }));
    }

    /// Drops the first `n` bytes.
    pub(crate) fn forget(&mut self, n: usize) {
        self.before = self.register(n).unwrap_or_default();
        self.registers.drain(..n.min(self.registers.len()));
    }

    /// The checksum of these bytes, if they were walked and are no more than 32 KiB.
    pub(crate) fn checksum(&self, stretch: Range<usize>) -> Option<Crc32> {
        let (before, after) = (self.register(stretch.start)?, self.register(stretch.end)?);
        let moved = multiply(POLYNOMIAL, *POWERS.get(stretch.len())?, !before);
        Some(Crc32(!(moved ^ after)))
    }

    /// The register in front of byte `n`.
    fn register(&self, n: usize) -> Option<u32> {
        match n.checked_sub(1) {
            None => Some(self.before),
            Some(last) => self.registers.get(last).copied(),
        }
    }
}

/// The product of two polynomials, modulo a third. The highest power is the lowest bit.
const fn multiply(modulus: u32, mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while a != 0 {
        if a >> 31 == 1 {
            product ^= b;
        }
        a <<= 1;
        b = times_x(modulus, b);
    }
    product
}

const fn times_x(modulus: u32, a: u32) -> u32 {
    if a & 1 == 1 { a >> 1 ^ modulus } else { a >> 1 }
}

const fn times_x8(modulus: u32, mut a: u32) -> u32 {
    let mut bit = 0;
    while bit < 8 {
        a = times_x(modulus, a);
        bit += 1;
    }
    a
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
        Self::mask(crc32c::crc32c(bytes))
    }

    #[inline]
    const fn mask(crc32c: u32) -> Self {
        Self(crc32c.rotate_right(15).wrapping_add(MASK_DELTA))
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

/// What some bytes come to, in 64 bits: to tell bytes that were moved from others. Faster than a CRC and twice as
/// wide, and like one no defence against who means harm.
///
/// Sixteen bytes at a time are multiplied, one half by the other, and the product is folded; each step takes
/// the outcome of the one before into its factors. Long runs of bytes go four ways side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Digest(u64);

impl Digest {
    /// The digest of these bytes.
    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let [first, second, third, fourth] = FACTORS;
        let start = (bytes.len() as u64).wrapping_mul(first);
        let (mut a, mut b, mut c, mut d) = (start, second, third, fourth);
        let (blocks, rest) = bytes.as_chunks::<64>();
        for block in blocks {
            let (pairs, _) = block.as_chunks::<16>();
            if let [p, q, r, s] = pairs {
                (a, b) = (folded(a, p, first), folded(b, q, second));
                (c, d) = (folded(c, r, third), folded(d, s, fourth));
            }
        }
        let mut all = (a ^ b.rotate_left(16)).wrapping_add(c.rotate_left(32) ^ d.rotate_left(48));
        let (pairs, rest) = rest.as_chunks::<16>();
        for pair in pairs {
            all = folded(all, pair, second);
        }
        let mut last = [0; 16];
        if let Some(last) = last.get_mut(..rest.len()) {
            last.copy_from_slice(rest);
        }
        Self(folded(all, &last, third))
    }

    /// The digest of what this is the digest of, and then of `next`.
    #[inline]
    pub(crate) fn then(self, next: Self) -> Self {
        let [_, second, third, _] = FACTORS;
        Self((self.0.rotate_left(23) ^ second).wrapping_mul(third | 1).wrapping_add(next.0))
    }
}

#[inline]
fn folded(before: u64, pair: &[u8; 16], factor: u64) -> u64 {
    let both = u128::from_le_bytes(*pair);
    let product = u128::from(both as u64 ^ factor) * u128::from((both >> 64) as u64 ^ before);
    product as u64 ^ (product >> 64) as u64
}

/// The first digits of the square roots of 2, 3, 5 and 7, behind the point.
const FACTORS: [u64; 4] =
    [0x6a09_e667_f3bc_c908, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

/// CRC-32 of the single byte 0, 1, 2, 3, 4: where the checksum of a chunk of that type starts.
const CRC_OF_TYPE: [u32; 5] = [0xd202_ef8d, 0xa505_df1b, 0x3c0c_8ea1, 0x4b0b_be37, 0xd56f_2b94];

/// The polynomial of CRC-32 (IEEE 802.3), its highest power in the lowest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What a byte adds to the register it meets.
static BYTE_STEPS: LazyLock<Vec<u32>> =
    LazyLock::new(|| (0..256).map(|byte| times_x8(POLYNOMIAL, byte)).collect());

/// x^8n for each n up to 32 KiB: times it, a register moves on by n zero bytes.
static POWERS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let one = 1 << 31;
    let next = |&power: &u32| Some(times_x8(POLYNOMIAL, power));
    std::iter::successors(Some(one), next).take((32 << 10) + 1).collect()
});

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
    fn a_stretch_has_the_checksum_of_its_bytes_alone() {
        let bytes: Vec<u8> = (0..40_000u32).map(|i| ((i * i) >> 3) as u8).collect();
        let mut stretches = Stretches::default();
        bytes.chunks(777).for_each(|part| stretches.walk(part));
        stretches.forget(5000);
        for (from, to) in [(0, 0), (0, 1), (3, 3), (7, 20), (1000, 33_768), (34_999, 35_000)] {
            let want = Crc32(crc32fast::hash(&bytes[5000 + from..5000 + to]));
            assert_eq!(stretches.checksum(from..to), Some(want), "{from}..{to}");
        }
        assert_eq!(stretches.checksum(34_000..35_001), None, "not walked");
        assert_eq!(stretches.checksum(0..33_000), None, "too long");
    }

    #[test]
    fn a_digest_tells_of_every_bit_of_the_length_and_of_the_order() {
        for length in [0, 1, 15, 16, 17, 63, 64, 65, 200] {
            let mut bytes: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let mut seen = std::collections::HashSet::from([Digest::of(&bytes)]);
            assert!(seen.insert(Digest::of(&[&bytes[..], &[0]].concat())), "one byte more");
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(seen.insert(Digest::of(&bytes)), "bit {bit} of {length} bytes");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_ne!(a.then(b), b.then(a));
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
