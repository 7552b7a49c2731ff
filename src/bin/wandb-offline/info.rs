//! `wandb-offline info`: one run at a glance.

use super::{Exit, finish, locate, print_error, stdout, tell_damage, tell_empty};
use crate::list::human_duration;
use crate::support::shown;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;
use wandb_offline::Result;
use wandb_offline::json::Value;
use wandb_offline::log::LogFile;
use wandb_offline::run::{self, LoadReport, RunState};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run; of a directory of runs the latest.
    #[arg(default_value = "wandb")]
    run: PathBuf,
    /// Print one JSON object, with the members `wandb leet inspect --summary --json` has and more.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let log = locate(&args.run)?;
    let (run, report) = run::load(&log.path, true)?;
    let mut out = stdout();
    let printed = if args.json {
        serde_json::to_writer_pretty(&mut out, &json(&log, &run, &report))
            .map_err(Into::into)
            .and_then(|()| writeln!(out))
    } else {
        out.write_all(text(&log, &run, &report).as_bytes())
    };
    printed.map_err(print_error)?;
    finish(&mut out)?;
    let damage = tell_damage(&report.gaps, report.undecodable, report.tail, &log.path);
    let is_empty = report.records == 0 && report.undecodable == 0;
    Ok(if is_empty { tell_empty(&log.path) } else { damage })
}

/// When the run started, in UTC to the second.
pub(crate) fn start_time(run: &RunState) -> Option<String> {
    let time = run.info().start_time()?;
    Some(jiff::Timestamp::new(time.seconds, 0).ok()?.to_string())
}

/// How long the run took, as far as its log tells, in seconds.
pub(crate) fn duration(run: &RunState) -> Option<f64> {
    let exit = run.exit().map(|exit| f64::from(exit.runtime)).filter(|runtime| *runtime > 0.0);
    exit.or_else(|| run.history().last_runtime())
}

fn json(log: &LogFile, run: &RunState, report: &LoadReport) -> Value {
    let mut json = run.overview(&log.path, log.modified, SystemTime::now());
    let more = Value::from_iter([
        ("group", run.info().group().into()),
        ("job_type", run.info().job_type().into()),
        ("host", run.info().host().into()),
        ("duration", duration(run).into()),
        ("rows", run.history().rows().into()),
        ("records", report.records.into()),
        ("undecodable", report.undecodable.into()),
        ("gaps", report.gaps.count().into()),
        ("gap_bytes", report.gaps.bytes().into()),
        ("tail", report.tail.map(|tail| tail.to_string()).into()),
        ("synced", log.synced.into()),
    ]);
    if let (Value::Object(json), Value::Object(more)) = (&mut json, more) {
        json.extend(more);
    }
    json
}

fn text(log: &LogFile, run: &RunState, report: &LoadReport) -> String {
    let info = run.info();
    let mut lines = Lines { text: String::new() };
    let name = if info.name().is_empty() {
        info.run_id().to_owned()
    } else {
        format!("{} ({})", info.name(), info.run_id())
    };
    let status = run.status(SystemTime::now(), log.modified).name();
    let state = match run.exit() {
        Some(exit) => format!("{status} (exit code {})", exit.code),
        None => format!("{status} (no exit record)"),
    };
    let step = run.history().last_step().map(|step| step.to_string());
    let damage = report.is_lossy().then(|| {
        let (gaps, bytes) = (report.gaps.count(), report.gaps.bytes());
        format!("{gaps} gaps of {bytes} bytes, {} records not readable", report.undecodable)
    });
    let head = [
        ("run", name),
        ("project", info.project().to_owned()),
        ("entity", info.entity().to_owned()),
        ("group", info.group().to_owned()),
        ("job type", info.job_type().to_owned()),
        ("tags", info.tags().join(", ")),
        ("notes", info.notes().to_owned()),
        ("host", info.host().to_owned()),
        ("file", log.path.display().to_string()),
        ("state", state),
        ("started", start_time(run).unwrap_or_default()),
        ("duration", duration(run).map(human_duration).unwrap_or_default()),
        ("step", step.unwrap_or_default()),
        ("rows", run.history().rows().to_string()),
        ("log", report.tail.map(|tail| tail.to_string()).unwrap_or_default()),
        ("damage", damage.unwrap_or_default()),
    ];
    lines.table("", head.map(|(name, value)| (name.to_owned(), value)).to_vec());
    lines.section("summary", &run.summary());
    lines.section("config", run.config());
    let console = run.console();
    if console.count() > 0 {
        let shown = console.lines().len().min(CONSOLE_LINES);
        lines.text.push_str(&format!("\nconsole (last {shown} of {} lines)\n", console.count()));
        for line in console.lines().skip(console.lines().len() - shown) {
            lines.line(&format!("  {:<6}  {}", line.stream().name(), line.text()));
        }
    }
    lines.text
}

struct Lines {
    text: String,
}

impl Lines {
    fn section(&mut self, title: &str, value: &Value) {
        let mut rows = Vec::new();
        flatten(&mut Vec::new(), value, &mut rows);
        if !rows.is_empty() {
            self.text.push_str(&format!("\n{title}\n"));
            self.table("  ", rows);
        }
    }

    /// Names and values; those without a value are left out.
    fn table(&mut self, indent: &str, rows: Vec<(String, String)>) {
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
            let pad = " ".repeat(width - name.chars().count());
            self.line(&format!("{indent}{name}{pad}  {value}"));
        }
    }

    fn line(&mut self, line: &str) {
        // A line end within a value would look like a line of ours.
        self.text.push_str(&shown(&line.replace('\n', "\\n")));
        self.text.push('\n');
    }
}

/// Names and values of the leaves; media are one leaf.
fn flatten(path: &mut Vec<String>, value: &Value, rows: &mut Vec<(String, String)>) {
    let media = value.get("_type").and_then(Value::as_str);
    let leaf = match (value.as_object(), media) {
        (Some(members), None) => {
            for (key, value) in members {
                path.push(key.clone());
                flatten(path, value, rows);
                path.pop();
            }
            return;
        }
        (_, Some(media)) => match value.get("path").and_then(Value::as_str) {
            Some(path) => format!("{media} {path}"),
            None => media.to_owned(),
        },
        (None, None) => value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned),
    };
    rows.push((path.join("."), leaf));
}

const CONSOLE_LINES: usize = 20;
