//! `wandb-offline sync --to`: runs into a directory that goes across an air gap.

use super::{Args, json, place, print};
use crate::support::{complain, count, shown};
use crate::{Exit, PROGRAM};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use wandb_offline::Result;
use wandb_offline::sync::{PackReport, PackStatus, PackedRun, pack};

pub(super) fn run(args: &Args, paths: &[PathBuf], dir: &Path) -> Result<Exit> {
    let report = pack(paths, dir, &args.options()?)?;
    for run in &report.runs {
        let mark = if run.status == PackStatus::Skipped { "left out: " } else { "" };
        for problem in &run.problems {
            complain(PROGRAM, &format!("{}: {mark}{problem}", run.log.display()));
        }
    }
    for error in &report.errors {
        complain(PROGRAM, error);
    }
    print(&if args.json { json(&report)? } else { text(args, &report) })?;
    Ok(match report.is_complete() {
        true => Exit::Done,
        false if report.has_packed() => Exit::Partly,
        false => Exit::Failed,
    })
}

fn text(args: &Args, report: &PackReport) -> String {
    let mut text = String::new();
    for run in report.runs.iter().filter(|run| run.status != PackStatus::Skipped) {
        // Writing to a string does not fail.
        let _ = run_text(&mut text, args, run);
    }
    text
}

fn run_text(text: &mut String, args: &Args, run: &PackedRun) -> std::fmt::Result {
    let status = match run.status {
        PackStatus::Packed => "packed",
        PackStatus::Unchanged => "packed before",
        PackStatus::Planned => "would be packed",
        PackStatus::Partly if args.dry_run => "would be packed in part",
        PackStatus::Partly => "packed in part",
        _ => "failed",
    };
    let log = shown(&run.log.display().to_string());
    match run.run.as_deref().map(place) {
        Some(to) => writeln!(text, "{status}: {log} -> {}", shown(&to))?,
        None => writeln!(text, "{status}: {log}")?,
    }
    if run.status == PackStatus::Failed {
        return Ok(());
    }
    let sizes: u64 = run.files.iter().map(|file| file.size).sum();
    write!(
        text,
        "  a log of {}, {} with {}",
        count(run.log_bytes, "byte"),
        count(run.files.len() as u64, "file"),
        count(sizes, "byte"),
    )?;
    match args.dry_run {
        true => writeln!(text)?,
        false => writeln!(text, "; {} of it copied now", count(run.copied, "byte"))?,
    }
    if args.verbose {
        for file in &run.files {
            writeln!(text, "  file {}: {} bytes", shown(&file.name), file.size)?;
        }
    }
    Ok(())
}
