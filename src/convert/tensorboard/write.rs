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
use super::rows::{Last, Layout, Rows, put_value};
use super::sorted::Sorted;
use super::update::{PRODUCER, update};
use super::values::Values;
use crate::error::{Error, Result};
use crate::json::{put_f64, put_i64};
use crate::log::LogWriter;
use crate::proto::wandb_internal as pb;
use crate::record::RecordKind;
use crate::tfevents::event_file_host;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Converts one run, or brings the one that was made `before` up to date; what it did so far stands in `report` also when it fails.
pub(super) fn convert_run(
    job: &Job,
    options: &Options,
    workers: usize,
    before: Option<&Path>,
    unfinished: bool,
    report: &mut RunReport,
    observe: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<()> {
    let scratch = scratch_dir(options)?;
    let mut reading = Reading::new(report, observe, options, scratch, options.memory / workers);
    for (number, group) in (0..).zip(&job.groups) {
        reading.group(number, group)?;
    }
    let Reading { points, series, hparams, times, lowest_step, sources, .. } = reading;
    if report.events == 0 {
        if let Some(unreadable) = report.unreadable.first() {
            let FileError { file, error } = unreadable;
            return Err(Error::misuse(error.clone()).at(file));
        }
        report.status = RunStatus::Empty;
        report.error = Some("no event in its files".into());
        return Ok(());
    }
    let points = points.finish()?;
    let run = Run { job, options, series: &series, hparams: &hparams, times, unfinished };
    let counted = run.counts_steps(&points, lowest_step)?;
    let stamp = stamp(times.map_or(0.0, |times| times.first));
    let name = format!("offline-run-{stamp}-{}", job.id);
    let new = options.output.join(&name);
    let directory = before.map_or_else(|| new.clone(), Path::to_owned);
    report.status = RunStatus::Converted;
    let payloads = (sources.finish(), None);
    if options.dry_run {
        let mut log = LogWriter::new(io::sink(), "the dry run");
        run.write(&mut log, &points, payloads, counted, report)?;
    } else {
        let pending = PendingDir::new(&options.output, &new)?;
        let mut log = LogWriter::create(pending.unfinished_log())?;
        let payloads = (payloads.0, Some(pending.path().join("files")));
        run.write(&mut log, &points, payloads, counted, report)?;
        log.sync()?;
        pending.name_log(&job.id)?;
        match before {
            None => pending.complete()?,
            Some(before) => update(before, pending.path(), &job.id, report)?,
        }
    }
    report.directory = Some(directory);
    Ok(())
}

/// Where points may be spilled: beside the output, where there is room for as much again; but a dry run
/// leaves that alone.
fn scratch_dir(options: &Options) -> Result<PathBuf> {
    if options.dry_run {
        return Ok(std::env::temp_dir());
    }
    fs::create_dir_all(&options.output)
        .map_err(|error| Error::io("create", &options.output, error))?;
    Ok(options.output.clone())
}

/// A run directory that is not complete yet, and is removed if it never is.
struct PendingDir {
    temporary: TempDir,
    directory: PathBuf,
}

impl PendingDir {
    fn new(output: &Path, directory: &Path) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tmp-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let temporary = builder
            .tempdir_in(output)
            .map_err(|e| Error::io("create a directory in", output, e))?;
        let files = temporary.path().join("files");
        fs::create_dir(&files).map_err(|error| Error::io("create", files, error))?;
        Ok(Self { temporary, directory: directory.to_owned() })
    }

    fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Where the log is written. What remains of a conversion that was killed is no log to anyone.
    fn unfinished_log(&self) -> PathBuf {
        self.path().join("log.part")
    }

    /// Gives the complete log its name.
    fn name_log(&self, id: &str) -> Result<()> {
        let log = self.path().join(format!("run-{id}.wandb"));
        fs::rename(self.unfinished_log(), &log).map_err(|e| Error::io("rename a file to", log, e))
    }

    /// Gives the directory its name, which nothing must have.
    fn complete(self) -> Result<()> {
        if fs::symlink_metadata(&self.directory).is_ok() {
            let path = self.directory.display();
            return Err(Error::misuse(format!("already converted: {path}")));
        }
        fs::rename(self.temporary.path(), &self.directory)
            .map_err(|error| Error::io("rename a directory to", &self.directory, error))?;
        // Nothing is left under the old name.
        let _ = self.temporary.keep();
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
        points.walk(|point| {
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
        (payloads, files): (Payloads, Option<PathBuf>),
        counted: bool,
        report: &mut RunReport,
    ) -> Result<()> {
        let keys = self.keys()?;
        let renamed = self.series.iter().zip(&keys).filter(|(series, key)| series.tag != **key);
        let rename = |(of, key): (&SeriesInfo, &String)| (of.tag.clone(), key.clone());
        report.renamed = renamed.map(rename).map(|(tag, key)| Rename { tag, key }).collect();
        let start = self.times.map_or(0.0, |times| times.first);
        self.head(log, start, counted)?;
        let keeps_all = matches!(self.options.restart, Restart::All | Restart::Session);
        let layout = Layout {
            counter: counted,
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
        let (counts, summary) = (rows.counts, self.summary(&keys, &rows, start));
        report.tags = rows.last_values().count() as u64;
        (report.media, report.media_bytes) = rows.values.written();
        for &(reason, what, count) in rows.values.skipped() {
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
        report.left_out.sort_by(|a, b| (a.reason, &a.what).cmp(&(b.reason, &b.what)));
        log.flush()
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

    /// The last value of each key, and what the last row says.
    fn summary<W: Write>(
        &self,
        keys: &[String],
        rows: &Rows<'_, W>,
        start: f64,
    ) -> pb::SummaryRecord {
        let item = |path: &[&str], put: &dyn Fn(&mut Vec<u8>)| {
            let mut text = Vec::new();
            put(&mut text);
            pb::SummaryItem {
                nested_key: path.iter().map(|&element| element.to_owned()).collect(),
                value_json: String::from_utf8(text).unwrap_or_default(),
                ..pb::SummaryItem::default()
            }
        };
        let mut update = Vec::new();
        for (series, last) in rows.last_values() {
            let Some(key) = keys.get(series) else { continue };
            match last {
                Last::Scalar(value) => update.push(item(&[key], &|text| put_value(text, value))),
                Last::Items(items) => update.extend(items.iter().map(|(element, json)| {
                    let path = [key.as_str(), element];
                    let path = if element.is_empty() { path.get(..1) } else { path.get(..) };
                    item(path.unwrap_or_default(), &|text| text.extend_from_slice(json))
                })),
            }
        }
        if let Some(row) = rows.last_row {
            update.push(item(&["global_step"], &|text| put_i64(text, row.step)));
            update.push(item(&["_step"], &|text| put_i64(text, row.number)));
            update.push(item(&["_timestamp"], &|text| put_f64(text, row.timestamp)));
            update.push(item(&["_runtime"], &|text| put_f64(text, row.runtime)));
        }
        let seconds = i64::from(self.runtime(start));
        update.push(item(&["_wandb", "runtime"], &|text| put_i64(text, seconds)));
        pb::SummaryRecord { update, ..pb::SummaryRecord::default() }
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
