//! How bytes become records: one state machine per format, which does no I/O.
//!
//! A [`Decoder`] is shown a *window* (the bytes from its position on, as many as there happen to be)
//! and answers with one [`Step`]: how many bytes it is done with, and either an event or how large the
//! window must grow. Events hold positions, never borrows, so that a driver can refill its buffer
//! between steps. The answer depends on the bytes alone, not on how they were split into windows.

pub mod block_log;
mod fault;
pub mod tfrecord;

pub use fault::{Fault, FaultKind, Gap, Tail, TailKind};

use std::ops::Range;

/// A state machine that cuts a stream of bytes into records.
pub trait Decoder {
    /// Looks at `window`, which starts at [`Self::position`].
    ///
    /// `at_end` says that no byte will ever follow the window. Without it the machine never concludes
    /// that something is cut off, so a growing file can be followed by asking again.
    fn step(&mut self, window: &[u8], at_end: bool) -> Step;

    /// Absolute offset of the next byte the machine wants to see.
    fn position(&self) -> u64;

    /// Takes records for damage from now on that are longer than this, if it takes records in pieces.
    fn limit(&mut self, _record_len: u64) {}

    /// How the stream ends if `window` is all that is left; asked after [`Next::More`].
    fn tail(&self, window: &[u8]) -> Tail;
}

/// What a decoder did with a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Bytes at the front of the window that are done with.
    pub consumed: usize,
    /// What was found, or what is missing.
    pub next: Next,
}

impl Step {
    const fn more(consumed: usize, window: usize) -> Self {
        Self { consumed, next: Next::More(window) }
    }

    const fn piece(consumed: usize, piece: Piece) -> Self {
        Self { consumed, next: Next::Piece(piece) }
    }

    const fn gap(consumed: usize, gap: Gap) -> Self {
        Self { consumed, next: Next::Gap(gap) }
    }
}

/// The outcome of a step. Complete: a driver handles all three.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a driver must handle each of them")]
pub enum Next {
    /// A piece of a record.
    Piece(Piece),
    /// Bytes that hold no record were passed over; pieces of an unfinished record are to be forgotten.
    Gap(Gap),
    /// The window, after dropping the consumed bytes, must hold at least this many bytes.
    More(usize),
}

/// A checked piece of a record: all of it when both `first` and `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Absolute offset at which the record starts.
    pub record: u64,
    /// Where the piece lies in the window it was found in.
    pub payload: Range<usize>,
    /// Whether this is the record's first piece.
    pub first: bool,
    /// Whether this piece completes the record.
    pub last: bool,
}

/// Where a record stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Span {
    /// Absolute offset of the record's first byte, its framing included.
    pub offset: u64,
    /// Bytes it takes in the file, its framing included.
    pub length: u64,
}
