//! Where output goes: beside the input when nobody says, and never into it.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

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

/// Fails if `output` would stand in the run directory of one of these logs, which is only read: what is in it
/// is taken for a part of that run.
pub(crate) fn refuse_in_runs<'a>(
    output: &Path,
    logs: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let dirs = logs.into_iter().map(|log| log.parent().unwrap_or_else(|| Path::new("")));
    let dirs = dirs.filter(|dir| resolved(dir).is_ok_and(|dir| is_run_dir(&dir)));
    refuse_within(output, dirs)
}

/// Fails if `output` would stand in one of these directories, which are only read.
pub(crate) fn refuse_within<'a>(
    output: &Path,
    dirs: impl IntoIterator<Item = &'a Path>,
) -> Result<()> {
    let to = true_path(output);
    for dir in dirs {
        let input = true_path(dir);
        // What is there already is refused for that.
        if to != input && to.starts_with(&input) {
            let reason = format!(
                "the output would stand within the input {}, which is only read; name one outside of it",
                dir.display()
            );
            return Err(Error::misuse(reason).at(output));
        }
    }
    Ok(())
}

/// The path without links, also of what is not there yet.
fn true_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut found = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            found.pop();
        } else {
            found.push(part);
            found = found.canonicalize().unwrap_or(found);
        }
    }
    found
}

/// Whether this is the directory of one run, by its name or by what is in it.
pub(crate) fn is_run_dir(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().as_encoded_bytes();
    name.strip_prefix(b"offline-").unwrap_or(name).starts_with(b"run-")
        || dir.join("files").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_stand_in_a_run_directory_is_refused_however_it_is_named() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("offline-run-20260102_030405-a");
        fs::create_dir_all(run.join("files")).unwrap();
        let log = run.join("run-a.wandb");
        let refused =
            |output: &str| refuse_in_runs(&root.path().join(output), [log.as_path()]).is_err();
        for within in ["files/x", "x", "files/../y/z", "../new/../offline-run-20260102_030405-a/x"]
        {
            assert!(refused(&format!("offline-run-20260102_030405-a/{within}")), "{within}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&run, root.path().join("latest-run")).unwrap();
            assert!(refused("latest-run/files/x"));
        }
        for outside in
            ["x", "offline-run-20260102_030405-a-recovered", "offline-run-20260102_030405-a/../x"]
        {
            assert!(!refused(outside), "{outside}");
        }
        let alone = root.path().join("logs/x.wandb");
        fs::create_dir(root.path().join("logs")).unwrap();
        let beside = root.path().join("logs/x.recovered.wandb");
        assert!(refuse_in_runs(&beside, [alone.as_path()]).is_ok(), "no run directory");
    }
}
