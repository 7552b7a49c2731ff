//! `wandb-offline cat`: the records of a log.

use super::{Exit, PROGRAM, finish, locate, print_error, stdout, tell_damage, tell_empty};
use crate::support::complain;
use std::io::Write;
use std::path::PathBuf;
use wandb_offline::record::{KeyFilter, RawRecord, RecordKind};
use wandb_offline::{Error, Reader, Result};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run; of a directory of runs the latest.
    #[arg(default_value = "wandb")]
    run: PathBuf,
    /// Print records of these kinds only, such as history, summary, config, run.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    kind: Vec<String>,
    /// Print only these keys of history, summary, config and stats records, and no other records.
    #[arg(long, value_delimiter = ',', value_name = "KEY")]
    keys: Vec<String>,
    /// For symmetry with the other commands: the output always is JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let kinds = args.kind.iter().map(|name| kind(name)).collect::<Result<Vec<_>>>()?;
    let filter = (!args.keys.is_empty()).then(|| KeyFilter::new(&args.keys));
    let log = locate(&args.run)?;
    let mut reader = Reader::options().lenient(true).open(&log.path)?;
    let mut out = stdout();
    let (mut records, mut printed, mut undecodable, mut line) = (0_u64, 0_u64, 0, String::new());
    while let Some(record) = reader.next_record()? {
        records += 1;
        match print(&record, &kinds, filter.as_ref(), &mut line) {
            Ok(true) => {
                out.write_all(line.as_bytes()).map_err(print_error)?;
                printed += 1;
            }
            Ok(false) => {}
            Err(_) => undecodable += 1,
        }
    }
    finish(&mut out)?;
    let damage = tell_damage(reader.gaps(), undecodable, reader.tail(), &log.path);
    if records == 0 {
        return Ok(tell_empty(&log.path));
    }
    if printed == 0 && filter.is_some() {
        let (keys, path) = (args.keys.join(", "), log.path.display());
        complain(PROGRAM, &format!("no record has a key of --keys {keys}: {path}"));
        return Ok(Exit::Failed);
    }
    Ok(damage)
}

/// Makes the line of a record; says whether it is wanted.
fn print(
    record: &RawRecord<'_>,
    kinds: &[RecordKind],
    filter: Option<&KeyFilter>,
    line: &mut String,
) -> Result<bool> {
    let kind = record.kind()?;
    if !kinds.is_empty() && kind.is_none_or(|kind| !kinds.contains(&kind)) {
        return Ok(false);
    }
    let kept = match filter.map(|filter| filter.apply(record)).transpose()? {
        Some(None) => return Ok(false),
        Some(Some(payload)) => Some(payload),
        None => None,
    };
    line.clear();
    let name = kind.map_or_else(|| "null".into(), |kind| format!("\"{kind}\""));
    line.push_str(&format!(
        "{{\"offset\":{},\"length\":{},\"kind\":{name},\"record\":",
        record.span.offset,
        record.payload.len()
    ));
    RawRecord::new(record.span, kept.as_deref().unwrap_or(record.payload)).append_json(line)?;
    line.push_str("}\n");
    Ok(true)
}

fn kind(name: &str) -> Result<RecordKind> {
    RecordKind::from_name(name).ok_or_else(|| {
        let names: Vec<_> = RecordKind::ALL.iter().map(|kind| kind.name()).collect();
        Error::setting("--kind", format!("no kind {name:?}; the kinds are {}", names.join(", ")))
    })
}
