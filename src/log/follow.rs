//! Following a `.wandb` log while it is written.

use crate::error::Result;
use crate::framing::Tail;
use crate::framing::block_log::BlockDecoder;
use crate::io::{Compression, End, GapReport, Growing, News};
use crate::limits::Limits;
use crate::record::{RawRecord, RecordKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Yields each record of a log once, as soon as it is whole, while another process writes it.
///
/// The file need not be there yet, may have any length, also one that cuts a record, and may be replaced:
/// that is noticed by its identity, its length and its first bytes, and told. Damage is passed over and
/// reported, once a second look has shown that it stays.
///
/// The log is over when the run has ended: behind the exit record, but for logs of the Python backend
/// (0.17 and older), which go on to a *footer*. A run that was killed leaves no exit record, and its log does
/// not name its process, so all there is to tell is that it does not grow: see [`Self::give_up_after`].
///
/// Nothing here waits by itself: [`Self::poll`] never does, and [`Self::next`] asks the caller to.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
/// use wandb_offline::io::{End, News};
/// use wandb_offline::log::Follower;
///
/// let (stop, stopped) = channel::<()>();
/// let mut wait = |time| stopped.recv_timeout(time).is_ok();
/// let mut log = Follower::new("fixtures/wandb/0.31.0/minimal/run-minimal1.wandb");
/// let mut records = 0;
/// let end = loop {
///     match log.next(Duration::from_secs(1), &mut wait)? {
///         News::Record(_) => records += 1,
///         News::Over(end) => break end,
///         _ => {}
///     }
/// };
/// assert_eq!((records, end), (13, End::Complete));
/// # drop(stop);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Follower {
    file: Growing<BlockDecoder>,
    patience: Option<Duration>,
    ended: Ended,
}

/// What the records so far say about the end of the run.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    exit: bool,
    /// The log is one that goes on behind the exit record.
    has_footer: bool,
    footer: bool,
}

impl Follower {
    /// Follows the log `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let limits = Limits::DEFAULT;
        let decoder = BlockDecoder::new(limits.record_len);
        let file = Growing::new(path.into(), decoder, limits, Compression::by_magic);
        Self { file, patience: None, ended: Ended::default() }
    }

    /// Takes a log that did not grow for this long for one whose writer is gone. The official client writes
    /// at least every 15 seconds since 0.31; before, a block of 32 KiB at a time, which may take hours.
    #[must_use]
    pub const fn give_up_after(mut self, silence: Duration) -> Self {
        self.patience = Some(silence);
        self
    }

    /// What is new. Never waits.
    ///
    /// # Errors
    /// When the file cannot be read, or is no log. It can be asked again.
    pub fn poll(&mut self) -> Result<News<RawRecord<'_>>> {
        let news = self.advance()?;
        Ok(self.with_record(news))
    }

    /// The next news other than [`News::Nothing`]. As long as there is none, `wait` is called with the time
    /// to wait, `pace`, and says whether to stop.
    ///
    /// # Errors
    /// As for [`Self::poll`].
    pub fn next(
        &mut self,
        pace: Duration,
        wait: &mut dyn FnMut(Duration) -> bool,
    ) -> Result<News<RawRecord<'_>>> {
        let news = loop {
            match self.advance()? {
                News::Nothing if wait(pace) => break News::Over(End::Stopped),
                News::Nothing => {}
                news => break news,
            }
        };
        Ok(self.with_record(news))
    }

    fn advance(&mut self) -> Result<News<()>> {
        let news = self.file.advance()?;
        match news {
            News::Record(()) => {
                let (span, payload) = self.file.record();
                self.ended.note(&RawRecord::new(span, payload));
            }
            News::Replaced(_) => self.ended = Ended::default(),
            News::Nothing if self.file.in_doubt() => {}
            News::Nothing if self.ended.is_over() => return Ok(News::Over(End::Complete)),
            News::Nothing if self.is_silent() => return Ok(News::Over(End::Silent)),
            News::Nothing | News::Over(_) => {}
        }
        Ok(news)
    }

    fn with_record(&self, news: News<()>) -> News<RawRecord<'_>> {
        let (span, payload) = self.file.record();
        news.map(|()| RawRecord::new(span, payload))
    }

    fn is_silent(&self) -> bool {
        let silent = self.file.silent_for();
        self.patience.zip(silent).is_some_and(|(patience, silent)| silent >= patience)
    }

    /// Whether the run's exit record has come.
    pub const fn has_exit(&self) -> bool {
        self.ended.exit
    }

    /// For how long nothing was written to the log: since this was noticed, or at first by the time of its
    /// last change. `None` as long as there is no file.
    pub fn silent_for(&self) -> Option<Duration> {
        self.file.silent_for()
    }

    /// Takes the end of the file for the end from now on, or not any more: what is unfinished there is then
    /// searched for records, as in a log that is over.
    pub fn set_at_rest(&mut self, at_rest: bool) {
        self.file.set_at_rest(at_rest);
    }

    /// What was passed over so far.
    pub const fn gaps(&self) -> &GapReport {
        self.file.gaps()
    }

    /// How the log ended when there was nothing new last.
    pub const fn tail(&self) -> Option<Tail> {
        self.file.tail()
    }

    /// The log's name.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}

impl Ended {
    fn note(&mut self, record: &RawRecord<'_>) {
        let Ok(Some(body)) = record.body() else { return };
        match body.kind {
            // The Python backend says nothing in its header.
            RecordKind::Header => self.has_footer = body.message.is_empty(),
            RecordKind::Exit => self.exit = true,
            RecordKind::Footer => self.footer = true,
            _ => {}
        }
    }

    const fn is_over(self) -> bool {
        self.exit && (self.footer || !self.has_footer)
    }
}
