//! `wandb-offline edit`: runs that are changed before they are uploaded.

use super::{Exit, PROGRAM, finish, path_of, print_error, stdout, tell_damage};
use crate::support::{complain, count, key_rule, shown};
use std::fmt::Write as _;
use std::io::Write;
use std::num::NonZero;
use std::ops::Bound;
use std::path::PathBuf;
use wandb_offline::edit::{
    Condition, Counts, EditReport, Example, Options, RowEdit, TagEdit, ValueEdit, edit,
};
use wandb_offline::json::Value;
use wandb_offline::record::split_key;
use wandb_offline::rewrite::Template;
use wandb_offline::{Error, Result, log};

#[derive(Debug, clap::Args)]
#[command(after_help = RULES)]
pub(crate) struct Args {
    /// The runs: logs, run directories, directories of runs, all of which are meant, or ids of runs in ./wandb.
    /// They are not changed.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Where the new run directories are made, each called after its time and id.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Show what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print a line of JSON for each run.
    #[arg(long)]
    json: bool,
    /// Make hard links to the files of the runs instead of copies.
    #[arg(long)]
    hard_links: bool,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    values: Values,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    rows: Rows,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Who the run is")]
struct Names {
    /// The id.
    #[arg(long, value_name = "TEMPLATE")]
    id: Option<String>,
    /// The project.
    #[arg(short, long, value_name = "TEMPLATE")]
    project: Option<String>,
    /// The entity.
    #[arg(short, long, value_name = "TEMPLATE")]
    entity: Option<String>,
    /// The name it is shown under.
    #[arg(short, long, value_name = "TEMPLATE")]
    name: Option<String>,
    /// The group.
    #[arg(long, value_name = "TEMPLATE")]
    group: Option<String>,
    /// The type of job.
    #[arg(long, value_name = "TEMPLATE")]
    job_type: Option<String>,
    /// The notes.
    #[arg(long, value_name = "TEMPLATE")]
    notes: Option<String>,
    /// These tags, in place of all.
    #[arg(long, value_name = "TEMPLATE", value_delimiter = ',')]
    tags: Option<Vec<String>>,
    /// One more tag.
    #[arg(long, value_name = "TEMPLATE")]
    add_tag: Vec<String>,
    /// One tag less.
    #[arg(long, value_name = "TEMPLATE")]
    remove_tag: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Config and summary")]
struct Values {
    /// Set a config value: optimizer.lr=0.1, name='"adam"'.
    #[arg(long, value_name = "KEY=JSON")]
    set_config: Vec<String>,
    /// Remove a config value and all below it.
    #[arg(long, value_name = "KEY")]
    remove_config: Vec<String>,
    /// Set a summary value.
    #[arg(long, value_name = "KEY=JSON")]
    set_summary: Vec<String>,
    /// Remove a summary value and all below it.
    #[arg(long, value_name = "KEY")]
    remove_summary: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Metrics, in history, summary and definitions")]
struct Keys {
    /// Replace what matches in each key; $1 stands for a group.
    #[arg(long, value_name = "REGEX=REPL")]
    rename: Vec<String>,
    /// Keep only keys that match; several times: any of them.
    #[arg(long, value_name = "REGEX")]
    keep: Vec<String>,
    /// Drop keys that match.
    #[arg(long, value_name = "REGEX")]
    drop: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Rows")]
struct Rows {
    /// Drop the rows from step A up to, but not including, B; A..=B with it; A.. and ..B to the end and from
    /// the beginning.
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    drop_steps: Vec<String>,
    /// Drop the rows that meet a condition.
    #[arg(long, value_name = "CONDITION")]
    drop_where: Vec<String>,
    /// Of rows of one step that follow each other, keep the last.
    #[arg(long)]
    last_of_step: bool,
    /// Keep the first and every Nth row after it.
    #[arg(long, value_name = "N")]
    thin: Option<NonZero<u64>>,
    /// Add N to each step.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    shift_steps: i64,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let options = options(args)?;
    let runs: Vec<_> = args.runs.iter().map(|run| path_of(run)).collect::<Result<_>>()?;
    let (logs, errors) = log::find_all(&runs);
    let (mut done, mut exit) = (0, Exit::Done);
    for error in &errors {
        complain(PROGRAM, error);
        exit = Exit::Partly;
    }
    let alone = logs.len() == 1 && errors.is_empty();
    let mut out = stdout();
    // That nobody reads what is printed is no reason to edit no more runs.
    let mut printed = Ok(());
    for log in &logs {
        match edit(&log.path, &args.output, &options) {
            Ok(report) => {
                printed = printed.and_then(|()| print(&report, args, &mut out));
                let damage = &report.damage;
                let told = tell_damage(&damage.gaps, damage.undecodable, damage.tail, &log.path);
                exit = exit.max(told);
                done += 1;
            }
            Err(error) if alone => return Err(error),
            Err(error) => {
                complain(PROGRAM, &error);
                exit = Exit::Partly;
            }
        }
    }
    printed.and_then(|()| finish(&mut out))?;
    Ok(if done == 0 { Exit::Failed } else { exit })
}

fn options(args: &Args) -> Result<Options> {
    let names = &args.names;
    let template = |name: &str, text: &Option<String>| {
        text.as_deref().map(|text| Template::new(name, text)).transpose()
    };
    let templates = |name: &str, texts: &[String]| -> Result<Vec<Template>> {
        texts.iter().map(|text| Template::new(name, text)).collect()
    };
    let set_tags = names.tags.as_deref();
    let set_tags =
        set_tags.map(|tags| tags.iter().filter(|tag| !tag.is_empty()).cloned().collect());
    let (values, keys, rows) = (&args.values, &args.keys, &args.rows);
    Ok(Options {
        id: template("--id", &names.id)?,
        project: template("--project", &names.project)?,
        entity: template("--entity", &names.entity)?,
        name: template("--name", &names.name)?,
        group: template("--group", &names.group)?,
        job_type: template("--job-type", &names.job_type)?,
        notes: template("--notes", &names.notes)?,
        tags: TagEdit {
            set: set_tags.map(|tags: Vec<_>| templates("--tags", &tags)).transpose()?,
            add: templates("--add-tag", &names.add_tag)?,
            remove: templates("--remove-tag", &names.remove_tag)?,
        },
        config: value_edit("--set-config", &values.set_config, &values.remove_config)?,
        summary: value_edit("--set-summary", &values.set_summary, &values.remove_summary)?,
        keys: key_rule(&keys.rename, &keys.keep, &keys.drop)?,
        rows: RowEdit {
            drop_steps: rows.drop_steps.iter().map(|text| steps(text)).collect::<Result<_>>()?,
            drop_where: rows
                .drop_where
                .iter()
                .map(|text| text.parse())
                .collect::<Result<Vec<Condition>>>()?,
            last_of_step: rows.last_of_step,
            every: rows.thin,
            shift: rows.shift_steps,
        },
        hard_links: args.hard_links,
        dry_run: args.dry_run,
    })
}

fn value_edit(option: &str, set: &[String], remove: &[String]) -> Result<ValueEdit> {
    let set = set.iter().map(|text| {
        let (key, json) = text
            .split_once('=')
            .ok_or_else(|| Error::setting(option, format!("want KEY=JSON, got {text:?}")))?;
        let value = Value::parse(json).map_err(|error| {
            let reason =
                format!("{json:?} is no JSON ({error}); a text is quoted: {key}='\"text\"'");
            Error::setting(option, reason)
        })?;
        Ok((split_key(key), value))
    });
    Ok(ValueEdit {
        set: set.collect::<Result<_>>()?,
        remove: remove.iter().map(|key| split_key(key)).collect(),
    })
}

/// `A..B`, `A..=B`, `A..`, `..B`, or one step.
fn steps(text: &str) -> Result<(Bound<i64>, Bound<i64>)> {
    let fault = || Error::setting("--drop-steps", format!("want A..B, got {text:?}"));
    let step = |text: &str| text.trim().parse::<i64>().map_err(|_| fault());
    let Some((from, to)) = text.split_once("..") else {
        let step = step(text)?;
        return Ok((Bound::Included(step), Bound::Included(step)));
    };
    let from = match from.trim() {
        "" => Bound::Unbounded,
        from => Bound::Included(step(from)?),
    };
    let to = match (to.trim(), to.trim().strip_prefix('=')) {
        ("", _) => Bound::Unbounded,
        (_, Some(to)) => Bound::Included(step(to)?),
        (to, None) => Bound::Excluded(step(to)?),
    };
    Ok((from, to))
}

fn print(report: &EditReport, args: &Args, out: &mut impl Write) -> Result<()> {
    let printed = if args.json {
        serde_json::to_writer(&mut *out, report).map_err(Into::into).and_then(|()| writeln!(out))
    } else {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = report_text(&mut text, report);
        let lines: Vec<_> = text.split('\n').map(shown).collect();
        out.write_all(lines.join("\n").as_bytes())
    };
    printed.map_err(print_error)
}

fn report_text(text: &mut String, report: &EditReport) -> std::fmt::Result {
    write!(text, "{} -> {}", report.log.display(), report.directory.display())?;
    text.push_str(if report.written { "\n" } else { " (not written)\n" });
    writeln!(text, "  records: {}", counts(&report.total()))?;
    let changed = |counts: &Counts| counts.changed + counts.dropped + counts.added > 0;
    for (kind, of_kind) in report.records.iter().filter(|(_, counts)| changed(counts)) {
        writeln!(text, "    {kind}: {}", counts(of_kind))?;
    }
    for (old, new) in &report.renamed_keys {
        writeln!(text, "  renamed: {old} -> {new}")?;
    }
    for key in &report.dropped_keys {
        writeln!(text, "  dropped: {key}")?;
    }
    if report.files > 0 || !report.files_left_out.is_empty() {
        writeln!(text, "  files: {}", count(report.files, "file"))?;
    }
    for file in &report.files_left_out {
        writeln!(text, "    left out: {file}")?;
    }
    if !report.written {
        for example in &report.examples {
            example_text(text, example)?;
        }
    }
    Ok(())
}

fn counts(counts: &Counts) -> String {
    let parts = [
        (counts.kept, "kept"),
        (counts.changed, "changed"),
        (counts.dropped, "dropped"),
        (counts.added, "added"),
    ];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

/// A record before and after, from where the two differ.
fn example_text(text: &mut String, example: &Example) -> std::fmt::Result {
    match example.offset {
        Some(offset) => writeln!(text, "  {} at byte {offset}", example.kind)?,
        None => writeln!(text, "  {}, new", example.kind)?,
    }
    let (before, after) = (example.before.as_deref(), example.after.as_deref());
    let same = before.zip(after).map_or(0, |(a, b)| {
        a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count().saturating_sub(BEFORE)
    });
    for (mark, json) in [('-', before), ('+', after)] {
        let Some(json) = json else { continue };
        let dots = |cut: bool| if cut { "..." } else { "" };
        let shown: String = json.chars().skip(same).take(WIDTH).collect();
        let more = json.chars().count() > same + WIDTH;
        writeln!(text, "    {mark} {}{shown}{}", dots(same > 0), dots(more))?;
    }
    Ok(())
}

/// Characters of a record that are shown, and how many of them in front of what is different.
const WIDTH: usize = 100;
const BEFORE: usize = 24;

const RULES: &str = "\
A TEMPLATE is a text in which {id} {name} {project} {entity} {group} {job_type} {sweep} {host} {notes} stand for \
what the run has.

A KEY is a path joined with dots; a dot in a name is written \\. and a REGEX is asked for such keys too.

A CONDITION compares keys with values, as in 'loss > 10 or isnan(loss)': < <= > >= == != with numbers, true, \
false, null and \"texts\"; isnan(KEY), isinf(KEY), has(KEY); and, or, not and brackets. A key the row does not have \
meets none. Keys are those of the run as it is.

Rows are dropped in the order of the options above. If any is, the summary is made anew of those that are kept, and \
what the program itself put there stays.

Examples:
  wandb-offline edit wandb -o edited --project thesis --add-tag rerun --dry-run
  wandb-offline edit wandb/latest-run -o edited --name '{name}, cleaned' --drop-where 'isnan(loss)'
  wandb-offline edit wandb -o edited --rename '^val/=eval/' --set-config optimizer.lr=0.1";
