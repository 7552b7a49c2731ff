//! Which server, and who we are there: what the environment, the settings files and netrc say.
//!
//! | what | where, first wins |
//! |---|---|
//! | base URL | `WANDB_BASE_URL`, `base_url` in `./wandb/settings`, in `~/.config/wandb/settings`, W&B's own |
//! | key | `WANDB_API_KEY`, `WANDB_IDENTITY_TOKEN_FILE` (not both), netrc, `api_key` in the settings |
//!
//! Keys are for a host and never leave it; they are never printed, and no option takes one, for others see
//! the arguments of a program.

use super::retry::Patience;
use crate::error::{Error, Result};
use crate::io::read_small;
use crate::writer::environ::Environ;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A server, and how to talk to it.
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
    /// Proxies for `http` and `https`, if they are not those of the environment.
    pub proxies: [Option<Secret>; 2],
    /// How patient to be.
    pub patience: Patience,
}

/// Who we are on a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// An API key.
    Key(Secret),
    /// A file with an identity token, which the server exchanges for an access token.
    IdentityToken(PathBuf),
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
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

    /// The server at a base URL, with an API key; all else as it usually is.
    ///
    /// # Errors
    /// When the URL is none.
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
            proxies: [None, None],
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
        let proxy = |name: &str| settings.get(name).map(Secret::new);
        let certificates = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];
        Ok(Self {
            insecure: environ.flag("WANDB_INSECURE_DISABLE_SSL")?,
            certificates: certificates.iter().find_map(|name| environ.path(name)),
            proxies: [proxy("http_proxy"), proxy("https_proxy")],
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

/// Scheme, host and port of a URL.
pub(crate) fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?', '#']));
    end.and_then(|end| url.get(..host + end)).unwrap_or(url)
}

/// Host and port of a URL.
fn netloc(url: &str) -> &str {
    let origin = origin(url);
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

pub(crate) fn is_loopback(url: &str) -> bool {
    let host = netloc(url);
    let host = host.rsplit_once(':').map_or(host, |(host, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { host } else { netloc(url) }
    });
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// One part of a path, escaped.
pub(crate) fn path_part(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    // These would be taken for the directory's own name.
    if matches!(text, "." | "..") { out.replace('.', "%2E") } else { out }
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

fn credentials(
    environ: &Environ,
    settings: &Settings,
    base: &str,
) -> Result<(Credentials, String)> {
    let key = environ.text("WANDB_API_KEY")?;
    let token = environ.path("WANDB_IDENTITY_TOKEN_FILE");
    match (key, token) {
        (Some(_), Some(_)) => {
            let reason = "WANDB_API_KEY is set as well; one of them must go";
            Err(Error::setting("WANDB_IDENTITY_TOKEN_FILE", reason))
        }
        (Some(key), None) => {
            Ok((Credentials::Key(check_key("WANDB_API_KEY", key)?), "WANDB_API_KEY".into()))
        }
        (None, Some(path)) => {
            Ok((Credentials::IdentityToken(path), "WANDB_IDENTITY_TOKEN_FILE".into()))
        }
        (None, None) => {
            if let Some((path, key)) = netrc(environ, base)? {
                let source = path.display().to_string();
                return Ok((Credentials::Key(check_key(&source, &key)?), source));
            }
            if let Some(key) = settings.get("api_key") {
                return Ok((
                    Credentials::Key(check_key("api_key", key)?),
                    "the settings file".into(),
                ));
            }
            let reason = format!(
                "there is no key for {}: set it, or put one into ~/.netrc (`wandb login` does)",
                netloc(base)
            );
            Err(Error::setting("WANDB_API_KEY", reason))
        }
    }
}

/// A key is at least 40 letters, digits, `_` or `-` after what may stand before the first `-`; or three
/// texts with dots between them. What is wrong is told without the key.
fn check_key(name: &str, key: &str) -> Result<Secret> {
    let key = key.trim();
    let is_token = key.split('.').count() == 3 && key.split('.').all(|part| !part.is_empty());
    let secret = key.split_once('-').map_or(key, |(_, secret)| secret);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_key = secret.len() >= 40 && secret.chars().all(fits);
    if (is_key || is_token) && key.chars().all(|c| !c.is_control()) {
        return Ok(Secret::new(key));
    }
    let length = secret.chars().count();
    Err(Error::setting(
        name,
        format!("this is no API key: {length} characters, of at least 40 letters and digits"),
    ))
}

/// The password of the host in the netrc file, and where that is.
fn netrc(environ: &Environ, base: &str) -> Result<Option<(PathBuf, String)>> {
    let home = home(environ);
    let candidates = match environ.path("NETRC") {
        Some(path) => vec![path],
        None => {
            [".netrc", "_netrc"].iter().filter_map(|name| Some(home.as_ref()?.join(name))).collect()
        }
    };
    let Some(path) = candidates.into_iter().find(|path| path.exists()) else { return Ok(None) };
    let text = read_small(&path).map_err(|error| Error::io("read", &path, error))?;
    let host = netloc(base);
    // Forge took over the keys of W&B's own server.
    let also = if base == DEFAULT_BASE { "api.wandb.ai" } else { host };
    let found = password(&text, host).or_else(|| password(&text, also));
    Ok(found.map(|key| (path, key)))
}

fn password(netrc: &str, host: &str) -> Option<String> {
    let lines = netrc.lines().map(|line| line.split(" #").next().unwrap_or_default());
    let mut words = lines.filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    let mut here = false;
    while let Some(word) = words.next() {
        match word {
            "machine" => here = words.next() == Some(host),
            "default" => here = false,
            "password" if here => return words.next().map(str::to_owned),
            "login" | "account" | "password" => drop(words.next()),
            _ => {}
        }
    }
    None
}

/// The settings files: what stands under `[default]`.
#[derive(Debug, Default)]
struct Settings(BTreeMap<String, String>);

impl Settings {
    fn read(environ: &Environ, dir: &Path) -> Result<Self> {
        let config = environ.path("WANDB_CONFIG_DIR");
        let config = config.or_else(|| Some(home(environ)?.join(".config").join("wandb")));
        let files = config.into_iter().chain([dir.join("wandb")]);
        let mut all = Self::default();
        for path in files.map(|dir| dir.join("settings")) {
            match read_small(&path) {
                Ok(text) => all.add(&text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", &path, error)),
            }
        }
        Ok(all)
    }

    fn add(&mut self, text: &str) {
        let mut here = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                here = line == "[default]";
            } else if let (true, Some((key, value))) = (here, line.split_once('=')) {
                self.0.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
            }
        }
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }
}

fn home(environ: &Environ) -> Option<PathBuf> {
    environ.path("HOME").or_else(|| environ.path("USERPROFILE"))
}

fn extra_headers(environ: &Environ) -> Result<Vec<(String, Secret)>> {
    let name = "WANDB_X_EXTRA_HTTP_HEADERS";
    let Some(text) = environ.text(name)? else { return Ok(Vec::new()) };
    let headers: BTreeMap<String, String> = serde_json::from_str(text).map_err(|_| {
        Error::setting(name, "must be a JSON object of texts, such as {\"X-A\":\"b\"}")
    })?;
    Ok(headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
}

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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789012345678901234567890123456789";

    fn environ(pairs: &[(&str, &str)]) -> Environ {
        let home = ("HOME", "/nonexistent");
        pairs.iter().chain([&home]).map(|(name, value)| (*name, *value)).collect()
    }

    fn server(pairs: &[(&str, &str)]) -> Result<Server> {
        Server::resolve(&environ(pairs), Path::new("/nonexistent"))
    }

    #[test]
    fn the_base_url_decides_where_runs_are_looked_at() {
        for (base, app) in [
            ("https://api.wandb.ai/", "https://wandb.ai"),
            ("https://api.example.com", "https://app.example.com"),
            ("https://wandb.example.com/prefix", "https://wandb.example.com/prefix"),
            ("https://forge.coreweave.com/api/wandb", "https://forge.coreweave.com/wandb"),
        ] {
            let server = server(&[("WANDB_BASE_URL", base), ("WANDB_API_KEY", KEY)]).unwrap();
            assert_eq!(server.app, app);
        }
        for bad in [
            "wandb.ai",
            "http://api.wandb.ai",
            "https://wandb.ai",
            "https://",
            "http://h/?a",
            "http://h i",
        ] {
            assert!(server(&[("WANDB_BASE_URL", bad), ("WANDB_API_KEY", KEY)]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_a_base_url_is_refused_and_not_shown() {
        for bad in ["https://u:secret@h", "ftp://u:secret@h", "u:secret@h", "http://u:se?secret@h"]
        {
            let error = server(&[("WANDB_BASE_URL", bad), ("WANDB_API_KEY", KEY)]).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn keys_are_checked_and_never_shown() {
        for good in [KEY, &format!("local-{KEY}"), "aaa.bbb.ccc"] {
            let server = server(&[("WANDB_API_KEY", good)]).unwrap();
            assert!(!format!("{server:?}").contains(good));
        }
        for bad in ["short-but-secret", "x y"] {
            let error = server(&[("WANDB_API_KEY", bad)]).unwrap_err().to_string();
            assert!(!error.contains(bad), "{error}");
        }
        let both = [("WANDB_API_KEY", KEY), ("WANDB_IDENTITY_TOKEN_FILE", "/t")];
        assert!(server(&both).is_err());
        assert!(server(&[("WANDB_API_KEY", "")]).is_err(), "empty counts as unset");
    }

    #[test]
    fn netrc_goes_by_host_and_port() {
        let text = "machine a login u password one\nmachine b:8080\n  login user\n  password two # x\n\
                    default login x password three";
        assert_eq!(password(text, "a").as_deref(), Some("one"));
        assert_eq!(password(text, "b:8080").as_deref(), Some("two"));
        assert_eq!(password(text, "b"), None);
    }

    #[test]
    fn what_goes_to_this_machine_is_not_in_the_open() {
        for url in ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/x", "https://h"] {
            let server = server(&[("WANDB_BASE_URL", url), ("WANDB_API_KEY", KEY)]).unwrap();
            assert!(!server.is_in_the_open(), "{url}");
        }
        let server = server(&[("WANDB_BASE_URL", "http://h:80"), ("WANDB_API_KEY", KEY)]).unwrap();
        assert!(server.is_in_the_open());
    }

    #[test]
    fn parts_of_paths_are_escaped() {
        assert_eq!(path_part("a b/ü?.."), "a%20b%2F%C3%BC%3F..");
        assert_eq!(path_part(".."), "%2E%2E");
    }
}
