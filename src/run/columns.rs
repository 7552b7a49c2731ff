//! A history in memory, column by column.

mod parts;

use super::cells::{Cell, Cells, ColumnKind, Owned, read_number};
use super::slots::Slots;
use crate::error::{Error, Result};
use crate::io::Source;
use crate::log::{self, Reader};
use crate::record::{ITEM_KEY, ItemValue, RawRecord, RecordKind, join_key, read_step, split_key};
use crate::wire::{Field, Fields, Malformed};
use std::num::NonZero;
use std::path::Path;
use std::thread;

/// The history of a run as typed columns.
///
/// A column holds the rows that have a value and the values, so a metric logged once in a thousand rows
/// takes a thousandth of the space. A null is no value.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::run::Columns;
///
/// let history = Columns::read("fixtures/wandb/0.31.0/minimal/run-minimal1.wandb")?;
/// assert_eq!(history.steps(), [0]);
/// let loss = history.get("loss").expect("a loss was logged");
/// assert_eq!(loss.to_f64(), [1.5]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Columns {
    slots: Slots,
    columns: Vec<Column>,
    steps: Vec<i64>,
    /// The first row that states its step: those of a part that come before it count on from the rows before.
    first_stated: Option<usize>,
    /// Whether these are some rows of a history, to be appended to those before.
    is_part: bool,
}

impl Columns {
    /// Reads the history of the log that `path` means, as for [`load`](super::load), strictly. Large logs are
    /// read on all processors.
    ///
    /// # Errors
    /// When there is no log or it cannot be read, or at its first damage.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let log = log::locate(path)?;
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        if threads > 1
            && log.size >= WORTH_THREADS
            && let Some(columns) = parts::read(&log.path, threads)
        {
            return Ok(columns);
        }
        Self::from_reader(&mut Reader::open(&log.path)?).map_err(|error| error.at(&log.path))
    }

    /// Reads the history of a log, up to the end of the reader. What the reader passes over, if it is
    /// lenient, is in its own report.
    ///
    /// # Errors
    /// When reading fails, and at a history record that is malformed.
    pub fn from_reader<S: Source>(reader: &mut Reader<S>) -> Result<Self> {
        let mut columns = Self::default();
        while let Some(record) = reader.next_record()? {
            columns.apply(&record)?;
        }
        Ok(columns)
    }

    /// Adds a record, if it is a row; says whether it is.
    ///
    /// # Errors
    /// When the record is malformed; nothing of it is added then, and others may follow.
    pub fn apply(&mut self, record: &RawRecord<'_>) -> Result<bool> {
        match record.body()? {
            Some(body) if body.kind == RecordKind::History => {
                let row = u32::try_from(self.steps.len()).map_err(|_| too_many_rows())?;
                self.row(&body.message, row).map_err(|error| {
                    self.columns.iter_mut().for_each(|column| column.remove(row));
                    record.malformed(error)
                })?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn row(&mut self, message: &[u8], row: u32) -> Result<(), Malformed> {
        let mut step = None;
        let mut fields = Fields::new(message);
        loop {
            let at = fields.consumed();
            if let Some(item) = fields.next_bytes(ITEM_KEY) {
                self.item(item, row).ok_or(Malformed { at })?;
                continue;
            }
            let Some(field) = fields.next() else { break };
            let Field { number, value } = field?;
            let sound = match number {
                ITEM => value.bytes().and_then(|item| self.item(item, row)),
                STEP => value
                    .bytes()
                    .and_then(read_step)
                    .map(|num| step = Some(num.or(step).unwrap_or(0))),
                _ => Some(()),
            };
            sound.ok_or(Malformed { at })?;
        }
        let step = step.or_else(|| self.step_item(row));
        if step.is_some() && self.first_stated.is_none() {
            self.first_stated = Some(self.steps.len());
        }
        let counted = || self.steps.last().map_or(0, |last| last.saturating_add(1));
        self.steps.push(step.unwrap_or_else(counted));
        Ok(())
    }

    #[inline]
    fn item(&mut self, item: &[u8], row: u32) -> Option<()> {
        let (slot, value) = self.slots.find(item)?;
        if slot >= self.columns.len() {
            self.columns.resize_with(self.slots.len(), Column::default);
        }
        let column = self.columns.get_mut(slot)?;
        if let Some(number) = read_number(value)
            && column.cells.takes_number(number)
        {
            column.place(row);
            column.cells.push_number(number);
        } else if let Some(value) = Owned::read(value) {
            if self.is_part && !column.cells.takes(&value) {
                column.begin_stretch();
            }
            column.place(row);
            column.cells.push(value);
        }
        Some(())
    }

    fn step_item(&self, row: u32) -> Option<i64> {
        let column = self.columns.get(self.slots.get(&["_step".into()])?)?;
        match column.last_of(row)? {
            Cell::Int(step) => Some(step),
            Cell::Float(step) => ItemValue::Number(step).as_integer(),
            _ => None,
        }
    }

    /// How many rows there are.
    pub const fn rows(&self) -> usize {
        self.steps.len()
    }

    /// The step of each row: as it states it, else one more than that of the row before.
    pub fn steps(&self) -> &[i64] {
        &self.steps
    }

    /// The column of a key. Elements of a path are joined with dots, a dot within one is written `\.`
    /// ([`join_key`]).
    pub fn get(&self, key: &str) -> Option<&Column> {
        // Most keys with a dot are names with a dot, written by people who did not escape it.
        let column = |path: &[String]| self.columns.get(self.slots.get(path)?);
        column(&split_key(key))
            .or_else(|| column(&[key.into()]))
            .filter(|column| !column.is_empty())
    }

    /// The column of a path.
    pub fn at(&self, path: &[&str]) -> Option<&Column> {
        let path: Vec<String> = path.iter().map(|element| (*element).into()).collect();
        self.columns.get(self.slots.get(&path)?).filter(|column| !column.is_empty())
    }

    /// The columns that have values, ordered by path, each with its key.
    pub fn iter(&self) -> impl Iterator<Item = (String, &Column)> {
        self.slots.iter().filter_map(|(path, slot)| {
            let column = self.columns.get(slot).filter(|column| !column.is_empty())?;
            Some((join_key(path.iter().map(String::as_str)), column))
        })
    }
}

/// The values of one key.
#[derive(Clone, Debug, Default)]
pub struct Column {
    rows: Rows,
    cells: Cells,
    /// In a part of a history: the values before, in stretches of one kind each. What kind the whole column
    /// is of follows from their order.
    stretches: Vec<Cells>,
}

/// The rows that have a value: one run of rows, as it mostly is, or a list.
#[derive(Clone, Debug)]
enum Rows {
    Run { first: u32, length: u32 },
    List(Vec<u32>),
}

impl Default for Rows {
    fn default() -> Self {
        Self::Run { first: 0, length: 0 }
    }
}

impl Column {
    /// Says that the next value is that of `row`.
    #[inline]
    fn place(&mut self, row: u32) {
        match &mut self.rows {
            Rows::Run { first, length } if first.wrapping_add(*length) == row => *length += 1,
            _ => self.push_row(row),
        }
    }

    fn push_row(&mut self, row: u32) {
        // A key that comes twice in a row: the last one counts.
        self.remove(row);
        match &mut self.rows {
            Rows::Run { first, length: length @ 0 } => (*first, *length) = (row, 1),
            Rows::Run { first, length } if first.wrapping_add(*length) == row => *length += 1,
            Rows::Run { first, length } => {
                let rows = (*first..first.saturating_add(*length)).chain([row]).collect();
                self.rows = Rows::List(rows);
            }
            Rows::List(rows) => rows.push(row),
        }
    }

    /// Takes the value of `row` away, which is the last if there is one.
    fn remove(&mut self, row: u32) {
        let removed = match &mut self.rows {
            Rows::Run { first, length }
                if *length > 0 && first.wrapping_add(*length - 1) == row =>
            {
                *length -= 1;
                true
            }
            Rows::List(rows) if rows.last() == Some(&row) => rows.pop().is_some(),
            _ => false,
        };
        if removed {
            match self.stretches.last_mut() {
                Some(before) if self.cells.len() == 0 => before.pop(),
                _ => self.cells.pop(),
            }
        }
    }

    /// The value of `row`, which is the last if there is one.
    fn last_of(&self, row: u32) -> Option<Cell<'_>> {
        let last = match &self.rows {
            Rows::Run { first, length } => first.checked_add(length.checked_sub(1)?)?,
            Rows::List(rows) => *rows.last()?,
        };
        self.cells.get(self.cells.len().checked_sub(1)?).filter(|_| last == row)
    }

    /// What its values are.
    pub const fn kind(&self) -> ColumnKind {
        self.cells.kind()
    }

    /// How many rows have a value.
    pub const fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether no row has one.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row.
    pub fn at(&self, row: usize) -> Option<Cell<'_>> {
        let row = u32::try_from(row).ok()?;
        let index = match &self.rows {
            Rows::Run { first, .. } => row.checked_sub(*first)? as usize,
            Rows::List(rows) => rows.binary_search(&row).ok()?,
        };
        self.cells.get(index)
    }

    /// The rows that have a value, in order.
    pub fn rows(&self) -> impl Iterator<Item = usize> {
        let (run, list) = match &self.rows {
            Rows::Run { first, length } => (*first..first.saturating_add(*length), &[][..]),
            Rows::List(rows) => (0..0, rows.as_slice()),
        };
        run.chain(list.iter().copied()).map(|row| row as usize)
    }

    /// The values, without the rows that have none.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        (0..self.len()).filter_map(|index| self.cells.get(index))
    }

    /// Rows and values.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Cell<'_>)> {
        self.rows().zip(self.cells())
    }

    /// The values of a column of floats, as they lie in memory.
    pub fn as_floats(&self) -> Option<&[f64]> {
        match &self.cells {
            Cells::Float(cells) => Some(cells),
            _ => None,
        }
    }

    /// The values of a column of integers, as they lie in memory.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.cells {
            Cells::Int(cells) => Some(cells),
            _ => None,
        }
    }

    /// The values as floats; what is no number is NaN.
    pub fn to_f64(&self) -> Vec<f64> {
        self.cells().map(|cell| cell.as_f64().unwrap_or(f64::NAN)).collect()
    }
}

fn too_many_rows() -> Error {
    Error::misuse("a history in memory has 2^32 rows at most")
}

/// A log of that many bytes is read by several threads.
const WORTH_THREADS: u64 = 8 << 20;

const ITEM: u32 = 1;
const STEP: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Span;
    use crate::proto::wandb_internal::record::RecordType;
    use crate::proto::wandb_internal::{HistoryItem, HistoryRecord, HistoryStep, Record};
    use prost::Message;

    fn row(items: &[(&[&str], &str)], step: Option<i64>) -> Vec<u8> {
        let item = |(path, json): &(&[&str], &str)| HistoryItem {
            nested_key: path.iter().map(|element| (*element).into()).collect(),
            value_json: (*json).into(),
            ..Default::default()
        };
        let item = items.iter().map(item).collect();
        let step = step.map(|num| HistoryStep { num });
        let history = HistoryRecord { item, step, ..Default::default() };
        let record_type = Some(RecordType::History(history));
        Record { record_type, ..Default::default() }.encode_to_vec()
    }

    fn apply(columns: &mut Columns, payload: &[u8]) -> Result<bool> {
        let span = Span { offset: 7, length: payload.len() as u64 };
        columns.apply(&RawRecord::new(span, payload))
    }

    fn columns(rows: &[Vec<u8>]) -> Columns {
        let mut columns = Columns::default();
        for row in rows {
            assert!(apply(&mut columns, row).unwrap());
        }
        columns
    }

    #[test]
    fn a_sparse_column_knows_its_rows() {
        let rows: Vec<_> = (0..10)
            .map(|i| {
                let text = i.to_string();
                let mut items: Vec<(&[&str], &str)> = vec![(&["a"], &text)];
                if i % 4 == 1 {
                    items.push((&["b"], "0.5"));
                }
                row(&items, Some(i * 10))
            })
            .collect();
        let columns = columns(&rows);
        assert_eq!(columns.steps()[..3], [0, 10, 20]);
        let (a, b) = (columns.get("a").unwrap(), columns.get("b").unwrap());
        assert_eq!(a.as_ints(), Some(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..]));
        assert_eq!(b.iter().collect::<Vec<_>>(), [1, 5, 9].map(|row| (row, Cell::Float(0.5))));
        assert_eq!(
            (b.at(5), b.at(6), a.at(9), a.at(10)),
            (Some(Cell::Float(0.5)), None, Some(Cell::Int(9)), None)
        );
    }

    #[test]
    fn a_column_that_begins_late_is_one_run() {
        let rows = [row(&[], None), row(&[(&["a"], "1")], None), row(&[(&["a"], "2")], None)];
        let columns = columns(&rows);
        let a = columns.get("a").unwrap();
        assert_eq!(a.rows().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((a.at(0), a.at(1)), (None, Some(Cell::Int(1))));
    }

    #[test]
    fn of_a_key_that_comes_twice_in_a_row_the_last_counts() {
        let twice = row(&[(&["a"], "1"), (&["a"], "2.5")], None);
        let columns = columns(&[row(&[(&["a"], "0.5")], None), twice, row(&[(&["a"], "3")], None)]);
        assert_eq!(columns.get("a").unwrap().to_f64(), [0.5, 2.5, 3.0]);
    }

    #[test]
    fn a_malformed_row_adds_nothing() {
        let mut columns = columns(&[row(&[(&["a"], "1")], None)]);
        // An item whose key claims more bytes than there are.
        let mut bad = row(&[(&["a"], "2")], None);
        let inner = bad.len() - 2;
        bad[1] = u8::try_from(inner + 4).unwrap();
        bad.extend_from_slice(&[0x0a, 2, 0x0a, 9]);
        assert_eq!(apply(&mut columns, &bad).unwrap_err().offset(), Some(7));
        apply(&mut columns, &row(&[(&["a"], "3")], None)).unwrap();
        assert_eq!((columns.rows(), columns.get("a").unwrap().to_f64()), (2, vec![1.0, 3.0]));
    }

    #[test]
    fn keys_with_dots_are_found_escaped_and_plain() {
        let columns =
            columns(&[row(&[(&["a", "b"], "1"), (&["v1.5"], "2"), (&["n"], "null")], None)]);
        assert!(columns.get("a.b").is_some() && columns.at(&["a", "b"]).is_some());
        assert!(columns.get(r"v1\.5").is_some() && columns.get("v1.5").is_some());
        assert!(columns.get("n").is_none());
        assert_eq!(columns.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a.b", r"v1\.5"]);
    }

    /// As another log would be read, by threads that get so few rows that each key and step crosses their
    /// border.
    #[test]
    fn parts_put_together_are_the_history_in_one() {
        let values = ["1", "2.5", "9007199254740993", "\"x\"", "true", "[1]", "null", "3"];
        let mut seed = 1_u64;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for round in 0..300 {
            let kinds = 1 + round % values.len();
            let rows: Vec<Vec<u8>> = (0..random(30))
                .map(|_| {
                    let mut items: Vec<(&[&str], &str)> = Vec::new();
                    for key in [&["a"][..], &["b", "c"], &["d"], &["_step"]] {
                        if random(3) > 0 {
                            items.push((key, values[random(kinds)]));
                        }
                    }
                    row(&items, (random(3) == 0).then(|| random(50) as i64))
                })
                .collect();
            let want = columns(&rows);
            let mut found = Columns::default();
            for rows in rows.chunks(1 + random(6)) {
                let mut part = Columns { is_part: true, ..Columns::default() };
                for row in rows {
                    apply(&mut part, row).unwrap();
                }
                found.append(part).unwrap();
            }
            let shown = |columns: &Columns| {
                let each = columns.iter().map(|(key, column)| {
                    format!("{key} {:?} {:?}", column.kind(), column.iter().collect::<Vec<_>>())
                });
                (columns.steps().to_vec(), each.collect::<Vec<_>>())
            };
            assert_eq!(shown(&found), shown(&want), "{round}");
        }
    }

    #[test]
    fn steps_come_from_the_item_or_are_counted() {
        let rows =
            [row(&[(&["_step"], "5")], None), row(&[], None), row(&[(&["_step"], "9")], Some(0))];
        assert_eq!(columns(&rows).steps(), [5, 6, 0]);
    }
}
