//! What a mark as synced (`<log>.synced`) is worth: it says that a log is stored, but neither where nor how much of
//! it. Ledgers do. A mark without any is the official client's, and counts.

use super::ledger::{Ledger, ledgers};
use super::paths::Target;
use crate::io::{Compression, Source, Unpacked, skip};
use crate::log::{LogFile, plain_path};
use std::fs::File;
use std::io;

/// Whether a log that is marked is stored as a whole as the run that `target` finds out; on this server, if one is
/// given.
pub(super) fn stands(
    log: &LogFile,
    server: Option<&str>,
    target: impl FnOnce() -> Option<Target>,
) -> bool {
    let ledgers = ledgers(&log.path);
    if ledgers.is_empty() {
        return true;
    }
    // Of a log that nobody knows what run it is of there is nothing else to go by.
    let Some(target) = target() else { return true };
    let mut fitting = ledgers.iter().filter(|ledger| is_of(ledger, server, &target));
    fitting.any(|ledger| ledger.whole && !has_grown(log, ledger))
}

/// Whether a ledger is of this run. What is not given may be any.
fn is_of(ledger: &Ledger, server: Option<&str>, (entity, project, id): &Target) -> bool {
    let fits = |asked: &str, noted: &str| asked.is_empty() || asked == noted;
    server.is_none_or(|server| server == ledger.server)
        && fits(entity, &ledger.entity)
        && fits(project, &ledger.project)
        && *id == ledger.run
}

/// Whether a log is longer than what was stored of it.
fn has_grown(log: &LogFile, ledger: &Ledger) -> bool {
    // A log may have been compressed since it was stored, and have grown before.
    let is_packed = plain_path(&log.path) != log.path;
    let holds_more = || holds_more(log, ledger.stored).unwrap_or(false);
    log.size > ledger.stored || (is_packed && log.size != ledger.stored && holds_more())
}

/// Whether there are more bytes than so many in a log when it is decompressed.
fn holds_more(log: &LogFile, bytes: u64) -> io::Result<bool> {
    let mut source = Unpacked::new(File::open(&log.path)?, Compression::by_magic);
    skip(&mut source, bytes)?;
    Ok(!source.window().is_empty() || source.grow(1)?)
}
