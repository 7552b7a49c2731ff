//! Converting while the training runs.
//!
//! Over and over, each run whose files changed is converted anew and brought up to date, which is cheap
//! next to a training, and needs no second way to decide what a restart makes obsolete. The pause after a
//! round is at least nine times as long as the round, so a large log directory does not cost a processor.

use super::Progress;
use super::options::Options;
use super::plan::{Conversion, Job};
use super::report::ConvertReport;
use crate::error::Result;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// Converts the runs under these log directories, keeps them up to date as their files grow and new ones
/// appear, and finishes them in the end: only then they get an exit record.
///
/// `wait` is called between two rounds with the time to wait, of at least `interval`, and says whether
/// to stop. Whatever was logged until then is carried. As with [`Options::update`], runs that were there
/// before are added to. A run that fails is tried again whenever its files change; each round tells
/// `observe` of it. What `add_hparams` leaves in a directory below a run's is carried in the end, when it
/// is sure to which run it belongs.
///
/// # Errors
/// When the options are unusable. What goes wrong with one run stands in the report of the last round.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
/// use wandb_offline::convert::tensorboard::{Options, follow};
///
/// let (stop, stopped) = channel();
/// # stop.send(()).unwrap();
/// # let out = tempfile::tempdir().unwrap();
/// # let output = out.path().to_owned();
/// let options = Options { output, ..Options::default() };
/// let mut wait = |time| stopped.recv_timeout(time).is_ok();
/// let logs = ["fixtures/tensorboard/tensorboardX/scalars"];
/// let report = follow(&logs, &options, Duration::from_secs(10), &mut wait, &|_| {})?;
/// assert_eq!(report.converted(), 1);
/// # Ok(())
/// # }
/// ```
pub fn follow(
    logdirs: &[impl AsRef<Path>],
    options: &Options,
    interval: Duration,
    wait: &mut dyn FnMut(Duration) -> bool,
    observe: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<ConvertReport> {
    let options = Options { update: true, dry_run: false, ..options.clone() };
    let mut known: HashMap<String, State> = HashMap::new();
    loop {
        let began = Instant::now();
        let mut round = Conversion::plan_unfinished(logdirs, &options)?;
        round.retain(|job| {
            // Looked at before the files are read: what comes in the meantime is seen next time.
            let state = State::of(job);
            let before = known.insert(job.id.clone(), state.clone());
            before.is_none_or(|before| before != state)
        });
        round.run(observe);
        if wait(interval.max(began.elapsed().saturating_mul(9))) {
            break;
        }
    }
    Ok(Conversion::plan(logdirs, &options)?.run(observe))
}

/// What tells whether a run's files changed.
#[derive(Clone, PartialEq, Eq)]
struct State(Vec<(PathBuf, u64, Option<SystemTime>)>);

impl State {
    fn of(job: &Job) -> Self {
        let files = job.groups.iter().flat_map(|group| &group.files);
        let states = files.map(|file| {
            let metadata = fs::metadata(file).ok();
            let length = metadata.as_ref().map_or(0, fs::Metadata::len);
            (file.clone(), length, metadata.and_then(|metadata| metadata.modified().ok()))
        });
        Self(states.collect())
    }
}
