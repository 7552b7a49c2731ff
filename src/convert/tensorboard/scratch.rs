//! Unnamed temporary files for what memory is not to hold.

use super::options::Options;
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::path::PathBuf;

/// Where they are made: beside the output, where there is room for as much again; but a dry run leaves
/// that alone.
#[derive(Clone, Debug)]
pub(super) struct Scratch {
    pub directory: PathBuf,
}

impl Scratch {
    pub(super) fn of(options: &Options) -> Self {
        let of_system = options.dry_run.then(std::env::temp_dir);
        Self { directory: of_system.unwrap_or_else(|| options.output.clone()) }
    }

    /// A new file. The directory is only made now, when there is something to convert.
    pub(super) fn file(&self) -> Result<File> {
        let made = fs::create_dir_all(&self.directory);
        let file = made.and_then(|()| tempfile::tempfile_in(&self.directory));
        file.map_err(|error| Error::io("write a temporary file in", &self.directory, error))
    }
}
