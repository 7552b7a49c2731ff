//! The output of a rewrite: a run directory or a single log, which gets its name when it is proven.

use super::files::FilesDir;
use super::naming::file_name;
use super::rewriter::{Rewriter, Written};
use crate::error::{Error, Result};
use crate::io::{StagedDir, StagedFile};
use crate::log::LogWriter;
use std::fs;
use std::path::{Path, PathBuf};

/// A run directory, or a log alone, in the making.
///
/// Until it is published it stands under a hidden name (`.tmp-...`) beside its destination, and is removed
/// when dropped. The log in it is called `log.part` then, so nobody takes what a killed process left for
/// a run.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use wandb_offline::Reader;
/// use wandb_offline::record::RecordKind;
/// use wandb_offline::rewrite::Staged;
///
/// // The same run without its console output.
/// let mut old = Reader::open("fixtures/wandb/0.31.0/console/run-console1.wandb")?;
/// let mut new = Staged::run(dir.path().join("quiet"), "console1")?;
/// while let Some(record) = old.next_record()? {
///     if record.kind()? != Some(RecordKind::OutputRaw) {
///         new.log.keep(&record)?;
///     }
/// }
/// let proven = new.prove()?;
/// let written = proven.written();
/// let directory = proven.publish()?;
/// assert!(directory.join("run-console1.wandb").is_file());
/// assert_eq!(written.records(), written.kept);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Staged {
    /// The log.
    pub log: Rewriter,
    /// What is uploaded with the run, its `files/`; a log alone has none.
    pub files: Option<FilesDir>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Run { dir: StagedDir, log_name: String },
    Log(StagedFile),
}

impl Staged {
    /// Begins the run directory `directory`, which must not exist, of the run `id`: its log is going to be
    /// called `run-<id>.wandb`.
    ///
    /// # Errors
    /// When something of that name exists, or nothing can be made there.
    pub fn run(directory: impl Into<PathBuf>, id: &str) -> Result<Self> {
        let dir = StagedDir::new(directory.into())?;
        let files = dir.path().join("files");
        fs::create_dir(&files).map_err(|error| Error::io("create", &files, error))?;
        let log = Rewriter::to_prove(LogWriter::create(dir.unfinished_log())?);
        let log_name = format!("run-{}.wandb", file_name(id));
        Ok(Self { log, files: Some(FilesDir::new(files)), place: Place::Run { dir, log_name } })
    }

    /// Begins the log `path`, which must not exist.
    ///
    /// # Errors
    /// When something of that name exists, or nothing can be made there.
    pub fn log(path: impl Into<PathBuf>) -> Result<Self> {
        let (staged, file) = StagedFile::new(path.into())?;
        let log = Rewriter::to_prove(LogWriter::new(file, staged.path()));
        Ok(Self { log, files: None, place: Place::Log(staged) })
    }

    /// What it is going to be called.
    pub fn destination(&self) -> &Path {
        match &self.place {
            Place::Run { dir, .. } => dir.destination(),
            Place::Log(file) => file.destination(),
        }
    }

    /// A directory on the same disk, for temporary files.
    pub(crate) fn scratch(&self) -> &Path {
        match &self.place {
            Place::Run { dir, .. } => dir.path(),
            Place::Log(file) => file.path().parent().unwrap_or_else(|| Path::new(".")),
        }
    }

    /// Puts everything on the disk, and reads the log back: it holds the records that were written, in
    /// their order, byte for byte, and ends cleanly.
    ///
    /// # Errors
    /// When the disk refuses, or gives back something else.
    pub fn prove(self) -> Result<Proven> {
        let written = self.log.prove()?;
        if let (Some(files), Place::Run { dir, log_name }) = (self.files, &self.place) {
            files.sync()?;
            dir.name_log(log_name.as_ref())?;
        }
        Ok(Proven { place: self.place, written })
    }
}

/// Output that is whole and proven, and lacks only its name.
#[derive(Debug)]
pub struct Proven {
    place: Place,
    written: Written,
}

impl Proven {
    /// What was written.
    pub const fn written(&self) -> Written {
        self.written
    }

    /// Where the run directory, or the log, stands for now.
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::Run { dir, .. } => dir.path(),
            Place::Log(file) => file.path(),
        }
    }

    /// Where the log stands for now.
    pub fn log_path(&self) -> PathBuf {
        match &self.place {
            Place::Run { dir, log_name } => dir.path().join(log_name),
            Place::Log(file) => file.path().to_owned(),
        }
    }

    /// Gives it its name, and returns it. What has come to exist there in the meantime is not replaced.
    ///
    /// # Errors
    /// When something of that name exists now, or the system refuses.
    pub fn publish(self) -> Result<PathBuf> {
        match self.place {
            Place::Run { dir, .. } => dir.publish(),
            Place::Log(file) => file.publish(),
        }
    }
}
