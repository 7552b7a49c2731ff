//! One finding.

use crate::framing::{Gap, Tail};
use crate::secrets::SecretKind;
use serde::{Serialize, Serializer};
use std::fmt;

/// How grave a finding is. Complete: a reader of reports must handle each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "graver than lost data is nothing")]
pub enum Severity {
    /// A fact about the run.
    Note,
    /// Something to look at before the run is uploaded or the file relied on.
    Warning,
    /// Data that is lost, or will not arrive.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Where something was found, as far as that says anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// Absolute byte offset in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Which record or event of the file it is, counted from 1 among those that are whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// The step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<i64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        let parts = [
            self.record.map(|record| format!("record {record}")),
            self.offset.map(|offset| format!("byte {offset}")),
            self.step.map(|step| format!("step {step}")),
        ];
        for part in parts.into_iter().flatten() {
            write!(f, "{comma}{part}")?;
            comma = ", ";
        }
        Ok(())
    }
}

/// Something found: what and where.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub problem: Problem,
}

impl Finding {
    /// How grave it is.
    pub const fn severity(&self) -> Severity {
        self.problem.severity()
    }

    /// Its name, which stays the same, like `missing-file`.
    pub const fn code(&self) -> &'static str {
        self.problem.code()
    }

    /// What to do next; empty if there is nothing to do.
    pub const fn advice(&self) -> &'static str {
        self.problem.advice()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        if !place.is_empty() {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.problem)?;
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            severity: Severity,
            code: &'a str,
            #[serde(flatten)]
            place: &'a Place,
            message: String,
            #[serde(skip_serializing_if = "str::is_empty")]
            advice: &'a str,
        }
        let (severity, code, advice) = (self.severity(), self.code(), self.advice());
        let message = self.problem.to_string();
        Shown { severity, code, place: &self.place, message, advice }.serialize(serializer)
    }
}

/// What is uploaded as one line, which has a longest length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Uploaded {
    /// A history row.
    Row,
    /// The summary.
    Summary,
}

impl fmt::Display for Uploaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Row => "row",
            Self::Summary => "summary",
        })
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what the names say; the texts are in Display")]
pub enum Problem {
    /// Bytes that hold no readable record.
    Gap(Gap),
    /// The file is cut off.
    Cut(Tail),
    /// Blocks are counted as by wandb-core before 0.17.6.
    ShiftedBlocks,
    /// A record with a right checksum that is no valid message.
    Malformed { reason: String },
    /// Records of kinds this crate does not know.
    UnknownKinds { records: u64 },
    /// A record has the number of the one before.
    NumberRepeated { number: i64 },
    /// A record's number is lower than that of the one before.
    NumberBack { number: i64, before: i64 },
    /// Numbers are left out.
    NumberHole { number: i64, before: i64 },
    /// No record says which run this is.
    NoRun,
    /// No record says how the run ended.
    NoExit,
    /// The run ended with an exit code other than 0.
    ExitCode { code: i32 },
    /// Rows, summaries or console lines behind the exit record.
    AfterExit { records: u64 },
    /// Written by a release whose logs differ from today's.
    OldRelease { version: String },
    /// A row's step is lower than that of the row before.
    StepBack { before: i64 },
    /// A row has the step of the row before.
    StepRepeated,
    /// The first NaN or infinity of a key.
    NotFinite { key: String, value: &'static str },
    /// A value that is not W&B's JSON.
    NotJson { key: String, reason: String },
    /// A value that is there only in the typed form.
    OnlyTyped { key: String },
    /// A line too long to be uploaded.
    TooLong { what: Uploaded, bytes: u64 },
    /// A line that is nearly too long.
    NearlyTooLong { what: Uploaded, bytes: u64 },
    /// More keys than W&B's servers are known to show.
    ManyKeys { keys: u64 },
    /// A file that the log names is not under `files/`.
    MissingFile { path: String },
    /// A file has another size than the log says.
    FileSize { path: String, got: u64, want: u64 },
    /// A file has another SHA-256 than the log says.
    FileDigest { path: String },
    /// A name that leads out of the run's `files/`, itself or through a link.
    OutsideFiles { path: String },
    /// There is no `files/`, though the log names files in it.
    NoFiles { named: u64 },
    /// A link under `files/` to something outside of the run directory.
    LinkOut { path: String, target: String },
    /// A file of an artifact is not where the log says.
    MissingArtifactFile { artifact: String, path: String },
    /// A file of an artifact has another size than the log says.
    ArtifactFileSize { artifact: String, path: String, got: u64, want: u64 },
    /// Files of an artifact are outside of the run directory.
    ArtifactOutside { artifact: String, files: u64 },
    /// A secret: where in the record or line it stands, and what may be shown of it.
    Secret { kind: SecretKind, field: String, name: String, masked: String },
    /// A sync was begun and not ended.
    InterruptedSync,
    /// An event file does not begin with its version.
    NoFileVersion,
    /// An event file has a version other than `brain.Event:2`.
    FileVersion { got: String },
    /// An event's wall time is lower than that of the event before.
    WallTimeBack { seconds: f64 },
    /// An event's wall time is no time.
    NoWallTime,
    /// A series goes back to an earlier step.
    SeriesBack { tag: String, before: i64 },
}

impl Problem {
    pub(super) const fn severity(&self) -> Severity {
        match self {
            Self::Gap(_)
            | Self::Malformed { .. }
            | Self::NoRun
            | Self::OnlyTyped { .. }
            | Self::TooLong { .. }
            | Self::MissingFile { .. }
            | Self::FileSize { .. }
            | Self::FileDigest { .. }
            | Self::OutsideFiles { .. }
            | Self::NoFiles { .. }
            | Self::MissingArtifactFile { .. }
            | Self::ArtifactFileSize { .. } => Severity::Error,
            Self::Cut(_)
            | Self::ShiftedBlocks
            | Self::NumberRepeated { .. }
            | Self::NumberBack { .. }
            | Self::AfterExit { .. }
            | Self::StepBack { .. }
            | Self::StepRepeated
            | Self::NotJson { .. }
            | Self::ManyKeys { .. }
            | Self::LinkOut { .. }
            | Self::Secret { .. }
            | Self::SeriesBack { .. } => Severity::Warning,
            Self::UnknownKinds { .. }
            | Self::NumberHole { .. }
            | Self::NoExit
            | Self::ExitCode { .. }
            | Self::OldRelease { .. }
            | Self::NotFinite { .. }
            | Self::NearlyTooLong { .. }
            | Self::ArtifactOutside { .. }
            | Self::InterruptedSync
            | Self::NoFileVersion
            | Self::FileVersion { .. }
            | Self::WallTimeBack { .. }
            | Self::NoWallTime => Severity::Note,
        }
    }

    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Gap(_) => "gap",
            Self::Cut(_) => "cut",
            Self::ShiftedBlocks => "shifted-blocks",
            Self::Malformed { .. } => "malformed",
            Self::UnknownKinds { .. } => "unknown-kinds",
            Self::NumberRepeated { .. } => "number-repeated",
            Self::NumberBack { .. } => "number-back",
            Self::NumberHole { .. } => "number-hole",
            Self::NoRun => "no-run",
            Self::NoExit => "no-exit",
            Self::ExitCode { .. } => "exit-code",
            Self::AfterExit { .. } => "after-exit",
            Self::OldRelease { .. } => "old-release",
            Self::StepBack { .. } => "step-back",
            Self::StepRepeated => "step-repeated",
            Self::NotFinite { .. } => "not-finite",
            Self::NotJson { .. } => "not-json",
            Self::OnlyTyped { .. } => "only-typed",
            Self::TooLong { .. } => "too-long",
            Self::NearlyTooLong { .. } => "nearly-too-long",
            Self::ManyKeys { .. } => "many-keys",
            Self::MissingFile { .. } => "missing-file",
            Self::FileSize { .. } => "file-size",
            Self::FileDigest { .. } => "file-digest",
            Self::OutsideFiles { .. } => "outside-files",
            Self::NoFiles { .. } => "no-files",
            Self::LinkOut { .. } => "link-out",
            Self::MissingArtifactFile { .. } => "missing-artifact-file",
            Self::ArtifactFileSize { .. } => "artifact-file-size",
            Self::ArtifactOutside { .. } => "artifact-outside",
            Self::Secret { .. } => "secret",
            Self::InterruptedSync => "interrupted-sync",
            Self::NoFileVersion => "no-file-version",
            Self::FileVersion { .. } => "file-version",
            Self::WallTimeBack { .. } => "wall-time-back",
            Self::NoWallTime => "no-wall-time",
            Self::SeriesBack { .. } => "series-back",
        }
    }

    /// What `wandb sync` does is what 0.31.0 was seen to do.
    const fn advice(&self) -> &'static str {
        match self {
            Self::Gap(_)
            | Self::Malformed { .. }
            | Self::NumberRepeated { .. }
            | Self::NumberBack { .. } => {
                "`wandb-offline recover` makes a sound file of what is readable"
            }
            Self::Cut(_) => "if the program has ended, `wandb-offline recover`",
            Self::ShiftedBlocks => {
                "`wandb sync` fails at it: rewrite it with `wandb-offline recover`"
            }
            Self::NoRun => "the file cannot be synced, nor any other with it",
            Self::AfterExit { .. } => "`wandb sync` drops them",
            Self::StepBack { .. } | Self::StepRepeated => {
                "`wandb sync` gives it the step after the last"
            }
            Self::NotJson { .. } => "readers take it for text, or drop it",
            Self::OnlyTyped { .. } => "`wandb sync` refuses such values",
            Self::TooLong { .. } => "`wandb sync` drops it: log less at once",
            Self::ManyKeys { .. } => "W&B's pages may not show them all",
            Self::MissingFile { .. } => "`wandb sync` drops it silently",
            Self::FileSize { .. } | Self::ArtifactFileSize { .. } => {
                "it was cut or changed after logging"
            }
            Self::FileDigest { .. } => "it was changed after logging",
            Self::OutsideFiles { .. } => "do not upload a log you did not make before you know why",
            Self::NoFiles { .. } => "copy the run directory, not the log alone",
            Self::LinkOut { .. } => {
                "in a copy of the run directory it leads nowhere: copy with `cp -L`"
            }
            Self::MissingArtifactFile { .. } => "the artifact cannot be uploaded from here",
            Self::ArtifactOutside { .. } => "they do not travel with the run directory",
            Self::Secret { .. } => {
                "`wandb-offline scrub` makes a copy without it; revoke it if it was shared"
            }
            Self::InterruptedSync => "if rows were stored, another `wandb sync` repeats them",
            Self::SeriesBack { .. } => "TensorBoard hides the points before it from this step on",
            _ => "",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap(gap) => {
                let (length, end) = (gap.length, gap.end());
                write!(f, "{length} bytes up to {end} hold no readable record: {}", gap.fault.kind)
            }
            Self::Cut(tail) => write!(f, "{tail}"),
            Self::ShiftedBlocks => f.write_str("blocks begin 7 bytes late, as before wandb 0.17.6"),
            Self::Malformed { reason } => {
                write!(f, "checksum right but no valid message: {reason}")
            }
            Self::UnknownKinds { records } => write!(f, "records of kinds unknown here: {records}"),
            Self::NumberRepeated { number } => write!(f, "number {number} a second time"),
            Self::NumberBack { number, before } => write!(f, "number {number} behind {before}"),
            Self::NumberHole { number, before } => write!(f, "number {number} follows {before}"),
            Self::NoRun => f.write_str("no record says which run this is"),
            Self::NoExit => f.write_str("no exit record: the run goes on, or it crashed"),
            Self::ExitCode { code } => write!(f, "the run ended with exit code {code}"),
            Self::AfterExit { records } => {
                write!(f, "rows, summaries or console lines behind the exit record: {records}")
            }
            Self::OldRelease { version } => write!(f, "written by wandb {version}"),
            Self::StepBack { before } => {
                write!(f, "step lies behind {before}, that of the row before")
            }
            Self::StepRepeated => f.write_str("step is that of the row before"),
            Self::NotFinite { key, value } => write!(f, "first {value} of {key:?}"),
            Self::NotJson { key, reason } => write!(f, "value of {key:?} is not JSON: {reason}"),
            Self::OnlyTyped { key } => write!(f, "value of {key:?} has no JSON form"),
            Self::TooLong { what, bytes } => {
                write!(f, "{what} of {bytes} bytes, more than the {LONGEST_LINE} that are uploaded")
            }
            Self::NearlyTooLong { what, bytes } => {
                write!(f, "{what} of {bytes} bytes, close to the {LONGEST_LINE} that are uploaded")
            }
            Self::ManyKeys { keys } => write!(f, "{keys} different keys"),
            Self::MissingFile { path } => write!(f, "{path:?} is not under files/"),
            Self::FileSize { path, got, want } => {
                write!(f, "{path:?} has {got} bytes, want {want}")
            }
            Self::FileDigest { path } => write!(f, "{path:?} has another SHA-256 than logged"),
            Self::OutsideFiles { path } => write!(f, "{path:?} leads out of files/"),
            Self::NoFiles { named } => {
                write!(f, "no files/ here; files that the log names in it: {named}")
            }
            Self::LinkOut { path, target } => {
                write!(f, "{path:?} is a link out of the run directory, to {target:?}")
            }
            Self::MissingArtifactFile { artifact, path } => {
                write!(f, "file of artifact {artifact:?} is not there: {path:?}")
            }
            Self::ArtifactFileSize { artifact, path, got, want } => {
                write!(f, "file of artifact {artifact:?} has {got} bytes, want {want}: {path:?}")
            }
            Self::ArtifactOutside { artifact, files } => {
                write!(f, "files of artifact {artifact:?} outside the run directory: {files}")
            }
            Self::Secret { kind, field, name, masked } => {
                write!(f, "{kind} {masked} in {field}")?;
                if name.is_empty() || field.ends_with(name) {
                    Ok(())
                } else {
                    write!(f, " {name:?}")
                }
            }
            Self::InterruptedSync => f.write_str("a sync was begun here and not ended"),
            Self::NoFileVersion => f.write_str("does not begin with the version of the file"),
            Self::FileVersion { got } => write!(f, "file version {got:?}, want \"brain.Event:2\""),
            Self::WallTimeBack { seconds } => write!(f, "wall time goes back by {seconds:.3} s"),
            Self::NoWallTime => f.write_str("wall time is not a number"),
            Self::SeriesBack { tag, before } => write!(f, "{tag:?} goes back from step {before}"),
        }
    }
}

/// Bytes of the longest line that wandb-core 0.31.0 uploads: 10 MiB less 100 KiB.
pub(super) const LONGEST_LINE: u64 = 10_383_360;
