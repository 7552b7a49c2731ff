//! The run model against W&B's own reader, and against a slow replay of the same records.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use wandb_offline::json::Value;
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::record::{HistoryView, ItemValue, RawRecord, RecordKind};
use wandb_offline::run::{Cell, Columns, RunState, load};
use wandb_offline::{Reader, Result, Writer};

/// The logs under `fixtures/wandb`, by the name of their directory.
fn fixtures() -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb");
    let found: BTreeMap<_, _> = walkdir::WalkDir::new(&root)
        .into_iter()
        .map(|entry| entry.expect("the fixtures can be listed").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wandb"))
        .filter(|path| path.with_file_name("leet-summary.json").exists())
        .map(|path| {
            let directory = path.parent().and_then(|parent| parent.strip_prefix(&root).ok());
            (directory.unwrap_or(&root).display().to_string(), path)
        })
        .collect();
    assert!(found.len() >= 17, "fixtures are missing: {found:?}");
    found
}

fn overview(run: &RunState) -> Value {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let last_write = now - Duration::from_secs(3600);
    let mut overview = run.overview(Path::new("x"), last_write, now);
    if let Value::Object(members) = &mut overview {
        members.remove("file");
        members.remove("last_write");
    }
    overview
}

/// The value as a program that speaks standard JSON reads it.
fn standard(value: &Value) -> Value {
    let text = serde_json::to_string(value).expect("any value is standard JSON");
    Value::parse(&text).expect("standard JSON is W&B's JSON")
}

/// Equal, when numbers are compared as floats, as W&B's reader holds them.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.keys().eq(b.keys()) && a.values().zip(b.values()).all(|(a, b)| same(a, b))
        }
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

#[test]
fn the_overview_is_what_w_and_b_prints() {
    for (name, log) in fixtures() {
        let golden = fs::read_to_string(log.with_file_name("leet-summary.json")).unwrap();
        let mut want = Value::parse(&golden).unwrap();
        let (run, report) = load(&log, false).unwrap();
        assert!(!report.is_lossy());
        let mut got = standard(&overview(&run));
        if let (Value::Object(got), Value::Object(want)) = (&mut got, &mut want) {
            for member in differs_on_purpose(&name) {
                assert!(!same(&got[*member], &want[*member]), "{name}: {member} does not differ");
                got.remove(*member);
                want.remove(*member);
            }
        }
        assert!(same(&got, &want), "{name}\n got {got}\nwant {want}");
    }
}

/// W&B's reader passes over the console records of 0.12, and has no summary for a run of the Python
/// client that was killed.
fn differs_on_purpose(name: &str) -> &'static [&'static str] {
    match name {
        "0.12.21/basic" => &["console", "console_lines"],
        "0.12.21/killed" => &["summary"],
        _ => &[],
    }
}

/// The slow replay: every record decoded whole, every value parsed, plain trees.
#[derive(Default)]
struct Replay {
    summary: BTreeMap<String, Node>,
    config: BTreeMap<String, Node>,
    runs: usize,
}

enum Node {
    Leaf(Value),
    Tree(BTreeMap<String, Self>),
}

impl Replay {
    fn set(tree: &mut BTreeMap<String, Node>, path: &[String], value: Value) {
        let (key, rest) = path.split_first().unwrap();
        if rest.is_empty() {
            tree.insert(key.clone(), Node::Leaf(value));
            return;
        }
        let node = tree.entry(key.clone()).or_insert_with(|| Node::Tree(BTreeMap::new()));
        if matches!(node, Node::Leaf(_)) {
            *node = Node::Tree(BTreeMap::new());
        }
        let Node::Tree(inner) = node else { unreachable!() };
        Self::set(inner, rest, value);
    }

    fn remove(tree: &mut BTreeMap<String, Node>, path: &[String]) {
        let (key, rest) = path.split_first().unwrap();
        match (rest.is_empty(), tree.get_mut(key)) {
            (true, _) => drop(tree.remove(key)),
            (false, Some(Node::Tree(inner))) => Self::remove(inner, rest),
            _ => {}
        }
    }

    fn merge(tree: &mut BTreeMap<String, Node>, path: &[String], value: &Value) {
        let Some(members) = value.as_object() else { return Self::set(tree, path, value.clone()) };
        for (key, value) in members {
            Self::merge(tree, &[path, std::slice::from_ref(key)].concat(), value);
        }
    }

    fn apply(&mut self, record: RecordType) {
        let path =
            |key: String, nested: Vec<String>| if nested.is_empty() { vec![key] } else { nested };
        let config = match record {
            RecordType::Summary(record) => {
                for item in record.update {
                    let value = Value::parse(&item.value_json).unwrap();
                    let path = path(item.key, item.nested_key);
                    match value.is_null() {
                        true => Self::remove(&mut self.summary, &path),
                        false => Self::set(&mut self.summary, &path, value),
                    }
                }
                for item in record.remove {
                    Self::remove(&mut self.summary, &path(item.key, item.nested_key));
                }
                return;
            }
            RecordType::Run(record) => {
                self.runs += 1;
                record.config.filter(|_| self.runs == 1).unwrap_or_default()
            }
            RecordType::Config(record) => record,
            _ => return,
        };
        for item in config.update {
            let value = Value::parse(&item.value_json).unwrap();
            Self::merge(&mut self.config, &path(item.key, item.nested_key), &value);
        }
        for item in config.remove {
            Self::remove(&mut self.config, &path(item.key, item.nested_key));
        }
    }

    fn plain(tree: BTreeMap<String, Node>) -> Value {
        Value::from_iter(tree.into_iter().map(|(key, node)| match node {
            Node::Leaf(value) => (key, value),
            Node::Tree(inner) => (key, Self::plain(inner)),
        }))
    }
}

fn with_internal(shown: &Value, internal: &Value) -> Value {
    let mut members = shown.as_object().unwrap().clone();
    if !internal.is_null() {
        members.insert("_wandb".into(), internal.clone());
    }
    Value::Object(members)
}

#[test]
fn the_fold_comes_to_what_a_slow_replay_comes_to() {
    for (name, log) in fixtures() {
        let mut reader = Reader::open(&log).unwrap();
        let mut replay = Replay::default();
        while let Some(record) = reader.next_record().unwrap() {
            if let Some(record) = record.decode().unwrap().record_type {
                replay.apply(record);
            }
        }
        let (run, _) = load(&log, false).unwrap();
        let config = with_internal(run.config(), run.config_internal());
        assert_eq!(config.to_string(), Replay::plain(replay.config).to_string(), "{name}");
        if run.records(RecordKind::Summary) > 0 {
            let summary = with_internal(&run.summary(), &run.summary_internal());
            assert_eq!(summary.to_string(), Replay::plain(replay.summary).to_string(), "{name}");
        }
    }
}

/// Appends the records of a log to another.
fn append(out: &mut LogWriter<Vec<u8>>, log: &Path) {
    let mut reader = Reader::open(log).unwrap();
    while let Some(record) = reader.next_record().unwrap() {
        let body = record.body().unwrap().unwrap();
        out.record(body.kind, &body.message).unwrap();
    }
}

fn apply_all(run: &mut RunState, log: &[u8]) -> Result<()> {
    let mut reader = Reader::options().read_slice(log);
    while let Some(record) = reader.next_record()? {
        run.apply(&record)?;
    }
    Ok(())
}

#[test]
fn folding_two_logs_is_folding_their_concatenation() {
    let fixtures: Vec<_> = fixtures().into_values().collect();
    for pair in fixtures.windows(2) {
        let mut whole = LogWriter::new(Vec::new(), "whole");
        let mut run = RunState::default();
        for log in pair {
            append(&mut whole, log);
            let mut part = LogWriter::new(Vec::new(), "part");
            append(&mut part, log);
            part.flush().unwrap();
            apply_all(&mut run, part.get_ref()).unwrap();
        }
        whole.flush().unwrap();
        let mut at_once = RunState::default();
        apply_all(&mut at_once, whole.get_ref()).unwrap();
        assert_eq!(overview(&run).to_string(), overview(&at_once).to_string(), "{pair:?}");
    }
}

/// What a column should have of an item: its text as W&B's JSON has it.
fn text(value: ItemValue<'_>) -> Option<String> {
    let value = match value {
        ItemValue::Json(text) => Value::parse(text).unwrap(),
        ItemValue::Bool(value) => value.into(),
        ItemValue::Integer(value) => value.into(),
        ItemValue::Number(value) => value.into(),
        ItemValue::Text(text) => text.into(),
        _ => Value::Null,
    };
    (!value.is_null()).then(|| as_floats(&value).to_string())
}

/// Numbers as floats, for a column of floats forgets which of them were whole.
fn as_floats(value: &Value) -> Value {
    value.as_f64().map_or_else(|| value.clone(), Value::Float)
}

#[test]
fn columns_hold_every_value_of_every_row() {
    for (name, log) in fixtures() {
        let columns = Columns::read(&log).unwrap();
        let mut reader = Reader::open(&log).unwrap();
        let (mut row, mut values) = (0, 0);
        while let Some(record) = reader.next_record().unwrap() {
            let Some(body) = record.body().unwrap() else { continue };
            if body.kind != RecordKind::History {
                continue;
            }
            let view = HistoryView::new(&body.message);
            if let Some(step) = view.step().unwrap() {
                assert_eq!(columns.steps()[row], step, "{name}");
            }
            for item in view.items().map(|item| item.unwrap()) {
                let path: Vec<_> = item.path.elements().collect();
                let cell = columns.at(&path).and_then(|column| column.at(row));
                let got = cell.map(|cell| match cell {
                    Cell::Bool(value) => value.into(),
                    Cell::Text(text) => text.into(),
                    Cell::Json(text) => Value::parse(text).unwrap(),
                    number => Value::Float(number.as_f64().unwrap()),
                });
                let got = got.map(|value| as_floats(&value).to_string());
                assert_eq!(got, text(item.value), "{name}: {path:?} in row {row}");
                values += usize::from(got.is_some());
            }
            row += 1;
        }
        assert_eq!(columns.rows(), row);
        assert_eq!(columns.iter().map(|(_, column)| column.len()).sum::<usize>(), values, "{name}");
    }
}

#[test]
fn a_lenient_load_leaves_out_what_is_no_message_and_counts_it() {
    let mut log = LogWriter::new(Vec::new(), "x");
    append(&mut log, &fixtures()["0.31.0/minimal"]);
    log.record(RecordKind::History, &[0x0a, 9]).unwrap();
    log.record(RecordKind::Run, &[0x0a, 1, 0xff]).unwrap();
    log.flush().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run-x.wandb");
    fs::write(&path, log.get_ref()).unwrap();
    let (run, report) = load(&path, true).unwrap();
    assert_eq!((report.records, report.undecodable, report.is_lossy()), (13, 2, true));
    assert_eq!((run.history().rows(), run.info().run_id()), (1, "minimal1"));
    let error = load(&path, false).unwrap_err();
    assert!(error.is_corrupt() && error.offset().is_some());
    assert_eq!(error.path(), Some(path.as_path()));
}

/// Damages a record in one to three places.
fn damage(payload: &mut [u8], mut seed: u64) {
    for _ in 0..=seed % 3 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = (seed >> 33) as usize % payload.len().max(1);
        if let Some(byte) = payload.get_mut(place) {
            *byte = (seed >> 20) as u8;
        }
    }
}

#[test]
fn no_bytes_panic_and_a_refused_record_changes_nothing() {
    let mut refused = 0;
    for (name, log) in fixtures() {
        let mut reader = Reader::open(&log).unwrap();
        let (mut run, mut columns) = (RunState::default(), Columns::default());
        let mut seed = 0;
        while let Some(record) = reader.next_record().unwrap() {
            run.apply(&record).unwrap();
            columns.apply(&record).unwrap();
            seed += 1;
            let mut payload = record.payload.to_vec();
            damage(&mut payload, seed);
            let record = RawRecord::new(record.span, &payload);
            let (mut damaged, mut rows) = (run.clone(), columns.clone());
            if damaged.apply(&record).is_err() {
                refused += 1;
                let want = overview(&run).to_string();
                assert_eq!(overview(&damaged).to_string(), want, "{name}: record {seed}");
                assert_eq!(damaged.history().rows(), run.history().rows());
            }
            if rows.apply(&record).is_err() {
                assert_eq!(rows.rows(), columns.rows());
                assert!(
                    rows.iter()
                        .all(|(key, column)| columns.get(&key).unwrap().len() == column.len())
                );
            }
            if seed > 200 {
                break;
            }
        }
    }
    assert!(refused > 100, "the damage must show: {refused}");
}

#[test]
fn the_parts_of_a_run_are_where_they_belong() {
    let (run, _) = load(&fixtures()["0.31.0/basic"], false).unwrap();
    let info = run.info();
    assert_eq!((info.name(), info.notes(), info.cli_version()), ("renamed", "new notes", "0.31.0"));
    assert!(info.producer().starts_with("0.31.0+") && info.environment().is_some());
    assert_eq!(run.history().last_step(), Some(15));
    assert!(run.history().last_timestamp().is_some_and(|time| time > 1.7e9));
    assert!(run.files().iter().any(|file| file.path.starts_with("media/images/")));
    assert!(
        run.metrics().definition_for("train/loss").is_some_and(|metric| metric.summary.is_some())
    );
    assert!(run.summary_internal().get("runtime").is_some());
    let (stats, _) = load(&fixtures()["0.31.0/stats"], false).unwrap();
    assert!(
        stats.stats().last("proc.memory.rssMB").is_some_and(|value| value.as_f64() > Some(0.0))
    );
}

#[test]
fn a_large_log_is_read_on_all_processors_as_on_one() {
    let dir = tempfile::tempdir().unwrap();
    let run = Writer::options().dir(dir.path()).buffered(1000, Duration::MAX).create().unwrap();
    for row in 0..100_000_u32 {
        let loss = 1.0 / f64::from(row + 1);
        if row % 40_000 == 7 {
            run.log((("loss", loss), ("note", "now and then"), ("exact", i64::MAX))).unwrap();
        } else {
            run.log((("loss", loss), ("epoch", row / 1000), ("even", row % 2 == 0))).unwrap();
        }
    }
    run.finish().unwrap();
    let log = run.path().to_owned();
    assert!(fs::metadata(&log).unwrap().len() > 8 << 20, "large enough for threads");

    let many = Columns::read(&log).unwrap();
    let one = Columns::from_reader(&mut Reader::open(&log).unwrap()).unwrap();
    assert_eq!((many.rows(), many.steps()), (100_000, one.steps()));
    assert_eq!(many.iter().count(), one.iter().count());
    for ((key, many), (_, one)) in many.iter().zip(one.iter()) {
        assert_eq!(many.kind(), one.kind(), "{key}");
        assert!(many.iter().eq(one.iter()), "{key}");
    }

    // Damage stops both at the same byte.
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&log, &bytes).unwrap();
    let many = Columns::read(&log).unwrap_err();
    let one = Columns::from_reader(&mut Reader::open(&log).unwrap()).unwrap_err();
    assert_eq!((many.offset(), many.to_string()), (one.offset(), one.to_string()));
    assert!(many.is_corrupt(), "{many}");
}
