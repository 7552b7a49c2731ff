//! How to convert.

use crate::error::{Error, Result};

/// How to convert runs.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "made with ..Options::default()")]
pub struct Options {
    /// What stands between the elements of a nested key; TensorBoard groups tags by `/`.
    pub separator: String,
    /// Carries the config and the exit code as hyperparameters.
    pub hparams: bool,
    /// Carries system metrics, as a sub-run.
    pub system: bool,
    /// Carries the last thousand lines of the console, as text.
    pub console: bool,
    /// Carries numbers of the summary that no row has.
    pub summary: bool,
    /// How many rows of a table are carried.
    pub table_rows: usize,
    /// How many bytes the files of one value may have, such as an image or a mesh; they are held in memory.
    pub media_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            separator: "/".into(),
            hparams: true,
            system: true,
            console: false,
            summary: false,
            table_rows: 1000,
            media_bytes: MEDIA_BYTES,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<()> {
        if self.separator.is_empty() {
            return Err(Error::setting("separator", "want at least one character"));
        }
        Ok(())
    }
}

/// As much as TensorBoard is likely to show.
const MEDIA_BYTES: u64 = 64 << 20;
