//! A history read on several processors: one thread reads and frames the log, others make columns of some
//! rows each, and those are put together in the order of the log.
//!
//! ```text
//!            ┌─ batch 0, 2, … ─▶ columns ─┐
//! records ───┤                            ├─▶ columns of all rows
//!            └─ batch 1, 3, … ─▶ columns ─┘
//! ```

use super::{Column, Columns, Rows, too_many_rows};
use crate::error::Result;
use crate::framing::Span;
use crate::io::Source;
use crate::log::Reader;
use crate::record::{RawRecord, RecordKind};
use std::mem;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Reads the rows of a log up to the end of the reader, with so many threads to make columns of them. What
/// comes out does not depend on how many there are.
pub(super) fn read<S: Source + Send>(reader: &mut Reader<S>, threads: usize) -> Result<Columns> {
    thread::scope(|scope| {
        let (mut batches, mut parts) = (Vec::new(), Vec::new());
        for _ in 0..threads.max(1) {
            let (batch, to_read) = sync_channel(WAITING);
            let (part, to_append) = sync_channel(WAITING);
            batches.push(batch);
            parts.push(to_append);
            scope.spawn(move || decode(&to_read, &part));
        }
        let reading = scope.spawn(move || deal(reader, &batches));
        let columns = put_together(&parts);
        // Threads that are still at work find nobody to work for.
        drop(parts);
        let read = reading.join().unwrap_or_else(|panic| resume_unwind(panic));
        // A row that is malformed comes before whatever ended the reading.
        let columns = columns?;
        read.map(|()| columns)
    })
}

/// Some records, one behind another.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each stands in the log, and where it ends in `bytes`.
    records: Vec<(Span, usize)>,
}

/// Reads the log and hands its rows round in batches.
fn deal<S: Source>(reader: &mut Reader<S>, batches: &[SyncSender<Batch>]) -> Result<()> {
    let mut batch = Batch::default();
    let mut turn = batches.iter().cycle();
    let mut hand_on = |batch: &mut Batch| {
        let batch = mem::take(batch);
        batch.records.is_empty() || turn.next().is_some_and(|next| next.send(batch).is_ok())
    };
    let read = loop {
        match reader.next_record() {
            Ok(Some(record)) => {
                // One whose kind cannot be told is refused by the columns.
                if record.kind().is_ok_and(|kind| kind != Some(RecordKind::History)) {
                    continue;
                }
                batch.bytes.extend_from_slice(record.payload);
                batch.records.push((record.span, batch.bytes.len()));
                if batch.bytes.len() >= BATCH_LEN && !hand_on(&mut batch) {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    hand_on(&mut batch);
    read
}

/// Makes columns of batches.
fn decode(batches: &Receiver<Batch>, parts: &SyncSender<Result<Columns>>) {
    for batch in batches {
        let mut part = Columns { is_part: true, ..Columns::default() };
        let mut from = 0;
        let rows = batch.records.iter().try_for_each(|&(span, end)| {
            let payload = batch.bytes.get(from..end).unwrap_or_default();
            from = end;
            part.apply(&RawRecord::new(span, payload)).map(drop)
        });
        if parts.send(rows.map(|()| part)).is_err() {
            return;
        }
    }
}

fn put_together(parts: &[Receiver<Result<Columns>>]) -> Result<Columns> {
    let mut columns = Columns::default();
    for parts in parts.iter().cycle() {
        // Batches were dealt in turn, so the first who has none is the last.
        let Ok(part) = parts.recv() else { break };
        columns.append(part?)?;
    }
    Ok(columns)
}

impl Columns {
    /// Adds the rows of a part behind these.
    pub(super) fn append(&mut self, mut part: Self) -> Result<()> {
        let (rows, more) = (self.steps.len(), part.steps.len());
        let offset = u32::try_from(rows).map_err(|_| too_many_rows())?;
        u32::try_from(rows + more).map_err(|_| too_many_rows())?;
        if let Some(last) = self.steps.last() {
            let counted = part.first_stated.unwrap_or(more);
            for (step, further) in part.steps.iter_mut().take(counted).zip(1..) {
                *step = last.saturating_add(further);
            }
        }
        self.steps.append(&mut part.steps);
        for ((_, path), column) in part.slots.since(0).zip(part.columns) {
            let slot = self.slots.add(path);
            self.columns.resize_with(self.slots.len(), Column::default);
            if let Some(own) = self.columns.get_mut(slot) {
                own.append(column, offset);
            }
        }
        Ok(())
    }
}

impl Column {
    /// Ends a stretch of values of one kind, and begins another.
    pub(super) fn begin_stretch(&mut self) {
        self.stretches.push(mem::take(&mut self.cells));
    }

    /// Adds the values of a column of a part, whose rows are counted from `offset`.
    fn append(&mut self, part: Self, offset: u32) {
        for cells in part.stretches.into_iter().chain([part.cells]) {
            if cells.len() > 0 {
                self.cells.append(cells);
            }
        }
        self.rows.append(part.rows, offset);
    }
}

impl Rows {
    fn append(&mut self, part: Self, offset: u32) {
        match (&mut *self, part) {
            (_, Self::Run { length: 0, .. }) => {}
            (own @ Self::Run { length: 0, .. }, Self::Run { first, length }) => {
                *own = Self::Run { first: first + offset, length };
            }
            (Self::Run { first, length }, Self::Run { first: from, length: more })
                if *first + *length == from + offset =>
            {
                *length += more;
            }
            (_, part) => {
                let mut rows = mem::take(self).into_list();
                rows.extend(part.into_list().into_iter().map(|row| row + offset));
                *self = Self::List(rows);
            }
        }
    }

    fn into_list(self) -> Vec<u32> {
        match self {
            Self::Run { first, length } => (first..first + length).collect(),
            Self::List(rows) => rows,
        }
    }
}

/// A batch has so many bytes, or one record more.
const BATCH_LEN: usize = 1 << 20;

/// So many batches wait for a thread, and as many parts for being appended.
const WAITING: usize = 2;
