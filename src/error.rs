//! The crate's error: what went wrong, where, and whose fault it is.

use crate::framing::Fault;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of most functions of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate; one word wide.
///
/// Loss is not an error: a lenient reader and every verb report what they left out. A file that is cut
/// off is not an error either: its [`Tail`](crate::framing::Tail) says so.
///
/// Its `Debug` form is its text, for `unwrap` and a `main` that returns it show that to people;
/// [`kind`](Self::kind) has the parts.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    path: Option<PathBuf>,
}

/// The kinds of errors, sorted by whose fault they are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The environment: the operating system refused. May succeed when tried again.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried, as in "open", "write to".
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file: its framing is damaged. A lenient reader reads on behind it.
    #[error("{0}")]
    Damaged(Fault),
    /// The file: a record's checksum is right but its bytes are not the message they should be.
    #[error("record at byte {offset} is not a valid message: {reason}")]
    Message {
        /// Absolute offset of the record.
        offset: u64,
        /// What the decoder said.
        reason: String,
    },
    /// The file: a record holds a value that is not W&B's JSON.
    #[error("record at byte {offset}: value of {key:?} is not JSON: {reason}")]
    Json {
        /// Absolute offset of the record.
        offset: u64,
        /// The key the value belongs to.
        key: String,
        /// What the parser said.
        reason: String,
    },
    /// The caller: a setting, from code or from the environment, has an unusable value.
    #[error("{name}: {reason}")]
    Setting {
        /// The setting or environment variable.
        name: String,
        /// What is wrong with it and what would be right.
        reason: String,
    },
    /// The caller: a row, config or summary value that cannot be logged.
    #[error("cannot log this value: {0}")]
    Value(String),
    /// The caller: a row for a step that lies behind the run's, which W&B's history cannot take. Only
    /// this row was left out; the run goes on.
    #[error(
        "row for step {step} was not logged: the run is at step {current}, and steps only go up"
    )]
    StepInPast {
        /// The step asked for.
        step: u64,
        /// The run's step.
        current: u64,
    },
    /// The caller: a call that makes no sense now.
    #[error("{0}")]
    Misuse(String),
}

impl Error {
    /// An error of this kind, not tied to a file yet.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, path: None }))
    }

    /// A refusal of the operating system: `action` completes "cannot ...".
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::new(ErrorKind::Io { action, source }).at(path)
    }

    /// A setting with an unusable value.
    pub fn setting(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Setting { name: name.into(), reason: reason.into() })
    }

    /// A call that makes no sense now.
    pub fn misuse(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Misuse(reason.into()))
    }

    /// Names the file the error is about, unless it already names one.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.0.path.get_or_insert_with(|| path.into());
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The file it is about.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The byte offset in that file.
    pub fn offset(&self) -> Option<u64> {
        match &self.0.kind {
            ErrorKind::Damaged(fault) => Some(fault.offset),
            ErrorKind::Message { offset, .. } | ErrorKind::Json { offset, .. } => Some(*offset),
            _ => None,
        }
    }

    /// Whether the file is to blame: it holds bytes it should not.
    pub fn is_corrupt(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::Damaged(_) | ErrorKind::Message { .. } | ErrorKind::Json { .. }
        )
    }

    /// Whether a row was left out because its step lies in the past; the run goes on.
    pub fn is_step_in_past(&self) -> bool {
        matches!(self.0.kind, ErrorKind::StepInPast { .. })
    }

    /// Whether a file was to be read of which there is none, which is all there is to say.
    fn is_no_such_path(&self) -> bool {
        let reads = ["read", "open", "look into", "list"];
        matches!(&self.0.kind, ErrorKind::Io { action, source }
            if source.kind() == io::ErrorKind::NotFound && reads.contains(action) && self.0.path.is_some())
    }

    /// Whether the pipe that was written to is closed, which for a program is a reason to stop quietly.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(&self.0.kind, ErrorKind::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_no_such_path() {
            true => f.write_str("no such path")?,
            false => write!(f, "{}", self.0.kind)?,
        }
        match &self.0.path {
            Some(path) => write!(f, ": {}", path.display()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.kind {
            ErrorKind::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::new(ErrorKind::Damaged(fault))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error.0.kind {
            ErrorKind::Io { source, .. } => source.kind(),
            ErrorKind::Setting { .. }
            | ErrorKind::Value(_)
            | ErrorKind::StepInPast { .. }
            | ErrorKind::Misuse(_) => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}
