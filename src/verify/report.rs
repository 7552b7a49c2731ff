//! What was found in a file.

use super::Options;
use super::finding::{Finding, Place, Problem, Severity};
use super::sync::SyncForecast;
use crate::framing::Tail;
use crate::io::GapReport;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// What was found in a file.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub format: Format,
    /// The id of its run; empty if it says none.
    pub run_id: String,
    /// Records, or events, that are whole.
    pub records: u64,
    /// Rows of history, or values of summaries.
    pub rows: u64,
    /// What was found.
    pub findings: Findings,
    /// What `wandb sync` would do with a log.
    pub sync: Option<SyncForecast>,
}

impl Report {
    /// What the findings come to.
    pub fn verdict(&self) -> Verdict {
        match self.findings.worst() {
            Some(Severity::Error) => Verdict::Damaged,
            Some(Severity::Warning) => Verdict::Suspect,
            _ => Verdict::Clean,
        }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let more: BTreeMap<_, _> = self.findings.more().map(|(code, _, n)| (code, n)).collect();
        let mut report = serializer.serialize_struct("Report", 11)?;
        // JSON has no other text.
        report.serialize_field("path", &self.path.to_string_lossy())?;
        report.serialize_field("format", &self.format)?;
        report.serialize_field("run_id", &self.run_id)?;
        report.serialize_field("verdict", &self.verdict())?;
        report.serialize_field("records", &self.records)?;
        report.serialize_field("rows", &self.rows)?;
        report.serialize_field("errors", &self.findings.count(Severity::Error))?;
        report.serialize_field("warnings", &self.findings.count(Severity::Warning))?;
        report.serialize_field("findings", &self.findings.kept)?;
        report.serialize_field("more", &more)?;
        report.serialize_field("sync", &self.sync)?;
        report.end()
    }
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// A `.wandb` log.
    Wandb,
    /// A TensorBoard event file.
    Tensorboard,
}

/// What the findings of a file come to. Complete: there is one for each severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::exhaustive_enums, reason = "one for each severity")]
pub enum Verdict {
    /// Nothing but notes.
    Clean,
    /// Warnings.
    Suspect,
    /// Errors.
    Damaged,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Clean => "clean",
            Self::Suspect => "suspect",
            Self::Damaged => "damaged",
        })
    }
}

/// Findings, of which only some of each kind are kept.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    kept_at_most: usize,
    counts: BTreeMap<&'static str, (Severity, u64)>,
}

impl Findings {
    pub(super) fn new(options: &Options) -> Self {
        Self { kept_at_most: options.kept, ..Self::default() }
    }

    pub(super) fn add(&mut self, place: Place, problem: Problem) {
        let (_, count) =
            self.counts.entry(problem.code()).or_insert_with(|| (problem.severity(), 0));
        *count += 1;
        if *count <= self.kept_at_most as u64 {
            self.kept.push(Finding { place, problem });
        }
    }

    /// Adds how the file's bytes went, and puts the findings in order.
    pub(super) fn finish(&mut self, gaps: &GapReport, tail: Option<Tail>) {
        for gap in gaps.gaps() {
            let place = Place { offset: Some(gap.offset), ..Place::default() };
            self.add(place, Problem::Gap(*gap));
        }
        // Gaps beyond those that the reader keeps are known by number only.
        let unkept = gaps.count() - gaps.gaps().len() as u64;
        if let Some((_, count)) = self.counts.get_mut("gap") {
            *count += unkept;
        }
        if let Some(tail) = tail.filter(|tail| !tail.is_clean()) {
            let place = Place { offset: Some(tail.offset), ..Place::default() };
            self.add(place, Problem::Cut(tail));
        }
        self.kept.sort_by_key(|finding| {
            (std::cmp::Reverse(finding.severity()), finding.place.offset.unwrap_or(u64::MAX))
        });
    }

    /// The findings that were kept: the gravest first, then as they stand in the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.kept.iter()
    }

    /// How many there are of this severity, also those not kept.
    pub fn count(&self, severity: Severity) -> u64 {
        let counts = self.counts.values().filter(|(of, _)| *of == severity);
        counts.map(|(_, count)| count).sum()
    }

    /// The kinds of which not all were kept: code, severity, and how many more there are.
    pub fn more(&self) -> impl Iterator<Item = (&'static str, Severity, u64)> {
        let kept = self.kept_at_most as u64;
        let counts = self.counts.iter().filter(move |(_, (_, count))| *count > kept);
        counts.map(move |(code, (severity, count))| (*code, *severity, count - kept))
    }

    fn worst(&self) -> Option<Severity> {
        self.counts.values().map(|(severity, _)| *severity).max()
    }
}
