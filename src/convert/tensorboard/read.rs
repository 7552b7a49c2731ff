//! The first pass: all events of a run, to points.

use super::Progress;
use super::config::HParams;
use super::options::{Options, Restart};
use super::payload::Sources;
use super::plan::Group;
use super::points::{Kind, Point, PointStore};
use super::report::{Damage, FileError, Reason, RunReport};
use super::scratch::Scratch;
use super::values::{Part, Plugin};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{
    EventView, LocatedValue, ScalarValue, SessionStatus, SummaryView, ValueKind, ValueView, What,
};
use crate::framing::tfrecord::HEADER_LEN;
use crate::framing::{Span, Tail, TailKind};
use crate::limits::Limits;
use crate::record::KeyRule;
use crate::tfevents::{EventReader, EventReaderOptions, Sample, SeriesTable};
use std::path::Path;

/// What the events of a run come to, beside its points.
pub(super) struct Reading<'a> {
    report: &'a mut RunReport,
    observe: &'a (dyn Fn(Progress<'_>) + Sync),
    restart: Restart,
    suspects: bool,
    key_rule: KeyRule,
    /// Whether the event at hand does not match its checksum.
    suspect: bool,
    /// Where the message of the event at hand stands in its file, if it stands there as it is.
    place: Option<u64>,
    scratch: Scratch,
    pub(super) points: PointStore,
    pub(super) sources: Sources,
    pub(super) series: Vec<SeriesInfo>,
    pub(super) hparams: HParams,
    pub(super) times: Option<Times>,
    /// The lowest step of a point.
    pub(super) lowest_step: i64,
    seq: u64,
}

/// A series.
pub(super) struct SeriesInfo {
    pub group: u32,
    /// The tag, with the prefix of the group in front.
    pub tag: String,
    /// The key it is to have, if nothing else has it.
    pub key: String,
    pub plugin: Plugin,
    /// Which part of a mesh it is.
    pub mesh: Option<Part>,
}

/// Which series of the run a series of the table is.
#[derive(Clone, Copy)]
enum Number {
    /// None yet.
    New,
    /// None, for it is not wanted.
    NotWanted,
    Of(u32),
}

/// Earliest and latest wall time of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub first: f64,
    pub last: f64,
}

/// What is known about the files of a group while they are read.
struct State {
    group: u32,
    prefix: String,
    table: SeriesTable,
    /// From the numbers of the table to those of the run.
    numbers: Vec<Number>,
    version: f64,
    sessions: u64,
    last_summary: Option<i64>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        report: &'a mut RunReport,
        observe: &'a (dyn Fn(Progress<'_>) + Sync),
        options: &Options,
        scratch: Scratch,
        memory: usize,
    ) -> Self {
        Self {
            report,
            observe,
            restart: options.restart,
            suspects: options.suspects,
            key_rule: options.key_rule.clone(),
            suspect: false,
            place: None,
            points: PointStore::new(memory, scratch.clone()),
            sources: Sources::default(),
            scratch,
            series: Vec::new(),
            hparams: HParams::default(),
            times: None,
            lowest_step: i64::MAX,
            seq: 0,
        }
    }

    /// Reads the files of one group, in their order, as one stream.
    pub(super) fn group(&mut self, number: u32, group: &Group) -> Result<()> {
        let mut state = State {
            group: number,
            prefix: group.prefix.clone(),
            table: SeriesTable::new(),
            numbers: Vec::new(),
            version: 0.0,
            sessions: 0,
            last_summary: None,
        };
        for file in &group.files {
            self.file(file, &mut state)?;
        }
        Ok(())
    }

    /// Reads a file as far as it can be read. That it cannot be, or not to its end, is no reason to give
    /// up the others.
    fn file(&mut self, path: &Path, state: &mut State) -> Result<()> {
        let options = EventReaderOptions::default().lenient(true).suspects(self.suspects);
        let mut reader = match options.open(path) {
            Ok(reader) => reader,
            Err(error) => {
                self.report.unreadable.push(FileError::new(path, &error));
                return Ok(());
            }
        };
        self.report.files += 1;
        self.sources.begin(path, self.seq + 1);
        let mut told = 0;
        let mut places = Places { file: path, damage: Vec::new(), more: 0 };
        loop {
            let plain = reader.is_plain();
            let raw = match reader.next_event() {
                Ok(Some(raw)) => raw,
                Ok(None) => break,
                Err(error) => {
                    self.report.unreadable.push(FileError::new(path, &error));
                    break;
                }
            };
            self.place = plain.then_some(raw.span.offset + HEADER_LEN as u64);
            let position = raw.span.offset + raw.span.length;
            let view = raw.view();
            self.suspect = raw.suspect.is_some();
            match (&view, raw.suspect) {
                (Ok(_), None) => {}
                (Ok(_), Some(fault)) => {
                    self.report.suspect_events += 1;
                    places.add(raw.span, format!("{}; carried as it reads", fault.kind));
                }
                (Err(_), Some(fault)) => places.add(raw.span, fault.kind.to_string()),
                (Err(error), None) => places.add(raw.span, reason(error)),
            }
            match view {
                Ok(event) => self.event(&event, state)?,
                Err(_) => self.report.leave_out(Reason::BadEvent, "", 1),
            }
            if position - told >= TELL_EVERY {
                (self.observe)(Progress::Read(position - told));
                told = position;
            }
        }
        self.report.damage.extend(places.end(&reader));
        Ok(())
    }

    fn event(&mut self, event: &EventView<'_>, state: &mut State) -> Result<()> {
        self.report.events += 1;
        let dated = event.wall_time.is_finite();
        let in_calendar = CALENDAR.contains(&event.wall_time);
        self.report.odd_wall_times += u64::from(dated && !in_calendar);
        if in_calendar && !self.suspect {
            let times = Times { first: event.wall_time, last: event.wall_time };
            let times = self.times.get_or_insert(times);
            times.first = times.first.min(event.wall_time);
            times.last = times.last.max(event.wall_time);
        }
        match &event.what {
            What::Summary(summary) => self.summary(event, summary, dated, state)?,
            // One flipped bit must not remove half a log, so what does not match its checksum has no say
            // in restarts.
            What::FileVersion(_) | What::SessionLog(_) if self.suspect => {}
            What::FileVersion(version) => state.version = parse_version(version),
            What::SessionLog(log) => {
                if self.restart == Restart::Session && log.status() == SessionStatus::Start {
                    self.session_start(event.step, state)?;
                }
            }
            What::GraphDef(_) => self.unsupported("graph"),
            What::MetaGraphDef(_) => self.unsupported("meta graph"),
            What::TaggedRunMetadata(_) => self.unsupported("run metadata"),
            What::LogMessage(_) => self.unsupported("log message"),
            What::None => {}
        }
        Ok(())
    }

    /// TensorBoard's Python reader takes a session's start for a restart only from the second one on.
    fn session_start(&mut self, step: i64, state: &mut State) -> Result<()> {
        state.sessions += 1;
        if state.version >= 2.0 && state.sessions >= 2 {
            self.seq += 1;
            self.points.push(Point::purge(step, self.seq, state.group, Kind::PurgeGroup))?;
        }
        Ok(())
    }

    fn summary(
        &mut self,
        event: &EventView<'_>,
        summary: &SummaryView<'_>,
        dated: bool,
        state: &mut State,
    ) -> Result<()> {
        let back = self.restart == Restart::Session
            && !self.suspect
            && state.version < 2.0
            && state.last_summary.is_some_and(|last| event.step < last);
        if !self.suspect {
            state.last_summary = Some(event.step);
        }
        if back {
            // Before any of the values, for the same tag may come twice.
            for value in summary.values() {
                let (number, _) = state.table.sample(&value);
                if let Some(Number::Of(series)) = state.numbers.get(number as usize) {
                    self.seq += 1;
                    let purge = Point::purge(event.step, self.seq, *series, Kind::PurgeSeries);
                    self.points.push(purge)?;
                }
            }
        }
        for value in summary.located() {
            let (number, sample) = state.table.sample(&value.view);
            match sample {
                Sample::Scalar(scalar) if dated => {
                    if let Some(series) = self.series_number(number, &value.view, state) {
                        self.scalar(event, series, scalar)?;
                    }
                }
                Sample::Scalar(_) => self.report.leave_out(Reason::WallTime, "", 1),
                Sample::Unfit(why) => {
                    self.report.leave_out(Reason::NotScalar, &why.to_string(), 1);
                }
                Sample::Other => self.other(event, number, &value, dated, state)?,
            }
        }
        Ok(())
    }

    #[inline]
    fn scalar(&mut self, event: &EventView<'_>, series: u32, value: ScalarValue) -> Result<()> {
        self.seq += 1;
        let point = Point::new(event.step, self.seq, event.wall_time, series, value);
        self.point(point)
    }

    #[inline]
    fn point(&mut self, mut point: Point) -> Result<()> {
        point.suspect = self.suspect;
        if self.suspect && point.step < self.lowest_step.min(0) {
            // It would change what `_step` is for the whole run.
            self.report.leave_out(Reason::BadEvent, "", 1);
            return Ok(());
        }
        self.lowest_step = self.lowest_step.min(point.step);
        self.points.push(point)
    }

    /// A value of a series of something else than scalars. To carry one more kind of value, begin here.
    fn other(
        &mut self,
        event: &EventView<'_>,
        number: u32,
        value: &LocatedValue<'_>,
        dated: bool,
        state: &mut State,
    ) -> Result<()> {
        let LocatedValue { view, message, offset, .. } = value;
        let name = state.table.series().get(number as usize).map_or("", |series| &series.plugin);
        // The first value of the series, which says what it is, may be lost to damage.
        let own = || view.metadata.as_ref().map_or("", |metadata| metadata.plugin_name());
        let name = if name.is_empty() { own() } else { name };
        let plugin = Plugin::of(name);
        let scalar = match (plugin, &view.kind) {
            (Plugin::HParams, _) => {
                let content = view.metadata.as_ref().map_or(&[][..], |m| m.plugin_content());
                if !self.hparams.take(content, &state.prefix) {
                    self.unsupported(name);
                }
                return Ok(());
            }
            (Plugin::CustomScalars, ValueKind::Tensor(tensor)) => {
                if !tensor.strings().next().is_some_and(|layout| self.hparams.take_layout(layout)) {
                    self.unsupported(name);
                }
                return Ok(());
            }
            (Plugin::Graph, _) | (_, ValueKind::OldHistogram(_) | ValueKind::None) => {
                self.unsupported(if name.is_empty() { view.kind.name() } else { name });
                return Ok(());
            }
            (_, ValueKind::Simple(_)) | (Plugin::Other, _) => view.scalar().ok(),
            _ => None,
        };
        if !dated {
            self.report.leave_out(Reason::WallTime, "", 1);
            return Ok(());
        }
        let Some(series) = self.series_number(number, view, state) else { return Ok(()) };
        if let Some(scalar) = scalar {
            return self.scalar(event, series, scalar);
        }
        self.seq += 1;
        let at = match (self.place, *offset) {
            (Some(place), Some(offset)) => place + offset as u64,
            _ => self.sources.keep(message, &self.scratch)?,
        };
        self.point(Point::payload(event.step, self.seq, event.wall_time, series, at))
    }

    fn unsupported(&mut self, what: &str) {
        self.report.leave_out(Reason::Unsupported, what, 1);
    }

    /// The number of the value's series; `None` if it is not wanted, which is noted.
    #[inline]
    fn series_number(
        &mut self,
        in_table: u32,
        value: &ValueView<'_>,
        state: &mut State,
    ) -> Option<u32> {
        let known = state.numbers.get(in_table as usize).copied().unwrap_or(Number::New);
        let number = match known {
            Number::New => self.add_series(in_table, value, state),
            known => known,
        };
        match number {
            Number::Of(number) => Some(number),
            _ => {
                self.report.leave_out(Reason::NotWanted, "", 1);
                None
            }
        }
    }

    #[cold]
    fn add_series(&mut self, in_table: u32, value: &ValueView<'_>, state: &mut State) -> Number {
        let at = in_table as usize;
        let plugin = state.table.series().get(at).map_or("", |series| &series.plugin);
        let plugin = Plugin::of(plugin);
        let tag = format!("{}{}", state.prefix, value.tag);
        let number = match self.key_rule.key(&tag) {
            None => Number::NotWanted,
            Some(key) => {
                let mut mesh = None;
                if let Some(metadata) = &value.metadata {
                    self.hparams.take_tag(&tag, metadata.display_name(), metadata.description());
                    if plugin == Plugin::Mesh {
                        mesh = Part::of(metadata.plugin_content());
                    }
                }
                let number = self.series.len() as u32;
                self.series.push(SeriesInfo { group: state.group, tag, key, plugin, mesh });
                Number::Of(number)
            }
        };
        if state.numbers.len() <= at {
            state.numbers.resize(at + 1, Number::New);
        }
        if let Some(slot) = state.numbers.get_mut(at) {
            *slot = number;
        }
        number
    }
}

/// Where a file is damaged, as far as that is kept.
struct Places<'a> {
    file: &'a Path,
    damage: Vec<Damage>,
    more: u64,
}

impl Places<'_> {
    fn add(&mut self, span: Span, what: String) {
        if self.damage.len() >= Limits::DEFAULT.gaps_kept {
            self.more += 1;
            return;
        }
        let (offset, length) = (span.offset, span.length);
        self.damage.push(Damage { file: self.file.to_owned(), offset, length, what });
    }

    /// Adds what the reader passed over, and how the file ends.
    fn end(mut self, reader: &EventReader) -> Vec<Damage> {
        let at = |offset, length, what| Damage { file: self.file.to_owned(), offset, length, what };
        let gaps = reader.gaps();
        let kept = gaps.gaps().iter();
        self.damage.extend(kept.map(|gap| at(gap.offset, gap.length, gap.fault.kind.to_string())));
        self.damage.sort_by_key(|damage| damage.offset);
        let more = self.more + gaps.count() - gaps.gaps().len() as u64;
        if more > 0 {
            self.damage.push(at(0, 0, format!("{more} more places, not listed")));
        }
        let cut = |tail: &Tail| !matches!(tail.kind, TailKind::Clean | TailKind::Empty);
        if let Some(tail) = reader.tail().filter(cut) {
            self.damage.push(at(tail.offset, tail.length, format!("cut inside {}", tail.kind)));
        }
        self.damage
    }
}

/// What is wrong with a message; the report says where by itself.
fn reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::Message { reason, .. } => format!("not an event: {reason}"),
        _ => error.to_string(),
    }
}

/// `brain.Event:2` is version 2; what cannot be read is older than anything.
fn parse_version(text: &str) -> f64 {
    let number = text.rsplit_once("brain.Event:").map(|(_, number)| number);
    number.and_then(|number| number.parse().ok()).unwrap_or(-1.0)
}

const TELL_EVERY: u64 = 1 << 20;

/// Wall times that a calendar has: what lies outside is a mistake of unit or of the clock, and W&B's tools
/// show no run that starts there.
const CALENDAR: std::ops::RangeInclusive<f64> = 1.0..=253_402_300_799.0;
