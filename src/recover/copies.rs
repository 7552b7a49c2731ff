//! Records that are there twice.

use crate::checksum::Digest;
use std::collections::{HashSet, VecDeque};

/// Remembers the last records that were taken over, as digests, so memory stays bounded.
///
/// A number above all others is that of no record before, so as long as numbers ascend, as in any sound log,
/// digests are only noted down.
#[derive(Debug, Default)]
pub(super) struct Copies {
    last: VecDeque<Known>,
    /// Those of `last`, once a number did not ascend.
    seen: Option<HashSet<Known>>,
    highest: i64,
}

impl Copies {
    /// Whether no record of this number and with this digest was taken over lately. It is from now on.
    pub(super) fn is_new(&mut self, number: i64, digest: Digest) -> bool {
        let record = (number, digest);
        let is_above = number > self.highest;
        self.highest = self.highest.max(number);
        if !is_above && self.seen.is_none() {
            self.seen = Some(self.last.iter().copied().collect());
        }
        if let Some(seen) = &mut self.seen
            && !seen.insert(record)
        {
            return false;
        }
        self.last.push_back(record);
        if self.last.len() > REMEMBERED
            && let Some(first) = self.last.pop_front()
            && let Some(seen) = &mut self.seen
        {
            seen.remove(&first);
        }
        true
    }
}

/// The number of a record, and the digest of its bytes.
type Known = (i64, Digest);

/// A block of 32 KiB holds some hundreds of records.
const REMEMBERED: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_number_and_the_bytes_and_is_not_far_away() {
        let (mut copies, [a, b]) = (Copies::default(), digests());
        assert!(copies.is_new(1, a) && copies.is_new(1, b) && copies.is_new(2, a));
        assert!(!copies.is_new(1, a) && !copies.is_new(2, a));
        assert!((3..=REMEMBERED as i64).all(|number| copies.is_new(number, a)));
        assert!(copies.is_new(1, a), "so many records later");
        assert_eq!(copies.last.len(), REMEMBERED);
        assert_eq!(copies.seen.map(|seen| seen.len()), Some(REMEMBERED));
    }

    #[test]
    fn numbers_that_ascend_are_only_noted_down() {
        let (mut copies, [a, b]) = (Copies::default(), digests());
        assert!([1, 2, 7].iter().all(|number| copies.is_new(*number, a)));
        assert!(copies.seen.is_none());
        assert!(!copies.is_new(2, a) && copies.is_new(2, b) && !copies.is_new(7, a));
    }

    fn digests() -> [Digest; 2] {
        [Digest::of(b"a"), Digest::of(b"b")]
    }
}
