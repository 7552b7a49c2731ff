//! What is assigned to a telling name in running text.

use super::name::Telling;
use super::shape::{Shapes, is_delimiter, short_run};
use super::{Secret, SecretKind, tail, value};
use std::ops::Range;

impl<'a> Shapes<'a> {
    /// `name=value`, `"name": "value"`, `--name value`.
    pub(super) fn assigned(&self, token: &Range<usize>) -> Option<Secret> {
        let name = self.name_at(token);
        let telling = match name {
            "sig" | "X-Amz-Signature" | "X-Goog-Signature" => Telling::Nothing,
            "AccountKey" | "SharedAccessKey" => Telling::Strong,
            _ => match Telling::of(name) {
                Telling::Nothing | Telling::Digest => return None,
                telling => telling,
            },
        };
        let value = self.value_behind(token)?;
        let text = self.at(value.clone());
        if self.scanner.allows_name(name.trim_start_matches('-')) || value::is_placeholder(text) {
            return None;
        }
        let kind = match telling {
            Telling::Nothing => {
                let signs = self.at(0..token.start).ends_with(['?', '&', ';']);
                (signs && text.len() >= 32).then_some(SecretKind::UrlSignature)
            }
            telling => telling.secret_in_text(text),
        };
        self.as_shaped(kind, value)
    }

    /// What stands there may have a shape of its own, which says more.
    fn as_shaped(&self, kind: Option<SecretKind>, value: Range<usize>) -> Option<Secret> {
        let inner = self.next_token(value.start).filter(|inner| inner.start == value.start);
        let own = inner.and_then(|inner| self.prefixed(&inner).or_else(|| self.hex_key(&inner)));
        own.or_else(|| Some(self.secret(kind?, value.start, value.len())))
    }

    /// An item of a list below a telling name.
    pub(super) fn listed(&self, token: &Range<usize>) -> Option<Secret> {
        let name = self.list_name(token)?;
        let telling = Telling::of(name);
        if self.scanner.allows_name(name) || telling == Telling::Nothing {
            return None;
        }
        let text = short_run(self.from(token.start), |c| !is_delimiter(c))?;
        let kind = telling.secret(text)?;
        self.as_shaped(Some(kind), token.start..token.start + text.len())
    }

    /// The name of the list that the token is an item of, as in YAML: a line `name:`, then lines `- value`.
    pub(super) fn list_name(&self, token: &Range<usize>) -> Option<&'a str> {
        let before = tail(self.at(0..token.start), LIST_LEN);
        let unquoted = before.strip_suffix(['"', '\'']).unwrap_or(before);
        let mut lines = unquoted.rsplit('\n').map(str::trim);
        if lines.next() != Some("-") {
            return None;
        }
        let mut name = lines.find(|line| !line.starts_with('-'))?.strip_suffix(':')?;
        if name == "value" {
            // As in W&B's config.yaml.
            name = lines.next()?.strip_suffix(':')?;
        }
        Some(name.trim_matches(['"', '\'', ' ']))
    }

    /// The name at a token. W&B's `config.yaml` has a line with the name in front of `value: ...`.
    fn name_at(&self, token: &Range<usize>) -> &'a str {
        let name = self.at(token.clone());
        let before = self.at(0..token.start).trim_end_matches(' ');
        if name != "value" || !before.ends_with('\n') {
            return name;
        }
        let line = before.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default();
        line.trim().strip_suffix(':').unwrap_or(name)
    }

    /// Where the value stands that is assigned to the name at `token`.
    fn value_behind(&self, token: &Range<usize>) -> Option<Range<usize>> {
        let name = self.at(token.clone());
        let rest = self.from(token.end);
        let quoted = rest.trim_start_matches(['"', '\'', '\\']);
        let bare = quoted.trim_start_matches(' ');
        let after = match bare.strip_prefix(['=', ':']) {
            Some(after) => after.trim_start_matches([' ', '\t']),
            None if name.starts_with("--") => {
                rest.strip_prefix(' ').filter(|v| !v.starts_with('-'))?
            }
            None => return None,
        };
        let opened = after.trim_start_matches('\\');
        let (rest, value) = match opened.chars().next().filter(|c| matches!(c, '"' | '\'')) {
            Some(quote) => {
                let rest = opened.get(1..)?;
                (rest, short_run(rest, |c| c != quote && c != '\\' && c != '\n')?)
            }
            None => (after, short_run(after, |c| !is_delimiter(c) && c != '&')?),
        };
        let start = self.text.len() - rest.len();
        Some(start..start + value.len())
    }
}

/// How far in front of an item of a list its name may stand.
const LIST_LEN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::super::{SecretKind, SecretScanner};

    fn found(text: &str) -> Vec<(SecretKind, String)> {
        let found = SecretScanner::default().text(text);
        found.into_iter().map(|secret| (secret.kind, text[secret.range].to_owned())).collect()
    }

    #[test]
    fn every_item_of_a_list_below_a_telling_name_is_found() {
        let keys = ["p4sSw0rdX9kQ2mN8", "qW3eR5tY7uI9oP1a"];
        let want: Vec<_> = keys.iter().map(|key| (SecretKind::Named, (*key).to_owned())).collect();
        for text in [
            format!("lr: 1\nsecret_key:\n  - {}\n  - {}\nseed: 1\n", keys[0], keys[1]),
            format!("secret_key:\n- \"{}\"\n- '{}'\n", keys[0], keys[1]),
            format!("secret_key:\n    value:\n        - {}\n        - {}\n", keys[0], keys[1]),
            format!("\"api_key\":\n    - {}\n    - {}", keys[0], keys[1]),
        ] {
            assert_eq!(found(&text), want, "{text}");
        }
        let password = found("passwords: x\npassword:\n  - hunter2\n");
        assert_eq!(password, [(SecretKind::Password, "hunter2".to_owned())]);
    }

    #[test]
    fn lists_below_other_names_hold_no_secrets() {
        let key = "p4sSw0rdX9kQ2mN8";
        for text in [
            format!("layers:\n  - {key}\n"),
            format!("commit_hash:\n  - {key}\n"),
            format!("secret_key: none\nlayers:\n  - {key}\n"),
            format!("secret_key:\nlayers\n  - {key}\n"),
            "num_memory_tokens:\n  - 128\n  - 256\n".into(),
            format!("text - {key}"),
        ] {
            assert!(found(&text).is_empty(), "{text}");
        }
    }

    #[test]
    fn passwords_of_programs_and_keys_of_webhooks_are_found() {
        let password = |text: &str| vec![(SecretKind::Password, text.to_owned())];
        assert_eq!(found("$ sshpass -p hunter2 ssh host\n"), password("hunter2"));
        assert_eq!(found("run /usr/bin/mysql -uroot -phunter2 db"), password("hunter2"));
        assert!(found("mysql -u root -p < dump.sql; sshpass -p $PASS ssh x").is_empty());
        let hook = "T012AB3CD/B045EF6GH/a1B2c3D4e5F6g7H8i9J0k1L2";
        let url = format!("posting to https://hooks.slack.com/services/{hook}, done");
        assert_eq!(found(&url), [(SecretKind::Token("slack"), hook.to_owned())]);
    }
}
