//! `wandb-offline split`: one run as two.

use super::{Exit, finish, path_of, print_error, stdout, tell_damage};
use crate::support::{count, shown};
use std::io::Write;
use std::path::PathBuf;
use wandb_offline::Result;
use wandb_offline::rewrite::Template;
use wandb_offline::split::{Options, SplitPart, SplitReport, split};

#[derive(Debug, clap::Args)]
#[command(after_help = RULES)]
pub(crate) struct Args {
    /// The run. It is not changed.
    run: PathBuf,
    /// The first step of the second run.
    #[arg(long, value_name = "STEP", allow_negative_numbers = true)]
    at: i64,
    /// Where the two run directories are made, each called after its time and id.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The id of the second run [default: {id}-fromSTEP]. The first keeps its id.
    #[arg(long, value_name = "TEMPLATE")]
    id: Option<String>,
    /// The name of the first run [default: the one it has].
    #[arg(long, value_name = "TEMPLATE")]
    first_name: Option<String>,
    /// The name of the second run [default: the one it has].
    #[arg(long, value_name = "TEMPLATE")]
    second_name: Option<String>,
    /// Make hard links to the run's files instead of copies.
    #[arg(long)]
    hard_links: bool,
    /// Show what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let template = |name: &str, text: &Option<String>| {
        text.as_deref().map(|text| Template::new(name, text)).transpose()
    };
    let options = Options {
        at: args.at,
        second_id: template("--id", &args.id)?,
        first_name: template("--first-name", &args.first_name)?,
        second_name: template("--second-name", &args.second_name)?,
        hard_links: args.hard_links,
        dry_run: args.dry_run,
    };
    let report = split(path_of(&args.run)?, &args.output, &options)?;
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
    let damage = &report.damage;
    Ok(tell_damage(&damage.gaps, damage.undecodable, damage.tail, &report.log))
}

fn text(report: &SplitReport) -> String {
    let log = report.log.display().to_string();
    let mut text = format!("{}{}\n", shown(&log), not_written(report));
    for part in &report.parts {
        text += &part_text(part);
    }
    text
}

fn not_written(report: &SplitReport) -> &'static str {
    if report.written { "" } else { " (nothing is written)" }
}

fn part_text(part: &SplitPart) -> String {
    let steps = match (part.first_step, part.last_step) {
        (Some(first), Some(last)) if first == last => format!(" of step {first}"),
        (Some(first), Some(last)) => format!(" of steps {first} to {last}"),
        _ => String::new(),
    };
    let directory = part.directory.display().to_string();
    let (rows, files) = (count(part.rows, "row"), count(part.files, "file"));
    let records = count(part.records.records(), "record");
    format!("-> {}\n  {rows}{steps}, {files}, {records}\n", shown(&directory))
}

const RULES: &str = "\
Rows go by their step; console output and system metrics by their time; media files with the rows that name them. \
Both runs have the run's config, metric definitions and environment, and a summary of their own rows. \
`wandb-offline merge` makes one run of them again.

A TEMPLATE is a text in which {id} {name} {project} {entity} {group} {job_type} {sweep} {host} {notes} stand for \
what the run has.";
