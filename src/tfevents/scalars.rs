//! All scalars of a run in memory, series by series.

use super::series::{Sample, SeriesTable};
use super::{EventReader, EventReaderOptions};
use crate::error::Result;
use crate::event::{EventView, ScalarValue, What};
use crate::io::Source;
use std::path::Path;
use std::sync::Arc;

/// Every scalar of one run or more files of it, as columns: nothing sampled, nothing dropped.
///
/// Points stand in the order they were logged in. What a restart of the training made obsolete is still
/// there; see `convert::tensorboard` for the rules that remove it.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::tfevents::Scalars;
///
/// let mut scalars = Scalars::default();
/// scalars.read_file(
///     "fixtures/tensorboard/tensorboardX/scalars/events.out.tfevents.1795486703.vm",
/// )?;
/// let loss = scalars.series().find(|series| &*series.tag == "loss").unwrap();
/// assert_eq!(loss.steps.len(), 20);
/// assert_eq!(loss.wall_times[1], 1_700_000_001.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Scalars {
    table: SeriesTable,
    columns: Vec<Option<ScalarSeries>>,
    bad_events: u64,
}

/// The points of one tag.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ScalarSeries {
    /// The tag.
    pub tag: Arc<str>,
    /// The steps.
    pub steps: Vec<i64>,
    /// The wall times, in seconds since 1970.
    pub wall_times: Vec<f64>,
    /// The values.
    pub values: ScalarColumn,
}

/// The values of a series: four bytes each as long as all are of single precision.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScalarColumn {
    /// All of single precision.
    F32(Vec<f32>),
    /// Of other types, or of several.
    Mixed(Vec<ScalarValue>),
}

impl Scalars {
    /// Adds all points of a file that is sound but may be cut off.
    ///
    /// # Errors
    /// When the file cannot be read, and at damage.
    pub fn read_file(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.read(&mut EventReaderOptions::default().open(path)?)
    }

    /// Adds all points that a reader still has. Records that are no event are counted and passed over if
    /// damage did not stop the reader before.
    ///
    /// # Errors
    /// What the reader fails with.
    pub fn read<S: Source>(&mut self, reader: &mut EventReader<S>) -> Result<()> {
        while let Some(event) = reader.next_event()? {
            match EventView::read(event.payload) {
                Ok(event) => self.add(&event),
                Err(_) => self.bad_events += 1,
            }
        }
        Ok(())
    }

    /// Adds the points of one event.
    #[inline]
    pub fn add(&mut self, event: &EventView<'_>) {
        let What::Summary(summary) = &event.what else { return };
        for value in summary.values() {
            let (number, sample) = self.table.sample(&value);
            let Sample::Scalar(scalar) = sample else { continue };
            let at = number as usize;
            if self.columns.len() <= at {
                self.columns.resize_with(at + 1, || None);
            }
            let Some(slot) = self.columns.get_mut(at) else { continue };
            let series = slot.get_or_insert_with(|| ScalarSeries {
                tag: value.tag.into(),
                ..ScalarSeries::default()
            });
            series.steps.push(event.step);
            series.wall_times.push(event.wall_time);
            series.values.push(scalar);
        }
    }

    /// The series, in the order in which they appear.
    pub fn series(&self) -> impl Iterator<Item = &ScalarSeries> {
        self.columns.iter().flatten()
    }

    /// How many records were whole but no event.
    pub const fn bad_events(&self) -> u64 {
        self.bad_events
    }
}

impl ScalarColumn {
    /// The value at `index`.
    pub fn get(&self, index: usize) -> Option<ScalarValue> {
        match self {
            Self::F32(values) => values.get(index).copied().map(ScalarValue::F32),
            Self::Mixed(values) => values.get(index).copied(),
        }
    }

    #[inline]
    fn push(&mut self, value: ScalarValue) {
        match (&mut *self, value) {
            (Self::F32(values), ScalarValue::F32(value)) => values.push(value),
            (Self::Mixed(values), value) => values.push(value),
            (Self::F32(values), value) => {
                let mut mixed: Vec<_> = values.iter().copied().map(ScalarValue::F32).collect();
                mixed.push(value);
                *self = Self::Mixed(mixed);
            }
        }
    }
}

impl Default for ScalarColumn {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}
