//! `tb2wandb`: TensorBoard log directories to W&B offline runs.

#[path = "support/mod.rs"]
mod support;

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use support::{Exit, complain, count, on_interrupt, shown};
use wandb_offline::convert::tensorboard::{
    Conversion, ConvertReport, LeftOut, LogDirBeside, Options, Progress, Reason, Restart,
    RunReport, RunStatus, StepMode, follow,
};
use wandb_offline::{Error, ErrorKind, Result};

/// Convert TensorBoard log directories to W&B offline runs.
///
/// Each directory that holds event files becomes one run directory, which `wandb sync` takes. Points of
/// all tags are merged by step, one row for each; every row has `global_step`, TensorBoard's step. The
/// row's `_timestamp` is the latest wall time of its points; a point's own wall time, where it is
/// another, stands under `_wall_time`. Tags that are empty or reserved get `tb/` in front.
///
/// Images, sounds, tables and meshes become files of the run. Hyperparameters become its config. Graphs,
/// profiles and embeddings are not carried; the report counts them.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = EXIT_CODES)]
struct Args {
    /// Log directories, or single event files.
    #[arg(required = true, value_name = "LOGDIR")]
    logdirs: Vec<PathBuf>,
    /// Where the run directories are made.
    #[arg(short, long, default_value = "wandb", value_name = "DIR")]
    output: PathBuf,
    /// The project [default: WANDB_PROJECT, else the name of the log directory].
    #[arg(short, long)]
    project: Option<String>,
    /// The entity [default: WANDB_ENTITY, else left to the server].
    #[arg(short, long)]
    entity: Option<String>,
    /// The group [default: the name of the log directory].
    #[arg(long)]
    group: Option<String>,
    /// A tag for every run; may be given more than once.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Display names: {run} is the TensorBoard run, {logdir} the log directory's name, {parent} the name
    /// of the directory around the run's.
    #[arg(long, default_value = "{run}", value_name = "TEMPLATE")]
    name_template: String,
    /// Make each log directory one run, with the sub-directories' names in front of their tags.
    #[arg(long)]
    merge: bool,
    /// Keep as runs of their own the sub-run that add_hparams leaves beside a run, and one that has
    /// hyperparameters and no metrics above those it is of.
    #[arg(long)]
    no_fold_hparams: bool,
    /// Give tags other keys: each match of the regular expression is replaced; $1 or ${name} stands for a
    /// group. May be given more than once, and each rule goes on with what the one before made. A `=`
    /// inside the expression is written \x3d. Two tags with the same key are an error.
    #[arg(long, value_name = "REGEX=REPL")]
    rename: Vec<String>,
    /// Carry only tags that match the regular expression, or one of several.
    #[arg(long, value_name = "REGEX")]
    keep: Vec<String>,
    /// Leave out tags that match the regular expression.
    #[arg(long, value_name = "REGEX")]
    drop: Vec<String>,
    /// What `_step` is.
    #[arg(long, value_enum, default_value_t = Steps::Auto)]
    step_mode: Steps,
    /// Which points stay valid when a training was restarted and logged steps again.
    #[arg(long, value_enum, default_value_t = RestartRule::Tensorboard, value_name = "POLICY")]
    restart: RestartRule,
    /// Do not keep wall times that differ from their row's.
    #[arg(long)]
    no_wall_times: bool,
    /// Leave out events that do not match their checksum even if they can be read.
    #[arg(long)]
    no_suspects: bool,
    /// Add to runs that were converted before what their log directories have more by now. Refuses a run
    /// whose rows would change, but for the last one if it was not uploaded yet.
    #[arg(long)]
    update: bool,
    /// Keep the runs up to date while their files grow, as with --update, until interrupted; then finish
    /// them.
    #[arg(long, conflicts_with = "dry_run")]
    follow: bool,
    /// How many seconds to wait at least between two rounds of --follow.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "follow")]
    interval: u64,
    /// Read everything and report, but write nothing.
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// How many runs are converted at the same time [default: one for each processor].
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Steps {
    /// TensorBoard's step if possible, else a counter.
    Auto,
    /// TensorBoard's step; runs with negative steps fail.
    Tensorboard,
    /// A counter, with global_step defined as the axis.
    Counter,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RestartRule {
    /// As TensorBoard shows it: a point removes earlier ones of its tag at its step and later.
    Tensorboard,
    /// A SessionLog START removes earlier points from its step on, except for the first one of a run.
    Session,
    /// Nothing is removed; points of the same tag and step get rows of their own.
    All,
    /// The last point of each tag and step stays.
    Last,
}

const PROGRAM: &str = "tb2wandb";

const EXIT_CODES: &str = "\
Exit codes:
  0  everything was converted; points made obsolete by a restart are not missed
  1  nothing was converted
  2  wrong usage
  3  converted, but data was left out because it is damaged or of a kind that is not carried, or
     some runs failed (those already converted among them)";

fn main() -> ExitCode {
    support::end(PROGRAM, run(Args::parse()))
}

fn run(args: Args) -> Result<Exit> {
    let (json, logdirs) = (args.json, args.logdirs.clone());
    let every = args.follow.then(|| Duration::from_secs(args.interval));
    let of_environment = args.project.is_none();
    let options = options(args)?;
    let report = match every {
        Some(every) => followed(&logdirs, &options, every),
        None => Conversion::plan(&logdirs, &options).map(watched),
    };
    let report = report.map_err(|error| match error.kind() {
        ErrorKind::Setting { name, reason } if of_environment && name == "project" => {
            Error::setting("WANDB_PROJECT", reason)
        }
        _ => error,
    })?;
    print(&report, &options, json)
        .map_err(|source| Error::new(ErrorKind::Io { action: "print the report", source }))?;
    print_errors(&report);
    Ok(match (report.converted(), report.failures()) {
        (0, _) => Exit::Failed,
        (_, 0) if !report.is_lossy() => Exit::Done,
        _ => Exit::Partly,
    })
}

fn print(report: &ConvertReport, options: &Options, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        writeln!(out)?;
    } else {
        out.write_all(text(report, options).as_bytes())?;
    }
    out.flush()
}

fn options(args: Args) -> Result<Options> {
    let from_env = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    Ok(Options {
        output: args.output,
        project: args.project.or_else(|| from_env("WANDB_PROJECT")),
        entity: args.entity.or_else(|| from_env("WANDB_ENTITY")),
        group: args.group,
        tags: args.tags,
        name_template: args.name_template,
        merge: args.merge,
        key_rule: support::key_rule(&args.rename, &args.keep, &args.drop)?,
        fold_hparams: !args.no_fold_hparams,
        step_mode: match args.step_mode {
            Steps::Auto => StepMode::Auto,
            Steps::Tensorboard => StepMode::TensorBoard,
            Steps::Counter => StepMode::Counter,
        },
        restart: match args.restart {
            RestartRule::Tensorboard => Restart::TensorBoard,
            RestartRule::Session => Restart::Session,
            RestartRule::All => Restart::All,
            RestartRule::Last => Restart::Last,
        },
        wall_times: !args.no_wall_times,
        suspects: !args.no_suspects,
        update: args.update,
        dry_run: args.dry_run,
        jobs: args.jobs,
        ..Options::default()
    })
}

/// Converts, with a progress bar on a terminal.
fn watched(conversion: Conversion<'_>) -> ConvertReport {
    if !io::stderr().is_terminal() {
        return conversion.run(&|_| {});
    }
    let bar = ProgressBar::new(conversion.bytes());
    let template = "{bar:30} {bytes}/{total_bytes} {msg}";
    bar.set_style(
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let report = conversion.run(&|progress| match progress {
        Progress::Read(bytes) => bar.inc(bytes),
        Progress::Done(run) => bar.set_message(shown(&run.name)),
        _ => {}
    });
    bar.finish_and_clear();
    report
}

/// Converts until interrupted. A second interrupt is obeyed at once.
fn followed(logdirs: &[PathBuf], options: &Options, every: Duration) -> Result<ConvertReport> {
    let stopped = on_interrupt()?;
    // Runs that fail from round to round are told of when they begin to, or fail differently.
    let failing: Mutex<HashMap<String, String>> = Mutex::default();
    let tell = |progress: Progress<'_>| {
        let Progress::Done(run) = progress else { return };
        let mut failing = failing.lock().unwrap_or_else(PoisonError::into_inner);
        match &run.error {
            Some(error) if run.status == RunStatus::Failed => {
                if failing.insert(run.run_id.clone(), error.clone()).as_ref() != Some(error) {
                    print_failure(run);
                }
            }
            _ => _ = failing.remove(&run.run_id),
        }
    };
    follow(logdirs, options, every, &mut |time| stopped.recv_timeout(time).is_ok(), &tell)
}

fn text(report: &ConvertReport, options: &Options) -> String {
    let mut text = String::new();
    for run in &report.runs {
        if run.status != RunStatus::Failed {
            // Writing to a string does not fail.
            let _ = run_text(&mut text, run, options);
        }
    }
    for beside in &report.beside {
        let _ = beside_text(&mut text, beside);
    }
    text
}

fn beside_text(text: &mut String, beside: &LogDirBeside) -> std::fmt::Result {
    writeln!(text, "{}", shown(&beside.path.display().to_string()))?;
    for (files, what) in [(beside.embeddings, "embeddings"), (beside.profiles, "profile")] {
        if files > 0 {
            writeln!(text, "  left out: {files} not carried: {what}")?;
        }
    }
    Ok(())
}

fn run_text(text: &mut String, run: &RunReport, options: &Options) -> std::fmt::Result {
    let name = shown(&run.name);
    let Some(directory) = &run.directory else {
        writeln!(text, "{name}: nothing to convert")?;
        return damage_text(text, run);
    };
    let directory = shown(&directory.display().to_string());
    let would = if options.dry_run { "would become " } else { "" };
    writeln!(text, "{name} -> {would}{directory}")?;
    writeln!(
        text,
        "  carried: {} of {} in {}, from {} in {}",
        count(run.points, "point"),
        count(run.tags, "tag"),
        count(run.rows, "row"),
        count(run.events, "event"),
        count(run.files, "file"),
    )?;
    match run.status {
        RunStatus::Updated => {
            writeln!(text, "  added to the run made before: {}", count(run.rows_added, "row"))?;
            if run.rows_replaced > 0 {
                let rows = count(run.rows_replaced, "row");
                writeln!(text, "  replaced in it, for they are others now: {rows}")?;
            }
        }
        RunStatus::Unchanged => writeln!(text, "  the run made before has all of it")?,
        _ => {}
    }
    if run.media > 0 {
        let files = count(run.media, "file");
        writeln!(text, "  carried: {files} of media, {} bytes", run.media_bytes)?;
    }
    if run.hparams > 0 {
        writeln!(text, "  carried: {} hyperparameters as config", run.hparams)?;
    }
    changes_text(text, run)?;
    for left_out in &run.left_out {
        let what = shown(&left_out.what);
        let colon = if what.is_empty() { "" } else { ": " };
        writeln!(text, "  left out: {} {}{colon}{what}", left_out.count, left_out.reason)?;
    }
    damage_text(text, run)
}

/// What is there but not as it was logged.
fn changes_text(text: &mut String, run: &RunReport) -> std::fmt::Result {
    for folded in &run.folded {
        writeln!(text, "  changed: its hyperparameters come from {}", shown(folded))?;
    }
    if run.counted_steps {
        writeln!(text, "  changed: _step counts rows, global_step is TensorBoard's step")?;
    }
    for rename in &run.renamed {
        let (tag, key) = (shown(&rename.tag), shown(&rename.key));
        writeln!(text, "  changed: tag \"{tag}\" has the key \"{key}\"")?;
    }
    if run.rebinned > 0 {
        let histograms = count(run.rebinned, "histogram");
        writeln!(
            text,
            "  changed: {histograms} of more than 512, of overlapping or of infinite bins got others"
        )?;
    }
    if run.binned_tensors > 0 {
        let tensors = count(run.binned_tensors, "tensor");
        writeln!(text, "  changed: {tensors} of more than 32 numbers became histograms")?;
    }
    if run.large_texts > 0 {
        let texts = count(run.large_texts, "text");
        writeln!(text, "  changed: {texts} with no room in a row became tables")?;
    }
    if run.not_in_summary > 0 {
        let tags = count(run.not_in_summary, "tag");
        writeln!(text, "  changed: the last values of {tags} have no room in the summary")?;
    }
    if run.odd_wall_times > 0 {
        let events = count(run.odd_wall_times, "event");
        writeln!(
            text,
            "  changed: {events} with a wall time no calendar has have no say in the start"
        )?;
    }
    if run.other_wall_times > 0 {
        let count = run.other_wall_times;
        match run.wall_times_dropped {
            true => {
                writeln!(text, "  changed: {count} points took over the wall time of their row")?
            }
            false => writeln!(
                text,
                "  changed: {count} points whose wall time is not their row's; kept in _wall_time"
            )?,
        }
    }
    Ok(())
}

fn damage_text(text: &mut String, run: &RunReport) -> std::fmt::Result {
    for unreadable in &run.unreadable {
        let file = shown(&unreadable.file.display().to_string());
        writeln!(text, "  unreadable: {}: {file}", unreadable.error)?;
    }
    for damage in &run.damage {
        let file = shown(&damage.file.display().to_string());
        let (offset, length, what) = (damage.offset, damage.length, shown(&damage.what));
        writeln!(text, "  damaged: {length} bytes from byte {offset} on: {what}: {file}")?;
    }
    Ok(())
}

fn print_errors(report: &ConvertReport) {
    for error in report.skipped.iter().chain(&report.errors) {
        complain(PROGRAM, &format!("{}: {}", error.path.display(), error.error));
    }
    report.runs.iter().filter(|run| run.status == RunStatus::Failed).for_each(print_failure);
    report.runs.iter().for_each(warn_of_nothing);
}

/// That nothing is left of a run is more likely a slip than a wish.
fn warn_of_nothing(run: &RunReport) {
    let is_of_tags = |left_out: &LeftOut| left_out.reason == Reason::NotWanted;
    if run.points == 0 && run.left_out.iter().any(is_of_tags) {
        let path = run.log_dir.join(&run.name);
        complain(PROGRAM, &format!("{}: --keep and --drop leave no tag of it", path.display()));
    }
}

fn print_failure(run: &RunReport) {
    let error = run.error.as_deref().unwrap_or_default();
    complain(PROGRAM, &format!("{}: {error}", run.log_dir.join(&run.name).display()));
}
