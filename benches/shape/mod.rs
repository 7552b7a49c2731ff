//! The shape of the rows that are measured: that of a training the official client logged.

/// The keys of a row, in their order: ten metrics, and what the client adds.
pub(crate) const KEYS: [&str; 13] = [
    "train/loss",
    "train/accuracy",
    "train/grad_norm",
    "train/lr",
    "epoch",
    "tokens/seen",
    "perf/step_time_s",
    "perf/tokens_per_s",
    "loss/aux_router_z",
    "loss/kl_divergence",
    "_timestamp",
    "_runtime",
    "_step",
];

/// Numbers that look random, the same each time.
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    /// Numbers that `seed` decides.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Any 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 to 1.
    pub(crate) fn float(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
