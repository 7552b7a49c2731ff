//! Histograms.

use crate::error::{Error, ErrorKind, Result};

/// A histogram: buckets side by side, and how many values each holds.
///
/// ```
/// use wandb_offline::tfevents::Histogram;
///
/// let counted = Histogram::of([1.0, 2.0, 2.5, 3.0], 2);
/// let given = Histogram::from_buckets(&[1.0, 2.0, 3.0], &[1.0, 3.0]).unwrap();
/// assert_eq!(counted, given);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Left edge, right edge, count.
    pub(super) buckets: Vec<[f64; 3]>,
}

impl Histogram {
    /// Counts values in `buckets` buckets of the same width, as TensorFlow 2 does: each but the last is
    /// open to the right. If all values are equal, so are all edges, and the last bucket has them all.
    /// Without values there are no buckets. What is not finite is left out.
    pub fn of<V: Into<f64>>(values: impl IntoIterator<Item = V>, buckets: usize) -> Self {
        let values: Vec<f64> =
            values.into_iter().map(Into::into).filter(|value: &f64| value.is_finite()).collect();
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if values.is_empty() || buckets == 0 {
            return Self::default();
        }
        // In halves, since the range of finite values may be infinite.
        let half_width = (max / 2.0 - min / 2.0) / buckets as f64;
        let edge = |i: usize| match i {
            0 => min,
            _ if i == buckets => max,
            _ => ((min / 2.0 + half_width * i as f64) * 2.0).min(max),
        };
        let mut found: Vec<_> = (0..buckets).map(|i| [edge(i), edge(i + 1), 0.0]).collect();
        for value in values {
            let from_left = (value / 2.0 - min / 2.0) / half_width;
            // Of equal values this is 0 / 0; a float beyond `usize` is cut down to it.
            let at = if from_left.is_nan() { buckets } else { from_left as usize };
            if let Some([.., count]) = found.get_mut(at.min(buckets - 1)) {
                *count += 1.0;
            }
        }
        Self { buckets: found }
    }

    /// A histogram with these `n + 1` edges and `n` counts.
    ///
    /// # Errors
    /// When there are not that many of both, or an edge is not finite or below the one before: the
    /// dashboard could not draw that.
    pub fn from_buckets(edges: &[f64], counts: &[f64]) -> Result<Self> {
        if edges.len() != counts.len() + 1 && !(edges.is_empty() && counts.is_empty()) {
            let (edges, counts) = (edges.len(), counts.len());
            return Err(bad(format!("{edges} edges for {counts} counts, want one edge more")));
        }
        if let Some(edge) = edges.iter().find(|edge| !edge.is_finite()) {
            return Err(bad(format!("edge {edge}, want a finite number")));
        }
        if let Some((a, b)) = edges.iter().zip(edges.iter().skip(1)).find(|(a, b)| a > b) {
            return Err(bad(format!("edge {b} after {a}, want rising ones")));
        }
        let pairs = edges.iter().zip(edges.iter().skip(1));
        let buckets = pairs.zip(counts).map(|((left, right), count)| [*left, *right, *count]);
        Ok(Self { buckets: buckets.collect() })
    }

    /// How many buckets there are.
    pub const fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// The number of buckets that TensorFlow and this crate use unless told otherwise.
    pub const BUCKETS: usize = 30;
}

fn bad(reason: String) -> Error {
    Error::new(ErrorKind::Value(format!("histogram: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_counted_once() {
        let values = (0..1000).map(|i| f64::from(i) * 0.37 - 100.0);
        let histogram = Histogram::of(values, 7);
        assert_eq!(histogram.buckets.iter().map(|bucket| bucket[2]).sum::<f64>(), 1000.0);
        assert!(histogram.buckets.windows(2).all(|pair| pair[0][1] == pair[1][0]));
        assert_eq!((histogram.buckets[0][0], histogram.buckets[6][1]), (-100.0, 269.63));
    }

    #[test]
    fn odd_values_make_no_odd_buckets() {
        assert!(Histogram::of([f64::NAN], 30).is_empty());
        assert!(Histogram::of([0.0; 0], 30).is_empty());
        let equal = Histogram::of([2.0f32; 5], 3);
        assert_eq!(equal.buckets, [[2.0, 2.0, 0.0], [2.0, 2.0, 0.0], [2.0, 2.0, 5.0]]);
        let wide = Histogram::of([f64::MIN, f64::MAX], 4);
        assert!(wide.buckets.iter().flatten().all(|number| number.is_finite()), "{wide:?}");
    }

    #[test]
    fn buckets_that_cannot_be_drawn_are_refused() {
        assert!(Histogram::from_buckets(&[0.0, 1.0], &[]).is_err());
        assert!(Histogram::from_buckets(&[0.0, f64::INFINITY], &[1.0]).is_err());
        assert!(Histogram::from_buckets(&[0.0, 2.0, 1.0], &[1.0, 1.0]).is_err());
        assert!(Histogram::from_buckets(&[], &[]).unwrap().is_empty());
        assert!(Histogram::from_buckets(&[1.0], &[]).unwrap().is_empty());
    }
}
