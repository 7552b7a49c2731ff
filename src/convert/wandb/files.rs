//! The run's `files/`, and nothing outside of it.

use super::report::Reason;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// Reads files that a log names by paths, which are not to be trusted.
#[derive(Debug)]
pub(super) struct FilesDir {
    /// Its true path; none if it is not there.
    root: Option<PathBuf>,
}

impl FilesDir {
    /// The `files/` beside a log.
    pub(super) fn beside(log: &Path) -> Self {
        let root = log.parent().map(|dir| dir.join("files"));
        Self { root: root.and_then(|root| root.canonicalize().ok()) }
    }

    /// The bytes of a file, unless it has more than `limit`.
    pub(super) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Reason> {
        let (file, length) = self.open(path)?;
        if length > limit {
            return Err(Reason::UnusableFile);
        }
        let mut bytes = Vec::new();
        let read = file.take(limit).read_to_end(&mut bytes);
        read.map_err(|_| Reason::UnusableFile)?;
        Ok(bytes)
    }

    /// A file, and how long it is.
    pub(super) fn open(&self, path: &str) -> Result<(File, u64), Reason> {
        let below = Path::new(path);
        let plain = |component| matches!(component, Component::Normal(_));
        if path.is_empty() || !below.components().all(plain) {
            return Err(Reason::OutsideFiles);
        }
        let root = self.root.as_ref().ok_or(Reason::MissingFile)?;
        let file = root.join(below).canonicalize().map_err(|_| Reason::MissingFile)?;
        if !file.starts_with(root) {
            return Err(Reason::OutsideFiles);
        }
        let found = fs::metadata(&file).map_err(|_| Reason::MissingFile)?;
        // A pipe would keep its reader waiting for ever.
        if !found.is_file() {
            return Err(Reason::UnusableFile);
        }
        let file = File::open(&file).map_err(|_| Reason::UnusableFile)?;
        Ok((file, found.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_within_are_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("files/media")).unwrap();
        fs::write(dir.path().join("files/media/a"), "a").unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        let files = FilesDir::beside(&dir.path().join("run-x.wandb"));
        assert_eq!(files.read("media/a", 9), Ok(b"a".to_vec()));
        let absolute = dir.path().join("files/media/a").display().to_string();
        for path in ["../secret", "media/../../secret", "", "/etc/hostname", &absolute, ".."] {
            assert_eq!(files.read(path, 9), Err(Reason::OutsideFiles), "{path}");
        }
        assert_eq!(files.read("media/b", 9), Err(Reason::MissingFile));
        assert_eq!(files.read("media", 9), Err(Reason::UnusableFile));
        assert_eq!(files.read("media/a", 0), Err(Reason::UnusableFile));
        assert_eq!(
            FilesDir::beside(Path::new("/nowhere/x")).read("a", 9),
            Err(Reason::MissingFile)
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("files")).unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("files/out")).unwrap();
        std::os::unix::fs::symlink("..", dir.path().join("files/up")).unwrap();
        let files = FilesDir::beside(&dir.path().join("run-x.wandb"));
        assert_eq!(files.read("out", 9), Err(Reason::OutsideFiles));
        assert_eq!(files.read("up/secret", 9), Err(Reason::OutsideFiles));
    }
}
