//! A log that is read more than once.

use super::Reader;
use crate::error::{Error, Result};
use crate::io::identity;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Hands out readers of a log, all of which see the records that the first one saw that came to its end: not
/// those that were added since, and it is an error if there are fewer, or if another file has its name.
#[derive(Clone, Debug)]
pub(crate) struct Repeated(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    identity: Option<(u64, u64)>,
    records: OnceLock<u64>,
}

impl Repeated {
    /// Opens nothing yet, but looks whether the log can be read twice.
    ///
    /// # Errors
    /// When there is no such file, or it is none, such as a pipe.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let found = fs::metadata(path).map_err(|error| Error::io("open", path, error))?;
        if !found.is_file() {
            let reason = "this reads its log twice, which takes a regular file; save it to one";
            return Err(Error::misuse(reason).at(path));
        }
        let (path, identity) = (path.to_owned(), identity(&found));
        Ok(Self(Arc::new(Shared { path, identity, records: OnceLock::new() })))
    }

    /// The log.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// A lenient reader from the beginning on.
    ///
    /// # Errors
    /// When the log cannot be opened, or another one has its name now.
    pub(crate) fn reader(&self) -> Result<Reader> {
        let path = self.path();
        let reader = Reader::options().lenient(true).open(path)?;
        let found = fs::metadata(path).map_err(|error| Error::io("open", path, error))?;
        if identity(&found) != self.0.identity {
            return Err(Error::misuse("another file was put in its place; try again").at(path));
        }
        Ok(reader.repeating(self.clone()))
    }

    /// Whether these are all the records that were seen.
    #[inline]
    pub(super) fn are_all(&self, records: u64) -> bool {
        self.0.records.get() == Some(&records)
    }

    /// Takes down that a reader came to the end of the log behind so many records.
    pub(super) fn end(&self, records: u64) -> Result<()> {
        let seen = *self.0.records.get_or_init(|| records);
        if seen == records {
            return Ok(());
        }
        let reason = format!(
            "it had {seen} records when it was read first, and has {records} now; try again when nothing changes it"
        );
        Err(Error::misuse(reason).at(self.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::block_log::BlockEncoder;

    fn log(records: usize) -> Vec<u8> {
        let mut log = Vec::new();
        let mut encoder = BlockEncoder::new(&mut log);
        (0..records).for_each(|_| _ = encoder.record(b"record", &mut log));
        log
    }

    fn count(log: &Repeated) -> Result<u64> {
        let mut reader = log.reader()?;
        let mut records = 0;
        while reader.next_record()?.is_some() {
            records += 1;
        }
        assert!(reader.next_record()?.is_none(), "asked again");
        Ok(records)
    }

    #[test]
    fn every_reading_has_the_records_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run-x.wandb");
        fs::write(&path, log(3)).unwrap();
        let log_file = Repeated::new(&path).unwrap();
        assert_eq!((count(&log_file).unwrap(), count(&log_file).unwrap()), (3, 3));
        fs::write(&path, log(5)).unwrap();
        assert_eq!(count(&log_file).unwrap(), 3, "it has grown");
        fs::write(&path, log(2)).unwrap();
        let error = count(&log_file).unwrap_err().to_string();
        assert!(error.contains("had 3 records") && error.contains("has 2 now"), "{error}");
    }

    #[test]
    fn what_stands_behind_the_last_record_is_told_by_each() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run-x.wandb");
        fs::write(
            &path,
            [log(3), b"no chunk, but longer than the header of one".to_vec()].concat(),
        )
        .unwrap();
        let log = Repeated::new(&path).unwrap();
        let told = || {
            let mut reader = log.reader().unwrap();
            while reader.next_record().unwrap().is_some() {}
            (reader.gaps().bytes(), reader.tail())
        };
        let first = told();
        assert!(first.0 > 0 && first.1.is_some(), "{first:?}");
        assert_eq!(told(), first);
    }

    #[cfg(unix)]
    #[test]
    fn another_file_of_its_name_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("run-x.wandb"), dir.path().join("other"));
        fs::write(&path, log(3)).unwrap();
        fs::write(&other, log(3)).unwrap();
        let log = Repeated::new(&path).unwrap();
        assert_eq!(count(&log).unwrap(), 3);
        fs::rename(other, &path).unwrap();
        assert!(count(&log).unwrap_err().to_string().contains("another file"));
        assert!(Repeated::new(dir.path()).is_err());
    }
}
