//! Finding the next record after damage.
//!
//! The checksum of a chunk covers its type and its payload, which stand next to each other. So once the
//! bytes were walked, [`Stretches`] tells the checksum of what any place claims to be a chunk in constant
//! time, and looking at every byte costs no more for a hostile file than for a sound one.

use super::{
    BLOCK_LEN, BlockDecoder, CHUNK_HEADER_LEN, ChunkHeader, FIRST, FULL, LAST, Look, MIDDLE,
    SHIFTED_BASE, is_zero, left_in_block,
};
use crate::checksum::Stretches;
use crate::framing::{Fault, FaultKind, Gap, Step};

/// The search for the next readable chunk after damage.
#[derive(Clone, Debug)]
pub(super) struct Search {
    pub(super) gap_start: u64,
    fault: Fault,
    /// Where `stretches` begins.
    anchor: u64,
    stretches: Stretches,
}

enum Found {
    Start,
    Skip(usize),
    More(usize),
    End,
}

impl BlockDecoder {
    /// At the end of the file, a chunk that wants more bytes than there are is either cut off or has a
    /// damaged length: it is damaged if another chunk begins among the bytes it claims.
    pub(super) fn salvage(&self, rest: &[u8]) -> Option<FaultKind> {
        let header = ChunkHeader::read(rest)?;
        let room = (rest.len() - CHUNK_HEADER_LEN) as u16;
        let kind = FaultKind::ChunkLength { claimed: header.length, room };
        let mut probe = self.clone();
        let step = probe.start_search(0, kind, 1);
        probe.search(rest, step.consumed, true);
        (probe.offset < self.offset + rest.len() as u64).then_some(kind)
    }

    /// Begins the search `skip` bytes on; what the decoder had of an open record belongs to the gap.
    pub(super) fn start_search(&mut self, at: usize, kind: FaultKind, skip: usize) -> Step {
        let gap_start = self.open.take().map_or(self.offset, |open| open.start);
        let fault = Fault { offset: self.offset, kind };
        self.offset += skip as u64;
        let stretches = Stretches::default();
        self.search = Some(Search { gap_start, fault, anchor: self.offset, stretches });
        Step::more(at + skip, 0)
    }

    /// Moves on to the next sound *full* or *first* chunk.
    pub(super) fn search(&mut self, window: &[u8], mut at: usize, at_end: bool) -> Step {
        let Some(mut search) = self.search.take() else { return Step::more(at, 0) };
        loop {
            let rest = window.get(at..).unwrap_or_default();
            let skip = match self.find(rest, at_end, &mut search) {
                Found::Start => {
                    self.adrift = true;
                    return Step::gap(at, self.gap_to_here(&search));
                }
                Found::More(n) => {
                    self.search = Some(search);
                    return Step::more(at, n);
                }
                Found::End => {
                    self.offset += rest.len() as u64;
                    return Step::gap(at + rest.len(), self.gap_to_here(&search));
                }
                Found::Skip(n) => n.min(rest.len()),
            };
            at += skip;
            self.offset += skip as u64;
        }
    }

    const fn gap_to_here(&self, search: &Search) -> Gap {
        Gap {
            offset: search.gap_start,
            length: self.offset - search.gap_start,
            fault: search.fault,
        }
    }

    /// Whether a sound chunk begins at the decoder's offset.
    fn find(&mut self, rest: &[u8], at_end: bool, search: &mut Search) -> Found {
        let Some(header) = ChunkHeader::read(rest) else {
            return if at_end { Found::End } else { Found::More(CHUNK_HEADER_LEN) };
        };
        let Some(whole) = header.whole() else { return Found::Skip(1) };
        let Some(chunk) = rest.get(..whole) else {
            return if at_end { Found::Skip(1) } else { Found::More(whole) };
        };
        if !search.is_sound(&header, chunk, self.offset) {
            return Found::Skip(1);
        }
        if matches!(header.kind, FULL | FIRST) {
            self.settle(&header, self.offset, whole);
            return Found::Start;
        }
        Found::Skip(whole)
    }

    /// After damage: a sound chunk right here, or behind the padding of a block, wherever blocks begin;
    /// `None` if there is none.
    pub(super) fn look_anywhere(&mut self, rest: &[u8], at_end: bool) -> Option<Look> {
        for padding in 0..CHUNK_HEADER_LEN {
            if !is_zero(rest.get(..padding)?) {
                return None;
            }
            let rest = rest.get(padding..)?;
            let Some(header) = ChunkHeader::read(rest) else {
                return (!at_end).then_some(Look::More(padding + CHUNK_HEADER_LEN));
            };
            let Some(whole) = header.whole() else { continue };
            let Some(payload) = rest.get(CHUNK_HEADER_LEN..whole) else {
                if at_end {
                    continue;
                }
                return Some(Look::More(padding + whole));
            };
            if header.computed(payload) == header.crc {
                self.settle(&header, self.offset + padding as u64, whole);
                let (kind, length) = (header.kind, payload.len());
                return Some(match padding {
                    0 => Look::Chunk { kind, length },
                    _ => Look::Skip(padding),
                });
            }
        }
        None
    }

    /// Learns from a sound chunk where blocks begin: a record that goes on fills its block to the end.
    fn settle(&mut self, header: &ChunkHeader, start: u64, whole: usize) {
        let fits = |base| whole <= left_in_block(start, base);
        let ends_block = |base| whole == left_in_block(start, base);
        let goes_on = matches!(header.kind, FIRST | MIDDLE);
        if if goes_on { ends_block(self.base) } else { fits(self.base) } {
            return;
        }
        self.base = if goes_on {
            (start + whole as u64) % BLOCK_LEN as u64
        } else if !self.base_is_certain && self.base == 0 && fits(SHIFTED_BASE) {
            SHIFTED_BASE
        } else {
            start % BLOCK_LEN as u64
        };
        self.base_is_certain = true;
    }
}

impl Search {
    /// Whether the checksum of `chunk`, which stands at `offset`, is right.
    fn is_sound(&mut self, header: &ChunkHeader, chunk: &[u8], offset: u64) -> bool {
        if offset > self.anchor + self.stretches.len() as u64 {
            self.anchor = offset;
            self.stretches = Stretches::default();
        }
        if offset - self.anchor >= BLOCK_LEN as u64 {
            self.stretches.forget(BLOCK_LEN);
            self.anchor += BLOCK_LEN as u64;
        }
        let start = (offset - self.anchor) as usize;
        let unseen = self.stretches.len().saturating_sub(start);
        self.stretches.walk(chunk.get(unseen..).unwrap_or_default());
        let covered = start + CHUNK_HEADER_LEN - 1..start + chunk.len();
        self.stretches.checksum(covered) == Some(header.crc)
    }
}

impl ChunkHeader {
    /// Bytes of the whole chunk, if it can be one.
    fn whole(&self) -> Option<usize> {
        let whole = CHUNK_HEADER_LEN + usize::from(self.length);
        (matches!(self.kind, FULL..=LAST) && whole <= BLOCK_LEN).then_some(whole)
    }
}
