//! A run directory in the making: under a temporary name beside its place, renamed when it is whole.

use crate::error::{Error, Result};
use crate::io::UnnamedDir;
use std::fs;
use std::path::{Path, PathBuf};

/// A run directory that is not complete yet, and is removed if it never is.
pub(super) struct PendingDir {
    unnamed: UnnamedDir,
}

impl PendingDir {
    /// Begins one in `output`, which is made if it is not there.
    pub(super) fn new(output: &Path) -> Result<Self> {
        let pending = Self { unnamed: UnnamedDir::new(output)? };
        let files = pending.files();
        fs::create_dir(&files).map_err(|error| Error::io("create", files, error))?;
        Ok(pending)
    }

    pub(super) fn path(&self) -> &Path {
        self.unnamed.path()
    }

    /// Where the files that rows refer to belong.
    pub(super) fn files(&self) -> PathBuf {
        self.path().join("files")
    }

    /// Where the log is written. What remains of a conversion that was killed is no log to anyone.
    pub(super) fn unfinished_log(&self) -> PathBuf {
        self.path().join("log.part")
    }

    /// Gives the complete log its name.
    pub(super) fn name_log(&self, id: &str) -> Result<()> {
        let log = self.path().join(format!("run-{id}.wandb"));
        fs::rename(self.unfinished_log(), &log).map_err(|e| Error::io("rename a file to", log, e))
    }

    /// Gives the directory its name, which nothing must have.
    pub(super) fn complete(self, directory: &Path) -> Result<()> {
        if fs::symlink_metadata(directory).is_ok() {
            return Err(
                Error::misuse("already converted; `--update` brings it up to date").at(directory)
            );
        }
        self.unnamed.name(directory)
    }
}
