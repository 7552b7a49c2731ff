//! `wandb-offline sync`: runs to a W&B server.

mod pack;
mod progress;

use super::{Exit, PROGRAM, finish, print_error, refuse_event_file, seconds, stdout};
use crate::support::{complain, count, shown};
use progress::Progress;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wandb_offline::sync::plan::{Overrides, Pace};
use wandb_offline::sync::{
    Event, HttpTransport, Live, RunReport, RunStatus, Server, Stop, SyncOptions, SyncReport, sync,
    sync_pack,
};
use wandb_offline::{Error, Result};

/// Upload runs to a W&B server. Killed and run again, it sends nothing twice and leaves nothing out.
///
/// The server is https://api.forge.coreweave.com, as for wandb 0.31, unless WANDB_BASE_URL names another. The key
/// is WANDB_API_KEY, else the server's password in ~/.netrc (or NETRC), where `wandb login` puts it. What the server
/// has is noted in the ledger beside the log, run-ID.wandb.<12 hex digits>.sync, one for each server and run; do not
/// remove it. A log that is there as a whole is marked by run-ID.wandb.synced.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER, group = clap::ArgGroup::new("follow").args(["live", "watch"]).multiple(true))]
pub(crate) struct Args {
    /// The runs: logs, run directories, or directories of runs, all of which are meant. Without any, ./wandb.
    paths: Vec<PathBuf>,
    /// Upload nothing and pack the runs into this directory, which --from uploads, say on a machine that reaches
    /// the server. Given again it adds what is new. The options for what is sent are packed, too.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "audit", "repair"])]
    to: Option<PathBuf>,
    /// Upload the runs that --to packed into this directory. What the server has is noted in it.
    #[arg(long, value_name = "DIR",
          conflicts_with_all = ["paths", "include_online", "allow", "staging"])]
    from: Option<PathBuf>,
    /// Upload under this run id. Several logs then go one after another, by start time.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Upload to this project instead of the one in the log.
    #[arg(short, long)]
    project: Option<String>,
    /// Upload to this entity (user or team) instead of the one in the log.
    #[arg(short, long)]
    entity: Option<String>,
    /// Upload with this job type.
    #[arg(long, value_name = "TYPE")]
    job_type: Option<String>,
    /// Upload into this group.
    #[arg(long)]
    group: Option<String>,
    /// Upload under this name.
    #[arg(long)]
    name: Option<String>,
    /// Rename tags; an empty new name takes the tag away.
    #[arg(long, value_name = "OLD=NEW,…", value_delimiter = ',', value_parser = renamed)]
    replace_tags: Vec<(String, String)>,
    /// Upload runs that are marked as synced as well. What the server has is not sent again.
    #[arg(long, alias = "no-skip-synced")]
    include_synced: bool,
    /// Upload runs that were logged online as well.
    #[arg(long, alias = "no-skip-online")]
    include_online: bool,
    /// Upload nothing of a log that is damaged. If not given, damage is passed over and told.
    #[arg(long)]
    no_salvage: bool,
    /// Take a log without an end for that of a run that crashed, and end the run. If not given, it is left
    /// open, and what is added to the log later can be uploaded.
    #[arg(long)]
    finish: bool,
    /// If the server has other rows of a run already, go on after them.
    #[arg(long)]
    append: bool,
    /// Ask the server afterwards what it has, and compare with the log; also of runs that were synced before.
    #[arg(long)]
    audit: bool,
    /// As --audit, and send what the server turns out not to have.
    #[arg(long)]
    repair: bool,
    /// Read files in this directory as well, where links in a run's files/ or its artifacts lead.
    #[arg(long, value_name = "DIR")]
    allow: Vec<PathBuf>,
    /// Look here, by name, for files of artifacts that are not where the log says.
    #[arg(long, value_name = "DIR")]
    staging: Vec<PathBuf>,
    /// Say what would be uploaded, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before uploading all of ./wandb.
    #[arg(long)]
    yes: bool,
    /// How many runs go at a time. By default 64, or 512 if they are followed.
    #[arg(short = 'n', long, value_name = "N")]
    runs_at_once: Option<usize>,
    /// Follow logs that are still being written, and upload what is added, until every run has ended.
    #[arg(long, conflicts_with_all = ["dry_run", "to", "from"])]
    live: bool,
    /// As --live, and go on looking for new runs until interrupted: one process for all runs of a directory.
    #[arg(long, conflicts_with_all = ["dry_run", "to", "from"])]
    watch: bool,
    /// Give up a log that did not grow for so long: its writer is gone. The run is left open, or ended with
    /// --finish; with --watch it is taken up again when it grows.
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0, requires = "follow")]
    give_up_after: f64,
    /// Upload what is new of a run that is followed this often, and without any a sign of life half as often.
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, requires = "follow")]
    pace: f64,
    /// With --watch, look for new runs this often.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, requires = "watch")]
    look_every: f64,
    /// Print what happens as lines of JSON, the report last.
    #[arg(long)]
    json: bool,
    /// Tell of each file and artifact, and of what is waited for.
    #[arg(short, long)]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let paths = match args.paths.is_empty() && args.from.is_none() {
        true => vec![everything(args)?],
        false => args.paths.clone(),
    };
    paths.iter().try_for_each(|path| refuse_event_file(path))?;
    if let Some(dir) = &args.to {
        return pack::run(args, &paths, dir);
    }
    let server = match args.dry_run {
        // Nothing is sent, so nobody need be known.
        true => Server::for_dry_run()?,
        false => Server::from_env()?,
    };
    if server.is_in_the_open() {
        complain(
            PROGRAM,
            &format!("warning: {} is not encrypted; the key can be read on the way", server.base),
        );
    }
    let transport = HttpTransport::new(&server)?;
    let stop = Arc::new(Stop::new());
    on_interrupt(stop.clone())?;
    let options = args.options()?;
    let progress = Progress::new(args.json, args.verbose);
    let observe = |event: Event<'_>| progress.tell(&event);
    let report = match &args.from {
        Some(dir) => sync_pack(dir, &server, &transport, &options, &stop, &observe),
        None => Ok(sync(&paths, &server, &transport, &options, &stop, &observe)),
    };
    progress.end();
    let report = report?;
    for error in &report.errors {
        complain(PROGRAM, error);
    }
    print(args.json, &report, || text(args, &report))?;
    Ok(match report.is_complete() {
        true => Exit::Done,
        false if report.has_stored() => Exit::Partly,
        false => Exit::Failed,
    })
}

impl Args {
    fn options(&self) -> Result<SyncOptions> {
        let mut overrides = Overrides::default();
        overrides.run_id.clone_from(&self.id);
        overrides.project.clone_from(&self.project);
        overrides.entity.clone_from(&self.entity);
        overrides.job_type.clone_from(&self.job_type);
        overrides.group.clone_from(&self.group);
        overrides.name.clone_from(&self.name);
        overrides.tags.clone_from(&self.replace_tags);
        let mut options = SyncOptions::default();
        options.overrides = overrides;
        options.include_synced = self.include_synced;
        options.include_online = self.include_online;
        options.salvage = !self.no_salvage;
        options.finish = self.finish;
        options.append = self.append;
        options.audit = self.audit;
        options.repair = self.repair;
        options.allow.clone_from(&self.allow);
        options.staging.clone_from(&self.staging);
        options.dry_run = self.dry_run;
        options.live = self.live()?;
        let followed = if options.live.is_some() { FOLLOWED_AT_ONCE } else { options.runs_at_once };
        options.runs_at_once = self.runs_at_once.unwrap_or(followed);
        Ok(options)
    }

    fn live(&self) -> Result<Option<Live>> {
        if !self.live && !self.watch {
            return Ok(None);
        }
        let mut live = Live::default();
        live.pace = Pace::of(seconds("--pace", self.pace)?);
        live.silence = seconds("--give-up-after", self.give_up_after)?;
        live.watch = self.watch.then(|| seconds("--look-every", self.look_every)).transpose()?;
        live.poll = live.poll.min(live.pace.lines).max(Duration::from_millis(10));
        Ok(Some(live))
    }
}

/// The directory that is meant if none is named; nobody uploads all of it by mistake.
fn everything(args: &Args) -> Result<PathBuf> {
    let dir = PathBuf::from("wandb");
    if args.yes || args.dry_run || args.to.is_some() {
        return Ok(dir);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::setting(
            "PATHS",
            "name what to upload, or say --yes for all of ./wandb",
        ));
    }
    eprint!("Upload all runs in ./wandb? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(print_error)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(dir),
        _ => Err(Error::misuse("nothing was uploaded")),
    }
}

fn renamed(text: &str) -> std::result::Result<(String, String), String> {
    let pair = text.split_once('=').map(|(old, new)| (old.to_owned(), new.to_owned()));
    pair.filter(|(old, _)| !old.is_empty())
        .ok_or_else(|| format!("{text:?} should look like old=new"))
}

/// At the first interrupt nothing more is sent; the second one is obeyed at once.
fn on_interrupt(stop: Arc<Stop>) -> Result<()> {
    let interrupted = crate::support::on_interrupt()?;
    std::thread::spawn(move || {
        if interrupted.recv().is_ok() {
            stop.stop();
        }
    });
    Ok(())
}

/// Prints a report, as a line of JSON or as text.
fn print(json: bool, report: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<()> {
    let mut out = stdout();
    let printed = if json {
        serde_json::to_writer(&mut out, report).map_err(Into::into).and_then(|()| writeln!(out))
    } else {
        out.write_all(text().as_bytes())
    };
    printed.map_err(print_error)?;
    finish(&mut out)
}

fn text(args: &Args, report: &SyncReport) -> String {
    let mut text = String::new();
    let told = report.runs.iter().filter(|run| run.status != RunStatus::Skipped);
    for run in told {
        // Writing to a string does not fail.
        let _ = run_text(&mut text, args, run);
    }
    text
}

fn run_text(text: &mut String, args: &Args, run: &RunReport) -> std::fmt::Result {
    let status = match run.status {
        RunStatus::Synced => "synced",
        RunStatus::Already => "synced before",
        RunStatus::Planned => "would be synced",
        RunStatus::Open => "synced so far",
        RunStatus::Partly => "synced in part",
        _ => "failed",
    };
    let log = shown(&run.log.display().to_string());
    let to = run.url.clone().or_else(|| run.run.as_deref().map(place)).unwrap_or_default();
    writeln!(text, "{status}: {log} -> {}", shown(&to))?;
    let receipt = &run.receipt;
    if matches!(run.status, RunStatus::Planned | RunStatus::Failed) {
        return Ok(());
    }
    write!(text, "  {}", count(receipt.rows, "row"))?;
    if let Some(step) = receipt.last_step {
        write!(text, " to step {step}")?;
    }
    let sizes: u64 = receipt.files.iter().map(|file| file.size).sum();
    writeln!(
        text,
        ", {}, {}, {} with {}, {}",
        count(receipt.events, "system sample"),
        count(receipt.console_lines, "console line"),
        count(receipt.files.len() as u64, "file"),
        count(sizes, "byte"),
        count(receipt.artifacts.len() as u64, "artifact"),
    )?;
    for check in &run.checks {
        let agrees = if check.agrees { "as the log has it" } else { "NOT as the log has it" };
        writeln!(text, "  audit: {}: {agrees}", check.what)?;
    }
    if args.verbose {
        for file in &receipt.files {
            let name = shown(&file.name);
            writeln!(text, "  file {name}: {} bytes, md5 {}", file.size, file.md5)?;
        }
        for artifact in &receipt.artifacts {
            writeln!(text, "  artifact {}", shown(&artifact.name))?;
        }
    }
    Ok(())
}

/// Entity, project and id; the server knows what those are that the log does not name.
fn place(run: &str) -> String {
    let names = ["(default entity)", "(default project)", ""];
    let parts = run.splitn(names.len(), '/').zip(names);
    let parts: Vec<_> =
        parts.map(|(part, name)| if part.is_empty() { name } else { part }).collect();
    parts.join("/")
}

const AFTER: &str = "\
Examples:
  wandb-offline sync wandb --dry-run
  wandb-offline sync wandb/offline-run-20261124_100000-gpt2 --project thesis
  wandb-offline sync wandb --watch
  wandb-offline sync wandb --to /media/stick/runs
  wandb-offline sync --from /media/stick/runs
  WANDB_BASE_URL=https://wandb.example.org wandb-offline sync wandb

Exit codes:
  0  everything is stored, or was before; with --to: is packed
  1  nothing was stored, or packed
  2  wrong usage, or no key
  3  stored in part: a log is damaged, a run has no end, or something failed; run it again
     with --to: packed in part";

/// Runs that are followed wait most of their time.
const FOLLOWED_AT_ONCE: usize = 512;
