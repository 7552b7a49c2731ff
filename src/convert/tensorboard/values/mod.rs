//! Values that are no single number: how each kind looks in a row, and which files it needs.
//!
//! | what | in the row |
//! |---|---|
//! | histogram | `_type: histogram` with `values` and `bins` |
//! | image, or several of one step | `_type: images/separated`, files in `media/images` |
//! | GIF | `_type: video-file` or `videos`, files in `media/videos` |
//! | sound | `_type: audio-file` or `audio`, files in `media/audio` |
//! | text | a string; a list of them; of rank 2, or of more than 4 MiB, a table |
//! | PR curve | `_type: table-file`, and a chart in the config |
//! | mesh | `_type: object3D-file`, a cloud of points or with faces an OBJ file |
//! | other tensor | a list, nested by its shape; of more than 32 numbers a histogram |

mod audio;
mod histogram;
mod image;
mod images;
mod media;
mod mesh;
mod tensor;
mod text;

pub(super) use mesh::Part;

use self::histogram::Histogram;
use self::media::{Media, Name, Stored};
use self::mesh::Mesh;
use super::line::LINE_LEN;
use super::payload::Payloads;
use super::points::Point;
use super::read::SeriesInfo;
use super::report::Reason;
use crate::error::{Error, Result};
use crate::event::{ValueKind, ValueView};
use crate::json::{put_f64, put_i64, put_str, put_u64};
use std::collections::HashSet;
use std::path::PathBuf;

/// Renders the values of a run.
pub(super) struct Values<'a> {
    payloads: &'a mut Payloads,
    series: &'a [SeriesInfo],
    keys: &'a [String],
    media: Media,
    items: Items,
    /// The items of the last point of each series, as far as a summary has room for them, and what they
    /// take.
    last: Vec<Option<Items>>,
    last_len: usize,
    /// Series that have a chart in the config, and those whose chart is not there yet.
    charted: HashSet<usize>,
    charts: Vec<usize>,
    notes: Notes,
}

/// What rendering has to tell.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What could not be rendered.
    pub skipped: Vec<(Reason, &'static str, u64)>,
    /// Texts that became tables, for a row has no room for them.
    pub large_texts: u64,
    /// Histograms that have other bins than they were logged with.
    pub rebinned: u64,
    /// Tensors of so many elements that they became histograms.
    pub binned: u64,
}

impl Notes {
    fn skip(&mut self, reason: Reason, what: &'static str) {
        match self.skipped.iter_mut().find(|s| (s.0, s.1) == (reason, what)) {
            Some(skipped) => skipped.2 += 1,
            None => self.skipped.push((reason, what, 1)),
        }
    }
}

impl<'a> Values<'a> {
    /// `files` is the directory for files; without one nothing is written.
    pub(super) fn new(
        payloads: &'a mut Payloads,
        series: &'a [SeriesInfo],
        keys: &'a [String],
        files: Option<PathBuf>,
    ) -> Self {
        Self {
            payloads,
            series,
            keys,
            media: Media::new(files),
            items: Items::default(),
            last: Vec::new(),
            last_len: 0,
            charted: HashSet::new(),
            charts: Vec::new(),
            notes: Notes::default(),
        }
    }

    /// Makes the items of a point in the row of this number, of whose points those that are no scalars
    /// are `row`; `false` if it has none. Its files are written, and what it lacks is noted.
    pub(super) fn render(&mut self, point: &Point, row: &[Point], number: i64) -> Result<bool> {
        let series = point.series as usize;
        let (Some(info), Some(key)) = (self.series.get(series), self.keys.get(series)) else {
            return Ok(false);
        };
        self.items.list.clear();
        let mut to = Target {
            key,
            step: number,
            media: &mut self.media,
            items: &mut self.items,
            notes: &mut self.notes,
        };
        let mesh = match &info.mesh {
            Some(part) if part.is_vertices() => Some(point),
            Some(part) => mesh::vertices(part, point, row, self.series),
            None => None,
        };
        let rendered = match mesh {
            Some(vertices) => {
                let mesh = Mesh::read(vertices, row, self.series, self.payloads);
                // The other parts are in the file of the vertices.
                let is_vertices = vertices.series == point.series;
                mesh.and_then(
                    |mesh| if is_vertices { mesh::render(&mesh, &mut to) } else { Ok(()) },
                )
            }
            None => self.payloads.with(point, |value| value_items(value, info, &mut to))?,
        };
        match rendered {
            Ok(()) => {}
            Err(Stop::Skip(reason, what)) => {
                self.notes.skip(reason, what);
                return Ok(false);
            }
            Err(Stop::Failed(error)) => return Err(error),
        }
        if info.plugin == Plugin::PrCurves && self.charted.insert(series) {
            self.charts.push(series);
        }
        Ok(true)
    }

    /// The items that were made last.
    pub(super) const fn items(&self) -> &Items {
        &self.items
    }

    /// Keeps the items that were made last, of this series, if a summary has room for them.
    pub(super) fn keep_last(&mut self, series: usize) {
        if self.last.len() <= series {
            self.last.resize_with(series + 1, || None);
        }
        let Some(last) = self.last.get_mut(series) else { return };
        self.last_len -= last.take().map_or(0, |last| last.len());
        let length = self.items.len();
        if self.last_len + length <= LINE_LEN {
            self.last_len += length;
            *last = Some(std::mem::take(&mut self.items));
        }
    }

    /// The items of the last point of a series.
    pub(super) fn last(&self, series: usize) -> Option<&Items> {
        self.last.get(series)?.as_ref()
    }

    /// The files that rendering wrote since the last time.
    pub(super) fn take_files(&mut self) -> Vec<String> {
        self.media.take_new()
    }

    /// Keys and panels of the charts that are new since the last time.
    pub(super) fn take_charts(&mut self) -> Vec<(String, String)> {
        let keys = self.charts.drain(..).filter_map(|series| self.keys.get(series));
        keys.map(|key| (key.clone(), text::pr_panel(key))).collect()
    }

    /// What rendering has to tell.
    pub(super) const fn notes(&self) -> &Notes {
        &self.notes
    }

    /// How many files were written, and how many bytes.
    pub(super) const fn written(&self) -> (u64, u64) {
        (self.media.count, self.media.bytes)
    }
}

fn value_items(value: &ValueView<'_>, series: &SeriesInfo, to: &mut Target<'_>) -> Rendered {
    let own = || value.metadata.as_ref().map(|metadata| Plugin::of(metadata.plugin_name()));
    let plugin = match series.plugin {
        Plugin::Other => own().unwrap_or(Plugin::Other),
        known => known,
    };
    match (&value.kind, plugin) {
        (ValueKind::Histogram(message), _) => Histogram::of_proto(message)?.render(to),
        (ValueKind::Image(message), _) => images::older(message, to),
        (ValueKind::Audio(message), _) => audio::older(message, to),
        (ValueKind::Tensor(tensor), Plugin::Histograms) => Histogram::of_tensor(tensor)?.render(to),
        (ValueKind::Tensor(tensor), Plugin::Images) => images::newer(tensor, to),
        (ValueKind::Tensor(tensor), Plugin::Audio) => audio::newer(tensor, to),
        (ValueKind::Tensor(tensor), Plugin::PrCurves) => text::pr_curve(tensor, to),
        (ValueKind::Tensor(tensor), _) if tensor.dtype_number() == STRING => {
            text::render(tensor, to)
        }
        (ValueKind::Tensor(tensor), _) => tensor::render(tensor, to),
        _ => Err(Stop::malformed("value")),
    }
}

/// The plugins whose values have a form of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    Histograms,
    Images,
    Audio,
    Text,
    PrCurves,
    Mesh,
    CustomScalars,
    HParams,
    /// Graphs, profiles: nothing that a run has a place for.
    Graph,
    Other,
}

impl Plugin {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "histograms" => Self::Histograms,
            "images" => Self::Images,
            "audio" => Self::Audio,
            "text" => Self::Text,
            "pr_curves" => Self::PrCurves,
            "mesh" => Self::Mesh,
            "custom_scalars" => Self::CustomScalars,
            "hparams" => Self::HParams,
            _ if name.starts_with("graph") || name.starts_with("profile") => Self::Graph,
            _ => Self::Other,
        }
    }
}

/// Where the value at hand goes.
struct Target<'a> {
    key: &'a str,
    step: i64,
    media: &'a mut Media,
    items: &'a mut Items,
    notes: &'a mut Notes,
}

impl Target<'_> {
    /// Stores a file.
    fn store(
        &mut self,
        directory: &'static str,
        extension: &'static str,
        bytes: &[u8],
    ) -> Result<Stored, Stop> {
        let name = Name { directory, key: self.key, step: self.step, extension };
        self.media.store(name, bytes).map_err(Stop::Failed)
    }
}

/// The items of a value: the last element of the path, empty if the key is the whole path, and the JSON.
#[derive(Debug, Default)]
pub(super) struct Items {
    list: Vec<(&'static str, Vec<u8>)>,
}

impl Items {
    /// Bytes of all of it.
    fn len(&self) -> usize {
        self.iter().map(|(element, text)| element.len() + text.len()).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> + Clone {
        self.list.iter().map(|(element, text)| (*element, text.as_slice()))
    }

    fn put(&mut self, element: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        let mut text = Vec::new();
        write(&mut text);
        self.list.push((element, text));
    }

    fn text(&mut self, element: &'static str, text: &str) {
        self.put(element, |json| put_str(json, text));
    }

    fn number(&mut self, element: &'static str, number: impl Into<u64>) {
        self.put(element, |json| put_u64(json, number.into()));
    }

    /// What every file has.
    fn file(&mut self, kind: &str, file: &Stored) {
        self.text("_type", kind);
        self.text("sha256", &file.sha256);
        self.number("size", file.size);
        self.text("path", &file.path);
    }
}

/// Why a value is not in its row.
#[derive(Debug)]
enum Stop {
    Skip(Reason, &'static str),
    Failed(Error),
}

impl Stop {
    const fn malformed(what: &'static str) -> Self {
        Self::Skip(Reason::Malformed, what)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

type Rendered = Result<(), Stop>;

/// Numbers as a JSON list; whole ones without a point, as the official client has them.
fn put_numbers(text: &mut Vec<u8>, numbers: &[f64]) {
    put_list(text, numbers, |text, &number| {
        if number.fract() == 0.0
            && number.abs() < 1e15
            && (number != 0.0 || number.is_sign_positive())
        {
            put_i64(text, number as i64);
        } else {
            put_f64(text, number);
        }
    });
}

fn put_list<T>(
    text: &mut Vec<u8>,
    list: impl IntoIterator<Item = T>,
    mut put: impl FnMut(&mut Vec<u8>, T),
) {
    text.push(b'[');
    for (i, member) in list.into_iter().enumerate() {
        if i > 0 {
            text.push(b',');
        }
        put(text, member);
    }
    text.push(b']');
}

/// Strings that are not UTF-8 have their bad bytes replaced.
fn put_lossy(text: &mut Vec<u8>, string: &[u8]) {
    put_str(text, &String::from_utf8_lossy(string));
}

/// `DT_STRING`.
const STRING: i32 = 7;
