//! What is told while runs are uploaded: on a terminal a line for each run and one for all, else lines as
//! things happen.

use crate::PROGRAM;
use crate::support::{complain, count, shown};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use wandb_offline::sync::{Event, RunStatus};

/// Tells of events, from several threads.
pub(super) struct Progress {
    json: bool,
    verbose: bool,
    lines: Option<Lines>,
}

impl Progress {
    pub(super) fn new(json: bool, verbose: bool) -> Self {
        let lines = (!json && std::io::stderr().is_terminal()).then(Lines::new);
        Self { json, verbose, lines }
    }

    /// Tells what happens, on stderr, or as a line of JSON on stdout.
    pub(super) fn tell(&self, event: &Event<'_>) {
        if self.json {
            let line = serde_json::to_string(event).unwrap_or_default();
            // A closed pipe shows at the end.
            let _ = writeln!(std::io::stdout().lock(), "{line}");
            return;
        }
        if let Some(lines) = &self.lines {
            lines.note(event);
        }
        match event {
            Event::Created { log, url } if self.verbose => {
                self.say(&format!("{} -> {url}", log.display()));
            }
            Event::Waiting { what, why, time } => {
                let seconds = time.as_secs_f64();
                self.say(&format!("{what}: {why}; trying again in {seconds:.1} s"));
            }
            Event::Ended { report } => {
                let skipped = report.status == RunStatus::Skipped;
                let mark = if skipped { "left out: " } else { "" };
                for problem in &report.problems {
                    self.say(&format!("{}: {mark}{problem}", report.log.display()));
                }
            }
            _ => {}
        }
    }

    /// A line that stays, above those that change.
    fn say(&self, text: &str) {
        match &self.lines {
            Some(lines) => lines.all.suspend(|| complain(PROGRAM, &text)),
            None => complain(PROGRAM, &text),
        }
    }

    /// Takes the lines that change away.
    pub(super) fn end(&self) {
        if let Some(lines) = &self.lines {
            lines.total.finish_and_clear();
            // A terminal that is gone needs no cleaning.
            let _ = lines.all.clear();
        }
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

/// Runs that have a line of their own; the others are in the total.
const LINES: usize = 16;
