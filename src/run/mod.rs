//! The run model: what the records of a log come to.
//!
//! [`RunState`] is a fold: it takes records one by one and can be asked at any time, so that a reader
//! that follows a live run and one that reads a finished log share it. Folding two logs one after the
//! other is folding their concatenation. Memory grows with the number of distinct keys, files and
//! console lines kept, never with the length of the log.
//!
//! History rows and summary updates are nearly all of a log. They are walked as bytes, and their values
//! stay text until somebody asks. For the rows themselves there is [`Columns`].

mod cells;
mod columns;
mod config;
mod console;
mod files;
mod history;
mod info;
mod leaves;
mod load;
mod metrics;
mod overview;
pub(crate) mod slots;
mod summary;
mod terminal;

pub use cells::{Cell, ColumnKind};
pub use columns::{Column, Columns};
pub use console::{Console, ConsoleLine, Stream};
pub use files::{Files, RunFile, Stats};
pub use history::History;
pub use info::RunInfo;
pub(crate) use leaves::insert;
pub use load::{LoadReport, load};
pub use metrics::Metrics;
pub use overview::Status;

use crate::error::{Error, Result};
use crate::json::Value;
use crate::limits::Limits;
use crate::proto::wandb_internal::{
    AlertRecord, ConfigRecord, FilesRecord, OutputLoggerRecord, OutputRawRecord, OutputRecord,
    RunExitRecord, StatsRecord,
};
use crate::record::{RawRecord, RecordKind};
use crate::wire::{Fields, Malformed};
use config::Config;
use prost::{DecodeError, Message};
use summary::Summary;

/// The state of a run, as the records applied so far make it.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::run::RunState;
/// use wandb_offline::Reader;
///
/// let mut reader = Reader::open("fixtures/wandb/0.31.0/minimal/run-minimal1.wandb")?;
/// let mut run = RunState::default();
/// while let Some(record) = reader.next_record()? {
///     run.apply(&record)?;
/// }
/// assert_eq!(run.info().run_id(), "minimal1");
/// assert_eq!(run.config().to_string(), r#"{"lr":0.1}"#);
/// assert_eq!(run.summary().get("loss").and_then(|loss| loss.as_f64()), Some(1.5));
/// assert_eq!(run.exit().map(|exit| exit.code), Some(0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RunState {
    info: RunInfo,
    config: Config,
    summary: Summary,
    history: History,
    metrics: Metrics,
    files: Files,
    stats: Stats,
    console: Console,
    alerts: Vec<AlertRecord>,
    exit: Option<RunExit>,
    counts: Vec<u64>,
    limits: Limits,
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunExit {
    /// The exit code; 0 is success, 255 an interrupt.
    pub code: i32,
    /// How long the run took, in seconds.
    pub runtime: i32,
}

impl Default for RunState {
    fn default() -> Self {
        Self::keeping(Self::CONSOLE_LINES, &Limits::DEFAULT)
    }
}

impl RunState {
    /// A run that keeps the last `console_lines` lines of console output. Of the limits, the depth of
    /// JSON values counts, and the number of keys: a value nested deeper is taken for a string, and a record
    /// with more keys is an error.
    pub fn keeping(console_lines: usize, limits: &Limits) -> Self {
        Self {
            info: RunInfo::default(),
            config: Config::default(),
            summary: Summary::at_most(limits.keys),
            history: History::at_most(limits.keys),
            metrics: Metrics::default(),
            files: Files::default(),
            stats: Stats::default(),
            console: Console::new(console_lines),
            alerts: Vec::new(),
            exit: None,
            counts: Vec::new(),
            limits: *limits,
        }
    }

    /// Applies a record. Records of no known kind are passed over, as W&B demands.
    ///
    /// # Errors
    /// When the record's bytes are not what they should be. Such a record changes nothing, and the
    /// records after it can be applied.
    pub fn apply(&mut self, record: &RawRecord<'_>) -> Result<()> {
        let Some(body) = record.body()? else { return Ok(()) };
        let (kind, message) = (body.kind, &*body.message);
        match kind {
            RecordKind::History => {
                let metrics = (self.summary.records() == 0).then_some(&self.metrics);
                let applied = self.history.apply(message, metrics);
                applied.map_err(|error| self.refused(record, error, self.history.is_full()))?;
            }
            RecordKind::Summary => {
                let applied = self.summary.apply(message);
                applied.map_err(|error| self.refused(record, error, self.summary.is_full()))?;
            }
            _ if is_all_overhead(kind, message) => {
                let reason = "hardly anything but empty fields, which would take much memory";
                return Err(record.message_error(reason.to_owned()));
            }
            _ => self
                .apply_rare(kind, message)
                .map_err(|error| record.message_error(error.to_string()))?,
        }
        self.count(kind, 1);
        Ok(())
    }

    /// What is said of a record whose items are not taken.
    fn refused(&self, record: &RawRecord<'_>, error: Malformed, is_full: bool) -> Error {
        match is_full {
            true => record.message_error(format!(
                "{error}: with it the run would have more than {} keys",
                self.limits.keys
            )),
            false => record.malformed(error),
        }
    }

    /// Adds the rows of `later`, as if they were applied here one by one. Each of them states its step, and
    /// neither run has metric definitions.
    pub(crate) fn append_rows(&mut self, later: &Self) {
        self.history.append(&later.history);
        self.count(RecordKind::History, later.records(RecordKind::History));
    }

    fn apply_rare(&mut self, kind: RecordKind, message: &[u8]) -> Result<(), DecodeError> {
        match kind {
            RecordKind::Run => {
                let again = self.info.run().is_some();
                let mut config = self.info.apply_run(message)?;
                // What the client repeats under `_wandb` is telemetry, not config.
                config.update.retain(|item| !again || item.key != "_wandb");
                self.config.apply(&config, self.limits.json_depth);
            }
            RecordKind::Config => {
                self.config.apply(&ConfigRecord::decode(message)?, self.limits.json_depth);
            }
            RecordKind::Metric => {
                self.metrics.apply(message)?;
                self.history.redefine();
            }
            RecordKind::OutputRaw => {
                let OutputRawRecord { output_type, timestamp, line, .. } =
                    Message::decode(message)?;
                self.console.write(stream(output_type), timestamp, &line);
            }
            RecordKind::Output => {
                let OutputRecord { output_type, timestamp, line, .. } = Message::decode(message)?;
                self.console.write(stream(output_type), timestamp, &line);
            }
            RecordKind::OutputLogger => {
                self.console.log(&OutputLoggerRecord::decode(message)?.line);
            }
            RecordKind::Exit => {
                let RunExitRecord { exit_code: code, runtime, .. } = Message::decode(message)?;
                self.exit = Some(RunExit { code, runtime });
            }
            RecordKind::Alert => {
                let alert = AlertRecord::decode(message)?;
                if self.alerts.len() < ALERTS_KEPT {
                    self.alerts.push(alert);
                }
            }
            RecordKind::Files => self.files.apply(FilesRecord::decode(message)?),
            RecordKind::Stats => self.stats.apply(StatsRecord::decode(message)?),
            RecordKind::Header => self.info.apply_header(message)?,
            RecordKind::Telemetry => self.info.apply_telemetry(message)?,
            RecordKind::Environment => self.info.apply_environment(message)?,
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn count(&mut self, kind: RecordKind, records: u64) {
        let index = kind.field() as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(index) {
            *count += records;
        }
    }

    /// Who the run is.
    pub const fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The config, an object, without W&B's own part.
    pub const fn config(&self) -> &Value {
        self.config.root()
    }

    /// W&B's own part of the config, what stands under `_wandb`; null if there is none.
    pub fn config_internal(&self) -> &Value {
        self.config.internal().get("_wandb").unwrap_or(&Value::Null)
    }

    /// The summary, an object, without W&B's own part: what the summary records come to, or, in a log
    /// without any, what the rows do. Made anew at each call.
    pub fn summary(&self) -> Value {
        self.summaries().0
    }

    /// W&B's own part of the summary, what stands under `_wandb`; null if there is none.
    pub fn summary_internal(&self) -> Value {
        self.summaries().1
    }

    fn summaries(&self) -> (Value, Value) {
        let mut all = match self.summary.records() {
            0 => self.history.summary(&self.metrics, self.limits.json_depth),
            _ => self.summary.tree(self.limits.json_depth),
        };
        let internal = match &mut all {
            Value::Object(members) => members.remove("_wandb"),
            _ => None,
        };
        (all, internal.unwrap_or_default())
    }

    /// The history in outline.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// The metric definitions.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The files to be uploaded.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// The system metrics.
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The console output.
    pub const fn console(&self) -> &Console {
        &self.console
    }

    /// The console output, to take lines out of it.
    #[cfg(feature = "sync")]
    pub(crate) const fn console_mut(&mut self) -> &mut Console {
        &mut self.console
    }

    /// The alerts, the first thousand of them; [`Self::records`] has how many there were.
    pub fn alerts(&self) -> &[AlertRecord] {
        &self.alerts
    }

    /// How the program ended; `None` if it has not, or nobody was left to say so.
    pub const fn exit(&self) -> Option<RunExit> {
        self.exit
    }

    /// How many records of a kind were applied.
    pub fn records(&self, kind: RecordKind) -> u64 {
        self.counts.get(kind.field() as usize).copied().unwrap_or(0)
    }

    /// Console lines that are kept unless asked otherwise.
    pub const CONSOLE_LINES: usize = 1000;
}

/// The stream of an output record. Zero, the default of protobuf, is standard error.
/// Whether a large message is made of next to empty fields. No client writes such, and decoded they
/// take dozens of times the memory of their bytes.
fn is_all_overhead(kind: RecordKind, message: &[u8]) -> bool {
    if message.len() < OVERHEAD_FROM {
        return false;
    }
    let mut count = 0;
    for field in Fields::new(message).map_while(std::result::Result::ok) {
        count += 1;
        if let (RecordKind::Run, Some(inner)) = (kind, field.value.bytes()) {
            let is_list = matches!(field.number, 4 | 5 | 11);
            count += if is_list { Fields::new(inner).count() } else { 0 };
        }
    }
    count > message.len() / 8
}

/// Messages below this size may be what they like.
const OVERHEAD_FROM: usize = 1 << 20;

const fn stream(output_type: i32) -> Stream {
    if output_type == 0 { Stream::Stderr } else { Stream::Stdout }
}

const ALERTS_KEPT: usize = 1000;
