//! Whether others are at a run, and what is made of it.
//!
//! A ledger may be lost, a copy of the log may have been uploaded from another machine or with another client,
//! and two machines may upload the same log at once. Lines have fixed places, so the same line sent twice is
//! there once; what must not happen is that a line goes to another place, or into the place of another log's.
//! The server tells its last row, and that is looked for in the log:
//!
//! | the server has | its last row is in the log | it is not |
//! |---|---|---|
//! | rows, and there is no ledger, or it knows of fewer | they are this log's, and the sync goes on behind them | nothing is sent |
//! | rows behind those of a log that was stored as a whole | they are this log's, from a copy that had more | another log of the run goes on behind this one |
//! | rows, and the log resumes a run | they are this log's | the log's rows go behind them |
//! | more rows than a moment ago | another sync uploads the same log | it uploads another log |
//! | fewer rows than the ledger says | it was restored or rewound, and gets the rest once more | nothing is sent |
//!
//! Of a run without rows its config says whose it is. And which of two syncs that make a run at once goes on, the
//! server says: the one to which it answers that it has made the run.

use super::greeting::Question;
use super::{Errands, Phase, Plan, config, is_same};
use crate::json::Value;
use crate::sync::api::{Answer, Tail, is_reply};
use crate::sync::ledger::{Place, Places};
use std::collections::BTreeMap;

/// Whose the server's last row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// That of a run of which too little is known.
    Strangers,
    /// That of a run that the log resumes.
    Resumed,
    /// That of a run of which all of this log was stored.
    Later,
    /// That of a run at which another sync may be.
    Meanwhile,
}

/// What is known of others.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// What the server said before it was told anything: there is no such run.
    was_missing: bool,
    /// The log's lines go behind those that the server said it has.
    pub(super) is_behind: bool,
    /// The server's last row was found in the log.
    pub(super) settled: bool,
    /// The server's last row is of another log, which goes on behind this one.
    pub(super) is_overtaken: bool,
    /// Another sync may be at the run, which is looked into before its end is told.
    pub(super) suspects: bool,
    /// How many rows the server had when it was greeted.
    rows: u64,
    /// A run without rows that was there before.
    found: Option<Tail>,
    /// All of the log was sent.
    is_sent: bool,
}

impl Doubts {
    /// What is left of them when the log is read again.
    pub(super) fn again(&self) -> Self {
        Self { settled: true, suspects: true, rows: self.rows, ..Self::default() }
    }
}

impl Plan {
    /// What the server has of a run of which there is no ledger.
    pub(super) fn looked(&mut self, answer: &Answer) -> Result<(), String> {
        self.greeting.next = Some(Question::Upsert);
        let tail = match Tail::of_any(answer) {
            Ok(tail) => tail,
            // A server that does not say it here says it when the run is made.
            Err(_) if is_reply(answer) && !matches!(answer.status, 429 | 500..) => return Ok(()),
            Err(reason) => return Err(reason),
        };
        match tail {
            None => self.greeting.doubts.was_missing = true,
            Some(tail) if !tail.has_rows() => {
                self.greeting.doubts.suspects = true;
                self.greeting.doubts.found = Some(tail);
                self.notices.push(
                    "the run was on the server already, without rows: another sync made it, or one that was stopped"
                        .to_owned(),
                );
            }
            Some(tail) => return self.look_for(tail),
        }
        Ok(())
    }

    /// The run has more rows than is known of: of this log, if the ledger was lost, an answer was, or another sync
    /// sent them; or of another one.
    pub(super) fn strangers(&mut self, answer: &Answer) -> Result<(), String> {
        let tail = Tail::of_any(answer)?.ok_or("it was there a moment ago, and now it is not")?;
        match (tail.history_lines, self.ledger.places) {
            (Some(rows), Some(places))
                if rows < self.ledger.ends()[0] && tail.last_rows().is_empty() =>
            {
                self.set_back(rows.saturating_sub(places.history.base));
                Ok(())
            }
            _ => self.look_for(tail),
        }
    }

    fn look_for(&mut self, tail: Tail) -> Result<(), String> {
        if tail.last_rows().is_empty() {
            return Err(REFUSAL.to_owned());
        }
        self.greeting.tail = Some(tail);
        self.greeting.next = Some(Question::Row(Doubt::Strangers));
        Ok(())
    }

    /// Of a run that the log resumes, whether the server has none yet. It may be late to say that it has one which
    /// got the log before.
    pub(super) fn missed(&mut self, is_missing: bool) {
        let is_first = self.ledger.places.is_none() && self.options.at_least == [0; 3];
        self.greeting.doubts.was_missing = is_missing && is_first;
    }

    /// Whether the last row of a run that the log resumes may be its own: it is not older than the log. Without a
    /// time, it may be, unless the log is known to go on behind it.
    pub(super) fn may_be_own(&self, tail: &Tail) -> bool {
        if tail.last_rows().is_empty() {
            return false;
        }
        let start = self.run.info().start_time().map(|start| start.seconds as f64);
        let times = time_of(tail).zip(start);
        times.map_or(!self.options.continues, |(time, start)| time >= start)
    }

    /// The row to look for. Of a run that is resumed, nobody knows from which step its rows were counted.
    pub(super) fn last_row(&self, doubt: Doubt) -> String {
        let rows = self.greeting.tail.as_ref().map(Tail::last_rows).unwrap_or_default();
        let row = rows.last().cloned().unwrap_or_default();
        match Value::parse(&row) {
            Ok(Value::Object(mut members)) if doubt == Doubt::Resumed => {
                members.remove("_step");
                Value::Object(members).to_string()
            }
            _ => row,
        }
    }

    /// Why a run that was there without rows is not to be touched: its config does not show that it is this log's.
    pub(super) fn objection(&mut self) -> Option<&'static str> {
        let found = self.greeting.doubts.found.take()?;
        let text = found.config.as_deref().unwrap_or_default();
        let (theirs, own) =
            (Value::parse(text).unwrap_or_default(), config::config(&self.run, None));
        let (theirs, own) = (marks(&theirs), marks(&own));
        let is_in_both =
            |(key, value): (&&str, &&Value)| own.get(*key).is_some_and(|own| is_same(own, value));
        // The same machine, program and start; what was set may have changed since.
        let is_same_process = theirs.get_key_value("_wandb").is_some_and(is_in_both);
        let is_known =
            !theirs.is_empty() && theirs.contains_key("_wandb") == own.contains_key("_wandb");
        let is_own = is_same_process || (is_known && theirs.iter().all(is_in_both));
        (!is_own).then_some(UNKNOWN)
    }

    /// The server has made the run, or found it with so many rows, if it says so. Whether lines may go there.
    pub(super) fn met(
        &mut self,
        rows: Option<u64>,
        inserted: Option<bool>,
        repeated: bool,
    ) -> Result<bool, String> {
        let (end, places) = (self.ledger.ends()[0], self.ledger.places);
        let doubts = &mut self.greeting.doubts;
        doubts.suspects |= rows.is_none() && places.is_none() && inserted != Some(true);
        let rows = rows.unwrap_or(end);
        doubts.rows = rows;
        if doubts.settled {
            return Ok(true);
        }
        if rows > end && doubts.is_behind {
            return Err("it had fewer rows a moment ago: another sync is adding to it, or the server counts late; \
                        sync again"
                .to_owned());
        }
        if rows > end {
            self.greeting.next = Some(Question::Strangers);
            return Ok(false);
        }
        if doubts.was_missing && inserted == Some(false) {
            if !repeated {
                return Err(MET.to_owned());
            }
            doubts.suspects = true;
            self.notices.push(
                "the run was made while this sync asked for it: by another sync, or the answer was lost".to_owned(),
            );
        }
        match places {
            Some(places) => self.met_again(&places, rows, inserted == Some(true)),
            None => Ok(true),
        }
    }

    /// Whether the server still has what the ledger says is stored.
    fn met_again(&mut self, places: &Places, rows: u64, is_new: bool) -> Result<bool, String> {
        let Place { base, acknowledged, .. } = places.history;
        let any = acknowledged + places.events.acknowledged + places.console.acknowledged > 0;
        if !(rows < base + acknowledged && acknowledged > 0 || is_new && rows <= base && any) {
            return Ok(true);
        }
        if is_new {
            self.ledger.files.clear();
        }
        match rows.checked_sub(base) {
            Some(0) => self.set_back(0),
            Some(_) => self.greeting.next = Some(Question::Strangers),
            None => {
                return Err(format!(
                    "it has {rows} rows, and {base} stood before those of this log: it was restored or rewound, or \
                     counts late; sync again later, or give the log another id with --id"
                ));
            }
        }
        Ok(false)
    }

    /// The server has only so many rows of the log. Lines have their places, so what it has of them may come again.
    fn set_back(&mut self, rows: u64) {
        let Some(places) = &mut self.ledger.places else { return };
        let known = places.history.acknowledged;
        self.notices.push(format!(
            "the server has {rows} of the {known} rows that were stored of this log: it was restored, the run was \
             rewound or made anew, or it counts late; what it lacks was sent again"
        ));
        for place in [&mut places.history, &mut places.events, &mut places.console] {
            *place = Place { base: place.base, ..Place::default() };
        }
        places.history.acknowledged = rows;
        self.greeting.doubts.rows = places.history.base + rows;
        self.phase = Phase::Restart;
    }

    /// The server says in between how many rows it has: no more than were sent, unless another sync is at the run.
    pub(super) fn counted(&mut self, rows: u64) {
        let sending = self.under_way.values().map(|errand| match errand {
            Errands::Lines(sent) => sent.counts.lines[0],
            _ => 0,
        });
        if rows > self.ledger.ends()[0] + sending.sum::<u64>() {
            self.greeting.doubts.suspects = true;
            self.greeting.next = Some(Question::Meanwhile);
        }
    }

    /// The last request was acknowledged. Where others may be at the run, it is looked at once more.
    pub(super) fn all_sent(&mut self) {
        if self.greeting.is_superseded() || !self.greeting.doubts.suspects {
            return self.close();
        }
        self.greeting.doubts.is_sent = true;
        self.greeting.next = Some(Question::Meanwhile);
        self.save_soon();
    }

    /// What the server has now that all but the last lines are stored, or all.
    pub(super) fn looked_again(&mut self, answer: &Answer) {
        // Where it does not tell, lines are sent all the same.
        let Ok(Some(tail)) = Tail::of_any(answer) else { return self.undisturbed() };
        let rows = tail.history_lines.unwrap_or(0);
        let known = self.ledger.ends()[0].max(self.greeting.doubts.rows);
        if rows > known {
            let more = rows - known;
            self.greeting.doubts.rows = rows;
            self.notices.push(format!(
                "another sync is uploading this run at the same time: meanwhile {more} of its rows came from there"
            ));
        }
        if tail.last_rows().is_empty() {
            return self.undisturbed();
        }
        self.greeting.tail = Some(tail);
        self.greeting.next = Some(Question::Row(Doubt::Meanwhile));
    }

    /// The run's rows are those of the log.
    fn undisturbed(&mut self) {
        self.greeting.next = None;
        if self.greeting.doubts.is_sent {
            self.close();
        }
    }

    /// The run's last row is not the log's. Which of its rows are there, nobody knows: the next sync looks.
    fn disturbed(&mut self) -> String {
        if let Some(places) = &mut self.ledger.places {
            places.history = Place { base: places.history.base, ..Place::default() };
        }
        COLLISION.to_owned()
    }

    /// The server's last row is this one of the log, or none.
    pub(super) fn settled(&mut self, doubt: Doubt, row: Option<u64>) -> Result<(), String> {
        let tail = self.greeting.tail.take();
        if doubt == Doubt::Resumed && row.is_some() && tail.as_ref().and_then(time_of).is_none() {
            return Err(UNTIMED.to_owned());
        }
        let count = tail.as_ref().and_then(|tail| tail.history_lines);
        let base = self.ledger.places.map(|places| places.history.base);
        let found = row.and_then(|row| {
            let rows = row + 1;
            let first = match count {
                // It may count late.
                Some(count) => count.checked_sub(rows).or(base),
                None if doubt == Doubt::Resumed => None,
                None => base.or(Some(0)),
            };
            Some((first?, rows))
        });
        let found = found.filter(|(found, _)| base.is_none_or(|base| base == *found));
        match (doubt, found, tail) {
            (Doubt::Meanwhile, Some(_), _) => self.undisturbed(),
            (Doubt::Meanwhile, None, _) => return Err(self.disturbed()),
            (_, Some((base, rows)), Some(tail)) => return self.adopt(base, rows, &tail),
            (Doubt::Resumed, _, Some(tail)) => {
                self.greeting.next = Some(Question::Upsert);
                return self.go_behind(tail);
            }
            (Doubt::Later, ..) => {
                self.greeting.doubts.is_overtaken = true;
                self.supersede();
            }
            _ => return Err(REFUSAL.to_owned()),
        }
        Ok(())
    }

    /// The server has so many rows of this log, and before them others.
    fn adopt(&mut self, base: u64, rows: u64, tail: &Tail) -> Result<(), String> {
        let [_, events, console] = tail.counted().map(|count| count.unwrap_or(0));
        if base > 0 && events.max(console) > 0 && self.ledger.places.is_none() {
            return Err(format!(
                "it has {rows} rows of this log behind {base} others, and the ledger that says where the log's console \
                 lines and system samples are is gone; give the log another id with --id to upload it anew"
            ));
        }
        if self.ledger.places.is_some_and(|places| rows < places.history.acknowledged) {
            self.set_back(rows);
            return Ok(());
        }
        let is_known = self.ledger.places.is_some();
        let places = self.ledger.places.get_or_insert_with(|| {
            let history = Place { base, ..Place::default() };
            Places { history, ..Places::default() }
        });
        let known = places.history.acknowledged;
        places.history = Place { base, acknowledged: rows, crc32c: None };
        if rows > known {
            let more = rows - known;
            let why = match is_known {
                true => "another sync sent them, or an answer was lost",
                false => "another machine sent them, or the ledger was lost",
            };
            self.notices.push(format!(
                "the server already had {more} of these rows, which are not sent again ({why})"
            ));
        }
        self.greeting.doubts.rows = base + rows;
        self.phase = Phase::Restart;
        Ok(())
    }
}

/// When the last row that a server has was logged, if that says so.
fn time_of(tail: &Tail) -> Option<f64> {
    Value::parse(&tail.last_rows().pop()?).ok()?.get("_timestamp")?.as_f64()
}

/// What of a config tells runs apart: what was set, and on which machine which program ran when.
fn marks(config: &Value) -> BTreeMap<&str, &Value> {
    let members = config.as_object().into_iter().flatten();
    let marks = members.map(|(key, value)| match key.as_str() {
        "_wandb" => (key.as_str(), value.get("value").and_then(|value| value.get("e"))),
        key => (key, Some(value)),
    });
    marks.filter_map(|(key, value)| Some((key, value?))).collect()
}

const REFUSAL: &str = "its rows are not those of this log; if they are of a longer copy of it, upload that one; else \
                       give this one another id with --id, or have it go on after them with --append";

const COLLISION: &str = "it is uploading another log, or a longer copy of this one, under the same id; let it end and sync \
                         again, or give this log another id with --id";

const UNKNOWN: &str = "it has no rows, and its config does not show that it is of this log; give this one another id with \
                       --id, or have it go on there with --append";

const MET: &str = "another sync made the run just now, and goes first; sync again when it has ended; if that is of another \
                   log, give this one another id with --id, and see whose config the run has";

const UNTIMED: &str = "the last of its rows stands in this log, too, and has no time that says whether it is from there; \
                       to have all of the log go behind it, sync it with --append, else give it another id with --id";
