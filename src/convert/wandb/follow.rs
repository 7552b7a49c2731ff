//! Converting while the training runs.
//!
//! The conversion of a log is deterministic, and what was only added to the log is only added to its event
//! files. So a round converts each log that changed anew, elsewhere, and appends what is new to the files
//! that are there, which a running TensorBoard goes on reading. There is no second way to decide on tags
//! and steps, and no byte that was written is ever changed.

use super::options::Options;
use super::report::{ConvertReport, RunReport, RunStatus};
use super::run::{Batch, Run, fold, put, temporary_directory};
use crate::error::{Error, Result};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Converts logs as [`to_tensorboard`](super::to_tensorboard) does, and goes on as they grow and, in
/// directories of runs, as new ones appear: until each has its exit record, or `wait` says to stop.
///
/// A run appears in the log directory with its first row. What stands behind the rows (the outcome, and
/// the console and the summary if they are asked for) is written in the end, after which the event files
/// are those of a conversion at once. A log that is given twice is followed once.
///
/// What was written stays. Where what comes later changes what was written before, as another config
/// does, or a row without the step that a tag's rows had so far, the run is left as it is, and failed.
///
/// `wait` is called between two rounds with the time to wait: at least `interval`, and nine times as long
/// as the round took. `observe` is called with what became of a run in a round.
///
/// # Errors
/// When the options are unusable or the log directory cannot be made. What goes wrong with one run
/// stands in its report; a log that cannot be read is tried again when it has changed.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
/// use wandb_offline::convert::wandb::{Options, follow};
///
/// let (stop, stopped) = channel();
/// # stop.send(()).unwrap();
/// # let logdir = tempfile::tempdir().unwrap();
/// let mut wait = |time| stopped.recv_timeout(time).is_ok();
/// let (runs, every) = (["fixtures/wandb/0.31.0/minimal"], Duration::from_secs(10));
/// let report = follow(&runs, logdir.path(), &Options::default(), every, &mut wait, &mut |_| {})?;
/// assert_eq!(report.converted(), 1);
/// # Ok(())
/// # }
/// ```
pub fn follow(
    runs: &[impl AsRef<Path>],
    logdir: impl AsRef<Path>,
    options: &Options,
    interval: Duration,
    wait: &mut dyn FnMut(Duration) -> bool,
    observe: &mut dyn FnMut(&RunReport),
) -> Result<ConvertReport> {
    let logdir = logdir.as_ref();
    options.check()?;
    fs::create_dir_all(logdir).map_err(|error| Error::io("create", logdir, error))?;
    let mut batch = Batch::new(logdir, options);
    let mut known = HashSet::new();
    let mut followed: Vec<Followed> = Vec::new();
    let mut stop = false;
    loop {
        let began = Instant::now();
        let (logs, errors) = super::all_logs(runs);
        let new = logs.into_iter().filter(|log| known.insert(log.clone()));
        followed.extend(new.map(Followed::new));
        for run in &mut followed {
            if run.round(&mut batch, stop) {
                observe(&run.report);
            }
        }
        if stop || followed.iter().all(|run| run.over) {
            let runs = followed.into_iter().map(|run| run.report).collect();
            return Ok(ConvertReport { runs, errors });
        }
        stop = wait(interval.max(began.elapsed().saturating_mul(9)));
    }
}

/// A log and what was made of it so far.
struct Followed {
    report: RunReport,
    /// Its length and time of change when it was read last.
    seen: Option<(u64, Option<SystemTime>)>,
    place: Option<Place>,
    /// Whether there is nothing more to do.
    over: bool,
}

/// Where a run is written.
struct Place {
    directory: PathBuf,
    /// The layouts of the runs before it, which it does not write.
    layouts: HashSet<Vec<u8>>,
}

impl Followed {
    fn new(log: PathBuf) -> Self {
        let report = RunReport { log, ..RunReport::default() };
        Self { report, seen: None, place: None, over: false }
    }

    /// Brings the run up to date, and finishes it if this is the `last` round. Whether there is news.
    fn round(&mut self, batch: &mut Batch<'_>, last: bool) -> bool {
        // Looked at before the log is read: what comes in the meantime is seen next time.
        let found = fs::metadata(&self.report.log).ok();
        let now = found.map(|found| (found.len(), found.modified().ok()));
        if self.over || (!last && now.is_some() && self.seen == now) {
            return false;
        }
        self.seen = now;
        let mut report = RunReport { log: self.report.log.clone(), ..RunReport::default() };
        let result = self.convert(batch, last, &mut report);
        report.directory = self.place.as_ref().map(|place| place.directory.clone());
        match result {
            Ok(()) if report.directory.is_some() => report.status = RunStatus::Converted,
            Ok(()) => {}
            Err(error) => report.error = Some(error.to_string()),
        }
        self.report = report;
        self.place.is_some() || self.report.error.is_some()
    }

    fn convert(&mut self, batch: &mut Batch<'_>, last: bool, report: &mut RunReport) -> Result<()> {
        let log = report.log.clone();
        let state = fold(&log, batch.options, report)?;
        let complete = last || state.exit().is_some();
        let run = Run { log: &log, state: &state, options: batch.options, complete };
        match &self.place {
            None => self.begin(batch, &run, report)?,
            Some(place) => {
                // Not in the log directory, where TensorBoard would take it for one more run.
                let temporary = tempfile::tempdir()
                    .map_err(|e| Error::io("create a directory in", std::env::temp_dir(), e))?;
                run.write(temporary.path(), &mut place.layouts.clone(), report)?;
                if !extend(&place.directory, temporary.path())? {
                    self.over = true;
                    return Err(Error::misuse(CHANGED).at(&place.directory));
                }
            }
        }
        self.over = complete;
        Ok(())
    }

    /// Makes the run's directory, unless there is no row yet but may be one later.
    fn begin(
        &mut self,
        batch: &mut Batch<'_>,
        run: &Run<'_>,
        report: &mut RunReport,
    ) -> Result<()> {
        let temporary = temporary_directory(batch.logdir)?;
        let layouts = batch.layouts.clone();
        let mut with_own = layouts.clone();
        run.write(temporary.path(), &mut with_own, report)?;
        if report.rows == 0 && !run.complete {
            return Ok(());
        }
        let directory = batch.directory(run, report).inspect_err(|_| self.over = true)?;
        put(temporary, &directory)?;
        batch.layouts = with_own;
        self.place = Some(Place { directory, layouts });
        Ok(())
    }
}

/// Appends to the event files of a run's directory what those of its new conversion have more; nothing at
/// all, and `false`, if they do not begin with what is there.
fn extend(directory: &Path, new: &Path) -> Result<bool> {
    let mut longer = Vec::new();
    for part in ["", SYSTEM] {
        let Some(to) = event_file(&new.join(part))? else { continue };
        match event_file(&directory.join(part))? {
            Some(from) => match beyond(&from, &to)? {
                Some(rest) => longer.push((from, rest)),
                None => return Ok(false),
            },
            None if part == SYSTEM => {
                let place = directory.join(part);
                fs::create_dir_all(&place).map_err(|error| Error::io("create", &place, error))?;
                let name = to.file_name().unwrap_or_default();
                longer.push((place.join(name), open(&to)?));
            }
            None => return Ok(false),
        }
    }
    for (path, mut rest) in longer {
        let file = File::options().append(true).create(true).open(&path);
        file.and_then(|mut file| io::copy(&mut rest, &mut file))
            .map_err(|error| Error::io("write", &path, error))?;
    }
    Ok(true)
}

/// What the file `new` has beyond `old`, if it begins with what that has.
fn beyond(old: &Path, new: &Path) -> Result<Option<BufReader<File>>> {
    let (mut before, mut after) = (open(old)?, open(new)?);
    loop {
        let a = before.fill_buf().map_err(|error| Error::io("read", old, error))?;
        if a.is_empty() {
            return Ok(Some(after));
        }
        let b = after.fill_buf().map_err(|error| Error::io("read", new, error))?;
        let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        if same == 0 || same < a.len().min(b.len()) {
            return Ok(None);
        }
        before.consume(same);
        after.consume(same);
    }
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
    Ok(BufReader::with_capacity(64 << 10, file))
}

/// The event file that a conversion made directly in `directory`.
fn event_file(directory: &Path) -> Result<Option<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("list", directory, error)),
    };
    let names = entries.flatten().map(|entry| entry.path());
    Ok(names.filter(|path| path.is_file()).min())
}

const SYSTEM: &str = "system";

const CHANGED: &str = "what was written before would change by what was logged since, so the run is left \
                       as it is; convert it to another log directory when it is over";
