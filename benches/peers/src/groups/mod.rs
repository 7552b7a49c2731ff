//! Which works are compared.

mod convert;
mod events;
mod log;
mod memory;
mod read;
mod rewrite;
mod sync;

use crate::data::Data;
use crate::measure::Job;
use crate::peers::Peers;
use crate::work::Work;
use anyhow::Result;
use std::path::PathBuf;
use tempfile::TempDir;

/// Works of one kind, of which the first is ours.
#[derive(Debug)]
pub(crate) struct Group {
    /// What they do.
    pub(crate) title: String,
    /// What they do it to: time is given for each.
    pub(crate) unit: &'static str,
    /// Ours, then its peers, then the machine's limits.
    pub(crate) jobs: Vec<Job>,
    /// Whether ratios to the first job make sense.
    pub(crate) compared: bool,
}

impl Group {
    fn new(title: impl Into<String>, unit: &'static str, jobs: Vec<Job>) -> Self {
        Self { title: title.into(), unit, jobs, compared: true }
    }
}

/// What jobs are made of.
#[derive(Debug)]
pub(crate) struct Bench {
    programs: PathBuf,
    itself: PathBuf,
    /// What is worked on.
    pub(crate) data: Data,
    peers: Peers,
    large: bool,
    /// Where jobs write. It is emptied for each run.
    pub(crate) scratch: PathBuf,
    /// Around it, gone with this.
    _around: TempDir,
}

/// Makes groups, and the data they need.
type Make = fn(&Bench) -> Result<Vec<Group>>;

/// All groups, by the name that `--only` looks for.
pub(crate) const ALL: [(&str, Make); 8] = [
    ("log", log::groups),
    ("read", read::groups),
    ("events", events::groups),
    ("convert", convert::groups),
    ("sync", sync::groups),
    ("rewrite", rewrite::groups),
    ("memory", memory::groups),
    ("memory-merge", memory::merge_groups),
];

impl Bench {
    /// Jobs that run these programs on this data.
    pub(crate) fn new(programs: PathBuf, data: Data, peers: Peers, large: bool) -> Result<Self> {
        let around = tempfile::Builder::new().prefix("scratch-").tempdir_in(data.dir())?;
        let (itself, scratch) = (std::env::current_exe()?, around.path().join("scratch"));
        Ok(Self { programs, itself, data, peers, large, scratch, _around: around })
    }

    /// The program `wandb-offline`.
    fn offline(&self, name: &str, units: u64) -> Job {
        Job::new(name, self.programs.join("wandb-offline"), units)
    }

    /// The program `tb2wandb`.
    fn tb2wandb(&self, name: &str, units: u64) -> Job {
        Job::new(name, self.programs.join("tb2wandb"), units)
    }

    /// What this program does itself, in a process of its own.
    fn work(&self, name: &str, units: u64, work: Work) -> Job {
        Job::new(name, &self.itself, units).arg("work").arg(work.name()).inside()
    }

    /// A script in `python/`, for a package.
    fn script(&self, package: &str, name: &str, units: u64, script: &str) -> Job {
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/python/");
        Job::new(self.peers.named(package, name), self.peers.python(), units)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(format!("{scripts}{script}"))
            .inside()
            .slow()
            .unless(self.peers.missing(package))
    }

    /// The program `wandb-core` in W&B's package, which the command `wandb leet` hands over to.
    fn wandb_core(&self, name: &str, units: u64) -> Job {
        Job::new(self.peers.named("wandb", name), self.peers.file("wandb", "bin/wandb-core"), units)
            .slow()
            .unless(self.peers.missing("wandb"))
    }
}
