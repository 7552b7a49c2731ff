//! What came of recovering a file.

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What was recovered from a file, and where it is now.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RecoverReport {
    /// The file that was read.
    #[serde(serialize_with = "path_text")]
    pub input: PathBuf,
    /// The file, or the run directory, that was written; the one that would be, if nothing was.
    #[serde(serialize_with = "path_text")]
    pub output: PathBuf,
    /// Whether it was written.
    pub written: bool,
    /// How many files of the run are in the output beside the log.
    pub files: u64,
    /// What became of the records.
    #[serde(flatten)]
    pub recovered: Recovered,
}

/// What became of the records of a file.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Recovered {
    /// What kind of file it is.
    pub format: Format,
    /// Records taken over.
    pub records: u64,
    /// Records left out since the same is there before.
    pub copies: u64,
    /// How often the numbers of the records begin anew, as where another log follows.
    pub restarts: u64,
    /// Numbers that no record has, where no byte is missing either: an earlier loss.
    pub missing: u64,
    /// Whether an exit record was added.
    pub finished: bool,
    /// How many ranges of bytes were lost, also those not listed.
    pub lost_ranges: u64,
    /// How many bytes those hold together.
    pub lost_bytes: u64,
    /// The ranges, in file order; the first thousand.
    pub losses: Vec<Loss>,
}

impl Recovered {
    /// Whether anything in the file was not taken over but for copies.
    pub const fn is_lossy(&self) -> bool {
        self.lost_ranges > 0
    }
}

/// The two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// A `.wandb` log.
    Log,
    /// A TensorBoard event file.
    Events,
}

/// Bytes that hold no record that is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Loss {
    /// Where they begin, from the start of the file, decompressed if it is compressed.
    pub offset: u64,
    /// How many there are. None are known of where a compressed stream is damaged.
    pub length: u64,
    /// What is wrong with them; the first thing, if several are.
    pub cause: String,
    /// The number of the first record that was there, if records are numbered.
    pub first_number: Option<i64>,
    /// The number of the last one; at the end of a file it is not known, nor whether there was any.
    pub last_number: Option<i64>,
    /// Kinds of the records that were there and how many, as far as their bytes still tell.
    pub kinds: BTreeMap<String, u64>,
    /// The last step before them.
    pub last_step: Option<i64>,
    /// The first step behind them.
    pub next_step: Option<i64>,
}

impl Loss {
    /// The offset of the first byte behind them.
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// A path as text; what is not Unicode in it is replaced, for JSON has no other text.
fn path_text<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}
