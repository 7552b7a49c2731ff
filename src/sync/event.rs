//! What a sync tells while it goes on.

use super::report::RunReport;
use std::path::Path;
use std::time::Duration;

/// What happens during a sync, told as it happens, from several threads.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Event<'a> {
    /// Logs were found that are to be uploaded.
    Found {
        /// How many.
        logs: usize,
    },
    /// A log is being uploaded.
    Started {
        /// The log.
        log: &'a Path,
    },
    /// The server knows the run.
    Created {
        /// The log.
        log: &'a Path,
        /// The run's page.
        url: &'a str,
    },
    /// More of a log was read.
    Progress {
        /// The log.
        log: &'a Path,
        /// Rows that the server has acknowledged.
        rows: u64,
    },
    /// A request failed and will be sent again.
    Waiting {
        /// What the request was for.
        what: &'a str,
        /// What it was answered.
        why: &'a str,
        /// How long that is waited for.
        time: Duration,
    },
    /// A log is done with.
    Ended {
        /// What became of it.
        report: &'a RunReport,
    },
}
