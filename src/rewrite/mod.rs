//! Making a log or a run directory out of others, without losing what this crate does not know.
//!
//! The verbs that rewrite runs share this: a [`Rewriter`] takes records over as they are, with another body,
//! or adds new ones; [`splice`], [`splice_at`] and [`splice_items`] change single fields of a body on the wire; and
//! [`Staged`] is the output, which gets its name only once it has been read back and found to be what was
//! meant. Input is never changed, and nothing that exists is replaced.

mod beside;
mod contents;
mod files;
mod items;
mod rewriter;
mod splice;
mod staged;

pub(crate) use beside::{added, beside, is_run_dir, resolved};
pub use files::{FilesDir, Placed, files_in};
pub use items::{Item, put_item, splice_items};
pub use rewriter::{Rewriter, Written};
pub use splice::{Fate, put_message, set_bytes, set_uint, splice, splice_at};
pub use staged::{Proven, Staged};
