//! The run as it stands: the pending row, the step, and the log.
//!
//! ```text
//! log        merge into the pending row, commit it, step + 1
//! log_at n   n above the step: commit the pending row if there is one, step = n;  then merge
//! commit     one summary record, one history record, one write
//! ```

use super::encode::{Moment, RowEncoder};
use super::metrics::{Definition, Metrics};
use super::row::PendingRow;
use super::slots::{Slots, push_element};
use super::tee::Tee;
use super::tracker::Wanted;
use crate::error::{Error, ErrorKind, Result};
use crate::log::LogWriter;
use crate::proto::wandb_internal::{
    ConfigItem, ConfigRecord, MetricRecord, RunExitRecord, SummaryItem, SummaryRecord,
};
use crate::record::RecordKind;
use serde::Serialize;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the log goes: a file, or in tests something that fails.
pub(super) type Sink = Box<dyn Write + Send>;

/// How long records may stay in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Buffering {
    pub(super) rows: usize,
    pub(super) time: Duration,
}

/// The run as it stands.
pub(super) struct State {
    log: LogWriter<Sink>,
    /// Boxed, since most runs have none.
    tee: Option<Box<Tee>>,
    slots: Slots,
    metrics: Metrics,
    pending: PendingRow,
    /// Whether there is a pending row ...
    has_pending: bool,
    /// ... and its `_timestamp`, in microseconds.
    pending_at: u64,
    encoder: RowEncoder,
    step: u64,
    started: Instant,
    buffering: Option<Buffering>,
    /// How many records are in memory, and since when.
    buffered: Option<(usize, Instant)>,
    /// Whether something was written since the last sync.
    unsynced: bool,
    finished: bool,
}

impl State {
    pub(super) fn new(
        log: LogWriter<Sink>,
        started: Instant,
        buffering: Option<Buffering>,
    ) -> Self {
        Self {
            log,
            tee: None,
            slots: Slots::default(),
            metrics: Metrics::default(),
            pending: PendingRow::default(),
            has_pending: false,
            pending_at: 0,
            encoder: RowEncoder::default(),
            step: 0,
            started,
            buffering,
            buffered: None,
            unsynced: true,
            finished: false,
        }
    }

    /// Has rows written for TensorBoard as well.
    pub(super) fn tee(mut self, tee: Option<Tee>) -> Self {
        self.tee = tee.map(Box::new);
        self
    }

    pub(super) const fn step(&self) -> u64 {
        self.step
    }

    /// Merges a row and commits it.
    pub(super) fn log<R: Serialize>(&mut self, row: &R) -> Result<()> {
        self.log_partial(row)?;
        // Without any keys it still is a row.
        self.has_pending = true;
        self.commit()
    }

    /// Merges a row.
    pub(super) fn log_partial<R: Serialize>(&mut self, row: &R) -> Result<()> {
        self.check_open()?;
        check_step(self.step)?;
        self.pending.stage(&mut self.slots, row)?;
        self.merge();
        Ok(())
    }

    /// Goes to `step` and merges a row.
    pub(super) fn log_at<R: Serialize>(&mut self, step: u64, row: &R) -> Result<()> {
        self.check_open()?;
        check_step(step)?;
        if step < self.step {
            return Err(Error::new(ErrorKind::StepInPast { step, current: self.step }));
        }
        // Whether the row is sound is settled before anything of the old one is written.
        self.pending.stage(&mut self.slots, row)?;
        if step > self.step {
            self.write_pending()?;
            self.step = step;
        }
        self.merge();
        Ok(())
    }

    fn merge(&mut self) {
        self.pending.merge(&mut self.slots);
        self.has_pending |= self.pending.cells.len() > 0;
        self.pending_at = unix_micros();
    }

    /// Commits the pending row, if there is one, and goes one step on.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.check_open()?;
        if self.has_pending {
            self.write_pending()?;
            self.step += 1;
        }
        Ok(())
    }

    /// Writes the pending row, if there is one.
    fn write_pending(&mut self) -> Result<()> {
        if !std::mem::take(&mut self.has_pending) {
            return Ok(());
        }
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.started);
        let moment = Moment { step: self.step, elapsed, timestamp: self.pending_at };
        let Self { encoder, pending, slots, metrics, log, .. } = self;
        encoder.encode(pending, slots, metrics, moment);
        // The log comes first, whatever becomes of the event file.
        let teed = match &mut self.tee {
            Some(tee) => tee.row(&pending.cells, slots, moment.step, moment.timestamp),
            None => Ok(()),
        };
        pending.clear();
        log.record_in_parts(RecordKind::Summary, encoder.summary())?;
        log.record_in_parts(RecordKind::History, encoder.history())?;
        self.written(now)?;
        teed
    }

    /// Adds a record that stands for itself.
    pub(super) fn message(
        &mut self,
        kind: RecordKind,
        message: &impl prost::Message,
    ) -> Result<()> {
        self.check_open()?;
        self.log.message(kind, message)?;
        self.written(Instant::now())
    }

    /// Adds a metric definition.
    pub(super) fn define_metric(
        &mut self,
        record: &MetricRecord,
        definition: Definition,
        overwrite: bool,
    ) -> Result<()> {
        self.message(RecordKind::Metric, record)?;
        // A definition by name takes effect even where an explicit summary had ended an earlier one.
        match self.metrics.define(record, definition, overwrite) {
            Some(path) => {
                let id = self.slots.intern(&path);
                if let Some(slot) = self.slots.get_mut(id) {
                    slot.resolved = false;
                }
            }
            None => {
                let metrics = &self.metrics;
                let undefined = self.slots.iter_mut().filter(|slot| !metrics.has(&slot.path));
                undefined.for_each(|slot| slot.resolved = false);
            }
        }
        Ok(())
    }

    /// Sets a summary value, which from now on is just the last one logged.
    pub(super) fn set_summary(&mut self, key: &str, value_json: String) -> Result<()> {
        let item = SummaryItem { key: key.to_owned(), value_json, ..Default::default() };
        self.message(
            RecordKind::Summary,
            &SummaryRecord { update: vec![item], ..Default::default() },
        )?;
        let mut path = Vec::new();
        push_element(&mut path, key);
        if self.metrics.has(&path) {
            let id = self.slots.intern(&path);
            // Its step metric stays.
            self.metrics.apply(&mut self.slots, id);
            if let Some(slot) = self.slots.get_mut(id) {
                slot.tracker.wanted = Wanted::default();
            }
        }
        Ok(())
    }

    /// Updates config values.
    pub(super) fn set_config(&mut self, update: Vec<ConfigItem>) -> Result<()> {
        if update.is_empty() {
            return self.check_open();
        }
        self.message(RecordKind::Config, &ConfigRecord { update, ..Default::default() })
    }

    /// Commits what is pending and writes the final summary and the exit record.
    pub(super) fn finish(&mut self, exit_code: i32) -> Result<()> {
        self.check_open()?;
        self.write_pending()?;
        let seconds = self.started.elapsed().as_secs();
        let value_json = seconds.to_string();
        let summary = SummaryRecord {
            update: vec![
                SummaryItem {
                    nested_key: vec!["_wandb".into(), "runtime".into()],
                    value_json: value_json.clone(),
                    ..Default::default()
                },
                SummaryItem {
                    nested_key: vec!["_runtime".into()],
                    value_json,
                    ..Default::default()
                },
            ],
            ..Default::default()
        };
        self.log.message(RecordKind::Summary, &summary)?;
        let runtime = i32::try_from(seconds).unwrap_or(i32::MAX);
        let exit = RunExitRecord { exit_code, runtime, ..Default::default() };
        self.log.message(RecordKind::Exit, &exit)?;
        self.flush_log()?;
        self.finished = true;
        self.tee.as_mut().map_or(Ok(()), |tee| tee.finish(exit_code))
    }

    /// Writes what a writer that is dropped unfinished still holds. There is nobody to tell of errors.
    pub(super) fn abandon(&mut self) {
        if self.check_open().is_ok() {
            let _ = self.write_pending();
            let _ = self.flush();
        }
    }

    /// Hands records to the operating system now, or notes since when they wait.
    fn written(&mut self, now: Instant) -> Result<()> {
        self.unsynced = true;
        let Some(buffering) = self.buffering else { return self.log.flush() };
        let (records, since) = self.buffered.unwrap_or((0, now));
        if records + 1 >= buffering.rows || self.log.buffered() >= BUFFER_MAX {
            return self.flush_log();
        }
        self.buffered = Some((records + 1, since));
        Ok(())
    }

    /// Hands everything in memory to the operating system.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.flush_log()?;
        self.tee.as_mut().map_or(Ok(()), |tee| tee.flush())
    }

    fn flush_log(&mut self) -> Result<()> {
        self.buffered = None;
        self.log.flush()
    }

    /// Flushes if the time has come; says how long to wait for the next time.
    pub(super) fn flush_if_due(&mut self, now: Instant) -> Option<Duration> {
        let Buffering { time, .. } = self.buffering?;
        let waited = self.buffered.map(|(_, since)| now.saturating_duration_since(since));
        match waited.map(|waited| time.checked_sub(waited).filter(|left| !left.is_zero())) {
            Some(Some(left)) => Some(left),
            Some(None) => {
                // The log remembers a failure and tells the next caller.
                let _ = self.flush();
                Some(time)
            }
            None => Some(time),
        }
    }

    /// Whether there is something to sync; from now on there is not.
    pub(super) fn take_unsynced(&mut self) -> bool {
        std::mem::take(&mut self.unsynced)
    }

    /// A sync failed: the log can promise nothing any more.
    pub(super) fn fail(&mut self, error: io::Error) -> Error {
        self.log.fail(error)
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.finished {
            return Err(Error::misuse("the run is finished").at(self.log.path()));
        }
        self.log.check()
    }
}

/// W&B counts steps in an `int64`.
fn check_step(step: u64) -> Result<()> {
    match i64::try_from(step) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::misuse(format!("step {step} is above the highest, {}", i64::MAX))),
    }
}

fn unix_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// Records in memory are written when they take this many bytes: more would not fit the cache.
const BUFFER_MAX: usize = 64 << 10;
