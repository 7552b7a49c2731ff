//! Reading the events of a file.

use crate::checksum::MaskedCrc32c;
use crate::cursor::Cursor;
use crate::error::{Error, ErrorKind, Result};
use crate::event::EventView;
use crate::framing::tfrecord::TfRecordDecoder;
use crate::framing::{Fault, Span, Tail};
use crate::io::{Compression, Framed, GapReport, SliceSource, Source, Unpacked};
use crate::limits::Limits;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads the events of a TensorBoard file, one after another, in memory bounded by the longest one.
///
/// By default a reader is strict: damage is an error. A lenient one passes over damage, delivers every
/// record that is whole, and keeps a report. Neither takes a cut-off end for an error; ask
/// [`Self::tail`] how the file ends. Files in gzip, zlib or zstd are decompressed on the way (zstd with the
/// feature `zstd`).
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::event::What;
/// use wandb_offline::tfevents::EventReader;
///
/// let path = "fixtures/tensorboard/tensorboardX/scalars/events.out.tfevents.1795486703.vm";
/// let mut reader = EventReader::open(path)?;
/// let mut points = 0;
/// while let Some(event) = reader.next_event()? {
///     if let What::Summary(summary) = event.view()?.what {
///         points += summary.values().filter(|value| value.scalar().is_ok()).count();
///     }
/// }
/// assert_eq!(points, 45);
/// assert!(reader.tail().is_some_and(|tail| tail.is_clean()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventReader<S = Unpacked<File>> {
    framed: Framed<TfRecordDecoder, S>,
}

impl EventReader {
    /// Opens a file strictly, with default limits.
    ///
    /// # Errors
    /// When the file cannot be opened. What is in it is not looked at yet.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        EventReaderOptions::default().open(path)
    }

    /// Options for opening a file another way.
    pub fn options() -> EventReaderOptions {
        EventReaderOptions::default()
    }

    /// Whether offsets are those of the file itself, for it is not compressed; false until an event was
    /// read.
    pub const fn is_plain(&self) -> bool {
        self.framed.source().is_plain()
    }
}

impl<S: Source> EventReader<S> {
    /// The next event; `None` at the end. A reader that follows a file may be asked again.
    ///
    /// # Errors
    /// When reading fails, and, if strict, at damage. A record that is whole but no event is delivered:
    /// [`RawEvent::view`] tells.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<RawEvent<'_>>> {
        let found = self.framed.next_with_decoder()?;
        Ok(found.map(|(span, payload, decoder)| RawEvent {
            span,
            payload,
            suspect: decoder.suspect(),
        }))
    }

    /// What was passed over so far.
    pub const fn gaps(&self) -> &GapReport {
        self.framed.gaps()
    }

    /// How the file ends, once [`Self::next_event`] has answered `None`.
    pub const fn tail(&self) -> Option<Tail> {
        self.framed.tail()
    }

    /// The file being read, when it was opened by name.
    pub fn path(&self) -> Option<&Path> {
        self.framed.path().map(AsRef::as_ref)
    }

    /// Stops or starts taking the end of the file for the end so far.
    pub const fn set_following(&mut self, following: bool) {
        self.framed.set_following(following);
    }
}

/// The bytes of one event, and where they stand.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RawEvent<'a> {
    /// Where the record stands in its file, decompressed if it is compressed.
    pub span: Span,
    /// The protobuf message, a `tensorboard.Event`.
    pub payload: &'a [u8],
    /// That the bytes do not match their checksum, for a reader that delivers such records.
    pub suspect: Option<Fault>,
}

impl<'a> RawEvent<'a> {
    /// The event.
    ///
    /// # Errors
    /// When the bytes are not one. The file can be read on behind it.
    #[inline]
    pub fn view(&self) -> Result<EventView<'a>> {
        EventView::read(self.payload).map_err(|error| {
            // prost says more about the place, but takes many times the memory of a large message.
            let small = self.payload.len() <= EXPLAINED_LEN;
            let explained = small.then(|| self.decode().err()).flatten();
            explained.unwrap_or_else(|| self.error(error.to_string()))
        })
    }

    /// The event decoded whole with prost.
    ///
    /// # Errors
    /// When the bytes are not a `tensorboard.Event`.
    pub fn decode(&self) -> Result<crate::proto::tensorboard::Event> {
        prost::Message::decode(self.payload)
            .map_err(|error: prost::DecodeError| self.error(error.to_string()))
    }

    fn error(&self, reason: String) -> Error {
        Error::new(ErrorKind::Message { offset: self.span.offset, reason })
    }
}

/// How to open an event file.
#[derive(Clone, Copy, Debug)]
pub struct EventReaderOptions {
    lenient: bool,
    following: bool,
    checksums: bool,
    suspects: bool,
    limits: Limits,
}

impl Default for EventReaderOptions {
    fn default() -> Self {
        let mut limits = Limits::DEFAULT;
        limits.record_len = RECORD_LEN;
        Self { lenient: false, following: false, checksums: true, suspects: false, limits }
    }
}

impl EventReaderOptions {
    /// Passes over damage and reports it, instead of failing at it.
    #[must_use]
    pub const fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Follows a file that is still being written: an unfinished record at its end is "not yet".
    /// Compressed files do not grow; one that is cut stays cut.
    #[must_use]
    pub const fn following(mut self, following: bool) -> Self {
        self.following = following;
        self
    }

    /// Whether the checksums of the data are verified, as they are by default.
    #[must_use]
    pub const fn checksums(mut self, verify: bool) -> Self {
        self.checksums = verify;
        self
    }

    /// Whether events that do not match their checksum are delivered too, with
    /// [`RawEvent::suspect`] set. By default they are damage. TensorBoard shows them without a word.
    #[must_use]
    pub const fn suspects(mut self, deliver: bool) -> Self {
        self.suspects = deliver;
        self
    }

    /// Bounds on what the file may cost. By default an event may have 128 MiB: more than any image or
    /// histogram has, and little enough for a forged length to be no danger.
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the file `path`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(self, path: impl AsRef<Path>) -> Result<EventReader> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|error| Error::io("open", path, error))?;
        let mut reader = self.read_from(file);
        reader.framed = reader.framed.named(path);
        Ok(reader)
    }

    /// Reads events from any stream; it need not be buffered.
    pub fn read_from<R: Read>(self, stream: R) -> EventReader<Unpacked<R>> {
        self.build(Unpacked::within(stream, compression, &self.limits))
    }

    /// Reads events that are in memory, uncompressed, without copying them.
    pub fn read_slice(self, bytes: &[u8]) -> EventReader<SliceSource<'_>> {
        self.build(SliceSource::new(bytes))
    }

    fn build<S: Source>(self, source: S) -> EventReader<S> {
        let decoder = TfRecordDecoder::new(self.limits.record_len)
            .checksums(self.checksums)
            .suspects(self.suspects);
        let framed = Framed::new(decoder, source, &self.limits)
            .lenient(self.lenient)
            .following(self.following);
        EventReader { framed }
    }
}

/// How an event file is compressed. Its first twelve bytes, a length and the checksum of that length,
/// cannot match if they are those of a compressed stream.
pub(crate) fn compression(head: &[u8]) -> Compression {
    let mut cursor = Cursor::new(head);
    if let (Some(length), Some(stored)) = (cursor.u64_le(), cursor.u32_le())
        && MaskedCrc32c::of(&length.to_le_bytes()).0 == stored
    {
        return Compression::Plain;
    }
    match *head {
        // The header of zlib is a multiple of 31; 8 is deflate, the only method there is.
        [first, second, ..]
            if first & 0x8f == 8
                && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31) =>
        {
            Compression::Zlib
        }
        _ => Compression::by_magic(head),
    }
}

/// Longest event by default.
pub(crate) const RECORD_LEN: u64 = 128 << 20;

/// Longest event that is decoded once more to say what is wrong with it.
const EXPLAINED_LEN: usize = 64 << 10;
