//! Following an event file while it is written.

use super::{RECORD_LEN, RawEvent, compression};
use crate::error::Result;
use crate::framing::Tail;
use crate::framing::tfrecord::TfRecordDecoder;
use crate::io::{End, GapReport, Growing, News};
use crate::limits::Limits;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Yields each event of a file once, as soon as it is whole, while another process writes it.
///
/// It is to event files what [`log::Follower`](crate::log::Follower) is to logs, but for the end: an event
/// file says nothing of it.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// use wandb_offline::io::News;
/// use wandb_offline::tfevents::EventFollower;
///
/// let path = "fixtures/tensorboard/tensorboardX/scalars/events.out.tfevents.1795486703.vm";
/// let mut file = EventFollower::new(path);
/// let mut events = 0;
/// while let News::Record(_) = file.poll()? {
///     events += 1;
/// }
/// assert_eq!(events, 46);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventFollower {
    file: Growing<TfRecordDecoder>,
    patience: Option<Duration>,
}

impl EventFollower {
    /// Follows the file `path`, which need not be there yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let limits = Limits { record_len: RECORD_LEN, ..Limits::DEFAULT };
        let decoder = TfRecordDecoder::new(limits.record_len);
        Self { file: Growing::new(path.into(), decoder, limits, compression), patience: None }
    }

    /// Takes a file that did not grow for this long for one whose writer is gone.
    #[must_use]
    pub const fn give_up_after(mut self, silence: Duration) -> Self {
        self.patience = Some(silence);
        self
    }

    /// What is new. Never waits.
    ///
    /// # Errors
    /// When the file cannot be read. It can be asked again.
    pub fn poll(&mut self) -> Result<News<RawEvent<'_>>> {
        let mut news = self.file.advance()?;
        let silent = self.patience.zip(self.file.silent_for()).is_some_and(|(most, is)| is >= most);
        if news == News::Nothing && silent && !self.file.in_doubt() {
            news = News::Over(End::Silent);
        }
        let (span, payload) = self.file.record();
        Ok(news.map(|()| RawEvent { span, payload, suspect: None }))
    }

    /// What was passed over so far.
    pub const fn gaps(&self) -> &GapReport {
        self.file.gaps()
    }

    /// How the file ended when there was nothing new last.
    pub const fn tail(&self) -> Option<Tail> {
        self.file.tail()
    }

    /// The file's name.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}
