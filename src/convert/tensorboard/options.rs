//! How to convert.

use super::keys::unknown_place;
use crate::error::{Error, Result};
use crate::record::KeyRule;
use std::num::NonZero;
use std::path::PathBuf;

/// How to convert log directories.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "made with ..Options::default()")]
pub struct Options {
    /// Where the run directories are made; made itself if it is not there.
    pub output: PathBuf,
    /// The project; by default named after the log directory.
    pub project: Option<String>,
    /// The entity; by default left to the server.
    pub entity: Option<String>,
    /// The group; by default named after the log directory.
    pub group: Option<String>,
    /// Tags of every run.
    pub tags: Vec<String>,
    /// The run's display name: `{run}` stands for the run's name (that of the log directory for the run
    /// at its root), `{logdir}` for the log directory's name, `{parent}` for that of the directory
    /// around the run's.
    pub name_template: String,
    /// Makes each log directory one run; the tags of a sub-directory get its name in front.
    pub merge: bool,
    /// Makes the sub-run that `add_hparams` of torch and tensorboardX leaves beside a run a part of it.
    /// With several of them in one directory each stays a run. A run that has hyperparameters and no metrics, as
    /// the callback for Keras leaves it above `train` and `validation`, becomes a part of those below it.
    pub fold_hparams: bool,
    /// Which tags are carried, and under which keys.
    pub key_rule: KeyRule,
    /// What `_step` is.
    pub step_mode: StepMode,
    /// Which points a restarted training leaves valid.
    pub restart: Restart,
    /// Writes the wall time of each point that differs from its row's.
    pub wall_times: bool,
    /// Carries events that can be read though they do not match their checksum, as TensorBoard does.
    /// They are reported as damage, and never make another point obsolete.
    pub suspects: bool,
    /// Adds to runs that were converted before what their log directories have more by now. Only the last
    /// row of a run may change, and none of one that was uploaded; a run that would become another one is
    /// an error. Without this, a run that is there is one.
    pub update: bool,
    /// Does everything but write.
    pub dry_run: bool,
    /// How many runs are converted at the same time; by default one for each processor.
    pub jobs: Option<NonZero<usize>>,
    /// Bytes of points kept in memory, by all jobs together.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            output: "wandb".into(),
            project: None,
            entity: None,
            group: None,
            tags: Vec::new(),
            name_template: "{run}".into(),
            merge: false,
            fold_hparams: true,
            key_rule: KeyRule::default(),
            step_mode: StepMode::default(),
            restart: Restart::default(),
            wall_times: true,
            suspects: true,
            update: false,
            dry_run: false,
            jobs: None,
            memory: 16 << 20,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<()> {
        if let Some(project) = &self.project {
            let bad = |c: char| BAD_IN_PROJECT.contains(&c) || c.is_control();
            if project.is_empty() || project.chars().count() > 128 || project.contains(bad) {
                let rule = "want 1 to 128 characters, none of / \\ # ? % : or control characters";
                return Err(Error::setting("project", rule));
            }
        }
        if self.tags.iter().any(|tag| tag.is_empty() || tag.chars().count() > 64) {
            return Err(Error::setting("tag", "want 1 to 64 characters"));
        }
        if let Some(place) = unknown_place(&self.name_template) {
            let rule = format!("no {place:?}; want {{run}}, {{logdir}} or {{parent}}");
            return Err(Error::setting("name template", rule));
        }
        Ok(())
    }

    pub(super) fn job_count(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, NonZero::get);
        self.jobs.map_or_else(all, NonZero::get)
    }
}

/// What W&B does not take in the name of a project.
pub(super) const BAD_IN_PROJECT: [char; 7] = ['/', '\\', '#', '?', '%', ':', '\u{7f}'];

/// What `_step` of a row is. In every mode `global_step` is TensorBoard's step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepMode {
    /// TensorBoard's step if no step is negative and no step needs two rows, else a counter.
    #[default]
    Auto,
    /// TensorBoard's step. A run with negative steps fails; of points with the same tag and step the
    /// last one stays.
    TensorBoard,
    /// A counter of rows, with `global_step` defined as the axis of all metrics.
    Counter,
}

/// Which points stay when a training was restarted and logged some steps again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restart {
    /// What TensorBoard shows: a point removes the earlier ones of its tag at its step and later. Files
    /// are read in the order of their names, as TensorBoard does.
    #[default]
    TensorBoard,
    /// What TensorBoard's Python reader shows: each start of a session but the first removes the earlier
    /// points of all tags at its step and later; in files of an older version or none, a step back
    /// removes those of the tags logged at it.
    Session,
    /// Everything stays. A tag that comes twice at a step gets a further row.
    All,
    /// The last point of each tag and step stays.
    Last,
}
