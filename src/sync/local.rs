//! Files of this machine: which may be read, and what they hold.

use super::options::SyncOptions;
use super::pack::Packed;
use super::plan::{LocalFile, Measured, Unreadable, is_contained, part_length};
use crate::io::{Compression, Source, SourceEnd, Unpacked};
use md5::{Digest, Md5};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// The files of one run.
#[derive(Debug)]
pub(super) struct LocalFiles {
    origin: Origin,
    console: Option<NamedTempFile>,
}

/// Where the files of a run are.
#[derive(Debug)]
enum Origin {
    Disk(OnDisk),
    Pack(Arc<Packed>),
}

/// Where they were logged.
#[derive(Debug)]
struct OnDisk {
    dir: PathBuf,
    /// What may be read, resolved.
    allowed: Vec<PathBuf>,
    staging: Vec<PathBuf>,
}

impl LocalFiles {
    /// The files of the run in `dir`.
    pub(super) fn new(dir: &Path, options: &SyncOptions) -> Self {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let staged = options.staging.iter().cloned().chain(staging_dirs());
        let resolved = |dir: PathBuf| dir.canonicalize().ok();
        // What lies beside a log need not be the run's: a log that was sent by mail may be in somebody's home.
        let own = resolved(dir.to_owned()).map(|dir| dir.join("files"));
        let others = options.allow.iter().cloned().chain(staged).filter_map(resolved);
        let allowed = own.into_iter().chain(others).collect();
        let disk = OnDisk { dir: dir.to_owned(), allowed, staging: options.staging.clone() };
        Self { origin: Origin::Disk(disk), console: None }
    }

    /// The files that are packed with a log, and no others.
    pub(super) const fn packed(packed: Arc<Packed>) -> Self {
        Self { origin: Origin::Pack(packed), console: None }
    }

    /// Adds to the console output.
    pub(super) fn add_console(&mut self, text: &str) -> io::Result<()> {
        let file = match &mut self.console {
            Some(file) => file,
            None => self.console.insert(NamedTempFile::new()?),
        };
        file.write_all(text.as_bytes())
    }

    /// Where a file is, if it may be read.
    pub(super) fn find(&self, file: &LocalFile) -> Result<PathBuf, Unreadable> {
        match (file, &self.origin) {
            (LocalFile::Console, _) => {
                let file = self.console.as_ref().ok_or(Unreadable::Missing)?;
                Ok(file.path().to_owned())
            }
            (LocalFile::Run(name), _) if !is_contained(name) => {
                Err(Unreadable::Refused("its name leads out of the run's files".into()))
            }
            (file, Origin::Pack(packed)) => packed.find(file),
            (LocalFile::Run(name), Origin::Disk(disk)) => {
                disk.first(&[disk.dir.join("files").join(name)])
            }
            (LocalFile::Staged(path), Origin::Disk(disk)) => {
                disk.first(&disk.staged(Path::new(path)))
            }
        }
    }
}

impl OnDisk {
    /// The first that is there and may be read; else why the first that is there may not.
    fn first(&self, candidates: &[PathBuf]) -> Result<PathBuf, Unreadable> {
        let mut objection = None;
        for path in candidates {
            let found = match path.canonicalize() {
                Ok(resolved) => self.check(path, resolved),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Err(Unreadable::Failed(format!("{}: {error}", path.display()))),
            };
            match found {
                Ok(path) => return Ok(path),
                Err(why) => objection = objection.or(Some(why)),
            }
        }
        Err(objection.unwrap_or(Unreadable::Missing))
    }

    /// Where a file of an artifact may be: where the log says, or where the caller says such files are now.
    fn staged(&self, path: &Path) -> Vec<PathBuf> {
        let name = path.file_name();
        let moved = self.staging.iter().filter_map(|dir| Some(dir.join(name?)));
        let nested = self.staging.iter().filter(|_| path.is_relative()).map(|dir| dir.join(path));
        [path.to_owned()].into_iter().chain(nested).chain(moved).collect()
    }

    fn check(&self, path: &Path, resolved: PathBuf) -> Result<PathBuf, Unreadable> {
        if !self.allowed.iter().any(|dir| resolved.starts_with(dir)) {
            return Err(Unreadable::Refused(format!(
                "it is {}, outside the run's files; --allow its directory if that is meant, or name a copy with --staging",
                resolved.display()
            )));
        }
        match std::fs::metadata(&resolved) {
            Ok(found) if found.is_file() => Ok(resolved),
            Ok(_) => Err(Unreadable::Refused(format!("{} is no file", path.display()))),
            Err(error) => Err(Unreadable::Failed(format!("{}: {error}", path.display()))),
        }
    }
}

/// What a file holds.
pub(super) fn measure(path: PathBuf) -> Result<Measured, Unreadable> {
    read(&path).map(|found| Measured { path: path.clone(), ..found }).map_err(|error| {
        match error.kind() {
            io::ErrorKind::NotFound => Unreadable::Missing,
            _ => Unreadable::Failed(format!("{}: {error}", path.display())),
        }
    })
}

/// The text of a file, decompressed if it is compressed.
pub(super) fn text(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let failed = |why: String| Unreadable::Failed(format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut source = Unpacked::new(file, Compression::by_magic);
    while source.grow(source.window().len() + BUFFER).map_err(|error| failed(error.to_string()))? {
        if source.window().len() > LONGEST_TEXT {
            return Err(failed(format!("it has more than {LONGEST_TEXT} bytes")));
        }
    }
    match source.end() {
        SourceEnd::Complete => Ok(source.window().to_vec()),
        _ => Err(failed("its compressed text is cut off or damaged".to_owned())),
    }
}

fn read(path: &Path) -> io::Result<Measured> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    let part = part_length(found.len());
    // Of a file that grows this is what was there to begin with, or there were no end to it.
    let mut file = file.take(found.len());
    let (mut whole, mut in_part) = (Md5::new(), Md5::new());
    let (mut size, mut left) = (0, part.unwrap_or(u64::MAX));
    let mut parts = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(BUFFER);
        let count = file.read(buffer.get_mut(..room).unwrap_or_default())?;
        let bytes = buffer.get(..count).unwrap_or_default();
        whole.update(bytes);
        size += count as u64;
        if let Some(length) = part {
            in_part.update(bytes);
            left -= count as u64;
            if left == 0 || (count == 0 && left < length) {
                parts.push(std::mem::take(&mut in_part).finalize().into());
                left = length;
            }
        }
        if count == 0 {
            return Ok(Measured {
                size,
                md5: whole.finalize().into(),
                parts,
                modified: found.modified().ok(),
                ..Measured::default()
            });
        }
    }
}

/// Where the official client stages the files of artifacts.
fn staging_dirs() -> Vec<PathBuf> {
    let path = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = path("HOME").or_else(|| path("USERPROFILE"));
    let in_home = |rest: &[&str]| Some(rest.iter().fold(home.clone()?, |dir, part| dir.join(part)));
    let data = path("WANDB_DATA_DIR")
        .or_else(|| Some(path("XDG_DATA_HOME")?.join("wandb")))
        .or_else(|| in_home(&[".local", "share", "wandb"]));
    let cache = path("WANDB_CACHE_DIR")
        .or_else(|| Some(path("XDG_CACHE_HOME")?.join("wandb")))
        .or_else(|| in_home(&[".cache", "wandb"]));
    [data, cache].into_iter().flatten().map(|dir| dir.join("artifacts")).collect()
}

const BUFFER: usize = 256 << 10;

/// Bytes of a list of files: about a million of them.
const LONGEST_TEXT: usize = 256 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_the_run_or_allowed_is_read() {
        let temp = tempfile::tempdir().unwrap();
        let (run, out) = (temp.path().join("run"), temp.path().join("out"));
        std::fs::create_dir_all(run.join("files/media")).unwrap();
        std::fs::create_dir(&out).unwrap();
        std::fs::write(run.join("files/media/a"), b"abc").unwrap();
        std::fs::write(out.join("secret"), b"secret").unwrap();
        std::fs::write(run.join("key"), b"secret").unwrap();
        let files = LocalFiles::new(&run, &SyncOptions::default());
        let found = files.find(&LocalFile::Run("media/a".into())).unwrap();
        assert_eq!(measure(found).unwrap().md5_hex(), "900150983cd24fb0d6963f7d28e17f72");
        let missing = files.find(&LocalFile::Run("b".into()));
        assert_eq!(missing, Err(Unreadable::Missing));
        let refused = |file| matches!(files.find(&file), Err(Unreadable::Refused(_)));
        assert!(refused(LocalFile::Run("../../out/secret".into())));
        assert!(refused(LocalFile::Run("media".into())), "a directory");
        let secret = out.join("secret").display().to_string();
        assert!(refused(LocalFile::Staged(secret.clone())));
        assert!(refused(LocalFile::Staged(run.join("key").display().to_string())));
        assert!(
            files.find(&LocalFile::Staged(run.join("files/media/a").display().to_string())).is_ok()
        );
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&out, run.join("files/link")).unwrap();
            assert!(refused(LocalFile::Run("link/secret".into())));
        }
        let options = SyncOptions { allow: vec![out.clone()], ..SyncOptions::default() };
        assert!(LocalFiles::new(&run, &options).find(&LocalFile::Staged(secret.clone())).is_ok());
        let elsewhere = temp.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::fs::write(elsewhere.join("secret"), b"secret").unwrap();
        let options = SyncOptions { staging: vec![elsewhere.clone()], ..SyncOptions::default() };
        let staged = LocalFiles::new(&run, &options).find(&LocalFile::Staged(secret.clone()));
        assert!(staged.unwrap().ends_with("elsewhere/secret"), "the one that may be read");
        let options = SyncOptions { staging: vec![out], ..SyncOptions::default() };
        let moved = LocalFile::Staged("/gone/secret".into());
        assert!(LocalFiles::new(&run, &options).find(&moved).is_ok());
    }
}
