//! A W&B server on the loopback interface, as far as an uploader sees one: GraphQL, the file stream and
//! signed uploads, held in memory. Tests read the [`State`] it got to, have it fail by [`Fault`]s, and find in
//! [`State::violations`] what a client did that it should not have.
//!
//! What is checked: GraphQL against `schema.graphql` (unknown fields and arguments, types, null, variables
//! that are unused or not declared, JSON in strings); authorization, and none on signed URLs; lines of the
//! file stream that are not JSON objects, too long, hold a newline or leave a gap; uploads without a length,
//! without the headers asked for, or with other bytes than announced; commits of artifacts that are not whole.
//!
//! What is guessed, since nothing public says it and no real server was asked: statuses and messages of
//! errors; what a second `complete` does; that each upsert replaces the whole config; the names of a run's
//! states; that a line replaces the one with its number; line counts that are never late; when an artifact
//! is the same as an earlier one; how strict GraphQL is.

#![allow(dead_code, unused_imports, reason = "each test program uses some of it")]

mod artifacts;
mod encoding;
mod execute;
mod fault;
mod filestream;
mod graphql;
mod http;
mod json;
mod runs;
mod schema;
mod service;
mod state;
mod storage;

pub(crate) use encoding::{base64, hex, md5, sha256};
pub(crate) use fault::Fault;
pub(crate) use json::wandb_json;
pub(crate) use service::Target;
pub(crate) use state::{Alert, Artifact, Counts, Exchange, Run, RunFile, State};

use service::Shared;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

/// How the server is set up.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The only keys that are let in; `None`: any.
    pub(crate) api_keys: Option<Vec<String>>,
    /// The entity of who asks without naming one.
    pub(crate) entity: String,
    /// The entities that runs may be put into.
    pub(crate) teams: Vec<String>,
    pub(crate) default_project: String,
    /// What `serverInfo` says of each feature.
    pub(crate) features: BTreeMap<String, bool>,
    /// Headers that signed URLs come with, and that each PUT must carry.
    pub(crate) upload_headers: Vec<(String, String)>,
    /// The longest line of the file stream, in bytes; longer ones are refused with 400.
    pub(crate) max_line_bytes: usize,
    /// The longest request of the file stream, in bytes as sent; longer ones are refused with 413.
    pub(crate) max_request_bytes: usize,
    /// How long access tokens are said to last.
    pub(crate) token_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        let features = [
            ("LARGE_FILENAMES", true),
            ("ARTIFACT_TAGS", true),
            ("CLIENT_IDS", true),
            ("USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION", true),
            ("STRUCTURED_CONSOLE_LOGS", false),
            ("EXPAND_DEFINED_METRIC_GLOBS", false),
            ("FILESTREAM_GZIP", false),
        ];
        Self {
            api_keys: None,
            entity: "test-entity".to_owned(),
            teams: vec!["test-entity".to_owned(), "test-team".to_owned()],
            default_project: "uncategorized".to_owned(),
            features: features.map(|(name, on)| (name.to_owned(), on)).into(),
            upload_headers: vec![("X-Test-Upload".to_owned(), "1".to_owned())],
            max_line_bytes: 10 << 20,
            max_request_bytes: 64 << 20,
            token_seconds: 3600,
        }
    }
}

/// A running server. It goes when it is dropped, and its open connections with it.
pub(crate) struct Server {
    url: String,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::new(config, &url));
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { url, shared, accepting: Some(accepting) }
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What the server holds at this moment.
    pub(crate) fn state(&self) -> State {
        self.shared.world().state.clone()
    }

    /// Changes what the server holds, as a client or an accident may have.
    pub(crate) fn tamper(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.world().state);
    }

    /// Has requests fail from now on. Of several faults that match, the oldest happens.
    pub(crate) fn inject(&self, fault: Fault) {
        self.shared.world().faults.push(fault);
    }

    /// How many faults have not happened as often as they should.
    pub(crate) fn faults_left(&self) -> usize {
        self.shared.world().faults.len()
    }

    pub(crate) fn clear_faults(&self) {
        self.shared.world().faults.clear();
    }

    pub(crate) fn configure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.shared.world().config);
    }

    /// Every upload URL given out so far is refused with 403.
    pub(crate) fn expire_upload_urls(&self) {
        self.shared.world().uploads.clear();
    }

    /// Presses the stop button of every run.
    pub(crate) fn stop_runs(&self) {
        self.shared.world().state.runs.values_mut().for_each(|run| run.stopped = true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.close();
        // The listener sees that the server is closed when it next accepts.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        let accepted = self.accepting.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(accepted.is_none_or(|joined| joined.is_ok()), "the server panicked");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in listener.incoming().enumerate() {
        let mut open = shared.connections();
        let Some(open) = open.as_mut() else { return };
        let Ok(stream) = stream else { continue };
        let Ok(second) = stream.try_clone() else { continue };
        open.insert(number, second);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            service::serve(&shared, &stream);
            let _ = stream.shutdown(Shutdown::Both);
            shared.connections().as_mut().map(|open| open.remove(&number));
        });
    }
}
