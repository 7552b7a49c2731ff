//! Reads back what a writer wrote.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use wandb_offline::proto::wandb_internal::Record;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::record::{HistoryView, ItemValue, RecordKind};
use wandb_offline::writer::WriterOptions;
use wandb_offline::{Reader, Writer};

/// Values by key; the elements of a path are joined with `>`.
pub(crate) type Values = BTreeMap<String, String>;

/// Options that nothing in the surroundings has a say in.
pub(crate) fn options(dir: &Path) -> WriterOptions {
    let vars: [(&str, &str); 1] = [("WANDB_DISABLE_GIT", "true")];
    Writer::options().dir(dir).environment(vars)
}

/// A run, and the directory that goes when it goes.
pub(crate) fn run() -> (tempfile::TempDir, Writer) {
    let dir = tempfile::tempdir().unwrap();
    let run = options(dir.path()).create().unwrap();
    (dir, run)
}

/// Every record, decoded by prost.
pub(crate) fn records(path: &Path) -> Vec<RecordType> {
    let mut reader = Reader::open(path).unwrap();
    let mut records = Vec::new();
    while let Some(raw) = reader.next_record().unwrap() {
        let Record { num, record_type, .. } = raw.decode().unwrap();
        records.push(record_type.unwrap());
        assert_eq!(num, records.len() as i64, "records are numbered from 1");
    }
    assert!(reader.tail().unwrap().is_clean());
    records
}

/// The rows of the history, without the reserved keys.
pub(crate) fn rows(path: &Path) -> Vec<(i64, Values)> {
    let mut rows = all_rows(path);
    rows.iter_mut().for_each(|(_, row)| row.retain(|key, _| !key.starts_with('_')));
    rows
}

/// The rows of the history.
pub(crate) fn all_rows(path: &Path) -> Vec<(i64, Values)> {
    let mut reader = Reader::open(path).unwrap();
    let mut rows = Vec::new();
    while let Some(raw) = reader.next_record().unwrap() {
        let body = raw.body().unwrap().unwrap();
        if body.kind != RecordKind::History {
            continue;
        }
        let view = HistoryView::new(&body.message);
        view.check().unwrap();
        let mut row = Values::new();
        for item in view.items() {
            let item = item.unwrap();
            let ItemValue::Json(text) = item.value else { panic!("{item:?}") };
            let key = item.path.elements().collect::<Vec<_>>().join(">");
            assert_eq!(row.insert(key, text.to_owned()), None, "a key comes once in a row");
        }
        let step = view.step_field().unwrap().expect("every row has a step field");
        assert_eq!(row["_step"], step.to_string());
        rows.push((step, row));
    }
    rows
}

/// The summary, replayed, without the reserved keys.
pub(crate) fn summary(path: &Path) -> Values {
    let mut summary = full_summary(path);
    summary.retain(|key, _| !key.starts_with('_'));
    summary
}

/// The summary, replayed.
pub(crate) fn full_summary(path: &Path) -> Values {
    let mut summary = Values::new();
    for record in records(path) {
        let RecordType::Summary(record) = record else { continue };
        for item in record.update {
            let path = match item.nested_key.is_empty() {
                true => vec![item.key],
                false => item.nested_key,
            };
            summary.insert(path.join(">"), item.value_json);
        }
    }
    summary
}

/// Values for comparison.
pub(crate) fn values<const N: usize>(pairs: [(&str, &str); N]) -> Values {
    pairs.map(|(key, text)| (key.to_owned(), text.to_owned())).into()
}
