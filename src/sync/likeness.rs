//! How two logs are to each other that say they are the same part of a run: one may be a copy of the other, made
//! earlier, compressed or damaged since.
//!
//! Compared are the records that can be read, by number and bytes. What only one of the logs has, the other one may
//! have lost; records of one number that are sound in both and differ were written by two.

use crate::error::Result;
use crate::log::Reader;
use crate::record::RawRecord;
use std::cmp::{Ordering, Reverse};
use std::path::Path;

/// How two logs are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// They have records that cannot both be the run's.
    Contradictory,
    /// What each of them holds.
    Copies(Held, Held),
}

/// What one of two copies holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Records that can be read.
    records: u64,
    /// Those that the other copy has not.
    pub(super) alone: u64,
    /// Places that hold no record.
    gaps: u64,
    /// It ends where a record ends.
    is_clean: bool,
}

impl Held {
    /// The higher, the better the copy: the more can be read, then the sounder it is.
    pub(super) const fn rank(&self) -> (u64, Reverse<u64>, bool) {
        (self.records, Reverse(self.gaps), self.is_clean)
    }

    pub(super) const fn is_damaged(&self) -> bool {
        self.gaps > 0
    }
}

impl Likeness {
    /// Compares two logs, however they are compressed and whatever their blocks.
    pub(super) fn of(first: &Path, second: &Path) -> Result<Self> {
        let mut one = Reader::options().lenient(true).open(first)?;
        let mut other = Reader::options().lenient(true).open(second)?;
        let (mut first, mut second) = (Held::default(), Held::default());
        let (mut left, mut right) = (one.next_record()?, other.next_record()?);
        while left.is_some() || right.is_some() {
            let Some(order) = order(left.as_ref(), right.as_ref()) else {
                return Ok(Self::Contradictory);
            };
            if order.is_le() {
                first.count(order.is_eq());
                left = one.next_record()?;
            }
            if order.is_ge() {
                second.count(order.is_eq());
                right = other.next_record()?;
            }
        }
        Ok(Self::Copies(first.read(&one), second.read(&other)))
    }
}

impl Held {
    fn count(&mut self, is_in_both: bool) {
        self.records += 1;
        self.alone += u64::from(!is_in_both);
    }

    /// With what is known of a log that was read to its end.
    fn read(self, log: &Reader) -> Self {
        let is_clean = log.tail().is_some_and(|tail| tail.is_clean());
        Self { gaps: log.gaps().count(), is_clean, ..self }
    }
}

/// Which of two records comes first in a run, or that they are the same; `None` if they contradict each other.
fn order(left: Option<&RawRecord<'_>>, right: Option<&RawRecord<'_>>) -> Option<Ordering> {
    match (left, right) {
        (Some(a), Some(b)) if a.payload == b.payload => Some(Ordering::Equal),
        (Some(a), Some(b)) => Some(number(a).cmp(&number(b))).filter(|order| order.is_ne()),
        (Some(_), None) => Some(Ordering::Less),
        (None, _) => Some(Ordering::Greater),
    }
}

/// The record's number; 0 where records have none, so that of such logs only those are copies of which one begins
/// as the other.
fn number(record: &RawRecord<'_>) -> i64 {
    record.as_row().map_or_else(|| record.num().unwrap_or(0), |(number, _)| number)
}
