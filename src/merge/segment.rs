//! One segment, read once to know what is in it.

use super::place::{Extent, StepRange};
use super::telemetry::Telemetry;
use crate::error::Result;
use crate::log::{LogFile, Repeated, starting_step};
use crate::record::{HistoryView, RawRecord, RecordKind};
use crate::rewrite::{Damage, RowSteps, run_id};
use crate::run::RunState;
use std::path::{Path, PathBuf};

/// What a segment comes to.
#[derive(Debug)]
pub(super) struct Segment {
    /// What it is called in reports: `segment 1`, or `rank 0`.
    pub(super) label: String,
    pub(super) log: PathBuf,
    pub(super) source: Repeated,
    pub(super) bytes: u64,
    pub(super) records: u64,
    /// All but the rows.
    pub(super) state: RunState,
    /// The rows, and the metric definitions.
    pub(super) rows: RunState,
    /// The body of its header record, and that of its first run record.
    pub(super) header: Option<Vec<u8>>,
    pub(super) run: Option<Vec<u8>>,
    pub(super) telemetry: Telemetry,
    /// Whether no row has a lower step than one before it.
    pub(super) in_order: bool,
    /// Whether every row states its step.
    all_stated: bool,
    steps: RowSteps,
    /// `_runtime` of its first row.
    first_runtime: Option<f64>,
    starting_step: Option<i64>,
    pub(super) damage: Damage,
}

impl Segment {
    /// Reads the log, past any damage.
    pub(super) fn read(log: &LogFile) -> Result<Self> {
        let path = &log.path;
        let mut segment = Self {
            label: String::new(),
            log: path.clone(),
            source: Repeated::new(path)?,
            bytes: log.size,
            records: 0,
            state: RunState::default(),
            rows: RunState::default(),
            header: None,
            run: None,
            telemetry: Telemetry::default(),
            in_order: true,
            all_stated: true,
            steps: RowSteps::default(),
            first_runtime: None,
            starting_step: starting_step(path)?,
            damage: Damage::default(),
        };
        let mut reader = segment.source.reader()?;
        while let Some(record) = reader.next_record()? {
            segment.records += 1;
            if segment.take(&record).is_err() {
                segment.damage.undecodable += 1;
            }
        }
        segment.damage.note(&reader);
        Ok(segment)
    }

    fn take(&mut self, record: &RawRecord<'_>) -> Result<()> {
        let Some(body) = record.body()? else { return Ok(()) };
        record.check_around_row()?;
        match body.kind {
            RecordKind::History => {
                self.rows.apply(record)?;
                let stated = HistoryView::new(&body.message).step();
                let stated = stated.map_err(|error| record.malformed(error))?;
                self.all_stated &= stated.is_some();
                let step = self.steps.next(stated);
                self.in_order &= self.steps.highest() == Some(step);
                if self.first_runtime.is_none() {
                    self.first_runtime = self.rows.history().last_runtime();
                }
                return Ok(());
            }
            RecordKind::Metric => self.rows.apply(record)?,
            RecordKind::Telemetry => {
                let added = self.telemetry.add(&body.message);
                added.map_err(|error| record.malformed(error))?;
            }
            _ => {}
        }
        self.state.apply(record)?;
        let first = match body.kind {
            RecordKind::Header => &mut self.header,
            RecordKind::Run => &mut self.run,
            _ => return Ok(()),
        };
        first.get_or_insert_with(|| body.message.into_owned());
        Ok(())
    }

    /// Whether its rows, all of them and as they are, come to what they came to here wherever they stand.
    pub(super) fn is_plain(&self) -> bool {
        self.all_stated && self.damage.undecodable == 0 && self.rows.metrics().is_empty()
    }

    /// The run it is of.
    pub(super) fn run_id(&self) -> &str {
        run_id(self.state.info(), &self.log)
    }

    /// Unix seconds.
    pub(super) fn start_time(&self) -> Option<f64> {
        let time = self.state.info().start_time()?;
        Some(time.seconds as f64 + f64::from(time.nanos) * 1e-9)
    }

    pub(super) fn extent(&self) -> Extent {
        let history = self.rows.history();
        let steps = history.first_step().zip(history.last_step());
        Extent {
            recorded: steps.map(|(first, last)| StepRange::new(first, last)),
            starting_step: self.starting_step,
        }
    }

    /// When it began and how long it took, in seconds of its own `_runtime`. A segment that began late
    /// went on counting from the one before.
    pub(super) fn runtimes(&self) -> (f64, f64) {
        let of_exit = self.state.exit().map_or(0.0, |exit| f64::from(exit.runtime));
        let of_rows = self.rows.history().last_runtime().unwrap_or_default();
        let first = self.first_runtime.unwrap_or_default();
        (first, if of_exit > of_rows { of_exit } else { of_rows })
    }

    pub(super) fn files_dir(&self) -> PathBuf {
        self.log.parent().unwrap_or_else(|| Path::new("")).join("files")
    }

    /// The log as it is called in reports and in the lineage: without the directories above its run.
    pub(super) fn short_name(&self) -> String {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let dir = self.log.parent().and_then(name);
        let parts = [dir, name(&self.log)];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }
}
