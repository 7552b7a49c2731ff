//! Event files into runs.

use super::events::FEW;
use super::{Bench, Group};
use anyhow::Result;

/// One file, and many runs.
pub(super) fn groups(bench: &Bench) -> Result<Vec<Group>> {
    let few = bench.data.events(1, FEW)?;
    let mut groups = Vec::new();
    for (runs, scalars) in [(1, 1_000_000), (100, 10_000)] {
        let logdir = bench.data.events(runs, scalars)?;
        let name = format!("`sync_tensorboard` of {FEW} scalars");
        let ours = bench.tb2wandb("`tb2wandb`", runs * scalars);
        let jobs = vec![
            ours.arg(&logdir).arg("--output").arg(bench.scratch.join("wandb")),
            bench.script("wandb", &name, FEW, "convert_wandb.py").arg(&few).arg(&bench.scratch),
        ];
        let title = format!("convert: {runs} × {scalars} scalars into runs");
        groups.push(Group::new(title, "scalar", jobs));
    }
    Ok(groups)
}
