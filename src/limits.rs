//! Bounds on what input may cost.
//!
//! A reader takes as much memory as the longest record it meets, whatever the size of the file, and nothing is
//! allocated for a length that is only claimed. What decompression makes goes through the same readers piece by
//! piece, so a file that is many times as long when unpacked costs time, and little memory. Everything else that
//! data could make large is bounded as follows. Options stand where people need another bound; the rest is fixed, for
//! the reason that is given: as in the programs that the data comes from or goes to, or since only a part is shown to
//! people and all of it counted. Each limit has a test of what is at it and beyond it.
//!
//! | what | at most | beyond it | option | where | test |
//! |---|---|---|---|---|---|
//! | record of a log | 1 GiB | is a gap | [`ReaderOptions::limits`](crate::log::ReaderOptions::limits) | [`Limits::record_len`] | `a_record_over_the_limit_is_a_gap_and_costs_no_memory` |
//! | record of a compressed log that is more than 1024 times as long as what was read of the file | 64 MiB | is a gap | fixed: none is so well compressed; decompress it first | `io/unpacked.rs` `ALWAYS_ROOM` | `a_record_that_a_few_bytes_become_is_a_gap` |
//! | event of an event file | 128 MiB | is a gap | [`EventReaderOptions::limits`](crate::tfevents::EventReaderOptions::limits) | `tfevents/reader.rs` `RECORD_LEN` | `an_event_over_the_limit_is_a_gap` |
//! | gaps that are kept one by one | 1000 | are counted | the same | [`Limits::gaps_kept`] | `gaps_beyond_those_that_are_kept_are_counted` |
//! | keys of the rows of a run, and of its summary | 5000000 | make the record an error | [`RunState::keeping`](crate::run::RunState::keeping) | [`Limits::keys`] | `a_record_with_more_keys_than_a_run_may_have_changes_nothing` |
//! | nesting of a JSON value | 128 | stays text | [`RunState::keeping`](crate::run::RunState::keeping) | [`Limits::json_depth`] | `a_value_that_is_nested_too_deep_is_a_text` |
//! | nesting of JSON that a caller asks for | 512 | is an error | fixed: values are walked by recursion | `json/parse.rs` `DEPTH_AT_MOST` | `no_depth_overflows_the_stack` |
//! | nesting of protobuf messages shown | 100 | is malformed, as for prost | fixed: as prost | `record/render.rs` `MAX_DEPTH` | `a_message_that_nests_without_end_is_an_error` |
//! | nesting of protobuf groups | 100 | is malformed, as for prost | fixed: as prost | `wire.rs` `GROUP_DEPTH` | `groups_are_passed_over_whole_and_nest_only_so_deep` |
//! | elements of a key in a row or summary | 128 | are joined into the last | fixed: values are walked by recursion | `run/slots.rs` `DEPTH` | `of_a_key_that_is_too_deep_the_end_is_one_element` |
//! | elements of a key in the config | 128 | are joined into the last | the same | `run/slots.rs` `DEPTH` | `of_a_key_of_the_config_with_too_many_elements_the_last_ones_are_joined` |
//! | links to one directory below a log directory | 16 | are not followed, and told | fixed: directories that link to each other have paths without end | `tfevents/discover.rs` `MOST_LINKS` | `directories_that_link_to_each_other_have_an_end` |
//! | nesting of a value that is logged | 128 | is an error | fixed: no reader takes more | `writer/row.rs` `DEPTH` | `a_key_that_no_reader_takes_is_refused_and_the_run_goes_on` |
//! | id of a run that is made | 200 | is an error | fixed: names of files | `writer/settings.rs` `ID_MAX` | `the_run_id_is_checked_wherever_it_comes_from` |
//! | window of a zstd file | 128 MiB | is a damaged stream, as for `zstd -d` | as for records | [`Limits::zstd_window`] | `how_large_a_window_may_be_is_an_option` |
//! | settings, netrc and token files | 1 MiB | is an error | fixed: none is so large | `limits.rs` `SMALL_FILE` | `a_file_of_the_largest_size_is_read_and_a_larger_one_is_refused` |
//! | characters of a console line | 4096 | are cut off, as by W&B | fixed: as W&B | `run/console.rs` `LONGEST` | `memory_is_bounded_in_both_directions` |
//! | characters of a terminal sequence | 16 | are text | fixed: none is so long | `run/terminal.rs` `LONGEST_SEQUENCE` | `a_terminal_sequence_that_is_too_long_is_text` |
//! | alerts of a run's state | 1000 | are counted | fixed: for people | `run/mod.rs` `ALERTS_KEPT` | `alerts_beyond_a_thousand_are_counted` |
//! | row that `tb2wandb` makes | 8 MiB | its values are left out, and counted | fixed: as W&B | `convert/tensorboard/line.rs` `LINE_LEN` | `no_row_is_longer_than_what_is_uploaded` |
//! | bins of a histogram in a run | 512 | are merged | fixed: as W&B | `convert/tensorboard/values/histogram.rs` `MOST_BINS` | `rebinning_keeps_the_outer_edges_and_the_total` |
//! | dimensions of a tensor or text | 16 | is a flat list | fixed: for people | `convert/tensorboard/values/text.rs` `MOST_DIMENSIONS` | `a_tensor_of_too_many_dimensions_is_a_flat_list` |
//! | files of a value for TensorBoard, such as an image or a mesh | 64 MiB | left out, and counted | [`media_bytes`](crate::convert::wandb::Options::media_bytes) | `convert/wandb/options.rs` `MEDIA_BYTES` | `files_of_a_value_that_are_too_large_are_left_out_and_counted` |
//! | table for TensorBoard | 16 MiB | its other rows are left out | [`table_rows`](crate::convert::wandb::Options::table_rows) | `convert/wandb/media.rs` `LARGEST_TABLE` | `rows_of_a_table_beyond_what_fits_are_left_out` |
//! | kinds of data that a report tells apart | 100 | are counted as one | fixed: for people | `convert/report.rs` `MOST_KINDS` | `kinds_beyond_a_hundred_are_counted_as_one` |
//! | JSON file that `scrub` walks | 16 MiB | is scanned as text | fixed: all is scanned | `scrub/files.rs` `LARGEST_JSON` | `a_json_file_too_large_to_be_walked_is_scanned_as_text` |
//! | line that is scanned whole for secrets | 64 KiB | is scanned in parts | fixed: all is scanned | `secrets/console.rs` `LONGEST` | `a_line_without_end_takes_no_more_than_it_may` |
//! | secrets that a scrub lists | 1000 | are counted | fixed: for people | `scrub/scan.rs` `KEPT` | `secrets_beyond_a_thousand_are_counted` |
//! | keys that `verify` remembers as not finite | 100000 | are not told | fixed: for people | `verify/rows.rs` `KEYS_KEPT` | `keys_that_are_not_finite_are_told_up_to_a_bound` |
//! | answer of a server | 64 MiB | is an error | `HttpTransport::longest_answer` | `sync/http.rs` `LONGEST_ANSWER` | `how_long_an_answer_may_be_is_an_option` |
//! | answer to lines or a file | 1 MiB | is an error | `HttpTransport::longest_answer`, less only | `sync/http.rs` `LONGEST_RECEIPT` | `a_long_answer_to_lines_or_to_a_file_is_not_read_to_its_end` |
//! | ledger of a sync | 1 GiB | is an error | fixed: that of millions of files | `sync/ledger.rs` `LARGEST` | `a_ledger_larger_than_any_is_not_read` |
//! | lines of one request | 10 MiB | go into the next | fixed: as W&B | `sync/plan/streams.rs` `LARGEST_REQUEST` | `no_request_is_too_large_and_no_line_too_long` |
//!
//! Runs, files and keys of the config have no bound of their own: what is kept of each takes a few times the room of
//! its name, once, and the bytes of the input pay for it. So it is with texts, which are parts of a record.

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
    /// Keys of history and of summary, each, that a run is taken to have. Each takes some hundred bytes.
    pub keys: usize,
    /// Largest window of a zstd file in bytes, all of which a reader may have to hold.
    pub zstd_window: u64,
}

/// Largest file of settings, credentials or notes beside a log.
pub(crate) const SMALL_FILE: u64 = 1 << 20;

impl Limits {
    /// The limits in force when none are given: records of 1 GiB, JSON of depth 128, 1000 gaps, 5 million keys,
    /// a window of 128 MiB, which is what `zstd -d` takes without being asked to take more.
    pub const DEFAULT: Self = Self {
        record_len: 1 << 30,
        json_depth: 128,
        gaps_kept: 1000,
        keys: 5_000_000,
        zstd_window: 128 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
