//! `wandb-offline export`: the history of a run as a table.

use super::{Exit, PROGRAM, finish, stdout, tell_damage};
use crate::support::complain;
use std::path::PathBuf;
use wandb_offline::export::{Format, HistoryExport};
use wandb_offline::{Result, log};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run.
    #[arg(default_value = "wandb")]
    run: PathBuf,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = FormatName::Csv)]
    format: FormatName,
    /// Export these keys only, in this order.
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    keys: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatName {
    /// A header line, then a line per row; NaN and Infinity stand as they are.
    Csv,
    /// A JSON object per row and line; NaN and Infinity are strings.
    Jsonl,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let log = log::locate(&args.run)?;
    let mut export = HistoryExport::new(match args.format {
        FormatName::Csv => Format::Csv,
        FormatName::Jsonl => Format::JsonLines,
    });
    if !args.keys.is_empty() {
        export = export.keys(args.keys.iter().cloned());
    }
    let mut out = stdout();
    let report = export.write(&log.path, &mut out)?;
    finish(&mut out)?;
    for key in &report.missing_keys {
        complain(PROGRAM, &format!("no row has the key {key:?}: {}", log.path.display()));
    }
    Ok(tell_damage(&report.gaps, report.undecodable, &log.path))
}
