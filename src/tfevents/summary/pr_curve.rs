//! Precision-recall curves.

/// A precision-recall curve: at thresholds spread evenly over 0 to 1, how many predictions were right.
#[derive(Clone, Debug, PartialEq)]
pub struct PrCurve {
    /// One for each threshold.
    points: Vec<Counts>,
}

/// How many of the predictions at or above a threshold, and below it, were right and wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "a confusion matrix has four cells")]
pub struct Counts {
    /// At or above the threshold, and rightly so.
    pub true_positives: f32,
    /// At or above the threshold, wrongly.
    pub false_positives: f32,
    /// Below the threshold, and rightly so.
    pub true_negatives: f32,
    /// Below the threshold, wrongly.
    pub false_negatives: f32,
}

impl PrCurve {
    /// The curve of predictions between 0 and 1, each with what is true, at `thresholds` thresholds, of
    /// which there are at least two.
    ///
    /// ```
    /// use wandb_offline::tfevents::PrCurve;
    ///
    /// let curve = PrCurve::of([(true, 0.9), (false, 0.4), (true, 0.2)], 5);
    /// let half = curve.points()[2];
    /// assert_eq!((half.true_positives, half.false_negatives), (1.0, 1.0));
    /// assert_eq!((half.false_positives, half.true_negatives), (0.0, 1.0));
    /// ```
    pub fn of(predictions: impl IntoIterator<Item = (bool, f32)>, thresholds: usize) -> Self {
        let last = thresholds.max(2) - 1;
        // How many lie between a threshold and the next; summed up afterwards.
        let mut hits = vec![(0u64, 0u64); last + 1];
        for (label, prediction) in predictions {
            let at = (f64::from(prediction.clamp(0.0, 1.0)) * last as f64) as usize;
            if let Some((positives, negatives)) = hits.get_mut(at) {
                *(if label { positives } else { negatives }) += 1;
            }
        }
        let all = hits.iter().fold((0, 0), |sum, hit| (sum.0 + hit.0, sum.1 + hit.1));
        let mut below = (0, 0);
        let points = hits.iter().map(|hit| {
            let point = Counts {
                true_positives: (all.0 - below.0) as f32,
                false_positives: (all.1 - below.1) as f32,
                true_negatives: below.1 as f32,
                false_negatives: below.0 as f32,
            };
            below = (below.0 + hit.0, below.1 + hit.1);
            point
        });
        Self { points: points.collect() }
    }

    /// A curve of these counts, one for each threshold, in rising order.
    pub const fn from_counts(points: Vec<Counts>) -> Self {
        Self { points }
    }

    /// The counts, one for each threshold.
    pub fn points(&self) -> &[Counts] {
        &self.points
    }

    /// The numbers as the dashboard has them: six rows.
    pub(super) fn numbers(&self) -> impl Iterator<Item = f32> {
        let rows: [fn(&Counts) -> f32; 6] = [
            |point| point.true_positives,
            |point| point.false_positives,
            |point| point.true_negatives,
            |point| point.false_negatives,
            |point| ratio(point.true_positives, point.false_positives),
            |point| ratio(point.true_positives, point.false_negatives),
        ];
        rows.into_iter().flat_map(|row| self.points.iter().map(row))
    }
}

/// `part` of `part + other`; TensorBoard's own writers too say 0 where there is nothing.
fn ratio(part: f32, other: f32) -> f32 {
    part / (part + other).max(f32::MIN_POSITIVE)
}
