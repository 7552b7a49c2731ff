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

use super::greeting::Question;
use super::{Errands, Phase, Plan};
use crate::json::Value;
use crate::sync::api::{Answer, Tail, is_reply};
use crate::sync::ledger::{Place, Places};

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
            Some(tail) if tail.history_lines.unwrap_or(0) == 0 => {
                self.greeting.doubts.suspects = true;
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
        self.look_for(tail)
    }

    fn look_for(&mut self, tail: Tail) -> Result<(), String> {
        if tail.last_rows().is_empty() {
            return Err(REFUSAL.to_owned());
        }
        self.greeting.tail = Some(tail);
        self.greeting.next = Some(Question::Row(Doubt::Strangers));
        Ok(())
    }

    /// Whether the last row of a run that the log resumes may be its own: it is not older than the log.
    pub(super) fn may_be_own(&self, tail: &Tail) -> bool {
        let Some(row) = tail.last_rows().pop() else { return false };
        let time = Value::parse(&row).ok().and_then(|row| row.get("_timestamp")?.as_f64());
        let start = self.run.info().start_time().map(|start| start.seconds as f64);
        time.zip(start).is_none_or(|(time, start)| time >= start)
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

    /// The server has made the run, or found it with so many rows. Whether that may be.
    pub(super) fn met(&mut self, rows: u64, inserted: Option<bool>) -> Result<bool, String> {
        let doubts = &mut self.greeting.doubts;
        doubts.rows = rows;
        if doubts.was_missing && inserted == Some(false) {
            doubts.suspects = true;
            self.notices.push(
                "the run was made while this sync asked for it: by another sync, or the answer was lost".to_owned(),
            );
        }
        if rows <= self.ledger.ends()[0] || doubts.settled {
            return Ok(true);
        }
        if doubts.is_behind {
            return Err("it had fewer rows a moment ago: another sync is adding to it, or the server counts late; \
                        sync again"
                .to_owned());
        }
        self.greeting.next = Some(Question::Strangers);
        Ok(false)
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

    /// What the server has now that all but the last lines are stored.
    pub(super) fn looked_again(&mut self, answer: &Answer) -> Result<(), String> {
        self.greeting.next = None;
        // Its lines are sent all the same.
        let Ok(Some(tail)) = Tail::of_any(answer) else { return Ok(()) };
        let rows = tail.history_lines.unwrap_or(0);
        let known = self.ledger.ends()[0].max(self.greeting.doubts.rows);
        if rows > known {
            let more = rows - known;
            self.notices.push(format!(
                "another sync is uploading this run at the same time: meanwhile {more} of its rows came from there"
            ));
        }
        if rows > 0 && !tail.last_rows().is_empty() {
            self.greeting.tail = Some(tail);
            self.greeting.next = Some(Question::Row(Doubt::Meanwhile));
        }
        Ok(())
    }

    /// The server's last row is this one of the log, or none.
    pub(super) fn settled(&mut self, doubt: Doubt, row: Option<u64>) -> Result<(), String> {
        let tail = self.greeting.tail.take();
        let count = tail.as_ref().and_then(|tail| tail.history_lines).unwrap_or(0);
        let found = row.and_then(|row| Some((count.checked_sub(row + 1)?, row + 1)));
        let base = self.ledger.places.map(|places| places.history.base);
        let found = found.filter(|(found, _)| base.is_none_or(|base| base == *found));
        match (doubt, found, tail) {
            (Doubt::Meanwhile, Some(_), _) => self.greeting.next = None,
            (Doubt::Meanwhile, None, _) => return Err(COLLISION.to_owned()),
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
        let is_known = self.ledger.places.is_some();
        let places = self.ledger.places.get_or_insert_with(|| {
            let history = Place { base, ..Place::default() };
            Places { history, ..Places::default() }
        });
        let known = places.history.acknowledged;
        places.history = Place { base, acknowledged: rows, crc32c: None };
        let more = rows.saturating_sub(known);
        let why = match is_known {
            true => "another sync sent them, or an answer was lost",
            false => "another machine sent them, or the ledger was lost",
        };
        self.notices.push(format!(
            "the server already had {more} of these rows, which are not sent again ({why})"
        ));
        self.greeting.doubts.rows = base + rows;
        self.phase = Phase::Restart;
        Ok(())
    }
}

const REFUSAL: &str = "its rows are not those of this log; if they are of a longer copy of it, upload that one; else \
                       give this one another id with --id, or have it go on after them with --append";

const COLLISION: &str = "it is uploading another log, or a longer copy of this one, under the same id; let it end and sync \
                         again, or give this log another id with --id";
