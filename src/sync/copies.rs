//! Which of the logs that were found are one: a file under several names, copies that `recover` and `scrub` made,
//! and copies of run directories. All of them have the id of their run, so of those that are one, one alone may be
//! uploaded, or the server has all rows twice.

use super::report::RunStatus;
use crate::io::identity;
use crate::log::{LogFile, plain_path};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What is the same for all names of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Identity {
    /// Device and inode, which hard links share.
    Inode(u64, u64),
    /// Where all links lead.
    Path(PathBuf),
}

impl Identity {
    fn of(path: &Path) -> Self {
        match std::fs::metadata(path).ok().as_ref().and_then(identity) {
            Some((device, inode)) => Self::Inode(device, inode),
            None => Self::Path(resolved(path)),
        }
    }
}

/// Takes each log once, of the names that a file has that of a run directory. Those that do not count are told to
/// `pass`, with the one that does.
pub(super) fn distinct(
    found: Vec<LogFile>,
    mut pass: impl FnMut(&LogFile, &LogFile),
) -> Vec<LogFile> {
    let (mut kept, mut places): (Vec<LogFile>, _) = (Vec::new(), HashMap::new());
    for mut log in found {
        match places.entry(Identity::of(&log.path)) {
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(log);
            }
            Entry::Occupied(place) => {
                let Some(first) = kept.get_mut(*place.get()) else { continue };
                let rank = |log: &LogFile| (log.synced, has_files(log));
                if rank(&log) > rank(first) {
                    std::mem::swap(first, &mut log);
                }
                if log.path != first.path {
                    pass(&log, first);
                }
            }
        }
    }
    kept
}

/// Whether the files of the run are beside its log.
pub(super) fn has_files(log: &LogFile) -> bool {
    log.dir().join("files").is_dir()
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

    /// Why a log should not go beside those found with it, and what that makes of it.
    pub(super) fn objection(&self, log: &LogFile) -> Option<(RunStatus, String)> {
        // What is there already does not come twice.
        if log.synced {
            return None;
        }
        let failed = self.conflict(log).map(|reason| (RunStatus::Failed, reason));
        failed.or_else(|| Some((RunStatus::Skipped, self.precedence(log)?)))
    }

    /// Why neither a log nor its copy should go: what was logged since the copy was made is in the log alone.
    fn conflict(&self, log: &LogFile) -> Option<String> {
        let beside = self.copies.get(&plain_path(&resolved(&log.path))).map(|copy| (log, *copy));
        let originals = originals(&log.path);
        let original = originals.iter().find_map(|path| self.found.get(path));
        let (original, copy) = beside.or_else(|| Some((*original?, log)))?;
        if original.synced || copy.synced || !is_later(&original.path, &copy.path) {
            return None;
        }
        let (original, copy) = (original.path.display(), copy.path.display());
        Some(format!(
            "{original} was written to after its copy {copy} was made; make the copy anew, or name one of them alone"
        ))
    }

    /// Which log goes instead of this one.
    fn precedence(&self, log: &LogFile) -> Option<String> {
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

/// Whether a file was changed after another one.
fn is_later(a: &Path, b: &Path) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    changed(a).zip(changed(b)).is_some_and(|(a, b)| a > b)
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
