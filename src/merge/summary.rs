//! The summary of the merged run.
//!
//! The rows that are kept make it, by the metric definitions, as they would have if one process had
//! written them all. Of the values that a program set itself one stands unless a newer segment has the key
//! too.

use super::segment::Segment;
use crate::json::Value;
use crate::rewrite::{Leaves, OwnSummary, leaves};
use crate::run::RunState;
use std::convert::Infallible;

/// The leaves of the merged summary: `kept` has all rows that are kept.
pub(super) fn summary(
    segments: &[Segment],
    kept: &RunState,
    renamed: impl Fn(usize, Value) -> Value,
) -> Leaves {
    let own = |segment: &Segment| {
        OwnSummary::of(&segment.state, &segment.rows, !segment.damage.is_lossy())
    };
    let own: Vec<_> = segments.iter().map(own).collect();
    let mut merged = leaves(kept.summary());
    for (i, segment) in own.iter().enumerate() {
        let newer = own.get(i + 1..).unwrap_or_default();
        let is_free = |path: &[String]| !newer.iter().any(|newer| newer.has(path));
        let place = |path: &[String]| Ok::<_, Infallible>(is_free(path).then(|| path.to_vec()));
        let Ok(()) = segment.apply(&mut merged, place, |value| renamed(i, value.clone()));
    }
    merged
}
