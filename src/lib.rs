//! Run logs written offline: the `.wandb` transaction log of Weights & Biases and TensorBoard's event
//! files. They are written, read, followed while they grow, checked and repaired, merged, split, edited, converted
//! and exported here, without Python and without a network; only `sync` talks to a server.
//!
//! - A training loop logs with a [`Writer`]; `wandb sync` uploads what it wrote, whenever and wherever.
//! - A [`Reader`] gives the records of a log one by one; [`run`] folds them into the state of a run or
//!   into typed columns; [`export`] makes tables of them.
//! - [`merge`] makes one run of the segments that a preempted or resumed one left.
//! - [`convert`] turns TensorBoard log directories into runs, and runs into such directories. The programs
//!   `tb2wandb` and `wandb-offline to-tensorboard` are shells around it.
//! - A [`SummaryWriter`](tfevents::SummaryWriter) writes event files alone;
//!   [`WriterOptions::tensorboard`](writer::WriterOptions::tensorboard) has a run in both formats.
//!
//! ```
//! # fn main() -> wandb_offline::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! use wandb_offline::{Writer, run};
//!
//! let run = Writer::options().project("demo").dir(dir.path()).create()?;
//! for step in 0..100 {
//!     run.log([("loss", 1.0 / f64::from(step + 1)), ("lr", 3e-4)])?;
//! }
//! run.finish()?;
//!
//! let (state, report) = run::load(run.path(), false)?;
//! assert_eq!(state.history().rows(), 100);
//! assert_eq!(state.summary().get("loss").and_then(|loss| loss.as_f64()), Some(0.01));
//! assert!(report.tail.is_some_and(|tail| tail.is_clean()));
//! # Ok(())
//! # }
//! ```
//!
//! # What holds everywhere
//! Bad input never panics, never hangs, and never takes memory out of proportion: it costs as much as its
//! longest record, and a table in [`limits`] has every other bound. Reading is strict by default; a lenient reader passes over damage, gives
//! every record that is whole, and reports each gap. A log that is cut off is not an error: its
//! [`Tail`](framing::Tail) says how it ends. Nothing is overwritten.
//!
//! # Layers
//! Modules use only what stands above them:
//!
//! | layer | modules | does I/O |
//! |---|---|---|
//! | bytes | [`checksum`], a cursor | no |
//! | codecs | [`wire`], [`framing`], [`proto`] | no |
//! | policy | [`limits`], [`error`] | no |
//! | views | [`json`], [`record`], [`event`], [`secrets`] | no |
//! | files | [`io`], [`log`], [`tfevents`] | yes |
//! | runs | [`run`], [`writer`] | yes |
//! | rewriting | [`rewrite`] | yes |
//! | verbs | [`convert`], [`edit`], [`export`], [`merge`], [`recover`], [`scrub`], [`split`], [`verify`] | yes |
//! | network | `sync` (with the feature) | yes |
//!
//! # Features
//! The default is the library alone. `zstd` reads files that were compressed with it. `cli` adds the programs
//! `wandb-offline` and `tb2wandb`, and `zstd`. `sync` adds uploading to a W&B server.
//!
//! Without `cli` and `sync` the library is built for `wasm32-unknown-unknown` as well, where it reads and writes what is
//! in memory. A program for it says where `getrandom` has its numbers from.

#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub mod checksum;
pub mod convert;
mod cursor;
pub mod edit;
pub mod error;
pub mod event;
pub mod export;
pub mod framing;
pub mod io;
pub mod json;
pub mod limits;
pub mod log;
pub mod merge;
pub mod proto;
pub mod record;
pub mod recover;
pub mod rewrite;
pub mod run;
pub mod scrub;
pub mod secrets;
pub mod split;
#[cfg(feature = "sync")]
pub mod sync;
pub mod tfevents;
pub mod verify;
pub mod wire;
pub mod writer;

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use error::{Error, ErrorKind, Result};
pub use limits::Limits;
pub use log::Reader;
pub use writer::Writer;
