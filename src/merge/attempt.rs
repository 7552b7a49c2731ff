//! One TensorBoard log directory, read once to know which steps its tags have.

use super::place::StepRange;
use crate::error::{Error, Result};
use crate::event::{EventView, SessionStatus, What};
use crate::rewrite::Damage;
use crate::tfevents::{Beside, EventReader, RawEvent, RunFiles, Skipped, discover};
use crate::wire::{Fields, WireValue};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A log directory, whose runs go on those of the attempts before.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) path: PathBuf,
    /// By their names in the log directory.
    pub(super) runs: BTreeMap<String, EventRun>,
    /// Directories that were not looked into.
    pub(super) skipped: Vec<Skipped>,
    pub(super) beside: Beside,
}

/// A run of an attempt.
#[derive(Debug, Default)]
pub(super) struct EventRun {
    pub(super) files: Vec<PathBuf>,
    pub(super) tags: BTreeMap<String, Tag>,
    pub(super) purges: Purges,
    pub(super) events: u64,
    pub(super) values: u64,
    /// What could not be read of each file.
    pub(super) damage: Vec<(PathBuf, Damage)>,
    /// How many records each file had.
    records: Vec<u64>,
    first_wall_time: Option<f64>,
}

/// What counts of a tag.
#[derive(Debug)]
pub(super) struct Tag {
    /// Its steps; none if a restart took all of them back.
    pub(super) steps: Option<StepRange>,
    /// The metadata of its first value, which later ones may lack.
    pub(super) metadata: Option<Vec<u8>>,
    /// The place of its last value.
    seen: u64,
}

/// The restarts within a run. One at a step takes back every value before it in the files at that step and
/// later, as in TensorBoard.
///
/// Of the restarts only those are kept that no later one at a lower or the same step makes needless, so
/// the first one behind a place has the lowest step of all behind it.
#[derive(Debug, Default)]
pub(super) struct Purges {
    /// Place and step, both ascending.
    restarts: Vec<(u64, i64)>,
}

impl Purges {
    fn add(&mut self, place: u64, step: i64) {
        while self.restarts.pop_if(|(_, earlier)| *earlier >= step).is_some() {}
        self.restarts.push((place, step));
    }

    /// From which step on what stands at `place` was taken back.
    fn since(&self, place: u64) -> Option<i64> {
        let behind = self.restarts.partition_point(|(at, _)| *at <= place);
        self.restarts.get(behind).map(|(_, step)| *step)
    }

    /// The lowest step of all restarts.
    pub(super) fn lowest(&self) -> Option<i64> {
        self.since(0)
    }

    /// Whether a value of this step at this place was taken back.
    pub(super) fn took(&self, place: u64, step: i64) -> bool {
        self.since(place).is_some_and(|since| step >= since)
    }
}

impl Attempt {
    /// Reads the log directory, or single event file, `path`, past any damage.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let found = discover(path)?;
        let mut runs = BTreeMap::new();
        for run in found.runs {
            let RunFiles { name, files, .. } = run;
            runs.insert(name, EventRun::read(files)?);
        }
        if runs.is_empty() {
            return Err(Error::misuse("no event file here").at(path));
        }
        Ok(Self { path: path.to_owned(), runs, skipped: found.skipped, beside: found.beside })
    }

    /// When its first event was written.
    pub(super) fn start(&self) -> Option<f64> {
        self.runs.values().filter_map(|run| run.first_wall_time).min_by(f64::total_cmp)
    }

    /// The steps of all its tags.
    pub(super) fn steps(&self) -> Option<StepRange> {
        let tags = self.runs.values().flat_map(|run| run.tags.values());
        tags.filter_map(|tag| tag.steps).reduce(|all, steps| all.join(&steps))
    }
}

impl EventRun {
    fn read(files: Vec<PathBuf>) -> Result<Self> {
        let mut run = Self { files: files.clone(), ..Self::default() };
        let mut place = 0;
        for file in files {
            let mut damage = Damage::default();
            let mut reader = EventReader::options().lenient(true).open(&file)?;
            let before = place;
            while let Some(raw) = reader.next_event()? {
                place += 1;
                match raw.view() {
                    Ok(event) => {
                        run.events += 1;
                        run.take(place, &event);
                    }
                    Err(_) => damage.undecodable += 1,
                }
            }
            run.records.push(place - before);
            (damage.gaps, damage.tail) = (reader.gaps().clone(), reader.tail());
            run.damage.push((file, damage));
        }
        for tag in run.tags.values_mut() {
            tag.take_back(&run.purges);
        }
        Ok(run)
    }

    /// Hands over once more the events that were read first, with their places, from 1 on.
    ///
    /// # Errors
    /// When a file has fewer by now, and those of `each`.
    pub(super) fn again(
        &self,
        mut each: impl FnMut(u64, &EventView<'_>, &RawEvent<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut place = 0;
        for (file, &records) in self.files.iter().zip(&self.records) {
            let mut reader = EventReader::options().lenient(true).open(file)?;
            for _ in 0..records {
                let Some(raw) = reader.next_event()? else {
                    return Err(Error::misuse(
                        "this file was cut off since it was read; merge again",
                    )
                    .at(file));
                };
                place += 1;
                if let Ok(event) = raw.view() {
                    each(place, &event, &raw)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, place: u64, event: &EventView<'_>) {
        if event.wall_time.is_finite() {
            self.first_wall_time.get_or_insert(event.wall_time);
        }
        match &event.what {
            What::SessionLog(log) if log.status() == SessionStatus::Start => {
                self.purges.add(place, event.step);
            }
            What::Summary(summary) => {
                for value in summary.located() {
                    self.values += 1;
                    let steps = StepRange::new(event.step, event.step);
                    let Some(tag) = self.tags.get_mut(value.view.tag) else {
                        let metadata = metadata(value.message).map(<[u8]>::to_vec);
                        let tag = Tag { steps: Some(steps), metadata, seen: place };
                        self.tags.insert(value.view.tag.to_owned(), tag);
                        continue;
                    };
                    tag.take_back(&self.purges);
                    tag.steps = Some(tag.steps.map_or(steps, |all| all.join(&steps)));
                    tag.seen = place;
                }
            }
            _ => {}
        }
    }
}

impl Tag {
    fn take_back(&mut self, purges: &Purges) {
        let Some(since) = purges.since(self.seen) else { return };
        let steps = self.steps.take();
        self.steps = steps.filter(|steps| steps.first < since);
        if let Some(steps) = &mut self.steps {
            steps.last = steps.last.min(since.saturating_sub(1));
        }
    }
}

/// The metadata in a `Summary.Value`.
pub(super) fn metadata(value: &[u8]) -> Option<&[u8]> {
    let fields = Fields::new(value).map_while(Result::ok);
    let found = fields.filter_map(|field| match field.value {
        WireValue::Bytes(bytes) if field.number == METADATA => Some(bytes),
        _ => None,
    });
    found.last()
}

/// `Summary.Value.metadata`.
pub(super) const METADATA: u32 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_takes_back_what_stands_before_it_at_its_step_and_later() {
        let mut purges = Purges::default();
        for (place, step) in [(10, 50), (20, 30), (30, 40)] {
            purges.add(place, step);
        }
        for (place, step, want) in [
            (5, 49, true),
            (5, 29, false),
            (15, 30, true),
            (20, 39, false),
            (25, 40, true),
            (35, 1000, false),
        ] {
            assert_eq!(purges.took(place, step), want, "{place} {step}");
        }
    }
}
