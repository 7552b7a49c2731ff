//! Bounds on what input may cost.

/// How much a reader accepts before it calls the input damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest record in bytes. A reader's memory is bounded by the longest record it meets, which in
    /// turn is bounded by this; nothing is allocated for a claimed length before its bytes arrive.
    pub record_len: u64,
    /// Deepest nesting of a JSON value; deeper ones are kept as text.
    pub json_depth: usize,
    /// Gaps a reader keeps one by one; beyond that it only counts them.
    pub gaps_kept: usize,
}

impl Limits {
    /// The limits in force when none are given: records of 1 GiB, JSON of depth 128, 1000 gaps.
    pub const DEFAULT: Self = Self { record_len: 1 << 30, json_depth: 128, gaps_kept: 1000 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
