//! Metric definitions: which step a metric is drawn over, and what its summary holds.

use super::Writer;
use super::slots::{RUNTIME, STEP, SlotId, Slots, TIMESTAMP, dotted, parse_dotted};
use super::tracker::{SummaryKind, Wanted};
use crate::error::{Error, Result};
use crate::proto::wandb_internal::{MetricControl, MetricOptions, MetricRecord, MetricSummary};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Says how a metric is to be shown and summarized; made by [`Writer::define_metric`].
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use wandb_offline::writer::SummaryKind::{Last, Min};
///
/// let run = wandb_offline::Writer::options().dir(dir.path()).create()?;
/// run.define_metric("eval/*").step_metric("epoch").summary([Min, Last]).apply()?;
/// run.log([("epoch", 1.0), ("eval/loss", 0.25)])?;
/// # run.finish()
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a definition does nothing until `apply` is called"]
pub struct DefineMetric<'a> {
    run: &'a Writer,
    name: String,
    step_metric: Option<String>,
    step_sync: bool,
    hidden: bool,
    overwrite: bool,
    wanted: Wanted,
}

impl<'a> DefineMetric<'a> {
    pub(super) fn new(run: &'a Writer, name: String) -> Self {
        Self {
            run,
            name,
            step_metric: None,
            step_sync: true,
            hidden: false,
            overwrite: false,
            wanted: Wanted::default(),
        }
    }

    /// The metric that serves as x axis. Rows that hold this metric and lack the step metric get the
    /// latter's last value (0 if there was none), unless [`Self::step_sync`] is off.
    pub fn step_metric(mut self, name: impl Into<String>) -> Self {
        self.step_metric = Some(name.into());
        self
    }

    /// Whether rows get the step metric's last value; on by default.
    pub const fn step_sync(mut self, sync: bool) -> Self {
        self.step_sync = sync;
        self
    }

    /// What the summary holds: an object with these keys. Without a word it is the last value.
    pub fn summary(mut self, kinds: impl IntoIterator<Item = SummaryKind>) -> Self {
        kinds.into_iter().for_each(|kind| self.wanted.insert(kind));
        self
    }

    /// Whether automatic charts leave the metric out.
    pub const fn hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// Whether an earlier definition of the same name is replaced; by default they are merged.
    pub const fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Makes the definition, for the rows from here on. Summaries also cover the rows before.
    ///
    /// # Errors
    /// When a name is not usable, when the run is finished, or when writing fails.
    pub fn apply(self) -> Result<()> {
        let glob = check_name("define_metric", &self.name, true)?;
        if let Some(step) = &self.step_metric {
            check_name("step_metric", step, false)?;
        }
        let definition = Definition {
            step_sync: self
                .step_metric
                .as_ref()
                .filter(|_| self.step_sync)
                .map(|s| parse_dotted(s)),
            wanted: self.wanted,
        };
        self.run
            .with_state(|state| state.define_metric(&self.record(glob), definition, self.overwrite))
    }

    fn record(&self, glob: bool) -> MetricRecord {
        let has = |kind| self.wanted.has(kind);
        let (name, glob_name) = match glob {
            true => (String::new(), self.name.clone()),
            false => (self.name.clone(), String::new()),
        };
        let summary = MetricSummary {
            min: has(SummaryKind::Min),
            max: has(SummaryKind::Max),
            mean: has(SummaryKind::Mean),
            last: has(SummaryKind::Last),
            none: has(SummaryKind::None),
            copy: has(SummaryKind::Copy),
            first: has(SummaryKind::First),
            ..Default::default()
        };
        MetricRecord {
            name,
            glob_name,
            step_metric: self.step_metric.clone().unwrap_or_default(),
            options: Some(MetricOptions {
                step_sync: self.step_sync && self.step_metric.is_some(),
                hidden: self.hidden,
                defined: true,
            }),
            summary: (!self.wanted.is_empty()).then_some(summary),
            control: self.overwrite.then_some(MetricControl { overwrite: true }),
            ..Default::default()
        }
    }
}

/// Refuses names that W&B's own client refuses; tells whether the name is a glob.
fn check_name(what: &str, name: &str, glob_allowed: bool) -> Result<bool> {
    if name.is_empty() {
        return Err(Error::setting(what, "a metric has a name of at least one character"));
    }
    match name.find('*') {
        None => Ok(false),
        Some(at) if glob_allowed && at + 1 == name.len() => Ok(true),
        Some(_) if glob_allowed => {
            let reason = format!("in {name:?} the `*` is not the last character, its only place");
            Err(Error::setting(what, reason))
        }
        Some(_) => Err(Error::setting(what, format!("{name:?} must name one metric, without `*`"))),
    }
}

/// What a definition means for the rows.
#[derive(Clone, Debug)]
pub(super) struct Definition {
    /// The path of the metric to be put into rows that lack it.
    pub(super) step_sync: Option<Vec<u8>>,
    pub(super) wanted: Wanted,
}

impl Definition {
    fn merge(&mut self, later: Self) {
        self.wanted = self.wanted.merge(later.wanted);
        if later.step_sync.is_some() {
            self.step_sync = later.step_sync;
        }
    }
}

/// The definitions in force.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    by_path: HashMap<Vec<u8>, Definition>,
    /// Globs by what stands before the `*`.
    globs: HashMap<String, Definition>,
}

impl Metrics {
    /// Adds a definition under the name in `record`. For a definite name, returns its path.
    pub(super) fn define(
        &mut self,
        record: &MetricRecord,
        definition: Definition,
        overwrite: bool,
    ) -> Option<Vec<u8>> {
        if let Some(prefix) = record.glob_name.strip_suffix('*') {
            add(self.globs.entry(prefix.to_owned()), definition, overwrite);
            return None;
        }
        let path = parse_dotted(&record.name);
        add(self.by_path.entry(path.clone()), definition, overwrite);
        Some(path)
    }

    /// Whether the metric at `path` has a definition of its own, given or taken from a glob.
    pub(super) fn has(&self, path: &[u8]) -> bool {
        self.by_path.contains_key(path)
    }

    /// Makes a slot what the definitions say.
    #[cold]
    pub(super) fn apply(&mut self, slots: &mut Slots, id: SlotId) {
        let Some(slot) = slots.get_mut(id) else { return };
        slot.resolved = true;
        let Some(definition) = self.resolve(&slot.path) else { return };
        slot.tracker.wanted = definition.wanted;
        let step = definition.step_sync.as_deref();
        // Those three are in every row anyway.
        let step = step.filter(|path| !matches!(*path, STEP | RUNTIME | TIMESTAMP));
        let step = step.map(|path| slots.intern(path)).filter(|step| *step != id);
        if let Some(slot) = slots.get_mut(id) {
            slot.step = step;
        }
    }

    /// The definition of the metric at `path`. One by name wins over globs, of which the longest wins;
    /// names with an underscore in front are W&B's own and no glob means them. What a glob says when
    /// a metric is first seen becomes the metric's own definition.
    fn resolve(&mut self, path: &[u8]) -> Option<&Definition> {
        if !self.by_path.contains_key(path) {
            let name = dotted(path);
            let matching = self.globs.iter().filter(|(prefix, _)| name.starts_with(*prefix));
            let (_, definition) = matching.max_by_key(|(prefix, _)| prefix.len())?;
            if name.starts_with('_') {
                return None;
            }
            self.by_path.insert(path.to_vec(), definition.clone());
        }
        self.by_path.get(path)
    }
}

fn add<K>(entry: Entry<'_, K, Definition>, definition: Definition, overwrite: bool) {
    match entry {
        Entry::Occupied(mut earlier) if !overwrite => earlier.get_mut().merge(definition),
        Entry::Occupied(mut earlier) => drop(earlier.insert(definition)),
        Entry::Vacant(place) => drop(place.insert(definition)),
    }
}
