//! The run's streams: lines at fixed places, sent in batches.
//!
//! The protocol knows data only by its place: stream and line number. A line sent again at its place is
//! harmless, at another place it is a duplicate. So each stream has a base, fixed before its first line is
//! sent and kept in the ledger, and the n-th line of the log always goes to `base + n`.
//!
//! ```text
//! {"files":{"wandb-history.jsonl":{"offset":0,"content":["{…}","{…}"]},
//!           "wandb-events.jsonl": {…}, "wandb-summary.json":{"offset":0,"content":["{…}"]},
//!           "output.log":{"offset":12,"content":["…"]}},
//!  "uploaded":["config.yaml"],"preempting":true,"complete":true,"exitcode":0}
//! ```

use crate::json::{put_i64, put_str, put_u64};
use crate::sync::ledger::{Place, Places};
use std::collections::VecDeque;

/// The three streams that have places, and the summary, which is always one line.
#[derive(Debug)]
pub(super) struct Streams {
    history: Lines,
    events: Lines,
    console: Lines,
    summary: Option<String>,
    /// Bytes of lines a batch is to have.
    batch: usize,
}

/// One of the streams that have places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamKind {
    History,
    Events,
    Console,
}

/// What a request carries beside lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    pub(super) uploaded: Vec<String>,
    pub(super) preempting: bool,
    /// The run ended with this exit code: the last request of a run.
    pub(super) complete: Option<i32>,
}

/// A request's body, and how many lines of each stream it carries.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) body: Vec<u8>,
    pub(super) counts: Counts,
    /// The check sums of all records up to these, of streams that it has lines of.
    pub(super) sums: [Option<u32>; 3],
    pub(super) is_empty: bool,
}

/// What of the streams a request carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Lines of history, events and console.
    pub(super) lines: [u64; 3],
    /// The step of the last row.
    pub(super) last_step: Option<i64>,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It waits to be sent.
    Waits,
    /// The server has it.
    Known,
    /// It was left out, and the lines after it close up.
    TooLong,
}

impl Streams {
    pub(super) fn new(batch: usize, places: &Places) -> Self {
        let lines = |place: &Place| Lines {
            skipped: place.acknowledged,
            expected: place.crc32c,
            ..Lines::default()
        };
        Self {
            history: lines(&places.history),
            events: lines(&places.events),
            console: lines(&places.console),
            summary: None,
            batch: batch.clamp(1, LARGEST_REQUEST),
        }
    }

    /// Adds the next line of a stream, and the record that it is of.
    pub(super) fn push(&mut self, kind: StreamKind, line: &str, record: &[u8]) -> Pushed {
        if line.len() > LONGEST_LINE {
            return Pushed::TooLong;
        }
        let batch = self.batch;
        self.lines_mut(kind).push(line, record, batch)
    }

    /// The row that was added last has this step.
    pub(super) fn mark_row(&mut self, step: Option<i64>) {
        if let Some(part) = self.history.parts.back_mut() {
            part.last_step = step;
        }
    }

    /// Sets the line of the summary; `false` if it is too long.
    pub(super) fn set_summary(&mut self, line: String) -> bool {
        let fits = line.len() <= LONGEST_LINE;
        self.summary = Some(line).filter(|_| fits);
        fits
    }

    /// Whether fewer rows or samples came than the server had to begin with.
    pub(super) const fn is_short(&self) -> bool {
        self.history.count < self.history.skipped || self.events.count < self.events.skipped
    }

    /// Whether the lines that the server had to begin with are of other records.
    pub(super) const fn differ(&self) -> bool {
        self.history.differ || self.events.differ
    }

    /// Whether lines wait to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.summary.is_none() && self.all().iter().all(|lines| lines.parts.is_empty())
    }

    /// Whether there is enough for a batch.
    pub(super) fn is_full(&self) -> bool {
        self.bytes() >= self.batch
    }

    /// Whether zipping what waits saves more time than it takes to ask the server whether it can unzip.
    pub(super) fn are_large(&self) -> bool {
        self.bytes() >= LARGE
    }

    fn bytes(&self) -> usize {
        self.all().iter().map(|lines| lines.bytes).sum()
    }

    /// Takes what goes into the next request. `places` has the bases and what is acknowledged so far, which
    /// nothing is in flight beyond.
    pub(super) fn take(&mut self, places: &Places, extras: &Extras) -> Batch {
        let mut body = b"{".to_vec();
        let mut comma = Comma::default();
        let (mut files, mut room) = (Vec::new(), LARGEST_REQUEST);
        let mut separate = Comma::default();
        let (mut counts, mut sums) = (Counts::default(), [None; 3]);
        let named = [
            (HISTORY, &mut self.history, &places.history),
            (EVENTS, &mut self.events, &places.events),
            (CONSOLE, &mut self.console, &places.console),
        ];
        for (((name, lines, place), count), sum) in
            named.into_iter().zip(&mut counts.lines).zip(&mut sums)
        {
            while let Some(part) = lines.take(room) {
                room = room.saturating_sub(part.size);
                if *count == 0 {
                    separate.put(&mut files);
                    open(&mut files, name, place.base + place.acknowledged);
                } else {
                    files.push(b',');
                }
                files.extend_from_slice(&part.bytes);
                *count += part.lines;
                counts.last_step = part.last_step.or(counts.last_step);
                *sum = Some(part.sum);
            }
            if *count > 0 {
                files.extend_from_slice(b"]}");
            }
        }
        if let Some(line) = self.summary.take() {
            separate.put(&mut files);
            open(&mut files, SUMMARY, 0);
            put_str(&mut files, &line);
            files.extend_from_slice(b"]}");
        }
        if !files.is_empty() {
            comma.put(&mut body);
            body.extend_from_slice(b"\"files\":{");
            body.append(&mut files);
            body.push(b'}');
        }
        extras.put(&mut body, &mut comma);
        body.push(b'}');
        Batch { is_empty: body.len() == 2, body, counts, sums }
    }

    const fn all(&self) -> [&Lines; 3] {
        [&self.history, &self.events, &self.console]
    }

    const fn lines_mut(&mut self, kind: StreamKind) -> &mut Lines {
        match kind {
            StreamKind::History => &mut self.history,
            StreamKind::Events => &mut self.events,
            StreamKind::Console => &mut self.console,
        }
    }
}

impl Extras {
    fn put(&self, body: &mut Vec<u8>, comma: &mut Comma) {
        if !self.uploaded.is_empty() {
            comma.put(body);
            body.extend_from_slice(b"\"uploaded\":[");
            let mut separate = Comma::default();
            for name in &self.uploaded {
                separate.put(body);
                put_str(body, name);
            }
            body.push(b']');
        }
        if self.preempting {
            comma.put(body);
            body.extend_from_slice(b"\"preempting\":true");
        }
        if let Some(code) = self.complete {
            comma.put(body);
            body.extend_from_slice(b"\"complete\":true,\"exitcode\":");
            put_i64(body, i64::from(code));
        }
    }
}

/// Begins the content of a stream.
fn open(files: &mut Vec<u8>, name: &str, offset: u64) {
    put_str(files, name);
    files.extend_from_slice(b":{\"offset\":");
    put_u64(files, offset);
    files.extend_from_slice(b",\"content\":[");
}

#[derive(Default)]
struct Comma(bool);

impl Comma {
    fn put(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.0, true) {
            out.push(b',');
        }
    }
}

/// Lines that wait, in parts that are sent whole.
#[derive(Debug, Default)]
struct Lines {
    /// Lines at the beginning that the server has acknowledged in an earlier sync.
    skipped: u64,
    /// The check sum of the records that those are of.
    expected: Option<u32>,
    count: u64,
    /// The check sum of all records so far.
    sum: u32,
    differ: bool,
    parts: VecDeque<Part>,
    bytes: usize,
}

/// Lines as JSON strings with commas between them.
#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    lines: u64,
    /// The check sum of all records up to these.
    sum: u32,
    /// Bytes of the lines themselves.
    size: usize,
    /// The step of the last line, if they are rows.
    last_step: Option<i64>,
}

impl Lines {
    fn push(&mut self, line: &str, record: &[u8], batch: usize) -> Pushed {
        self.count += 1;
        self.sum = crc32c::crc32c_append(self.sum, record);
        if self.count <= self.skipped {
            let known = self.expected.filter(|_| self.count == self.skipped);
            self.differ |= known.is_some_and(|sum| sum != self.sum);
            return Pushed::Known;
        }
        if self.parts.back().is_none_or(|part| part.size + line.len() > batch) {
            self.parts.push_back(Part::default());
        }
        let Some(part) = self.parts.back_mut() else { return Pushed::Waits };
        if part.lines > 0 {
            part.bytes.push(b',');
        }
        put_str(&mut part.bytes, line);
        part.lines += 1;
        part.sum = self.sum;
        part.size += line.len();
        self.bytes += line.len();
        Pushed::Waits
    }

    /// The next part, if it fits; one that is larger than any request may be goes alone.
    fn take(&mut self, room: usize) -> Option<Part> {
        let fits = |part: &Part| part.size <= room || room == LARGEST_REQUEST;
        self.parts.front().filter(|part| fits(part))?;
        let part = self.parts.pop_front()?;
        self.bytes -= part.size;
        Some(part)
    }
}

const HISTORY: &str = "wandb-history.jsonl";
const EVENTS: &str = "wandb-events.jsonl";
const CONSOLE: &str = "output.log";
const SUMMARY: &str = "wandb-summary.json";

/// Longest line the server takes: 10 MiB less 100 KiB.
pub(crate) const LONGEST_LINE: usize = (10 << 20) - (100 << 10);

/// Bytes of lines in one request.
const LARGEST_REQUEST: usize = 10 << 20;

/// Bytes of lines that take longer than an answer on most lines.
const LARGE: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn body(streams: &mut Streams, places: &Places, extras: &Extras) -> String {
        String::from_utf8(streams.take(places, extras).body).unwrap()
    }

    #[test]
    fn a_request_has_what_waits_and_nothing_else() {
        let places = Places::default();
        let mut streams = Streams::new(1 << 20, &places);
        assert_eq!(body(&mut streams, &places, &Extras::default()), "{}");
        streams.push(StreamKind::History, r#"{"a":1}"#, b"");
        streams.push(StreamKind::History, r#"{"a":2}"#, b"");
        streams.push(StreamKind::Console, "x", b"");
        streams.set_summary("{}".into());
        let extras =
            Extras { uploaded: vec!["a".into(), "b".into()], preempting: true, complete: Some(-1) };
        assert_eq!(
            body(&mut streams, &places, &extras),
            concat!(
                r#"{"files":{"wandb-history.jsonl":{"offset":0,"content":["{\"a\":1}","{\"a\":2}"]},"#,
                r#""output.log":{"offset":0,"content":["x"]},"#,
                r#""wandb-summary.json":{"offset":0,"content":["{}"]}},"#,
                r#""uploaded":["a","b"],"preempting":true,"complete":true,"exitcode":-1}"#,
            )
        );
        assert!(streams.is_empty());
    }

    #[test]
    fn lines_go_to_their_place_after_those_that_are_acknowledged() {
        let history = Place { base: 10, acknowledged: 2, crc32c: None };
        let places = Places { history, ..Places::default() };
        let mut streams = Streams::new(1 << 20, &places);
        let pushed = ["0", "1", "2", "3"]
            .map(|line| streams.push(StreamKind::History, line, line.as_bytes()));
        assert_eq!(pushed, [Pushed::Known, Pushed::Known, Pushed::Waits, Pushed::Waits]);
        streams.mark_row(Some(9));
        let batch = streams.take(&places, &Extras::default());
        assert_eq!(batch.counts, Counts { lines: [2, 0, 0], last_step: Some(9) });
        let text = String::from_utf8(batch.body).unwrap();
        assert!(text.contains(r#""offset":12,"content":["2","3"]"#), "{text}");
    }

    #[test]
    fn lines_that_are_there_are_known_by_their_records() {
        let sent = |expected| {
            let history = Place { base: 0, acknowledged: 2, crc32c: expected };
            let places = Places { history, ..Places::default() };
            let mut streams = Streams::new(1 << 20, &places);
            for record in ["0", "1", "2"] {
                streams.push(StreamKind::History, record, record.as_bytes());
            }
            (streams.differ(), streams.take(&places, &Extras::default()).sums)
        };
        let whole = [Some(crc32c::crc32c(b"012")), None, None];
        assert_eq!(sent(None), (false, whole));
        assert_eq!(sent(Some(crc32c::crc32c(b"01"))), (false, whole));
        assert_eq!(sent(Some(crc32c::crc32c(b"02"))), (true, whole));
    }

    #[test]
    fn no_request_is_too_large_and_no_line_too_long() {
        let places = Places::default();
        let mut streams = Streams::new(4 << 20, &places);
        let too_long = "x".repeat(LONGEST_LINE + 1);
        assert_eq!(streams.push(StreamKind::History, &too_long, b""), Pushed::TooLong);
        let line = "x".repeat(3 << 20);
        for kind in [StreamKind::History, StreamKind::Events] {
            for _ in 0..3 {
                assert_eq!(streams.push(kind, &line, b""), Pushed::Waits);
            }
        }
        let long = "y".repeat(LONGEST_LINE);
        assert_eq!(streams.push(StreamKind::Console, &long, b""), Pushed::Waits);
        let mut counts = Vec::new();
        while !streams.is_empty() {
            let batch = streams.take(&places, &Extras::default());
            assert!(batch.body.len() < LARGEST_REQUEST + 1000);
            counts.push(batch.counts.lines);
        }
        assert_eq!(counts, [[3, 0, 0], [0, 3, 0], [0, 0, 1]]);
    }
}
