//! `wandb-offline`: what can be done with the logs of W&B runs where they lie, and their upload.

mod cat;
mod edit;
mod export;
mod info;
mod list;
mod merge;
mod recover;
mod scrub;
mod secrets;
mod split;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "sync")]
mod sync;
mod tail;
mod to_tensorboard;
mod verify;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use support::Exit;
use wandb_offline::framing::Tail;
use wandb_offline::io::GapReport;
use wandb_offline::log::{self, LogFile};
use wandb_offline::tfevents::is_event_file;
use wandb_offline::{Error, ErrorKind, Result};

/// Inspect, check, repair, merge, edit, convert and upload the logs of Weights & Biases runs, without Python. Only
/// `sync` needs a server and a key.
///
/// A RUN is a .wandb file, a run directory, its files/, or a directory of runs, whose latest is meant by what
/// only reads; where another run is made of it, several runs are an error. Where one run is wanted it may be the
/// id of one in ./wandb, or its beginning.
/// Damage in a log never hides what is readable: it is passed over and told on stderr.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = EXIT_CODES)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the runs under a directory. One that has not ended, but whose log nobody has written to for 10
    /// minutes, counts as crashed.
    Ls(list::Args),
    /// Show a run: state, config, summary and the end of its console output.
    Info(info::Args),
    /// Print the last rows of runs, and with --follow those that are logged from now on.
    Tail(tail::Args),
    /// Print the records of a log, one line of JSON each.
    Cat(cat::Args),
    /// Export the history of a run, one line per row, in full resolution.
    Export(export::Args),
    /// Check that files are whole, and say what will become of their data: a doctor for logs.
    #[command(visible_alias = "doctor")]
    Verify(verify::Args),
    /// Make a sound log out of a damaged one, and tell what was lost.
    Recover(recover::Args),
    /// Change runs before they are uploaded: names, project, tags, config, metrics and rows.
    Edit(Box<edit::Args>),
    /// Merge the segments of a run that was preempted, requeued or resumed into one run directory.
    Merge(merge::Args),
    #[cfg(feature = "sync")]
    Sync(sync::Args),
    /// Not in this program: it was built without uploading.
    #[cfg(not(feature = "sync"))]
    #[command(disable_help_flag = true)]
    Sync(Unread),
    /// Upload runs while they are written, and new ones, until interrupted: as `sync --watch`, whose options it
    /// has.
    #[cfg(feature = "sync")]
    #[command(disable_help_flag = true)]
    Watch(Unread),
    Scrub(scrub::Args),
    /// Split a run in two at a step.
    Split(split::Args),
    /// Convert runs to a TensorBoard log directory.
    ToTensorboard(to_tensorboard::Args),
}

fn main() -> ExitCode {
    support::end(PROGRAM, run(Args::parse().command))
}

fn run(command: Command) -> Result<Exit> {
    match command {
        Command::Ls(args) => list::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Cat(args) => cat::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Edit(args) => edit::run(&args),
        Command::Merge(args) => merge::run(&args),
        #[cfg(feature = "sync")]
        Command::Sync(args) => sync::run(&args),
        #[cfg(not(feature = "sync"))]
        Command::Sync(_) => Err(Error::misuse(WITHOUT_SYNC)),
        Command::Scrub(args) => scrub::run(&args),
        Command::Split(args) => split::run(&args),
        Command::ToTensorboard(args) => to_tensorboard::run(&args),
        #[cfg(feature = "sync")]
        Command::Watch(rest) => {
            let before = [PROGRAM, "sync", "--watch"].map(OsString::from);
            run(Args::parse_from(before.into_iter().chain(rest.arguments)).command)
        }
    }
}

/// A time that an option gives in seconds.
fn seconds(option: &str, value: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| Error::setting(option, format!("{value} is no number of seconds")))
}

/// The log that a RUN means. What is no path is taken for an id.
fn locate(run: &Path) -> Result<LogFile> {
    log::locate(path_of(run)?)
}

/// The path that a RUN is: itself, or that of the log in ./wandb whose id it is.
fn path_of(run: &Path) -> Result<PathBuf> {
    refuse_event_file(run)?;
    if run.exists() {
        return Ok(run.to_owned());
    }
    if run.components().count() != 1 {
        return Err(Error::misuse("no such path").at(run));
    }
    let id = run.to_string_lossy();
    let (logs, _) = log::find(RUNS);
    let of = |log: &LogFile| {
        let stem = log.path.file_stem().unwrap_or_default().to_string_lossy();
        stem.strip_prefix("run-").unwrap_or(&stem).to_owned()
    };
    let mut found: Vec<_> = logs.into_iter().filter(|log| of(log).starts_with(&*id)).collect();
    if let Some(at) = found.iter().position(|log| of(log) == id) {
        // The beginning of another id, and whole here.
        found = vec![found.swap_remove(at)];
    }
    match &found[..] {
        [] => Err(Error::misuse(format!("no such path, and no run in {RUNS} has this id")).at(run)),
        [_] => Ok(found.remove(0).path),
        many => {
            let ids: Vec<_> = many.iter().map(of).collect();
            Err(Error::misuse(format!("several runs begin with it: {}", ids.join(", "))).at(run))
        }
    }
}

/// An event file is asked for what no log has; better to say so than that it is a damaged log.
fn refuse_event_file(path: &Path) -> Result<()> {
    let is_log = path.extension().is_some_and(|extension| extension == "wandb");
    if !is_log && path.file_name().is_some_and(is_event_file) && path.is_file() {
        let reason = "a TensorBoard event file, no W&B log; tb2wandb makes a run of it";
        return Err(Error::misuse(reason).at(path));
    }
    Ok(())
}

/// Standard output, buffered. On a terminal, what it could take for a command is escaped, also in JSON and CSV.
fn stdout() -> io::BufWriter<Stdout> {
    let stdout = io::stdout().lock();
    io::BufWriter::with_capacity(64 << 10, Stdout { terminal: stdout.is_terminal(), stdout })
}

struct Stdout {
    stdout: io::StdoutLock<'static>,
    terminal: bool,
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.terminal {
            return self.stdout.write(bytes);
        }
        let mut done = 0;
        for chunk in bytes.utf8_chunks() {
            let (valid, invalid) = (chunk.valid(), chunk.invalid());
            let lines: Vec<_> = valid.split('\n').map(support::shown).collect();
            self.stdout.write_all(lines.join("\n").as_bytes())?;
            done += valid.len();
            // The beginning of a character whose rest comes with the next call.
            if done > 0 && done + invalid.len() == bytes.len() {
                return Ok(done);
            }
            write!(self.stdout, "{}", invalid.escape_ascii())?;
            done += invalid.len();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// Flushes `out`, after which what was written has been written.
fn finish(out: &mut impl Write) -> Result<()> {
    out.flush().map_err(print_error)
}

fn print_error(source: io::Error) -> Error {
    Error::new(ErrorKind::Io { action: "print", source })
}

/// Says on stderr what a log lacks; the code for it.
fn tell_damage(gaps: &GapReport, undecodable: u64, tail: Option<Tail>, path: &Path) -> Exit {
    for gap in gaps.gaps().iter().take(GAPS_TOLD) {
        support::complain(PROGRAM, &format!("{gap}: {}", path.display()));
    }
    let rest = gaps.count().saturating_sub(GAPS_TOLD as u64);
    if rest > 0 {
        let more = support::count(rest, "more gap");
        support::complain(PROGRAM, &format!("{more}: {}", path.display()));
    }
    if undecodable > 0 {
        let records = support::count(undecodable, "record");
        let path = path.display();
        support::complain(PROGRAM, &format!("{records} left out, not a valid message: {path}"));
    }
    if let Some(tail) = tail.filter(|tail| !tail.is_clean()) {
        support::complain(PROGRAM, &format!("{tail}: {}", path.display()));
    }
    if gaps.is_lossy() || undecodable > 0 { Exit::Partly } else { Exit::Done }
}

/// Says on stderr that a log has no record at all; the code for it.
fn tell_empty(path: &Path) -> Exit {
    support::complain(PROGRAM, &format!("no record here: {}", path.display()));
    Exit::Partly
}

const PROGRAM: &str = "wandb-offline";

/// Where runs are unless said otherwise.
const RUNS: &str = "wandb";

const GAPS_TOLD: usize = 20;

/// Whatever stands behind a command that is not here, or is short for another one.
#[derive(Debug, clap::Args)]
struct Unread {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS, PATHS")]
    #[cfg_attr(not(feature = "sync"), allow(dead_code, reason = "nobody reads them"))]
    arguments: Vec<OsString>,
}

#[cfg(not(feature = "sync"))]
const WITHOUT_SYNC: &str =
    "this program was built without uploading; build it with --features cli,sync";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  done, but a log is damaged and something in it could not be read, or not all could be converted";
