//! What an edit did, or would do.

use crate::framing::Span;
use crate::record::{RawRecord, RecordKind};
use crate::rewrite::Damage;
use crate::wire;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What was edited.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct EditReport {
    /// The log that was read.
    pub log: PathBuf,
    /// The run directory that was made, or would be.
    pub directory: PathBuf,
    /// Whether it was made.
    pub written: bool,
    /// The id of the run in it.
    pub run_id: String,
    /// What became of the records, by the name of their kind.
    pub records: BTreeMap<&'static str, Counts>,
    /// Keys that have another name now: the old and the new one.
    pub renamed_keys: BTreeMap<String, String>,
    /// Keys that were dropped.
    pub dropped_keys: BTreeSet<String>,
    /// How many files the run has.
    pub files: u64,
    /// Files it has no longer, below `files/`: media that no row names any more, and renderings of config
    /// and summary that would contradict the log.
    pub files_left_out: Vec<String>,
    /// The first record of each kind that was changed, beyond the id of the run, dropped or added.
    pub examples: Vec<Example>,
    /// What could not be read.
    #[serde(skip)]
    pub damage: Damage,
}

/// What became of records, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// As they were, but for their number.
    pub kept: u64,
    /// Changed.
    pub changed: u64,
    /// Left out.
    pub dropped: u64,
    /// That were not there before.
    pub added: u64,
}

/// A record before and after, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Example {
    /// Where it stands in the log that was read; `None` if it does not.
    pub offset: Option<u64>,
    /// Its kind.
    pub kind: &'static str,
    /// What it was; `None` if it was added.
    pub before: Option<String>,
    /// What it is; `None` if it was dropped.
    pub after: Option<String>,
}

impl EditReport {
    /// All records together.
    pub fn total(&self) -> Counts {
        self.records.values().fold(Counts::default(), |all, counts| Counts {
            kept: all.kept + counts.kept,
            changed: all.changed + counts.changed,
            dropped: all.dropped + counts.dropped,
            added: all.added + counts.added,
        })
    }
}

/// Counts what becomes of records, and keeps the first of each sort.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) records: BTreeMap<&'static str, Counts>,
    pub(super) examples: Vec<Example>,
}

impl Ledger {
    pub(super) fn keep(&mut self, kind: Option<RecordKind>) {
        self.counts(kind).kept += 1;
    }

    pub(super) fn change(&mut self, offset: u64, kind: RecordKind, before: &[u8], after: &[u8]) {
        let counts = self.counts(Some(kind));
        counts.changed += 1;
        let is_shown = |example: &Example| {
            example.kind == kind.name() && example.before.is_some() && example.after.is_some()
        };
        // Where only the id around it is another there is nothing to see.
        if before != after && !self.examples.iter().any(is_shown) {
            self.show(Some(offset), kind, Some(before), Some(after));
        }
    }

    pub(super) fn drop(&mut self, offset: u64, kind: RecordKind, body: &[u8]) {
        let counts = self.counts(Some(kind));
        counts.dropped += 1;
        if counts.dropped == 1 {
            self.show(Some(offset), kind, Some(body), None);
        }
    }

    pub(super) fn add(&mut self, kind: RecordKind, body: &[u8]) {
        let counts = self.counts(Some(kind));
        counts.added += 1;
        if counts.added == 1 {
            self.show(None, kind, None, Some(body));
        }
    }

    #[inline]
    fn counts(&mut self, kind: Option<RecordKind>) -> &mut Counts {
        self.records.entry(kind.map_or("unknown", RecordKind::name)).or_default()
    }

    fn show(
        &mut self,
        offset: Option<u64>,
        kind: RecordKind,
        before: Option<&[u8]>,
        after: Option<&[u8]>,
    ) {
        let (before, after) =
            (before.map(|body| json(kind, body)), after.map(|body| json(kind, body)));
        self.examples.push(Example { offset, kind: kind.name(), before, after });
    }
}

/// A record of nothing but this body, as JSON.
fn json(kind: RecordKind, body: &[u8]) -> String {
    let mut payload = Vec::new();
    wire::put_bytes(&mut payload, kind.field(), body);
    let mut text = String::new();
    let record = RawRecord::new(Span { offset: 0, length: 0 }, &payload);
    match record.append_json(&mut text) {
        Ok(()) => text,
        Err(error) => error.to_string(),
    }
}
