//! The second reading of a log, which writes the new one.

use super::Stop;
use super::internal::put_internal;
use super::keys::{KeyMap, Media, Place};
use super::metric::Globs;
use super::options::Options;
use super::report::Ledger;
use super::survey::{Survey, Thinning};
use super::values::put_config;
use crate::error::{Error, Result};
use crate::io::Source;
use crate::json::Value;
use crate::log::Reader;
use crate::record::{Body, HistoryView, RawRecord, RecordKind};
use crate::rewrite::{
    Fate, Identity, Leaves, OwnSummary, Rewriter, RowSteps, fold, leaves, put_files, put_item,
    put_leaves, put_message, put_row, put_step, set, splice, splice_items,
};
use crate::run::RunState;
use std::collections::BTreeSet;
use std::io::Write;

/// What is to be made of a log.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    options: &'a Options,
    survey: &'a Survey,
    identity: &'a Identity,
    /// The id the run had.
    old_id: &'a str,
    pub(super) keys: KeyMap<'a>,
    globs: Globs,
    pub(super) files_left_out: BTreeSet<String>,
    /// Whether the summary is made anew of the rows that are kept.
    pub(super) refolds: bool,
    /// Those rows, as they are written, and the metric definitions.
    kept: RunState,
    steps: RowSteps,
    row: u64,
    thinning: Thinning,
    /// The body of a record that is changed.
    body: Vec<u8>,
    /// Definitions to be added behind the record at hand.
    definitions: Vec<Vec<u8>>,
    payload: Vec<u8>,
    pub(super) ledger: Ledger,
    pub(super) undecodable: u64,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Keep,
    /// It has another body.
    Change,
    Drop,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        options: &'a Options,
        survey: &'a Survey,
        identity: &'a Identity,
        old_id: &'a str,
    ) -> Result<Self> {
        let mut keys = KeyMap::new(&options.keys);
        let mut globs = Globs::default();
        let mut files_left_out = BTreeSet::new();
        if !keys.is_none() {
            globs = Globs::place(&mut keys, survey)?;
        }
        for (file, named_by) in &survey.files {
            let mut stays = false;
            for key in named_by {
                let key: Vec<_> = key.iter().map(String::as_str).collect();
                stays |= keys.is_none() || *keys.place(&key, || None)? != Place::Gone;
            }
            if !stays {
                files_left_out.insert(file.clone());
            }
        }
        let refolds = match survey.has_summary() {
            true => survey.dropped_rows > 0,
            // What is set would be all there is.
            false => !options.summary.is_none(),
        };
        Ok(Self {
            options,
            survey,
            identity,
            old_id,
            keys,
            globs,
            files_left_out,
            refolds,
            kept: RunState::default(),
            steps: RowSteps::default(),
            row: 0,
            thinning: Thinning::new(options.rows.every),
            body: Vec::new(),
            definitions: Vec::new(),
            payload: Vec::new(),
            ledger: Ledger::default(),
            undecodable: 0,
        })
    }

    /// Reads the log `from`, leniently, and writes `to`.
    pub(super) fn run<S: Source, W: Write>(
        &mut self,
        mut from: Reader<S>,
        to: &mut Rewriter<W>,
    ) -> Result<()> {
        let mut index = 0;
        while let Some(record) = from.next_record()? {
            if index == self.survey.tail_at {
                self.tail(to)?;
            }
            index += 1;
            self.record(&record, to)?;
        }
        if index <= self.survey.tail_at {
            self.tail(to)?;
        }
        Ok(())
    }

    #[inline]
    fn record<W: Write>(&mut self, record: &RawRecord<'_>, to: &mut Rewriter<W>) -> Result<()> {
        let Ok(body) = record.body() else {
            self.undecodable += 1;
            return Ok(());
        };
        let Some(body) = body else {
            self.ledger.keep(None);
            return to.keep(record);
        };
        self.body.clear();
        match self.outcome(&body) {
            Ok(outcome) => self.put(record, &body, outcome, to),
            Err(Stop::Malformed) => {
                self.undecodable += 1;
                Ok(())
            }
            Err(Stop::Error(error)) => Err(error),
        }
    }

    #[inline]
    fn outcome(&mut self, body: &Body<'_>) -> Result<Outcome, Stop> {
        let message = &*body.message;
        let edits_config = !self.options.config.is_none();
        match body.kind {
            RecordKind::History => self.history(message),
            RecordKind::Summary => self.summary(message),
            RecordKind::Run if *self.identity != Identity::default() || edits_config => {
                self.run_record(message)?;
                Ok(self.changed(message))
            }
            RecordKind::Config if edits_config || !self.keys.is_none() => {
                let mut config = Vec::with_capacity(message.len());
                put_config(&self.options.config, message, false, &mut config)?;
                put_internal(&mut self.keys, &config, &mut self.body)?;
                Ok(self.changed(message))
            }
            RecordKind::Metric if !self.keys.is_none() => {
                let Self { globs, keys, body, definitions, .. } = self;
                let is_for_any = globs.put(keys, message, body, definitions)?;
                Ok(if is_for_any { self.changed(message) } else { Outcome::Drop })
            }
            RecordKind::Files if !self.files_left_out.is_empty() => {
                let left_out = &self.files_left_out;
                let any = put_files(message, &mut self.body, |path| left_out.contains(path))?;
                Ok(if any { self.changed(message) } else { Outcome::Drop })
            }
            RecordKind::Artifact if self.identity.is_in_artifacts() => {
                self.identity.put_artifact(self.old_id, message, &mut self.body)?;
                Ok(self.changed(message))
            }
            _ => Ok(Outcome::Keep),
        }
    }

    /// What the body that was made comes to, beside the one there was.
    fn changed(&self, message: &[u8]) -> Outcome {
        match self.body == message {
            true => Outcome::Keep,
            false if self.body.is_empty() => Outcome::Drop,
            false => Outcome::Change,
        }
    }

    fn put<W: Write>(
        &mut self,
        record: &RawRecord<'_>,
        body: &Body<'_>,
        outcome: Outcome,
        to: &mut Rewriter<W>,
    ) -> Result<()> {
        let offset = record.span.offset;
        if outcome == Outcome::Drop {
            self.ledger.drop(offset, body.kind, &body.message);
        } else {
            self.payload.clear();
            let renamed = self
                .identity
                .put_stream(self.old_id, record.payload, &mut self.payload)
                .map_err(|error| record.malformed(error))?;
            let new = if outcome == Outcome::Change { &self.body } else { &*body.message };
            if renamed {
                to.replace(&RawRecord::new(record.span, &self.payload), new)?;
            } else if outcome == Outcome::Change {
                to.replace(record, new)?;
            } else {
                to.keep(record)?;
            }
            match renamed || outcome == Outcome::Change {
                true => self.ledger.change(offset, body.kind, &body.message, new),
                false => self.ledger.keep(Some(body.kind)),
            }
            if self.refolds && matches!(body.kind, RecordKind::History | RecordKind::Metric) {
                fold(&mut self.kept, body.kind, new);
            }
        }
        for definition in std::mem::take(&mut self.definitions) {
            to.add(RecordKind::Metric, &definition)?;
            self.ledger.add(RecordKind::Metric, &definition);
            fold(&mut self.kept, RecordKind::Metric, &definition);
        }
        Ok(())
    }

    fn history(&mut self, message: &[u8]) -> Result<Outcome, Stop> {
        let rows = &self.options.rows;
        if rows.is_none() && self.keys.is_none() && !self.refolds {
            return Ok(Outcome::Keep);
        }
        let row = self.row;
        self.row += 1;
        let view = HistoryView::new(message);
        view.check()?;
        let stated = view.step()?;
        let step = self.steps.next(stated);
        if rows.drops(&view, step)
            || self.survey.superseded.binary_search(&row).is_ok()
            || !self.thinning.keeps_next()
        {
            return Ok(Outcome::Drop);
        }
        // Where rows go, those behind them that state no step would be counted anew.
        let states = (!rows.is_none() && stated.is_none()) || rows.shift != 0;
        let step = if states { Some(shifted(step, rows.shift)?) } else { None };
        if step.is_none() && self.keys.is_none() {
            return Ok(Outcome::Keep);
        }
        let (keys, media) = (&mut self.keys, Media::of(message));
        put_row(message, step, &mut self.body, |item, out| match keys.is_none() {
            true => Ok(Fate::Keep),
            false => keys.put(RecordKind::History, &media, &item, out),
        })?;
        Ok(self.changed(message))
    }

    fn summary(&mut self, message: &[u8]) -> Result<Outcome, Stop> {
        if self.refolds {
            return Ok(Outcome::Drop);
        }
        let shift = self.options.rows.shift;
        if self.keys.is_none() && shift == 0 {
            return Ok(Outcome::Keep);
        }
        let (keys, media) = (&mut self.keys, Media::of(message));
        splice_items(RecordKind::Summary, message, &mut self.body, |item, out| {
            if item.is("_step")
                && let Some(step) = item.view.value.as_integer()
            {
                return Ok(put_step(&item, shifted(step, shift)?, out)?);
            }
            match keys.is_none() {
                true => Ok(Fate::Keep),
                false => keys.put(RecordKind::Summary, &media, &item, out),
            }
        })?;
        Ok(self.changed(message))
    }

    fn run_record(&mut self, message: &[u8]) -> Result<(), Stop> {
        let config = &self.options.config;
        if config.is_none() {
            return Ok(self.identity.put_run(message, &mut self.body)?);
        }
        let mut named = Vec::new();
        self.identity.put_run(message, &mut named)?;
        let mut set = true;
        splice(&named, &mut self.body, |field, out| {
            let Some(part) = field.value.bytes().filter(|_| field.number == CONFIG) else {
                return Ok::<_, Stop>(Fate::Keep);
            };
            let set = std::mem::take(&mut set);
            put_message(out, CONFIG, |out| put_config(config, part, set, out))?;
            Ok(Fate::Drop)
        })?;
        if set && !config.set.is_empty() {
            put_message(&mut self.body, CONFIG, |out| put_config(config, &[], true, out))?;
        }
        Ok(())
    }

    /// Adds what the summary is once all rows and records have had their effect.
    fn tail<W: Write>(&mut self, to: &mut Rewriter<W>) -> Result<()> {
        let edit = &self.options.summary;
        let mut body = Vec::new();
        if self.refolds {
            put_leaves(&self.summary_of_kept()?, &mut body);
        } else {
            put_leaves(&edit.set.iter().cloned().collect(), &mut body);
            for path in &edit.remove {
                put_item(REMOVE, path.iter().map(String::as_str), "", &mut body);
            }
        }
        if body.is_empty() {
            return Ok(());
        }
        self.ledger.add(RecordKind::Summary, &body);
        to.add(RecordKind::Summary, &body)
    }

    fn summary_of_kept(&mut self) -> Result<Leaves> {
        let (state, options) = (&self.survey.state, self.options);
        let mut summary = leaves(self.kept.summary());
        let whole = !self.survey.damage.is_lossy();
        let own = OwnSummary::of(state, &self.survey.rows, whole);
        let keys = &mut self.keys;
        let place = |path: &[String]| {
            let key: Vec<_> = path.iter().map(String::as_str).collect();
            Ok::<_, Error>(match keys.place(&key, || None)? {
                Place::Same => Some(path.to_vec()),
                Place::Gone => None,
                Place::At(path) => Some(path.clone()),
            })
        };
        own.apply(&mut summary, place, Value::clone)?;
        // The run took as long as it did.
        if let Some(runtime) = state.summary().get("_runtime") {
            set(&mut summary, vec!["_runtime".into()], runtime.clone());
        }
        for (path, value) in leaves(state.summary_internal()) {
            if !path.is_empty() {
                summary.insert([vec!["_wandb".into()], path].concat(), value);
            }
        }
        for path in &options.summary.remove {
            summary.retain(|other, _| !other.starts_with(path));
        }
        for (path, value) in &options.summary.set {
            set(&mut summary, path.clone(), value.clone());
        }
        Ok(summary)
    }
}

fn shifted(step: i64, shift: i64) -> Result<i64> {
    let shifted = step.checked_add(shift).filter(|shifted| *shifted >= 0);
    shifted.ok_or_else(|| {
        Error::misuse(format!("step {step} would become less than 0, or too large, by {shift:+}"))
    })
}

const CONFIG: u32 = 4;
const REMOVE: u32 = 2;
