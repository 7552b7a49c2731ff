//! Files of this machine, as a plan sees them.

use crate::sync::api::Body;
use base64::Engine as _;
use md5::{Digest, Md5};
use std::path::PathBuf;
use std::time::SystemTime;

/// A file that a log names. What the name leads to, and whether it may be read, is for the driver to see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalFile {
    /// A file below the run's `files/`, by its name there, which stays below it.
    Run(String),
    /// A file of an artifact, anywhere: the path that the log has.
    Staged(String),
    /// The console output, as [`Plan::take_console_text`](super::Plan::take_console_text) gave it.
    Console,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its MD5.
    pub md5: [u8; 16],
    /// The MD5 of each part, if it is so large that it is sent in parts.
    pub parts: Vec<[u8; 16]>,
    /// When it was last changed before it was read.
    pub modified: Option<SystemTime>,
}

impl Measured {
    /// Bytes that are at hand.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let md5 = Md5::digest(bytes).into();
        Self { size: bytes.len() as u64, md5, ..Self::default() }
    }

    /// Part of the file, as the body of a request.
    pub(crate) fn body(&self, offset: u64, length: u64) -> Body {
        Body::File { path: self.path.clone(), offset, length, modified: self.modified }
    }

    pub(crate) fn md5_hex(&self) -> String {
        crate::io::hex(&self.md5)
    }

    pub(crate) fn md5_base64(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.md5)
    }
}

/// Why nothing is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// It is not there.
    Missing,
    /// It must not be read, and why.
    Refused(String),
    /// It could not be read, and why.
    Failed(String),
}

impl Unreadable {
    /// The reason, for people, of a file that a log names by this path.
    pub(crate) fn reason(self, path: &str) -> String {
        match self {
            Self::Missing => format!("{path} is gone; name where it is now with --staging"),
            Self::Refused(why) | Self::Failed(why) => why,
        }
    }
}
