//! Merging the segments of a run into one.
//!
//! A run that was preempted, requeued or resumed offline leaves a run directory each time it started: its
//! *segments*. A [`Plan`] puts them on one step axis and says which of them has which steps;
//! [`Plan::write`] makes one run directory of them, which `wandb sync` and every other tool take for a run
//! that was never interrupted. The segments are only read.
//!
//! [`Ranks`] merges something else: the runs of the ranks of one distributed job. [`EventPlan`] does for
//! TensorBoard log directories what [`Plan`] does for runs.
//!
//! # What becomes of what is in the segments
//! - **Rows**: those of the planned steps, in the order of steps. Of a segment that is placed elsewhere than
//!   it was recorded, `_step` is shifted, and `_runtime` by as long as the segments before it ran. All else
//!   in them stays byte for byte.
//! - **Summary**: made anew of the rows that are kept, by the metric definitions; beyond that the values that
//!   a program set itself. What is nested in more than 32 keys is taken as a part of the object that begins there.
//! - **Config**: the newest segment that has a key has its value. Where they differ the report says so.
//!   `_wandb_offline` says which segments the run was made of.
//! - **The run**: start and host of the oldest segment; name, notes, group, project of the newest that
//!   has one; the tags of all; the end of the newest. Its environment (program, arguments, hardware) is that of
//!   the newest segment that tells one, as W&B has it after the segments were uploaded one by one; their
//!   telemetry is one record. That a segment was being preempted is told in the report, for the run went on.
//! - **Files**: all of them, the same content once. If several have one name, the newest keeps it, and rows
//!   that name an older one name it anew.
//! - **Everything else** (console, system metrics, artifacts, alerts, kinds yet unknown): as it is, one segment
//!   after another. Metric definitions that say nothing new are left out.
//!
//! ```
//! # fn main() -> wandb_offline::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let output = dir.path().join("offline-run-20261124_021530-resume01");
//! use wandb_offline::merge::{Options, Plan};
//!
//! let plan = Plan::new(&["fixtures/segments/0.31.0"], &Options::default())?;
//! assert_eq!(plan.segments[1].offset, 3);
//! let report = plan.write(&output)?;
//! assert_eq!(report.rows, 6);
//! # Ok(())
//! # }
//! ```

mod attempt;
mod carry;
mod draw;
mod event_later;
mod event_write;
mod events;
mod files;
mod head;
mod later;
mod options;
mod pass;
mod place;
mod plan;
mod ranks;
mod row;
mod segment;
mod spool;
mod summary;
mod telemetry;
mod write;

pub use crate::rewrite::Damage;
pub use event_write::EventReport;
pub use events::{EventPlan, PlannedAttempt, PlannedRun, PlannedTag, TagPart};
pub use files::RenamedFile;
pub use head::ConfigConflict;
pub use options::{Options, Overlap, Steps};
pub use place::StepRange;
pub use plan::{Plan, PlannedSegment, SharedSteps};
pub use ranks::{PlannedRank, Ranks};
pub use write::MergeReport;
