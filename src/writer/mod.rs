//! The training loop's handle: [`Writer`].
//!
//! ```text
//! options, settings, environ   from code and environment to what a run is made with
//! directory, records, git      the run directory and the records that open the log
//! entries, pairs, key, json    anything serde can serialize, as (key, value) entries and JSON text
//! row, slots                   a row's leaves, and what is remembered of each key
//! metrics, tracker             definitions, and the summary values they ask for
//! encode, state                a committed row as two records; steps, pending row, buffering
//! tee                          the rows for TensorBoard as well
//! shared                       the lock, and the thread that keeps time bounds
//! ```

mod directory;
mod encode;
mod entries;
pub(crate) mod environ;
mod git;
mod json;
mod key;
mod metrics;
mod options;
mod pairs;
mod records;
mod row;
mod settings;
mod shared;
mod slots;
mod state;
mod tee;
#[cfg(test)]
mod tests;
mod tracker;

pub use metrics::DefineMetric;
pub use options::{Mode, WriterOptions};
pub(crate) use settings::{id_fault, project_fault, tag_fault};
pub use tracker::SummaryKind;

use crate::error::{Error, ErrorKind, Result};
use directory::RunDirectory;
use json::Nan;
use options::{config_items, json_text};
use serde::Serialize;
use shared::Live;
use state::State;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Writes a run that W&B's own tools can show and sync: the handle of a training loop.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let run = wandb_offline::Writer::options()
///     .project("libero")
///     .name("8gpu-50demos")
///     .config([("lr", 3e-4), ("weight_decay", 0.1)])?
///     .dir(dir.path())
///     .create()?;
/// for epoch in 0..3 {
///     let loss = 1.0 / f64::from(epoch + 1);
///     run.log([("train/loss", loss), ("train/lr", 3e-4)])?;
/// }
/// run.summary_set("best_loss", 1.0 / 3.0)?;
/// run.finish()
/// # }
/// ```
///
/// # Rows
/// A row is anything that serializes as a struct, a map, or a sequence of pairs; the pairs may be
/// tuples within a tuple, so that values can be of different types:
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// # let run = wandb_offline::Writer::options().dir(dir.path()).create()?;
/// #[derive(serde::Serialize)]
/// struct Row<'a> {
///     loss: f32,
///     grad_norm: Option<f64>,
///     split: &'a str,
/// }
/// run.log(Row { loss: 0.5, grad_norm: None, split: "train" })?;
/// run.log((("loss", 0.25f32), ("tokens", u64::MAX), ("split", "eval")))?;
/// # run.finish()
/// # }
/// ```
///
/// Nested objects are flattened to their leaves, lists are leaves. `None` is a `null` in the history,
/// and leaves the summary as it is. Floats keep their fraction (`1.0`), integers every digit, and NaN and
/// infinities are themselves. An empty key is dropped. `_step` and `_runtime` are the writer's own, and
/// `_timestamp` is unless the row has it.
///
/// # Steps
/// [`log`](Self::log) makes one row and goes one step on. [`log_at`](Self::log_at) names the step, and
/// [`log_partial`](Self::log_partial) adds to the present one; such a row is written once a later step
/// begins, or by [`commit`](Self::commit), [`log`](Self::log) or [`finish`](Self::finish).
///
/// # Safety of what was logged
/// A committed row is with the operating system when the call returns: a killed process loses none.
/// [`WriterOptions::buffered`] trades some of that for speed, and [`WriterOptions::sync_every`] guards
/// against a crash of the machine as well. If a write fails, that call and every later one is an error.
/// A writer that is dropped writes what it still holds and no exit record, so that the run counts as
/// crashed; only [`finish`](Self::finish) ends a run, and tells whether that worked.
///
/// # Threads
/// A clone is another handle on the same run. Threads may log through handles of their own; each call is
/// atomic. A `Serialize` implementation must not log to the run that it is being logged to.
///
/// # Processes
/// A run has one process. A child that was forked has copies of the handles, with a step and with rows in
/// memory of its own, over the same file: what it logs, and what a handle that is dropped there still holds,
/// would stand between the records of its parent, which is damage. And it has no copy of the thread that keeps
/// time bounds. So a child leaves them alone, and forgets rather than drops them ([`std::mem::forget`]); it may
/// make a run of its own.
///
/// # Clocks
/// `_runtime`, and when what is buffered is due, go by a clock that never goes back. `_timestamp` is what the
/// system's clock says, wherever that jumps to.
#[derive(Clone)]
pub struct Writer {
    run: Arc<Run>,
}

struct Run {
    id: String,
    directory: RunDirectory,
    /// None if disabled.
    live: Option<Live>,
}

impl Writer {
    /// Options for making a run.
    pub fn options() -> WriterOptions {
        WriterOptions::default()
    }

    fn new(id: String, directory: RunDirectory, live: Option<Live>) -> Self {
        Self { run: Arc::new(Run { id, directory, live }) }
    }

    /// Logs a row and goes one step on. What was added to the present step before is part of the row.
    /// A row without any keys, such as `()`, still is one.
    ///
    /// # Errors
    /// When the row has a shape that cannot be logged (the run is as it was before), when the run is
    /// finished, or when writing fails.
    pub fn log<R: Serialize>(&self, row: R) -> Result<()> {
        self.with_state(|state| state.log(&row))
    }

    /// Adds to the row of `step`. If the run is at an earlier step, that one's row is committed first.
    ///
    /// ```
    /// # fn main() -> wandb_offline::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let run = wandb_offline::Writer::options().dir(dir.path()).create()?;
    /// run.log_at(1000, [("loss", 0.5)])?;
    /// run.log_at(1000, [("eval/acc", 0.9)])?;
    /// run.log_at(2000, [("loss", 0.4)])?;
    /// assert!(run.log_at(1000, [("loss", 0.3)]).unwrap_err().is_step_in_past());
    /// # run.finish()
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Self::log`]; and when the run is past `step`. W&B's client drops such a row with a warning:
    /// its history only goes forward. Here too it is dropped and the run goes on, but the caller is told,
    /// by an error for which [`is_step_in_past`](crate::Error::is_step_in_past) holds.
    pub fn log_at<R: Serialize>(&self, step: u64, row: R) -> Result<()> {
        self.with_state(|state| state.log_at(step, &row))
    }

    /// Adds to the row of the present step. Of two values for a key the last wins.
    ///
    /// # Errors
    /// As [`Self::log`].
    pub fn log_partial<R: Serialize>(&self, row: R) -> Result<()> {
        self.with_state(|state| state.log_partial(&row))
    }

    /// Commits the row of the present step, if anything was added to it, and goes one step on.
    ///
    /// # Errors
    /// When the run is finished, or when writing fails.
    pub fn commit(&self) -> Result<()> {
        self.with_state(State::commit)
    }

    /// Begins the definition of a metric, or of all that begin with the same text: `eval/*`. A dot
    /// addresses nested values, `\.` is a dot in a key. Nothing happens until
    /// [`apply`](DefineMetric::apply).
    pub fn define_metric(&self, name: impl Into<String>) -> DefineMetric<'_> {
        DefineMetric::new(self, name.into())
    }

    /// Sets a value of the summary, of any shape. From then on a metric of that name has its last value
    /// there, whatever was defined for it.
    ///
    /// # Errors
    /// When the value cannot be logged, when the run is finished, or when writing fails.
    pub fn summary_set<T: Serialize>(&self, key: &str, value: T) -> Result<()> {
        self.with_state(|state| {
            let text = json_text(Nan::Bare, &value);
            let text = text.map_err(|error| {
                Error::new(ErrorKind::Value(format!("summary key {key:?}: {error}")))
            })?;
            state.set_summary(key, text)
        })
    }

    /// Sets a value of the config, of any shape. W&B merges an object into an object that is there.
    ///
    /// # Errors
    /// As [`WriterOptions::config`]; when the run is finished, or when writing fails.
    pub fn config_set<T: Serialize>(&self, key: &str, value: T) -> Result<()> {
        self.config_update([(key, value)])
    }

    /// Sets values of the config: those of a struct, a map or a sequence of pairs.
    ///
    /// # Errors
    /// As [`Self::config_set`].
    pub fn config_update<C: Serialize>(&self, config: C) -> Result<()> {
        self.with_state(|state| state.set_config(config_items(&config)?))
    }

    /// Hands rows that wait in memory to the operating system. Without
    /// [`buffered`](WriterOptions::buffered) none do.
    ///
    /// # Errors
    /// When writing fails, or failed before.
    pub fn flush(&self) -> Result<()> {
        self.with_state(|state| {
            state.check_open()?;
            state.flush()
        })
    }

    /// Ends the run as a success: commits what was added to the present step, and writes the final
    /// summary and the exit record. No handle of the run can log after that.
    ///
    /// # Errors
    /// When writing fails, or failed before; when the run is finished already.
    pub fn finish(&self) -> Result<()> {
        self.finish_with(0)
    }

    /// Ends the run with the exit code of the program; anything but 0 marks it as failed.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn finish_with(&self, exit_code: i32) -> Result<()> {
        let Some(live) = &self.run.live else { return Ok(()) };
        live.with(|state| state.finish(exit_code))?;
        live.sync_at_end()
    }

    /// The run's id.
    pub fn id(&self) -> &str {
        &self.run.id
    }

    /// The run's directory. A disabled run has only the name of one.
    pub fn dir(&self) -> &Path {
        &self.run.directory.dir
    }

    /// The log in that directory.
    pub fn path(&self) -> &Path {
        &self.run.directory.log
    }

    /// The directory `files` in that directory: what is in there belongs to the run.
    pub fn files_dir(&self) -> &Path {
        &self.run.directory.files
    }

    /// The present step: the one the next row will have. Always 0 if the run is disabled.
    pub fn step(&self) -> u64 {
        self.run.live.as_ref().map_or(0, |live| live.with(|state| state.step()))
    }

    /// Whether the run is disabled, so that every call does nothing.
    pub fn is_disabled(&self) -> bool {
        self.run.live.is_none()
    }

    #[inline]
    fn with_state(&self, f: impl FnOnce(&mut State) -> Result<()>) -> Result<()> {
        match &self.run.live {
            Some(live) => live.with(f),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.run.live.as_ref().map(|_| self.path());
        f.debug_struct("Writer")
            .field("id", &self.run.id)
            .field("path", &path)
            .finish_non_exhaustive()
    }
}
