//! The config: the one in the run record, and the config records after it.
//!
//! Objects are merged key by key, however deep; anything else is replaced. So an object can only grow,
//! except by removals, and an empty object changes nothing. W&B's service does the same.

use super::leaves::insert;
use super::slots::no_deeper;
use crate::json::Value;
use crate::proto::wandb_internal::{ConfigItem, ConfigRecord};
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub(super) struct Config {
    root: Value,
    internal: Value,
}

impl Default for Config {
    fn default() -> Self {
        Self { root: Value::object(), internal: Value::object() }
    }
}

impl Config {
    /// Applies a `ConfigRecord`: all updates, then all removals.
    pub(super) fn apply(&mut self, record: &ConfigRecord, depth: usize) {
        for item in &record.update {
            if item.value_json.is_empty() {
                continue;
            }
            let value = Value::parse_or_text(&item.value_json, depth);
            let (tree, mut path) = self.target(item);
            if let (Value::Object(root), false) = (tree, path.is_empty()) {
                merge(root, &mut path, value);
            }
        }
        for item in &record.remove {
            let (tree, path) = self.target(item);
            remove(tree, &path);
        }
    }

    /// The config without `_wandb`.
    pub(super) const fn root(&self) -> &Value {
        &self.root
    }

    /// What stands under `_wandb`: an object with that one member, or an empty one.
    pub(super) const fn internal(&self) -> &Value {
        &self.internal
    }

    /// The tree an item belongs to, and its path in it.
    fn target(&mut self, item: &ConfigItem) -> (&mut Value, Vec<String>) {
        let path = match item.nested_key.is_empty() {
            true => vec![item.key.clone()],
            false => no_deeper(item.nested_key.clone()),
        };
        let internal = path.first().is_some_and(|key| key == "_wandb");
        (if internal { &mut self.internal } else { &mut self.root }, path)
    }
}

/// Sets every value below `path` that is not an object itself.
fn merge(root: &mut BTreeMap<String, Value>, path: &mut Vec<String>, value: Value) {
    let Value::Object(members) = value else { return insert(root, path, value) };
    for (key, value) in members {
        path.push(key);
        merge(root, path, value);
        path.pop();
    }
}

/// Removes what is at a path, and the objects this leaves empty.
fn remove(tree: &mut Value, path: &[String]) {
    let Value::Object(members) = tree else { return };
    let Some((key, rest)) = path.split_first() else { return };
    if !rest.is_empty() {
        let Some(inner) = members.get_mut(key) else { return };
        remove(inner, rest);
        if !matches!(inner, Value::Object(members) if members.is_empty()) {
            return;
        }
    }
    members.remove(key);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Applies changes, one record each: "a.b=1" sets, "-a.b" removes.
    fn config(changes: &[&str]) -> Config {
        let mut config = Config::default();
        for change in changes {
            let item = |path: &str, json: &str| ConfigItem {
                nested_key: path.split('.').map(Into::into).collect(),
                value_json: json.into(),
                ..Default::default()
            };
            let mut record = ConfigRecord::default();
            match (change.strip_prefix('-'), change.split_once('=')) {
                (Some(path), _) => record.remove.push(item(path, "")),
                (None, Some((path, json))) => record.update.push(item(path, json)),
                _ => unreachable!(),
            }
            config.apply(&record, 128);
        }
        config
    }

    #[track_caller]
    fn comes_to(changes: &[&str], want: &str) {
        assert_eq!(config(changes).root().to_string(), want);
    }

    #[test]
    fn objects_are_merged_key_by_key() {
        comes_to(
            &[r#"opt={"name":"adam","deep":{"x":1}}"#, r#"opt={"name":"sgd","deep":{"y":2}}"#],
            r#"{"opt":{"deep":{"x":1,"y":2},"name":"sgd"}}"#,
        );
        comes_to(&[r#"a={"b":1}"#, "a.b.c=2"], r#"{"a":{"b":{"c":2}}}"#);
        comes_to(&["a=1", r#"a={"b":1}"#], r#"{"a":{"b":1}}"#);
    }

    #[test]
    fn anything_else_is_replaced() {
        comes_to(&["a=[1,2]", "a=[3]"], r#"{"a":[3]}"#);
        comes_to(&[r#"a={"b":1}"#, "a=2"], r#"{"a":2}"#);
        comes_to(&["a=1", "a=null"], r#"{"a":null}"#);
    }

    #[test]
    fn empty_objects_change_nothing() {
        comes_to(&["e={}", r#"d={"x":{}}"#, "b=1", "b={}"], r#"{"b":1}"#);
    }

    #[test]
    fn removals_leave_no_empty_objects_behind() {
        comes_to(&[r#"a={"b":1,"c":2}"#, "-a.b"], r#"{"a":{"c":2}}"#);
        comes_to(&["a.b=1", "-a.b", "-x.y"], "{}");
        comes_to(&["a=1", "-a.b"], r#"{"a":1}"#);
    }

    #[test]
    fn what_w_and_b_keeps_for_itself_is_kept_apart() {
        let config = config(&["_wandb.x=5", "_x=1", r#"a={"_wandb":1}"#]);
        assert_eq!(config.root().to_string(), r#"{"_x":1,"a":{"_wandb":1}}"#);
        assert_eq!(config.internal().to_string(), r#"{"_wandb":{"x":5}}"#);
    }
}
