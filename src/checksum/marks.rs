//! Checksums of any stretch of a long run of bytes.

use super::{MaskedCrc32c, multiply, times_x8};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::LazyLock;

/// The CRC-32C of any stretch of the bytes behind some offset, in time that does not grow with the stretch once the
/// bytes were walked: each byte is walked once, whatever claims to begin among them.
///
/// Kept is the checksum up to every 256th byte, which takes 1/64 of the room of the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Marks {
    /// Where the first mark stands.
    first: u64,
    /// The checksum of all bytes from one offset to each mark.
    sums: VecDeque<u32>,
}

impl Marks {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self { first: 0, sums: VecDeque::new() }
    }

    /// Whether bytes behind `offset`, which is that of no earlier window, were walked.
    pub(crate) fn cover(&self, offset: u64) -> bool {
        !self.sums.is_empty() && offset < self.last()
    }

    /// The checksum of a stretch of `window`, which stands at `offset`. Stretches must not be asked for that begin in
    /// front of an earlier window.
    pub(crate) fn checksum(
        &mut self,
        window: &[u8],
        offset: u64,
        stretch: Range<usize>,
    ) -> MaskedCrc32c {
        self.walk(window, offset, stretch.end);
        let bytes = |from: usize, to: usize| window.get(from..to).unwrap_or_default();
        let (from, to) =
            (self.mark_behind(offset + stretch.start as u64), offset + stretch.end as u64);
        let Some(count) = to.checked_sub(self.place(from)).map(|left| (left / SPACING) as usize)
        else {
            return MaskedCrc32c::of(bytes(stretch.start, stretch.end));
        };
        let place = |mark: usize| (self.place(mark) - offset) as usize;
        let until = from + count;
        let head = crc32c::crc32c(bytes(stretch.start, place(from)));
        let sum = |mark: usize| self.sums.get(mark).copied().unwrap_or_default();
        // What was walked up to the first mark counts no longer, and the head counts instead.
        let marked = moved(sum(from) ^ head, count) ^ sum(until);
        MaskedCrc32c::mask(crc32c::crc32c_append(marked, bytes(place(until), stretch.end)))
    }

    /// Sets marks in a window up to byte `end` of it, and drops those that no later stretch can use.
    pub(crate) fn walk(&mut self, window: &[u8], offset: u64, end: usize) {
        while self.sums.len() > 1 && self.first < offset {
            self.sums.pop_front();
            self.first += SPACING;
        }
        if self.sums.is_empty() || self.first < offset {
            self.first = offset;
            self.sums = VecDeque::from([0]);
        }
        loop {
            let start = (self.last() - offset) as usize;
            let next = start + SPACING as usize;
            let (Some(bytes), Some(&sum)) = (window.get(start..next), self.sums.back()) else {
                return;
            };
            if next > end {
                return;
            }
            self.sums.push_back(crc32c::crc32c_append(sum, bytes));
        }
    }

    /// Where a mark stands.
    const fn place(&self, mark: usize) -> u64 {
        self.first + mark as u64 * SPACING
    }

    fn last(&self) -> u64 {
        self.place(self.sums.len().saturating_sub(1))
    }

    /// The first mark that does not stand in front of `offset`.
    const fn mark_behind(&self, offset: u64) -> usize {
        offset.saturating_sub(self.first).div_ceil(SPACING) as usize
    }
}

/// The checksum, moved on by the zero bytes between so many marks.
fn moved(sum: u32, mut marks: usize) -> u32 {
    let mut moved = sum;
    for &power in POWERS.iter() {
        if marks & 1 == 1 {
            moved = multiply(POLYNOMIAL, power, moved);
        }
        marks >>= 1;
        if marks == 0 {
            break;
        }
    }
    moved
}

/// The distance between two marks.
const SPACING: u64 = 256;

/// The polynomial of CRC-32C (RFC 3720), its highest power in the lowest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// By what the checksum moves on over 1, 2, 4, ... distances of marks.
static POWERS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let one = (0..SPACING).fold(1 << 31, |power, _| times_x8(POLYNOMIAL, power));
    let square = |&power: &u32| Some(multiply(POLYNOMIAL, power, power));
    std::iter::successors(Some(one), square).take(usize::BITS as usize).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stretch_has_the_checksum_of_its_bytes_alone() {
        let bytes: Vec<u8> = (0..70_000u64).map(|i| ((i * i) >> 3) as u8).collect();
        let mut marks = Marks::new();
        let mut random = 7usize;
        for at in (0..60_000).step_by(331) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let window = &bytes[at..];
            let length = (random >> 33) % (window.len() - 12);
            let got = marks.checksum(window, at as u64, 12..12 + length);
            assert_eq!(got, MaskedCrc32c::of(&window[12..12 + length]), "{at} {length}");
        }
    }

    #[test]
    fn only_walked_bytes_are_covered() {
        let mut marks = Marks::new();
        assert!(!marks.cover(0));
        marks.checksum(&[1; 3000], 1000, 10..2000);
        assert_eq!([1000, 2500, 2791, 2792].map(|at| marks.cover(at)), [true, true, true, false]);
    }
}
