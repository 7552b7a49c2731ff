//! What packing did.

use serde::Serialize;
use std::path::PathBuf;

/// What became of packing.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct PackReport {
    /// The logs, by path.
    pub runs: Vec<PackedRun>,
    /// What was named and could not be looked at.
    pub errors: Vec<String>,
}

impl PackReport {
    /// Whether everything that was to be packed is packed.
    pub fn is_complete(&self) -> bool {
        let is_lost =
            |run: &PackedRun| matches!(run.status, PackStatus::Partly | PackStatus::Failed);
        self.errors.is_empty() && !self.runs.iter().any(is_lost)
    }

    /// Whether anything is in the pack.
    pub fn has_packed(&self) -> bool {
        use PackStatus::{Packed, Partly, Unchanged};
        self.runs.iter().any(|run| matches!(run.status, Packed | Unchanged | Partly))
    }
}

/// What became of a log.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PackedRun {
    /// The log.
    pub log: PathBuf,
    /// How it ended.
    pub status: PackStatus,
    /// What is not packed, or why the log was left out.
    pub problems: Vec<String>,
    /// Entity, project and id of the run, as far as they are known; the server may choose the first two.
    pub run: Option<String>,
    /// Where it is in the pack.
    pub packed: Option<PathBuf>,
    /// Bytes of the log, up to its last whole record.
    pub log_bytes: u64,
    /// The files, those of artifacts included.
    pub files: Vec<PackedFile>,
    /// Bytes of log and files that were copied now.
    pub copied: u64,
}

impl PackedRun {
    pub(super) const fn new(log: PathBuf, status: PackStatus) -> Self {
        Self {
            log,
            status,
            problems: Vec::new(),
            run: None,
            packed: None,
            log_bytes: 0,
            files: Vec::new(),
            copied: 0,
        }
    }
}

/// A file that is packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PackedFile {
    /// Its name below the run's files, or its path as the log has it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// How the packing of a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PackStatus {
    /// All that it needs is in the pack.
    Packed,
    /// It was in the pack before, and nothing has changed.
    Unchanged,
    /// It was left out, by a rule that a switch turns off.
    Skipped,
    /// It was only looked at.
    Planned,
    /// Something that it names is not in the pack.
    Partly,
    /// It is not in the pack, or an earlier state of it is.
    Failed,
}
