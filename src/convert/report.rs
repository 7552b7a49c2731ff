//! What the reports of both directions have in common.

use serde::{Serialize, Serializer};
use std::path::{Path, PathBuf};

/// Values that were not carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LeftOut<Reason> {
    /// Why.
    pub reason: Reason,
    /// Which kind or which detail; may be empty.
    pub what: String,
    /// How many.
    pub count: u64,
}

impl<Reason: Copy + PartialEq> LeftOut<Reason> {
    /// Counts values in a list that has one entry for each reason and kind.
    pub(super) fn add(list: &mut Vec<Self>, reason: Reason, what: &str, count: u64) {
        if count == 0 {
            return;
        }
        // The names of kinds come from the file, which may hold any number of them.
        let full = list.len() >= MOST_KINDS;
        let same = |l: &&mut Self| l.reason == reason && l.what == what;
        match list.iter_mut().find(same) {
            Some(left_out) => left_out.count += count,
            None if full && what != OTHER_KINDS => Self::add(list, reason, OTHER_KINDS, count),
            None => list.push(Self { reason, what: what.to_owned(), count }),
        }
    }
}

/// A path as text; what is not Unicode in it is replaced, for JSON has no other text.
pub(super) fn path_text<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&path.to_string_lossy())
}

pub(super) fn some_path_text<S: Serializer>(
    path: &Option<PathBuf>,
    to: S,
) -> Result<S::Ok, S::Error> {
    path_text(path.as_deref().unwrap_or_else(|| Path::new("")), to)
}

const MOST_KINDS: usize = 100;
const OTHER_KINDS: &str = "other kinds";
