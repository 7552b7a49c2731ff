//! Requests over HTTP, with [`ureq`] and rustls: blocking, without a runtime.

use super::api::{Answer, Body, Request, RequestKind, Target};
use super::server::{Credentials, Secret, Server, is_loopback, origin};
use super::transport::{Transport, TransportError};
use crate::error::{Error, Result};
use base64::Engine as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy, SendBody};

/// Sends requests over HTTP.
///
/// Credentials go to the server of the base URL and nowhere else: a redirect to another host is refused,
/// and signed URLs are sent without them. Answers are read up to a limit.
#[derive(Debug)]
pub struct HttpTransport {
    agent: Agent,
    server: Server,
    token: Mutex<Option<Token>>,
    longest_answer: u64,
}

/// An access token, and when it is to be renewed.
#[derive(Debug)]
struct Token {
    text: Secret,
    renew: Instant,
}

impl HttpTransport {
    /// A transport to a server.
    ///
    /// # Errors
    /// When the certificates or a proxy that the server's settings name cannot be used.
    pub fn new(server: &Server) -> Result<Self> {
        let mut tls = TlsConfig::builder().disable_verification(server.insecure);
        if let Some(path) = &server.certificates {
            tls = tls.root_certs(certificates(path)?);
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("wandb-offline/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(IDLE)
            .max_idle_connections_per_host(IDLE)
            .timeout_connect(Some(CONNECT))
            .tls_config(tls.build());
        let secure = usize::from(server.base.starts_with("https://"));
        if is_loopback(&server.base) {
            config = config.proxy(None);
        } else if let Some(Some(proxy)) = server.proxies.get(secure) {
            let proxy = Proxy::new(proxy.expose());
            let name = if secure == 1 { "https_proxy" } else { "http_proxy" };
            config =
                config.proxy(Some(proxy.map_err(|_| Error::setting(name, "is no proxy's URL"))?));
        }
        let (agent, token) = (config.build().new_agent(), Mutex::new(None));
        Ok(Self { agent, server: server.clone(), token, longest_answer: LONGEST_ANSWER })
    }

    /// Reads answers of so many bytes at most, instead of 64 MiB. A longer one is an error.
    #[must_use]
    pub const fn longest_answer(mut self, bytes: u64) -> Self {
        self.longest_answer = bytes;
        self
    }

    fn try_send(&self, request: &Request, url: &str) -> Result<Answer, TransportError> {
        let mut builder = match &request.target {
            Target::Server(_) => http::Request::post(url),
            Target::Signed(_) => http::Request::put(url),
        };
        for (name, value) in &self.server.headers {
            // Who we are is the server's business alone.
            let ours = matches!(request.target, Target::Server(_)) || !name.starts_with("X-WANDB-");
            if ours {
                builder = builder.header(name, value.expose());
            }
        }
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if let Target::Server(_) = &request.target {
            builder = builder.header("Authorization", self.authorization()?);
        }
        if let Body::Json(_) = &request.body {
            builder = builder.header("Content-Type", "application/json");
        }
        let length = request.body.len();
        let time = patience(request.kind, length);
        builder = builder.header("Content-Length", length);
        let malformed =
            |error: http::Error| TransportError::lasting(format!("malformed request: {error}"));
        match &request.body {
            Body::Json(bytes) => self.run(builder.body(bytes.as_slice()).map_err(malformed)?, time),
            Body::Bytes(bytes) => self.run(builder.body(&**bytes).map_err(malformed)?, time),
            Body::File { path, offset, length, .. } => {
                let unreadable = |error: std::io::Error| {
                    TransportError::lasting(format!("cannot read {}: {error}", path.display()))
                };
                let mut file = File::open(path).map_err(unreadable)?;
                file.seek(SeekFrom::Start(*offset)).map_err(unreadable)?;
                let mut part = Exactly { file, left: *length };
                let body = SendBody::from_reader(&mut part);
                self.run(builder.body(body).map_err(malformed)?, time)
            }
        }
    }

    fn run<B: ureq::AsSendBody>(
        &self,
        request: http::Request<B>,
        time: Duration,
    ) -> Result<Answer, TransportError> {
        let request = self.agent.configure_request(request).timeout_global(Some(time)).build();
        let failed = |error: ureq::Error| match certificate_refused(&error) {
            true => TransportError::lasting(format!("{}; {CERTIFICATE}", told(&error))),
            false => TransportError::temporary(told(&error)),
        };
        let mut response = self.agent.run(request).map_err(failed)?;
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let body = response.body_mut().with_config().limit(self.longest_answer).read_to_vec();
        match body {
            Ok(body) => Ok(Answer { status, headers, body }),
            Err(ureq::Error::BodyExceedsLimit(limit)) => {
                Err(TransportError::lasting(format!("the answer is longer than {limit} bytes")))
            }
            // Nor is it known then who answered, and what is sent again does no harm.
            Err(_) => Err(TransportError::temporary("the answer broke off")),
        }
    }

    fn authorization(&self) -> Result<String, TransportError> {
        match &self.server.credentials {
            Credentials::Key(key) => {
                let pair = format!("api:{}", key.expose());
                let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
                Ok(format!("Basic {encoded}"))
            }
            Credentials::IdentityToken(path) => {
                let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                let valid = token.as_ref().filter(|token| token.renew > now);
                let text = match valid {
                    Some(valid) => valid.text.expose().to_owned(),
                    None => {
                        let new = self.exchange(path, now)?;
                        token.insert(new).text.expose().to_owned()
                    }
                };
                Ok(format!("Bearer {text}"))
            }
        }
    }

    /// Exchanges the identity token for an access token. The file is read each time, for others renew it.
    fn exchange(&self, path: &std::path::Path, now: Instant) -> Result<Token, TransportError> {
        #[derive(serde::Deserialize)]
        struct Granted {
            access_token: String,
            expires_in: f64,
        }
        let identity = crate::io::read_small(path).map_err(|error| {
            TransportError::lasting(format!(
                "cannot read the identity token {}: {error}",
                path.display()
            ))
        })?;
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
        let form = format!("{grant}{}", super::server::path_part(identity.trim()));
        let request = http::Request::post(format!("{}/oidc/token", self.server.base))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.as_bytes())
            .map_err(|error| TransportError::lasting(error.to_string()))?;
        let answer = self.run(request, patience(RequestKind::GraphQl("token exchange"), 0))?;
        if !answer.is_success() {
            let reason =
                format!("the identity token was refused: the server answered {}", answer.status);
            let passing = answer.status == 429 || answer.status >= 500;
            return Err(TransportError { reason, temporary: passing });
        }
        let granted: Granted = serde_json::from_slice(&answer.body).map_err(|_| {
            TransportError::lasting("the answer to the identity token makes no sense")
        })?;
        let seconds = (granted.expires_in - RENEW_BEFORE).clamp(0.0, 86_400.0);
        let renew = now + Duration::from_secs_f64(seconds);
        Ok(Token { text: Secret::new(granted.access_token), renew })
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: &Request) -> Result<Answer, TransportError> {
        let mut url = match &request.target {
            Target::Server(path) => format!("{}{path}", self.server.base),
            Target::Signed(url) if url.starts_with("http://") || url.starts_with("https://") => {
                url.clone()
            }
            Target::Signed(_) => {
                return Err(TransportError::lasting("the server named an upload URL that is none"));
            }
        };
        for _ in 0..=REDIRECTS {
            let answer = self.try_send(request, &url)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = answer.header("location").map(|to| joined(&url, to)).unwrap_or_default();
            if next.is_empty() {
                return Err(TransportError::lasting(
                    "the server redirects without saying where to",
                ));
            }
            let same_host = origin(&next) == origin(&url);
            if matches!(request.target, Target::Server(_)) && !same_host {
                let to = origin(&next);
                return Err(TransportError::lasting(format!(
                    "the server redirects to {to}, which must not get the key; set WANDB_BASE_URL to it if it is meant"
                )));
            }
            if !next.starts_with("http") || (url.starts_with("https") && !next.starts_with("https"))
            {
                return Err(TransportError::lasting("the server redirects to what is no safe URL"));
            }
            url = next;
        }
        Err(TransportError::lasting("the server redirects again and again"))
    }
}

/// So many bytes of a file; that there are fewer is an error, for the server waits for all that were announced.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(buffer.get_mut(..room).unwrap_or_default())?;
        if count == 0 && room > 0 {
            let reason = "the file became shorter while it was uploaded";
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, reason));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// The URL that `to` means at `url`.
fn joined(url: &str, to: &str) -> String {
    match to {
        _ if to.starts_with("http://") || to.starts_with("https://") => to.to_owned(),
        _ if to.starts_with('/') && !to.starts_with("//") => format!("{}{to}", origin(url)),
        _ => String::new(),
    }
}

/// What went wrong, without the URL, which may be a permission.
fn told(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(what) => format!("no answer in time ({what})"),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        ureq::Error::ConnectionFailed => "cannot connect".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::BadUri(_) => "the URL makes no sense".to_owned(),
        other => other.to_string(),
    }
}

/// Whether the server's certificate is none to trust, which waiting does not change. The TLS library says so in
/// words alone.
fn certificate_refused(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Io(error)
        if error.kind() == std::io::ErrorKind::InvalidData && error.to_string().contains("certificate"))
}

const CERTIFICATE: &str =
    "name the certificates to trust with SSL_CERT_FILE, or check the server's address";

/// What names the file with the certificates to trust.
const NAMED_BY: &str = "SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE";

fn certificates(path: &std::path::Path) -> Result<RootCerts> {
    let unusable = |why: &str| {
        Error::misuse(format!("the certificates to trust, which {NAMED_BY} names: {why}")).at(path)
    };
    let bytes = std::fs::read(path).map_err(|error| unusable(&error.to_string()))?;
    let items = parse_pem(&bytes).filter_map(std::result::Result::ok);
    let found: Vec<Certificate<'static>> = items
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(unusable("there are none in this file"));
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// How long a try may take that sends so many bytes: the times of the official client. There uploads take as long
/// as they take; here a server that does not listen is left at last, and a slow line is none.
const fn patience(kind: RequestKind, length: u64) -> Duration {
    match kind {
        RequestKind::GraphQl(_) => Duration::from_secs(30),
        RequestKind::FileStream => Duration::from_secs(180),
        RequestKind::Upload => Duration::from_secs(300 + length / SLOWEST),
    }
}

/// Bytes in a second that an upload has at least.
const SLOWEST: u64 = 16 << 10;

const CONNECT: Duration = Duration::from_secs(30);

/// The longest answer that makes sense: the tail of a run, with its config.
const LONGEST_ANSWER: u64 = 64 << 20;

const REDIRECTS: usize = 5;

/// Connections kept open.
const IDLE: usize = 128;

/// Seconds before its end that a token is renewed.
const RENEW_BEFORE: f64 = 300.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_joined() {
        assert_eq!(joined("https://h:1/a/b?c", "/d"), "https://h:1/d");
        assert_eq!(joined("https://h/a", "http://x/y"), "http://x/y");
        assert_eq!(joined("https://h/a", "//evil/y"), "");
        assert_eq!(joined("https://h/a", "ftp:y"), "");
    }
}
