//! Drives plans: reads logs, sends requests, measures files, keeps ledgers. Threads are here and nowhere else.

use super::audit::{Check, Expected};
use super::ledger::{Ledger, LedgerFile, LogMark, replace, with_suffix};
use super::local::{LocalFiles, measure};
use super::options::{Stop, SyncOptions};
use super::paths::{Candidate, select};
use super::plan::{Outcome, Plan, PlanOptions, Step, Ticket, find_row, tail_request};
use super::report::{Receipt, RunReport, RunStatus, SyncReport};
use super::sender::Sender;
use super::server::Server;
use super::transport::Transport;
use crate::error::{Error, Result};
use crate::log::Reader;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, Scope};
use std::time::Duration;

/// What happens during a sync, told as it happens, from several threads.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A log is being uploaded.
    Started {
        /// The log.
        log: &'a Path,
    },
    /// The server knows the run.
    Created {
        /// The log.
        log: &'a Path,
        /// The run's page.
        url: &'a str,
    },
    /// More of a log was read.
    Progress {
        /// The log.
        log: &'a Path,
        /// Rows that the server has acknowledged.
        rows: u64,
    },
    /// A request failed and will be sent again.
    Waiting {
        /// What the request was for.
        what: &'a str,
        /// What it was answered.
        why: &'a str,
        /// How long that is waited for.
        time: Duration,
    },
    /// A log is done with.
    Ended {
        /// What became of it.
        report: &'a RunReport,
    },
}

/// Uploads the logs that `paths` mean. Runs go side by side; logs of one run go one after another, oldest
/// first. Nothing stops the others when one fails.
pub fn sync(
    paths: &[PathBuf],
    server: &Server,
    transport: &dyn Transport,
    options: &SyncOptions,
    stop: &Stop,
    observe: &(dyn Fn(Event<'_>) + Sync),
) -> SyncReport {
    let selection = select(paths, options);
    let mut report = SyncReport {
        errors: selection.errors.iter().map(ToString::to_string).collect(),
        ..SyncReport::default()
    };
    let retried = |what: &str, why: &str, time| observe(Event::Waiting { what, why, time });
    let jobs = options.runs_at_once.clamp(1, selection.groups.len().max(1));
    let session = Session {
        server,
        options,
        observe,
        sender: Sender::new(transport, server.patience, stop, &retried),
        batch: (BATCHES / jobs).clamp(SMALLEST_BATCH, PlanOptions::default().batch),
    };
    for report in &selection.left_out {
        observe(Event::Ended { report });
    }
    report.runs = selection.left_out;
    let queue = Mutex::new(selection.groups.into_iter());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(group) = next else { break };
                    let reports = session.group(&group);
                    done.lock().unwrap_or_else(PoisonError::into_inner).extend(reports);
                }
            });
        }
    });
    report.runs.extend(done.into_inner().unwrap_or_else(PoisonError::into_inner));
    report.runs.sort_by(|a, b| a.log.cmp(&b.log));
    report
}

/// A sync under way.
struct Session<'a> {
    server: &'a Server,
    options: &'a SyncOptions,
    observe: &'a (dyn Fn(Event<'_>) + Sync),
    sender: Sender<'a>,
    batch: usize,
}

impl Session<'_> {
    /// Uploads the logs of one run. One that failed keeps those after it back, for they go on where it ends.
    fn group(&self, group: &[Candidate]) -> Vec<RunReport> {
        let mut reports: Vec<RunReport> = Vec::new();
        let mut ends = None;
        for candidate in group {
            let failed = reports.last().is_some_and(|report: &RunReport| {
                report.status != RunStatus::Planned && report.receipt.log_bytes == 0
            });
            let report = if failed {
                let reason = "an earlier log of this run is not stored yet".to_owned();
                report(candidate, RunStatus::Failed, vec![reason])
            } else if self.options.dry_run {
                report(candidate, RunStatus::Planned, Vec::new())
            } else {
                (self.observe)(Event::Started { log: &candidate.log.path });
                match self.checked(candidate, ends) {
                    Ok((report, behind)) => {
                        ends = Some(behind);
                        report
                    }
                    Err(error) => report(candidate, RunStatus::Failed, vec![error.to_string()]),
                }
            };
            (self.observe)(Event::Ended { report: &report });
            reports.push(report);
        }
        reports
    }

    /// Uploads a log, and compares afterwards if that is wanted. What the server turns out not to have is sent,
    /// once.
    fn checked(
        &self,
        candidate: &Candidate,
        behind: Option<[u64; 3]>,
    ) -> Result<(RunReport, [u64; 3])> {
        let (mut report, ends) = self.log(candidate, behind)?;
        if !self.options.audit && !self.options.repair {
            return Ok((report, ends));
        }
        let mut checks = self.audit(candidate)?;
        if self.options.repair && checks.iter().any(|check| !check.agrees) {
            self.forget(candidate, &checks)?;
            report = self.log(candidate, behind)?.0;
            checks = self.audit(candidate)?;
        }
        let problems = checks.iter().filter_map(Check::problem);
        report.problems.extend(problems);
        if report.status.is_fine() && checks.iter().any(|check| !check.agrees) {
            report.status = RunStatus::Partly;
        }
        report.checks = checks;
        Ok((report, ends))
    }

    /// Asks the server what it has of a log.
    fn audit(&self, candidate: &Candidate) -> Result<Vec<Check>> {
        let log = &candidate.log.path;
        let Some(ledger) = self.ledger(candidate)?.1 else { return Ok(Vec::new()) };
        let expected = Expected::of(log, ledger.starting_step)?;
        let request = tail_request(&ledger.entity, &ledger.project, &ledger.run);
        let answer = self.sender.send(&request);
        let checks = answer.and_then(|answer| expected.compare(&ledger, &answer));
        checks.map_err(|reason| Error::misuse(format!("the audit failed: {reason}")).at(log))
    }

    /// Takes out of the ledger what the server turned out not to have.
    fn forget(&self, candidate: &Candidate, checks: &[Check]) -> Result<()> {
        let (file, Some(mut ledger)) = self.ledger(candidate)? else { return Ok(()) };
        ledger.whole = false;
        if checks.iter().any(|check| check.what == Check::RUN) {
            let Ledger { server, log, .. } = ledger;
            return file.save(&Ledger { server, log, ..Ledger::default() }, true);
        }
        let Some(places) = &mut ledger.places else { return Ok(()) };
        let streams = [&mut places.history, &mut places.events, &mut places.console];
        for (place, check) in streams.into_iter().zip(checks) {
            let found = check.server.parse().unwrap_or(0_u64).saturating_sub(place.base);
            place.acknowledged = place.acknowledged.min(found);
        }
        // The end is told again, and with it the summary.
        ledger.complete = None;
        file.save(&ledger, true)
    }

    fn ledger(&self, candidate: &Candidate) -> Result<(LedgerFile, Option<Ledger>)> {
        let (entity, project, id) = &candidate.target;
        LedgerFile::lock(&candidate.log.path, &[&self.server.base, entity, project, id])
    }

    /// Uploads a log, behind the lines of one of the same run if there is one. Also tells where its own end.
    fn log(
        &self,
        candidate: &Candidate,
        behind: Option<[u64; 3]>,
    ) -> Result<(RunReport, [u64; 3])> {
        let log = &candidate.log.path;
        let (file, mut ledger) = self.ledger(candidate)?;
        if let Some(ledger) = &ledger {
            if !ledger.log.fits(log)? {
                let reason = "its ledger is of another log; move the .sync file beside it away";
                return Err(Error::misuse(reason).at(log));
            }
            if ledger.whole
                && ledger.stored == candidate.log.size
                && (ledger.complete.is_some() || !self.options.finish)
            {
                return Ok((self.stored_before(candidate, ledger), ledger.ends()));
            }
        }
        let options = PlanOptions {
            overrides: self.options.overrides.clone(),
            finish: self.options.finish.then_some(1),
            continues: behind.is_some() || self.options.append,
            at_least: behind.unwrap_or_default(),
            live: false,
            batch: self.batch,
            starting_step: syncstate(log),
        };
        loop {
            let mut fresh = ledger.take().unwrap_or_default();
            fresh.server.clone_from(&self.server.base);
            fresh.log = if fresh.log.length == 0 { LogMark::of(log)? } else { fresh.log };
            let mut run = Upload {
                session: self,
                log,
                file: &file,
                files: LocalFiles::new(candidate.log.dir(), self.options),
                plan: Plan::new(options.clone(), Some(fresh)),
                told: false,
                undecodable: 0,
            };
            run.drive()?;
            if !run.plan.wants_restart() {
                return Ok((run.report(candidate), run.plan.ledger().ends()));
            }
            ledger = Some(run.plan.ledger().clone());
        }
    }

    fn stored_before(&self, candidate: &Candidate, ledger: &Ledger) -> RunReport {
        let places = ledger.places.unwrap_or_default();
        let status = if ledger.complete.is_some() { RunStatus::Already } else { RunStatus::Open };
        let receipt = Receipt {
            log_bytes: ledger.stored,
            rows: places.history.acknowledged,
            events: places.events.acknowledged,
            console_lines: places.console.acknowledged,
            alerts: ledger.alerts,
            exit_code: ledger.complete,
            ..Receipt::default()
        };
        let problems = if status == RunStatus::Open { vec![OPEN.to_owned()] } else { Vec::new() };
        let report = report(candidate, status, problems);
        RunReport { receipt, ..self.named(report, ledger) }
    }

    /// The report with the names that the server gave.
    fn named(&self, report: RunReport, ledger: &Ledger) -> RunReport {
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

/// One log being uploaded.
struct Upload<'a> {
    session: &'a Session<'a>,
    log: &'a Path,
    file: &'a LedgerFile,
    files: LocalFiles,
    plan: Plan,
    told: bool,
    undecodable: u64,
}

impl Upload<'_> {
    /// Goes back and forth between the log, the plan and the server until the plan is finished.
    fn drive(&mut self) -> Result<()> {
        let mut reader = Reader::options().lenient(self.session.options.salvage).open(self.log)?;
        thread::scope(|scope| {
            let (sender, outcomes) = channel();
            let mut under_way = 0;
            loop {
                while let Some((ticket, step)) = self.plan.next_step() {
                    under_way += self.start(scope, &sender, ticket, step)?;
                }
                self.spool()?;
                if self.plan.is_finished() {
                    return Ok(());
                }
                if self.plan.wants_records() && !self.session.sender.is_stopped() {
                    self.read(&mut reader)?;
                    while let Ok((ticket, outcome)) = outcomes.try_recv() {
                        under_way -= 1;
                        self.plan.done(ticket, outcome);
                    }
                } else if under_way == 0 {
                    let reason = if self.session.sender.is_stopped() {
                        "interrupted"
                    } else {
                        "the sync is stuck"
                    };
                    return Err(Error::misuse(reason).at(self.log));
                } else {
                    under_way -= self.wait(&outcomes)?;
                }
            }
        })
    }

    /// Moves the console output from memory to a file.
    fn spool(&mut self) -> Result<()> {
        let text = self.plan.take_console_text();
        if text.is_empty() {
            return Ok(());
        }
        let failed = |error| Error::io("write to a temporary file for", self.log, error);
        self.files.add_console(&text).map_err(failed)
    }

    fn wait(&mut self, outcomes: &Receiver<(Ticket, Outcome)>) -> Result<usize> {
        let received =
            outcomes.recv().map_err(|_| Error::misuse("a thread of the sync ended early"))?;
        self.plan.tick(self.session.sender.now());
        self.plan.done(received.0, received.1);
        if !self.told && !self.plan.ledger().run.is_empty() {
            self.told = true;
            let ledger = self.plan.ledger();
            let url = self.session.server.run_url(&ledger.entity, &ledger.project, &ledger.run);
            (self.session.observe)(Event::Created { log: self.log, url: &url });
        }
        let rows = self.plan.receipt_rows();
        (self.session.observe)(Event::Progress { log: self.log, rows });
        Ok(1)
    }

    /// Gives the plan what it wants of the log, a bit at a time.
    fn read(&mut self, reader: &mut Reader) -> Result<()> {
        for _ in 0..RECORDS_AT_ONCE {
            if !self.plan.wants_records() {
                break;
            }
            match reader.next_record()? {
                Some(record) => {
                    if let Err(error) = self.plan.record(&record) {
                        if !self.session.options.salvage {
                            return Err(error.at(self.log));
                        }
                        self.undecodable += 1;
                    }
                }
                None => {
                    let length = std::fs::metadata(self.log).map_or(0, |found| found.len());
                    let gaps = reader.gaps();
                    if gaps.is_lossy() {
                        let bytes: u64 = gaps.bytes();
                        self.plan.note(format!(
                            "the log is damaged: {bytes} bytes of it hold no record"
                        ));
                    }
                    if self.undecodable > 0 {
                        let count = self.undecodable;
                        self.plan
                            .note(format!("the log is damaged: {count} records are no messages"));
                    }
                    self.plan.end(length);
                }
            }
        }
        Ok(())
    }

    /// Begins a step; how many outcomes will come later.
    fn start<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        outcomes: &std::sync::mpsc::Sender<(Ticket, Outcome)>,
        ticket: Ticket,
        step: Step,
    ) -> Result<usize>
    where
        Self: 'scope,
    {
        let outcomes = outcomes.clone();
        match step {
            Step::Send(request) => {
                let sender = &self.session.sender;
                scope.spawn(move || {
                    // The other end is gone only when nobody wants to know any more.
                    let _ = outcomes.send((ticket, Outcome::Answer(sender.send(&request))));
                });
                return Ok(1);
            }
            Step::Measure(file) => match self.spool().map(|()| self.files.find(&file))? {
                Ok(path) => {
                    scope.spawn(move || {
                        let _ = outcomes.send((ticket, Outcome::Measured(measure(path))));
                    });
                    return Ok(1);
                }
                Err(why) => self.plan.done(ticket, Outcome::Measured(Err(why))),
            },
            Step::Save { durable } => {
                let saved = self.save(durable).map_err(|error| error.to_string());
                self.plan.done(ticket, Outcome::Saved(saved));
            }
            Step::FindRow(row) => {
                let found = find_row(self.log, self.plan.ledger().starting_step, &row)?;
                self.plan.done(ticket, Outcome::Row(found));
            }
        }
        Ok(0)
    }

    fn save(&self, durable: bool) -> Result<()> {
        let ledger = self.plan.ledger();
        self.file.save(ledger, durable)?;
        if durable && syncstate(self.log) != Some(ledger.starting_step) {
            let text =
                format!("{{\"starting_step\":{},\"starting_runtime\":0}}", ledger.starting_step);
            replace(&with_suffix(self.log, SYNCSTATE), text.as_bytes(), false)?;
        }
        Ok(())
    }

    fn report(&self, candidate: &Candidate) -> RunReport {
        let ledger = self.plan.ledger();
        let mut problems = self.plan.problems();
        let started = ledger.places.is_some();
        let mut status = match (self.plan.is_stored(), ledger.complete.is_some()) {
            (true, true) => RunStatus::Synced,
            (true, false) => RunStatus::Open,
            (false, _) if started => RunStatus::Partly,
            (false, _) => RunStatus::Failed,
        };
        if status == RunStatus::Open {
            problems.push(OPEN.to_owned());
        }
        if status == RunStatus::Synced
            && let Err(error) = mark(self.log)
        {
            problems.push(error.to_string());
            status = RunStatus::Partly;
        }
        let report = report(candidate, status, problems);
        RunReport { receipt: self.plan.receipt(), ..self.session.named(report, ledger) }
    }
}

fn report(candidate: &Candidate, status: RunStatus, problems: Vec<String>) -> RunReport {
    let (entity, project, run) = &candidate.target;
    RunReport {
        log: candidate.log.path.clone(),
        status,
        problems,
        url: None,
        run: Some(format!("{entity}/{project}/{run}")),
        name: None,
        checks: Vec::new(),
        receipt: Receipt::default(),
    }
}

/// Marks a log as synced, as the official client does.
fn mark(log: &Path) -> Result<()> {
    let path = with_suffix(log, ".synced");
    if path.exists() {
        return Ok(());
    }
    std::fs::write(&path, b"").map_err(|error| Error::io("write", &path, error))
}

/// The starting step that a sync noted, the official client's included.
fn syncstate(log: &Path) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct State {
        starting_step: i64,
    }
    let bytes = std::fs::read(with_suffix(log, SYNCSTATE)).ok()?;
    serde_json::from_slice::<State>(&bytes).ok().map(|state| state.starting_step)
}

const SYNCSTATE: &str = ".syncstate";

const OPEN: &str = "the log has no end, so the run was left open; --finish ends it as crashed";

/// Records read before answers are looked at.
const RECORDS_AT_ONCE: usize = 512;

/// Bytes of lines that wait in all runs together; as many again are being sent.
const BATCHES: usize = 16 << 20;
const SMALLEST_BATCH: usize = 256 << 10;
