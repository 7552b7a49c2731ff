//! The training loop's handle for TensorBoard: [`SummaryWriter`].
//!
//! ```text
//! options, at                        the file, its name and first events; step and wall time
//! scalar                             numbers, encoded without a message in between
//! tags                               no tag has values of two kinds
//! tensor                             everything else: a tensor, and metadata at a tag's first value
//! histogram, image, pr_curve, mesh, hparams    what is logged, checked when it is made
//! ```

mod at;
mod histogram;
mod hparams;
mod image;
mod mesh;
mod options;
mod pr_curve;
mod scalar;
mod tags;
mod tensor;
mod write;

pub use at::At;
pub use histogram::Histogram;
pub(crate) use hparams::Flattened;
pub use hparams::{HParam, HParams, Outcome};
pub use image::Image;
pub use mesh::Mesh;
pub use options::SummaryWriterOptions;
pub use pr_curve::{Counts, PrCurve};
pub(crate) use write::OWN_TAGS;
pub use write::SummaryWriter;
