//! History records as lines for the server.
//!
//! Values pass through as the JSON text they have in the log: parsed to see that they are JSON, but not
//! printed anew. Three things change. Items of nested keys become nested objects; empty objects vanish, as
//! in the official client, which flattens rows to their leaves; and `_step` is moved behind the steps the
//! server has, for the parts of a resumed run each count from 0.

use crate::json::{Value, number, put_f64, put_i64, put_str};
use crate::limits::Limits;
use crate::record::{ItemValue, read_step};
use crate::run::slots::{Path, Slots};
use crate::wire::{Field, Fields, Malformed};
use std::collections::BTreeMap;

/// Makes lines of history records, one after another.
#[derive(Debug)]
pub(crate) struct Rows {
    slots: Slots,
    keys: Vec<Key>,
    /// The lowest step the next row may have.
    next: i64,
    row: u64,
    line: Vec<u8>,
}

/// What is known of a key.
#[derive(Debug)]
struct Key {
    path: Path,
    /// `"key":`, if the key has one element.
    quoted: Option<Vec<u8>>,
    is_step: bool,
    /// The last row it was in.
    seen: u64,
}

impl Rows {
    /// Lines whose steps begin at `starting_step` or later.
    pub(crate) fn new(starting_step: i64) -> Self {
        Self {
            slots: Slots::default(),
            keys: Vec::new(),
            next: starting_step,
            row: 0,
            line: Vec::new(),
        }
    }

    /// The step of the last row.
    pub(crate) const fn last_step(&self) -> Option<i64> {
        if self.row == 0 { None } else { Some(self.next.saturating_sub(1)) }
    }

    /// The line of a `HistoryRecord`.
    pub(crate) fn line(&mut self, message: &[u8]) -> Result<&str, Malformed> {
        let mut items = Vec::new();
        let (mut step, mut step_item) = (None, None);
        let mut is_flat = true;
        let row = self.row + 1;
        let mut fields = Fields::new(message);
        loop {
            let at = fields.consumed();
            let Some(field) = fields.next() else { break };
            match field? {
                Field { number: ITEM, value } => {
                    let found = value.bytes().and_then(|item| self.slots.find(item));
                    let (slot, value) = found.ok_or(Malformed { at })?;
                    self.learn();
                    let Some(key) = self.keys.get_mut(slot) else { continue };
                    is_flat &= key.quoted.is_some() && key.seen != row;
                    key.seen = row;
                    if key.is_step {
                        step_item = value.as_integer();
                    }
                    items.push((slot, value));
                }
                Field { number: STEP, value } => {
                    let num = value.bytes().and_then(read_step).ok_or(Malformed { at })?;
                    step = Some(num.or(step).unwrap_or(0));
                }
                _ => {}
            }
        }
        self.row = row;
        let step = step.or(step_item).unwrap_or(self.next).max(self.next);
        self.next = step.saturating_add(1);
        self.line.clear();
        if is_flat {
            self.flat(&items, step)
        } else {
            self.nested(&items, step)
        }
        Ok(str::from_utf8(&self.line).unwrap_or("{}"))
    }

    /// Learns the keys that are new.
    fn learn(&mut self) {
        for (_, path) in self.slots.since(self.keys.len()) {
            let quoted = match &**path {
                [key] => {
                    let mut quoted = Vec::new();
                    put_str(&mut quoted, key);
                    quoted.push(b':');
                    Some(quoted)
                }
                _ => None,
            };
            let is_step = matches!(&**path, [key] if key == "_step");
            self.keys.push(Key { path: path.clone(), quoted, is_step, seen: 0 });
        }
    }

    /// A row whose keys have one element each and are all different.
    fn flat(&mut self, items: &[(usize, ItemValue<'_>)], step: i64) {
        let line = &mut self.line;
        line.push(b'{');
        for (slot, value) in items {
            let Some(key) = self.keys.get(*slot).filter(|key| !key.is_step) else { continue };
            let before = line.len();
            line.extend_from_slice(key.quoted.as_deref().unwrap_or_default());
            if put_value(line, *value) {
                line.push(b',');
            } else {
                line.truncate(before);
            }
        }
        line.extend_from_slice(b"\"_step\":");
        put_i64(line, step);
        line.push(b'}');
    }

    fn nested(&mut self, items: &[(usize, ItemValue<'_>)], step: i64) {
        let mut root = BTreeMap::new();
        for (slot, value) in items {
            let Some(key) = self.keys.get(*slot).filter(|key| !key.is_step) else { continue };
            let mut text = Vec::new();
            if put_value(&mut text, *value) {
                insert(&mut root, &key.path, text);
            }
        }
        let mut text = Vec::new();
        put_i64(&mut text, step);
        root.insert("_step", Node::Text(text));
        Node::Object(root).put(&mut self.line);
    }
}

/// A value of a row that has nested keys.
enum Node<'a> {
    Text(Vec<u8>),
    Object(BTreeMap<&'a str, Self>),
}

/// Puts a text at a path; what is in the way is replaced.
fn insert<'a>(root: &mut BTreeMap<&'a str, Node<'a>>, path: &'a [String], text: Vec<u8>) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut members = root;
    for key in parents {
        let next = members.entry(key).or_insert_with(|| Node::Object(BTreeMap::new()));
        if let Node::Text(_) = next {
            *next = Node::Object(BTreeMap::new());
        }
        let Node::Object(inner) = next else { return };
        members = inner;
    }
    members.insert(last, Node::Text(text));
}

impl Node<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Object(members) => {
                out.push(b'{');
                for (i, (key, node)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    put_str(out, key);
                    out.push(b':');
                    node.put(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// Appends a value; `false` if it is none.
fn put_value(out: &mut Vec<u8>, value: ItemValue<'_>) -> bool {
    match value {
        ItemValue::Missing => return false,
        ItemValue::Null => out.extend_from_slice(b"null"),
        ItemValue::Bool(true) => out.extend_from_slice(b"true"),
        ItemValue::Bool(false) => out.extend_from_slice(b"false"),
        ItemValue::Integer(value) => put_i64(out, value),
        ItemValue::Number(value) => put_f64(out, value),
        ItemValue::Text(text) => put_str(out, text),
        ItemValue::Json(text) => return put_json(out, text),
    }
    true
}

/// Appends a JSON text as it is, if it is one that fits on a line; a text that is not JSON becomes a string,
/// for one bad value must not cost the row.
pub(super) fn put_json(out: &mut Vec<u8>, text: &str) -> bool {
    if number(text).is_some() || matches!(text, "true" | "false" | "null") {
        out.extend_from_slice(text.as_bytes());
        return true;
    }
    let Ok(value) = Value::parse_within(text, Limits::DEFAULT.json_depth) else {
        put_str(out, text);
        return true;
    };
    let object = matches!(value, Value::Object(_));
    if object && text.contains('}') && has_empty(&value) {
        return match without_empty(value) {
            Some(value) => {
                value.write_json(out);
                true
            }
            None => false,
        };
    }
    if text.contains(['\n', '\r']) {
        value.write_json(out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    true
}

/// Whether there is an empty object on a way through objects.
fn has_empty(value: &Value) -> bool {
    value.as_object().is_some_and(|members| members.is_empty() || members.values().any(has_empty))
}

fn without_empty(value: Value) -> Option<Value> {
    let Value::Object(members) = value else { return Some(value) };
    let kept = members.into_iter().filter_map(|(key, value)| Some((key, without_empty(value)?)));
    let kept: BTreeMap<_, _> = kept.collect();
    (!kept.is_empty()).then_some(Value::Object(kept))
}

const ITEM: u32 = 1;
const STEP: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal::{HistoryItem, HistoryRecord, HistoryStep};
    use prost::Message;

    /// A row of `path=json`, dots between the elements of a path.
    fn record(items: &[&str], step: Option<i64>) -> Vec<u8> {
        let item = |text: &&str| {
            let (path, json) = text.split_once('=').unwrap();
            HistoryItem {
                nested_key: path.split('.').map(Into::into).collect(),
                value_json: json.into(),
                ..Default::default()
            }
        };
        let step = step.map(|num| HistoryStep { num });
        HistoryRecord { item: items.iter().map(item).collect(), step, ..Default::default() }
            .encode_to_vec()
    }

    #[track_caller]
    fn comes_to(items: &[&str], want: &str) {
        let mut rows = Rows::new(0);
        assert_eq!(rows.line(&record(items, Some(3))).unwrap(), want);
    }

    #[test]
    fn values_keep_their_text() {
        comes_to(
            &["a=1e+06", "b=NaN", "c=1.0", r#"d=[1, -Infinity, {}]"#, r#"e="é\u0000""#, "f=null"],
            r#"{"a":1e+06,"b":NaN,"c":1.0,"d":[1, -Infinity, {}],"e":"é\u0000","f":null,"_step":3}"#,
        );
        comes_to(
            &["big=123456789012345678901234567890"],
            r#"{"big":123456789012345678901234567890,"_step":3}"#,
        );
    }

    #[test]
    fn nested_keys_become_objects_and_empty_ones_vanish() {
        comes_to(&["a.b=1", "x=2", "a.c.d=3"], r#"{"_step":3,"a":{"b":1,"c":{"d":3}},"x":2}"#);
        comes_to(&[r#"a={"b":{},"c":[{}]}"#, "e={}"], r#"{"a":{"c":[{}]},"_step":3}"#);
        comes_to(&["a=1", "a=2"], r#"{"_step":3,"a":2}"#);
        comes_to(&["a=1", "a.b=2"], r#"{"_step":3,"a":{"b":2}}"#);
    }

    #[test]
    fn no_value_breaks_its_line() {
        comes_to(&["a={bad", "b=1"], r#"{"a":"{bad","b":1,"_step":3}"#);
        comes_to(&["a=[1,\n2]"], r#"{"a":[1,2],"_step":3}"#);
        comes_to(&["a=1 2", "b="], r#"{"a":"1 2","_step":3}"#);
    }

    #[test]
    fn steps_go_up_from_where_the_server_is() {
        let mut rows = Rows::new(5);
        let mut step = |items: &[&str], step| {
            let line = rows.line(&record(items, step)).unwrap().to_owned();
            Value::parse(&line).unwrap().get("_step").and_then(Value::as_i64).unwrap()
        };
        assert_eq!(step(&["_step=0"], Some(0)), 5);
        assert_eq!(step(&["_step=1"], Some(1)), 6);
        assert_eq!(step(&["_step=9"], Some(9)), 9);
        assert_eq!(step(&["_step=20"], None), 20, "a row whose step is an item only");
        assert_eq!(step(&["a=1"], None), 21, "a row without any is counted");
        assert_eq!(rows.last_step(), Some(21));
    }
}
