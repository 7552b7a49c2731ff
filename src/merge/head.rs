//! Who the merged run is: one run record made of those of all segments.

use super::segment::Segment;
use super::telemetry::Telemetry;
use crate::error::{Error, Result};
use crate::json::Value;
use crate::proto::wandb_internal::RunRecord;
use crate::record::{ItemValue, RecordKind};
use crate::rewrite::{Fate, put_message, set_bytes, splice, splice_items};
use crate::wire::{self, Field, Malformed};
use prost::Message;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A config key that segments or ranks have different values for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConfigConflict {
    /// The key.
    pub key: String,
    /// The value in each that has one, which is called like `segment 1`.
    pub values: Vec<(String, Value)>,
}

/// The config of all segments, and where they differ. The newest segment that has a key has its value.
pub(super) fn config(segments: &[Segment]) -> (BTreeMap<String, Value>, Vec<ConfigConflict>) {
    let mut values: BTreeMap<&str, Vec<(String, Value)>> = BTreeMap::new();
    for segment in segments {
        for (key, value) in segment.state.config().as_object().into_iter().flatten() {
            values.entry(key).or_default().push((segment.label.clone(), value.clone()));
        }
    }
    let (mut config, mut conflicts) = (BTreeMap::new(), Vec::new());
    for (key, values) in values.into_iter().filter(|(key, _)| *key != LINEAGE) {
        let Some((_, newest)) = values.last() else { continue };
        config.insert(key.to_owned(), newest.clone());
        if values.iter().any(|(_, value)| value != newest) {
            conflicts.push(ConfigConflict { key: key.to_owned(), values });
        }
    }
    (config, conflicts)
}

/// What the merged run's record is made of.
pub(super) struct Head<'a> {
    pub(super) run_id: &'a str,
    /// The oldest first.
    pub(super) segments: &'a [Segment],
    pub(super) config: &'a BTreeMap<String, Value>,
    /// Where it came from.
    pub(super) lineage: Value,
}

impl Head<'_> {
    /// The body of one telemetry record that says what those of all segments do; empty if there are none.
    pub(super) fn telemetry(&self) -> Result<Vec<u8>> {
        let (mut all, mut body) = (Telemetry::default(), Vec::new());
        let merged = self.segments.iter().try_for_each(|segment| {
            body.clear();
            segment.telemetry.put(&mut body)?;
            all.add(&body)
        });
        body.clear();
        let put = merged.and_then(|()| all.put(&mut body));
        put.map_err(|error: Malformed| Error::misuse(error.to_string()))?;
        Ok(body)
    }

    /// The body of the merged run's record: that of the oldest segment, with what later ones say about
    /// names, project and notes, the tags and the config of all, and where it all came from.
    pub(super) fn run_record(&self) -> Result<Vec<u8>> {
        let base = self.segments.iter().find_map(|segment| Some((segment, segment.run.as_ref()?)));
        let Some((segment, base)) = base else {
            return Err(Error::misuse("no segment has a record of its run; recover one first"));
        };
        build(self, base)
            .map_err(|error: Malformed| Error::misuse(error.to_string()).at(&segment.log))
    }
}

fn build(head: &Head<'_>, base: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut run = Vec::new();
    set_bytes(base, RUN_ID, Some(head.run_id.as_bytes()), &mut run)?;
    type Text = fn(&crate::run::RunInfo) -> &str;
    let texts: [(u32, Text); 7] = [
        (2, |info| info.entity()),
        (3, |info| info.project()),
        (6, |info| info.group()),
        (7, |info| info.job_type()),
        (8, |info| info.name()),
        (9, |info| info.notes()),
        (12, |info| info.sweep_id()),
    ];
    for (field, text) in texts {
        let mut infos = head.segments.iter().rev().map(|segment| text(segment.state.info()));
        if let Some(newest) = infos.find(|text| !text.is_empty()) {
            let was = std::mem::take(&mut run);
            set_bytes(&was, field, Some(newest.as_bytes()), &mut run)?;
        }
    }
    let was = std::mem::take(&mut run);
    splice(&was, &mut run, |field, _| {
        Ok::<_, Malformed>(if [TAGS, CONFIG].contains(&field.number) {
            Fate::Drop
        } else {
            Fate::Keep
        })
    })?;
    let tags = head.segments.iter().flat_map(|segment| segment.state.info().tags());
    let mut seen = BTreeSet::new();
    for tag in tags.filter(|tag| seen.insert(tag.as_str())) {
        wire::put_bytes(&mut run, TAGS, tag.as_bytes());
    }
    put_message(&mut run, CONFIG, |out| put_config(head, &config_of(base)?, out))?;
    Ok(run)
}

/// The config of a run record, all parts of it.
fn config_of(run: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut config = Vec::new();
    for field in wire::Fields::new(run) {
        if let Field { number: CONFIG, value: wire::WireValue::Bytes(part) } = field? {
            config.extend_from_slice(part);
        }
    }
    Ok(config)
}

/// Appends the config: the items of the oldest segment where their values still hold, then the others.
fn put_config(head: &Head<'_>, base: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut there = BTreeSet::new();
    splice_items(RecordKind::Config, base, out, |item, _| {
        let value = item.view.path.single().zip(match item.view.value {
            ItemValue::Json(text) => Value::parse(text).ok(),
            _ => None,
        });
        let holds = value.filter(|(key, value)| {
            head.config.get(*key) == Some(value) && there.insert((*key).to_owned())
        });
        Ok::<_, Malformed>(if holds.is_some() { Fate::Keep } else { Fate::Drop })
    })?;
    for (key, value) in head.config.iter().filter(|(key, _)| !there.contains(*key)) {
        put_entry(key, value, out)?;
    }
    put_entry(INTERNAL, &internal(head), out)?;
    put_entry(LINEAGE, &head.lineage, out)
}

/// Appends a key of the config, in the form in which clients write those.
fn put_entry(key: &str, value: &Value, out: &mut Vec<u8>) -> Result<(), Malformed> {
    put_message(out, UPDATE, |out| {
        wire::put_bytes(out, KEY, key.as_bytes());
        wire::put_bytes(out, VALUE_JSON, value.to_string().as_bytes());
        Ok(())
    })
}

/// What the run records of the segments say under `_wandb`.
fn internal(head: &Head<'_>) -> Value {
    let mut internal = BTreeMap::new();
    for body in head.segments.iter().filter_map(|segment| segment.run.as_ref()) {
        let config = RunRecord::decode(&**body).ok().and_then(|run| run.config);
        let items = config.unwrap_or_default().update.into_iter();
        for item in items.filter(|item| item.key == INTERNAL) {
            if let Ok(Value::Object(members)) = Value::parse(&item.value_json) {
                internal.extend(members);
            }
        }
    }
    Value::Object(internal)
}

/// Where a merged run came from: `parts` says what became of each segment, in their order.
pub(super) fn lineage(
    verb: &str,
    segments: &[Segment],
    parts: impl Iterator<Item = Vec<(&'static str, Value)>>,
) -> Value {
    let segments = segments.iter().zip(parts).map(|(segment, part)| {
        let mut members = vec![
            ("run_id", Value::String(segment.run_id().to_owned())),
            ("log", Value::String(segment.short_name())),
            ("bytes", Value::Int(segment.bytes as i64)),
            ("records", Value::Int(segment.records as i64)),
            ("rows", Value::Int(segment.rows.history().rows() as i64)),
        ];
        members.extend(part);
        if let Some(earlier) = segment.state.config().get(LINEAGE) {
            members.push(("made_by", earlier.clone()));
        }
        Value::from_iter(members)
    });
    Value::from_iter([
        ("verb", Value::String(verb.into())),
        ("version", Value::String(env!("CARGO_PKG_VERSION").into())),
        ("segments", Value::Array(segments.collect())),
    ])
}

/// The config key that says where a run came from.
const LINEAGE: &str = "_wandb_offline";
const INTERNAL: &str = "_wandb";

const RUN_ID: u32 = 1;
const CONFIG: u32 = 4;
const TAGS: u32 = 10;
const UPDATE: u32 = 1;
const KEY: u32 = 1;
const VALUE_JSON: u32 = 16;
