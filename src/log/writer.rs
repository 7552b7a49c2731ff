//! Writing the records of a `.wandb` log.

use crate::error::{Error, Result};
use crate::framing::block_log::BlockEncoder;
use crate::io::Output;
use crate::record::{RawRecord, RecordKind};
use crate::wire;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes the records of a `.wandb` log: numbers them, frames them, and hands them on in whole.
///
/// It buffers, so the sink need not; [`Self::flush`] hands everything written so far to the sink. After
/// a failed write the log on disk may end in half a record, so the writer stays failed: every later call
/// is an error. Dropping it does not flush: what the caller did not flush was not promised.
///
/// This is the record level. Training loops want [`Writer`](crate::Writer).
#[derive(Debug)]
pub struct LogWriter<W = File> {
    output: Output<W>,
    encoder: BlockEncoder,
    num: i64,
    payload: Vec<u8>,
}

impl LogWriter {
    /// Creates the log `path`, which must not exist yet, and writes its header.
    ///
    /// # Errors
    /// When the file exists or cannot be created or written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let mut writer = Self::begin(Output::create(path.into(), REFUSAL)?);
        writer.flush()?;
        Ok(writer)
    }

    /// Asks the operating system to put everything handed to it on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.output.sync(WRITE)
    }

    /// As [`Output::write_behind`].
    pub(crate) fn write_behind(&mut self) {
        self.output.write_behind();
    }

    /// As [`Output::sync_while`].
    pub(crate) fn sync_while<T>(&mut self, meanwhile: impl FnOnce() -> Result<T>) -> Result<T> {
        self.output.sync_while(WRITE, meanwhile)
    }
}

impl<W: Write> LogWriter<W> {
    /// A log in `sink`, which starts with the file header. `path` names it in errors.
    pub fn new(sink: W, path: impl Into<PathBuf>) -> Self {
        Self::begin(Output::new(sink, path.into(), REFUSAL))
    }

    /// Goes on with a log that so far has `offset` bytes, where a record ends, and `records` records.
    /// `sink` appends to it.
    pub fn resume(sink: W, path: impl Into<PathBuf>, offset: u64, records: i64) -> Self {
        let output = Output::new(sink, path.into(), REFUSAL);
        let encoder = BlockEncoder::resume(offset);
        Self { output, encoder, num: records, payload: Vec::new() }
    }

    /// Adds a record of this kind. `body` is the encoded message the kind names.
    ///
    /// # Errors
    /// After a failed write.
    pub fn record(&mut self, kind: RecordKind, body: &[u8]) -> Result<()> {
        self.record_in_parts(kind, [body])
    }

    /// Adds a record of this kind, whose body is these parts, one after another.
    ///
    /// # Errors
    /// After a failed write.
    pub fn record_in_parts<const N: usize>(
        &mut self,
        kind: RecordKind,
        parts: [&[u8]; N],
    ) -> Result<()> {
        let buffer = self.output.buffer()?;
        self.num += 1;
        self.payload.clear();
        wire::put_uint(&mut self.payload, NUM, self.num as u64);
        let length = parts.iter().map(|part| part.len()).sum();
        wire::put_length(&mut self.payload, kind.field(), length);
        for part in parts {
            self.payload.extend_from_slice(part);
        }
        self.encoder.record(&self.payload, buffer);
        Ok(())
    }

    /// Adds a record with these fields of `wandb_internal.Record`, as they are. `num` must not be among
    /// them: it is put in front.
    ///
    /// # Errors
    /// After a failed write.
    pub fn fields(&mut self, fields: &[u8]) -> Result<()> {
        let buffer = self.output.buffer()?;
        self.num += 1;
        self.payload.clear();
        wire::put_uint(&mut self.payload, NUM, self.num as u64);
        self.payload.extend_from_slice(fields);
        self.encoder.record(&self.payload, buffer);
        Ok(())
    }

    /// As [`Self::fields`], for fields that stand behind the number `num` in a record that was read. One that
    /// is going to be the same again is moved as it stands, with the checksum it has.
    pub(crate) fn moved(
        &mut self,
        record: &RawRecord<'_>,
        num: Option<u64>,
        fields: &[u8],
    ) -> Result<()> {
        let next = self.num.cast_unsigned() + 1;
        let is_same = num == Some(next)
            && record.payload.len() == NUM_KEY_LEN + wire::varint_len(next) + fields.len();
        match record.chunk.filter(|_| is_same) {
            Some(chunk) => {
                self.encoder.chunk(chunk, self.output.buffer()?);
                self.num += 1;
                Ok(())
            }
            None => self.fields(fields),
        }
    }

    /// Adds a record of this kind with a message.
    ///
    /// # Errors
    /// After a failed write.
    pub fn message(&mut self, kind: RecordKind, message: &impl prost::Message) -> Result<()> {
        self.record(kind, &message.encode_to_vec())
    }

    /// Hands what was added since the last time to the sink.
    ///
    /// # Errors
    /// When writing fails, now or earlier.
    pub fn flush(&mut self) -> Result<()> {
        self.output.flush()
    }

    /// As [`Output::flush_full`].
    #[inline]
    pub(crate) fn flush_full(&mut self) -> Result<()> {
        self.output.flush_full()
    }

    /// Bytes added and not yet handed to the sink.
    pub const fn buffered(&self) -> usize {
        self.output.buffered()
    }

    /// How many records were added.
    pub const fn records(&self) -> i64 {
        self.num
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        self.output.path()
    }

    /// The sink.
    pub const fn get_ref(&self) -> &W {
        self.output.get_ref()
    }

    /// An error if an earlier write failed, which says with what.
    ///
    /// # Errors
    /// After a failed write.
    pub fn check(&self) -> Result<()> {
        self.output.check()
    }

    /// Marks the log as failed, for a reason such as a failed write elsewhere.
    pub(crate) fn fail(&mut self, error: std::io::Error) -> Error {
        self.output.fail(error, WRITE)
    }

    /// A log that starts with the file header.
    fn begin(output: Output<W>) -> Self {
        let mut header = Vec::new();
        let encoder = BlockEncoder::new(&mut header);
        Self { output: output.starting_with(header), encoder, num: 0, payload: Vec::new() }
    }
}

const NUM: u32 = 1;
const NUM_KEY_LEN: usize = 1;
const WRITE: &str = "write to";
const REFUSAL: &str = "this log takes no more records";
