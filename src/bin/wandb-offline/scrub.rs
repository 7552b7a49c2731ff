//! `wandb-offline scrub`: a copy of a run without its secrets.

use super::secrets::SecretArgs;
use super::{Exit, finish, path_of, print_error, stdout, tell_empty};
use crate::support::{count, shown};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use wandb_offline::Result;
use wandb_offline::scrub::{Options, ScrubReport, Unread, scrub};

/// Make a copy of a run without the secrets in it: API keys, tokens, passwords, private keys, URLs with
/// credentials.
///
/// They are found in config, arguments, environment, notes, history, summary and console output, and in the
/// text files of the run directory, and replaced by marks like `[scrubbed wandb api key]`. All else is copied
/// as it is. The copy is scanned again before it gets its name; the run itself is never changed. Only the
/// first four characters of a secret are ever shown. A secret that was shared must still be revoked.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The run: a log, a run directory, a directory of one run, or an id.
    run: PathBuf,
    /// The copy, which must not exist: a log alone if it ends in .wandb, else a run directory [default:
    /// RUN-scrubbed, or X.scrubbed.wandb for a log that is in no run directory]
    #[arg(short, long, value_name = "OUTPUT")]
    output: Option<PathBuf>,
    #[command(flatten)]
    secrets: SecretArgs,
    /// Only report.
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let options = Options {
        scanner: args.secrets.scanner()?,
        output: args.output.clone(),
        dry_run: args.dry_run,
    };
    let report = scrub(path_of(&args.run)?, &options)?;
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
    if report.records == 0 {
        return Ok(tell_empty(&report.input));
    }
    let found = args.dry_run && report.found > 0;
    Ok(if found || report.is_lossy() { Exit::Partly } else { Exit::Done })
}

fn text(report: &ScrubReport) -> String {
    let path = |path: &Path| shown(&path.display().to_string());
    let mut text = path(&report.input);
    match &report.output {
        Some(output) => text += &format!(" -> {}\n", path(output)),
        None => text += " (no copy written)\n",
    }
    let mut kinds = BTreeMap::new();
    for secret in &report.secrets {
        *kinds.entry(secret.kind).or_insert(0) += 1;
    }
    let kinds: Vec<_> = kinds.into_iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let of = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
    text += &format!("  {}{of}\n", count(report.found, "secret"));
    for secret in &report.secrets {
        // A line end within a name would look like a line of ours.
        let line = secret.to_string().replace('\n', "\\n");
        let _ = writeln!(text, "  {}", shown(&line));
    }
    let more = report.found - report.secrets.len() as u64;
    if more > 0 {
        text += &format!("  and {more} more\n");
    }
    if report.output.is_some() {
        let changed =
            [count(report.records_changed, "record"), count(report.files_changed, "file")];
        let copied = count(report.files_copied, "file");
        text += &format!("  changed: {}; copied: {copied}\n", changed.join(", "));
    }
    text += &unread_text(report);
    if report.is_lossy() {
        let (bytes, records) =
            (count(report.gap_bytes, "byte"), count(report.undecodable, "record"));
        text += &format!("  not in the copy, for they are damaged: {bytes}, {records} more\n");
    }
    text
}

/// The files that were not looked into: those in which text may be come first.
fn unread_text(report: &ScrubReport) -> String {
    if report.files_unread_count == 0 {
        return String::new();
    }
    let mut files: Vec<_> = report.files_unread.iter().collect();
    files.sort_by_key(|file| file.kind);
    let files_count = count(report.files_unread_count, "file");
    let mut text = format!("  not looked into: {files_count}\n");
    for file in files.iter().take(FILES_TOLD) {
        let why = match file.kind {
            Unread::Linked => "a link to a directory, where all is as it was",
            Unread::Compressed => "compressed; look for secrets in it before you share it",
            _ => "holds no text",
        };
        text += &format!("    {}: {why}\n", shown(&file.file));
    }
    let more = report.files_unread_count.saturating_sub(FILES_TOLD as u64);
    if more > 0 {
        text += &format!("    and {}\n", count(more, "more file"));
    }
    text
}

/// The report as JSON names them all.
const FILES_TOLD: usize = 20;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; with --dry-run: there are no secrets
  1  failed
  2  wrong usage
  3  done, but the log is damaged; with --dry-run: there are secrets";
