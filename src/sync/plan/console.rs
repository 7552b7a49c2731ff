//! Console lines for the server.
//!
//! The official client stamps each line with the time of the sync. Here it is the time at which the line
//! was begun, as the log has it: the truth, and the same at each sync.

use crate::json::{Value, put_str};
use crate::run::{ConsoleLine, Stream};
use prost_types::Timestamp;

/// Writes lines in the form that the server takes.
#[derive(Debug)]
pub(super) struct Console {
    /// For lines of loggers, which have no time of their own: that of the line before.
    clock: Timestamp,
}

impl Console {
    pub(super) const fn new(start: Timestamp) -> Self {
        Self { clock: start }
    }

    /// A line; `structured` as an object, which servers take that say so.
    pub(super) fn line(&mut self, line: &ConsoleLine, structured: bool) -> String {
        self.clock = line.time().unwrap_or(self.clock);
        let time = jiff::Timestamp::new(self.clock.seconds, self.clock.nanos).unwrap_or_default();
        let time = time.strftime("%Y-%m-%dT%H:%M:%S%.6f");
        let is_error = line.stream() == Stream::Stderr;
        if !structured {
            return format!("{}{time} {}", if is_error { "ERROR " } else { "" }, line.text());
        }
        let mut out = b"{".to_vec();
        if is_error {
            out.extend_from_slice(b"\"level\":\"error\",");
        }
        out.extend_from_slice(format!("\"ts\":\"{time}\",\"content\":").as_bytes());
        put_str(&mut out, &line.text());
        out.push(b'}');
        String::from_utf8(out).unwrap_or_default()
    }
}

/// The line of a sample of system metrics. `start` is when the run started.
pub(super) fn event(
    record: &crate::proto::wandb_internal::StatsRecord,
    start: Option<Timestamp>,
) -> String {
    let seconds = |time: Timestamp| time.seconds as f64 + f64::from(time.nanos) / 1e9;
    let time = record.timestamp.map(seconds).unwrap_or_default();
    let runtime = time - start.map_or(time, seconds);
    let mut out = b"{\"_wandb\":true,\"_timestamp\":".to_vec();
    crate::json::put_f64(&mut out, time);
    out.extend_from_slice(b",\"_runtime\":");
    crate::json::put_f64(&mut out, runtime);
    for item in &record.item {
        out.push(b',');
        put_str(&mut out, &format!("system.{}", item.key));
        out.push(b':');
        if !super::rows::put_json(&mut out, &item.value_json) {
            Value::object().write_json(&mut out);
        }
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal::{StatsItem, StatsRecord};

    #[test]
    fn samples_get_their_prefix_and_their_place_in_time() {
        let item = |key: &str, json: &str| StatsItem { key: key.into(), value_json: json.into() };
        let record = StatsRecord {
            timestamp: Some(Timestamp { seconds: 100, nanos: 500_000_000 }),
            item: vec![item("cpu", "1.50"), item("net", r#"{"sent":1}"#)],
            ..Default::default()
        };
        let line = event(&record, Some(Timestamp { seconds: 90, nanos: 0 }));
        assert_eq!(
            line,
            r#"{"_wandb":true,"_timestamp":100.5,"_runtime":10.5,"system.cpu":1.50,"system.net":{"sent":1}}"#
        );
    }
}
