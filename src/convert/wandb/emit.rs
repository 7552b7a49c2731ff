//! Rows, as events.

use super::files::FilesDir;
use super::keys::Keys;
use super::media::{MediaReader, Shown};
use super::options::Options;
use super::report::{Changed, Reason, RunReport};
use super::rows::{Datum, RowReader};
use super::shape::Shape;
use crate::error::Result;
use crate::json::{Number, Value, put_f32};
use crate::tfevents::{At, Mesh, SummaryWriter};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Writes the values of rows.
pub(super) struct Emitter<'a> {
    pub(super) writer: SummaryWriter,
    pub(super) files: FilesDir,
    pub(super) options: &'a Options,
    pub(super) report: &'a mut RunReport,
    /// Whether the run was a TensorBoard run before, of which every value goes back.
    from_tensorboard: bool,
    /// When the run started, in seconds since 1970.
    pub(super) start: f64,
    points: Vec<Point>,
    event: Vec<(Arc<str>, f32)>,
    /// The wall times that hold for one key, by its number.
    wall_times: Vec<Option<f64>>,
    text: Vec<u8>,
    pub(super) last_step: i64,
    pub(super) last_time: f64,
}

/// A number to be written.
struct Point {
    step: i64,
    wall_time: f64,
    key: usize,
    value: f32,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(
        writer: SummaryWriter,
        files: FilesDir,
        options: &'a Options,
        report: &'a mut RunReport,
        from_tensorboard: bool,
        start: f64,
    ) -> Self {
        Self {
            writer,
            files,
            options,
            report,
            from_tensorboard,
            start,
            points: Vec::new(),
            event: Vec::new(),
            wall_times: Vec::new(),
            text: Vec::new(),
            last_step: 0,
            last_time: start,
        }
    }

    /// Writes the row that was read last.
    pub(super) fn row(&mut self, reader: &mut RowReader) -> Result<()> {
        let (row, keys, integers) = reader.parts();
        let finite = |time: Option<f64>| time.filter(|time| time.is_finite());
        let by_runtime = || finite(row.runtime).map(|runtime| self.start + runtime);
        let row_time = finite(row.timestamp).or_else(by_runtime).unwrap_or(self.start);
        self.report.leave_out(Reason::Null, "history", row.nulls);
        for name in &row.unsupported {
            self.report.leave_out(Reason::Unsupported, name, 1);
        }
        self.wall_times.resize(keys.len(), None);
        self.set_wall_times(&row.wall_times, keys, true);
        for (key, datum) in &row.values {
            let step = keys.step(*key, row.step, |number| integers.of(row, number));
            let own_time = self.wall_times.get(*key).copied().flatten();
            let wall_time = finite(own_time).unwrap_or(row_time);
            match datum {
                Datum::Number(number) => {
                    let value = self.single(*number);
                    self.points.push(Point { step, wall_time, key: *key, value });
                }
                other => self.other(keys, *key, (step, wall_time).into(), other)?,
            }
        }
        self.set_wall_times(&row.wall_times, keys, false);
        (self.last_step, self.last_time) = (row.step, row_time);
        self.write_points(keys)
    }

    fn set_wall_times(&mut self, times: &[(crate::run::slots::Path, f64)], keys: &Keys, set: bool) {
        for (path, time) in times {
            for &number in keys.at(path) {
                if let Some(slot) = self.wall_times.get_mut(number) {
                    *slot = set.then_some(*time);
                }
            }
        }
    }

    /// A number in single precision; counted if that has not digits enough.
    fn single(&mut self, number: Number) -> f32 {
        let value = number.as_f64();
        let single = value as f32;
        let is_whole = match number {
            // A large integer is not even a double.
            Number::Int(integer) => value as i128 == integer.into(),
            Number::UInt(integer) => value as i128 == integer.into(),
            _ => true,
        };
        if !is_whole {
            self.report.change(Changed::Rounded, 1);
        } else if f64::from(single) != value && !value.is_nan() {
            // Of a number that was single all along the log has the shortest text.
            self.text.clear();
            put_f32(&mut self.text, single);
            let shortest = std::str::from_utf8(&self.text).ok().and_then(|text| text.parse().ok());
            self.report.change(Changed::Rounded, (shortest != Some(value)).into());
        }
        single
    }

    /// Writes the numbers of a row: those with the same step and wall time in one event.
    fn write_points(&mut self, keys: &mut Keys) -> Result<()> {
        let mut points = std::mem::take(&mut self.points);
        points.retain(|point| keys.get(point.key).is_some_and(|key| !key.hidden));
        let order = |point: &Point| (point.step, point.wall_time.to_bits(), point.key);
        points.sort_unstable_by_key(order);
        let same = |a: &Point, b: &Point| {
            (a.step, a.wall_time.to_bits()) == (b.step, b.wall_time.to_bits())
        };
        for group in points.chunk_by(same) {
            let Some(&Point { step, wall_time, .. }) = group.first() else { continue };
            self.event.clear();
            for point in group {
                let Some(key) = keys.get(point.key) else { continue };
                self.event.push((key.tag.clone(), point.value));
            }
            self.writer.scalars((step, wall_time), &self.event)?;
            self.report.carried.scalars += self.event.len() as u64;
        }
        points.clear();
        self.points = points;
        Ok(())
    }

    /// Writes a value that is not a number.
    fn other(&mut self, keys: &mut Keys, number: usize, at: At, datum: &Datum) -> Result<()> {
        match datum {
            Datum::Text(text) => self.write_text(keys, number, at, text),
            Datum::Json(value) => {
                if self.from_tensorboard
                    && let Some((shape, strings)) = texts(value)
                {
                    let Some(key) = keys.get(number) else { return Ok(()) };
                    self.report.carried.texts += 1;
                    return self.writer.texts(&key.tag, at, &shape, &strings);
                }
                let text = value.to_string();
                let written = self.report.carried.texts;
                self.write_text(keys, number, at, &text)?;
                self.report.change(Changed::JsonText, self.report.carried.texts - written);
                Ok(())
            }
            Datum::Media(object) => self.media(keys, number, at, object),
            Datum::Number(_) => Ok(()),
        }
    }

    fn media(&mut self, keys: &mut Keys, number: usize, at: At, object: &Value) -> Result<()> {
        let Self { files, options, report, from_tensorboard, .. } = self;
        let mut reader =
            MediaReader { files, options, from_tensorboard: *from_tensorboard, report };
        let Some(shown) = reader.read(object) else { return Ok(()) };
        let Some(tag) = keys.get(number).map(|key| key.tag.clone()) else { return Ok(()) };
        let carried = &mut self.report.carried;
        match shown {
            Shown::Histogram(histogram) => {
                carried.histograms += 1;
                self.writer.histogram(&tag, at, &histogram)
            }
            Shown::Images(images) => {
                carried.images += images.len() as u64;
                self.writer.images(&tag, at, &images)
            }
            Shown::Audio(files) => {
                carried.sounds += files.len() as u64;
                self.writer.audio(&tag, at, &files)
            }
            Shown::Table(rows) => {
                carried.tables += 1;
                self.writer.table(&tag, at, &rows)
            }
            Shown::Mesh(shape) => {
                carried.meshes += 1;
                self.report.change(Changed::Rounded, shape.rounded);
                let Shape { vertices, faces, colors, .. } = &shape;
                self.writer.mesh(&tag, at, &Mesh { vertices, faces, colors, ..Mesh::default() })
            }
            Shown::Text(text) => self.write_text(keys, number, at, &text),
        }
    }

    /// Writes a text, unless it is what the key had before.
    fn write_text(&mut self, keys: &mut Keys, number: usize, at: At, text: &str) -> Result<()> {
        let Some(key) = keys.get_mut(number) else { return Ok(()) };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let is_repeated = key.last_text.replace(hasher.finish()) == Some(hasher.finish());
        if is_repeated && !self.from_tensorboard {
            self.report.leave_out(Reason::Repeated, "text", 1);
            return Ok(());
        }
        self.report.carried.texts += 1;
        self.writer.text(&key.tag, at, text)
    }
}

/// Strings in lists of one shape, and that shape.
fn texts(value: &Value) -> Option<(Vec<usize>, Vec<&str>)> {
    let mut shape = Vec::new();
    let mut first = value;
    while let Value::Array(list) = first {
        shape.push(list.len());
        first = list.first()?;
    }
    let mut strings = Vec::new();
    gather(value, &shape, &mut strings)?;
    Some((shape, strings))
}

fn gather<'v>(value: &'v Value, shape: &[usize], strings: &mut Vec<&'v str>) -> Option<()> {
    match (value, shape.split_first()) {
        (Value::Array(list), Some((length, inner))) if list.len() == *length => {
            list.iter().try_for_each(|value| gather(value, inner, strings))
        }
        (Value::String(text), None) => {
            strings.push(text);
            Some(())
        }
        _ => None,
    }
}
