//! What a conversion did.

use crate::convert::report::{path_text, some_path_text};
use crate::framing::{Gap, Tail};
use crate::io::GapReport;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// What a conversion did, run by run.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ConvertReport {
    /// The runs, in the order they were given in; those of one directory by their paths.
    pub runs: Vec<RunReport>,
    /// What was given but is no run, or could not be looked into.
    pub errors: Vec<String>,
}

impl ConvertReport {
    /// Whether anything of a run did not make it, see [`Reason::is_loss`].
    pub fn is_lossy(&self) -> bool {
        !self.errors.is_empty() || self.runs.iter().any(RunReport::is_lossy)
    }

    /// How many runs were converted.
    pub fn converted(&self) -> usize {
        self.runs.iter().filter(|run| run.status == RunStatus::Converted).count()
    }

    /// How many runs, and things that are no run, were not converted.
    pub fn failures(&self) -> usize {
        self.runs.len() - self.converted() + self.errors.len()
    }
}

/// What became of one run.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RunReport {
    /// The log.
    #[serde(serialize_with = "path_text")]
    pub log: PathBuf,
    /// How it went.
    pub status: RunStatus,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The run's id.
    pub run_id: String,
    /// Its directory in the log directory.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "some_path_text")]
    pub directory: Option<PathBuf>,
    /// Rows read.
    pub rows: u64,
    /// What was carried.
    pub carried: Carried,
    /// What was carried, but is not quite the same.
    pub changed: Vec<Change>,
    /// What was not carried, by reason.
    pub left_out: Vec<LeftOut>,
    /// Where the log is damaged. At most a thousand places are kept.
    pub damage: Vec<Damage>,
    /// Records that are whole but not a valid message.
    pub undecodable: u64,
}

/// Values carried, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Carried {
    /// Tags of history values.
    pub tags: u64,
    /// Numbers.
    pub scalars: u64,
    /// Histograms.
    pub histograms: u64,
    /// Images; several may be one value.
    pub images: u64,
    /// Sounds.
    pub sounds: u64,
    /// Texts, those that repeat the one before not counted.
    pub texts: u64,
    /// Tables.
    pub tables: u64,
    /// Meshes and clouds of points.
    pub meshes: u64,
    /// Hyperparameters.
    pub hparams: u64,
    /// Numbers about the system.
    pub system: u64,
    /// Lines of the console.
    pub console_lines: u64,
    /// Charts of the layout.
    pub charts: u64,
}

impl RunReport {
    /// Whether anything did not make it, see [`Reason::is_loss`].
    pub fn is_lossy(&self) -> bool {
        self.status == RunStatus::Failed
            || !self.damage.is_empty()
            || self.undecodable > 0
            || self.left_out.iter().any(|left_out| left_out.reason.is_loss())
    }

    pub(super) fn leave_out(&mut self, reason: Reason, what: &str, count: u64) {
        LeftOut::add(&mut self.left_out, reason, what, count);
    }

    pub(super) fn change(&mut self, change: Changed, count: u64) {
        match self.changed.iter_mut().find(|found| found.what == change) {
            _ if count == 0 => {}
            Some(found) => found.count += count,
            None => self.changed.push(Change { what: change, count }),
        }
    }

    pub(super) fn note_damage(&mut self, gaps: &GapReport, tail: Option<Tail>, undecodable: u64) {
        self.undecodable = undecodable;
        let place = |gap: &Gap| Damage {
            offset: gap.offset,
            length: gap.length,
            what: gap.fault.kind.to_string(),
        };
        self.damage = gaps.gaps().iter().map(place).collect();
        let unfinished = tail.filter(|tail| !tail.is_clean() && tail.length > 0);
        self.cut_off(unfinished);
    }

    /// A log that is cut off has lost nothing that was in it, but whoever reads the report should know.
    fn cut_off(&mut self, tail: Option<Tail>) {
        if let Some(tail) = tail {
            self.leave_out(Reason::CutOff, "bytes", tail.length);
        }
    }
}

/// How the conversion of a run went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RunStatus {
    /// It was converted.
    Converted,
    /// It was not.
    #[default]
    Failed,
}

/// Values that are not quite what they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// In which way.
    pub what: Changed,
    /// How many.
    pub count: u64,
}

/// In which way a value is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Changed {
    /// Numbers with more digits than single precision has.
    Rounded,
    /// Tags and hyperparameters that had to get another name than their key.
    Renamed,
    /// Values of tags whose steps rise on no axis, so that they were counted.
    Counted,
    /// System metrics sampled more than once a second, which went to the second after.
    LaterSecond,
    /// Values that are JSON text.
    JsonText,
    /// Table rows beyond those carried.
    TableRows,
    /// Event files of a run that is followed, whose earlier data changed.
    Rewritten,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rounded => "rounded to single precision",
            Self::Renamed => "named otherwise than their key",
            Self::Counted => "counted, since their steps rise on no axis",
            Self::LaterSecond => "moved to the second after",
            Self::JsonText => "written as JSON text",
            Self::TableRows => "rows cut off tables",
            Self::Rewritten => "event files written anew, since earlier data changed",
        })
    }
}

/// Values that were not carried over, by reason.
pub type LeftOut = crate::convert::report::LeftOut<Reason>;

/// Why values were not carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Null, which TensorBoard does not have.
    Null,
    /// A text that is what its key had before.
    Repeated,
    /// Not part of the history, and not asked for or of no use in TensorBoard.
    NotHistory,
    /// An unfinished record at the end of the log.
    CutOff,
    /// TensorBoard has nothing like it.
    Unsupported,
    /// The file is not there.
    MissingFile,
    /// The path leads out of the run's `files/`.
    OutsideFiles,
    /// The file is not what it should be, or too large.
    UnusableFile,
    /// The value is not what it should be.
    UnusableValue,
}

impl Reason {
    /// Whether the user would miss them: values of the history that TensorBoard does not get.
    pub const fn is_loss(self) -> bool {
        !matches!(self, Self::Null | Self::Repeated | Self::NotHistory | Self::CutOff)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Repeated => "the same as before",
            Self::NotHistory => "not history",
            Self::CutOff => "unfinished at the end of the log",
            Self::Unsupported => "nothing like it in TensorBoard",
            Self::MissingFile => "file is missing",
            Self::OutsideFiles => "path leads out of files/",
            Self::UnusableFile => "file is not usable",
            Self::UnusableValue => "value is not usable",
        })
    }
}

/// A place where a log is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// Absolute offset.
    pub offset: u64,
    /// Bytes passed over.
    pub length: u64,
    /// What is wrong.
    pub what: String,
}
