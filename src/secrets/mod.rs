//! Secrets in text, in named values and in records: found by their shape or by the name they stand under.
//!
//! ```text
//! shape     what stands at a token: known prefixes, 40 hex digits, JWTs, PEM blocks, URLs
//! assigned  what is assigned to a telling name: on a line, in a list below it
//! webhook   URLs that are secrets themselves
//! command   passwords on the command lines of programs that take them as -p
//! ansi      text without the sequences that colour it
//! prefix    what the tokens of services begin with
//! name      what a name promises: a password, a secret, perhaps one, or a digest
//! value     whether a value looks random, as keys do, or like words, paths and digests
//! glob      patterns of one's own
//! json      the strings of a JSON text, with their names, in place
//! record    the strings of a record, with their names, in place
//! console   console fragments joined to lines, and what is found in them given back to the fragments
//! ```
//!
//! Nothing here does I/O, and nothing ever shows a secret: a [`Secret`] says what and where it is, and
//! [`Secret::masked`] gives four characters at most.
//!
//! A scanner that finds too much is switched off, so a value is taken for a secret only if its shape is
//! one that nothing else has, or if it looks random *and* stands under a telling name. Digests, commits,
//! UUIDs, run ids, paths, model names and numbers are none of it: `num_memory_tokens` is not a token.

mod ansi;
mod assigned;
mod command;
mod console;
mod glob;
mod json;
mod name;
mod prefix;
mod record;
mod shape;
mod value;
mod webhook;

pub(crate) use console::{ConsoleScanner, ConsoleSecret, fragment};
pub use record::RecordSecret;
pub(crate) use record::rewrite as rewrite_texts;

use crate::error::{Error, Result};
use ansi::Plain;
use glob::Glob;
use name::Telling;
use std::fmt;
use std::ops::Range;

/// What kind of secret something is, as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SecretKind {
    /// An API key of W&B: 40 hex digits, those behind `local-`, or a newer one with `wandb_v`.
    WandbApiKey,
    /// A token of a service whose tokens have a prefix of their own; the name of the service.
    Token(&'static str),
    /// A JSON web token.
    Jwt,
    /// A private key in PEM.
    PrivateKey,
    /// The password in a URL.
    UrlPassword,
    /// The signature of a signed URL, such as Azure's `sig=`, or an account key beside one.
    UrlSignature,
    /// What follows `Bearer` or `Basic` in a header.
    Authorization,
    /// A value under a name like `password`.
    Password,
    /// A value that looks random under a name like `api_key`.
    Named,
    /// What a pattern of the caller's matches.
    Pattern,
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WandbApiKey => f.write_str("wandb api key"),
            Self::Token(service) => write!(f, "{service} token"),
            Self::Jwt => f.write_str("json web token"),
            Self::PrivateKey => f.write_str("private key"),
            Self::UrlPassword => f.write_str("url password"),
            Self::UrlSignature => f.write_str("url signature"),
            Self::Authorization => f.write_str("authorization"),
            Self::Password => f.write_str("password"),
            Self::Named => f.write_str("secret"),
            Self::Pattern => f.write_str("pattern"),
        }
    }
}

/// A secret in a text: what it is and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Secret {
    /// What it is.
    pub kind: SecretKind,
    /// Its bytes in the text.
    pub range: Range<usize>,
}

impl Secret {
    /// What may be shown of the secret in `text`, the text it was found in: its first four characters if
    /// it is so long that they give nothing away, and its length.
    pub fn masked(&self, text: &str) -> String {
        let secret = text.get(self.range.clone()).unwrap_or_default();
        let shown = if secret.len() < MASKED_FROM { 0 } else { 4 };
        let start: String = secret.chars().take(shown).collect();
        format!("{}... ({} bytes)", start.escape_default(), secret.len())
    }

    /// What [`SecretScanner::scrub`] puts in place of a secret of this kind.
    pub fn mark(kind: SecretKind) -> String {
        format!("{MARK}{kind}]")
    }
}

/// Finds secrets.
///
/// ```
/// use wandb_offline::secrets::{SecretKind, SecretScanner};
///
/// let scanner = SecretScanner::default();
/// let line = "git clone https://me:hunter2@example.com/repo";
/// let found = scanner.text(line);
/// assert_eq!(found[0].kind, SecretKind::UrlPassword);
/// assert_eq!(scanner.scrub(line), "git clone https://me:[scrubbed url password]@example.com/repo");
///
/// assert!(scanner.value("num_memory_tokens", "128").is_empty());
/// assert_eq!(scanner.value("db.password", "hunter2")[0].kind, SecretKind::Password);
/// ```
#[derive(Clone, Debug, Default)]
pub struct SecretScanner {
    patterns: Vec<Glob>,
    allowed: Vec<Glob>,
}

impl SecretScanner {
    /// Takes what has this name, or is this value, for no secret. `*` stands for any characters; case
    /// counts in neither. The name of a nested value is its path joined with dots, or its last element.
    #[must_use]
    pub fn allow(mut self, name_or_value: &str) -> Self {
        self.allowed.push(Glob::new(name_or_value));
        self
    }

    /// Takes every word that this pattern matches for a secret. A word ends at white space, quotes,
    /// brackets, `,`, `;` and `=`; in the pattern `*` stands for any characters of a word and `?` for one.
    ///
    /// # Errors
    /// When the pattern has fewer than three characters of its own, for then it matches too much.
    pub fn pattern(mut self, pattern: &str) -> Result<Self> {
        let glob = Glob::new(pattern);
        if glob.literals() < LITERALS {
            let reason = format!("{pattern:?} needs {LITERALS} characters besides * and ?");
            return Err(Error::setting("pattern", reason));
        }
        self.patterns.push(glob);
        Ok(self)
    }

    /// The secrets in a text, in order. They do not overlap.
    pub fn text(&self, text: &str) -> Vec<Secret> {
        self.find(None, text)
    }

    /// The secrets in the value of `name`, in order: the whole value, if it is one, or parts of it.
    pub fn value(&self, name: &str, value: &str) -> Vec<Secret> {
        self.find(Some(name), value)
    }

    /// The secrets in a text that may hold sequences for a terminal, which may stand within a secret.
    pub(crate) fn console(&self, text: &str) -> Vec<Secret> {
        let Some(plain) = Plain::of(text) else { return self.text(text) };
        let placed = |Secret { kind, range }| Secret { kind, range: plain.range(&range) };
        let mut found: Vec<_> = self.text(&plain.text).into_iter().map(placed).collect();
        // And words that only a sequence parts.
        let is_apart = |one: &Secret, found: &[Secret]| {
            let mut others = found.iter();
            others.all(|other| {
                one.range.end <= other.range.start || other.range.end <= one.range.start
            })
        };
        let parted = self.text(&plain.blanked);
        found.extend(parted.into_iter().filter(|one| is_apart(one, &found)).collect::<Vec<_>>());
        found.sort_by_key(|secret| secret.range.start);
        found
    }

    /// The text with a mark in place of each secret.
    pub fn scrub(&self, text: &str) -> String {
        replaced(text, &self.text(text))
    }

    fn find(&self, name: Option<&str>, text: &str) -> Vec<Secret> {
        let name = name.map(|name| tail(name, NAME_LEN));
        let telling = name.map_or(Telling::Nothing, Telling::of);
        if name.is_some_and(|name| self.allows_name(name)) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let whole = name.is_some().then(|| telling.secret(text)).flatten();
        match whole.filter(|_| !self.allows_value(text)) {
            // A value may have a shape too, which says more.
            Some(kind) => {
                let inner = shape::find(self, telling, text);
                let same = inner.into_iter().find(|inner| inner.range == (0..text.len()));
                found.push(same.unwrap_or(Secret { kind, range: 0..text.len() }));
            }
            None => found = shape::find(self, telling, text),
        }
        found
    }

    fn allows_name(&self, name: &str) -> bool {
        let last = name.rsplit('.').next().unwrap_or(name);
        self.allowed.iter().any(|glob| glob.matches(name) || glob.matches(last))
    }

    fn allows_value(&self, value: &str) -> bool {
        self.allowed.iter().any(|glob| glob.matches(value))
    }

    fn is_pattern(&self, word: &str) -> bool {
        self.patterns.iter().any(|glob| glob.matches(word))
    }
}

/// The text with a mark in place of each of the secrets, which are in order.
pub(crate) fn replaced(text: &str, secrets: &[Secret]) -> String {
    let mut out = String::new();
    let mut done = 0;
    for secret in secrets {
        out.push_str(text.get(done..secret.range.start).unwrap_or_default());
        out.push_str(&Secret::mark(secret.kind));
        done = secret.range.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

/// The last `length` bytes of a text, or a few less, as they begin with a character.
fn tail(text: &str, length: usize) -> &str {
    let mut at = text.len().saturating_sub(length);
    while !text.is_char_boundary(at) {
        at += 1;
    }
    text.get(at..).unwrap_or_default()
}

/// Of a longer name only the end counts, for names come with each value.
const NAME_LEN: usize = 256;

/// Begins what stands in place of a secret, and is none itself.
const MARK: &str = "[scrubbed ";

/// Of a shorter secret nothing is shown.
const MASKED_FROM: usize = 16;

const LITERALS: usize = 3;
