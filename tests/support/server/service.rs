//! A connection: its requests one after another, each sorted, checked for faults, performed, and answered.

use super::encoding;
use super::fault::{self, Action, Fault};
use super::http::{Request, Response};
use super::state::{Exchange, State};
use super::storage::{Multipart, Upload};
use super::{Config, execute, filestream, storage};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The parts of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Graphql,
    Filestream,
    /// A signed URL for a file of a run.
    RunUpload,
    /// A signed URL for a file or a manifest of an artifact.
    ArtifactUpload,
    /// The exchange of identity tokens.
    Oidc,
    Other,
}

/// What all connections share.
pub(super) struct Shared {
    world: Mutex<World>,
    connections: Mutex<Option<BTreeMap<usize, TcpStream>>>,
    closed: Condvar,
}

/// All that the server knows and is set to.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) faults: Vec<Fault>,
    pub(super) url: String,
    /// What a signed URL is for, by its token.
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) multiparts: BTreeMap<String, Multipart>,
    access_tokens: BTreeSet<String>,
    tokens: usize,
}

impl World {
    /// Something that no one can know unless told.
    pub(super) fn token(&mut self) -> String {
        self.tokens += 1;
        encoding::hex(&encoding::sha256(format!("{} {}", self.url, self.tokens).as_bytes())[..12])
    }

    fn answer(&mut self, call: &Call) -> Response {
        let answer = match call.target {
            Target::Graphql => self.authorize(call).and_then(|()| execute::graphql(self, call)),
            Target::Filestream => self.authorize(call).and_then(|()| filestream::post(self, call)),
            Target::RunUpload | Target::ArtifactUpload => Ok(storage::put(self, &call.request)),
            Target::Oidc => Ok(self.exchange_token(call)),
            Target::Other => {
                let Request { method, path, .. } = &call.request;
                self.state.violation(format_args!("unknown path: {method} {path}"));
                Err(Refused::new(404, "not found"))
            }
        };
        answer.unwrap_or_else(|Refused { status, message }| {
            let body = match call.target {
                Target::Graphql => json!({ "data": null, "errors": [{ "message": message }] }),
                _ => json!({ "error": message }),
            };
            Response::json(status, &body)
        })
    }

    /// Lets in who has an API key, or a token from the exchange.
    fn authorize(&mut self, call: &Call) -> Result<(), Refused> {
        if call.request.method != "POST" {
            return Err(Refused::new(405, "method not allowed"));
        }
        let Some(secret) = self.secret(call.request.header("Authorization")) else {
            return Err(Refused::new(401, "unauthorized: no credentials"));
        };
        let keys = self.config.api_keys.as_ref();
        match keys.is_none_or(|keys| keys.contains(&secret)) || self.access_tokens.contains(&secret)
        {
            true => Ok(()),
            false => Err(Refused::new(401, "user is not logged in")),
        }
    }

    fn secret(&mut self, authorization: Option<&str>) -> Option<String> {
        let (scheme, rest) = authorization?.split_once(' ')?;
        if scheme != "Basic" {
            return (scheme == "Bearer" && !rest.is_empty()).then(|| rest.to_owned());
        }
        let pair = String::from_utf8(encoding::from_base64(rest)?).ok()?;
        let (user, key) = pair.split_once(':')?;
        if user != "api" {
            self.state.violation(format_args!("the user of an API key is api, not {user:?}"));
        }
        (!key.is_empty()).then(|| key.to_owned())
    }

    fn exchange_token(&mut self, call: &Call) -> Response {
        let form = encoding::form(&String::from_utf8_lossy(&call.body));
        let field =
            |name| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let grant = field("grant_type") == Some("urn:ietf:params:oauth:grant-type:jwt-bearer");
        if !grant || field("assertion").is_none_or(|jwt| jwt.split('.').count() != 3) {
            return Response::json(400, &json!({ "error": "invalid_grant" }));
        }
        let token = self.token();
        self.access_tokens.insert(token.clone());
        let seconds = self.config.token_seconds;
        let body = json!({ "access_token": token, "expires_in": seconds, "token_type": "Bearer" });
        Response::json(200, &body)
    }
}

/// An error answer.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// A request, sorted and unzipped.
pub(super) struct Call {
    pub(super) request: Request,
    pub(super) target: Target,
    /// Unzipped.
    pub(super) body: Vec<u8>,
    pub(super) json: Option<Value>,
    /// The field of the GraphQL root.
    pub(super) operation: Option<String>,
}

impl Call {
    fn new(request: Request) -> Self {
        let target = target(&request.path);
        let mut body = Vec::new();
        match request.header("Content-Encoding") {
            Some("gzip") => {
                // What cannot be unzipped is no JSON, and refused as such.
                let _ = flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut body);
            }
            _ => body.clone_from(&request.body),
        }
        let json = matches!(target, Target::Graphql | Target::Filestream)
            .then(|| serde_json::from_slice::<Value>(&body).ok())
            .flatten();
        let operation = json.as_ref().filter(|_| target == Target::Graphql);
        let operation = operation.and_then(execute::root_field);
        Self { request, target, body, json, operation }
    }

    fn log(&self) -> Exchange {
        Exchange {
            target: self.target,
            method: self.request.method.clone(),
            path: self.request.path.clone(),
            headers: self.request.headers.clone(),
            operation: self.operation.clone(),
            json: self.json.clone(),
            bytes: self.request.body.len(),
            status: None,
        }
    }
}

fn target(path: &str) -> Target {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts[..] {
        ["graphql"] => Target::Graphql,
        ["files", _, _, _, "file_stream"] => Target::Filestream,
        ["storage", "runs", ..] => Target::RunUpload,
        ["storage", ..] => Target::ArtifactUpload,
        ["oidc", "token"] => Target::Oidc,
        _ => Target::Other,
    }
}

/// Answers the requests of a connection until one side closes it.
pub(super) fn serve(shared: &Shared, stream: &TcpStream) {
    let served = stream.try_clone().and_then(|reading| {
        stream.set_nodelay(true)?;
        let mut reading = BufReader::new(reading);
        while let Some(request) = Request::read(&mut reading)? {
            let close = request.header("Connection") == Some("close");
            match shared.answer(Call::new(request)) {
                Reply::Whole(answer) => answer.write(&mut &*stream, 1)?,
                Reply::Half(answer) => return answer.write(&mut &*stream, 2),
                Reply::Nothing => return Ok(()),
            }
            if close {
                return Ok(());
            }
        }
        Ok(())
    });
    // A client may go at any time, but what it says must be HTTP.
    if let Err(error) = served
        && error.kind() == io::ErrorKind::InvalidData
    {
        shared.world().state.violation(format_args!("not HTTP: {error}"));
    }
}

enum Reply {
    Whole(Response),
    Half(Response),
    Nothing,
}

impl Shared {
    pub(super) fn new(config: Config, url: &str) -> Self {
        let world = World {
            config,
            state: State::default(),
            faults: Vec::new(),
            url: url.to_owned(),
            uploads: BTreeMap::new(),
            multiparts: BTreeMap::new(),
            access_tokens: BTreeSet::new(),
            tokens: 0,
        };
        Self {
            world: Mutex::new(world),
            connections: Mutex::new(Some(BTreeMap::new())),
            closed: Condvar::new(),
        }
    }

    /// Fails the test if a connection panicked.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("the server panicked")
    }

    /// The open connections by number; `None` once the server is closed.
    pub(super) fn connections(&self) -> MutexGuard<'_, Option<BTreeMap<usize, TcpStream>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hangs up on everyone, and lets no one in.
    pub(super) fn close(&self) {
        for stream in self.connections().take().into_iter().flat_map(BTreeMap::into_values) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.closed.notify_all();
    }

    fn answer(&self, call: Call) -> Reply {
        let (number, fault) = {
            let mut world = self.world();
            world.state.requests.push(call.log());
            (world.state.requests.len() - 1, fault::befalling(&mut world.faults, &call))
        };
        let Some(fault) = fault else { return self.reply(number, &call, None) };
        if let Some(delay) = fault.delay {
            let open = self.connections();
            drop(self.closed.wait_timeout_while(open, delay, |open| open.is_some()));
        }
        self.reply(number, &call, Some(fault))
    }

    fn reply(&self, number: usize, call: &Call, fault: Option<Fault>) -> Reply {
        let mut world = self.world();
        world.state.answering = number;
        let action = fault.as_ref().map(|fault| &fault.action);
        let lost = matches!(action, Some(Action::Instead(_) | Action::Drop));
        let performed = !lost || fault.as_ref().is_some_and(|fault| fault.applied);
        let mut answer = if performed { world.answer(call) } else { Response::default() };
        match action {
            None => {}
            Some(Action::Answer { headers }) => answer.headers.extend_from_slice(headers),
            Some(Action::Instead(other)) => answer.clone_from(other),
            Some(Action::Drop) => return Reply::Nothing,
        }
        if fault.is_some_and(|fault| fault.cut) {
            return Reply::Half(answer);
        }
        world.state.requests[number].status = Some(answer.status);
        Reply::Whole(answer)
    }
}
