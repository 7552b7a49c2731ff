//! `wandb-offline merge`: the segments of a run as one run directory.

use super::{Exit, PROGRAM, finish, print_error, stdout, tell_damage};
use crate::support::{complain, count, shown};
use serde::Serialize;
use std::fmt::{Display, Write as _};
use std::io::Write;
use std::path::{Path, PathBuf};
use wandb_offline::Result;
use wandb_offline::log::find;
use wandb_offline::merge::{
    Damage, EventPlan, EventReport, MergeReport, Options, Overlap, Plan, Ranks, Steps,
};
use wandb_offline::tfevents::{SkipReason, Skipped, discover, is_event_file};

#[derive(Debug, clap::Args)]
#[command(after_help = RULES)]
pub(crate) struct Args {
    /// The segments: logs, run directories, or directories of runs, all of which are meant. Or TensorBoard
    /// log directories, each of them an attempt, which become one log directory.
    #[arg(required = true, value_name = "SEGMENT")]
    segments: Vec<PathBuf>,
    /// The run directory to be made. It must not exist. `wandb sync` finds it by itself if it is called
    /// wandb/offline-run-DATE_TIME-ID.
    #[arg(short, long, value_name = "DIR", required_unless_present = "plan")]
    output: Option<PathBuf>,
    /// Show what would be merged, and write nothing.
    #[arg(long, visible_alias = "dry-run")]
    plan: bool,
    /// Of all runs that are found, merge the segments of this one.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Give the merged run this id. Segments may be of several runs then.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Where the steps of a segment go.
    #[arg(long, value_enum, default_value = "auto", value_name = "RULE")]
    steps: StepsArg,
    /// Which segment has the steps that several could have.
    #[arg(long, value_enum, default_value = "newest", value_name = "RULE")]
    overlap: OverlapArg,
    /// End each segment before the step that the next one begins with: one step for two segments, two for
    /// three, and so on.
    #[arg(long, value_name = "STEP", value_delimiter = ',', conflicts_with = "overlap")]
    cut: Vec<i64>,
    /// Merge the ranks of one job instead, which each logged a run: rows of one step become one row, with such
    /// a text in front of the keys of a rank, in which n in braces is the number of the rank. Ranks are
    /// numbered in the order in which they are named, from 0 on.
    // In a help text clap takes {n} for the end of a line, in the name of a value not.
    #[arg(long, value_name = "rank{n}/", conflicts_with_all = ["overlap", "steps", "cut"])]
    rank_prefix: Option<String>,
    /// Make hard links to the files of the segments instead of copies.
    #[arg(long)]
    hard_links: bool,
    /// Print the plan and the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum StepsArg {
    /// Where they were recorded; those of a segment that counts from the run's beginning again go behind
    /// the ones before, or where `wandb sync` placed them.
    Auto,
    /// Where they were recorded.
    Recorded,
    /// Behind the ones before, if they would overlap.
    Shift,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OverlapArg {
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
    /// None: it is an error that names both.
    Error,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let output = args.output.as_ref().filter(|_| !args.plan);
    if let Some(prefix) = &args.rank_prefix {
        let ranks = Ranks::new(&args.segments, prefix, &options(args))?;
        let report = output.map(|output| ranks.write(output)).transpose()?;
        print(&ranks, report.as_ref(), report_text, args.json)?;
        return Ok(tell_all(ranks.damage()));
    }
    if args.segments.iter().all(|path| is_tensorboard(path)) {
        let plan = EventPlan::new(&args.segments, &options(args))?;
        let report = output.map(|output| plan.write(output)).transpose()?;
        print(&plan, report.as_ref(), event_report_text, args.json)?;
        for attempt in plan.attempts.iter().filter(|attempt| attempt.files_beside > 0) {
            let files = count(attempt.files_beside, "file");
            let path = attempt.path.display();
            complain(
                PROGRAM,
                &format!("left where they are, for they are no event files: {files} in {path}"),
            );
        }
        return Ok(tell_unreadable(&plan).max(tell_all(plan.damage())));
    }
    let plan = Plan::new(&args.segments, &options(args))?;
    let report = output.map(|output| plan.write(output)).transpose()?;
    print(&plan, report.as_ref(), report_text, args.json)?;
    Ok(tell_all(plan.damage()))
}

/// Whether there are event files at a path and no log of a run.
fn is_tensorboard(path: &Path) -> bool {
    if !path.is_dir() {
        return path.file_name().is_some_and(is_event_file);
    }
    find(path).0.is_empty() && discover(path).is_ok_and(|found| !found.runs.is_empty())
}

fn print<P: Serialize + Display, R: Serialize>(
    plan: &P,
    report: Option<&R>,
    report_text: impl Fn(&mut String, &R) -> std::fmt::Result,
    json: bool,
) -> Result<()> {
    let mut out = stdout();
    let printed = if json {
        serde_json::to_writer_pretty(&mut out, &Both { plan, report })
            .map_err(Into::into)
            .and_then(|()| writeln!(out))
    } else {
        let mut text = plan.to_string();
        // Writing to a string does not fail.
        let _ = report.map(|report| report_text(&mut text, report));
        let lines: Vec<_> = text.split('\n').map(shown).collect();
        out.write_all(lines.join("\n").as_bytes())
    };
    printed.map_err(print_error)?;
    finish(&mut out)
}

fn tell_unreadable(plan: &EventPlan) -> Exit {
    let mut exit = Exit::Done;
    for Skipped { path, reason, .. } in plan.unreadable() {
        if let SkipReason::Unreadable(error) = reason {
            complain(PROGRAM, &format!("not looked into: {error}: {}", path.display()));
        }
        exit = Exit::Partly;
    }
    exit
}

fn tell_all<'a>(damage: impl Iterator<Item = (&'a Path, &'a Damage)>) -> Exit {
    let exits =
        damage.map(|(log, damage)| tell_damage(&damage.gaps, damage.undecodable, damage.tail, log));
    exits.max().unwrap_or(Exit::Done)
}

#[derive(Serialize)]
struct Both<'a, P, R> {
    plan: &'a P,
    report: Option<&'a R>,
}

fn options(args: &Args) -> Options {
    Options {
        run_id: args.run.clone(),
        new_id: args.id.clone(),
        steps: match args.steps {
            StepsArg::Auto => Steps::Auto,
            StepsArg::Recorded => Steps::Recorded,
            StepsArg::Shift => Steps::Shift,
        },
        overlap: match args.overlap {
            _ if !args.cut.is_empty() => Overlap::Cut(args.cut.clone()),
            OverlapArg::Newest => Overlap::Newest,
            OverlapArg::Oldest => Overlap::Oldest,
            OverlapArg::Error => Overlap::Refuse,
        },
        hard_links: args.hard_links,
    }
}

fn report_text(text: &mut String, report: &MergeReport) -> std::fmt::Result {
    writeln!(text, "-> {}", report.directory.display())?;
    let (rows, files) = (count(report.rows, "row"), count(report.files, "file"));
    writeln!(text, "  carried: {rows}, {files}, {}", count(report.written.records(), "record"))?;
    for (segment, rows) in (1..).zip(&report.rows_left_out).filter(|(_, rows)| **rows > 0) {
        let rows = count(*rows, "row");
        writeln!(text, "  left out: {rows} of segment {segment}, whose steps another has")?;
    }
    if report.odd_steps > 0 {
        let rows = count(report.odd_steps, "row");
        writeln!(text, "  note: {rows} without a step that is a whole number from 0 on")?;
        writeln!(
            text,
            "        (negative ones are as they were, others got the step behind the row before)"
        )?;
    }
    if report.preemptings_left_out > 0 {
        let records = count(report.preemptings_left_out, "record");
        writeln!(
            text,
            "  left out: {records} that a segment was being preempted, for another goes on"
        )?;
    }
    if report.console_left_out > 0 {
        let records = count(report.console_left_out, "record");
        writeln!(text, "  left out: {records} of the console of ranks other than 0")?;
    }
    for conflict in &report.config_conflicts {
        let values = conflict.values.iter().map(|(n, value)| format!("{value} in {n}"));
        let values = values.collect::<Vec<_>>().join(", ");
        writeln!(text, "  config: {} is {values}", conflict.key)?;
    }
    for file in &report.renamed_files {
        writeln!(text, "  renamed: {} of {} to {}", file.old, file.of, file.new)?;
    }
    Ok(())
}

fn event_report_text(text: &mut String, report: &EventReport) -> std::fmt::Result {
    writeln!(text, "-> {}", report.directory.display())?;
    writeln!(
        text,
        "  carried: {} in {}",
        count(report.values, "value"),
        count(report.runs, "run")
    )?;
    if report.left_out > 0 {
        let values = count(report.left_out, "value");
        writeln!(text, "  left out: {values}, whose steps another log directory has")?;
    }
    if report.taken_back > 0 {
        let values = count(report.taken_back, "value");
        writeln!(text, "  left out: {values}, which a restart took back")?;
    }
    Ok(())
}

const RULES: &str = "\
The segments are only read. Steps of a segment are all from its first to its last. Where several have a \
step, one of them gives its rows for it; nothing else is left out. `_runtime` goes on from one segment to the \
next. The config key _wandb_offline says which segments the run was made of.

In TensorBoard log directories runs of one name belong together, and overlaps are decided tag by tag. Steps are \
where they were recorded unless --steps shift says otherwise. What a restart took back stays taken back.

Examples:
  wandb-offline merge wandb --plan
  wandb-offline merge wandb --run gpt2 -o merged/offline-run-20261124_100000-gpt2
  wandb-offline merge runs/first runs/second -o runs/whole";
