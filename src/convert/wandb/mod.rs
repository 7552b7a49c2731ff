//! W&B runs to TensorBoard log directories.
//!
//! Each log becomes one run of a TensorBoard log directory: a directory of its own with one event file.
//!
//! # What becomes of the data
//!
//! | in the log | in TensorBoard |
//! |---|---|
//! | run | directory `<name>-<id>`; the file begins when the run did |
//! | history: number, bool | scalar; nested keys are joined with `/` ([`Options::separator`]) |
//! | `NaN`, infinities | themselves |
//! | histogram | histogram |
//! | image, list of images, GIF video | images, all of a step in one value |
//! | audio (WAV), list of them | audio |
//! | text | text, whenever it changes; repetitions are counted |
//! | table | text, as a table of at most [`Options::table_rows`] rows and 16 MiB |
//! | 3D object: points, or triangles, with or without colours | mesh |
//! | HTML | text, the source |
//! | list, other JSON | text, as JSON, whenever it changes |
//! | config, exit code | hyperparameters and how the session ended |
//! | metric definitions with globs | layout of custom scalars |
//! | system metrics | scalars `system/<key>` of the sub-run `system`, by seconds since the start |
//! | console | text `console` ([`Options::console`]) |
//! | summary values that no row has | scalars `summary/<key>` ([`Options::summary`]) |
//!
//! A key whose values are of several kinds has a tag for each kind, and keys that read the same when they
//! are joined keep apart: the later tag gets the kind of its values as a last element. So does a key that
//! is called like a tag that is written here: the layout, the sessions of hyperparameters, `console`. A
//! name of the config or the summary that is taken gets a number. The report counts all of them.
//!
//! Media are read from the run's `files/`, and only from there: a path that is absolute, climbs or
//! follows a link out of it is refused. What cannot be carried is counted in the report, by reason.
//!
//! # Steps
//! TensorBoard takes a step back for a restart and removes data, so the steps of a tag must rise. A tag
//! has as its step the first of these that is an integer in each of its rows, and rises: `global_step`,
//! the step metric that was defined for it, `_step`; if none does, its values are counted. `global_step`
//! is no scalar of its own when it serves as a step.
//!
//! # Wall times
//! A row's `_timestamp`, else the start of the run plus `_runtime`. Where a row has a wall time for one
//! key under `_wall_time`, as [`tensorboard`](super::tensorboard) writes it, that one.
//!
//! # What came from TensorBoard
//! Goes back with the same tags, steps and wall times: scalars, images, GIFs, sounds, text of any rank and
//! however often repeated, and single meshes, byte for byte. Not quite the same are a text of one element,
//! which is of rank 0; a histogram that had more than 512 bins or infinite edges; and a list of numbers,
//! which is JSON text. A precision-recall curve stays a table of recall and precision: the run does not
//! have the counts of right and wrong predictions, without which the dashboard draws nothing.
//!
//! # Hyperparameters
//! Every run with a config is a row of the dashboard, and the dashboard finds its columns by itself,
//! over any number of runs. W&B's group is not carried: TensorBoard takes runs of one group for
//! repetitions and shows one of them.
//!
//! # How
//! A log is read three times: for what is known of the run, for the steps of each key, and to write.
//! Memory grows with the number of keys and the largest row. A run is written under a temporary name and
//! renamed when it is complete; what exists is never touched. [`follow`] goes on with what it wrote itself.

mod elements;
mod emit;
mod files;
mod follow;
mod hparams;
mod keys;
mod layout;
mod media;
mod names;
mod options;
mod report;
mod rows;
mod run;
mod shape;
mod system;

pub use follow::follow;
pub use options::Options;
pub use report::{
    Carried, Change, Changed, ConvertReport, Damage, LeftOut, Reason, RunReport, RunStatus,
};

use crate::error::{Error, Result};
use crate::log;
use std::fs;
use std::path::{Path, PathBuf};

/// Converts logs to runs of the TensorBoard log directory `logdir`, which is made if it is not there.
///
/// Each of `runs` is a `.wandb` file, a run directory or its `files/`, or a directory of runs, all of
/// which are meant.
///
/// # Errors
/// When the options are unusable or the log directory cannot be made. What goes wrong with one run
/// stands in its report, and the others go on.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::convert::wandb::{Options, to_tensorboard};
/// use wandb_offline::tfevents::Scalars;
///
/// let logdir = tempfile::tempdir().unwrap();
/// let runs = ["fixtures/wandb/0.31.0/minimal"];
/// let report = to_tensorboard(&runs, logdir.path(), &Options::default())?;
/// assert!(!report.is_lossy());
/// assert_eq!(report.runs[0].carried.scalars, 1);
/// assert!(logdir.path().join("minimal1").is_dir());
/// # Ok(())
/// # }
/// ```
pub fn to_tensorboard(
    runs: &[impl AsRef<Path>],
    logdir: impl AsRef<Path>,
    options: &Options,
) -> Result<ConvertReport> {
    let logdir = logdir.as_ref();
    options.check()?;
    fs::create_dir_all(logdir).map_err(|error| Error::io("create", logdir, error))?;
    let (logs, errors) = all_logs(runs);
    let mut batch = run::Batch::new(logdir, options);
    let runs = logs.iter().map(|log| batch.convert(log)).collect();
    Ok(ConvertReport { runs, errors })
}

/// The logs that all of `runs` mean, and what went wrong while they were looked for.
fn all_logs(runs: &[impl AsRef<Path>]) -> (Vec<PathBuf>, Vec<String>) {
    let (mut all, mut errors) = (Vec::new(), Vec::new());
    for path in runs {
        match logs(path.as_ref()) {
            Ok((logs, failed)) => {
                errors.extend(failed.iter().map(ToString::to_string));
                all.extend(logs);
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    (all, errors)
}

/// The logs that `path` means, and what went wrong while they were looked for.
fn logs(path: &Path) -> Result<(Vec<PathBuf>, Vec<Error>)> {
    if fs::metadata(path).is_ok_and(|found| found.is_dir()) {
        let (logs, errors) = log::find(path);
        // Where nothing could be looked into, one run of it must not stand for all.
        if !logs.is_empty() || !errors.is_empty() {
            return Ok((logs.into_iter().map(|log| log.path).collect(), errors));
        }
    }
    Ok((vec![log::locate(path)?.path], Vec::new()))
}
