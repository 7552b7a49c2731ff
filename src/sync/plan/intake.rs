//! What comes in: the records of the log, and its end.

use super::console::{self, Console};
use super::files::Content;
use super::streams::{LONGEST_LINE, Pushed, StreamKind};
use super::{Features, LocalFile, Phase, Plan, config};
use crate::error::Result;
use crate::json::Value;
use crate::proto::wandb_internal::files_item::PolicyType;
use crate::proto::wandb_internal::{AlertRecord, ArtifactRecord, StatsRecord};
use crate::record::{RawRecord, RecordKind};
use crate::run::{RunFile, RunState};
use prost::Message;

impl Plan {
    /// Whether the plan can take records now. If not, it waits for outcomes.
    pub fn wants_records(&self) -> bool {
        let held = self.run.console().lines().len() > LINES_HELD;
        let open = match self.phase {
            Phase::Greeting => !self.greeting.holds_records(),
            Phase::Open => true,
            _ => false,
        };
        open && !self.ended && !self.streams.is_full() && !held
    }

    /// Takes the next record of the log.
    ///
    /// # Errors
    /// When the record's bytes are not what they should be. Such a record changes nothing.
    pub fn record(&mut self, record: &RawRecord<'_>) -> Result<()> {
        let Some(body) = record.body()? else { return Ok(()) };
        let message = &*body.message;
        let malformed = |error: prost::DecodeError| record.message_error(error.to_string());
        match body.kind {
            RecordKind::History => {
                // In a log without summary records the rows are the summary.
                self.summary_changed = true;
                if self.run.records(RecordKind::Summary) == 0 {
                    self.run.apply(record)?;
                }
                let line = self.rows.line(message).map_err(|error| record.malformed(error))?;
                let length = line.len();
                let pushed = self.streams.push(StreamKind::History, line, message);
                self.row_pushed(pushed, length);
                self.want_gzip();
                self.compare();
                return Ok(());
            }
            RecordKind::Stats => {
                let stats = StatsRecord::decode(message).map_err(malformed)?;
                let line = console::event(&stats, self.run.info().start_time());
                if self.streams.push(StreamKind::Events, &line, message) == Pushed::TooLong {
                    self.problems.push("a sample of system metrics was left out: too long".into());
                }
                self.want_gzip();
                self.compare();
                return Ok(());
            }
            RecordKind::Artifact => {
                let artifact = ArtifactRecord::decode(message).map_err(malformed)?;
                self.artifacts.add(artifact, &self.ledger);
                return Ok(());
            }
            RecordKind::Alert => {
                let alert = AlertRecord::decode(message).map_err(malformed)?;
                self.alerts_seen += 1;
                if self.alerts_seen > self.ledger.alerts {
                    self.alerts.push_back(alert);
                }
                return Ok(());
            }
            _ => self.run.apply(record)?,
        }
        match body.kind {
            RecordKind::Run => self.meet(),
            RecordKind::Preempting => self.preempting = true,
            RecordKind::Output | RecordKind::OutputRaw | RecordKind::OutputLogger => {
                self.want_features();
                self.settle_console(CONSOLE_WINDOW);
            }
            RecordKind::Summary => self.summary_changed = true,
            RecordKind::Files if self.options.live.is_some() => self.offer_files(),
            _ => {}
        }
        Ok(())
    }

    fn want_features(&mut self) {
        if self.features == Features::Unneeded {
            self.features = Features::Wanted;
        }
    }

    /// Lines that are worth it go zipped, if the server can unzip them.
    fn want_gzip(&mut self) {
        if self.options.gzip && self.streams.are_large() {
            self.want_features();
        }
    }

    /// A row of so many bytes was handed to the streams.
    fn row_pushed(&mut self, pushed: Pushed, length: usize) {
        let step = self.rows.last_step();
        match pushed {
            Pushed::Waits => self.streams.mark_row(step),
            Pushed::Known => self.ledger.last_step = self.ledger.last_step.max(step),
            Pushed::TooLong => self.problems.push(format!(
                "a row was left out: {length} bytes are more than the {LONGEST_LINE} a row may have"
            )),
        }
    }

    /// Sees whether the log still has what was uploaded of it. If not, what comes now would go to wrong places.
    fn compare(&mut self) {
        if self.streams.differ() {
            let reason = "the log has other rows than were uploaded of it: it was damaged then or is now, or it was \
                          replaced; upload it as a run of its own with --id";
            self.fail(reason.to_owned());
        }
    }

    /// Gives up: the log cannot be read on.
    pub fn give_up(&mut self, reason: String) {
        self.fail(reason);
    }

    /// Takes note of something in the log that could not be uploaded.
    pub fn note(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// The log has ended, after `length` bytes.
    pub fn end(&mut self, length: u64) {
        self.ended = true;
        self.log_length = length;
        if self.run.info().run().is_none() {
            self.fail("the log has no run record, so nobody knows which run it is".to_owned());
        }
    }

    /// Once the log has ended: what is known only now.
    pub(super) fn finish_reading(&mut self) {
        if !self.ended
            || self.generated
            || matches!(self.features, Features::Wanted | Features::Asked)
        {
            return;
        }
        self.generated = true;
        if self.streams.is_short() {
            self.problems
                .push("the log has fewer rows than were uploaded of it; was it cut off?".into());
        }
        self.settle_console(0);
        self.files.look_again();
        self.offer_generated();
        self.offer_files();
        self.offer_summary();
    }

    pub(super) fn offer_summary(&mut self) {
        self.summary_changed = false;
        if self.greeting.is_superseded() {
            return;
        }
        if let Some(line) = self.summary_line()
            && !self.streams.set_summary(line)
        {
            self.problems.push("the summary was left out of the run's streams: too long".into());
        }
    }

    /// The files that the log is the source of.
    fn offer_generated(&mut self) {
        if self.greeting.is_superseded() {
            return;
        }
        let bytes = |text: String| Content::Bytes(text.into_bytes().into());
        if let Some(record) = self.run.info().environment() {
            let value = config::environment(record);
            let text = serde_json::to_string_pretty(&value).unwrap_or_default();
            self.files.offer("wandb-metadata.json", bytes(text), &self.ledger);
        }
        if let Some(line) = self.summary_line() {
            self.files.offer("wandb-summary.json", bytes(line), &self.ledger);
        }
        let config = config::config(&self.run, self.greeting.config_before());
        self.files.offer("config.yaml", bytes(crate::sync::yaml::document(&config)), &self.ledger);
        if self.console_lines > 0 {
            self.files.offer("output.log", Content::Local(LocalFile::Console), &self.ledger);
        }
    }

    /// Offers the files that the log names. As long as the run goes on these are those that will not change.
    fn offer_files(&mut self) {
        let listed = self.run.files().iter();
        let is_final = |file: &RunFile| file.policy == PolicyType::Now && !is_generated(&file.path);
        let listed = listed.filter(|file| self.ended || is_final(file));
        let names: Vec<_> = listed.map(|file| file.path.clone()).collect();
        for name in names {
            let local = LocalFile::Run(name.clone());
            self.files.offer(&name, Content::Local(local), &self.ledger);
        }
    }

    fn summary_line(&self) -> Option<String> {
        summary_line(&self.run, self.rows.last_step())
    }

    /// Hands on the console lines that can no longer change: all but the last `window`.
    fn settle_console(&mut self, window: usize) {
        let structured = match self.features {
            Features::Known { structured_console, .. } => structured_console,
            Features::Unneeded => false,
            Features::Wanted | Features::Asked => return,
        };
        let start = self.run.info().start_time().unwrap_or_default();
        let console = self.console.get_or_insert_with(|| Console::new(start));
        for line in self.run.console_mut().take_settled(window) {
            self.console_lines += 1;
            self.console_text.push_str(&line.text());
            self.console_text.push('\n');
            // A line has at most 4,096 characters, so it fits.
            self.streams.push(StreamKind::Console, &console.line(&line, structured), b"");
        }
    }
}

/// The whole summary of a run as it is now; `None` if it is empty.
///
/// Its step is that of the last row, whatever the summary records say, as in the official client. They count from 0
/// in each part of a resumed run, and come before their row, which a run that was killed may lack.
pub(crate) fn summary_line(run: &RunState, last_step: Option<i64>) -> Option<String> {
    let Value::Object(mut members) = run.summary() else { return None };
    match last_step {
        Some(step) => members.insert("_step".into(), Value::Int(step)),
        None => members.remove("_step"),
    };
    let internal = run.summary_internal();
    if !internal.is_null() {
        members.insert("_wandb".into(), internal);
    }
    (!members.is_empty()).then(|| Value::Object(members).to_string())
}

/// Whether the content of a file usually comes from the log, whatever stands in the file.
pub(crate) fn is_generated(name: &str) -> bool {
    GENERATED.contains(&name)
}

/// Console lines that may still change. Those before are sent.
const CONSOLE_WINDOW: usize = 128;

/// Console lines kept while it is not known how the server wants them.
const LINES_HELD: usize = 20_000;

/// The files that a sync makes of the log.
pub(crate) const GENERATED: &[&str] =
    &["wandb-metadata.json", "wandb-summary.json", "config.yaml", "output.log"];
