//! Folding a whole log.

use super::RunState;
use crate::error::Result;
use crate::framing::Tail;
use crate::io::GapReport;
use crate::log::{self, Reader};
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

/// Loads the log that `path` means, as [`log::locate`] has it: a `.wandb` file, a run directory, or a
/// directory of runs, whose latest it is. A lenient load leaves out what is damaged and says so in its
/// report.
///
/// # Errors
/// When there is no log, or it cannot be read or is none; at the first damage, unless lenient.
pub fn load(path: impl AsRef<Path>, lenient: bool) -> Result<(RunState, LoadReport)> {
    let path = &log::locate(path)?.path;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Columns;

    #[test]
    fn a_run_directory_means_its_log() {
        let dir = "fixtures/wandb/0.31.0/minimal";
        let (by_dir, _) = load(dir, false).unwrap();
        let (by_file, _) = load(format!("{dir}/run-minimal1.wandb"), false).unwrap();
        assert_eq!(by_dir.info().run_id(), by_file.info().run_id());
        assert_eq!(Columns::read(dir).unwrap().rows(), 1);
        // As `unwrap` would show it.
        let error = format!("{:?}", load("no/such/run", false).unwrap_err());
        assert_eq!(error, "no such path: no/such/run");
    }
}
