//! The options of what looks for secrets.

use wandb_offline::Result;
use wandb_offline::secrets::SecretScanner;

/// What is, and is not, taken for a secret.
#[derive(Debug, clap::Args)]
pub(crate) struct SecretArgs {
    /// What has this name, or is this value, is no secret. `*` stands for any characters.
    #[arg(long, value_name = "NAME|VALUE")]
    allow: Vec<String>,
    /// Take every word that this pattern matches for a secret too, as in `acme-*`: `*` stands for any
    /// characters of a word, `?` for one.
    #[arg(long, value_name = "PATTERN")]
    pattern: Vec<String>,
}

impl SecretArgs {
    /// # Errors
    /// When a pattern matches too much.
    pub(crate) fn scanner(&self) -> Result<SecretScanner> {
        let scanner = SecretScanner::default();
        let scanner = self.allow.iter().fold(scanner, |scanner, allow| scanner.allow(allow));
        self.pattern.iter().try_fold(scanner, |scanner, pattern| scanner.pattern(pattern))
    }
}
