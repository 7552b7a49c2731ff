//! What a scrub found and did.

use super::Target;
use super::scan::Scan;
use crate::secrets::SecretKind;
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};
use std::fmt;
use std::path::PathBuf;

/// What a scrub found and did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScrubReport {
    /// The log.
    pub input: PathBuf,
    /// The copy: a run directory, or a log alone; none if none was written.
    pub output: Option<PathBuf>,
    /// The log of the copy.
    pub log: Option<PathBuf>,
    /// The secrets, the first thousand of them: those of the log in its order, then those of files.
    pub secrets: Vec<ScrubbedSecret>,
    /// How many there are.
    pub found: u64,
    /// Records of the log that are whole.
    pub records: u64,
    /// Records of the copy that were changed.
    pub records_changed: u64,
    /// Files of the copy that were changed.
    pub files_changed: u64,
    /// Files that were copied as they are.
    pub files_copied: u64,
    /// Files that were not looked into, for they hold no text or are compressed: the first thousand of them.
    pub files_unread: Vec<UnreadFile>,
    /// How many there are.
    pub files_unread_count: u64,
    /// Bytes of the log that hold no readable record. They are not in the copy.
    pub gap_bytes: u64,
    /// Records that are whole but no valid message. They are not in the copy.
    pub undecodable: u64,
}

impl ScrubReport {
    pub(super) fn new(target: &Target, scan: &Scan) -> Self {
        Self {
            input: target.log.clone(),
            output: None,
            log: None,
            secrets: scan.found.clone(),
            found: scan.count,
            records: scan.records,
            records_changed: 0,
            files_changed: 0,
            files_copied: 0,
            files_unread: scan.unread.clone(),
            files_unread_count: scan.unread_count,
            gap_bytes: scan.gap_bytes,
            undecodable: scan.undecodable,
        }
    }

    /// Whether something of the log is not in the copy because it is damaged.
    pub const fn is_lossy(&self) -> bool {
        self.gap_bytes > 0 || self.undecodable > 0
    }
}

impl Serialize for ScrubReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let mut report = serializer.serialize_struct("ScrubReport", 13)?;
        report.serialize_field("input", &text(&self.input))?;
        report.serialize_field("output", &self.output.as_ref().map(text))?;
        report.serialize_field("log", &self.log.as_ref().map(text))?;
        report.serialize_field("found", &self.found)?;
        report.serialize_field("secrets", &self.secrets)?;
        report.serialize_field("records", &self.records)?;
        report.serialize_field("records_changed", &self.records_changed)?;
        report.serialize_field("files_changed", &self.files_changed)?;
        report.serialize_field("files_copied", &self.files_copied)?;
        report.serialize_field("files_unread", &self.files_unread)?;
        report.serialize_field("files_unread_count", &self.files_unread_count)?;
        report.serialize_field("gap_bytes", &self.gap_bytes)?;
        report.serialize_field("undecodable", &self.undecodable)?;
        report.end()
    }
}

/// A file that was copied without a look into it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnreadFile {
    /// Its path in the run directory.
    pub file: String,
    /// Why it was not looked into.
    pub kind: Unread,
}

/// Why a file was not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Unread {
    /// It is a link to a directory, and what is there is not copied.
    Linked,
    /// It is compressed, or an archive, in which text may be.
    Compressed,
    /// It holds no text.
    Binary,
}

impl Unread {
    /// What the first bytes of a file say against looking into it.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let is_archive = COMPRESSED.iter().any(|magic| head.starts_with(magic))
            || head.get(TAR_AT..).is_some_and(|rest| rest.starts_with(TAR));
        match is_archive {
            true => Some(Self::Compressed),
            false => head.contains(&0).then_some(Self::Binary),
        }
    }
}

/// What gzip, zstd, zip, xz, bzip2, 7-Zip and LZ4 frames begin with.
const COMPRESSED: [&[u8]; 7] = [
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"PK\x03\x04",
    b"\xfd7zXZ\0",
    b"BZh",
    b"7z\xbc\xaf\x27\x1c",
    b"\x04\x22\x4d\x18",
];

/// The magic number of a tar file, and where it stands.
const TAR: &[u8] = b"ustar";
const TAR_AT: usize = 257;

/// A secret, where it was, and what may be shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubbedSecret {
    /// What it is.
    pub kind: SecretKind,
    /// The file it is in, by its path in the run directory; none for the log.
    pub file: Option<String>,
    /// Which record of the log, counted from 1 among those that are whole.
    pub record: Option<u64>,
    /// Absolute byte offset of the record in the log, or of the secret in the file, if that is known.
    pub offset: Option<u64>,
    /// The field of the record, like `run.config.update`; empty for files.
    pub field: String,
    /// The name it goes by, if it has one.
    pub name: String,
    /// What may be shown of it.
    pub masked: String,
}

impl fmt::Display for ScrubbedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}")?;
        } else if let Some(record) = self.record {
            write!(f, "record {record}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        write!(f, ": {} {}", self.kind, self.masked)?;
        if !self.field.is_empty() {
            write!(f, " in {}", self.field)?;
        }
        if self.name.is_empty() || self.field.ends_with(&self.name) {
            return Ok(());
        }
        write!(f, " {:?}", self.name)
    }
}

impl Serialize for ScrubbedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut secret = serializer.serialize_struct("ScrubbedSecret", 7)?;
        secret.serialize_field("kind", &self.kind.to_string())?;
        secret.serialize_field("file", &self.file)?;
        secret.serialize_field("record", &self.record)?;
        secret.serialize_field("offset", &self.offset)?;
        secret.serialize_field("field", &self.field)?;
        secret.serialize_field("name", &self.name)?;
        secret.serialize_field("masked", &self.masked)?;
        secret.end()
    }
}
