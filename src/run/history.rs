//! What is remembered of the history: how many rows, which steps, and the last value of each key.

use super::leaves::{Leaves, insert};
use super::metrics::{Metrics, Tally};
use crate::json::Value;
use crate::record::{ITEM_KEY, ItemValue, join_key, read_step};
use crate::wire::{Field, Fields, Malformed};
use std::collections::BTreeMap;
use std::str;

/// The history of a run in outline; its memory grows with the number of keys, not of rows.
///
/// For the rows themselves see [`Columns`](super::Columns).
#[derive(Clone, Debug, Default)]
pub struct History {
    leaves: Leaves,
    tallies: Vec<Option<Box<Tally>>>,
    /// How many keys have been looked up in the metric definitions.
    looked_up: usize,
    redefined: u32,
    step_slot: Option<usize>,
    rows: u64,
    first_step: Option<i64>,
    last_step: Option<i64>,
    stated_step: Option<i64>,
}

impl History {
    /// A history of at most so many keys.
    pub(super) fn at_most(keys: usize) -> Self {
        Self { leaves: Leaves::default().at_most(keys), ..Self::default() }
    }

    /// Whether there are as many keys as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.leaves.is_full()
    }

    /// Applies a `HistoryRecord`. One that is malformed changes nothing. From a log that has its own
    /// summary the definitions are not needed: `metrics` is `None` then.
    pub(super) fn apply(
        &mut self,
        message: &[u8],
        metrics: Option<&Metrics>,
    ) -> Result<(), Malformed> {
        self.leaves.clear_staged();
        let mut step = None;
        let mut fields = Fields::new(message);
        loop {
            let at = fields.consumed();
            if let Some(item) = fields.next_bytes(ITEM_KEY) {
                self.leaves.stage(item, fields.consumed()).ok_or(Malformed { at })?;
                continue;
            }
            let Some(field) = fields.next() else { break };
            let sound = match field? {
                Field { number: ITEM, value } => {
                    let end = fields.consumed();
                    value.bytes().and_then(|item| self.leaves.stage(item, end)).is_some()
                }
                Field { number: STEP, value } => match value.bytes().and_then(read_step) {
                    Some(num) => {
                        step = Some(num.or(step).unwrap_or(0));
                        true
                    }
                    None => false,
                },
                _ => true,
            };
            if !sound {
                return Err(Malformed { at });
            }
        }
        self.look_up(metrics);
        self.note_step(step.or_else(|| self.step_item(message)));
        let tallies = &mut self.tallies;
        self.leaves.commit(message, false, |slot, text| {
            if let Some(Some(tally)) = tallies.get_mut(slot)
                && let Ok(text) = str::from_utf8(text)
            {
                tally.add(text);
            }
        });
        Ok(())
    }

    /// Adds the rows of `later`, each of which states its step, for a run without metric definitions.
    pub(super) fn append(&mut self, later: &Self) {
        self.leaves.append(&later.leaves);
        self.rows += later.rows;
        let steps = |of: fn(&Self) -> Option<i64>| [of(self), of(later)].into_iter().flatten();
        let (first, last) = (steps(|of| of.first_step).min(), steps(|of| of.last_step).max());
        (self.first_step, self.last_step) = (first, last);
        self.stated_step = self.stated_step.max(later.stated_step);
    }

    /// The definitions have changed: the next row looks those of all keys up again. A log that changes
    /// them over and over, which none does but one made to take long, gets its way only so often.
    pub(super) const fn redefine(&mut self) {
        if self.redefined < REDEFINED_AT_MOST && self.looked_up > 0 {
            self.redefined += 1;
            self.looked_up = 0;
        }
    }

    #[inline]
    fn look_up(&mut self, metrics: Option<&Metrics>) {
        if self.looked_up < self.leaves.len() {
            self.look_up_new(metrics);
        }
    }

    #[cold]
    fn look_up_new(&mut self, metrics: Option<&Metrics>) {
        self.step_slot = self.leaves.slot(&["_step".into()]);
        let known = std::mem::replace(&mut self.looked_up, self.leaves.len());
        self.tallies.resize_with(self.leaves.len(), || None);
        let Some(metrics) = metrics.filter(|metrics| !metrics.is_empty()) else { return };
        for (slot, path) in self.leaves.keys_since(known) {
            let name = join_key(path.iter().map(String::as_str));
            let wanted = metrics.definition_for(&name).and_then(Tally::new);
            let Some(tally) = self.tallies.get_mut(slot) else { continue };
            match (tally.as_deref_mut(), wanted) {
                (Some(tally), Some(wanted)) => tally.redefine(wanted),
                (_, wanted) => *tally = wanted.map(Box::new),
            }
        }
    }

    fn step_item(&self, message: &[u8]) -> Option<i64> {
        ItemValue::Json(self.leaves.staged(message, self.step_slot?)?).as_integer()
    }

    fn note_step(&mut self, stated: Option<i64>) {
        self.rows += 1;
        let counted = || self.last_step.map_or(0, |last| last.saturating_add(1));
        let step = stated.unwrap_or_else(counted);
        self.first_step = Some(self.first_step.map_or(step, |first| first.min(step)));
        self.last_step = Some(self.last_step.map_or(step, |last| last.max(step)));
        self.stated_step = self.stated_step.max(stated);
    }

    /// How many rows there are.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// The lowest step. Rows that state none are counted on from the row before.
    pub const fn first_step(&self) -> Option<i64> {
        self.first_step
    }

    /// The highest step. Rows that state none are counted on from the row before.
    pub const fn last_step(&self) -> Option<i64> {
        self.last_step
    }

    /// The highest step among the rows that state one.
    pub const fn last_stated_step(&self) -> Option<i64> {
        self.stated_step
    }

    /// `_timestamp` of the last row that has one: seconds since 1970.
    pub fn last_timestamp(&self) -> Option<f64> {
        self.last(&["_timestamp"])?.as_f64()
    }

    /// `_runtime` of the last row that has one: seconds since the run started.
    pub fn last_runtime(&self) -> Option<f64> {
        self.last(&["_runtime"])?.as_f64()
    }

    /// The last value of a key that is not null.
    pub fn last(&self, key: &[&str]) -> Option<Value> {
        let path: Vec<String> = key.iter().map(|element| (*element).into()).collect();
        let (text, _) = self.leaves.last(self.leaves.slot(&path)?)?;
        Some(Value::parse_or_text(text, crate::Limits::DEFAULT.json_depth))
    }

    /// The keys that ever had a value, in order: elements, number of values, text of the last one.
    pub fn keys(&self) -> impl Iterator<Item = (&[String], u64, &str)> {
        self.leaves.keys().filter_map(|(path, slot)| {
            let (text, count) = self.leaves.last(slot)?;
            Some((&**path, count, text))
        })
    }

    /// The summary these rows come to, for logs without summary records, by the rules of the Python
    /// client, whose killed runs are such logs: the last value of each key, or what its metric
    /// definition asks for. With any definition, plain objects are left out.
    pub(super) fn summary(&self, metrics: &Metrics, depth: usize) -> Value {
        let mut root = BTreeMap::new();
        for (path, slot, text) in self.leaves.standing() {
            if let Some(Some(tally)) = self.tallies.get(slot) {
                let entries = tally.entries().into_iter();
                let entries =
                    entries.map(|(name, text)| (name, Value::parse_or_text(&text, depth)));
                let entries = Value::from_iter(entries);
                if entries != Value::object() {
                    insert(&mut root, path, entries);
                }
                continue;
            }
            let value = Value::parse_or_text(text, depth);
            if metrics.is_empty() || value.as_object().is_none() || is_media(&value) {
                insert(&mut root, path, value);
            }
        }
        Value::Object(root)
    }
}

/// Whether an object is one that the Python client knows as a single medium.
fn is_media(value: &Value) -> bool {
    let kind = value.get("_type").and_then(Value::as_str);
    kind.is_some_and(|kind| {
        kind.ends_with("-file") || kind == "histogram" || kind == "numpy.ndarray"
    })
}

const REDEFINED_AT_MOST: u32 = 1000;

const ITEM: u32 = 1;
const STEP: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use prost::Message;

    fn row(items: &[(&str, &str)], step: Option<i64>) -> Vec<u8> {
        let item = |(key, json): &(&str, &str)| pb::HistoryItem {
            key: (*key).into(),
            value_json: (*json).into(),
            ..Default::default()
        };
        let item = items.iter().map(item).collect();
        let step = step.map(|num| pb::HistoryStep { num });
        pb::HistoryRecord { item, step, ..Default::default() }.encode_to_vec()
    }

    fn history(rows: &[Vec<u8>], metrics: &Metrics) -> History {
        let mut history = History::default();
        for row in rows {
            history.apply(row, Some(metrics)).unwrap();
        }
        history
    }

    #[test]
    fn steps_are_stated_by_field_or_item_or_counted() {
        let metrics = Metrics::default();
        let steps = |rows: &[Vec<u8>]| {
            let history = history(rows, &metrics);
            (history.first_step(), history.last_step(), history.last_stated_step())
        };
        assert_eq!(steps(&[]), (None, None, None));
        assert_eq!(steps(&[row(&[("_step", "9")], Some(0))]), (Some(0), Some(0), Some(0)));
        assert_eq!(steps(&[row(&[("_step", "9")], None)]), (Some(9), Some(9), Some(9)));
        let counted = [row(&[("a", "1")], None), row(&[("a", "1")], None)];
        assert_eq!(steps(&counted), (Some(0), Some(1), None));
        let back = [row(&[], Some(9)), row(&[], Some(3)), row(&[], None)];
        assert_eq!(steps(&back), (Some(3), Some(10), Some(9)));
    }

    #[test]
    fn the_last_value_that_is_not_null_is_remembered() {
        let rows = [
            row(&[("a", "1"), ("_timestamp", "5.5")], None),
            row(&[("a", "null"), ("_timestamp", "6"), ("b", "\"x\"")], None),
        ];
        let history = history(&rows, &Metrics::default());
        assert_eq!(history.last(&["a"]), Some(Value::Int(1)));
        assert_eq!(history.last_timestamp(), Some(6.0));
        let keys: Vec<_> =
            history.keys().map(|(path, count, text)| (path.join("."), count, text)).collect();
        assert_eq!(
            keys,
            [("_timestamp".into(), 2, "6"), ("a".into(), 1, "1"), ("b".into(), 1, "\"x\""),]
        );
    }

    #[test]
    fn a_malformed_row_changes_nothing() {
        let mut bytes = row(&[("a", "1")], Some(4));
        bytes.extend_from_slice(&[0x12, 1, 0xff]);
        let mut history = History::default();
        assert!(history.apply(&bytes, None).is_err());
        assert_eq!((history.rows(), history.keys().count()), (0, 0));
    }

    #[test]
    fn rows_that_are_appended_come_to_what_they_come_to_one_by_one() {
        let metrics = Metrics::default();
        let rows = [
            row(&[("a", "1"), ("b", "2"), ("c", "null")], Some(7)),
            row(&[("b", "null"), ("a", "3")], Some(8)),
            row(&[("c", r#"{"d":1}"#), ("a", "4")], Some(2)),
            row(&[("e", "5"), ("b", "6")], Some(30)),
        ];
        for cut in 0..=rows.len() {
            let (before, behind) = rows.split_at(cut);
            let mut appended = history(before, &metrics);
            appended.append(&history(behind, &metrics));
            let mut whole = history(&rows, &metrics);
            for history in [&mut appended, &mut whole] {
                history.apply(&row(&[("f", "7")], None), Some(&metrics)).unwrap();
            }
            let shown = |history: &History| {
                let keys: Vec<_> = history.keys().map(|key| format!("{key:?}")).collect();
                let steps = (history.first_step(), history.last_step(), history.last_stated_step());
                (history.rows(), steps, keys, history.summary(&metrics, 128).to_string())
            };
            assert_eq!(shown(&appended), shown(&whole), "{cut}");
        }
    }

    #[test]
    fn without_summary_records_the_rows_make_the_summary() {
        let mut metrics = Metrics::default();
        let summary = pb::MetricSummary { min: true, last: true, ..Default::default() };
        let rows = [
            row(
                &[("loss", "2.0"), ("n", r#"{"x":1}"#), ("i", r#"{"_type":"image-file"}"#)],
                Some(0),
            ),
            row(&[("loss", "NaN"), ("acc", "0.5")], Some(1)),
            row(&[("loss", "3.0")], Some(2)),
        ];
        let plain = history(&rows, &metrics).summary(&metrics, 128);
        assert_eq!(
            plain.to_string(),
            r#"{"acc":0.5,"i":{"_type":"image-file"},"loss":3.0,"n":{"x":1}}"#
        );
        let record =
            pb::MetricRecord { name: "loss".into(), summary: Some(summary), ..Default::default() };
        metrics.apply(&record.encode_to_vec()).unwrap();
        let defined = history(&rows, &metrics).summary(&metrics, 128);
        assert_eq!(
            defined.to_string(),
            r#"{"acc":0.5,"i":{"_type":"image-file"},"loss":{"last":3.0,"min":2.0}}"#
        );
    }
}
