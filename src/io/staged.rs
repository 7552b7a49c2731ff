//! Output that gets its name when it is whole.
//!
//! What is written stands under a hidden name beside its destination until then, so that nobody takes
//! half of it for all of it, and is removed when it is given up. A process that is killed leaves it
//! behind; its name begins with `.tmp-`, and neither this crate's search for runs nor W&B's looks at it. The
//! log in it is called `log.part` until it is whole, so that who looks there all the same takes it for no run. The
//! next process makes a place of its own, and leaves alone what may be that of another one that still runs.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempDir, TempPath};

/// A directory in the making, whose name may be settled as late as when it is whole.
#[derive(Debug)]
pub(crate) struct UnnamedDir(TempDir);

impl UnnamedDir {
    /// Begins a directory in `parent`, which is made if it is not there.
    pub(crate) fn new(parent: &Path) -> Result<Self> {
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let temporary = builder.tempdir_in(parent);
        Ok(Self(temporary.map_err(|error| Error::io("create a directory in", parent, error))?))
    }

    /// Where it stands until it has its name.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Gives the directory its name, which nothing must have.
    pub(crate) fn name(self, to: &Path) -> Result<()> {
        sync_dir(self.path())?;
        rename_new(self.path(), to).map_err(|e| Error::io("rename a directory to", to, e))?;
        // Nothing is left under the old name.
        let _ = self.0.keep();
        sync_parent(to)
    }
}

/// A directory in the making.
#[derive(Debug)]
pub(crate) struct StagedDir {
    unnamed: UnnamedDir,
    destination: PathBuf,
}

impl StagedDir {
    /// Begins the directory `destination`, which must not exist. Those above it are made.
    pub(crate) fn new(destination: PathBuf) -> Result<Self> {
        refuse_existing(&destination)?;
        Ok(Self { unnamed: UnnamedDir::new(parent(&destination))?, destination })
    }

    /// Where it stands until it is published.
    pub(crate) fn path(&self) -> &Path {
        self.unnamed.path()
    }

    /// What it is going to be called.
    pub(crate) fn destination(&self) -> &Path {
        &self.destination
    }

    /// The log in it, as long as it is being written.
    pub(crate) fn unfinished_log(&self) -> PathBuf {
        self.path().join(PART)
    }

    /// Gives the log in it, which is whole now, its name.
    pub(crate) fn name_log(&self, name: &Path) -> Result<()> {
        let log = self.path().join(name);
        fs::rename(self.unfinished_log(), &log)
            .map_err(|error| Error::io("rename a file to", log, error))
    }

    /// Gives the directory its name, which nothing must have taken in the meantime.
    pub(crate) fn publish(self) -> Result<PathBuf> {
        self.unnamed.name(&self.destination)?;
        Ok(self.destination)
    }
}

/// A file in the making.
#[derive(Debug)]
pub(crate) struct StagedFile {
    temporary: TempPath,
    destination: PathBuf,
}

impl StagedFile {
    /// Begins the file `destination`, which must not exist, and opens it. The directories above it are made.
    pub(crate) fn new(destination: PathBuf) -> Result<(Self, File)> {
        refuse_existing(&destination)?;
        let parent = parent(&destination);
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
        let file = temporary_in(parent);
        let file = file.map_err(|error| Error::io("create a file in", parent, error))?;
        let (file, temporary) = file.into_parts();
        Ok((Self { temporary, destination }, file))
    }

    /// Where it stands until it is published.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// What it is going to be called.
    pub(crate) fn destination(&self) -> &Path {
        &self.destination
    }

    /// Gives the file its name, which nothing must have taken in the meantime. It has been synced.
    pub(crate) fn publish(self) -> Result<PathBuf> {
        let to = self.destination;
        self.temporary
            .persist_noclobber(&to)
            .map_err(|error| Error::io("rename a file to", &to, error.error))?;
        sync_parent(&to)?;
        Ok(to)
    }
}

/// A file in `dir` under a hidden name, with the permissions that files have here.
pub(crate) fn temporary_in(dir: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(dir)
}

/// Fails if there is something at `destination` already.
pub(crate) fn refuse_existing(destination: &Path) -> Result<()> {
    if fs::symlink_metadata(destination).is_ok() {
        let reason = "this exists already, and nothing is overwritten; name another output";
        return Err(Error::misuse(reason).at(destination));
    }
    Ok(())
}

/// Renames a directory, and replaces nothing by that, not even an empty directory.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            renamed => return Ok(renamed?),
        }
    }
    if !cfg!(unix) {
        return fs::rename(from, to);
    }
    // Renaming onto an empty directory replaces it, here and now: whoever comes second cannot make it. Who
    // is killed in between leaves it empty.
    fs::create_dir(to)?;
    fs::rename(from, to).inspect_err(|_| {
        // Only ours, which is empty, can be removed.
        let _ = fs::remove_dir(to);
    })
}

/// The directory that something is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn sync_parent(path: &Path) -> Result<()> {
    sync_dir(parent(path))
}

/// Puts a directory's entries on the disk, so that what was synced in it can also be found.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    if cfg!(unix) {
        let synced = File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(|error| Error::io("sync", dir, error))?;
    }
    Ok(())
}

const PREFIX: &str = ".tmp-";
const PART: &str = "log.part";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_seen_before_it_is_published_nor_left_when_it_is_not() {
        let root = tempfile::tempdir().unwrap();
        let staged = StagedDir::new(root.path().join("a/run")).unwrap();
        assert_eq!(names(&root.path().join("a")).len(), 1);
        assert!(names(&root.path().join("a"))[0].starts_with(PREFIX));
        drop(staged);
        assert!(names(&root.path().join("a")).is_empty());

        let staged = StagedDir::new(root.path().join("run")).unwrap();
        fs::write(staged.path().join("x"), "1").unwrap();
        staged.publish().unwrap();
        let (staged, _) = StagedFile::new(root.path().join("log")).unwrap();
        staged.publish().unwrap();
        assert_eq!(names(root.path()), ["a", "log", "run"]);
    }

    #[test]
    fn nothing_that_exists_is_replaced_even_when_it_came_later() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("taken");
        let dir = StagedDir::new(path.clone()).unwrap();
        let (file, _) = StagedFile::new(path.clone()).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(dir.publish().is_err(), "not even an empty directory");
        assert!(file.publish().is_err());
        assert_eq!(names(root.path()), ["taken"], "and nothing is left behind");
        let refused = StagedDir::new(path).unwrap_err().to_string();
        assert!(refused.starts_with("this exists already"), "{refused}");
    }
}
