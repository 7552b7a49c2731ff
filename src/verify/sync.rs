//! What `wandb sync` 0.31.0 would do with a log; as observed, it is not what one would hope for.

use super::finding::{Place, Problem};
use super::report::Findings;
use crate::log::{LogFile, SYNCSTATE, noted_beside, plain_path};
use serde::Serialize;
use std::fmt;

/// What `wandb sync` 0.31.0 would do with a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SyncForecast {
    /// That it is left out unless asked for, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip: Option<Skip>,
    /// That there is no run record, which ends the whole command before anything is uploaded.
    pub aborts: bool,
    /// Where it would stop: what is behind that byte is not uploaded, and the run is not marked synced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stops_at: Option<u64>,
    /// That the run would be marked as failed.
    pub fails: bool,
    /// That history rows which were uploaded before would come a second time.
    pub doubles: bool,
}

/// Why `wandb sync` leaves a log out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Skip {
    /// Its directory's name does not begin with `offline-`, so it counts as an online run.
    Online,
    /// It is marked as synced.
    Synced,
    /// It is compressed, and only names that end in `.wandb` are looked for.
    Compressed,
}

impl SyncForecast {
    /// The forecast for a log that ends so, from what was found in it.
    pub(super) fn new(log: &LogFile, has_run: bool, failed: bool, stops_at: Option<u64>) -> Self {
        let dir = log.dir().canonicalize().unwrap_or_default();
        let name = dir.file_name().unwrap_or_default().as_encoded_bytes();
        let skip = match (log.synced, name.starts_with(b"offline-")) {
            _ if plain_path(&log.path) != log.path => Some(Skip::Compressed),
            (true, _) => Some(Skip::Synced),
            (false, false) => Some(Skip::Online),
            (false, true) => None,
        };
        let doubles = log.synced || sync_state(log);
        let fails = failed || stops_at.is_some();
        Self { skip, aborts: !has_run, stops_at, fails, doubles }
    }
}

/// Whether a sync was begun. Online runs have the mark from the start.
fn sync_state(log: &LogFile) -> bool {
    let dir = log.dir().file_name().unwrap_or_default().as_encoded_bytes();
    dir.starts_with(b"offline-") && noted_beside(&log.path, SYNCSTATE).exists()
}

/// Says that a sync was begun and not ended.
pub(super) fn look(log: &LogFile, findings: &mut Findings) {
    if !log.synced && sync_state(log) {
        findings.add(Place::default(), Problem::InterruptedSync);
    }
}

impl fmt::Display for SyncForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.skip {
            Some(Skip::Online) => f.write_str(
                "skips it as an online run (its directory is not named offline-*); with --include-online ",
            )?,
            Some(Skip::Synced) => f.write_str("skips it as synced; with --include-synced ")?,
            Some(Skip::Compressed) => {
                return f.write_str(
                    "does not find a compressed log; decompress it first, or use `wandb-offline sync`",
                );
            }
            None => {}
        }
        if self.aborts {
            return f.write_str("finds no run in it and gives up, on all other runs too");
        }
        match self.stops_at {
            Some(byte) => write!(f, "uploads what is before byte {byte}, and nothing behind")?,
            None => f.write_str("uploads it")?,
        }
        f.write_str(if self.fails { ", as failed" } else { ", as finished" })?;
        if self.doubles {
            f.write_str(", and repeats the rows that were uploaded before")?;
        }
        Ok(())
    }
}
