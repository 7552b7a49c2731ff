//! The config, as hyperparameters.

use crate::json::Value;
use crate::tfevents::{HParam, HParams};

/// The hyperparameters of a config, nested ones by their joined keys, and how many nulls were skipped.
/// What TensorBoard's converter keeps under `_tb` goes back where it came from.
pub(super) fn hparams(config: &Value, separator: &str) -> (HParams, u64) {
    let mut found = Found { hparams: HParams::default(), nulls: 0, separator };
    for (name, value) in config.as_object().into_iter().flatten() {
        match name.as_str() {
            ABOUT_TENSORBOARD if is_about(value) => found.about(value),
            _ => found.value(name, value),
        }
    }
    (found.hparams, found.nulls)
}

/// Whether the run was a TensorBoard run before, by its config.
pub(super) fn from_tensorboard(config: &Value) -> bool {
    config.get(ABOUT_TENSORBOARD).is_some_and(is_about)
}

fn is_about(value: &Value) -> bool {
    value.get("run").is_some()
}

struct Found<'a> {
    hparams: HParams,
    nulls: u64,
    separator: &'a str,
}

impl Found<'_> {
    fn value(&mut self, name: &str, value: &Value) {
        let value: HParam = match value {
            Value::Null => {
                self.nulls += 1;
                return;
            }
            Value::Object(members) if !members.is_empty() => {
                for (member, value) in members {
                    self.value(&format!("{name}{}{member}", self.separator), value);
                }
                return;
            }
            Value::Bool(value) => (*value).into(),
            Value::String(text) => text.as_str().into(),
            Value::Float(value) => (*value).into(),
            Value::Int(value) if value.unsigned_abs() <= EXACT => (*value).into(),
            // A number would not be exact, and a list is none.
            other => other.to_string().into(),
        };
        self.hparams = std::mem::take(&mut self.hparams).with(name, value);
    }

    fn about(&mut self, about: &Value) {
        let text = |name| about.get(name).and_then(Value::as_str).unwrap_or_default();
        self.hparams = std::mem::take(&mut self.hparams)
            .group(text("group_name"))
            .monitor_url(text("monitor_url"))
            .model_uri(text("model_uri"));
        for (name, value) in about.get("hparams").and_then(Value::as_object).into_iter().flatten() {
            self.value(name, value);
        }
    }
}

const ABOUT_TENSORBOARD: &str = "_tb";

/// Integers up to here are doubles too.
const EXACT: u64 = 1 << 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_flattened_to_what_the_dashboard_knows() {
        let config = r#"{"a":{"b":1,"c":{"d":"x"}},"e":{},"l":[1,NaN],"n":null,"t":true,
            "big":9007199254740993,"_tb":{"run":".","group_name":"g","hparams":{"_wandb":2}}}"#;
        let (found, nulls) = hparams(&Value::parse(config).unwrap(), "/");
        let want = HParams::default()
            .with("a/b", 1)
            .with("a/c/d", "x")
            .with("e", "{}")
            .with("l", "[1,NaN]")
            .with("t", true)
            .with("big", "9007199254740993")
            .with("_wandb", 2)
            .group("g");
        assert_eq!((found, nulls), (want, 1));
    }
}
