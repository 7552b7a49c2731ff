//! The table of limits says what the constants say, and each limit has a test; those that have none elsewhere have
//! it here: what is at the limit is taken, and what is beyond it is not.

#[path = "support/written.rs"]
mod written;

use prost::Message;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wandb_offline::convert::wandb::{ConvertReport, Options, to_tensorboard};
use wandb_offline::framing::tfrecord;
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal as pb;
use wandb_offline::record::RecordKind;
use wandb_offline::run::RunState;
use wandb_offline::scrub::{self, scrub};
use wandb_offline::tfevents::EventReader;
use wandb_offline::verify::{self, verify};
use wandb_offline::{Limits, Reader, Result, Writer};

#[test]
fn the_table_has_the_numbers_of_the_constants() {
    let mut rows = 0;
    for [what, most, _beyond, option, place, _test] in table() {
        let constant = match &*place {
            "[`Limits::record_len`]" => Limits::DEFAULT.record_len,
            "[`Limits::json_depth`]" => Limits::DEFAULT.json_depth as u64,
            "[`Limits::gaps_kept`]" => Limits::DEFAULT.gaps_kept as u64,
            "[`Limits::keys`]" => Limits::DEFAULT.keys as u64,
            "[`Limits::zstd_window`]" => Limits::DEFAULT.zstd_window,
            place => constant(place),
        };
        assert_eq!(number(&most), constant, "{what}");
        let says_why = option.starts_with("fixed: ") && option.len() > 10;
        let is_option = ["[`", "`", "the same", "as for"].iter().any(|so| option.starts_with(so));
        assert!(says_why || is_option, "{what}: an option, or why there is none");
        rows += 1;
    }
    assert!(rows >= 30, "{rows} rows");
}

#[test]
fn each_limit_names_a_test_that_is_there() {
    let mut code = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for dir in ["src", "tests"] {
        for entry in walkdir::WalkDir::new(root.join(dir)) {
            let path = entry.unwrap().into_path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                code.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    for [what, .., test] in table() {
        let name = test.trim_matches('`');
        assert!(code.contains(&format!("fn {name}()")), "{what}: there is no {name}");
    }
}

/// The rows of the table: what, at most, beyond it, option, where, test.
fn table() -> Vec<[String; 6]> {
    let text = source("limits.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | ")).skip(1);
    let cells = |row: &str| row.trim_end_matches(" |").split(" | ").map(str::to_owned).collect();
    let cells = rows.map(|row| -> Vec<String> { cells(row) });
    cells.map(|cells| cells.try_into().unwrap_or_else(|cells| panic!("{cells:?}"))).collect()
}

/// The constant that `` `file` `NAME` `` means.
fn constant(place: &str) -> u64 {
    let (file, name) = place.trim_matches('`').split_once("` `").expect("a file and a name");
    let text = source(file);
    let start = format!("const {name}: ");
    let found = text.lines().find_map(|line| line.split_once(&start));
    let (_, rest) = found.unwrap_or_else(|| panic!("{file} has no {name}"));
    let value = rest.split_once("= ").and_then(|(_, value)| value.strip_suffix(';'));
    let value = value.unwrap_or_else(|| panic!("{rest} in {file}")).replace('_', "");
    match value.split_once(" << ") {
        Some((number, by)) => number.parse::<u64>().unwrap() << by.parse::<u32>().unwrap(),
        None => value.parse().unwrap_or_else(|_| panic!("{value} in {file}")),
    }
}

fn number(text: &str) -> u64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let unit = ["", "KiB", "MiB", "GiB"].iter().position(|known| *known == unit).expect("a unit");
    number.parse::<u64>().unwrap() << (10 * unit)
}

fn source(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap()
}

#[test]
fn an_event_over_the_limit_is_a_gap() {
    let mut file = Vec::new();
    for length in [10, 1000, 1001, 20] {
        tfrecord::encode(&vec![0; length], &mut file);
    }
    let mut limits = Limits::DEFAULT;
    limits.record_len = 1000;
    let mut reader = EventReader::options().limits(limits).lenient(true).read_slice(&file);
    let mut lengths = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        lengths.push(event.payload.len());
    }
    assert_eq!((lengths, reader.gaps().count()), (vec![10, 1000, 20], 1));
}

#[test]
fn gaps_beyond_those_that_are_kept_are_counted() {
    let mut file = Vec::new();
    for at in 0..8 {
        let from = file.len();
        tfrecord::encode(&[0; 100], &mut file);
        file[from + 50] ^= at % 2;
    }
    let gaps = |kept| {
        let mut limits = Limits::DEFAULT;
        limits.gaps_kept = kept;
        let mut reader = EventReader::options().limits(limits).lenient(true).read_slice(&file);
        while reader.next_event().unwrap().is_some() {}
        (reader.gaps().gaps().len(), reader.gaps().count(), reader.gaps().bytes())
    };
    assert_eq!((gaps(4), gaps(3)), ((4, 4, 464), (3, 4, 464)));
}

#[test]
fn a_value_that_is_nested_too_deep_is_a_text() {
    let mut limits = Limits::DEFAULT;
    limits.json_depth = 3;
    let mut run = RunState::keeping(0, &limits);
    apply(&mut run, RecordKind::Summary, &summary(&[("fits", "[[[1]]]"), ("deep", "[[[[1]]]]")]));
    let text = r#"{"deep":"[[[[1]]]]","fits":[[[1]]]}"#;
    assert_eq!(run.summary().to_string(), text);
}

#[test]
fn a_record_with_more_keys_than_a_run_may_have_changes_nothing() {
    let mut limits = Limits::DEFAULT;
    limits.keys = 3;
    for kind in [RecordKind::Summary, RecordKind::History] {
        // The items of both are written alike.
        let mut run = RunState::keeping(0, &limits);
        apply(&mut run, kind, &summary(&[("a", "1"), ("b", "2")]));
        let more = try_apply(&mut run, kind, &summary(&[("a", "3"), ("c", "3"), ("d", "3")]));
        let error = more.unwrap_err().to_string();
        assert!(error.contains("with it the run would have more than 3 keys"), "{error}");
        apply(&mut run, kind, &summary(&[("b", "4"), ("c", "5")]));
        assert_eq!(run.summary().to_string(), r#"{"a":1,"b":4,"c":5}"#);
    }
}

#[test]
fn of_a_key_of_the_config_with_too_many_elements_the_last_ones_are_joined() {
    let mut run = RunState::default();
    for (elements, value_json) in [(128, "1"), (129, "2")] {
        let nested_key = vec!["x".to_owned(); elements];
        let item =
            pb::ConfigItem { nested_key, value_json: value_json.into(), ..Default::default() };
        let config = pb::ConfigRecord { update: vec![item], ..Default::default() };
        apply(&mut run, RecordKind::Config, &config);
    }
    let config = run.config().to_string();
    assert!(config.contains(r#"{"x":1,"x.x":2}"#), "{config}");
}

#[test]
fn a_terminal_sequence_that_is_too_long_is_text() {
    let shown = |digits: usize| {
        let mut run = RunState::default();
        let line = format!("a\x1b[{}Cb\n", "0".repeat(digits));
        let line = pb::OutputRawRecord { line, ..Default::default() };
        apply(&mut run, RecordKind::OutputRaw, &line);
        run.console().lines().next().unwrap().text()
    };
    assert_eq!(shown(14), "a b", "one column to the right");
    assert!(shown(15).contains(&"0".repeat(15)));
}

#[test]
fn alerts_beyond_a_thousand_are_counted() {
    let mut run = RunState::default();
    for _ in 0..1001 {
        apply(&mut run, RecordKind::Alert, &pb::AlertRecord::default());
    }
    assert_eq!((run.alerts().len(), run.records(RecordKind::Alert)), (1000, 1001));
}

#[cfg(feature = "zstd")]
#[test]
fn how_large_a_window_may_be_is_an_option() {
    // A frame with a window of 1 MiB, and a raw block of one byte.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3, 9, 0, 0, b':'];
    let is_damaged = |window| {
        let mut limits = Limits::DEFAULT;
        limits.zstd_window = window;
        let mut reader = Reader::options().limits(limits).lenient(true).read_from(&frame[..]);
        while reader.next_record().unwrap().is_some() {}
        reader.gaps().count() > 0
    };
    assert_eq!((is_damaged(1 << 20), is_damaged((1 << 20) - 1)), (false, true));
}

#[cfg(feature = "zstd")]
#[test]
fn a_record_that_a_few_bytes_become_is_a_gap() {
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use wandb_offline::framing::block_log::BlockEncoder;
    let found = |length: usize| {
        let mut log = Vec::new();
        let mut encoder = BlockEncoder::new(&mut log);
        encoder.record(&vec![0; length], &mut log);
        encoder.record(b"behind it", &mut log);
        let packed = compress_to_vec(&log[..], CompressionLevel::Fastest);
        assert!(packed.len() * 1024 < 64 << 20, "{} bytes", packed.len());
        let lengths = |mut reader: Reader<_>| {
            let mut lengths = Vec::new();
            while let Some(record) = reader.next_record().unwrap() {
                lengths.push(record.payload.len());
            }
            (lengths, reader.gaps().count())
        };
        let options = Reader::options().lenient(true);
        let plain = lengths(options.read_from(&log[..]));
        assert_eq!(plain, (vec![length, 9], 0), "there is no such limit for a plain log");
        lengths(options.read_from(&packed[..]))
    };
    assert_eq!(found(64 << 20), (vec![64 << 20, 9], 0));
    assert_eq!(found((64 << 20) + 1), (vec![9], 1));
}

#[test]
fn files_of_a_value_that_are_too_large_are_left_out_and_counted() {
    let (dir, run) = written::run();
    let gif = b"GIF89a\x05\x00\x06\x00";
    put(&run, "a.gif", gif);
    put(&run, "a.obj", b"v 1 2 3");
    run.log([("image", object("image-file", "media/a.gif"))]).unwrap();
    run.log([("mesh", object("object3D-file", "media/a.obj"))]).unwrap();
    run.finish().unwrap();
    for (media_bytes, carried) in [(10, (1, 1)), (9, (0, 1)), (7, (0, 1)), (6, (0, 0))] {
        let options = Options { media_bytes, ..Options::default() };
        let report = converted(&run, &dir.path().join(media_bytes.to_string()), &options);
        let (done, left_out) = (&report.runs[0].carried, &report.runs[0].left_out);
        assert_eq!((done.images, done.meshes), carried, "{media_bytes}");
        let left_out: u64 = left_out.iter().map(|what| what.count).sum();
        assert_eq!(left_out, 2 - carried.0 - carried.1, "{media_bytes}");
    }
}

#[test]
fn rows_of_a_table_beyond_what_fits_are_left_out() {
    let (dir, run) = written::run();
    let row = |size: usize| format!("[\"{}\"]", "x".repeat(size));
    let table = [row(7 << 20), row(8 << 20), row(2 << 20)].join(",");
    put(&run, "t.json", format!("{{\"columns\":[\"c\"],\"data\":[{table}]}}").as_bytes());
    run.log([("table", object("table-file", "media/t.json"))]).unwrap();
    run.finish().unwrap();
    let report = converted(&run, &dir.path().join("logs"), &Options::default());
    let changed: Vec<_> = report.runs[0].changed.iter().map(|change| change.count).collect();
    assert_eq!((report.runs[0].carried.tables, changed), (1, vec![1]), "{report:?}");
}

#[test]
fn kinds_beyond_a_hundred_are_counted_as_one() {
    let (dir, run) = written::run();
    for kind in 0..150 {
        run.log([("x", object(&format!("kind{kind}-file"), "x"))]).unwrap();
    }
    run.finish().unwrap();
    let report = converted(&run, &dir.path().join("logs"), &Options::default());
    let left_out = &report.runs[0].left_out;
    assert_eq!((left_out.len(), left_out.iter().map(|what| what.count).sum()), (101, 150_u64));
    assert_eq!((&*left_out[100].what, left_out[100].count), ("other kinds", 50));
}

#[test]
fn a_json_file_too_large_to_be_walked_is_scanned_as_text() {
    // A walk sees through an escape, which a scan does not. The token is put together so that this file is no leak.
    let token = format!("gh{}_{}", "p", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8");
    let leak = |length: usize| {
        let text = format!(r#"{{"password":"hun\u0074er2!x9","a":"{token}","filler":""#);
        format!("{text}{}\"}}", "x".repeat(length - text.len() - 2))
    };
    for (length, is_walked) in [(16 << 20, true), ((16 << 20) + 1000, false)] {
        let (dir, run) = written::run();
        run.finish().unwrap();
        fs::write(run.files_dir().join("a.json"), leak(length)).unwrap();
        let output = Some(dir.path().join("copy"));
        let report = scrub(run.dir(), &scrub::Options { output, ..Default::default() }).unwrap();
        let copy = fs::read_to_string(dir.path().join("copy/files/a.json")).unwrap();
        assert_eq!(!copy.contains("hun"), is_walked, "{report:?}");
        assert!(!copy.contains(&token), "found in both");
    }
}

#[test]
fn secrets_beyond_a_thousand_are_counted() {
    let (dir, run) = written::run();
    for _ in 0..1001 {
        run.log([("db_password", "hunter2!x9")]).unwrap();
    }
    run.finish().unwrap();
    let output = Some(dir.path().join("copy"));
    let report = scrub(run.dir(), &scrub::Options { output, ..Default::default() }).unwrap();
    assert!(report.found > 1000, "{}", report.found);
    assert_eq!(report.secrets.len(), 1000);
}

#[test]
fn keys_that_are_not_finite_are_told_up_to_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    let mut log = LogWriter::create(&path).unwrap();
    let item = (0..100_001).map(|key| pb::HistoryItem {
        key: key.to_string(),
        value_json: "NaN".to_owned(),
        ..Default::default()
    });
    let row = pb::HistoryRecord { item: item.collect(), ..Default::default() };
    log.message(RecordKind::History, &row).unwrap();
    log.flush().unwrap();
    let report = verify(&path, &verify::Options::default()).unwrap();
    let told = report.findings.more().map(|(_, _, more)| more + 20);
    assert!(told.eq([100_000]), "{:?}", report.findings.more().collect::<Vec<_>>());
}

fn apply(run: &mut RunState, kind: RecordKind, message: &impl Message) {
    try_apply(run, kind, message).unwrap();
}

fn try_apply(run: &mut RunState, kind: RecordKind, message: &impl Message) -> Result<()> {
    let mut log = LogWriter::new(Vec::new(), "log");
    log.message(kind, message)?;
    log.flush()?;
    let mut reader = Reader::options().read_slice(log.get_ref());
    run.apply(&reader.next_record()?.unwrap())
}

fn summary(items: &[(&str, &str)]) -> pb::SummaryRecord {
    let items = items.iter().map(|(key, json)| pb::SummaryItem {
        key: (*key).to_owned(),
        value_json: (*json).to_owned(),
        ..Default::default()
    });
    pb::SummaryRecord { update: items.collect(), ..Default::default() }
}

fn object(kind: &str, path: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([("_type", kind.to_owned()), ("path", path.to_owned())])
}

fn put(run: &Writer, name: &str, bytes: &[u8]) {
    let dir: PathBuf = run.files_dir().join("media");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
}

fn converted(run: &Writer, logdir: &Path, options: &Options) -> ConvertReport {
    to_tensorboard(&[run.dir()], logdir, options).unwrap()
}
