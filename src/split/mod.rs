//! Splitting a run in two at a step, the inverse of merging.
//!
//! ```
//! # fn main() -> wandb_offline::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! use wandb_offline::run;
//! use wandb_offline::split::{Options, split};
//!
//! let options = Options { at: 4, ..Options::default() };
//! let report = split("fixtures/wandb/0.31.0/define_metric", dir.path(), &options)?;
//! let [first, second] = &report.parts;
//! assert_eq!((first.run_id.as_str(), first.rows), ("defmet01", 4));
//! assert_eq!((second.run_id.as_str(), second.rows), ("defmet01-from4", 4));
//! let (second, _) = run::load(&second.directory, false)?;
//! assert_eq!(second.history().first_step(), Some(4));
//! # Ok(())
//! # }
//! ```
//!
//! # What goes where
//! The cut is in front of the first row whose step is [`Options::at`] or more.
//!
//! - **Rows** go by their step. They keep it, and their `_runtime`, which goes on counting from when the run
//!   began.
//! - **Header, environment and artifacts that were used** are in both. Records of the run, config, metric
//!   definitions and telemetry are in both if they stand in front of the cut, else in the second.
//! - **Console output and system metrics** go by their time, everything else by its place.
//! - **Media files** go with the rows that name them. Other files are in both, unless they are listed behind
//!   the cut. Renderings of what the log has (`config.yaml`, `wandb-summary.json`, `output.log` of a log with
//!   console records) are left out; `wandb sync` makes them anew.
//! - **The summary** is made anew of the rows of each, by the metric definitions. Beyond that it has what the
//!   program had set itself by then.
//! - **The end** is that of the second. The first ended well (exit code 0) with its last row, which is also
//!   when the second started.

mod part;
mod pass;
mod survey;

use crate::error::{Error, Result};
use crate::io::refuse_existing;
use crate::log::{LogFile, LogWriter, Repeated, locate_only};
use crate::record::RecordKind;
use crate::rewrite::{
    Damage, FilesDir, Identity, Rendering, Rewriter, RowSteps, Staged, Template, Written,
    directory_name, files_in, refuse_in_runs, run_id, with_slashes,
};
use part::{Part, Side};
use pass::Pass;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use survey::Survey;

/// How to split.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "made with ..Options::default()")]
pub struct Options {
    /// The first step of the second run.
    pub at: i64,
    /// The id of the second run, by default `<id>-from<at>`. The first keeps the id it has.
    pub second_id: Option<Template>,
    /// The name of the first run, by default the one it has.
    pub first_name: Option<Template>,
    /// The name of the second run, by default that of the first.
    pub second_name: Option<Template>,
    /// Makes hard links to the run's files where the file system can, instead of copies.
    pub hard_links: bool,
    /// Only reports what would be done, and writes nothing.
    pub dry_run: bool,
}

/// What was split.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SplitReport {
    /// The log that was read.
    pub log: PathBuf,
    /// Whether the runs were made.
    pub written: bool,
    /// The two runs.
    pub parts: [SplitPart; 2],
    /// What could not be read.
    #[serde(skip)]
    pub damage: Damage,
}

/// One of the two runs.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SplitPart {
    /// Its run directory.
    pub directory: PathBuf,
    /// Its id.
    pub run_id: String,
    /// How many rows it has.
    pub rows: u64,
    /// Its first step.
    pub first_step: Option<i64>,
    /// Its last step.
    pub last_step: Option<i64>,
    /// How many files it has.
    pub files: u64,
    /// How many records it has.
    pub records: Written,
}

/// Makes two run directories of the one that `run` means: a log, a run directory, its `files/`, or a directory
/// of one run. They are made in the directory `output`, each called after the time the run started and its id.
/// Both are proven before either gets its name. A process that is killed in the moment between the two names leaves
/// the first run, whole, which must be removed before the same can be done again.
///
/// Damage in the log is passed over, and is in the report.
///
/// # Errors
/// When several runs are there; when a part would have no rows; when the log cannot be read, or has no record of
/// its run; when a run directory of such a name exists; and when writing fails.
pub fn split(
    run: impl AsRef<Path>,
    output: impl AsRef<Path>,
    options: &Options,
) -> Result<SplitReport> {
    let log = locate_only(run.as_ref())?;
    split_log(&log, output.as_ref(), options).map_err(|error| error.at(&log.path))
}

fn split_log(log: &LogFile, output: &Path, options: &Options) -> Result<SplitReport> {
    let source = Repeated::new(&log.path)?;
    let survey = Survey::of(&source, options.at)?;
    let info = survey.state.info();
    let old_id = run_id(info, &log.path);
    let identities = identities(options, &survey, old_id)?;
    let [first, second] = identities.each_ref();
    let ids = [first, second].map(|identity| identity.id.as_deref().unwrap_or(old_id).to_owned());
    let directories = ids.each_ref().map(|id| output.join(directory_name(log, info, id)));
    directories.iter().try_for_each(|directory| refuse_in_runs(directory, [log.path.as_path()]))?;
    let files = Files::of(log, &survey)?;
    let [first, second] = identities;
    let mut parts = [
        Part::new(Side::First, &survey, first, old_id),
        Part::new(Side::Second, &survey, second, old_id),
    ];
    let mut damage = survey.damage.clone();
    let written = if options.dry_run {
        directories.iter().try_for_each(|directory| refuse_existing(directory))?;
        let sink = || Rewriter::new(LogWriter::new(io::sink(), &log.path));
        let mut logs = [sink(), sink()];
        let pass = pass(options.at, &survey, &mut parts, logs.each_mut());
        damage.undecodable += pass.run(&source)?;
        logs.map(|log| log.written())
    } else {
        let ([first, second], [first_id, second_id]) = (&directories, &ids);
        let mut staged = [Staged::run(first, first_id)?, Staged::run(second, second_id)?];
        let logs = staged.each_mut().map(|staged| &mut staged.log);
        damage.undecodable += pass(options.at, &survey, &mut parts, logs).run(&source)?;
        for (side, staged) in staged.iter_mut().enumerate() {
            if let Some(to) = &mut staged.files {
                to.set_hard_links(options.hard_links);
                files.place(side, to)?;
            }
        }
        publish(staged)?
    };
    let part = |part: &Part<'_>, directory, run_id, files: &[PathBuf], records| {
        let rows = part.kept.history();
        let (first_step, last_step) = (rows.first_step(), rows.last_step());
        let (rows, files) = (rows.rows(), files.len() as u64);
        SplitPart { directory, run_id, rows, first_step, last_step, files, records }
    };
    let ([first, second], [first_files, second_files]) = (&parts, &files.carried);
    let ([first_dir, second_dir], [first_id, second_id]) = (directories, ids);
    Ok(SplitReport {
        log: log.path.clone(),
        written: !options.dry_run,
        parts: [
            part(first, first_dir, first_id, first_files, written[0]),
            part(second, second_dir, second_id, second_files, written[1]),
        ],
        damage,
    })
}

/// Proves both before either gets its name.
fn publish([first, second]: [Staged; 2]) -> Result<[Written; 2]> {
    let (first, second) = (first.prove()?, second.prove()?);
    let written = [first.written(), second.written()];
    first.publish()?;
    second.publish()?;
    Ok(written)
}

fn pass<'a, 'b, W>(
    at: i64,
    survey: &'a Survey,
    parts: &'b mut [Part<'a>; 2],
    logs: [&'b mut Rewriter<W>; 2],
) -> Pass<'a, 'b, W> {
    Pass { at, survey, parts, logs, steps: RowSteps::default(), is_behind: false, undecodable: 0 }
}

/// Who the two runs are.
fn identities(options: &Options, survey: &Survey, old_id: &str) -> Result<[Identity; 2]> {
    let info = survey.state.info();
    let fill = |template: &Option<Template>| Some(template.as_ref()?.fill(info));
    let id = fill(&options.second_id).unwrap_or_else(|| format!("{old_id}-from{}", options.at));
    if id == old_id {
        return Err(Error::setting("id", format!("{id:?} is the first run's id")));
    }
    let first = Identity { name: fill(&options.first_name), ..Identity::default() };
    let second = Identity { id: Some(id), name: fill(&options.second_name), ..Identity::default() };
    second.check()?;
    Ok([first, second])
}

/// The files of the two runs.
struct Files {
    dir: PathBuf,
    carried: [Vec<PathBuf>; 2],
}

impl Files {
    fn of(log: &LogFile, survey: &Survey) -> Result<Self> {
        let dir = log.dir().join("files");
        let console = [RecordKind::OutputRaw, RecordKind::Output, RecordKind::OutputLogger];
        let has_console = console.iter().any(|kind| survey.state.records(*kind) > 0);
        let mut carried = [Vec::new(), Vec::new()];
        for name in files_in(&dir)? {
            let text = with_slashes(&name);
            let is_rendering = match Rendering::of(&dir, &text) {
                Some(Rendering::Console) => has_console,
                rendering => rendering.is_some(),
            };
            for (files, has) in carried.iter_mut().zip(survey.has_file(&text)) {
                if has && !is_rendering {
                    files.push(name.clone());
                }
            }
        }
        Ok(Self { dir, carried })
    }

    fn place(&self, side: usize, to: &mut FilesDir) -> Result<()> {
        for name in self.carried.get(side).into_iter().flatten() {
            to.place(&self.dir.join(name), name)?;
        }
        Ok(())
    }
}
