//! Asking the server back: has it what the log has?
//!
//! Compared are the numbers of lines, the last row and the summary, which is what the server tells of a run
//! to those who resume it. It tells nothing of files there.

use super::api::{Answer, Tail};
use super::driver::{Course, Session};
use super::ledger::Ledger;
use super::paths::Candidate;
use super::plan::{LONGEST_LINE, Rows, is_same, summary_line, tail_request};
use super::report::{RunReport, RunStatus};
use crate::error::{Error, Result};
use crate::json::Value;
use crate::log::Reader;
use crate::record::RecordKind;
use crate::run::RunState;
use serde::Serialize;
use std::path::Path;

/// Something that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// What was compared.
    pub what: &'static str,
    /// What the log comes to.
    pub log: String,
    /// What the server has.
    pub server: String,
    /// Whether they agree.
    pub agrees: bool,
}

impl Check {
    /// Whether the server has the run at all.
    pub(super) const RUN: &'static str = "the run";

    /// What is wrong, if anything.
    pub fn problem(&self) -> Option<String> {
        let Self { what, log, server, agrees } = self;
        (!agrees).then(|| format!("{what}: the log comes to {log}, the server has {server}"))
    }
}

/// What a log comes to.
#[derive(Debug, Default)]
pub(super) struct Expected {
    rows: u64,
    last_row: Option<String>,
    events: u64,
    summary: Option<String>,
}

impl Expected {
    /// Reads a log whose steps begin at `starting_step` or later.
    pub(super) fn of(log: &Path, starting_step: i64) -> Result<Self> {
        let mut reader = Reader::options().lenient(true).open(log)?;
        let mut run = RunState::keeping(0, &crate::Limits::DEFAULT);
        let mut rows = Rows::new(starting_step);
        let mut expected = Self::default();
        while let Some(record) = reader.next_record()? {
            let Ok(Some(body)) = record.body() else { continue };
            // What cannot be decoded was not uploaded either.
            let applied = run.apply(&record).is_ok();
            match body.kind {
                RecordKind::History => {
                    if let Ok(line) = rows.line(&body.message)
                        && line.len() <= LONGEST_LINE
                    {
                        expected.rows += 1;
                        expected.last_row = Some(line.to_owned());
                    }
                }
                RecordKind::Stats if applied => expected.events += 1,
                _ => {}
            }
        }
        expected.summary = summary_line(&run, rows.last_step(), starting_step);
        Ok(expected)
    }

    /// Compares with what the server says it has.
    pub(super) fn compare(&self, ledger: &Ledger, answer: &Answer) -> Result<Vec<Check>, String> {
        let Some(tail) = Tail::of(answer)? else {
            let rows = if self.rows == 1 { "row" } else { "rows" };
            let (log, server) = (format!("{} {rows}", self.rows), "no such run".to_owned());
            return Ok(vec![Check { what: Check::RUN, log, server, agrees: false }]);
        };
        let places = ledger.places.unwrap_or_default();
        let counted = |what, base: u64, lines: u64, found: Option<u64>| {
            let (want, found) = (base + lines, found.unwrap_or(0));
            // There may be more, of a later part of the run.
            Check { what, log: want.to_string(), server: found.to_string(), agrees: found >= want }
        };
        let rows = places.history.base + self.rows;
        let mut checks = vec![
            counted("rows", places.history.base, self.rows, tail.history_lines),
            counted("system samples", places.events.base, self.events, tail.events_lines),
            counted(
                "console lines",
                places.console.base,
                places.console.acknowledged,
                tail.console_lines,
            ),
        ];
        if tail.history_lines == Some(rows) {
            checks.extend(text("the last row", self.last_row.clone(), tail.last_rows().pop()));
            checks.extend(text("the summary", self.summary.clone(), tail.summary));
        }
        Ok(checks)
    }
}

/// Compares texts of JSON by their meaning.
fn text(what: &'static str, log: Option<String>, server: Option<String>) -> Option<Check> {
    let log = log?;
    let server = server.unwrap_or_default();
    let agrees = match (Value::parse(&log), Value::parse(&server)) {
        (Ok(log), Ok(server)) => is_same(&log, &server),
        _ => log == server,
    };
    Some(Check { what, log, server, agrees })
}

impl Session<'_> {
    /// Uploads a log, and compares afterwards if that is wanted. What the server turns out not to have is sent,
    /// once.
    pub(super) fn checked(
        &self,
        candidate: &Candidate,
        course: Course,
    ) -> Result<(RunReport, [u64; 3])> {
        let (mut report, ends) = self.log(candidate, course)?;
        if !self.options.audit && !self.options.repair {
            return Ok((report, ends));
        }
        let mut checks = self.audit(candidate)?;
        if self.options.repair && checks.iter().any(|check| !check.agrees) {
            self.forget(candidate, &checks)?;
            report = self.log(candidate, course)?.0;
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
        let answer = self.sender.send(log, &request);
        let checks = answer.and_then(|answer| expected.compare(&ledger, &answer));
        checks.map_err(|reason| Error::misuse(format!("the audit failed: {reason}")).at(log))
    }

    /// Takes out of the ledger what the server turned out not to have.
    fn forget(&self, candidate: &Candidate, checks: &[Check]) -> Result<()> {
        let (file, Some(mut ledger)) = self.ledger(candidate)? else { return Ok(()) };
        ledger.whole = false;
        ledger.last_step = None;
        if checks.iter().any(|check| check.what == Check::RUN) {
            let Ledger { server, log, .. } = ledger;
            return file.save(&Ledger { server, log, ..Ledger::default() }, true);
        }
        let Some(places) = &mut ledger.places else { return Ok(()) };
        let streams = [&mut places.history, &mut places.events, &mut places.console];
        for (place, check) in streams.into_iter().zip(checks) {
            let found = check.server.parse().unwrap_or(0_u64).saturating_sub(place.base);
            if found < place.acknowledged {
                (place.acknowledged, place.crc32c) = (found, None);
            }
        }
        // The end is told again, and with it the summary.
        ledger.complete = None;
        file.save(&ledger, true)
    }
}
