//! The summary of a run that has other rows now.
//!
//! The rows it has make it, by the metric definitions, as if they had been all there ever were. Beyond
//! that a program may have set values of its own: those that differ from what the rows it had come to.
//!
//! A value is known by all the keys that lead to it, so objects within objects would cost the square of their
//! depth. Objects are taken apart down to [`KEY_DEPTH`] keys; one that begins there is a value like others.

use super::items::put_item;
use crate::framing::Span;
use crate::json::Value;
use crate::record::{RawRecord, RecordKind, join_key};
use crate::run::{RunState, insert};
use crate::wire;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The values of a summary that are no objects, or empty ones, or too deep to be taken apart, by path.
pub(crate) type Leaves = BTreeMap<Vec<String>, Value>;

/// What a summary has that the rows it stands beside do not explain.
#[derive(Debug, Default)]
pub(crate) struct OwnSummary {
    set: Leaves,
    /// Keys the rows have and the summary lacks.
    removed: BTreeSet<Vec<String>>,
    /// Every key it has.
    keys: BTreeSet<Vec<String>>,
}

impl OwnSummary {
    /// `state` has the summary records, `rows` the rows and the metric definitions. Keys were only removed
    /// on purpose where the log is `whole`.
    pub(crate) fn of(state: &RunState, rows: &RunState, whole: bool) -> Self {
        let of_rows = leaves(rows.summary());
        let mut keys: BTreeSet<_> = of_rows.keys().cloned().collect();
        let summary = state.summary();
        // A log without summary records, as of a killed run of 0.17 and older, sets nothing.
        if summary.as_object().is_none_or(BTreeMap::is_empty) {
            return Self { keys, ..Self::default() };
        }
        let summary = leaves(summary);
        let missing = of_rows.keys().filter(|path| whole && !summary.contains_key(*path));
        let removed = missing.filter(|path| !is_reserved(path)).cloned().collect();
        keys.extend(summary.keys().cloned());
        let is_own = |(path, value): &(Vec<String>, Value)| {
            let same = |other| is_equal(value, other) || is_tracked(path, rows);
            !is_reserved(path) && !of_rows.get(path).is_some_and(same)
        };
        Self { set: summary.into_iter().filter(is_own).collect(), removed, keys }
    }

    /// Whether the rows or the summary have this key.
    pub(crate) fn has(&self, path: &[String]) -> bool {
        self.keys.contains(path)
    }

    /// The same in a run whose keys have other places. `place` says where a value goes, if anywhere, and
    /// what it is there.
    pub(crate) fn placed<E>(
        self,
        mut place: impl FnMut(Vec<String>, Value) -> Result<Option<(Vec<String>, Value)>, E>,
    ) -> Result<Self, E> {
        let mut placed = Self::default();
        for (path, value) in self.set {
            placed.set.extend(place(path, value)?);
        }
        for path in self.removed {
            placed.removed.extend(place(path, Value::Null)?.map(|(path, _)| path));
        }
        for path in self.keys {
            placed.keys.extend(place(path, Value::Null)?.map(|(path, _)| path));
        }
        Ok(placed)
    }

    /// Puts it over what other rows come to, where a path `is_free`.
    pub(crate) fn apply(&self, to: &mut Leaves, is_free: impl Fn(&[String]) -> bool) {
        for path in self.removed.iter().filter(|path| is_free(path)) {
            to.remove(path);
        }
        for (path, value) in self.set.iter().filter(|(path, _)| is_free(path)) {
            set(to, path.clone(), value.clone());
        }
    }
}

/// Sets a value, which excludes what is above and below it.
pub(crate) fn set(leaves: &mut Leaves, mut path: Vec<String>, value: Value) {
    if path.len() > KEY_DEPTH {
        let below = path.split_off(KEY_DEPTH);
        let mut members = match leaves.remove(&path) {
            Some(Value::Object(members)) => members,
            _ => BTreeMap::new(),
        };
        insert(&mut members, &below, value);
        return set(leaves, path, Value::Object(members));
    }
    for length in 0..path.len() {
        leaves.remove(path.get(..length).unwrap_or_default());
    }
    remove(leaves, &path);
    leaves.insert(path, value);
}

/// Removes the value at a path, and those below it.
pub(crate) fn remove(leaves: &mut Leaves, path: &[String]) {
    if let Some((top, below)) = path.split_at_checked(KEY_DEPTH)
        && let Some((last, through)) = below.split_last()
    {
        let top = leaves.get_mut(top);
        let inner = through.iter().fold(top, |value, key| match value? {
            Value::Object(members) => members.get_mut(key),
            _ => None,
        });
        if let Some(Value::Object(members)) = inner {
            members.remove(last);
        }
        return;
    }
    let below = leaves.range::<[String], _>((Bound::Included(path), Bound::Unbounded));
    let below = below.map(|(other, _)| other).take_while(|other| other.starts_with(path));
    for path in below.cloned().collect::<Vec<_>>() {
        leaves.remove(&path);
    }
}

/// The leaves of a tree.
pub(crate) fn leaves(tree: Value) -> Leaves {
    fn walk(value: Value, path: &mut Vec<String>, found: &mut Leaves) {
        match value {
            Value::Object(members)
                if path.is_empty() || (!members.is_empty() && path.len() < KEY_DEPTH) =>
            {
                for (key, value) in members {
                    path.push(key);
                    walk(value, path, found);
                    path.pop();
                }
            }
            value => drop(found.insert(path.clone(), value)),
        }
    }
    let mut found = Leaves::new();
    walk(tree, &mut Vec::new(), &mut found);
    found
}

/// Appends the body of a summary record that sets these.
pub(crate) fn put_leaves(leaves: &Leaves, out: &mut Vec<u8>) {
    for (path, value) in leaves {
        put_item(UPDATE, path.iter().map(String::as_str), &value.to_string(), out);
    }
}

/// Applies a record of nothing but this body. One that is malformed changes nothing.
pub(crate) fn fold(state: &mut RunState, kind: RecordKind, body: &[u8]) {
    let mut payload = Vec::with_capacity(body.len() + 8);
    wire::put_bytes(&mut payload, kind.field(), body);
    let _ = state.apply(&RawRecord::new(Span { offset: 0, length: 0 }, &payload));
}

/// Whether two values are the same but for how their numbers are written.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b || (a.is_nan() && b.is_nan()),
        _ => a == b,
    }
}

/// Whether the value is one that W&B keeps of a metric because its definition asks for it. Its releases
/// differ in how they count NaN, so it may be another than the rows come to here.
pub(crate) fn is_tracked(path: &[String], rows: &RunState) -> bool {
    let Some((name, metric)) = path.split_last() else { return false };
    let asked = || rows.metrics().definition_for(&join_key(metric.iter().map(String::as_str)));
    TRACKED.contains(&name.as_str()) && asked().is_some_and(|asked| asked.summary.is_some())
}

fn is_reserved(path: &[String]) -> bool {
    path.first().is_some_and(|key| RESERVED.contains(&key.as_str()))
}

/// The names under which the summary has what a definition asks for.
pub(crate) const TRACKED: [&str; 6] = ["best", "first", "last", "max", "mean", "min"];

/// The keys that are W&B's own.
pub(crate) const RESERVED: [&str; 4] = ["_runtime", "_step", "_timestamp", "_wandb"];

/// What is nested in more keys is carried as a part of the object that begins there.
pub(crate) const KEY_DEPTH: usize = 32;

const UPDATE: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_set_excludes_those_above_and_below_it_and_no_others() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let after = |was: &[&str], new: &str| -> Vec<String> {
            let mut leaves: Leaves = was.iter().map(|text| (path(text), Value::Null)).collect();
            set(&mut leaves, path(new), Value::Int(1));
            leaves.keys().map(|path| path.join(".")).collect()
        };
        assert_eq!(after(&["a.b.c", "a.b.d", "a.bb", "a.c"], "a.b"), ["a.b", "a.bb", "a.c"]);
        assert_eq!(after(&["a", "ab", "b"], "a.b.c"), ["a.b.c", "ab", "b"]);
        assert_eq!(after(&["a"], "a"), ["a"]);
    }

    #[test]
    fn what_is_nested_too_deep_is_a_part_of_the_value_above_it() {
        let nested = |depth: usize, inner: &str| {
            let (open, close) = (r#"{"k":"#.repeat(depth), "}".repeat(depth));
            Value::parse(&format!("{open}{inner}{close}")).unwrap()
        };
        let mut found = leaves(nested(100, r#"{"x":1,"y":2}"#));
        assert_eq!(found.len(), 1);
        let top = vec!["k".to_owned(); KEY_DEPTH];
        assert_eq!(found[&top], nested(100 - KEY_DEPTH, r#"{"x":1,"y":2}"#));

        let path = |last: &str| [vec!["k".to_owned(); 100], vec![last.to_owned()]].concat();
        set(&mut found, path("z"), Value::Int(3));
        remove(&mut found, &path("x"));
        remove(&mut found, &path("none"));
        assert_eq!(found[&top], nested(100 - KEY_DEPTH, r#"{"y":2,"z":3}"#));
        set(&mut found, vec!["y".to_owned()], Value::Int(1));
        assert_eq!(found.len(), 2);
    }
}
