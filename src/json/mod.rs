//! W&B's JSON: standard JSON plus the bare tokens `NaN`, `Infinity` and `-Infinity`.
//!
//! Every value in a `.wandb` log is such a text, written by Python's `json` (0.17 and older), by Go, or
//! by this crate. Go writes `1.0` as `1`, so the kind of a number says nothing about the kind that was
//! logged; this crate keeps them apart.
//!
//! ```
//! use wandb_offline::json::Value;
//!
//! let value = Value::parse(r#"{"loss": [5e-01, NaN], "n": 9007199254740993}"#)?;
//! assert_eq!(value.get("n").and_then(Value::as_i64), Some(9007199254740993));
//! assert_eq!(value.to_string(), r#"{"loss":[0.5,NaN],"n":9007199254740993}"#);
//! // For programs that speak standard JSON only:
//! let standard = serde_json::to_string(&value)?;
//! assert_eq!(standard, r#"{"loss":[0.5,"NaN"],"n":9007199254740993}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod number;
mod parse;
mod serializer;
mod text;
mod value;

pub use number::{Number, number};
pub use parse::ParseError;
pub use serializer::to_value;
pub(crate) use text::quoted_len;
pub use text::{put_f32, put_f64, put_i64, put_str, put_u64};
pub use value::Value;
