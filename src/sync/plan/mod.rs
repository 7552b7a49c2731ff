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
mod files;
mod greeting;
mod local;
mod rows;
mod streams;

pub(crate) use align::{find_row, is_same};
pub(crate) use artifacts::part_length;
pub(crate) use files::is_contained;
pub(crate) use greeting::{tail_request, target};
pub use local::{LocalFile, Measured, Unreadable};

use crate::error::Result;
use crate::json::Value;
use crate::limits::Limits;
use crate::proto::wandb_internal::{AlertRecord, ArtifactRecord, StatsRecord};
use crate::record::{RawRecord, RecordKind};
use crate::run::RunState;
use crate::sync::api::{Answer, Body, Request, RequestKind, Target, operations, read};
use crate::sync::ledger::Ledger;
use crate::sync::report::Receipt;
use artifacts::{ArtifactStep, Artifacts, Errand};
use console::Console;
use files::{Content, FileStep, Files};
use greeting::Greeting;
use prost::Message;
pub(crate) use rows::Rows;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
pub(crate) use streams::LONGEST_LINE;
use streams::{Extras, StreamKind, Streams};

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
    sent_at: Duration,
    problems: Vec<String>,
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

/// What the server can do, which is asked only if it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Features {
    Unneeded,
    Wanted,
    Asked,
    Known { structured_console: bool },
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
    Lines { counts: [u64; 3], complete: Option<i32>, last: bool },
    Urls(Vec<usize>),
    MeasureFile(usize),
    Put(usize),
    MeasureEntry(usize, usize),
    Artifact(usize, Errand),
    Alert,
    Save,
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
            sent_at: Duration::ZERO,
            problems: Vec::new(),
            options,
            ledger,
        }
    }

    /// Whether the plan can take records now. If not, it waits for outcomes.
    pub fn wants_records(&self) -> bool {
        let held = self.run.console().lines().len() > LINES_HELD;
        let open = match self.phase {
            Phase::Greeting => !self.greeting.holds_records(),
            Phase::Open => true,
            _ => false,
        };
        open && !self.ended && !self.streams.is_full() && !held
    }

    /// Takes the next record of the log.
    ///
    /// # Errors
    /// When the record's bytes are not what they should be. Such a record changes nothing.
    pub fn record(&mut self, record: &RawRecord<'_>) -> Result<()> {
        let Some(body) = record.body()? else { return Ok(()) };
        let message = &*body.message;
        let malformed = |error: prost::DecodeError| record.message_error(error.to_string());
        match body.kind {
            RecordKind::History => {
                // In a log without summary records the rows are the summary.
                if self.run.records(RecordKind::Summary) == 0 {
                    self.run.apply(record)?;
                }
                let line = self.rows.line(message).map_err(|error| record.malformed(error))?;
                if !self.streams.push(StreamKind::History, line) {
                    let (length, longest) = (line.len(), LONGEST_LINE);
                    self.problems.push(format!(
                        "a row was left out: {length} bytes are more than the {longest} a row may have"
                    ));
                }
                return Ok(());
            }
            RecordKind::Stats => {
                let stats = StatsRecord::decode(message).map_err(malformed)?;
                let line = console::event(&stats, self.run.info().start_time());
                if !self.streams.push(StreamKind::Events, &line) {
                    self.problems.push("a sample of system metrics was left out: too long".into());
                }
                return Ok(());
            }
            RecordKind::Artifact => {
                let artifact = ArtifactRecord::decode(message).map_err(malformed)?;
                self.artifacts.add(artifact, &self.ledger);
                return Ok(());
            }
            RecordKind::Alert => {
                let alert = AlertRecord::decode(message).map_err(malformed)?;
                self.alerts_seen += 1;
                if self.alerts_seen > self.ledger.alerts {
                    self.alerts.push_back(alert);
                }
                return Ok(());
            }
            _ => self.run.apply(record)?,
        }
        match body.kind {
            RecordKind::Run => self.meet(),
            RecordKind::Preempting => self.preempting = true,
            RecordKind::Output | RecordKind::OutputRaw | RecordKind::OutputLogger => {
                if self.features == Features::Unneeded {
                    self.features = Features::Wanted;
                }
                self.settle_console(CONSOLE_WINDOW);
            }
            RecordKind::Files if self.options.live => self.offer_files(),
            _ => {}
        }
        Ok(())
    }

    /// Takes note of something in the log that could not be uploaded.
    pub fn note(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// The log has ended, after `length` bytes.
    pub fn end(&mut self, length: u64) {
        self.ended = true;
        self.log_length = length;
        if self.run.info().run().is_none() {
            self.fail("the log has no run record, so nobody knows which run it is".to_owned());
        }
    }

    /// Tells the time: how long ago the sync began.
    pub const fn tick(&mut self, now: Duration) {
        self.now = now;
    }

    /// The next step, if there is one now.
    pub fn next_step(&mut self) -> Option<(Ticket, Step)> {
        let (errand, step) = match self.phase {
            Phase::Greeting => self.greeting_step()?,
            Phase::Open => self.open_step()?,
            Phase::Closed => self.save_step()?,
            Phase::Restart | Phase::Failed => return None,
        };
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.under_way.insert(ticket, errand);
        Some((ticket, step))
    }

    fn open_step(&mut self) -> Option<(Errands, Step)> {
        if let Some(step) = self.save_step() {
            return Some(step);
        }
        if let Some(step) = self.features_step() {
            return Some(step);
        }
        self.finish_reading();
        if self.may_send_lines()
            && let Some(step) = self.lines_step()
        {
            return Some(step);
        }
        if let Some(step) = self.update_step() {
            return Some(step);
        }
        let all = self.ended || self.options.live;
        match self.files.next(all) {
            Some(FileStep::Measure(at, file)) => {
                return Some((Errands::MeasureFile(at), Step::Measure(file)));
            }
            Some(FileStep::Create(which, names)) => {
                let request = files::create_request(&self.ledger, names);
                return Some((Errands::Urls(which), Step::Send(request)));
            }
            Some(FileStep::Put(at, request)) => {
                return Some((Errands::Put(at), Step::Send(request)));
            }
            None => {}
        }
        match self.artifacts.next(&self.ledger) {
            Some(ArtifactStep::Measure { artifact, entry, file }) => {
                return Some((Errands::MeasureEntry(artifact, entry), Step::Measure(file)));
            }
            Some(ArtifactStep::Send { artifact, what, request }) => {
                return Some((Errands::Artifact(artifact, what), Step::Send(request)));
            }
            None => {}
        }
        self.alert_step()
    }

    /// Saves the ledger if it is to be; the first time before any line is sent.
    fn save_step(&mut self) -> Option<(Errands, Step)> {
        let Saved::No { durable } = self.saved else { return None };
        self.saved = Saved::Soon { durable };
        Some((Errands::Save, Step::Save { durable }))
    }

    fn features_step(&mut self) -> Option<(Errands, Step)> {
        if self.features != Features::Wanted {
            return None;
        }
        self.features = Features::Asked;
        let request = operations::SERVER_FEATURES.request(Value::object());
        Some((Errands::Features, Step::Send(request)))
    }

    /// Once the log has ended: what is known only now.
    fn finish_reading(&mut self) {
        if !self.ended
            || self.generated
            || matches!(self.features, Features::Wanted | Features::Asked)
        {
            return;
        }
        self.generated = true;
        self.settle_console(0);
        self.offer_generated();
        self.offer_files();
        self.offer_summary();
    }

    fn offer_summary(&mut self) {
        if let Some(line) = self.summary_line()
            && !self.streams.set_summary(line)
        {
            self.problems.push("the summary was left out of the run's streams: too long".into());
        }
    }

    /// The files that the log is the source of.
    fn offer_generated(&mut self) {
        let bytes = |text: String| Content::Bytes(text.into_bytes().into());
        if let Some(record) = self.run.info().environment() {
            let value = config::environment(record);
            let text = serde_json::to_string_pretty(&value).unwrap_or_default();
            self.files.offer("wandb-metadata.json", bytes(text), &self.ledger);
        }
        if let Some(line) = self.summary_line() {
            self.files.offer("wandb-summary.json", bytes(line), &self.ledger);
        }
        let config = config::config(&self.run, self.greeting.config_before());
        self.files.offer("config.yaml", bytes(crate::sync::yaml::document(&config)), &self.ledger);
        if self.console_lines > 0 {
            self.files.offer("output.log", Content::Local(LocalFile::Console), &self.ledger);
        }
    }

    fn offer_files(&mut self) {
        let listed = self.run.files().iter();
        let now = |name: &str| self.ended || !GENERATED.contains(&name);
        let names: Vec<_> = listed.map(|f| f.path.clone()).filter(|name| now(name)).collect();
        for name in names {
            let local = LocalFile::Run(name.clone());
            self.files.offer(&name, Content::Local(local), &self.ledger);
        }
    }

    fn summary_line(&self) -> Option<String> {
        summary_line(&self.run, self.rows.last_step(), self.ledger.starting_step)
    }

    /// Hands on the console lines that can no longer change: all but the last `window`.
    fn settle_console(&mut self, window: usize) {
        let structured = match self.features {
            Features::Known { structured_console } => structured_console,
            Features::Unneeded => false,
            Features::Wanted | Features::Asked => return,
        };
        let start = self.run.info().start_time().unwrap_or_default();
        let console = self.console.get_or_insert_with(|| Console::new(start));
        for line in self.run.console_mut().take_settled(window) {
            self.console_lines += 1;
            self.console_text.push_str(&line.text());
            self.console_text.push('\n');
            // A line has at most 4,096 characters, so it fits.
            self.streams.push(StreamKind::Console, &console.line(&line, structured));
        }
    }

    fn may_send_lines(&self) -> bool {
        let busy = |errand: &Errands| matches!(errand, Errands::Lines { .. });
        !self.under_way.values().any(busy) && self.saved_once()
    }

    /// Whether the places are on the disk.
    const fn saved_once(&self) -> bool {
        !matches!(self.saved, Saved::No { durable: true } | Saved::Soon { durable: true })
    }

    fn lines_step(&mut self) -> Option<(Errands, Step)> {
        let settled = self.ended && self.generated && self.is_settled();
        let last = settled && !self.streams.is_full();
        let since = self.now.saturating_sub(self.sent_at);
        let (paced, beat) = match self.options.live && !self.ended {
            true => (since >= PACE, since >= HEARTBEAT),
            false => (false, false),
        };
        if paced {
            self.offer_summary();
        }
        let has_news = !self.streams.is_empty() || self.files.has_untold();
        let urgent = self.preempting;
        if !(last || self.streams.is_full() || urgent || (paced && has_news) || beat) {
            return None;
        }
        let complete = self.exit_code().filter(|code| last && self.ledger.complete != Some(*code));
        let extras = Extras {
            uploaded: self.files.take_untold(),
            preempting: std::mem::take(&mut self.preempting),
            complete,
        };
        let places = self.ledger.places.unwrap_or_default();
        // The summary alone is no news to a server that was told of the run's end.
        let stale = last && complete.is_none() && self.ledger.complete.is_some();
        if stale && extras.uploaded.is_empty() && self.has_no_lines() {
            self.close();
            return self.save_step();
        }
        let batch = self.streams.take(&places, &extras);
        if batch.is_empty && last {
            self.close();
            return self.save_step();
        }
        self.sent_at = self.now;
        let request = Request {
            kind: RequestKind::FileStream,
            target: Target::Server(stream_path(&self.ledger)),
            headers: Vec::new(),
            body: Body::Json(batch.body),
        };
        let errand = Errands::Lines { counts: batch.counts, complete, last };
        Some((errand, Step::Send(request)))
    }

    fn has_no_lines(&self) -> bool {
        let places = self.ledger.places.unwrap_or_default();
        self.streams.count(StreamKind::History) <= places.history.acknowledged
            && self.streams.count(StreamKind::Events) <= places.events.acknowledged
            && self.streams.count(StreamKind::Console) <= places.console.acknowledged
    }

    /// Whether all but the lines is done.
    fn is_settled(&self) -> bool {
        let busy = |errand: &Errands| !matches!(errand, Errands::Save);
        self.files.is_done()
            && self.artifacts.is_done()
            && self.alerts.is_empty()
            && !self.under_way.values().any(busy)
            && !self.is_outdated()
    }

    fn exit_code(&self) -> Option<i32> {
        self.run.exit().map(|exit| exit.code).or(self.options.finish)
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.ledger.stored = self.log_length;
        self.ledger.whole = self.problems().is_empty();
        self.saved = Saved::No { durable: true };
    }

    fn alert_step(&mut self) -> Option<(Errands, Step)> {
        let busy = |errand: &Errands| matches!(errand, Errands::Alert);
        if self.under_way.values().any(busy) {
            return None;
        }
        let alert = self.alerts.front()?;
        let severity = match alert.level.as_str() {
            level @ ("INFO" | "WARN" | "ERROR") => Some(level.to_owned()),
            _ => None,
        };
        let request = operations::ALERT.request(Value::from_iter([
            ("entityName", Value::from(self.ledger.entity.as_str())),
            ("projectName", self.ledger.project.as_str().into()),
            ("runName", self.ledger.run.as_str().into()),
            ("title", alert.title.as_str().into()),
            ("text", alert.text.as_str().into()),
            ("severity", severity.into()),
            ("waitDuration", Value::Int(alert.wait_duration)),
        ]));
        Some((Errands::Alert, Step::Send(request)))
    }

    /// Takes what came of a step. Outcomes of another kind than the step asked for are passed over.
    pub fn done(&mut self, ticket: Ticket, outcome: Outcome) {
        let Some(errand) = self.under_way.remove(&ticket) else { return };
        match (errand, outcome) {
            (Errands::Greeting(question), outcome) => self.greeted(question, outcome),
            (Errands::Features, Outcome::Answer(answer)) => {
                self.features =
                    Features::Known { structured_console: has_structured_console(&answer) };
            }
            (Errands::Lines { counts, complete, last }, Outcome::Answer(answer)) => {
                self.acknowledged(counts, complete, last, answer);
            }
            (Errands::Urls(which), Outcome::Answer(answer)) => {
                let urls = answer.and_then(|answer| crate::sync::api::RunFiles::of(&answer));
                self.files.created(&which, urls);
            }
            (Errands::Put(at), Outcome::Answer(answer)) => {
                self.files.sent(at, &answer, &mut self.ledger);
                self.save_soon();
            }
            (Errands::MeasureFile(at), Outcome::Measured(found)) => {
                self.files.measured(at, found, &self.ledger);
            }
            (Errands::MeasureEntry(artifact, entry), Outcome::Measured(found)) => {
                self.artifacts.measured(artifact, entry, found);
            }
            (Errands::Artifact(at, what), Outcome::Answer(answer)) => {
                self.artifacts.answered(at, &what, &answer, &mut self.ledger);
                self.save_soon();
            }
            (Errands::Alert, Outcome::Answer(answer)) => {
                let told = answer.and_then(|answer| read::<serde::de::IgnoredAny>(&answer));
                match told {
                    Ok(_) => self.ledger.alerts += 1,
                    Err(reason) => self.problems.push(format!("an alert was not sent: {reason}")),
                }
                self.alerts.pop_front();
                self.save_soon();
            }
            (Errands::Save, Outcome::Saved(result)) => match result {
                Ok(()) if matches!(self.saved, Saved::Soon { .. }) => self.saved = Saved::Yes,
                Ok(()) => {}
                Err(reason) => self.fail(format!("the ledger could not be saved: {reason}")),
            },
            _ => {}
        }
    }

    fn acknowledged(
        &mut self,
        counts: [u64; 3],
        complete: Option<i32>,
        last: bool,
        answer: Result<Answer, String>,
    ) {
        let refused = match answer {
            Ok(answer) if answer.is_success() => None,
            Ok(answer) => read::<serde::de::IgnoredAny>(&answer).err(),
            Err(reason) => Some(reason),
        };
        if let Some(reason) = refused {
            return self.fail(format!("the run's lines were not stored: {reason}"));
        }
        if let Some(places) = &mut self.ledger.places {
            let streams = [&mut places.history, &mut places.events, &mut places.console];
            for (place, count) in streams.into_iter().zip(counts) {
                place.acknowledged += count;
            }
        }
        if complete.is_some() {
            self.ledger.complete = complete;
        }
        if last { self.close() } else { self.save_soon() }
    }

    /// Has the ledger saved when there is time.
    const fn save_soon(&mut self) {
        if !matches!(self.saved, Saved::No { durable: true }) {
            self.saved = Saved::No { durable: !self.saved_once() };
        }
    }

    fn fail(&mut self, reason: String) {
        self.problems.push(reason);
        self.phase = Phase::Failed;
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

    /// Whether the log is to be read again, with a new plan that has the ledger of this one: lines of it
    /// were found on the server.
    pub fn wants_restart(&self) -> bool {
        self.phase == Phase::Restart
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
        if self.phase != Phase::Failed {
            problems.extend(self.files.reports().iter().filter_map(|file| file.problem()));
            problems.extend(self.artifacts.reports().iter().filter_map(|found| found.problem()));
        }
        problems
    }

    /// How many rows the server has acknowledged.
    pub fn receipt_rows(&self) -> u64 {
        self.ledger.places.map_or(0, |places| places.history.acknowledged)
    }

    /// What the server has acknowledged.
    pub fn receipt(&self) -> Receipt {
        let places = self.ledger.places.unwrap_or_default();
        Receipt {
            log_bytes: self.ledger.stored,
            rows: places.history.acknowledged,
            last_step: self.rows.last_step(),
            events: places.events.acknowledged,
            console_lines: places.console.acknowledged,
            files: self.files.reports(),
            artifacts: self.artifacts.reports(),
            alerts: self.ledger.alerts,
            exit_code: self.ledger.complete,
        }
    }
}

/// The whole summary of a run as it is now; `None` if it is empty. Its step goes with those of the rows.
pub(crate) fn summary_line(
    run: &RunState,
    last_step: Option<i64>,
    starting_step: i64,
) -> Option<String> {
    let Value::Object(mut members) = run.summary() else { return None };
    if let Some(step) = last_step
        && starting_step > 0
        && members.get("_step").and_then(Value::as_i64).is_some_and(|found| found < step)
    {
        members.insert("_step".into(), Value::Int(step));
    }
    let internal = run.summary_internal();
    if !internal.is_null() {
        members.insert("_wandb".into(), internal);
    }
    (!members.is_empty()).then(|| Value::Object(members).to_string())
}

/// Where the lines of a run go.
fn stream_path(ledger: &Ledger) -> String {
    let part = crate::sync::server::path_part;
    let (entity, project, run) = (&ledger.entity, &ledger.project, &ledger.run);
    format!("/files/{}/{}/{}/file_stream", part(entity), part(project), part(run))
}

/// Whether console lines go as objects. A server that does not answer the question cannot do it.
fn has_structured_console(answer: &Result<Answer, String>) -> bool {
    #[derive(serde::Deserialize)]
    struct Data {
        #[serde(rename = "serverInfo")]
        info: Option<Info>,
    }
    #[derive(serde::Deserialize)]
    struct Info {
        features: Vec<Option<Feature>>,
    }
    #[derive(serde::Deserialize)]
    struct Feature {
        name: String,
        #[serde(rename = "isEnabled")]
        enabled: bool,
    }
    let data = answer.as_ref().ok().and_then(|answer| read::<Data>(answer).ok());
    let features = data.and_then(|data| data.info).map(|info| info.features).unwrap_or_default();
    let mut features = features.into_iter().flatten();
    features.any(|feature| feature.enabled && feature.name == "STRUCTURED_CONSOLE_LOGS")
}

/// Bytes of lines in a batch. Less than a request may have: two batches are in memory for each run under
/// way, and a larger one is not sent any faster.
const BATCH: usize = 4 << 20;

/// Console lines that may still change. Those before are sent.
const CONSOLE_WINDOW: usize = 128;

/// Console lines kept while it is not known how the server wants them.
const LINES_HELD: usize = 20_000;

/// Of a run that is being written: lines go this often, as from the official client,
const PACE: Duration = Duration::from_secs(15);
/// and without any, a sign of life this often.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Files whose content comes from the log.
const GENERATED: &[&str] =
    &["wandb-metadata.json", "wandb-summary.json", "config.yaml", "output.log"];
