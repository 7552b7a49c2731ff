//! Merging TensorBoard log directories: each of them an attempt, the result one log directory.

use super::attempt::{Attempt, EventRun};
use super::options::{Options, Overlap, Steps};
use super::place::{Extent, Placement, StepRange, place, share};
use crate::error::{Error, ErrorKind, Result};
use crate::rewrite::Damage;
use crate::tfevents::{Beside, SkipReason, Skipped};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// A merge of TensorBoard log directories that has been thought through. Nothing is written yet.
///
/// Runs of the same name in several log directories become one run with one event file. In TensorBoard every
/// tag has steps of its own, so overlaps are decided tag by tag: of attempts at the same steps of a tag
/// one gives its values, as with [`Plan`](super::Plan). Where the newest wins, a restart that was written
/// down (`SessionLog.START`) takes back what was logged before for its step and later, as it does in
/// TensorBoard, also in the attempts before; within a log directory it always does. The marks of restarts,
/// which have done their work then, are left out. Graphs and all other events of the attempts are carried; files
/// that are no event files (embeddings, profiles, checkpoints) stay where they are. Steps are where they were
/// recorded, unless [`Steps::Shift`] moves a whole log directory behind the ones before.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct EventPlan {
    /// The log directories, the oldest first.
    pub attempts: Vec<PlannedAttempt>,
    /// The runs, by name.
    pub runs: Vec<PlannedRun>,
    #[serde(skip)]
    pub(super) scanned: Vec<Attempt>,
}

/// A log directory and its place.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedAttempt {
    /// The log directory, or event file.
    pub path: PathBuf,
    /// When its first event was written, in seconds since 1970.
    pub start_time: Option<f64>,
    /// How many events it has.
    pub events: u64,
    /// The steps of all its tags as recorded; none without values.
    pub recorded: Option<StepRange>,
    /// What is added to each of its steps.
    pub offset: i64,
    /// How many files it has that are no event files, none of which are merged.
    pub files_beside: u64,
}

/// A run of the merged log directory.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedRun {
    /// Its name: its directory in the log directory, `.` for that itself.
    pub name: String,
    /// Its tags, by name.
    pub tags: Vec<PlannedTag>,
}

/// A tag of a run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedTag {
    /// The tag.
    pub tag: String,
    /// Which attempt, counted from 1, has which of its steps, in their order.
    pub parts: Vec<TagPart>,
    /// Whether several attempts could have had some of them.
    pub overlaps: bool,
}

/// The steps of a tag that an attempt has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TagPart {
    /// The number of the attempt, counted from 1.
    pub attempt: usize,
    /// The steps.
    #[serde(flatten)]
    pub steps: StepRange,
}

impl EventPlan {
    /// Reads the log directories, or event files, `paths`. They are put in order by their first events. Of
    /// `options` those for steps and overlaps count.
    ///
    /// # Errors
    /// When there are not two of them, or one is within another, when the options do not fit them, and when a file cannot be read.
    /// Damage is no error.
    pub fn new(paths: &[impl AsRef<Path>], options: &Options) -> Result<Self> {
        refuse_shared(paths)?;
        let scanned: Result<Vec<_>> =
            paths.iter().map(|path| Attempt::read(path.as_ref())).collect();
        let mut scanned = scanned?;
        if scanned.len() < 2 {
            return Err(Error::misuse("one log directory alone, there is nothing to merge"));
        }
        let start = |attempt: &Attempt| attempt.start().unwrap_or(f64::INFINITY);
        scanned.sort_by(|a, b| start(a).total_cmp(&start(b)));
        let extent = |attempt: &Attempt| Extent { recorded: attempt.steps(), starting_step: None };
        let extents: Vec<_> = scanned.iter().map(extent).collect();
        let steps = if options.steps == Steps::Shift { Steps::Shift } else { Steps::Recorded };
        let placements = place(&extents, steps, &Overlap::Newest)?;
        let attempts: Vec<_> = scanned.iter().zip(&placements).map(planned).collect();
        let names: BTreeSet<&String> = scanned.iter().flat_map(|of| of.runs.keys()).collect();
        let runs = names.into_iter().map(|name| {
            let runs = scanned
                .iter()
                .zip(&attempts)
                .map(|(of, planned)| (of.runs.get(name), planned.offset));
            Ok(PlannedRun {
                name: name.clone(),
                tags: tags(&runs.collect::<Vec<_>>(), &options.overlap)?,
            })
        });
        let runs = runs.collect::<Result<_>>()?;
        Ok(Self { attempts, runs, scanned })
    }

    /// Directories that could not be looked into.
    pub fn unreadable(&self) -> impl Iterator<Item = &Skipped> {
        let skipped = self.scanned.iter().flat_map(|attempt| &attempt.skipped);
        skipped.filter(|skipped| skipped.reason != SkipReason::Loop)
    }

    /// What could not be read of each file.
    pub fn damage(&self) -> impl Iterator<Item = (&Path, &Damage)> {
        let runs = self.scanned.iter().flat_map(|attempt| attempt.runs.values());
        runs.flat_map(|run| &run.damage).map(|(file, damage)| (file.as_path(), damage))
    }
}

/// Fails if one of the paths is, or is within, another one, for then the same events would come twice.
fn refuse_shared(paths: &[impl AsRef<Path>]) -> Result<()> {
    let found = paths.iter().map(|path| {
        let path = path.as_ref();
        let found = path.canonicalize().map_err(|error| Error::io("read", path, error))?;
        Ok((found, path))
    });
    let mut found = found.collect::<Result<Vec<_>>>()?;
    // What is within a path comes right behind it.
    found.sort();
    for ((a, outer), (b, inner)) in found.iter().zip(found.iter().skip(1)) {
        if b.starts_with(a) {
            let reason = format!(
                "all in it is in {} too, which is also to be merged; name one of both",
                outer.display()
            );
            return Err(Error::misuse(reason).at(inner));
        }
    }
    Ok(())
}

fn planned((attempt, placement): (&Attempt, &Placement)) -> PlannedAttempt {
    PlannedAttempt {
        path: attempt.path.clone(),
        start_time: attempt.start(),
        events: attempt.runs.values().map(|run| run.events).sum(),
        recorded: attempt.steps(),
        offset: placement.offset,
        files_beside: {
            let Beside { embeddings, profiles, others, .. } = attempt.beside;
            embeddings + profiles + others
        },
    }
}

/// Decides for each tag of a run which attempt has which steps. `runs` are those of the attempts, each with
/// what is added to its steps.
fn tags(runs: &[(Option<&EventRun>, i64)], overlap: &Overlap) -> Result<Vec<PlannedTag>> {
    let mut tags: BTreeMap<&str, Vec<Placement>> = BTreeMap::new();
    for (i, (run, offset)) in runs.iter().enumerate() {
        for (name, tag) in run.iter().flat_map(|run| &run.tags) {
            let placements =
                tags.entry(name).or_insert_with(|| vec![Placement::default(); runs.len()]);
            if let Some(placement) = placements.get_mut(i) {
                placement.placed = tag.steps.and_then(|steps| steps.shifted(*offset));
            }
        }
    }
    let restarts = runs
        .iter()
        .map(|(run, offset)| Some(run.as_ref()?.purges.lowest()?.saturating_add(*offset)));
    let restarts: Vec<Option<i64>> = restarts.collect();
    let planned = tags.into_iter().map(|(name, mut placements)| {
        share(&mut placements, overlap).map_err(|error| match error.kind() {
            ErrorKind::Misuse(reason) => Error::misuse(format!("tag {name:?}: {reason}")),
            _ => error,
        })?;
        if *overlap == Overlap::Newest {
            take_back(&mut placements, &restarts);
        }
        let parts = placements.iter().enumerate().flat_map(|(i, placement)| {
            placement.kept.iter().map(move |steps| TagPart { attempt: i + 1, steps: *steps })
        });
        let mut parts: Vec<_> = parts.collect();
        parts.sort_by_key(|part| part.steps);
        let overlaps = placements.iter().enumerate().any(|(i, a)| {
            placements
                .iter()
                .skip(i + 1)
                .any(|b| a.placed.zip(b.placed).is_some_and(|(a, b)| a.both(&b).is_some()))
        });
        Ok(PlannedTag { tag: name.to_owned(), parts, overlaps })
    });
    planned.collect()
}

/// Ends each attempt before the steps at which later ones restarted.
fn take_back(placements: &mut [Placement], restarts: &[Option<i64>]) {
    for (i, placement) in placements.iter_mut().enumerate() {
        let later = restarts.iter().skip(i + 1).flatten().min();
        let Some(before) = later.map(|step| StepRange::new(i64::MIN, step.saturating_sub(1)))
        else {
            continue;
        };
        placement.kept = placement.kept.iter().filter_map(|range| range.both(&before)).collect();
    }
}

impl fmt::Display for EventPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.runs.len();
        writeln!(
            f,
            "{} log directories, {runs} run{}",
            self.attempts.len(),
            if runs == 1 { "" } else { "s" }
        )?;
        for (number, attempt) in (1..).zip(&self.attempts) {
            write!(f, "{number:>3} {} events", attempt.events)?;
            match attempt.recorded {
                Some(steps) => write!(f, ", {steps}")?,
                None => f.write_str(", no values")?,
            }
            if attempt.offset != 0 {
                write!(f, ", shifted by {}", attempt.offset)?;
            }
            writeln!(f, ": {}", attempt.path.display())?;
        }
        for run in &self.runs {
            for tag in run.tags.iter().filter(|tag| tag.overlaps) {
                let parts =
                    tag.parts.iter().map(|part| format!("{} from {}", part.steps, part.attempt));
                let parts: Vec<_> = parts.collect();
                writeln!(f, "overlap: {} {}: {}", run.name, tag.tag, parts.join(", "))?;
            }
        }
        Ok(())
    }
}
