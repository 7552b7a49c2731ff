//! Which server, and who we are there: what the environment, the settings files and netrc say.

mod credentials;
mod proxies;
mod settings;
#[cfg(test)]
mod tests;
mod url;

use super::retry::Patience;
use crate::error::{Error, Result};
use crate::writer::environ::Environ;
use credentials::credentials;
pub use credentials::{Credentials, Secret};
pub use proxies::Proxies;
use settings::{Settings, home};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::netloc;
pub(crate) use url::{is_loopback, origin, path_part};

/// A server, and how to talk to it.
///
/// [`Self::from_env`] finds all of it where the official client looks. Of the places in a row the first that has a
/// value counts; an empty variable has none. Words in capitals are environment variables. *Settings* are the keys
/// under `[default]` in `./wandb/settings`, and after it in `settings` in `WANDB_CONFIG_DIR` or `~/.config/wandb`.
///
/// | what | from where | rules |
/// |---|---|---|
/// | base URL | `WANDB_BASE_URL`; settings `base_url`; `https://api.forge.coreweave.com` | begins with `http://` or `https://`, has no user and no query; a path stays, a `/` at the end does not; hosts of `wandb.ai` must be those with `api.` and `https://`; `https://forge.coreweave.com/api/wandb` means the default |
/// | page of a run | `WANDB_APP_URL`; made of the base URL | |
/// | who we are | `WANDB_API_KEY`; `WANDB_IDENTITY_TOKEN_FILE`; netrc; settings `api_key` | both variables are an error; without any there is no sync |
/// | API key | | after what may stand before the first `-`, at least 40 letters, digits, `_` or `-`; or three texts with dots between them |
/// | netrc | `NETRC`; `~/.netrc`; `~/_netrc` | the first of these files that exists; the `password` of the `machine` that is the base URL's host, with its port if it has one; logins and `default` do not count; for the default base URL also that of `api.wandb.ai` |
/// | identity token | the file that `WANDB_IDENTITY_TOKEN_FILE` names | read anew for each exchange, at `/oidc/token` of the server |
/// | access tokens | `WANDB_CREDENTIALS_FILE`; `~/.config/wandb/credentials.json` | kept for the next process and the official client, for this user alone; renewed with five minutes left, and once if the server does not take the one that was kept; if the file cannot be written, that is told and nothing more |
/// | headers | `WANDB_X_EXTRA_HTTP_HEADERS`, a JSON object of texts | go with every request, uploads to signed URLs included; not those that say who sends what |
/// | user of a service account | `WANDB_USERNAME`, `WANDB_USER_EMAIL` | go to the server alone |
/// | proxy for `https://` | `WANDB_HTTPS_PROXY`; settings `https_proxy`; `HTTPS_PROXY`; `https_proxy`; `ALL_PROXY`; `all_proxy` | an `http://` or `https://` URL, with user and password if it wants them; always used by `CONNECT`; no SOCKS |
/// | proxy for `http://` | the same with `HTTP` | also by `CONNECT`, which some proxies allow for `https://` alone |
/// | no proxy | `NO_PROXY`; `no_proxy` | see [`Proxies::except`]; never for this machine |
/// | certificates to trust | `SSL_CERT_FILE`; `REQUESTS_CA_BUNDLE`; `CURL_CA_BUNDLE` | a PEM file, instead of Mozilla's list, which is built in; a server's certificate must not be one of an authority (`CA:TRUE`), even if it is named here |
/// | certificates not checked | `WANDB_INSECURE_DISABLE_SSL` | |
/// | plain requests | `WANDB_X_FILE_STREAM_NO_GZIP` | if not set, large ones are zipped for a server that says it can unzip them |
/// | how often a request is tried again | `WANDB_X_GRAPHQL_RETRY_MAX`; 20 times | all requests, if they may succeed later |
/// | waits in between | `WANDB_X_GRAPHQL_RETRY_WAIT_MIN_SECONDS`, 2; `WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS`, 60 | twice as long each time; or as long as the server asks for, up to 15 minutes |
/// | how long an answer may take | | 30 seconds to connect; 30 for GraphQL, 180 for lines, 300 for files and one more for each 16 KiB |
///
/// Keys are for a host: they go to the base URL, and not along with a redirect to another host or from `https` to
/// `http`. They are never printed, and no option takes one, for others see the arguments of a program.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Server {
    /// The base URL, without a `/` at its end.
    pub base: String,
    /// Where people look at runs.
    pub app: String,
    /// Who we are.
    pub credentials: Credentials,
    /// Where the credentials come from, for people.
    pub source: String,
    /// Headers for every request.
    pub headers: Vec<(String, Secret)>,
    /// Certificates are not checked.
    pub insecure: bool,
    /// PEM file of certificates to trust instead of the built-in ones.
    pub certificates: Option<PathBuf>,
    /// Proxies.
    pub proxies: Proxies,
    /// The file where access tokens are kept, if they are.
    pub tokens: Option<PathBuf>,
    /// Zip large requests if the server says that it can unzip them.
    pub gzip: bool,
    /// How patient to be.
    pub patience: Patience,
}

impl Server {
    /// The server that the environment of this process names.
    ///
    /// # Errors
    /// When there is no key, or something has a value that will not do.
    pub fn from_env() -> Result<Self> {
        Self::resolve(&Environ::of_process(), Path::new("."))
    }

    /// The server that these variables name, instead of the process's, with the settings of `dir`, instead of
    /// those of the current directory. For a program that talks to several servers.
    ///
    /// # Errors
    /// As for [`Self::from_env`].
    ///
    /// ```
    /// # fn main() -> wandb_offline::Result<()> {
    /// use wandb_offline::sync::Server;
    ///
    /// let key = "0123456789".repeat(4);
    /// let vars = [("WANDB_BASE_URL", "https://wandb.example.com"), ("WANDB_API_KEY", &key)];
    /// let server = Server::from_variables(vars, "/nowhere")?;
    /// assert_eq!(server.base, "https://wandb.example.com");
    /// assert!(!format!("{server:?}").contains(&key));
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_variables<K, V>(
        vars: impl IntoIterator<Item = (K, V)>,
        dir: impl AsRef<Path>,
    ) -> Result<Self>
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        Self::resolve(&vars.into_iter().collect(), dir.as_ref())
    }

    /// The server that the environment of this process names, to be told only what would be sent to it
    /// ([`SyncOptions::dry_run`](super::SyncOptions::dry_run)): there need be no key.
    ///
    /// # Errors
    /// When something has a value that will not do.
    pub fn for_dry_run() -> Result<Self> {
        let environ = Environ::of_process();
        let settings = Settings::read(&environ, Path::new("."))?;
        Self::new(&named_base(&environ, &settings)?, Secret::new(""))
    }

    /// The server at a base URL, with an API key and the proxies of the environment; all else as it usually is.
    ///
    /// # Errors
    /// When the URL is none, or a variable with a proxy is no text.
    pub fn new(base: &str, key: Secret) -> Result<Self> {
        let base = base_url("base", base)?;
        Ok(Self {
            app: app_url(&base),
            base,
            credentials: Credentials::Key(key),
            source: "the program".to_owned(),
            headers: Vec::new(),
            insecure: false,
            certificates: None,
            proxies: Proxies::resolve(&Environ::of_process(), &Settings::default())?,
            tokens: None,
            gzip: true,
            patience: Patience::default(),
        })
    }

    fn resolve(environ: &Environ, dir: &Path) -> Result<Self> {
        let settings = Settings::read(environ, dir)?;
        let base = named_base(environ, &settings)?;
        let app = match environ.text("WANDB_APP_URL")? {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => app_url(&base),
        };
        let (credentials, source) = credentials(environ, &settings, &base)?;
        let mut headers = extra_headers(environ)?;
        for (name, variable) in
            [("X-WANDB-USERNAME", "WANDB_USERNAME"), ("X-WANDB-USER-EMAIL", "WANDB_USER_EMAIL")]
        {
            headers
                .push((name.to_owned(), Secret::new(environ.text(variable)?.unwrap_or_default())));
        }
        let certificates = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
        Ok(Self {
            insecure: environ.flag("WANDB_INSECURE_DISABLE_SSL")?,
            certificates: certificates.iter().find_map(|name| environ.path(name)),
            proxies: Proxies::resolve(environ, &settings)?,
            tokens: environ
                .path("WANDB_CREDENTIALS_FILE")
                .or_else(|| Some(home(environ)?.join(".config/wandb/credentials.json"))),
            gzip: !environ.flag("WANDB_X_FILE_STREAM_NO_GZIP")?,
            patience: patience(environ)?,
            base,
            app,
            credentials,
            source,
            headers,
        })
    }

    /// The page of a run.
    pub fn run_url(&self, entity: &str, project: &str, run: &str) -> String {
        let (entity, project, run) = (path_part(entity), path_part(project), path_part(run));
        format!("{}/{entity}/{project}/runs/{run}", self.app)
    }

    /// Whether what is sent can be read on the way: not encrypted, and not to this machine.
    pub fn is_in_the_open(&self) -> bool {
        self.base.starts_with("http://") && !is_loopback(&self.base)
    }
}

/// The base URL that environment or settings name.
fn named_base(environ: &Environ, settings: &Settings) -> Result<String> {
    match (environ.text("WANDB_BASE_URL")?, settings.get("base_url")) {
        (Some(url), _) => base_url("WANDB_BASE_URL", url),
        (None, Some(url)) => base_url("base_url", url),
        (None, None) => Ok(DEFAULT_BASE.to_owned()),
    }
}

fn base_url(name: &str, url: &str) -> Result<String> {
    let url = url.trim().trim_end_matches('/');
    // First, so that a password is not shown.
    if url.contains('@') {
        return Err(Error::setting(name, "a base URL has no user or password in it"));
    }
    let bad = |reason: &str| Err(Error::setting(name, format!("{url:?} {reason}")));
    if url.contains(|c: char| matches!(c, '?' | '#') || c.is_whitespace() || c.is_control()) {
        return bad("is no base URL; paths are added to it, so it ends with the host or a path");
    }
    if !(url.starts_with("http://") || url.starts_with("https://")) || netloc(url).is_empty() {
        return bad("is no URL; it should look like https://api.wandb.ai");
    }
    let host = netloc(url).split(':').next().unwrap_or_default();
    if host == "wandb.ai" || host.ends_with(".wandb.ai") {
        if !url.contains("api.") {
            return bad("is where people look at runs; the server is https://api.wandb.ai");
        }
        if !url.starts_with("https://") {
            return bad("must begin with https://");
        }
    }
    if url == "https://forge.coreweave.com/api/wandb" {
        return Ok(DEFAULT_BASE.to_owned());
    }
    Ok(url.to_owned())
}

fn app_url(base: &str) -> String {
    if base == DEFAULT_BASE {
        return "https://forge.coreweave.com/wandb".to_owned();
    }
    if base.contains("://api.wandb.") {
        return base.replacen("://api.wandb.", "://wandb.", 1);
    }
    base.replacen("://api.", "://app.", 1)
}

/// Headers for every request. Those that a request has anyway are not for others to say.
fn extra_headers(environ: &Environ) -> Result<Vec<(String, Secret)>> {
    let variable = "WANDB_X_EXTRA_HTTP_HEADERS";
    let Some(text) = environ.text(variable)? else { return Ok(Vec::new()) };
    let headers: BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| {
        Error::setting(variable, "must be a JSON object of texts, such as {\"X-A\":\"b\"}")
    })?;
    for (name, value) in &headers {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(fits) || value.chars().any(char::is_control) {
            return Err(Error::setting(
                variable,
                format!("{name:?} is no header that can be sent"),
            ));
        }
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return Err(Error::setting(variable, format!("{name} is not for it to say")));
        }
    }
    Ok(headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
}

/// What the transport says itself.
const OURS: &[&str] =
    &["Authorization", "Content-Length", "Content-Type", "Host", "Transfer-Encoding"];

/// As the settings of the official client for its GraphQL requests; here they hold for all requests.
fn patience(environ: &Environ) -> Result<Patience> {
    let number = |name: &'static str| -> Result<Option<f64>> {
        let Some(text) = environ.text(name)? else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
        number
            .map(Some)
            .ok_or_else(|| Error::setting(name, format!("{text:?} is not a number of 0 or more")))
    };
    let mut patience = Patience::default();
    if let Some(retries) = number("WANDB_X_GRAPHQL_RETRY_MAX")? {
        patience.retries = retries.min(1e6) as u32;
    }
    let seconds = |n: f64| Duration::from_secs_f64(n.min(86_400.0));
    if let Some(wait) = number("WANDB_X_GRAPHQL_RETRY_WAIT_MIN_SECONDS")? {
        patience.first_wait = seconds(wait);
    }
    if let Some(wait) = number("WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS")? {
        patience.longest_wait = seconds(wait);
    }
    Ok(patience)
}

/// W&B's own server, as of wandb 0.31.0.
const DEFAULT_BASE: &str = "https://api.forge.coreweave.com";
