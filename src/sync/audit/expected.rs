//! What a log comes to: what a server should have that has all of it.

use crate::error::Result;
use crate::json::Value;
use crate::log::Reader;
use crate::proto::wandb_internal::ArtifactRecord;
use crate::record::RecordKind;
use crate::run::RunState;
use crate::sync::ledger::ArtifactMark;
use crate::sync::plan::{LONGEST_LINE, Rows, artifact_key, artifact_mark, is_same, summary_line};
use prost::Message;
use std::collections::BTreeMap;
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
    /// The artifacts that it has, by what tells them apart.
    pub(super) artifacts: BTreeMap<String, Logged>,
    pub(super) alerts: u64,
    /// The run was resumed.
    pub(super) resumes: bool,
}

/// An artifact of a log.
#[derive(Clone, Debug)]
pub(super) struct Logged {
    pub(super) mark: ArtifactMark,
    pub(super) client_id: String,
    /// It is not to be committed: other logs add to it.
    pub(super) stays_open: bool,
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
                RecordKind::Artifact => expected.artifacts.extend(logged(&body.message)),
                RecordKind::Alert => expected.alerts += 1,
                _ => {}
            }
        }
        *console = run.console().count();
        expected.last_step = rows.last_step();
        expected.summary = summary_line(&run, rows.last_step());
        expected.config = run.config().clone();
        expected.exit_code = run.exit().map(|exit| exit.code);
        expected.files = run.files().iter().map(|file| file.path.clone()).collect();
        expected.resumes = run.info().run().is_some_and(|record| record.resume);
        Ok(expected)
    }
}

/// The artifact of a record, and what tells it from others of its run.
fn logged(message: &[u8]) -> Option<(String, Logged)> {
    let record = ArtifactRecord::decode(message).ok()?;
    let logged = Logged {
        mark: artifact_mark(&record),
        client_id: record.client_id.clone(),
        stays_open: !record.finalize,
    };
    Some((artifact_key(&record), logged))
}
