//! The one place where a sync meets the network: a request goes out, an answer comes back.

use super::api::{Answer, Request};
use std::fmt;

/// Sends requests to the server. [`HttpTransport`](super::HttpTransport) is the one for real servers; a
/// test may answer by itself, and a program may bring another HTTP stack.
///
/// A transport adds what the server demands of every request, such as credentials, and is the only one
/// to know them. It does not try again and does not wait: that is decided by its caller.
///
/// # Another HTTP stack
/// What a transport has to do, with a stack that tells what it would send and sends nothing:
///
/// ```
/// use wandb_offline::sync::api::{Answer, Body, Request, Target};
/// use wandb_offline::sync::{Access, Secret, Server, Stop, SyncOptions, Transport, TransportError, sync};
///
/// struct Mine {
///     server: Server,
///     access: Access,
/// }
///
/// impl Transport for Mine {
///     fn send(&self, request: &Request) -> Result<Answer, TransportError> {
///         let mut headers = request.headers.clone();
///         let (method, url) = match &request.target {
///             // To the server, with the key and the headers that the server's settings name.
///             Target::Server(path) => {
///                 let authorization = self.access.authorization(&|url, form| {
///                     stack("POST", url, &[], form.expose().len() as u64)
///                 })?;
///                 headers.push(("Authorization".into(), authorization.expose().into()));
///                 ("POST", format!("{}{path}", self.server.base))
///             }
///             // To wherever the server says, without a key: the URL is the permission, and not for logs.
///             Target::Signed(url) => ("PUT", url.clone()),
///             _ => return Err(TransportError::lasting("this transport is too old for that")),
///         };
///         for (name, value) in &self.server.headers {
///             if matches!(request.target, Target::Server(_)) || !name.starts_with("X-WANDB-") {
///                 headers.push((name.clone(), value.expose().into()));
///             }
///         }
///         if let Body::Json(_) = request.body {
///             headers.push(("Content-Type".into(), "application/json".into()));
///         }
///         // Files are read from where they are, so that they need not fit into memory. A length is always sent.
///         stack(method, &url, &headers, request.body.len())
///     }
/// }
///
/// fn stack(
///     method: &str,
///     url: &str,
///     headers: &[(String, String)],
///     length: u64,
/// ) -> Result<Answer, TransportError> {
///     println!("{method} {url}, {} headers, {length} bytes", headers.len());
///     // Redirects must not take the key to another host. An answer has its status, whatever that is.
///     Err(TransportError::lasting("this stack sends nothing"))
/// }
///
/// let server = Server::new("https://wandb.example.org", Secret::new("0".repeat(40)))?;
/// let mine = Mine { access: Access::new(&server), server };
/// # let dir = tempfile::tempdir().unwrap();
/// # let run = wandb_offline::Writer::options().project("p").dir(dir.path()).create()?;
/// # run.log([("loss", 0.5)])?;
/// # run.finish()?;
/// # let runs = dir.path().join("wandb");
/// let report = sync(&[runs], &mine.server, &mine, &SyncOptions::default(), &Stop::new(), &|_| {});
/// assert!(report.runs[0].problems[0].contains("this stack sends nothing"));
/// # Ok::<(), wandb_offline::Error>(())
/// ```
pub trait Transport: Sync {
    /// Sends one request and waits for the answer, whatever its status. Called from several threads.
    ///
    /// # Errors
    /// When there was no answer: whether the request was carried out is then not known.
    fn send(&self, request: &Request) -> Result<Answer, TransportError>;

    /// Something that a person should know and that stops nothing, once.
    fn take_remark(&self) -> Option<String> {
        None
    }
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
