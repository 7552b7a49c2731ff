//! Bounds on what input may cost.
//!
//! A reader takes as much memory as the longest record it meets, whatever the size of the file, and nothing is
//! allocated for a length that is only claimed. What decompression makes goes through the same readers piece by
//! piece, so a file that is a thousand times as long when unpacked costs time, and no memory. Everything else that
//! data could make large is bounded as follows. Options stand where people need another bound; the rest is as in the
//! programs that the data comes from or goes to.
//!
//! | what | at most | beyond it | option | where |
//! |---|---|---|---|---|
//! | record of a log | 1 GiB | is a gap | [`ReaderOptions::limits`](crate::log::ReaderOptions::limits) | [`Limits::record_len`] |
//! | event of an event file | 128 MiB | is a gap | [`EventReaderOptions::limits`](crate::tfevents::EventReaderOptions::limits) | `tfevents/reader.rs` `RECORD_LEN` |
//! | gaps that are kept one by one | 1000 | are counted | the same | [`Limits::gaps_kept`] |
//! | nesting of a JSON value | 128 | stays text | none | [`Limits::json_depth`] |
//! | nesting of JSON that a caller asks for | 512 | is an error | none | `json/parse.rs` `DEPTH_AT_MOST` |
//! | nesting of protobuf messages shown | 100 | is malformed, as for prost | none | `record/render.rs` `MAX_DEPTH` |
//! | nesting of protobuf groups | 100 | is malformed, as for prost | none | `wire.rs` `GROUP_DEPTH` |
//! | elements of a key in a row or summary | 128 | left out, and counted | none | `run/slots.rs` `DEPTH` |
//! | elements of a key in the config | 128 | left out, and counted | none | `run/config.rs` `DEPTH` |
//! | nesting of a value that is logged | 128 | is an error | none | `writer/row.rs` `DEPTH` |
//! | id of a run that is made | 200 | is an error | none | `writer/settings.rs` `ID_MAX` |
//! | window of a zstd file | 128 MiB | is a damaged stream, as for `zstd -d` | none | `io/unzstd.rs` `WINDOW_LEN` |
//! | settings, netrc and token files | 1 MiB | is an error | none | `limits.rs` `SMALL_FILE` |
//! | characters of a console line | 4096 | are cut off, as by W&B | none | `run/console.rs` `LONGEST` |
//! | characters of a terminal sequence | 16 | are text | none | `run/terminal.rs` `LONGEST_SEQUENCE` |
//! | alerts of a run's state | 1000 | are counted | none | `run/mod.rs` `ALERTS_KEPT` |
//! | row that `tb2wandb` makes | 8 MiB | its values are left out, and counted | none | `convert/tensorboard/line.rs` `LINE_LEN` |
//! | bins of a histogram in a run | 512 | are merged | none | `convert/tensorboard/values/histogram.rs` `MOST_BINS` |
//! | dimensions of a text | 16 | left out, and counted | none | `convert/tensorboard/values/text.rs` `MOST_DIMENSIONS` |
//! | files of a value for TensorBoard | 64 MiB | left out, and counted | none | `convert/wandb/media.rs` `LARGEST` |
//! | table for TensorBoard | 16 MiB | its other rows are left out | [`table_rows`](crate::convert::wandb::Options::table_rows) | `convert/wandb/media.rs` `LARGEST_TABLE` |
//! | vertices of a mesh for TensorBoard | 64 MiB | left out, and counted | none | `convert/wandb/shape.rs` `LONGEST` |
//! | kinds of data that a report tells apart | 100 | are counted as one | none | `convert/report.rs` `MOST_KINDS` |
//! | JSON file that `scrub` walks | 16 MiB | is scanned as text | none | `scrub/files.rs` `LARGEST_JSON` |
//! | line that is scanned whole for secrets | 64 KiB | is scanned in parts | none | `secrets/console.rs` `LONGEST` |
//! | secrets that a scrub lists | 1000 | are counted | none | `scrub/scan.rs` `KEPT` |
//! | keys that `verify` remembers as not finite | 100000 | are not told | none | `verify/rows.rs` `KEYS_KEPT` |
//! | answer of a server | 64 MiB | is an error | none | `sync/http.rs` `LONGEST_ANSWER` |
//! | ledger of a sync | 1 GiB | is an error | none | `sync/ledger.rs` `LARGEST` |
//! | lines of one request | 10 MiB | go into the next | none | `sync/plan/streams.rs` `LARGEST_REQUEST` |
//!
//! Keys, runs and files have no bound of their own: what is kept of each takes a few times the room of its name, once,
//! and the bytes of the input pay for it.

/// How much a reader accepts before it calls the input damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest record in bytes. A reader's memory is bounded by the longest record it meets, which in
    /// turn is bounded by this; nothing is allocated for a claimed length before its bytes arrive.
    pub record_len: u64,
    /// Deepest nesting of a JSON value; deeper ones are kept as text.
    pub json_depth: usize,
    /// Gaps a reader keeps one by one; beyond that it only counts them.
    pub gaps_kept: usize,
}

/// Largest file of settings, credentials or notes beside a log.
pub(crate) const SMALL_FILE: u64 = 1 << 20;

impl Limits {
    /// The limits in force when none are given: records of 1 GiB, JSON of depth 128, 1000 gaps.
    pub const DEFAULT: Self = Self { record_len: 1 << 30, json_depth: 128, gaps_kept: 1000 };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
