//! The run's `files/`, and nothing outside of it.

use super::report::Reason;
use crate::io::{Unreachable, Within};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads files that a log names by paths, which are not to be trusted.
#[derive(Debug)]
pub(super) struct FilesDir(Within);

impl FilesDir {
    /// The `files/` beside a log.
    pub(super) fn beside(log: &Path) -> Self {
        Self(Within::new(&log.with_file_name("files")))
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
        self.0.open(path).map_err(|why| match why {
            Unreachable::Outside => Reason::OutsideFiles,
            Unreachable::Missing => Reason::MissingFile,
            Unreachable::Unusable => Reason::UnusableFile,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_files_within_and_of_bearable_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("files/media")).unwrap();
        fs::write(dir.path().join("files/media/a"), "a").unwrap();
        let files = FilesDir::beside(&dir.path().join("run-x.wandb"));
        assert_eq!(files.read("media/a", 9), Ok(b"a".to_vec()));
        assert_eq!(files.read("media/a", 0), Err(Reason::UnusableFile));
        assert_eq!(files.read("../a", 9), Err(Reason::OutsideFiles));
        assert_eq!(files.read("media/b", 9), Err(Reason::MissingFile));
        assert_eq!(files.read("media", 9), Err(Reason::UnusableFile));
    }
}
