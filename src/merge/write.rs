//! Writing the merged run.

use super::carry::{Carrier, Source};
use super::files::{RenamedFile, Renames, place};
use super::head::{self, ConfigConflict, Head};
use super::later::LaterRows;
use super::pass::{Pass, passes};
use super::place::StepRange;
use super::plan::{Plan, PlannedSegment};
use super::row::Change;
use super::segment::Segment;
use super::summary::summary;
use crate::error::{Error, Result};
use crate::json::Value;
use crate::record::{HistoryView, RawRecord, RecordKind};
use crate::rewrite::{Rewriter, RowSteps, Staged, Written, refuse_in_runs};
use crate::run::RunState;
use crate::wire;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was merged.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MergeReport {
    /// The run directory.
    pub directory: PathBuf,
    /// The id of the run.
    pub run_id: String,
    /// How many rows it has.
    pub rows: u64,
    /// How many rows of each segment were left out, because another one has their steps.
    pub rows_left_out: Vec<u64>,
    /// How many rows have no `_step` that is a whole number from 0 on, but NaN, 1.5, a text or none: they were
    /// given the step behind those before them. Negative steps count too, which are as they were.
    pub odd_steps: u64,
    /// How many records were left out that said that a segment was being preempted, since another goes on.
    pub preemptings_left_out: u64,
    /// How many console records of ranks other than the first were left out.
    pub console_left_out: u64,
    /// Config keys with different values.
    pub config_conflicts: Vec<ConfigConflict>,
    /// Files that have another name now.
    pub renamed_files: Vec<RenamedFile>,
    /// How many files it has.
    pub files: u64,
    /// How many records were written.
    pub written: Written,
}

impl Plan {
    /// Writes the merged run to `directory`, which must not exist, and proves it before it gets that name.
    /// For `wandb sync` to find it without being told, the name begins with `offline-run-`.
    ///
    /// # Errors
    /// When a segment has changed so that it cannot be read any more, when something of that name exists,
    /// and when writing fails.
    pub fn write(&self, directory: impl AsRef<Path>) -> Result<MergeReport> {
        refuse_in_runs(directory.as_ref(), self.scanned.iter().map(|of| of.log.as_path()))?;
        let mut staged = Staged::run(directory.as_ref(), &self.run_id)?;
        let (mut renames, mut renamed_files, mut files) = (Vec::new(), Vec::new(), 0);
        if let Some(dir) = &mut staged.files {
            dir.set_hard_links(self.hard_links);
            (renames, renamed_files) = place(&self.scanned, (0..self.scanned.len()).rev(), dir)?;
            files = dir.count();
        }
        let (config, config_conflicts) = head::config(&self.scanned);
        let head = Head {
            run_id: &self.run_id,
            segments: &self.scanned,
            config: &config,
            lineage: self.lineage(),
        };
        let scratch = staged.scratch().to_owned();
        let mut merge = Merge::new(self, &renames, &mut staged.log);
        merge.carrier.head(&head)?;
        let kept: Vec<_> = self.segments.iter().map(|segment| segment.kept.clone()).collect();
        for pass in passes(&kept) {
            match pass.rows.filter(|_| !pass.others) {
                Some(range) => merge.later(pass.segment, range, &scratch)?,
                None => merge.first(&pass)?,
            }
        }
        merge.end()?;
        let Merge { rows_kept, odd_steps, carrier, .. } = merge;
        let preemptings_left_out = carrier.preemptings;
        let rows = rows_kept.iter().sum();
        let all = self.segments.iter().zip(rows_kept);
        let rows_left_out = all.map(|(segment, kept)| segment.rows.saturating_sub(kept)).collect();
        let proven = staged.prove()?;
        let written = proven.written();
        Ok(MergeReport {
            directory: proven.publish()?,
            run_id: self.run_id.clone(),
            rows,
            rows_left_out,
            odd_steps,
            preemptings_left_out,
            console_left_out: 0,
            config_conflicts,
            renamed_files,
            files,
            written,
        })
    }

    /// The segment whose environment the run has: the newest that tells it.
    fn machine(&self) -> Option<usize> {
        self.scanned.iter().rposition(|segment| segment.state.info().environment().is_some())
    }

    /// Where the merged run came from.
    fn lineage(&self) -> Value {
        let range = |range: &StepRange| Value::Array(vec![range.first.into(), range.last.into()]);
        let parts = self.segments.iter().map(|planned| {
            vec![
                ("recorded", planned.recorded.as_ref().map_or(Value::Null, range)),
                ("offset", Value::Int(planned.offset)),
                ("kept", Value::Array(planned.kept.iter().map(range).collect())),
                ("runtime_offset", Value::Float(planned.runtime_offset)),
            ]
        });
        head::lineage("merge", &self.scanned, parts)
    }
}

struct Merge<'a> {
    plan: &'a Plan,
    renames: &'a [Renames],
    carrier: Carrier<'a>,
    /// What reads the rows of further ranges of a segment.
    later: BTreeMap<usize, LaterRows>,
    rows_kept: Vec<u64>,
    odd_steps: u64,
    body: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> Merge<'a> {
    fn new(plan: &'a Plan, renames: &'a [Renames], log: &'a mut Rewriter) -> Self {
        Self {
            plan,
            renames,
            carrier: Carrier::new(log),
            later: BTreeMap::new(),
            rows_kept: vec![0; plan.segments.len()],
            odd_steps: 0,
            body: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Reads a segment for everything that is no row, and for the rows of its first range.
    fn first(&mut self, pass: &Pass) -> Result<()> {
        let Some((planned, change)) = self.segment(pass.segment) else { return Ok(()) };
        let source = Source {
            renames: change.renames,
            is_last: pass.segment + 1 == self.plan.segments.len(),
            has_machine: self.plan.machine() == Some(pass.segment),
        };
        let whole = self.whole(pass, planned, &change);
        let mut steps = RowSteps::default();
        let Some(scanned) = self.plan.scanned.get(pass.segment) else { return Ok(()) };
        let mut reader = scanned.source.reader()?;
        while let Some(record) = reader.next_record()? {
            // What is no message was reported when the segment was read.
            let Ok(Some(body)) = record.body() else { continue };
            let done = match (body.kind, pass.rows) {
                (RecordKind::History, None) => Ok(()),
                (RecordKind::History, Some(range)) => {
                    if record.check_around_row().is_err() {
                        continue;
                    }
                    let Ok(stated) = HistoryView::new(&body.message).step() else { continue };
                    let step = steps.next(stated).saturating_add(planned.offset);
                    if !range.has(step) {
                        continue;
                    }
                    if whole.is_some() {
                        self.carrier.log.keep(&record)?;
                        self.note_row(stated, pass.segment);
                        continue;
                    }
                    self.row(&record, &change, stated, step, pass.segment)
                }
                (kind, _) => self.carrier.take(&record, kind, &body.message, &source),
            };
            done.map_err(|error| error.at(&planned.log))?;
        }
        match whole {
            Some(rows) if self.rows_kept.get(pass.segment) == Some(&rows.history().rows()) => {
                self.carrier.kept.append_rows(rows);
                Ok(())
            }
            Some(_) => Err(Error::misuse(CHANGED).at(&planned.log)),
            None => Ok(()),
        }
    }

    /// The rows of a segment, as they were read, if a pass takes all of them as they are: what they come to
    /// need not be found out again. Metric definitions of other segments would change it.
    fn whole(
        &self,
        pass: &Pass,
        planned: &PlannedSegment,
        change: &Change<'_>,
    ) -> Option<&'a RunState> {
        let takes_all = pass.rows.is_some() && pass.rows == planned.placed && change.is_none();
        let all_plain = self.plan.scanned.iter().all(Segment::is_plain);
        let segment = self.plan.scanned.get(pass.segment)?;
        (takes_all && all_plain).then_some(&segment.rows)
    }

    /// Takes the rows of a further range of a segment.
    fn later(&mut self, segment: usize, range: StepRange, scratch: &Path) -> Result<()> {
        let Some((planned, change)) = self.segment(segment) else { return Ok(()) };
        let mut rows = match self.later.remove(&segment) {
            Some(rows) => rows,
            None => {
                let Some(of) = self.plan.scanned.get(segment) else { return Ok(()) };
                let ranges = planned.kept.get(1..).unwrap_or_default();
                LaterRows::open(of.source.reader()?, planned.offset, ranges, of.in_order, scratch)?
            }
        };
        rows.range(range, &mut |record, stated, step| {
            self.row(record, &change, stated, step, segment)
        })
        .map_err(|error| error.at(&planned.log))?;
        if planned.kept.last() != Some(&range) {
            self.later.insert(segment, rows);
        }
        Ok(())
    }

    /// A segment, and what changes in its rows.
    fn segment(&self, segment: usize) -> Option<(&'a PlannedSegment, Change<'a>)> {
        let (planned, renames) = (self.plan.segments.get(segment)?, self.renames.get(segment)?);
        let (offset, runtime_offset) = (planned.offset, planned.runtime_offset);
        Some((planned, Change { offset, runtime_offset, renames }))
    }

    /// Takes a row, changed if it must be. One that is malformed is left out, which was reported.
    #[inline]
    fn row(
        &mut self,
        record: &RawRecord<'_>,
        change: &Change<'_>,
        stated: Option<i64>,
        step: i64,
        segment: usize,
    ) -> Result<()> {
        let is_kept = if stated.is_some() && change.is_none() {
            let is_sound = self.carrier.kept.apply(record).is_ok();
            if is_sound {
                self.carrier.log.keep(record)?;
            }
            is_sound
        } else {
            self.changed_row(record, change, step)?
        };
        if is_kept {
            self.note_row(stated, segment);
        }
        Ok(())
    }

    fn note_row(&mut self, stated: Option<i64>, segment: usize) {
        self.odd_steps += u64::from(stated.is_none_or(|stated| stated < 0));
        if let Some(rows) = self.rows_kept.get_mut(segment) {
            *rows += 1;
        }
    }

    /// Takes a row as that of a step, if it is well formed.
    fn changed_row(
        &mut self,
        record: &RawRecord<'_>,
        change: &Change<'_>,
        step: i64,
    ) -> Result<bool> {
        let Some(body) = record.body()? else { return Ok(false) };
        self.body.clear();
        if change.apply(&body.message, step, &mut self.body).is_err() {
            return Ok(false);
        }
        self.payload.clear();
        wire::put_bytes(&mut self.payload, RecordKind::History.field(), &self.body);
        if self.carrier.kept.apply(&RawRecord::new(record.span, &self.payload)).is_err() {
            return Ok(false);
        }
        self.carrier.log.replace(record, &self.body)?;
        Ok(true)
    }

    fn end(&mut self) -> Result<()> {
        let renamed = |segment: usize, path: Vec<String>, value: Value| {
            (
                path,
                self.renames
                    .get(segment)
                    .map_or_else(|| value.clone(), |of| of.renamed_value(&value)),
            )
        };
        let summary = summary(&self.plan.scanned, &self.carrier.kept, renamed);
        let runtime = self.runtime();
        self.carrier.end(&summary, runtime)
    }

    /// How long all of it ran, in seconds.
    fn runtime(&self) -> f64 {
        let ends = self.plan.segments.iter().zip(&self.plan.scanned);
        ends.map(|(planned, segment)| planned.runtime_offset + segment.runtimes().1)
            .fold(0.0, f64::max)
    }
}

const CHANGED: &str = "this log has changed since it was read; merge again";
