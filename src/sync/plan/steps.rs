//! What is done next, and in which order.

use super::artifacts::ArtifactStep;
use super::files::{self, FileStep};
use super::streams::Extras;
use super::{Errands, Features, Phase, Plan, Saved, Sent, Step, Ticket};
use crate::json::Value;
use crate::sync::api::{Body, Request, RequestKind, Target, operations};
use crate::sync::ledger::Ledger;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

impl Plan {
    /// The next step, if there is one now.
    pub fn next_step(&mut self) -> Option<(Ticket, Step)> {
        let (errand, step) = match self.phase {
            Phase::Greeting => self.greeting_step()?,
            Phase::Open => self.open_step()?,
            Phase::Closed => self.save_step()?,
            Phase::Restart | Phase::Failed => return None,
        };
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.under_way.insert(ticket, errand);
        Some((ticket, step))
    }

    fn open_step(&mut self) -> Option<(Errands, Step)> {
        if let Some(step) = self.save_step() {
            return Some(step);
        }
        if let Some(step) = self.features_step() {
            return Some(step);
        }
        self.finish_reading();
        if self.may_send_lines()
            && let Some(step) = self.lines_step()
        {
            return Some(step);
        }
        if let Some(step) = self.update_step() {
            return Some(step);
        }
        let all = self.ended || self.options.live.is_some();
        match self.files.next(all) {
            Some(FileStep::Measure(at, file)) => {
                return Some((Errands::MeasureFile(at), Step::Measure(file)));
            }
            Some(FileStep::Create(which, names)) => {
                let request = files::create_request(&self.ledger, names);
                return Some((Errands::Urls(which), Step::Send(request)));
            }
            Some(FileStep::Put(at, request)) => {
                return Some((Errands::Put(at), Step::Send(request)));
            }
            None => {}
        }
        match self.artifacts.next(&self.ledger) {
            Some(ArtifactStep::List { artifact, file }) => {
                return Some((Errands::ListArtifact(artifact), Step::Read(file)));
            }
            Some(ArtifactStep::Measure { artifact, entry, file }) => {
                return Some((Errands::MeasureEntry(artifact, entry), Step::Measure(file)));
            }
            Some(ArtifactStep::Send { artifact, what, request }) => {
                return Some((Errands::Artifact(artifact, what), Step::Send(request)));
            }
            None => {}
        }
        self.alert_step()
    }

    /// Saves the ledger if it is to be; the first time before any line is sent.
    fn save_step(&mut self) -> Option<(Errands, Step)> {
        let Saved::No { durable } = self.saved else { return None };
        self.saved = Saved::Soon { durable };
        Some((Errands::Save, Step::Save { durable }))
    }

    pub(super) fn features_step(&mut self) -> Option<(Errands, Step)> {
        if self.features != Features::Wanted {
            return None;
        }
        self.features = Features::Asked;
        let request = operations::SERVER_FEATURES.request(Value::object());
        Some((Errands::Features, Step::Send(request)))
    }

    fn may_send_lines(&self) -> bool {
        let busy = |errand: &Errands| matches!(errand, Errands::Lines(_));
        let knows_how = !matches!(self.features, Features::Wanted | Features::Asked);
        knows_how && !self.under_way.values().any(busy) && self.saved_once()
    }

    /// Whether the places are on the disk.
    pub(super) const fn saved_once(&self) -> bool {
        !matches!(self.saved, Saved::No { durable: true } | Saved::Soon { durable: true })
    }

    fn lines_step(&mut self) -> Option<(Errands, Step)> {
        let settled = self.ended && self.generated && self.is_settled();
        let last = settled && !self.streams.is_full();
        if last && let Some(question) = self.greeting.next {
            return self.ask(question);
        }
        let since = self.sent_at.map(|sent_at| self.now.saturating_sub(sent_at));
        // The first request goes at once.
        let is_due = |time| since.is_none_or(|since| since >= time);
        let pace = self.options.live.filter(|_| !self.ended);
        let paced = pace.is_some_and(|pace| is_due(pace.lines));
        let beat = pace.is_some_and(|pace| is_due(pace.heartbeat));
        if paced && self.summary_changed {
            self.offer_summary();
        }
        let has_news = !self.streams.is_empty() || self.files.has_untold();
        let urgent = self.preempting;
        if !(last || self.streams.is_full() || urgent || (paced && has_news) || beat) {
            return None;
        }
        // Told in an earlier sync, it is told again: greeted anew, a server takes the run for one that goes on.
        let complete = self.exit_code().filter(|_| last && !self.greeting.is_superseded());
        let extras = Extras {
            uploaded: self.files.take_untold(),
            preempting: std::mem::take(&mut self.preempting),
            complete,
        };
        let places = self.ledger.places.unwrap_or_default();
        let batch = self.streams.take(&places, &extras);
        if batch.is_empty && last {
            self.close();
            return self.save_step();
        }
        self.sent_at = Some(self.now);
        let request = self.lines_request(batch.body);
        let sums = batch.sums;
        let sent = Sent { counts: batch.counts, sums, files: extras.uploaded, complete, last };
        Some((Errands::Lines(sent), Step::Send(request)))
    }

    /// The request with these lines, zipped once and for all, so that each try sends the same bytes.
    fn lines_request(&self, body: Vec<u8>) -> Request {
        let gzip = self.options.gzip && matches!(self.features, Features::Known { gzip: true, .. });
        let zipped = if gzip && body.len() >= ZIPPED { zipped(&body) } else { None };
        Request {
            kind: RequestKind::FileStream,
            target: Target::Server(stream_path(&self.ledger)),
            headers: zipped.iter().map(|_| ("Content-Encoding".into(), "gzip".into())).collect(),
            body: Body::Json(zipped.unwrap_or(body)),
        }
    }

    /// Whether all but the lines is done.
    fn is_settled(&self) -> bool {
        let busy = |errand: &Errands| !matches!(errand, Errands::Save);
        self.files.is_done()
            && self.artifacts.is_done()
            && self.alerts.is_empty()
            && !self.under_way.values().any(busy)
            && !self.is_outdated()
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        self.run.exit().map(|exit| exit.code).or(self.options.finish)
    }

    fn alert_step(&mut self) -> Option<(Errands, Step)> {
        let busy = |errand: &Errands| matches!(errand, Errands::Alert);
        if self.under_way.values().any(busy) {
            return None;
        }
        let alert = self.alerts.front()?;
        let severity = match alert.level.as_str() {
            level @ ("INFO" | "WARN" | "ERROR") => Some(level.to_owned()),
            _ => None,
        };
        let request = operations::ALERT.request(Value::from_iter([
            ("entityName", Value::from(self.ledger.entity.as_str())),
            ("projectName", self.ledger.project.as_str().into()),
            ("runName", self.ledger.run.as_str().into()),
            ("title", alert.title.as_str().into()),
            ("text", alert.text.as_str().into()),
            ("severity", severity.into()),
            ("waitDuration", Value::Int(alert.wait_duration)),
        ]));
        Some((Errands::Alert, Step::Send(request)))
    }
}

/// Where the lines of a run go.
fn stream_path(ledger: &Ledger) -> String {
    let part = crate::sync::server::path_part;
    let (entity, project, run) = (&ledger.entity, &ledger.project, &ledger.run);
    format!("/files/{}/{}/{}/file_stream", part(entity), part(project), part(run))
}

/// The bytes zipped, fast rather than small: lines are text that repeats itself.
fn zipped(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// Bytes of a body from which zipping it saves a packet.
const ZIPPED: usize = 1 << 10;
