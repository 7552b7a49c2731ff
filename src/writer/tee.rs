//! The rows of a run for TensorBoard as well: numbers and booleans, in an event file.
//!
//! A row is taken as it stands when it is committed, its values already text and their keys known by
//! slot, so that a tag is put together once.

use super::row::{Cells, Leaf};
use super::slots::{Role, Slots, elements};
use crate::error::Result;
use crate::json::Value;
use crate::proto::wandb_internal::ConfigItem;
use crate::tfevents::{HParams, OWN_TAGS, Outcome, SummaryWriter};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Writes rows to an event file.
pub(super) struct Tee {
    writer: SummaryWriter,
    /// Tags by slot.
    tags: Vec<Tag>,
    taken: HashSet<Arc<str>>,
    event: Vec<(Arc<str>, f32)>,
    has_hparams: bool,
}

/// What a key is called in TensorBoard.
struct Tag {
    name: Arc<str>,
    /// How much of the path is that of an object, if the key is the `_type` of one.
    object: Option<usize>,
}

impl Tee {
    /// Begins a run of TensorBoard in `directory`.
    pub(super) fn create(directory: &Path, hparams: &HParams) -> Result<Self> {
        let mut writer = SummaryWriter::create(directory)?;
        let has_hparams = !hparams.is_empty();
        if has_hparams {
            writer.hparams(hparams)?;
            writer.flush()?;
        }
        // A key of that name would be refused.
        let taken = OWN_TAGS.into_iter().map(Arc::from).collect();
        let (tags, event) = (Vec::new(), Vec::new());
        Ok(Self { writer, tags, taken, event, has_hparams })
    }

    /// Writes a row that is committed at this time, in microseconds, unless it has a time of its own.
    pub(super) fn row(
        &mut self,
        cells: &Cells,
        slots: &Slots,
        step: u64,
        micros: u64,
    ) -> Result<()> {
        self.name_tags(slots);
        self.event.clear();
        let mut wall_time = micros as f64 / 1e6;
        let all = (0..cells.len()).filter_map(|place| {
            let cell = cells.get(place)?;
            Some((cell, slots.get(cell.slot)?, self.tags.get(cell.slot as usize)?))
        });
        let objects = all.clone().filter_map(|(_, slot, tag)| slot.path.get(..tag.object?));
        let objects: Vec<&[u8]> = objects.collect();
        for (cell, slot, tag) in all {
            let value = match (cell.leaf, cells.text(cell)) {
                (Leaf::Integer(value) | Leaf::Float(value), _) => value,
                (Leaf::Other, b"true") => 1.0,
                (Leaf::Other, b"false") => 0.0,
                _ => continue,
            };
            if slot.role == Role::Timestamp {
                wall_time = if value.is_finite() { value } else { wall_time };
            } else if !objects.iter().any(|object| slot.path.starts_with(object)) {
                self.event.push((Arc::clone(&tag.name), value as f32));
            }
        }
        self.writer.scalars((step, wall_time), &self.event)
    }

    /// Makes tags for the keys that have none yet.
    fn name_tags(&mut self, slots: &Slots) {
        while let Some(slot) = slots.get(self.tags.len() as u32) {
            let path: Vec<&str> = elements(&slot.path).collect();
            let mut name = path.join(SEPARATOR);
            while self.taken.contains(name.as_str()) {
                // Another path reads the same when joined.
                name.push('_');
            }
            let name: Arc<str> = name.into();
            self.taken.insert(Arc::clone(&name));
            let is_type = path.len() > 1 && path.last() == Some(&TYPE);
            let object = is_type.then(|| slot.path.len() - ELEMENT_HEAD - TYPE.len());
            self.tags.push(Tag { name, object });
        }
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.writer.flush()
    }

    /// Says how the run ended.
    pub(super) fn finish(&mut self, exit_code: i32) -> Result<()> {
        if self.has_hparams {
            let outcome = if exit_code == 0 { Outcome::Success } else { Outcome::Failure };
            self.writer.hparams_end(outcome)?;
        }
        self.writer.flush()
    }
}

/// The config a run starts with, as hyperparameters.
pub(super) fn hparams(config: &[ConfigItem]) -> HParams {
    let mut hparams = HParams::default();
    let values = config.iter().map(|item| Value::parse(&item.value_json).unwrap_or_default());
    let values: Vec<_> = values.collect();
    let members = config.iter().map(|item| item.key.as_str()).zip(&values);
    hparams.add_all(members, SEPARATOR);
    hparams
}

/// TensorBoard groups tags by it.
const SEPARATOR: &str = "/";

const TYPE: &str = "_type";

/// Key and length of a short path element.
const ELEMENT_HEAD: usize = 2;
