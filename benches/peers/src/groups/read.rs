//! A log of a run, read.

use super::{Bench, Group};
use crate::measure::Job;
use crate::work::Work;
use anyhow::Result;
use std::path::Path;

/// Its frames, its rows, its columns, its state, its text.
pub(super) fn groups(bench: &Bench) -> Result<Vec<Group>> {
    let sizes: &[u64] = if bench.large { &[200_000, 1_000_000] } else { &[200_000] };
    let mut groups = Vec::new();
    for &rows in sizes {
        let log = bench.data.log(rows)?;
        groups.extend(in_process(bench, &log, rows)?);
        groups.extend(programs(bench, &log, rows));
    }
    Ok(groups)
}

fn in_process(bench: &Bench, log: &Path, rows: u64) -> Result<[Group; 3]> {
    let megabytes = std::fs::metadata(log)?.len() / 1_000_000;
    let frame = |name: &str, work| bench.work(name, megabytes, work).arg(log);
    let row = |name: &str, work| bench.work(name, rows, work).arg(log);
    let title = |what: &str| format!("read: {what}, {rows} rows of 13 items");
    let frames = vec![
        frame("`Reader`, from the file", Work::Frames),
        frame("written out by hand, from memory", Work::FramesByHand),
        frame("`crc32fast` over the bytes, from memory", Work::Crc),
        frame("`read` of the file", Work::Read),
    ];
    let views = vec![
        row("`HistoryView`", Work::View),
        row("`prost`", Work::Prost),
        row("a walk by hand", Work::Walk),
    ];
    let columns = vec![
        row("`Columns`", Work::Columns),
        row("a walk by hand into vectors by key, frames by `Reader`", Work::ColumnsByHand),
        row("`prost`, nothing kept, frames by `Reader`", Work::ReadProst),
    ];
    Ok([
        Group::new(title("frames and checksums"), "MB", frames),
        Group::new(title("every key and value, from payloads in memory"), "row", views),
        Group::new(title("every value into a column, from the file"), "row", columns),
    ])
}

fn programs(bench: &Bench, log: &Path, rows: u64) -> [Group; 2] {
    let title = |what: &str| format!("read: {what}, {rows} rows of 13 items");
    let inspect = |options: &[&str]| -> Job {
        let runs = log.parent().and_then(Path::parent).unwrap_or(log);
        let job = bench.wandb_core("`wandb leet inspect`", rows);
        let job = job.args(["leet", "inspect", "--no-observability"]).args(options);
        job.arg("--run-file").arg(log).arg(runs)
    };
    let info = vec![
        bench.offline("`wandb-offline info --json`", rows).args(["info", "--json"]).arg(log),
        inspect(&["--summary", "--json"]),
    ];
    let cat =
        vec![bench.offline("`wandb-offline cat`", rows).arg("cat").arg(log), inspect(&["--json"])];
    [
        Group::new(title("the state of the run"), "row", info),
        Group::new(title("every record as JSON, to nowhere"), "row", cat),
    ]
}
