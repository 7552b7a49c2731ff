//! The `.wandb` transaction log: LevelDB's block log with W&B's header and checksum.
//!
//! ```text
//! file    = header, blocks of 32768 bytes counted from file offset 0 (the header lies inside block 0)
//! header  = ":W&B"  e1 be (0xbee1, little-endian)  00 (version)
//! block   = chunk*, then zero padding when fewer than 7 bytes are left
//! chunk   = crc u32 | length u16 | type u8 | payload        (little-endian)
//! crc     = CRC-32 (IEEE, not masked) over type and payload
//! type    = 1 full, 2 first, 3 middle, 4 last: a record is one full, or first middle* last
//! ```
//!
//! When exactly 7 bytes are left in a block, writers put a *first* chunk of length 0 there.
//! wandb-core before 0.17.6 did not count the header, so its blocks begin at 7 + 32768·k. Up to its
//! first error such a file reads the same either way; at that error the decoder tries the shifted
//! layout, and keeps it if a valid chunk stands there.
//!
//! After damage the decoder looks for the next place where a chunk with a matching checksum begins, at
//! every byte, across blocks. That finds the record right after a flipped bit, where skipping to the
//! next block (what W&B's own reader does) would lose up to 32 KiB. From then on it takes blocks to begin
//! wherever the chunks it finds say, for bytes may have been lost or have come in between.

mod encoder;
mod search;

pub use encoder::BlockEncoder;

use super::{Decoder, Fault, FaultKind, Gap, Piece, Step, Tail, TailKind};
use crate::checksum::Crc32;
use crate::cursor::Cursor;
use search::Search;

/// Bytes of a block.
pub const BLOCK_LEN: usize = 32768;

/// Bytes of a chunk header.
pub const CHUNK_HEADER_LEN: usize = 7;

/// The 7 bytes every `.wandb` file starts with.
pub const FILE_HEADER: [u8; 7] = *b":W&B\xe1\xbe\x00";

/// Cuts a `.wandb` file into records.
#[derive(Clone, Debug)]
pub struct BlockDecoder {
    offset: u64,
    /// Where block boundaries are counted from: 0, or 7 in files of wandb-core before 0.17.6.
    base: u64,
    /// A chunk has been read that only the present base allows.
    base_is_certain: bool,
    /// There was damage, so blocks may begin anywhere; the base is where the last chunks put it.
    adrift: bool,
    header_read: bool,
    any_header: bool,
    /// It began at a block in the midst of the file, and no record has begun since.
    midway: bool,
    open: Option<OpenRecord>,
    search: Option<Search>,
    record_limit_given: u64,
    record_limit: u64,
    checksums: bool,
}

/// A record whose first chunk has been read and whose last has not.
#[derive(Clone, Copy, Debug)]
struct OpenRecord {
    start: u64,
    length: u64,
}

/// What stands at a place where a chunk may begin.
enum Look {
    Chunk {
        kind: u8,
        length: usize,
    },
    /// Padding, or a zeroed block.
    Skip(usize),
    /// The stream ends before this can be told.
    Cut(usize),
    More(usize),
    Bad(FaultKind),
}

impl BlockDecoder {
    /// A decoder at the start of a file. Records longer than `record_limit` bytes become gaps.
    pub const fn new(record_limit: u64) -> Self {
        Self {
            offset: 0,
            base: 0,
            base_is_certain: false,
            adrift: false,
            header_read: false,
            any_header: false,
            midway: false,
            open: None,
            search: None,
            record_limit_given: record_limit,
            record_limit,
            checksums: true,
        }
    }

    /// A decoder at the block that begins at `offset`, where blocks are counted from 0. The end of a record
    /// that began before is passed over.
    pub(crate) const fn from_block(offset: u64, record_limit: u64) -> Self {
        let mut decoder = Self::new(record_limit);
        if offset > 0 {
            decoder.offset = offset;
            decoder.header_read = true;
            decoder.base_is_certain = true;
            decoder.midway = true;
        }
        decoder
    }

    /// Whether checksums are verified (they are by default). Without them damage goes unnoticed.
    pub const fn checksums(mut self, verify: bool) -> Self {
        self.checksums = verify;
        self
    }

    /// Whether checksums are verified.
    pub(crate) const fn verifies(&self) -> bool {
        self.checksums
    }

    /// Whether a file header that is damaged or not there is damage like any other, behind which records
    /// are looked for. By default it makes the file one of another kind. That a sound header gives an
    /// unknown version always does.
    pub const fn any_header(mut self, accept: bool) -> Self {
        self.any_header = accept;
        self
    }

    /// Where block boundaries are counted from: 7 for files of wandb-core before 0.17.6, else 0; behind
    /// damage it may be anything.
    pub const fn block_base(&self) -> u64 {
        self.base
    }

    fn read_header(&mut self, window: &[u8]) -> Step {
        let Some(header) = window.first_chunk::<7>() else {
            return Step::more(0, FILE_HEADER.len());
        };
        self.header_read = true;
        let [a, b, c, d, lo, hi, version] = *header;
        let magic = u16::from_le_bytes([lo, hi]);
        if self.any_header && header.first_chunk::<6>() != FILE_HEADER.first_chunk::<6>() {
            // What stands there may as well be the beginning of a chunk.
            return self.start_search(0, FaultKind::FileHeader { got: *header }, 0);
        }
        self.offset = 7;
        let kind = if !header.starts_with(b":W&B") {
            FaultKind::NotALog { got: [a, b, c, d] }
        } else if magic != 0xbee1 {
            FaultKind::HeaderMagic { got: magic }
        } else if version != 0 {
            FaultKind::Version { got: version }
        } else {
            return Step::more(7, 0);
        };
        Step::gap(7, Gap { offset: 0, length: 7, fault: Fault { offset: 0, kind } })
    }

    /// Reads the chunk at `window[at..]`; `at` is what earlier parts of this step consumed.
    fn read_chunk(&mut self, window: &[u8], at: usize, at_end: bool) -> Step {
        let rest = window.get(at..).unwrap_or_default();
        if self.adrift {
            match self.look_anywhere(rest, at_end) {
                Some(Look::Chunk { kind, length }) => return self.take_chunk(at, kind, length),
                Some(Look::Skip(n)) => {
                    self.offset += n as u64;
                    return Step::more(at + n, 0);
                }
                Some(Look::More(n)) => return Step::more(at, n),
                _ => {}
            }
        }
        match self.look(rest, self.base, at_end) {
            Look::Chunk { kind, length } => self.take_chunk(at, kind, length),
            Look::Skip(n) => {
                self.offset += n as u64;
                Step::more(at + n, 0)
            }
            Look::More(n) => Step::more(at, n),
            Look::Cut(n) => match self.salvage(rest) {
                Some(kind) => self.start_search(at, kind, 1),
                None => Step::more(at, n),
            },
            Look::Bad(kind) => match self.look_for_shifted_blocks(rest, at_end) {
                Look::Chunk { .. } => {
                    self.base = SHIFTED_BASE;
                    self.base_is_certain = true;
                    Step::more(at, 0)
                }
                Look::More(n) => Step::more(at, n),
                _ => self.start_search(at, kind, 1),
            },
        }
    }

    fn take_chunk(&mut self, at: usize, kind: u8, length: usize) -> Step {
        let starts = matches!(kind, FULL | FIRST);
        let chunk_start = self.offset;
        let open = match (self.open, starts) {
            (None, true) => OpenRecord { start: chunk_start, length: 0 },
            (Some(open), false) => open,
            (Some(open), true) => {
                self.open = None;
                let fault = Fault { offset: chunk_start, kind: FaultKind::Unfinished };
                let gap = Gap { offset: open.start, length: chunk_start - open.start, fault };
                return Step::gap(at, gap);
            }
            (None, false) if self.midway => {
                self.midway = kind != LAST;
                self.offset += (CHUNK_HEADER_LEN + length) as u64;
                return Step::more(at + CHUNK_HEADER_LEN + length, 0);
            }
            (None, false) => {
                return self.start_search(at, FaultKind::Orphan, CHUNK_HEADER_LEN + length);
            }
        };
        self.midway = false;
        let whole = open.length + length as u64;
        if whole > self.record_limit {
            self.open = Some(open);
            let limit = self.record_limit;
            let kind = FaultKind::RecordTooLarge { claimed: whole, limit };
            return self.start_search(at, kind, CHUNK_HEADER_LEN + length);
        }
        let end = chunk_start + (CHUNK_HEADER_LEN + length) as u64;
        if !self.base_is_certain && self.base == 0 && crosses_block(chunk_start, end, SHIFTED_BASE)
        {
            self.base_is_certain = true;
        }
        self.offset = end;
        let last = matches!(kind, FULL | LAST);
        self.open = (!last).then_some(OpenRecord { start: open.start, length: whole });
        let from = at + CHUNK_HEADER_LEN;
        let payload = from..from + length;
        Step::piece(from + length, Piece { record: open.start, payload, first: starts, last })
    }

    /// Classifies the bytes at the decoder's offset, with blocks counted from `base`.
    fn look(&self, rest: &[u8], base: u64, at_end: bool) -> Look {
        let left = left_in_block(self.offset, base);
        if left < CHUNK_HEADER_LEN {
            return match rest.get(..left) {
                Some(padding) if is_zero(padding) => Look::Skip(left),
                None if !at_end => Look::More(left),
                None if is_zero(rest) => skip_or_end(rest),
                _ => Look::Bad(FaultKind::Padding),
            };
        }
        let Some(header) = ChunkHeader::read(rest) else {
            return match at_end {
                false => Look::More(CHUNK_HEADER_LEN),
                true if is_zero(rest) => skip_or_end(rest),
                true => Look::Cut(CHUNK_HEADER_LEN),
            };
        };
        if header.is_zero() {
            return self.look_at_zeroes(rest, left, at_end);
        }
        if !matches!(header.kind, FULL..=LAST) {
            return Look::Bad(FaultKind::ChunkType { got: header.kind });
        }
        let whole = CHUNK_HEADER_LEN + usize::from(header.length);
        if whole > left {
            let room = (left - CHUNK_HEADER_LEN) as u16;
            return Look::Bad(FaultKind::ChunkLength { claimed: header.length, room });
        }
        let Some(payload) = rest.get(CHUNK_HEADER_LEN..whole) else {
            return if at_end { Look::Cut(whole) } else { Look::More(whole) };
        };
        if self.checksums {
            let computed = header.computed(payload);
            if computed != header.crc {
                return Look::Bad(FaultKind::ChunkChecksum { stored: header.crc, computed });
            }
        }
        Look::Chunk { kind: header.kind, length: payload.len() }
    }

    /// An all-zero chunk header: a preallocated or zeroed block if zeroes fill it to its end.
    fn look_at_zeroes(&self, rest: &[u8], left: usize, at_end: bool) -> Look {
        match rest.get(..left) {
            None if !at_end => Look::More(left),
            block => {
                let block = block.unwrap_or(rest);
                if is_zero(block) && self.open.is_none() {
                    Look::Skip(block.len())
                } else {
                    Look::Bad(FaultKind::Zeroed)
                }
            }
        }
    }

    /// Whether the place the present base cannot explain is a chunk with blocks counted from 7.
    fn look_for_shifted_blocks(&self, rest: &[u8], at_end: bool) -> Look {
        if self.base_is_certain || self.base != 0 {
            return Look::Cut(0);
        }
        let left = left_in_block(self.offset, SHIFTED_BASE);
        if left >= CHUNK_HEADER_LEN {
            return self.look(rest, SHIFTED_BASE, at_end);
        }
        match rest.get(..left) {
            Some(padding) if is_zero(padding) => {
                let mut after = self.clone();
                after.offset += left as u64;
                after.look(rest.get(left..).unwrap_or_default(), SHIFTED_BASE, at_end)
            }
            Some(_) => Look::Cut(0),
            None if at_end => Look::Cut(0),
            None => Look::More(left + CHUNK_HEADER_LEN),
        }
    }
}

impl Decoder for BlockDecoder {
    fn step(&mut self, window: &[u8], at_end: bool) -> Step {
        if !self.header_read {
            return self.read_header(window);
        }
        if self.search.is_some() {
            return self.search(window, 0, at_end);
        }
        self.read_chunk(window, 0, at_end)
    }

    fn position(&self) -> u64 {
        self.offset
    }

    fn limit(&mut self, record_len: u64) {
        self.record_limit = self.record_limit_given.min(record_len);
    }

    fn tail(&self, window: &[u8]) -> Tail {
        let end = self.offset + window.len() as u64;
        let tail = |offset, kind| Tail { offset, length: end - offset, kind };
        if !self.header_read {
            let kind = if window.is_empty() { TailKind::Empty } else { TailKind::FileHeader };
            return tail(0, kind);
        }
        if let Some(search) = &self.search {
            return tail(search.gap_start, TailKind::Payload);
        }
        let kind = match (window.len(), &self.open) {
            (0, None) => TailKind::Clean,
            (0, Some(_)) => TailKind::Record,
            (1..CHUNK_HEADER_LEN, _) => TailKind::RecordHeader,
            _ => TailKind::Payload,
        };
        tail(self.open.map_or(self.offset, |open| open.start), kind)
    }
}

struct ChunkHeader {
    crc: Crc32,
    length: u16,
    kind: u8,
}

impl ChunkHeader {
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let crc = Crc32(cursor.u32_le()?);
        Some(Self { crc, length: cursor.u16_le()?, kind: cursor.u8()? })
    }

    #[inline]
    fn computed(&self, payload: &[u8]) -> Crc32 {
        Crc32::of_chunk(self.kind, payload)
    }

    const fn is_zero(&self) -> bool {
        self.crc.0 == 0 && self.length == 0 && self.kind == 0
    }
}

const fn left_in_block(offset: u64, base: u64) -> usize {
    BLOCK_LEN - (offset.wrapping_sub(base) % BLOCK_LEN as u64) as usize
}

fn crosses_block(start: u64, end: u64, base: u64) -> bool {
    end - start > left_in_block(start, base) as u64
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Zeroes at the very end of the file are passed over; none at all is the end.
const fn skip_or_end(rest: &[u8]) -> Look {
    if rest.is_empty() { Look::Cut(CHUNK_HEADER_LEN) } else { Look::Skip(rest.len()) }
}

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Where wandb-core before 0.17.6 counted blocks from.
const SHIFTED_BASE: u64 = 7;
