//! What a sync did: receipts.

use super::audit::Check;
use super::ledger::{ArtifactMark, FileMark, Ledger};
use serde::Serialize;
use std::path::PathBuf;

/// What became of a sync.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct SyncReport {
    /// The base URL of the server.
    pub server: String,
    /// The logs, in the order in which they were named.
    pub runs: Vec<RunReport>,
    /// What was named and could not be looked at.
    pub errors: Vec<String>,
}

impl SyncReport {
    /// Whether everything that was to be stored is stored.
    pub fn is_complete(&self) -> bool {
        self.errors.is_empty() && self.runs.iter().all(|run| run.status.is_fine())
    }

    /// Whether anything is stored, was already, or would be.
    pub fn has_stored(&self) -> bool {
        let stored = |status| {
            use RunStatus::{Already, Open, Partly, Planned, Synced};
            matches!(status, Synced | Already | Open | Partly | Planned)
        };
        self.runs.iter().any(|run| stored(run.status))
    }
}

/// The receipt of one log.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The log.
    pub log: PathBuf,
    /// How it ended.
    pub status: RunStatus,
    /// What is not stored, or why the log was left out.
    pub problems: Vec<String>,
    /// What is worth knowing, though it takes nothing away from what is stored: that another sync was at the run.
    pub notices: Vec<String>,
    /// The run's page.
    pub url: Option<String>,
    /// Entity, project and id of the run, as the server has them.
    pub run: Option<String>,
    /// The run's name, as the server has it.
    pub name: Option<String>,
    /// What the server was asked for afterwards.
    pub checks: Vec<Check>,
    /// What the log holds and the server has acknowledged.
    #[serde(flatten)]
    pub receipt: Receipt,
}

/// How the sync of a log ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RunStatus {
    /// Everything is stored, and the server knows that the run has ended, or another log of it goes on behind this.
    Synced,
    /// It was stored before, and nothing was sent.
    Already,
    /// It was left out, by a rule that a switch turns off.
    Skipped,
    /// It was only looked at.
    Planned,
    /// Everything in the log is stored, but the log has no end: the run is open on the server.
    Open,
    /// Part of it is stored.
    Partly,
    /// Nothing of it could be stored.
    Failed,
}

impl RunStatus {
    /// Whether there is nothing to complain about.
    pub const fn is_fine(self) -> bool {
        matches!(self, Self::Synced | Self::Already | Self::Skipped | Self::Planned)
    }
}

/// What of a log the server has acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Receipt {
    /// The length of the log in bytes, if all of its lines are stored; else 0.
    pub log_bytes: u64,
    /// Rows of history that are stored.
    pub rows: u64,
    /// The step of the last row that is stored.
    pub last_step: Option<i64>,
    /// Lines of system metrics.
    pub events: u64,
    /// Lines of console output.
    pub console_lines: u64,
    /// The files, those that are not stored among them.
    pub files: Vec<FileReport>,
    /// The artifacts, those that are not stored among them.
    pub artifacts: Vec<ArtifactReport>,
    /// Alerts that were sent.
    pub alerts: u64,
    /// The exit code the server was told.
    pub exit_code: Option<i32>,
}

impl Receipt {
    /// What a ledger says is stored.
    pub(super) fn of(ledger: &Ledger) -> Self {
        let places = ledger.places.unwrap_or_default();
        Self {
            log_bytes: ledger.stored,
            rows: places.history.acknowledged,
            last_step: ledger.last_step,
            events: places.events.acknowledged,
            console_lines: places.console.acknowledged,
            files: ledger.files.iter().map(FileReport::unchanged).collect(),
            artifacts: ledger.artifacts.values().cloned().map(ArtifactReport::unchanged).collect(),
            alerts: ledger.alerts,
            exit_code: ledger.complete,
        }
    }

    /// Whether anything at all is stored.
    pub fn has_any(&self) -> bool {
        let lines = self.rows + self.events + self.console_lines + self.alerts;
        lines > 0
            || self.exit_code.is_some()
            || self.files.iter().any(|file| file.status.is_stored())
            || self.artifacts.iter().any(|artifact| artifact.status.is_stored())
    }
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileReport {
    /// Its name below the run's files.
    pub name: String,
    /// Its size in bytes, if it could be read.
    pub size: Option<u64>,
    /// Its MD5, in hex, if it could be read.
    pub md5: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub status: FileStatus,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", content = "reason", rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileStatus {
    /// It was sent, and is stored.
    Stored,
    /// It was stored before.
    Unchanged,
    /// The log names it, but it is not there.
    Missing,
    /// It must not be read.
    Refused(String),
    /// It could not be read or sent.
    Failed(String),
}

impl FileStatus {
    /// Whether the server has the file.
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored | Self::Unchanged)
    }
}

impl FileReport {
    /// A file that was stored before.
    pub(super) fn unchanged((name, mark): (&String, &FileMark)) -> Self {
        let (size, md5) = (Some(mark.size), Some(mark.md5.clone()));
        Self { name: name.clone(), size, md5, status: FileStatus::Unchanged }
    }

    /// What is wrong, if anything.
    pub fn problem(&self) -> Option<String> {
        let name = &self.name;
        match &self.status {
            FileStatus::Stored | FileStatus::Unchanged => None,
            FileStatus::Missing => Some(format!("file {name:?} is named in the log and not there")),
            FileStatus::Refused(why) => Some(format!("file {name:?} was not read: {why}")),
            FileStatus::Failed(why) => Some(format!("file {name:?} is not stored: {why}")),
        }
    }
}

/// What became of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ArtifactReport {
    /// Which it is. It has an id, and a version, as soon as the server gave it one.
    #[serde(flatten)]
    pub artifact: ArtifactMark,
    /// What became of it.
    #[serde(flatten)]
    pub status: ArtifactStatus,
}

/// What became of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", content = "reason", rename_all = "lowercase")]
#[non_exhaustive]
pub enum ArtifactStatus {
    /// It was sent and committed.
    Stored,
    /// It was stored before.
    Unchanged,
    /// It is not stored.
    Failed(String),
}

impl ArtifactStatus {
    /// Whether the server has the artifact.
    pub const fn is_stored(&self) -> bool {
        matches!(self, Self::Stored | Self::Unchanged)
    }
}

impl ArtifactReport {
    /// An artifact that was stored before.
    pub(super) const fn unchanged(artifact: ArtifactMark) -> Self {
        Self { artifact, status: ArtifactStatus::Unchanged }
    }

    /// What is wrong, if anything.
    pub fn problem(&self) -> Option<String> {
        match &self.status {
            ArtifactStatus::Stored | ArtifactStatus::Unchanged => None,
            ArtifactStatus::Failed(why) => {
                Some(format!("artifact {:?} is not stored: {why}", self.artifact.name))
            }
        }
    }
}
