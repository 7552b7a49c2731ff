//! The merged log and what was written to it so far: everything that is no row goes through here.

use super::files::Renames;
use super::head::Head;
use crate::error::Result;
use crate::framing::Span;
use crate::record::{RawRecord, RecordKind};
use crate::rewrite::{Fate, Leaves, Rewriter, fold, put_item, put_leaves, set_uint, splice_items};
use crate::run::RunState;
use crate::wire::{self, Malformed};
use std::collections::HashMap;

/// Carries records to the merged log.
#[derive(Debug)]
pub(super) struct Carrier<'a> {
    pub(super) log: &'a mut Rewriter,
    /// The rows that are kept, as they are written, and the metric definitions.
    pub(super) kept: RunState,
    /// The last definition of each metric.
    definitions: HashMap<Vec<u8>, Vec<u8>>,
    /// How many records say that a segment was being preempted, behind which another one goes on.
    pub(super) preemptings: u64,
    /// What the run ends with.
    last: Vec<(RecordKind, Vec<u8>)>,
    body: Vec<u8>,
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    /// The files that have another name now.
    pub(super) renames: &'a Renames,
    /// Whether the run ends as this segment does.
    pub(super) is_last: bool,
    /// Whether the run's environment is that of this segment.
    pub(super) has_machine: bool,
}

impl<'a> Carrier<'a> {
    pub(super) fn new(log: &'a mut Rewriter) -> Self {
        Self {
            log,
            kept: RunState::default(),
            definitions: HashMap::new(),
            preemptings: 0,
            last: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Who wrote it, as the newest segment says, what run it is, and what the clients say of themselves.
    pub(super) fn head(&mut self, head: &Head<'_>) -> Result<()> {
        let mut headers = head.segments.iter().rev().filter_map(|segment| segment.header.as_ref());
        if let Some(header) = headers.next() {
            self.log.add(RecordKind::Header, header)?;
        }
        self.log.add(RecordKind::Run, &head.run_record()?)?;
        let telemetry = head.telemetry()?;
        if telemetry.is_empty() { Ok(()) } else { self.log.add(RecordKind::Telemetry, &telemetry) }
    }

    /// Takes what is no row.
    pub(super) fn take(
        &mut self,
        record: &RawRecord<'_>,
        kind: RecordKind,
        body: &[u8],
        of: &Source<'_>,
    ) -> Result<()> {
        // W&B's reader would stop at it. It was reported when the segment was read.
        if record.check().is_err() {
            return Ok(());
        }
        match kind {
            // They are made anew.
            RecordKind::Header | RecordKind::Run | RecordKind::Summary | RecordKind::Telemetry => {
                Ok(())
            }
            RecordKind::Exit | RecordKind::Final | RecordKind::Footer => {
                if of.is_last {
                    self.last.push((kind, body.to_vec()));
                }
                Ok(())
            }
            RecordKind::Preempting if !of.is_last => {
                self.preemptings += 1;
                Ok(())
            }
            // Those of a log are merged by who reads them, and then all lists would be there twice.
            RecordKind::Environment if !of.has_machine => Ok(()),
            RecordKind::Metric if self.is_news(body) => self.log.keep(record),
            RecordKind::Metric => Ok(()),
            RecordKind::Config => self.config(record, body),
            RecordKind::Files if !of.renames.is_empty() => {
                self.body.clear();
                match of.renames.splice_files(body, &mut self.body) {
                    Ok(true) => self.log.replace(record, &self.body),
                    _ => self.log.keep(record),
                }
            }
            _ => self.log.keep(record),
        }
    }

    /// Whether a metric definition is another than the one before of that name.
    pub(super) fn is_news(&mut self, body: &[u8]) -> bool {
        let mut name = Vec::new();
        for field in wire::Fields::new(body).flatten().filter(|field| field.number <= GLOB_NAME) {
            wire::put_bytes(&mut name, field.number, field.value.bytes().unwrap_or_default());
        }
        if self.definitions.insert(name, body.to_vec()).is_some_and(|old| old == body) {
            return false;
        }
        // One that cannot be read defines nothing.
        fold(&mut self.kept, RecordKind::Metric, body);
        true
    }

    /// Of changes to the config W&B's own part is taken; the rest of it stands in front.
    fn config(&mut self, record: &RawRecord<'_>, body: &[u8]) -> Result<()> {
        self.body.clear();
        let mut taken = 0u64;
        let changed = splice_items(RecordKind::Config, body, &mut self.body, |item, _| {
            let is_internal = item.view.path.elements().next() == Some("_wandb");
            taken += u64::from(is_internal);
            Ok(if is_internal { Fate::Keep } else { Fate::Drop })
        })
        .map_err(|error: Malformed| record.malformed(error))?;
        match changed {
            _ if taken == 0 => Ok(()),
            false => self.log.keep(record),
            true => self.log.replace(record, &self.body),
        }
    }

    /// The summary, and how the run ended. It ran `runtime` seconds.
    pub(super) fn end(&mut self, summary: &Leaves, runtime: f64) -> Result<()> {
        self.body.clear();
        put_leaves(summary, &mut self.body);
        let seconds = (runtime as i64).to_string();
        put_item(UPDATE, ["_wandb", "runtime"], &seconds, &mut self.body);
        self.log.add(RecordKind::Summary, &self.body)?;
        for (kind, body) in std::mem::take(&mut self.last) {
            self.body.clear();
            if kind == RecordKind::Exit {
                set_uint(&body, EXIT_RUNTIME, Some(runtime as u64), &mut self.body)
                    .map_err(|error| RawRecord::new(NOWHERE, &body).malformed(error))?;
            } else {
                self.body.extend_from_slice(&body);
            }
            self.log.add(kind, &self.body)?;
        }
        Ok(())
    }
}

/// The place of a record that is in no file yet.
pub(super) const NOWHERE: Span = Span { offset: 0, length: 0 };

const GLOB_NAME: u32 = 2;
const EXIT_RUNTIME: u32 = 2;
const UPDATE: u32 = 1;
