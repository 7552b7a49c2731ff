//! What has the shape of a secret, wherever it stands.

use super::name::Telling;
use super::prefix::{CERTAIN, PREFIXES};
use super::{Secret, SecretKind, SecretScanner, command, tail, value, webhook};
use std::ops::Range;

/// Finds the secrets in a text whose name tells `telling`.
pub(super) fn find(scanner: &SecretScanner, telling: Telling, text: &str) -> Vec<Secret> {
    let mut shapes = Shapes { scanner, telling, text, found: Vec::new() };
    let mut at = 0;
    while let Some(token) = shapes.next_token(at) {
        let start = token.start;
        at = match shapes.secret_at(token.clone()) {
            Some(secret) => {
                let end = secret.range.end.max(token.end);
                shapes.found.push(secret);
                end
            }
            None => token.end,
        };
        debug_assert!(at > start, "the search goes on");
    }
    shapes.found
}

pub(super) struct Shapes<'a> {
    pub(super) scanner: &'a SecretScanner,
    telling: Telling,
    pub(super) text: &'a str,
    found: Vec<Secret>,
}

impl<'a> Shapes<'a> {
    pub(super) fn at(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    pub(super) fn from(&self, start: usize) -> &'a str {
        self.text.get(start..).unwrap_or_default()
    }

    /// The next run of word characters. In between stand only others, so that cutting there is safe.
    pub(super) fn next_token(&self, from: usize) -> Option<Range<usize>> {
        let bytes = self.text.as_bytes().get(from..)?;
        let start = from + bytes.iter().position(|byte| is_word(*byte))?;
        let rest = self.text.as_bytes().get(start..)?;
        let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
        Some(start..start + length)
    }

    /// The secret that begins at the token, or that the token announces.
    fn secret_at(&self, token: Range<usize>) -> Option<Secret> {
        let found = self
            .pattern(&token)
            .or_else(|| self.prefixed(&token))
            .or_else(|| self.hex_key(&token))
            .or_else(|| self.jwt(&token))
            .or_else(|| self.pem(&token))
            .or_else(|| self.url(&token))
            .or_else(|| self.header(&token))
            .or_else(|| self.command(&token))
            .or_else(|| self.assigned(&token))
            .or_else(|| self.listed(&token))?;
        let allowed = self.scanner.allows_value(self.at(found.range.clone()));
        (!allowed && !found.range.is_empty()).then_some(found)
    }

    fn pattern(&self, token: &Range<usize>) -> Option<Secret> {
        if self.scanner.patterns.is_empty() {
            return None;
        }
        let word = short_run(self.from(token.start), |c| !is_delimiter(c))?;
        let secret = self.secret(SecretKind::Pattern, token.start, word.len());
        self.scanner.is_pattern(word).then_some(secret)
    }

    pub(super) fn prefixed(&self, token: &Range<usize>) -> Option<Secret> {
        if token.len() < 2 {
            return None;
        }
        let text = self.from(token.start);
        PREFIXES.iter().find_map(|prefix| {
            let rest = text.strip_prefix(prefix.text)?;
            let rest = run(rest, |c| c.is_ascii_alphanumeric() || prefix.also.contains(c));
            let long = rest.len() >= prefix.min;
            let random = prefix.min >= CERTAIN || value::is_random(rest, prefix.min);
            let kind = match prefix.service {
                "wandb" => SecretKind::WandbApiKey,
                service => SecretKind::Token(service),
            };
            (long && random).then(|| self.secret(kind, token.start, prefix.text.len() + rest.len()))
        })
    }

    /// 40 hex digits, unless something says that they are a digest.
    pub(super) fn hex_key(&self, token: &Range<usize>) -> Option<Secret> {
        let word = self.at(token.clone());
        let key = word.strip_prefix("local-").unwrap_or(word);
        if !value::is_hex_key(key) || self.telling == Telling::Digest {
            return None;
        }
        let glue = |c: char| matches!(c, '/' | '@' | '+' | '.' | '\\' | '#');
        let before = self.at(0..token.start);
        let glued = before.ends_with(glue) || self.from(token.end).starts_with(['/', '.', '@']);
        // A line or a pair around it that speaks of a digest.
        let near = tail(before, NEAR).rsplit(['\n', ',', '{']).next().unwrap_or_default();
        let told = near.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
        let digest = told
            .filter(|word| !word.is_empty())
            .any(|word| Telling::of(word) == Telling::Digest || word.eq_ignore_ascii_case("git"));
        let listed = self.list_name(token).map(Telling::of) == Some(Telling::Digest);
        let kind = SecretKind::WandbApiKey;
        (!glued && !digest && !listed).then(|| self.secret(kind, token.start, word.len()))
    }

    /// `header.payload.signature` in base64, whose headers begin `{"`.
    fn jwt(&self, token: &Range<usize>) -> Option<Secret> {
        let head = self.at(token.clone());
        let part = |at: usize| Some(run(self.from(at).strip_prefix('.')?, is_word_char));
        if !head.starts_with("eyJ") {
            return None;
        }
        let body = part(token.end)?;
        let signature = part(token.end + 1 + body.len())?;
        let whole = body.starts_with("eyJ") && signature.len() >= 16;
        let length = head.len() + body.len() + signature.len() + 2;
        whole.then(|| self.secret(SecretKind::Jwt, token.start, length))
    }

    /// A PEM block, to its end or that of the text.
    fn pem(&self, token: &Range<usize>) -> Option<Secret> {
        let text = self.from(token.start);
        let head = text.strip_prefix(PEM_BEGIN)?;
        let label = head.split("-----").next()?;
        if !label.trim_end().ends_with("PRIVATE KEY") || label.len() > 40 {
            return None;
        }
        let end = text.find(PEM_END).map(|end| {
            let rest = self.from(token.start + end + PEM_END.len());
            end + PEM_END.len() + rest.find("-----").map_or(0, |dashes| dashes + 5)
        });
        let length = end.unwrap_or_else(|| text.trim_end().len());
        Some(self.secret(SecretKind::PrivateKey, token.start, length))
    }

    /// The password in `scheme://user:password@host`, or the key of a webhook.
    fn url(&self, token: &Range<usize>) -> Option<Secret> {
        let rest = self.from(token.end).strip_prefix("://")?;
        if let Some((service, secret)) = webhook::secret_in(rest) {
            let start = token.end + 3 + secret.start;
            return Some(self.secret(SecretKind::Token(service), start, secret.len()));
        }
        let authority = run(rest, |c| {
            !matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>') && !c.is_whitespace()
        });
        let user_info = authority.rsplit_once('@')?.0;
        let (user, password) = user_info.split_once(':')?;
        let usable = password.len() >= 2 && !value::is_placeholder(password);
        let start = token.end + 3 + user.len() + 1;
        usable.then(|| self.secret(SecretKind::UrlPassword, start, password.len()))
    }

    /// `Bearer xyz` and `Basic xyz`.
    fn header(&self, token: &Range<usize>) -> Option<Secret> {
        let scheme = self.at(token.clone());
        let known = ["bearer", "basic"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let rest = self.from(token.end).strip_prefix(' ').filter(|_| known)?;
        let given = run(rest, |c| c.is_ascii_alphanumeric() || "-._~+/=".contains(c));
        let secret = self.secret(SecretKind::Authorization, token.end + 1, given.len());
        value::is_random(given, 12).then_some(secret)
    }

    /// A password among the options of a program.
    fn command(&self, token: &Range<usize>) -> Option<Secret> {
        let given = command::password(self.at(token.clone()), self.from(token.end))?;
        let start = token.end + given.start;
        let secret = self.secret(SecretKind::Password, start, given.len());
        value::is_password(self.at(secret.range.clone())).then_some(secret)
    }

    pub(super) const fn secret(&self, kind: SecretKind, start: usize, length: usize) -> Secret {
        Secret { kind, range: start..start + length }
    }
}

/// The longest beginning of the text that is made of such characters.
fn run(text: &str, of: impl Fn(char) -> bool) -> &str {
    let end = text.find(|c| !of(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// The same, if it is short enough to be looked at from each of the words in it.
pub(super) fn short_run(text: &str, of: impl Fn(char) -> bool) -> Option<&str> {
    let end = text.char_indices().take(LONGEST_RUN + 1).find(|(_, c)| !of(*c));
    match end {
        Some((end, _)) => text.get(..end),
        None => Some(text).filter(|text| text.len() <= LONGEST_RUN),
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// What ends a word of a pattern and a value that is not quoted.
pub(super) fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || "\"'`,;=<>()[]{}\\".contains(c)
}

/// Characters of the longest value that is taken for a secret.
const LONGEST_RUN: usize = 2048;

/// How far in front of 40 hex digits a word may say what they are.
const NEAR: usize = 32;

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_END: &str = "-----END ";

#[cfg(test)]
mod tests {
    use super::*;

    /// Letters and digits that look random and are the same every time.
    fn noise(length: usize) -> String {
        let alphabet = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let mut state = 7u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(alphabet[(state >> 16) as usize % alphabet.len()])
        };
        (0..length).map(next).collect()
    }

    fn hex(length: usize) -> String {
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"[..length].into()
    }

    fn found(text: &str) -> Vec<(SecretKind, String)> {
        let found = SecretScanner::default().text(text);
        found.into_iter().map(|secret| (secret.kind, text[secret.range].to_owned())).collect()
    }

    #[track_caller]
    fn finds(text: &str, kind: SecretKind, secret: &str) {
        assert_eq!(found(text), [(kind, secret.to_owned())], "{text}");
    }

    #[test]
    fn tokens_are_known_by_their_prefix() {
        for (prefix, length, service) in [
            ("ghp_", 36, "github"),
            ("github_pat_", 60, "github"),
            ("hf_", 34, "hugging face"),
            ("sk-", 48, "openai"),
            ("sk-proj-", 60, "openai"),
            ("sk-ant-api03-", 60, "anthropic"),
            ("AIza", 35, "google"),
            ("xoxb-", 40, "slack"),
            ("glpat-", 20, "gitlab"),
            ("npm_", 36, "npm"),
        ] {
            let token = format!("{prefix}{}", noise(length));
            finds(&format!("using {token}, now"), SecretKind::Token(service), &token);
            finds(&format!("{{\"x\": \"{token}\"}}"), SecretKind::Token(service), &token);
            assert!(found(&token[..prefix.len() + 5]).is_empty(), "{token} is cut");
        }
        let aws = "AKIAQ2W3E4R5T6Y7U8I9";
        finds(aws, SecretKind::Token("aws"), aws);
        assert!(
            found("sk-learn-pipeline-with-many-steps hf_transformers_version_check").is_empty()
        );
    }

    #[test]
    fn keys_of_wandb_are_forty_hex_digits_or_newer() {
        let key = hex(40);
        for text in [key.clone(), format!("wandb login {key}"), format!("--key={key} --lr 1")] {
            finds(&text, SecretKind::WandbApiKey, &key);
        }
        finds(&format!("local-{key}"), SecretKind::WandbApiKey, &format!("local-{key}"));
        let newer = format!("wandb_v1_{}", noise(77));
        finds(&format!("key {newer}"), SecretKind::WandbApiKey, &newer);
    }

    #[test]
    fn digests_and_commits_are_no_keys() {
        let key = hex(40);
        for text in [
            format!("commit {key}"),
            format!("\"git\": {{\"commit\": \"{key}\"}}"),
            format!("model_revision={key}"),
            format!("pip install git+https://github.com/a/b@{key}"),
            format!("0.31.0+{key}"),
            format!("models/snapshots/{key}/config.json"),
            format!("sha256:{}", hex(64)),
            format!("{}  file.bin", hex(32)),
            "2f1c7e50-8d39-4f5a-9d43-1a2b3c4d5e6f".into(),
        ] {
            assert!(found(&text).is_empty(), "{text}: {:?}", found(&text));
        }
        let scanner = SecretScanner::default();
        assert!(scanner.value("git.commit", &key).is_empty());
        assert!(scanner.value("digest", "1B2M2Y8AsgTpgAmY7PhCfg==").is_empty());
    }

    #[test]
    fn web_tokens_and_private_keys_are_known_by_their_form() {
        let jwt = format!("eyJ{}.eyJ{}.{}", noise(20), noise(40), noise(43));
        finds(&format!("token is {jwt}."), SecretKind::Jwt, &jwt);
        let pem = format!(
            "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
            noise(64)
        );
        finds(&format!("a\n{pem}\nb"), SecretKind::PrivateKey, &pem);
        finds(&pem[..60], SecretKind::PrivateKey, &pem[..60]);
        assert!(found("-----BEGIN CERTIFICATE-----\nMIIB").is_empty());
    }

    #[test]
    fn urls_may_hold_passwords_and_signatures() {
        finds("postgres://me:pa:ss@db/x?y", SecretKind::UrlPassword, "pa:ss");
        for text in ["https://me:@host/x", "https://me@host", "http://h:80/a@b", "x://u:***@h"] {
            assert!(found(text).is_empty(), "{text}");
        }
        let sig = format!("{}%3D", noise(43));
        let url = format!("https://a.blob.core.windows.net/c?sv=2024&sig={sig}&se=1");
        finds(&url, SecretKind::UrlSignature, &sig);
        let auth = noise(30);
        finds(&format!("Authorization: Bearer {auth}"), SecretKind::Authorization, &auth);
        assert!(found("bearer of bad news, basic understanding").is_empty());
    }

    #[test]
    fn assignments_in_text_are_read_by_their_name() {
        let key = noise(24);
        for text in [
            format!("export MY_API_KEY={key}"),
            format!("  \"api_key\": \"{key}\","),
            format!("api_key: {key}"),
            format!("train.py --api-key {key} --lr 1"),
            format!("{{\\\"secret\\\": \\\"{key}\\\"}}"),
        ] {
            finds(&text, SecretKind::Named, &key);
        }
        finds("password = 'hunter2'", SecretKind::Password, "hunter2");
        finds(
            "lr:\n    value: 0.1\nadmin_password:\n    value: hunter2\n",
            SecretKind::Password,
            "hunter2",
        );
        for text in [
            "max_tokens=2048 num_memory_tokens: 128",
            "tokenizer: meta-llama/Llama-3.1-8B",
            "Enter password: ",
            "password: required",
            "password:\n  value: null",
            "key: value, token: <pad>",
            "api_key=${MY_API_KEY}",
            "--token --verbose",
        ] {
            assert!(found(text).is_empty(), "{text}: {:?}", found(text));
        }
    }

    #[test]
    fn patterns_add_and_allowances_take_away() {
        let scanner = SecretScanner::default().pattern("acme-*").expect("long enough");
        assert_eq!(scanner.text("id ACME-77 x")[0].kind, SecretKind::Pattern);
        assert!(SecretScanner::default().pattern("a*").is_err());
        let key = hex(40);
        assert!(SecretScanner::default().allow(&key).text(&key).is_empty());
        let allowing = SecretScanner::default().allow("wandb.key");
        assert!(allowing.value("wandb.key", &key).is_empty());
        assert_eq!(allowing.value("other.key", &key).len(), 1);
    }

    #[test]
    fn what_was_scrubbed_holds_no_secret() {
        let key = hex(40);
        let text = format!(
            "login {key} https://u:hunter2@h --api-key {} password=hunter2 Bearer {}",
            noise(30),
            noise(31)
        );
        let scanner = SecretScanner::default();
        assert_eq!(scanner.text(&text).len(), 5);
        let scrubbed = scanner.scrub(&text);
        assert!(scanner.text(&scrubbed).is_empty(), "{scrubbed}");
        assert!(scanner.value("password", &scanner.scrub("password=hunter2")).len() <= 1);
    }

    #[test]
    fn no_text_takes_long() {
        // Each of these took time that grew with the square of its length.
        for piece in ["a.", "eyJ.", "token:", "bearer ", "-----BEGIN ", "x://", "key=\"", "value\n"]
        {
            let text = piece.repeat(20_000);
            let scanner = SecretScanner::default().pattern("zzz*").expect("a pattern");
            assert!(scanner.text(&text).len() <= 20_000);
        }
        let line = format!("{} ", hex(40)).repeat(20_000);
        assert_eq!(SecretScanner::default().text(&line).len(), 20_000);
        let name = "a.".repeat(20_000);
        (0..1000).for_each(|_| drop(SecretScanner::default().value(&name, "some value")));
    }

    #[test]
    fn of_a_secret_hardly_anything_is_shown() {
        let key = hex(40);
        let secret = &SecretScanner::default().text(&key)[0];
        assert_eq!(secret.masked(&key), "9f86... (40 bytes)");
        let scanner = SecretScanner::default();
        let secret = &scanner.value("password", "hunter2")[0];
        assert_eq!(secret.masked("hunter2"), "... (7 bytes)");
    }
}
