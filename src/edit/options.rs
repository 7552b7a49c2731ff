//! What to change.

use super::condition::Condition;
use crate::error::{Error, Result};
use crate::json::Value;
use crate::record::{HistoryView, KeyRule};
use crate::rewrite::{Identity, RESERVED, Template};
use crate::run::RunInfo;
use std::num::NonZero;
use std::ops::{Bound, RangeBounds};

/// What to change in a run. By default nothing.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "made with ..Options::default()")]
pub struct Options {
    /// The run's id. Directory and log are called after it, and whatever in the log names it follows.
    pub id: Option<Template>,
    /// The entity: the user or team it belongs to. An empty one leaves it to whoever syncs.
    pub entity: Option<Template>,
    /// The project.
    pub project: Option<Template>,
    /// The group; an empty one removes it, as with the texts below.
    pub group: Option<Template>,
    /// The type of job.
    pub job_type: Option<Template>,
    /// The name it is shown under.
    pub name: Option<Template>,
    /// The notes.
    pub notes: Option<Template>,
    /// The tags.
    pub tags: TagEdit,
    /// The config.
    pub config: ValueEdit,
    /// The summary, once everything else has had its effect on it.
    pub summary: ValueEdit,
    /// Which metrics are kept, and under which keys: in history, summary and metric definitions.
    pub keys: KeyRule,
    /// Which rows are kept, and at which steps.
    pub rows: RowEdit,
    /// Makes hard links to the run's files where the file system can, instead of copies.
    pub hard_links: bool,
    /// Only reports what would be done, and writes nothing.
    pub dry_run: bool,
}

/// What to change about the tags: set, then removed, then added.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "made with ..TagEdit::default()")]
pub struct TagEdit {
    /// These in place of all.
    pub set: Option<Vec<Template>>,
    /// Those that go.
    pub remove: Vec<Template>,
    /// Those that come, if they are not there.
    pub add: Vec<Template>,
}

/// What to change about a tree of values: removed, then set. Keys are paths.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "made with ..ValueEdit::default()")]
pub struct ValueEdit {
    /// What goes, with all below it.
    pub remove: Vec<Vec<String>>,
    /// What comes, in place of all that was at its path.
    pub set: Vec<(Vec<String>, Value)>,
}

/// What to change about the rows: those at some steps are dropped, then those that meet a condition, then
/// all but the last of each step, then all but every so-manieth; the steps of the others are shifted.
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "made with ..RowEdit::default()")]
pub struct RowEdit {
    /// Drops the rows of these steps, as they are before any shift.
    pub drop_steps: Vec<(Bound<i64>, Bound<i64>)>,
    /// Drops the rows that meet any of these.
    pub drop_where: Vec<Condition>,
    /// Of rows of the same step that follow each other, keeps the last.
    pub last_of_step: bool,
    /// Keeps the first row and every so-manieth after it.
    pub every: Option<NonZero<u64>>,
    /// Is added to each step.
    pub shift: i64,
}

impl Options {
    /// Who the run is going to be.
    pub(super) fn identity(&self, run: &RunInfo) -> Result<Identity> {
        let fill = |template: &Option<Template>| Some(template.as_ref()?.fill(run));
        let identity = Identity {
            id: fill(&self.id),
            entity: fill(&self.entity),
            project: fill(&self.project),
            group: fill(&self.group),
            job_type: fill(&self.job_type),
            name: fill(&self.name),
            notes: fill(&self.notes),
            tags: self.tags.tags(run),
        };
        identity.check()?;
        Ok(identity)
    }

    /// Whether the options make sense by themselves.
    pub(super) fn check(&self) -> Result<()> {
        for (name, edit) in [("config", &self.config), ("summary", &self.summary)] {
            let paths = edit.remove.iter().chain(edit.set.iter().map(|(path, _)| path));
            for path in paths {
                let first = path.first().map_or("", String::as_str);
                if path.iter().any(String::is_empty) || first.is_empty() {
                    return Err(Error::setting(name, "a key has no empty part"));
                }
                if RESERVED.contains(&first) {
                    return Err(Error::setting(name, format!("{first:?} is W&B's own")));
                }
            }
        }
        Ok(())
    }
}

impl TagEdit {
    /// All tags the run is going to have; `None` if nothing was said about them.
    fn tags(&self, run: &RunInfo) -> Option<Vec<String>> {
        if self.set.is_none() && self.remove.is_empty() && self.add.is_empty() {
            return None;
        }
        let fill = |template: &Template| template.fill(run);
        let removed: Vec<_> = self.remove.iter().map(fill).collect();
        let set = match &self.set {
            Some(set) => set.iter().map(fill).collect(),
            None => run.tags().to_vec(),
        };
        let mut tags: Vec<String> = Vec::new();
        let kept = set.into_iter().filter(|tag| !removed.contains(tag));
        for tag in kept.chain(self.add.iter().map(fill)) {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        Some(tags)
    }
}

impl ValueEdit {
    /// Whether nothing changes.
    pub(super) const fn is_none(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty()
    }
}

impl RowEdit {
    /// Whether every row stays, where it is.
    pub(super) const fn is_none(&self) -> bool {
        self.drop_steps.is_empty()
            && self.drop_where.is_empty()
            && !self.last_of_step
            && self.every.is_none()
            && self.shift == 0
    }

    /// Whether a row is dropped for its step or what is in it.
    pub(super) fn drops(&self, row: &HistoryView<'_>, step: i64) -> bool {
        self.drop_steps.iter().any(|steps| steps.contains(&step))
            || self.drop_where.iter().any(|condition| condition.is_met(row, step))
    }
}
