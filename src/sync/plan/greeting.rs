//! Meeting the server: making the run or finding it, and settling where the log's lines go.
//!
//! | the log | the server has | the lines go |
//! |---|---|---|
//! | has a ledger | whatever it has | where the ledger says; if there are others behind them, only what is missing goes |
//! | resumes a run, or goes on after another log of it | lines | behind them, with steps that go on |
//! | rewinds a run | fewer lines after `rewindRun` | behind them |
//! | is new | nothing | from 0 on |
//! | has no ledger | lines | where the last of them is found in the log; if it is not, nowhere |
//! | has a ledger | fewer lines than that says | from there on once more, if those that it has are the log's |
//!
//! Of a run of which there is no ledger the server is asked what it has before it is told anything, so that the run
//! of somebody else keeps its config, name and tags. What the doubts are, and how they are settled: see `doubts`.
//!
//! The official client goes by the server's line count alone, and so sends everything twice whenever a sync
//! is repeated.

use super::doubts::{Doubt, Doubts};
use super::identity::{tail_request, target};
use super::{Errands, Outcome, Phase, Plan, Saved, Step, config};
use crate::json::Value;
use crate::sync::api::{Answer, Bucket, Tail, operations};
use crate::sync::ledger::{Place, Places};
use std::time::Duration;

/// How far the greeting has come.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    pub(super) next: Option<Question>,
    pub(super) asked: bool,
    /// Which run it is: entity, project and id, which later run records do not change.
    pub(super) target: Option<(String, String, String)>,
    /// The log goes on with lines that the server has.
    resumes: bool,
    /// Another log of the run has gone on behind this one, and its config, summary and end are the run's.
    pub(super) superseded: bool,
    /// What the server last said that it has of the run.
    pub(super) tail: Option<Tail>,
    /// Of that, the run that this log goes on with keeps what the log has no other for.
    pub(super) kept: bool,
    /// Whether others are at the run.
    pub(super) doubts: Doubts,
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
    /// What it has of a run of which there is no ledger.
    Look,
    /// What it has of a run that has more rows than is known of.
    Strangers,
    /// Which row of the log its last one is.
    Row(Doubt),
    /// What it has now that all but the last lines are stored.
    Meanwhile,
    /// To take note of changes.
    Update,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) config: String,
    identity: String,
}

impl Greeting {
    /// Whether no record may be taken until the server has answered: steps begin where it says.
    pub(super) const fn holds_records(&self) -> bool {
        match self.next {
            Some(Question::Tail | Question::Rewind | Question::Row(_)) => true,
            // What is said to it changes nothing in the records.
            Some(Question::Look) => false,
            _ => self.asked,
        }
    }

    /// What is left of it when the log is read again.
    pub(super) fn again(&self) -> Self {
        Self { doubts: self.doubts.again(), ..Self::default() }
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

    /// The run that this log goes on with.
    pub(super) fn kept(&self) -> Option<&Tail> {
        self.tail.as_ref().filter(|_| self.kept)
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
            None => Question::Look,
        });
        // A fork goes on with the steps of the run it leaves; the server knows that run's rows.
        if let (Some(step), None, None) =
            (forked_at, self.ledger.places, self.options.starting_step)
        {
            self.start_at(step.saturating_add(1));
        }
    }

    pub(super) fn greeting_step(&mut self) -> Option<(Errands, Step)> {
        if let Some(step) = self.features_step() {
            return Some(step);
        }
        let question = self.greeting.next.filter(|_| !self.greeting.asked)?;
        // With the first batch at hand, or all of the log, the config is as complete as can be.
        let early = !self.ended && !self.streams.is_full() && self.options.live.is_none();
        if question == Question::Upsert && early && self.wants_records() {
            return None;
        }
        self.ask(question)
    }

    /// Asks the server, or looks into the log for what it answered.
    pub(super) fn ask(&mut self, question: Question) -> Option<(Errands, Step)> {
        let step = match question {
            Question::Tail | Question::Look | Question::Strangers | Question::Meanwhile => {
                let (entity, project, run) = self.named();
                Step::Send(tail_request(&entity, &project, &run))
            }
            Question::Rewind => Step::Send(operations::REWIND_RUN.request(self.rewind_variables())),
            Question::Upsert => {
                if let Some(reason) = self.objection() {
                    self.fail(format!("{}: {reason}", Question::Strangers.name()));
                    return None;
                }
                let id = Some(self.ledger.storage_id.clone()).filter(|id| !id.is_empty());
                let id = id.or_else(|| Some(self.greeting.kept()?.id.clone()));
                let told = self.to_tell();
                let request = self.upsert(id, &told, true);
                self.greeting.told = Some(told);
                self.greeting.compared_at = Some(self.now);
                Step::Send(request)
            }
            Question::Row(doubt) => Step::FindRow(self.last_row(doubt)),
            Question::Update => return None,
        };
        self.greeting.asked = true;
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
        let taken = match (question, outcome) {
            (Question::Row(doubt), Outcome::Row(row)) => self.settled(doubt, row),
            (Question::Update, Outcome::Answer(answer)) => {
                let told = answer.and_then(|answer| Bucket::upserted(&answer));
                if let Ok((bucket, _)) = &told {
                    self.counted(bucket.history_lines.unwrap_or(0));
                }
                self.greeting.failed_to_tell = told.err();
                Ok(())
            }
            (_, Outcome::Answer(result)) => result.and_then(|answer| match question {
                Question::Tail => self.resume(&answer),
                Question::Rewind => self.rewound(&answer),
                Question::Look => self.looked(&answer),
                Question::Upsert => self.upserted(&answer),
                Question::Strangers => self.strangers(&answer),
                Question::Meanwhile => {
                    self.looked_again(&answer);
                    Ok(())
                }
                Question::Update | Question::Row(_) => Ok(()),
            }),
            _ => return,
        };
        if let Err(reason) = taken {
            self.fail(format!("{}: {reason}", question.name()));
        }
    }

    /// What the server has of the run that the log resumes.
    fn resume(&mut self, answer: &Answer) -> Result<(), String> {
        self.greeting.next = Some(Question::Upsert);
        let Some(tail) = Tail::of(answer)? else {
            self.missed(Tail::of_any(answer)?.is_none());
            return Ok(());
        };
        if self.ledger.places.is_some() {
            self.find_again(tail);
            return Ok(());
        }
        if self.may_be_own(&tail) {
            self.greeting.tail = Some(tail);
            self.greeting.next = Some(Question::Row(Doubt::Resumed));
            return Ok(());
        }
        self.go_behind(tail)
    }

    /// The lines of the log go behind those that the server has.
    pub(super) fn go_behind(&mut self, tail: Tail) -> Result<(), String> {
        let [Some(history), Some(events), Some(console)] = tail.counted() else {
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
        self.greeting.doubts.is_behind = true;
        if history > 0 && self.options.starting_step.is_none() {
            self.start_at(last_step(&tail).saturating_add(1));
        }
        self.go_on_with(tail);
        Ok(())
    }

    /// What the server has of a run of which the ledger knows.
    fn find_again(&mut self, tail: Tail) {
        let more = |(count, end): (Option<u64>, u64)| count.is_some_and(|count| count > end);
        let mut others = tail.counted().into_iter().zip(self.ledger.ends()).map(more);
        let rows = others.next().unwrap_or(false);
        let is_news = self.ledger.stored > 0 && !self.greeting.doubts.settled;
        if is_news && rows && !tail.last_rows().is_empty() {
            self.greeting.tail = Some(tail);
            self.greeting.next = Some(Question::Row(Doubt::Later));
        } else if is_news && (rows || others.any(|more| more)) {
            self.supersede();
        } else if self.greeting.resumes {
            self.go_on_with(tail);
        }
    }

    /// Another log of the run has gone on behind this one.
    pub(super) fn supersede(&mut self) {
        self.greeting.superseded = true;
        self.open();
    }

    /// Config, notes and tags of the run stay where the log has no others.
    fn go_on_with(&mut self, tail: Tail) {
        self.greeting.before = tail.config.as_deref().and_then(|text| Value::parse(text).ok());
        self.greeting.tail = Some(tail);
        self.greeting.kept = true;
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
        let (bucket, inserted) = Bucket::upserted(answer)?;
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
        if self.met(bucket.history_lines, inserted, answer.repeated)? {
            self.open();
        }
        Ok(())
    }

    fn open(&mut self) {
        self.ledger.places.get_or_insert_default();
        self.greeting.next = self.greeting.doubts.suspects.then_some(Question::Meanwhile);
        self.phase = Phase::Open;
        self.saved = Saved::No { durable: true };
    }
}

impl Question {
    const fn name(self) -> &'static str {
        match self {
            Self::Tail | Self::Row(Doubt::Resumed) => "the run could not be resumed",
            Self::Rewind => "the run could not be rewound",
            Self::Look => "the run could not be looked up",
            Self::Upsert | Self::Update => "the run could not be created",
            Self::Strangers | Self::Row(Doubt::Strangers | Doubt::Later) => {
                "the server has a run of this id"
            }
            Self::Meanwhile | Self::Row(Doubt::Meanwhile) => "another sync is at this run",
        }
    }
}

/// The last step that the server has: of its last row, else of the summary.
fn last_step(tail: &Tail) -> i64 {
    let step = |text: &str| Value::parse(text).ok()?.get("_step")?.as_i64();
    let row = tail.last_rows().last().and_then(|row| step(row));
    row.or_else(|| step(tail.summary.as_deref()?)).unwrap_or(-1)
}
