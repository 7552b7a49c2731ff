//! Records that are there twice.

use std::collections::{HashSet, VecDeque};

/// Remembers the last records that were taken over, as digests, so memory stays bounded.
#[derive(Debug, Default)]
pub(super) struct Copies {
    last: VecDeque<Digest>,
    seen: HashSet<Digest>,
}

impl Copies {
    /// Whether no record of this number and these bytes was taken over lately. It is from now on.
    pub(super) fn is_new(&mut self, number: i64, payload: &[u8]) -> bool {
        let digest = (number, crc32fast::hash(payload), crc32c::crc32c(payload));
        if !self.seen.insert(digest) {
            return false;
        }
        self.last.push_back(digest);
        if self.last.len() > REMEMBERED
            && let Some(first) = self.last.pop_front()
        {
            self.seen.remove(&first);
        }
        true
    }
}

/// The number of a record, and two checksums of its bytes.
type Digest = (i64, u32, u32);

/// A block of 32 KiB holds some hundreds of records.
const REMEMBERED: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_number_and_the_bytes_and_is_not_far_away() {
        let mut copies = Copies::default();
        assert!(copies.is_new(1, b"a") && copies.is_new(1, b"b") && copies.is_new(2, b"a"));
        assert!(!copies.is_new(1, b"a") && !copies.is_new(2, b"a"));
        assert!((3..=REMEMBERED as i64).all(|number| copies.is_new(number, b"a")));
        assert!(copies.is_new(1, b"a"), "so many records later");
        assert_eq!(copies.seen.len(), REMEMBERED);
    }
}
