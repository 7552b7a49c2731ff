//! The config as the server takes it: `{"lr":{"value":0.1},…,"_wandb":{"value":{…}}}`.
//!
//! What stands under `_wandb` is the log's own part and what a server wants to know of the run besides:
//!
//! | key | what |
//! |---|---|
//! | `cli_version`, `python_version` | of the program that logged |
//! | `t` | the telemetry, by field number; a server takes a run for started only if this is there |
//! | `m` | the metric definitions, by field number, each naming its step metric by place in this list |
//! | `e` | the machine and the program, by writer |
//!
//! The official client puts its own version under `t.12`, sets feature 76 and makes up a new writer id at each
//! sync. Here all three stay as they are in the log, so that a second sync sends the same config.

use crate::json::Value;
use crate::proto::descriptors::{
    WANDB_INTERNAL_ENVIRONMENT_RECORD, WANDB_INTERNAL_TELEMETRY_RECORD,
};
use crate::proto::schema::{Kind, MessageType, Shape};
use crate::proto::wandb_internal::{EnvironmentRecord, MetricRecord};
use crate::run::{Metrics, RunState};
use crate::wire::{Fields, WireValue};
use prost::Message;
use std::collections::BTreeMap;

/// The config of a run, on top of the one a resumed run had before.
pub(super) fn config(run: &RunState, before: Option<&Value>) -> Value {
    let mut config = BTreeMap::new();
    for (key, value) in run.config().as_object().into_iter().flatten() {
        config.insert(key.clone(), wrapped(value.clone()));
    }
    let mut internal = internal(run);
    if let Some(before) = before.and_then(Value::as_object) {
        for (key, value) in before.iter().filter(|(key, _)| *key != "_wandb") {
            config.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let old = before.get("_wandb").and_then(|old| old.get("value"));
        for key in KEPT_ON_RESUME {
            if let Some(value) = old.and_then(|old| old.get(key)) {
                internal.entry((*key).to_owned()).or_insert_with(|| value.clone());
            }
        }
    }
    config.insert("_wandb".to_owned(), wrapped(Value::Object(internal)));
    Value::Object(config)
}

fn wrapped(value: Value) -> Value {
    Value::from_iter([("value", value)])
}

fn internal(run: &RunState) -> BTreeMap<String, Value> {
    let mut internal = run.config_internal().as_object().cloned().unwrap_or_default();
    let info = run.info();
    for (key, text) in
        [("cli_version", info.cli_version()), ("python_version", info.python_version())]
    {
        if !text.is_empty() {
            internal.insert(key.to_owned(), text.into());
        }
    }
    let telemetry = info.telemetry().encode_to_vec();
    internal.insert("t".to_owned(), numbered(&WANDB_INTERNAL_TELEMETRY_RECORD, &telemetry));
    internal.insert("m".to_owned(), Value::Array(metrics(run.metrics())));
    if let Some(record) = info.environment() {
        let writer = if record.writer_id.is_empty() { "0" } else { &record.writer_id };
        internal.insert("e".to_owned(), Value::from_iter([(writer, environment(record))]));
    }
    internal
}

/// A message as an object by field number; one that is all flags becomes the list of those that are set.
fn numbered(ty: &MessageType, message: &[u8]) -> Value {
    let mut members = BTreeMap::new();
    for field in Fields::new(message).map_while(Result::ok) {
        let Some(known) = ty.field(field.number) else { continue };
        let value = match (known.kind, field.value) {
            (Kind::String, WireValue::Bytes(bytes)) => {
                String::from_utf8_lossy(bytes).as_ref().into()
            }
            (Kind::Message(inner), WireValue::Bytes(bytes)) if is_flags(inner) => flags(bytes),
            (Kind::Message(inner), WireValue::Bytes(bytes)) => numbered(inner, bytes),
            _ => continue,
        };
        members.insert(field.number.to_string(), value);
    }
    Value::Object(members)
}

fn is_flags(ty: &MessageType) -> bool {
    ty.fields.iter().all(|field| matches!(field.kind, Kind::Bool))
}

fn flags(message: &[u8]) -> Value {
    let fields = Fields::new(message).map_while(Result::ok);
    let set = fields.filter(|field| field.value.varint().is_some_and(|value| value != 0));
    Value::Array(set.map(|field| Value::Int(i64::from(field.number))).collect())
}

/// The metric definitions by field number. A step metric that nobody defined gets a definition of its own.
/// What a release expanded from a glob is left out, for the glob says it.
fn metrics(metrics: &Metrics) -> Vec<Value> {
    let mut all: Vec<_> = metrics.iter().filter(|m| !m.expanded_from_glob).cloned().collect();
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    for (i, metric) in all.iter().enumerate().filter(|(_, m)| !m.name.is_empty()) {
        place.insert(metric.name.clone(), i + 1);
    }
    for i in 0..all.len() {
        let Some(step) = all.get(i).map(|metric| metric.step_metric.clone()) else { break };
        if !step.is_empty() && !place.contains_key(&step) {
            place.insert(step.clone(), all.len() + 1);
            all.push(MetricRecord { name: step, ..Default::default() });
        }
    }
    all.iter().map(|metric| definition(metric, place.get(&metric.step_metric).copied())).collect()
}

fn definition(metric: &MetricRecord, step: Option<usize>) -> Value {
    let mut members = BTreeMap::new();
    let mut put = |number: &str, value: Value| drop(members.insert(number.to_owned(), value));
    let options = metric.options.map(|options| options.encode_to_vec()).unwrap_or_default();
    let summary = metric.summary.map(|summary| summary.encode_to_vec()).unwrap_or_default();
    if !metric.name.is_empty() {
        put("1", metric.name.as_str().into());
    }
    if !metric.glob_name.is_empty() {
        put("2", metric.glob_name.as_str().into());
    }
    if let Some(step) = step {
        put("5", (step as u64).into());
    }
    put("6", flags(&options));
    put("7", flags(&summary));
    if metric.goal != 0 {
        put("8", Value::Int(i64::from(metric.goal)));
    }
    Value::Object(members)
}

/// The machine and the program in the JSON form of protobuf, with the names the server knows.
pub(super) fn environment(record: &EnvironmentRecord) -> Value {
    let record = EnvironmentRecord { info: None, ..record.clone() };
    named(&WANDB_INTERNAL_ENVIRONMENT_RECORD, &record.encode_to_vec(), true)
}

fn named(ty: &MessageType, message: &[u8], outermost: bool) -> Value {
    let mut members = BTreeMap::new();
    for field in Fields::new(message).map_while(Result::ok) {
        let Some(known) = ty.field(field.number) else { continue };
        let name = json_name(known.name, outermost);
        match (known.shape, known.kind, field.value) {
            (Shape::Map, Kind::Message(entry), WireValue::Bytes(bytes)) => {
                let mut entry = named(entry, bytes, false);
                let Value::Object(pair) = &mut entry else { continue };
                let key = pair.remove("key").and_then(|key| key.as_str().map(str::to_owned));
                let map = members.entry(name).or_insert_with(Value::object);
                if let Value::Object(map) = map {
                    map.insert(key.unwrap_or_default(), pair.remove("value").unwrap_or_default());
                }
            }
            (Shape::Many, kind, value) => {
                let list = members.entry(name).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(one(kind, value));
                }
            }
            (_, kind, value) => drop(members.insert(name, one(kind, value))),
        }
    }
    Value::Object(members)
}

/// One value. 64-bit integers are texts in the JSON form of protobuf.
fn one(kind: Kind, value: WireValue<'_>) -> Value {
    match (kind, value) {
        (Kind::String, WireValue::Bytes(bytes)) => String::from_utf8_lossy(bytes).as_ref().into(),
        (Kind::Message(ty), WireValue::Bytes(bytes)) if ty.name == "google.protobuf.Timestamp" => {
            time(bytes)
        }
        (Kind::Message(ty), WireValue::Bytes(bytes)) => named(ty, bytes, false),
        (Kind::Bool, WireValue::Varint(value)) => Value::Bool(value != 0),
        (Kind::Uint64 | Kind::Int64, WireValue::Varint(value)) => value.to_string().into(),
        (_, WireValue::Varint(value)) => value.into(),
        _ => Value::Null,
    }
}

fn time(message: &[u8]) -> Value {
    let time = prost_types::Timestamp::decode(message).unwrap_or_default();
    let time = jiff::Timestamp::new(time.seconds, time.nanos).unwrap_or_default();
    Value::String(time.to_string())
}

/// The names of the schema in camel case, with the exceptions that its authors made.
fn json_name(name: &str, outermost: bool) -> String {
    match name {
        "gpu_type" => "gpu".to_owned(),
        "remote_url" => "remote".to_owned(),
        "cpu_count" | "cpu_count_logical" | "gpu_count" | "gpu_nvidia" | "gpu_amd" if outermost => {
            name.to_owned()
        }
        _ => {
            let mut words = name.split('_');
            let mut camel = words.next().unwrap_or_default().to_owned();
            for word in words {
                let mut chars = word.chars();
                camel.extend(chars.next().map(|first| first.to_ascii_uppercase()));
                camel.push_str(chars.as_str());
            }
            camel
        }
    }
}

/// What of `_wandb` a resumed run keeps: the charts, and the labels of masks.
const KEPT_ON_RESUME: &[&str] = &["viz", "visualize", "mask/class_labels"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Span;
    use crate::proto::wandb_internal as pb;
    use crate::record::RawRecord;
    use pb::record::RecordType;

    fn run(records: Vec<RecordType>) -> RunState {
        let mut run = RunState::default();
        for record_type in records {
            let record = pb::Record { record_type: Some(record_type), ..Default::default() };
            let bytes = record.encode_to_vec();
            run.apply(&RawRecord::new(Span { offset: 0, length: 0 }, &bytes)).unwrap();
        }
        run
    }

    #[test]
    fn telemetry_goes_by_field_number() {
        let record = pb::TelemetryRecord {
            imports_init: Some(pb::Imports { torch: true, ..Default::default() }),
            feature: Some(pb::Feature { finish: true, offline: true, ..Default::default() }),
            cli_version: "0.31.0".into(),
            label: Some(pb::Labels { code_string: "x".into(), ..Default::default() }),
            ..Default::default()
        };
        let run = run(vec![RecordType::Telemetry(record)]);
        let config = config(&run, None).to_string();
        assert_eq!(
            config,
            r#"{"_wandb":{"value":{"cli_version":"0.31.0","m":[],"t":{"1":[1],"3":[2,4],"5":"0.31.0","9":{"1":"x"}}}}}"#
        );
    }

    #[test]
    fn metrics_name_their_step_metric_by_its_place() {
        let summary = Some(pb::MetricSummary { min: true, first: true, ..Default::default() });
        let loss = MetricRecord {
            name: "loss".into(),
            step_metric: "epoch".into(),
            options: Some(pb::MetricOptions { step_sync: true, defined: true, hidden: false }),
            summary,
            ..Default::default()
        };
        let glob = MetricRecord {
            glob_name: "val/*".into(),
            step_metric: "loss".into(),
            ..Default::default()
        };
        let run = run(vec![RecordType::Metric(loss), RecordType::Metric(glob)]);
        let list = Value::Array(metrics(run.metrics())).to_string();
        assert_eq!(
            list,
            r#"[{"1":"loss","5":3,"6":[1,3],"7":[1,8]},{"2":"val/*","5":1,"6":[],"7":[]},{"1":"epoch","6":[],"7":[]}]"#
        );
    }

    #[test]
    fn the_environment_has_the_names_the_server_knows() {
        let record = EnvironmentRecord {
            os: "Linux".into(),
            started_at: Some(prost_types::Timestamp { seconds: 0, nanos: 936_715_000 }),
            code_path_local: "x.py".into(),
            git: Some(pb::GitRepoRecord { remote_url: "r".into(), commit: "c".into() }),
            cpu_count_logical: 4,
            gpu_type: "A100".into(),
            disk: [("/".to_owned(), pb::DiskInfo { total: 1 << 60, used: 7 })].into(),
            cpu: Some(pb::CpuInfo { count_logical: 8, ..Default::default() }),
            gpu_nvidia: vec![pb::GpuNvidiaInfo { memory_total: 9, ..Default::default() }],
            ..Default::default()
        };
        assert_eq!(
            environment(&record).to_string(),
            concat!(
                r#"{"codePathLocal":"x.py","cpu":{"countLogical":8},"cpu_count_logical":4,"#,
                r#""disk":{"/":{"total":"1152921504606846976","used":"7"}},"#,
                r#""git":{"commit":"c","remote":"r"},"gpu":"A100","gpu_nvidia":[{"memoryTotal":"9"}],"#,
                r#""os":"Linux","startedAt":"1970-01-01T00:00:00.936715Z"}"#
            )
        );
    }

    #[test]
    fn a_resumed_run_keeps_what_it_had() {
        let item = |key: &str, json: &str| pb::ConfigItem {
            key: key.into(),
            value_json: json.into(),
            ..Default::default()
        };
        let record = pb::ConfigRecord { update: vec![item("lr", "0.1")], ..Default::default() };
        let run = run(vec![RecordType::Config(record)]);
        let before =
            r#"{"lr":{"value":9},"old":{"value":1},"_wandb":{"value":{"viz":2,"t":{"5":"x"}}}}"#;
        assert_eq!(
            config(&run, Some(&Value::parse(before).unwrap())).to_string(),
            r#"{"_wandb":{"value":{"m":[],"t":{},"viz":2}},"lr":{"value":0.1},"old":{"value":1}}"#
        );
    }
}
