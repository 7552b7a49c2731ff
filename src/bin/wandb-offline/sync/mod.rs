//! `wandb-offline sync`: runs to a W&B server.

mod official;
mod pack;
mod patterns;
mod progress;
mod receipt;

use super::{Exit, PROGRAM, finish, print_error, refuse_event_file, seconds, stdout};
use crate::support::complain;
use official::Official;
use patterns::{expanded, refuse_unfit};
use progress::Progress;
use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wandb_offline::sync::plan::{Overrides, Pace};
use wandb_offline::sync::{Event, HttpTransport, Live, Server, Stop, SyncOptions, sync, sync_pack};
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
    /// The runs: logs, run directories, or directories of runs, all of which are meant; also patterns such as
    /// 'wandb/offline-run-*' or '**/*.wandb', which are expanded once. Without any, ./wandb, once that is confirmed
    /// at a terminal or by --yes.
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
    #[arg(long, overrides_with = "salvage")]
    no_salvage: bool,
    /// As is done anyway.
    #[arg(long, hide = true, overrides_with = "no_salvage")]
    salvage: bool,
    /// Take a log without an end for that of a run that crashed, and end the run. If not given, it is left
    /// open, and what is added to the log later can be uploaded.
    #[arg(long)]
    finish: bool,
    /// If the server has other rows of a run already, go on after them.
    #[arg(long)]
    append: bool,
    /// Ask the server what it has, and compare with the log. A run that is marked as synced is only compared;
    /// any other is uploaded before that.
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
    runs_at_once: Option<NonZeroUsize>,
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
    #[command(flatten)]
    official: Official,
    /// Print what happens as lines of JSON, the report last.
    #[arg(long)]
    json: bool,
    /// Tell of each file and artifact, and of what is waited for.
    #[arg(short, long)]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    args.official.refuse()?;
    let paths = match args.paths.is_empty() && args.from.is_none() {
        true => vec![everything(args)?],
        false => expanded(&args.paths),
    };
    paths.iter().try_for_each(|path| refuse_event_file(path))?;
    if args.watch {
        refuse_unfit(&paths)?;
    }
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
    if args.verbose && !args.dry_run {
        let (to, source) = (&server.base, &server.source);
        complain(PROGRAM, &format!("uploading to {to}, with the key from {source}"));
    }
    let transport = HttpTransport::new(&server)?;
    let stop = Arc::new(Stop::new());
    on_interrupt(stop.clone())?;
    let options = args.options()?;
    let progress = Progress::new(args.json, args.verbose, &server.base);
    let observe = |event: Event<'_>| progress.tell(&event);
    let report = match &args.from {
        Some(dir) => sync_pack(dir, &server, &transport, &options, &stop, &observe),
        None => Ok(sync(&paths, &server, &transport, &options, &stop, &observe)),
    };
    let (told, report) = (progress.end(), report?);
    for error in &report.errors {
        complain(PROGRAM, error);
    }
    let told = told.and_then(|()| if args.json { print(&json(&report)?) } else { Ok(()) });
    // What is stored counts, whoever has stopped to listen.
    told.or_else(|error| if error.is_broken_pipe() { Ok(()) } else { Err(error) })?;
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
        options.salvage = self.salvage || !self.no_salvage;
        options.finish = self.finish;
        options.append = self.append;
        options.audit = self.audit;
        options.repair = self.repair;
        options.allow.clone_from(&self.allow);
        options.staging.clone_from(&self.staging);
        options.dry_run = self.dry_run;
        options.live = self.live()?;
        let followed = if options.live.is_some() { FOLLOWED_AT_ONCE } else { options.runs_at_once };
        options.runs_at_once = self.runs_at_once.map_or(followed, NonZeroUsize::get);
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

/// Prints a result, at once: nobody knows how long the rest takes.
fn print(text: &str) -> Result<()> {
    let mut out = stdout();
    out.write_all(text.as_bytes()).map_err(print_error)?;
    finish(&mut out)
}

/// A line of JSON.
fn json(report: &impl serde::Serialize) -> Result<String> {
    let line = serde_json::to_string(report).map_err(|error| print_error(error.into()))?;
    Ok(line + "\n")
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
  wandb-offline sync wandb --watch        (or: wandb-offline watch wandb)
  wandb-offline sync wandb --to /media/stick/runs
  wandb-offline sync --from /media/stick/runs
  WANDB_BASE_URL=https://wandb.example.org wandb-offline sync wandb

Exit codes:
  0  everything is stored, or was before
  1  nothing is stored
  2  wrong usage, or no key
  3  stored in part: a log is damaged, a run has no end, or something failed; run it again
With --to the same of packing. With --dry-run 3 says that something that was named cannot be uploaded.
Interrupted, a sync ends with what is stored by then: 3, or 1 if that is nothing.";

/// Runs that are followed wait most of their time.
const FOLLOWED_AT_ONCE: usize = 512;
