//! The keys of a history: which tag each becomes, and what its steps are.

use super::names::{FIRST_NUMBER, Taken, original_tag, unique};
use crate::json::Number;
use crate::record::join_key;
use crate::run::Metrics;
use crate::run::slots::Path;
use std::collections::HashMap;
use std::sync::Arc;

/// What a series holds. A key whose values are of several kinds has as many tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Scalar,
    Text,
    Histogram,
    Images,
    Audio,
    Mesh,
}

impl Class {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Text => "text",
            Self::Histogram => "histogram",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Mesh => "mesh",
        }
    }

    /// Takes a tag for a key of this class: the one that is wanted or, if that is taken, another.
    fn take(self, wanted: &str, taken: &mut Taken) -> String {
        let other = format!("{wanted}/{}", self.suffix());
        if self != Self::Mesh {
            return unique(if taken.contains_key(wanted) { &other } else { wanted }, taken);
        }
        let mut tag = wanted.to_owned();
        loop {
            let series = MESH_PARTS.map(|part| format!("{tag}{part}"));
            if !series.iter().any(|series| taken.contains_key(series)) {
                taken.extend(series.map(|series| (series, FIRST_NUMBER)));
                return tag;
            }
            tag = unique(&other, taken);
        }
    }
}

/// The keys of a run, numbered in the order in which they first appear.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: Vec<Key>,
    by_path: HashMap<Path, Vec<usize>>,
    /// The number of `global_step`.
    global: Option<usize>,
    /// The tags of the run.
    taken: Taken,
}

#[derive(Debug)]
pub(super) struct Key {
    path: Path,
    class: Class,
    /// Which number of the row its step metric is, if one was defined.
    step_metric: Option<usize>,
    global: Candidate,
    metric: Candidate,
    own: Candidate,
    pub(super) tag: Arc<str>,
    pub(super) axis: Axis,
    pub(super) hidden: bool,
    /// How many values were written, for steps that are counted.
    pub(super) count: i64,
    /// A hash of the text written last.
    pub(super) last_text: Option<u64>,
}

impl Key {
    /// Whether it has values, and they are shown.
    const fn is_written(&self) -> bool {
        self.own.last.is_some() && !self.hidden
    }
}

/// What the step of a key's values is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Axis {
    Global,
    Metric,
    #[default]
    Own,
    Counted,
}

/// Whether an axis will do: it has an integer for each value, and they rise.
#[derive(Clone, Copy, Debug, Default)]
struct Candidate {
    last: Option<i64>,
    refused: bool,
}

impl Candidate {
    fn see(&mut self, step: Option<i64>) {
        match step {
            Some(step) if self.last.is_none_or(|last| last < step) => self.last = Some(step),
            _ => self.refused = true,
        }
    }
}

impl Keys {
    /// The number of a key that holds values of this class.
    pub(super) fn number(&mut self, path: &Path, class: Class) -> usize {
        let known = self.by_path.get(path).into_iter().flatten().copied();
        let found = known
            .into_iter()
            .find(|&number| self.keys.get(number).is_some_and(|key| key.class == class));
        if let Some(number) = found {
            return number;
        }
        let number = self.keys.len();
        if class == Class::Scalar && matches!(&path[..], [name] if name == GLOBAL_STEP) {
            self.global = Some(number);
        }
        self.by_path.entry(path.clone()).or_default().push(number);
        self.keys.push(Key {
            path: path.clone(),
            class,
            step_metric: None,
            global: Candidate::default(),
            metric: Candidate { refused: true, ..Candidate::default() },
            own: Candidate::default(),
            tag: "".into(),
            axis: Axis::Own,
            hidden: false,
            count: 0,
            last_text: None,
        });
        number
    }

    /// Makes what a metric definition says of a key's step hold for it. Comes before its first value.
    pub(super) fn define(&mut self, number: usize, metrics: &Metrics) {
        let Some(key) = self.keys.get(number) else { return };
        let name = join_key(key.path.iter().map(String::as_str));
        let definition = metrics.definition_for(&name);
        let Some(axis) = definition.map(|d| d.step_metric.as_str()).filter(|axis| !axis.is_empty())
        else {
            return;
        };
        let path: Path = crate::record::split_key(axis).into();
        let axis = self.number(&path, Class::Scalar);
        if let Some(key) = self.keys.get_mut(number) {
            key.step_metric = Some(axis);
            key.metric.refused = false;
        }
    }

    /// Notes that a row has a value of this key. `integer` gives the integers among its numbers.
    pub(super) fn see(
        &mut self,
        number: usize,
        step: i64,
        global: Option<i64>,
        integer: impl Fn(usize) -> Option<i64>,
    ) {
        let Some(key) = self.keys.get_mut(number) else { return };
        key.own.see(Some(step));
        key.global.see(global);
        if let Some(metric) = key.step_metric {
            key.metric.see(integer(metric));
        }
    }

    /// Chooses tags and axes, once all rows were seen; the number of tags that are not their key.
    /// `reserved` are tags that others write.
    pub(super) fn settle(
        &mut self,
        separator: &str,
        from_tensorboard: bool,
        reserved: impl IntoIterator<Item = &'static str>,
    ) -> u64 {
        self.choose_axes();
        self.taken.clear();
        for tag in reserved {
            unique(tag, &mut self.taken);
        }
        let mut renamed = 0;
        for number in 0..self.keys.len() {
            let Some(key) = self.keys.get(number).filter(|key| key.is_written()) else { continue };
            let joined = key.path.join(separator);
            let exists = |name: &str| self.by_path.contains_key(&[name.to_owned()][..]);
            let original = original_tag(&joined, exists).filter(|_| from_tensorboard);
            let wanted = original.unwrap_or(&joined);
            let vertices = wanted.strip_suffix(VERTICES);
            // Of a mesh of TensorBoard the key is the tag of its vertices.
            let mesh = vertices.filter(|_| from_tensorboard && key.class == Class::Mesh);
            let wanted = mesh.unwrap_or(wanted);
            let tag = key.class.take(wanted, &mut self.taken);
            renamed += u64::from(tag != wanted);
            if let Some(key) = self.keys.get_mut(number) {
                key.tag = tag.into();
            }
        }
        renamed
    }

    /// A tag for a value that is not of the history: `name`, unless that is taken.
    pub(super) fn free_tag(&mut self, name: &str) -> String {
        unique(name, &mut self.taken)
    }

    fn choose_axes(&mut self) {
        for key in &mut self.keys {
            key.axis = match (key.global.refused, key.metric.refused, key.own.refused) {
                (false, ..) => Axis::Global,
                (_, false, _) => Axis::Metric,
                (.., false) => Axis::Own,
                _ => Axis::Counted,
            };
        }
        let global = self.global;
        let others = self.keys.iter().enumerate().filter(|(number, _)| Some(*number) != global);
        let serves = others.into_iter().any(|(_, key)| {
            let seen = key.own.last.is_some();
            let by_metric = key.axis == Axis::Metric && key.step_metric == global;
            seen && (key.axis == Axis::Global || by_metric)
        });
        if let Some(key) = global.and_then(|number| self.keys.get_mut(number)) {
            key.hidden = serves;
        }
    }

    /// The step of a value.
    pub(super) fn step(
        &mut self,
        number: usize,
        step: i64,
        integer: impl Fn(usize) -> Option<i64>,
    ) -> i64 {
        let global = self.global;
        let Some(key) = self.keys.get_mut(number) else { return step };
        let found = match key.axis {
            Axis::Own => Some(step),
            Axis::Global => global.and_then(integer),
            Axis::Metric => key.step_metric.and_then(integer),
            Axis::Counted => {
                key.count += 1;
                Some(key.count - 1)
            }
        };
        found.unwrap_or(step)
    }

    /// The number of `global_step`, if a row has had a number there.
    pub(super) const fn global(&self) -> Option<usize> {
        self.global
    }

    /// The numbers of a path.
    pub(super) fn at(&self, path: &[String]) -> &[usize] {
        self.by_path.get(path).map_or(&[], Vec::as_slice)
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Key> {
        self.keys.get_mut(number)
    }

    pub(super) fn get(&self, number: usize) -> Option<&Key> {
        self.keys.get(number)
    }

    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many tags are written.
    pub(super) fn tags(&self) -> u64 {
        self.keys.iter().filter(|key| key.is_written()).count() as u64
    }
}

/// A number as a step.
pub(super) fn as_integer(number: Number) -> Option<i64> {
    match number {
        Number::Int(value) => Some(value),
        Number::Float(value) if value.fract() == 0.0 && value.abs() < 2f64.powi(63) => {
            Some(value as i64)
        }
        _ => None,
    }
}

const GLOBAL_STEP: &str = "global_step";

const VERTICES: &str = "_VERTEX";

/// What stands behind the tag of a mesh in the tags of its series.
const MESH_PARTS: [&str; 3] = [VERTICES, "_FACE", "_COLOR"];
