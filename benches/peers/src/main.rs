//! Runs this crate's programs and library, its peers, and the machine's own limits at the same works in turn
//! (A B C A B C …), and prints what each took as Markdown tables, with the ratio to ours.
//!
//! ```text
//! groups    which works are compared: ours first, then the peers, then the limits
//! data      the logs and event files they work on, made once
//! server    a W&B server that takes everything and keeps nothing
//! peers     which peers this machine has
//! measure   one run of one job, in a process of its own: seconds, CPU seconds, memory
//! table     many runs as a table
//! work      what runs inside such a process: the library, peers that are crates, limits
//! ```

mod data;
mod groups;
mod measure;
mod peers;
mod server;
#[path = "../../shape/mod.rs"]
mod shape;
mod table;
mod work;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use data::Data;
use groups::{Bench, Group};
use measure::{Job, Sample};
use peers::Peers;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Measure this crate and its peers at the same works, in turn.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Args {
    /// The Python that has the peers (wandb, tensorboard, tensorboardX, tbparse). What it lacks is named as
    /// not measured.
    #[arg(long, default_value = "python3", value_name = "PYTHON")]
    python: PathBuf,
    /// Where the data is made, or was made [default: target/peers].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How often each job runs; slow ones run three times at most.
    #[arg(long, default_value_t = 5, value_name = "N")]
    reps: usize,
    /// Only groups with this word in their name.
    #[arg(long, value_name = "WORD", default_value = "")]
    only: String,
    /// Logs of 1,000,000 rows as well, and of 10 GB where the disk has 25 GB free.
    #[arg(long)]
    large: bool,
    #[command(subcommand)]
    work: Option<Inner>,
}

#[derive(Debug, Subcommand)]
enum Inner {
    /// One run of a work, in this process. This is what the command itself calls.
    #[command(hide = true)]
    Work(work::Args),
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(Inner::Work(work)) = &args.work {
        work::run(work)?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(args.reps > 0, "--reps must be 1 at least");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no root")?;
    let programs = build(root)?;
    let data = Data::new(args.data.clone().unwrap_or_else(|| root.join("target/peers")))?;
    let peers = Peers::find(&args.python);
    eprintln!("{peers}");
    let bench = Bench::new(programs, data, peers, args.large)?;
    let mut failed = false;
    for (name, make) in groups::ALL {
        if !name.contains(&args.only) {
            continue;
        }
        for group in make(&bench)? {
            let results = run(&group, &bench, args.reps);
            failed |= results.iter().any(|result| matches!(result, Outcome::Failed(_)));
            println!("{}", table::of(&group, &results));
        }
        bench.data.forget_large()?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Builds the programs as users get them, and says where they are.
fn build(root: &Path) -> Result<PathBuf> {
    let target = root.join("target");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells this program of itself would have dependencies built anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let status = cargo
        .args(["build", "--release", "--locked", "--features", "cli,sync", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .context("cargo")?;
    ensure!(status.success(), "the programs do not build");
    Ok(target.join("release"))
}

/// What came of a job.
#[derive(Debug)]
enum Outcome {
    /// Its runs.
    Measured(Vec<Sample>),
    /// The peer is not there: why.
    Missing(String),
    /// A run failed: why.
    Failed(String),
}

/// Runs the jobs of a group in turn, so that whatever else the machine does meets all of them.
fn run(group: &Group, bench: &Bench, reps: usize) -> Vec<Outcome> {
    let begin = |job: &Job| match &job.missing {
        Some(why) => Outcome::Missing(why.clone()),
        None => Outcome::Measured(Vec::new()),
    };
    let mut outcomes: Vec<_> = group.jobs.iter().map(begin).collect();
    for rep in 0..reps {
        for (job, outcome) in group.jobs.iter().zip(&mut outcomes) {
            let Outcome::Measured(samples) = outcome else { continue };
            if job.slow && rep >= SLOW_REPS {
                continue;
            }
            eprintln!("{}, run {} of {reps}: {}", group.title, rep + 1, job.name);
            match job.run(&bench.scratch) {
                Ok(sample) => samples.push(sample),
                Err(error) => {
                    eprintln!("  failed: {error:#}");
                    *outcome = Outcome::Failed(format!("{error:#}"));
                }
            }
        }
    }
    outcomes
}

/// How often a slow job runs at most.
const SLOW_REPS: usize = 3;
