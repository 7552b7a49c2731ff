//! The two formats, as far as recovering tells them apart.

use super::ledger::Ledger;
use super::report::Format;
use crate::error::Result;
use crate::event::EventView;
use crate::framing::block_log::{BlockDecoder, BlockEncoder};
use crate::framing::tfrecord::{self, TfRecordDecoder};
use crate::framing::{Decoder, Span};
use crate::io::{Compression, Unpacked};
use crate::limits::Limits;
use crate::proto::wandb_internal::RunExitRecord;
use crate::record::{HistoryView, RawRecord, RecordKind};
use crate::tfevents::{RawEvent, compression};
use crate::wire;
use prost::Message;
use std::io::Read;

/// What a sound record says of its place among the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// Its number; 0 if it has none.
    pub(super) number: i64,
    /// The step it is of.
    pub(super) step: Option<i64>,
}

/// A format: how its records are read, judged and written.
pub(super) trait Form {
    type Decoder: Decoder;
    const FORMAT: Format;

    /// A decoder that reads whatever is readable.
    fn decoder(limits: &Limits) -> Self::Decoder;

    /// The bytes of a file, decompressed if they are compressed.
    fn source<R: Read>(from: R) -> Unpacked<R>;

    /// Appends what a file starts with.
    fn begin(&mut self, out: &mut Vec<u8>);

    /// What the record says.
    ///
    /// # Errors
    /// When it is not the message it should be.
    fn facts(&mut self, span: Span, payload: &[u8]) -> Result<Facts>;

    /// Appends a record.
    fn encode(&mut self, payload: &[u8], out: &mut Vec<u8>);

    /// Appends a record that stands in one piece, `framed`, whose checksum was found right.
    fn take_over(&mut self, framed: &[u8], out: &mut Vec<u8>);

    /// The record to add at the end, if one is wanted and missing.
    fn finish(&mut self, _ledger: &mut Ledger) -> Option<Vec<u8>> {
        None
    }
}

/// The `.wandb` log.
#[derive(Debug)]
pub(super) struct LogForm {
    encoder: BlockEncoder,
    /// Whether an exit record is to be added.
    finish: bool,
    exit_seen: bool,
    /// The last row's seconds since the run began, which an exit record states.
    runtime: f64,
}

impl LogForm {
    pub(super) fn new(finish: bool) -> Self {
        Self { encoder: BlockEncoder::resume(0), finish, exit_seen: false, runtime: 0.0 }
    }
}

impl Form for LogForm {
    type Decoder = BlockDecoder;
    const FORMAT: Format = Format::Log;

    fn decoder(limits: &Limits) -> BlockDecoder {
        BlockDecoder::new(limits.record_len).any_header(true)
    }

    fn source<R: Read>(from: R) -> Unpacked<R> {
        Unpacked::new(from, Compression::by_magic)
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        self.encoder = BlockEncoder::new(out);
    }

    fn facts(&mut self, span: Span, payload: &[u8]) -> Result<Facts> {
        let record = RawRecord::new(span, payload);
        if let Some((number, row)) = record.as_row()
            && let Ok(step) = row.checked_step()
        {
            if self.finish {
                self.runtime = runtime(&row).unwrap_or(self.runtime);
            }
            return Ok(Facts { number, step });
        }
        record.check()?;
        let mut facts = Facts { number: record.num()?, step: None };
        let Some(body) = record.body()? else { return Ok(facts) };
        match body.kind {
            RecordKind::History => {
                let row = HistoryView::new(&body.message);
                facts.step = row.step().map_err(|error| record.malformed(error))?;
                if self.finish {
                    self.runtime = runtime(&row).unwrap_or(self.runtime);
                }
            }
            RecordKind::Exit => self.exit_seen = true,
            _ => {}
        }
        Ok(facts)
    }

    fn encode(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        self.encoder.record(payload, out);
    }

    fn take_over(&mut self, framed: &[u8], out: &mut Vec<u8>) {
        self.encoder.chunk(framed, out);
    }

    fn finish(&mut self, ledger: &mut Ledger) -> Option<Vec<u8>> {
        if !self.finish || self.exit_seen {
            return None;
        }
        let runtime = self.runtime as i32;
        let exit = RunExitRecord { exit_code: CRASHED, runtime, ..RunExitRecord::default() };
        let mut payload = Vec::new();
        if let Some(number) = ledger.add() {
            wire::put_uint(&mut payload, NUM, number);
        }
        wire::put_bytes(&mut payload, RecordKind::Exit.field(), &exit.encode_to_vec());
        Some(payload)
    }
}

fn runtime(row: &HistoryView<'_>) -> Option<f64> {
    let items = row.items().filter_map(std::result::Result::ok);
    let item = items.filter(|item| item.path.single() == Some("_runtime")).last()?;
    let mut text = Vec::new();
    item.value.put_json(&mut text);
    std::str::from_utf8(&text).ok()?.parse().ok()
}

/// The TensorBoard event file.
#[derive(Debug)]
pub(super) struct EventForm;

impl Form for EventForm {
    type Decoder = TfRecordDecoder;
    const FORMAT: Format = Format::Events;

    fn decoder(limits: &Limits) -> TfRecordDecoder {
        TfRecordDecoder::new(limits.record_len)
    }

    fn source<R: Read>(from: R) -> Unpacked<R> {
        Unpacked::new(from, compression)
    }

    fn begin(&mut self, _out: &mut Vec<u8>) {}

    fn facts(&mut self, span: Span, payload: &[u8]) -> Result<Facts> {
        let event: EventView<'_> = RawEvent { span, payload, suspect: None }.view()?;
        Ok(Facts { number: 0, step: Some(event.step) })
    }

    fn encode(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        tfrecord::encode(payload, out);
    }

    fn take_over(&mut self, framed: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(framed);
    }
}

/// The exit code that `wandb sync` gives a run without an exit record.
const CRASHED: i32 = 1;

/// `Record.num`.
const NUM: u32 = 1;
