//! The new log, record by record.

use super::contents::{Contents, NUM, split_num};
use super::splice::{Fate, splice};
use crate::error::Result;
use crate::log::LogWriter;
use crate::record::{RawRecord, RecordKind};
use crate::wire::{self, Malformed};
use serde::Serialize;
use std::borrow::Cow;
use std::fs::File;
use std::io::Write;

/// Writes the log that another one becomes: records that are kept, changed and added. A record that is
/// left out is simply not handed on.
///
/// Records are numbered anew, from 1 on. Of those that are kept everything else stays byte for byte, of
/// those with another body everything around it. Memory is bounded by the longest record.
#[derive(Debug)]
pub struct Rewriter<W = File> {
    log: LogWriter<W>,
    contents: Contents,
    counts: Written,
    fields: Vec<u8>,
}

/// What was written, in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Written {
    /// As they were, but for their number.
    pub kept: u64,
    /// With another body.
    pub changed: u64,
    /// That were not there before.
    pub added: u64,
}

impl Written {
    /// All of them.
    pub const fn records(&self) -> u64 {
        self.kept + self.changed + self.added
    }
}

impl<W: Write> Rewriter<W> {
    /// Writes to `log`, which must have no records yet. [`Staged`](super::Staged) makes one for a file.
    pub fn new(log: LogWriter<W>) -> Self {
        Self { log, contents: Contents::default(), counts: Written::default(), fields: Vec::new() }
    }

    /// Adds a record as it is.
    ///
    /// # Errors
    /// When its bytes are not a protobuf message, and when writing fails.
    #[inline]
    pub fn keep(&mut self, record: &RawRecord<'_>) -> Result<()> {
        let (num, fields) = split_num(record.payload).map_err(|error| record.malformed(error))?;
        match &fields {
            Cow::Borrowed(fields) => self.log.moved(record, num, fields)?,
            Cow::Owned(fields) => self.log.fields(fields)?,
        }
        self.contents.add(&fields);
        self.counts.kept += 1;
        self.log.flush_full()
    }

    /// Adds a record with another body, of the kind it is of. One without a body is kept.
    ///
    /// # Errors
    /// When its bytes are not a protobuf message, and when writing fails.
    pub fn replace(&mut self, record: &RawRecord<'_>, body: &[u8]) -> Result<()> {
        let Some(kind) = record.kind()? else { return self.keep(record) };
        self.fields.clear();
        let mut placed = false;
        splice(record.payload, &mut self.fields, |field, out| {
            let of_body = RecordKind::from_field(field.number).is_some();
            if of_body && !std::mem::replace(&mut placed, true) {
                wire::put_bytes(out, kind.field(), body);
            }
            Ok(if of_body || field.number == NUM { Fate::Drop } else { Fate::Keep })
        })
        .map_err(|error: Malformed| record.malformed(error))?;
        self.put_fields()?;
        self.counts.changed += 1;
        Ok(())
    }

    /// Adds a new record of this kind. `body` is the encoded message the kind names.
    ///
    /// # Errors
    /// When writing fails.
    pub fn add(&mut self, kind: RecordKind, body: &[u8]) -> Result<()> {
        self.fields.clear();
        wire::put_bytes(&mut self.fields, kind.field(), body);
        self.put_fields()?;
        self.counts.added += 1;
        Ok(())
    }

    /// Adds a new record of this kind with a message.
    ///
    /// # Errors
    /// When writing fails.
    pub fn add_message(&mut self, kind: RecordKind, message: &impl prost::Message) -> Result<()> {
        self.add(kind, &message.encode_to_vec())
    }

    /// Hands everything written so far to the sink.
    ///
    /// # Errors
    /// When writing fails.
    pub fn flush(&mut self) -> Result<()> {
        self.log.flush()
    }

    /// What was added so far.
    pub const fn written(&self) -> Written {
        self.counts
    }

    fn put_fields(&mut self) -> Result<()> {
        self.log.fields(&self.fields)?;
        self.contents.add(&self.fields);
        self.log.flush_full()
    }
}

impl Rewriter {
    /// Writes to a file, which in the end is [proven](Self::prove).
    pub(super) fn to_prove(mut log: LogWriter) -> Self {
        log.write_behind();
        Self::new(log)
    }

    /// Puts the log on the disk, reads it back, and compares: as many records, in this order, with these
    /// bytes, and a clean end.
    pub(super) fn prove(mut self) -> Result<Written> {
        let path = self.log.path().to_owned();
        self.log.sync_while(|| self.contents.prove(&path))?;
        debug_assert_eq!(self.contents.records(), self.counts.records());
        Ok(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Span;
    use crate::log::Reader;

    fn rewritten(edit: impl FnOnce(&mut Rewriter<Vec<u8>>)) -> Vec<Vec<u8>> {
        let mut rewriter = Rewriter::new(LogWriter::new(Vec::new(), "memory"));
        edit(&mut rewriter);
        rewriter.log.flush().unwrap();
        let bytes = rewriter.log.get_ref().clone();
        let mut reader = Reader::options().read_slice(&bytes);
        let mut payloads = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            payloads.push(record.payload.to_vec());
        }
        payloads
    }

    const fn record(payload: &[u8]) -> RawRecord<'_> {
        RawRecord::new(Span { offset: 0, length: 0 }, payload)
    }

    #[test]
    fn records_are_numbered_anew_and_keep_the_rest_as_it_stands() {
        let payloads = rewritten(|log| {
            log.keep(&record(b"\x08\x63\x12\x01x\xc2\x0c\x02\x0a\x00\xfa\x7f\x01?")).unwrap();
            log.keep(&record(b"\x12\x01y")).unwrap();
            log.add(RecordKind::Config, b"z").unwrap();
            assert_eq!(log.written(), Written { kept: 2, changed: 0, added: 1 });
        });
        let behind = |num, rest: &[u8]| [&[0x08, num], rest].concat();
        assert_eq!(payloads[0], behind(1, b"\x12\x01x\xc2\x0c\x02\x0a\x00\xfa\x7f\x01?"));
        assert_eq!(payloads[1], behind(2, b"\x12\x01y"));
        assert_eq!(payloads[2], behind(3, b"\x2a\x01z"));
    }

    #[test]
    fn a_body_is_replaced_and_what_surrounds_it_stays() {
        let payloads = rewritten(|log| {
            log.replace(&record(b"\xc2\x0c\x01i\x12\x01x\x08\x63\x12\x01y\xfa\x7f\x01?"), b"new")
                .unwrap();
        });
        assert_eq!(payloads, [b"\x08\x01\xc2\x0c\x01i\x12\x03new\xfa\x7f\x01?"]);
    }

    #[test]
    fn what_is_no_message_is_refused_and_nothing_of_it_written() {
        let payloads = rewritten(|log| {
            assert!(log.keep(&record(b"\x12\x09x")).unwrap_err().is_corrupt());
            assert!(log.replace(&record(b"\x12\x01x\x12\x09x"), b"").unwrap_err().is_corrupt());
            log.keep(&record(b"")).unwrap();
        });
        assert_eq!(payloads, [b"\x08\x01"]);
    }
}
