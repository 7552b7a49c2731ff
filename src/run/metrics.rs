//! Metric definitions: what `define_metric` said, and what it means for the summary.

use crate::json::number;
use crate::proto::wandb_internal::metric_record::MetricGoal;
use crate::proto::wandb_internal::{MetricRecord, MetricSummary};
use prost::Message;
use std::collections::BTreeMap;
use std::ops::Bound;

/// The metric definitions of a run.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    named: BTreeMap<String, MetricRecord>,
    /// Patterns without their `*`, which counts only at the end.
    globs: BTreeMap<String, MetricRecord>,
}

impl Metrics {
    /// Applies a `MetricRecord`: merged into the earlier definition of that name, or in its place.
    pub(super) fn apply(&mut self, message: &[u8]) -> Result<(), prost::DecodeError> {
        let record = MetricRecord::decode(message)?;
        let (definitions, name) = match record.glob_name.strip_suffix('*') {
            Some(prefix) => (&mut self.globs, prefix),
            // A pattern without a `*` is a name.
            None if record.name.is_empty() => (&mut self.named, record.glob_name.as_str()),
            None => (&mut self.named, record.name.as_str()),
        };
        let overwrites = record.control.as_ref().is_some_and(|control| control.overwrite);
        match definitions.get_mut(name) {
            // Merging sets what is set in either; alone `none` is as the later one has it.
            Some(old) if !overwrites => {
                old.merge(message)?;
                if let (Some(old), Some(new)) = (&mut old.summary, &record.summary) {
                    old.none = new.none;
                }
            }
            _ => drop(definitions.insert(name.to_owned(), record)),
        }
        Ok(())
    }

    /// Whether nothing was defined.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.globs.is_empty()
    }

    /// The definitions by name, then the globs by pattern.
    pub fn iter(&self) -> impl Iterator<Item = &MetricRecord> {
        self.named.values().chain(self.globs.values())
    }

    /// The definition that holds for a metric, whose name is its key joined with dots
    /// ([`join_key`](crate::record::join_key)): the one of that name, else the glob with the longest
    /// pattern that matches. Globs never match names that begin with `_`.
    pub fn definition_for(&self, name: &str) -> Option<&MetricRecord> {
        self.named.get(name).or_else(|| self.glob_for(name))
    }

    fn glob_for(&self, name: &str) -> Option<&MetricRecord> {
        if name.starts_with('_') {
            return None;
        }
        // The last pattern that sorts before the name is the longest that matches, or what the two have
        // in common bounds those that can.
        let mut bound = name;
        loop {
            let (prefix, definition) = self
                .globs
                .range::<str, _>((Bound::Unbounded, Bound::Included(bound)))
                .next_back()?;
            if name.starts_with(prefix.as_str()) {
                return Some(definition);
            }
            bound = common(prefix, name);
        }
    }
}

/// What two texts begin with.
fn common<'a>(a: &str, b: &'a str) -> &'a str {
    let differ = a.chars().zip(b.char_indices()).find(|(a, (_, b))| a != b);
    differ.and_then(|(_, (at, _))| b.get(..at)).unwrap_or(b)
}

/// What a metric's values come to, as its summary options ask, by the rules of the Python client: only
/// finite and infinite numbers count, NaN is passed over.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    options: MetricSummary,
    maximize: bool,
    count: u64,
    sum: f64,
    first: String,
    last: String,
    min: Option<(f64, String)>,
    max: Option<(f64, String)>,
}

impl Tally {
    /// A tally as the definition asks; `None` if the metric's last value is all it wants.
    pub(super) fn new(definition: &MetricRecord) -> Option<Self> {
        let options = *definition.summary.as_ref()?;
        let MetricSummary { min, max, mean, best, last, none, first, .. } = options;
        (min || max || mean || best || last || none || first).then(|| Self {
            options,
            maximize: definition.goal == MetricGoal::GoalMaximize as i32,
            count: 0,
            sum: 0.0,
            first: String::new(),
            last: String::new(),
            min: None,
            max: None,
        })
    }

    /// Asks for what another definition asks for, of the values counted so far as well.
    pub(super) fn redefine(&mut self, other: Self) {
        self.options = other.options;
        self.maximize = other.maximize;
    }

    /// Counts a value.
    pub(super) fn add(&mut self, text: &str) {
        let Some(value) = number(text).map(|number| number.as_f64()) else { return };
        if value.is_nan() {
            return;
        }
        if self.count == 0 {
            self.first = text.into();
        }
        self.count += 1;
        self.sum += value;
        self.last.clear();
        self.last.push_str(text);
        if self.min.as_ref().is_none_or(|(min, _)| value < *min) {
            self.min = Some((value, text.into()));
        }
        if self.max.as_ref().is_none_or(|(max, _)| value > *max) {
            self.max = Some((value, text.into()));
        }
    }

    /// The entries of the summary and their texts; none if the metric is to have none, or no value yet.
    pub(super) fn entries(&self) -> Vec<(&'static str, String)> {
        let (Some((_, min)), Some((_, max))) = (&self.min, &self.max) else { return Vec::new() };
        if self.options.none {
            return Vec::new();
        }
        let mut mean = Vec::new();
        crate::json::put_f64(&mut mean, self.sum / self.count as f64);
        let mean = String::from_utf8_lossy(&mean).into_owned();
        let best = if self.maximize { max } else { min };
        let MetricSummary { min: wants_min, max: wants_max, .. } = self.options;
        [
            (self.options.best, "best", best.clone()),
            (self.options.first, "first", self.first.clone()),
            (self.options.last, "last", self.last.clone()),
            (wants_max, "max", max.clone()),
            (self.options.mean, "mean", mean),
            (wants_min, "min", min.clone()),
        ]
        .into_iter()
        .filter_map(|(wanted, name, text)| wanted.then_some((name, text)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal::{MetricControl, MetricOptions};

    fn metrics(records: &[MetricRecord]) -> Metrics {
        let mut metrics = Metrics::default();
        for record in records {
            metrics.apply(&record.encode_to_vec()).unwrap();
        }
        metrics
    }

    fn named(name: &str, summary: MetricSummary) -> MetricRecord {
        MetricRecord { name: name.into(), summary: Some(summary), ..Default::default() }
    }

    fn glob(pattern: &str) -> MetricRecord {
        MetricRecord { glob_name: pattern.into(), ..Default::default() }
    }

    #[test]
    fn definitions_of_one_name_are_merged() {
        let min = MetricSummary { min: true, none: true, ..Default::default() };
        let max = MetricSummary { max: true, ..Default::default() };
        let hidden = MetricOptions { hidden: true, ..Default::default() };
        let second = MetricRecord {
            step_metric: "epoch".into(),
            options: Some(hidden),
            ..named("loss", max)
        };
        let metrics = metrics(&[named("loss", min), second]);
        let found = metrics.definition_for("loss").unwrap();
        assert_eq!(
            found.summary,
            Some(MetricSummary { min: true, max: true, ..Default::default() })
        );
        assert_eq!((found.step_metric.as_str(), found.options), ("epoch", Some(hidden)));
    }

    #[test]
    fn a_definition_may_overwrite_the_one_before() {
        let min = MetricSummary { min: true, ..Default::default() };
        let control = Some(MetricControl { overwrite: true });
        let second = MetricRecord { name: "loss".into(), control, ..Default::default() };
        let metrics = metrics(&[named("loss", min), second]);
        assert_eq!(metrics.definition_for("loss").unwrap().summary, None);
    }

    #[test]
    fn the_closest_definition_holds_and_reserved_keys_match_no_glob() {
        let globs = ["*", "train/*", "train/l*", "train/lé*", "train/zz*", "tra*"].map(glob);
        let named = named("train/loss", MetricSummary::default());
        let metrics = metrics(&[&globs[..], &[named]].concat());
        let found = |name| metrics.definition_for(name).map(|found| found.glob_name.as_str());
        assert_eq!(found("train/loss"), Some(""));
        assert_eq!(found("train/acc"), Some("train/*"));
        assert_eq!(found("train/lx"), Some("train/l*"));
        assert_eq!(found("train/lè"), Some("train/l*"));
        assert_eq!(found("train/z"), Some("train/*"));
        assert_eq!(found("track"), Some("tra*"));
        assert_eq!(found("acc"), Some("*"));
        assert_eq!(found("_step"), None);
    }

    #[test]
    fn tallies_pass_over_nan_and_text() {
        let all = MetricSummary {
            min: true,
            max: true,
            mean: true,
            last: true,
            first: true,
            best: true,
            ..Default::default()
        };
        let mut tally = Tally::new(&named("m", all)).unwrap();
        assert_eq!(tally.entries(), []);
        for text in ["3", "NaN", "1.0", "\"x\"", "2"] {
            tally.add(text);
        }
        let want = [("best", "1.0"), ("first", "3"), ("last", "2"), ("max", "3")];
        let want = want.into_iter().chain([("mean", "2.0"), ("min", "1.0")]);
        assert!(tally.entries().iter().map(|(name, text)| (*name, text.as_str())).eq(want));
    }
}
