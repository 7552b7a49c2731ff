//! One run: read, sorted, written under a temporary name, renamed.

use super::Progress;
use super::config::HParams;
use super::keys::{assign, display_name, project};
use super::options::{Options, Restart, StepMode};
use super::payload::Payloads;
use super::plan::Job;
use super::read::{Reading, SeriesInfo, Times};
use super::report::{FileError, Reason, Rename, RunReport, RunStatus};
use super::restart::Filter;
use super::rows::{Halt, Layout, Rows};
use super::scratch::Scratch;
use super::sorted::Sorted;
use super::staging::PendingDir;
use super::summary::summary;
use super::update::{PRODUCER, update};
use super::values::Values;
use crate::error::{Error, Result};
use crate::log::LogWriter;
use crate::proto::wandb_internal as pb;
use crate::record::RecordKind;
use crate::tfevents::event_file_host;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Converts one run, all but the last steps, which wait for the disk; nothing is left to do for a run
/// without events, and in a dry run. What was done so far stands in `report` also when it fails.
pub(super) fn convert_run(
    job: &Job,
    options: &Options,
    workers: usize,
    before: Option<&Path>,
    unfinished: bool,
    report: &mut RunReport,
    observe: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Option<StagedRun>> {
    let scratch = Scratch::of(options);
    let mut reading = Reading::new(report, observe, options, scratch, options.memory / workers);
    for (number, group) in (0..).zip(&job.groups) {
        reading.group(number, group)?;
    }
    let Reading { points, series, hparams, times, lowest_step, sources, .. } = reading;
    for unread in &job.unreadable {
        if report.unreadable.iter().all(|known| known.file != unread.file) {
            report.unreadable.push(unread.clone());
        }
    }
    if report.events == 0 {
        if let Some(unreadable) = report.unreadable.first() {
            let FileError { file, error } = unreadable;
            return Err(Error::misuse(error.clone()).at(file));
        }
        report.status = RunStatus::Empty;
        report.error = Some("no event in its files".into());
        return Ok(None);
    }
    let points = points.finish()?;
    let run = Run { job, options, series: &series, hparams: &hparams, times, unfinished };
    let counted = run.counts_steps(&points, lowest_step)?;
    let stamp = stamp(times.map_or(0.0, |times| times.first));
    let new = options.output.join(format!("offline-run-{stamp}-{}", job.id));
    let directory = before.map_or_else(|| new, Path::to_owned);
    report.status = RunStatus::Converted;
    let mut payloads = sources.finish();
    if options.dry_run {
        with_room(counted, |counted| {
            let mut log = LogWriter::new(io::sink(), "the dry run");
            run.write(&mut log, &points, (&mut payloads, None), counted, report)
        })?;
        report.directory = Some(directory);
        return Ok(None);
    }
    let (pending, log) = with_room(counted, |counted| {
        let pending = PendingDir::new(&options.output)?;
        let mut log = LogWriter::create(pending.unfinished_log())?;
        let files = Some(pending.files());
        run.write(&mut log, &points, (&mut payloads, files), counted, report)?;
        Ok((pending, log))
    })?;
    Ok(Some(StagedRun { pending, log, id: job.id.clone(), directory, updates: before.is_some() }))
}

/// Writes with `_step` as decided, or, where it turns out that a step needs more than one row, once more
/// with steps counted.
fn with_room<T>(counted: bool, mut write: impl FnMut(bool) -> Result<T, Halt>) -> Result<T> {
    let written = match write(counted) {
        Err(Halt::NoRoom) => write(true),
        written => written,
    };
    written.map_err(|halt| match halt {
        Halt::Failed(error) => error,
        Halt::NoRoom => Error::misuse("a step has more than its rows have room for"),
    })
}

/// A run that is written, but not yet safe on the disk and not in its place.
pub(super) struct StagedRun {
    pending: PendingDir,
    log: LogWriter,
    id: String,
    directory: PathBuf,
    /// Whether the directory is that of the run as it was before.
    updates: bool,
}

impl StagedRun {
    /// Does the rest.
    pub(super) fn finish(mut self, report: &mut RunReport) -> Result<()> {
        self.log.sync()?;
        self.pending.name_log(&self.id)?;
        if self.updates {
            update(&self.directory, self.pending.path(), &self.id, report)?;
        } else {
            self.pending.complete(&self.directory)?;
        }
        report.directory = Some(self.directory);
        Ok(())
    }
}

/// Everything about a run but its points.
struct Run<'a> {
    job: &'a Job,
    options: &'a Options,
    series: &'a [SeriesInfo],
    hparams: &'a HParams,
    times: Option<Times>,
    unfinished: bool,
}

impl Run<'_> {
    fn filter(&self) -> Filter {
        Filter::new(self.options.restart, self.series.len(), self.job.groups.len())
    }

    /// Whether `_step` must be a counter.
    fn counts_steps(&self, points: &Sorted, lowest_step: i64) -> Result<bool> {
        match self.options.step_mode {
            StepMode::Counter => Ok(true),
            StepMode::TensorBoard if lowest_step < 0 => Err(Error::misuse(format!(
                "step {lowest_step} cannot be a W&B step; counted steps can hold it"
            ))),
            StepMode::TensorBoard => Ok(false),
            StepMode::Auto if lowest_step < 0 => Ok(true),
            StepMode::Auto => match self.options.restart {
                Restart::All | Restart::Session => self.comes_twice(points),
                Restart::TensorBoard | Restart::Last => Ok(false),
            },
        }
    }

    /// Whether a series has two valid points at one step.
    fn comes_twice(&self, points: &Sorted) -> Result<bool> {
        let mut filter = self.filter();
        let mut last: Vec<Option<i64>> = vec![None; self.series.len()];
        let mut twice = false;
        points.walk(|point| -> Result<()> {
            if point.is_purge() {
                filter.purge(point);
                return Ok(());
            }
            let at = point.series as usize;
            let group = self.series.get(at).map_or(0, |series| series.group);
            if let Some(last) = last.get_mut(at).filter(|_| filter.admits(point, group)) {
                twice |= last.replace(point.step) == Some(point.step);
            }
            Ok(())
        })?;
        Ok(twice)
    }

    fn write<W: Write>(
        &self,
        log: &mut LogWriter<W>,
        points: &Sorted,
        (payloads, files): (&mut Payloads, Option<PathBuf>),
        counted: bool,
        report: &mut RunReport,
    ) -> Result<(), Halt> {
        let keys = self.keys()?;
        let renamed = self.series.iter().zip(&keys).filter(|(series, key)| series.tag != **key);
        let rename = |(of, key): (&SeriesInfo, &String)| (of.tag.clone(), key.clone());
        report.renamed = renamed.map(rename).map(|(tag, key)| Rename { tag, key }).collect();
        let start = self.times.map_or(0.0, |times| times.first);
        self.head(log, start, counted)?;
        let keeps_all = matches!(self.options.restart, Restart::All | Restart::Session);
        let layout = Layout {
            counter: counted,
            may_count: self.options.step_mode == StepMode::Auto,
            extra_rows: counted && keeps_all,
            same_step_is_loss: keeps_all,
            wall_times: self.options.wall_times,
            start,
        };
        let groups = self.series.iter().map(|series| series.group).collect();
        let values = Values::new(payloads, self.series, &keys, files);
        let mut rows = Rows::new(log, values, &keys, groups, self.filter(), layout);
        points.walk(|point| rows.point(point))?;
        rows.end_row()?;
        let counts = rows.counts;
        let (summary, not_in_summary) = summary(&keys, &rows, self.runtime(start).into());
        report.not_in_summary = not_in_summary;
        report.tags = rows.last_values().count() as u64;
        (report.media, report.media_bytes) = rows.values.written();
        let notes = rows.values.notes();
        (report.large_texts, report.rebinned) = (notes.large_texts, notes.rebinned);
        report.binned_tensors = notes.binned;
        for &(reason, what, count) in &notes.skipped {
            report.leave_out(reason, what, count);
        }
        self.end(log, summary)?;
        report.rows = counts.rows;
        report.points = counts.points;
        report.other_wall_times = counts.other_wall_times;
        report.wall_times_dropped = counts.other_wall_times > 0 && !self.options.wall_times;
        report.counted_steps = counted;
        report.hparams = self.hparams.len();
        report.leave_out(Reason::Restart, "", counts.preempted);
        report.leave_out(Reason::SameStep, "", counts.same_step);
        report.leave_out(Reason::TooLarge, "", counts.too_large);
        report.left_out.sort_by(|a, b| (a.reason, &a.what).cmp(&(b.reason, &b.what)));
        Ok(log.flush()?)
    }

    /// A key for each series. Tags that were given the same key on purpose are an error; others share
    /// none, for those that would get another one.
    fn keys(&self) -> Result<Vec<String>> {
        let mut first: HashMap<&str, &SeriesInfo> = HashMap::new();
        for series in self.series {
            let other = *first.entry(series.key.as_str()).or_insert(series);
            if other.tag != series.tag {
                return Err(Error::misuse(format!(
                    "tags {:?} and {:?} would both have the key {:?}",
                    other.tag, series.tag, series.key
                )));
            }
        }
        let keys: Vec<String> = self.series.iter().map(|series| series.key.clone()).collect();
        Ok(assign(&keys))
    }

    /// Everything in front of the rows.
    fn head<W: Write>(&self, log: &mut LogWriter<W>, start: f64, counted: bool) -> Result<()> {
        let version = pb::VersionInfo {
            producer: format!("{PRODUCER}{}", env!("CARGO_PKG_VERSION")),
            min_consumer: "0.70.0".into(),
            ..pb::VersionInfo::default()
        };
        let header =
            pb::HeaderRecord { version_info: Some(version), ..pb::HeaderRecord::default() };
        log.message(RecordKind::Header, &header)?;
        log.message(RecordKind::Run, &self.run_record(start))?;
        if counted {
            let options = pb::MetricOptions { defined: true, ..pb::MetricOptions::default() };
            let axis = pb::MetricRecord {
                name: "global_step".into(),
                options: Some(options),
                ..pb::MetricRecord::default()
            };
            log.message(RecordKind::Metric, &axis)?;
            let all = pb::MetricRecord {
                glob_name: "*".into(),
                step_metric: "global_step".into(),
                options: Some(pb::MetricOptions { step_sync: true, ..options }),
                ..pb::MetricRecord::default()
            };
            log.message(RecordKind::Metric, &all)?;
        }
        Ok(())
    }

    /// The group: the one given, else the one the session names, else that of the log directory.
    fn group(&self, log_dir_name: &str) -> String {
        let of_session = || self.hparams.group_name().map(str::to_owned);
        let given = self.options.group.clone().or_else(of_session);
        given.unwrap_or_else(|| log_dir_name.to_owned())
    }

    fn run_record(&self, start: f64) -> pb::RunRecord {
        let Job { log_dir_name, name, id, groups, .. } = self.job;
        let options = self.options;
        let files = groups.iter().flat_map(|group| &group.files);
        let names = files.filter_map(|path| path.file_name()?.to_str());
        let host = names.filter_map(event_file_host).next().unwrap_or_default();
        let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let feature = pb::Feature { offline: true, ..pb::Feature::default() };
        let telemetry = pb::TelemetryRecord {
            feature: Some(feature),
            platform,
            ..pb::TelemetryRecord::default()
        };
        let config = self.hparams.config(name);
        pb::RunRecord {
            run_id: id.clone(),
            entity: options.entity.clone().unwrap_or_default(),
            project: project(options, log_dir_name),
            config: Some(pb::ConfigRecord { update: config, ..pb::ConfigRecord::default() }),
            run_group: self.group(log_dir_name),
            display_name: display_name(&options.name_template, log_dir_name, name),
            tags: options.tags.clone(),
            host: host.to_owned(),
            start_time: Some(timestamp(start)),
            telemetry: Some(telemetry),
            ..pb::RunRecord::default()
        }
    }

    fn end<W: Write>(&self, log: &mut LogWriter<W>, summary: pb::SummaryRecord) -> Result<()> {
        log.message(RecordKind::Summary, &summary)?;
        if let Some(exit_code) = self.hparams.exit_code().filter(|_| !self.unfinished) {
            let runtime = self.runtime(self.times.map_or(0.0, |times| times.first));
            let exit = pb::RunExitRecord { exit_code, runtime, ..pb::RunExitRecord::default() };
            log.message(RecordKind::Exit, &exit)?;
        }
        Ok(())
    }

    /// Whole seconds from the first to the last event; `as` stops at the largest there is.
    fn runtime(&self, start: f64) -> i32 {
        self.times.map_or(0.0, |times| times.last - start) as i32
    }
}

/// The wall time as W&B's directories show it: local time.
fn stamp(wall_time: f64) -> String {
    let time = Timestamp::from_second(wall_time as i64).unwrap_or(Timestamp::UNIX_EPOCH);
    TimeZone::system().to_datetime(time).strftime("%Y%m%d_%H%M%S").to_string()
}

fn timestamp(wall_time: f64) -> prost_types::Timestamp {
    let whole = wall_time.floor();
    let nanos = ((wall_time - whole) * 1e9) as i32;
    prost_types::Timestamp { seconds: whole as i64, nanos: nanos.clamp(0, 999_999_999) }
}
