//! Finding the next record after damage.
//!
//! A header carries a checksum of its own, but bytes inside a payload may look like one, so what is found by looking
//! is taken for a record only if its data is sound as well. [`Marks`] tell the checksum of what any place claims to be
//! a record without walking it again, and so looking at every byte costs no more for a hostile file than for a sound
//! one.

use super::{HEADER_LEN, Header, TfRecordDecoder};
use crate::framing::{Fault, FaultKind, Gap, Step};

/// The search for the next readable record after damage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub(super) gap_start: u64,
    fault: Fault,
    /// The first place whose record would end behind the end of the file.
    unfinished: Option<u64>,
}

enum Found {
    Sound,
    /// A record of so many bytes, the data of which do not match their checksum.
    Damaged(usize),
    Unfinished,
    Nothing,
    More(usize),
}

impl TfRecordDecoder {
    /// Steps over a record with damaged data, or to what shows that bytes of it are missing.
    pub(super) fn step_over(
        &mut self,
        window: &[u8],
        whole: usize,
        kind: FaultKind,
        at_end: bool,
    ) -> Step {
        let Some(fits) = is_followed(window, whole, at_end) else {
            return Step::more(0, whole + HEADER_LEN);
        };
        match self.salvage(window.get(..whole).unwrap_or_default()) {
            Some(found) => self.pass(found, kind),
            None if fits => self.pass(whole, kind),
            None => self.start_search(kind),
        }
    }

    pub(super) fn pass(&mut self, length: usize, kind: FaultKind) -> Step {
        let offset = self.offset;
        self.offset += length as u64;
        Step::gap(length, Gap { offset, length: length as u64, fault: Fault { offset, kind } })
    }

    pub(super) fn start_search(&mut self, kind: FaultKind) -> Step {
        let fault = Fault { offset: self.offset, kind };
        self.search = Some(Search { gap_start: self.offset, fault, unfinished: None });
        self.offset += 1;
        Step::more(1, 0)
    }

    /// Moves on to the next sound record, or, if the file has none, to the first that may be unfinished.
    pub(super) fn search(&mut self, window: &[u8], at_end: bool) -> Step {
        let Some(mut search) = self.search else { return Step::more(0, 0) };
        let start = self.offset;
        let mut at = 0;
        let at = loop {
            let found = match self.find(window, at, at_end) {
                Found::Damaged(whole) => {
                    self.judge(window.get(at..).unwrap_or_default(), whole, at_end)
                }
                found => found,
            };
            match found {
                Found::Sound => break at,
                Found::Nothing if at >= window.len() => break search.end(start, at),
                Found::Nothing | Found::Damaged(_) => {}
                Found::Unfinished => {
                    search.unfinished.get_or_insert(start + at as u64);
                }
                Found::More(want) => {
                    self.search = Some(search);
                    self.offset = start + at as u64;
                    return Step::more(at, want);
                }
            }
            at += 1;
        };
        self.search = None;
        self.offset = start + at as u64;
        let length = self.offset - search.gap_start;
        Step::gap(at, Gap { offset: search.gap_start, length, fault: search.fault })
    }

    /// Where a whole sound record begins among the bytes that an unfinished or damaged record claims. If
    /// there is one, that record's length is forged, or bytes of it are missing.
    pub(super) fn salvage(&mut self, claimed: &[u8]) -> Option<usize> {
        (1..claimed.len()).find(|&at| matches!(self.find(claimed, at, true), Found::Sound))
    }

    /// Whether a sound record begins at byte `at` of a window at the decoder's offset.
    fn find(&mut self, window: &[u8], at: usize, at_end: bool) -> Found {
        let rest = window.get(at..).unwrap_or_default();
        let Some(header) = Header::read(rest) else {
            return if at_end { Found::Nothing } else { Found::More(HEADER_LEN) };
        };
        // A run of zeroes has no matching checksum, so it is passed over like any other bytes.
        if header.computed() != header.stored || header.length > self.record_limit {
            return Found::Nothing;
        }
        let Some(whole) = header.whole() else { return Found::Nothing };
        let Some((payload, footer)) = header.body(rest) else {
            return if at_end { Found::Unfinished } else { Found::More(whole) };
        };
        let data = at + HEADER_LEN..at + HEADER_LEN + payload.len();
        match self.marks.checksum(window, self.offset, data) == footer {
            true => Found::Sound,
            false => Found::Damaged(whole),
        }
    }

    /// What a damaged record is where data need not be sound: what follows it has to tell.
    fn judge(&self, rest: &[u8], whole: usize, at_end: bool) -> Found {
        match is_followed(rest, whole, at_end) {
            _ if self.checksums && !self.suspects => Found::Damaged(whole),
            Some(true) => Found::Sound,
            Some(false) => Found::Damaged(whole),
            None => Found::More(whole + HEADER_LEN),
        }
    }
}

impl Search {
    /// How far to move in a file without a sound record that ends `at` bytes behind `start`.
    fn end(&self, start: u64, at: usize) -> usize {
        let unfinished = self.unfinished.and_then(|place| place.checked_sub(start));
        unfinished.map_or(at, |place| place as usize)
    }
}

/// Whether a header, or the end of the file, follows a record of `whole` bytes; `None` if more bytes have to tell.
fn is_followed(window: &[u8], whole: usize, at_end: bool) -> Option<bool> {
    let behind = window.get(whole..).unwrap_or_default();
    match Header::read(behind) {
        Some(next) => Some(next.computed() == next.stored),
        None if at_end => Some(behind.is_empty()),
        None => None,
    }
}
