//! Files that only show what the log has, and are made anew when the run is synced.

use crate::io::read_small;
use crate::json::Value;
use std::path::Path;

/// What a file under `files/` shows of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rendering {
    /// `config.yaml`.
    Config,
    /// `wandb-summary.json`, unless it has no more than how long the run took, which only some releases
    /// put there alone.
    Summary,
    /// `output.log`.
    Console,
}

impl Rendering {
    /// What the file `name` shows, a path within `files/` with slashes.
    pub(crate) fn of(files: &Path, name: &str) -> Option<Self> {
        Some(match name {
            "config.yaml" => Self::Config,
            "wandb-summary.json" if has_more_than_runtime(&files.join(name)) => Self::Summary,
            "output.log" => Self::Console,
            _ => return None,
        })
    }
}

fn has_more_than_runtime(path: &Path) -> bool {
    let text = read_small(path).unwrap_or_default();
    let summary = Value::parse(&text).unwrap_or_default();
    summary.as_object().is_none_or(|members| members.keys().any(|key| key != "_wandb"))
}
