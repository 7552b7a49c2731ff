//! The first reading of a log: where it is cut, and what goes where.

use crate::error::{Error, Result};
use crate::log::Repeated;
use crate::record::{Body, HistoryView, RawRecord, RecordKind};
use crate::rewrite::{Damage, RowSteps, fold, media_paths};
use crate::run::RunState;
use std::collections::{BTreeMap, BTreeSet};

/// What a log comes to.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// All but the rows.
    pub(super) state: RunState,
    /// The rows and the metric definitions.
    pub(super) rows: RunState,
    /// The summary records up to the last row in front of the cut, and those rows.
    pub(super) first: RunState,
    pub(super) first_rows: RunState,
    /// `_timestamp` and `_runtime` of the first row behind the cut.
    pub(super) cut_time: Option<f64>,
    pub(super) cut_runtime: Option<f64>,
    /// The files that rows name: in front of the cut, and behind it.
    pub(super) media: BTreeMap<String, [bool; 2]>,
    /// Other files that are only listed behind the cut.
    pub(super) late: BTreeSet<String>,
    pub(super) damage: Damage,
}

impl Survey {
    /// Reads a log, which is to be cut in front of the step `at`.
    pub(super) fn of(log: &Repeated, at: i64) -> Result<Self> {
        let mut scan = Scan {
            at,
            survey: Self::default(),
            steps: RowSteps::default(),
            summaries: Vec::new(),
            is_behind: false,
        };
        let mut reader = log.reader()?;
        while let Some(record) = reader.next_record()? {
            let Ok(Some(body)) = record.body() else { continue };
            // What is no valid message is counted when it is written.
            let _ = scan.take(&record, &body);
        }
        let mut survey = scan.survey;
        survey.damage.note(&reader);
        survey.check(at)?;
        Ok(survey)
    }

    fn check(&self, at: i64) -> Result<()> {
        if self.state.info().run().is_none() {
            return Err(Error::misuse("the log has no record of its run, and cannot be uploaded"));
        }
        let history = self.rows.history();
        let (Some(first), Some(last)) = (history.first_step(), history.last_step()) else {
            return Err(Error::misuse("the run has no rows, and nothing to split"));
        };
        if at <= first || at > last {
            let reason = format!(
                "the run has steps {first} to {last}; split at one behind the first, up to the last"
            );
            return Err(Error::setting("at", reason));
        }
        Ok(())
    }

    /// Which parts have a file: in front of the cut, and behind it.
    pub(super) fn has_file(&self, path: &str) -> [bool; 2] {
        match self.media.get(path) {
            Some(parts) => *parts,
            None => [!self.late.contains(path), true],
        }
    }
}

struct Scan {
    at: i64,
    survey: Survey,
    steps: RowSteps,
    /// The summary records since the last row. They belong to the next one, which they precede.
    summaries: Vec<Vec<u8>>,
    is_behind: bool,
}

impl Scan {
    fn take(&mut self, record: &RawRecord<'_>, body: &Body<'_>) -> Result<()> {
        let survey = &mut self.survey;
        match body.kind {
            RecordKind::History => {
                survey.rows.apply(record)?;
                return self.row(record, &body.message);
            }
            RecordKind::Summary if !self.is_behind => self.summaries.push(body.message.to_vec()),
            RecordKind::Metric => {
                survey.rows.apply(record)?;
                if !self.is_behind {
                    survey.first_rows.apply(record)?;
                }
            }
            _ => {}
        }
        let known = survey.state.files().len();
        survey.state.apply(record)?;
        if self.is_behind {
            let files = survey.state.files().iter().skip(known);
            survey.late.extend(files.map(|file| file.path.clone()));
        }
        Ok(())
    }

    fn row(&mut self, record: &RawRecord<'_>, message: &[u8]) -> Result<()> {
        let survey = &mut self.survey;
        let view = HistoryView::new(message);
        let malformed = |error| record.malformed(error);
        let step = self.steps.next(view.step().map_err(malformed)?);
        let is_behind = step >= self.at;
        for item in view.items() {
            media_paths(&item.map_err(malformed)?, |path| {
                let [first, second] = survey.media.entry(path.to_owned()).or_default();
                *(if is_behind { second } else { first }) = true;
            });
        }
        let summaries = std::mem::take(&mut self.summaries);
        if !is_behind {
            summaries.iter().for_each(|body| fold(&mut survey.first, RecordKind::Summary, body));
            survey.first_rows.apply(record)?;
        } else if !self.is_behind {
            self.is_behind = true;
            let mut row = RunState::default();
            row.apply(record)?;
            survey.cut_time = row.history().last_timestamp();
            survey.cut_runtime = row.history().last_runtime();
        }
        Ok(())
    }
}
