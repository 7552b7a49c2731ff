//! The runs that are shown, and those that may come.

use super::rows::{Keys, Row};
use super::table::Table;
use super::{Printer, Shown};
use crate::Exit;
use crate::support::complain;
use crate::{PROGRAM, locate};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use wandb_offline::Result;
use wandb_offline::framing::Gap;
use wandb_offline::io::{End, News, Replaced};
use wandb_offline::log::{self, Follower, LogFile};
use wandb_offline::proto::wandb_internal::{Record, record::RecordType};
use wandb_offline::record::{HistoryView, RawRecord, RecordKind};
use wandb_offline::run::RunState;

/// All runs.
pub(super) struct Runs {
    runs: Vec<Run>,
    follow: bool,
    patience: Option<Duration>,
    /// Logs in directories of runs that were there before and are not shown: a change makes them.
    asleep: HashMap<PathBuf, (u64, SystemTime)>,
    /// Whether runs may appear.
    may_come: bool,
    failed: bool,
}

impl Runs {
    /// The runs that these paths mean now.
    pub(super) fn find(paths: &[PathBuf], follow: bool, patience: Option<Duration>) -> Self {
        let (runs, asleep) = (Vec::new(), HashMap::new());
        let mut all = Self { runs, follow, patience, asleep, may_come: false, failed: false };
        for path in paths {
            match locate(path) {
                Ok(log) if is_above(path, &log.path) => {
                    // `latest-run` leads to a run that is there under its own name, too.
                    let there = log::find(path).0;
                    let real = log.path.canonicalize().ok();
                    let same = |other: &&LogFile| other.path.canonicalize().ok() == real;
                    let latest = there.iter().find(same).unwrap_or(&log).path.clone();
                    let others = there.into_iter().filter(|log| log.path != latest);
                    all.asleep.extend(others.map(|log| (log.path, (log.size, log.modified))));
                    all.may_come |= follow;
                    all.add(latest);
                }
                Ok(log) => all.add(log.path),
                Err(_) if follow && is_log_name(path) => {
                    tell_waiting(path);
                    all.add(path.clone());
                }
                Err(_) if follow && (path.is_dir() || !path.exists()) => {
                    tell_waiting(path);
                    all.may_come = true;
                }
                Err(error) => {
                    complain(PROGRAM, &error);
                    all.failed = true;
                }
            }
        }
        all
    }

    /// Takes up the runs that appeared or changed in directories of runs.
    pub(super) fn look_for_new(&mut self, paths: &[PathBuf]) {
        if !self.may_come {
            return;
        }
        for path in paths.iter().filter(|path| path.is_dir()) {
            for LogFile { path, size, modified, .. } in log::find(path).0 {
                let known = self.runs.iter().any(|run| run.log.path() == path);
                if !known && self.asleep.get(&path) != Some(&(size, modified)) {
                    self.asleep.remove(&path);
                    self.add(path);
                }
            }
        }
    }

    fn add(&mut self, path: PathBuf) {
        if self.runs.iter().all(|run| run.log.path() != path) {
            self.runs.push(Run::new(path, self.runs.len(), self.follow, self.patience));
        }
    }

    pub(super) fn list_mut(&mut self) -> impl Iterator<Item = &mut Run> {
        let one_of_several = self.may_come || self.runs.len() > 1;
        for run in &mut self.runs {
            run.one_of_several = one_of_several;
        }
        self.runs.iter_mut()
    }

    pub(super) fn are_over(&self) -> bool {
        !self.may_come && self.runs.iter().all(|run| run.over)
    }

    pub(super) fn exit(&self) -> Exit {
        let failed = self.runs.iter().filter(|run| run.failed).count();
        let damaged = self.runs.iter().any(|run| run.gaps_told > 0);
        match (self.failed || failed > 0, failed < self.runs.len()) {
            (true, false) => Exit::Failed,
            (true, true) => Exit::Partly,
            (false, _) if damaged => Exit::Partly,
            (false, _) => Exit::Done,
        }
    }
}

/// Whether a path is a directory of runs and not the run itself.
fn is_above(path: &Path, log: &Path) -> bool {
    let run = log.parent().unwrap_or_else(|| Path::new(""));
    path.is_dir() && path != run && path.parent() != Some(run) && path != Path::new("files")
}

fn tell_waiting(path: &Path) {
    let what = if path.exists() { "no run here yet" } else { "no such path yet" };
    complain(PROGRAM, &format!("{what}, waiting: {}", path.display()));
}

fn is_log_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wandb")
}

/// A run.
pub(super) struct Run {
    log: Follower,
    path: String,
    index: usize,
    one_of_several: bool,
    follow: bool,
    table: Table,
    /// Whether the rows to begin with were printed.
    begun: bool,
    last_step: Option<i64>,
    exit_code: Option<i32>,
    gaps_told: u64,
    silence_told: bool,
    over: bool,
    failed: bool,
}

impl Run {
    fn new(path: PathBuf, index: usize, follow: bool, patience: Option<Duration>) -> Self {
        let shown = path.display().to_string();
        let mut log = Follower::new(path);
        if let Some(patience) = patience {
            log = log.give_up_after(patience);
        }
        log.set_at_rest(!follow);
        Self {
            log,
            path: shown,
            index,
            one_of_several: false,
            follow,
            table: Table::default(),
            begun: false,
            last_step: None,
            exit_code: None,
            gaps_told: 0,
            silence_told: false,
            over: false,
            failed: false,
        }
    }

    /// Prints what is new: at first the last `lines` rows.
    pub(super) fn read(&mut self, lines: usize, keys: &Keys, printer: &mut Printer) -> Result<()> {
        let mut rows = VecDeque::new();
        let end = loop {
            match self.log.poll() {
                Ok(News::Record(record)) => {
                    let (row, exit_code) = understand(&record, keys, &mut self.last_step);
                    self.exit_code = exit_code.or(self.exit_code);
                    self.over = false;
                    rows.extend(row);
                    if !self.begun && rows.len() > lines {
                        rows.pop_front();
                    } else if self.begun && rows.len() >= ROWS_AT_ONCE {
                        self.print(&mut rows, printer)?;
                    }
                }
                Ok(News::Replaced(why)) => {
                    self.print(&mut rows, printer)?;
                    self.start_again(why);
                }
                Ok(News::Over(end)) => break Some(end),
                Ok(_) => break None,
                Err(error) => {
                    if !std::mem::replace(&mut self.failed, true) {
                        complain(PROGRAM, &error);
                    }
                    self.over = true;
                    return Ok(());
                }
            }
        };
        self.failed = false;
        self.print(&mut rows, printer)?;
        self.begun |= self.log.tail().is_some();
        self.tell_damage();
        self.tell_state(end, printer)
    }

    fn print(&mut self, rows: &mut VecDeque<Row>, printer: &mut Printer) -> Result<()> {
        let Self { index, one_of_several, .. } = *self;
        let shown = Shown { index, path: &self.path, one_of_several };
        printer.rows(&shown, &mut self.table, rows.make_contiguous())?;
        rows.clear();
        Ok(())
    }

    fn start_again(&mut self, why: Replaced) {
        let why = match why {
            Replaced::Truncated => "became shorter",
            Replaced::Rewritten => "was written anew",
            _ => "was replaced by another",
        };
        complain(PROGRAM, &format!("the file {why}, reading it from its start: {}", self.path));
        (self.begun, self.over, self.silence_told) = (false, false, false);
        (self.last_step, self.exit_code) = (None, None);
    }

    fn tell_damage(&mut self) {
        let gaps = self.log.gaps();
        let new = gaps.gaps().get(self.gaps_told as usize..).unwrap_or_default();
        new.iter().for_each(|gap: &Gap| complain(PROGRAM, &format!("{gap}: {}", self.path)));
        self.gaps_told = gaps.count();
    }

    /// Tells once that the run has ended, or that nothing came for long.
    fn tell_state(&mut self, end: Option<End>, printer: &mut Printer) -> Result<()> {
        let was_over = std::mem::replace(&mut self.over, end.is_some());
        let silent = self.log.silent_for().unwrap_or_default() >= RunState::CRASHED_AFTER;
        let was_silent = std::mem::replace(&mut self.silence_told, silent);
        if !self.follow || was_over {
            return Ok(());
        }
        match (end, self.exit_code) {
            (Some(End::Silent), None) => printer.state(&self.path, "crashed", None),
            (Some(_), Some(0)) => printer.state(&self.path, "finished", Some(0)),
            (Some(_), code) => printer.state(&self.path, "failed", code),
            (None, None) if silent && !was_silent => printer.state(&self.path, "silent", None),
            (None, _) => Ok(()),
        }
    }
}

/// The wanted part of a row, and the exit code, of a record that has one. What is no message has neither.
fn understand(
    record: &RawRecord<'_>,
    keys: &Keys,
    last_step: &mut Option<i64>,
) -> (Option<Row>, Option<i32>) {
    let Ok(Some(body)) = record.body() else { return (None, None) };
    match body.kind {
        RecordKind::History => {
            let view = HistoryView::new(&body.message);
            let stated = view.step().ok().flatten();
            let counted = last_step.map_or(0, |last| last.saturating_add(1));
            let step = *last_step.insert(stated.unwrap_or(counted));
            let row = Row::read(&view, keys).ok().flatten();
            (row.map(|row| Row { step: Some(step), ..row }), None)
        }
        RecordKind::Exit => match record.decode() {
            Ok(Record { record_type: Some(RecordType::Exit(exit)), .. }) => {
                (None, Some(exit.exit_code))
            }
            _ => (None, None),
        },
        _ => (None, None),
    }
}

/// Of a run that logs faster than it is read, so many rows are held.
const ROWS_AT_ONCE: usize = 1000;
