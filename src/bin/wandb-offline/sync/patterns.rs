//! Patterns among the paths: quoted ones, and all where the shell expands none, as on Windows.

use glob::{MatchOptions, glob_with};
use std::path::{Path, PathBuf};
use wandb_offline::{Error, Result};

/// The paths, patterns replaced by what fits them. A path that is there is no pattern, whatever its name, and one
/// that nothing fits stays, to be told as a path that is not there.
pub(super) fn expanded(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths.iter().flat_map(|path| fitting(path).unwrap_or_else(|| vec![path.clone()])).collect()
}

/// Fails if nothing fits a pattern, to watch for which would be to wait for ever.
pub(super) fn refuse_unfit(paths: &[PathBuf]) -> Result<()> {
    let unfit = paths.iter().find(|path| pattern(path).is_some());
    unfit.map_or(Ok(()), |path| {
        Err(Error::misuse("nothing fits this pattern; name a directory to watch").at(path))
    })
}

/// The path as a pattern, if it looks like one and is not there.
fn pattern(path: &Path) -> Option<&str> {
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']))?;
    path.symlink_metadata().is_err().then_some(pattern)
}

fn fitting(path: &Path) -> Option<Vec<PathBuf>> {
    let pattern = pattern(path)?;
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
    // What cannot be looked into has nothing in it that fits.
    let found: Vec<_> = glob_with(pattern, options).ok()?.flatten().collect();
    Some(found).filter(|found| !found.is_empty())
}
