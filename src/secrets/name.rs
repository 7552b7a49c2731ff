//! What the name of a value tells.

use super::SecretKind;
use super::value;

/// What a name promises of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    Nothing,
    /// A digest, a revision or an id: what looks random here is public.
    Digest,
    /// Perhaps a secret: `*_key`, `token`.
    Weak,
    /// A secret, as keys of services are.
    Strong,
    /// A password, which need not look random.
    Password,
}

impl Telling {
    /// What the name tells: a path joined with dots, a flag, a variable.
    pub(super) fn of(name: &str) -> Self {
        let mut elements = name.rsplit('.');
        let own = Self::of_element(elements.next().unwrap_or_default());
        if own != Self::Nothing {
            return own;
        }
        let around = |element| matches!(Self::of_element(element), Self::Strong | Self::Password);
        if elements.any(around) { Self::Weak } else { Self::Nothing }
    }

    fn of_element(name: &str) -> Self {
        let words = words(name);
        let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let pair = |first: &str, last: &str| {
            words.windows(2).any(|pair| matches!(pair, [a, b] if a == first && b == last))
        };
        let ends = |list: &[&str]| words.last().is_some_and(|word| list.contains(&word.as_str()));
        if has(PASSWORDS) {
            Self::Password
        } else if ends(IDS) || has(DIGESTS) || has(&["public"]) {
            Self::Digest
        } else if has(SECRETS) || STRONG_PAIRS.iter().any(|(first, last)| pair(first, last)) {
            Self::Strong
        } else if ends(&["key"]) || has(WEAK) {
            Self::Weak
        } else {
            Self::Nothing
        }
    }

    /// What the whole value is under this name, if it is a secret.
    pub(super) fn secret(self, text: &str) -> Option<SecretKind> {
        match self {
            Self::Password if value::is_password(text) => Some(SecretKind::Password),
            Self::Strong if value::is_random(text, 8) => Some(SecretKind::Named),
            Self::Weak if value::is_random(text, 16) && !value::is_digest(text) => {
                Some(SecretKind::Named)
            }
            _ => None,
        }
    }

    /// The same for a name within running text, where not everything behind a colon is a value.
    pub(super) fn secret_in_text(self, text: &str) -> Option<SecretKind> {
        self.secret(text).filter(|_| self != Self::Password || value::is_mixed(text))
    }
}

/// The words of a name, in lower case: those of `WANDB_API_KEY`, `--api-key` and `apiKey`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars().take(LONGEST_NAME) {
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Longer names are no names, but must not cost more.
const LONGEST_NAME: usize = 200;

const PASSWORDS: &[&str] = &["password", "passwd", "passphrase", "pwd"];

const SECRETS: &[&str] = &["secret", "secrets", "credential", "credentials", "apikey", "apitoken"];

const STRONG_PAIRS: &[(&str, &str)] = &[
    ("api", "key"),
    ("access", "key"),
    ("access", "token"),
    ("account", "key"),
    ("api", "token"),
    ("auth", "token"),
    ("bot", "token"),
    ("encryption", "key"),
    ("hf", "token"),
    ("private", "key"),
    ("refresh", "token"),
    ("signing", "key"),
];

/// Not `tokens`, which are counted.
const WEAK: &[&str] = &["token", "auth", "authorization", "jwt", "cookie", "bearer"];

const DIGESTS: &[&str] = &[
    "blob",
    "checksum",
    "commit",
    "crc",
    "digest",
    "etag",
    "fingerprint",
    "guid",
    "hash",
    "head",
    "md5",
    "rev",
    "revision",
    "sha",
    "sha1",
    "sha256",
    "sha512",
    "snapshot",
    "tree",
    "uuid",
    "version",
];

const IDS: &[&str] = &["id", "ids"];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn tells(names: &[&str], want: Telling) {
        for name in names {
            assert_eq!(Telling::of(name), want, "{name}");
        }
    }

    #[test]
    fn names_of_secrets_are_told_from_names_that_sound_alike() {
        tells(&["password", "db.PASSWORD", "userPasswd", "--ssh-passphrase"], Telling::Password);
        tells(
            &[
                "api_key",
                "WANDB_API_KEY",
                "--api-key",
                "apiKey",
                "aws_secret_access_key",
                "hf_token",
            ],
            Telling::Strong,
        );
        tells(&["token", "sort_key", "auth", "credentials.value"], Telling::Weak);
        let counted = ["num_memory_tokens", "max_tokens", "tokenizer", "keys", "keyboard", "loss"];
        tells(&counted, Telling::Nothing);
        tells(&["git.commit", "model_revision", "token_id", "access_key_id"], Telling::Digest);
    }
}
