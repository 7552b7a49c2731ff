//! Meeting the server: making the run or finding it, and settling where the log's lines go.
//!
//! | the log | the server has | the lines go |
//! |---|---|---|
//! | has a ledger | whatever it has | where the ledger says; if there are others behind them, only what is missing goes |
//! | resumes a run, or goes on after another log of it | lines | behind them, with steps that go on |
//! | rewinds a run | fewer lines after `rewindRun` | behind them |
//! | is new | nothing | from 0 on |
//! | is new, says the ledger | lines | where the last of them is found in the log; if it is not, nowhere |
//!
//! The official client goes by the server's line count alone, and so sends everything twice whenever a sync
//! is repeated.

use super::{Errands, Outcome, Phase, Plan, PlanOptions, Saved, Step, config};
use crate::json::Value;
use crate::run::RunInfo;
use crate::sync::api::{Answer, Bucket, Operation, Tail, operations};
use crate::sync::ledger::{Place, Places};
use std::time::Duration;

/// How far the greeting has come.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    next: Option<Question>,
    asked: bool,
    /// Which run it is: entity, project and id, which later run records do not change.
    target: Option<(String, String, String)>,
    /// The log goes on with lines that the server has.
    resumes: bool,
    /// Another log of the run has gone on behind this one, and its config, summary and end are the run's.
    superseded: bool,
    /// The server's run that this log goes on with.
    tail: Option<Tail>,
    before: Option<Value>,
    /// What the server was told of the run.
    told: Option<Told>,
    /// When that was last compared with the run, and why the server could not be told.
    compared_at: Option<Duration>,
    failed_to_tell: Option<String>,
}

/// What is asked of the server before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// What it has of the run that the log resumes.
    Tail,
    /// To take back a run's rows after a step.
    Rewind,
    /// To make the run, or to find it.
    Upsert,
    /// What it has of a run that should have been new.
    Strangers,
    /// Which row of the log its last one is.
    Row,
    /// To take note of changes.
    Update,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    config: String,
    identity: String,
}

impl Greeting {
    /// Whether no record may be taken until the server has answered: steps begin where it says.
    pub(super) const fn holds_records(&self) -> bool {
        let before = matches!(self.next, Some(Question::Tail | Question::Rewind));
        before || self.asked
    }

    /// Why the server's config is not the run's.
    pub(super) fn problem(&self) -> Option<String> {
        let reason = self.failed_to_tell.as_ref()?;
        Some(format!("the run's config is not up to date: {reason}"))
    }

    /// Whether another log of the run has gone on behind this one.
    pub(super) const fn is_superseded(&self) -> bool {
        self.superseded
    }

    /// The config the run had when it was resumed.
    pub(super) const fn config_before(&self) -> Option<&Value> {
        self.before.as_ref()
    }
}

impl Plan {
    /// Takes note of the run record.
    pub(super) fn meet(&mut self) {
        let named = target(self.run.info(), &self.options);
        let greeting = &mut self.greeting;
        greeting.target.get_or_insert(named);
        if greeting.next.is_some() || greeting.told.is_some() || greeting.asked {
            return;
        }
        let info = self.run.info();
        let resumes = info.run().is_some_and(|record| record.resume) || self.options.continues;
        let branch = info.branch_point().filter(|point| !point.run.is_empty());
        let rewinds = branch.is_some_and(|point| point.run == info.run_id());
        let forked_at = branch.filter(|_| !rewinds).map(|point| point.value as i64);
        self.greeting.resumes = resumes || rewinds;
        let asks_again = self.greeting.resumes || self.ledger.stored > 0;
        self.greeting.next = Some(match self.ledger.places {
            Some(_) if asks_again => Question::Tail,
            Some(_) => Question::Upsert,
            None if rewinds => Question::Rewind,
            None if resumes => Question::Tail,
            None => Question::Upsert,
        });
        // A fork goes on with the steps of the run it leaves; the server knows that run's rows.
        if let (Some(step), None, None) =
            (forked_at, self.ledger.places, self.options.starting_step)
        {
            self.start_at(step.saturating_add(1));
        }
    }

    pub(super) fn greeting_step(&mut self) -> Option<(Errands, Step)> {
        if self.greeting.asked {
            return None;
        }
        if let Some(step) = self.features_step() {
            return Some(step);
        }
        let question = self.greeting.next?;
        // With the first batch at hand, or all of the log, the config is as complete as can be.
        let early = !self.ended && !self.streams.is_full() && self.options.live.is_none();
        if question == Question::Upsert && early && self.wants_records() {
            return None;
        }
        self.greeting.asked = true;
        let step = match question {
            Question::Tail | Question::Strangers => {
                let (entity, project, run) = self.target();
                Step::Send(tail_request(&entity, &project, &run))
            }
            Question::Rewind => Step::Send(operations::REWIND_RUN.request(self.rewind_variables())),
            Question::Upsert => {
                let id = Some(self.ledger.storage_id.clone()).filter(|id| !id.is_empty());
                let id = id.or_else(|| Some(self.greeting.tail.as_ref()?.id.clone()));
                let told = self.to_tell();
                let request = self.upsert(id, &told, true);
                self.greeting.told = Some(told);
                self.greeting.compared_at = Some(self.now);
                Step::Send(request)
            }
            Question::Row => {
                let rows = self.greeting.tail.as_ref().map(Tail::last_rows).unwrap_or_default();
                Step::FindRow(rows.last().cloned().unwrap_or_default())
            }
            Question::Update => return None,
        };
        Some((Errands::Greeting(question), step))
    }

    /// Tells the server what has changed since the greeting, once the log has ended or, of a run that is
    /// being written, at its pace.
    pub(super) fn update_step(&mut self) -> Option<(Errands, Step)> {
        let busy = |errand: &Errands| matches!(errand, Errands::Greeting(_));
        let early = self.options.live.is_none_or(|pace| {
            let compared_at = self.greeting.compared_at;
            compared_at.is_some_and(|then| self.now.saturating_sub(then) < pace.updates)
        });
        if (early && !self.ended) || self.under_way.values().any(busy) {
            return None;
        }
        self.greeting.compared_at = Some(self.now);
        if !self.is_outdated() {
            return None;
        }
        let told = self.to_tell();
        let changed = self.greeting.told.as_ref().is_some_and(|old| old.identity != told.identity);
        let id = Some(self.ledger.storage_id.clone()).filter(|_| changed);
        let request = self.upsert(id, &told, changed);
        self.greeting.told = Some(told);
        Some((Errands::Greeting(Question::Update), Step::Send(request)))
    }

    /// Whether the server does not know of the latest config, name, notes or tags.
    pub(super) fn is_outdated(&self) -> bool {
        !self.greeting.superseded && self.greeting.told.as_ref() != Some(&self.to_tell())
    }

    fn to_tell(&self) -> Told {
        let config = config::config(&self.run, self.greeting.config_before()).to_string();
        let identity = Value::Object(self.identity()).to_string();
        Told { config, identity }
    }

    pub(super) fn greeted(&mut self, question: Question, outcome: Outcome) {
        self.greeting.asked = false;
        if self.phase == Phase::Failed {
            return;
        }
        let result = match (question, outcome) {
            (Question::Row, Outcome::Row(row)) => return self.aligned(row),
            (_, Outcome::Answer(answer)) => answer,
            _ => return,
        };
        let taken = match question {
            Question::Tail => result.and_then(|answer| self.resume(&answer)),
            Question::Rewind => result.and_then(|answer| self.rewound(&answer)),
            Question::Upsert => result.and_then(|answer| self.upserted(&answer)),
            Question::Strangers => result.and_then(|answer| self.strangers(&answer)),
            Question::Row => Ok(()),
            Question::Update => {
                let told = result.and_then(|answer| Bucket::upserted(&answer));
                self.greeting.failed_to_tell = told.err();
                return;
            }
        };
        if let Err(reason) = taken {
            self.fail(format!("{}: {reason}", question.name()));
        }
    }

    /// What the server has of the run that the log resumes.
    fn resume(&mut self, answer: &Answer) -> Result<(), String> {
        self.greeting.next = Some(Question::Upsert);
        let Some(tail) = Tail::of(answer)? else { return Ok(()) };
        let counted = [tail.history_lines, tail.events_lines, tail.console_lines];
        if self.ledger.places.is_some() {
            self.find_again(tail, counted);
            return Ok(());
        }
        let [Some(history), Some(events), Some(console)] = counted else {
            return Err("the server does not say how many lines it has".to_owned());
        };
        // A server may be late to count the lines of the log before.
        let [first, second, third] = self.options.at_least;
        let at = |count: u64, least| Place { base: count.max(least), ..Place::default() };
        self.ledger.places = Some(Places {
            history: at(history, first),
            events: at(events, second),
            console: at(console, third),
        });
        if history > 0 && self.options.starting_step.is_none() {
            self.start_at(last_step(&tail).saturating_add(1));
        }
        self.go_on_with(tail);
        Ok(())
    }

    /// What the server has of a run of which the ledger knows.
    fn find_again(&mut self, tail: Tail, counted: [Option<u64>; 3]) {
        let mut ends = counted.into_iter().zip(self.ledger.ends());
        let more = ends.any(|(count, end)| count.is_some_and(|count| count > end));
        if more && self.ledger.stored > 0 {
            self.greeting.superseded = true;
            return self.open();
        }
        if self.greeting.resumes {
            self.go_on_with(tail);
        }
    }

    /// Config, notes and tags of the run stay where the log has no others.
    fn go_on_with(&mut self, tail: Tail) {
        self.greeting.before = tail.config.as_deref().and_then(|text| Value::parse(text).ok());
        self.greeting.tail = Some(tail);
    }

    fn rewound(&mut self, answer: &Answer) -> Result<(), String> {
        self.greeting.next = Some(Question::Tail);
        Bucket::rewound(answer)?;
        let point = self.run.info().branch_point().map_or(0.0, |point| point.value);
        if self.options.starting_step.is_none() {
            self.options.starting_step = Some((point as i64).saturating_add(1));
            self.start_at((point as i64).saturating_add(1));
        }
        Ok(())
    }

    fn start_at(&mut self, step: i64) {
        self.ledger.starting_step = step;
        self.rows = super::Rows::new(step);
    }

    fn upserted(&mut self, answer: &Answer) -> Result<(), String> {
        let (bucket, _) = Bucket::upserted(answer)?;
        let project = bucket.project.ok_or("the server does not say which project it is in")?;
        if [&bucket.id, &bucket.name, &project.name, &project.entity.name].contains(&&String::new())
        {
            return Err("the server does not say which run it is".to_owned());
        }
        self.ledger.entity = project.entity.name;
        self.ledger.project = project.name;
        self.ledger.run = bucket.name;
        self.ledger.storage_id = bucket.id;
        self.ledger.name = bucket.display_name.unwrap_or_default();
        if self.ledger.places.is_none() && bucket.history_lines.unwrap_or(0) > 0 {
            self.greeting.next = Some(Question::Strangers);
            return Ok(());
        }
        self.open();
        Ok(())
    }

    fn open(&mut self) {
        self.ledger.places.get_or_insert_default();
        self.greeting.next = None;
        self.phase = Phase::Open;
        self.saved = Saved::No { durable: true };
    }

    /// The run was to be new, and the server has lines of it: of this log, if the ledger was lost or another
    /// client sent them; or of another one.
    fn strangers(&mut self, answer: &Answer) -> Result<(), String> {
        self.greeting.tail = Tail::of(answer)?;
        self.greeting.next = Some(Question::Row);
        match &self.greeting.tail {
            Some(tail) if !tail.last_rows().is_empty() => Ok(()),
            _ => Err(Question::REFUSAL.to_owned()),
        }
    }

    fn aligned(&mut self, row: Option<u64>) {
        let count = self.greeting.tail.as_ref().and_then(|tail| tail.history_lines).unwrap_or(0);
        let Some((base, sent)) = row.and_then(|row| Some((count.checked_sub(row + 1)?, row + 1)))
        else {
            return self.fail(format!("{}: {}", Question::Row.name(), Question::REFUSAL));
        };
        let history = Place { base, acknowledged: sent, crc32c: None };
        self.ledger.places = Some(Places { history, ..Places::default() });
        self.phase = Phase::Restart;
    }
}

// What is said of the run.
impl Plan {
    fn target(&self) -> (String, String, String) {
        self.greeting.target.clone().unwrap_or_default()
    }

    fn rewind_variables(&self) -> Value {
        let (entity, project, name) = self.target();
        let point = self.run.info().branch_point().cloned().unwrap_or_default();
        let metric = if point.metric.is_empty() { "_step" } else { &point.metric };
        Value::from_iter([
            ("runName", Value::from(name.as_str())),
            ("entity", text(&entity)),
            ("project", text(&project)),
            ("metricName", metric.into()),
            ("metricValue", point.value.into()),
        ])
    }

    fn upsert(&self, id: Option<String>, told: &Told, whole: bool) -> super::Request {
        let operation: Operation = operations::UPSERT_BUCKET;
        let (entity, project, name) = match self.ledger.run.is_empty() {
            true => self.target(),
            false => {
                let ledger = &self.ledger;
                (ledger.entity.clone(), ledger.project.clone(), ledger.run.clone())
            }
        };
        let mut variables = if whole { self.identity() } else { Default::default() };
        variables.extend(
            [
                ("id", id.into()),
                ("name", Value::from(name)),
                ("project", text(&project)),
                ("entity", text(&entity)),
                ("config", told.config.as_str().into()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        operation.request(Value::Object(variables))
    }

    /// Name, notes, tags and the rest of what is not config.
    fn identity(&self) -> std::collections::BTreeMap<String, Value> {
        let (info, over) = (self.run.info(), &self.options.overrides);
        let or = |over: &Option<String>, own: &str| text(over.as_deref().unwrap_or(own));
        let kept = self.greeting.tail.as_ref();
        let notes = match info.notes() {
            "" => kept.and_then(|tail| tail.notes.clone()).unwrap_or_default(),
            notes => notes.to_owned(),
        };
        let git = info.git();
        let program = info.environment().map_or("", |record| record.program.as_str());
        let pairs = [
            ("groupName", or(&over.group, info.group())),
            ("displayName", or(&over.name, info.name())),
            ("notes", text(&notes)),
            ("commit", text(git.map_or("", |git| &git.commit))),
            ("host", text(info.host())),
            ("program", text(program)),
            ("repo", text(git.map_or("", |git| &git.remote_url))),
            ("jobType", or(&over.job_type, info.job_type())),
            ("sweep", text(info.sweep_id())),
            ("tags", self.tags().into()),
        ];
        pairs.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn tags(&self) -> Option<Vec<Value>> {
        let own = self.run.info().tags();
        let kept = self.greeting.tail.as_ref().and_then(|tail| tail.tags.as_deref());
        let tags = if own.is_empty() { kept.unwrap_or_default() } else { own };
        let renamed = |tag: &String| {
            let mut renames = self.options.overrides.tags.iter();
            renames.find(|(old, _)| old == tag).map_or_else(|| tag.clone(), |(_, new)| new.clone())
        };
        let tags = tags.iter().map(renamed).filter(|tag| !tag.is_empty()).map(Value::String);
        Some(tags.collect::<Vec<_>>()).filter(|tags| !tags.is_empty())
    }
}

impl Question {
    const fn name(self) -> &'static str {
        match self {
            Self::Tail => "the run could not be resumed",
            Self::Rewind => "the run could not be rewound",
            Self::Upsert | Self::Update => "the run could not be created",
            Self::Strangers | Self::Row => "the server has a run of this id",
        }
    }

    const REFUSAL: &'static str = "its rows are not those of this log; give this one another id with --id, \
                                   or have it go on after them with --append";
}

/// The run that a log means: entity and project, which may be empty, and id.
pub(crate) fn target(info: &RunInfo, options: &PlanOptions) -> (String, String, String) {
    let over = &options.overrides;
    let or = |over: &Option<String>, own: &str| over.clone().unwrap_or_else(|| own.to_owned());
    (
        or(&over.entity, info.entity()),
        or(&over.project, info.project()),
        or(&over.run_id, info.run_id()),
    )
}

/// Asks what the server has of a run. Entity and project may be empty.
pub(crate) fn tail_request(entity: &str, project: &str, run: &str) -> super::Request {
    operations::RUN_RESUME_STATUS.request(Value::from_iter([
        ("project", text(project)),
        ("entity", text(entity)),
        ("name", run.into()),
    ]))
}

/// The last step that the server has: of its last row, else of the summary.
fn last_step(tail: &Tail) -> i64 {
    let step = |text: &str| Value::parse(text).ok()?.get("_step")?.as_i64();
    let row = tail.last_rows().last().and_then(|row| step(row));
    row.or_else(|| step(tail.summary.as_deref()?)).unwrap_or(-1)
}

/// A text, or null if it is empty.
fn text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}
