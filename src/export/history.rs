//! The history of a run as CSV or JSON lines: every row, every value, in full resolution.
//!
//! CSV needs its columns before its first row, so the log is read twice; memory grows with the number
//! of keys, never with the number of rows.

use crate::error::{Error, Result};
use crate::framing::Tail;
use crate::io::{GapReport, Source};
use crate::json::{self, Value};
use crate::log::{Reader, Repeated};
use crate::record::{Body, HistoryView, ItemValue, RawRecord, RecordKind, join_key};
use crate::run::slots::Slots;
use crate::wire::{Field, Fields};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

/// The form a history is exported in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A header line and a line per row. Numbers stand as in the log, `NaN` included; a value that is
    /// not there is an empty field; lists are JSON text.
    Csv,
    /// An object per row. Standard JSON: non-finite numbers are the strings `"NaN"`, `"Infinity"` and
    /// `"-Infinity"`; a value that is not there has no member.
    JsonLines,
}

/// Exports the history of one log, one line per row.
///
/// A nested value is a column of its own, named by its path joined with dots; should two paths look
/// alike then, dots within their elements are written `\.`. The first column is `_step`; the others are
/// ordered by name. Damage is passed over and reported.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::export::{Format, HistoryExport};
///
/// let mut csv = Vec::new();
/// let log = "fixtures/wandb/0.31.0/minimal/run-minimal1.wandb";
/// let report = HistoryExport::new(Format::Csv).keys(["loss"]).write(log, &mut csv)?;
/// assert_eq!(String::from_utf8_lossy(&csv), "_step,loss\n0,1.5\n");
/// assert_eq!((report.rows, report.is_lossy()), (1, false));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct HistoryExport {
    format: Format,
    keys: Option<Vec<String>>,
}

/// What became of the rows of a log that was exported.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExportReport {
    /// Rows written.
    pub rows: u64,
    /// Columns, `_step` included.
    pub columns: usize,
    /// Keys that were asked for and that no row has.
    pub missing_keys: Vec<String>,
    /// Rows left out because their bytes are not a row.
    pub undecodable: u64,
    /// Values left out because their keys have more than 128 elements.
    pub values_left_out: u64,
    /// Bytes that hold no record.
    pub gaps: GapReport,
    /// How the log ends.
    pub tail: Option<Tail>,
}

impl ExportReport {
    /// Whether anything that was in the log is not in the export.
    pub const fn is_lossy(&self) -> bool {
        self.undecodable > 0 || self.values_left_out > 0 || self.gaps.is_lossy()
    }
}

impl HistoryExport {
    /// An export of every key.
    pub const fn new(format: Format) -> Self {
        Self { format, keys: None }
    }

    /// Exports these keys only, in this order behind `_step`. A key is a path joined with dots.
    #[must_use]
    pub fn keys<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Writes the history of the log `path` to `out`, which should be buffered.
    ///
    /// # Errors
    /// When the log cannot be read or is none, and when writing fails.
    pub fn write(&self, path: impl AsRef<Path>, out: &mut dyn Write) -> Result<ExportReport> {
        let path = path.as_ref();
        let log = Repeated::new(path)?;
        let mut table = Table::new(Table::columns(&mut log.reader()?)?, self.keys.as_deref());
        let mut reader = log.reader()?;
        let (mut rows, mut undecodable) = (0, 0);
        let mut line = Vec::new();
        if self.format == Format::Csv {
            table.csv_header(&mut line);
        }
        while let Some(record) = reader.next_record()? {
            match table.read(&record) {
                Ok(false) => continue,
                Ok(true) => rows += 1,
                Err(_) => {
                    undecodable += 1;
                    continue;
                }
            }
            match self.format {
                Format::Csv => table.csv_row(&mut line),
                Format::JsonLines => table.json_row(&mut line),
            }
            if line.len() >= FLUSH_AT {
                flush(&mut line, out)?;
            }
        }
        flush(&mut line, out)?;
        Ok(ExportReport {
            rows,
            columns: table.titles.len(),
            missing_keys: table.missing_keys,
            undecodable,
            values_left_out: table.values_left_out,
            gaps: reader.gaps().clone(),
            tail: reader.tail(),
        })
    }
}

/// One row at a time, spread over its columns.
struct Table {
    slots: Slots,
    /// Which column a slot belongs to.
    column_of_slot: Vec<Option<usize>>,
    titles: Vec<String>,
    column_of_name: BTreeMap<String, usize>,
    missing_keys: Vec<String>,
    /// The row: for each column the range of its JSON text.
    cells: Vec<Option<(usize, usize)>>,
    /// The columns that have a value in this row.
    filled: Vec<usize>,
    values_left_out: u64,
    text: Vec<u8>,
    last_step: Option<i64>,
}

impl Table {
    /// The names of all values of a history, and where the last record ends.
    fn columns<S: Source>(reader: &mut Reader<S>) -> Result<BTreeSet<String>> {
        let (mut slots, mut names) = (Slots::default(), BTreeSet::new());
        let mut flat: Vec<bool> = Vec::new();
        while let Some(record) = reader.next_record()? {
            let Some(row) = row(&record) else { continue };
            for item in items(&row.message) {
                let Some((slot, value)) = slots.find(item) else { continue };
                flat.resize(slots.len().max(flat.len()), false);
                if let Some(object) = object(value) {
                    let path = path_of(item).unwrap_or_default();
                    flatten(&path, &object, &mut |name, _| {
                        names.insert(name);
                    });
                } else if let Some(flat) = flat.get_mut(slot).filter(|flat| !**flat) {
                    *flat = true;
                    names.insert(path_of(item).map(|path| join(&path)).unwrap_or_default());
                }
            }
        }
        Ok(names)
    }

    fn new(names: BTreeSet<String>, wanted: Option<&[String]>) -> Self {
        let mut columns = vec![STEP.to_owned()];
        let mut missing_keys = Vec::new();
        match wanted {
            None => columns.extend(names.into_iter().filter(|name| name != STEP)),
            Some(wanted) => {
                for key in wanted.iter().filter(|key| *key != STEP) {
                    // A dot may be part of the name, which the joined form writes as `\.`.
                    let escaped = key.replace('.', "\\.");
                    match [key, &escaped].into_iter().find(|key| names.contains(*key)) {
                        Some(key) if columns.contains(key) => {}
                        Some(key) => columns.push(key.clone()),
                        None => missing_keys.push(key.clone()),
                    }
                }
            }
        }
        let titles = titles(&columns);
        let cells = vec![None; columns.len()];
        let column_of_name = columns.into_iter().zip(0..).collect();
        Self {
            slots: Slots::default(),
            column_of_slot: Vec::new(),
            cells,
            filled: Vec::new(),
            values_left_out: 0,
            titles,
            column_of_name,
            missing_keys,
            text: Vec::new(),
            last_step: None,
        }
    }

    /// Takes in a record, and says whether it is a row.
    fn read(&mut self, record: &RawRecord<'_>) -> Result<bool> {
        let Some(body) = record.body()? else { return Ok(false) };
        if body.kind != RecordKind::History {
            return Ok(false);
        }
        let view = HistoryView::new(&body.message);
        view.check().map_err(|error| record.malformed(error))?;
        self.text.clear();
        for column in self.filled.drain(..) {
            if let Some(cell) = self.cells.get_mut(column) {
                *cell = None;
            }
        }
        for item in items(&body.message) {
            self.item(item);
        }
        let step = view.step().map_err(|error| record.malformed(error))?;
        let step = step.unwrap_or_else(|| self.last_step.map_or(0, |last| last.saturating_add(1)));
        self.last_step = Some(step);
        let start = self.text.len();
        json::put_i64(&mut self.text, step);
        self.put(0, start);
        Ok(true)
    }

    fn item(&mut self, item: &[u8]) {
        let Some((slot, value)) = self.slots.find(item) else {
            self.values_left_out += 1;
            return;
        };
        if let Some(object) = object(value) {
            let path = path_of(item).unwrap_or_default();
            flatten(&path, &object, &mut |name, value| {
                let start = self.text.len();
                value.write_json(&mut self.text);
                if let Some(&column) = self.column_of_name.get(&name) {
                    self.put(column, start);
                }
            });
            return;
        }
        while self.column_of_slot.len() < self.slots.len() {
            let name = path_of(item).map(|path| join(&path)).unwrap_or_default();
            self.column_of_slot.push(self.column_of_name.get(&name).copied());
        }
        let Some(&Some(column)) = self.column_of_slot.get(slot) else { return };
        let start = self.text.len();
        match value {
            ItemValue::Missing => return,
            ItemValue::Null => self.text.extend_from_slice(b"null"),
            ItemValue::Bool(value) => Value::from(value).write_json(&mut self.text),
            ItemValue::Integer(value) => json::put_i64(&mut self.text, value),
            ItemValue::Number(value) => json::put_f64(&mut self.text, value),
            ItemValue::Text(text) => json::put_str(&mut self.text, text),
            ItemValue::Json(text) => self.text.extend_from_slice(text.as_bytes()),
        }
        self.put(column, start);
    }

    fn put(&mut self, column: usize, start: usize) {
        let Some(cell) = self.cells.get_mut(column) else { return };
        if cell.replace((start, self.text.len())).is_none() {
            self.filled.push(column);
        }
    }

    /// The text of a column in this row.
    fn text(&self, column: usize) -> Option<&str> {
        let (from, to) = self.cells.get(column).copied().flatten()?;
        std::str::from_utf8(self.text.get(from..to)?).ok()
    }

    fn csv_header(&self, out: &mut Vec<u8>) {
        for (i, name) in self.titles.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            put_field(out, name);
        }
        out.push(b'\n');
    }

    fn csv_row(&self, out: &mut Vec<u8>) {
        for column in 0..self.cells.len() {
            if column > 0 {
                out.push(b',');
            }
            match self.text(column) {
                None | Some("null") => {}
                Some(text) if json::number(text).is_some() => {
                    out.extend_from_slice(text.as_bytes());
                }
                Some(text) => match Value::parse(text) {
                    Ok(Value::String(text)) => put_field(out, &text),
                    Ok(value) => put_field(out, &value.to_string()),
                    Err(_) => put_field(out, text),
                },
            }
        }
        out.push(b'\n');
    }

    fn json_row(&mut self, out: &mut Vec<u8>) {
        self.filled.sort_unstable();
        out.push(b'{');
        let members = self
            .filled
            .iter()
            .filter_map(|&column| Some((self.titles.get(column)?, self.text(column)?)));
        for (i, (name, text)) in members.enumerate() {
            if i > 0 {
                out.push(b',');
            }
            json::put_str(out, name);
            out.push(b':');
            let finite = json::number(text).is_some_and(|number| number.as_f64().is_finite());
            if finite {
                out.extend_from_slice(text.as_bytes());
                continue;
            }
            let value = Value::parse(text).unwrap_or_else(|_| Value::from(text));
            // Writing to memory a value that has nothing but strings for keys does not fail.
            let _ = serde_json::to_writer(&mut *out, &value);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn flush(line: &mut Vec<u8>, out: &mut dyn Write) -> Result<()> {
    let written = out.write_all(line);
    line.clear();
    written.map_err(|error| Error::new(crate::ErrorKind::Io { action: "write", source: error }))
}

/// The body of a record that is a row.
fn row<'a>(record: &RawRecord<'a>) -> Option<Body<'a>> {
    let body = record.body().ok()??;
    (body.kind == RecordKind::History).then_some(body)
}

/// The encoded items of a row.
fn items(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    Fields::new(message).filter_map(|field| match field {
        Ok(Field { number: ITEM, value }) => value.bytes(),
        _ => None,
    })
}

/// The value as an object with members: how Python's client (0.17 and older) logs nested values.
fn object(value: ItemValue<'_>) -> Option<Value> {
    let (ItemValue::Json(text) | ItemValue::Text(text)) = value else { return None };
    if !text.starts_with('{') || matches!(value, ItemValue::Text(_)) {
        return None;
    }
    let object = Value::parse(text).ok()?;
    object.as_object().is_some_and(|members| !members.is_empty()).then_some(object)
}

fn path_of(item: &[u8]) -> Option<Vec<String>> {
    let item = crate::record::HistoryItem::read(item)?;
    Some(item.path.elements().map(Into::into).collect())
}

fn join(path: &[String]) -> String {
    join_key(path.iter().map(String::as_str))
}

/// What the columns are called: their names without escapes, unless two would be called the same.
fn titles(names: &[String]) -> Vec<String> {
    let plain: Vec<_> = names.iter().map(|name| name.replace("\\.", ".")).collect();
    let mut count = BTreeMap::new();
    plain.iter().for_each(|title| *count.entry(title.as_str()).or_insert(0) += 1);
    let title = |(name, plain): (&String, &String)| {
        let alone = count.get(plain.as_str()) == Some(&1);
        if alone { plain.clone() } else { name.clone() }
    };
    names.iter().zip(&plain).map(title).collect()
}

/// Calls `leaf` with the joined path and the value of each leaf of `value`.
fn flatten(path: &[String], value: &Value, leaf: &mut impl FnMut(String, &Value)) {
    match value.as_object().filter(|members| !members.is_empty()) {
        None => leaf(join(path), value),
        Some(members) => {
            let mut path = path.to_vec();
            for (key, value) in members {
                path.push(key.clone());
                flatten(&path, value, leaf);
                path.pop();
            }
        }
    }
}

/// Appends a CSV field, in quotes if it needs them (RFC 4180).
fn put_field(out: &mut Vec<u8>, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

const STEP: &str = "_step";
const ITEM: u32 = 1;
const FLUSH_AT: usize = 64 << 10;
