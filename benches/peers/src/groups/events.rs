//! Event files of TensorBoard, read: checksums on, every point kept.

use super::{Bench, Group};
use crate::measure::Job;
use crate::work::Work;
use anyhow::Result;

/// One file, and many runs.
pub(super) fn groups(bench: &Bench) -> Result<Vec<Group>> {
    let few = bench.data.events(1, FEW)?;
    let python = |package: &str, name: &str, reader: &str| -> Job {
        let name = format!("{name} of {FEW} scalars");
        bench.script(package, &name, FEW, "read_events.py").arg(reader).arg(&few)
    };
    let mut groups = Vec::new();
    for (runs, scalars) in [(1, 1_000_000), (100, 10_000)] {
        let logdir = bench.data.events(runs, scalars)?;
        let all = runs * scalars;
        let own = |name: &str, work| bench.work(name, all, work);
        let server = "tensorboard-data-server";
        let jobs = vec![
            own("`Scalars`, files on all cores", Work::Scalars).arg(&logdir),
            own(&bench.peers.named(server, "TensorBoard's server in Rust"), Work::DataServer)
                .arg(bench.peers.file(server, "bin/server"))
                .arg(&logdir)
                .slow()
                .unless(bench.peers.missing(server)),
            own("crate `tfrecord`", Work::TfrecordReader).arg(&logdir).slow(),
            python("tensorboard", "`EventAccumulator`", "tensorboard"),
            python("tbparse", "`SummaryReader`", "tbparse"),
        ];
        let title = format!("events: {runs} × {scalars} scalars, an event each, into memory");
        groups.push(Group::new(title, "scalar", jobs));
    }
    Ok(groups)
}

/// What Python reads; time and ratios are by the scalar.
pub(super) const FEW: u64 = 20_000;
