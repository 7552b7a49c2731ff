//! Writing the records of a `.wandb` log.

use crate::error::{Error, Result};
use crate::framing::block_log::BlockEncoder;
use crate::record::RecordKind;
use crate::wire;
use std::fs::{File, OpenOptions};
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
    sink: W,
    path: PathBuf,
    encoder: BlockEncoder,
    num: i64,
    payload: Vec<u8>,
    buffer: Vec<u8>,
    /// What the first failed write failed with.
    failed: Option<String>,
}

impl LogWriter {
    /// Creates the log `path`, which must not exist yet, and writes its header.
    ///
    /// # Errors
    /// When the file exists or cannot be created or written.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| Error::io("create", &path, error))?;
        let mut writer = Self::new(file, path);
        writer.flush()?;
        Ok(writer)
    }

    /// Asks the operating system to put everything handed to it on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.sink.sync_data().map_err(|error| self.fail(error))
    }
}

impl<W: Write> LogWriter<W> {
    /// A log in `sink`, which starts with the file header. `path` names it in errors.
    pub fn new(sink: W, path: impl Into<PathBuf>) -> Self {
        let mut buffer = Vec::new();
        let encoder = BlockEncoder::new(&mut buffer);
        let (path, payload) = (path.into(), Vec::new());
        Self { sink, path, encoder, num: 0, payload, buffer, failed: None }
    }

    /// Goes on with a log that so far has `offset` bytes, where a record ends, and `records` records.
    /// `sink` appends to it.
    pub fn resume(sink: W, path: impl Into<PathBuf>, offset: u64, records: i64) -> Self {
        let encoder = BlockEncoder::resume(offset);
        let (path, payload, buffer) = (path.into(), Vec::new(), Vec::new());
        Self { sink, path, encoder, num: records, payload, buffer, failed: None }
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
        self.check()?;
        self.num += 1;
        self.payload.clear();
        wire::put_uint(&mut self.payload, NUM, self.num as u64);
        let length = parts.iter().map(|part| part.len()).sum();
        wire::put_length(&mut self.payload, kind.field(), length);
        for part in parts {
            self.payload.extend_from_slice(part);
        }
        self.encoder.record(&self.payload, &mut self.buffer);
        Ok(())
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
        self.check()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let written = self.sink.write_all(&self.buffer).and_then(|()| self.sink.flush());
        self.buffer.clear();
        written.map_err(|error| self.fail(error))
    }

    /// Bytes added and not yet handed to the sink.
    pub const fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// How many records were added.
    pub const fn records(&self) -> i64 {
        self.num
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sink.
    pub const fn get_ref(&self) -> &W {
        &self.sink
    }

    /// An error if an earlier write failed, which says with what.
    ///
    /// # Errors
    /// After a failed write.
    pub fn check(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => Err(Error::misuse(format!(
                "this log takes no more records since an earlier write failed ({reason})"
            ))
            .at(&self.path)),
        }
    }

    /// Marks the log as failed, for a reason such as a failed write elsewhere.
    pub(crate) fn fail(&mut self, error: std::io::Error) -> Error {
        self.failed.get_or_insert_with(|| error.to_string());
        Error::io("write to", &self.path, error)
    }
}

const NUM: u32 = 1;
