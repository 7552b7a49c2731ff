//! `wandb-offline to-tensorboard`: runs as a TensorBoard log directory.

use super::{Exit, PROGRAM, finish, print_error, refuse_event_file, stdout};
use crate::support::{complain, count, on_interrupt, shown};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use wandb_offline::Result;
use wandb_offline::convert::wandb::{
    Carried, Changed, ConvertReport, Options, RunReport, RunStatus, follow, to_tensorboard,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs: logs, run directories, or directories of runs, all of which are meant.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The log directory, to which a directory is added for each run. Nothing is overwritten.
    #[arg(short, long, value_name = "LOGDIR")]
    output: PathBuf,
    /// What stands between the elements of a nested key.
    #[arg(long, default_value = "/", value_name = "TEXT")]
    separator: String,
    /// Leave out the config and the exit code.
    #[arg(long)]
    no_hparams: bool,
    /// Leave out system metrics.
    #[arg(long)]
    no_system: bool,
    /// Carry the end of the console output, as text.
    #[arg(long)]
    console: bool,
    /// Carry numbers of the summary that no row has.
    #[arg(long)]
    summary: bool,
    /// How many rows of a table are carried.
    #[arg(long, default_value_t = Options::default().table_rows, value_name = "N")]
    table_rows: usize,
    /// Go on as the runs grow, until each has ended or this program is interrupted. Where earlier data of a
    /// run changes, as by another config, its event file is written anew and takes the place of the one
    /// before.
    #[arg(long)]
    follow: bool,
    /// How many seconds to wait at least between two rounds of --follow.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "follow")]
    interval: u64,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    args.runs.iter().try_for_each(|run| refuse_event_file(run))?;
    let options = Options {
        separator: args.separator.clone(),
        hparams: !args.no_hparams,
        system: !args.no_system,
        console: args.console,
        summary: args.summary,
        table_rows: args.table_rows,
        ..Options::default()
    };
    let report = match args.follow {
        true => followed(args, &options)?,
        false => to_tensorboard(&args.runs, &args.output, &options)?,
    };
    let mut out = stdout();
    let printed = if args.json {
        serde_json::to_writer_pretty(&mut out, &report)
            .map_err(Into::into)
            .and_then(|()| writeln!(out))
    } else {
        out.write_all(text(&report).as_bytes())
    };
    printed.map_err(print_error)?;
    finish(&mut out)?;
    for error in &report.errors {
        complain(PROGRAM, error);
    }
    // Those of runs that were followed were told when they came up.
    report.runs.iter().filter(|_| !args.follow).for_each(tell_error);
    Ok(match report.converted() {
        0 => Exit::Failed,
        _ if report.is_lossy() => Exit::Partly,
        _ => Exit::Done,
    })
}

/// Converts until all runs have ended, or until interrupted. A second interrupt is obeyed at once.
fn followed(args: &Args, options: &Options) -> Result<ConvertReport> {
    let stopped = on_interrupt()?;
    let every = Duration::from_secs(args.interval);
    let mut wait = |time| stopped.recv_timeout(time).is_ok();
    let (mut told, mut anew) = (HashSet::new(), HashMap::new());
    let mut observe = |run: &RunReport| {
        if run.error.is_some() && told.insert((run.log.clone(), run.error.clone())) {
            tell_error(run);
        }
        let rewritten = run.changed.iter().find(|change| change.what == Changed::Rewritten);
        let times = rewritten.map_or(0, |change| change.count);
        if times > anew.insert(run.log.clone(), times).unwrap_or(0) {
            let what = "earlier data changed, so its event file was written anew";
            complain(PROGRAM, &format!("{}: {what}", run.log.display()));
        }
    };
    follow(&args.runs, &args.output, options, every, &mut wait, &mut observe)
}

fn tell_error(run: &RunReport) {
    if let Some(error) = &run.error {
        complain(PROGRAM, &format!("{}: {error}", run.log.display()));
    }
}

fn text(report: &ConvertReport) -> String {
    let mut text = String::new();
    for run in report.runs.iter().filter(|run| run.status == RunStatus::Converted) {
        // Writing to a string does not fail.
        let _ = run_text(&mut text, run);
    }
    text
}

fn run_text(text: &mut String, run: &RunReport) -> std::fmt::Result {
    let path = |path: &std::path::Path| shown(&path.display().to_string());
    let directory = run.directory.as_deref().unwrap_or(&run.log);
    writeln!(text, "{} -> {}", path(&run.log), path(directory))?;
    let (rows, tags) = (count(run.rows, "row"), count(run.carried.tags, "tag"));
    writeln!(text, "  carried: {}, from {rows} with {tags}", kinds(&run.carried))?;
    for change in &run.changed {
        writeln!(text, "  changed: {} {}", change.count, change.what)?;
    }
    for left_out in &run.left_out {
        let what = shown(&left_out.what);
        writeln!(text, "  left out: {what} ({}): {}", left_out.count, left_out.reason)?;
    }
    for damage in &run.damage {
        let (offset, length) = (damage.offset, damage.length);
        writeln!(text, "  damaged: {length} bytes from byte {offset} on: {}", damage.what)?;
    }
    if run.undecodable > 0 {
        writeln!(text, "  damaged: {}, not a valid message", count(run.undecodable, "record"))?;
    }
    Ok(())
}

/// What was carried, kind by kind.
fn kinds(carried: &Carried) -> String {
    let kinds = [
        (carried.scalars, "scalar"),
        (carried.histograms, "histogram"),
        (carried.images, "image"),
        (carried.sounds, "sound"),
        (carried.texts, "text"),
        (carried.tables, "table"),
        (carried.meshes, "mesh"),
        (carried.hparams, "hyperparameter"),
        (carried.system, "system metric"),
        (carried.console_lines, "console line"),
        (carried.charts, "chart"),
    ];
    let there = kinds.into_iter().filter(|(n, _)| *n > 0);
    let there: Vec<_> = there.map(|(n, what)| count(n, what)).collect();
    if there.is_empty() { "nothing".into() } else { there.join(", ") }
}
