//! One run: read three times, written under a temporary name, renamed.

use super::emit::Emitter;
use super::files::FilesDir;
use super::hparams::{from_tensorboard, hparams};
use super::keys::{Axis, Keys};
use super::layout::layout;
use super::media::fenced;
use super::names;
use super::options::Options;
use super::report::{Changed, Reason, RunReport, RunStatus};
use super::rows::RowReader;
use super::system::System;
use crate::error::{Error, Result};
use crate::io::UnnamedDir;
use crate::json::Value;
use crate::log::Repeated;
use crate::proto::wandb_internal::StatsRecord;
use crate::record::RecordKind;
use crate::run::RunState;
use crate::tfevents::{At, OWN_TAGS, Outcome, SummaryWriter, SummaryWriterOptions};
use prost::Message;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Runs that go to the same log directory.
pub(super) struct Batch<'a> {
    pub(super) logdir: &'a Path,
    pub(super) options: &'a Options,
    /// Names of directories made.
    names: names::Taken,
    /// Layouts written, of which the log directory needs each once.
    pub(super) layouts: HashSet<Vec<u8>>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(logdir: &'a Path, options: &'a Options) -> Self {
        Self { logdir, options, names: names::Taken::new(), layouts: HashSet::new() }
    }

    /// Converts a log; what it did so far stands in the report also when it fails.
    pub(super) fn convert(&mut self, log: &Path) -> RunReport {
        let mut report = RunReport { log: log.to_owned(), ..RunReport::default() };
        match self.try_convert(log, &mut report) {
            Ok(directory) => {
                (report.status, report.directory) = (RunStatus::Converted, Some(directory));
            }
            Err(error) => report.error = Some(error.to_string()),
        }
        report
    }

    fn try_convert(&mut self, log: &Path, report: &mut RunReport) -> Result<PathBuf> {
        let log = Repeated::new(log)?;
        let state = fold(&log, self.options, report)?;
        let run = Run { log: &log, state: &state, options: self.options, complete: true };
        let directory = self.directory(&run, report)?;
        let unnamed = UnnamedDir::new(self.logdir)?;
        let mut layouts = self.layouts.clone();
        run.write(unnamed.path(), &mut layouts, report)?;
        unnamed.name(&directory)?;
        self.layouts = layouts;
        Ok(directory)
    }

    /// A directory for a run, which is not there yet.
    pub(super) fn directory(&mut self, run: &Run<'_>, report: &RunReport) -> Result<PathBuf> {
        let name = names::directory(run.state.info().name(), &report.run_id);
        let directory = self.logdir.join(names::unique(&name, &mut self.names));
        if fs::symlink_metadata(&directory).is_ok() {
            return Err(already_there(directory));
        }
        Ok(directory)
    }
}

pub(super) fn already_there(directory: PathBuf) -> Error {
    Error::misuse(
        "already there, and nothing is overwritten; remove it or name another log directory",
    )
    .at(directory)
}

/// What is known of a run but its rows; the first reading. Its id and what is left out in general are noted.
pub(super) fn fold(log: &Repeated, options: &Options, report: &mut RunReport) -> Result<RunState> {
    let mut reader = log.reader()?;
    let mut state = RunState::default();
    let mut undecodable = 0;
    while let Some(record) = reader.next_record()? {
        let applied = match record.kind() {
            Ok(Some(RecordKind::History | RecordKind::Summary)) if !options.summary => continue,
            // Rows are counted as undecodable when they are read as rows.
            Ok(Some(RecordKind::History)) => {
                let _ = state.apply(&record);
                continue;
            }
            Ok(_) => state.apply(&record),
            Err(error) => Err(error),
        };
        undecodable += u64::from(applied.is_err());
    }
    report.note_damage(reader.gaps(), reader.tail(), undecodable);
    for (kind, what) in [(RecordKind::Alert, "alerts"), (RecordKind::Artifact, "artifacts")] {
        report.leave_out(Reason::NotHistory, what, state.records(kind));
    }
    if !options.console {
        report.leave_out(Reason::NotHistory, "console lines", state.console().count());
    }
    if !options.system {
        report.leave_out(Reason::NotHistory, "system samples", state.stats().records());
    }
    report.run_id = match state.info().run_id() {
        "" => file_id(log.path()),
        id => id.to_owned(),
    };
    Ok(state)
}

pub(super) struct Run<'a> {
    pub(super) log: &'a Repeated,
    pub(super) state: &'a RunState,
    pub(super) options: &'a Options,
    /// Whether nothing more is to come, so that what stands behind the rows is written.
    pub(super) complete: bool,
}

impl Run<'_> {
    pub(super) fn write(
        &self,
        directory: &Path,
        layouts: &mut HashSet<Vec<u8>>,
        report: &mut RunReport,
    ) -> Result<()> {
        let mut rows = RowReader::default();
        let first_time = self.survey(&mut rows, report)?;
        let from_tensorboard = from_tensorboard(self.state.config());
        let console = self.options.console.then_some(CONSOLE);
        let reserved = OWN_TAGS.into_iter().chain(console);
        let renamed = rows.keys.settle(&self.options.separator, from_tensorboard, reserved);
        report.change(Changed::Renamed, renamed);
        report.carried.tags = rows.keys.tags();
        let start = self.start().or(first_time).unwrap_or(0.0);
        let options =
            SummaryWriter::options().start(start).host("wandb").flush_every(Duration::MAX);
        let mut writer = options.clone().create(directory)?;
        let has_hparams = self.begin(&mut writer, start, layouts, report)?;
        let files = FilesDir::beside(self.log.path());
        let mut emitter =
            Emitter::new(writer, files, self.options, report, from_tensorboard, start);
        rows.rewind();
        self.emit(&mut rows, &mut emitter, directory.join("system"), options)?;
        self.end(emitter, &mut rows.keys, has_hparams)
    }

    /// The second reading: which keys there are, and on which axes their steps rise. The time of the
    /// first row that has one.
    fn survey(&self, rows: &mut RowReader, report: &mut RunReport) -> Result<Option<f64>> {
        let mut first_time = None;
        let mut reader = self.log.reader()?;
        while let Some(record) = reader.next_record()? {
            let Ok(Some(body)) = record.body() else { continue };
            if body.kind != RecordKind::History {
                continue;
            }
            report.rows += 1;
            if rows.read(&record, &body.message, self.state.metrics()).is_err() {
                report.undecodable += 1;
                continue;
            }
            let (row, keys, integers) = rows.parts();
            let finite = row.timestamp.filter(|time| time.is_finite());
            first_time = first_time.or(finite);
            let global = keys.global().and_then(|key| integers.of(row, key));
            for (key, _) in &row.values {
                keys.see(*key, row.step, global, |number| integers.of(row, number));
            }
        }
        Ok(first_time)
    }

    /// The third reading: rows and system metrics are written.
    fn emit(
        &self,
        rows: &mut RowReader,
        emitter: &mut Emitter<'_>,
        system: PathBuf,
        options: SummaryWriterOptions,
    ) -> Result<()> {
        let mut system = System::new(system, emitter.start, options);
        let mut reader = self.log.reader()?;
        while let Some(record) = reader.next_record()? {
            let Ok(Some(body)) = record.body() else { continue };
            match body.kind {
                RecordKind::History
                    if rows.read(&record, &body.message, self.state.metrics()).is_ok() =>
                {
                    emitter.row(rows)?;
                }
                RecordKind::Stats if self.options.system => {
                    if let Ok(sample) = StatsRecord::decode(&*body.message) {
                        system.sample(&sample, emitter.report)?;
                    }
                }
                _ => {}
            }
        }
        system.finish()
    }

    /// What stands in front of the rows; whether there are hyperparameters.
    fn begin(
        &self,
        writer: &mut SummaryWriter,
        start: f64,
        layouts: &mut HashSet<Vec<u8>>,
        report: &mut RunReport,
    ) -> Result<bool> {
        if let Some(layout) = layout(self.state.metrics(), &self.options.separator)
            && layouts.insert(layout.encode_to_vec())
        {
            let charts = layout.category.iter().map(|category| category.chart.len() as u64);
            report.carried.charts = charts.sum();
            writer.custom_scalars_at(&layout, start)?;
        }
        let (found, flattened) = match self.options.hparams {
            true => hparams(self.state.config(), &self.options.separator),
            false => Default::default(),
        };
        report.leave_out(Reason::Null, "config", flattened.nulls);
        report.change(Changed::Renamed, flattened.renamed);
        report.carried.hparams = found.len() as u64;
        if !found.is_empty() {
            writer.hparams_at(&found, start)?;
        }
        Ok(!found.is_empty())
    }

    /// What stands behind the rows.
    fn end(&self, emitter: Emitter<'_>, keys: &mut Keys, has_hparams: bool) -> Result<()> {
        let Emitter { mut writer, report, start, last_step, last_time, .. } = emitter;
        let all = (0..keys.len()).filter_map(|number| keys.get(number));
        let counted = all.filter(|key| key.axis == Axis::Counted);
        report.change(Changed::Counted, counted.map(|key| key.count as u64).sum());
        if !self.complete {
            return writer.sync();
        }
        let at = At::from((last_step, last_time));
        if self.options.summary {
            self.summary(&mut writer, keys, at, report)?;
        }
        if self.options.console && self.state.console().count() > 0 {
            let lines = self.state.console().lines();
            let lines: Vec<String> = lines.map(|line| line.text()).collect();
            report.carried.console_lines = lines.len() as u64;
            let left = self.state.console().count().saturating_sub(lines.len() as u64);
            report.leave_out(Reason::NotHistory, "console lines", left);
            let text = fenced("", &lines.join("\n"));
            writer.text(CONSOLE, at, &text)?;
        }
        if let Some(exit) = self.state.exit().filter(|_| has_hparams) {
            let outcome = if exit.code == 0 { Outcome::Success } else { Outcome::Failure };
            let runtime = f64::from(exit.runtime.max(0));
            writer.hparams_end_at(outcome, last_time.max(start + runtime))?;
        }
        writer.sync()
    }

    /// The numbers of the summary that no row has.
    fn summary(
        &self,
        writer: &mut SummaryWriter,
        keys: &mut Keys,
        at: At,
        report: &mut RunReport,
    ) -> Result<()> {
        let mut numbers = Vec::new();
        leaves(&self.state.summary(), &mut Vec::new(), &mut |path, number| {
            if keys.at(path).is_empty() && !is_reserved(path) {
                numbers.push((path.join(&self.options.separator), number as f32));
            }
        });
        for (name, number) in numbers {
            let wanted = format!("summary/{name}");
            let tag = keys.free_tag(&wanted);
            report.change(Changed::Renamed, (tag != wanted).into());
            writer.scalar(&tag, at, number)?;
            report.carried.scalars += 1;
        }
        Ok(())
    }

    /// When the run started, in seconds since 1970.
    fn start(&self) -> Option<f64> {
        let time = self.state.info().start_time()?;
        Some(time.seconds as f64 + f64::from(time.nanos) / 1e9)
    }
}

fn leaves(value: &Value, path: &mut Vec<String>, leaf: &mut impl FnMut(&[String], f64)) {
    if let Value::Object(members) = value {
        if members.contains_key("_type") {
            return;
        }
        for (name, value) in members {
            path.push(name.clone());
            leaves(value, path, leaf);
            path.pop();
        }
    } else if let Some(number) = value.as_f64() {
        leaf(path, number);
    }
}

fn is_reserved(path: &[String]) -> bool {
    path.first().is_some_and(|name| name.starts_with('_'))
}

/// The id in a log's name, for a log without a run record.
fn file_id(log: &Path) -> String {
    let stem = log.file_stem().unwrap_or_default().to_string_lossy();
    stem.strip_prefix("run-").unwrap_or(&stem).to_owned()
}

/// The tag of the console.
const CONSOLE: &str = "console";
