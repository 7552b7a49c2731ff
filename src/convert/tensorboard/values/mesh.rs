//! Meshes: up to three series that belong together, as one object.

use super::super::payload::Payloads;
use super::super::points::Point;
use super::super::read::SeriesInfo;
use super::super::rows::put_value;
use super::images::put_file;
use super::media::Stored;
use super::{Rendered, Stop, Target, put_list};
use crate::event::{ScalarValue, ValueKind};
use crate::json::put_str;
use crate::proto::tensorboard::mesh::MeshPluginData;
use crate::proto::tensorboard::mesh::mesh_plugin_data::ContentType;
use prost::Message;

/// Which part of which mesh a series is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Part {
    mesh: String,
    content: ContentType,
}

impl Part {
    /// From the plugin's own message.
    pub(in super::super) fn of(content: &[u8]) -> Option<Self> {
        let data = MeshPluginData::decode(content).ok()?;
        Some(Self { content: data.content_type(), mesh: data.name })
    }

    pub(super) fn is_vertices(&self) -> bool {
        self.content == ContentType::Vertex
    }
}

/// The vertices in the row that the point, this part of a mesh, goes with.
pub(super) fn vertices<'p>(
    part: &Part,
    point: &Point,
    row: &'p [Point],
    series: &[SeriesInfo],
) -> Option<&'p Point> {
    sibling(&part.mesh, ContentType::Vertex, point, row, series)
}

fn sibling<'p>(
    mesh: &str,
    content: ContentType,
    of: &Point,
    row: &'p [Point],
    series: &[SeriesInfo],
) -> Option<&'p Point> {
    let info = |point: &Point| series.get(point.series as usize);
    let group = info(of)?.group;
    row.iter().find(|point| {
        info(point).is_some_and(|info| {
            let part = info.mesh.as_ref();
            info.group == group && part.is_some_and(|p| p.mesh == mesh && p.content == content)
        })
    })
}

/// The parts of some meshes of one step.
pub(super) struct Mesh {
    vertices: Batch,
    colors: Option<Batch>,
    faces: Option<Batch>,
}

impl Mesh {
    /// Reads them, given the point of their vertices.
    pub(super) fn read(
        point: &Point,
        row: &[Point],
        series: &[SeriesInfo],
        payloads: &mut Payloads,
    ) -> Result<Self, Stop> {
        let part = series.get(point.series as usize).and_then(|info| info.mesh.as_ref());
        let mesh = part.map_or("", |part| part.mesh.as_str());
        let vertices = Batch::read(point, payloads)?;
        let mut read = |content| match sibling(mesh, content, point, row, series) {
            Some(point) => Batch::read(point, payloads).map(Some),
            None => Ok(None),
        };
        let (colors, faces) = (read(ContentType::Color)?, read(ContentType::Face)?);
        let fits = |batch: &Batch| batch.count == vertices.count;
        let same = |batch: &Batch| fits(batch) && batch.rows == vertices.rows;
        if !colors.as_ref().is_none_or(same) || !faces.as_ref().is_none_or(fits) {
            return Err(Stop::malformed("mesh"));
        }
        Ok(Self { vertices, colors, faces })
    }
}

/// A cloud of points, or with faces an OBJ file; with colours if there are any.
pub(super) fn render(mesh: &Mesh, to: &mut Target<'_>) -> Rendered {
    let Mesh { vertices, colors, faces } = mesh;
    let mut files = Vec::new();
    for at in 0..vertices.count {
        let object = vertices.object(at);
        let colors = colors.as_ref().map(|colors| colors.object(at));
        files.push(match faces.as_ref().map(|faces| faces.object(at)) {
            Some(faces) => to.store("object3D", ".obj", &obj(object, colors, faces))?,
            None => to.store("object3D", ".pts.json", &cloud(object, colors))?,
        });
    }
    put_files(&files, to)
}

fn put_files(files: &[Stored], to: &mut Target<'_>) -> Rendered {
    if let [file] = files {
        to.items.file("object3D-file", file);
        return Ok(());
    }
    if files.is_empty() {
        return Err(Stop::Skip(super::Reason::Empty, "mesh"));
    }
    to.items.text("_type", "object3D");
    to.items.number("count", files.len() as u64);
    to.items.put("filenames", |text| {
        put_list(text, files, |text, file| {
            put_str(text, file.path.strip_prefix("media/object3D/").unwrap_or(&file.path));
        });
    });
    to.items.put("objects", |text| {
        put_list(text, files, |text, file| {
            put_file(text, "object3D-file", file);
            text.push(b'}');
        });
    });
    Ok(())
}

/// A tensor of the shape [count, rows, 3].
struct Batch {
    count: usize,
    rows: usize,
    numbers: Vec<ScalarValue>,
}

impl Batch {
    fn read(point: &Point, payloads: &mut Payloads) -> Result<Self, Stop> {
        let batch = payloads.with(point, |value| {
            let ValueKind::Tensor(tensor) = &value.kind else { return None };
            let elements = tensor.elements().ok()?;
            let [count, rows, 3] = tensor.shape()?[..] else { return None };
            let numbers: Vec<_> = elements.given().collect();
            let whole = elements.given_len() == elements.len() && !numbers.is_empty();
            let (count, rows) = (usize::try_from(count).ok()?, usize::try_from(rows).ok()?);
            whole.then_some(Self { count, rows, numbers })
        })?;
        batch.ok_or_else(|| Stop::malformed("mesh"))
    }

    fn object(&self, at: usize) -> &[ScalarValue] {
        let length = self.rows * 3;
        self.numbers.get(at * length..(at + 1) * length).unwrap_or_default()
    }
}

/// Points with their colours, as W&B lists them.
fn cloud(vertices: &[ScalarValue], colors: Option<&[ScalarValue]>) -> Vec<u8> {
    let mut text = Vec::new();
    let colors = colors.unwrap_or_default().chunks(3).map(Some).chain(std::iter::repeat(None));
    put_list(&mut text, vertices.chunks(3).zip(colors), |text, (vertex, color)| {
        let numbers = vertex.iter().chain(color.unwrap_or_default());
        put_list(text, numbers, |text, number| put_value(text, *number));
    });
    text
}

/// Vertices, with colours from 0 to 1 behind them, and faces, which count vertices from 1.
fn obj(vertices: &[ScalarValue], colors: Option<&[ScalarValue]>, faces: &[ScalarValue]) -> Vec<u8> {
    let mut text = Vec::new();
    let colors = colors.unwrap_or_default().chunks(3).map(Some).chain(std::iter::repeat(None));
    for (vertex, color) in vertices.chunks(3).zip(colors) {
        text.push(b'v');
        for number in vertex {
            text.push(b' ');
            put_value(&mut text, *number);
        }
        for number in color.unwrap_or_default() {
            text.push(b' ');
            put_value(&mut text, ScalarValue::F64(number.as_f64() / 255.0));
        }
        text.push(b'\n');
    }
    for face in faces.chunks(3) {
        text.push(b'f');
        for vertex in face {
            text.push(b' ');
            put_value(&mut text, ScalarValue::I64((vertex.as_f64() as i64).saturating_add(1)));
        }
        text.push(b'\n');
    }
    text
}
