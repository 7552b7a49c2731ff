//! From values to series: which tag, and whether it is a series of scalars.

use crate::event::{DataClass, NotScalar, ScalarValue, ValueKind, ValueView};
use std::collections::HashMap;
use std::sync::Arc;

/// The series of one run: a number for each tag, counted from 0 in the order of appearance.
///
/// The first value of a tag decides what the series is, as in TensorBoard; writers leave the metadata
/// out of later ones. Logs cycle through the same tags, so the tag that followed the last one before is
/// tried before any hashing.
#[derive(Debug, Default)]
pub struct SeriesTable {
    series: Vec<Series>,
    next: Vec<u32>,
    index: HashMap<Arc<str>, u32>,
    last: u32,
}

/// A series.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Series {
    /// Its tag; may be empty.
    pub tag: Arc<str>,
    /// The plugin it belongs to, by its metadata or by the kind of its first value; may be empty.
    pub plugin: Box<str>,
    /// Whether its values are numbers.
    pub is_scalar: bool,
}

/// What a value is to its series.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sample {
    /// A point of a series of scalars.
    Scalar(ScalarValue),
    /// A value in a series of scalars that is not one.
    Unfit(NotScalar),
    /// A value of a series of something else.
    Other,
}

impl SeriesTable {
    /// A table without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of the value's series, and what the value is to it.
    #[inline]
    pub fn sample(&mut self, value: &ValueView<'_>) -> (u32, Sample) {
        let number = self.number(value);
        let is_scalar = self.series.get(number as usize).is_some_and(|series| series.is_scalar);
        let sample = match value.scalar() {
            _ if !is_scalar => Sample::Other,
            Ok(scalar) => Sample::Scalar(scalar),
            Err(reason) => Sample::Unfit(reason),
        };
        (number, sample)
    }

    #[inline]
    fn number(&mut self, value: &ValueView<'_>) -> u32 {
        let guess = self.next.get(self.last as usize).copied().unwrap_or(0);
        let right = self.series.get(guess as usize).is_some_and(|s| *s.tag == *value.tag);
        let number = if right { guess } else { self.look_up(value) };
        self.last = number;
        number
    }

    fn look_up(&mut self, value: &ValueView<'_>) -> u32 {
        let number = match self.index.get(value.tag) {
            Some(&number) => number,
            None => self.add(value),
        };
        if let Some(next) = self.next.get_mut(self.last as usize) {
            *next = number;
        }
        number
    }

    fn add(&mut self, value: &ValueView<'_>) -> u32 {
        let number = self.series.len() as u32;
        let tag: Arc<str> = value.tag.into();
        self.index.insert(Arc::clone(&tag), number);
        self.next.push(number.wrapping_add(1));
        let (plugin, is_scalar) = classify(value);
        self.series.push(Series { tag, plugin: plugin.into(), is_scalar });
        number
    }

    /// All series, by number.
    pub fn series(&self) -> &[Series] {
        &self.series
    }
}

/// TensorBoard's rule: a stated class counts; without one the kind of an older value, and the plugin of
/// a tensor.
fn classify<'v>(value: &'v ValueView<'_>) -> (&'v str, bool) {
    let named = value.metadata.as_ref().map_or("", |metadata| metadata.plugin_name());
    let class = value.metadata.as_ref().map_or(DataClass::Unknown, |m| m.data_class());
    if class != DataClass::Unknown {
        return (named, class == DataClass::Scalar);
    }
    match value.kind {
        ValueKind::Simple(_) => (SCALARS, true),
        ValueKind::Histogram(_) => ("histograms", false),
        ValueKind::Image(_) => ("images", false),
        ValueKind::Audio(_) => ("audio", false),
        _ => (named, named == SCALARS),
    }
}

const SCALARS: &str = "scalars";
