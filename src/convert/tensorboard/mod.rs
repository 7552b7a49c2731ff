//! TensorBoard log directories to W&B offline runs.
//!
//! Each run of a log directory (a directory that directly holds event files) becomes one run directory,
//! ready for `wandb sync`. Nothing is sampled, and whatever is not carried over is counted, by reason.
//!
//! # What becomes of the data
//!
//! - **Rows.** The points of all tags are merged by step: one history row for each step, in rising order.
//!   `_step` is TensorBoard's step as long as no step is negative, else rows are counted and
//!   `global_step`, which every row has, is defined as the axis ([`StepMode`]).
//! - **Restarts.** A training that was restarted logs some steps twice; by default a point removes the
//!   earlier ones of its tag at the same or a later step, as TensorBoard does ([`Restart`]).
//! - **Wall times.** A row's `_timestamp` is the latest wall time of its points, and `_runtime` counts
//!   from the earliest of the run. Where a point's own wall time is another, the row says so under
//!   `_wall_time`, in an item with the path `_wall_time`, tag ([`Options::wall_times`]). Numbers are
//!   written so that they read back as the same double.
//! - **Keys.** A tag is one key, never split at `/` or `.`. [`Options::key_rule`] may give it another one
//!   or leave it out. A key that is empty or that W&B reserves (`_step`, `_timestamp`, `_runtime`,
//!   `_wall_time`, `_wandb`, `global_step`) gets `tb/` in front, as often as needed for a key of its own.
//! - **Scalars.** Integers and booleans stay what they are; a float is the shortest text of its own
//!   precision. `NaN` and the infinities are carried.
//! - **Histograms** have the edges and counts that TensorBoard shows. In the older form the outer edges
//!   are the least and the greatest value, and buckets that are empty at either end are none, as in
//!   TensorBoard's `data_compat.py`. More than 512 bins are made 512, and where bins do not meet there is
//!   an empty one between them.
//! - **Text** stays text, Markdown and all. Of rank 2 it is a table, of another rank a list. More than
//!   4 MiB of it is a table too, for a row has no room.
//! - **Tensors** of any numeric type are lists nested by their shape, or, of more than 32 elements,
//!   histograms of 32 bins. One element is a scalar, whatever its plugin or without one. A complex number
//!   is a pair.
//! - **Images, animations, sounds, PR curves, meshes** are files below `files/media`, called
//!   `<key>_<step>_<checksum>`, and each has a `files` record in front of the row that needs it, so that
//!   a sync uploads it. A PR curve has its chart in the config. The colours and faces of a mesh are in the
//!   file of its vertices, which is a cloud of points, or an OBJ file if there are faces.
//! - **Hyperparameters** become the run's config, and a session's group its group; the rest of what an
//!   experiment or a session says is kept in the config under `_tb`, with layouts of custom scalars
//!   (`layout`) and what tags are called and described as (`tags`). A session that failed gives exit
//!   code 1, one that is said to be running no exit record. The sub-run that `add_hparams` leaves beside
//!   a run becomes a part of it, and one of hyperparameters alone a part of those below it
//!   ([`Options::fold_hparams`]). Where several runs become one ([`Options::merge`]) and more than one has
//!   parameters, these get the run's name in front, as tags do.
//! - **Graphs, profiles, embeddings**, tensors of more than 32 complex numbers: not carried, and counted. Profiles
//!   and embeddings are files beside the event files.
//!
//! # Where this is not what the official client does
//!
//! The client (0.31.0) converts only while a training runs. Its rows for the same files differ in these
//! points, and a test compares all else, edge by edge of a rebinned histogram:
//!
//! | here | there | why |
//! |---|---|---|
//! | `_step` is TensorBoard's step | a counter | the counter is the axis of every chart |
//! | one row for each step | one for each change of the step | interleaved writers tear rows apart |
//! | each point once, restarts applied | doubled by restarts and nested runs | |
//! | one run for each directory | all in one run | |
//! | outer edges of an older histogram are its least and greatest value, without the empty buckets outside | the bounds of the buckets, `1.8e308` too | what TensorBoard shows, also after the way back |
//! | minimum equal to the first bound: a bin without width | value dropped | |
//! | GIF is a `video-file` | an image | it would not move |
//! | images of mixed sizes are kept, size from the first | all of the step dropped | |
//! | files called after key, step and checksum | random names | converting again gives the same |
//! | `files` and `config` records are stored | not stored | without them nothing is uploaded |
//! | `sha256` of tables in hex | 32 raw bytes, broken as text | |
//! | f32 of tensors as the shortest text, `0.45` | widened, `0.44999998807907104` | reads back the same |
//! | text, audio, hparams, meshes, layouts, other tensors are carried | dropped | |
//! | scalars of every numeric type | error for 16-bit floats, booleans and others | |
//! | files are of the type `MEDIA` | of none | that is what they are |
//!
//! # How
//!
//! One pass over the files collects points. They are sorted by step in chunks; what does not fit into a
//! fixed budget goes to an unnamed temporary file, and the chunks are merged while the rows are written.
//! Of a value that is no scalar the point says only where it stands, and it is read again when its row
//! is written. So memory grows with the number of tags and the longest record, not with the number of
//! points. A file that cannot be read is reported, and the run goes on without it. A run is written under a
//! temporary name and renamed when it is complete; an existing one is only touched to add to it
//! ([`Options::update`]).

mod config;
mod fold;
mod follow;
mod keys;
mod line;
mod options;
mod payload;
mod plan;
mod points;
mod read;
mod report;
mod restart;
mod rows;
mod scratch;
mod sorted;
mod staging;
mod summary;
mod update;
mod values;
mod work;
mod write;

pub use crate::record::KeyRule;
pub use follow::follow;
pub use options::{Options, Restart, StepMode};
pub use plan::Conversion;
pub use report::{
    ConvertReport, Damage, FileError, LeftOut, LogDirBeside, LogDirError, Reason, Rename,
    RunReport, RunStatus,
};

use crate::error::Result;
use std::path::Path;

/// Converts all runs under these log directories or event files.
///
/// # Errors
/// When the options are unusable or the output directory cannot be made. What goes wrong with one run
/// stands in its report, and the others go on.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::convert::tensorboard::{Options, convert};
///
/// let out = tempfile::tempdir().unwrap();
/// let options = Options { output: out.path().join("wandb"), ..Options::default() };
/// let report = convert(&["fixtures/tensorboard/tensorboardX/scalars"], &options)?;
/// assert!(!report.is_lossy());
/// assert_eq!(report.runs[0].points, 45);
/// assert_eq!(report.runs[0].rows, 22);
/// # Ok(())
/// # }
/// ```
pub fn convert(logdirs: &[impl AsRef<Path>], options: &Options) -> Result<ConvertReport> {
    Ok(Conversion::plan(logdirs, options)?.run(&|_| {}))
}

/// What [`Conversion::run`] tells while it works.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// So many more bytes of event files were read.
    Read(u64),
    /// A run is done, for better or worse.
    Done(&'a RunReport),
}
