//! What is recovered, and where the output goes.

use super::Options;
use super::report::Format;
use crate::error::Result;
use crate::log::{locate_only, plain_path};
use crate::rewrite::{added, beside, is_run_dir, refuse_in_runs, resolved};
use crate::tfevents::is_event_file;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The input, and where the output goes.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) format: Format,
    pub(super) input: PathBuf,
    pub(super) output: PathBuf,
    /// The run directory that is recovered as a whole, and the name of its log.
    pub(super) run: Option<(PathBuf, OsString)>,
}

impl Target {
    pub(super) fn of(input: &Path, options: &Options) -> Result<Self> {
        let name = input.file_name().unwrap_or_default();
        if is_event_file(name) && !input.is_dir() {
            return Self::of_events(input, options);
        }
        let log = locate_only(input)?;
        let dir = resolved(log.dir())?;
        let name = plain_name(&log.path);
        let alone = match &options.output {
            Some(output) => output.extension().is_some_and(|extension| extension == "wandb"),
            None => !input.is_dir() && !is_run_dir(&dir),
        };
        let output = match &options.output {
            Some(output) => output.clone(),
            None if alone => {
                let stem = Path::new(&name).file_stem().unwrap_or_default();
                log.path.with_file_name(added(stem.to_owned(), ".recovered.wandb"))
            }
            None => beside(&dir, "-recovered")?,
        };
        refuse_in_runs(&output, [log.path.as_path()])?;
        let run = (!alone).then_some((dir, name));
        Ok(Self { format: Format::Log, input: log.path, output, run })
    }

    fn of_events(input: &Path, options: &Options) -> Result<Self> {
        let output = match &options.output {
            Some(output) => output.clone(),
            None => {
                let parent = input.parent().unwrap_or_else(|| Path::new(""));
                beside(&resolved(parent)?, "-recovered")?.join(plain_name(input))
            }
        };
        Ok(Self { format: Format::Events, input: input.to_owned(), output, run: None })
    }
}

/// The name without what says that the file is compressed, for the output is not.
fn plain_name(path: &Path) -> OsString {
    plain_path(path).file_name().unwrap_or_default().to_owned()
}
