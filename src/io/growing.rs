//! A file that someone else is still writing, read record by record as it grows. One that is compressed is
//! read too, though those hardly ever grow, and from its start each time.
//!
//! Each time the end is met, what is unfinished there is forgotten and read anew the next time, from where
//! the last whole record ends: the bytes of a file on a network may come in another order than they were
//! written in. For the same reason damage, or zeroes where a record should be, are only believed when they
//! are still there at a second look; and a length that claims more than there is, only as long as the file
//! changes between two looks.
//!
//! What copies logs from another machine (`rsync`, `scp`) puts another file in the place of the one that was
//! read, or writes it anew from its start. If that begins with the records that were read, reading goes on
//! behind them; and as long as it is too short for that, begins alike and changes, it is waited for.

use super::identity;
use super::{Compression, Framed, GapReport, InContext, Sniff, Unpacked, skip};
use crate::error::{Error, Result};
use crate::framing::{Decoder, Span, Tail};
use crate::limits::Limits;
use std::fs::{self, File, Metadata};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// What came of looking at a file that grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum News<R> {
    /// The next record.
    Record(R),
    /// The file is another one now; what comes next is its first record.
    Replaced(Replaced),
    /// Nothing, so far.
    Nothing,
    /// There will be nothing more; though who asks again is told if there is.
    Over(End),
}

/// What became of a file that was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replaced {
    /// Another file has its name, with other records.
    OtherFile,
    /// It is shorter than what was read of it.
    Truncated,
    /// It begins with other bytes.
    Rewritten,
}

/// Why a file that was followed will not grow any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The run has ended, and its log is complete.
    Complete,
    /// Nothing was written for as long as the follower was told to wait.
    Silent,
    /// The caller does not want to wait any more.
    Stopped,
}

impl<R> News<R> {
    /// The same news of another record.
    pub(crate) fn map<T>(self, record: impl FnOnce(R) -> T) -> News<T> {
        match self {
            Self::Record(found) => News::Record(record(found)),
            Self::Replaced(replaced) => News::Replaced(replaced),
            Self::Nothing => News::Nothing,
            Self::Over(end) => News::Over(end),
        }
    }
}

/// A file that grows, and where in it the last whole record ends.
#[derive(Debug)]
pub(crate) struct Growing<D> {
    path: PathBuf,
    limits: Limits,
    sniff: Sniff,
    /// A decoder at the start of the file.
    fresh: D,
    /// The decoder behind the last record.
    decoder: D,
    /// What reads on from there, until it meets the end.
    attempt: Option<Framed<D, Unpacked<File>>>,
    /// Gaps of the attempt that are in the report.
    gaps_known: u64,
    /// Something was passed over that may not be there the next time.
    in_doubt: bool,
    /// The file ended in something unfinished, and was not looked at again since.
    unfinished: bool,
    /// The attempt is the second at a file that has not changed, so its end is the end for now.
    again: bool,
    /// Whether the end of the file is the end.
    at_rest: bool,
    seen: Option<Seen>,
    /// The first bytes of the file.
    head: Vec<u8>,
    /// All records so far.
    digest: Digest,
    /// The file, as it was found too short to hold them.
    too_short: Option<Seen>,
    changed: Option<Instant>,
    span: Span,
    payload: Vec<u8>,
    gaps: GapReport,
    tail: Option<Tail>,
}

/// A reader of what there is beyond the last record.
type Attempt<D> = Box<Framed<D, Unpacked<File>>>;

/// A file opened behind its last record.
struct Opened {
    source: Unpacked<File>,
    found: Metadata,
    /// Its first bytes.
    head: Vec<u8>,
}

/// What a look at the file says of the records that were read from it.
enum Verdict {
    Same,
    /// They are not there, but may be on their way.
    Coming,
    Other(Replaced),
}

/// Tells a row of records from others, without keeping them.
#[derive(Clone, Debug, Default)]
struct Digest(DefaultHasher);

/// What tells a file from others and from what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    id: Option<(u64, u64)>,
    length: u64,
    modified: Option<SystemTime>,
}

impl<D: Decoder + Clone> Growing<D> {
    /// Follows the file `path`, which need not be there yet.
    pub(crate) fn new(path: PathBuf, decoder: D, limits: Limits, sniff: Sniff) -> Self {
        Self {
            path,
            limits,
            sniff,
            fresh: decoder.clone(),
            decoder,
            attempt: None,
            gaps_known: 0,
            in_doubt: false,
            unfinished: false,
            again: false,
            at_rest: false,
            seen: None,
            head: Vec::new(),
            digest: Digest::default(),
            too_short: None,
            changed: None,
            span: Span { offset: 0, length: 0 },
            payload: Vec::new(),
            gaps: GapReport::keeping(&limits),
            tail: None,
        }
    }

    /// Whether there is something new: [`Self::record`] has the record then. Never waits.
    pub(crate) fn advance(&mut self) -> Result<News<()>> {
        let mut attempt = match self.attempt.take() {
            Some(attempt) => attempt,
            None => match self.look()? {
                News::Record(attempt) => *attempt,
                other => return Ok(other.map(drop)),
            },
        };
        let Some(InContext { span, payload, decoder, gaps, .. }) = attempt.next_in_context()?
        else {
            self.tail = attempt.tail();
            self.unfinished = !self.again && self.tail.is_some_and(|tail| !tail.is_clean());
            self.take_gaps(attempt.gaps(), self.at_rest);
            return Ok(News::Nothing);
        };
        let passed = span.offset.saturating_sub(self.decoder.position());
        let strange = gaps.count() > self.gaps_known || passed > LONGEST_PADDING;
        if strange && !(self.in_doubt || self.again) {
            self.in_doubt = true;
            return Ok(News::Nothing);
        }
        self.in_doubt = false;
        self.span = span;
        self.payload.clear();
        self.payload.extend_from_slice(payload);
        self.digest.add(span, payload);
        self.decoder = decoder.clone();
        self.take_gaps(attempt.gaps(), true);
        self.attempt = Some(attempt);
        Ok(News::Record(()))
    }

    /// The record found last, and where it stands.
    pub(crate) fn record(&self) -> (Span, &[u8]) {
        (self.span, &self.payload)
    }

    /// From now on, or not any more, the end of the file is the end: what is unfinished there is damage.
    pub(crate) fn set_at_rest(&mut self, at_rest: bool) {
        self.at_rest = at_rest;
        self.attempt = None;
        self.seen = self.seen.filter(|_| !at_rest);
    }

    /// Whether the next look at the file may find something new even if it does not change.
    pub(crate) const fn in_doubt(&self) -> bool {
        self.in_doubt || self.unfinished || self.too_short.is_some()
    }

    /// For how long nothing was written, as far as that can be told; `None` without a file.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        self.changed.map(|changed| changed.elapsed())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The damage that was passed over.
    pub(crate) const fn gaps(&self) -> &GapReport {
        &self.gaps
    }

    /// How the file ended when nothing more was found last.
    pub(crate) const fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// Looks whether the file has changed, and begins to read it then.
    fn look(&mut self) -> Result<News<Attempt<D>>> {
        let opened = self.open().map_err(|error| Error::io("read", &self.path, error))?;
        let Some(Opened { source, found, head }) = opened else { return Ok(News::Nothing) };
        match self.compare(&found, &head)? {
            Verdict::Same => self.too_short = None,
            Verdict::Coming => {
                self.too_short = Some(Seen::of(&found));
                return Ok(News::Nothing);
            }
            Verdict::Other(replaced) => {
                self.restart();
                return Ok(News::Replaced(replaced));
            }
        }
        self.again = self.at_rest || self.seen == Some(Seen::of(&found));
        self.unfinished = false;
        self.note(&found, head);
        self.gaps_known = 0;
        let attempt = Framed::new(self.decoder.clone(), source, &self.limits)
            .named(&self.path)
            .lenient(true)
            .following(!self.again);
        Ok(News::Record(Box::new(attempt)))
    }

    /// The file behind its last record; `None` if it is not there, or as it was when its end was met.
    fn open(&self) -> io::Result<Option<Opened>> {
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let mut file = match fs::metadata(&self.path) {
            Ok(found) if self.seen == Some(Seen::of(&found)) && !self.in_doubt() => {
                return Ok(None);
            }
            // A pipe would keep its reader waiting for ever, whoever wants it to stop.
            Ok(found) if !found.is_file() => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
            }
            Ok(_) => match File::open(&self.path) {
                Err(error) if missing(&error) => return Ok(None),
                opened => opened?,
            },
            Err(error) if missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        // The name may be that of another file by now.
        let found = file.metadata()?;
        let mut head = Vec::new();
        file.by_ref().take(HEAD_LEN).read_to_end(&mut head)?;
        let position = self.decoder.position();
        let source = if (self.sniff)(&head) == Compression::Plain {
            file.seek(SeekFrom::Start(position))?;
            Unpacked::new(file, |_| Compression::Plain)
        } else {
            file.rewind()?;
            let mut source = Unpacked::new(file, self.sniff);
            skip(&mut source, position)?;
            source
        };
        Ok(Some(Opened { source, found, head }))
    }

    /// Whether this is the file that was read, or one that begins with the same records.
    fn compare(&self, found: &Metadata, head: &[u8]) -> Result<Verdict> {
        let Some(before) = self.seen else { return Ok(Verdict::Same) };
        let (now, read) = (Seen::of(found), self.decoder.position());
        // Of what was not read as a record, bytes may have been missing. (Positions in compressed files are
        // not those of their bytes, but further on.)
        let proven = self.head.len().min(usize::try_from(read).unwrap_or(usize::MAX));
        let too_short = now.length < read && (self.sniff)(head) == Compression::Plain;
        let common = if too_short { proven.min(head.len()) } else { proven };
        let alike = head.get(..common) == self.head.get(..common);
        if alike && too_short && self.too_short != Some(now) {
            return Ok(Verdict::Coming);
        }
        let doubtful = before.id != now.id || self.too_short.is_some();
        if alike && !too_short && (!doubtful || self.begins_as_read()?) {
            return Ok(Verdict::Same);
        }
        Ok(Verdict::Other(if before.id != now.id {
            Replaced::OtherFile
        } else if too_short {
            Replaced::Truncated
        } else {
            Replaced::Rewritten
        }))
    }

    /// Whether the file begins with the records that were read.
    fn begins_as_read(&self) -> Result<bool> {
        let file = File::open(&self.path).map_err(|error| Error::io("read", &self.path, error))?;
        let source = Unpacked::new(file, self.sniff);
        let mut records = Framed::new(self.fresh.clone(), source, &self.limits)
            .named(&self.path)
            .lenient(true)
            .following(true);
        let mut digest = Digest::default();
        while records.decoder().position() < self.decoder.position() {
            match records.next_record() {
                Ok(Some((span, payload))) => digest.add(span, payload),
                Ok(None) => return Ok(false),
                // It is no log.
                Err(error) if error.is_corrupt() => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(digest == self.digest)
    }

    fn note(&mut self, found: &Metadata, head: Vec<u8>) {
        let now = Seen::of(found);
        let age = now.modified.and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
        match self.seen {
            Some(before) if before == now => {}
            // What another machine's clock says of the time is of no use once changes are seen here.
            Some(_) => self.changed = Some(Instant::now()),
            None => self.changed = Instant::now().checked_sub(age).or(self.changed),
        }
        self.seen = Some(now);
        self.head = head;
    }

    fn restart(&mut self) {
        self.decoder = self.fresh.clone();
        (self.seen, self.in_doubt, self.unfinished) = (None, false, false);
        (self.digest, self.too_short) = (Digest::default(), None);
        self.head.clear();
    }

    fn take_gaps(&mut self, gaps: &GapReport, believed: bool) {
        if !believed || gaps.count() == self.gaps_known {
            return;
        }
        for gap in gaps.gaps().get(self.gaps_known as usize..).unwrap_or_default() {
            self.gaps.add(*gap);
        }
        self.gaps_known = gaps.count();
    }
}

impl Digest {
    fn add(&mut self, span: Span, payload: &[u8]) {
        self.0.write_u64(span.offset);
        self.0.write_u64(span.length);
        self.0.write(payload);
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.finish() == other.0.finish()
    }
}

impl Seen {
    fn of(found: &Metadata) -> Self {
        Self { id: identity(found), length: found.len(), modified: found.modified().ok() }
    }
}

/// A log has up to six bytes of padding between two records, and seven of header before the first.
const LONGEST_PADDING: u64 = 7;

/// So many bytes at its start tell a file from another one.
const HEAD_LEN: u64 = 1024;
