//! What the handles of a run share, and the thread that keeps its time bounds.
//!
//! The thread exists only if the run is buffered or synced at intervals. It belongs to the run: the
//! last handle stops it and waits for it. It needs no wake-up from the training loop, for it looks at
//! the clock at least once in each interval, and a record that comes while it sleeps is not due before
//! it wakes.

use super::state::State;
use crate::error::Result;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A run that is being written. Dropping it flushes, as far as that works.
pub(super) struct Live {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
    /// For the sync at the end, if syncing was asked for.
    syncer: Option<File>,
}

struct Shared {
    state: Mutex<Guarded>,
    stop: Condvar,
}

struct Guarded {
    state: State,
    stopping: bool,
}

impl Live {
    /// Takes charge of a run. `syncer` is to be synced every so often.
    pub(super) fn start(
        state: State,
        buffer_time: Option<Duration>,
        syncer: Option<(File, Duration)>,
    ) -> io::Result<Self> {
        let guarded = Guarded { state, stopping: false };
        let shared = Arc::new(Shared { state: Mutex::new(guarded), stop: Condvar::new() });
        let last_sync = syncer.as_ref().map(|(file, _)| file.try_clone()).transpose()?;
        let mut live = Self { shared, keeper: None, syncer: last_sync };
        if buffer_time.is_some() || syncer.is_some() {
            let shared = Arc::clone(&live.shared);
            let keeper = thread::Builder::new().name("wandb-offline".to_owned());
            live.keeper = Some(keeper.spawn(move || shared.keep_time(syncer))?);
        }
        Ok(live)
    }

    /// Does something to the state, alone.
    #[inline]
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.shared.lock().state)
    }

    /// Puts everything on the disk, if syncing was asked for.
    pub(super) fn sync_at_end(&self) -> Result<()> {
        let Some(file) = &self.syncer else { return Ok(()) };
        file.sync_data().map_err(|error| self.with(|state| state.fail(error)))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let mut guarded = self.shared.lock();
        guarded.stopping = true;
        guarded.state.abandon();
        drop(guarded);
        self.shared.stop.notify_all();
        if let Some(keeper) = self.keeper.take() {
            // It never panics; if it did, there would be nothing left to do for it.
            let _ = keeper.join();
        }
    }
}

impl Shared {
    /// A panic in the `Serialize` of a caller leaves the state sound: rows are staged before they count.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_time(&self, mut syncer: Option<(File, Duration)>) {
        let mut next_sync =
            syncer.as_ref().and_then(|(_, every)| Instant::now().checked_add(*every));
        let mut guarded = self.lock();
        while !guarded.stopping && !guarded.state.is_finished() {
            let now = Instant::now();
            let flush_in = guarded.state.flush_if_due(now);
            if let (Some((file, every)), Some(at)) = (&syncer, next_sync)
                && at <= now
            {
                next_sync = now.checked_add(*every);
                let _ = guarded.state.flush();
                if guarded.state.take_unsynced() {
                    // The training loop goes on while the disk works.
                    drop(guarded);
                    let synced = file.sync_data();
                    guarded = self.lock();
                    if let Err(error) = synced {
                        // The log remembers it and tells the next caller.
                        drop(guarded.state.fail(error));
                        syncer = None;
                    }
                    continue;
                }
            }
            let sync_in = next_sync.map(|at| at.saturating_duration_since(now));
            let wait = [flush_in, sync_in].into_iter().flatten().min().unwrap_or(Duration::MAX);
            let wait = wait.clamp(SHORTEST_WAIT, LONGEST_WAIT);
            let waited = self.stop.wait_timeout(guarded, wait);
            guarded = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Whoever asks for less would have the thread do nothing else.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);

/// Some systems do not take an endless wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
