//! Converting while the training runs.
//!
//! The conversion of a log is deterministic, and what was only added to the log is mostly only added to
//! its event files. So a round converts each log that changed anew, elsewhere, and appends what is new to
//! the files that are there, which a running TensorBoard goes on reading. There is no second way to decide
//! on tags and steps. Where the files would not begin with what is there, the new ones take their place.

use super::options::Options;
use super::report::{Changed, ConvertReport, RunReport, RunStatus};
use super::run::{Batch, Run, already_there, fold};
use crate::error::{Error, Result};
use crate::io::UnnamedDir;
use crate::log::Repeated;
use crate::record::RecordKind;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Converts logs as [`to_tensorboard`](super::to_tensorboard) does, and goes on as they grow and, in
/// directories of runs, as new ones appear: until each has its exit record, or `wait` says to stop.
///
/// A run appears in the log directory with its first row; one whose directory is there already has failed
/// at once. What stands behind the rows (the outcome, and the console and the summary if they are asked
/// for) is written in the end, after which the event files are those of a conversion at once. A log that
/// is given twice is followed once.
///
/// Event files are appended to. Where what comes later changes what was written before, as another config
/// does, a row without the step that a tag's rows had so far, or a file that was missing, the file is
/// written anew, under a name that is read later, and then the one before is removed
/// ([`Changed::Rewritten`]): TensorBoard's data server shows the new values in place of the old ones, its
/// slower Python reader has to be started again. Only files that this call wrote are removed, and only as
/// long as they are as it left them; else the run is left as it is, and failed.
///
/// A round reads logs that have changed from their beginning. So `wait` is called between two rounds with
/// the time to wait: at least `interval`, and nine times as long as the round took. `observe` is called
/// with what became of a run in a round.
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
    /// Where it will be, once that is known.
    target: Option<PathBuf>,
    place: Option<Place>,
    /// Whether there is nothing more to do.
    over: bool,
}

/// Where a run is written.
struct Place {
    directory: PathBuf,
    /// The layouts of the runs before it, which it does not write.
    layouts: HashSet<Vec<u8>>,
    /// Its event file and that of its system metrics, each with its length.
    files: [Option<(PathBuf, u64)>; 2],
    /// How many files were written anew.
    rewritten: u64,
}

impl Followed {
    fn new(log: PathBuf) -> Self {
        let report = RunReport { log, ..RunReport::default() };
        Self { report, seen: None, target: None, place: None, over: false }
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
        let log = Repeated::new(&report.log)?;
        let state = fold(&log, batch.options, report)?;
        let complete = last || state.exit().is_some();
        let run = Run { log: &log, state: &state, options: batch.options, complete };
        match &mut self.place {
            None => self.begin(batch, &run, report)?,
            Some(place) => {
                // Not in the log directory, where TensorBoard would take it for one more run.
                let temporary = tempfile::tempdir()
                    .map_err(|e| Error::io("create a directory in", std::env::temp_dir(), e))?;
                run.write(temporary.path(), &mut place.layouts.clone(), report)?;
                place.update(temporary.path()).inspect_err(|_| self.over = true)?;
                report.change(Changed::Rewritten, place.rewritten);
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
        let is_named = run.complete || run.state.records(RecordKind::Run) > 0;
        if self.target.is_none() && !is_named {
            return Ok(());
        }
        let directory = match &self.target {
            Some(target) => target.clone(),
            None => batch.directory(run, report).inspect_err(|_| self.over = true)?,
        };
        self.target = Some(directory.clone());
        let unnamed = UnnamedDir::new(batch.logdir)?;
        let layouts = batch.layouts.clone();
        let mut with_own = layouts.clone();
        run.write(unnamed.path(), &mut with_own, report)?;
        if report.rows == 0 && !run.complete {
            return Ok(());
        }
        if fs::symlink_metadata(&directory).is_ok() {
            // Somebody made it since it was looked for.
            self.over = true;
            return Err(already_there(directory));
        }
        unnamed.name(&directory)?;
        batch.layouts = with_own;
        let files = [event_file(&directory)?, event_file(&directory.join(SYSTEM))?];
        self.place = Some(Place { directory, layouts, files, rewritten: 0 });
        Ok(())
    }
}

impl Place {
    /// Brings the event files to what those of the new conversion are.
    fn update(&mut self, new: &Path) -> Result<()> {
        for (part, known) in ["", SYSTEM].into_iter().zip(&mut self.files) {
            let Some((to, length)) = event_file(&new.join(part))? else { continue };
            let directory = self.directory.join(part);
            if let Some((from, written)) = known {
                let found = fs::metadata(&*from).map(|found| found.len());
                if found.ok() != Some(*written) {
                    return Err(Error::misuse(TOUCHED).at(&*from));
                }
                if let Some(mut rest) = beyond(from, &to)? {
                    let file = File::options().append(true).open(&*from);
                    file.and_then(|mut file| io::copy(&mut rest, &mut file))
                        .map_err(|error| Error::io("write to", &*from, error))?;
                    *written = length;
                    continue;
                }
            }
            let path = place_file(&to, &directory)?;
            if let Some((old, _)) = known.replace((path, length)) {
                self.rewritten += 1;
                fs::remove_file(&old).map_err(|error| Error::io("remove", &old, error))?;
            }
        }
        Ok(())
    }
}

/// Copies an event file to a directory, where it is only seen when it is complete.
fn place_file(file: &Path, directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory).map_err(|error| Error::io("create", directory, error))?;
    let path = directory.join(file.file_name().unwrap_or_default());
    let copied = tempfile::Builder::new().prefix(".wandb-offline-").tempfile_in(directory);
    let copied = copied.and_then(|mut copy| {
        io::copy(&mut open(file).map_err(io::Error::from)?, &mut copy)?;
        // As readable as the file it is a copy of.
        fs::set_permissions(copy.path(), fs::metadata(file)?.permissions())?;
        copy.persist_noclobber(&path)?;
        Ok(())
    });
    copied.map_err(|error| Error::io("write", &path, error))?;
    Ok(path)
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

/// The event file that a conversion made directly in `directory`, and its length.
fn event_file(directory: &Path) -> Result<Option<(PathBuf, u64)>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("list", directory, error)),
    };
    let Some(path) = entries.flatten().map(|entry| entry.path()).find(|path| path.is_file()) else {
        return Ok(None);
    };
    let found = fs::metadata(&path).map_err(|error| Error::io("read", &path, error))?;
    Ok(Some((path, found.len())))
}

const SYSTEM: &str = "system";

const TOUCHED: &str = "not as this program left it, so the run is left as it is; convert it to another log \
                       directory when it is over";
