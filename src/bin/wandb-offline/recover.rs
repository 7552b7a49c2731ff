//! `wandb-offline recover`: a sound log out of a damaged one.

use super::{Exit, PROGRAM, finish, path_of, print_error, stdout};
use crate::support::{complain, count, shown};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use wandb_offline::Result;
use wandb_offline::recover::{Format, Loss, Options, RecoverReport, Recovered, recover};
use wandb_offline::tfevents::is_event_file;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run, a log alone, or a TensorBoard event file. It is not changed.
    run: PathBuf,
    /// What to write, which must not exist: a log alone if it ends in .wandb, else a run directory, or an
    /// event file [default: RUN-recovered, X.recovered.wandb for a log that is in no run directory,
    /// DIR-recovered/NAME for an event file]
    #[arg(short, long, value_name = "OUTPUT")]
    output: Option<PathBuf>,
    /// Add an exit record if the log has none: a crash, with exit code 1.
    #[arg(long)]
    finish: bool,
    /// Make hard links to the run's files where possible, instead of copies.
    #[arg(long)]
    hard_links: bool,
    /// Only report.
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let options = Options {
        output: args.output.clone(),
        finish: args.finish,
        dry_run: args.dry_run,
        hard_links: args.hard_links,
    };
    let is_events = args.run.is_file() && args.run.file_name().is_some_and(is_event_file);
    let run = if is_events { args.run.clone() } else { path_of(&args.run)? };
    let report = recover(run, &options)?;
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
    if is_events && args.output.is_none() {
        complain(PROGRAM, &format!("{BESIDE_EVENTS}: {}", report.output.display()));
    }
    let lost = &report.recovered;
    if !lost.is_lossy() {
        return Ok(Exit::Done);
    }
    if args.json {
        let (ranges, bytes) = (count(lost.lost_ranges, "range"), count(lost.lost_bytes, "byte"));
        complain(PROGRAM, &format!("{ranges} of {bytes} lost: {}", report.input.display()));
    }
    Ok(Exit::Partly)
}

fn text(report: &RecoverReport) -> String {
    let path = |path: &std::path::Path| shown(&path.display().to_string());
    let mut text = format!("{} -> {}", path(&report.input), path(&report.output));
    text += if report.written { "\n" } else { " (not written)\n" };
    let recovered = &report.recovered;
    text += &format!("  recovered: {}", records(recovered.records, recovered.format));
    if report.files > 0 {
        text += &format!(", {}", count(report.files, "file"));
    }
    text.push('\n');
    if recovered.finished {
        text += "  added: an exit record, exit code 1\n";
    }
    for loss in &recovered.losses {
        // Writing to a string does not fail.
        let _ = loss_text(&mut text, loss, recovered.format);
    }
    let more = recovered.lost_ranges - recovered.losses.len() as u64;
    if more > 0 {
        text += &format!("  lost: {}\n", count(more, "more range"));
    }
    notes(&mut text, recovered);
    text
}

fn loss_text(text: &mut String, loss: &Loss, format: Format) -> std::fmt::Result {
    write!(text, "  lost: bytes {}..{}", loss.offset, loss.end())?;
    match (loss.first_number, loss.last_number) {
        (Some(first), Some(last)) if first == last => write!(text, ", record {first}")?,
        (Some(first), Some(last)) => write!(text, ", records {first} to {last}")?,
        (Some(first), None) => write!(text, ", what came after record {}", first - 1)?,
        _ => {}
    }
    let kinds: Vec<_> = loss.kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    if !kinds.is_empty() {
        write!(text, " ({})", kinds.join(", "))?;
    }
    match (loss.last_step, loss.next_step) {
        (Some(last), Some(next)) => write!(text, ", between steps {last} and {next}")?,
        (Some(last), None) => write!(text, ", after step {last}")?,
        (None, Some(next)) if format == Format::Log => write!(text, ", before step {next}")?,
        _ => {}
    }
    writeln!(text, ": {}", shown(&loss.cause))
}

/// What is worth knowing and is no loss.
fn notes(text: &mut String, recovered: &Recovered) {
    if recovered.copies > 0 {
        let copies = count(recovered.copies, "record");
        *text += &format!("  left out: {copies} there twice\n");
    }
    if recovered.missing > 0 {
        let missing = count(recovered.missing, "number");
        *text += &format!(
            "  note: {missing} no record has, though no byte is missing: an earlier loss\n"
        );
    }
    if recovered.restarts > 0 {
        let times = count(recovered.restarts, "time");
        *text += &format!("  note: numbers begin anew {times}, as where another log follows\n");
    }
}

fn records(n: u64, format: Format) -> String {
    count(n, if format == Format::Events { "event" } else { "record" })
}

const BESIDE_EVENTS: &str = "where TensorBoard looks into the directory around it, this is a second run; move one of the two away";
