//! Reading the records of a `.wandb` log.

use super::Repeated;
use crate::error::{Error, Result};
use crate::framing::Tail;
use crate::framing::block_log::BlockDecoder;
use crate::io::{Compression, Framed, GapReport, InContext, SliceSource, Source, Unpacked};
use crate::limits::Limits;
use crate::record::RawRecord;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads the records of a `.wandb` log, one after another, in memory bounded by the longest record.
///
/// By default a reader is strict: damage is an error. A lenient one passes over damage, delivers every
/// record that is whole, and keeps a report. Neither takes a cut-off end for an error; ask
/// [`Self::tail`] how the log ends. Logs in gzip or zstd are decompressed on the way (zstd with the feature
/// `zstd`), and offsets are those of their decompressed bytes.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::{Reader, record::RecordKind};
///
/// let mut reader = Reader::open("fixtures/wandb/0.31.0/minimal/run-minimal1.wandb")?;
/// let mut rows = 0;
/// while let Some(record) = reader.next_record()? {
///     if record.kind()? == Some(RecordKind::History) {
///         rows += 1;
///     }
/// }
/// assert_eq!(rows, 1);
/// assert!(reader.tail().is_some_and(|tail| tail.is_clean()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Reader<S = Unpacked<File>> {
    framed: Framed<BlockDecoder, S>,
    /// How many records were read.
    records: u64,
    /// What readers before saw of the same log.
    repeated: Option<Repeated>,
}

impl Reader {
    /// Opens a log strictly, with default limits.
    ///
    /// # Errors
    /// When the file cannot be opened. What is in it is not looked at yet.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        ReaderOptions::default().open(path)
    }

    /// Options for opening a log another way.
    pub fn options() -> ReaderOptions {
        ReaderOptions::default()
    }
}

impl<S: Source> Reader<S> {
    /// A strict reader of the records that begin at the block at `offset` or behind; `source` begins there.
    pub(super) fn from_block(source: S, offset: u64) -> Self {
        let limits = Limits::DEFAULT;
        let decoder = BlockDecoder::from_block(offset, limits.record_len);
        Self { framed: Framed::new(decoder, source, &limits), records: 0, repeated: None }
    }

    /// The next record; `None` at the end. A reader that follows a file may be asked again.
    ///
    /// # Errors
    /// When reading fails, at the file header if this is no log, and, if strict, at damage.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<RawRecord<'_>>> {
        let Some(found) = self.framed.next_in_context()? else {
            return match &self.repeated {
                Some(repeated) => repeated.end(self.records).map(|()| None),
                None => Ok(None),
            };
        };
        // Asked only here, so that what stands behind the last record is passed over, and told, each time.
        if self.repeated.as_ref().is_some_and(|log| log.are_all(self.records)) {
            return Ok(None);
        }
        self.records += 1;
        let InContext { span, payload, framed, decoder, .. } = found;
        let chunk = framed.filter(|_| decoder.verifies());
        Ok(Some(RawRecord { chunk, ..RawRecord::new(span, payload) }))
    }

    /// Ends where readers before it did.
    pub(super) fn repeating(mut self, log: Repeated) -> Self {
        self.repeated = Some(log);
        self
    }

    /// What was passed over so far.
    pub const fn gaps(&self) -> &GapReport {
        self.framed.gaps()
    }

    /// How the log ends, once [`Self::next_record`] has answered `None`.
    pub const fn tail(&self) -> Option<Tail> {
        self.framed.tail()
    }

    /// The file being read, when it was opened by name.
    pub fn path(&self) -> Option<&Path> {
        self.framed.path().map(AsRef::as_ref)
    }

    /// Where this log counts its blocks from: 7 for files of wandb-core before 0.17.6, else 0.
    pub const fn block_base(&self) -> u64 {
        self.framed.decoder().block_base()
    }

    /// Stops or starts taking the end of the file for the end so far.
    pub const fn set_following(&mut self, following: bool) {
        self.framed.set_following(following);
    }
}

/// How to open a log.
#[derive(Clone, Copy, Debug)]
pub struct ReaderOptions {
    lenient: bool,
    following: bool,
    checksums: bool,
    limits: Limits,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self { lenient: false, following: false, checksums: true, limits: Limits::DEFAULT }
    }
}

impl ReaderOptions {
    /// Passes over damage and reports it, instead of failing at it.
    #[must_use]
    pub const fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Follows a file that is still being written: an unfinished record at its end is "not yet".
    #[must_use]
    pub const fn following(mut self, following: bool) -> Self {
        self.following = following;
        self
    }

    /// Whether checksums are verified, as they are by default.
    #[must_use]
    pub const fn checksums(mut self, verify: bool) -> Self {
        self.checksums = verify;
        self
    }

    /// Bounds on what the log may cost.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the log `path`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Reader> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        let mut reader = self.read_from(file);
        reader.framed = reader.framed.named(path);
        Ok(reader)
    }

    /// Reads a log from any stream; it need not be buffered.
    pub fn read_from<R: Read>(self, stream: R) -> Reader<Unpacked<R>> {
        self.build(Unpacked::within(stream, Compression::by_magic, &self.limits))
    }

    /// Reads a log that is in memory, without copying single-chunk records.
    pub fn read_slice(self, bytes: &[u8]) -> Reader<SliceSource<'_>> {
        self.build(SliceSource::new(bytes))
    }

    fn build<S: Source>(self, source: S) -> Reader<S> {
        let decoder = BlockDecoder::new(self.limits.record_len).checksums(self.checksums);
        let framed = Framed::new(decoder, source, &self.limits)
            .lenient(self.lenient)
            .following(self.following);
        Reader { framed, records: 0, repeated: None }
    }
}
