//! Histograms, as W&B takes them: edges, counts, at most 512 bins.

use super::{Reason, Rendered, Stop, Target, put_numbers};
use crate::event::{Elements, ScalarValue, TensorView};
use crate::proto::tensorboard::HistogramProto;
use prost::Message;

/// Counts between edges; one edge more than counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histogram {
    edges: Vec<f64>,
    counts: Vec<f64>,
    /// Whether these are not the bins it was logged with.
    reshaped: bool,
}

impl Histogram {
    /// From the older form, as TensorBoard shows it (`data_compat.py`): buckets that are empty at either
    /// end are none, and of the others the outer bounds are the least and the greatest value. Where these
    /// do not fit, for they are no numbers or lie inside, the bounds of the buckets stay.
    pub(super) fn of_proto(message: &[u8]) -> Result<Self, Stop> {
        let malformed = Stop::malformed("histogram");
        let Ok(HistogramProto { min, max, bucket_limit: limits, bucket: counts, .. }) =
            HistogramProto::decode(message)
        else {
            return Err(malformed);
        };
        if limits.len() != counts.len() {
            return Err(malformed);
        }
        let is_filled = |count: &f64| *count != 0.0;
        // All of them empty are still a histogram.
        let first = counts.iter().position(is_filled).unwrap_or(0);
        let last =
            counts.iter().rposition(is_filled).unwrap_or_else(|| counts.len().saturating_sub(1));
        let (Some(counts), Some(right)) = (counts.get(first..=last), limits.get(first..=last))
        else {
            return Err(Stop::Skip(Reason::Empty, "histogram"));
        };
        let left = first.checked_sub(1).and_then(|before| limits.get(before)).copied();
        let mut edges = vec![left.unwrap_or(f64::NEG_INFINITY)];
        edges.extend_from_slice(right);
        let bounded = counts.iter().any(is_filled);
        Self { edges, counts: counts.to_vec(), reshaped: false }.bounded(min, max, bounded)
    }

    /// From a tensor of rows: left edge, right edge, count. Between rows that do not meet there is an
    /// empty bin.
    pub(super) fn of_tensor(tensor: &TensorView<'_>) -> Result<Self, Stop> {
        let malformed = Stop::malformed("histogram");
        let (Some(shape), Ok(elements)) = (tensor.shape(), tensor.elements()) else {
            return Err(malformed);
        };
        let [bins, 3] = shape[..] else { return Err(malformed) };
        // Rows that are only implied would all be the same.
        if elements.given_len() < elements.len() && bins > MOST_BINS as u64 {
            return Err(malformed);
        }
        let (mut edges, mut counts): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        let mut reshaped = false;
        let mut numbers = elements.iter().map(ScalarValue::as_f64);
        while let (Some(left), Some(right), Some(count)) =
            (numbers.next(), numbers.next(), numbers.next())
        {
            match edges.last() {
                Some(&end) if left > end => {
                    edges.push(left);
                    counts.push(0.0);
                }
                // What overlaps begins where the one before ends.
                Some(&end) => reshaped |= left < end,
                None => edges.push(left),
            }
            edges.push(right);
            counts.push(count);
        }
        if counts.is_empty() {
            return Err(Stop::Skip(Reason::Empty, "histogram"));
        }
        Self { edges, counts, reshaped }.within_numbers().bounded(f64::NAN, f64::NAN, false)
    }

    /// Makes bins that lie beyond all numbers a part of their neighbours: those that TensorFlow makes of values
    /// among which is an infinite one.
    fn within_numbers(mut self) -> Self {
        let is_among = |bin: &[f64]| bin.iter().any(|&edge| is_usable(edge));
        let bins = self.counts.len();
        let first = self.edges.windows(2).position(is_among).unwrap_or(0);
        let end = self.edges.windows(2).rposition(is_among).map_or(bins, |last| last + 1);
        let behind: f64 = self.counts.drain(end..).sum();
        let before: f64 = self.counts.drain(..first).sum();
        self.edges.truncate(end + 1);
        self.edges.drain(..first);
        if let Some(count) = self.counts.first_mut() {
            *count += before;
        }
        if let Some(count) = self.counts.last_mut() {
            *count += behind;
        }
        self.reshaped |= self.counts.len() < bins;
        self
    }

    /// Of the elements of a tensor: bins of equal width between the least and the greatest number.
    /// Elements that are no finite number have no place in it.
    pub(super) fn of_elements(elements: &Elements<'_>) -> Result<Self, Stop> {
        let rest = elements.len() - elements.given_len();
        let given = || elements.given().map(|element| (element.as_f64(), 1.0));
        let fill = elements.fill().map(|fill| (fill.as_f64(), rest as f64));
        let finite = || given().chain(fill).filter(|(number, _)| number.is_finite());
        let least = finite().map(|(number, _)| number).fold(f64::INFINITY, f64::min);
        let most = finite().map(|(number, _)| number).fold(f64::NEG_INFINITY, f64::max);
        if least > most {
            return Err(Stop::Skip(Reason::Malformed, "tensor without a finite number"));
        }
        let (least, most) = if least < most { (least, most) } else { (least - 0.5, most + 0.5) };
        // Halved, for the difference of two finite numbers may be too large for a third.
        let width = most / 2.0 - least / 2.0;
        let mut counts = vec![0.0; ELEMENT_BINS];
        for (number, weight) in finite() {
            let part = (number / 2.0 - least / 2.0) / width;
            let bin = ((part * ELEMENT_BINS as f64) as usize).min(ELEMENT_BINS - 1);
            if let Some(count) = counts.get_mut(bin) {
                *count += weight;
            }
        }
        let part = |edge: usize| edge as f64 / ELEMENT_BINS as f64;
        let edge = |edge| least * (1.0 - part(edge)) + most * part(edge);
        Ok(Self { edges: (0..=ELEMENT_BINS).map(edge).collect(), counts, reshaped: false })
    }

    /// Puts the least and the greatest value in place of the outer edges, if `always`, or else where
    /// these are no numbers. Without such values a neighbour has to do.
    fn bounded(mut self, min: f64, max: f64, always: bool) -> Result<Self, Stop> {
        if let [first, second, ..] = self.edges.as_mut_slice()
            && (always || !is_usable(*first))
        {
            *first = match *second {
                _ if is_usable(min) && min <= *second => min,
                _ if is_usable(*first) => *first,
                second => second,
            };
        }
        if let [.., before, last] = self.edges.as_mut_slice()
            && (always || !is_usable(*last))
        {
            *last = match *before {
                _ if is_usable(max) && max >= *before => max,
                _ if is_usable(*last) => *last,
                before => before,
            };
        }
        let sound = self.edges.iter().all(|&edge| is_usable(edge))
            && self.edges.is_sorted()
            && self.counts.iter().all(|count| count.is_finite());
        match sound {
            true => Ok(self),
            false if self.edges.iter().any(|edge| edge.is_nan()) => {
                Err(Stop::malformed("histogram of what is no number"))
            }
            false => Err(Stop::malformed("histogram")),
        }
    }

    /// At most [`MOST_BINS`] bins, as the official client does it: new edges at equal distances in the
    /// list of the old ones, and a bin cut by a new edge is shared out by width.
    fn limited(self) -> Self {
        let bins = self.counts.len();
        if bins <= MOST_BINS {
            return self;
        }
        let edge_at = |j: usize| {
            let (whole, part) = (j * bins / MOST_BINS, j * bins % MOST_BINS);
            let left = self.edges.get(whole).copied().unwrap_or(0.0);
            let right = self.edges.get(whole + 1).copied().unwrap_or(left);
            // Halved, which is exact, the distance of any two edges is a number.
            (left / 2.0 + part as f64 / MOST_BINS as f64 * (right / 2.0 - left / 2.0)) * 2.0
        };
        let edges: Vec<f64> = (0..=MOST_BINS).map(edge_at).collect();
        let mut counts = vec![0.0; MOST_BINS];
        let mut at = 0;
        for (pair, &count) in self.edges.windows(2).zip(&self.counts) {
            let [left, right] = *pair else { continue };
            let end = edges.get(at + 1).copied().unwrap_or(right);
            if let [this, next, ..] = counts.get_mut(at..).unwrap_or_default() {
                if right < end {
                    *this += count;
                } else {
                    let half = |to: f64| to / 2.0 - left / 2.0;
                    let part = if right > left { half(end) / half(right) } else { 1.0 };
                    *this += count * part;
                    *next += count * (1.0 - part);
                    at += 1;
                }
            } else if let [last] = counts.get_mut(at..).unwrap_or_default() {
                *last += count;
            }
        }
        Self { edges, counts, reshaped: true }
    }

    pub(super) fn render(self, to: &mut Target<'_>) -> Rendered {
        let Self { edges, counts, reshaped } = self.limited();
        to.notes.rebinned += u64::from(reshaped);
        let items = &mut *to.items;
        items.text("_type", "histogram");
        items.put("values", |text| put_numbers(text, &counts));
        items.put("bins", |text| put_numbers(text, &edges));
        Ok(())
    }
}

/// Whether a number can be an edge; the largest stand for infinity.
fn is_usable(edge: f64) -> bool {
    edge.abs() < f64::MAX
}

/// More are not shown by W&B.
const MOST_BINS: usize = 512;

/// As many as the official client makes of an array.
const ELEMENT_BINS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn proto(min: f64, max: f64, limits: &[f64], counts: &[f64]) -> Result<Histogram, Stop> {
        let message = HistogramProto {
            min,
            max,
            bucket_limit: limits.to_vec(),
            bucket: counts.to_vec(),
            ..HistogramProto::default()
        };
        Histogram::of_proto(&message.encode_to_vec())
    }

    #[test]
    fn the_outer_edges_are_the_least_and_the_greatest_value() {
        let (inf, big) = (f64::INFINITY, f64::MAX);
        for (min, max, limits, counts, edges) in [
            (
                -1.0,
                2.0,
                &[-1.5, 0.0, 1.5, big][..],
                &[0.0, 1.0, 2.0, 1.0][..],
                &[-1.0, 0.0, 1.5, 2.0][..],
            ),
            (-3.0, 2.0, &[-1.5, 0.0, 2.0], &[1.0, 1.0, 2.0], &[-3.0, -1.5, 0.0, 2.0]),
            // Empty ones at the ends are none.
            (2.5, 2.6, &[1.0, 2.0, 3.0, 4.0], &[0.0, 0.0, 1.0, 0.0], &[2.5, 2.6]),
            (-1.5, 2.0, &[-1.5, 2.0], &[1.0, 2.0], &[-1.5, -1.5, 2.0]),
            (-4.0, 5.0, &[-inf, 0.0, inf], &[0.0, 1.0, 1.0], &[-4.0, 0.0, 5.0]),
            // What does not fit is not taken.
            (-inf, inf, &[-inf, 0.0, inf], &[0.0, 1.0, 1.0], &[0.0, 0.0, 0.0]),
            (3.0, -3.0, &[-1.0, 0.0, 1.0], &[0.0, 1.0, 1.0], &[-1.0, 0.0, 1.0]),
            (0.0, 1.0, &[1.2, big], &[4.0, 0.0], &[0.0, 1.0]),
            // All of them empty.
            (0.0, 0.0, &[1.0, 2.0], &[0.0, 0.0], &[0.0, 1.0, 2.0]),
        ] {
            let of = format!("{limits:?} {counts:?}");
            assert_eq!(proto(min, max, limits, counts).unwrap().edges, edges, "{of}");
        }
        for (limits, counts) in [
            (&[0.0, f64::NAN, 1.0][..], &[1.0, 1.0, 1.0][..]),
            (&[0.0, 1.0], &[1.0]),
            (&[2.0, 1.0, 3.0], &[1.0, 1.0, 1.0]),
            (&[0.0, 1.0], &[1.0, f64::NAN]),
        ] {
            assert!(proto(0.0, 1.0, limits, counts).is_err(), "{limits:?} {counts:?}");
        }
    }

    #[test]
    fn bins_beyond_all_numbers_go_to_their_neighbours() {
        let inf = f64::INFINITY;
        for (edges, counts, want) in [
            (&[1.0, inf, inf, inf][..], &[2.0, 0.0, 0.0][..], (&[1.0, 1.0][..], &[2.0][..])),
            (
                &[-inf, -inf, 0.0, 1.0, inf, inf],
                &[1.0, 2.0, 3.0, 4.0, 5.0],
                (&[0.0, 0.0, 1.0, 1.0], &[3.0, 3.0, 9.0]),
            ),
            (&[0.0, 1.0, 2.0], &[1.0, 2.0], (&[0.0, 1.0, 2.0], &[1.0, 2.0])),
        ] {
            let whole =
                Histogram { edges: edges.to_vec(), counts: counts.to_vec(), reshaped: false };
            let within = whole.within_numbers();
            assert_eq!(within.reshaped, counts.len() > want.1.len());
            let bounded = within.bounded(f64::NAN, f64::NAN, false).unwrap();
            assert_eq!((bounded.edges.as_slice(), bounded.counts.as_slice()), want);
        }
        let nan = Histogram { edges: vec![f64::NAN; 4], counts: vec![0.0; 3], reshaped: false };
        assert!(nan.within_numbers().bounded(f64::NAN, f64::NAN, false).is_err());
    }

    #[test]
    fn rebinning_works_over_the_whole_range_of_numbers() {
        let limits: Vec<f64> =
            (0..=600).map(|i| if i < 300 { -1.7e308 } else { 1.7e308 }).collect();
        let limited = proto(-1.7e308, 1.7e308, &limits, &vec![1.0; 601]).unwrap().limited();
        assert!(limited.edges.iter().chain(&limited.counts).all(|number| number.is_finite()));
        assert!(limited.edges.is_sorted());
    }

    #[test]
    fn rebinning_keeps_the_outer_edges_and_the_total() {
        for bins in [513, 700, 1024, 1549, 5000] {
            let limits: Vec<f64> = (0..=bins).map(|i| f64::from(i).powf(1.3)).collect();
            let counts: Vec<f64> = (0..=bins).map(|i| f64::from(i % 7)).collect();
            let whole = proto(0.0, 0.0, &limits, &counts).unwrap();
            let total: f64 = whole.counts.iter().sum();
            let limited = whole.clone().limited();
            assert_eq!(limited.counts.len(), MOST_BINS);
            assert_eq!(limited.edges.len(), MOST_BINS + 1);
            assert_eq!(limited.edges.first(), whole.edges.first());
            assert_eq!(limited.edges.last(), whole.edges.last());
            assert!((limited.counts.iter().sum::<f64>() - total).abs() < 1e-6 * total);
        }
    }
}
