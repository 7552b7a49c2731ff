//! Who we are on a server: a key or an identity token, and where it is found.

use super::DEFAULT_BASE;
use super::settings::{Settings, home};
use super::url::netloc;
use crate::error::{Error, Result};
use crate::io::read_small;
use crate::writer::environ::Environ;
use std::fmt;
use std::path::PathBuf;

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

    /// The text itself.
    ///
    /// For a [`Transport`](crate::sync::Transport), which puts it where its receiver looks for it, and for nobody
    /// else: what is printed, logged or put into an error is no secret any more.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// The credentials for a base URL, and where they are from.
pub(super) fn credentials(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netrc_goes_by_host_and_port() {
        let text = "machine a login u password one\nmachine b:8080\n  login user\n  password two # x\n\
                    default login x password three";
        assert_eq!(password(text, "a").as_deref(), Some("one"));
        assert_eq!(password(text, "b:8080").as_deref(), Some("two"));
        assert_eq!(password(text, "b"), None);
    }
}
