//! Records to blocks.

use super::{BLOCK_LEN, CHUNK_HEADER_LEN, FILE_HEADER, FIRST, FULL, LAST, MIDDLE, left_in_block};
use crate::checksum::Crc32;

/// Frames records for a `.wandb` file.
///
/// The encoder only appends to the caller's buffer; it can go on where another writer stopped, also in
/// the middle of a block.
#[derive(Clone, Debug)]
pub struct BlockEncoder {
    offset: u64,
}

impl BlockEncoder {
    /// An encoder for a new file; appends the file header to `out`.
    pub fn new(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(&FILE_HEADER);
        Self { offset: FILE_HEADER.len() as u64 }
    }

    /// An encoder that goes on at the end of a file of `offset` bytes, which must end where a record
    /// ends.
    pub const fn resume(offset: u64) -> Self {
        Self { offset }
    }

    /// The length of the file with everything encoded so far.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Appends one record to `out` and returns the offset at which it starts in the file.
    pub fn record(&mut self, payload: &[u8], out: &mut Vec<u8>) -> u64 {
        let left = self.pad(out);
        let start = self.offset;
        if let Some(short) = payload.get(..).filter(|p| p.len() + CHUNK_HEADER_LEN <= left) {
            self.put(FULL, short, out);
            return start;
        }
        let (mut kind, mut rest) = (FIRST, payload);
        loop {
            let room = left_in_block(self.offset, 0) - CHUNK_HEADER_LEN;
            match rest.split_at_checked(room) {
                Some((part, after)) if !after.is_empty() => {
                    self.put(kind, part, out);
                    (kind, rest) = (MIDDLE, after);
                }
                _ => {
                    self.put(LAST, rest, out);
                    return start;
                }
            }
        }
    }

    /// Appends the record of a *full* chunk from another log, whose checksum was found right. Where it fits
    /// into the block it is the same chunk here, so its bytes are moved and not summed up again.
    pub fn chunk(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> u64 {
        let left = self.pad(out);
        if chunk.len() > left {
            return self.record(chunk.get(CHUNK_HEADER_LEN..).unwrap_or_default(), out);
        }
        let start = self.offset;
        out.extend_from_slice(chunk);
        self.offset += chunk.len() as u64;
        start
    }

    /// Fills a block in which no chunk can begin. What is left in the block then.
    #[inline]
    fn pad(&mut self, out: &mut Vec<u8>) -> usize {
        let left = left_in_block(self.offset, 0);
        if left >= CHUNK_HEADER_LEN {
            return left;
        }
        out.resize(out.len() + left, 0);
        self.offset += left as u64;
        BLOCK_LEN
    }

    fn put(&mut self, kind: u8, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&Crc32::of_chunk(kind, payload).0.to_le_bytes());
        out.extend_from_slice(&(payload.len() as u16).to_le_bytes());
        out.push(kind);
        out.extend_from_slice(payload);
        self.offset += (CHUNK_HEADER_LEN + payload.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_is_moved_is_the_record_of_its_payload() {
        let payload = vec![7; 3000];
        let mut chunk = Vec::new();
        BlockEncoder::resume(0).record(&payload, &mut chunk);
        for offset in
            (0..BLOCK_LEN as u64).step_by(613).chain(BLOCK_LEN as u64 - 3010..BLOCK_LEN as u64)
        {
            let (mut moved, mut encoded) =
                (BlockEncoder::resume(offset), BlockEncoder::resume(offset));
            let (mut to, mut want) = (Vec::new(), Vec::new());
            let starts = (moved.chunk(&chunk, &mut to), encoded.record(&payload, &mut want));
            assert_eq!((starts.0, moved.offset()), (starts.1, encoded.offset()), "{offset}");
            assert!(to == want, "{offset}");
        }
    }
}
