//! Objects with a `_type`, as W&B stores what is not a number or text.

use super::elements::scan;
use super::files::FilesDir;
use super::keys::Class;
use super::options::Options;
use super::report::{Changed, Reason, RunReport};
use super::shape::Shape;
use crate::json::Value;
use crate::tfevents::{Histogram, Image};
use std::io::BufReader;

/// What TensorBoard can show of a media object.
#[derive(Debug)]
pub(super) enum Shown {
    Histogram(Histogram),
    Images(Vec<Image<'static>>),
    Audio(Vec<Vec<u8>>),
    Text(String),
    Table(Vec<Vec<String>>),
    Mesh(Shape),
}

/// What becomes of objects of this type; `None` if TensorBoard has nothing like them.
pub(super) fn class(name: &str) -> Option<Class> {
    Some(match name {
        "histogram" => Class::Histogram,
        "image-file" | "images/separated" | "video-file" | "videos" => Class::Images,
        "audio-file" | "audio" => Class::Audio,
        "object3D-file" => Class::Mesh,
        "table-file" | "table" | "incremental-table-file" | "html-file" | "html" => Class::Text,
        _ => return None,
    })
}

/// Whether a caption, or one of a list of them, is more than that there is none.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => list.iter().any(says_something),
        _ => true,
    }
}

/// Reads media objects, and the files they name.
pub(super) struct MediaReader<'a> {
    pub(super) files: &'a FilesDir,
    pub(super) options: &'a Options,
    /// Whether the run was a TensorBoard run before, whose tables have no header of their own.
    pub(super) from_tensorboard: bool,
    pub(super) report: &'a mut RunReport,
}

impl MediaReader<'_> {
    /// What is to be shown of an object. What cannot be shown is in the report.
    pub(super) fn read(&mut self, object: &Value) -> Option<Shown> {
        let name = object.get("_type").and_then(Value::as_str).unwrap_or_default();
        for detail in ["caption", "captions", "boxes", "all_boxes", "masks", "all_masks"] {
            let there = object.get(detail).filter(|value| says_something(value));
            self.report.leave_out(Reason::Unsupported, detail, there.is_some().into());
        }
        match name {
            "histogram" => self.histogram(object),
            "image-file" | "video-file" | "images/separated" | "videos" => {
                let paths = paths(object, if name == "videos" { "videos" } else { "filenames" });
                // TensorBoard shows no videos but GIFs.
                let is_video = name.starts_with("video");
                let refusal = if is_video { Reason::Unsupported } else { Reason::UnusableFile };
                let images: Vec<_> =
                    self.each(name, &paths, |file| Image::encoded(file).map_err(|_| refusal));
                (!images.is_empty()).then_some(Shown::Images(images))
            }
            "audio-file" | "audio" => {
                let paths = paths(object, "audio");
                let sounds: Vec<_> = self.each(name, &paths, |file| {
                    let is_wav = file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WAVE");
                    if is_wav { Ok(file) } else { Err(Reason::Unsupported) }
                });
                (!sounds.is_empty()).then_some(Shown::Audio(sounds))
            }
            "html-file" | "html" => {
                let pages = self.each(name, &paths(object, "html"), |file| {
                    String::from_utf8(file).map_err(|_| Reason::UnusableFile)
                });
                let fenced: Vec<_> = pages.iter().map(|page| fenced("html", page)).collect();
                (!fenced.is_empty()).then(|| Shown::Text(fenced.join("\n\n")))
            }
            "object3D-file" => self.mesh(name, object),
            _ => self.table(name, object),
        }
    }

    /// The files of these paths, as far as they can be read and `make` takes them.
    fn each<T>(
        &mut self,
        what: &str,
        paths: &[&str],
        make: impl Fn(Vec<u8>) -> Result<T, Reason>,
    ) -> Vec<T> {
        if paths.is_empty() {
            self.report.leave_out(Reason::UnusableValue, what, 1);
        }
        let mut made = Vec::new();
        let mut left = self.options.media_bytes;
        for path in paths {
            let file = self.files.read(path, left);
            left -= file.as_ref().map_or(0, |file| file.len() as u64);
            match file.and_then(&make) {
                Ok(one) => made.push(one),
                Err(reason) => self.report.leave_out(reason, what, 1),
            }
        }
        made
    }

    fn histogram(&mut self, object: &Value) -> Option<Shown> {
        let histogram = histogram(object);
        if histogram.is_none() {
            self.report.leave_out(Reason::UnusableValue, "histogram", 1);
        }
        histogram.map(Shown::Histogram)
    }

    fn mesh(&mut self, name: &str, object: &Value) -> Option<Shown> {
        let path = paths(object, "").into_iter().next();
        let file = path.ok_or(Reason::UnusableValue).and_then(|path| self.files.open(path));
        let most = self.options.media_bytes;
        let shape = file.and_then(|file| Shape::read(path.unwrap_or_default(), file, most));
        match shape {
            Ok(shape) => Some(Shown::Mesh(shape)),
            Err(reason) => {
                self.report.leave_out(reason, name, 1);
                None
            }
        }
    }

    fn table(&mut self, name: &str, object: &Value) -> Option<Shown> {
        let mut rows = Rows::new(self.options.table_rows);
        // A table is a file, or, in some old logs, stands in the row itself.
        let read = if object.get("path").is_some() {
            let path = paths(object, "").into_iter().next().ok_or(Reason::UnusableValue);
            path.and_then(|path| self.files.open(path)).and_then(|(file, _)| {
                let file = BufReader::with_capacity(READ_AT_ONCE, file);
                let found = scan(file, |row| rows.take(&row)).map_err(|_| Reason::UnusableFile)?;
                let columns = found.columns.ok_or(Reason::UnusableFile)?;
                Ok((columns, found.left_out))
            })
        } else {
            let data = object.get("data").and_then(Value::as_array);
            let columns = object.get("columns").cloned();
            data.zip(columns).ok_or(Reason::UnusableValue).map(|(data, columns)| {
                let taken = data.iter().take_while(|row| rows.take(row)).count();
                (columns, (data.len() - taken) as u64)
            })
        };
        let read = read.and_then(|(columns, left_out)| match columns {
            Value::Array(columns) => Ok((columns, left_out)),
            _ => Err(Reason::UnusableValue),
        });
        match read {
            Ok((columns, left_out)) => {
                self.report.change(Changed::TableRows, left_out);
                Some(Shown::Table(self.with_header(name, &columns, rows.rows)))
            }
            Err(reason) => {
                self.report.leave_out(reason, name, 1);
                None
            }
        }
    }

    /// The rows with their header in front, unless it only counts the columns of a table that had none.
    fn with_header(
        &mut self,
        name: &str,
        columns: &[Value],
        mut rows: Vec<Vec<String>>,
    ) -> Vec<Vec<String>> {
        let header: Vec<String> = columns.iter().map(cell).collect();
        let beyond = rows.iter().map(|row| row.len().saturating_sub(header.len()) as u64).sum();
        self.report.leave_out(Reason::UnusableValue, &format!("cells of {name}"), beyond);
        let counted = header.iter().enumerate().all(|(at, name)| *name == at.to_string());
        if !(self.from_tensorboard && counted && !rows.is_empty()) {
            rows.insert(0, header);
        }
        rows
    }
}

/// The rows of a table that are carried.
struct Rows {
    rows: Vec<Vec<String>>,
    most: usize,
    /// Bytes that may still be kept.
    room: usize,
}

impl Rows {
    const fn new(most: usize) -> Self {
        Self { rows: Vec::new(), most, room: LARGEST_TABLE }
    }

    /// Takes a row, if there is room for it.
    fn take(&mut self, row: &Value) -> bool {
        if self.rows.len() >= self.most {
            return false;
        }
        let cells: Vec<_> = match row {
            Value::Array(cells) => cells.iter().map(cell).collect(),
            other => vec![cell(other)],
        };
        let size = cells.iter().map(|cell| cell.len() + CELL).sum::<usize>() + CELL;
        let Some(room) = self.room.checked_sub(size) else { return false };
        self.room = room;
        self.rows.push(cells);
        true
    }
}

/// A histogram, from its edges or from how wide its bins are.
fn histogram(object: &Value) -> Option<Histogram> {
    let numbers =
        |list: &Value| -> Option<Vec<f64>> { list.as_array()?.iter().map(Value::as_f64).collect() };
    let counts = numbers(object.get("values")?)?;
    let edges = match (object.get("bins"), object.get("packedBins")) {
        (Some(bins), _) => numbers(bins)?,
        (None, Some(packed)) => {
            let min = packed.get("min")?.as_f64()?;
            let width = packed.get("size")?.as_f64()?;
            (0..=counts.len()).map(|i| min + width * i as f64).collect()
        }
        (None, None) => return None,
    };
    Histogram::from_buckets(&edges, &counts).ok()
}

/// The files an object names: its `path`, or a list of paths.
fn paths<'a>(object: &'a Value, list: &str) -> Vec<&'a str> {
    if let Some(path) = object.get("path").and_then(Value::as_str) {
        return vec![path];
    }
    let entries = object.get(list).and_then(Value::as_array).unwrap_or_default();
    // Lists of single objects have them whole, each with its path.
    entries.iter().filter_map(|one| one.as_str().or_else(|| one.get("path")?.as_str())).collect()
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Text as a block of code, between fences longer than any in it.
pub(super) fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}{language}\n{text}\n{fence}")
}

/// Bytes of a table's cells.
const LARGEST_TABLE: usize = 16 << 20;

/// What a cell takes beside its text.
const CELL: usize = 64;

const READ_AT_ONCE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_have_edges_or_bins_of_one_width() {
        let given = Value::parse(r#"{"values":[1,2],"bins":[0,0.5,1.0]}"#).unwrap();
        let packed =
            Value::parse(r#"{"values":[1,2],"packedBins":{"min":0,"size":0.5,"count":2}}"#);
        assert_eq!(histogram(&given), histogram(&packed.unwrap()));
        assert!(histogram(&given).is_some());
        for bad in [r#"{"values":[1]}"#, r#"{"values":[1],"bins":[0,NaN]}"#, r#"{"bins":[0]}"#] {
            assert_eq!(histogram(&Value::parse(bad).unwrap()), None, "{bad}");
        }
    }

    #[test]
    fn fences_are_longer_than_those_within() {
        assert_eq!(fenced("", "a"), "```\na\n```");
        assert_eq!(fenced("html", "a ```` b"), "`````html\na ```` b\n`````");
    }
}
