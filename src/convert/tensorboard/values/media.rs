//! The files that values refer to: their names, and their bytes on the disk.

use crate::error::{Error, Result};
use crate::io::hex;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// Writes the files of a run below its `files` directory.
#[derive(Debug)]
pub(super) struct Media {
    /// `None` if nothing is to be written.
    files: Option<PathBuf>,
    /// Paths of the files written since the last time that was asked.
    new: Vec<String>,
    pub(super) count: u64,
    pub(super) bytes: u64,
}

/// A file as the value that refers to it describes it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Relative to `files`, with `/` between its elements.
    pub path: String,
    pub sha256: String,
    pub size: u64,
}

/// Where a file belongs and what it is called after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    /// The directory below `media`.
    pub directory: &'static str,
    pub key: &'a str,
    pub step: i64,
    /// With its dot.
    pub extension: &'static str,
}

impl Media {
    pub(super) const fn new(files: Option<PathBuf>) -> Self {
        Self { files, new: Vec::new(), count: 0, bytes: 0 }
    }

    /// Stores a file and describes it. The name says what is in it, so a file that is there already is
    /// the same.
    pub(super) fn store(&mut self, name: Name<'_>, bytes: &[u8]) -> Result<Stored> {
        let sha256 = hex(&Sha256::digest(bytes));
        let path = path(name, &sha256);
        self.write(&path, bytes)?;
        Ok(Stored { path, sha256, size: bytes.len() as u64 })
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        if let Some(files) = &self.files {
            let file = files.join(path);
            if let Some(directory) = file.parent() {
                fs::create_dir_all(directory).map_err(|e| Error::io("create", directory, e))?;
            }
            match OpenOptions::new().write(true).create_new(true).open(&file) {
                Ok(mut open) => {
                    open.write_all(bytes).map_err(|e| Error::io("write to", &file, e))?;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
                Err(error) => return Err(Error::io("create", &file, error)),
            }
        }
        self.count += 1;
        self.bytes += bytes.len() as u64;
        self.new.push(path.to_owned());
        Ok(())
    }

    /// The files written since the last time.
    pub(super) fn take_new(&mut self) -> Vec<String> {
        std::mem::take(&mut self.new)
    }
}

/// `media/<directory>/<key>_<step>_<start of the checksum><extension>`, the official client's rule, but
/// safe on every file system and no glob: elements `.` and `..` become underlines, as do characters
/// that have a meaning to a shell or to Windows, and what is too long is cut.
fn path(name: Name<'_>, sha256: &str) -> String {
    let Name { directory, key, step, extension } = name;
    let key: String = key.trim_start_matches('/').chars().map(plain).collect();
    let mut elements: Vec<&str> = key.split('/').filter(|element| !element.is_empty()).collect();
    let last = elements.pop().unwrap_or("_");
    let mut path = format!("media/{directory}/");
    // A path of which nobody could read the end anyway loses its middle.
    for element in elements.iter().take(MOST_ELEMENTS) {
        let _ = write!(path, "{}/", element_name(element));
    }
    let digest = sha256.get(..20).unwrap_or(sha256);
    let _ = write!(path, "{}_{step}_{digest}{extension}", element_name(last));
    path
}

fn element_name(element: &str) -> String {
    if element.bytes().all(|byte| byte == b'.') {
        return "_".repeat(element.len().min(LONGEST_ELEMENT));
    }
    let mut end = element.len().min(LONGEST_ELEMENT);
    while !element.is_char_boundary(end) {
        end -= 1;
    }
    // Windows drops spaces and dots at the end of a name.
    let name = element.get(..end).unwrap_or_default();
    let kept = name.trim_end_matches(['.', ' ']);
    format!("{kept}{}", "_".repeat(name.len() - kept.len()))
}

fn plain(c: char) -> char {
    if c.is_control() || "<>:\"|?*[]\\".contains(c) { '_' } else { c }
}

/// File systems take 255 bytes; step, checksum and extension want some of them.
const LONGEST_ELEMENT: usize = 180;
const MOST_ELEMENTS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &str) -> String {
        let sha256 = hex(&Sha256::digest(b""));
        let name = Name { directory: "images", key, step: 7, extension: ".png" };
        let path = path(name, &sha256);
        path.strip_suffix("_7_e3b0c44298fc1c149afb.png").unwrap().to_owned()
    }

    #[test]
    fn names_are_those_of_the_official_client() {
        assert_eq!(of("loss"), "media/images/loss");
        assert_eq!(of("train/my image é"), "media/images/train/my image é");
        assert_eq!(of("//abs/x"), "media/images/abs/x");
        assert_eq!(of("a/../../b"), "media/images/a/__/__/b");
        assert_eq!(of("./.."), "media/images/_/__");
    }

    #[test]
    fn no_key_leaves_the_directory_or_breaks_a_file_system() {
        assert_eq!(of(""), "media/images/_");
        assert_eq!(of("/"), "media/images/_");
        assert_eq!(of("a*b?[c]\0\n"), "media/images/a_b__c___");
        assert_eq!(of("c:\\windows"), "media/images/c__windows");
        assert_eq!(of("dot. /x"), "media/images/dot__/x");
        let long = of(&"é".repeat(500));
        assert!(long.len() < 200);
        assert!(of(&"a/".repeat(5000)).len() < 200);
        for element in of(&"long".repeat(100).replace('g', "/..")).split('/') {
            assert!(!["", ".", ".."].contains(&element), "{element}");
        }
    }
}
