//! How to make a summary writer.

use super::{SummaryWriter, at};
use crate::error::{Error, ErrorKind, Result};
use crate::io::host_name;
use crate::proto::tensorboard::session_log::SessionStatus;
use crate::proto::tensorboard::{Event, SessionLog, SourceMetadata, event::What};
use crate::tfevents::EventWriter;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How to make a summary writer; see [`SummaryWriter::options`].
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `create` is called"]
pub struct SummaryWriterOptions {
    purge_step: Option<i64>,
    flush_every: Duration,
    start: Option<f64>,
    host: Option<String>,
}

impl Default for SummaryWriterOptions {
    fn default() -> Self {
        Self { purge_step: None, flush_every: FLUSH_EVERY, start: None, host: None }
    }
}

impl SummaryWriterOptions {
    /// The training goes on from this step: what an earlier file of the directory has for it and later
    /// steps no longer counts.
    pub const fn purge_step(mut self, step: i64) -> Self {
        self.purge_step = Some(step);
        self
    }

    /// How long a value may wait in memory before the next one takes it to the file; 5 seconds by
    /// default. Zero means not at all.
    pub const fn flush_every(mut self, time: Duration) -> Self {
        self.flush_every = time;
        self
    }

    /// When the file begins, in seconds since 1970; by default now. Its name says so, and TensorBoard
    /// reads the files of a directory in the order of their names. So the name says a later second
    /// where the directory has files that would be read after this one: those of the same second, and,
    /// unless a start is given, those of a machine whose clock is ahead.
    pub const fn start(mut self, wall_time: f64) -> Self {
        self.start = Some(wall_time);
        self
    }

    /// The host in the file's name; by default this machine's.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.host = Some(name.into());
        self
    }

    /// Makes the directory, if it is not there, and in it a new file, whatever else is there:
    /// `events.out.tfevents.<seconds>.<host>.<process>.<number>`.
    ///
    /// # Errors
    /// When the directory or the file cannot be made, or the start is no finite number.
    pub fn create(self, dir: impl AsRef<Path>) -> Result<SummaryWriter> {
        let (dir, start) = (dir.as_ref(), self.start_time()?);
        fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, error))?;
        let host = match &self.host {
            Some(host) => host.clone(),
            None => host_name(),
        };
        let events = create_file(dir, start, self.start.is_none(), &name_part(&host))?;
        self.begin(events, start)
    }

    /// Writes to any sink.
    ///
    /// # Errors
    /// When writing fails, or the start is no finite number.
    pub fn write_to<W: io::Write>(self, sink: W) -> Result<SummaryWriter<W>> {
        let start = self.start_time()?;
        self.begin(EventWriter::new(sink, PathBuf::new()), start)
    }

    fn start_time(&self) -> Result<f64> {
        match self.start {
            None => Ok(at::now()),
            Some(start) if start.is_finite() => Ok(start),
            Some(start) => {
                let reason = format!("start is {start}, want a finite number of seconds");
                Err(Error::new(ErrorKind::Value(reason)))
            }
        }
    }

    /// Writes what a file begins with, at once, so that TensorBoard sees the run.
    fn begin<W: io::Write>(
        self,
        mut events: EventWriter<W>,
        start: f64,
    ) -> Result<SummaryWriter<W>> {
        let version = |step| Event {
            wall_time: start,
            step,
            source_metadata: Some(SourceMetadata { writer: SOURCE.into() }),
            what: Some(What::FileVersion(VERSION.into())),
        };
        events.event(&version(0))?;
        if let Some(step) = self.purge_step {
            // As torch and tensorboardX have it, whose readers rely on the step of both.
            let log = SessionLog { status: SessionStatus::Start as i32, ..Default::default() };
            let what = Some(What::SessionLog(log));
            events.event(&version(step))?;
            events.event(&Event { wall_time: start, step, what, ..Event::default() })?;
        }
        events.flush()?;
        Ok(SummaryWriter::new(events, self.flush_every))
    }
}

/// Creates a file that was not there, under a name that sorts behind those it has to be read after.
fn create_file(dir: &Path, start: f64, name_after_all: bool, host: &str) -> Result<EventWriter> {
    let wanted = (start.max(0.0) as u64).min(LAST_SECOND);
    let others = names_there(dir);
    let latest = others.iter().map(|(seconds, _)| *seconds).max().filter(|_| name_after_all);
    let mut seconds = latest.map_or(wanted, |latest| latest.max(wanted));
    let process = std::process::id();
    loop {
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let name = |seconds| {
            // Of one width, or the tenth file would be read before the second.
            format!("events.out.tfevents.{seconds:010}.{host}.{process:07}.{number:06}")
        };
        let is_behind =
            |at: u64| others.iter().all(|(second, other)| *second != at || *other < name(at));
        while seconds < LAST_SECOND && !is_behind(seconds) {
            seconds += 1;
        }
        match EventWriter::create(dir.join(name(seconds))) {
            // Of a process of the same number, perhaps in a container. The next number will do.
            Err(error) if is_taken(&error) && number < NUMBERS_TRIED => {}
            made => return made,
        }
    }
}

/// The event files of a directory that are named as this crate and torch name them, each with its
/// second; others sort elsewhere whatever a new one is called.
fn names_there(dir: &Path) -> Vec<(u64, String)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let timed = names.filter_map(|name| {
        let seconds =
            name.strip_prefix("events.out.tfevents.")?.get(..SECONDS_LEN)?.parse().ok()?;
        Some((seconds, name))
    });
    timed.collect()
}

fn is_taken(error: &Error) -> bool {
    let taken = io::ErrorKind::AlreadyExists;
    matches!(error.kind(), ErrorKind::Io { source, .. } if source.kind() == taken)
}

/// A host as part of a file's name.
fn name_part(host: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    let name: String = host.chars().take(64).map(|c| if fine(c) { c } else { '_' }).collect();
    if name.is_empty() { "localhost".into() } else { name }
}

/// How many files this process has made.
static FILES: AtomicU64 = AtomicU64::new(0);

const NUMBERS_TRIED: u64 = 1 << 40;

/// Digits of the seconds in a name, and the last that have no more.
const SECONDS_LEN: usize = 10;
const LAST_SECOND: u64 = 9_999_999_999;

const FLUSH_EVERY: Duration = Duration::from_secs(5);

const VERSION: &str = "brain.Event:2";

const SOURCE: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
