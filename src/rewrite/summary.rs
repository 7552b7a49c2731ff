//! The summary of a run that has other rows now.
//!
//! The rows it has make it, by the metric definitions, as if they had been all there ever were. Beyond
//! that a program may have set values of its own: those that differ from what the rows it had come to.

use super::items::put_item;
use crate::framing::Span;
use crate::json::Value;
use crate::record::{RawRecord, RecordKind, join_key};
use crate::run::RunState;
use crate::wire;
use std::collections::{BTreeMap, BTreeSet};

/// The values of a summary that are no objects, or empty ones, by path.
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

    /// The keys that the rows or the summary have.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[String]> {
        self.keys.iter().map(Vec::as_slice)
    }

    /// Puts it over what other rows come to. `place` says under which path a key goes, if anywhere, and
    /// `value` what becomes of its value.
    pub(crate) fn apply<E>(
        &self,
        to: &mut Leaves,
        mut place: impl FnMut(&[String]) -> Result<Option<Vec<String>>, E>,
        value: impl Fn(&Value) -> Value,
    ) -> Result<(), E> {
        for path in &self.removed {
            place(path)?.map(|path| to.remove(&path));
        }
        for (path, own) in &self.set {
            let Some(path) = place(path)? else { continue };
            set(to, path, value(own));
        }
        Ok(())
    }
}

/// Sets a value, which excludes what is above and below it.
pub(crate) fn set(leaves: &mut Leaves, path: Vec<String>, value: Value) {
    // What is below a path stands right behind it. Looking at all of them would take time that grows with
    // the square of a summary.
    let below = leaves.range(path.clone()..).map(|(other, _)| other);
    let below: Vec<_> = below.take_while(|other| other.starts_with(&path)).cloned().collect();
    for other in &below {
        leaves.remove(other);
    }
    for above in (0..path.len()).filter_map(|length| path.get(..length)) {
        leaves.remove(above);
    }
    leaves.insert(path, value);
}

/// The leaves of a tree.
pub(crate) fn leaves(tree: Value) -> Leaves {
    fn walk(value: Value, path: &mut Vec<String>, found: &mut Leaves) {
        match value {
            Value::Object(members) if path.is_empty() || !members.is_empty() => {
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
fn is_tracked(path: &[String], rows: &RunState) -> bool {
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

const UPDATE: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split_terminator('.').map(str::to_owned).collect()
    }

    fn paths(leaves: &Leaves) -> Vec<String> {
        leaves.keys().map(|path| path.join(".")).collect()
    }

    #[test]
    fn a_value_excludes_what_is_above_and_below_it_and_nothing_else() {
        let all = ["a", "a.b.c", "a.b.d", "a.bb", "ab", "b"];
        let leaves: Leaves = all.iter().map(|text| (path(text), Value::Null)).collect();
        for (set_at, want) in [
            ("a.b", vec!["a.b", "a.bb", "ab", "b"]),
            ("a", vec!["a", "ab", "b"]),
            ("a.b.c.e", vec!["a.b.c.e", "a.b.d", "a.bb", "ab", "b"]),
            ("c", vec!["a", "a.b.c", "a.b.d", "a.bb", "ab", "b", "c"]),
        ] {
            let mut leaves = leaves.clone();
            set(&mut leaves, path(set_at), Value::Null);
            assert_eq!(paths(&leaves), want, "{set_at}");
        }
        let mut empty = Leaves::from([(Vec::new(), Value::Null)]);
        set(&mut empty, path("a"), Value::Null);
        assert_eq!(paths(&empty), ["a"], "an empty summary is at the path of no elements");
    }

    #[test]
    fn a_summary_of_many_values_takes_no_time_that_grows_with_its_square() {
        let mut leaves = Leaves::new();
        (0..200_000).for_each(|i| set(&mut leaves, path(&format!("k{i}")), Value::Null));
        assert_eq!(leaves.len(), 200_000);
    }
}
