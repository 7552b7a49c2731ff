//! `wandb-offline export`: the history of a run as a table.

use super::{Exit, PROGRAM, finish, locate, stdout, tell_damage};
use crate::support::{complain, count};
use std::path::PathBuf;
use wandb_offline::Result;
use wandb_offline::export::{Format, HistoryExport};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run; of a directory of runs the latest.
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
    let log = locate(&args.run)?;
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
    if report.values_left_out > 0 {
        let values = count(report.values_left_out, "value");
        let path = log.path.display();
        complain(PROGRAM, &format!("{values} nested too deep to be shown, left out: {path}"));
    }
    let damage = tell_damage(&report.gaps, report.undecodable, report.tail, &log.path);
    let all_missing = !args.keys.is_empty() && report.missing_keys.len() == args.keys.len();
    Ok(match damage {
        _ if all_missing => Exit::Failed,
        Exit::Done if report.is_lossy() => Exit::Partly,
        exit => exit,
    })
}
