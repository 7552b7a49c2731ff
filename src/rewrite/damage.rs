//! What could not be read of a log that is rewritten.

use crate::framing::Tail;
use crate::io::{GapReport, Source};
use crate::log::Reader;

/// What could not be read of a log.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Damage {
    /// Bytes that hold no record.
    pub gaps: GapReport,
    /// Records whose bytes are not what they should be.
    pub undecodable: u64,
    /// How the log ends; within a record if its run was killed.
    pub tail: Option<Tail>,
}

impl Damage {
    /// Whether anything that was in the log is lost. The unfinished end of a log was never whole.
    pub const fn is_lossy(&self) -> bool {
        self.gaps.is_lossy() || self.undecodable > 0
    }

    /// Takes over what a reader that has reached the end passed over.
    pub(crate) fn note<S: Source>(&mut self, reader: &Reader<S>) {
        self.gaps = reader.gaps().clone();
        self.tail = reader.tail();
    }
}
