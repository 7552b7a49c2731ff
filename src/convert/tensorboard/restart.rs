//! Which points a restart leaves valid, decided while walking up the steps.
//!
//! TensorBoard's rule looks back: a new point removes the earlier points of its tag at its step and
//! later. Looked at from a point, it falls if one logged after it stands at its step or below. Whoever
//! walks up the steps has met all of those before, so the latest place in the log per series is all
//! there is to remember. Purges work alike, for a series or for all of a group.

use super::options::Restart;
use super::points::{Kind, Point};

/// Decides about one point after another, in the order of the rows.
pub(super) struct Filter {
    preempts: bool,
    /// For each series: no point logged before this place in the log stays at this step or above.
    series: Vec<u64>,
    /// The same for each group.
    groups: Vec<u64>,
}

impl Filter {
    pub(super) fn new(restart: Restart, series: usize, groups: usize) -> Self {
        let preempts = restart == Restart::TensorBoard;
        Self { preempts, series: vec![0; series], groups: vec![0; groups] }
    }

    /// Whether the point, of a series of this group, stays as far as the steps up to its own tell. That
    /// only the last of several points at one step stays is up to the caller, who gathers the step.
    #[inline]
    pub(super) fn admits(&mut self, point: &Point, group: u32) -> bool {
        let Some(series) = self.series.get_mut(point.series as usize) else { return false };
        let group = self.groups.get(group as usize).copied().unwrap_or(0);
        if point.seq < (*series).max(group) {
            return false;
        }
        // One flipped bit in a step must not remove half a log.
        if self.preempts && !point.suspect {
            *series = point.seq;
        }
        true
    }

    /// Takes note of a purge.
    pub(super) fn purge(&mut self, point: &Point) {
        let marks = match point.kind {
            Kind::PurgeGroup => &mut self.groups,
            _ => &mut self.series,
        };
        if let Some(mark) = marks.get_mut(point.series as usize) {
            *mark = (*mark).max(point.seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ScalarValue;

    /// A small generator; the tests need no more.
    struct Random(u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % n
        }
    }

    /// rustboard's rule, as it is told.
    fn told(log: &[Point]) -> Vec<Point> {
        let mut kept: Vec<Point> = Vec::new();
        for point in log {
            match point.kind {
                Kind::PurgeGroup => kept.retain(|p| p.step < point.step),
                Kind::PurgeSeries => {
                    kept.retain(|p| p.series != point.series || p.step < point.step);
                }
                _ => {
                    kept.retain(|p| p.series != point.series || p.step < point.step);
                    kept.push(*point);
                }
            }
        }
        kept.sort_by_key(|point| (point.step, point.seq));
        kept
    }

    fn streamed(log: &[Point]) -> Vec<Point> {
        let mut sorted = log.to_vec();
        sorted.sort_by_key(Point::order);
        let mut filter = Filter::new(Restart::TensorBoard, 4, 1);
        let mut kept: Vec<Point> = Vec::new();
        for point in sorted {
            if point.is_purge() {
                filter.purge(&point);
            } else if filter.admits(&point, 0) {
                kept.retain(|p| (p.series, p.step) != (point.series, point.step));
                kept.push(point);
            }
        }
        kept.sort_by_key(|point| (point.step, point.seq));
        kept
    }

    #[test]
    fn walking_up_the_steps_keeps_what_the_told_rule_keeps() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..2000 {
            let (length, steps) = (random.below(40), 1 + random.below(12));
            let purges = random.below(3);
            let log: Vec<_> = (1..=length)
                .map(|seq| {
                    let (step, series) = (random.below(steps) as i64 - 2, random.below(4) as u32);
                    match random.below(20) {
                        0 if purges == 1 => Point::purge(step, seq, 0, Kind::PurgeGroup),
                        0..3 if purges == 2 => Point::purge(step, seq, series, Kind::PurgeSeries),
                        _ => Point::new(step, seq, 0.0, series, ScalarValue::I64(seq as i64)),
                    }
                })
                .collect();
            assert_eq!(streamed(&log), told(&log), "{log:?}");
        }
    }
}
