//! Files in a pack: copied once, under what they hold.

use super::contents::{Blob, OBJECTS};
use crate::error::{Error, Result};
use crate::io::{copy_digested, hex, sha256, temporary_in};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The files that are packed with a log.
#[derive(Debug)]
pub(super) struct Objects {
    dir: PathBuf,
    /// Bytes that were copied.
    pub(super) copied: u64,
}

impl Objects {
    /// Those in the directory of a run, which is made.
    pub(super) fn new(run: &Path) -> Result<Self> {
        let dir = run.join(OBJECTS);
        fs::create_dir_all(&dir).map_err(|error| Error::io("create", &dir, error))?;
        Ok(Self { dir, copied: 0 })
    }

    /// Takes a file in, unless it holds what it did before.
    pub(super) fn take(&mut self, path: &Path, before: Option<&Blob>) -> Result<Blob> {
        let failed = |error| Error::io("pack", path, error);
        if let Some(blob) = before
            && self.has(blob)
            && fs::metadata(path).map_err(failed)?.len() == blob.size
            && digest(path, blob.size).map_err(failed)? == blob.sha256
        {
            return Ok(blob.clone());
        }
        let mut from = File::open(path).map_err(failed)?;
        let mut to = temporary_in(&self.dir).map_err(failed)?;
        let mut hash = Sha256::new();
        let size = copy_digested(&mut from, &mut to, &mut hash).map_err(failed)?;
        let blob = Blob { size, sha256: hex(&hash.finalize()) };
        if !self.has(&blob) {
            to.persist(self.dir.join(&blob.sha256)).map_err(|error| failed(error.error))?;
            self.copied += size;
        }
        Ok(blob)
    }

    /// Whether it is there, as far as its length tells.
    pub(super) fn has(&self, blob: &Blob) -> bool {
        let found = fs::symlink_metadata(self.dir.join(&blob.sha256));
        found.is_ok_and(|found| found.is_file() && found.len() == blob.size)
    }

    /// Removes the others: what files held before, and what was not finished.
    pub(super) fn keep<'a>(&self, blobs: impl Iterator<Item = &'a Blob>) -> Result<()> {
        let kept: HashSet<&str> = blobs.map(|blob| blob.sha256.as_str()).collect();
        let failed = |error| Error::io("look into", &self.dir, error);
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                fs::remove_file(entry.path())
                    .map_err(|error| Error::io("remove", entry.path(), error))?;
            }
        }
        Ok(())
    }
}

/// Brings the log in a pack to the first `length` bytes of `log`. Of what is there already, `before`, nothing may
/// have changed. Also tells how many bytes were copied.
pub(super) fn extend(
    packed: &Path,
    before: Option<&Blob>,
    log: &Path,
    length: u64,
) -> Result<(Blob, u64)> {
    let (read, wrote) = (|e| Error::io("read", log, e), |e| Error::io("write", packed, e));
    let mut from = File::open(log).map_err(read)?;
    let mut hash = Sha256::new();
    let mut start = 0;
    if let Some(before) = before {
        let mut known = Read::by_ref(&mut from).take(before.size);
        start = copy_digested(&mut known, &mut io::sink(), &mut hash).map_err(read)?;
        if start > length || hex(&hash.clone().finalize()) != before.sha256 {
            let reason =
                "the log is not the one in the pack any more; pack it into another directory";
            return Err(Error::misuse(reason).at(log));
        }
    }
    let to = File::options().create(true).truncate(false).write(true).open(packed);
    let mut to = to.map_err(wrote)?;
    if to.metadata().map_err(wrote)?.len() < start {
        let reason = "the log in this pack is cut off; remove its directory and pack the run again";
        return Err(Error::misuse(reason).at(packed));
    }
    // What a packing that was killed left behind does not count.
    to.set_len(start).map_err(wrote)?;
    to.seek(SeekFrom::Start(start)).map_err(wrote)?;
    let copied = copy_digested(&mut from.take(length - start), &mut to, &mut hash)
        .map_err(|error| Error::io("copy a log to", packed, error))?;
    if start + copied != length {
        return Err(Error::misuse("the log became shorter while it was packed").at(log));
    }
    to.sync_all().map_err(wrote)?;
    Ok((Blob { size: length, sha256: hex(&hash.finalize()) }, copied))
}

/// The SHA-256 of the first `length` bytes of a file, in hex.
pub(super) fn digest(path: &Path, length: u64) -> io::Result<String> {
    sha256(File::open(path)?.take(length))
}
