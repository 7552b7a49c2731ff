//! Uploading across an air gap: a pack is a directory that goes from where runs were logged to where the server
//! can be reached.
//!
//! # Why not requests
//! The requests of an upload cannot be written down beforehand, for nearly all of them have something in them
//! that the server answered: its id of the run, and entity and project by its own names; how many lines it has,
//! which is where the log's first line goes; the steps that a resumed run goes on from; the ids of artifacts;
//! signed URLs, which are good for minutes. So a pack holds what requests are made of: all that the
//! [plan](super::plan) of each run reads. The plan is the same on the other side, and so are its ledger and what
//! that is good for: nothing is sent twice, nothing is left out, whatever is killed.
//!
//! # Layout
//! ```text
//! DIR/pack.json                    the version, and which runs there are
//! DIR/pack.lock                    one process at a time
//! DIR/<run directory>/             one for each log, by the name of its directory
//!     contents.json                the log's length and SHA-256, the options, name and object of each file
//!     run-ID.wandb                 the log up to its last whole record
//!     run-ID.wandb.*.sync          its ledgers, which go on where those beside the log were
//!     run-ID.wandb.syncstate, .synced
//!     objects/<sha256>             the files, those of artifacts included, by what they hold
//! ```
//!
//! # What holds
//! - A run in a pack is whole at any moment. What is new of it is copied first: a log is only added to, and a
//!   file that changed is another object. Then `contents.json` is replaced, by renaming, and what it does not name
//!   does not count.
//! - Nothing is written where the runs were logged, not even a mark, and nothing is asked of a server. What was
//!   sent is noted in the pack, so the same pack can go back and forth. If only copies go, and each has a ledger of
//!   its own or none, the server is asked where the rows are that it has, as when any ledger is lost.
//! - A pack has no absolute path that anything follows, and can be moved and renamed. Of its own it has no secret;
//!   keys stay with the server that [`sync_pack`] is given.
//! - A pack is not trusted. Names in it lead nowhere, for files stand under what they hold; links are refused,
//!   and so is what is not what was packed. Nothing outside of it is read.

mod contents;
mod named;
mod objects;
mod read;
mod report;
mod write;

pub(super) use named::Named;
pub use read::sync_pack;
pub(super) use read::{Packed, PackedLogs, is_packed};
pub use report::{PackReport, PackStatus, PackedFile, PackedRun};
pub use write::pack;

use super::ledger::{self, Lock};
use crate::error::{Error, Result};
use std::io;
use std::path::Path;
use walkdir::WalkDir;

/// Locks a pack as long as what is returned lives.
fn lock(dir: &Path) -> Result<Lock> {
    let busy =
        || Error::misuse("another process packs into this directory or uploads it now").at(dir);
    ledger::lock(&dir.join(LOCK))?.ok_or_else(busy)
}

/// Fails if the directory of a run has a link in it, or is one. What is written or read through it would be
/// somewhere else.
fn refuse_links(dir: &Path) -> Result<()> {
    for entry in WalkDir::new(dir) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(dir).to_owned();
            let source = error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into());
            Error::io("look into", path, source)
        })?;
        let kind = if entry.path_is_symlink() { None } else { Some(entry.file_type()) };
        if !kind.is_some_and(|kind| kind.is_file() || kind.is_dir()) {
            let reason = "a link, or no file; a pack has none; do not trust this one";
            return Err(Error::misuse(reason).at(entry.path()));
        }
    }
    Ok(())
}

const LOCK: &str = "pack.lock";
