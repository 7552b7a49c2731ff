//! Runs to TensorBoard and back: what differs afterwards is what the report says, no more and no less.

#[path = "support/converted.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::*;
use wandb_offline::convert::wandb::{Changed, Options, Reason, RunReport, to_tensorboard};
use wandb_offline::json::Value;
use wandb_offline::record::{HistoryView, ItemValue, RecordKind};
use wandb_offline::{Reader, log};

/// The values of a history by key, whose elements are joined with `/`: step and value, in order.
type Values = BTreeMap<String, Vec<(i64, Value)>>;

fn values(log: &Path) -> Values {
    let mut values = Values::new();
    let mut reader = Reader::options().lenient(true).open(log).unwrap();
    let mut next = 0;
    while let Some(raw) = reader.next_record().unwrap() {
        let Some(body) = raw.body().unwrap().filter(|body| body.kind == RecordKind::History) else {
            continue;
        };
        let view = HistoryView::new(&body.message);
        let step = view.step().unwrap().unwrap_or(next);
        next = step + 1;
        let mut row = Value::object();
        for item in view.items().map(Result::unwrap) {
            let value = match item.value {
                ItemValue::Json(text) => Value::parse(text).unwrap(),
                ItemValue::Integer(value) => value.into(),
                ItemValue::Number(value) => value.into(),
                ItemValue::Bool(value) => value.into(),
                ItemValue::Text(text) => text.into(),
                _ => Value::Null,
            };
            put(&mut row, &item.path.elements().collect::<Vec<_>>(), value);
        }
        leaves(&mut Vec::new(), row, &mut |key, value| {
            values.entry(key).or_default().push((step, value));
        });
    }
    values
}

fn put(to: &mut Value, path: &[&str], value: Value) {
    let Value::Object(members) = to else { panic!("{path:?}") };
    match path {
        [name] => drop(members.insert((*name).into(), value)),
        [name, rest @ ..] => {
            put(members.entry((*name).into()).or_insert_with(Value::object), rest, value);
        }
        [] => panic!(),
    }
}

fn leaves(path: &mut Vec<String>, value: Value, leaf: &mut impl FnMut(String, Value)) {
    match value {
        Value::Object(members) if !members.contains_key("_type") => {
            for (name, value) in members {
                let about = ["_step", "_runtime", "_timestamp", "_wall_time", "_wandb"];
                if !path.is_empty() || !about.contains(&name.as_str()) {
                    path.push(name);
                    leaves(path, value, leaf);
                    path.pop();
                }
            }
        }
        value => leaf(path.join("/"), value),
    }
}

/// What differs after the way there and back, by the names the report has for it.
#[derive(Debug, Default, PartialEq)]
struct Differences {
    rounded: u64,
    nulls: u64,
    repeated: u64,
    json_text: u64,
    /// Objects that are gone, by type.
    gone: BTreeMap<String, u64>,
}

impl Differences {
    /// Compares a value with the one that came back for its key and step, if one did.
    fn compare(&mut self, value: &Value, back: Option<&Value>, last_text: &mut Option<String>) {
        let what = format!("{value} became {back:?}");
        if let Some(number) = number(value) {
            let back = back.and_then(Value::as_f64).unwrap_or_else(|| panic!("{what}"));
            assert_eq!(bits(number), bits(back), "{what}");
            // What single precision has exactly comes back in fewer digits that mean the same there.
            let exact = f64::from(number as f32) == number && !is_large(value);
            let same = number == back && !is_large(value);
            self.rounded += u64::from(!same && !exact && !number.is_nan());
            return;
        }
        let text = match value {
            Value::Null => {
                self.nulls += 1;
                return assert_eq!(back, None);
            }
            Value::Object(_) => return self.object(value, back),
            Value::String(text) => text.clone(),
            list => list.to_string(),
        };
        let is_repeated = last_text.as_ref() == Some(&text);
        self.repeated += u64::from(is_repeated);
        self.json_text += u64::from(!is_repeated && matches!(value, Value::Array(_)));
        let want = (!is_repeated).then_some(text.as_str());
        assert_eq!(back.map(|back| back.as_str().expect("text")), want, "{what}");
        *last_text = Some(text);
    }

    fn object(&mut self, value: &Value, back: Option<&Value>) {
        let name = value.get("_type").and_then(Value::as_str).unwrap();
        let Some(back) = back else {
            // The report counts files.
            let lists = ["images/separated", "audio", "videos", "html"];
            let list = lists.contains(&name).then_some(["filenames", "audio", "videos", "html"]);
            let list = list.into_iter().flatten().find_map(|list| value.get(list)?.as_array());
            *self.gone.entry(name.into()).or_default() += list.map_or(1, |list| list.len() as u64);
            return;
        };
        let numbers = |value: &Value, list| -> Vec<f64> {
            let list = value.get(list).and_then(Value::as_array).unwrap();
            list.iter().map(|number| number.as_f64().unwrap()).collect()
        };
        match name {
            "histogram" => {
                for list in ["values", "bins"] {
                    assert_eq!(numbers(value, list), numbers(back, list));
                }
            }
            // Lists of one image are single ones there.
            "image-file" | "audio-file" => assert_eq!(value.get("sha256"), back.get("sha256")),
            _ => assert!(back.as_str().is_some() || back.get("_type").is_some(), "{back}"),
        }
    }
}

/// Whether it is an integer that even a double would round.
fn is_large(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| value.to_string() != (number as i128).to_string())
        && matches!(value, Value::Int(_) | Value::UInt(_))
}

/// A number or a boolean, which TensorBoard has as a number.
fn number(value: &Value) -> Option<f64> {
    if let Value::Bool(value) = value { Some((*value).into()) } else { value.as_f64() }
}

/// The value that came back for a key and step, from the tag of its kind; takes it out.
fn take(back: &mut Values, key: &str, value: &Value, step: Option<i64>) -> Option<Value> {
    let suffixes: &[&str] = match value {
        Value::String(_) | Value::Array(_) => &["", "/text"],
        Value::Object(_) => &["", "/text", "/images", "/audio", "/histogram", "_VERTEX"],
        _ => &["", "/scalar"],
    };
    for suffix in suffixes {
        let Some(list) = back.get_mut(&format!("{key}{suffix}")) else { continue };
        let fits = |(at, back): &(i64, Value)| {
            let same_kind = match value {
                Value::Object(_) => true,
                Value::String(_) | Value::Array(_) => back.as_str().is_some(),
                _ => back.as_f64().is_some(),
            };
            same_kind && step.is_none_or(|step| step == *at)
        };
        if let Some(place) = list.iter().position(fits) {
            return Some(list.remove(place).1);
        }
    }
    None
}

/// There and back; the report of the way there, and what differs.
fn differences(log: &Path) -> (RunReport, Differences) {
    let logdir = tempfile::tempdir().unwrap();
    let there = to_tensorboard(&[log], logdir.path(), &Options::default()).unwrap();
    let run = there.runs.into_iter().next().unwrap();
    let back = converted(run.directory.as_ref().unwrap(), |_| {});
    let before = values(log);
    let mut after = Values::new();
    if let Some(root) = back.report.runs.iter().find(|run| run.name == ".") {
        let (found, _) = log::find(root.directory.as_ref().unwrap());
        after = values(&found[0].path);
        assert!(root.left_out.is_empty() && root.damage.is_empty(), "{root:?}");
    }
    // Where a metric is the axis of others, their steps are its values, in the same order.
    let mut reader = Reader::options().lenient(true).open(log).unwrap();
    let mut own_axes = !before.contains_key("global_step");
    while let Some(record) = reader.next_record().unwrap() {
        own_axes &= record.kind().unwrap() != Some(RecordKind::Metric);
    }
    let mut differences = Differences::default();
    for (key, list) in before.iter().filter(|(key, _)| *key != "global_step") {
        let mut last_text = None;
        for (step, value) in list {
            let is_list = matches!(value, Value::String(_) | Value::Array(_));
            let repeats = is_list && {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                last_text.as_ref() == Some(&text)
            };
            let step = own_axes.then_some(*step);
            let back = (!value.is_null() && !repeats)
                .then(|| take(&mut after, key, value, step))
                .flatten();
            differences.compare(value, back.as_ref(), &mut last_text);
        }
    }
    after.remove("global_step");
    after.retain(|_, list| !list.is_empty());
    assert_eq!(after, Values::new(), "{}: nothing else came back", log.display());
    (run, differences)
}

#[test]
fn what_differs_is_what_the_report_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb");
    let logs: Vec<PathBuf> = log::find(root).0.into_iter().map(|log| log.path).collect();
    assert!(logs.len() > 15);
    let mut all = Differences::default();
    for log in logs {
        let (run, found) = differences(&log);
        let name = log.display();
        let left_out = |reason: Reason| -> u64 {
            let all = run.left_out.iter().filter(|left| left.reason == reason);
            all.filter(|left| left.what != "config").map(|left| left.count).sum()
        };
        let changed = |what: Changed| -> u64 {
            run.changed.iter().filter(|change| change.what == what).map(|c| c.count).sum()
        };
        assert_eq!(found.rounded, changed(Changed::Rounded), "{name}");
        assert_eq!(found.nulls, left_out(Reason::Null), "{name}");
        assert_eq!(found.repeated, left_out(Reason::Repeated), "{name}");
        assert_eq!(found.json_text, changed(Changed::JsonText), "{name}");
        let details = ["caption", "captions", "boxes", "all_boxes", "masks", "all_masks"];
        let lost = run.left_out.iter().filter(|left| left.reason.is_loss());
        let lost = lost.filter(|left| !details.contains(&left.what.as_str()));
        let mut told = BTreeMap::new();
        lost.for_each(|left| *told.entry(left.what.clone()).or_default() += left.count);
        assert_eq!(found.gone, told, "{name}: {run:?}");
        all.rounded += found.rounded;
        all.nulls += found.nulls;
        all.repeated += found.repeated;
        all.json_text += found.json_text;
        all.gone.extend(found.gone);
    }
    let any = all.rounded > 0 && all.nulls > 0 && all.json_text > 0 && !all.gone.is_empty();
    assert!(any, "the fixtures have something of each: {all:?}");
}
