//! What a conversion did.

use crate::convert::report::{path_text, some_path_text};
use crate::error::Error;
use crate::tfevents::Skipped;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a conversion did, run by run.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ConvertReport {
    /// The runs, in the order of the log directories and of their names.
    pub runs: Vec<RunReport>,
    /// Log directories that could not be converted at all.
    pub errors: Vec<LogDirError>,
    /// Directories and links below a log directory that were not looked into, and why.
    pub skipped: Vec<LogDirError>,
    /// What log directories hold that is in no event file and that a run has no place for.
    pub beside: Vec<LogDirBeside>,
}

impl ConvertReport {
    /// Whether anything that was there did not make it into a run, or had to be passed over. What the
    /// restart rule removed is not counted.
    pub fn is_lossy(&self) -> bool {
        let unread = |skipped: &LogDirError| !skipped.is_loop;
        !self.beside.is_empty()
            || self.skipped.iter().any(unread)
            || self.runs.iter().any(RunReport::is_lossy)
    }

    /// How many runs and log directories failed.
    pub fn failures(&self) -> usize {
        let failed = self.runs.iter().filter(|run| run.status == RunStatus::Failed).count();
        failed + self.errors.len()
    }

    /// How many runs were converted, or are up to date.
    pub fn converted(&self) -> usize {
        let done = |run: &&RunReport| !matches!(run.status, RunStatus::Failed | RunStatus::Empty);
        self.runs.iter().filter(done).count()
    }
}

/// A log directory, or one below it, that could not be read.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LogDirError {
    /// The directory.
    #[serde(serialize_with = "path_text")]
    pub path: PathBuf,
    /// What is wrong.
    pub error: String,
    /// Whether it is only a link to a directory around it, so that nothing is missed.
    #[serde(skip)]
    pub is_loop: bool,
}

impl From<Skipped> for LogDirError {
    fn from(skipped: Skipped) -> Self {
        use crate::tfevents::SkipReason::{Loop, Unreadable};
        let (error, is_loop) = match skipped.reason {
            Loop => ("link to a directory around it".to_owned(), true),
            Unreadable(error) => (error, false),
        };
        Self { path: skipped.path, error, is_loop }
    }
}

/// What became of one run.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The log directory.
    #[serde(serialize_with = "path_text")]
    pub log_dir: PathBuf,
    /// The run's name in it.
    pub name: String,
    /// Runs whose hyperparameters became part of it.
    pub folded: Vec<String>,
    /// How it went.
    pub status: RunStatus,
    /// Why it failed or was left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The id of the W&B run.
    pub run_id: String,
    /// The run directory, or where it would be.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_path_text")]
    pub directory: Option<PathBuf>,
    /// Event files read.
    pub files: u64,
    /// Event files that could not be read, or not to their end.
    pub unreadable: Vec<FileError>,
    /// Events read.
    pub events: u64,
    /// Events among them that do not match their checksum but could be read.
    pub suspect_events: u64,
    /// Points carried over.
    pub points: u64,
    /// Tags with at least one point.
    pub tags: u64,
    /// Rows written.
    pub rows: u64,
    /// Rows of them that an update added, or that are others than before.
    pub rows_added: u64,
    /// Rows that an update took away, for others came in their place.
    pub rows_replaced: u64,
    /// Files written for images, sounds, tables and meshes.
    pub media: u64,
    /// Bytes of these files.
    pub media_bytes: u64,
    /// Whether `_step` is a counter, and not TensorBoard's step.
    pub counted_steps: bool,
    /// Entries of the config that came from hyperparameters.
    pub hparams: u64,
    /// Points whose wall time is not their row's; kept under `_wall_time` unless that was switched off.
    pub other_wall_times: u64,
    /// Whether those wall times were given up.
    pub wall_times_dropped: bool,
    /// Events whose wall time no calendar has, such as one in milliseconds. Their rows keep it; when the
    /// run began and ended is told by the others.
    pub odd_wall_times: u64,
    /// Tags that had to get another key.
    pub renamed: Vec<Rename>,
    /// Texts that became tables, for a row has no room for them.
    pub large_texts: u64,
    /// Histograms that have other bins than they were logged with: there were more than 512, or they
    /// overlapped.
    pub rebinned: u64,
    /// Tensors of more elements than a list has room for, which became histograms.
    pub binned_tensors: u64,
    /// Tags of whose last values the summary has no room; the rows have them.
    pub not_in_summary: u64,
    /// What was not carried over, by reason.
    pub left_out: Vec<LeftOut>,
    /// Where files are damaged or cut off. At most a thousand places are kept for each file.
    pub damage: Vec<Damage>,
}

/// Files of a log directory that TensorBoard shows and that are not carried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LogDirBeside {
    /// The log directory.
    #[serde(serialize_with = "path_text")]
    pub path: PathBuf,
    /// How many lists of embeddings, `projector_config.pbtxt`.
    pub embeddings: u64,
    /// How many traces of the profiler.
    pub profiles: u64,
}

impl RunReport {
    /// Whether data was lost, to damage or because it cannot be carried.
    pub fn is_lossy(&self) -> bool {
        !self.damage.is_empty()
            || !self.unreadable.is_empty()
            || self.left_out.iter().any(|left_out| left_out.reason.is_loss())
    }

    pub(super) fn leave_out(&mut self, reason: Reason, what: &str, count: u64) {
        LeftOut::add(&mut self.left_out, reason, what, count);
    }
}

/// An event file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileError {
    /// The file.
    #[serde(serialize_with = "path_text")]
    pub file: PathBuf,
    /// What is wrong.
    pub error: String,
}

impl FileError {
    pub(super) fn new(file: &Path, error: &Error) -> Self {
        Self { file: file.to_owned(), error: error.kind().to_string() }
    }
}

/// How the conversion of a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// It was converted, or would have been.
    Converted,
    /// A run that was converted before has now what its log directory has more.
    Updated,
    /// A run that was converted before has all that its log directory has.
    Unchanged,
    /// Its files hold no event, so there is nothing to convert.
    Empty,
    /// It was not converted.
    #[default]
    Failed,
}

/// A tag that had to get another key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Rename {
    /// The tag.
    pub tag: String,
    /// The key it has in the run.
    pub key: String,
}

/// Values that were not carried over, by reason.
pub type LeftOut = crate::convert::report::LeftOut<Reason>;

/// Why values were not carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The restart rule removed them, as it was asked to.
    Restart,
    /// Their tag was to be left out.
    NotWanted,
    /// An earlier point of the same tag and step, where only one has room.
    SameStep,
    /// Larger than what W&B takes of a row, with no file to put them into.
    TooLarge,
    /// Of a kind that is not carried.
    Unsupported,
    /// They are not what their series says they are.
    Malformed,
    /// They hold nothing.
    Empty,
    /// In a series of scalars, but none.
    NotScalar,
    /// Their wall time is no finite number.
    WallTime,
    /// Their record is whole but no event.
    BadEvent,
}

impl Reason {
    /// Whether the user would miss them.
    pub const fn is_loss(self) -> bool {
        !matches!(self, Self::Restart | Self::NotWanted | Self::Empty)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "made obsolete by a restart",
            Self::NotWanted => "of tags that were to be left out",
            Self::SameStep => "overwritten at the same step",
            Self::TooLarge => "too large for a row",
            Self::Unsupported => "not carried",
            Self::Malformed => "not understood",
            Self::Empty => "empty",
            Self::NotScalar => "not a scalar",
            Self::WallTime => "wall time is not finite",
            Self::BadEvent => "not an event",
        })
    }
}

/// A place where an event file is damaged or cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    #[serde(serialize_with = "path_text")]
    pub file: PathBuf,
    /// Absolute offset, in the decompressed stream if the file is compressed.
    pub offset: u64,
    /// Bytes passed over.
    pub length: u64,
    /// What is wrong.
    pub what: String,
}
