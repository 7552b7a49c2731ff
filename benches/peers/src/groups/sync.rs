//! Runs to a server on the same machine that stores nothing.

use super::{Bench, Group};
use crate::measure::Job;
use crate::server;
use anyhow::{Context as _, Result};
use std::fs;
use std::time::Duration;

/// One long run, and many short ones, on a near server and on one that takes its time.
pub(super) fn groups(bench: &Bench) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for delay in [0, 50] {
        let url = server::start(Duration::from_millis(delay))?;
        for (runs, rows) in [(1, 100_000), (50, 200)] {
            let how = if delay == 0 { String::new() } else { format!(", {delay} ms an answer") };
            let title = format!("sync: {runs} × {rows} rows to a server{how}");
            groups.push(Group::new(title, "row", jobs(bench, &url, runs, rows)?));
        }
    }
    Ok(groups)
}

fn jobs(bench: &Bench, url: &str, runs: u64, rows: u64) -> Result<Vec<Job>> {
    let dir = bench.data.runs(runs, rows)?.join("wandb");
    let copy = bench.scratch.join(dir.file_name().context("the data has no name")?);
    let mut copies = Vec::new();
    for run in fs::read_dir(&dir)? {
        let run = run?;
        // Beside the runs is a link to the latest.
        if run.file_type()?.is_dir() {
            copies.push(copy.join(run.file_name()));
        }
    }
    copies.sort();
    let set = |job: Job| {
        job.on_copy_of(&dir)
            .env("WANDB_BASE_URL", url)
            .env("WANDB_API_KEY", "0".repeat(40))
            .env("WANDB_ERROR_REPORTING", "false")
            .env("HOME", bench.scratch.display().to_string())
    };
    let official =
        Job::new(bench.peers.named("wandb", "`wandb sync`"), bench.peers.python(), runs * rows)
            .args(["-m", "wandb", "sync", "--yes", "--entity", "peers", "--project", "peers"])
            .args(&copies)
            .slow()
            .unless(bench.peers.missing("wandb"));
    let ours = bench.offline("`wandb-offline sync`", runs * rows);
    let ours =
        ours.args(["sync", "--yes", "--entity", "peers", "--project", "peers"]).args(&copies);
    Ok(vec![set(ours), set(official)])
}
