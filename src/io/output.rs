//! Where bytes go: a buffer in front of a sink, and what became of writing.

use super::write_behind::WriteBehind;
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;

/// A buffer in front of a sink. After a failed write the sink may hold half of what it was given, so the
/// output stays failed. Dropping it does not flush: what the caller did not flush was not promised.
#[derive(Debug)]
pub(crate) struct Output<W> {
    sink: W,
    path: PathBuf,
    /// Completes "since an earlier write failed": what is refused then.
    refusal: &'static str,
    buffer: Vec<u8>,
    /// Bytes handed to the sink.
    flushed: u64,
    /// What the first failed write failed with.
    failed: Option<String>,
    behind: Option<WriteBehind>,
}

impl Output<File> {
    /// An output to the new file `path`, which must not exist yet.
    pub(crate) fn create(path: PathBuf, refusal: &'static str) -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| Error::io("create", &path, error))?;
        Ok(Self::new(file, path, refusal))
    }

    /// From now on what is flushed is written, and the disk given it, while more is made. Worth it for output
    /// that is made in one go and then put on the disk. A write that failed may be told at a later flush.
    pub(crate) fn write_behind(&mut self) {
        self.behind = self.sink.try_clone().ok().map(WriteBehind::new);
    }

    /// Flushes, and asks the operating system to put everything on the disk; `action` completes "cannot".
    pub(crate) fn sync(&mut self, action: &'static str) -> Result<()> {
        self.flush_through()?;
        let behind = self.behind.take().map_or(Ok(()), |mut behind| behind.end());
        behind.and_then(|()| self.sink.sync_data()).map_err(|error| self.fail(error, action))
    }

    /// Flushes, and waits until all of it is written, so that who reads the file finds it.
    fn flush_through(&mut self) -> Result<()> {
        self.flush()?;
        let written = self.behind.as_mut().map_or(Ok(()), WriteBehind::end_writing);
        written.map_err(|error| self.fail(error, WRITE))
    }

    /// As [`Self::sync`], with something else to do while the disk is at work, once everything is flushed.
    pub(crate) fn sync_while<T>(
        &mut self,
        action: &'static str,
        meanwhile: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.flush_through()?;
        let (synced, done) = thread::scope(|scope| {
            let synced = scope.spawn(|| self.sync(action));
            let done = meanwhile();
            (synced.join().unwrap_or_else(|panic| resume_unwind(panic)), done)
        });
        synced.and(done)
    }
}

impl<W> Output<W> {
    /// An output to `sink`. `path` names it in errors.
    pub(crate) const fn new(sink: W, path: PathBuf, refusal: &'static str) -> Self {
        Self { sink, path, refusal, buffer: Vec::new(), flushed: 0, failed: None, behind: None }
    }

    /// An output that begins with these bytes.
    pub(crate) fn starting_with(self, bytes: Vec<u8>) -> Self {
        Self { buffer: bytes, ..self }
    }

    /// The buffer, to add to; an error if an earlier write failed.
    #[inline]
    pub(crate) fn buffer(&mut self) -> Result<&mut Vec<u8>> {
        self.check()?;
        Ok(&mut self.buffer)
    }

    /// Bytes added and not yet handed to the sink.
    pub(crate) const fn buffered(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn get_ref(&self) -> &W {
        &self.sink
    }

    /// An error if an earlier write failed, which says with what.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(reason) => Err(self.refuse(reason)),
        }
    }

    #[cold]
    fn refuse(&self, reason: &str) -> Error {
        let reason = format!("{} since an earlier write failed ({reason})", self.refusal);
        Error::misuse(reason).at(&self.path)
    }

    /// Marks the output as failed, also for a write that failed elsewhere.
    pub(crate) fn fail(&mut self, error: io::Error, action: &'static str) -> Error {
        self.failed.get_or_insert_with(|| error.to_string());
        Error::io(action, &self.path, error)
    }
}

impl<W: Write> Output<W> {
    /// Hands the buffer to the sink.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.check()?;
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.flushed = self.flushed.saturating_add(self.buffer.len() as u64);
        let written = match &mut self.behind {
            Some(behind) => behind.write(&mut self.buffer),
            None => self.sink.write_all(&self.buffer).and_then(|()| self.sink.flush()),
        };
        self.buffer.clear();
        written.map_err(|error| self.fail(error, WRITE))
    }

    /// Hands what is full of the buffer to the sink, in whole stretches of the file: the system takes those
    /// faster.
    #[inline]
    pub(crate) fn flush_full(&mut self) -> Result<()> {
        if self.buffer.len() < STRETCH { Ok(()) } else { self.flush_stretches() }
    }

    fn flush_stretches(&mut self) -> Result<()> {
        let length = self.buffer.len();
        let end = self.flushed.saturating_add(length as u64);
        let rest = self.buffer.split_off(length.saturating_sub((end % STRETCH as u64) as usize));
        self.flush()?;
        self.buffer.extend_from_slice(&rest);
        Ok(())
    }

    /// Gives back what the buffer holds beyond `kept` bytes.
    pub(crate) fn shrink_to(&mut self, kept: usize) {
        self.buffer.shrink_to(kept);
    }
}

/// So much is written at once.
const STRETCH: usize = 256 << 10;

const WRITE: &str = "write to";
