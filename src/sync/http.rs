//! Requests over HTTP, with [`ureq`] and rustls: blocking, without a runtime.

use super::access::Access;
use super::api::{Answer, Body, Request, RequestKind, Target};
use super::server::{Secret, Server, origin};
use super::transport::{Transport, TransportError};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;
use ureq::http;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy, ProxyProtocol, SendBody};

/// Sends requests over HTTP.
///
/// Credentials go to the server of the base URL and nowhere else: a redirect to another host is refused,
/// and signed URLs are sent without them. Answers are read up to a limit.
#[derive(Debug)]
pub struct HttpTransport {
    agent: Agent,
    server: Server,
    access: Access,
    longest_answer: u64,
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
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("wandb-offline/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(IDLE)
            .max_idle_connections_per_host(IDLE)
            .timeout_connect(Some(CONNECT))
            .tls_config(tls.build())
            // Each request has its own.
            .proxy(None);
        let proxies = &server.proxies;
        for (name, url) in [("http_proxy", &proxies.http), ("https_proxy", &proxies.https)] {
            url.as_ref().map(proxy).transpose().map_err(|why| Error::setting(name, why))?;
        }
        let (agent, access) = (config.build().new_agent(), Access::new(server));
        Ok(Self { agent, server: server.clone(), access, longest_answer: LONGEST_ANSWER })
    }

    /// Reads answers of so many bytes at most, instead of 64 MiB. A longer one is an error. Of
    /// those to lines and files never more than 1 MiB are read.
    #[must_use]
    pub const fn longest_answer(mut self, bytes: u64) -> Self {
        self.longest_answer = bytes;
        self
    }

    fn try_send(
        &self,
        request: &Request,
        url: &str,
        authorization: Option<&Secret>,
    ) -> Result<Answer, TransportError> {
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
        if let Some(authorization) = authorization {
            builder = builder.header("Authorization", authorization.expose());
        }
        if let Body::Json(_) = &request.body {
            builder = builder.header("Content-Type", "application/json");
        }
        let length = request.body.len();
        builder = builder.header("Content-Length", length);
        let malformed =
            |error: http::Error| TransportError::lasting(format!("malformed request: {error}"));
        match &request.body {
            Body::Json(bytes) => {
                self.run(request.kind, length, builder.body(bytes.as_slice()).map_err(malformed)?)
            }
            Body::Bytes(bytes) => {
                self.run(request.kind, length, builder.body(&**bytes).map_err(malformed)?)
            }
            Body::File { path, offset, .. } => {
                let unreadable = |error: std::io::Error| {
                    TransportError::lasting(format!("cannot read {}: {error}", path.display()))
                };
                let mut file = File::open(path).map_err(unreadable)?;
                file.seek(SeekFrom::Start(*offset)).map_err(unreadable)?;
                let mut part = Exactly { file, left: length };
                let body = SendBody::from_reader(&mut part);
                self.run(request.kind, length, builder.body(body).map_err(malformed)?)
            }
        }
    }

    /// Sends a request, whose body has so many bytes, and reads the answer.
    fn run<B: ureq::AsSendBody>(
        &self,
        kind: RequestKind,
        length: u64,
        request: http::Request<B>,
    ) -> Result<Answer, TransportError> {
        let through = self.server.proxies.of(&request.uri().to_string()).map(proxy).transpose();
        let config = self.agent.configure_request(request);
        let config = config.proxy(through.map_err(TransportError::lasting)?);
        let request = config.timeout_global(Some(patience(kind, length))).build();
        let mut response = self.agent.run(request).map_err(|error| failed(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers
            .filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            })
            .collect();
        let longest = match kind {
            RequestKind::GraphQl(_) => self.longest_answer,
            RequestKind::FileStream | RequestKind::Upload => {
                self.longest_answer.min(LONGEST_RECEIPT)
            }
        };
        let body = response.body_mut().with_config().limit(longest).read_to_vec();
        match body {
            Ok(body) => Ok(Answer { status, headers, body, repeated: false }),
            Err(ureq::Error::BodyExceedsLimit(limit)) => {
                Err(TransportError::lasting(format!("the answer is longer than {limit} bytes")))
            }
            // Nor is it known then who answered, and what is sent again does no harm.
            Err(_) => Err(TransportError::temporary("the answer broke off")),
        }
    }

    /// What a request says of who sends it: to the server, and to nobody else.
    fn authorization(&self, request: &Request) -> Result<Option<Secret>, TransportError> {
        match &request.target {
            Target::Server(_) => {
                self.access.authorization(&|url, form| self.post(url, form)).map(Some)
            }
            Target::Signed(_) => Ok(None),
        }
    }

    fn post(&self, url: &str, form: &Secret) -> Result<Answer, TransportError> {
        let request = http::Request::post(url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form.expose().as_bytes())
            .map_err(|_| TransportError::lasting("the identity token cannot be sent"))?;
        self.run(RequestKind::GraphQl("token exchange"), 0, request)
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
        let mut authorization = self.authorization(request)?;
        for _ in 0..=REDIRECTS {
            let mut answer = self.try_send(request, &url, authorization.as_ref())?;
            if answer.status == 401
                && let Some(refused) = &authorization
                && self.access.renew(refused)
            {
                authorization = self.authorization(request)?;
                answer = self.try_send(request, &url, authorization.as_ref())?;
            }
            self.access.conceal(&mut answer, authorization.as_ref());
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let to = answer.header("location").unwrap_or_default();
            url = redirected(&url, to, authorization.is_some()).map_err(TransportError::lasting)?;
        }
        Err(TransportError::lasting("the server redirects again and again"))
    }

    fn take_remark(&self) -> Option<String> {
        self.access.take_remark()
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

/// Where a redirect from `url` leads. Requests that have a key go to no other server.
fn redirected(url: &str, to: &str, has_key: bool) -> Result<String, String> {
    let next = match to {
        "" => return Err("the server redirects without saying where to".to_owned()),
        _ if to.starts_with("http://") || to.starts_with("https://") => to.to_owned(),
        _ if to.starts_with('/') && !to.starts_with("//") => format!("{}{to}", origin(url)),
        _ => String::new(),
    };
    if next.is_empty() || (url.starts_with("https://") && !next.starts_with("https://")) {
        return Err("the server redirects to what is no safe URL".to_owned());
    }
    if has_key && origin(&next) != origin(url) {
        // What stands before the host may be a password.
        let host = origin(&next).rsplit(['@', '/']).next().unwrap_or_default();
        return Err(format!(
            "the server redirects to {host}, which must not get the key; set WANDB_BASE_URL to it if it is meant"
        ));
    }
    Ok(next)
}

/// The proxy at a URL, which is not told: it may hold a password.
fn proxy(url: &Secret) -> Result<Proxy, &'static str> {
    let proxy = Proxy::new(url.expose()).map_err(|_| "is no proxy's URL")?;
    match proxy.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https => Ok(proxy),
        _ => Err("must be the URL of an http:// or https:// proxy"),
    }
}

/// What went wrong, and whether it may pass.
fn failed(error: &ureq::Error) -> TransportError {
    match error {
        ureq::Error::ConnectProxyFailed(reason) if reason.contains(" responded 4") => {
            // The library says the number twice.
            let said = reason.split('/').next().unwrap_or_default();
            TransportError::lasting(format!("{said} to CONNECT; {PROXY}"))
        }
        _ if certificate_refused(error) => {
            let is_authority = error.to_string().contains("CaUsedAsEndEntity");
            let help = if is_authority { AUTHORITY } else { CERTIFICATE };
            TransportError::lasting(format!("{}; {help}", told(error)))
        }
        _ => TransportError::temporary(told(error)),
    }
}

/// What is said, without the URL, which may be a permission.
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

/// What helps a server whose own certificate is one of an authority, which is refused even if it is named.
const AUTHORITY: &str = "the server shows the certificate of an authority as its own (CA:TRUE); \
                         have it show one for its host that this authority has signed";

/// What helps with a proxy that refuses.
const PROXY: &str = "name another in HTTPS_PROXY (HTTP_PROXY for http://), put user and password into its URL if it \
                     wants them, or pass it by with NO_PROXY";

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

/// The longest answer that makes sense to lines and files that were sent.
const LONGEST_RECEIPT: u64 = 1 << 20;

const REDIRECTS: usize = 5;

/// Connections kept open.
const IDLE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_where_the_key_may_go_or_nowhere() {
        let at = "https://h:1/a/b?c";
        for (to, has_key, want) in [
            ("/d", true, Some("https://h:1/d")),
            ("https://h:1/d", true, Some("https://h:1/d")),
            ("https://h/d", true, None),
            ("https://h:1@evil/d", true, None),
            ("https://evil#@h:1/d", true, None),
            ("https://evil/d", false, Some("https://evil/d")),
            ("http://h:1/d", true, None),
            ("http://h:1/d", false, None),
            ("HTTPS://h:1/d", true, None),
            ("//evil/d", true, None),
            ("d", true, None),
            ("", false, None),
        ] {
            assert_eq!(redirected(at, to, has_key).ok().as_deref(), want, "{to}");
        }
        assert_eq!(redirected("http://h/a", "https://h/a", false).as_deref(), Ok("https://h/a"));
        let error = redirected(at, "https://user:secret@evil/d", true).unwrap_err();
        assert!(error.contains("evil") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn a_proxy_has_a_url_of_http_which_is_not_shown() {
        for good in ["http://proxy:3128", "https://user:pass@proxy", "proxy:3128"] {
            assert!(proxy(&Secret::new(good)).is_ok(), "{good}");
        }
        let server = |url: &str| {
            let mut server = Server::new("https://h", Secret::new("k")).unwrap();
            server.proxies.https = Some(Secret::new(url));
            server
        };
        for bad in ["socks5://u:hunter2@proxy", "ftp://hunter2", "http://", "a hunter2"] {
            let error = HttpTransport::new(&server(bad)).unwrap_err().to_string();
            assert!(error.contains("https_proxy") && !error.contains("hunter2"), "{error}");
        }
        let transport = HttpTransport::new(&server("http://u:hunter2@proxy")).unwrap();
        assert!(!format!("{transport:?}").contains("hunter2"), "{transport:?}");
    }
}
