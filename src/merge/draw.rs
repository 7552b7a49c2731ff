//! A plan as text: the segments on a step axis.

use super::place::StepRange;
use super::plan::{Plan, PlannedSegment};
use std::fmt;

/// One line for each segment: what it has of the axis (`=`) and what it leaves to others (`-`).
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placed = || self.segments.iter().filter_map(|segment| segment.placed);
        let axis =
            placed().map(|range| range.first).min().zip(placed().map(|range| range.last).max());
        let axis = axis.map(|(first, last)| StepRange::new(first, last));
        write!(f, "run {}: {} segments", self.run_id, self.segments.len())?;
        match &axis {
            Some(axis) => writeln!(f, ", {axis}")?,
            None => writeln!(f, ", no rows")?,
        }
        for (number, segment) in (1..).zip(&self.segments) {
            let bar = axis.as_ref().map(|axis| bar(segment, axis)).unwrap_or_default();
            writeln!(f, "{number:>3} |{bar}| {}", Story(segment))?;
        }
        for shared in &self.overlaps {
            writeln!(
                f,
                "overlap: {} are in segments {} and {}",
                shared.steps, shared.older, shared.newer
            )?;
        }
        for gap in &self.gaps {
            writeln!(f, "gap: no segment has {gap}")?;
        }
        Ok(())
    }
}

/// What becomes of a segment, in words.
struct Story<'a>(&'a PlannedSegment);

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = self.0;
        let rows = segment.rows;
        let (Some(recorded), Some(placed)) = (segment.recorded, segment.placed) else {
            return write!(f, "no rows: {}", segment.log.display());
        };
        write!(f, "{rows} row{}, {recorded}", if rows == 1 { "" } else { "s" })?;
        if segment.offset != 0 {
            write!(f, ", shifted by {} to {placed}", segment.offset)?;
        }
        match segment.kept.as_slice() {
            [] => f.write_str(", keeps none")?,
            [all] if *all == placed => {}
            parts => {
                let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
                write!(f, ", keeps {}", parts.join(" and "))?;
            }
        }
        if segment.lossy {
            f.write_str(", damaged")?;
        }
        write!(f, ": {}", segment.log.display())
    }
}

/// The axis in `WIDTH` columns. A column shows the most important thing in it.
fn bar(segment: &PlannedSegment, axis: &StepRange) -> String {
    let steps = i128::from(axis.last) - i128::from(axis.first) + 1;
    let width = i128::from(WIDTH);
    let edge = |column: i128| {
        i64::try_from(i128::from(axis.first) + column * steps / width).unwrap_or(i64::MAX)
    };
    let column = |i: i128| {
        let first = edge(i);
        let part = StepRange::new(first, edge(i + 1).saturating_sub(1).max(first));
        if segment.kept.iter().any(|range| range.both(&part).is_some()) {
            '='
        } else if segment.placed.is_some_and(|range| range.both(&part).is_some()) {
            '-'
        } else {
            ' '
        }
    };
    (0..width).map(column).collect()
}

const WIDTH: u32 = 40;
