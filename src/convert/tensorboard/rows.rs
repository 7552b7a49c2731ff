//! The second pass: points in the order of their steps, to history rows.

use super::keys::WALL_TIME;
use super::points::Point;
use super::restart::Filter;
use crate::error::Result;
use crate::event::ScalarValue;
use crate::json::{put_f32, put_f64, put_i64, put_u64};
use crate::log::LogWriter;
use crate::record::RecordKind;
use crate::wire;
use std::io::Write;

/// Gathers points into rows and writes them.
pub(super) struct Rows<'a, W> {
    log: &'a mut LogWriter<W>,
    keys: Vec<Key>,
    groups: Vec<u32>,
    filter: Filter,
    layout: Layout,
    /// The series that have a point in the row, in order of arrival.
    filled: Vec<u32>,
    slots: Vec<Slot>,
    step: i64,
    pub(super) counts: Counts,
    pub(super) last_row: Option<LastRow>,
    record: Vec<u8>,
    text: Vec<u8>,
}

/// How rows are to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Whether `_step` is a counter.
    pub counter: bool,
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
}

/// What the summary repeats from the last row.
#[derive(Clone, Copy, Debug)]
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
        keys: &[String],
        groups: Vec<u32>,
        filter: Filter,
        layout: Layout,
    ) -> Self {
        let prefixes = keys
            .iter()
            .map(|key| Key { value: item_path(&[key]), wall_time: item_path(&[WALL_TIME, key]) });
        Self {
            keys: prefixes.collect(),
            log,
            groups,
            filter,
            layout,
            filled: Vec::new(),
            slots: vec![Slot::default(); keys.len()],
            step: 0,
            counts: Counts::default(),
            last_row: None,
            record: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Takes the next point; points come in the order of [`Point::order`].
    #[inline]
    pub(super) fn point(&mut self, point: &Point) -> Result<()> {
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

    /// Writes the row gathered so far, if there is one.
    pub(super) fn end_row(&mut self) -> Result<()> {
        if self.filled.is_empty() {
            return Ok(());
        }
        self.filled.sort_unstable();
        let points =
            self.filled.iter().filter_map(|&series| self.slots.get(series as usize)?.point);
        let timestamp = points.map(|point| point.wall_time).fold(f64::NEG_INFINITY, f64::max);
        let number = if self.layout.counter { self.counts.rows as i64 } else { self.step };
        let runtime = (timestamp - self.layout.start).max(0.0);
        let row = LastRow { number, step: self.step, timestamp, runtime };
        self.record.clear();
        self.reserved_items(&row);
        self.value_items(timestamp);
        wire::put_length(&mut self.record, STEP, 1 + wire::varint_len(number as u64));
        wire::put_uint(&mut self.record, 1, number as u64);
        self.log.record(RecordKind::History, &self.record)?;
        if self.log.buffered() >= FLUSH_LEN {
            self.log.flush()?;
        }
        self.counts.rows += 1;
        self.last_row = Some(row);
        Ok(())
    }

    fn reserved_items(&mut self, row: &LastRow) {
        let Self { record, text, .. } = self;
        let mut put = |path: &[u8], write: &dyn Fn(&mut Vec<u8>)| {
            text.clear();
            write(text);
            put_item(record, path, text);
        };
        put(STEP_PATH, &|text| put_i64(text, row.number));
        put(TIMESTAMP_PATH, &|text| put_f64(text, row.timestamp));
        put(RUNTIME_PATH, &|text| put_f64(text, row.runtime));
        put(GLOBAL_STEP_PATH, &|text| put_i64(text, row.step));
    }

    fn value_items(&mut self, timestamp: f64) {
        let mut other_wall_times = 0;
        for &series in &self.filled {
            let at = series as usize;
            let (Some(slot), Some(key)) = (self.slots.get(at), self.keys.get(at)) else { continue };
            let Some(point) = slot.point else { continue };
            self.text.clear();
            put_value(&mut self.text, point.value());
            put_item(&mut self.record, &key.value, &self.text);
            other_wall_times += u64::from(point.wall_time.to_bits() != timestamp.to_bits());
        }
        self.counts.points += self.filled.len() as u64;
        self.counts.other_wall_times += other_wall_times;
        for series in self.filled.drain(..) {
            let at = series as usize;
            let (Some(slot), Some(key)) = (self.slots.get_mut(at), self.keys.get(at)) else {
                continue;
            };
            slot.in_row = false;
            let Some(point) = slot.point.filter(|_| other_wall_times > 0) else { continue };
            if self.layout.wall_times && point.wall_time.to_bits() != timestamp.to_bits() {
                self.text.clear();
                put_f64(&mut self.text, point.wall_time);
                put_item(&mut self.record, &key.wall_time, &self.text);
            }
        }
    }

    /// The last value of each series that has one, by number.
    pub(super) fn last_values(&self) -> impl Iterator<Item = (usize, ScalarValue)> {
        let values = self.slots.iter().map(|slot| slot.point.map(|point| point.value()));
        values.enumerate().filter_map(|(series, value)| Some((series, value?)))
    }
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

/// The fields of an item in front of its value's length.
fn item_path(elements: &[&str]) -> Vec<u8> {
    let mut path = Vec::new();
    for element in elements {
        wire::put_bytes(&mut path, NESTED_KEY, element.as_bytes());
    }
    wire::put_varint(&mut path, VALUE_JSON << 3 | 2);
    path
}

#[inline]
fn put_item(record: &mut Vec<u8>, path: &[u8], text: &[u8]) {
    let length = path.len() + wire::varint_len(text.len() as u64) + text.len();
    wire::put_length(record, ITEM, length);
    record.extend_from_slice(path);
    wire::put_varint(record, text.len() as u64);
    record.extend_from_slice(text);
}

const ITEM: u32 = 1;
const STEP: u32 = 2;
const NESTED_KEY: u32 = 2;
const VALUE_JSON: u64 = 16;

// What `item_path` makes of the reserved keys; a test says so.
const STEP_PATH: &[u8] = b"\x12\x05_step\x82\x01";
const TIMESTAMP_PATH: &[u8] = b"\x12\x0a_timestamp\x82\x01";
const RUNTIME_PATH: &[u8] = b"\x12\x08_runtime\x82\x01";
const GLOBAL_STEP_PATH: &[u8] = b"\x12\x0bglobal_step\x82\x01";

const FLUSH_LEN: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_reserved_keys_are_what_is_made_of_them() {
        assert_eq!(item_path(&["_step"]), STEP_PATH);
        assert_eq!(item_path(&["_timestamp"]), TIMESTAMP_PATH);
        assert_eq!(item_path(&["_runtime"]), RUNTIME_PATH);
        assert_eq!(item_path(&["global_step"]), GLOBAL_STEP_PATH);
    }
}
