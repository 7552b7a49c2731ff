//! The second pass: points in the order of their steps, to history rows.

use super::keys::WALL_TIME;
use super::line::{
    GLOBAL_STEP_PATH, ITEM_OVERHEAD, LINE_LEN, LONGEST_NUMBER, Line, RESERVED_LEN, RUNTIME_PATH,
    STEP_PATH, TIMESTAMP_PATH, item_path, text_len,
};
use super::points::Point;
use super::restart::Filter;
use super::values::{Items, Values};
use crate::error::{Error, Result};
use crate::event::ScalarValue;
use crate::json::{put_f32, put_f64, put_i64, put_u64};
use crate::log::LogWriter;
use crate::proto::wandb_internal as pb;
use crate::record::RecordKind;
use std::io::Write;

/// Gathers points into rows and writes them.
pub(super) struct Rows<'a, W> {
    log: &'a mut LogWriter<W>,
    pub(super) values: Values<'a>,
    names: &'a [String],
    keys: Vec<Key>,
    groups: Vec<u32>,
    filter: Filter,
    layout: Layout,
    /// The series that have a point in the row, in order of arrival.
    filled: Vec<u32>,
    slots: Vec<Slot>,
    /// The points of the row that are no scalars.
    payloads: Vec<Point>,
    step: i64,
    /// The row that is being made, its line, and how many points it has.
    row: LastRow,
    line: Line,
    carried: u64,
    pub(super) counts: Counts,
    pub(super) last_row: Option<LastRow>,
    text: Vec<u8>,
}

/// Why no more rows are made.
#[derive(Debug)]
pub(super) enum Halt {
    /// A step needs more than one row, so steps must be counted.
    NoRoom,
    Failed(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// How rows are to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Whether `_step` is a counter.
    pub counter: bool,
    /// Whether it may become one, if a step needs a further row.
    pub may_count: bool,
    /// Whether a further point of a tag and step gets a row of its own.
    pub extra_rows: bool,
    /// Whether points of one tag and step that give way are lost, and not just made obsolete.
    pub same_step_is_loss: bool,
    /// Whether wall times that are not the row's are kept.
    pub wall_times: bool,
    /// Where `_runtime` counts from.
    pub start: f64,
}

/// What happened to the points.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub rows: u64,
    pub points: u64,
    pub other_wall_times: u64,
    pub preempted: u64,
    pub same_step: u64,
    pub too_large: u64,
}

/// What the summary repeats from the last row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastRow {
    pub number: i64,
    pub step: i64,
    pub timestamp: f64,
    pub runtime: f64,
}

/// The bytes of an item that do not change: its path.
struct Key {
    value: Vec<u8>,
    wall_time: Vec<u8>,
    /// What the key takes in a line.
    length: usize,
}

impl Key {
    const fn item_len(&self, text: usize) -> usize {
        self.length + text + ITEM_OVERHEAD
    }
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The point in the row, or, once that is written, the last one of the series.
    point: Option<Point>,
    in_row: bool,
}

impl<'a, W: Write> Rows<'a, W> {
    pub(super) fn new(
        log: &'a mut LogWriter<W>,
        values: Values<'a>,
        keys: &'a [String],
        groups: Vec<u32>,
        filter: Filter,
        layout: Layout,
    ) -> Self {
        let prefixes = keys.iter().map(|key| Key {
            value: item_path(&[key]),
            wall_time: item_path(&[WALL_TIME, key]),
            length: text_len(key),
        });
        Self {
            keys: prefixes.collect(),
            names: keys,
            log,
            values,
            groups,
            filter,
            layout,
            filled: Vec::new(),
            slots: vec![Slot::default(); keys.len()],
            payloads: Vec::new(),
            step: 0,
            row: LastRow::default(),
            line: Line::default(),
            carried: 0,
            counts: Counts::default(),
            last_row: None,
            text: Vec::new(),
        }
    }

    /// Takes the next point; points come in the order of [`Point::order`].
    #[inline]
    pub(super) fn point(&mut self, point: &Point) -> Result<(), Halt> {
        if point.step != self.step {
            self.end_row()?;
            self.step = point.step;
        }
        if point.is_purge() {
            self.filter.purge(point);
            return Ok(());
        }
        let series = point.series as usize;
        let group = self.groups.get(series).copied().unwrap_or(0);
        if !self.filter.admits(point, group) {
            self.counts.preempted += 1;
            return Ok(());
        }
        if self.slots.get(series).is_some_and(|slot| slot.in_row) {
            match (self.layout.extra_rows, self.layout.same_step_is_loss) {
                (true, _) => self.end_row()?,
                (false, true) => self.counts.same_step += 1,
                (false, false) => self.counts.preempted += 1,
            }
            let sound = |slot: &Slot| slot.in_row && slot.point.is_some_and(|p| !p.suspect);
            if point.suspect && self.slots.get(series).is_some_and(sound) {
                return Ok(());
            }
        }
        let Some(slot) = self.slots.get_mut(series) else { return Ok(()) };
        slot.point = Some(*point);
        if !std::mem::replace(&mut slot.in_row, true) {
            self.filled.push(point.series);
        }
        Ok(())
    }

    /// Writes the row gathered so far, if there is one: numbers first, and what has no room goes on a
    /// further row of the same TensorBoard step.
    pub(super) fn end_row(&mut self) -> Result<(), Halt> {
        if self.filled.is_empty() {
            return Ok(());
        }
        self.filled.sort_unstable();
        let points =
            self.filled.iter().filter_map(|&series| self.slots.get(series as usize)?.point);
        let timestamp = points.map(|point| point.wall_time).fold(f64::NEG_INFINITY, f64::max);
        self.begin(timestamp);
        let mut filled = std::mem::take(&mut self.filled);
        self.payloads.clear();
        for series in filled.drain(..) {
            let Some(slot) = self.slots.get_mut(series as usize) else { continue };
            slot.in_row = false;
            let Some(point) = slot.point else { continue };
            match point.value() {
                Some(value) => self.scalar(&point, value)?,
                None => self.payloads.push(point),
            }
        }
        self.filled = filled;
        let payloads = std::mem::take(&mut self.payloads);
        for point in &payloads {
            self.payload(point, &payloads)?;
        }
        self.payloads = payloads;
        self.finish()
    }

    /// Begins a row of the step at hand with the items that every row has.
    fn begin(&mut self, timestamp: f64) {
        let number = if self.layout.counter { self.counts.rows as i64 } else { self.step };
        let runtime = (timestamp - self.layout.start).max(0.0);
        self.row = LastRow { number, step: self.step, timestamp, runtime };
        self.carried = 0;
        let Self { line, text, row, .. } = self;
        line.clear();
        let mut put = |path: &[u8], write: &dyn Fn(&mut Vec<u8>)| {
            text.clear();
            write(text);
            line.item(path, text);
        };
        put(STEP_PATH, &|text| put_i64(text, row.number));
        put(TIMESTAMP_PATH, &|text| put_f64(text, row.timestamp));
        put(RUNTIME_PATH, &|text| put_f64(text, row.runtime));
        put(GLOBAL_STEP_PATH, &|text| put_i64(text, row.step));
    }

    /// Writes the row that was begun, if it has a point.
    fn finish(&mut self) -> Result<(), Halt> {
        self.files_and_charts()?;
        if self.carried == 0 {
            return Ok(());
        }
        self.log.record(RecordKind::History, self.line.end(self.row.number))?;
        if self.log.buffered() >= FLUSH_LEN {
            self.log.flush()?;
        }
        self.counts.rows += 1;
        self.counts.points += self.carried;
        self.last_row = Some(self.row);
        Ok(())
    }

    /// Whether items of this size have a place in the row, or in a further one that is begun for them.
    #[inline]
    fn reserve(&mut self, length: usize) -> Result<bool, Halt> {
        if self.line.reserve(length) { Ok(true) } else { self.further_row(length) }
    }

    #[cold]
    fn further_row(&mut self, length: usize) -> Result<bool, Halt> {
        let possible = length <= LINE_LEN - RESERVED_LEN;
        match self.layout {
            Layout { counter: true, .. } if possible => {
                self.finish()?;
                self.begin(self.row.timestamp);
                Ok(self.line.reserve(length))
            }
            Layout { may_count: true, .. } if possible => Err(Halt::NoRoom),
            _ => {
                self.counts.too_large += 1;
                Ok(false)
            }
        }
    }

    #[inline]
    fn scalar(&mut self, point: &Point, value: ScalarValue) -> Result<(), Halt> {
        self.text.clear();
        put_value(&mut self.text, value);
        let at = point.series as usize;
        let length = self.keys.get(at).map_or(0, |key| key.item_len(self.text.len()));
        if !self.reserve(length + self.wall_time_len(point))? {
            self.forget(at);
            return Ok(());
        }
        if let Some(key) = self.keys.get(at) {
            self.line.item(&key.value, &self.text);
        }
        self.carry(point);
        Ok(())
    }

    /// Takes back a point that found no place: the summary says what the series had before.
    fn forget(&mut self, series: usize) {
        if let Some(slot) = self.slots.get_mut(series) {
            slot.point = None;
        }
    }

    /// A value that is no number, in a row whose others are `row`.
    fn payload(&mut self, point: &Point, row: &[Point]) -> Result<(), Halt> {
        let at = point.series as usize;
        let (Some(name), Some(key)) = (self.names.get(at), self.keys.get(at)) else {
            return Ok(());
        };
        let mut fits = false;
        if self.values.render(point, row, self.row.number)? {
            let items = self.values.items().iter();
            let length: usize =
                items.map(|(element, text)| key.item_len(element.len() + text.len())).sum();
            fits = self.reserve(length + self.wall_time_len(point))?;
        }
        if !fits {
            self.forget(at);
            return Ok(());
        }
        for (element, text) in self.values.items().iter() {
            let path = [name.as_str(), element];
            let path = if element.is_empty() { path.get(..1) } else { path.get(..) };
            self.line.item(&item_path(path.unwrap_or_default()), text);
        }
        self.values.keep_last(at);
        self.carry(point);
        Ok(())
    }

    /// Bytes that the point's own wall time takes, if it is another one than the row's and kept.
    #[inline]
    fn wall_time_len(&self, point: &Point) -> usize {
        if !self.layout.wall_times || !self.differs(point) {
            return 0;
        }
        self.keys.get(point.series as usize).map_or(0, |key| key.item_len(LONGEST_NUMBER))
    }

    fn differs(&self, point: &Point) -> bool {
        point.wall_time.to_bits() != self.row.timestamp.to_bits()
    }

    /// Counts a point that is in the row, and says when it was logged if the row does not.
    #[inline]
    fn carry(&mut self, point: &Point) {
        self.carried += 1;
        if !self.differs(point) {
            return;
        }
        self.counts.other_wall_times += 1;
        if let Some(key) = self.keys.get(point.series as usize).filter(|_| self.layout.wall_times) {
            self.text.clear();
            put_f64(&mut self.text, point.wall_time);
            self.line.item(&key.wall_time, &self.text);
        }
    }

    /// Says which files the row needs, in front of it, and how its charts are to look.
    fn files_and_charts(&mut self) -> Result<()> {
        for path in self.values.take_files() {
            let media = pb::files_item::FileType::Media as i32;
            let file = pb::FilesItem { path, r#type: media, ..pb::FilesItem::default() };
            let files = pb::FilesRecord { files: vec![file], ..pb::FilesRecord::default() };
            self.log.message(RecordKind::Files, &files)?;
        }
        for (key, value_json) in self.values.take_charts() {
            let nested_key = vec!["_wandb".into(), "visualize".into(), key];
            let item = pb::ConfigItem { nested_key, value_json, ..pb::ConfigItem::default() };
            let config = pb::ConfigRecord { update: vec![item], ..pb::ConfigRecord::default() };
            self.log.message(RecordKind::Config, &config)?;
        }
        Ok(())
    }

    /// The last value of each series that has one, by number.
    pub(super) fn last_values(&self) -> impl Iterator<Item = (usize, Last<'_>)> {
        self.slots.iter().enumerate().filter_map(|(series, slot)| {
            let last = match (slot.point.map(|point| point.value()), self.values.last(series)) {
                (Some(Some(value)), _) => Last::Scalar(value),
                (_, Some(items)) => Last::Items(items),
                (Some(None), None) => Last::TooLarge,
                (None, None) => return None,
            };
            Some((series, last))
        })
    }
}

/// The last value of a series.
pub(super) enum Last<'a> {
    Scalar(ScalarValue),
    Items(&'a Items),
    /// There was no room to keep it.
    TooLarge,
}

/// A value as W&B's JSON.
pub(super) fn put_value(text: &mut Vec<u8>, value: ScalarValue) {
    match value {
        // The shortest text of the largest ones, read as a double, may be beyond any `f32`.
        ScalarValue::F32(value) if value.abs() > 3.4e38 => put_f64(text, f64::from(value)),
        ScalarValue::F32(value) => put_f32(text, value),
        ScalarValue::F64(value) => put_f64(text, value),
        ScalarValue::I64(value) => put_i64(text, value),
        ScalarValue::U64(value) => put_u64(text, value),
        ScalarValue::Bool(value) => {
            text.extend_from_slice(if value { b"true" } else { b"false" });
        }
    }
}

const FLUSH_LEN: usize = 256 << 10;
