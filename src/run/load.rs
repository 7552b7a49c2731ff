//! Folding a whole log.

use super::RunState;
use crate::error::Result;
use crate::framing::Tail;
use crate::io::GapReport;
use crate::log::Reader;
use std::path::Path;

/// What became of the records of a log that was loaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoadReport {
    /// Records that were applied, or passed over because this crate knows no such kind.
    pub records: u64,
    /// Records that were left out, because their bytes are not what they should be.
    pub undecodable: u64,
    /// Bytes that hold no record.
    pub gaps: GapReport,
    /// How the log ends.
    pub tail: Option<Tail>,
}

impl LoadReport {
    /// Whether anything was left out. A log that is cut off has lost nothing that was in it.
    pub const fn is_lossy(&self) -> bool {
        self.undecodable > 0 || self.gaps.is_lossy()
    }
}

/// Loads the log `path`. A lenient load leaves out what is damaged and says so in its report.
///
/// # Errors
/// When the file cannot be read or is no log; at the first damage, unless lenient.
pub fn load(path: impl AsRef<Path>, lenient: bool) -> Result<(RunState, LoadReport)> {
    let path = path.as_ref();
    let mut reader = Reader::options().lenient(lenient).open(path)?;
    let mut run = RunState::default();
    let (mut records, mut undecodable) = (0, 0);
    while let Some(record) = reader.next_record()? {
        match run.apply(&record) {
            Ok(()) => records += 1,
            Err(_) if lenient => undecodable += 1,
            Err(error) => return Err(error.at(path)),
        }
    }
    let (gaps, tail) = (reader.gaps().clone(), reader.tail());
    Ok((run, LoadReport { records, undecodable, gaps, tail }))
}
