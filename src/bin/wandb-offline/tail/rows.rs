//! Rows of the history as keys and values, and which of the keys are wanted.

use std::collections::{BTreeMap, BTreeSet};
use wandb_offline::json::Value;
use wandb_offline::record::{HistoryView, ItemValue, join_key};
use wandb_offline::wire::Malformed;

/// A row.
pub(super) struct Row {
    pub(super) step: Option<i64>,
    /// By key, whose elements are joined with dots. Of media only the type is kept.
    pub(super) values: BTreeMap<String, Value>,
}

impl Row {
    /// The wanted part of a row; `None` if that is nothing.
    pub(super) fn read(row: &HistoryView<'_>, keys: &Keys) -> Result<Option<Self>, Malformed> {
        let (mut paths, mut media) = (Vec::new(), BTreeSet::new());
        for item in row.items() {
            let item = item?;
            let path: Vec<&str> = item.path.elements().collect();
            if let Some(value) = value(item.value) {
                if let [above @ .., "_type"] = path.as_slice() {
                    media.insert(above.to_vec());
                }
                paths.push((path, value));
            }
        }
        let mut values = BTreeMap::new();
        for (mut path, value) in paths {
            // Releases since 0.18 write the members of a media object one by one.
            if let Some(above) = (1..path.len()).find(|n| media.contains(&path[..*n])) {
                if path.len() != above + 1 || path[above] != "_type" {
                    continue;
                }
                path.truncate(above);
            }
            let key = join_key(path);
            if keys.want(&key) {
                let media = value.get("_type").cloned();
                values.insert(key, media.unwrap_or(value));
            }
        }
        Ok((!values.is_empty()).then_some(Self { step: row.step()?, values }))
    }
}

fn value(item: ItemValue<'_>) -> Option<Value> {
    Some(match item {
        ItemValue::Null => Value::Null,
        ItemValue::Bool(value) => value.into(),
        ItemValue::Integer(value) => value.into(),
        ItemValue::Number(value) => value.into(),
        ItemValue::Text(text) => text.into(),
        ItemValue::Json(text) => Value::parse(text).unwrap_or_else(|_| text.into()),
        _ => return None,
    })
}

/// The keys that are wanted.
pub(super) struct Keys {
    globs: Vec<Vec<char>>,
}

impl Keys {
    /// Those that match one of these; without any, those that do not begin with an underscore.
    pub(super) fn new(globs: &[String]) -> Self {
        Self { globs: globs.iter().map(|glob| glob.chars().collect()).collect() }
    }

    fn want(&self, key: &str) -> bool {
        if self.globs.is_empty() {
            return !key.starts_with('_');
        }
        let key: Vec<char> = key.chars().collect();
        self.globs.iter().any(|glob| matches(glob, &key))
    }
}

/// Whether a text is what a glob says: `*` any text, `?` any character, all else itself. When what follows a
/// star does not fit, the star is given one character more.
fn matches(glob: &[char], text: &[char]) -> bool {
    let (mut g, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g += 1;
            }
            Some('?') => (g, t) = (g + 1, t + 1),
            Some(c) if *c == text[t] => (g, t) = (g + 1, t + 1),
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (g, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        let cases = [
            ("loss", "loss", true),
            ("loss", "losses", false),
            ("*loss", "train/loss", true),
            ("train/*", "train/loss", true),
            ("*/l?ss", "a/b/loss", true),
            ("a*b*c", "abbbcabc", true),
            ("a*b*c", "abbbcab", false),
            ("*", "", true),
            ("?", "", false),
        ];
        for (glob, key, want) in cases {
            assert_eq!(Keys::new(&[glob.to_owned()]).want(key), want, "{glob} {key}");
        }
        assert!(Keys::new(&[]).want("loss") && !Keys::new(&[]).want("_runtime"));
    }
}
