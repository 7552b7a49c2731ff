//! The rule for keys that both programs take.

use regex::Regex;
use wandb_offline::record::KeyRule;
use wandb_offline::{Error, Result};

/// The rule that `--rename REGEX=REPL`, `--keep REGEX` and `--drop REGEX` make.
pub(crate) fn key_rule(rename: &[String], keep: &[String], drop: &[String]) -> Result<KeyRule> {
    if rename.is_empty() && keep.is_empty() && drop.is_empty() {
        return Ok(KeyRule::default());
    }
    let regex = |option: &str, text: &str| {
        Regex::new(text).map_err(|error| Error::setting(option, error.to_string()))
    };
    let all = |option: &str, texts: &[String]| -> Result<Vec<Regex>> {
        texts.iter().map(|text| regex(option, text)).collect()
    };
    let (keep, drop) = (all("--keep", keep)?, all("--drop", drop)?);
    let rename = rename.iter().map(|rule| {
        let (from, to) = rule
            .split_once('=')
            .ok_or_else(|| Error::setting("--rename", format!("want REGEX=REPL, got {rule:?}")))?;
        Ok((regex("--rename", from)?, to.to_owned()))
    });
    let rename: Vec<(Regex, String)> = rename.collect::<Result<_>>()?;
    let rule = KeyRule::new(move |key| {
        if drop.iter().any(|regex| regex.is_match(key)) {
            return None;
        }
        let replace = |key: String, (from, to): &(Regex, String)| {
            from.replace_all(&key, to.as_str()).into_owned()
        };
        Some(rename.iter().fold(key.to_owned(), replace))
    });
    Ok(match keep.is_empty() {
        true => rule,
        false => rule.keep(move |key| keep.iter().any(|regex| regex.is_match(key))),
    })
}
