//! What goes over the wire: requests, answers, and the GraphQL operations of W&B's server.
//!
//! ```text
//! POST {base}/graphql                                        {"query","variables","operationName"}
//! POST {base}/files/{entity}/{project}/{run}/file_stream     lines of history, events, console; summary
//! PUT  a signed URL that the server handed out               the bytes of a file
//! ```
//!
//! The server publishes no schema. The texts of the operations, and which of their parts may be null, were
//! learned from what the official client sends and from what it relies on in the answers. Answers are
//! read tolerantly: fields that are not known are passed over.

mod answers;
mod facts;
mod graphql;
mod reply;

pub(crate) use answers::{
    Bucket, CreatedArtifact, CreatedFile, Manifest, RunFiles, Tail, committed_version, mapped_id,
};
pub(crate) use facts::{FileFacts, artifact, owner, run_files, run_state};
pub(crate) use graphql::{Operation, operations};
pub(crate) use reply::{is_reply, read, taken};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// A request to be sent. It holds no credentials: those are the transport's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Request {
    /// What it is for, which decides how long an answer may take and which failures are tried again.
    pub kind: RequestKind,
    /// Where to.
    pub target: Target,
    /// Headers beyond those every request has.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Body,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestKind {
    /// A GraphQL operation, by its name.
    GraphQl(&'static str),
    /// Lines for the run's streams.
    FileStream,
    /// The bytes of a file, to a signed URL.
    Upload,
}

impl RequestKind {
    /// A name for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GraphQl(operation) => operation,
            Self::FileStream => "file_stream",
            Self::Upload => "upload",
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A `POST` to this path below the server's base URL, with credentials.
    Server(String),
    /// A `PUT` to this URL, without credentials: the URL is its own permission.
    Signed(String),
}

/// The body of a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Body {
    /// JSON, zipped if the header `Content-Encoding` says so.
    Json(Vec<u8>),
    /// The bytes of a small file.
    Bytes(Arc<[u8]>),
    /// Part of a file on disk.
    File {
        /// Where it is.
        path: PathBuf,
        /// Where the part begins.
        offset: u64,
        /// How long the part is.
        length: u64,
        /// When the file was last changed, as far as that is known: what it holds now is what it held then.
        modified: Option<SystemTime>,
    },
}

impl Body {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Json(bytes) => bytes.len() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The request was sent before, and may have been performed then: that answer was lost.
    pub repeated: bool,
}

impl Answer {
    /// An answer with this status and body.
    pub const fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body, repeated: false }
    }

    /// The value of a header; its name is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status says that it worked.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }
}
