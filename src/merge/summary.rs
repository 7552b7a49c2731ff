//! The summary of the merged run.
//!
//! The rows that are kept make it, by the metric definitions, as they would have if one process had
//! written them all. Beyond that a program may have set values of its own: those that differ from what the
//! rows of their segment come to. Such a value stands unless a newer segment has the key too.

use super::segment::{Segment, leaves};
use crate::json::Value;
use crate::run::RunState;
use std::collections::{BTreeMap, BTreeSet};

type Leaves = BTreeMap<Vec<String>, Value>;

/// What a segment's summary has that its rows do not explain.
#[derive(Debug, Default)]
struct Own {
    set: Leaves,
    /// Keys its rows have and its summary lacks.
    removed: BTreeSet<Vec<String>>,
    /// Every key it has.
    keys: BTreeSet<Vec<String>>,
}

impl Own {
    /// `place` says where in the merged run a value is, and what it is there.
    fn of(segment: &Segment, place: impl Fn(Vec<String>, Value) -> (Vec<String>, Value)) -> Self {
        let of_rows = segment.summary_of_rows();
        let placed = |path: &Vec<String>| place(path.clone(), Value::Null).0;
        let mut keys: BTreeSet<_> = of_rows.keys().map(placed).collect();
        let summary = segment.summary();
        // A log without summary records, as of a killed run of 0.17 and older, sets nothing.
        if summary.is_empty() {
            return Self { keys, ..Self::default() };
        }
        let whole = !segment.damage.is_lossy();
        let missing = of_rows.keys().filter(|path| whole && !summary.contains_key(*path));
        let removed = missing.filter(|path| !is_reserved(path)).map(placed).collect();
        keys.extend(summary.keys().map(placed));
        let is_own = |(path, value): &(Vec<String>, Value)| {
            !is_reserved(path) && of_rows.get(path).is_none_or(|other| !is_equal(value, other))
        };
        let set = summary.into_iter().filter(is_own);
        Self { set: set.map(|(path, value)| place(path, value)).collect(), removed, keys }
    }
}

/// The leaves of the merged summary: `kept` has all rows that are kept. `place` says where in the merged
/// run a value of a segment is, and what it is there.
pub(super) fn summary(
    segments: &[Segment],
    kept: &RunState,
    place: impl Fn(usize, Vec<String>, Value) -> (Vec<String>, Value),
) -> Leaves {
    let mut merged = leaves(kept.summary());
    let own = segments.iter().enumerate();
    let own = own.map(|(i, of)| Own::of(of, |path, value| place(i, path, value)));
    let own: Vec<Own> = own.collect();
    for (i, segment) in own.iter().enumerate() {
        let newer = own.get(i + 1..).unwrap_or_default();
        let is_free = |path: &Vec<String>| !newer.iter().any(|newer| newer.keys.contains(path));
        for path in segment.removed.iter().filter(|path| is_free(path)) {
            merged.remove(path);
        }
        for (path, value) in segment.set.iter().filter(|(path, _)| is_free(path)) {
            // A value and what is below it exclude each other.
            merged.retain(|other, _| !other.starts_with(path) && !path.starts_with(other));
            merged.insert(path.clone(), value.clone());
        }
    }
    merged
}

/// Whether two values are the same but for how their numbers are written.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b || (a.is_nan() && b.is_nan()),
        _ => a == b,
    }
}

fn is_reserved(path: &[String]) -> bool {
    path.first().is_some_and(|key| ["_step", "_runtime", "_timestamp", "_wandb"].contains(&&**key))
}
