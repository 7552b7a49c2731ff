//! What was measured, as a table in Markdown.

use crate::Outcome;
use crate::groups::Group;
use crate::measure::{Job, Sample};
use std::fmt::Write as _;

/// The table of a group. Ratios are those of what one unit takes: of the first job, which is ours, to each
/// of the others.
pub(crate) fn of(group: &Group, outcomes: &[Outcome]) -> String {
    let rows: Vec<_> = group.jobs.iter().zip(outcomes).collect();
    let ours = rows.first().and_then(|(job, outcome)| Figures::of(job, outcome));
    let compared = group.compared && ours.is_some();
    let mut text = format!("#### {}\n\n", group.title);
    let unit = group.unit;
    let _ = write!(text, "| | runs | seconds, least / median | CPU-s | wall a {unit} | peak MB |");
    text.push_str(if compared { " ours/this, CPU | ours/this, wall |\n" } else { "\n" });
    text.push_str(if compared {
        "|---|---|---|---|---|---|---|---|\n"
    } else {
        "|---|---|---|---|---|---|\n"
    });
    for (job, outcome) in &rows {
        match Figures::of(job, outcome) {
            Some(figures) => {
                let ours = ours.as_ref().filter(|_| compared);
                figures.write(&mut text, &job.name, job.inside, ours);
            }
            None => {
                let why = match outcome {
                    Outcome::Missing(why) => format!("not measured: {why}"),
                    Outcome::Failed(why) => format!("failed: {}", why.replace('|', "\\|")),
                    Outcome::Measured(_) => "no run".into(),
                };
                let cells = if compared { 6 } else { 4 };
                let _ = writeln!(text, "| {} | {why} |{}", job.name, " |".repeat(cells));
            }
        }
    }
    text
}

/// What the runs of a job come to.
#[derive(Debug)]
struct Figures {
    runs: usize,
    least: f64,
    seconds: f64,
    cpu: f64,
    memory: u64,
    units: f64,
}

impl Figures {
    fn of(job: &Job, outcome: &Outcome) -> Option<Self> {
        let Outcome::Measured(samples) = outcome else { return None };
        let seconds = |sample: &Sample| sample.seconds;
        Some(Self {
            runs: samples.len(),
            least: samples.iter().map(seconds).min_by(f64::total_cmp)?,
            seconds: median(samples.iter().map(seconds))?,
            cpu: median(samples.iter().map(|sample| sample.cpu))?,
            memory: samples.iter().map(|sample| sample.memory).max()?,
            units: job.units as f64,
        })
    }

    fn write(&self, text: &mut String, name: &str, inside: bool, ours: Option<&Self>) {
        let mark = if inside { " †" } else { "" };
        let _ = write!(
            text,
            "| {name}{mark} | {} | {} / {} | {} | {} | {:.0} |",
            self.runs,
            short(self.least),
            short(self.seconds),
            short(self.cpu),
            time(self.seconds / self.units),
            self.memory as f64 / 1e6,
        );
        if let Some(ours) = ours {
            let ratio = |of: fn(&Self) -> f64| short(of(ours) / ours.units * self.units / of(self));
            let _ = write!(text, " {} | {} |", ratio(|it| it.cpu), ratio(|it| it.seconds));
        }
        text.push('\n');
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get((values.len().max(1) - 1) / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

/// Two digits that matter, or three.
fn short(value: f64) -> String {
    match value {
        _ if value >= 99.5 => format!("{value:.0}"),
        _ if value >= 9.95 => format!("{value:.1}"),
        _ if value >= 0.0995 => format!("{value:.2}"),
        _ if value >= 0.00995 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

/// A time in its unit.
fn time(seconds: f64) -> String {
    let (factor, unit) = match seconds {
        _ if seconds >= 1.0 => (1.0, "s"),
        _ if seconds >= 1e-3 => (1e3, "ms"),
        _ if seconds >= 1e-6 => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    format!("{} {unit}", short(seconds * factor))
}
