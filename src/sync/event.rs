//! What a sync tells while it goes on.

use super::report::{ArtifactReport, FileReport, RunReport};
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
    /// Something that looks like a log, or a directory of runs, is passed over.
    Passed {
        /// What.
        path: &'a Path,
        /// Why.
        why: &'a str,
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
    /// It is settled what becomes of a file: it is stored, or will not be.
    File {
        /// The log.
        log: &'a Path,
        /// What became of it.
        file: &'a FileReport,
    },
    /// It is settled what becomes of an artifact: it is stored, or will not be.
    Artifact {
        /// The log.
        log: &'a Path,
        /// What became of it.
        artifact: &'a ArtifactReport,
    },
    /// A request failed and will be sent again.
    Waiting {
        /// The log.
        log: &'a Path,
        /// Scheme, host and port that the request went to.
        host: &'a str,
        /// What the request was for.
        what: &'a str,
        /// What it was answered.
        why: &'a str,
        /// How long that is waited for; in JSON in seconds.
        #[serde(serialize_with = "in_seconds")]
        time: Duration,
    },
    /// Something that a person should know and that stops nothing.
    Remark {
        /// What.
        text: &'a str,
    },
    /// A log is done with.
    Ended {
        /// What became of it.
        report: &'a RunReport,
    },
}

fn in_seconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}
