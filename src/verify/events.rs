//! The pass over an event file.

use super::Options;
use super::finding::{Place, Problem};
use super::report::{Findings, Format, Report};
use crate::error::Result;
use crate::event::{EventView, SessionStatus, SummaryView, What};
use crate::tfevents::{EventReader, Sample, SeriesTable};
use std::path::Path;

pub(super) fn verify(path: &Path, options: &Options) -> Result<Report> {
    let mut reader = EventReader::options().lenient(true).open(path)?;
    let mut pass = Pass { findings: Findings::new(options), ..Pass::default() };
    while let Some(event) = reader.next_event()? {
        pass.events += 1;
        let place =
            Place { offset: Some(event.span.offset), record: Some(pass.events), step: None };
        match event.view() {
            Ok(view) => pass.event(&view, place),
            Err(error) => {
                let reason = match error.kind() {
                    crate::ErrorKind::Message { reason, .. } => reason.clone(),
                    other => other.to_string(),
                };
                pass.findings.add(place, Problem::Malformed { reason });
            }
        }
    }
    pass.findings.finish(reader.gaps(), reader.tail());
    Ok(Report {
        path: path.to_owned(),
        format: Format::Tensorboard,
        run_id: String::new(),
        records: pass.events,
        rows: pass.values,
        findings: pass.findings,
        sync: None,
    })
}

#[derive(Default)]
struct Pass {
    findings: Findings,
    events: u64,
    values: u64,
    last_time: Option<f64>,
    series: SeriesTable,
    /// By the number of the series: its last step, and whether it had a value that is not finite.
    seen: Vec<(Option<i64>, bool)>,
}

impl Pass {
    fn event(&mut self, event: &EventView<'_>, mut place: Place) {
        place.step = Some(event.step);
        self.version(event, &place);
        if event.wall_time.is_nan() {
            self.findings.add(place.clone(), Problem::NoWallTime);
        } else if !matches!(event.what, What::FileVersion(_))
            // The version is of when the file was made, which may be long after what it tells of.
            && let Some(before) = self.last_time.replace(event.wall_time)
            && event.wall_time < before
        {
            let seconds = before - event.wall_time;
            self.findings.add(place.clone(), Problem::WallTimeBack { seconds });
        }
        match &event.what {
            What::Summary(summary) => self.summary(summary, event.step, &place),
            // A restart says so, and its steps may begin anew.
            What::SessionLog(log) if log.status() == SessionStatus::Start => {
                self.seen.iter_mut().for_each(|(last, _)| *last = None);
            }
            _ => {}
        }
    }

    fn version(&mut self, event: &EventView<'_>, place: &Place) {
        match &event.what {
            What::FileVersion(VERSION) => {}
            What::FileVersion(got) => {
                let got = (*got).to_owned();
                self.findings.add(place.clone(), Problem::FileVersion { got });
            }
            _ if self.events == 1 => self.findings.add(place.clone(), Problem::NoFileVersion),
            _ => {}
        }
    }

    fn summary(&mut self, summary: &SummaryView<'_>, step: i64, place: &Place) {
        for value in summary.values() {
            self.values += 1;
            let (number, sample) = self.series.sample(&value);
            let number = number as usize;
            if number >= self.seen.len() {
                self.seen.resize(number + 1, (None, false));
            }
            let Some((last, not_finite)) = self.seen.get_mut(number) else { continue };
            let tag = || value.tag.to_owned();
            if let Some(before) = last.replace(step).filter(|before| step < *before) {
                self.findings.add(place.clone(), Problem::SeriesBack { tag: tag(), before });
            }
            let number = match sample {
                Sample::Scalar(scalar) => scalar.as_f64(),
                _ => continue,
            };
            if !number.is_finite() && !std::mem::replace(not_finite, true) {
                let value = match number {
                    f64::INFINITY => "Infinity",
                    f64::NEG_INFINITY => "-Infinity",
                    _ => "NaN",
                };
                self.findings.add(place.clone(), Problem::NotFinite { key: tag(), value });
            }
        }
    }
}

const VERSION: &str = "brain.Event:2";
