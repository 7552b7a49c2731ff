//! Asking the server back: has it what the log has?
//!
//! A log that is marked as synced is compared first, and nothing is sent before that; so is one that the official
//! client uploaded, which leaves no ledger. Compared is what the server tells: the numbers of lines, the last row,
//! summary, config and end, and files and artifacts. What it does not tell is listed as such. Wanted is what the log
//! has, whatever the ledger knows of, and of files what they hold now.
//!
//! Where a log's lines are is in its ledger. Without one the server's last row is looked for in the log; if it is
//! not there, the lines are taken to begin behind those of the part before, or at the beginning.

mod artifacts;
mod check;
mod expected;
mod files;

pub use check::Check;

use super::api::{Answer, Operation, Tail, operations, owner, run_state};
use super::driver::{Course, OTHER_LOG, Session, explained, report};
use super::ledger::{Ledger, LedgerFile, LogMark, Place, Places};
use super::paths::{Candidate, parts_beside};
use super::plan::tail_request;
use super::report::{ArtifactReport, FileReport, Receipt, RunReport, RunStatus};
use super::upload::{noted_step, unmark};
use crate::error::{Error, Result};
use crate::json::Value;
use expected::Expected;
use std::cmp::Ordering;

/// What an audit found.
struct Audit {
    checks: Vec<Check>,
    /// What the server has, as a ledger would have it.
    ledger: Ledger,
    /// Whether there is a ledger.
    is_known: bool,
    /// Whether it can be told what of the log is there.
    is_clear: bool,
    /// What became of the files and artifacts, as far as that is known.
    files: Vec<FileReport>,
    artifacts: Vec<ArtifactReport>,
}

impl Audit {
    fn of(ledger: Ledger, is_known: bool) -> Self {
        let (checks, files, artifacts) = (Vec::new(), Vec::new(), Vec::new());
        Self { checks, ledger, is_known, is_clear: true, files, artifacts }
    }

    fn agrees(&self) -> bool {
        self.checks.iter().all(|check| check.agrees != Some(false))
    }

    fn lacks_run(&self) -> bool {
        self.ledger.run.is_empty()
    }
}

impl Session<'_> {
    /// Uploads a log of a run, if it is not marked as synced, and compares then if that is wanted. What the server
    /// turns out not to have is sent, once.
    pub(super) fn checked(
        &self,
        candidate: &Candidate,
        course: Course,
        group: &[Candidate],
    ) -> Result<(RunReport, [u64; 3])> {
        if !self.options.audit && !self.options.repair {
            return self.log(candidate, course);
        }
        let mut sent = match self.compares_first(candidate) {
            true => None,
            false => Some(self.log(candidate, course)?),
        };
        if let Some(failed) = sent.take_if(|(report, _)| report.status == RunStatus::Failed) {
            return Ok(failed);
        }
        match (self.repaired(candidate, course, group, &mut sent), sent) {
            (Ok(audit), sent) => {
                let ends = sent.as_ref().map_or_else(|| audit.ledger.ends(), |(_, ends)| *ends);
                let sent = sent.map(|(report, _)| report);
                let report = sent.unwrap_or_else(|| self.found(candidate, &audit));
                Ok((self.concluded(report, audit), ends))
            }
            // What was sent is there, even if the server cannot be asked.
            (Err(error), Some((mut report, ends))) => {
                report.problems.push(explained(&error, &candidate.log.path));
                if report.status.is_fine() {
                    report.status = RunStatus::Partly;
                }
                Ok((report, ends))
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Compares, and if that is wanted sends what is missing and compares again.
    fn repaired(
        &self,
        candidate: &Candidate,
        course: Course,
        group: &[Candidate],
        sent: &mut Option<(RunReport, [u64; 3])>,
    ) -> Result<Audit> {
        let audit = self.audit(candidate, course, group)?;
        if !self.options.repair || audit.agrees() || !audit.is_clear {
            return Ok(audit);
        }
        self.correct(candidate, &audit)?;
        *sent = Some(self.log(candidate, course)?);
        self.audit(candidate, course, group)
    }

    /// Whether nothing of a log is sent before it is compared.
    pub(super) const fn compares_first(&self, candidate: &Candidate) -> bool {
        candidate.log.synced && (self.options.audit || self.options.repair)
    }

    /// The report on a log that was only compared.
    fn found(&self, candidate: &Candidate, audit: &Audit) -> RunReport {
        let report = report(candidate, RunStatus::Already, Vec::new());
        let (files, artifacts) = (audit.files.clone(), audit.artifacts.clone());
        let receipt = Receipt { files, artifacts, ..Receipt::of(&audit.ledger) };
        RunReport { receipt, ..self.named(report, &audit.ledger) }
    }

    /// The report with what was compared.
    fn concluded(&self, mut report: RunReport, audit: Audit) -> RunReport {
        let agrees = audit.agrees();
        report.problems.extend(audit.checks.iter().filter_map(Check::problem));
        if self.options.repair && !agrees && !audit.is_clear {
            report.problems.push(UNCLEAR.to_owned());
        }
        if audit.lacks_run() {
            (report.status, report.receipt) = (RunStatus::Failed, Receipt::default());
        } else if !agrees && report.status.is_fine() {
            report.status = RunStatus::Partly;
        }
        report.checks = audit.checks;
        report
    }

    /// Asks the server what it has of a log.
    fn audit(&self, candidate: &Candidate, course: Course, group: &[Candidate]) -> Result<Audit> {
        let log = &candidate.log.path;
        let failed = |reason| Error::misuse(format!("the audit failed: {reason}")).at(log);
        let known = LedgerFile::peek(log, &self.target(candidate))?;
        if let Some(ledger) = &known
            && !ledger.log.fits(log)?
        {
            return Err(Error::misuse(OTHER_LOG).at(log));
        }
        let known = known.filter(|ledger| ledger.places.is_some());
        let (is_known, ledger) =
            (known.is_some(), known.unwrap_or_else(|| self.unknown(candidate)));
        let request = tail_request(&ledger.entity, &ledger.project, &ledger.run);
        let answer = self.sender.send(log, &request).map_err(failed)?;
        let Some(tail) = Tail::of_any(&answer).map_err(failed)? else {
            let rows = Expected::of(log, ledger.starting_step, None)?.lines[0];
            let was_ended = ledger.was_ended || ledger.complete.is_some();
            let Ledger { server, log, .. } = ledger;
            let ledger = Ledger { server, log, was_ended, ..Ledger::default() };
            return Ok(Audit { checks: vec![Check::missing(rows)], ..Audit::of(ledger, is_known) });
        };
        let row = tail.last_rows().pop();
        let expected = Expected::of(log, ledger.starting_step, row.as_deref())?;
        let mut audit = Audit::of(ledger, is_known);
        if let Some((entity, project)) = owner(&answer).filter(|_| !is_known) {
            (audit.ledger.entity, audit.ledger.project) = (entity, project);
        }
        if !is_known {
            // Only where there are other parts of the run may this one begin behind the first line.
            let is_part = expected.resumes
                || course.behind.is_some()
                || !parts_beside(candidate, group, self.options).is_empty();
            audit.place(&expected, &tail, is_part.then(|| course.behind.unwrap_or_default()));
        }
        let rows = self.count(&mut audit, &expected, &tail, candidate, group)?;
        if rows == Ordering::Equal {
            audit.checks.extend(Check::end(&expected, &tail));
        }
        // What the run is in the end is for its last part to say.
        let is_last = rows != Ordering::Greater;
        if is_last {
            audit.checks.extend(Check::config(&expected, &tail));
            self.compare_end(&mut audit, &expected, candidate);
        }
        self.compare_files(&mut audit, &expected, candidate, is_last);
        self.compare_artifacts(&mut audit, &expected, candidate);
        Ok(audit)
    }

    /// The ledger of a log that another client uploaded, before anything was asked.
    fn unknown(&self, candidate: &Candidate) -> Ledger {
        let (entity, project, run) = candidate.target.clone();
        let starting_step = noted_step(&candidate.log.path).unwrap_or(0);
        let server = self.server.base.clone();
        Ledger { server, entity, project, run, starting_step, ..Ledger::default() }
    }

    /// Compares the numbers of lines: whether the server has fewer rows than up to the end of the log, or more.
    fn count(
        &self,
        audit: &mut Audit,
        expected: &Expected,
        tail: &Tail,
        candidate: &Candidate,
        group: &[Candidate],
    ) -> Result<Ordering> {
        let bases = bases(&audit.ledger);
        let mut ends = [0; 3];
        for ((end, base), lines) in ends.iter_mut().zip(bases).zip(expected.lines) {
            *end = base + lines;
        }
        let found = tail.counted();
        let more = |(found, end): (Option<u64>, u64)| found.is_some_and(|found| found > end);
        let explained = match found.into_iter().zip(ends).any(more) {
            true => self.explained(candidate, group, expected)?,
            false => ends,
        };
        for (((what, end), explained), found) in
            STREAMS.into_iter().zip(ends).zip(explained).zip(found)
        {
            audit.checks.push(Check::count(what, end, explained, found));
        }
        audit.note(found, expected.lines, candidate.log.size);
        audit.ledger.last_step = match audit.ledger.stored {
            0 => None,
            _ => expected.last_step,
        };
        Ok(found[0].map_or(Ordering::Less, |rows| rows.cmp(&ends[0])))
    }

    /// How many lines of each stream all parts of the run come to.
    fn explained(
        &self,
        candidate: &Candidate,
        group: &[Candidate],
        own: &Expected,
    ) -> Result<[u64; 3]> {
        let mut known = [0; 3];
        let mut sums = own.lines;
        for part in parts_beside(candidate, group, self.options) {
            match LedgerFile::peek(&part.log.path, &self.target(&part))? {
                Some(ledger) if ledger.places.is_some() => {
                    for (known, end) in known.iter_mut().zip(ledger.ends()) {
                        *known = end.max(*known);
                    }
                    let (ends, bases) = (ledger.ends(), bases(&ledger));
                    for ((sum, end), base) in sums.iter_mut().zip(ends).zip(bases) {
                        *sum += end - base;
                    }
                }
                _ if part.log.synced => {
                    let other = Expected::of(&part.log.path, 0, None)?;
                    for (sum, lines) in sums.iter_mut().zip(other.lines) {
                        *sum += lines;
                    }
                }
                _ => {}
            }
        }
        for (known, sum) in known.iter_mut().zip(sums) {
            *known = sum.max(*known);
        }
        Ok(known)
    }

    fn compare_end(&self, audit: &mut Audit, expected: &Expected, candidate: &Candidate) {
        let told = audit.ledger.complete.filter(|_| audit.is_known);
        let answer = self.ask_of(&audit.ledger, candidate, operations::RUN_STATE, []);
        let check =
            Check::state(expected.exit_code.or(told), answer.and_then(|answer| run_state(&answer)));
        if !audit.is_known && check.agrees == Some(true) {
            audit.ledger.complete = expected.exit_code;
        }
        audit.checks.push(check);
    }

    /// Asks of a run what not every server tells.
    fn ask_of<const N: usize>(
        &self,
        ledger: &Ledger,
        candidate: &Candidate,
        operation: Operation,
        more: [(&'static str, Value); N],
    ) -> Option<Answer> {
        let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
        let run = [
            ("project", text(&ledger.project)),
            ("entity", text(&ledger.entity)),
            ("name", ledger.run.as_str().into()),
        ];
        let request = operation.request(run.into_iter().chain(more).collect());
        self.sender.send(&candidate.log.path, &request).ok()
    }

    /// Writes into the ledger what the server turned out to have, so that the rest is sent. Until it is, the log is not
    /// marked.
    fn correct(&self, candidate: &Candidate, audit: &Audit) -> Result<()> {
        let (file, _) = self.ledger(candidate)?;
        let (mut ledger, is_marked) = (audit.ledger.clone(), candidate.log.synced);
        if !audit.is_known {
            ledger.log = LogMark::of(&candidate.log.path)?;
        }
        ledger.was_ended |= if audit.is_known { ledger.complete.is_some() } else { is_marked };
        // Summary, config and end are told again.
        ledger.whole = false;
        unmark(&candidate.log.path)?;
        file.save(&ledger, true)
    }
}

impl Audit {
    /// Takes note of what of the log is there, by what the server has of each stream.
    fn note(&mut self, found: [Option<u64>; 3], lines: [u64; 3], size: u64) {
        let places = self.ledger.places.get_or_insert_default();
        let streams = [&mut places.history, &mut places.events, &mut places.console];
        let mut is_short = false;
        for ((place, found), lines) in streams.into_iter().zip(found).zip(lines) {
            let known = if self.is_known { place.acknowledged } else { lines };
            // A server that does not tell has what it acknowledged.
            let there = found.map_or(known, |found| found.saturating_sub(place.base).min(known));
            if there < place.acknowledged {
                place.crc32c = None;
            }
            place.acknowledged = there;
            is_short |= there < lines;
        }
        if is_short {
            self.ledger.stored = 0;
        } else if !self.is_known {
            self.ledger.stored = size;
        }
    }

    /// Settles where the lines of a log are that another client uploaded: `behind` those of the part before, if it is
    /// a part of a run.
    fn place(&mut self, expected: &Expected, tail: &Tail, behind: Option<[u64; 3]>) {
        let count = tail.history_lines.unwrap_or(0);
        let found = expected.found.and_then(|rows| count.checked_sub(rows));
        let at = |base| Place { base, ..Place::default() };
        let [history, events, console] = behind.unwrap_or_default();
        // Only of a run that is resumed does that client ask where these end.
        let (events, console) = if expected.resumes { (events, console) } else { (0, 0) };
        self.ledger.places = Some(Places {
            history: at(found.filter(|_| behind.is_some()).unwrap_or(history)),
            events: at(events),
            console: at(console),
        });
        // The alerts were sent then.
        self.ledger.alerts = expected.alerts;
        self.is_clear = found.is_some() || count == 0;
    }
}

/// Where the lines of the streams begin.
fn bases(ledger: &Ledger) -> [u64; 3] {
    let places = ledger.places.unwrap_or_default();
    [places.history.base, places.events.base, places.console.base]
}

const STREAMS: [&str; 3] = ["rows", "system samples", "console lines"];

const UNCLEAR: &str = "nothing was repaired: no ledger says where the log's rows are, and the server's last row is none \
                       of them; upload the log as a run of its own with --id";
