//! What must hold of the verbs that read files: merging, exporting and converting both ways; and of the console.

use std::fs;
use std::path::{Path, PathBuf};
use wandb_offline::Reader;
use wandb_offline::convert::{tensorboard, wandb};
use wandb_offline::export::{Format, HistoryExport};
use wandb_offline::framing::block_log::BlockEncoder;
use wandb_offline::framing::tfrecord;
use wandb_offline::log::LogWriter;
use wandb_offline::merge::{self, Plan};
use wandb_offline::proto::wandb_internal::OutputRawRecord;
use wandb_offline::record::RecordKind;
use wandb_offline::run::{ConsoleLine, RunState};
use wandb_offline::tfevents::EventReader;

/// The history of a log, in both forms: as many rows in each, and each line of JSON is that.
pub fn export(input: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = put(dir.path(), "run-x.wandb", &log(input));
    let written = |format| {
        let mut out = Vec::new();
        let report = HistoryExport::new(format).write(&log, &mut out).expect("a log");
        (report, out)
    };
    let ((csv, table), (lines, json)) = (written(Format::Csv), written(Format::JsonLines));
    assert_eq!(
        (csv.rows, csv.columns, csv.undecodable),
        (lines.rows, lines.columns, lines.undecodable)
    );
    let json = String::from_utf8(json).expect("text");
    assert_eq!(json.lines().count() as u64, lines.rows);
    for line in json.lines() {
        serde_json::from_str::<serde::de::IgnoredAny>(line).expect("the line is JSON");
    }
    let newlines = table.iter().filter(|byte| **byte == b'\n').count() as u64;
    assert!(newlines > csv.rows, "a header and a line for each row");
    let (run, _) = wandb_offline::run::load(&log, true).expect("a log");
    assert!(lines.rows <= run.history().rows() + lines.undecodable);
}

/// Two segments of a run: what is merged is sound and numbered, and has the records and rows that the report says.
pub fn merge(input: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let segments = input.split_at(input.len() / 2);
    let segments = [("a", segments.0), ("b", segments.1)].map(|(name, records)| {
        fs::create_dir(dir.path().join(name)).expect("new");
        put(&dir.path().join(name), "run-x.wandb", &log(records))
    });
    let Ok(plan) = Plan::new(&segments, &merge::Options::default()) else { return };
    let Ok(report) = plan.write(dir.path().join("merged")) else { return };
    let mut merged = Reader::open(only_log(&report.directory)).expect("a log");
    let (mut records, mut rows) = (0, 0);
    while let Some(record) = merged.next_record().expect("sound") {
        records += 1;
        assert_eq!(record.decode().expect("a message").num, records, "records are numbered");
        rows += u64::from(record.kind().expect("a message") == Some(RecordKind::History));
    }
    assert!(merged.tail().is_some_and(|tail| tail.is_clean()));
    assert_eq!((records as u64, rows), (report.written.records(), report.rows));
}

/// A log becomes event files that are sound, and the same ones each time.
pub fn to_tensorboard(input: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = put(dir.path(), "run-x.wandb", &log(input));
    let converted = ["a", "b"].map(|name| {
        let options = wandb::Options::default();
        let logdir = dir.path().join(name);
        let report = wandb::to_tensorboard(&[&log], &logdir, &options).expect("a log");
        assert_eq!(report.runs.len(), 1);
        files(&logdir)
    });
    let [first, second] =
        converted.map(|files| files.iter().map(|file| bytes(file)).collect::<Vec<_>>());
    assert!(first == second, "the same twice");
    for file in first {
        let mut events = EventReader::options().read_slice(&file);
        while let Some(event) = events.next_event().expect("sound") {
            event.view().expect("an event");
        }
        assert!(events.tail().is_some_and(|tail| tail.is_clean()));
    }
}

/// An event file becomes a run that is sound, and the same one each time.
pub fn to_wandb(input: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("logs")).expect("new");
    put(&dir.path().join("logs"), "events.out.tfevents.1700000000.host", input);
    let converted = ["a", "b"].map(|name| {
        let output = dir.path().join(name);
        let options =
            tensorboard::Options { output: output.clone(), ..tensorboard::Options::default() };
        let Ok(report) = tensorboard::convert(&[dir.path().join("logs")], &options) else {
            return Vec::new();
        };
        assert_eq!(report.converted(), files(&output).iter().filter(|file| is_log(file)).count());
        files(&output)
    });
    let [first, second] = converted;
    let contents = |files: &[PathBuf]| files.iter().map(|file| bytes(file)).collect::<Vec<_>>();
    assert!(contents(&first) == contents(&second), "the same twice");
    for log in first.iter().filter(|file| is_log(file)) {
        let mut log = Reader::open(log).expect("a log");
        while let Some(record) = log.next_record().expect("sound") {
            record.check().expect("a message");
        }
        assert!(log.tail().is_some_and(|tail| tail.is_clean()));
    }
}

/// Events, each behind its length in two bytes, in frames that are sound, so that what the events of plugins hold is
/// reached: each of them is an event or none, and what becomes of them all is as for any event file.
pub fn plugins(mut input: &[u8]) {
    let mut file = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk() {
        let (payload, rest) =
            rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        super::event(payload);
        tfrecord::encode(payload, &mut file);
        input = rest;
    }
    to_wandb(&file);
}

/// Text that a program wrote: the same lines in however many pieces it came, none longer than is kept.
pub fn console(input: &[u8]) {
    let Some((&at, text)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(text);
    let mut cut = text.len() * usize::from(at) / 256;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let shown = |pieces: &[&str]| {
        let mut log = LogWriter::new(Vec::new(), "log");
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            let record =
                OutputRawRecord { line: (*piece).to_owned(), ..OutputRawRecord::default() };
            log.message(RecordKind::OutputRaw, &record).expect("memory");
        }
        log.flush().expect("memory");
        let (mut run, mut reader) =
            (RunState::default(), Reader::options().read_slice(log.get_ref()));
        while let Some(record) = reader.next_record().expect("sound") {
            run.apply(&record).expect("a message");
        }
        run.console().lines().map(ConsoleLine::text).collect::<Vec<_>>()
    };
    let whole = shown(&[&text]);
    assert!(whole.iter().all(|line| line.chars().count() <= ConsoleLine::LONGEST));
    assert_eq!(whole, shown(&[&text[..cut], &text[cut..]]), "cut at {cut}");
}

/// A log of a record of the run and these, each behind two bytes of its length.
fn log(mut records: &[u8]) -> Vec<u8> {
    let mut log = Vec::new();
    let mut encoder = BlockEncoder::new(&mut log);
    encoder.record(b"\x8a\x01\x06\x0a\x01x\x1a\x01p", &mut log);
    while let [high, low, rest @ ..] = records {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (record, rest) = rest.split_at(length);
        encoder.record(record, &mut log);
        records = rest;
    }
    log
}

fn put(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, bytes).expect("room");
    path
}

/// The files under a directory, in the order of their names.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    entries.sort();
    let inside = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.into_iter().flat_map(inside).collect()
}

fn only_log(dir: &Path) -> PathBuf {
    files(dir).into_iter().find(|file| is_log(file)).expect("a run has a log")
}

fn is_log(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "wandb")
}

fn bytes(file: &Path) -> Vec<u8> {
    fs::read(file).expect("readable")
}
