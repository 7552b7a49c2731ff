//! Whether a file is whole, and what will become of what is in it.
//!
//! A log or event file is read once from end to end, leniently, in memory that grows with the number of
//! keys and the longest record, never with the file; beside a log its `files/` is looked through. What
//! comes out is a [`Report`]: [`Finding`]s, each with its place and what to do next, and, for a log, what
//! `wandb sync` would do with it ([`SyncForecast`]). Nothing is written, sent or repaired.
//!
//! How grave a finding is follows one rule ([`Severity`]): an *error* is data that is lost, or that will
//! not arrive; a *warning* is something to look at before uploading, because data may be hidden or shown
//! to others; a *note* is a fact about the run. That a metric was NaN, or that a run crashed, is a fact
//! about the training, not a fault of the file, so it is a note.
//!
//! ```text
//! finding    one finding: what, where, how grave, what next
//! report     the findings of a file, bounded in number
//! log        the pass over a log
//! rows       steps, values and sizes of history rows
//! media      files that media objects name
//! files      the run's files/, artifacts' files, links
//! sync       what `wandb sync` would do
//! events     the pass over an event file
//! ```

mod events;
mod files;
mod finding;
mod log;
mod media;
mod report;
mod rows;
mod sync;

pub use finding::{Finding, Place, Problem, Severity, Uploaded};
pub use report::{Findings, Format, Report, Verdict};
pub use sync::{Skip, SyncForecast};

use crate::error::{Error, Result};
use crate::secrets::SecretScanner;
use crate::tfevents::{discover_through, is_event_file};
use std::path::{Path, PathBuf};

/// What to verify.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "made with ..Options::default()")]
pub struct Options {
    /// What to look for secrets with; none to look for none.
    pub secrets: Option<SecretScanner>,
    /// Findings kept of each kind; beyond that they are only counted.
    pub kept: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { secrets: Some(SecretScanner::default()), kept: 20 }
    }
}

/// Verifies a `.wandb` log, or a TensorBoard event file if it has the name of one.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use wandb_offline::verify::{self, Options, Problem, Verdict};
///
/// let mut log = std::fs::read("fixtures/wandb/0.31.0/minimal/run-minimal1.wandb").unwrap();
/// log[1300] ^= 1;
/// let path = dir.path().join("run-minimal1.wandb");
/// std::fs::write(&path, log).unwrap();
///
/// let report = verify::verify(&path, &Options::default())?;
/// assert_eq!(report.verdict(), Verdict::Damaged);
/// let gap = report.findings.iter().find(|finding| matches!(finding.problem, Problem::Gap(_)));
/// assert_eq!(gap.unwrap().place.offset, Some(1247));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the file cannot be read at all, or is of neither format. Damage is not an error.
pub fn verify(path: impl AsRef<Path>, options: &Options) -> Result<Report> {
    let path = path.as_ref();
    let named = path.file_name().is_some_and(is_event_file);
    let log = path.extension().is_some_and(|extension| extension == "wandb");
    if named && !log { events::verify(path, options) } else { log::verify(path, options) }
}

/// The logs and event files at or under a path, in order, and what could not be looked into. A file is
/// taken for what it is said to be; a run directory's `files/` stands for its log, and its own event files,
/// which are data of the run, are among what is found. Links to directories are followed where there are no logs.
pub fn find(root: impl AsRef<Path>) -> (Vec<PathBuf>, Vec<Error>) {
    let mut root = root.as_ref();
    if root.is_file() {
        return (vec![root.to_owned()], Vec::new());
    }
    if root.file_name().is_some_and(|name| name == "files")
        && let Some(parent) = root.parent()
        && crate::log::locate(root).is_ok_and(|log| log.dir() == parent)
    {
        root = parent;
    }
    let (logs, mut errors) = crate::log::find(root);
    let mut found: Vec<_> = logs.into_iter().map(|log| log.path).collect();
    // A link within a run may lead anywhere.
    match discover_through(root, found.is_empty()) {
        Ok(logdir) => found.extend(logdir.runs.into_iter().flat_map(|run| run.files)),
        // What cannot be looked into was said above.
        Err(error) if errors.is_empty() => errors.push(error),
        Err(_) => {}
    }
    found.sort();
    found.dedup();
    (found, errors)
}
