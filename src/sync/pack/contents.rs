//! What a pack says of itself: `pack.json`, and the `contents.json` of each run.

use crate::error::{Error, Result};
use crate::sync::ledger::replace;
use crate::sync::options::Terms;
use crate::sync::plan::{LocalFile, is_contained};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// `pack.json`: makes a directory a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) version: u32,
    /// The directories of the runs, so that one that is lost on the way is missed.
    pub(super) runs: BTreeSet<String>,
}

/// `contents.json`: a run in a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Contents {
    /// The log's name.
    pub(super) name: String,
    /// What of the log is packed.
    pub(super) log: Blob,
    pub(super) terms: Terms,
    /// The files below the run's `files/`, by their names there.
    pub(super) files: BTreeMap<String, Blob>,
    /// The files of artifacts, by the paths that the log has.
    pub(super) staged: BTreeMap<String, Blob>,
}

/// Bytes that are packed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Blob {
    /// How many.
    pub(super) size: u64,
    /// Their SHA-256, in hex.
    pub(super) sha256: String,
}

impl Index {
    /// The index of the pack `dir`, if it is one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(INDEX);
        let Some(index) = read::<Self>(&path)? else { return Ok(None) };
        if index.version != VERSION {
            let version = index.version;
            let reason = format!(
                "this pack is of version {version}, and this program knows version {VERSION}; use the one that made it"
            );
            return Err(Error::misuse(reason).at(path));
        }
        Ok(Some(index))
    }

    /// Whether a directory says that it is a pack.
    pub(super) fn is_in(dir: &Path) -> bool {
        dir.join(INDEX).is_file()
    }

    pub(super) fn write(dir: &Path, runs: BTreeSet<String>) -> Result<()> {
        write(&dir.join(INDEX), &Self { version: VERSION, runs })
    }
}

impl Contents {
    /// What the directory of a run says of it; `None` if it does not say yet.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(CONTENTS);
        let Some(contents) = read::<Self>(&path)? else { return Ok(None) };
        match contents.fault() {
            Some(fault) => Err(Error::misuse(fault).at(path)),
            None => Ok(Some(contents)),
        }
    }

    /// A log of this name, of which nothing is packed.
    pub(super) fn of(name: String, terms: Terms) -> Self {
        let log = Blob { size: 0, sha256: String::new() };
        Self { name, log, terms, files: BTreeMap::new(), staged: BTreeMap::new() }
    }

    /// Whether a directory is that of a run in a pack.
    pub(super) fn is_in(dir: &Path) -> bool {
        dir.join(CONTENTS).exists()
    }

    /// What is packed of a file.
    pub(super) fn get(&self, file: &LocalFile) -> Option<&Blob> {
        match file {
            LocalFile::Run(name) => self.files.get(name),
            LocalFile::Staged(path) => self.staged.get(path),
            LocalFile::Console => None,
        }
    }

    pub(super) fn insert(&mut self, file: &LocalFile, blob: Blob) {
        match file {
            LocalFile::Run(name) => _ = self.files.insert(name.clone(), blob),
            LocalFile::Staged(path) => _ = self.staged.insert(path.clone(), blob),
            // It comes from the log.
            LocalFile::Console => {}
        }
    }

    /// Replaces what the directory says; it is on the disk afterwards.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        write(&dir.join(CONTENTS), self)
    }

    /// The files, those of artifacts included, each with its object.
    pub(super) fn blobs(&self) -> impl Iterator<Item = (&str, &Blob)> {
        self.files.iter().chain(&self.staged).map(|(name, blob)| (name.as_str(), blob))
    }

    /// What in it leads out of the pack.
    fn fault(&self) -> Option<String> {
        let is_file_name = is_contained(&self.name) && !self.name.contains(['/', '\\']);
        if !is_file_name || RESERVED.contains(&self.name.as_str()) {
            return Some(format!("the name of the log in this pack, {:?}, is none", self.name));
        }
        let is_digest = |text: &str| {
            text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        };
        let mut wrong = self.blobs().filter(|(_, blob)| !is_digest(&blob.sha256));
        wrong.next().map(|(name, _)| format!("the SHA-256 of {name:?} in this pack is none"))
    }
}

/// Reads what [`write`] wrote; `None` if there is nothing.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let failed = |error| Error::io("read", path, error);
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found.map_err(failed)?,
    };
    if !found.is_file() || found.len() > LONGEST {
        let reason = format!("this should be a file of at most {LONGEST} bytes; {AGAIN}");
        return Err(Error::misuse(reason).at(path));
    }
    let file = File::open(path).map_err(failed)?.take(LONGEST);
    serde_json::from_reader(BufReader::new(file))
        .map(Some)
        .map_err(|error| Error::misuse(format!("this pack is damaged ({error}); {AGAIN}")).at(path))
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_vec_pretty(value).map_err(|error| Error::io("write", path, error.into()))?;
    if text.len() as u64 > LONGEST {
        let (length, reason) = (text.len(), "are more than a pack may list; pack fewer files");
        return Err(Error::misuse(format!("{length} bytes of names {reason}")).at(path));
    }
    replace(path, &text, true)
}

/// What to do about a pack that is not as it should be.
pub(super) const AGAIN: &str =
    "copy the pack again, or remove this run's directory from it and pack the run again";

const INDEX: &str = "pack.json";
const CONTENTS: &str = "contents.json";

/// Where the files are.
pub(super) const OBJECTS: &str = "objects";

/// Names in the directory of a run that no log has.
const RESERVED: &[&str] = &[CONTENTS, OBJECTS];

/// Changes when older programs would get a pack wrong.
const VERSION: u32 = 1;

/// The longest file that is read as a whole. It costs memory.
pub(super) const LONGEST: u64 = 256 << 20;
