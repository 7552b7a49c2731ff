//! The config, as hyperparameters.

use crate::json::Value;
use crate::tfevents::HParams;

/// The hyperparameters of a config, nested ones by their joined keys, and how many nulls were skipped.
/// What TensorBoard's converter keeps under `_tb` goes back where it came from.
pub(super) fn hparams(config: &Value, separator: &str) -> (HParams, u64) {
    let mut hparams = HParams::default();
    let mut nulls = 0;
    for (name, value) in config.as_object().into_iter().flatten() {
        if name != ABOUT_TENSORBOARD || !is_about(value) {
            nulls += hparams.add(name, value, separator);
            continue;
        }
        let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
        hparams = hparams
            .group(text("group_name"))
            .monitor_url(text("monitor_url"))
            .model_uri(text("model_uri"));
        let reserved = value.get("hparams").and_then(Value::as_object).into_iter().flatten();
        nulls += reserved.map(|(name, value)| hparams.add(name, value, separator)).sum::<u64>();
    }
    (hparams, nulls)
}

/// Whether the run was a TensorBoard run before, by its config.
pub(super) fn from_tensorboard(config: &Value) -> bool {
    config.get(ABOUT_TENSORBOARD).is_some_and(is_about)
}

fn is_about(value: &Value) -> bool {
    value.get("run").is_some()
}

const ABOUT_TENSORBOARD: &str = "_tb";

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
