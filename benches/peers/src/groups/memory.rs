//! The memory that logs of any size take.

use super::{Bench, Group};
use crate::data::ROW_LEN;
use anyhow::Result;

/// Reading and recovering.
pub(super) fn groups(bench: &Bench) -> Result<Vec<Group>> {
    let mut jobs = Vec::new();
    for megabytes in sizes(bench)? {
        let log = bench.data.log(rows(megabytes))?;
        let name = |verb: &str| format!("`{verb}`, {megabytes} MB");
        let info = bench.offline(&name("info"), megabytes).arg("info").arg(&log);
        let recover = bench.offline(&name("recover"), megabytes).arg("recover").arg(&log);
        jobs.extend([info.slow(), recover.arg("-o").arg(bench.scratch.join("new.wandb")).slow()]);
    }
    Ok(vec![Group { compared: false, ..Group::new("memory: logs of three sizes", "MB", jobs) }])
}

/// Merging.
pub(super) fn merge_groups(bench: &Bench) -> Result<Vec<Group>> {
    let mut jobs = Vec::new();
    for megabytes in sizes(bench)? {
        let halves = bench.data.halves(rows(megabytes))?;
        let job = bench.offline(&format!("`merge`, {megabytes} MB"), megabytes).arg("merge");
        jobs.push(job.args(&halves).arg("-o").arg(bench.scratch.join("merged")).slow());
    }
    Ok(vec![Group { compared: false, ..Group::new("memory: merging two halves", "MB", jobs) }])
}

fn sizes(bench: &Bench) -> Result<Vec<u64>> {
    let mut sizes = vec![1, 100];
    if bench.large {
        let disk = rustix::fs::statvfs(bench.data.dir())?;
        let free = disk.f_bavail * disk.f_frsize;
        if free >= ROOM {
            sizes.push(10_000);
        } else {
            eprintln!(
                "no log of 10 GB: of the 25 GB that takes, {} are free",
                free / 1_000_000_000
            );
        }
    }
    Ok(sizes)
}

fn rows(megabytes: u64) -> u64 {
    megabytes * 1_000_000 / ROW_LEN
}

/// Bytes that must be free for a log of 10 GB, what is made of it, and something more.
const ROOM: u64 = 25_000_000_000;
