//! What a plan is told beforehand.

/// What is to be different from what the log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// The log is still being written: send what there is at a steady pace.
    pub live: bool,
    /// How many bytes of lines make a batch.
    pub batch: usize,
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
            live: false,
            batch: BATCH,
            starting_step: None,
        }
    }
}

/// Bytes of lines in a batch. Less than a request may have: two batches are in memory for each run under
/// way, and a larger one is not sent any faster.
const BATCH: usize = 4 << 20;
