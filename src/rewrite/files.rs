//! The `files/` of a run that is written, filled from those of others.

use crate::error::{Error, Result};
use crate::io::sync_dir;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use walkdir::WalkDir;

/// The `files/` of a run in the making.
#[derive(Debug)]
pub struct FilesDir {
    path: PathBuf,
    link: bool,
    count: u64,
    bytes: u64,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placed {
    /// It is there now.
    New,
    /// It was there already, with the same content.
    Same,
    /// Another one has its name, or stands where a directory above it would. Nothing was done.
    Taken,
}

impl FilesDir {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, link: false, count: 0, bytes: 0 }
    }

    /// Makes hard links where the file system can, instead of copies. A file that is changed in one place
    /// is then changed in both.
    pub const fn set_hard_links(&mut self, link: bool) {
        self.link = link;
    }

    /// Where it stands for now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many files were placed.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes those hold together.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Places the file `from` under `name`, a path within. A link, such as `wandb.save` makes, stays a link
    /// to what it led to.
    ///
    /// # Errors
    /// When `name` leads elsewhere, `from` is neither a file nor a link, or copying fails.
    pub fn place(&mut self, from: &Path, name: &Path) -> Result<Placed> {
        let inside = name.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || name.as_os_str().is_empty() {
            return Err(Error::misuse(format!("{name:?} is no path within files/")).at(from));
        }
        let to = self.path.join(name);
        let kind = fs::symlink_metadata(from).map_err(|error| Error::io("read", from, error))?;
        if !kind.is_file() && !kind.is_symlink() {
            return Err(Error::misuse("neither a file nor a link, and cannot be copied").at(from));
        }
        if !self.has_room(name) {
            return Ok(Placed::Taken);
        }
        if fs::symlink_metadata(&to).is_ok() {
            return Ok(if same(from, &to)? { Placed::Same } else { Placed::Taken });
        }
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, error))?;
        }
        if kind.is_symlink() {
            link(from, &to)?;
        } else if !(self.link && fs::hard_link(from, &to).is_ok()) {
            copy(from, &to)?;
            self.bytes += kind.len();
        }
        self.count += 1;
        Ok(Placed::New)
    }

    /// Whether all that stands above the name are directories. A link that was placed may lead anywhere, and
    /// nothing is written through it.
    fn has_room(&self, name: &Path) -> bool {
        let above = name.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty());
        let mut there = above.filter_map(|above| fs::symlink_metadata(self.path.join(above)).ok());
        there.all(|found| found.is_dir())
    }

    /// Puts the names of the files on the disk; their contents are there.
    pub(crate) fn sync(&self) -> Result<()> {
        for entry in WalkDir::new(&self.path) {
            let entry = entry.map_err(|error| Error::io("look into", &self.path, error.into()))?;
            if entry.file_type().is_dir() {
                sync_dir(entry.path())?;
            }
        }
        Ok(())
    }
}

/// The files and links under `dir`, as paths within it, in the order of their names; none if there is no
/// such directory. Links are not followed.
///
/// # Errors
/// When a directory cannot be read.
pub fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !dir.is_dir() {
        return Ok(found);
    }
    for entry in WalkDir::new(dir).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|error| Error::io("look into", dir, error.into()))?;
        let kind = entry.file_type();
        if let Ok(name) = entry.path().strip_prefix(dir)
            && (kind.is_file() || kind.is_symlink())
        {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// A path within `files/` as records have it, with slashes.
pub(crate) fn with_slashes(name: &Path) -> String {
    let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).map_err(|error| Error::io("open", from, error))?;
    let copied = File::create_new(to).and_then(|mut file| {
        io::copy(&mut source, &mut file)?;
        file.sync_data()
    });
    copied.map_err(|error| Error::io("copy a file to", to, error))
}

/// Makes a link to what `from` leads to, also when that is said relative to where `from` stands.
fn link(from: &Path, to: &Path) -> Result<()> {
    let target = fs::read_link(from).map_err(|error| Error::io("read", from, error))?;
    let beside = from.parent().unwrap_or_else(|| Path::new("."));
    let target = std::path::absolute(beside.join(target));
    let linked = target.and_then(|target| symlink(&target, to));
    linked.map_err(|error| Error::io("make a link at", to, error))
}

#[cfg(unix)]
fn symlink(target: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, at)
}

#[cfg(not(unix))]
fn symlink(target: &Path, at: &Path) -> io::Result<()> {
    fs::copy(target, at).map(drop)
}

/// Whether two files hold the same bytes, or two links lead to the same place.
fn same(a: &Path, b: &Path) -> Result<bool> {
    let kind = |path| fs::symlink_metadata(path).map_err(|error| Error::io("read", path, error));
    let (of_a, of_b) = (kind(a)?, kind(b)?);
    if of_a.is_symlink() || of_b.is_symlink() {
        return Ok(matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b));
    }
    if !of_a.is_file() || !of_b.is_file() || of_a.len() != of_b.len() {
        return Ok(false);
    }
    let open = |path| File::open(path).map_err(|error| Error::io("open", path, error));
    let (mut of_a, mut of_b) = (open(a)?, open(b)?);
    let (mut at_a, mut at_b) = (vec![0; PIECE_LEN], vec![0; PIECE_LEN]);
    loop {
        let read = fill(&mut of_a, &mut at_a).map_err(|error| Error::io("read", a, error))?;
        let other = fill(&mut of_b, &mut at_b).map_err(|error| Error::io("read", b, error))?;
        if at_a.get(..read) != at_b.get(..other) {
            return Ok(false);
        }
        if read < PIECE_LEN {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(from: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(free) = buffer.get_mut(read..).filter(|free| !free.is_empty()) {
        match from.read(free) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

const PIECE_LEN: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart_by_content_and_stay_within() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for (name, text) in [("a", "1"), ("b", "1"), ("c", "2")] {
            fs::write(path(name), text).unwrap();
        }
        fs::create_dir(path("files")).unwrap();
        let mut files = FilesDir::new(path("files"));
        let mut place = |from: &str, name: &str| files.place(&path(from), Path::new(name));
        assert_eq!(place("a", "media/x").unwrap(), Placed::New);
        assert_eq!(place("b", "media/x").unwrap(), Placed::Same);
        assert_eq!(place("c", "media/x").unwrap(), Placed::Taken);
        for outside in ["../x", "/x", "", "media/../../x", "."] {
            assert!(place("a", outside).is_err(), "{outside:?}");
        }
        assert_eq!((files.count(), files.bytes()), (1, 1));
        assert_eq!(fs::read(path("files/media/x")).unwrap(), b"1");
        assert_eq!(files_in(&path("files")).unwrap(), [Path::new("media/x")]);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_files_are_linked_on_request() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("old")).unwrap();
        fs::create_dir_all(path("new/files")).unwrap();
        fs::write(path("target"), "t").unwrap();
        fs::write(path("old/file"), "f").unwrap();
        std::os::unix::fs::symlink("../target", path("old/link")).unwrap();
        let mut files = FilesDir::new(path("new/files"));
        files.set_hard_links(true);
        for name in ["file", "link"] {
            files.place(&path("old").join(name), Path::new(name)).unwrap();
        }
        assert_eq!(fs::metadata(path("new/files/file")).unwrap().nlink(), 2);
        assert!(fs::symlink_metadata(path("new/files/link")).unwrap().is_symlink());
        assert_eq!(fs::read(path("new/files/link")).unwrap(), b"t");
        assert_eq!(files.place(&path("old/link"), Path::new("link")).unwrap(), Placed::Same);
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_written_through_a_link_or_below_a_file() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for dir in ["outside", "files"] {
            fs::create_dir(path(dir)).unwrap();
        }
        fs::write(path("a"), "1").unwrap();
        std::os::unix::fs::symlink(path("outside"), path("link")).unwrap();
        let mut files = FilesDir::new(path("files"));
        let mut place = |from: &str, name: &str| files.place(&path(from), Path::new(name)).unwrap();
        assert_eq!(place("link", "d"), Placed::New);
        assert_eq!(place("a", "e"), Placed::New);
        for below in ["d/x", "d/x/y", "e/x"] {
            assert_eq!(place("a", below), Placed::Taken, "{below}");
        }
        assert_eq!(fs::read_dir(path("outside")).unwrap().count(), 0);
    }
}
