//! Uploading the logs of one run, one after another, each with its ledger.

use super::caught::caught;
use super::event::Event;
use super::ledger::{Ledger, LedgerFile, LogMark, ledgers};
use super::local::LocalFiles;
use super::options::{Live, Stop, SyncOptions, Terms};
use super::pack::{Named, PackedLogs};
use super::paths::Candidate;
use super::plan::{Plan, PlanOptions};
use super::report::{Receipt, RunReport, RunStatus, SyncReport};
use super::rounds::Rounds;
use super::sender::Sender;
use super::server::Server;
use super::transport::Transport;
use super::upload::{Upload, mark_stored, noted_step};
use crate::error::{Error, ErrorKind, Result};
use crate::log::Reader;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Uploads the logs that `paths` mean. Runs go side by side; logs of one run go one after another, oldest
/// first. Nothing stops the others when one fails.
///
/// With [`SyncOptions::live`], logs are followed until their runs end or `stop` says so.
pub fn sync(
    paths: &[PathBuf],
    server: &Server,
    transport: &dyn Transport,
    options: &SyncOptions,
    stop: &Stop,
    observe: &(dyn Fn(Event<'_>) + Sync),
) -> SyncReport {
    upload(paths, &PackedLogs::new(), server, transport, options, stop, observe)
}

/// Uploads the logs that `paths` mean, those that are `packed` with what is packed with them.
pub(super) fn upload(
    paths: &[PathBuf],
    packed: &PackedLogs,
    server: &Server,
    transport: &dyn Transport,
    options: &SyncOptions,
    stop: &Stop,
    observe: &(dyn Fn(Event<'_>) + Sync),
) -> SyncReport {
    let sender = Sender::new(transport, server, stop, observe);
    let session = Session { server, packed, options, observe, sender };
    Rounds::new(&session, paths).run()
}

/// A sync under way.
pub(super) struct Session<'a> {
    pub(super) server: &'a Server,
    pub(super) packed: &'a PackedLogs,
    pub(super) options: &'a SyncOptions,
    pub(super) observe: &'a (dyn Fn(Event<'_>) + Sync),
    pub(super) sender: Sender<'a>,
}

/// How a log is gone about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// Behind the lines of another log of the same run.
    pub(super) behind: Option<[u64; 3]>,
    /// Another log goes on behind it, and how the run ends is for that to say.
    pub(super) goes_on: bool,
    /// How it is followed, if it is.
    pub(super) follow: Option<Live>,
    /// Bytes of lines that make a batch.
    pub(super) batch: usize,
}

impl Session<'_> {
    /// Uploads the logs of one run. One that failed keeps those after it back, for they go on where it ends.
    /// Only the last one may still be written. Also tells where the lines end.
    pub(super) fn group(
        &self,
        group: &[Candidate],
        mut course: Course,
    ) -> (Vec<RunReport>, Option<[u64; 3]>) {
        let mut reports: Vec<RunReport> = Vec::new();
        for (at, candidate) in group.iter().enumerate() {
            let log = &candidate.log.path;
            let failed_with =
                |error| report(candidate, RunStatus::Failed, vec![explained(&error, log)]);
            let failed = reports.last().is_some_and(|report: &RunReport| {
                report.status != RunStatus::Planned && report.receipt.log_bytes == 0
            });
            let report = if failed && !self.compares_first(candidate) {
                let reason = "an earlier log of this run is not stored yet".to_owned();
                report(candidate, RunStatus::Failed, vec![reason])
            } else if self.options.dry_run {
                self.planned(candidate).unwrap_or_else(failed_with)
            } else {
                (self.observe)(Event::Started { log });
                course.goes_on = at + 1 < group.len();
                course.follow = self.options.live.filter(|_| !course.goes_on);
                match self.checked(candidate, course, group) {
                    Ok((report, behind)) => {
                        course.behind = Some(behind);
                        report
                    }
                    Err(error) => failed_with(error),
                }
            };
            (self.observe)(Event::Ended { report: &report });
            reports.push(report);
        }
        (reports, course.behind)
    }

    /// The reports on logs whose upload ended in a panic.
    pub(super) fn broken(&self, group: &[Candidate], why: &str) -> Vec<RunReport> {
        let reports = group.iter().map(|log| report(log, RunStatus::Failed, vec![why.to_owned()]));
        let reports: Vec<_> = reports.collect();
        // It may be the observer that panics.
        let _ =
            caught(|| reports.iter().for_each(|report| (self.observe)(Event::Ended { report })));
        reports
    }

    pub(super) fn ledger(&self, candidate: &Candidate) -> Result<(LedgerFile, Option<Ledger>)> {
        LedgerFile::lock(&candidate.log.path, &self.target(candidate))
    }

    pub(super) fn target<'b>(&'b self, candidate: &'b Candidate) -> [&'b str; 4] {
        let (entity, project, id) = &candidate.target;
        [&self.server.base, entity, project, id]
    }

    /// What is to be uploaded, and what the ledger says is stored of it.
    fn planned(&self, candidate: &Candidate) -> Result<RunReport> {
        let mut planned = report(candidate, RunStatus::Planned, Vec::new());
        let (log, files) = (&candidate.log.path, self.files(candidate));
        let ledger = LedgerFile::peek(log, &self.target(candidate))?;
        if !ledger.as_ref().is_some_and(|ledger| ledger.whole) {
            planned.notices = Named::by(log, &files)?.obstacles(&files, candidate.terms.finish);
        }
        Ok(match ledger {
            Some(ledger) => {
                RunReport { receipt: Receipt::of(&ledger), ..self.named(planned, &ledger) }
            }
            None => planned,
        })
    }

    /// Uploads a log, behind the lines of one of the same run if there is one. Also tells where its own end.
    pub(super) fn log(
        &self,
        candidate: &Candidate,
        course: Course,
    ) -> Result<(RunReport, [u64; 3])> {
        let log = &candidate.log.path;
        let Course { behind, goes_on, follow, batch } = course;
        let (file, ledger) = self.ledger(candidate)?;
        if let Some(ledger) = &ledger {
            if !ledger.log.fits(log)? {
                return Err(Error::misuse(OTHER_LOG).at(log));
            }
            if self.is_stored(candidate, ledger, course) {
                return Ok((self.stored_before(candidate, ledger, goes_on), ledger.ends()));
            }
        }
        if let Some(packed) = &candidate.packed {
            packed.verify()?;
        }
        let Terms { overrides, finish, append, salvage } = candidate.terms.clone();
        if !salvage && follow.is_none() {
            check_sound(log)?;
        }
        let was_ended = was_ended(candidate, ledger.as_ref());
        let options = PlanOptions {
            overrides,
            finish: ((finish || was_ended) && !goes_on).then_some(1),
            continues: behind.is_some() || append,
            at_least: behind.unwrap_or_default(),
            live: follow.map(|live| live.pace),
            batch,
            gzip: self.server.gzip,
            starting_step: noted_step(log),
        };
        let mut fresh = ledger.unwrap_or_default();
        fresh.server.clone_from(&self.server.base);
        fresh.was_ended = was_ended;
        fresh.log = if fresh.log.length == 0 { LogMark::of(log)? } else { fresh.log };
        let (mut plan, mut told) = (Plan::new(options, Some(fresh)), false);
        loop {
            let mut run = Upload {
                session: self,
                log,
                follow,
                goes_on,
                salvage,
                file: &file,
                files: self.files(candidate),
                plan,
                told,
                undecodable: None,
            };
            run.drive()?;
            if !run.plan.wants_restart() {
                return Ok((run.report(candidate), run.plan.ledger().ends()));
            }
            (plan, told) = (run.plan.again(), run.told);
        }
    }

    /// Whether there is nothing to send of a log: all of it is stored, and its run has ended or is still as it was left.
    fn is_stored(&self, candidate: &Candidate, ledger: &Ledger, course: Course) -> bool {
        let is_unchanged = || {
            !candidate.terms.finish
                && is_quiet(&candidate.log.path, course.follow)
                && !self.has_changed_files(candidate, ledger)
        };
        ledger.whole
            && ledger.stored == candidate.log.size
            && (ledger.complete.is_some() || course.goes_on || is_unchanged())
    }

    /// The files of a log.
    pub(super) fn files(&self, candidate: &Candidate) -> LocalFiles {
        match &candidate.packed {
            Some(packed) => LocalFiles::packed(packed.clone()),
            None => LocalFiles::new(candidate.log.dir(), self.options),
        }
    }

    fn stored_before(&self, candidate: &Candidate, ledger: &Ledger, goes_on: bool) -> RunReport {
        let has_ended = ledger.complete.is_some() || goes_on;
        let status = if has_ended { RunStatus::Already } else { RunStatus::Open };
        let problems = if status == RunStatus::Open { vec![OPEN.to_owned()] } else { Vec::new() };
        let mut report = report(candidate, status, problems);
        mark_stored(&mut report);
        RunReport { receipt: Receipt::of(ledger), ..self.named(report, ledger) }
    }

    /// The report with the names that the server gave.
    pub(super) fn named(&self, report: RunReport, ledger: &Ledger) -> RunReport {
        if ledger.run.is_empty() {
            return report;
        }
        let Ledger { entity, project, run, name, .. } = ledger;
        RunReport {
            url: Some(self.server.run_url(entity, project, run)),
            run: Some(format!("{entity}/{project}/{run}")),
            name: Some(name.clone()).filter(|name| !name.is_empty()),
            ..report
        }
    }
}

/// An error as a problem of a log, whose path need not be repeated, and what to do if nothing may be written beside
/// it.
pub(super) fn explained(error: &Error, log: &Path) -> String {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let is_closed = matches!(error.kind(), ErrorKind::Io { action: "lock" | "write", source }
        if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem));
    let hint = "; --to packs the run into another directory, from where --from uploads it";
    let text = match error.path() == Some(log) {
        true => error.kind().to_string(),
        false => error.to_string(),
    };
    format!("{text}{}", if is_closed { hint } else { "" })
}

/// Reads a log to its end, so that of one that is damaged nothing is sent.
fn check_sound(log: &Path) -> Result<()> {
    let mut reader = Reader::open(log)?;
    while let Some(record) = reader.next_record()? {
        record.decode()?;
    }
    Ok(())
}

/// Whether the run of a log was ended before: whoever marked it without a ledger has done so.
fn was_ended(candidate: &Candidate, ledger: Option<&Ledger>) -> bool {
    let Candidate { log, .. } = candidate;
    ledger.map_or_else(|| log.synced && ledgers(&log.path).is_empty(), |ledger| ledger.was_ended)
}

/// Whether nobody writes to a log, as far as that can be told.
fn is_quiet(log: &Path, follow: Option<Live>) -> bool {
    let Some(live) = follow else { return true };
    let changed = std::fs::metadata(log).and_then(|found| found.modified()).ok();
    changed.and_then(|time| time.elapsed().ok()).is_some_and(|time: Duration| time >= live.silence)
}

pub(super) fn report(candidate: &Candidate, status: RunStatus, problems: Vec<String>) -> RunReport {
    let (entity, project, run) = &candidate.target;
    RunReport {
        log: candidate.log.path.clone(),
        status,
        problems,
        notices: Vec::new(),
        url: None,
        run: Some(format!("{entity}/{project}/{run}")),
        name: None,
        checks: Vec::new(),
        receipt: Receipt::default(),
    }
}

pub(super) const OTHER_LOG: &str =
    "its ledger is of another log; move the .sync file beside it away";

pub(super) const OPEN: &str =
    "the log has no end, so the run was left open; --finish ends it as crashed";

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn where_nothing_may_be_written_beside_the_log_a_pack_is_proposed() {
        let log = Path::new("wandb/run-a.wandb");
        let told = |action, kind: io::ErrorKind, path: &str| {
            explained(&Error::io(action, path, kind.into()), log)
        };
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem] {
            assert!(told("lock", kind, "wandb/run-a.wandb.0.sync.lock").contains("--to packs"));
            assert!(!told("read", kind, "wandb/run-a.wandb").contains("--to"));
        }
        let missing = told("lock", io::ErrorKind::NotFound, "wandb/x.lock");
        assert_eq!(missing, "cannot lock: entity not found: wandb/x.lock");
        let damaged = explained(&Error::misuse("damaged").at(log), log);
        assert_eq!(damaged, "damaged", "whose path is told already");
    }
}
