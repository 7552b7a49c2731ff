//! What a request says of who sends it: the header `Authorization`.
//!
//! An API key is sent as it is. An identity token is exchanged for an access token, which is kept in memory and in
//! the file where the official client keeps its own, so that each uses what the other was granted:
//!
//! ```json
//! {"credentials":{"https://api.wandb.ai":{"access_token":"…","expires_at":"2026-11-24 12:00:00"}}}
//! ```
//!
//! Times there are in UTC. A token is renewed when it has five minutes left.

use super::api::Answer;
use super::conceal::concealed;
use super::server::{Credentials, Secret, Server, path_part};
use super::transport::TransportError;
use crate::io::{parent, read_small};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Makes the header `Authorization` of requests to a server, and renews what it is made of.
///
/// [`HttpTransport`](super::HttpTransport) has one. A [`Transport`](super::Transport) of one's own needs one, too, as
/// its example shows.
#[derive(Debug)]
pub struct Access {
    base: String,
    credentials: Credentials,
    file: Option<PathBuf>,
    /// Values of headers for every request that may be secrets.
    headers: Vec<Secret>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    file_is_read: bool,
    /// What went wrong with the file, until it is told; it is told once.
    remark: Option<String>,
    has_remarked: bool,
}

#[derive(Debug)]
struct Token {
    text: Secret,
    expires: Timestamp,
    is_from_file: bool,
}

impl Access {
    /// The access that the credentials of a server give.
    pub fn new(server: &Server) -> Self {
        let is_user = |name: &str| name.starts_with("X-WANDB-");
        let headers = server.headers.iter().filter(|(name, _)| !is_user(name));
        let headers = headers.map(|(_, value)| value.clone());
        Self {
            headers: headers.filter(|value| value.expose().len() >= SHORTEST_SECRET).collect(),
            base: server.base.clone(),
            credentials: server.credentials.clone(),
            file: server.tokens.clone(),
            state: Mutex::default(),
        }
    }

    /// The value of the header `Authorization`, for requests to [`Server::base`] and for no others.
    ///
    /// To exchange an identity token, `post` is given a URL and a body of the type
    /// `application/x-www-form-urlencoded`. Who asks meanwhile waits for the same answer.
    ///
    /// # Errors
    /// When an identity token cannot be read or exchanged.
    pub fn authorization(
        &self,
        post: &dyn Fn(&str, &Secret) -> Result<Answer, TransportError>,
    ) -> Result<Secret, TransportError> {
        let identity = match &self.credentials {
            Credentials::Key(key) => {
                let encoded = STANDARD.encode(format!("api:{}", key.expose()));
                return Ok(Secret::new(format!("Basic {encoded}")));
            }
            Credentials::IdentityToken(path) => path,
        };
        let mut state = self.state();
        let now = Timestamp::now();
        if !std::mem::replace(&mut state.file_is_read, true) {
            state.token = self.file.as_deref().and_then(|file| kept(file, &self.base));
        }
        let token = match state.token.take().filter(|token| token.lasts(now)) {
            Some(token) => token,
            None => {
                let new = self.exchange(identity, now, post)?;
                self.keep(&mut state, &new);
                new
            }
        };
        let header = token.header();
        state.token = Some(token);
        Ok(header)
    }

    /// The server answered 401 to a request with this header. Whether it makes sense to send it again with another:
    /// a token that is from the file may have been withdrawn since.
    pub fn renew(&self, refused: &Secret) -> bool {
        if matches!(self.credentials, Credentials::Key(_)) {
            return false;
        }
        let mut state = self.state();
        match &state.token {
            Some(token) if token.header() == *refused => {
                let may_be_old = token.is_from_file;
                state.token = state.token.take().filter(|_| !may_be_old);
                may_be_old
            }
            // Someone else was faster.
            _ => true,
        }
    }

    /// Takes keys and tokens out of what a server complains of: some pages of errors repeat the request, and what
    /// they say is shown. `authorization` is what the request said, if it did.
    pub(super) fn conceal(&self, answer: &mut Answer, authorization: Option<&Secret>) {
        let text = String::from_utf8_lossy(&answer.body);
        let is_data = text.trim_start().starts_with('{') && !text.contains("\"errors\"");
        if answer.is_success() && is_data {
            return;
        }
        // Pages write the `=` at the end of a header in their own ways.
        let sent = authorization.and_then(|header| header.expose().split(' ').next_back());
        let sent = sent.map(|text| text.trim_end_matches('='));
        let key = match &self.credentials {
            Credentials::Key(key) => Some(key.expose()),
            Credentials::IdentityToken(_) => None,
        };
        let headers = self.headers.iter().map(Secret::expose);
        let secrets: Vec<&str> = sent.into_iter().chain(key).chain(headers).collect();
        if let Some(shown) = concealed(&answer.body, &secrets) {
            answer.body = shown;
        }
    }

    /// What went wrong and stops nothing, once: that tokens cannot be kept in the file.
    pub fn take_remark(&self) -> Option<String> {
        self.state().remark.take()
    }

    /// The file with the identity token is read each time, for others renew it.
    fn exchange(
        &self,
        path: &Path,
        now: Timestamp,
        post: &dyn Fn(&str, &Secret) -> Result<Answer, TransportError>,
    ) -> Result<Token, TransportError> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            expires_in: f64,
        }
        let identity = read_small(path).map_err(|error| {
            let path = path.display();
            TransportError::lasting(format!("cannot read the identity token {path}: {error}"))
        })?;
        let form = Secret::new(format!("{GRANT}{}", path_part(identity.trim())));
        let answer = post(&format!("{}/oidc/token", self.base), &form)?;
        if !answer.is_success() {
            let status = answer.status;
            let reason = format!("the identity token was refused: the server answered {status}");
            return Err(TransportError { reason, temporary: status == 429 || status >= 500 });
        }
        let granted = serde_json::from_slice(&answer.body).ok();
        let Some(Granted { access_token, expires_in }) =
            granted.filter(|granted: &Granted| is_token(&granted.access_token))
        else {
            let reason = "the answer to the identity token makes no sense";
            return Err(TransportError::lasting(reason));
        };
        let seconds = expires_in.clamp(0.0, LONGEST) as i64;
        let expires = Timestamp::from_second(now.as_second() + seconds).unwrap_or(now);
        Ok(Token { text: Secret::new(access_token), expires, is_from_file: false })
    }

    /// Keeps a token for others. That it cannot be is a pity and no more.
    fn keep(&self, state: &mut State, token: &Token) {
        let Some(file) = &self.file else { return };
        if let Err(error) = keep(file, &self.base, token)
            && !std::mem::replace(&mut state.has_remarked, true)
        {
            state.remark = Some(format!(
                "the access token is not kept for the next time: {error}, WANDB_CREDENTIALS_FILE {}",
                file.display()
            ));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    fn lasts(&self, now: Timestamp) -> bool {
        self.expires.as_second() - now.as_second() > RENEW_BEFORE
    }

    fn header(&self) -> Secret {
        Secret::new(format!("Bearer {}", self.text.expose()))
    }
}

/// The token that is kept for a server, if there is one.
fn kept(file: &Path, base: &str) -> Option<Token> {
    let all: Value = serde_json::from_str(&read_small(file).ok()?).ok()?;
    let entry = all.get("credentials")?.get(base)?;
    let text = entry.get("access_token")?.as_str().filter(|text| is_token(text))?;
    let expires = DateTime::strptime(TIME, entry.get("expires_at")?.as_str()?).ok()?;
    let expires = TimeZone::UTC.to_timestamp(expires).ok()?;
    Some(Token { text: Secret::new(text), expires, is_from_file: true })
}

/// Puts a token beside those of other servers. Nobody sees half of the file, and nobody else may read it.
fn keep(file: &Path, base: &str, token: &Token) -> io::Result<()> {
    let foreign = || io::Error::new(ErrorKind::InvalidData, "there is something else in it");
    let mut all: Map<String, Value> = match read_small(file) {
        Ok(text) if text.trim().is_empty() => Map::new(),
        Ok(text) => serde_json::from_str(&text).map_err(|_| foreign())?,
        Err(error) if error.kind() == ErrorKind::NotFound => Map::new(),
        Err(error) => return Err(error),
    };
    let credentials = all.entry("credentials").or_insert_with(|| json!({}));
    let expires = token.expires.strftime(TIME).to_string();
    let entry = json!({ "access_token": token.text.expose(), "expires_at": expires });
    credentials.as_object_mut().ok_or_else(foreign)?.insert(base.to_owned(), entry);
    // Where it is a link, what it leads to is replaced.
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let dir = parent(&file);
    std::fs::create_dir_all(dir)?;
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    new.write_all(Value::Object(all).to_string().as_bytes())?;
    new.persist(&file)?;
    Ok(())
}

/// Whether a text can stand in a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

const GRANT: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";

/// How times stand in the file.
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// Bytes of a header's value from which it may be a secret, and no word like others.
const SHORTEST_SECRET: usize = 16;

/// Seconds before its end that a token is renewed.
const RENEW_BEFORE: i64 = 300;

/// Seconds that a token is taken to last at most.
const LONGEST: f64 = 30.0 * 86_400.0;
