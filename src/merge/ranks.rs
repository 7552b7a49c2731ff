//! The ranks of a distributed job, each of which logged a run of its own, as one run.

use super::carry::{Carrier, NOWHERE, Source};
use super::files::{Renames, place};
use super::head::{self, Head};
use super::options::Options;
use super::place::StepRange;
use super::plan::read_all;
use super::row::Change;
use super::segment::Segment;
use super::summary::summary;
use super::write::MergeReport;
use crate::error::{Error, Result};
use crate::json::Value;
use crate::log::Reader;
use crate::record::{HistoryView, RawRecord, RecordKind};
use crate::rewrite::{
    Damage, Fate, Rewriter, RowSteps, Staged, refuse_in_runs, set_bytes, splice, splice_items,
};
use crate::wire::{self, Malformed};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// The runs of the ranks of one job, to be merged into one run on one step axis.
///
/// Rows of one step become one row, in which every key has its rank in front of it (`rank1/loss`); its
/// `_runtime` and `_timestamp` are those of the lowest rank that has the step. The run, its config, its
/// metric definitions (for the keys of every rank), its environment and its console are those of rank 0. System
/// metrics of the others get a label as W&B gives them in such jobs (`cpu/l:rank1`). Files, artifacts and
/// alerts of all are carried.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Ranks {
    /// The id of the merged run.
    pub run_id: String,
    /// The ranks, in order.
    pub ranks: Vec<PlannedRank>,
    #[serde(skip)]
    scanned: Vec<Segment>,
    #[serde(skip)]
    hard_links: bool,
}

/// A rank.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedRank {
    /// Its log.
    pub log: PathBuf,
    /// The run it is.
    pub run_id: String,
    /// What stands in front of its keys.
    pub prefix: String,
    /// How many rows it has.
    pub rows: u64,
    /// Its steps; none without rows.
    pub steps: Option<StepRange>,
}

impl Ranks {
    /// Finds the ranks at `paths` and reads them. Their order there is their order in the job; in a
    /// directory of runs it is that of the names. `prefix` is what stands in front of the keys of a rank,
    /// `{n}` in it is its number. Of `options` the ids and the links count.
    ///
    /// # Errors
    /// When there are not two runs of one group, when `prefix` gives all the same keys, and when a log
    /// cannot be read or is none. Damage is no error.
    pub fn new(paths: &[impl AsRef<Path>], prefix: &str, options: &Options) -> Result<Self> {
        if !prefix.contains("{n}") {
            let reason = "holds no {n} for the number of the rank, so all would have the same keys";
            return Err(Error::setting("rank-prefix", reason));
        }
        let mut scanned = read_all(paths, options)?;
        for (number, rank) in scanned.iter_mut().enumerate() {
            rank.label = format!("rank {number}");
        }
        let [first, others @ ..] = scanned.as_slice() else {
            return Err(Error::misuse("no runs here"));
        };
        if others.is_empty() {
            return Err(Error::misuse("one run alone has no ranks to merge").at(&first.log));
        }
        let group = |rank: &Segment| rank.state.info().group().to_owned();
        if let Some(other) = others.iter().find(|other| group(other) != group(first)) {
            return Err(Error::misuse(format!(
                "ranks of several groups, {:?} and {:?}; name those of one",
                group(first),
                group(other)
            ))
            .at(&other.log));
        }
        let ranks = scanned.iter().enumerate().map(|(number, rank)| PlannedRank {
            log: rank.log.clone(),
            run_id: rank.run_id().to_owned(),
            prefix: prefix.replace("{n}", &number.to_string()),
            rows: rank.rows.history().rows(),
            steps: rank.extent().recorded,
        });
        let ranks: Vec<PlannedRank> = ranks.collect();
        refuse_ambiguous(&ranks)?;
        let run_id = options.new_id.clone().unwrap_or_else(|| first.run_id().to_owned());
        Ok(Self { run_id, ranks, scanned, hard_links: options.hard_links })
    }

    /// What could not be read of each rank.
    pub fn damage(&self) -> impl Iterator<Item = (&Path, &Damage)> {
        self.scanned.iter().map(|rank| (rank.log.as_path(), &rank.damage))
    }

    /// Writes the merged run to `directory`, which must not exist, and proves it before it gets that name.
    ///
    /// # Errors
    /// As for [`Plan::write`](super::Plan::write).
    pub fn write(&self, directory: impl AsRef<Path>) -> Result<MergeReport> {
        refuse_in_runs(directory.as_ref(), self.scanned.iter().map(|of| of.log.as_path()))?;
        let mut staged = Staged::run(directory.as_ref(), &self.run_id)?;
        let (mut renames, mut renamed_files, mut files) = (Vec::new(), Vec::new(), 0);
        if let Some(dir) = &mut staged.files {
            dir.set_hard_links(self.hard_links);
            (renames, renamed_files) = place(&self.scanned, 0..self.scanned.len(), dir)?;
            files = dir.count();
        }
        let (_, config_conflicts) = head::config(&self.scanned);
        let first = self.scanned.get(..1).unwrap_or_default();
        let (config, _) = head::config(first);
        let prefixes =
            self.ranks.iter().map(|rank| vec![("prefix", Value::String(rank.prefix.clone()))]);
        let lineage = head::lineage("merge ranks", &self.scanned, prefixes);
        let head = Head { run_id: &self.run_id, segments: first, config: &config, lineage };
        let mut join = Join::new(self, &renames, &mut staged.log);
        join.carrier.head(&head)?;
        join.run()?;
        let Join { rows, odd_steps, console_left_out, carrier, .. } = join;
        let preemptings_left_out = carrier.preemptings;
        let proven = staged.prove()?;
        let written = proven.written();
        Ok(MergeReport {
            directory: proven.publish()?,
            run_id: self.run_id.clone(),
            rows,
            rows_left_out: vec![0; self.ranks.len()],
            odd_steps,
            preemptings_left_out,
            console_left_out,
            config_conflicts,
            renamed_files,
            files,
            written,
        })
    }
}

impl fmt::Display for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "run {}: {} ranks", self.run_id, self.ranks.len())?;
        for rank in &self.ranks {
            let rows = rank.rows;
            write!(f, "  {}* {rows} row{}", rank.prefix, if rows == 1 { "" } else { "s" })?;
            if let Some(steps) = rank.steps {
                write!(f, ", {steps}")?;
            }
            writeln!(f, ": {}", rank.log.display())?;
        }
        Ok(())
    }
}

/// A rank that is being read, up to its next row.
struct Rank<'a> {
    number: usize,
    planned: &'a PlannedRank,
    reader: Reader,
    steps: RowSteps,
    row: Option<(i64, Vec<u8>)>,
}

struct Join<'a> {
    plan: &'a Ranks,
    renames: &'a [Renames],
    carrier: Carrier<'a>,
    rows: u64,
    odd_steps: u64,
    console_left_out: u64,
    body: Vec<u8>,
}

impl<'a> Join<'a> {
    fn new(plan: &'a Ranks, renames: &'a [Renames], log: &'a mut Rewriter) -> Self {
        let carrier = Carrier::new(log);
        Self {
            plan,
            renames,
            carrier,
            rows: 0,
            odd_steps: 0,
            console_left_out: 0,
            body: Vec::new(),
        }
    }

    fn run(&mut self) -> Result<()> {
        let mut ranks = Vec::new();
        let scanned = self.plan.ranks.iter().zip(&self.plan.scanned);
        for (number, (planned, rank)) in scanned.enumerate() {
            let reader = rank.source.reader()?;
            let mut rank = Rank { number, planned, reader, steps: RowSteps::default(), row: None };
            self.advance(&mut rank)?;
            ranks.push(rank);
        }
        while let Some(step) = ranks.iter().filter_map(|rank| Some(rank.row.as_ref()?.0)).min() {
            self.body.clear();
            for rank in ranks.iter_mut() {
                if let Some((_, row)) = rank.row.take_if(|(at, _)| *at == step) {
                    self.join(rank, &row).map_err(|error: Malformed| {
                        Error::misuse(error.to_string()).at(&rank.planned.log)
                    })?;
                    self.advance(rank)?;
                }
            }
            self.put_row(step)?;
        }
        self.end()
    }

    /// Reads a rank up to its next row, and carries what stands in front of that.
    fn advance(&mut self, rank: &mut Rank<'_>) -> Result<()> {
        while let Some(record) = rank.reader.next_record()? {
            // What is no message was reported when the rank was read.
            let Ok(Some(body)) = record.body() else { continue };
            if body.kind == RecordKind::History {
                let view = HistoryView::new(&body.message);
                let Ok(stated) = view.check().and_then(|()| view.step()) else { continue };
                if record.check_around_row().is_err() {
                    continue;
                }
                self.odd_steps += u64::from(stated.is_none_or(|stated| stated < 0));
                rank.row = Some((rank.steps.next(stated), body.message.into_owned()));
                return Ok(());
            }
            self.other(&record, body.kind, &body.message, rank.number)
                .map_err(|error| error.at(&rank.planned.log))?;
        }
        Ok(())
    }

    /// Adds the row of a rank to the one that is made.
    fn join(&mut self, rank: &Rank<'_>, row: &[u8]) -> Result<(), Malformed> {
        let is_first = self.body.is_empty();
        let renames = self.renames.get(rank.number);
        let mut renamed = Vec::new();
        if let Some(renames) = renames.filter(|renames| !renames.is_empty()) {
            splice_items(RecordKind::History, row, &mut renamed, |item, out| {
                renames.put_renamed(&item, out)
            })?;
        } else {
            renamed.extend_from_slice(row);
        }
        let mut keyed = Vec::new();
        splice_items(RecordKind::History, &renamed, &mut keyed, |item, out| {
            if OF_THE_ROW.iter().any(|key| item.is(key)) {
                return Ok::<_, Malformed>(if is_first { Fate::Keep } else { Fate::Drop });
            }
            let elements: Vec<&str> = item.view.path.elements().collect();
            let path = prefixed(&rank.planned.prefix, elements);
            item.put_with_path(path.iter().map(String::as_str), out)?;
            Ok(Fate::Drop)
        })?;
        // Of the rows that come after the first one the items are all there is to add.
        splice(&keyed, &mut self.body, |field, _| {
            let taken = is_first || field.number == ITEM;
            Ok::<_, Malformed>(if taken { Fate::Keep } else { Fate::Drop })
        })?;
        Ok(())
    }

    fn put_row(&mut self, step: i64) -> Result<()> {
        let none = Renames::default();
        let change = Change { offset: 0, runtime_offset: 0.0, renames: &none };
        let mut body = Vec::new();
        let malformed = |error| RawRecord::new(NOWHERE, &[]).malformed(error);
        change.apply(&self.body, step, &mut body).map_err(malformed)?;
        let mut payload = Vec::new();
        wire::put_bytes(&mut payload, RecordKind::History.field(), &body);
        self.carrier.kept.apply(&RawRecord::new(NOWHERE, &payload))?;
        self.rows += 1;
        self.carrier.log.add(RecordKind::History, &body)
    }

    fn other(
        &mut self,
        record: &RawRecord<'_>,
        kind: RecordKind,
        body: &[u8],
        number: usize,
    ) -> Result<()> {
        let Some(renames) = self.renames.get(number) else { return Ok(()) };
        match kind {
            RecordKind::Metric if number == 0 => self.define(body),
            RecordKind::Metric | RecordKind::Config if number > 0 => Ok(()),
            RecordKind::Output | RecordKind::OutputRaw | RecordKind::OutputLogger if number > 0 => {
                self.console_left_out += 1;
                Ok(())
            }
            RecordKind::Stats if number > 0 => {
                let mut labelled = Vec::new();
                splice_items(kind, body, &mut labelled, |item, out| {
                    let key = item.view.path.single().unwrap_or_default();
                    item.put_with_path([format!("{key}/l:rank{number}").as_str()], out)?;
                    Ok(Fate::Drop)
                })
                .map_err(|error: Malformed| record.malformed(error))?;
                self.carrier.log.replace(record, &labelled)
            }
            _ => {
                let is_first = number == 0;
                let source = Source { renames, is_last: is_first, has_machine: is_first };
                self.carrier.take(record, kind, body, &source)
            }
        }
    }

    /// Defines a metric of rank 0 for the keys of every rank.
    fn define(&mut self, body: &[u8]) -> Result<()> {
        for rank in &self.plan.ranks {
            let prefix = rank.prefix.replace('.', "\\.");
            let mut definition = body.to_vec();
            for number in [NAME, GLOB_NAME, STEP_METRIC] {
                let fields = wire::Fields::new(body).flatten();
                let named = fields.filter(|field| field.number == number).last();
                let name = named.and_then(|field| field.value.bytes()).unwrap_or_default();
                if name.is_empty() || name.starts_with(b"_") {
                    continue;
                }
                let name = [prefix.as_bytes(), name].concat();
                let was = std::mem::take(&mut definition);
                set_bytes(&was, number, Some(&name), &mut definition)
                    .map_err(|error| RawRecord::new(NOWHERE, &[]).malformed(error))?;
            }
            if self.carrier.is_news(&definition) {
                self.carrier.log.add(RecordKind::Metric, &definition)?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let placed = |number: usize, path: Vec<String>, value: Value| {
            let prefix = self.plan.ranks.get(number).map_or("", |rank| rank.prefix.as_str());
            let path = prefixed(prefix, path.iter().map(String::as_str).collect());
            let renames: Option<&Renames> = self.renames.get(number);
            (path, renames.map_or_else(|| value.clone(), |renames| renames.renamed_value(&value)))
        };
        let summary = summary(&self.plan.scanned, &self.carrier.kept, placed);
        let runtime = self.plan.scanned.first().map_or(0.0, |rank| rank.runtimes().1);
        self.carrier.end(&summary, runtime)
    }
}

/// Fails if one prefix begins another, for then keys of two ranks may be one: `1` + `1x` and `11` + `x`.
fn refuse_ambiguous(ranks: &[PlannedRank]) -> Result<()> {
    let mut prefixes: Vec<_> = ranks.iter().map(|rank| rank.prefix.as_str()).collect();
    prefixes.sort_unstable();
    for (one, next) in prefixes.iter().zip(prefixes.iter().skip(1)) {
        if next.starts_with(one) {
            let reason = format!(
                "makes {one:?} and {next:?}, of which one begins the other; put a / behind {{n}}"
            );
            return Err(Error::setting("rank-prefix", reason));
        }
    }
    Ok(())
}

/// A path with a prefix in front of its first element.
fn prefixed(prefix: &str, path: Vec<&str>) -> Vec<String> {
    let mut path: Vec<String> = path.into_iter().map(str::to_owned).collect();
    if let Some(first) = path.first_mut() {
        first.insert_str(0, prefix);
    }
    path
}

/// What a row has once, whatever its keys are.
const OF_THE_ROW: [&str; 3] = ["_step", "_runtime", "_timestamp"];

const ITEM: u32 = 1;
const NAME: u32 = 1;
const GLOB_NAME: u32 = 2;
const STEP_METRIC: u32 = 4;
