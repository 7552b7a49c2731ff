//! Panics of what a caller brings, such as its [`Transport`](super::Transport), end one run and not all.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does some work; a panic in it becomes an error with its text. Whoever waits for what comes of the work would
/// wait for ever otherwise.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What the work left half done belongs to its run alone, and that one is given up.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("there was a panic, which is a bug: {}", text.unwrap_or_default())
    })
}
