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
//!   left for is dropped. Charts and the class labels of masks and boxes, in W&B's own part of the config,
//!   follow. Media files keep their names, though those begin with the key: rows name them by
//!   their path, and so does the server. What is nested in more than 32 keys has none of its own and goes where
//!   the object goes that begins there.
//! - **Rows that are dropped** take along the media files that no row names any more. If any row is dropped,
//!   the summary is made anew of those that are kept, by the metric definitions; beyond that the values stand
//!   that a program set itself, which are those that the rows it had do not explain. How long the run took
//!   stays. A row all of whose keys are dropped is kept, with its step and time. Artifacts stay, also those of
//!   tables that no row has any more.
//! - **Config and summary** may have been rendered to `files/config.yaml` and `files/wandb-summary.json`,
//!   which are left out if they would contradict the log. `wandb sync` makes them anew.

mod condition;
mod internal;
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
use crate::io::refuse_existing;
use crate::log::{LogFile, LogWriter, Reader, Repeated, locate};
use crate::rewrite::{
    Identity, Rendering, Rewriter, Staged, directory_name, files_in, refuse_in_runs, run_id,
    with_slashes,
};
use crate::wire::Malformed;
use pass::Pass;
use std::io::{self, Write};
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
    let log = locate(run)?;
    edit_run(&log, output.as_ref(), options).map_err(|error| error.at(&log.path))
}

/// Edits a log alone that is in memory, to any sink. Files are not looked at; the report names neither log
/// nor directory.
///
/// # Errors
/// As for [`edit()`]; something may be written then.
pub fn edit_log(log: &[u8], to: impl Write, options: &Options) -> Result<EditReport> {
    let open = || Reader::options().lenient(true).read_slice(log);
    let survey = Survey::of(open(), options)?;
    let who = Who::of(&survey, Path::new(""), options)?;
    let mut pass = Pass::new(options, &survey, &who.new, who.old_id)?;
    let mut rewriter = Rewriter::new(LogWriter::new(to, ""));
    pass.run(open(), &mut rewriter)?;
    rewriter.flush()?;
    Ok(EditReport { run_id: who.id().to_owned(), written: true, ..report(pass, &survey) })
}

fn edit_run(log: &LogFile, output: &Path, options: &Options) -> Result<EditReport> {
    let source = Repeated::new(&log.path)?;
    let survey = Survey::of(source.reader()?, options)?;
    let who = Who::of(&survey, &log.path, options)?;
    let directory = output.join(directory_name(log, survey.state.info(), who.id()));
    refuse_in_runs(&directory, [log.path.as_path()])?;
    let mut pass = Pass::new(options, &survey, &who.new, who.old_id)?;
    let files = Files::of(log, &pass, options)?;
    if options.dry_run {
        refuse_existing(&directory)?;
        pass.run(source.reader()?, &mut Rewriter::new(LogWriter::new(io::sink(), &directory)))?;
    } else {
        let mut staged = Staged::run(&directory, who.id())?;
        pass.run(source.reader()?, &mut staged.log)?;
        if let Some(to) = &mut staged.files {
            to.set_hard_links(options.hard_links);
            for name in &files.carried {
                to.place(&files.dir.join(name), name)?;
            }
        }
        staged.prove()?.publish()?;
    }
    Ok(EditReport {
        log: log.path.clone(),
        directory,
        written: !options.dry_run,
        run_id: who.id().to_owned(),
        files: files.carried.len() as u64,
        files_left_out: files.left_out,
        ..report(pass, &survey)
    })
}

/// What was done to the records.
fn report(pass: Pass<'_>, survey: &Survey) -> EditReport {
    let mut damage = survey.damage.clone();
    damage.undecodable += pass.undecodable;
    EditReport {
        records: pass.ledger.records,
        examples: pass.ledger.examples,
        renamed_keys: pass.keys.renamed,
        dropped_keys: pass.keys.dropped,
        damage,
        ..EditReport::default()
    }
}

/// Who the run was, and is going to be.
struct Who<'a> {
    old_id: &'a str,
    new: Identity,
}

impl<'a> Who<'a> {
    fn of(survey: &'a Survey, log: &'a Path, options: &Options) -> Result<Self> {
        options.check()?;
        let info = survey.state.info();
        if info.run().is_none() {
            let reason = "the log has no record of its run, and cannot be uploaded";
            return Err(Error::misuse(reason));
        }
        Ok(Self { old_id: run_id(info, log), new: options.identity(info)? })
    }

    fn id(&self) -> &str {
        self.new.id.as_deref().unwrap_or(self.old_id)
    }
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
            let text = with_slashes(&name);
            let contradicts = match Rendering::of(&dir, &text) {
                Some(Rendering::Config) => !options.config.is_none(),
                Some(Rendering::Summary) => summary_changes,
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
