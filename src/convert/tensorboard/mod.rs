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
//! - **Keys.** A tag is one key, never split at `/` or `.`. A tag that is empty or that W&B reserves
//!   (`_step`, `_timestamp`, `_runtime`, `_wall_time`, `_wandb`, `global_step`) gets `tb/` in front, as
//!   often as needed for a key of its own.
//! - **Values.** Integers and booleans stay what they are; a float is the shortest text of its own
//!   precision. `NaN` and the infinities are carried.
//! - **Hyperparameters** become the run's config; the rest of what a session says is kept in the config
//!   under `_tb`. A session that failed gives exit code 1, one that is said to be running no exit record.
//! - **Histograms, images and all else** are not carried yet, and counted.
//!
//! # How
//!
//! One pass over the files collects points. They are sorted by step in chunks; what does not fit into a
//! fixed budget goes to an unnamed temporary file, and the chunks are merged while the rows are written.
//! So memory grows with the number of tags, not with the number of points. A run is written under a
//! temporary name and renamed when it is complete; an existing one is never touched.

mod config;
mod fold;
mod keys;
mod options;
mod payload;
mod plan;
mod points;
mod read;
mod report;
mod restart;
mod rows;
mod sorted;
mod values;
mod write;

pub use options::{Options, Restart, StepMode};
pub use plan::Conversion;
pub use report::{
    ConvertReport, Damage, FileError, LeftOut, LogDirError, Reason, Rename, RunReport, RunStatus,
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
