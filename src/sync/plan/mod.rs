//! The plan of a sync: records of a log go in, steps come out, and what came of them goes in again.
//!
//! ```text
//!   log ──records──▶ Plan ──steps──▶ whoever drives it: sends requests, measures files, saves the ledger
//!                      ▲                │
//!                      └───outcomes─────┘
//! ```
//!
//! A plan has no socket, no clock, no thread and no file, so that a test can play any course of events by
//! hand. Time comes in as an argument. One plan is one log on its way to one server.
//!
//! # The order of things
//! The first batch is read before the server is greeted, so that the one `UpsertBucket` of a small run has
//! all of its config. Then lines, files and artifacts go side by side, and when everything else is there,
//! the last lines go together with the run's end: a run that the server calls finished is all there.

mod align;
mod artifacts;
mod config;
mod console;
mod doubts;
mod files;
mod greeting;
mod identity;
mod intake;
mod local;
mod options;
mod outcomes;
mod rows;
mod steps;
mod streams;

pub(crate) use align::{find_row, is_same};
pub(crate) use artifacts::{
    entries, key as artifact_key, mark as artifact_mark, part_length, staged_files,
};
pub(crate) use files::is_contained;
pub(crate) use identity::{tail_request, target};
pub use local::{LocalFile, Measured, Unreadable};

use crate::limits::Limits;
use crate::proto::wandb_internal::AlertRecord;
use crate::run::RunState;
use crate::sync::api::{Answer, Request};
use crate::sync::ledger::Ledger;
use crate::sync::report::{ArtifactReport, FileReport, Receipt};
use artifacts::{Artifacts, Errand};
use console::Console;
use files::Files;
use greeting::Greeting;
pub(crate) use intake::{GENERATED, is_generated, summary_line};
pub use options::{Overrides, Pace, PlanOptions};
pub(crate) use rows::Rows;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
pub(crate) use streams::LONGEST_LINE;
use streams::{Counts, Streams};

/// Names a step that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What a plan wants done. Several may be under way at once.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// Send this, and try again as [`Patience`](super::Patience) has it.
    Send(Request),
    /// Find out how large a file is, and its MD5.
    Measure(LocalFile),
    /// Read a list of files, decompressed.
    Read(LocalFile),
    /// Save [`Plan::ledger`]; on the disk, before this is answered, if it says so.
    Save {
        /// Whether it must be on the disk.
        durable: bool,
    },
    /// Find the row of the log that is this line of the server's, by number from 0.
    FindRow(String),
}

/// What came of a step.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The answer to a request, whatever its status; or why there is none.
    Answer(Result<Answer, String>),
    /// What was found out about a file.
    Measured(Result<Measured, Unreadable>),
    /// The text of a file.
    Text(Result<Vec<u8>, Unreadable>),
    /// Whether the ledger was saved; if not, why.
    Saved(Result<(), String>),
    /// The number of the row, if the log has it.
    Row(Option<u64>),
}

/// One log on its way to one server.
#[derive(Debug)]
pub struct Plan {
    options: PlanOptions,
    run: RunState,
    ledger: Ledger,
    phase: Phase,
    greeting: Greeting,
    rows: Rows,
    streams: Streams,
    console: Option<Console>,
    /// Console text for `output.log` that the driver has not taken yet.
    console_text: String,
    console_lines: u64,
    files: Files,
    artifacts: Artifacts,
    alerts: VecDeque<AlertRecord>,
    alerts_seen: u64,
    features: Features,
    preempting: bool,
    ended: bool,
    generated: bool,
    log_length: u64,
    saved: Saved,
    under_way: HashMap<Ticket, Errands>,
    next_ticket: u64,
    now: Duration,
    /// When lines or a sign of life went last.
    sent_at: Option<Duration>,
    /// The summary has changed since it went last.
    summary_changed: bool,
    problems: Vec<String>,
    /// What is worth telling, and takes nothing away from what is stored.
    notices: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// The server has not been asked for the run yet, or has not answered.
    Greeting,
    /// The run is there, and its places are settled.
    Open,
    /// The last request of this log was acknowledged.
    Closed,
    /// Everything again from the beginning, with the places that were found.
    Restart,
    /// Nothing more can be sent.
    Failed,
}

/// What the server can do, which is asked only if it matters: if there are console lines, or so many others that
/// they had better be zipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Features {
    Unneeded,
    Wanted,
    Asked,
    Known { structured_console: bool, gzip: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saved {
    /// There is nothing to save.
    Yes,
    /// To be saved, and nothing may be sent before that.
    No { durable: bool },
    /// Being saved.
    Soon { durable: bool },
}

/// What a step under way was for.
#[derive(Clone, Debug)]
enum Errands {
    Greeting(greeting::Question),
    Features,
    Lines(Sent),
    Urls(Vec<usize>),
    MeasureFile(usize),
    Put(usize),
    ListArtifact(usize),
    MeasureEntry(usize, usize),
    Artifact(usize, Errand),
    Alert,
    Save,
}

/// What a request with lines carries, to be noted when it is acknowledged.
#[derive(Clone, Debug)]
struct Sent {
    counts: Counts,
    sums: [Option<u32>; 3],
    /// Files that it names as stored.
    files: Vec<String>,
    complete: Option<i32>,
    last: bool,
}

impl Plan {
    /// A plan for a log of which `ledger` says what is stored already.
    pub fn new(options: PlanOptions, ledger: Option<Ledger>) -> Self {
        let resumes = ledger.as_ref().is_some_and(|ledger| ledger.places.is_some());
        let mut ledger = ledger.unwrap_or_default();
        if !resumes {
            ledger.starting_step = options.starting_step.unwrap_or(0);
        }
        let places = ledger.places.unwrap_or_default();
        Self {
            run: RunState::keeping(usize::MAX, &Limits::DEFAULT),
            phase: Phase::Greeting,
            greeting: Greeting::default(),
            rows: Rows::new(ledger.starting_step),
            streams: Streams::new(options.batch, &places),
            console: None,
            console_text: String::new(),
            console_lines: 0,
            files: Files::default(),
            artifacts: Artifacts::default(),
            alerts: VecDeque::new(),
            alerts_seen: 0,
            features: Features::Unneeded,
            preempting: false,
            ended: false,
            generated: false,
            log_length: 0,
            saved: Saved::Yes,
            under_way: HashMap::new(),
            next_ticket: 0,
            now: Duration::ZERO,
            sent_at: None,
            summary_changed: false,
            problems: Vec::new(),
            notices: Vec::new(),
            options,
            ledger,
        }
    }

    /// Tells the time: how long ago the sync began.
    pub const fn tick(&mut self, now: Duration) {
        self.now = now;
    }

    /// Whether there is nothing more to do: all is sent, or nothing can be.
    pub fn is_finished(&self) -> bool {
        let over = match self.phase {
            Phase::Failed | Phase::Restart => true,
            Phase::Closed => self.saved == Saved::Yes,
            _ => false,
        };
        over && self.under_way.is_empty()
    }

    /// Whether the plan had to give up before its end.
    pub fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Whether the log is to be read again from its beginning, for the plan that [`again`](Self::again) makes:
    /// lines of it were found on the server.
    pub fn wants_restart(&self) -> bool {
        self.phase == Phase::Restart
    }

    /// The plan that begins anew with what this one found out.
    #[must_use]
    pub fn again(self) -> Self {
        let mut plan = Self::new(self.options, Some(self.ledger));
        plan.greeting = self.greeting.again();
        plan.notices = self.notices;
        plan
    }

    /// Whether everything that the log has is stored, without exception.
    pub fn is_stored(&self) -> bool {
        self.phase == Phase::Closed && self.problems().is_empty()
    }

    /// What is stored so far.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The run, as far as the log was read.
    pub const fn run(&self) -> &RunState {
        &self.run
    }

    /// Text of the console that is new since the last call, for the file `output.log`.
    pub fn take_console_text(&mut self) -> String {
        std::mem::take(&mut self.console_text)
    }

    /// What is not stored, and why.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.problems.clone();
        problems.extend(self.greeting.problem());
        if self.phase != Phase::Failed {
            problems.extend(self.files.problems());
            problems.extend(self.artifacts.problems());
        }
        problems
    }

    /// What is worth telling, and takes nothing away from what is stored: that another sync was at the run.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// How many rows the server has acknowledged.
    pub fn receipt_rows(&self) -> u64 {
        self.ledger.places.map_or(0, |places| places.history.acknowledged)
    }

    /// Whether the log was read to its end, and does not say how the run ended.
    pub fn lacks_end(&self) -> bool {
        self.ended && self.exit_code().is_none()
    }

    /// Whether another log of the run has gone on behind this one: how the run ended is for that to say.
    pub const fn is_overtaken(&self) -> bool {
        self.greeting.doubts.is_overtaken
    }

    /// What became of the files and artifacts that are done with since the last call.
    pub fn take_settled(&mut self) -> (Vec<FileReport>, Vec<ArtifactReport>) {
        (self.files.take_settled(), self.artifacts.take_settled())
    }

    /// What the server has acknowledged.
    pub fn receipt(&self) -> Receipt {
        Receipt {
            files: self.files.reports(&self.ledger),
            artifacts: self.artifacts.reports(&self.ledger),
            ..Receipt::of(&self.ledger)
        }
    }
}
