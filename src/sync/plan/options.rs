//! What a plan is told beforehand.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is to be different from what the log says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Overrides {
    /// The entity (user or team).
    pub entity: Option<String>,
    /// The project.
    pub project: Option<String>,
    /// The run's id.
    pub run_id: Option<String>,
    /// The run's name.
    pub name: Option<String>,
    /// The group.
    pub group: Option<String>,
    /// The job type.
    pub job_type: Option<String>,
    /// Tags and what they become; an empty text takes the tag away.
    pub tags: Vec<(String, String)>,
}

impl Overrides {
    /// These, and those of `other` where these say nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            entity: self.entity.or(other.entity),
            project: self.project.or(other.project),
            run_id: self.run_id.or(other.run_id),
            name: self.name.or(other.name),
            group: self.group.or(other.group),
            job_type: self.job_type.or(other.job_type),
            tags: if self.tags.is_empty() { other.tags } else { self.tags },
        }
    }
}

/// How a plan goes about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlanOptions {
    /// What is to be different from what the log says.
    pub overrides: Overrides,
    /// The exit code of a run whose log has no end; `None` leaves it open on the server.
    pub finish: Option<i32>,
    /// The log goes on where another one of the same run ended: its lines go behind those that the server
    /// has, and its steps go on from theirs.
    pub continues: bool,
    /// Lines of history, events and console that the server is known to have of such a run, even if it has
    /// not counted them yet.
    pub at_least: [u64; 3],
    /// The log is still being written: send what there is at this pace, without waiting for its end.
    pub live: Option<Pace>,
    /// How many bytes of lines make a batch.
    pub batch: usize,
    /// Zip requests with many lines for a server that says it can unzip them.
    pub gzip: bool,
    /// The lowest step a row may have, if an earlier sync noted it.
    pub starting_step: Option<i64>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            overrides: Overrides::default(),
            finish: None,
            continues: false,
            at_least: [0; 3],
            live: None,
            batch: BATCH,
            gzip: true,
            starting_step: None,
        }
    }
}

/// How often a server hears of a run that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pace {
    /// The least time between two requests with lines. A full batch does not wait.
    pub lines: Duration,
    /// Without anything new, a sign of life goes this often, or the server takes the run for crashed.
    pub heartbeat: Duration,
    /// The least time between two updates of config, name, notes and tags.
    pub updates: Duration,
}

impl Default for Pace {
    /// As the official client: 15, 30 and 5 seconds.
    fn default() -> Self {
        Self::of(Duration::from_secs(15))
    }
}

impl Pace {
    /// Lines this often, and the rest in the official client's proportion to it.
    pub fn of(lines: Duration) -> Self {
        Self { lines, heartbeat: lines.saturating_mul(2), updates: lines / 3 }
    }
}

/// Bytes of lines in a batch. Less than a request may have: two batches are in memory for each run under
/// way, and a larger one is not sent any faster.
const BATCH: usize = 4 << 20;
