//! A run at a glance, as W&B's own tools show it.

use super::{ConsoleLine, RunState, Stream};
use crate::json::Value;
use prost_types::Timestamp;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What became of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// The log does not say what run it is of.
    Unknown,
    /// It has not ended, and its log was written to lately.
    Running,
    /// It ended with exit code 0.
    Finished,
    /// It ended with another exit code.
    Failed,
    /// It has not ended, but nothing was written to its log for [`RunState::CRASHED_AFTER`].
    Crashed,
}

impl Status {
    /// The name of the status, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
        }
    }
}

impl RunState {
    /// What became of the run, as of `now`, when its log was last written to at `last_write`. Whether a
    /// run without an exit record still runs, its log alone cannot tell.
    pub fn status(&self, now: SystemTime, last_write: SystemTime) -> Status {
        match self.exit() {
            Some(exit) if exit.code == 0 => return Status::Finished,
            Some(_) => return Status::Failed,
            None if self.info().run().is_none() => return Status::Unknown,
            None => {}
        }
        // A log written to in the future is one on a machine whose clock is ahead.
        match now.duration_since(last_write) {
            Ok(age) if age >= Self::CRASHED_AFTER => Status::Crashed,
            _ => Status::Running,
        }
    }

    /// The run as one object with the members that `wandb leet inspect --summary --json` prints.
    ///
    /// As there, the console is what was printed: lines of loggers are not part of it. Unlike there, the
    /// console lines of wandb 0.12 are, and a log without summary records has the summary its rows come
    /// to.
    pub fn overview(&self, file: &Path, last_write: SystemTime, now: SystemTime) -> Value {
        let info = self.info();
        let console = self.console();
        let lines = console.lines().filter(|line| line.stream() != Stream::Logger);
        let tail = lines.clone().count().saturating_sub(CONSOLE_TAIL);
        let tags = info.tags().iter().map(|tag| Value::from(tag.as_str())).collect::<Vec<_>>();
        let exit_code = self.exit().map(|exit| i64::from(exit.code));
        let last_write = last_write.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last_write = Timestamp {
            seconds: last_write.as_secs().try_into().unwrap_or(i64::MAX),
            nanos: last_write.subsec_nanos().try_into().unwrap_or_default(),
        };
        Value::from_iter([
            ("config", self.config().clone()),
            ("console", Value::Array(lines.skip(tail).map(console_line).collect())),
            ("console_lines", (console.count() - console.logger_lines()).into()),
            ("entity", info.entity().into()),
            ("exit_code", exit_code.into()),
            ("file", file.display().to_string().into()),
            ("last_write", rfc3339(Some(last_write))),
            ("name", info.name().into()),
            ("notes", info.notes().into()),
            ("project", info.project().into()),
            ("run_id", info.run_id().into()),
            ("start_time", rfc3339(info.start_time())),
            ("state", self.status(now, from_timestamp(last_write)).name().into()),
            ("step", self.history().last_stated_step().into()),
            ("summary", self.summary()),
            ("tags", tags.into()),
        ])
    }

    /// A run that has not ended counts as crashed when its log has not been written to for so long.
    /// W&B's own reader waits as long.
    pub const CRASHED_AFTER: Duration = Duration::from_secs(600);
}

fn console_line(line: &ConsoleLine) -> Value {
    Value::from_iter([
        ("line", line.text().into()),
        ("stream", line.stream().name().into()),
        ("time", rfc3339(line.time())),
    ])
}

/// The time in UTC with as many digits as it has, null if it is none that a calendar has.
fn rfc3339(time: Option<Timestamp>) -> Value {
    let time = time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
    time.map(|time| time.to_string()).into()
}

fn from_timestamp(time: Timestamp) -> SystemTime {
    let since = Duration::new(time.seconds.unsigned_abs(), time.nanos.unsigned_abs());
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Lines of console output in an overview.
const CONSOLE_TAIL: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Span;
    use crate::proto::wandb_internal::record::RecordType;
    use crate::proto::wandb_internal::{Record, RunExitRecord, RunRecord};
    use crate::record::RawRecord;
    use prost::Message;

    fn run(records: Vec<RecordType>) -> RunState {
        let mut run = RunState::default();
        for record_type in records {
            let record = Record { record_type: Some(record_type), ..Default::default() };
            let payload = record.encode_to_vec();
            let span = Span { offset: 0, length: payload.len() as u64 };
            run.apply(&RawRecord::new(span, &payload)).unwrap();
        }
        run
    }

    fn exit(exit_code: i32) -> RecordType {
        RecordType::Exit(RunExitRecord { exit_code, ..Default::default() })
    }

    #[test]
    fn the_exit_record_decides_and_without_one_the_age_of_the_log() {
        let now = SystemTime::now();
        let status = |records, age: u64| {
            let last_write = now - Duration::from_secs(age);
            run(records).status(now, last_write)
        };
        let started = || RecordType::Run(RunRecord::default());
        assert_eq!(status(vec![], 0), Status::Unknown);
        assert_eq!(status(vec![started()], 599), Status::Running);
        assert_eq!(status(vec![started()], 600), Status::Crashed);
        assert_eq!(status(vec![exit(0)], 9999), Status::Finished);
        assert_eq!(status(vec![started(), exit(3)], 0), Status::Failed);
        assert_eq!(status(vec![exit(1), exit(0)], 0), Status::Finished, "the last one counts");
        let future = now + Duration::from_secs(60);
        assert_eq!(run(vec![started()]).status(now, future), Status::Running);
    }

    #[test]
    fn times_have_the_digits_they_need() {
        let at = |seconds, nanos| rfc3339(Some(Timestamp { seconds, nanos })).to_string();
        assert_eq!(at(1_700_000_000, 0), "\"2023-11-14T22:13:20Z\"");
        assert_eq!(at(1_700_000_000, 788_240_000), "\"2023-11-14T22:13:20.78824Z\"");
        assert_eq!(at(i64::MAX, 0), "null");
        assert_eq!(rfc3339(None), Value::Null);
    }
}
