//! Writing the merged run.

use super::carry::Carrier;
use super::files::{RenamedFile, Renames, place};
use super::head::{self, ConfigConflict, Head};
use super::place::StepRange;
use super::plan::Plan;
use super::row::Change;
use super::summary::summary;
use crate::error::Result;
use crate::json::Value;
use crate::log::Reader;
use crate::record::{HistoryView, RawRecord, RecordKind};
use crate::rewrite::{Rewriter, RowSteps, Staged, Written};
use crate::wire;
use serde::Serialize;
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
        let mut merge = Merge::new(self, &renames, &mut staged.log);
        merge.carrier.head(&head)?;
        let kept: Vec<_> = self.segments.iter().map(|segment| segment.kept.clone()).collect();
        for pass in passes(&kept) {
            merge.pass(&pass)?;
        }
        merge.end()?;
        let rows = merge.rows_kept.iter().sum();
        let all = self.segments.iter().zip(merge.rows_kept);
        let rows_left_out = all.map(|(segment, kept)| segment.rows.saturating_sub(kept)).collect();
        let proven = staged.prove()?;
        let written = proven.written();
        Ok(MergeReport {
            directory: proven.publish()?,
            run_id: self.run_id.clone(),
            rows,
            rows_left_out,
            console_left_out: 0,
            config_conflicts,
            renamed_files,
            files,
            written,
        })
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

/// One reading of a segment.
#[derive(Debug, PartialEq, Eq)]
struct Pass {
    segment: usize,
    /// The steps whose rows are taken.
    rows: Option<StepRange>,
    /// Whether everything else is.
    others: bool,
}

/// The passes that put rows in the order of steps, and everything else in the order of segments. Mostly
/// that is one for each segment.
fn passes(kept: &[Vec<StepRange>]) -> Vec<Pass> {
    let ranges = kept.iter().enumerate();
    let mut ranges: Vec<_> = ranges
        .flat_map(|(segment, ranges)| ranges.iter().map(move |range| (*range, segment)))
        .collect();
    ranges.sort();
    let mut passes = Vec::new();
    let mut told = 0;
    let rest = |from: usize, to: usize| {
        (from..to).map(|segment| Pass { segment, rows: None, others: true })
    };
    for (range, segment) in ranges {
        passes.extend(rest(told, segment));
        let others = told <= segment;
        passes.push(Pass { segment, rows: Some(range), others });
        told = told.max(segment + 1);
    }
    passes.extend(rest(told, kept.len()));
    passes
}

struct Merge<'a> {
    plan: &'a Plan,
    renames: &'a [Renames],
    carrier: Carrier<'a>,
    rows_kept: Vec<u64>,
    body: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> Merge<'a> {
    fn new(plan: &'a Plan, renames: &'a [Renames], log: &'a mut Rewriter) -> Self {
        Self {
            plan,
            renames,
            carrier: Carrier::new(log),
            rows_kept: vec![0; plan.segments.len()],
            body: Vec::new(),
            payload: Vec::new(),
        }
    }

    fn pass(&mut self, pass: &Pass) -> Result<()> {
        let (Some(planned), Some(renames)) =
            (self.plan.segments.get(pass.segment), self.renames.get(pass.segment))
        else {
            return Ok(());
        };
        let change =
            Change { offset: planned.offset, runtime_offset: planned.runtime_offset, renames };
        let is_last = pass.segment + 1 == self.plan.segments.len();
        let mut steps = RowSteps::default();
        let mut reader = Reader::options().lenient(true).open(&planned.log)?;
        while let Some(record) = reader.next_record()? {
            // What is no message was reported when the segment was read.
            let Ok(Some(body)) = record.body() else { continue };
            let done = match (body.kind, pass.rows) {
                (RecordKind::History, None) => Ok(()),
                (RecordKind::History, Some(range)) => {
                    let Ok(stated) = HistoryView::new(&body.message).step() else { continue };
                    let step = steps.next(stated).saturating_add(planned.offset);
                    if !range.has(step) {
                        continue;
                    }
                    let changed = stated.is_none() || !change.is_none();
                    let changed = changed.then_some((&change, step));
                    self.row(&record, &body.message, changed, pass.segment)
                }
                _ if !pass.others => Ok(()),
                (kind, _) => self.carrier.take(&record, kind, &body.message, renames, is_last),
            };
            done.map_err(|error| error.at(&planned.log))?;
        }
        Ok(())
    }

    /// Takes a row, changed if it must be. One that is malformed is left out, which was reported.
    #[inline]
    fn row(
        &mut self,
        record: &RawRecord<'_>,
        body: &[u8],
        changed: Option<(&Change<'_>, i64)>,
        segment: usize,
    ) -> Result<()> {
        let Some((change, step)) = changed else {
            if self.carrier.kept.apply(record).is_ok() {
                self.carrier.log.keep(record)?;
                self.count_row(segment);
            }
            return Ok(());
        };
        self.body.clear();
        if change.apply(body, step, &mut self.body).is_err() {
            return Ok(());
        }
        self.payload.clear();
        wire::put_bytes(&mut self.payload, RecordKind::History.field(), &self.body);
        if self.carrier.kept.apply(&RawRecord::new(record.span, &self.payload)).is_ok() {
            self.carrier.log.replace(record, &self.body)?;
            self.count_row(segment);
        }
        Ok(())
    }

    fn count_row(&mut self, segment: usize) {
        if let Some(rows) = self.rows_kept.get_mut(segment) {
            *rows += 1;
        }
    }

    fn end(&mut self) -> Result<()> {
        let value = |segment: usize, value: &Value| {
            let renames: Option<&Renames> = self.renames.get(segment);
            renames.map_or_else(|| value.clone(), |renames| renames.renamed_value(value))
        };
        let path = |_, path: &[String]| path.to_vec();
        let summary = summary(&self.plan.scanned, &self.carrier.kept, path, value);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kept: &[&[(i64, i64)]]) -> Vec<String> {
        let range = |&(first, last): &(i64, i64)| StepRange::new(first, last);
        let kept: Vec<Vec<_>> =
            kept.iter().map(|ranges| ranges.iter().map(range).collect()).collect();
        let shown = |pass: &Pass| {
            let rows =
                pass.rows.map_or(String::new(), |rows| format!(" {}-{}", rows.first, rows.last));
            format!("{}{rows}{}", pass.segment, if pass.others { " and others" } else { "" })
        };
        passes(&kept).iter().map(shown).collect()
    }

    #[test]
    fn one_segment_after_another_is_read_once() {
        assert_eq!(
            shown(&[&[(0, 9)], &[], &[(10, 19)]]),
            ["0 0-9 and others", "1 and others", "2 10-19 and others"]
        );
    }

    #[test]
    fn rows_come_by_step_and_all_else_by_segment() {
        assert_eq!(
            shown(&[&[(0, 200), (206, 212)], &[(201, 205)]]),
            ["0 0-200 and others", "1 201-205 and others", "0 206-212"]
        );
        assert_eq!(
            shown(&[&[(50, 99)], &[(0, 49)]]),
            ["0 and others", "1 0-49 and others", "0 50-99"]
        );
    }
}
