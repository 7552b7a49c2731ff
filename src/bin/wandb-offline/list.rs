//! `wandb-offline ls`: the runs under a directory.

use super::{Exit, PROGRAM, finish, print_error, stdout};
use crate::support::{complain, shown};
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;
use wandb_offline::io::side_by_side;
use wandb_offline::json::Value;
use wandb_offline::log::{self, LogFile};
use wandb_offline::run::{self, LoadReport, RunState};
use wandb_offline::{Error, Result};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to look for runs, at any depth.
    #[arg(default_value = "wandb")]
    dir: PathBuf,
    /// Print one JSON object per run and line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    std::fs::metadata(&args.dir).map_err(|error| Error::io("read", &args.dir, error))?;
    let (logs, errors) = log::find(&args.dir);
    let mut exit = if errors.is_empty() { Exit::Done } else { Exit::Partly };
    errors.iter().for_each(|error| complain(PROGRAM, error));
    if logs.is_empty() && errors.is_empty() {
        complain(PROGRAM, &format!("no runs: {}", args.dir.display()));
    }
    let mut rows = Vec::new();
    let load = |log: &LogFile| {
        run::load(&log.path, true).map(|(run, report)| Row::new(log, &run, &report))
    };
    for row in side_by_side(&logs, load) {
        match row {
            Ok(row) => {
                if row.damaged {
                    exit = Exit::Partly;
                }
                rows.push(row);
            }
            Err(error) => {
                complain(PROGRAM, &error);
                exit = Exit::Partly;
            }
        }
    }
    let mut out = stdout();
    if args.json {
        for row in &rows {
            serde_json::to_writer(&mut out, &row.json())
                .map_err(|error| print_error(error.into()))?;
            writeln!(out).map_err(print_error)?;
        }
    } else if !rows.is_empty() {
        let cells: Vec<_> = rows.iter().map(|row| row.cells()).collect();
        print_table(&mut out, &cells).map_err(print_error)?;
    }
    finish(&mut out)?;
    Ok(exit)
}

/// What the table says of a run.
struct Row {
    id: String,
    name: String,
    state: &'static str,
    step: Option<i64>,
    rows: u64,
    start: Option<String>,
    duration: Option<f64>,
    size: u64,
    synced: bool,
    damaged: bool,
    path: String,
}

impl Row {
    fn new(log: &LogFile, run: &RunState, report: &LoadReport) -> Self {
        let info = run.info();
        Self {
            id: info.run_id().to_owned(),
            name: info.name().to_owned(),
            state: run.status(SystemTime::now(), log.modified).name(),
            step: run.history().last_step(),
            rows: run.history().rows(),
            start: super::info::start_time(run),
            duration: super::info::duration(run),
            size: log.size,
            synced: log.synced,
            damaged: report.is_lossy(),
            path: log.path.display().to_string(),
        }
    }

    fn json(&self) -> Value {
        Value::from_iter([
            ("id", self.id.as_str().into()),
            ("name", self.name.as_str().into()),
            ("state", self.state.into()),
            ("step", self.step.into()),
            ("rows", self.rows.into()),
            ("start", self.start.clone().into()),
            ("duration", self.duration.into()),
            ("size", self.size.into()),
            ("synced", self.synced.into()),
            ("damaged", self.damaged.into()),
            ("path", self.path.as_str().into()),
        ])
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        let state =
            if self.damaged { format!("{}, damaged", self.state) } else { self.state.into() };
        [
            shown(&self.id),
            shown(&self.name),
            state,
            self.step.map(|step| step.to_string()).unwrap_or_default(),
            self.rows.to_string(),
            self.start.clone().unwrap_or_default(),
            self.duration.map(human_duration).unwrap_or_default(),
            human_size(self.size),
            if self.synced { "yes" } else { "no" }.into(),
            shown(&self.path),
        ]
    }
}

fn print_table(out: &mut impl Write, rows: &[[String; COLUMNS.len()]]) -> std::io::Result<()> {
    let header = COLUMNS.map(|(name, _)| name.to_owned());
    let mut widths = header.each_ref().map(|name| name.len());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for ((cell, width), (_, right)) in row.iter().zip(widths).zip(COLUMNS) {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            if right {
                line.extend([&pad, cell.as_str(), "  "]);
            } else {
                line.extend([cell, pad.as_str(), "  "]);
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `1h02m`, `3m10s`, `4.2s`.
pub(crate) fn human_duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..60 => format!("{seconds:.1}s"),
        60..3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d{:02}h", whole / 86_400, whole / 3600 % 24),
    }
}

fn human_size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}

/// The columns, and which are numbers, which stand to the right.
const COLUMNS: [(&str, bool); 10] = [
    ("ID", false),
    ("NAME", false),
    ("STATE", false),
    ("STEP", true),
    ("ROWS", true),
    ("START", false),
    ("DURATION", true),
    ("SIZE", true),
    ("SYNCED", false),
    ("PATH", false),
];
