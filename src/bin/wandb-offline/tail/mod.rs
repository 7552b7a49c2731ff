//! `wandb-offline tail`: the last rows of runs, and what is added to them.

mod rows;
mod runs;
mod table;

use super::{Exit, PROGRAM, finish, print_error, seconds, stdout};
use crate::support::{complain, on_interrupt, shown};
use rows::{Keys, Row};
use runs::Runs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;
use table::Table;
use wandb_offline::Result;
use wandb_offline::json::Value;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The runs; of a directory of runs the latest. With --follow, a directory of runs also stands for those that
    /// appear in it or go on growing.
    #[arg(default_value = "wandb", value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Print rows as they are logged, until every run has ended; for a directory of runs, until this program
    /// is interrupted. A file that is not there yet is waited for.
    #[arg(short, long)]
    follow: bool,
    /// How many rows of each run to begin with.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// Show these keys only; * stands for any text, ? for one character. By default all are shown but those
    /// that begin with an underscore.
    #[arg(short, long, value_delimiter = ',', value_name = "GLOB")]
    keys: Vec<String>,
    /// How many seconds to wait at least before looking again.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, requires = "follow")]
    interval: f64,
    /// Take a run whose log did not grow for this long for one that crashed, and follow it no more. Without
    /// this, silence is told after ten minutes and the run still followed.
    #[arg(long, value_name = "SECONDS", requires = "follow")]
    give_up_after: Option<f64>,
    /// Print one JSON object per row and line, and, with --follow, one for each change of a run's state.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let interval = seconds("--interval", args.interval)?;
    let patience = args.give_up_after.map(|time| seconds("--give-up-after", time)).transpose()?;
    let stopped = args.follow.then(on_interrupt).transpose()?;
    let keys = Keys::new(&args.keys);
    let mut runs = Runs::find(&args.runs, args.follow, patience);
    let mut printer = Printer::new(args.json);
    loop {
        let began = Instant::now();
        runs.look_for_new(&args.runs);
        for run in runs.list_mut() {
            run.read(args.lines, &keys, &mut printer)?;
        }
        finish(&mut printer.out)?;
        let Some(stopped) = stopped.as_ref().filter(|_| !runs.are_over()) else { break };
        // A large directory on a slow file system must not keep the machine busy.
        if stopped.recv_timeout(interval.max(began.elapsed().saturating_mul(9))).is_ok() {
            break;
        }
    }
    let exit = runs.exit();
    if exit != Exit::Failed && !args.follow && !args.keys.is_empty() && !printer.printed {
        complain(PROGRAM, &format!("no row has a key that fits --keys {}", args.keys.join(",")));
        return Ok(Exit::Failed);
    }
    Ok(exit)
}

/// Where rows and states go.
struct Printer {
    out: std::io::BufWriter<super::Stdout>,
    json: bool,
    /// The run whose rows were printed last.
    last: Option<usize>,
    /// Whether any row was printed.
    printed: bool,
}

impl Printer {
    fn new(json: bool) -> Self {
        Self { out: stdout(), json, last: None, printed: false }
    }

    /// Prints rows of the run number `run`. Several runs are told apart by headings.
    fn rows(&mut self, run: &Shown<'_>, table: &mut Table, rows: &[Row]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.printed = true;
        if self.json {
            return rows.iter().try_for_each(|row| {
                let values = row.values.iter().map(|(key, value)| (key.as_str(), value.clone()));
                let members = [("step", row.step.into()), ("values", Value::from_iter(values))];
                self.line(run.path, members)
            });
        }
        let mut text = String::new();
        if self.last != Some(run.index) {
            if self.last.is_some() {
                text.push('\n');
            }
            if run.one_of_several {
                text += &format!("==> {} <==\n", cell(run.path));
            }
            table.heading_due();
            self.last = Some(run.index);
        }
        table.print(rows, &mut text);
        self.out.write_all(text.as_bytes()).map_err(print_error)
    }

    /// Tells what became of a run.
    fn state(&mut self, path: &str, state: &str, exit_code: Option<i32>) -> Result<()> {
        if self.json {
            let exit_code = exit_code.map(i64::from);
            return self.line(path, [("state", state.into()), ("exit_code", exit_code.into())]);
        }
        // What was printed so far comes before.
        finish(&mut self.out)?;
        let code = exit_code.map(|code| format!(" (exit code {code})")).unwrap_or_default();
        complain(PROGRAM, &format!("{state}{code}: {path}"));
        Ok(())
    }

    fn line<const N: usize>(&mut self, path: &str, members: [(&str, Value); N]) -> Result<()> {
        let line = Value::from_iter([("run", Value::from(path))].into_iter().chain(members));
        serde_json::to_writer(&mut self.out, &line)
            .map_err(|error| print_error(error.into()))
            .and_then(|()| writeln!(self.out).map_err(print_error))
    }
}

/// A run, for who prints it.
struct Shown<'a> {
    index: usize,
    path: &'a str,
    one_of_several: bool,
}

/// Text for a cell: on one line, and nothing a terminal would obey.
fn cell(text: &str) -> String {
    shown(&text.replace('\n', "\\n"))
}
