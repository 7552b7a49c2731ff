//! Segments on the step axis. Pure: numbers in, numbers out.

use super::options::{Overlap, Steps};
use crate::error::{Error, Result};
use serde::Serialize;
use std::fmt;

/// Steps from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct StepRange {
    /// The first step.
    pub first: i64,
    /// The last step.
    pub last: i64,
}

impl StepRange {
    pub(super) const fn new(first: i64, last: i64) -> Self {
        Self { first, last }
    }

    /// Whether the step is one of them.
    pub const fn has(&self, step: i64) -> bool {
        self.first <= step && step <= self.last
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first > self.last
    }

    pub(super) fn both(&self, other: &Self) -> Option<Self> {
        let both = Self::new(self.first.max(other.first), self.last.min(other.last));
        (!both.is_empty()).then_some(both)
    }

    /// From the first of both to the last.
    pub(super) fn join(&self, other: &Self) -> Self {
        Self::new(self.first.min(other.first), self.last.max(other.last))
    }

    /// The steps with this added; none if one of them would be no step any more.
    pub(super) fn shifted(&self, offset: i64) -> Option<Self> {
        Some(Self::new(self.first.checked_add(offset)?, self.last.checked_add(offset)?))
    }
}

impl fmt::Display for StepRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "step {}", self.first);
        }
        write!(f, "steps {} to {}", self.first, self.last)
    }
}

/// What counts of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// Its steps as recorded; `None` if it has no row.
    pub(super) recorded: Option<StepRange>,
    /// Where `wandb sync` placed its first row.
    pub(super) starting_step: Option<i64>,
}

/// Where a segment goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// What is added to its steps.
    pub(super) offset: i64,
    /// Its steps on the run's axis.
    pub(super) placed: Option<StepRange>,
    /// Those of them that it has in the merged run, in order.
    pub(super) kept: Vec<StepRange>,
}

/// Places segments, the oldest first.
pub(super) fn place(
    segments: &[Extent],
    steps: Steps,
    overlap: &Overlap,
) -> Result<Vec<Placement>> {
    let mut placements: Vec<Placement> = Vec::new();
    for segment in segments {
        let before = placements.iter().filter_map(|other| other.placed);
        let reached = before.clone().map(|range| range.last).max();
        let begun = before.map(|range| range.first).min();
        let mut placement = Placement::default();
        if let Some(range) = segment.recorded {
            let offset = offset(range.first, segment.starting_step, begun.zip(reached), steps);
            let placed = offset.and_then(|offset| Some((offset, range.shifted(offset)?)));
            let (offset, placed) = placed.ok_or_else(|| {
                let number = placements.len() + 1;
                Error::misuse(format!(
                    "segment {number} has {range} and should be placed elsewhere, but there its \
                     steps would be too large; place it as recorded"
                ))
            })?;
            placement = Placement { offset, placed: Some(placed), kept: Vec::new() };
        }
        placements.push(placement);
    }
    share(&mut placements, overlap)?;
    Ok(placements)
}

/// What is added to the steps of a segment that begins with `first`; none if that is too much. The ones
/// before it began and ended with `run`.
fn offset(
    first: i64,
    starting_step: Option<i64>,
    run: Option<(i64, i64)>,
    steps: Steps,
) -> Option<i64> {
    let behind = |last: i64| last.checked_add(1)?.checked_sub(first);
    match (steps, starting_step, run) {
        (Steps::Auto, Some(start), _) if first < start => start.checked_sub(first),
        (Steps::Auto, None, Some((begun, last))) if first <= begun => behind(last),
        (Steps::Shift, _, Some((_, last))) if first <= last => behind(last),
        _ => Some(0),
    }
}

/// Decides which segment has which steps.
pub(super) fn share(placements: &mut [Placement], overlap: &Overlap) -> Result<()> {
    match overlap {
        Overlap::Newest => share_in_turn(placements.iter_mut().rev()),
        Overlap::Oldest => share_in_turn(placements.iter_mut()),
        Overlap::Cut(cuts) => return cut(placements, cuts),
        Overlap::Refuse => {
            let ranges = placements.iter().enumerate();
            for (i, a) in ranges.clone() {
                for (j, b) in ranges.clone().skip(i + 1) {
                    if let (Some(a), Some(b)) = (a.placed, b.placed)
                        && let Some(both) = a.both(&b)
                    {
                        let (i, j) = (i + 1, j + 1);
                        return Err(Error::misuse(format!(
                            "segments {i} and {j} both have {both}"
                        )));
                    }
                }
            }
            share_in_turn(placements.iter_mut());
        }
    }
    Ok(())
}

/// Each takes what none before it has.
fn share_in_turn<'a>(placements: impl Iterator<Item = &'a mut Placement>) {
    let mut taken: Vec<StepRange> = Vec::new();
    for placement in placements {
        let mut free: Vec<_> = placement.placed.into_iter().collect();
        for taken in &taken {
            free = free.iter().flat_map(|range| without(range, taken)).collect();
        }
        taken.extend(placement.placed);
        placement.kept = free;
    }
}

/// What is left of a range.
fn without(range: &StepRange, taken: &StepRange) -> impl Iterator<Item = StepRange> {
    let until =
        taken.first.checked_sub(1).map(|last| StepRange::new(range.first, last.min(range.last)));
    let from =
        taken.last.checked_add(1).map(|first| StepRange::new(first.max(range.first), range.last));
    [until, from].into_iter().flatten().filter(|part| !part.is_empty())
}

fn cut(placements: &mut [Placement], cuts: &[i64]) -> Result<()> {
    if cuts.len() + 1 != placements.len() || !cuts.is_sorted_by(|a, b| a < b) {
        return Err(Error::setting(
            "cut",
            format!(
                "{} segments take {} ascending steps to cut at, got {cuts:?}",
                placements.len(),
                placements.len().saturating_sub(1)
            ),
        ));
    }
    let mut first = i64::MIN;
    let ends = cuts.iter().map(|next| (next.saturating_sub(1), *next)).chain([(i64::MAX, 0)]);
    for (placement, (last, next)) in placements.iter_mut().zip(ends) {
        let part = StepRange::new(first, last);
        placement.kept =
            placement.placed.and_then(|placed| placed.both(&part)).into_iter().collect();
        first = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn recorded(first: i64, last: i64) -> Extent {
        Extent { recorded: Some(StepRange::new(first, last)), starting_step: None }
    }

    /// The steps each segment has, as pairs.
    #[track_caller]
    fn kept(segments: &[Extent], steps: Steps, overlap: &Overlap) -> Vec<Vec<(i64, i64)>> {
        let placements = place(segments, steps, overlap).unwrap();
        let pairs = |placement: &Placement| {
            placement.kept.iter().map(|range| (range.first, range.last)).collect()
        };
        placements.iter().map(pairs).collect()
    }

    #[test]
    fn of_two_attempts_at_the_same_steps_the_newest_is_kept() {
        let segments = [recorded(0, 212), recorded(201, 400), recorded(401, 500)];
        assert_eq!(
            kept(&segments, Steps::Auto, &Overlap::Newest),
            [[(0, 200)], [(201, 400)], [(401, 500)]]
        );
        assert_eq!(
            kept(&segments, Steps::Auto, &Overlap::Oldest),
            [[(0, 212)], [(213, 400)], [(401, 500)]]
        );
    }

    #[test]
    fn behind_a_shorter_attempt_the_older_one_goes_on() {
        let segments = [recorded(0, 212), recorded(201, 205)];
        assert_eq!(
            kept(&segments, Steps::Auto, &Overlap::Newest),
            [vec![(0, 200), (206, 212)], vec![(201, 205)]]
        );
        assert_eq!(kept(&segments, Steps::Auto, &Overlap::Oldest), [vec![(0, 212)], vec![]]);
        assert_eq!(
            kept(&segments, Steps::Auto, &Overlap::Cut(vec![201])),
            [[(0, 200)], [(201, 205)]]
        );
    }

    #[test]
    fn a_segment_that_counts_from_where_the_run_began_is_placed_behind() {
        let segments = [recorded(0, 2), recorded(0, 2), recorded(0, 0)];
        for steps in [Steps::Auto, Steps::Shift] {
            assert_eq!(
                kept(&segments, steps, &Overlap::Newest),
                [[(0, 2)], [(3, 5)], [(6, 6)]],
                "{steps:?}"
            );
        }
        assert_eq!(
            kept(&segments, Steps::Recorded, &Overlap::Newest),
            [vec![], vec![(1, 2)], vec![(0, 0)]]
        );
    }

    #[test]
    fn where_wandb_placed_a_segment_it_stays() {
        let synced =
            |first, last, start| Extent { starting_step: Some(start), ..recorded(first, last) };
        let segments = [synced(0, 2, 0), synced(0, 2, 10), synced(20, 22, 13)];
        assert_eq!(
            kept(&segments, Steps::Auto, &Overlap::Newest),
            [[(0, 2)], [(10, 12)], [(20, 22)]]
        );
    }

    #[test]
    fn an_overlap_can_be_refused_and_segments_without_rows_overlap_with_none() {
        let none = Extent { recorded: None, starting_step: None };
        let segments = [recorded(0, 212), none, recorded(201, 205)];
        let refused = place(&segments, Steps::Auto, &Overlap::Refuse).unwrap_err();
        assert_eq!(refused.to_string(), "segments 1 and 3 both have steps 201 to 205");
        let apart = [recorded(0, 9), none, recorded(10, 19)];
        assert_eq!(
            kept(&apart, Steps::Auto, &Overlap::Refuse),
            [vec![(0, 9)], vec![], vec![(10, 19)]]
        );
    }

    #[test]
    fn cuts_are_as_many_as_they_must_be() {
        let segments = [recorded(0, 9), recorded(5, 19), recorded(15, 29)];
        for cuts in [vec![5], vec![15, 5], vec![1, 2, 3]] {
            assert!(place(&segments, Steps::Recorded, &Overlap::Cut(cuts)).is_err());
        }
        assert_eq!(
            kept(&segments, Steps::Recorded, &Overlap::Cut(vec![7, 16])),
            [[(0, 6)], [(7, 15)], [(16, 29)]]
        );
    }

    #[test]
    fn a_segment_that_would_leave_the_axis_is_refused() {
        let last = recorded(i64::MAX - 1, i64::MAX);
        let hostile = Extent { starting_step: Some(i64::MAX), ..recorded(0, 5) };
        for segments in [[last, recorded(0, 5)], [recorded(0, 2), hostile]] {
            let refused = place(&segments, Steps::Auto, &Overlap::Newest).unwrap_err().to_string();
            assert!(refused.starts_with("segment 2 has steps 0 to 5 and should be"), "{refused}");
            assert!(place(&segments, Steps::Recorded, &Overlap::Newest).is_ok());
        }
    }

    #[test]
    fn the_ends_of_the_axis_are_steps_like_others() {
        let all = recorded(i64::MIN, i64::MAX);
        assert_eq!(
            kept(&[all, recorded(0, 0)], Steps::Recorded, &Overlap::Newest),
            [vec![(i64::MIN, -1), (1, i64::MAX)], vec![(0, 0)]]
        );
    }
}
