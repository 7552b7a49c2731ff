//! Uploading what is packed.

use super::contents::{AGAIN, Blob, Contents, Index, LONGEST, OBJECTS};
use super::objects::digest;
use super::write::runs;
use super::{lock, refuse_links};
use crate::error::{Error, Result};
use crate::log::LogFile;
use crate::sync::driver::upload;
use crate::sync::event::Event;
use crate::sync::options::{Stop, SyncOptions, Terms};
use crate::sync::plan::{LocalFile, Unreadable};
use crate::sync::report::SyncReport;
use crate::sync::server::Server;
use crate::sync::transport::Transport;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The logs of a pack, by their paths in it.
pub(in crate::sync) type PackedLogs = BTreeMap<PathBuf, Arc<Packed>>;

/// Uploads the runs in a pack that [`pack()`](super::pack()) made, as [`sync`](crate::sync::sync) would have where
/// they were logged. What the server has is noted in the pack.
///
/// The options that were packed hold; what `options` ask for besides goes before them. Logs are not followed. A
/// run that is not as it was packed is not uploaded, and stops no other.
///
/// ```
/// # fn main() -> wandb_offline::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// use wandb_offline::Writer;
/// use wandb_offline::sync::{HttpTransport, Secret, Server, Stop, SyncOptions, pack, sync_pack};
///
/// # let run = Writer::options().project("demo").dir(dir.path()).create()?;
/// # run.finish()?;
/// # let stick = dir.path().join("stick");
/// pack(&[run.path().to_owned()], &stick, &SyncOptions::default())?;
///
/// // Elsewhere; nothing is sent this time.
/// let mut options = SyncOptions::default();
/// options.dry_run = true;
/// let server = Server::new("https://wandb.example.org", Secret::new("the API key"))?;
/// let transport = HttpTransport::new(&server)?;
/// let report = sync_pack(&stick, &server, &transport, &options, &Stop::new(), &|_| {})?;
/// assert_eq!(report.runs.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When `dir` is no pack, cannot be written, or is in use by another process.
pub fn sync_pack(
    dir: &Path,
    server: &Server,
    transport: &dyn Transport,
    options: &SyncOptions,
    stop: &Stop,
    observe: &(dyn Fn(Event<'_>) + Sync),
) -> Result<SyncReport> {
    let Some(index) = Index::read(dir)? else {
        return Err(Error::misuse("no pack is here; name the directory that --to filled").at(dir));
    };
    let _lock = if options.dry_run { None } else { Some(lock(dir)?) };
    let mut logs = PackedLogs::new();
    let mut errors = Vec::new();
    let found = runs(dir)?;
    for name in index.runs.difference(&found) {
        let reason = format!("this run is missing in the pack; {AGAIN}");
        errors.push(Error::misuse(reason).at(dir.join(name)).to_string());
    }
    for name in &found {
        match Packed::open(&dir.join(name), !options.dry_run) {
            Ok(packed) => _ = logs.insert(packed.log(), Arc::new(packed)),
            Err(error) => errors.push(error.to_string()),
        }
    }
    // Which logs are taken was decided when they were packed.
    let options = SyncOptions { include_online: true, live: None, ..options.clone() };
    let paths: Vec<_> = logs.keys().cloned().collect();
    let mut report = upload(&paths, &logs, server, transport, &options, stop, observe);
    report.errors.extend(errors);
    Ok(report)
}

/// A run in a pack.
#[derive(Debug)]
pub(in crate::sync) struct Packed {
    dir: PathBuf,
    contents: Contents,
}

impl Packed {
    /// Opens the directory of a run, in which nothing may lead out of it. If it is `ours`, what a
    /// packing that was killed left behind the log is taken away.
    fn open(dir: &Path, ours: bool) -> Result<Self> {
        refuse_links(dir)?;
        let contents = Contents::read(dir)?;
        let contents = contents.ok_or_else(|| Error::misuse("no run is packed here").at(dir))?;
        let packed = Self { dir: dir.to_owned(), contents };
        packed.refuse_long_notes()?;
        let (log, size) = (packed.log(), packed.contents.log.size);
        let length = fs::metadata(&log).map_err(|error| Error::io("read", &log, error))?.len();
        if length < size {
            let reason = format!("the log in this pack has {length} bytes of {size}; {AGAIN}");
            return Err(Error::misuse(reason).at(log));
        }
        if length > size && ours {
            let file = File::options().write(true).open(&log);
            let cut = file.and_then(|file| file.set_len(size));
            cut.map_err(|error| Error::io("write", &log, error))?;
        }
        Ok(packed)
    }

    /// Ledgers are read as a whole.
    fn refuse_long_notes(&self) -> Result<()> {
        let failed = |error| Error::io("look into", &self.dir, error);
        for entry in fs::read_dir(&self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_log = entry.file_name().to_str() == Some(&self.contents.name);
            if !is_log && entry.metadata().map_err(failed)?.len() > LONGEST {
                let reason = format!("more than {LONGEST} bytes, which no file here has; {AGAIN}");
                return Err(Error::misuse(reason).at(entry.path()));
            }
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.dir.join(&self.contents.name)
    }

    pub(in crate::sync) const fn terms(&self) -> &Terms {
        &self.contents.terms
    }

    /// Fails unless log and files are what was packed.
    pub(in crate::sync) fn verify(&self) -> Result<()> {
        check(&self.log(), &self.contents.name, &self.contents.log)?;
        for (name, blob) in self.contents.blobs() {
            check(&self.object(blob), name, blob)?;
        }
        Ok(())
    }

    /// Where a file is that the log names.
    pub(in crate::sync) fn find(&self, file: &LocalFile) -> Result<PathBuf, Unreadable> {
        let blob = self.contents.get(file).ok_or_else(|| {
            let file = if let LocalFile::Staged(path) = file { path } else { "it" };
            Unreadable::Failed(format!("{file} was not there when the run was packed"))
        })?;
        Ok(self.object(blob))
    }

    fn object(&self, blob: &Blob) -> PathBuf {
        self.dir.join(OBJECTS).join(&blob.sha256)
    }
}

/// Whether a log is in a pack, if only half of it as yet.
pub(in crate::sync) fn is_packed(log: &LogFile) -> bool {
    let dir = log.dir().canonicalize().unwrap_or_else(|_| log.dir().to_owned());
    dir.join(OBJECTS).is_dir() && dir.parent().is_some_and(Index::is_in)
}

fn check(path: &Path, name: &str, blob: &Blob) -> Result<()> {
    let found = fs::metadata(path).map(|found| found.len());
    let reason = match found {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "is missing in this pack",
        Err(error) => return Err(Error::io("read", path, error)),
        Ok(length) if length != blob.size => "is not as it was packed: it has another length",
        Ok(length) => match digest(path, length) {
            Ok(sha256) if sha256 == blob.sha256 => return Ok(()),
            Ok(_) => "is not as it was packed: it has another SHA-256",
            Err(error) => return Err(Error::io("read", path, error)),
        },
    };
    Err(Error::misuse(format!("{name:?} {reason}; {AGAIN}")).at(path))
}
