//! What a log comes to: what a server should have that has all of it.

use crate::error::Result;
use crate::json::Value;
use crate::log::Reader;
use crate::record::RecordKind;
use crate::run::RunState;
use crate::sync::plan::{LONGEST_LINE, Rows, is_same, summary_line};
use std::path::Path;

/// What a log comes to.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Lines of history, events and console.
    pub(super) lines: [u64; 3],
    pub(super) last_row: Option<String>,
    pub(super) last_step: Option<i64>,
    /// How many rows there are up to the one that was looked for.
    pub(super) found: Option<u64>,
    pub(super) summary: Option<String>,
    pub(super) config: Value,
    pub(super) exit_code: Option<i32>,
    /// The files that the log names.
    pub(super) files: Vec<String>,
    pub(super) artifacts: u64,
    pub(super) alerts: u64,
    /// The run was resumed.
    pub(super) resumes: bool,
}

impl Expected {
    /// Reads a log whose steps begin at `starting_step` or later, and looks for a row in it.
    pub(super) fn of(log: &Path, starting_step: i64, row: Option<&str>) -> Result<Self> {
        let wanted = row.and_then(|row| Value::parse(row).ok());
        let mut reader = Reader::options().lenient(true).open(log)?;
        let mut run = RunState::keeping(0, &crate::Limits::DEFAULT);
        let mut rows = Rows::new(starting_step);
        let mut expected = Self::default();
        let [history, events, console] = &mut expected.lines;
        while let Some(record) = reader.next_record()? {
            let Ok(Some(body)) = record.body() else { continue };
            // What cannot be decoded was not uploaded either.
            let applied = run.apply(&record).is_ok();
            match body.kind {
                RecordKind::History => {
                    let Ok(line) = rows.line(&body.message) else { continue };
                    if line.len() > LONGEST_LINE {
                        continue;
                    }
                    *history += 1;
                    if let Some(wanted) = &wanted
                        && Value::parse(line).is_ok_and(|row| is_same(&row, wanted))
                    {
                        expected.found = Some(*history);
                    }
                    expected.last_row = Some(line.to_owned());
                }
                RecordKind::Stats if applied => *events += 1,
                RecordKind::Artifact => expected.artifacts += 1,
                RecordKind::Alert => expected.alerts += 1,
                _ => {}
            }
        }
        *console = run.console().count();
        expected.last_step = rows.last_step();
        expected.summary = summary_line(&run, rows.last_step(), starting_step);
        expected.config = run.config().clone();
        expected.exit_code = run.exit().map(|exit| exit.code);
        expected.files = run.files().iter().map(|file| file.path.clone()).collect();
        expected.resumes = run.info().run().is_some_and(|record| record.resume);
        Ok(expected)
    }
}
