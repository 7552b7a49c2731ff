//! Steps, values and sizes of history rows.

use super::finding::{LONGEST_LINE, Place, Problem, Uploaded};
use super::report::Findings;
use crate::json::{self, Number, Value};
use crate::limits::Limits;
use crate::record::{HistoryView, ItemValue, KeyPath, join_key};
use crate::run::insert;
use std::collections::{BTreeMap, HashSet};

/// Checks rows one after another.
#[derive(Debug, Default)]
pub(super) struct RowCheck {
    last_step: Option<i64>,
    /// Keys that had a value that is not finite.
    not_finite: HashSet<String>,
    rows: u64,
}

impl RowCheck {
    /// Checks a row, which is a sound message. If it has media, or is so long that its length must be
    /// known, it is made a tree, which is returned.
    pub(super) fn check(
        &mut self,
        message: &[u8],
        place: &mut Place,
        findings: &mut Findings,
    ) -> Option<Value> {
        self.rows += 1;
        let view = HistoryView::new(message);
        self.step(view.step().ok().flatten(), place, findings);
        let (mut length, mut media) = (2, false);
        for item in view.items().map_while(Result::ok) {
            length += written_len(&item.path, &item.value);
            media |= is_media(&item.path, &item.value);
            self.value(&item.path, item.value, place, findings);
        }
        let long = length > LONGEST_LINE / 10 * 8;
        if !media && !long {
            return None;
        }
        let tree = tree(&view);
        if long {
            check_line(Uploaded::Row, &tree, place, findings);
        }
        Some(tree)
    }

    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    fn step(&mut self, stated: Option<i64>, place: &mut Place, findings: &mut Findings) {
        let counted = || self.last_step.map_or(0, |last| last.saturating_add(1));
        let step = stated.unwrap_or_else(counted);
        place.step = Some(step);
        match self.last_step.replace(step) {
            Some(before) if step < before => {
                findings.add(place.clone(), Problem::StepBack { before });
            }
            Some(before) if step == before => findings.add(place.clone(), Problem::StepRepeated),
            _ => {}
        }
    }

    fn value(
        &mut self,
        path: &KeyPath<'_>,
        value: ItemValue<'_>,
        place: &Place,
        findings: &mut Findings,
    ) {
        let found = match value {
            ItemValue::Number(number) => not_finite(number),
            ItemValue::Json(text) => match json::number(text) {
                Some(Number::Float(number)) => not_finite(number),
                Some(_) => None,
                None => match other(text) {
                    Ok(found) => found,
                    Err(reason) => {
                        let key = join_key(path.elements());
                        return findings.add(place.clone(), Problem::NotJson { key, reason });
                    }
                },
            },
            _ => None,
        };
        let Some(value) = found else { return };
        let key = join_key(path.elements());
        if self.not_finite.len() < KEYS_KEPT && self.not_finite.insert(key.clone()) {
            findings.add(place.clone(), Problem::NotFinite { key, value });
        }
    }
}

/// Says if a line is too long to be uploaded, or nearly.
pub(super) fn check_line(what: Uploaded, line: &Value, place: &Place, findings: &mut Findings) {
    let bytes = line.to_string().len() as u64;
    if bytes > LONGEST_LINE {
        findings.add(place.clone(), Problem::TooLong { what, bytes });
    } else if bytes > LONGEST_LINE / 10 * 8 {
        findings.add(place.clone(), Problem::NearlyTooLong { what, bytes });
    }
}

/// A value that is not one number: the first non-finite number in it, or why it is not JSON.
fn other(text: &str) -> Result<Option<&'static str>, String> {
    match text.as_bytes().first() {
        // Strings and words need no tree.
        Some(b'"') if text.len() >= 2 && text.ends_with('"') => Ok(None),
        None => Ok(None),
        _ if matches!(text, "null" | "true" | "false") => Ok(None),
        _ => {
            let value = Value::parse_within(text, Limits::DEFAULT.json_depth);
            value.map(|value| within(&value)).map_err(|error| error.to_string())
        }
    }
}

fn within(value: &Value) -> Option<&'static str> {
    match value {
        Value::Float(number) => not_finite(*number),
        Value::Array(items) => items.iter().find_map(within),
        Value::Object(members) => members.values().find_map(within),
        _ => None,
    }
}

const fn not_finite(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        Some("NaN")
    } else if number.is_infinite() {
        Some(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        None
    }
}

/// Whether an item belongs to an object with a type.
fn is_media(path: &KeyPath<'_>, value: &ItemValue<'_>) -> bool {
    match value {
        ItemValue::Json(text) if text.starts_with(['{', '[']) => text.contains("\"_type\""),
        _ => path.elements().last() == Some("_type") && path.single().is_none(),
    }
}

/// Bytes the item takes in a line; keys that it shares with others are counted for each.
fn written_len(path: &KeyPath<'_>, value: &ItemValue<'_>) -> u64 {
    let keys: usize = path.elements().map(|element| element.len() + 4).sum();
    let value = match value {
        ItemValue::Json(text) | ItemValue::Text(text) => text.len() + 2,
        _ => 24,
    };
    (keys + value) as u64
}

fn tree(view: &HistoryView<'_>) -> Value {
    let mut root = BTreeMap::new();
    for item in view.items().map_while(Result::ok) {
        let path: Vec<String> = item.path.elements().map(Into::into).collect();
        if path.len() > Limits::DEFAULT.json_depth {
            continue;
        }
        let value = match item.value {
            ItemValue::Missing | ItemValue::Null => Value::Null,
            ItemValue::Bool(value) => Value::Bool(value),
            ItemValue::Integer(value) => Value::Int(value),
            ItemValue::Number(value) => Value::Float(value),
            ItemValue::Text(text) => Value::from(text),
            ItemValue::Json(text) => Value::parse_or_text(text, Limits::DEFAULT.json_depth),
        };
        insert(&mut root, &path, value);
    }
    Value::Object(root)
}

/// Keys remembered for having had a value that is not finite.
const KEYS_KEPT: usize = 100_000;
