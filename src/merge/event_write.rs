//! Writing a merged TensorBoard log directory.

use super::attempt::{EventRun, METADATA, metadata};
use super::event_later::LaterEvents;
use super::events::{EventPlan, PlannedRun, PlannedTag, TagPart};
use crate::error::{Error, Result};
use crate::event::{EventView, SessionStatus, ValueView, What};
use crate::io::{StagedDir, sync_dir};
use crate::proto::tensorboard::Event;
use crate::proto::tensorboard::event::What as Message;
use crate::rewrite::{Contents, Fate, put_message, refuse_within, set_uint, splice};
use crate::tfevents::{EventWriter, RawEvent, event_file_host};
use crate::wire::{self, Malformed};
use prost::Message as _;
use serde::Serialize;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// What was merged.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EventReport {
    /// The log directory.
    pub directory: PathBuf,
    /// How many runs it has.
    pub runs: u64,
    /// How many values its events have.
    pub values: u64,
    /// How many values were left out, because another attempt has their steps.
    pub left_out: u64,
    /// How many values were left out, because a restart took them back.
    pub taken_back: u64,
}

impl EventPlan {
    /// Writes the merged log directory to `directory`, which must not exist, and proves it before it gets
    /// that name.
    ///
    /// # Errors
    /// When a file has changed so that it cannot be read any more, when something of that name exists, and
    /// when writing fails.
    pub fn write(&self, directory: impl AsRef<Path>) -> Result<EventReport> {
        let dirs = self.scanned.iter().map(|attempt| attempt.path.as_path());
        refuse_within(directory.as_ref(), dirs.filter(|path| path.is_dir()))?;
        let staged = StagedDir::new(directory.as_ref().to_owned())?;
        let mut report = EventReport {
            directory: PathBuf::new(),
            runs: self.runs.len() as u64,
            values: 0,
            left_out: 0,
            taken_back: 0,
        };
        for run in &self.runs {
            let dir = match run.name.as_str() {
                "." => staged.path().to_owned(),
                name => staged.path().join(name),
            };
            fs::create_dir_all(&dir).map_err(|error| Error::io("create", &dir, error))?;
            self.write_run(run, &dir, &mut report)?;
        }
        let all: u64 =
            self.scanned.iter().flat_map(|of| of.runs.values()).map(|run| run.values).sum();
        report.left_out = all.saturating_sub(report.values + report.taken_back);
        report.directory = staged.publish()?;
        Ok(report)
    }

    fn write_run(&self, run: &PlannedRun, dir: &Path, report: &mut EventReport) -> Result<()> {
        let runs: Vec<_> = self
            .scanned
            .iter()
            .zip(&self.attempts)
            .map(|(attempt, planned)| (attempt.runs.get(&run.name), planned.offset))
            .collect();
        // No tool looks at it before it has its name.
        let unfinished = dir.join("events.part");
        let mut merge = Merge {
            out: EventWriter::create(&unfinished)?,
            contents: Contents::default(),
            written: BTreeSet::new(),
            report,
            payload: Vec::new(),
        };
        merge.version(self.attempts.iter().find_map(|attempt| attempt.start_time))?;
        let rounds = run.tags.iter().map(|tag| tag.parts.len()).max().unwrap_or(0).max(1);
        let mut later = BTreeMap::new();
        for round in 0..rounds {
            for (i, (of, offset)) in runs.iter().enumerate() {
                let Some(of) = of else { continue };
                let parts = |tag: &PlannedTag| {
                    let part = tag.parts.get(round).filter(|part| part.attempt == i + 1)?;
                    Some((tag.tag.clone(), *part))
                };
                let parts: BTreeMap<_, _> = run.tags.iter().filter_map(parts).collect();
                let pass = Pass { offset: *offset, parts, others: round == 0 };
                if pass.others {
                    merge.pass(of, &pass)?;
                } else if !pass.parts.is_empty() {
                    let rows = match later.entry(i) {
                        Entry::Occupied(rows) => rows.into_mut(),
                        Entry::Vacant(free) => free.insert(later_events(run, of, i, *offset, dir)?),
                    };
                    rows.round(round, |place, event, raw| {
                        merge.values(of, &pass, place, event, raw)
                    })?;
                }
            }
        }
        let Merge { mut out, contents, .. } = merge;
        out.sync()?;
        contents.prove_events(&unfinished)?;
        let name = file_name(
            runs.iter().filter_map(|(run, _)| *run),
            self.attempts.first().and_then(|first| first.start_time),
        );
        let to = dir.join(name);
        fs::rename(&unfinished, &to).map_err(|error| Error::io("rename a file to", to, error))?;
        sync_dir(dir)
    }
}

/// Reads the run of attempt `i` for the rounds behind the first.
fn later_events(
    run: &PlannedRun,
    of: &EventRun,
    i: usize,
    offset: i64,
    scratch: &Path,
) -> Result<LaterEvents> {
    let parts = run.tags.iter().map(|tag| {
        let rounds = tag.parts.iter().enumerate().skip(1);
        let own = rounds.filter(|(_, part)| part.attempt == i + 1);
        (tag.tag.as_str(), own.map(|(round, part)| (part.steps, round)).collect::<Vec<_>>())
    });
    let parts: HashMap<_, _> = parts.filter(|(_, rounds)| !rounds.is_empty()).collect();
    LaterEvents::read(of, scratch, |tag, step| {
        let (step, rounds) = (step.saturating_add(offset), parts.get(tag)?);
        let place = rounds.partition_point(|(steps, _)| steps.last < step);
        rounds.get(place).filter(|(steps, _)| steps.has(step)).map(|(_, round)| *round)
    })
}

/// One reading of the run of an attempt, or of a part of its events.
struct Pass {
    offset: i64,
    /// The steps that are taken of each tag.
    parts: BTreeMap<String, TagPart>,
    /// Whether everything that is no value is.
    others: bool,
}

struct Merge<'a> {
    out: EventWriter,
    contents: Contents,
    /// Tags that have a value already.
    written: BTreeSet<String>,
    report: &'a mut EventReport,
    payload: Vec<u8>,
}

impl Merge<'_> {
    /// The first event of every file.
    fn version(&mut self, wall_time: Option<f64>) -> Result<()> {
        let what = Some(Message::FileVersion("brain.Event:2".into()));
        let wall_time = wall_time.unwrap_or_default();
        self.put(&Event { wall_time, what, ..Event::default() }.encode_to_vec())
    }

    fn pass(&mut self, run: &EventRun, pass: &Pass) -> Result<()> {
        run.again(|place, event, raw| match &event.what {
            What::FileVersion(_) => Ok(()),
            What::SessionLog(log) if log.status() == SessionStatus::Start => Ok(()),
            What::Summary(_) => self.values(run, pass, place, event, raw),
            _ if pass.others => self.shifted(event, raw, pass.offset),
            _ => Ok(()),
        })
    }

    /// Takes an event that has no values.
    fn shifted(&mut self, event: &EventView<'_>, raw: &RawEvent<'_>, offset: i64) -> Result<()> {
        if offset == 0 {
            return self.put(raw.payload);
        }
        let mut payload = Vec::new();
        set_step(raw.payload, event.step.saturating_add(offset), &mut payload)
            .map_err(|error| malformed(raw, error))?;
        self.put(&payload)
    }

    /// Takes those values of an event that are wanted.
    fn values(
        &mut self,
        run: &EventRun,
        pass: &Pass,
        place: u64,
        event: &EventView<'_>,
        raw: &RawEvent<'_>,
    ) -> Result<()> {
        let What::Summary(summary) = &event.what else { return Ok(()) };
        let step = event.step.saturating_add(pass.offset);
        let taken_back = run.purges.took(place, event.step);
        let (mut taken, mut all, mut bare) = (0u64, 0u64, false);
        for value in summary.located() {
            all += 1;
            let tag = value.view.tag;
            let wanted = pass.parts.get(tag).is_some_and(|part| part.steps.has(step));
            if wanted && !taken_back {
                taken += 1;
                bare |= !self.written.contains(tag) && metadata(value.message).is_none();
            }
        }
        // Each value is counted once, in the pass in which everything else is carried too.
        if pass.others && taken_back {
            self.report.taken_back += all;
        }
        self.report.values += taken;
        if taken == 0 {
            return Ok(());
        }
        if taken == all && pass.offset == 0 && !bare {
            summary.values().for_each(|value| self.note(value.tag));
            return self.put(raw.payload);
        }
        self.changed(run, pass, step, raw).map_err(|error| malformed(raw, error))?;
        let payload = std::mem::take(&mut self.payload);
        let put = self.put(&payload);
        self.payload = payload;
        put
    }

    fn note(&mut self, tag: &str) {
        if !self.written.contains(tag) {
            self.written.insert(tag.to_owned());
        }
    }

    /// Makes the event with the wanted values alone, at `step`. The first value of a tag gets the metadata that
    /// the first one had which is left out.
    fn changed(
        &mut self,
        run: &EventRun,
        pass: &Pass,
        step: i64,
        raw: &RawEvent<'_>,
    ) -> Result<(), Malformed> {
        let mut payload = Vec::new();
        splice(raw.payload, &mut payload, |field, out| {
            let Some(summary) = field.value.bytes().filter(|_| field.number == SUMMARY) else {
                return Ok::<_, Malformed>(Fate::Keep);
            };
            put_message(out, SUMMARY, |out| {
                splice(summary, out, |field, out| {
                    let Some(value) = field.value.bytes().filter(|_| field.number == VALUE) else {
                        return Ok::<_, Malformed>(Fate::Keep);
                    };
                    let view = ValueView::from_message(value)?;
                    if !pass.parts.get(view.tag).is_some_and(|part| part.steps.has(step)) {
                        return Ok(Fate::Drop);
                    }
                    let is_first = !self.written.contains(view.tag);
                    self.note(view.tag);
                    let known = run.tags.get(view.tag).and_then(|tag| tag.metadata.as_ref());
                    let Some(known) = known.filter(|_| is_first && metadata(value).is_none())
                    else {
                        return Ok(Fate::Keep);
                    };
                    put_message(out, VALUE, |out| {
                        out.extend_from_slice(value);
                        wire::put_bytes(out, METADATA, known);
                        Ok::<_, Malformed>(())
                    })?;
                    Ok(Fate::Drop)
                })
            })?;
            Ok(Fate::Drop)
        })?;
        self.payload.clear();
        set_step(&payload, step, &mut self.payload)
    }

    fn put(&mut self, payload: &[u8]) -> Result<()> {
        self.out.payload(payload)?;
        self.contents.add(payload);
        if self.out.buffered() >= FLUSH_LEN { self.out.flush() } else { Ok(()) }
    }
}

/// Appends an event with another step.
fn set_step(event: &[u8], step: i64, out: &mut Vec<u8>) -> Result<(), Malformed> {
    set_uint(event, STEP, (step != 0).then_some(step as u64), out)
}

fn malformed(raw: &RawEvent<'_>, error: Malformed) -> Error {
    let offset = raw.span.offset;
    Error::new(crate::ErrorKind::Message { offset, reason: error.to_string() })
}

/// What writers call their files, with the host of the oldest one.
fn file_name<'a>(mut runs: impl Iterator<Item = &'a EventRun>, start: Option<f64>) -> String {
    let host = runs.find_map(|run| event_file_host(run.files.first()?.file_name()?.to_str()?));
    let seconds = start.unwrap_or_default().max(0.0) as u64;
    format!("events.out.tfevents.{seconds:010}.{}", host.unwrap_or("merged"))
}

const STEP: u32 = 2;
const SUMMARY: u32 = 5;
const VALUE: u32 = 1;
const FLUSH_LEN: usize = 256 << 10;
