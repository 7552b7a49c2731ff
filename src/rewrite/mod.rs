//! Making a log or a run directory out of others, without losing what this crate does not know.
//!
//! The verbs that rewrite runs share this: a [`Rewriter`] takes records over as they are, with another body,
//! or adds new ones; [`splice`], [`splice_at`] and [`splice_items`] change single fields of a body on the wire; and
//! [`Staged`] is the output, which gets its name only once it has been read back and found to be what was
//! meant. Input is never changed, and nothing that exists is replaced.

mod beside;
mod contents;
mod damage;
mod files;
mod identity;
mod items;
mod media;
mod naming;
mod rendering;
mod rewriter;
mod row;
mod splice;
mod staged;
mod summary;
mod template;

pub(crate) use beside::{added, beside, is_run_dir, refuse_in_runs, refuse_within, resolved};
pub(crate) use contents::Contents;
pub use damage::Damage;
pub(crate) use files::with_slashes;
pub use files::{FilesDir, Placed, files_in};
pub(crate) use identity::{Identity, run_id};
pub use items::{Item, put_item, splice_items};
pub(crate) use media::{media_paths, put_files};
pub(crate) use naming::directory_name;
pub(crate) use rendering::Rendering;
pub use rewriter::{Rewriter, Written};
pub(crate) use row::{RowSteps, put_row, put_step};
pub use splice::{Fate, put_message, set_bytes, set_uint, splice, splice_at};
pub use staged::{Proven, Staged};
pub(crate) use summary::{
    KEY_DEPTH, Leaves, OwnSummary, RESERVED, TRACKED, fold, is_tracked, leaves, put_leaves, remove,
    set,
};
pub use template::Template;
