//! Rules for keys.

use std::fmt;
use std::sync::Arc;

/// Which keys are carried, and under which names; by default all, under their own.
///
/// In a conversion from TensorBoard a rule is asked once for each tag, with the sub-directory's name in
/// front if runs are merged; hyperparameters and layouts have no key and are not asked about. In an edit
/// it is asked for the keys of metrics, nested ones joined with dots ([`join_key`](super::join_key)). Keys
/// that it gives the same name are an error, for their values would be mixed up.
///
/// ```
/// use wandb_offline::record::KeyRule;
///
/// let rule = KeyRule::new(|key| {
///     (!key.starts_with("debug/")).then(|| key.replace("epoch_", "epoch/"))
/// });
/// assert_eq!(rule.key("epoch_loss").as_deref(), Some("epoch/loss"));
/// assert_eq!(rule.key("debug/norm"), None);
/// ```
#[derive(Clone, Default)]
pub struct KeyRule(Option<Arc<Rule>>);

type Rule = dyn Fn(&str) -> Option<String> + Send + Sync;

impl KeyRule {
    /// The rule: the name of a key, or `None` to leave it out.
    pub fn new(rule: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(rule)))
    }

    /// Whether every key is carried under its own name, as by default.
    pub const fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The name of a key, or `None` to leave it out.
    pub fn key(&self, key: &str) -> Option<String> {
        match &self.0 {
            Some(rule) => rule(key),
            None => Some(key.to_owned()),
        }
    }
}

impl fmt::Debug for KeyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_none() { "KeyRule(all)" } else { "KeyRule(..)" })
    }
}
