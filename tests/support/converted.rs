//! Log directories made for a test, and the runs they become, read back.

#![allow(dead_code, reason = "each test program uses some of it")]

use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wandb_offline::convert::tensorboard::{ConvertReport, Options, Reason, convert};
use wandb_offline::framing::tfrecord;
use wandb_offline::proto::tensorboard as tb;
use wandb_offline::proto::tensorboard::hparams::{self, h_params_plugin_data::Data};
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::proto::wandb_internal::{Record, RunRecord};
use wandb_offline::record::RecordKind;

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tensorboard")
}

/// A run read back: what a test wants to know about it.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) run: RunRecord,
    pub(crate) kinds: Vec<RecordKind>,
    pub(crate) rows: Vec<BTreeMap<Vec<String>, String>>,
    pub(crate) steps: Vec<i64>,
    pub(crate) summary: BTreeMap<Vec<String>, String>,
    pub(crate) config: BTreeMap<String, Value>,
    pub(crate) exit: Option<i32>,
    /// Files that records name, each with the number of rows in front of it.
    pub(crate) files: Vec<(String, usize)>,
    /// Charts of the config, by key.
    pub(crate) charts: BTreeMap<String, Value>,
}

pub(crate) type Points = BTreeMap<String, Vec<(i64, u64, u32)>>;

impl Run {
    pub(crate) fn read(directory: &Path) -> Self {
        let mut found = Self::default();
        let id = directory.file_name().unwrap().to_str().unwrap().rsplit('-').next().unwrap();
        let mut reader =
            wandb_offline::Reader::open(directory.join(format!("run-{id}.wandb"))).unwrap();
        let mut num = 0;
        while let Some(record) = reader.next_record().unwrap() {
            num += 1;
            assert_eq!(record.num().unwrap(), num);
            found.kinds.push(record.kind().unwrap().unwrap());
            found.take(record.decode().unwrap());
        }
        assert!(reader.tail().unwrap().is_clean());
        found
    }

    fn take(&mut self, record: Record) {
        match record.record_type.unwrap() {
            RecordType::Run(run) => {
                for item in &run.config.as_ref().unwrap().update {
                    let value = serde_json::from_str(&item.value_json).unwrap();
                    self.config.insert(item.key.clone(), value);
                }
                self.run = run;
            }
            RecordType::History(row) => {
                self.steps.push(row.step.unwrap().num);
                let items = row.item.into_iter().map(|item| (item.nested_key, item.value_json));
                self.rows.push(items.collect());
            }
            RecordType::Summary(summary) => {
                let items = summary.update.into_iter();
                self.summary = items.map(|item| (item.nested_key, item.value_json)).collect();
            }
            RecordType::Exit(exit) => self.exit = Some(exit.exit_code),
            RecordType::Files(files) => {
                let rows = self.rows.len();
                self.files.extend(files.files.into_iter().map(|file| (file.path, rows)));
            }
            RecordType::Config(config) => {
                for item in config.update {
                    if !item.key.is_empty() {
                        let value = serde_json::from_str(&item.value_json).unwrap();
                        self.config.insert(item.key, value);
                        continue;
                    }
                    let [wandb, visualize, key] = &item.nested_key[..] else { panic!("{item:?}") };
                    assert_eq!((wandb.as_str(), visualize.as_str()), ("_wandb", "visualize"));
                    self.charts
                        .insert(key.clone(), serde_json::from_str(&item.value_json).unwrap());
                }
            }
            _ => {}
        }
    }

    /// The points by tag, in the order of the rows: step, bits of the wall time, bits of the value.
    pub(crate) fn points(&self) -> Points {
        let mut points = Points::new();
        for row in &self.rows {
            let get = |path: &[&str]| {
                let path: Vec<String> = path.iter().map(|element| (*element).into()).collect();
                row.get(&path)
            };
            let step = get(&["global_step"]).unwrap().parse().unwrap();
            for (path, value) in row {
                let [key] = &path[..] else { continue };
                if ["_step", "_timestamp", "_runtime", "global_step"].contains(&key.as_str()) {
                    continue;
                }
                let wall_time = get(&["_wall_time", key]).or_else(|| get(&["_timestamp"])).unwrap();
                let wall_time: f64 = wall_time.parse().unwrap();
                let value = match value.as_str() {
                    "true" => 1.0,
                    "false" => 0.0,
                    // Text and lists are no points of scalars.
                    text if text.starts_with(['"', '[']) => continue,
                    text => text.parse().unwrap(),
                };
                let tag = key.strip_prefix("tb/").unwrap_or(key).to_owned();
                let point = (step, wall_time.to_bits(), bits(value));
                points.entry(tag).or_default().push(point);
            }
        }
        points
    }

    /// What stands under the key in the row of this TensorBoard step, put together; what is not finite
    /// becomes a string.
    pub(crate) fn value(&self, step: i64, key: &str) -> Option<Value> {
        let of_step = |row: &&BTreeMap<Vec<String>, String>| {
            row[&vec!["global_step".to_owned()]] == step.to_string()
        };
        assemble(self.rows.iter().find(of_step)?, key)
    }

    pub(crate) fn last(&self, key: &str) -> Option<Value> {
        assemble(&self.summary, key)
    }

    pub(crate) fn text(&self, row: usize, key: &str) -> Option<&str> {
        self.rows[row].get(&vec![key.to_owned()]).map(String::as_str)
    }
}

fn assemble(items: &BTreeMap<Vec<String>, String>, key: &str) -> Option<Value> {
    let parse = |text: &str| {
        let value = wandb_offline::json::Value::parse(text).unwrap();
        serde_json::to_value(value).unwrap()
    };
    let mut found = None;
    for (path, text) in items {
        match &path[..] {
            [one] if one == key => found = Some(parse(text)),
            [one, element] if one == key => {
                let members = found.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
                members[element] = parse(text);
            }
            _ => {}
        }
    }
    found
}

pub(crate) fn bits(value: f64) -> u32 {
    let value = value as f32;
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}

pub(crate) fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

pub(crate) fn expected(case: &str, reader: &str) -> BTreeMap<String, Points> {
    let text = fs::read_to_string(fixtures().join(case).join("scalars.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let mut runs = BTreeMap::new();
    for (run, series) in all[reader].as_object().unwrap() {
        let mut points = Points::new();
        for (tag, list) in series.as_object().unwrap() {
            let point =
                |p: &Value| (p[0].as_i64().unwrap(), number(&p[1]).to_bits(), bits(number(&p[2])));
            let list: Vec<_> = list.as_array().unwrap().iter().map(point).collect();
            points.insert(tag.clone(), list);
        }
        runs.insert(run.clone(), points);
    }
    runs
}

pub(crate) struct Converted {
    pub(crate) report: ConvertReport,
    pub(crate) out: TempDir,
}

impl Converted {
    pub(crate) fn runs(&self) -> BTreeMap<String, Run> {
        let directories = self.report.runs.iter().filter(|run| run.directory.is_some());
        let read =
            directories.map(|run| (run.name.clone(), Run::read(run.directory.as_deref().unwrap())));
        read.collect()
    }

    pub(crate) fn only(&self) -> Run {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "{:?}", self.report);
        runs.pop_first().unwrap().1
    }

    pub(crate) fn left_out(&self, reason: Reason) -> u64 {
        let all = self.report.runs.iter().flat_map(|run| &run.left_out);
        all.filter(|left_out| left_out.reason == reason).map(|left_out| left_out.count).sum()
    }
}

pub(crate) fn converted(path: impl AsRef<Path>, change: impl FnOnce(&mut Options)) -> Converted {
    let out = tempfile::tempdir().unwrap();
    let mut options = Options { output: out.path().join("wandb"), ..Options::default() };
    change(&mut options);
    let report = convert(&[path], &options).unwrap();
    Converted { report, out }
}

pub(crate) fn scalar(tag: &str, step: i64, wall_time: f64, value: f32) -> tb::Event {
    let value = tb::summary::Value {
        tag: tag.into(),
        value: Some(tb::summary::value::Value::SimpleValue(value)),
        ..Default::default()
    };
    summary(step, wall_time, value)
}

pub(crate) fn summary(step: i64, wall_time: f64, value: tb::summary::Value) -> tb::Event {
    let what = Some(tb::event::What::Summary(tb::Summary { value: vec![value] }));
    tb::Event { wall_time, step, what, ..Default::default() }
}

pub(crate) fn hparams_event(data: Data) -> tb::Event {
    let content = hparams::HParamsPluginData { data: Some(data), ..Default::default() };
    let plugin_data = tb::summary_metadata::PluginData {
        plugin_name: "hparams".into(),
        content: content.encode_to_vec(),
    };
    let metadata = tb::SummaryMetadata { plugin_data: Some(plugin_data), ..Default::default() };
    let value = tb::summary::Value {
        tag: "_hparams_/session".into(),
        metadata: Some(metadata),
        ..Default::default()
    };
    summary(0, 1.7e9, value)
}

/// A log directory with these events in one file.
pub(crate) fn log_dir(events: &[tb::Event]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_events(&dir.path().join("events.out.tfevents.1700000000.node.1.0"), events);
    dir
}

pub(crate) fn write_events(path: &Path, events: &[tb::Event]) {
    let mut bytes = Vec::new();
    for event in events {
        tfrecord::encode(&event.encode_to_vec(), &mut bytes);
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}
