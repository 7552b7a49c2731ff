//! The logs and event files that are worked on: made once, by this crate's own writers, in the shape that the
//! official clients give them.

use crate::shape::{KEYS, Numbers};
use anyhow::{Context as _, Result};
use prost_types::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wandb_offline::json::{put_f64, put_i64};
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal::{HeaderRecord, RunExitRecord, RunRecord, VersionInfo};
use wandb_offline::record::RecordKind;
use wandb_offline::tfevents::SummaryWriter;
use wandb_offline::{Writer, wire};

/// The metrics of a row, which are the first of its keys; `_timestamp`, `_runtime` and `_step` follow.
pub(crate) const METRICS: [&str; 10] = *KEYS.first_chunk().expect("a row has ten metrics");

/// Bytes of a row in a log, nearly.
pub(crate) const ROW_LEN: u64 = 465;

/// The directory that the data is made in.
#[derive(Debug)]
pub(crate) struct Data {
    dir: PathBuf,
}

impl Data {
    /// Data in this directory, which is made.
    pub(crate) fn new(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        Ok(Self { dir: dir.canonicalize()? })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A log of so many rows, with nothing else in it but its header, its run and its end.
    pub(crate) fn log(&self, rows: u64) -> Result<PathBuf> {
        self.part("log", 0, rows)
    }

    /// A log of so many rows in two halves, as a run that was resumed leaves them.
    pub(crate) fn halves(&self, rows: u64) -> Result<[PathBuf; 2]> {
        Ok([self.part("first", 0, rows / 2)?, self.part("second", rows / 2, rows)?])
    }

    fn part(&self, what: &str, first: u64, end: u64) -> Result<PathBuf> {
        let dir = self.made(&format!("{what}-{end}"), |dir| {
            let dir = dir.join(format!("offline-run-20260101_{:06}-{ID}", u64::from(first > 0)));
            fs::create_dir_all(&dir)?;
            write_log(&dir.join(format!("run-{ID}.wandb")), first..end)
        })?;
        let run = fs::read_dir(&dir)?.next().context("an empty directory")??.path();
        Ok(run.join(format!("run-{ID}.wandb")))
    }

    /// A directory of runs that a [`Writer`] wrote, with so many rows each.
    pub(crate) fn runs(&self, runs: u64, rows: u64) -> Result<PathBuf> {
        self.made(&format!("runs-{runs}-of-{rows}"), |dir| {
            for number in 0..runs {
                write_run(dir, number, rows)?;
            }
            Ok(())
        })
    }

    /// A log directory of runs that have so many scalars each, an event for each scalar.
    pub(crate) fn events(&self, runs: u64, scalars: u64) -> Result<PathBuf> {
        self.made(&format!("events-{runs}-of-{scalars}"), |dir| {
            (0..runs).try_for_each(|run| write_events(&dir.join(format!("run-{run:03}")), scalars))
        })
    }

    /// Removes what is too large to be kept.
    pub(crate) fn forget_large(&self) -> Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let rows = name.rsplit('-').next().and_then(|rows| rows.parse::<u64>().ok());
            if !name.starts_with("events") && rows.is_some_and(|rows| rows > KEPT_ROWS) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }

    /// The directory of this name; if it is not there yet, it is made whole or not at all.
    fn made(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        if !dir.exists() {
            eprintln!("making {}", dir.display());
            let unfinished = self.dir.join(format!("{name}.unfinished"));
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished)?;
            }
            fs::create_dir_all(&unfinished)?;
            make(&unfinished)?;
            fs::rename(&unfinished, &dir)?;
        }
        Ok(dir)
    }
}

/// Logs with more rows than this are removed after their group.
const KEPT_ROWS: u64 = 2_000_000;

const ID: &str = "peers000";

/// 2026-01-01 00:00:00 UTC.
const START: f64 = 1_767_225_600.0;

/// What a training would log at a step.
fn metrics(step: u64, numbers: &mut Numbers) -> [f64; 10] {
    let (x, y, z) = (numbers.float(), numbers.float(), numbers.float());
    let progress = step as f64;
    [
        4.0 / (1.0 + progress * 1e-4) + 0.1 * x,
        y,
        2.5 * x * y + 1e-3,
        0.0003,
        progress / 1000.0,
        progress * 32768.0,
        0.01 + 0.003 * z,
        50_000.0 + 9000.0 * x,
        1e-7 * y,
        x * z,
    ]
}

fn write_log(path: &Path, rows: std::ops::Range<u64>) -> Result<()> {
    let mut log = LogWriter::create(path)?;
    let version =
        VersionInfo { producer: "0.31.0".into(), min_consumer: "0.70.0".into(), info: None };
    let header = HeaderRecord { version_info: Some(version), info: None };
    log.message(RecordKind::Header, &header)?;
    let run = RunRecord {
        run_id: ID.into(),
        project: "peers".into(),
        display_name: "a run to measure".into(),
        start_time: Some(Timestamp { seconds: START as i64 + rows.start as i64, nanos: 0 }),
        ..RunRecord::default()
    };
    log.message(RecordKind::Run, &run)?;
    let mut numbers = Numbers::new(rows.start);
    let mut row = Row::default();
    for step in rows {
        log.record(RecordKind::History, row.of(step, &mut numbers))?;
        if step % 256 == 0 {
            log.flush()?;
        }
    }
    log.message(RecordKind::Exit, &RunExitRecord::default())?;
    Ok(log.flush()?)
}

/// Seconds from one step to the next.
const STEP_SECONDS: f64 = 0.013;

/// Encodes rows.
#[derive(Debug, Default)]
struct Row {
    message: Vec<u8>,
    item: Vec<u8>,
    json: Vec<u8>,
}

impl Row {
    /// A `HistoryRecord`: items with their key as `nested_key`, then the step.
    fn of(&mut self, step: u64, numbers: &mut Numbers) -> &[u8] {
        self.message.clear();
        for (key, value) in METRICS.into_iter().zip(metrics(step, numbers)) {
            match key {
                "tokens/seen" => self.item(key, |json| put_i64(json, value as i64)),
                _ => self.item(key, |json| put_f64(json, value)),
            }
        }
        let runtime = 0.35 + step as f64 * STEP_SECONDS + numbers.float() * 1e-3;
        self.item("_timestamp", |json| put_f64(json, START + runtime));
        self.item("_runtime", |json| put_f64(json, runtime));
        self.item("_step", |json| put_i64(json, step as i64));
        self.item.clear();
        wire::put_uint(&mut self.item, 1, step);
        wire::put_bytes(&mut self.message, 2, &self.item);
        &self.message
    }

    fn item(&mut self, key: &str, put: impl FnOnce(&mut Vec<u8>)) {
        self.json.clear();
        put(&mut self.json);
        self.item.clear();
        wire::put_bytes(&mut self.item, 2, key.as_bytes());
        wire::put_bytes(&mut self.item, 16, &self.json);
        wire::put_bytes(&mut self.message, 1, &self.item);
    }
}

fn write_run(dir: &Path, number: u64, rows: u64) -> Result<()> {
    let run = Writer::options()
        .environment([("WANDB_DISABLE_GIT", "true")])
        .project("peers")
        .id(format!("peers{number:03}"))
        .dir(dir)
        .buffered(1000, Duration::from_secs(1))
        .create()?;
    let mut numbers = Numbers::new(number);
    for step in 0..rows {
        let values = metrics(step, &mut numbers);
        run.log(METRICS.into_iter().zip(values).collect::<Vec<_>>())?;
    }
    Ok(run.finish()?)
}

fn write_events(dir: &Path, scalars: u64) -> Result<()> {
    let options = SummaryWriter::options().start(START).host("peers");
    let mut run = options.flush_every(Duration::from_secs(3600)).create(dir)?;
    let mut numbers = Numbers::new(scalars);
    for number in 0..scalars {
        let step = number / METRICS.len() as u64;
        let tag = METRICS[(number % METRICS.len() as u64) as usize];
        let at = (step as i64, START + step as f64 * STEP_SECONDS);
        run.scalar(tag, at, numbers.float() as f32)?;
    }
    Ok(run.finish()?)
}
