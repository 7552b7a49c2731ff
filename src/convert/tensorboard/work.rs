//! Working off the jobs, several at a time.
//!
//! A log must be safe on the disk before its directory gets its name. That takes no processor but time,
//! so some threads convert, one for each processor, while others wait for the disk.

use super::Progress;
use super::options::Options;
use super::plan::Job;
use super::report::{RunReport, RunStatus};
use super::write::{StagedRun, convert_run};
use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What is to be done.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub jobs: &'a [Job],
    pub options: &'a Options,
    /// The run directories that are there already, by id.
    pub existing: &'a HashMap<String, PathBuf>,
    /// Whether the runs go on.
    pub unfinished: bool,
    pub observe: &'a (dyn Fn(Progress<'_>) + Sync),
}

/// A run that is converted, for better or worse, with the number of its job.
type Converted = (usize, RunReport, Result<Option<StagedRun>>);

impl Work<'_> {
    /// Does it, and returns the reports in the order of the jobs.
    pub(super) fn done(self) -> Vec<RunReport> {
        let mut ids = HashSet::new();
        let twice: Vec<bool> = self.jobs.iter().map(|job| !ids.insert(job.id.as_str())).collect();
        let workers = self.options.job_count().min(self.jobs.len()).max(1);
        let next = AtomicUsize::new(0);
        // Bounded, for every run in it has an open file.
        let (converted, waiting) = sync_channel::<Converted>(WAITING);
        let waiting = Mutex::new(waiting);
        let (report, reports) = channel();
        thread::scope(|scope| {
            for _ in 0..workers {
                let (converted, next, twice) = (converted.clone(), &next, &twice);
                scope.spawn(move || {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let (Some(job), Some(&twice)) = (self.jobs.get(at), twice.get(at)) else {
                            return;
                        };
                        let mut report = report_of(job);
                        let staged = self.convert(job, twice, workers, &mut report);
                        let _ = converted.send((at, report, staged));
                    }
                });
            }
            drop(converted);
            for _ in 0..WAITING.min(self.jobs.len()) {
                let (waiting, report) = (&waiting, report.clone());
                scope.spawn(move || {
                    while let Some((at, mut run, staged)) = next_of(waiting) {
                        finish(staged, &mut run);
                        (self.observe)(Progress::Done(&run));
                        let _ = report.send((at, run));
                    }
                });
            }
        });
        drop(report);
        let mut reports: Vec<_> = reports.into_iter().collect();
        reports.sort_by_key(|(at, _)| *at);
        reports.into_iter().map(|(_, report)| report).collect()
    }

    fn convert(
        &self,
        job: &Job,
        twice: bool,
        workers: usize,
        report: &mut RunReport,
    ) -> Result<Option<StagedRun>> {
        let before = self.existing.get(&job.id);
        if twice {
            return Err(Error::misuse("the same run as another one of this conversion"));
        }
        if let Some(path) = before.filter(|_| !self.options.update) {
            let what = "already converted; `--update` brings it up to date";
            return Err(Error::misuse(what).at(path));
        }
        let before = before.map(PathBuf::as_path);
        convert_run(job, self.options, workers, before, self.unfinished, report, self.observe)
    }
}

fn report_of(job: &Job) -> RunReport {
    RunReport {
        log_dir: job.log_dir.clone(),
        name: job.name.clone(),
        folded: job.folded.clone(),
        run_id: job.id.clone(),
        ..RunReport::default()
    }
}

/// The next run to finish; `None` when there are no more.
fn next_of(waiting: &Mutex<Receiver<Converted>>) -> Option<Converted> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

fn finish(staged: Result<Option<StagedRun>>, report: &mut RunReport) {
    let done = match staged {
        Ok(Some(staged)) => staged.finish(report),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = done {
        report.status = RunStatus::Failed;
        report.directory = None;
        report.error = Some(error.to_string());
    }
}

/// How many runs wait for the disk at a time, besides as many that wait for their turn.
const WAITING: usize = 16;
