//! A history read on several processors: each makes columns of some stretches of the log, and those are put
//! together in the order of the log.
//!
//! ```text
//! stretch 0, 2, … ─▶ columns ─┐
//!                             ├─▶ columns of all rows
//! stretch 1, 3, … ─▶ columns ─┘
//! ```

use super::{Column, Columns, Rows, too_many_rows};
use crate::error::Result;
use crate::log::{Ends, Stretches};
use std::mem;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// The columns of some stretch, and how it ends.
type Part = (Columns, Ends);

/// Reads a log with so many threads. `None` if anything is not as in a sound log: then it is to be read from its
/// beginning, to know what is wrong.
pub(super) fn read(path: &Path, threads: usize) -> Option<Columns> {
    let log = &Stretches::open(path)?;
    thread::scope(|scope| {
        let mut parts = Vec::new();
        for thread in 0..threads as u64 {
            let (part, to_append) = sync_channel(WAITING);
            parts.push(to_append);
            let own = (thread..log.count()).step_by(threads);
            scope.spawn(move || make_parts(log, own, &part));
        }
        put_together(log.count(), &parts)
    })
}

/// Makes columns of stretches, until one is not sound or nobody asks for more.
fn make_parts(log: &Stretches, own: impl Iterator<Item = u64>, parts: &SyncSender<Part>) {
    for number in own {
        let mut part = Columns { is_part: true, ..Columns::default() };
        let ends = log.read(number, |record| part.apply(record).map(drop));
        let Ok(ends) = ends else { return };
        if parts.send((part, ends)).is_err() {
            return;
        }
    }
}

fn put_together(count: u64, parts: &[Receiver<Part>]) -> Option<Columns> {
    let mut columns = Columns::default();
    let mut before: Option<Ends> = None;
    for (_, parts) in (0..count).zip(parts.iter().cycle()) {
        let (part, ends) = parts.recv().ok()?;
        if before.is_some_and(|before| !before.meet(ends)) {
            return None;
        }
        before = Some(ends);
        columns.append(part).ok()?;
    }
    Some(columns)
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

/// So many parts of a thread wait for being appended.
const WAITING: usize = 2;
