//! How a sync goes about it.

use super::plan::Overrides;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Ask the server afterwards what it has, also of runs that were synced before, and compare.
    pub audit: bool,
    /// Send what the server turns out not to have.
    pub repair: bool,
    /// Runs at a time.
    pub runs_at_once: usize,
    /// Directories that may be read besides the run's own and those where artifacts are staged.
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
            runs_at_once: RUNS_AT_ONCE,
            allow: Vec::new(),
            staging: Vec::new(),
        }
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
