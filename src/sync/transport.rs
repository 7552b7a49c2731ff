//! The one place where a sync meets the network: a request goes out, an answer comes back.

use super::api::{Answer, Request};
use std::fmt;

/// Sends requests to the server. [`HttpTransport`](super::HttpTransport) is the one for real servers; a
/// test may answer by itself, and a program may bring another HTTP stack.
///
/// A transport adds what the server demands of every request, such as credentials, and is the only one
/// to know them. It does not try again and does not wait: that is decided by its caller.
pub trait Transport: Sync {
    /// Sends one request and waits for the answer, whatever its status. Called from several threads.
    ///
    /// # Errors
    /// When there was no answer: whether the request was carried out is then not known.
    fn send(&self, request: &Request) -> Result<Answer, TransportError>;
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportError {
    /// What happened, without secrets.
    pub reason: String,
    /// Whether trying again makes sense.
    pub temporary: bool,
}

impl TransportError {
    /// A failure of the moment, like a lost connection.
    pub fn temporary(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), temporary: true }
    }

    /// A failure that would repeat itself, like a redirect to a host that must not see the data.
    pub fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), temporary: false }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for TransportError {}
