//! Meshes and clouds of points: up to three series that belong together.

use super::tensor;
use crate::proto::tensorboard::mesh::MeshPluginData;
use crate::proto::tensorboard::mesh::mesh_plugin_data::ContentType;
use crate::proto::tensorboard::summary::value::Value;
use prost::Message;

/// A mesh: corners, and triangles between them. Without triangles it is a cloud of points.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let mut run = wandb_offline::tfevents::SummaryWriter::create(dir.path())?;
/// use wandb_offline::tfevents::Mesh;
///
/// let vertices = &[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
/// run.mesh("triangle", 0, &Mesh { vertices, faces: &[[0, 1, 2]], ..Mesh::default() })?;
/// # run.finish()
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "made with ..Mesh::default()")]
pub struct Mesh<'a> {
    /// Where the corners are.
    pub vertices: &'a [[f32; 3]],
    /// Which three corners each triangle joins.
    pub faces: &'a [[u32; 3]],
    /// The colour of each corner, as red, green, blue.
    pub colors: &'a [[u8; 3]],
    /// Camera, lights and material for three.js, as JSON; may be empty.
    pub config: &'a str,
}

/// A series of a mesh: its vertices, faces or colours.
pub(super) struct Part {
    pub(super) tag: String,
    /// The plugin's own message.
    pub(super) content: Vec<u8>,
    pub(super) tensor: Value,
}

impl Mesh<'_> {
    pub(super) fn parts(&self, tag: &str) -> Vec<Part> {
        let all = [
            (ContentType::Vertex, self.vertices.len()),
            (ContentType::Face, self.faces.len()),
            (ContentType::Color, self.colors.len()),
        ];
        let there =
            all.into_iter().filter(|(part, rows)| *part == ContentType::Vertex || *rows > 0);
        let components = there.clone().fold(0, |bits, (part, _)| bits | 1 << part as u32);
        let parts = there.map(|(part, rows)| Part {
            tag: format!("{tag}_{}", part.as_str_name()),
            content: self.content(tag, part, rows, components),
            tensor: self.tensor(part, &[1, rows, 3]),
        });
        parts.collect()
    }

    fn content(&self, tag: &str, part: ContentType, rows: usize, components: u32) -> Vec<u8> {
        let rows = i32::try_from(rows).unwrap_or(i32::MAX);
        MeshPluginData {
            name: tag.into(),
            content_type: part as i32,
            json_config: self.config.into(),
            shape: vec![1, rows, 3],
            components,
            ..Default::default()
        }
        .encode_to_vec()
    }

    fn tensor(&self, part: ContentType, shape: &[usize]) -> Value {
        let corner = |&at: &u32| i32::try_from(at).unwrap_or(i32::MAX);
        match part {
            ContentType::Face => tensor::ints(shape, self.faces.iter().flatten().map(corner)),
            ContentType::Color => {
                tensor::ints(shape, self.colors.iter().flatten().map(|&shade| shade.into()))
            }
            _ => tensor::floats(shape, self.vertices.iter().flatten().copied()),
        }
    }
}
