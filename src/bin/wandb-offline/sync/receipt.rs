//! The receipt of a log, as text.

use super::place;
use crate::support::{count, shown};
use std::fmt::{Result, Write};
use wandb_offline::sync::{ArtifactReport, FileReport, RunReport, RunStatus};

/// What became of a log; nothing of one that was left out.
pub(super) fn receipt(run: &RunReport, server: &str, verbose: bool) -> String {
    let mut text = String::new();
    if run.status != RunStatus::Skipped {
        // Writing to a string does not fail.
        let _ = put(&mut text, run, server, verbose);
    }
    text
}

fn put(text: &mut String, run: &RunReport, server: &str, verbose: bool) -> Result {
    let status = match run.status {
        RunStatus::Synced => "synced",
        RunStatus::Already => "synced before",
        RunStatus::Planned => "would be synced",
        RunStatus::Open => "synced so far",
        RunStatus::Partly => "synced in part",
        _ => "failed",
    };
    write!(text, "{status}: {}", shown(&run.log.display().to_string()))?;
    match (&run.url, &run.run) {
        (Some(url), _) => writeln!(text, " -> {}", shown(url))?,
        (None, Some(run)) => writeln!(text, " -> {} at {}", shown(&place(run)), shown(server))?,
        (None, None) => writeln!(text)?,
    }
    match run.status {
        RunStatus::Failed => return Ok(()),
        RunStatus::Planned if !run.receipt.has_any() => return Ok(()),
        RunStatus::Planned => write!(text, "  stored already: ")?,
        _ => write!(text, "  ")?,
    }
    totals(text, run)?;
    for check in &run.checks {
        let agrees = match check.agrees {
            Some(true) => "as the log has it",
            Some(false) => "NOT as the log has it",
            None => &check.server,
        };
        writeln!(text, "  audit: {}: {agrees}", check.what)?;
    }
    if verbose {
        run.receipt.files.iter().try_for_each(|found| file(text, found))?;
        run.receipt.artifacts.iter().try_for_each(|found| artifact(text, found))?;
    }
    Ok(())
}

fn totals(text: &mut String, run: &RunReport) -> Result {
    let receipt = &run.receipt;
    write!(text, "{}", count(receipt.rows, "row"))?;
    if let Some(step) = receipt.last_step.filter(|_| receipt.rows > 0) {
        write!(text, " to step {step}")?;
    }
    let stored = receipt.files.iter().filter(|file| file.status.is_stored());
    let (files, bytes) =
        stored.fold((0, 0), |(n, bytes), file| (n + 1, bytes + file.size.unwrap_or(0)));
    let artifacts = receipt.artifacts.iter().filter(|artifact| artifact.status.is_stored());
    write!(
        text,
        ", {}, {}",
        count(receipt.events, "system sample"),
        count(receipt.console_lines, "console line"),
    )?;
    // Of a run that another client uploaded, only the server knows what it has.
    let is_known = |what: &str| run.checks.iter().all(|c| c.what != what || c.agrees.is_some());
    if !receipt.files.is_empty() || is_known("files") {
        write!(text, ", {}", of(files, receipt.files.len(), "file"))?;
    }
    if files > 0 {
        write!(text, " with {}", count(bytes, "byte"))?;
    }
    if !receipt.artifacts.is_empty() || is_known("artifacts") {
        write!(text, ", {}", of(artifacts.count(), receipt.artifacts.len(), "artifact"))?;
    }
    writeln!(text)
}

/// `2 files`, or `1 of 2 files`.
fn of(stored: usize, all: usize, what: &str) -> String {
    let all_of_them = count(all as u64, what);
    if stored == all { all_of_them } else { format!("{stored} of {all_of_them}") }
}

fn file(text: &mut String, file: &FileReport) -> Result {
    let name = shown(&file.name);
    match (&file.md5, file.size) {
        (Some(md5), Some(size)) if file.status.is_stored() => {
            writeln!(text, "  file {name}: {}, md5 {}", count(size, "byte"), shown(md5))
        }
        _ => writeln!(text, "  file {name}: not stored"),
    }
}

fn artifact(text: &mut String, report: &ArtifactReport) -> Result {
    let artifact = &report.artifact;
    write!(text, "  artifact {}", shown(&artifact.name))?;
    if let Some(version) = artifact.version {
        write!(text, ":v{version}")?;
    }
    write!(text, " ({}): ", shown(&artifact.kind))?;
    if !report.status.is_stored() {
        return writeln!(text, "not stored");
    }
    writeln!(
        text,
        "{} with {}, digest {}, id {}",
        count(artifact.files, "file"),
        count(artifact.size, "byte"),
        shown(&artifact.digest),
        shown(&artifact.id),
    )
}
