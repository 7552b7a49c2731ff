//! The ledger: what of a log is on a server, kept beside the log.
//!
//! A sync may be killed at any moment and run again, and must then send nothing twice and leave nothing
//! out. The protocol knows lines by their place only, so what must never be lost is where the log's first
//! line went: the ledger is written and on the disk before the first line is sent. All else in it saves
//! work: what the server has acknowledged is not sent again.
//!
//! One file for each server and run, `<log>.<12 hex digits>.sync`, JSON; replaced whole, by renaming. `<log>` is
//! the log's name when it is not compressed, so that compressing it changes nothing.

use crate::error::{Error, Result};
use crate::io::{Compression, Source, Unpacked, hex, parent, temporary_in};
use crate::log::noted_beside;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What of a log is on a server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Ledger {
    /// The base URL of the server.
    pub server: String,
    /// The entity, as the server named it.
    pub entity: String,
    /// The project, as the server named it.
    pub project: String,
    /// The run's id, as the server named it.
    pub run: String,
    /// The server's own id of the run.
    pub storage_id: String,
    /// The run's name, as the server has it.
    pub name: String,
    /// How the log begins, to tell it from another one.
    pub log: LogMark,
    /// The lowest step a row of this log may have.
    pub starting_step: i64,
    /// Where the lines are; `None` until that is settled.
    pub places: Option<Places>,
    /// The files that are stored.
    pub files: BTreeMap<String, FileMark>,
    /// The step of the last row that is stored.
    pub last_step: Option<i64>,
    /// The artifacts that are stored, by client id, or by name and digest.
    pub artifacts: BTreeMap<String, ArtifactMark>,
    /// How many alerts were sent.
    pub alerts: u64,
    /// The server was told that the run has ended, and how.
    pub complete: Option<i32>,
    /// The server was told that before there was this ledger, or before its lines were looked for again: a log that
    /// has no end is ended as crashed once more.
    pub was_ended: bool,
    /// How long the log was, in bytes, when all of its lines were stored; 0 before.
    pub stored: u64,
    /// Files, artifacts and alerts were stored as well then, and nothing had to be left out.
    pub whole: bool,
}

impl Ledger {
    /// Reads a ledger; one that makes no sense is an error, for guessing could send everything twice.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let damaged = |why: &dyn std::fmt::Display| {
            let reason =
                format!("this ledger is damaged ({why}); move it away to compare with the server");
            Error::misuse(reason).at(path)
        };
        let bytes = match fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(damaged(&"it is no file")),
            Ok(found) if found.len() > LARGEST => return Err(damaged(&"it is too large")),
            Ok(_) => fs::read(path).map_err(|error| Error::io("read", path, error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        let ledger: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(&error))?;
        let places = ledger.places.unwrap_or_default();
        let sane = |place: Place| place.base.max(place.acknowledged) <= MOST_LINES;
        match [places.history, places.events, places.console].into_iter().all(sane) {
            true => Ok(Some(ledger)),
            false => Err(damaged(&"no run has so many lines")),
        }
    }

    /// Whether the two say that the lines are at different places.
    pub(crate) fn is_elsewhere(&self, other: &Self) -> bool {
        let bases = |places: Places| [places.history.base, places.events.base, places.console.base];
        let both = self.places.map(bases).zip(other.places.map(bases));
        both.is_some_and(|(own, other)| own != other)
    }

    /// Whether more is stored than `other` knows of, if both are of one log.
    pub(crate) fn is_ahead_of(&self, other: &Self) -> bool {
        let stored = |ledger: &Self| {
            let counts = (ledger.files.len(), ledger.artifacts.len(), ledger.alerts);
            (ledger.stored, ledger.complete.is_some(), ledger.ends(), counts)
        };
        stored(self) > stored(other)
    }

    /// The places behind the lines that are stored.
    pub(crate) fn ends(&self) -> [u64; 3] {
        let places = self.places.unwrap_or_default();
        let end = |place: Place| place.base + place.acknowledged;
        [end(places.history), end(places.events), end(places.console)]
    }
}

/// The first bytes of a log, those that compression stands for if it is compressed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogMark {
    /// How many bytes.
    pub length: u64,
    /// Their SHA-256, in hex.
    pub sha256: String,
}

/// Where the lines of the three streams are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Places {
    /// `wandb-history.jsonl`.
    pub history: Place,
    /// `wandb-events.jsonl`.
    pub events: Place,
    /// `output.log`.
    pub console: Place,
}

/// Where the lines of a stream are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Place {
    /// The place of the log's first line.
    pub base: u64,
    /// How many lines of the log the server has acknowledged.
    pub acknowledged: u64,
    /// The CRC-32C of the records that those lines are of, one after another, to see whether they are still the
    /// same; `None` if that is not known. Console lines change with what comes after, and have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32c: Option<u32>,
}

/// A file that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileMark {
    /// Its MD5, in hex.
    pub md5: String,
    /// Its size in bytes.
    pub size: u64,
    /// The server was told in the run's streams that it is stored.
    #[serde(default)]
    pub told: bool,
}

/// An artifact that is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ArtifactMark {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The server's id of this version.
    pub id: String,
    /// The number of this version, as the server counted.
    pub version: Option<u64>,
    /// Its digest, as the log has it.
    pub digest: String,
    /// Files and references in its manifest.
    pub files: u64,
    /// The size of them all in bytes.
    pub size: u64,
}

impl FileMark {
    /// Whether the two are of the same content.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.md5, self.size) == (&other.md5, other.size)
    }
}

impl LogMark {
    /// The mark of a log.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of(log: &Path) -> Result<Self> {
        Self::of_first(log, MARKED)
    }

    /// Whether a log begins as the marked one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn fits(&self, log: &Path) -> Result<bool> {
        Ok(*self == Self::of_first(log, self.length)?)
    }

    fn of_first(log: &Path, length: u64) -> Result<Self> {
        let failed = |error| Error::io("read", log, error);
        let file = File::open(log).map_err(failed)?;
        let mut source = Unpacked::new(file, Compression::by_magic);
        let wanted = length.min(MARKED) as usize;
        while source.window().len() < wanted && source.grow(wanted).map_err(failed)? {}
        let bytes = source.window().get(..wanted).unwrap_or_else(|| source.window());
        Ok(Self { length: bytes.len() as u64, sha256: hex(&Sha256::digest(bytes)) })
    }
}

/// The ledgers beside a log, those that can be read.
pub(crate) fn ledgers(log: &Path) -> Vec<Ledger> {
    let notes = noted_beside(log, ".");
    let stem = notes.file_name().unwrap_or_default().as_encoded_bytes();
    let files = fs::read_dir(parent(log)).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ledger = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        name.starts_with(stem) && name.ends_with(b".sync")
    };
    let mut paths: Vec<_> = files.filter(is_ledger).collect();
    paths.sort();
    paths.iter().filter_map(|path| Ledger::read(path).ok().flatten()).collect()
}

/// A ledger's file, locked as long as this value lives.
#[derive(Debug)]
pub(crate) struct LedgerFile {
    path: PathBuf,
    _lock: Lock,
}

impl LedgerFile {
    /// Locks the ledger of `log` for the run that `target` names on a server, and reads it; `None` if there is
    /// none yet.
    pub(crate) fn lock(log: &Path, target: &[&str]) -> Result<(Self, Option<Ledger>)> {
        let path = Self::path(log, target);
        let lock = lock(&with_suffix(&path, ".lock"))?;
        let busy = || Error::misuse("another process is syncing this run now").at(log);
        let lock = lock.ok_or_else(busy)?;
        let ledger = Ledger::read(&path)?;
        Ok((Self { path, _lock: lock }, ledger))
    }

    /// Reads the ledger that [`lock`](Self::lock) would, without a lock.
    pub(crate) fn peek(log: &Path, target: &[&str]) -> Result<Option<Ledger>> {
        Ledger::read(&Self::path(log, target))
    }

    /// Replaces the ledger. `durable` has it on the disk before this returns.
    pub(crate) fn save(&self, ledger: &Ledger, durable: bool) -> Result<()> {
        let text = serde_json::to_vec_pretty(ledger)
            .map_err(|error| Error::io("write", &self.path, error.into()))?;
        replace(&self.path, &text, durable)
    }

    fn path(log: &Path, target: &[&str]) -> PathBuf {
        let mut hash = Sha256::new();
        for part in target {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let digest = hex(&hash.finalize());
        noted_beside(log, &format!(".{}.sync", digest.get(..12).unwrap_or_default()))
    }
}

/// A file that is locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a process that is just being started elsewhere in this one has it, too.
    fn drop(&mut self) {
        // What has no locks has none to take away.
        let _ = fs4::FileExt::unlock(&self.0);
    }
}

/// Locks a file that is there for this alone, as long as what is returned lives; `None` if another process has
/// it.
pub(crate) fn lock(path: &Path) -> Result<Option<Lock>> {
    let failed = |error| Error::io("lock", path, error);
    // A link may lead to where nothing is to be made.
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(Error::misuse("this is no file, so it cannot be locked").at(path));
    }
    let lock = File::options().create(true).append(true).open(path).map_err(failed)?;
    Ok(match fs4::FileExt::try_lock(&lock) {
        // Some network file systems have no locks; what is locked serves without.
        Ok(()) | Err(fs4::TryLockError::Error(_)) => Some(Lock(lock)),
        Err(fs4::TryLockError::WouldBlock) => None,
    })
}

/// Puts `bytes` in the place of a file, or makes it.
pub(crate) fn replace(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let failed = |error| Error::io("write", path, error);
    let dir = parent(path);
    let mut file = temporary_in(dir).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if durable {
        file.as_file().sync_all().map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    if durable && let Ok(dir) = File::open(dir) {
        // Not every file system can sync a directory.
        let _ = dir.sync_all();
    }
    Ok(())
}

/// `path` with something appended to its name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

/// More lines than any stream of a run has.
pub(crate) const MOST_LINES: u64 = 1 << 53;

/// The largest ledger that is read, in bytes: that of millions of files.
const LARGEST: u64 = 1 << 30;

/// A log begins with its run record, which holds the run's id and start.
const MARKED: u64 = 512;
