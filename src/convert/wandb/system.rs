//! System metrics, as a sub-run.

use super::report::{Changed, Reason, RunReport};
use crate::error::Result;
use crate::json::Value;
use crate::proto::wandb_internal::StatsRecord;
use crate::tfevents::{SummaryWriter, SummaryWriterOptions};
use std::collections::HashMap;
use std::path::PathBuf;

/// Writes system metrics by seconds since the start of the run.
pub(super) struct System {
    dir: PathBuf,
    start: f64,
    options: SummaryWriterOptions,
    /// Made when there is something to write.
    writer: Option<SummaryWriter>,
    last: HashMap<String, i64>,
}

impl System {
    pub(super) fn new(dir: PathBuf, start: f64, options: SummaryWriterOptions) -> Self {
        Self { dir, start, options, writer: None, last: HashMap::new() }
    }

    pub(super) fn sample(&mut self, record: &StatsRecord, report: &mut RunReport) -> Result<()> {
        let time = record
            .timestamp
            .as_ref()
            .map_or(self.start, |time| time.seconds as f64 + f64::from(time.nanos) / 1e9);
        let mut numbers = Vec::new();
        for item in &record.item {
            let value = Value::parse(&item.value_json).unwrap_or_default();
            if !flatten(&format!("system/{}", item.key), &value, &mut numbers) {
                report.leave_out(Reason::UnusableValue, "system metric", 1);
            }
        }
        let seconds = (time - self.start).max(0.0) as i64;
        for (tag, number) in numbers {
            let next = self.last.get(&tag).map_or(0, |last| last.saturating_add(1));
            report.change(Changed::LaterSecond, (next > seconds).into());
            let step = seconds.max(next);
            self.writer()?.scalar(&tag, (step, time), number as f32)?;
            self.last.insert(tag, step);
            report.carried.system += 1;
        }
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut SummaryWriter> {
        match &mut self.writer {
            Some(writer) => Ok(writer),
            empty => Ok(empty.insert(self.options.clone().create(&self.dir)?)),
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        self.writer.map_or(Ok(()), |mut writer| writer.sync())
    }
}

/// Gathers the numbers of a value; wandb 0.12 has objects of them. Says whether all were numbers.
fn flatten(tag: &str, value: &Value, numbers: &mut Vec<(String, f64)>) -> bool {
    match (value, value.as_f64()) {
        (Value::Object(members), _) => members.iter().fold(true, |all, (name, value)| {
            flatten(&format!("{tag}/{name}"), value, numbers) && all
        }),
        (_, Some(number)) => {
            numbers.push((tag.to_owned(), number));
            true
        }
        _ => false,
    }
}
