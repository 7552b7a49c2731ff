//! `wandb-offline verify`: whether files are whole.

use super::secrets::SecretArgs;
use super::{Exit, PROGRAM, finish, print_error, stdout};
use crate::support::{complain, count, shown};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use wandb_offline::verify::{self, Options, Report, Severity, Verdict};
use wandb_offline::{Error, ErrorKind, Result};

/// Check that logs and event files are whole, and say what will become of their data: a doctor for logs.
///
/// Each file is read from end to end: framing, checksums, record numbers, steps, values that are not finite,
/// lines too long to be uploaded, the files that a log names and their digests, links that lead elsewhere,
/// secrets, how the run ended, and what `wandb sync` 0.31.0 would do. Nothing is changed or sent.
///
/// An error is data that is lost or will not arrive, a warning something to look at before uploading, a note
/// a fact about the run.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Logs, event files, run directories, or directories of any of them.
    #[arg(default_value = "wandb", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Leave out notes and files without errors and warnings.
    #[arg(short, long)]
    quiet: bool,
    /// Do not look for secrets.
    #[arg(long)]
    no_secrets: bool,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Print one JSON object per file and line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let secrets = if args.no_secrets { None } else { Some(args.secrets.scanner()?) };
    let options = Options { secrets, ..Options::default() };
    let mut out = stdout();
    let (mut exit, mut unreadable, mut files) = (Exit::Done, 0, 0);
    for path in &args.paths {
        let (found, errors) = verify::find(path);
        errors.iter().for_each(|error| complain(PROGRAM, error));
        unreadable += errors.len();
        if found.is_empty() && errors.is_empty() {
            complain(PROGRAM, &format!("no log or event file: {}", path.display()));
            unreadable += 1;
        }
        for file in found {
            files += 1;
            match verify::verify(&file, &options) {
                Ok(report) => {
                    if report.verdict() != Verdict::Clean {
                        exit = Exit::Partly;
                    }
                    let text = if args.json { json(&report)? } else { text(args, &report) };
                    out.write_all(text.as_bytes()).map_err(print_error)?;
                }
                Err(error) => {
                    complain(PROGRAM, &format!("{error}{}", cure(&error)));
                    unreadable += 1;
                }
            }
        }
    }
    finish(&mut out)?;
    if unreadable > 0 && files > 1 {
        let files = count(files, "file");
        complain(
            PROGRAM,
            &format!("{unreadable} of what was looked for unreadable, {files} found"),
        );
    }
    Ok(if unreadable > 0 { Exit::Failed } else { exit })
}

/// What helps with a log that cannot be read at all.
fn cure(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Damaged(fault) if fault.kind.is_foreign() => {
            "; `wandb-offline recover` makes a sound log of what is readable in it"
        }
        _ => "",
    }
}

fn json(report: &Report) -> Result<String> {
    let mut line = serde_json::to_string(report).map_err(|error| print_error(error.into()))?;
    line.push('\n');
    Ok(line)
}

fn text(args: &Args, report: &Report) -> String {
    let verdict = report.verdict();
    if args.quiet && verdict == Verdict::Clean {
        return String::new();
    }
    let counts = [Severity::Error, Severity::Warning, Severity::Note].map(|severity| {
        let n = report.findings.count(severity);
        (n > 0).then(|| count(n, &severity.to_string()))
    });
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    let found = if counts.is_empty() { String::new() } else { format!(" {};", counts.join(", ")) };
    let (records, rows) = match report.format {
        verify::Format::Tensorboard => (count(report.records, "event"), "value"),
        _ => (count(report.records, "record"), "row"),
    };
    let rows = count(report.rows, rows);
    let path = report.path.display().to_string();
    let mut text = format!("{verdict:<7}  {}:{found} {records}, {rows}\n", shown(&path));
    let wanted = |severity: Severity| !args.quiet || severity > Severity::Note;
    for finding in report.findings.iter().filter(|finding| wanted(finding.severity())) {
        let line = format!("  {}: {finding}", finding.severity());
        // A line end within a value would look like a line of ours.
        let _ = writeln!(text, "{}", shown(&line.replace('\n', "\\n")));
    }
    for (code, severity, more) in
        report.findings.more().filter(|(_, severity, _)| wanted(*severity))
    {
        let _ = writeln!(text, "  {severity}: {more} more of {code}");
    }
    if let Some(sync) = report.sync.filter(|_| !args.quiet) {
        let _ = writeln!(text, "  sync: `wandb sync` 0.31.0 {sync}");
    }
    text
}

const EXIT_CODES: &str = "\
Exit codes:
  0  no errors, no warnings
  1  a file could not be read at all; the others were
  2  wrong usage
  3  errors or warnings";
