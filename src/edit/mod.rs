//! Changing a run before it is uploaded.
//!
//! What has reached a W&B server cannot be changed there. Here a run directory becomes another one, in
//! which the run has another project, name, id, group, tags or config, metrics have other keys or are gone,
//! rows are dropped, thinned or at other steps. The log that is read is never changed, and records that
//! have nothing to change are moved byte for byte, but for their number.
//!
//! ```
//! # fn main() -> wandb_offline::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! use wandb_offline::edit::{Options, edit};
//! use wandb_offline::record::KeyRule;
//! use wandb_offline::rewrite::Template;
//!
//! let mut options = Options {
//!     project: Some(Template::new("project", "thesis")?),
//!     name: Some(Template::new("name", "{project}-{id}")?),
//!     keys: KeyRule::new(|key| Some(key.replace("loss", "train/loss"))),
//!     dry_run: true,
//!     ..Options::default()
//! };
//! let run = "fixtures/wandb/0.31.0/minimal";
//! let planned = edit(run, dir.path(), &options)?;
//! assert_eq!(planned.records["history"].changed, 1);
//! assert_eq!(planned.renamed_keys["loss"], "train/loss");
//!
//! options.dry_run = false;
//! let edited = edit(run, dir.path(), &options)?;
//! let (run, _) = wandb_offline::run::load(edited.directory.join("run-minimal1.wandb"), false)?;
//! assert_eq!(run.info().name(), "corpus-minimal1");
//! assert_eq!(run.summary().get("train/loss").and_then(|loss| loss.as_f64()), Some(1.5));
//! # Ok(())
//! # }
//! ```
//!
//! # What follows from a change
//! - **The id** is in every record that came from the client (`_info.stream_id`), in artifacts, and in the
//!   names of those that hold logged tables (`run-<id>-<key>`); in the names of the run directory and the log.
//! - **Project and entity** are in artifacts as well.
//! - **A key** is in history, summary and metric definitions, there also as the axis of other metrics; an
//!   axis that is dropped leaves its metrics to be drawn over the step. Metrics that a pattern (`val/*`)
//!   defined and that have another name now get a definition of their own, and a pattern that no metric is
//!   left for is dropped. Media files keep their names, though those begin with the key: rows name them by
//!   their path, and so does the server.
//! - **Rows that are dropped** take along the media files that no row names any more. If any row is dropped,
//!   the summary is made anew of those that are kept, by the metric definitions; beyond that the values stand
//!   that a program set itself, which are those that the rows it had do not explain. How long the run took
//!   stays. A row all of whose keys are dropped is kept, with its step and time.
//! - **Config and summary** may have been rendered to `files/config.yaml` and `files/wandb-summary.json`,
//!   which are left out if they would contradict the log. `wandb sync` makes them anew.

mod condition;
mod keys;
mod metric;
mod options;
mod pass;
mod report;
mod survey;
mod values;

pub use condition::Condition;
pub use options::{Options, RowEdit, TagEdit, ValueEdit};
pub use report::{Counts, EditReport, Example};

use crate::error::{Error, Result};
use crate::json::Value;
use crate::log::{LogFile, LogWriter, locate};
use crate::rewrite::{Rewriter, Staged, directory_name, files_in, run_id};
use crate::wire::Malformed;
use pass::Pass;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use survey::Survey;

/// Makes another run directory of the one that `run` means ([`locate`]): in the directory `output`, and
/// called after the time the run started and the id it has then. It is proven before it gets its name.
///
/// Damage in the log is passed over, and is in the report.
///
/// # Errors
/// When the options make no sense, as when two keys would have one name; when the log cannot be read, or
/// has no record of its run; when a run directory of that name exists; and when writing fails. Nothing is
/// left behind then.
pub fn edit(
    run: impl AsRef<Path>,
    output: impl AsRef<Path>,
    options: &Options,
) -> Result<EditReport> {
    options.check()?;
    let log = locate(run)?;
    edit_log(&log, output.as_ref(), options).map_err(|error| error.at(&log.path))
}

fn edit_log(log: &LogFile, output: &Path, options: &Options) -> Result<EditReport> {
    let survey = Survey::of(&log.path, options)?;
    let info = survey.state.info();
    if info.run().is_none() {
        return Err(Error::misuse("the log has no record of its run, and cannot be uploaded"));
    }
    let identity = options.identity(info)?;
    let old_id = run_id(info, &log.path);
    let id = identity.id.as_deref().unwrap_or(old_id);
    let directory = output.join(directory_name(log, info, id));
    let mut pass = Pass::new(options, &survey, &identity, old_id)?;
    let files = Files::of(log, &pass, options)?;
    let mut report = EditReport {
        log: log.path.clone(),
        directory: directory.clone(),
        written: !options.dry_run,
        run_id: id.to_owned(),
        records: Default::default(),
        renamed_keys: Default::default(),
        dropped_keys: Default::default(),
        files: files.carried.len() as u64,
        files_left_out: files.left_out,
        examples: Vec::new(),
        damage: survey.damage.clone(),
    };
    if options.dry_run {
        pass.run(&log.path, &mut Rewriter::new(LogWriter::new(io::sink(), &directory)))?;
        if fs::symlink_metadata(&directory).is_ok() {
            return Err(
                Error::misuse("this exists already, and nothing is overwritten").at(directory)
            );
        }
    } else {
        let mut staged = Staged::run(&directory, id)?;
        pass.run(&log.path, &mut staged.log)?;
        if let Some(to) = &mut staged.files {
            to.set_hard_links(options.hard_links);
            for name in &files.carried {
                to.place(&files.dir.join(name), name)?;
            }
        }
        staged.prove()?.publish()?;
    }
    report.damage.undecodable += pass.undecodable;
    report.records = pass.ledger.records;
    report.examples = pass.ledger.examples;
    report.renamed_keys = pass.keys.renamed;
    report.dropped_keys = pass.keys.dropped;
    Ok(report)
}

/// The files of a run.
struct Files {
    dir: PathBuf,
    carried: Vec<PathBuf>,
    left_out: Vec<String>,
}

impl Files {
    fn of(log: &LogFile, pass: &Pass<'_>, options: &Options) -> Result<Self> {
        let dir = log.dir().join("files");
        let summary_changes = pass.refolds
            || !options.summary.is_none()
            || !options.keys.is_none()
            || options.rows.shift != 0;
        let (mut carried, mut left_out) = (Vec::new(), Vec::new());
        for name in files_in(&dir)? {
            let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
            let text = parts.join("/");
            let contradicts = match text.as_str() {
                "config.yaml" => !options.config.is_none(),
                "wandb-summary.json" => summary_changes && renders_summary(&dir.join(&name)),
                _ => false,
            };
            if contradicts || pass.files_left_out.contains(&text) {
                left_out.push(text);
            } else {
                carried.push(name);
            }
        }
        Ok(Self { dir, carried, left_out })
    }
}

/// Whether the file has more than how long the run took, which is all that some releases write.
fn renders_summary(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    let summary = Value::parse(&text).unwrap_or_default();
    summary.as_object().is_none_or(|members| members.keys().any(|key| key != "_wandb"))
}

/// Why the reading of a record came to an end.
#[derive(Debug)]
enum Stop {
    /// It is not the message it should be.
    Malformed,
    /// The edit cannot be made.
    Error(Error),
}

impl From<Malformed> for Stop {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}
