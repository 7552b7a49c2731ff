//! What becomes of a metric's values in the summary.

use super::row::Leaf;
use crate::json::{put_f64, put_i64};

/// What the summary of a metric is to hold; see [`DefineMetric::summary`](super::DefineMetric::summary).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SummaryKind {
    /// The smallest number.
    Min,
    /// The largest number.
    Max,
    /// The mean of all numbers.
    Mean,
    /// The first value.
    First,
    /// The last value.
    Last,
    /// Nothing: the metric is left out of the summary.
    None,
    /// The last value, as if nothing were said. Kept for those who port old code.
    Copy,
}

/// A set of [`SummaryKind`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted(u8);

impl Wanted {
    pub(super) const fn insert(&mut self, kind: SummaryKind) {
        self.0 |= 1 << kind as u8;
    }

    pub(super) const fn has(self, kind: SummaryKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As W&B merges two definitions: everything either wants, but a want ends an earlier `None`.
    pub(super) const fn merge(self, later: Self) -> Self {
        let none = Self(1 << SummaryKind::None as u8);
        if later.is_empty() { self } else { Self((self.0 & !none.0) | later.0) }
    }

    /// Whether the summary is just the last value.
    const fn is_plain(self) -> bool {
        self.0 & !(1 << SummaryKind::Copy as u8) == 0
    }
}

/// Follows the values of one metric.
///
/// As in W&B, it follows from the first row on, whether or not anyone has asked: a definition that
/// comes late covers the rows before it. One NaN makes minimum, maximum and mean NaN for good, and
/// before the first number they are 0, 0 and NaN: the summary is the one `wandb` would have made.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    pub(super) wanted: Wanted,
    first: Option<Box<[u8]>>,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
    fractions: bool,
}

impl Tracker {
    /// Takes the next value in.
    #[inline]
    pub(super) fn see(&mut self, leaf: Leaf, text: &[u8]) {
        if self.first.is_none() && leaf != Leaf::Null {
            self.first = Some(text.into());
        }
        let number = match leaf {
            Leaf::Integer(number) => number,
            Leaf::Float(number) => {
                self.fractions = true;
                number
            }
            _ => return,
        };
        if self.count == 0 {
            (self.min, self.max) = (number, number);
        }
        // A comparison with NaN is false: a NaN, once there, stays.
        if number < self.min || number.is_nan() {
            self.min = number;
        }
        if number > self.max || number.is_nan() {
            self.max = number;
        }
        self.count += 1;
        self.sum += number;
        self.last = number;
    }

    /// Whether the summary is just the last value.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        self.wanted.is_plain()
    }

    /// Appends the summary, `last` being the text of the last value. Nothing for `None`.
    pub(super) fn put_summary(&self, out: &mut Vec<u8>, last: &[u8]) {
        if self.wanted.has(SummaryKind::None) {
            return;
        }
        let mut open = b'{';
        for (kind, name) in NAMES {
            if !self.wanted.has(kind) {
                continue;
            }
            out.push(std::mem::replace(&mut open, b','));
            out.extend_from_slice(name);
            match kind {
                SummaryKind::Min => self.put_number(out, self.min),
                SummaryKind::Max => self.put_number(out, self.max),
                SummaryKind::Mean => put_f64(out, self.sum / self.count as f64),
                SummaryKind::First => out.extend_from_slice(self.first.as_deref().unwrap_or(last)),
                _ => out.extend_from_slice(last),
            }
        }
        out.push(b'}');
    }

    /// Appends the last number seen; 0 if there was none.
    pub(super) fn put_last_number(&self, out: &mut Vec<u8>) -> Leaf {
        self.put_number(out, self.last);
        if self.fractions { Leaf::Float(self.last) } else { Leaf::Integer(self.last) }
    }

    /// A number of a metric that is all integers stays one, as far as a float can tell.
    fn put_number(&self, out: &mut Vec<u8>, number: f64) {
        if number.abs() <= MAX_EXACT && !self.fractions {
            put_i64(out, number as i64);
        } else {
            put_f64(out, number);
        }
    }
}

const NAMES: [(SummaryKind, &[u8]); 5] = [
    (SummaryKind::Min, b"\"min\":"),
    (SummaryKind::Max, b"\"max\":"),
    (SummaryKind::Mean, b"\"mean\":"),
    (SummaryKind::First, b"\"first\":"),
    (SummaryKind::Last, b"\"last\":"),
];

/// 2^53: up to here a float holds every integer.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(values: &[(Leaf, &str)]) -> String {
        let mut tracker = Tracker::default();
        for (kind, _) in NAMES {
            tracker.wanted.insert(kind);
        }
        for (leaf, text) in values {
            tracker.see(*leaf, text.as_bytes());
        }
        let mut out = Vec::new();
        tracker.put_summary(&mut out, values.last().map_or(&b""[..], |(_, text)| text.as_bytes()));
        String::from_utf8(out).unwrap()
    }

    /// The expected values are what wandb 0.31.0 wrote for the same rows.
    #[test]
    fn summaries_are_those_of_wandb() {
        let one = (Leaf::Integer(1.0), "1");
        let text = (Leaf::Other, "\"s\"");
        let nan = (Leaf::Float(f64::NAN), "NaN");
        let two = (Leaf::Integer(2.0), "2");
        let rows: [(&[_], _); 4] = [
            (&[one], r#"{"min":1,"max":1,"mean":1.0,"first":1,"last":1}"#),
            (&[one, text], r#"{"min":1,"max":1,"mean":1.0,"first":1,"last":"s"}"#),
            (&[one, nan, two], r#"{"min":NaN,"max":NaN,"mean":NaN,"first":1,"last":2}"#),
            (&[text], r#"{"min":0,"max":0,"mean":NaN,"first":"s","last":"s"}"#),
        ];
        for (values, want) in rows {
            assert_eq!(summary(values), want);
        }
    }
}
