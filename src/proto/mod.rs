//! The messages of both formats, as prost types.
//!
//! Generated from the schemas in `proto/` and checked in. To change them, edit a schema and run
//! `cargo run --manifest-path proto/generate/Cargo.toml`; a test notices if that was forgotten.
//!
//! These messages are not ours, and the next release of their owners may add fields: build them with
//! `..Default::default()`, match their enums with a `_` arm. Decoding drops fields that the schema does
//! not know, so bytes that are to be passed on must not come through here.

mod check;
pub(crate) mod schema;

pub(crate) use check::is_message;

/// Messages of a `.wandb` log. Each of its records is a [`Record`](wandb_internal::Record).
#[rustfmt::skip]
#[allow(missing_docs, unused_qualifications, clippy::all, clippy::exhaustive_enums, clippy::use_self)]
pub mod wandb_internal;

/// Messages of a TensorBoard event file. Each of its records is an [`Event`](tensorboard::Event).
#[rustfmt::skip]
#[allow(missing_docs, unused_qualifications, clippy::all, clippy::exhaustive_enums, clippy::use_self)]
pub mod tensorboard;

// Not every table is in use: whoever needs one should find it here.
#[rustfmt::skip]
#[allow(dead_code, clippy::wildcard_imports)]
pub(crate) mod descriptors;
