//! W&B's JSON: standard JSON plus the bare tokens `NaN`, `Infinity` and `-Infinity`.
//!
//! Every value in a `.wandb` log is such a text, written by Python's `json` (0.17 and older), by Go, or
//! by this crate. Go writes `1.0` as `1`, so the kind of a number says nothing about the kind that was
//! logged; this crate keeps them apart.

mod text;

pub use text::{put_f32, put_f64, put_i64, put_str, put_u64};
