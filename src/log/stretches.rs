//! A log read from several places at once.
//!
//! Blocks begin at known offsets, and a chunk says whether a record begins with it. So the records that begin
//! in some blocks can be found without reading those before:
//!
//! ```text
//! block    |first  middle|middle  last full|full …
//! stretch  |--- 0 -------|--- 1 -----------|--- 2
//! records  |=== of 0 ==============| === of 1 ...
//! ```
//!
//! A log that is sound and counts its blocks from its beginning has the same records this way as for a
//! [`Reader`] at its beginning, and each stretch ends at the record that the next one begins with. For any
//! other log this gives up, and what is wrong with it is for that reader to say.

use super::Reader;
use crate::error::Result;
use crate::framing::block_log::{BLOCK_LEN, FILE_HEADER};
use crate::io::StreamSource;
use crate::record::RawRecord;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A log in stretches of whole blocks.
#[derive(Debug)]
pub(crate) struct Stretches<F = File> {
    /// One for all, for a log that is opened again may have been replaced.
    file: Mutex<F>,
    /// Bytes of a stretch; the last one is as long as it turns out to be.
    each: u64,
    count: u64,
}

/// Where the first record was found from a stretch on, and where the first behind it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    first: Option<u64>,
    next: Option<u64>,
}

impl Ends {
    /// Whether the records of both stretches, this one first, are all there are from the one to the other.
    pub(crate) fn meet(self, behind: Self) -> bool {
        self.next == behind.first
    }
}

impl Stretches {
    /// A log that begins as such; `None` for another file, such as one that is compressed.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        Self::of(File::open(path).ok()?, STRETCH_LEN)
    }
}

impl<F: Read + Seek> Stretches<F> {
    fn of(mut file: F, each: u64) -> Option<Self> {
        let mut header = FILE_HEADER.map(|_| 0);
        file.read_exact(&mut header).ok()?;
        let count = file.seek(SeekFrom::End(0)).ok()?.div_ceil(each);
        (header == FILE_HEADER).then_some(Self { file: Mutex::new(file), each, count })
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Hands the records that begin in stretch `number` to `each`.
    ///
    /// # Errors
    /// When reading fails, at damage, and what `each` fails with.
    pub(crate) fn read(
        &self,
        number: u64,
        mut each: impl FnMut(&RawRecord<'_>) -> Result<()>,
    ) -> Result<Ends> {
        let at = number * self.each;
        let end = if number + 1 < self.count { at + self.each } else { u64::MAX };
        let place = Place { file: &self.file, at };
        let mut reader = Reader::from_block(StreamSource::new(place), at);
        let mut first = None;
        while let Some(record) = reader.next_record()? {
            let offset = record.span.offset;
            let first = *first.get_or_insert(offset);
            if offset >= end {
                return Ok(Ends { first: Some(first), next: Some(offset) });
            }
            each(&record)?;
        }
        Ok(Ends { first, next: None })
    }
}

/// A file that is read from a place of one's own.
struct Place<'a, F> {
    file: &'a Mutex<F>,
    at: u64,
}

impl<F: Read + Seek> Read for Place<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.at))?;
        let n = file.read(buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// So much that what is done once for each stretch costs little, and so little that a log worth several
/// threads has work for them.
const STRETCH_LEN: u64 = 64 * BLOCK_LEN as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::framing::block_log::{BlockEncoder, CHUNK_HEADER_LEN};
    use std::io::Cursor;

    type Records = Vec<(u64, Vec<u8>)>;

    fn in_one(log: &[u8]) -> Option<Records> {
        let mut reader = Reader::options().read_slice(log);
        let mut records = Records::new();
        while let Some(record) = reader.next_record().ok()? {
            records.push((record.span.offset, record.payload.to_vec()));
        }
        Some(records)
    }

    fn in_stretches(log: &[u8], blocks: u64) -> Option<Records> {
        let log = Stretches::of(Cursor::new(log), blocks * BLOCK_LEN as u64)?;
        let (mut records, mut before) = (Records::new(), None::<Ends>);
        for number in 0..log.count() {
            let keep = |record: &RawRecord<'_>| {
                records.push((record.span.offset, record.payload.to_vec()));
                Ok(())
            };
            let ends = log.read(number, keep).ok()?;
            assert!(before.is_none_or(|before| before.meet(ends)), "sound, and they do not meet");
            before = Some(ends);
        }
        Some(records)
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, below: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) as usize % below
        }
    }

    /// Records of all lengths, some over many blocks, some that leave 0 to 9 bytes of a block.
    fn log(random: &mut Random) -> Vec<u8> {
        let mut log = Vec::new();
        let mut encoder = BlockEncoder::new(&mut log);
        for _ in 0..random.below(60) {
            let left = BLOCK_LEN - log.len() % BLOCK_LEN;
            let length = match random.below(4) {
                0 => random.below(5 * BLOCK_LEN),
                1 => left.saturating_sub(CHUNK_HEADER_LEN + random.below(10)),
                _ => random.below(3000),
            };
            encoder.record(&vec![length as u8; length], &mut log);
        }
        log
    }

    fn shifted(random: &mut Random) -> Vec<u8> {
        let (mut log, mut encoder) = (Vec::new(), BlockEncoder::resume(0));
        (0..60).for_each(|_| _ = encoder.record(&vec![1; random.below(9000)], &mut log));
        log
    }

    #[test]
    fn a_sound_log_has_the_same_records_in_stretches() {
        let mut random = Random(1);
        for round in 0..200 {
            let log = log(&mut random);
            let want = in_one(&log);
            assert!(want.is_some(), "{round}");
            for blocks in [1, 2, 5] {
                assert!(in_stretches(&log, blocks) == want, "{round}, {blocks} blocks each");
            }
        }
    }

    /// Whatever is not sound is given up, or makes no difference.
    #[test]
    fn a_log_that_is_not_sound_has_the_same_records_or_none() {
        let mut random = Random(2);
        let (mut given_up, mut read) = (0, 0);
        for round in 0..2000 {
            let mut log = log(&mut random);
            let at = random.below(log.len());
            let block = at - at % BLOCK_LEN;
            match random.below(6) {
                0 => log.truncate(at),
                1 => log[at] ^= 1 << random.below(8),
                2 => drop(log.drain(block..log.len().min(block + BLOCK_LEN))),
                3 => log[block.max(FILE_HEADER.len())..].fill(0),
                4 => log.extend_from_within(block..),
                // As wandb-core before 0.17.6 counted blocks.
                _ => log = [&FILE_HEADER[..], &shifted(&mut random)].concat(),
            }
            if let Some(found) = in_stretches(&log, 1 + random.below(3) as u64) {
                assert!(Some(found) == in_one(&log), "{round}");
                read += 1;
            } else {
                given_up += 1;
            }
        }
        assert!(read > 200 && given_up > 200, "{read} were read, {given_up} given up");
    }

    #[test]
    fn what_is_no_plain_log_has_no_stretches() {
        assert!(Stretches::of(Cursor::new(b"\x1f\x8b\x08\0\0\0\0\0"), 1).is_none());
        assert!(Stretches::of(Cursor::new(b":W&B"), 1).is_none());
    }

    #[test]
    fn an_error_of_who_takes_the_records_ends_it() {
        let mut log = Vec::new();
        let mut encoder = BlockEncoder::new(&mut log);
        encoder.record(b"x", &mut log);
        let log = Stretches::of(Cursor::new(log), BLOCK_LEN as u64).unwrap();
        assert!(log.read(0, |_| Err(Error::misuse("enough"))).is_err());
    }
}
