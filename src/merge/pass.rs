//! In which order the segments are read.

use super::place::StepRange;

/// One reading of a segment, or of a part of its rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) segment: usize,
    /// The steps whose rows are taken.
    pub(super) rows: Option<StepRange>,
    /// Whether everything else is.
    pub(super) others: bool,
}

/// The passes that put rows in the order of steps, and everything else in the order of segments. Mostly
/// that is one for each segment. All further ones of a segment are for rows alone, in ascending order.
pub(super) fn passes(kept: &[Vec<StepRange>]) -> Vec<Pass> {
    let ranges = kept.iter().enumerate();
    let mut ranges: Vec<_> = ranges
        .flat_map(|(segment, ranges)| ranges.iter().map(move |range| (*range, segment)))
        .collect();
    ranges.sort();
    let mut passes = Vec::new();
    let mut told = 0;
    let rest = |from: usize, to: usize| {
        (from..to).map(|segment| Pass { segment, rows: None, others: true })
    };
    for (range, segment) in ranges {
        passes.extend(rest(told, segment));
        let others = told <= segment;
        passes.push(Pass { segment, rows: Some(range), others });
        told = told.max(segment + 1);
    }
    passes.extend(rest(told, kept.len()));
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kept: &[&[(i64, i64)]]) -> Vec<String> {
        let range = |&(first, last): &(i64, i64)| StepRange::new(first, last);
        let kept: Vec<Vec<_>> =
            kept.iter().map(|ranges| ranges.iter().map(range).collect()).collect();
        let shown = |pass: &Pass| {
            let rows =
                pass.rows.map_or(String::new(), |rows| format!(" {}-{}", rows.first, rows.last));
            format!("{}{rows}{}", pass.segment, if pass.others { " and others" } else { "" })
        };
        passes(&kept).iter().map(shown).collect()
    }

    #[test]
    fn one_segment_after_another_is_read_once() {
        assert_eq!(
            shown(&[&[(0, 9)], &[], &[(10, 19)]]),
            ["0 0-9 and others", "1 and others", "2 10-19 and others"]
        );
    }

    #[test]
    fn rows_come_by_step_and_all_else_by_segment() {
        assert_eq!(
            shown(&[&[(0, 200), (206, 212)], &[(201, 205)]]),
            ["0 0-200 and others", "1 201-205 and others", "0 206-212"]
        );
        assert_eq!(
            shown(&[&[(50, 99)], &[(0, 49)]]),
            ["0 and others", "1 0-49 and others", "0 50-99"]
        );
    }
}
