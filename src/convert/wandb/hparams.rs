//! The config, as hyperparameters.

use crate::json::Value;
use crate::tfevents::{Flattened, HParams};

/// The hyperparameters of a config, nested ones by their joined keys, and what became of the others. What
/// TensorBoard's converter keeps under `_tb` goes back where it came from.
pub(super) fn hparams(config: &Value, separator: &str) -> (HParams, Flattened) {
    let about = config.get(ABOUT_TENSORBOARD).filter(|about| is_about(about));
    let text = |name| about?.get(name)?.as_str();
    let mut hparams = HParams::default()
        .group(text("group_name").unwrap_or_default())
        .monitor_url(text("monitor_url").unwrap_or_default())
        .model_uri(text("model_uri").unwrap_or_default());
    let reserved = about.and_then(|about| about.get("hparams"));
    let own = config.as_object().into_iter().flatten();
    let own = own.filter(|(name, _)| about.is_none() || *name != ABOUT_TENSORBOARD);
    let members = own.chain(reserved.and_then(Value::as_object).into_iter().flatten());
    let members = members.map(|(name, value)| (name.as_str(), value));
    let flattened = hparams.add_all(members, separator);
    (hparams, flattened)
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
        let (found, flattened) = hparams(&Value::parse(config).unwrap(), "/");
        let want = HParams::default()
            .with("a/b", 1)
            .with("a/c/d", "x")
            .with("e", "{}")
            .with("l", "[1,NaN]")
            .with("t", true)
            .with("big", "9007199254740993")
            .with("_wandb", 2)
            .group("g");
        assert_eq!((found, flattened.nulls, flattened.renamed), (want, 1, 0));
    }

    #[test]
    fn names_that_read_the_same_stay_apart() {
        let config = r#"{"a":{"b":1},"a/b":2,"a/b-2":3}"#;
        let (found, flattened) = hparams(&Value::parse(config).unwrap(), "/");
        let want = HParams::default().with("a/b", 1).with("a/b-2", 2).with("a/b-2-2", 3);
        assert_eq!((found, flattened.renamed), (want, 2));
    }
}
