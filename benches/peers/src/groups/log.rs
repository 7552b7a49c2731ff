//! What a training loop pays for logging.

use super::{Bench, Group};
use crate::measure::Job;
use crate::work::{CALLS, Work};
use anyhow::Result;

/// A run, and event files.
pub(super) fn groups(bench: &Bench) -> Result<Vec<Group>> {
    let own = |name: &str, work| bench.work(name, CALLS, work).arg(&bench.scratch);
    let script = |package: &str, name: &str, script: &str| -> Job {
        let job = bench.script(package, name, CALLS, script);
        job.arg(&bench.scratch).arg(CALLS.to_string())
    };
    let run = vec![
        own("`Writer`, written through", Work::Writer),
        own("`Writer`, buffered", Work::WriterBuffered),
        script("wandb", "offline, until the loop ends", "log_wandb.py"),
        script("wandb", "offline, until `finish` returns", "log_wandb.py").arg("--finish"),
        own("one bare `write` of 300 bytes a call", Work::Writes),
    ];
    let events = vec![
        own("`SummaryWriter`", Work::SummaryWriter),
        script("tensorboard", "`EventFileWriter`", "log_tensorboard.py").arg("tensorboard"),
        script("tensorboardX", "`add_scalar`", "log_tensorboard.py").arg("tensorboardX"),
        own("crate `tensorboard-rs`", Work::TensorboardRs),
        own("crate `tfrecord`", Work::TfrecordWriter),
    ];
    Ok(vec![
        Group::new("log: 100,000 calls of 5 scalars, as a run", "call", run),
        Group::new("log: 100,000 times 5 scalars, as TensorBoard events", "call", events),
    ])
}
