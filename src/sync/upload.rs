//! One log on its way: between the log, the plan and the server. Sends requests and measures files side by side.

use super::caught::caught;
use super::driver::{OPEN, Session, explained, report};
use super::event::Event;
use super::ledger::{LedgerFile, replace};
use super::local::{LocalFiles, measure, text};
use super::options::Live;
use super::paths::Candidate;
use super::plan::{Outcome, Plan, Step, Ticket, Unreadable, find_row};
use super::report::{RunReport, RunStatus};
use super::source::{Next, Source};
use crate::error::{Error, Result};
use crate::io::GapReport;
use crate::log::{SYNCSTATE, noted_beside, starting_step};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, Scope};
use std::time::Duration;

/// One log being uploaded.
pub(super) struct Upload<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) log: &'a Path,
    /// Whether and how the log is followed.
    pub(super) follow: Option<Live>,
    /// Whether another log of the run goes on behind this one.
    pub(super) goes_on: bool,
    /// Whether damage is passed over.
    pub(super) salvage: bool,
    pub(super) file: &'a LedgerFile,
    pub(super) files: LocalFiles,
    pub(super) plan: Plan,
    pub(super) told: bool,
    /// How many records could not be decoded, and where the first is.
    pub(super) undecodable: Option<(u64, u64)>,
}

impl Upload<'_> {
    /// Goes back and forth between the log, the plan and the server until the plan is finished or the sync is
    /// stopped.
    pub(super) fn drive(&mut self) -> Result<()> {
        let mut source = Source::open(self.log, self.salvage, self.follow)?;
        thread::scope(|scope| {
            let (sender, outcomes) = channel();
            let mut under_way = 0;
            loop {
                self.plan.tick(self.session.sender.now());
                let stopped = self.session.sender.is_stopped();
                while !stopped && let Some((ticket, step)) = self.plan.next_step() {
                    under_way += self.start(scope, &sender, ticket, step)?;
                }
                self.spool()?;
                self.tell();
                if self.plan.is_finished() || (stopped && under_way == 0) {
                    break;
                }
                let reads = !stopped && self.plan.wants_records();
                if reads && self.read(&mut source)? {
                    while let Ok((ticket, outcome)) = outcomes.try_recv() {
                        under_way -= 1;
                        self.plan.done(ticket, outcome);
                    }
                } else if under_way == 0 && !reads {
                    return Err(Error::misuse("the sync is stuck").at(self.log));
                } else {
                    under_way -= self.wait(&outcomes)?;
                }
            }
            Ok(())
        })?;
        self.leave()
    }

    /// Keeps what was acknowledged when the plan could not come to its end.
    fn leave(&mut self) -> Result<()> {
        let failed = self.plan.has_failed();
        if self.plan.is_finished() && !failed {
            return Ok(());
        }
        if !failed {
            self.plan.note("interrupted; sync again to go on".to_owned());
        }
        let saved = if self.plan.ledger().places.is_some() { self.save(true) } else { Ok(()) };
        // A plan that failed has said why, and that counts.
        if failed { Ok(()) } else { saved }
    }

    /// Tells of the files and artifacts that are done with.
    fn tell(&mut self) {
        let (log, (files, artifacts)) = (self.log, self.plan.take_settled());
        for file in &files {
            (self.session.observe)(Event::File { log, file });
        }
        for artifact in &artifacts {
            (self.session.observe)(Event::Artifact { log, artifact });
        }
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

    /// Waits for an outcome; if the log is followed, only until it is to be looked at again. How many came.
    fn wait(&mut self, outcomes: &Receiver<(Ticket, Outcome)>) -> Result<usize> {
        let time = self.follow.map_or(Duration::MAX, |live| live.poll);
        let (ticket, outcome) = match outcomes.recv_timeout(time) {
            Ok(received) => received,
            Err(RecvTimeoutError::Timeout) => return Ok(0),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::misuse("a thread of the sync ended early").at(self.log));
            }
        };
        self.plan.tick(self.session.sender.now());
        self.plan.done(ticket, outcome);
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

    /// Gives the plan what it wants of the log, a bit at a time; `false` if there was nothing.
    fn read(&mut self, source: &mut Source) -> Result<bool> {
        for count in 0..RECORDS_AT_ONCE {
            if !self.plan.wants_records() {
                break;
            }
            match source.next() {
                // What was acknowledged so far counts.
                Err(error) => self.plan.give_up(error.to_string()),
                Ok(Next::Record(record)) => {
                    if let Err(error) = self.plan.record(&record) {
                        if !self.salvage {
                            return Err(error.at(self.log));
                        }
                        let (count, first) = self.undecodable.unwrap_or((0, record.span.offset));
                        self.undecodable = Some((count + 1, first));
                    }
                }
                Ok(Next::Nothing) => return Ok(count > 0),
                Ok(Next::End) => self.end(source.gaps())?,
            }
        }
        Ok(true)
    }

    fn end(&mut self, gaps: &GapReport) -> Result<()> {
        let length = std::fs::metadata(self.log).map_or(0, |found| found.len());
        if gaps.is_lossy() {
            let reason = damage(gaps);
            if !self.salvage {
                return Err(Error::misuse(reason).at(self.log));
            }
            self.plan.note(reason);
        }
        if let Some((count, first)) = self.undecodable {
            let what = if count == 1 { "record is no message" } else { "records are no messages" };
            let from = if count == 1 { "at" } else { "the first at" };
            self.plan
                .note(format!("the log is damaged: {count} {what}, {from} byte {first}; {DOCTOR}"));
        }
        self.plan.end(length);
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
                let (sender, log) = (&self.session.sender, self.log);
                scope.spawn(move || {
                    // The other end is gone only when nobody wants to know any more.
                    let answer = caught(|| sender.send(log, &request)).unwrap_or_else(Err);
                    let _ = outcomes.send((ticket, Outcome::Answer(answer)));
                });
                return Ok(1);
            }
            Step::Measure(file) => match self.spool().map(|()| self.files.find(&file))? {
                Ok(path) => {
                    scope.spawn(move || {
                        let found = caught(|| measure(path));
                        let found = found.unwrap_or_else(|why| Err(Unreadable::Failed(why)));
                        let _ = outcomes.send((ticket, Outcome::Measured(found)));
                    });
                    return Ok(1);
                }
                Err(why) => self.plan.done(ticket, Outcome::Measured(Err(why))),
            },
            Step::Read(file) => match self.files.find(&file) {
                Ok(path) => {
                    scope.spawn(move || {
                        let _ = outcomes.send((ticket, Outcome::Text(text(&path))));
                    });
                    return Ok(1);
                }
                Err(why) => self.plan.done(ticket, Outcome::Text(Err(why))),
            },
            Step::Save { durable } => {
                let saved = self.save(durable).map_err(|error| explained(&error, self.log));
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
        if durable && noted_step(self.log) != Some(ledger.starting_step) {
            let text =
                format!("{{\"starting_step\":{},\"starting_runtime\":0}}", ledger.starting_step);
            replace(&noted_beside(self.log, SYNCSTATE), text.as_bytes(), false)?;
        }
        Ok(())
    }

    pub(super) fn report(&self, candidate: &Candidate) -> RunReport {
        let ledger = self.plan.ledger();
        let receipt = self.plan.receipt();
        let mut problems = self.plan.problems();
        let goes_on = self.goes_on || self.plan.is_overtaken();
        let has_ended = ledger.complete.is_some() || goes_on;
        let status = match (self.plan.is_stored(), has_ended) {
            (true, true) => RunStatus::Synced,
            (true, false) => RunStatus::Open,
            (false, _) if receipt.has_any() => RunStatus::Partly,
            (false, _) => RunStatus::Failed,
        };
        let is_left_open = self.plan.lacks_end() && !goes_on && !ledger.run.is_empty();
        if status == RunStatus::Open || is_left_open {
            problems.push(OPEN.to_owned());
        }
        let mut report = report(candidate, status, problems);
        mark_stored(&mut report);
        let notices = self.plan.notices().to_vec();
        RunReport { receipt, notices, ..self.session.named(report, ledger) }
    }
}

/// What is said of damage that was passed over.
pub(super) fn damage(gaps: &GapReport) -> String {
    let first = gaps.gaps().first().map_or(0, |gap| gap.offset);
    let what =
        if gaps.bytes() == 1 { "1 byte holds" } else { &format!("{} bytes hold", gaps.bytes()) };
    let places = match gaps.count() {
        1 => format!("at byte {first}"),
        count => format!("in {count} places, the first at byte {first}"),
    };
    format!("the log is damaged {places}: {what} no record; {DOCTOR}")
}

/// Marks a log that is stored as a whole. One that was stored before lacks the mark if the sync was killed then.
pub(super) fn mark_stored(report: &mut RunReport) {
    if matches!(report.status, RunStatus::Synced | RunStatus::Already)
        && let Err(error) = mark(&report.log)
    {
        report.problems.push(error.to_string());
        report.status = RunStatus::Partly;
    }
}

/// Marks a log as synced, as the official client does.
fn mark(log: &Path) -> Result<()> {
    let path = noted_beside(log, SYNCED);
    if path.exists() {
        return Ok(());
    }
    // A link that leads nowhere is not written through.
    let made = std::fs::File::create_new(&path);
    made.map(drop).map_err(|error| Error::io("write", &path, error))
}

/// Takes the mark away from a log of which the server lacks something, whoever made it.
pub(super) fn unmark(log: &Path) -> Result<()> {
    let path = noted_beside(log, SYNCED);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &path, error))
        }
        _ => Ok(()),
    }
}

/// The starting step that a sync noted, if that can be read.
pub(super) fn noted_step(log: &Path) -> Option<i64> {
    starting_step(log).ok().flatten()
}

/// What the name of a log's mark ends in.
const SYNCED: &str = ".synced";

/// What helps with a damaged log.
const DOCTOR: &str = "`wandb-offline verify` says more, and `recover` makes a sound copy";

/// Records read before answers are looked at.
const RECORDS_AT_ONCE: usize = 512;
