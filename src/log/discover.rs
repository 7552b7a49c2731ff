//! Finding the logs of runs under a directory.
//!
//! ```text
//! wandb/                                      (or .wandb/)
//!   offline-run-YYYYMMDD_HHMMSS-<id>/         (online runs: run-...)
//!     run-<id>.wandb                          the log, which may have been compressed: .gz, .zst
//!     run-<id>.wandb.synced                   left by a successful `wandb sync`
//!     files/
//!   latest-run -> offline-run-...             a link, or every run would be found twice
//! ```

use crate::error::{Error, Result};
use crate::io::read_small;
use crate::json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use walkdir::{DirEntry, WalkDir};

/// The log of a run, found on disk. What is in it has not been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogFile {
    /// The `.wandb` file, or `.wandb.gz` or `.wandb.zst`.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written to.
    pub modified: SystemTime,
    /// Whether `wandb sync` marked it as uploaded.
    pub synced: bool,
}

impl LogFile {
    /// The log `path`, which must be a file.
    ///
    /// # Errors
    /// When the file is not there or cannot be looked at.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let metadata = fs::metadata(&path).map_err(|error| Error::io("read", &path, error))?;
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let synced = noted_beside(&path, ".synced").exists();
        Ok(Self { path, size: metadata.len(), modified, synced })
    }

    /// The run directory the log is in.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new(""))
    }

    /// The time in the name of the run directory; it sorts as text.
    pub(crate) fn stamp(&self) -> Option<String> {
        let name = self.dir().file_name()?.to_str()?;
        let name = name.strip_prefix("offline-").unwrap_or(name);
        let stamp = name.strip_prefix("run-")?.get(..STAMP_LEN)?;
        Some(stamp.to_owned())
    }
}

/// Finds every `.wandb` file, also a compressed one, at or under `root`, ordered by path, which orders runs by the time in their
/// names. Links are not followed, except `root` itself, and directories that begin with a dot are not
/// looked into, except `.wandb`. What cannot be read is returned beside.
pub fn find(root: impl AsRef<Path>) -> (Vec<LogFile>, Vec<Error>) {
    walk(root.as_ref(), |_| ())
}

/// As [`find`], and with what looks as if there were a log and is passed over: what it is, and why.
#[cfg(feature = "sync")]
pub(crate) fn survey(root: &Path) -> (Vec<LogFile>, Vec<Error>, Vec<(PathBuf, &'static str)>) {
    let mut passed = Vec::new();
    let (found, errors) = walk(root, |entry| {
        passed.extend(objection(&entry).map(|why| (entry.into_path(), why)));
    });
    (found, errors, passed)
}

fn walk(root: &Path, mut pass: impl FnMut(DirEntry)) -> (Vec<LogFile>, Vec<Error>) {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let hidden = |entry: &DirEntry| {
        let name = entry.file_name().as_encoded_bytes();
        entry.depth() > 0 && name.starts_with(b".") && name != b".wandb"
    };
    for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(|e| !hidden(e)) {
        match entry {
            // A pipe of that name would keep its reader waiting for ever.
            Ok(entry) if is_log(entry.path()) && is_file(&entry) => {
                match LogFile::at(entry.path()) {
                    Ok(log) => found.push(log),
                    Err(error) => errors.push(error),
                }
            }
            Ok(entry) => pass(entry),
            Err(error) => {
                let path = error.path().unwrap_or(root).to_owned();
                let source = error.into_io_error();
                let source = source.unwrap_or_else(|| io::Error::other("links lead in a circle"));
                errors.push(Error::io("look into", path, source));
            }
        }
    }
    (found, errors)
}

/// Why something that may look like a log, or a directory of runs, is none.
#[cfg(feature = "sync")]
fn objection(entry: &DirEntry) -> Option<&'static str> {
    let (is_named, kind) = (is_log(entry.path()), entry.file_type());
    if !kind.is_symlink() {
        let why =
            if kind.is_dir() { "a directory, no log; logs in it are taken" } else { "no file" };
        return is_named.then_some(why);
    }
    match entry.path().metadata() {
        Ok(found) if found.is_dir() => Some("a link to a directory, which is not followed"),
        Ok(_) if is_named => Some("a link to a file, which is not followed"),
        Err(_) if is_named => Some("a link that leads nowhere"),
        _ => None,
    }
}

/// The logs that `paths` mean, each once: logs, run directories or their `files/`, or directories of runs,
/// all of which are meant. What cannot be read, and paths without a log, are returned beside.
pub fn find_all(paths: &[impl AsRef<Path>]) -> (Vec<LogFile>, Vec<Error>) {
    let (mut logs, mut errors) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for path in paths {
        let (mut found, failed) = find(path);
        if found.is_empty() && failed.is_empty() {
            // Such as the files/ of a run directory, or a log of another name.
            match locate(path) {
                Ok(log) => found.push(log),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(failed);
        logs.extend(found.into_iter().filter(|log| {
            seen.insert(log.path.canonicalize().unwrap_or_else(|_| log.path.clone()))
        }));
    }
    (logs, errors)
}

/// The one log that `path` means: a `.wandb` file, a run directory or its `files/`, or a directory of
/// runs, whose latest it then is: where `latest-run` leads, else the run with the latest time in its name.
///
/// # Errors
/// When there is no log there, or a run directory holds several.
pub fn locate(path: impl AsRef<Path>) -> Result<LogFile> {
    let path = path.as_ref();
    if !fs::metadata(path).map_err(|error| Error::io("read", path, error))?.is_dir() {
        return LogFile::at(path);
    }
    let parent = path.file_name().filter(|name| *name == "files").and_then(|_| path.parent());
    for dir in [Some(path), parent].into_iter().flatten() {
        match logs_in(dir)?.as_slice() {
            [] => {}
            [one] => return LogFile::at(one),
            [first, ..] => {
                let reason = format!("several logs here, name one of them, such as {first:?}");
                return Err(Error::misuse(reason).at(dir));
            }
        }
    }
    if let [latest] = logs_in(&path.join("latest-run")).unwrap_or_default().as_slice() {
        return LogFile::at(latest);
    }
    let (found, _) = find(path);
    let latest = found.into_iter().max_by_key(|log| (log.stamp(), log.modified));
    latest.ok_or_else(|| Error::misuse("no .wandb file in this directory").at(path))
}

/// As [`locate`], for what should be one run and no other: of a directory of several runs none is taken.
///
/// # Errors
/// Also when several runs are there.
pub(crate) fn locate_only(path: &Path) -> Result<LogFile> {
    let log = locate(path)?;
    // A run directory's own log, or a file.
    if log.path == path || log.dir() == path || path.file_name().is_some_and(|name| name == "files")
    {
        return Ok(log);
    }
    let (found, _) = find(path);
    match found.as_slice() {
        [first, _, ..] => {
            let (count, first) = (found.len(), first.dir().display());
            let reason = format!("{count} runs are here; name one of them, such as {first}");
            Err(Error::misuse(reason).at(path))
        }
        _ => Ok(log),
    }
}

fn is_file(entry: &DirEntry) -> bool {
    let kind = entry.file_type();
    kind.is_file() || (entry.depth() == 0 && entry.path().is_file())
}

fn logs_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(|error| Error::io("look into", dir, error))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut logs: Vec<_> = paths.filter(|path| is_log(path) && path.is_file()).collect();
    logs.sort();
    Ok(logs)
}

/// Whether the name is that of a log, which may be compressed; if it is, and the log itself is there too,
/// that one is meant.
fn is_log(path: &Path) -> bool {
    let plain = plain_path(path);
    let is_named = plain.extension().is_some_and(|extension| extension == "wandb")
        && plain.file_stem().is_some_and(|stem| !stem.is_empty());
    is_named && (plain == path || !plain.is_file())
}

/// The path without what says that the file is compressed.
pub(crate) fn plain_path(path: &Path) -> PathBuf {
    match path.extension() {
        Some(extension) if extension == "gz" || extension == "zst" => path.with_extension(""),
        _ => path.to_owned(),
    }
}

/// Where something about a log is noted: beside it, under its name when it is not compressed.
pub(crate) fn noted_beside(log: &Path, suffix: &str) -> PathBuf {
    let mut name = plain_path(log).into_os_string();
    name.push(suffix);
    name.into()
}

/// Where an upload placed the first step of a log, as `wandb sync` notes it too. What is not understood says
/// nothing.
pub(crate) fn starting_step(log: &Path) -> Result<Option<i64>> {
    let path = noted_beside(log, SYNCSTATE);
    // A pipe that nobody writes to would be waited for.
    if fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        return Ok(None);
    }
    let text = match read_small(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    Ok(Value::parse(&text).ok().and_then(|state| state.get("starting_step")?.as_i64()))
}

/// What stands behind a log's name in that of the note that an upload of it was begun.
pub(crate) const SYNCSTATE: &str = ".syncstate";

/// Characters of `YYYYMMDD_HHMMSS`.
const STAMP_LEN: usize = 15;
