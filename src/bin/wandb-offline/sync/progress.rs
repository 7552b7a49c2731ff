//! What is told while runs are uploaded, as it happens: when a run begins, and its receipt when it ends. On a
//! terminal there is also a line for each run that goes on, and one for all.

use super::receipt::receipt;
use super::{json, print};
use crate::PROGRAM;
use crate::support::{complain, count, shown};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use wandb_offline::sync::{Event, RunReport, RunStatus};
use wandb_offline::{Error, Result};

/// Tells of events, from several threads.
pub(super) struct Progress {
    json: bool,
    verbose: bool,
    server: String,
    lines: Option<Lines>,
    ends: Mutex<Ends>,
    /// When it was last told of each host that it is waited for.
    waits: Mutex<HashMap<String, Instant>>,
    /// Why something could not be printed.
    failed: Mutex<Option<Error>>,
}

impl Progress {
    pub(super) fn new(json: bool, verbose: bool, server: &str) -> Self {
        let lines = (!json && std::io::stderr().is_terminal()).then(Lines::new);
        let (ends, waits, failed) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { json, verbose, server: server.to_owned(), lines, ends, waits, failed }
    }

    /// Tells what happens: receipts on stdout and the rest on stderr, or all as lines of JSON on stdout.
    pub(super) fn tell(&self, event: &Event<'_>) {
        if self.json {
            return self.put(|| print(&json(event)?));
        }
        if let Some(lines) = &self.lines {
            lines.note(event);
        }
        match event {
            Event::Found { logs } if self.verbose => {
                self.say(&format!("{} to upload", count(*logs as u64, "log")));
            }
            Event::Passed { path, why } if self.verbose => {
                self.say(&format!("{}: passed over: {why}", path.display()));
            }
            // On a terminal a run that goes on has a line anyway.
            Event::Created { log, url } if self.verbose || self.lines.is_none() => {
                self.say(&format!("uploading {} -> {url}", log.display()));
            }
            Event::Waiting { log, host, what, why, time } => {
                let (log, seconds) = (log.display(), time.as_secs_f64());
                if self.verbose || self.is_news(host) {
                    self.say(&format!(
                        "{log}: {what} at {host}: {why}; trying again in {seconds:.1} s"
                    ));
                }
            }
            Event::Remark { text } => self.say(&format!("warning: {text}")),
            Event::Ended { report } => {
                let skipped = report.status == RunStatus::Skipped;
                let mark = if skipped { "left out: " } else { "" };
                for problem in &report.problems {
                    self.say(&format!("{}: {mark}{problem}", report.log.display()));
                }
                for notice in &report.notices {
                    self.say(&format!("{}: note: {notice}", report.log.display()));
                }
                self.put(|| print(&receipt(report, &self.server, self.verbose)));
                self.ends.lock().unwrap_or_else(PoisonError::into_inner).add(report);
            }
            _ => {}
        }
    }

    /// Whether nothing was told of a host for a while: when it is away, all runs wait for it.
    fn is_news(&self, host: &str) -> bool {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let told = waits.get(host).is_some_and(|then| now.duration_since(*then) < QUIET);
        if !told {
            waits.insert(host.to_owned(), now);
        }
        !told
    }

    /// A line that stays, above those that change.
    fn say(&self, text: &str) {
        match &self.lines {
            Some(lines) => lines.all.suspend(|| complain(PROGRAM, &text)),
            None => complain(PROGRAM, &text),
        }
    }

    /// Prints a result, above the lines that change. A failure shows at the end.
    fn put(&self, print: impl FnOnce() -> Result<()>) {
        let printed = match &self.lines {
            Some(lines) => lines.all.suspend(print),
            None => print(),
        };
        if let Err(error) = printed {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    /// Takes the lines that change away, and tells whether all could be printed.
    pub(super) fn end(self) -> Result<()> {
        if let Some(lines) = &self.lines {
            lines.total.finish_and_clear();
            // A terminal that is gone needs no cleaning.
            let _ = lines.all.clear();
        }
        let ends = self.ends.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(total) = ends.total().filter(|_| !self.json) {
            complain(PROGRAM, &total);
        }
        let failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.map_or(Ok(()), Err)
    }
}

/// How the logs ended, each as it did last.
#[derive(Default)]
struct Ends(HashMap<PathBuf, RunStatus>);

impl Ends {
    fn add(&mut self, report: &RunReport) {
        self.0.insert(report.log.clone(), report.status);
    }

    /// A line for all, where there are several.
    fn total(&self) -> Option<String> {
        let of = |statuses: &[RunStatus], what: &str| {
            let n = self.0.values().filter(|status| statuses.contains(status)).count();
            (n > 0).then(|| format!("{n} {what}"))
        };
        let parts = [
            of(&[RunStatus::Synced], "synced"),
            of(&[RunStatus::Already], "synced before"),
            of(&[RunStatus::Planned], "would be synced"),
            of(&[RunStatus::Open], "left open"),
            of(&[RunStatus::Partly], "synced in part"),
            of(&[RunStatus::Failed], "failed"),
            of(&[RunStatus::Skipped], "left out"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let logs = count(self.0.len() as u64, "log");
        (self.0.len() > 1).then(|| format!("{logs}: {}", parts.join(", ")))
    }
}

/// Lines on a terminal.
struct Lines {
    all: MultiProgress,
    total: ProgressBar,
    runs: Mutex<Runs>,
}

#[derive(Default)]
struct Runs {
    found: u64,
    ended: u64,
    rows: HashMap<PathBuf, u64>,
    lines: HashMap<PathBuf, ProgressBar>,
}

impl Lines {
    fn new() -> Self {
        let all = MultiProgress::new();
        let total = all.add(line("{spinner} {msg}"));
        Self { all, total, runs: Mutex::default() }
    }

    fn note(&self, event: &Event<'_>) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Found { logs } => runs.found += *logs as u64,
            Event::Started { log } if runs.lines.len() < LINES => {
                let line = self.all.insert_before(&self.total, line("  {spinner} {prefix}  {msg}"));
                line.set_prefix(name(log));
                runs.lines.insert(log.to_path_buf(), line);
            }
            Event::Progress { log, rows } => {
                runs.rows.insert(log.to_path_buf(), *rows);
                if let Some(line) = runs.lines.get(*log) {
                    line.set_message(count(*rows, "row"));
                }
            }
            Event::Ended { report } if report.status != RunStatus::Skipped => {
                runs.ended += 1;
                runs.rows.insert(report.log.clone(), report.receipt.rows);
                if let Some(line) = runs.lines.remove(&report.log) {
                    line.finish_and_clear();
                    self.all.remove(&line);
                }
            }
            _ => return,
        }
        let rows = count(runs.rows.values().sum(), "row");
        let (ended, found) = (runs.ended, count(runs.found.max(runs.ended), "log"));
        self.total.set_message(format!("{ended} of {found}, {rows}"));
    }
}

fn line(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    let line = ProgressBar::new_spinner();
    line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    line.enable_steady_tick(Duration::from_millis(200));
    line
}

/// The directory of a run says when it was, too.
fn name(log: &Path) -> String {
    let name = log.parent().and_then(Path::file_name).or_else(|| log.file_name());
    shown(&name.unwrap_or_default().to_string_lossy())
}

/// So long nothing more is told of a host that is waited for.
const QUIET: Duration = Duration::from_secs(10);

/// Runs that have a line of their own; the others are in the total.
const LINES: usize = 16;
