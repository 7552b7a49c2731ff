//! Export of histories, on logs of the official client.

use std::path::{Path, PathBuf};
use wandb_offline::export::{ExportReport, Format, HistoryExport};
use wandb_offline::json::Value;

#[test]
fn csv_has_a_line_per_row_and_the_numbers_as_they_were_logged() {
    let keys = ["train/loss", "eval/acc", "nan", "nested.b.c", "dotted.key", "img._type"];
    let (csv, report) = export("0.31.0/basic/run-basic001.wandb", Format::Csv, &keys);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "_step,train/loss,eval/acc,nan,nested.b.c,dotted.key,img._type");
    assert_eq!(lines[1], "0,2,,,,,");
    assert_eq!(lines[3], "2,,,NaN,,,");
    assert_eq!(lines[4], "3,,,,2.5,4,");
    assert_eq!((lines.len(), report.rows), (13, 12));
    assert!(!report.is_lossy() && report.missing_keys.is_empty());
}

#[test]
fn csv_quotes_what_would_break_a_line() {
    let (csv, _) = export("0.31.0/basic/run-basic001.wandb", Format::Csv, &["str"]);
    assert!(csv.contains("1,\"text é日本😀 \"\"q\"\" \\ \n\"\n"), "{csv}");
}

#[test]
fn json_lines_are_standard_json_with_every_value() {
    let (lines, report) = export("0.31.0/basic/run-basic001.wandb", Format::JsonLines, &[]);
    let rows: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("standard JSON")).collect();
    assert_eq!((rows.len() as u64, report.columns), (report.rows, report.columns));
    assert_eq!(rows[2]["nan"], "NaN");
    assert_eq!(rows[2]["ninf"], "-Infinity");
    assert_eq!(rows[3]["dotted.key"], 4);
    assert_eq!(rows[3]["nested.b.c"], 2.5);
    assert_eq!(rows[1]["none"], serde_json::Value::Null);
}

#[test]
fn nested_values_of_the_python_client_become_the_same_columns() {
    let (lines, _) = export("0.12.21/basic/run-basic001.wandb", Format::JsonLines, &[]);
    let nested = lines.lines().find(|line| line.contains("nested.b.c")).expect("a nested row");
    let row = Value::parse(nested).expect("JSON");
    assert_eq!(row.get("nested.b.c").and_then(Value::as_f64), Some(2.5));
    assert_eq!(row.get("nested"), None);
}

#[test]
fn typed_values_keep_their_types() {
    let (lines, _) = export("0.31.0/typed/run-typed001.wandb", Format::JsonLines, &[]);
    let row: serde_json::Value = serde_json::from_str(&lines).expect("one row");
    assert_eq!(row["f"].to_string(), "1.0");
    assert_eq!(row["i"].to_string(), "1152921504606846976");
    assert_eq!(row["nan"], "NaN");
}

#[test]
fn a_key_that_no_row_has_is_told_and_damage_is_passed_over() {
    let bytes = std::fs::read(fixture("0.31.0/basic/run-basic001.wandb")).expect("readable");
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("run-damaged.wandb");
    let mut damaged = bytes.clone();
    damaged[2150] ^= 0xff;
    std::fs::write(&path, damaged).expect("writable");
    let mut out = Vec::new();
    let export = HistoryExport::new(Format::Csv).keys(["epoch", "no such key"]);
    let report = export.write(&path, &mut out).expect("exports");
    assert_eq!(report.missing_keys, ["no such key"]);
    assert_eq!((report.rows, report.gaps.count(), report.is_lossy()), (11, 1, true));
}

#[test]
fn columns_that_would_be_called_the_same_keep_their_escapes() {
    use prost::Message;
    use wandb_offline::log::LogWriter;
    use wandb_offline::proto::wandb_internal::{HistoryItem, HistoryRecord};
    use wandb_offline::record::RecordKind;
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("run-dots.wandb");
    let item = |path: &[&str], json: &str| HistoryItem {
        nested_key: path.iter().map(|element| (*element).into()).collect(),
        value_json: json.into(),
        ..Default::default()
    };
    let item = vec![item(&["a.b"], "1"), item(&["a", "b"], "2"), item(&["c.d"], "3")];
    let row = HistoryRecord { item, ..Default::default() };
    let mut writer = LogWriter::create(&path).expect("creates");
    writer.record(RecordKind::History, &row.encode_to_vec()).expect("records");
    writer.flush().expect("flushes");
    let mut out = Vec::new();
    HistoryExport::new(Format::Csv).write(&path, &mut out).expect("exports");
    assert_eq!(String::from_utf8(out).expect("text"), "_step,a.b,a\\.b,c.d\n0,2,1,3\n");
}

fn export(log: &str, format: Format, keys: &[&str]) -> (String, ExportReport) {
    let mut out = Vec::new();
    let mut export = HistoryExport::new(format);
    if !keys.is_empty() {
        export = export.keys(keys.iter().copied());
    }
    let report = export.write(fixture(log), &mut out).expect("exports");
    (String::from_utf8(out).expect("text"), report)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb").join(name)
}
