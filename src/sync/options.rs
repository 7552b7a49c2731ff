//! How a sync goes about it.

use super::plan::{Overrides, Pace};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a sync goes about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SyncOptions {
    /// What is to be different from what the logs say.
    pub overrides: Overrides,
    /// Upload runs that are marked as synced as well.
    pub include_synced: bool,
    /// Upload runs that were logged online as well.
    pub include_online: bool,
    /// Only look: nothing is sent.
    pub dry_run: bool,
    /// Pass over damage. If not, a damaged log is not uploaded at all.
    pub salvage: bool,
    /// Take a log without an end for that of a run that crashed, and tell the server so.
    pub finish: bool,
    /// If the server has other rows of a run already, go on after them.
    pub append: bool,
    /// Ask the server what it has, and compare: of logs that are marked as synced, and send nothing; of others
    /// after they are uploaded.
    pub audit: bool,
    /// Send what the server turns out not to have, and files that have changed since they were stored.
    pub repair: bool,
    /// Follow logs that are still being written, until their runs end.
    pub live: Option<Live>,
    /// Runs at a time. Each that is followed takes a place for as long as it goes on.
    pub runs_at_once: usize,
    /// Directories that may be read besides the `files/` of the run and those where artifacts are staged.
    pub allow: Vec<PathBuf>,
    /// Directories where files of artifacts are looked for, by name, that are not where the log says.
    pub staging: Vec<PathBuf>,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            overrides: Overrides::default(),
            include_synced: false,
            include_online: false,
            dry_run: false,
            salvage: true,
            finish: false,
            append: false,
            audit: false,
            repair: false,
            live: None,
            runs_at_once: RUNS_AT_ONCE,
            allow: Vec::new(),
            staging: Vec::new(),
        }
    }
}

/// What of the options is settled for each log by itself: for one in a pack, when it was packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) overrides: Overrides,
    pub(super) finish: bool,
    pub(super) append: bool,
    pub(super) salvage: bool,
}

impl Terms {
    pub(super) fn of(options: &SyncOptions) -> Self {
        let SyncOptions { finish, append, salvage, .. } = *options;
        Self { overrides: options.overrides.clone(), finish, append, salvage }
    }

    /// These, and what was asked for earlier where these ask for nothing else.
    pub(super) fn or(self, earlier: Self) -> Self {
        Self {
            overrides: self.overrides.or(earlier.overrides),
            finish: self.finish || earlier.finish,
            append: self.append || earlier.append,
            salvage: self.salvage && earlier.salvage,
        }
    }
}

/// How logs are followed.
///
/// A run has ended when its log has an exit record. A writer that was killed leaves none, and nothing in the
/// log tells it from one that is busy; so a log that did not grow for [`Self::silence`] is taken for one whose
/// writer is gone: its run is left open on the server, or [ended](SyncOptions::finish) as crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// How often the server hears of a run.
    pub pace: Pace,
    /// The time between two looks at a log.
    pub poll: Duration,
    /// A log that did not grow for this long is given up. The official client writes every 15 seconds since
    /// 0.31; before, whenever it has 32 KiB.
    pub silence: Duration,
    /// Look for new logs this often and never end by itself: logs that were given up and grow again are taken
    /// up again, and those that failed are tried again after a while.
    pub watch: Option<Duration>,
}

impl Default for Live {
    fn default() -> Self {
        let (poll, silence) = (Duration::from_secs(1), Duration::from_secs(10 * 60));
        Self { pace: Pace::default(), poll, silence, watch: None }
    }
}

/// Stops a sync from elsewhere, such as a signal handler: nothing new is sent, and what is under way ends.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Nothing is stopped yet.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Stops.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Small runs wait for answers nearly all of their time, so many go at once. Their memory is bounded
/// together, not each.
const RUNS_AT_ONCE: usize = 64;
