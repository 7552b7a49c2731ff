//! What the tokens of services begin with.

/// Tokens of a service: what they begin with, and what must follow.
pub(super) struct Prefix {
    pub(super) text: &'static str,
    /// How many characters must follow at least; below [`CERTAIN`] they must look random as well.
    pub(super) min: usize,
    /// What may follow besides letters and digits.
    pub(super) also: &'static str,
    pub(super) service: &'static str,
}

const fn prefix(
    text: &'static str,
    min: usize,
    also: &'static str,
    service: &'static str,
) -> Prefix {
    Prefix { text, min, also, service }
}

/// From the services' own documentation of their tokens. Longer ones stand before their beginnings.
pub(super) const PREFIXES: &[Prefix] = &[
    prefix("wandb_v", 40, "_-", "wandb"),
    prefix("ghp_", 36, "", "github"),
    prefix("gho_", 36, "", "github"),
    prefix("ghu_", 36, "", "github"),
    prefix("ghs_", 36, "", "github"),
    prefix("ghr_", 36, "", "github"),
    prefix("github_pat_", 30, "_", "github"),
    prefix("glpat-", 20, "_-.", "gitlab"),
    prefix("hf_", 30, "", "hugging face"),
    prefix("sk-ant-", 20, "_-", "anthropic"),
    prefix("sk-", 20, "_-", "openai"),
    prefix("AKIA", 16, "", "aws"),
    prefix("ASIA", 16, "", "aws"),
    prefix("AIza", 35, "_-", "google"),
    prefix("ya29.", 30, "_-", "google"),
    prefix("xoxb-", 20, "-", "slack"),
    prefix("xoxp-", 20, "-", "slack"),
    prefix("xoxa-", 20, "-", "slack"),
    prefix("xoxr-", 20, "-", "slack"),
    prefix("xoxs-", 20, "-", "slack"),
    prefix("xapp-", 20, "-", "slack"),
    prefix("npm_", 36, "", "npm"),
    prefix("pypi-AgE", 50, "_-", "pypi"),
    prefix("dckr_pat_", 20, "_-", "docker"),
    prefix("nvapi-", 40, "_-", "nvidia"),
    prefix("gsk_", 40, "", "groq"),
    prefix("r8_", 30, "", "replicate"),
    prefix("sk_live_", 20, "", "stripe"),
    prefix("rk_live_", 20, "", "stripe"),
    prefix("SG.", 40, "_-.", "sendgrid"),
    prefix("hvs.", 20, "_-", "vault"),
];

/// From this length on nothing else has such a prefix.
pub(super) const CERTAIN: usize = 30;
