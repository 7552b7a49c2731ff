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

/// The leaves of the merged summary: `kept` has all rows that are kept. `place` says where in the merged
/// run a value of a segment is, and what it is there.
pub(super) fn summary(
    segments: &[Segment],
    kept: &RunState,
    place: impl Fn(usize, Vec<String>, Value) -> (Vec<String>, Value),
) -> Leaves {
    let own = segments.iter().enumerate().map(|(i, of)| {
        let own = OwnSummary::of(&of.state, &of.rows, !of.damage.is_lossy());
        let Ok(own) = own.placed(|path, value| Ok::<_, Infallible>(Some(place(i, path, value))));
        own
    });
    let own: Vec<_> = own.collect();
    let mut merged = leaves(kept.summary());
    for (i, segment) in own.iter().enumerate() {
        let newer = own.get(i + 1..).unwrap_or_default();
        segment.apply(&mut merged, |path| !newer.iter().any(|newer| newer.has(path)));
    }
    merged
}
