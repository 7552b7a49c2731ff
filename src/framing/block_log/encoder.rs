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
        let mut left = left_in_block(self.offset, 0);
        if left < CHUNK_HEADER_LEN {
            out.resize(out.len() + left, 0);
            self.offset += left as u64;
            left = BLOCK_LEN;
        }
        let start = self.offset;
        if let Some(short) = payload.get(..).filter(|p| p.len() + CHUNK_HEADER_LEN <= left) {
            self.chunk(FULL, short, out);
            return start;
        }
        let (mut kind, mut rest) = (FIRST, payload);
        loop {
            let room = left_in_block(self.offset, 0) - CHUNK_HEADER_LEN;
            match rest.split_at_checked(room) {
                Some((part, after)) if !after.is_empty() => {
                    self.chunk(kind, part, out);
                    (kind, rest) = (MIDDLE, after);
                }
                _ => {
                    self.chunk(LAST, rest, out);
                    return start;
                }
            }
        }
    }

    fn chunk(&mut self, kind: u8, payload: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(&Crc32::of_chunk(kind, payload).0.to_le_bytes());
        out.extend_from_slice(&(payload.len() as u16).to_le_bytes());
        out.push(kind);
        out.extend_from_slice(payload);
        self.offset += (CHUNK_HEADER_LEN + payload.len()) as u64;
    }
}
