//! Files that data names: below one directory, and nowhere else.

use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

/// A directory, and what is in it by paths that are not to be trusted.
#[derive(Debug)]
pub(crate) struct Within {
    /// Its true path; none if it is not there.
    root: Option<PathBuf>,
}

/// Why a path leads to no file within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// It is absolute, climbs, or follows a link out.
    Outside,
    /// There is nothing.
    Missing,
    /// What is there is no file, or cannot be opened.
    Unusable,
}

impl Within {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.canonicalize().ok() }
    }

    /// Whether the directory is there.
    pub(crate) const fn exists(&self) -> bool {
        self.root.is_some()
    }

    /// Opens a file, and says how long it is.
    pub(crate) fn open(&self, path: &str) -> Result<(File, u64), Unreachable> {
        let below = Path::new(path);
        let plain = |component| matches!(component, Component::Normal(_));
        if path.is_empty() || !below.components().all(plain) {
            return Err(Unreachable::Outside);
        }
        let root = self.root.as_ref().ok_or(Unreachable::Missing)?;
        let file = root.join(below).canonicalize().map_err(|_| Unreachable::Missing)?;
        if !file.starts_with(root) {
            return Err(Unreachable::Outside);
        }
        let found = fs::metadata(&file).map_err(|_| Unreachable::Missing)?;
        // A pipe would keep its reader waiting for ever.
        if !found.is_file() {
            return Err(Unreachable::Unusable);
        }
        let file = File::open(&file).map_err(|_| Unreachable::Unusable)?;
        Ok((file, found.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(within: &Within, path: &str) -> Option<Unreachable> {
        within.open(path).err()
    }

    #[test]
    fn only_files_within_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("files/media")).unwrap();
        fs::write(dir.path().join("files/media/a"), "abc").unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        let files = Within::new(&dir.path().join("files"));
        assert_eq!(files.open("media/a").unwrap().1, 3);
        let absolute = dir.path().join("files/media/a").display().to_string();
        for path in ["../secret", "media/../../secret", "", "/etc/hostname", &absolute, ".."] {
            assert_eq!(refused(&files, path), Some(Unreachable::Outside), "{path}");
        }
        assert_eq!(refused(&files, "media/b"), Some(Unreachable::Missing));
        assert_eq!(refused(&files, "media"), Some(Unreachable::Unusable));
        let nowhere = Within::new(Path::new("/nowhere/files"));
        assert_eq!((nowhere.exists(), refused(&nowhere, "a")), (false, Some(Unreachable::Missing)));
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("files")).unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("files/out")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("files/up")).unwrap();
        let files = Within::new(&dir.path().join("files"));
        assert_eq!(refused(&files, "out"), Some(Unreachable::Outside));
        assert_eq!(refused(&files, "up/secret"), Some(Unreachable::Outside));
    }
}
