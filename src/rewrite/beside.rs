//! Where output goes when nobody says: beside the input.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A directory by its own name: not `.`, nor that of a link such as `latest-run`.
pub(crate) fn resolved(dir: &Path) -> Result<PathBuf> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let linked = fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink());
    if dir.file_name().is_some() && !linked {
        return Ok(dir.to_owned());
    }
    dir.canonicalize().map_err(|error| Error::io("look into", dir, error))
}

/// The directory with this behind its name, as in `DIR-recovered`.
pub(crate) fn beside(dir: &Path, suffix: &str) -> Result<PathBuf> {
    match dir.file_name() {
        Some(name) => Ok(dir.with_file_name(added(name.to_owned(), suffix))),
        None => Err(Error::setting("output", "the input is in no directory with a name; name one")),
    }
}

/// The name with this behind it.
pub(crate) fn added(mut name: OsString, suffix: &str) -> OsString {
    name.push(suffix);
    name
}

/// Whether this is the directory of one run, by its name or by what is in it.
pub(crate) fn is_run_dir(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().as_encoded_bytes();
    name.strip_prefix(b"offline-").unwrap_or(name).starts_with(b"run-")
        || dir.join("files").is_dir()
}
