//! Faults: answers other than the one that would be right, for requests that match.

use super::http::Response;
use super::service::{Call, Target};
use serde_json::json;
use std::time::Duration;

/// What goes wrong, with which requests, and how often: `Fault::status(503).on(Target::Filestream).times(2)`.
/// Says nothing about requests until it is narrowed down; happens once unless told otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(super) action: Action,
    pub(super) applied: bool,
    pub(super) cut: bool,
    pub(super) delay: Option<Duration>,
    target: Option<Target>,
    operation: Option<String>,
    method: Option<String>,
    path: Option<String>,
    body: Option<String>,
    skip: usize,
    /// `None`: for ever.
    left: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    /// The request is performed and answered, with these headers on top.
    Answer { headers: Vec<(String, String)> },
    /// This answer instead.
    Instead(Response),
    /// The connection closes without an answer.
    Drop,
}

impl Fault {
    /// An error status with a JSON body; [`body`](Self::body) and [`header`](Self::header) change it.
    pub(crate) fn status(status: u16) -> Self {
        Self::new(Action::Instead(Response::json(status, &json!({ "error": "injected" }))))
    }

    /// A GraphQL answer that holds an error, with status 200.
    pub(crate) fn graphql_error(message: &str) -> Self {
        let body = json!({ "data": null, "errors": [{ "message": message }] });
        Self::new(Action::Instead(Response::json(200, &body)))
    }

    /// The connection closes without an answer. With [`applied`](Self::applied) the acknowledgement is what
    /// gets lost.
    pub(crate) fn drop_connection() -> Self {
        Self::new(Action::Drop)
    }

    /// The request is performed; the connection closes after the status line and half of the answer.
    pub(crate) fn cut_answer() -> Self {
        Self::none().cut()
    }

    /// The right answer, with headers (`RateLimit-Remaining`) or a delay.
    pub(crate) fn none() -> Self {
        Self::new(Action::Answer { headers: Vec::new() })
    }

    fn new(action: Action) -> Self {
        Self {
            action,
            applied: false,
            cut: false,
            delay: None,
            target: None,
            operation: None,
            method: None,
            path: None,
            body: None,
            skip: 0,
            left: Some(1),
        }
    }

    /// Only requests to this part of the server.
    pub(crate) fn on(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    /// Only GraphQL requests for this field of the root: `upsertBucket`, `model`.
    pub(crate) fn operation(mut self, field: &str) -> Self {
        self.target = Some(Target::Graphql);
        self.operation = Some(field.to_owned());
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only requests whose path, as sent, contains this.
    pub(crate) fn path_has(mut self, part: &str) -> Self {
        self.path = Some(part.to_owned());
        self
    }

    /// Only requests whose body, unzipped, contains this.
    pub(crate) fn body_has(mut self, part: &str) -> Self {
        self.body = Some(part.to_owned());
        self
    }

    /// Lets this many matching requests pass first.
    pub(crate) fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    pub(crate) fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    pub(crate) fn forever(mut self) -> Self {
        self.left = None;
        self
    }

    /// The request is performed before its answer goes wrong.
    pub(crate) fn applied(mut self) -> Self {
        self.applied = true;
        self
    }

    /// The connection closes in the middle of the answer.
    pub(crate) fn cut(mut self) -> Self {
        self.cut = true;
        self
    }

    /// Waits before anything else; ends early when the server goes.
    pub(crate) fn delayed(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// A header of the answer: `Retry-After`, `RateLimit-Reset`.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        match &mut self.action {
            Action::Answer { headers } => headers.push((name.to_owned(), value.to_owned())),
            Action::Instead(answer) => answer.headers.push((name.to_owned(), value.to_owned())),
            Action::Drop => panic!("a lost answer has no headers"),
        }
        self
    }

    /// The body of the answer.
    pub(crate) fn body(self, body: &str) -> Self {
        self.bytes(body.as_bytes().to_owned())
    }

    /// The body of the answer, which need not be text.
    pub(crate) fn bytes(mut self, body: Vec<u8>) -> Self {
        let Action::Instead(answer) = &mut self.action else { panic!("not an answer of its own") };
        answer.body = body;
        self
    }

    fn matches(&self, call: &Call) -> bool {
        let body = || String::from_utf8_lossy(&call.body);
        self.target.is_none_or(|target| target == call.target)
            && self
                .operation
                .as_deref()
                .is_none_or(|field| call.operation.as_deref() == Some(field))
            && self.method.as_deref().is_none_or(|method| call.request.method == method)
            && self.path.as_deref().is_none_or(|part| call.request.path.contains(part))
            && self.body.as_deref().is_none_or(|part| body().contains(part))
    }
}

/// The fault that befalls a request, if any; counts it.
pub(super) fn befalling(faults: &mut Vec<Fault>, call: &Call) -> Option<Fault> {
    let mut found = None;
    for (index, fault) in faults.iter_mut().enumerate() {
        if !fault.matches(call) {
            continue;
        }
        if fault.skip > 0 {
            fault.skip -= 1;
            continue;
        }
        fault.left = fault.left.map(|left| left.saturating_sub(1));
        found = Some((index, fault.clone()));
        break;
    }
    let (index, fault) = found?;
    if fault.left == Some(0) {
        faults.remove(index);
    }
    Some(fault)
}
