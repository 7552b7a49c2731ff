//! Config values that are set and removed, wherever a log has them.

use super::options::ValueEdit;
use crate::json::Value;
use crate::limits::Limits;
use crate::record::{ItemValue, RecordKind};
use crate::rewrite::{Fate, Item, put_item, splice_items};
use crate::wire::Malformed;
use std::collections::BTreeMap;

/// Appends the body of a config record without what is removed or set. With `set`, as in the record that
/// says what the config was when the run began, with the new values.
///
/// A value may stand as an item of its own or inside one for the object it is part of.
pub(super) fn put_config(
    edit: &ValueEdit,
    body: &[u8],
    set: bool,
    out: &mut Vec<u8>,
) -> Result<(), Malformed> {
    let mut to_set: Vec<_> = edit.set.iter().filter(|_| set).collect();
    splice_items(RecordKind::Config, body, out, |item, out| {
        let path: Vec<_> = item.view.path.elements().collect();
        let remove = edit.remove.iter().map(|path| (path, false));
        let mut targets = remove.chain(edit.set.iter().map(|(path, _)| (path, true)));
        if targets.any(|(target, is_set)| replaces(target, is_set, &path, &item)) {
            return Ok(Fate::Drop);
        }
        let Some(was) = object(&item) else { return Ok(Fate::Keep) };
        let mut value = was.clone();
        let removed = edit.remove.iter().chain(edit.set.iter().map(|(path, _)| path));
        removed
            .filter_map(|target| inside(target, &path))
            .for_each(|rest| remove_at(&mut value, rest));
        to_set.retain(|(target, new)| match inside(target, &path).filter(|_| path.len() == 1) {
            Some(rest) => !set_at(&mut value, rest, new),
            None => true,
        });
        if value == was {
            return Ok(Fate::Keep);
        }
        if value != Value::object() {
            item.put_with_value(ItemValue::Json(&value.to_string()), out)?;
        }
        Ok::<_, Malformed>(Fate::Drop)
    })?;
    for (path, value) in to_set {
        let Some((first, rest)) = path.split_first() else { continue };
        let mut tree = Value::object();
        let tree = match rest {
            [] => value,
            rest => {
                set_at(&mut tree, rest, value);
                &tree
            }
        };
        put_item(UPDATE, [first.as_str()], &tree.to_string(), out);
    }
    Ok(())
}

/// Whether an item is all of what is at a path or below it; or a value where a path that is set leads
/// through.
fn replaces(target: &[String], is_set: bool, path: &[&str], item: &Item<'_>) -> bool {
    let is_below = path.len() >= target.len() && path.iter().zip(target).all(|(a, b)| a == b);
    is_below || (is_set && inside(target, path).is_some() && object(item).is_none())
}

/// The rest of a path that leads through `path`.
fn inside<'t>(target: &'t [String], path: &[&str]) -> Option<&'t [String]> {
    let (through, rest) = target.split_at_checked(path.len())?;
    (through.iter().zip(path).all(|(a, b)| a == b) && !rest.is_empty()).then_some(rest)
}

fn object(item: &Item<'_>) -> Option<Value> {
    match item.view.value {
        ItemValue::Json(text) if text.trim_start().starts_with('{') => {
            let value = Value::parse_within(text, Limits::DEFAULT.json_depth).ok()?;
            value.as_object().is_some().then_some(value)
        }
        _ => None,
    }
}

/// Removes what is at a path, and the objects this leaves empty.
fn remove_at(value: &mut Value, path: &[String]) {
    let (Value::Object(members), Some((first, rest))) = (value, path.split_first()) else { return };
    if rest.is_empty() {
        members.remove(first);
    } else if let Some(inner) = members.get_mut(first).filter(|inner| inner.as_object().is_some()) {
        remove_at(inner, rest);
        if *inner == Value::object() {
            members.remove(first);
        }
    }
}

/// Sets what is at a path of an object, making objects on the way; whether it is one.
fn set_at(value: &mut Value, path: &[String], new: &Value) -> bool {
    let Value::Object(members) = value else { return false };
    let Some((first, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        members.insert(first.clone(), new.clone());
        return true;
    }
    let inner = members.entry(first.clone()).or_insert_with(Value::object);
    if inner.as_object().is_none() {
        *inner = Value::Object(BTreeMap::new());
    }
    set_at(inner, rest, new)
}

const UPDATE: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use crate::record::split_key;
    use prost::Message;

    /// The items of a config record after setting (`a.b=1`) and removing (`-a.b`).
    fn edited(items: &[(&str, &str)], edits: &[&str], set: bool) -> Vec<(String, String)> {
        let item = |(path, json): &(&str, &str)| pb::ConfigItem {
            nested_key: split_key(path),
            value_json: (*json).into(),
            ..Default::default()
        };
        let record =
            pb::ConfigRecord { update: items.iter().map(item).collect(), ..Default::default() };
        let mut edit = ValueEdit::default();
        for text in edits {
            match (text.strip_prefix('-'), text.split_once('=')) {
                (Some(path), _) => edit.remove.push(split_key(path)),
                (None, Some((path, json))) => {
                    edit.set.push((split_key(path), Value::parse(json).unwrap()));
                }
                _ => unreachable!(),
            }
        }
        let mut out = Vec::new();
        put_config(&edit, &record.encode_to_vec(), set, &mut out).unwrap();
        let items = pb::ConfigRecord::decode(&*out).unwrap().update;
        items.into_iter().map(|item| (item.nested_key.join("."), item.value_json)).collect()
    }

    #[track_caller]
    fn becomes(items: &[(&str, &str)], edits: &[&str], set: bool, want: &[(&str, &str)]) {
        let want: Vec<(String, String)> =
            want.iter().map(|(path, json)| ((*path).into(), (*json).into())).collect();
        assert_eq!(edited(items, edits, set), want);
    }

    #[test]
    fn values_are_set_inside_objects_or_beside_them() {
        let items = &[("lr", "0.1"), ("opt", r#"{"name":"sgd","m":{"x":1}}"#)];
        becomes(
            items,
            &["opt.m.x=2", "new.a=[1]"],
            true,
            &[("lr", "0.1"), ("opt", r#"{"m":{"x":2},"name":"sgd"}"#), ("new", r#"{"a":[1]}"#)],
        );
        becomes(items, &["lr=1", "opt=2"], true, &[("lr", "1"), ("opt", "2")]);
        becomes(items, &["lr.a=1"], true, &[items[1], ("lr", r#"{"a":1}"#)]);
    }

    #[test]
    fn later_records_lose_what_would_undo_it() {
        let items = &[("lr", "0.2"), ("opt.m.x", "3"), ("opt", r#"{"m":{"x":4,"y":5}}"#)];
        becomes(items, &["opt.m.x=2"], false, &[items[0], ("opt", r#"{"m":{"y":5}}"#)]);
        becomes(items, &["opt=2"], false, &[items[0]]);
        becomes(items, &["lr.a=2"], false, &items[1..]);
    }

    #[test]
    fn removed_values_are_gone_with_all_below_them() {
        let items = &[("lr", "0.2"), ("opt.m.x", "3"), ("opt", r#"{"m":{"x":4}}"#)];
        becomes(items, &["-opt.m"], true, &[items[0]]);
        becomes(items, &["-lr", "-none", "-lr.deeper"], true, &items[1..]);
    }
}
