//! What is compared, and how it is told.

use super::expected::Expected;
use crate::json::Value;
use crate::sync::api::Tail;
use crate::sync::plan::is_same;
use serde::Serialize;

/// Something that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// What was compared.
    pub what: &'static str,
    /// What the log comes to.
    pub log: String,
    /// What the server has, or why that is not known.
    pub server: String,
    /// Whether they agree, if that is known.
    pub agrees: Option<bool>,
}

impl Check {
    /// What is wrong, if anything.
    pub fn problem(&self) -> Option<String> {
        let Self { what, log, server, agrees } = self;
        let (log, server) = (shortened(log), shortened(server));
        (*agrees == Some(false))
            .then(|| format!("{what}: the log comes to {log}, the server has {server}"))
    }

    fn new(what: &'static str, log: String, server: String, agrees: bool) -> Self {
        Self { what, log, server, agrees: Some(agrees) }
    }

    /// Something that the server does not tell.
    pub(super) fn not_told(what: &'static str, log: String) -> Self {
        Self {
            what,
            log,
            server: "not told by the server, so not checked".to_owned(),
            agrees: None,
        }
    }

    /// The run is not there.
    pub(super) fn missing(rows: u64) -> Self {
        let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
        Self::new("the run", rows, "no such run; --repair uploads it".to_owned(), false)
    }

    /// The number of lines of a stream: those up to the end of the log, and as many more as other parts of the run
    /// have.
    pub(super) fn count(what: &'static str, end: u64, explained: u64, found: Option<u64>) -> Self {
        let Some(found) = found else { return Self::not_told(what, end.to_string()) };
        let log = match found > end && explained > end {
            true => format!("{end}, {explained} with the other parts of the run"),
            false => end.to_string(),
        };
        Self::new(what, log, found.to_string(), found >= end && found <= explained.max(end))
    }

    /// What only the last part of a run can be compared with.
    pub(super) fn end(expected: &Expected, tail: &Tail) -> Vec<Self> {
        let row = text("the last row", expected.last_row.as_deref(), tail.last_rows().pop());
        let summary = text("the summary", expected.summary.as_deref(), tail.summary.clone());
        row.into_iter().chain(summary).collect()
    }

    /// The config: what the log has. A server may have more, of parts before or of its own.
    pub(super) fn config(expected: &Expected, tail: &Tail) -> Option<Self> {
        let wanted = expected.config.as_object().filter(|config| !config.is_empty())?;
        let Some(found) = tail.config.as_deref().and_then(|text| Value::parse(text).ok()) else {
            return Some(Self::not_told("the config", keys(wanted.len())));
        };
        let has = |key: &String| found.get(key).and_then(|entry| entry.get("value")).cloned();
        let differs =
            |(key, value): &(&String, &Value)| has(key).is_none_or(|found| !is_same(value, &found));
        let others: Vec<_> = wanted.iter().filter(differs).collect();
        if others.is_empty() {
            return Some(Self::new("the config", keys(wanted.len()), keys(wanted.len()), true));
        }
        let part = |value: &dyn Fn(&String, &Value) -> Option<Value>| {
            let pairs = others.iter();
            let pairs = pairs.filter_map(|(key, own)| Some(((*key).clone(), value(key, own)?)));
            Value::Object(pairs.collect()).to_string()
        };
        let log = part(&|_, value| Some(value.clone()));
        Some(Self::new("the config", log, part(&|key, _| has(key)), false))
    }

    /// How the run ended, as the log says or as the server was told.
    pub(super) fn state(exit_code: Option<i32>, found: Option<String>) -> Self {
        let log = match exit_code {
            Some(code) => format!("a run that ended with exit code {code}"),
            None => "a run without an end".to_owned(),
        };
        let Some(found) = found else { return Self::not_told("the end", log) };
        let agrees = match exit_code {
            Some(0) => found == FINISHED,
            Some(_) => ENDED_BADLY.contains(&found.as_str()),
            // The official client tells the end of such a run as well.
            None => found != FINISHED,
        };
        Self::new("the end", log, found, agrees)
    }

    /// So many files or artifacts: what is wrong with each, and whether the server tells.
    pub(super) fn things(what: &'static str, log: String, wrong: &[String], is_told: bool) -> Self {
        match wrong {
            [] if is_told => Self::new(what, log.clone(), log, true),
            [] => Self::not_told(what, log),
            wrong => Self::new(what, log, listed(wrong), false),
        }
    }
}

fn keys(count: usize) -> String {
    if count == 1 { "1 key".to_owned() } else { format!("{count} keys") }
}

/// The beginning of a text: a row may be as long as it likes.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The first few of them.
fn listed(what: &[String]) -> String {
    let more = what.len().saturating_sub(NAMED);
    let text = what.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{text} and {more} more") } else { text }
}

/// Compares texts of JSON by their meaning.
fn text(what: &'static str, log: Option<&str>, server: Option<String>) -> Option<Check> {
    let log = log?.to_owned();
    let Some(server) = server else { return Some(Check::not_told(what, log)) };
    let agrees = match (Value::parse(&log), Value::parse(&server)) {
        (Ok(log), Ok(server)) => is_same(&log, &server),
        _ => log == server,
    };
    Some(Check::new(what, log, server, agrees))
}

/// Characters that are shown of what differs.
const LONGEST_SHOWN: usize = 300;

/// Files and artifacts that are named.
const NAMED: usize = 10;

/// The names of states that servers have.
const FINISHED: &str = "finished";
const ENDED_BADLY: &[&str] = &["failed", "crashed", "killed", "preempted"];
