//! Logs of which most bytes are moved as they are, against copying them.

use super::{Bench, Group};
use crate::measure::Job;
use anyhow::Result;

/// Recovering, merging and editing.
pub(super) fn groups(bench: &Bench) -> Result<Vec<Group>> {
    let rows = if bench.large { 1_000_000 } else { 200_000 };
    let log = bench.data.log(rows)?;
    let halves = bench.data.halves(rows)?;
    let megabytes = std::fs::metadata(&log)?.len() / 1_000_000;
    let new = |name: &str| bench.scratch.join(name);
    let group = |what: &str, ours: Job| {
        let copy = |name: &str, then: &str| {
            let script = format!("cp \"$0\" copy{then}");
            Job::new(name, "sh", megabytes).arg("-c").arg(script).arg(&log)
        };
        let jobs = vec![ours, copy("`cp`", ""), copy("`cp`, then `sync`", " && sync copy")];
        Group::new(format!("rewrite: {what}, {rows} rows, {megabytes} MB"), "MB", jobs)
    };
    let ours = |name: &str| bench.offline(name, megabytes);
    let recover = ours("`wandb-offline recover`").arg("recover").arg(&log);
    let merge = ours("`wandb-offline merge`").arg("merge").args(&halves);
    let edit = ours("`wandb-offline edit --project`").arg("edit").arg(&log);
    Ok(vec![
        group("recover a sound log", recover.arg("-o").arg(new("new.wandb"))),
        group("merge two halves", merge.arg("-o").arg(new("merged"))),
        group("edit the project", edit.args(["--project", "other"]).arg("-o").arg(new("edited"))),
    ])
}
