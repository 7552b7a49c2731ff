//! The first reading of a log: what must be known before anything is written.

use super::options::{Options, RowEdit};
use crate::error::Result;
use crate::io::Source;
use crate::log::Reader;
use crate::record::{Body, HistoryView, RawRecord, RecordKind};
use crate::rewrite::{Damage, RowSteps, media_paths};
use crate::run::RunState;
use crate::wire::Malformed;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

/// What a log comes to.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// All but the rows. The summary only if the edit has to do with it.
    pub(super) state: RunState,
    /// The rows and the metric definitions, if the edit has to do with rows.
    pub(super) rows: RunState,
    pub(super) damage: Damage,
    /// The number of the record, counted from 0, in front of which what is new stands: the record of the
    /// run's end, but behind the last summary.
    pub(super) tail_at: u64,
    pub(super) dropped_rows: u64,
    /// The rows, counted from 0, that are followed by another one of their step.
    pub(super) superseded: Vec<u64>,
    /// The files that rows name, and the keys by which those rows do that are kept.
    pub(super) files: BTreeMap<String, BTreeSet<Vec<String>>>,
}

impl Survey {
    /// Reads a log, leniently, to its end.
    pub(super) fn of(mut log: Reader<impl Source>, options: &Options) -> Result<Self> {
        let edit = &options.rows;
        let with_rows = !edit.is_none() || !options.keys.is_none() || !options.summary.is_none();
        let mut scan = Scan {
            survey: Self::default(),
            with_rows,
            thinning: Thinning::new(edit.every),
            edit,
            steps: RowSteps::default(),
            row: 0,
            pending: None,
        };
        let (mut exit, mut summary) = (None, None);
        for index in 0.. {
            let Some(record) = log.next_record()? else { break };
            let Ok(Some(body)) = record.body() else { continue };
            match body.kind {
                RecordKind::Exit => exit = exit.or(Some(index)),
                RecordKind::Summary => summary = Some(index),
                _ => {}
            }
            // What is no valid message matters only where it is to be changed.
            let _ = scan.take(&record, &body);
        }
        let mut survey = scan.end();
        survey.damage.note(&log);
        survey.tail_at = match (exit, summary) {
            (Some(exit), Some(summary)) if summary > exit => summary + 1,
            (Some(exit), _) => exit,
            (None, Some(summary)) => summary + 1,
            (None, None) => u64::MAX,
        };
        Ok(survey)
    }

    pub(super) fn has_summary(&self) -> bool {
        self.state.records(RecordKind::Summary) > 0
    }
}

/// Drops all but every so-manieth row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thinning {
    every: Option<NonZero<u64>>,
    seen: u64,
}

impl Thinning {
    pub(super) const fn new(every: Option<NonZero<u64>>) -> Self {
        Self { every, seen: 0 }
    }

    /// Whether the next row stays.
    pub(super) fn keeps_next(&mut self) -> bool {
        let seen = self.seen;
        self.seen += 1;
        self.every.is_none_or(|every| seen.is_multiple_of(every.get()))
    }
}

/// The files that a row names, and by which keys.
type Named = Vec<(String, Vec<String>)>;

struct Scan<'a> {
    survey: Survey,
    with_rows: bool,
    edit: &'a RowEdit,
    thinning: Thinning,
    steps: RowSteps,
    /// How many rows there were.
    row: u64,
    /// The last row, its step and its files, if another one of its step would supersede it.
    pending: Option<(u64, i64, Named)>,
}

impl Scan<'_> {
    fn take(&mut self, record: &RawRecord<'_>, body: &Body<'_>) -> Result<()> {
        match body.kind {
            RecordKind::History if self.with_rows => {
                self.row += 1;
                self.survey.rows.apply(record)?;
                self.row(&body.message).map_err(|error| record.malformed(error))
            }
            RecordKind::Summary if !self.with_rows => Ok(()),
            RecordKind::History => Ok(()),
            RecordKind::Metric => {
                self.survey.rows.apply(record)?;
                self.survey.state.apply(record)
            }
            _ => self.survey.state.apply(record),
        }
    }

    fn row(&mut self, message: &[u8]) -> Result<(), Malformed> {
        let view = HistoryView::new(message);
        let step = self.steps.next(view.step()?);
        let mut named = Named::new();
        for item in view.items() {
            let item = item?;
            media_paths(&item, |path| {
                let key = item.path.elements().map(str::to_owned).collect();
                named.push((path.to_owned(), key));
            });
        }
        if self.edit.drops(&view, step) {
            self.drop_row(named);
        } else if !self.edit.last_of_step {
            self.settle(named);
        } else if let Some((row, its_step, files)) =
            self.pending.replace((self.row - 1, step, named))
        {
            if its_step == step {
                self.survey.superseded.push(row);
                self.drop_row(files);
            } else {
                self.settle(files);
            }
        }
        Ok(())
    }

    fn drop_row(&mut self, named: Named) {
        self.survey.dropped_rows += 1;
        for (path, _) in named {
            self.survey.files.entry(path).or_default();
        }
    }

    fn settle(&mut self, named: Named) {
        if !self.thinning.keeps_next() {
            return self.drop_row(named);
        }
        for (path, key) in named {
            self.survey.files.entry(path).or_default().insert(key);
        }
    }

    fn end(mut self) -> Survey {
        if let Some((_, _, named)) = self.pending.take() {
            self.settle(named);
        }
        self.survey
    }
}
