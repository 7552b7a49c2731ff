//! Rules for keys.

use std::fmt;
use std::sync::Arc;

/// Which keys are carried, and under which names; by default all, under their own.
///
/// In a conversion from TensorBoard a rule is asked once for each tag, with the sub-directory's name in
/// front if runs are merged; hyperparameters and layouts have no key and are not asked about. In an edit
/// it is asked for the keys of metrics, nested ones joined with dots ([`join_key`](super::join_key)). Keys
/// that it gives the same name are an error, for their values would be mixed up. What leads to a nested
/// key is asked for too: what is dropped goes with all that is in it, what is renamed takes it along, and
/// what [`keep`](Self::keep) holds for keeps it.
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
pub struct KeyRule {
    rule: Option<Arc<Rule>>,
    kept: Option<Arc<Kept>>,
}

type Kept = dyn Fn(&str) -> bool + Send + Sync;
type Rule = dyn Fn(&str) -> Option<String> + Send + Sync;

impl KeyRule {
    /// The rule: the name of a key, or `None` to leave it out.
    pub fn new(rule: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { rule: Some(Arc::new(rule)), kept: None }
    }

    /// Leaves out every key but those that `kept` holds for, before the rule is asked.
    ///
    /// ```
    /// # use wandb_offline::record::KeyRule;
    /// let rule = KeyRule::default().keep(|key| key.ends_with("loss"));
    /// assert_eq!((rule.key("loss").as_deref(), rule.key("acc")), (Some("loss"), None));
    /// ```
    #[must_use]
    pub fn keep(self, kept: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { kept: Some(Arc::new(kept)), ..self }
    }

    /// Whether every key is carried under its own name, as by default.
    pub const fn is_none(&self) -> bool {
        self.rule.is_none() && self.kept.is_none()
    }

    /// The name of a key, or `None` to leave it out.
    pub fn key(&self, key: &str) -> Option<String> {
        if self.keeps(key) { self.name(key) } else { None }
    }

    /// Whether a key is one of those that are kept.
    pub(crate) fn keeps(&self, key: &str) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept(key))
    }

    /// The name of a key that is kept, or `None` to leave it out all the same.
    pub(crate) fn name(&self, key: &str) -> Option<String> {
        match &self.rule {
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
