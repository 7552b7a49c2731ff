//! Which of the logs that were found are one: a file under several names, copies that `recover` and `scrub` made,
//! and copies of run directories. All of them have the id of their run, so of those that are one, one alone may be
//! uploaded, or the server has all rows twice.

use crate::error::{Error, Result};
use crate::io::{Compression, Source, Unpacked};
use crate::log::{LogFile, plain_path};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What is the same for all names of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// Device and inode, which hard links share.
    #[cfg(unix)]
    Inode(u64, u64),
    /// Where all links lead.
    Path(PathBuf),
}

impl Identity {
    pub(super) fn of(path: &Path) -> Self {
        #[cfg(unix)]
        if let Ok(found) = std::fs::metadata(path) {
            use std::os::unix::fs::MetadataExt;
            return Self::Inode(found.dev(), found.ino());
        }
        Self::Path(resolved(path))
    }
}

fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Which logs are copies that `recover` and `scrub` made of others that were found.
pub(super) struct Copies<'a> {
    /// Originals, and a copy of each.
    copies: HashMap<PathBuf, &'a LogFile>,
    /// All logs that were found.
    found: HashMap<PathBuf, &'a LogFile>,
}

impl<'a> Copies<'a> {
    pub(super) fn among(found: &'a [LogFile]) -> Self {
        let mut copies = HashMap::new();
        for log in found {
            copies.extend(originals(&log.path).into_iter().map(|original| (original, log)));
        }
        let found = found.iter().map(|log| (plain_path(&resolved(&log.path)), log)).collect();
        Self { copies, found }
    }

    pub(super) fn is_copy(&self, log: &LogFile) -> bool {
        originals(&log.path).iter().any(|path| self.found.contains_key(path))
    }

    /// Why a log should not go beside those found with it.
    pub(super) fn objection(&self, log: &LogFile) -> Option<String> {
        // What is there already does not come twice.
        if log.synced {
            return None;
        }
        let path = log.path.display();
        if let Some(copy) = self.copies.get(&plain_path(&resolved(&log.path))) {
            let copy = copy.path.display();
            return Some(format!("{copy} is a copy of it; name {path} alone to upload it"));
        }
        let originals = originals(&log.path);
        let mut originals = originals.iter().filter_map(|path| self.found.get(path));
        let original = originals.find(|original| original.synced)?;
        let original = original.path.display();
        Some(format!(
            "{original}, of which it is a copy, is uploaded; name {path} alone to upload it"
        ))
    }
}

/// The logs that this one may be a copy of, by its name: `X-recovered/run.wandb` of `X/run.wandb`, and
/// `X.recovered.wandb` of `X.wandb`; also a copy of a copy.
fn originals(log: &Path) -> Vec<PathBuf> {
    let plain = plain_path(&resolved(log));
    let name = |path: Option<&OsStr>| path.unwrap_or_default().to_string_lossy().into_owned();
    let dir = plain.parent().unwrap_or_else(|| Path::new(""));
    let file = name(plain.file_name());
    let beside = stripped(&name(dir.file_name()), ["-recovered", "-scrubbed"]);
    let beside = beside.into_iter().map(|original| dir.with_file_name(original).join(&file));
    let stems = stripped(&name(plain.file_stem()), [".recovered", ".scrubbed"]);
    let stems = stems.into_iter().map(|stem| dir.join(format!("{stem}.wandb")));
    beside.chain(stems).collect()
}

/// The name without one of the endings, without two of them, and so on.
fn stripped(mut name: &str, endings: [&str; 2]) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(rest) = endings.iter().find_map(|ending| name.strip_suffix(ending)) {
        names.push(rest.to_owned());
        name = rest;
    }
    names
}

/// How two logs are to each other that say they are the same part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// They hold the same.
    Equal,
    /// The first one begins as the second one, and goes on.
    Longer,
    /// The second one begins as the first one, and goes on.
    Shorter,
    /// One of them has what the other has not, both ways.
    Other,
}

impl Likeness {
    /// Compares what the logs hold, however they are compressed.
    pub(super) fn of(first: &Path, second: &Path) -> Result<Self> {
        let (mut one, mut other) = (Bytes::open(first)?, Bytes::open(second)?);
        loop {
            let (a, b) = (one.window()?, other.window()?);
            let length = a.len().min(b.len());
            if length == 0 {
                return Ok(match (a.is_empty(), b.is_empty()) {
                    (true, true) => Self::Equal,
                    (true, false) => Self::Shorter,
                    _ => Self::Longer,
                });
            }
            if a.get(..length) != b.get(..length) {
                return Ok(Self::Other);
            }
            one.source.consume(length);
            other.source.consume(length);
        }
    }
}

/// What a log holds, decompressed.
struct Bytes<'a> {
    path: &'a Path,
    source: Unpacked<File>,
}

impl<'a> Bytes<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io("read", path, error))?;
        Ok(Self { path, source: Unpacked::new(file, Compression::by_magic) })
    }

    /// What comes next; nothing at the end.
    fn window(&mut self) -> Result<&[u8]> {
        if self.source.window().is_empty() {
            let grown = self.source.grow(BUFFER);
            grown.map_err(|error| Error::io("read", self.path, error))?;
        }
        Ok(self.source.window())
    }
}

const BUFFER: usize = 64 << 10;
