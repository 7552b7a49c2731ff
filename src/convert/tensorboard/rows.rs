//! The second pass: points in the order of their steps, to history rows.

use super::keys::WALL_TIME;
use super::points::{Kind, Point};
use super::restart::Filter;
use super::values::{Items, Values};
use crate::error::Result;
use crate::event::ScalarValue;
use crate::json::{put_f32, put_f64, put_i64, put_u64};
use crate::log::LogWriter;
use crate::proto::wandb_internal as pb;
use crate::record::RecordKind;
use crate::wire;
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
        values: Values<'a>,
        keys: &'a [String],
        groups: Vec<u32>,
        filter: Filter,
        layout: Layout,
    ) -> Self {
        let prefixes = keys
            .iter()
            .map(|key| Key { value: item_path(&[key]), wall_time: item_path(&[WALL_TIME, key]) });
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
        let carried = self.value_items(timestamp, number)?;
        self.files_and_charts()?;
        if carried == 0 {
            return Ok(());
        }
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

    /// The items of the values, and of wall times that are not the row's. Returns how many points the row
    /// has.
    fn value_items(&mut self, timestamp: f64, number: i64) -> Result<u64> {
        let differs = |point: &Point| point.wall_time.to_bits() != timestamp.to_bits();
        let (mut carried, mut other_wall_times) = (0, 0);
        let points = self.filled.iter().filter_map(|&at| self.slots.get(at as usize)?.point);
        self.payloads.clear();
        self.payloads.extend(points.filter(|point| point.kind == Kind::Payload));
        for &series in &self.filled {
            let at = series as usize;
            let (Some(slot), Some(key)) = (self.slots.get_mut(at), self.keys.get(at)) else {
                continue;
            };
            let Some(point) = slot.point else { continue };
            if let Some(value) = point.value() {
                self.text.clear();
                put_value(&mut self.text, value);
                put_item(&mut self.record, &key.value, &self.text);
            } else {
                let Some(items) = self.values.render(&point, &self.payloads, number)? else {
                    slot.point = None;
                    continue;
                };
                for (element, text) in items.iter() {
                    let name = self.names.get(at).map_or("", String::as_str);
                    let path = [name, element];
                    let path = if element.is_empty() { path.get(..1) } else { path.get(..) };
                    put_item(&mut self.record, &item_path(path.unwrap_or_default()), text);
                }
            }
            carried += 1;
            other_wall_times += u64::from(differs(&point));
        }
        self.counts.points += carried;
        self.counts.other_wall_times += other_wall_times;
        for series in self.filled.drain(..) {
            let at = series as usize;
            let (Some(slot), Some(key)) = (self.slots.get_mut(at), self.keys.get(at)) else {
                continue;
            };
            slot.in_row = false;
            let Some(point) = slot.point.filter(|_| other_wall_times > 0) else { continue };
            if self.layout.wall_times && differs(&point) {
                self.text.clear();
                put_f64(&mut self.text, point.wall_time);
                put_item(&mut self.record, &key.wall_time, &self.text);
            }
        }
        Ok(carried)
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
            let scalar = slot.point.and_then(|point| point.value());
            let last = match scalar {
                Some(value) => Last::Scalar(value),
                None => Last::Items(self.values.last(series)?),
            };
            Some((series, last))
        })
    }
}

/// The last value of a series.
pub(super) enum Last<'a> {
    Scalar(ScalarValue),
    Items(&'a Items),
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
