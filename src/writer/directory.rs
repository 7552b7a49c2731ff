//! The run directory.
//!
//! ```text
//! <root>/wandb/                                          or <root>/.wandb/ if that exists
//!   offline-run-YYYYMMDD_HHMMSS-<id>[-N]/                local time; N if the name was taken
//!     run-<id>.wandb                                     the log
//!     files/                                             what is uploaded with the run
//!   latest-run -> offline-run-...                        on Unix
//! ```

use crate::error::{Error, Result};
use crate::io::sync_dir;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The paths of a run.
#[derive(Clone, Debug)]
pub(super) struct RunDirectory {
    pub(super) dir: PathBuf,
    pub(super) files: PathBuf,
    pub(super) log: PathBuf,
}

impl RunDirectory {
    /// The directory of a run that starts now, not made yet.
    pub(super) fn plan(root: &Path, id: &str) -> Self {
        let hidden = root.join(".wandb");
        let parent = if hidden.is_dir() { hidden } else { root.join("wandb") };
        let stamp = jiff::ZonedDateTime::now().strftime("%Y%m%d_%H%M%S").to_string();
        Self::within(parent.join(format!("offline-run-{stamp}-{id}")), id)
    }

    fn within(dir: PathBuf, id: &str) -> Self {
        Self { files: dir.join("files"), log: dir.join(format!("run-{id}.wandb")), dir }
    }

    /// Makes the directory, under another name if this one is taken.
    pub(super) fn create(mut self, id: &str) -> Result<Self> {
        if let Some(parent) = self.dir.parent() {
            fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        }
        let planned = self.dir.clone();
        for n in 1.. {
            match fs::create_dir(&self.dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && n < NAMES_TRIED => {
                    let mut name = planned.clone().into_os_string();
                    name.push(format!("-{n}"));
                    self = Self::within(name.into(), id);
                }
                Err(error) => return Err(Error::io("create", &self.dir, error)),
                Ok(()) => break,
            }
        }
        fs::create_dir(&self.files).map_err(|error| Error::io("create", &self.files, error))?;
        Ok(self)
    }

    /// Takes back a directory of a run that could not start. Nothing but what was just made is removed.
    pub(super) fn discard(&self) {
        // A directory that stays behind is no harm; it was in the way of nothing.
        let _ = fs::remove_file(&self.log);
        let _ = fs::remove_dir(&self.files);
        let _ = fs::remove_dir(&self.dir);
    }

    /// Points `latest-run` here. Something else of that name is left alone, and failing does no harm.
    #[cfg(unix)]
    pub(super) fn link_latest(&self) {
        let (Some(parent), Some(name)) = (self.dir.parent(), self.dir.file_name()) else { return };
        let link = parent.join("latest-run");
        if fs::symlink_metadata(&link).is_ok_and(|found| !found.is_symlink()) {
            return;
        }
        // Renaming replaces the link in one go, so there always is one.
        let mut fresh = self.dir.clone().into_os_string();
        fresh.push(".link");
        if std::os::unix::fs::symlink(name, &fresh).is_ok() && fs::rename(&fresh, &link).is_err() {
            let _ = fs::remove_file(&fresh);
        }
    }

    #[cfg(not(unix))]
    pub(super) fn link_latest(&self) {}

    /// Puts the directory's entries on the disk, so that a synced log can also be found.
    pub(super) fn sync(&self) -> Result<()> {
        for dir in [Some(self.dir.as_path()), self.dir.parent()].into_iter().flatten() {
            sync_dir(dir)?;
        }
        Ok(())
    }
}

const NAMES_TRIED: u32 = 10_000;
