//! The summary of the merged run.
//!
//! The rows that are kept make it, by the metric definitions, as they would have if one process had
//! written them all. Of the values that a program set itself one stands unless a newer segment has the key
//! too.

use super::segment::Segment;
use crate::json::Value;
use crate::rewrite::{Leaves, OwnSummary, leaves};
use crate::run::RunState;
use std::collections::BTreeSet;
use std::convert::Infallible;

/// The leaves of the merged summary: `kept` has all rows that are kept. `path` says where in the merged run
/// a value of a segment is, and `value` what it is there.
pub(super) fn summary(
    segments: &[Segment],
    kept: &RunState,
    path: impl Fn(usize, &[String]) -> Vec<String>,
    value: impl Fn(usize, &Value) -> Value,
) -> Leaves {
    let own = |segment: &Segment| {
        OwnSummary::of(&segment.state, &segment.rows, !segment.damage.is_lossy())
    };
    let own: Vec<_> = segments.iter().map(own).collect();
    let keys = |(i, own): (usize, &OwnSummary)| own.keys().map(|key| path(i, key)).collect();
    let keys: Vec<BTreeSet<_>> = own.iter().enumerate().map(keys).collect();
    let mut merged = leaves(kept.summary());
    for (i, segment) in own.iter().enumerate() {
        let newer = keys.get(i + 1..).unwrap_or_default();
        let place = |key: &[String]| {
            let key = path(i, key);
            Ok::<_, Infallible>((!newer.iter().any(|newer| newer.contains(&key))).then_some(key))
        };
        let Ok(()) = segment.apply(&mut merged, place, |own| value(i, own));
    }
    merged
}
