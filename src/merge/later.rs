//! Rows of a segment whose steps do not follow each other in the merged run.
//!
//! Where a newer segment lies within an older one, the older one gives rows before it and behind it. The
//! first of its ranges is taken while everything else of it is; those that come later share one more reading,
//! however many they are. That goes on from range to range as long as the steps of the segment never go back.
//! Where they do, its rows are sorted by range first, in a temporary file, and keep their order within each.

use super::place::StepRange;
use super::spool::{Spool, Stored};
use crate::error::Result;
use crate::framing::Span;
use crate::log::Reader;
use crate::record::{HistoryView, RawRecord, RecordKind};
use crate::rewrite::RowSteps;
use std::path::Path;

/// What takes a row: its record, the step it states, and the step it has in the merged run.
pub(super) type Take<'t> = Visit<'t, ()>;

type Visit<'t, T> = dyn FnMut(&RawRecord<'_>, Option<i64>, i64) -> Result<T> + 't;

/// The rows of a segment, from range to range.
#[derive(Debug)]
pub(super) enum LaterRows {
    InOrder(Box<Forward>),
    Sorted(Sorted),
}

impl LaterRows {
    /// Begins to read. `offset` is added to its steps; `ranges`, in ascending order, are the steps that are going to
    /// be asked for; `in_order` says that steps never go back; temporary files are made in `scratch`.
    pub(super) fn open(
        reader: Reader,
        offset: i64,
        ranges: &[StepRange],
        in_order: bool,
        scratch: &Path,
    ) -> Result<Self> {
        let rows = Rows { reader, steps: RowSteps::default(), offset };
        Ok(if in_order {
            Self::InOrder(Box::new(Forward { rows, held: None }))
        } else {
            Self::Sorted(Sorted::new(rows, ranges, scratch)?)
        })
    }

    /// Hands over the rows of the next range.
    pub(super) fn range(&mut self, range: StepRange, take: &mut Take<'_>) -> Result<()> {
        match self {
            Self::InOrder(rows) => rows.range(range, take),
            Self::Sorted(rows) => rows.range(range, take),
        }
    }
}

/// The rows of a log and their steps in the merged run.
#[derive(Debug)]
struct Rows {
    reader: Reader,
    steps: RowSteps,
    offset: i64,
}

impl Rows {
    /// Hands over the rows that are well formed, until one of them says to stop.
    fn each(&mut self, visit: &mut Visit<'_, bool>) -> Result<()> {
        while let Some(record) = self.reader.next_record()? {
            let Ok(Some(body)) = record.body() else { continue };
            if body.kind != RecordKind::History || record.check_around_row().is_err() {
                continue;
            }
            let view = HistoryView::new(&body.message);
            let Ok(stated) = view.check().and_then(|()| view.step()) else { continue };
            let step = self.steps.next(stated).saturating_add(self.offset);
            if !visit(&record, stated, step)? {
                break;
            }
        }
        Ok(())
    }
}

/// Rows that are taken as they come.
#[derive(Debug)]
pub(super) struct Forward {
    rows: Rows,
    /// The row behind the range before.
    held: Option<(Row, Vec<u8>)>,
}

/// What is known of a row besides its bytes.
#[derive(Clone, Copy, Debug)]
struct Row {
    span: Span,
    stated: Option<i64>,
    step: i64,
}

impl Forward {
    fn range(&mut self, range: StepRange, take: &mut Take<'_>) -> Result<()> {
        if let Some((Row { span, stated, step }, payload)) = &self.held {
            if *step > range.last {
                return Ok(());
            }
            if range.has(*step) {
                take(&RawRecord::new(*span, payload), *stated, *step)?;
            }
        }
        let mut held = None;
        self.rows.each(&mut |record, stated, step| {
            if step > range.last {
                held = Some((Row { span: record.span, stated, step }, record.payload.to_vec()));
                return Ok(false);
            }
            if range.has(step) {
                take(record, stated, step)?;
            }
            Ok(true)
        })?;
        self.held = held;
        Ok(())
    }
}

/// Rows that were sorted by range.
#[derive(Debug)]
pub(super) struct Sorted {
    spool: Spool,
    ranges: Vec<(StepRange, Vec<(Row, Stored)>)>,
}

impl Sorted {
    fn new(mut rows: Rows, ranges: &[StepRange], scratch: &Path) -> Result<Self> {
        let mut spool = Spool::new(scratch)?;
        let mut ranges: Vec<(StepRange, Vec<_>)> =
            ranges.iter().map(|range| (*range, Vec::new())).collect();
        rows.each(&mut |record, stated, step| {
            let place = ranges.partition_point(|(range, _)| range.last < step);
            if let Some((_, rows)) = ranges.get_mut(place).filter(|(range, _)| range.has(step)) {
                let stored = spool.add(record.payload)?;
                rows.push((Row { span: record.span, stated, step }, stored));
            }
            Ok(true)
        })?;
        Ok(Self { spool, ranges })
    }

    fn range(&mut self, range: StepRange, take: &mut Take<'_>) -> Result<()> {
        let place = self.ranges.partition_point(|(one, _)| *one < range);
        let rows = self.ranges.get(place).filter(|(one, _)| *one == range);
        for (Row { span, stated, step }, stored) in rows.iter().flat_map(|(_, rows)| rows) {
            take(&RawRecord::new(*span, self.spool.get(*stored)?), *stated, *step)?;
        }
        Ok(())
    }
}
