//! Writing the events of a file.

use crate::error::Result;
use crate::framing::tfrecord;
use crate::io::Output;
use crate::proto::tensorboard::Event;
use prost::Message;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes the events of a TensorBoard file: frames them, and hands them on in whole.
///
/// It buffers, so the sink need not; [`Self::flush`] hands everything written so far to the sink. After
/// a failed write the file may end in half a record, so the writer stays failed: every later call is an
/// error. Dropping it does not flush: what the caller did not flush was not promised.
///
/// This is the record level. Training loops want [`SummaryWriter`](super::SummaryWriter).
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::proto::tensorboard::{Event, event::What};
/// use wandb_offline::tfevents::{EventReader, EventWriter};
///
/// let mut writer = EventWriter::new(Vec::new(), "in memory");
/// let what = Some(What::FileVersion("brain.Event:2".into()));
/// writer.event(&Event { wall_time: 1.7e9, what, ..Event::default() })?;
/// writer.flush()?;
///
/// let mut reader = EventReader::options().read_slice(writer.get_ref());
/// assert_eq!(reader.next_event()?.unwrap().view()?.wall_time, 1.7e9);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventWriter<W = File> {
    output: Output<W>,
}

impl EventWriter {
    /// Creates the file `path`, which must not exist yet.
    ///
    /// # Errors
    /// When the file exists or cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { output: Output::create(path.into(), REFUSAL)? })
    }

    /// Asks the operating system to put everything handed to it on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.output.sync("sync")
    }
}

impl<W: Write> EventWriter<W> {
    /// A file in `sink`. `path` names it in errors.
    pub fn new(sink: W, path: impl Into<PathBuf>) -> Self {
        Self { output: Output::new(sink, path.into(), REFUSAL) }
    }

    /// Adds an event.
    ///
    /// # Errors
    /// After a failed write.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        self.event_with(event.encoded_len(), |out| {
            // Encoding to memory does not fail.
            let _ = event.encode(out);
        })
    }

    /// Adds an event that is encoded already: these bytes.
    ///
    /// # Errors
    /// After a failed write.
    pub fn payload(&mut self, payload: &[u8]) -> Result<()> {
        self.event_with(payload.len(), |out| out.extend_from_slice(payload))
    }

    /// Adds the event whose message `write` appends; `length` is how long it probably is.
    #[inline]
    pub(super) fn event_with(
        &mut self,
        length: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<()> {
        let buffer = self.output.buffer()?;
        buffer.reserve(tfrecord::HEADER_LEN + length + tfrecord::FOOTER_LEN);
        tfrecord::encode_with(buffer, write);
        Ok(())
    }

    /// Hands what was added since the last time to the sink.
    ///
    /// # Errors
    /// When writing fails, now or earlier.
    pub fn flush(&mut self) -> Result<()> {
        let flushed = self.output.flush();
        self.output.shrink_to(BUFFER_KEPT);
        flushed
    }

    /// Bytes added and not yet handed to the sink.
    pub const fn buffered(&self) -> usize {
        self.output.buffered()
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
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.output.check()
    }
}

/// A large image must not keep its memory for good.
const BUFFER_KEPT: usize = 1 << 20;

const REFUSAL: &str = "this file takes no more events";
