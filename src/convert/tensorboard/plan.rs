//! What is to be converted, and the jobs that do it.

use super::Progress;
use super::fold::{Folded, fold, hold_back};
use super::keys::{IdHasher, log_dir_name};
use super::options::{Options, Restart};
use super::report::{ConvertReport, FileError, LogDirBeside, LogDirError};
use super::work::Work;
use crate::error::Result;
use crate::tfevents::{Beside, EventReaderOptions, FileOrder, LogDir, RunFiles, discover};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A conversion that is about to start: the runs are known, none of their files was read yet but for
/// its beginning.
#[derive(Debug)]
pub struct Conversion<'a> {
    options: &'a Options,
    jobs: Vec<Job>,
    /// The run directories that are in the output directory, by id.
    existing: HashMap<String, PathBuf>,
    /// Whether the runs go on, so that they get no exit record.
    unfinished: bool,
    report: ConvertReport,
}

/// A run to be made.
#[derive(Debug)]
pub(super) struct Job {
    pub log_dir: PathBuf,
    pub log_dir_name: String,
    /// The TensorBoard run's name.
    pub name: String,
    pub groups: Vec<Group>,
    pub id: String,
    /// Files that could not be read when the id was made, which may be another one than otherwise for it.
    pub unreadable: Vec<FileError>,
    /// Names of the runs whose hyperparameters became part of it.
    pub folded: Vec<String>,
}

/// Files that are read as one stream, and what goes in front of their tags.
#[derive(Debug)]
pub(super) struct Group {
    pub prefix: String,
    pub files: Vec<PathBuf>,
}

impl<'a> Conversion<'a> {
    /// Looks for runs under these log directories or event files.
    ///
    /// # Errors
    /// When the options are unusable. A log directory that is not there or holds no event file is an
    /// error of the report.
    pub fn plan(logdirs: &[impl AsRef<Path>], options: &'a Options) -> Result<Self> {
        Self::plan_of(logdirs, options, false)
    }

    /// The same for runs that go on. Sub-runs that may turn out to be folded are left out.
    pub(super) fn plan_unfinished(
        logdirs: &[impl AsRef<Path>],
        options: &'a Options,
    ) -> Result<Self> {
        Self::plan_of(logdirs, options, true)
    }

    fn plan_of(
        logdirs: &[impl AsRef<Path>],
        options: &'a Options,
        unfinished: bool,
    ) -> Result<Self> {
        options.check()?;
        let mut plan = Self {
            options,
            jobs: Vec::new(),
            existing: existing_runs(&options.output),
            unfinished,
            report: ConvertReport::default(),
        };
        for path in logdirs {
            plan.add(path.as_ref());
        }
        Ok(plan)
    }

    fn add(&mut self, path: &Path) {
        let found = match discover(path) {
            Ok(found) => found,
            Err(error) => return self.fail(path, error.to_string()),
        };
        if is_something_else(path, &found) {
            return self.fail(path, "not a TensorBoard event file".into());
        }
        let empty = found.runs.is_empty();
        let LogDir { root, runs, skipped, beside: Beside { embeddings, profiles, .. } } = found;
        if embeddings + profiles > 0 {
            self.report.beside.push(LogDirBeside { path: path.to_owned(), embeddings, profiles });
        }
        self.report.skipped.extend(skipped.into_iter().map(LogDirError::from));
        if empty {
            return self.fail(path, "no TensorBoard event files here".into());
        }
        let log_dir_name = log_dir_name(&root);
        let make = |name: String, runs: Vec<RunFiles>| {
            let mut unreadable = Vec::new();
            Job {
                log_dir: path.to_owned(),
                log_dir_name: log_dir_name.clone(),
                id: run_id(&log_dir_name, &runs, self.options, &mut unreadable),
                unreadable,
                groups: runs.into_iter().map(|run| self.group(run)).collect(),
                folded: Vec::new(),
                name,
            }
        };
        let jobs: Vec<_> = if self.options.merge {
            vec![make(".".into(), runs)]
        } else if self.options.fold_hparams && self.unfinished {
            hold_back(runs).into_iter().map(|run| make(run.name.clone(), vec![run])).collect()
        } else if self.options.fold_hparams {
            let runs = fold(runs).into_iter().map(|Folded { above, run, trial }| {
                let mut job = make(run.name.clone(), vec![run]);
                job.folded.extend(above.iter().chain(&trial).map(|run| run.name.clone()));
                job.groups.splice(0..0, above.map(|run| self.group(run)));
                job.groups.extend(trial.map(|run| self.group(run)));
                job
            });
            runs.collect()
        } else {
            runs.into_iter().map(|run| make(run.name.clone(), vec![run])).collect()
        };
        self.jobs.extend(jobs);
    }

    fn group(&self, mut run: RunFiles) -> Group {
        if self.options.restart == Restart::TensorBoard {
            run.sort(FileOrder::Name);
        }
        let prefixed = self.options.merge && run.name != ".";
        let prefix = if prefixed { format!("{}/", run.name) } else { String::new() };
        Group { prefix, files: run.files }
    }

    fn fail(&mut self, path: &Path, error: String) {
        self.report.errors.push(LogDirError { path: path.to_owned(), error, is_loop: false });
    }

    /// Leaves out runs.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Job) -> bool) {
        self.jobs.retain(keep);
    }

    /// How many runs there are.
    pub const fn runs(&self) -> usize {
        self.jobs.len()
    }

    /// Bytes of all event files.
    pub fn bytes(&self) -> u64 {
        let files = self.jobs.iter().flat_map(|job| &job.groups).flat_map(|group| &group.files);
        files.filter_map(|file| fs::metadata(file).ok()).map(|metadata| metadata.len()).sum()
    }

    /// Converts them, several at a time, and tells `observe` how it goes.
    pub fn run(mut self, observe: &(dyn Fn(Progress<'_>) + Sync)) -> ConvertReport {
        let work = Work {
            jobs: &self.jobs,
            options: self.options,
            existing: &self.existing,
            unfinished: self.unfinished,
            observe,
        };
        self.report.runs = work.done();
        self.report
    }
}

/// The id of a run: the same for the same log, wherever its log directory lies and however far it has
/// grown. Taken from the names of the log directory and of the part that began first, the name of its
/// first file, and the wall time of its first event. That tells copies of a directory apart, in which
/// different trainings went on.
///
/// What was merged is none of its parts, and must not meet them on a server. A run and the same one with
/// its sub-run folded in are one, for the sub-run comes when the training is over; only who never wants
/// that has other ids.
fn run_id(
    log_dir_name: &str,
    runs: &[RunFiles],
    options: &Options,
    unreadable: &mut Vec<FileError>,
) -> String {
    let mut wall_time = |file: &Path| {
        first_wall_time(file).unwrap_or_else(|error| {
            unreadable.push(FileError::new(file, &error));
            None
        })
    };
    let starts = runs.iter().map(|run| {
        let first = run.files.iter().find_map(|file| Some((file, wall_time(file)?)));
        let (file, wall_time) = match (first, run.files.first()) {
            (Some((file, wall_time)), _) => (Some(file), wall_time),
            (None, file) => (file, f64::INFINITY),
        };
        (wall_time, run.name.as_str(), file)
    });
    let first = starts.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
    let mut hasher = IdHasher::new();
    hasher.part(log_dir_name.as_bytes());
    if let Some((wall_time, name, file)) = first {
        hasher.part(name.as_bytes());
        let file = file.and_then(|file| file.file_name()).unwrap_or_default();
        hasher.part(file.as_encoded_bytes());
        hasher.part(&wall_time.to_bits().to_le_bytes());
    }
    if options.merge {
        hasher.part(b"merged");
    } else if !options.fold_hparams {
        hasher.part(b"unfolded");
    }
    hasher.id()
}

/// The wall time of the first event of a file, if it begins with one.
fn first_wall_time(path: &Path) -> Result<Option<f64>> {
    let mut reader = EventReaderOptions::default().open(path)?;
    match reader.next_event() {
        Ok(event) => Ok(event.and_then(|event| event.view().ok()).map(|event| event.wall_time)),
        Err(error) if error.is_corrupt() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file was named that neither is called like an event file nor begins like one.
fn is_something_else(path: &Path, found: &LogDir) -> bool {
    let called = path.file_name().unwrap_or_default().to_string_lossy().contains("tfevents");
    let files = found.runs.iter().flat_map(|run| &run.files);
    !called
        && path.is_file()
        && files.clone().all(|file| !matches!(first_wall_time(file), Ok(Some(_))))
}

/// The run directories that are in this output directory, by id.
fn existing_runs(output: &Path) -> HashMap<String, PathBuf> {
    let entries = fs::read_dir(output).into_iter().flatten().flatten();
    let mut runs: Vec<_> = entries.map(|entry| entry.path()).collect();
    // The first of several stays.
    runs.sort_by(|a, b| b.cmp(a));
    let id = |path: &PathBuf| Some(run_dir_id(path.file_name()?.to_str()?)?.to_owned());
    runs.into_iter().filter_map(|path| Some((id(&path)?, path))).collect()
}

/// The id in `offline-run-<date>_<time>-<id>`, or `None` if that is not what the name looks like.
fn run_dir_id(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("offline-run-").or_else(|| name.strip_prefix("run-"))?;
    let (stamp, id) = rest.split_once('-')?;
    let (date, time) = stamp.split_once('_')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (date.len() >= 8 && time.len() == 6 && digits(date) && digits(time)).then_some(id)
}
