//! What must hold for any bytes. Each oracle is a plain function over the public API of the crate; the
//! fuzz targets call them under libFuzzer, `tests/oracles.rs` on stored seeds and seeded mutations.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each fuzz target takes one oracle of the file"
)]

#[cfg(feature = "sync")]
mod answers;
mod edited;
mod events;
mod memory;
mod recovered;
#[cfg(feature = "sync")]
mod settings;
mod verbs;

#[cfg(feature = "sync")]
pub use answers::answers;
pub use edited::edit;
pub use events::{event, tfrecord, tfrecord_damaged};
pub use memory::bounded;
pub use recovered::recover;
#[cfg(feature = "sync")]
pub use settings::settings;
pub use verbs::{console, export, merge, plugins, to_tensorboard, to_wandb};

use std::io::Read;
use wandb_offline::framing::block_log::BlockEncoder;
use wandb_offline::framing::{Gap, Span, Tail};
use wandb_offline::io::Source;
use wandb_offline::json::Value;
use wandb_offline::log::ReaderOptions;
use wandb_offline::record::{HistoryView, ItemValue};
use wandb_offline::run::{Columns, RunState};
use wandb_offline::{Limits, Reader};

/// One oracle: a name and the function.
pub type Oracle = (&'static str, fn(&[u8]));

/// Every oracle that needs nothing but this crate.
pub const ALL: &[Oracle] = &[
    #[cfg(feature = "sync")]
    ("answers", answers),
    ("block_log", block_log),
    ("block_log_damaged", block_log_damaged),
    ("console", console),
    ("edit", edit),
    ("event", event),
    ("export", export),
    ("history", history),
    ("json", json),
    ("merge", merge),
    ("plugins", plugins),
    ("recover", recover),
    ("render", render),
    ("run_model", run_model),
    #[cfg(feature = "sync")]
    ("settings", settings),
    ("tfrecord", tfrecord),
    ("tfrecord_damaged", tfrecord_damaged),
    ("to_tensorboard", to_tensorboard),
    ("to_wandb", to_wandb),
];

/// A `.wandb` file: every driver sees the same records, every byte is accounted for, and what was read
/// from a growing file is a beginning of what is read from the whole one.
pub fn block_log(bytes: &[u8]) {
    let whole = read(options().read_slice(bytes));
    let crumbs = read(options().read_from(Crumbs { bytes, size: 1 }));
    assert_eq!(whole, crumbs, "slice and single bytes");
    let size = 1 + bytes.first().map_or(0, |&b| usize::from(b) * 97);
    assert_eq!(whole, read(options().read_from(Crumbs { bytes, size })), "slice and pieces");
    assert_accounted(&whole, bytes);

    let cut = bytes.len() / 2;
    let strict = read(options().lenient(false).read_slice(bytes));
    let beginning = read(options().lenient(false).read_slice(&bytes[..cut]));
    assert!(strict.records.starts_with(&beginning.records), "a prefix gives a prefix");
    let growing = Growing { parts: vec![&bytes[..cut], &bytes[cut..]] };
    assert_eq!(whole.records, follow(options().following(true).read_from(growing)), "followed");
}

/// A log built from the input and then damaged as the input says: all that was not damaged is there.
pub fn block_log_damaged(input: &[u8]) {
    let (payloads, mut log, damage) = build_log(input);
    let sound = read(options().lenient(false).read_slice(&log));
    assert!(sound.error.is_none() && sound.tail.is_some_and(|tail| tail.is_clean()));
    assert_eq!(payloads, sound.records.iter().map(|(_, p)| p.clone()).collect::<Vec<_>>());

    let mut resumed = Vec::new();
    let half = payloads.len() / 2;
    let mut encoder = BlockEncoder::new(&mut resumed);
    payloads[..half].iter().for_each(|p| {
        encoder.record(p, &mut resumed);
    });
    let mut encoder = BlockEncoder::resume(resumed.len() as u64);
    payloads[half..].iter().for_each(|p| {
        encoder.record(p, &mut resumed);
    });
    assert_eq!(resumed, log, "an encoder goes on where another stopped");

    let touched = damage.apply(&mut log);
    let read = read(options().read_slice(&log));
    assert_accounted(&read, &log);
    for (span, payload) in &sound.records {
        let end = span.offset + span.length;
        let hit = touched.iter().any(|&(from, to)| from < end && span.offset < to);
        if !hit && end <= log.len() as u64 {
            assert!(
                read.records.iter().any(|(s, p)| s == span && p == payload),
                "record at {} is untouched and yet missing",
                span.offset
            );
        }
    }
    block_log(&log);
}

/// A history row: the view accepts what prost accepts and gives the same values.
pub fn history(bytes: &[u8]) {
    use prost::Message;
    use wandb_offline::proto::wandb_internal::{HistoryRecord, history_item::Value};
    let view = HistoryView::new(bytes);
    let Ok(want) = HistoryRecord::decode(bytes) else {
        assert!(view.check().is_err(), "prost rejects what the view accepts");
        return;
    };
    view.check().expect("prost accepts what the view rejects");
    assert_eq!(view.step_field().expect("checked"), want.step.map(|step| step.num));
    let items: Vec<_> = view.items().map(|item| item.expect("checked")).collect();
    assert_eq!(items.len(), want.item.len());
    for (got, want) in items.iter().zip(&want.item) {
        let path: Vec<_> = got.path.elements().collect();
        if want.nested_key.is_empty() {
            assert_eq!(path, [want.key.as_str()]);
        } else {
            assert_eq!(path, want.nested_key);
        }
        let json = Some(want.value_json.as_str()).filter(|json| !json.is_empty());
        let same = match (&want.value, got.value) {
            (None, ItemValue::Missing) => json.is_none(),
            (None, ItemValue::Json(got)) => json == Some(got),
            (Some(Value::None(_)), ItemValue::Null) => true,
            (Some(Value::Boolean(want)), ItemValue::Bool(got)) => *want == got,
            (Some(Value::Integer(want)), ItemValue::Integer(got)) => *want == got,
            (Some(Value::Number(want)), ItemValue::Number(got)) => want.to_bits() == got.to_bits(),
            (Some(Value::Text(want)), ItemValue::Text(got))
            | (Some(Value::Json(want)), ItemValue::Json(got)) => want == got,
            _ => false,
        };
        assert!(same, "{want:?} read as {got:?}");
    }
}

/// A value: what serde_json reads is read and means the same, and what is written reads back the same.
pub fn json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let number = wandb_offline::json::number(text);
    let Ok(value) = Value::parse(text) else {
        assert!(number.is_none(), "a number is a value");
        // Half of a surrogate pair is an error to serde_json, too, as is nesting beyond its limit.
        assert!(
            serde_json::from_str::<serde_json::Value>(text).is_err(),
            "serde_json reads {text:?}"
        );
        return;
    };
    let written = value.to_string();
    let again = Value::parse(&written).expect("what is written can be read");
    assert_eq!(again.to_string(), written);
    if let Some(number) = number {
        let float = value.as_f64().expect("a number");
        assert!(float.to_bits() == number.as_f64().to_bits() || float.is_nan());
    }
    if let Ok(want) = serde_json::from_str::<serde_json::Value>(text) {
        let got = serde_json::to_string(&value).expect("is written");
        let got = serde_json::from_str(&got).expect("is standard JSON");
        assert!(alike(&got, &want), "{got} is not {want}");
    }
}

/// Equal, but for the last digits of floats, which serde_json does not read exactly.
fn alike(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= b.abs() * 1e-14,
            _ => false,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        _ => a == b,
    }
}

/// Records of a run, each two bytes of length and the payload: the check and the fold take whatever prost
/// takes, the fold does not change at what it refuses, and counts the rows that the columns have.
pub fn run_model(input: &[u8]) {
    use prost::Message;
    use wandb_offline::proto::wandb_internal::Record;
    let (mut run, mut columns, mut rest) = (RunState::default(), Columns::default(), input);
    while let [hi, lo, after @ ..] = rest {
        let (payload, after) =
            after.split_at(after.len().min(usize::from(*hi) << 8 | usize::from(*lo)));
        rest = after;
        let mut log = Vec::new();
        BlockEncoder::new(&mut log).record(payload, &mut log);
        let mut reader = options().read_slice(&log);
        let record = reader.next_record().expect("sound").expect("one record");
        let taken = run.apply(&record);
        let row = columns.apply(&record);
        let decodes = Record::decode(payload).is_ok();
        assert_eq!(record.check().is_ok(), decodes, "{payload:02x?}");
        if decodes {
            let deep = "a key of more than 128 elements is refused";
            assert!(taken.is_ok() || payload.len() > 256, "{taken:?} of {payload:02x?}, or {deep}");
        }
        assert_eq!(run.history().rows(), columns.rows() as u64, "{row:?}");
    }
    let _ = (run.summary(), run.summary_internal(), run.config_internal());
    let now = std::time::SystemTime::UNIX_EPOCH;
    let overview = run.overview(std::path::Path::new("x"), now, now);
    serde_json::to_string(&overview).expect("an overview is JSON");
    columns.iter().for_each(|(_, column)| assert!(column.len() <= columns.rows()));
}

/// A record: whatever prost decodes can be shown, and what is shown is JSON.
pub fn render(bytes: &[u8]) {
    use prost::Message;
    let mut line = String::new();
    let shown = wandb_offline::record::render::record_json(bytes, &mut line);
    match shown {
        Ok(()) => {
            serde_json::from_str::<serde::de::IgnoredAny>(&line).expect("the line is JSON");
            assert!(!line.chars().any(char::is_control), "fit for a terminal");
        }
        Err(error) => {
            assert!(line.is_empty() && error.at <= bytes.len());
            assert!(wandb_offline::proto::wandb_internal::Record::decode(bytes).is_err());
        }
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    records: Vec<(Span, Vec<u8>)>,
    gaps: Vec<Gap>,
    tail: Option<Tail>,
    error: Option<String>,
}

fn options() -> ReaderOptions {
    let mut limits = Limits::DEFAULT;
    limits.gaps_kept = usize::MAX;
    ReaderOptions::default().lenient(true).limits(limits)
}

fn read<S: Source>(mut reader: Reader<S>) -> Outcome {
    let mut records = Vec::new();
    let error = loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push((record.span, record.payload.to_vec())),
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    Outcome { records, gaps: reader.gaps().gaps().to_vec(), tail: reader.tail(), error }
}

fn follow<S: Source>(mut reader: Reader<S>) -> Vec<(Span, Vec<u8>)> {
    let mut records = Vec::new();
    for last in [false, false, true] {
        reader.set_following(!last);
        while let Ok(Some(record)) = reader.next_record() {
            records.push((record.span, record.payload.to_vec()));
        }
    }
    records
}

/// Records, gaps and the tail do not overlap; between them there are only zeroes and the file header.
fn assert_accounted(outcome: &Outcome, bytes: &[u8]) {
    if outcome.error.is_some() {
        return;
    }
    let tail = outcome.tail.expect("a reader that ended has a tail");
    let spans = outcome.records.iter().map(|(span, _)| (span.offset, span.length));
    let gaps = outcome.gaps.iter().map(|gap| (gap.offset, gap.length));
    let mut parts: Vec<_> = spans.chain(gaps).chain([(tail.offset, tail.length)]).collect();
    parts.sort_unstable();
    let mut at = 0;
    for (offset, length) in parts {
        assert!(offset >= at, "overlap at {offset}");
        let between = &bytes[at as usize..offset as usize];
        let between = if at == 0 { between.get(7..).unwrap_or_default() } else { between };
        assert!(
            between.iter().all(|&byte| byte == 0),
            "bytes {at}..{offset} are not accounted for"
        );
        at = offset + length;
    }
    assert_eq!(at, bytes.len() as u64, "the end is accounted for");
}

/// Builds a log whose record lengths come from the input, and the damage the rest of the input asks for.
fn build_log(input: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>, Damage) {
    let (shape, damage) = input.split_at(input.len() * 2 / 3);
    let mut payloads: Vec<Vec<u8>> = Vec::new();
    let mut total = 0usize;
    for (i, pair) in shape.chunks(2).enumerate().take(200) {
        let length = match (pair[0], pair.get(1).copied().unwrap_or(0)) {
            (0..=199, b) => usize::from(b),
            (200..=229, b) => usize::from(b) * 131,
            // Up to the edges of blocks, where the padding rules are.
            (a, b) => (32768 - total % 32768 + usize::from(a) % 24 + usize::from(b) / 128 * 32768)
                .saturating_sub(24),
        };
        total += length + 7;
        if total > 200_000 {
            break;
        }
        payloads.push((0..length).map(|k| (k * 31 + i * 7) as u8).collect());
    }
    let mut log = Vec::new();
    let mut encoder = BlockEncoder::new(&mut log);
    for payload in &payloads {
        encoder.record(payload, &mut log);
    }
    (payloads, log, Damage(damage.to_vec()))
}

struct Damage(Vec<u8>);

impl Damage {
    /// Flips, zeroes and cuts; returns the ranges touched. The file header is left alone.
    fn apply(&self, log: &mut Vec<u8>) -> Vec<(u64, u64)> {
        let mut touched = Vec::new();
        for op in self.0.chunks(4).filter(|op| op.len() == 4).take(6) {
            let at = 7 + (usize::from(op[1]) << 8 | usize::from(op[2])) * (log.len() / 65536 + 1);
            if at >= log.len() {
                continue;
            }
            let end = match op[0] % 8 {
                0 => {
                    log.truncate(at);
                    touched.push((at as u64, u64::MAX));
                    continue;
                }
                1 => (at + usize::from(op[3]) * 40).min(log.len()),
                _ => at + 1,
            };
            for byte in &mut log[at..end] {
                *byte = if end == at + 1 { *byte ^ op[3].max(1) } else { 0 };
            }
            touched.push((at as u64, end as u64));
        }
        touched
    }
}

/// Hands out its bytes a few at a time.
struct Crumbs<'a> {
    bytes: &'a [u8],
    size: usize,
}

impl Read for Crumbs<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.size.min(buffer.len());
        (&mut self.bytes).take(n as u64).read(buffer)
    }
}

/// Ends after each part until it is asked again.
struct Growing<'a> {
    parts: Vec<&'a [u8]>,
}

impl Read for Growing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(part) = self.parts.first_mut() else { return Ok(0) };
        let n = part.read(buffer)?;
        if n == 0 {
            self.parts.remove(0);
        }
        Ok(n)
    }
}
