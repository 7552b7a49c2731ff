//! What is going to be merged, and how, before anything is written.

use super::options::Options;
use super::place::{Placement, StepRange, place};
use super::segment::Segment;
use crate::error::{Error, Result};
use crate::io::side_by_side;
use crate::log::{LogFile, find_all};
use crate::rewrite::Damage;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A merge that has been thought through: which segment goes where. Nothing is written yet.
///
/// `Display` draws it.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The id of the merged run.
    pub run_id: String,
    /// The segments, the oldest first.
    pub segments: Vec<PlannedSegment>,
    /// Steps that several segments could have.
    pub overlaps: Vec<SharedSteps>,
    /// Steps between segments that none has.
    pub gaps: Vec<StepRange>,
    /// The steps are numbered as in the segments.
    #[serde(skip)]
    pub(super) scanned: Vec<Segment>,
    #[serde(skip)]
    pub(super) hard_links: bool,
}

/// A segment and its place.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlannedSegment {
    /// Its log.
    pub log: PathBuf,
    /// The run it says it is of.
    pub run_id: String,
    /// When it started, in seconds since 1970.
    pub start_time: Option<f64>,
    /// How many rows it has.
    pub rows: u64,
    /// Its steps as they were recorded; none without rows.
    pub recorded: Option<StepRange>,
    /// What is added to each of its steps.
    pub offset: i64,
    /// Its steps in the merged run, if it had all of them.
    pub placed: Option<StepRange>,
    /// Those of them that it has.
    pub kept: Vec<StepRange>,
    /// What is added to its `_runtime`, in seconds.
    pub runtime_offset: f64,
    /// Its exit code; none if it was killed or still runs.
    pub exit_code: Option<i32>,
    /// Whether something in its log could not be read.
    pub lossy: bool,
}

/// Steps that two segments could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SharedSteps {
    /// The number of the older segment, counted from 1.
    pub older: usize,
    /// The number of the newer segment.
    pub newer: usize,
    /// The steps.
    #[serde(flatten)]
    pub steps: StepRange,
}

impl Plan {
    /// Finds the segments at `paths` and reads them: logs, run directories, or directories of runs, all of
    /// which are meant. They are put in order by their start, in that of `paths` if one does not say when
    /// that was.
    ///
    /// # Errors
    /// When there are no two segments of one run; when the options do not fit them; when a log cannot be
    /// read or is none. Damage is no error.
    pub fn new(paths: &[impl AsRef<Path>], options: &Options) -> Result<Self> {
        let mut scanned = read_all(paths, options)?;
        let run_id = run_id(&scanned, options)?;
        let starts: Option<Vec<f64>> = scanned.iter().map(Segment::start_time).collect();
        if starts.is_some() {
            let start = |segment: &Segment| segment.start_time().unwrap_or_default();
            scanned.sort_by(|a, b| start(a).total_cmp(&start(b)));
        }
        for (number, segment) in (1..).zip(&mut scanned) {
            segment.label = format!("segment {number}");
        }
        let extents: Vec<_> = scanned.iter().map(Segment::extent).collect();
        let placements = place(&extents, options.steps, &options.overlap)?;
        let offsets = runtime_offsets(&scanned);
        let segments: Vec<_> = scanned
            .iter()
            .zip(&placements)
            .zip(offsets)
            .map(|((segment, placement), offset)| planned(segment, placement, offset))
            .collect();
        let (overlaps, gaps) = (overlaps(&placements), gaps(&placements));
        Ok(Self { run_id, segments, overlaps, gaps, scanned, hard_links: options.hard_links })
    }

    /// What could not be read of each segment.
    pub fn damage(&self) -> impl Iterator<Item = (&Path, &Damage)> {
        self.scanned.iter().map(|segment| (segment.log.as_path(), &segment.damage))
    }

    /// Whether something in a segment could not be read.
    pub fn is_lossy(&self) -> bool {
        self.scanned.iter().any(|segment| segment.damage.is_lossy())
    }
}

/// Reads the segments that are meant, in the order of `paths`.
pub(super) fn read_all(paths: &[impl AsRef<Path>], options: &Options) -> Result<Vec<Segment>> {
    let (logs, errors) = find_all(paths);
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    let wanted = options.run_id.as_deref();
    let is_meant = |segment: &Segment| wanted.is_none_or(|wanted| wanted == segment.run_id());
    let read = |log: &LogFile| Segment::read(log).map(|segment| Some(segment).filter(is_meant));
    side_by_side(&logs, read).into_iter().filter_map(Result::transpose).collect()
}

/// The id of the merged run.
fn run_id(segments: &[Segment], options: &Options) -> Result<String> {
    let Some(first) = segments.iter().map(Segment::run_id).find(|id| !id.is_empty()) else {
        let reason = match &options.run_id {
            Some(id) => format!("no segment of run {id:?} here"),
            None => "none of these logs says what run it is of".into(),
        };
        return Err(Error::misuse(reason));
    };
    if let Some(id) = &options.new_id {
        return Ok(id.clone());
    }
    if let Some(other) = segments.iter().find(|segment| !["", first].contains(&segment.run_id())) {
        return Err(Error::misuse(format!(
            "segments of several runs, {first:?} and {:?}; name one, or give the merged run an id of its own",
            other.run_id()
        )));
    }
    match segments {
        [one] => Err(Error::misuse(format!(
            "run {first:?} is in one segment, there is nothing to merge"
        ))
        .at(&one.log)),
        _ => Ok(first.to_owned()),
    }
}

/// What is added to the `_runtime` of each segment: how long the ones before it ran, unless it went on
/// counting where they ended.
fn runtime_offsets(segments: &[Segment]) -> Vec<f64> {
    let mut before = 0.0;
    let mut offsets = Vec::new();
    for segment in segments {
        let (first, last) = segment.runtimes();
        let offset = if before > 0.0 && first >= before { 0.0 } else { before };
        offsets.push(offset);
        before = f64::max(before, offset + last);
    }
    offsets
}

fn planned(segment: &Segment, placement: &Placement, runtime_offset: f64) -> PlannedSegment {
    PlannedSegment {
        log: segment.log.clone(),
        run_id: segment.run_id().to_owned(),
        start_time: segment.start_time(),
        rows: segment.rows.history().rows(),
        recorded: segment.extent().recorded,
        offset: placement.offset,
        placed: placement.placed,
        kept: placement.kept.clone(),
        runtime_offset,
        exit_code: segment.state.exit().map(|exit| exit.code),
        lossy: segment.damage.is_lossy(),
    }
}

fn overlaps(placements: &[Placement]) -> Vec<SharedSteps> {
    let mut found = Vec::new();
    for (newer, placement) in placements.iter().enumerate() {
        for (older, other) in placements.iter().enumerate().take(newer) {
            if let (Some(a), Some(b)) = (other.placed, placement.placed)
                && let Some(steps) = a.both(&b)
            {
                found.push(SharedSteps { older: older + 1, newer: newer + 1, steps });
            }
        }
    }
    found
}

fn gaps(placements: &[Placement]) -> Vec<StepRange> {
    let mut kept: Vec<_> =
        placements.iter().flat_map(|placement| &placement.kept).copied().collect();
    kept.sort();
    let pairs = kept.iter().zip(kept.iter().skip(1));
    pairs
        .map(|(a, b)| StepRange::new(a.last.saturating_add(1), b.first.saturating_sub(1)))
        .filter(|gap| !gap.is_empty())
        .collect()
}
