//! What came of the steps.

use super::{Errands, Features, Outcome, Phase, Plan, Saved, Sent, Ticket};
use crate::sync::api::{Answer, read, taken};

impl Plan {
    /// Takes what came of a step. Outcomes of another kind than the step asked for are passed over.
    pub fn done(&mut self, ticket: Ticket, outcome: Outcome) {
        let Some(errand) = self.under_way.remove(&ticket) else { return };
        match (errand, outcome) {
            (Errands::Greeting(question), outcome) => self.greeted(question, outcome),
            (Errands::Features, Outcome::Answer(answer)) => {
                self.features = features(&answer);
            }
            (Errands::Lines(sent), Outcome::Answer(answer)) => self.acknowledged(&sent, answer),
            (Errands::Urls(which), Outcome::Answer(answer)) => {
                let urls = answer.and_then(|answer| crate::sync::api::RunFiles::of(&answer));
                self.files.created(&which, urls);
            }
            (Errands::Put(at), Outcome::Answer(answer)) => {
                self.files.sent(at, &answer, &mut self.ledger);
                self.save_soon();
            }
            (Errands::MeasureFile(at), Outcome::Measured(found)) => {
                self.files.measured(at, found, &self.ledger);
            }
            (Errands::ListArtifact(artifact), Outcome::Text(text)) => {
                self.artifacts.listed(artifact, text);
            }
            (Errands::MeasureEntry(artifact, entry), Outcome::Measured(found)) => {
                self.artifacts.measured(artifact, entry, found);
            }
            (Errands::Artifact(at, what), Outcome::Answer(answer)) => {
                self.artifacts.answered(at, &what, &answer, &mut self.ledger);
                self.save_soon();
            }
            (Errands::Alert, Outcome::Answer(answer)) => {
                let told = answer.and_then(|answer| read::<serde::de::IgnoredAny>(&answer));
                match told {
                    Ok(_) => self.ledger.alerts += 1,
                    Err(reason) => self.problems.push(format!("an alert was not sent: {reason}")),
                }
                self.alerts.pop_front();
                self.save_soon();
            }
            (Errands::Save, Outcome::Saved(result)) => match result {
                Ok(()) if matches!(self.saved, Saved::Soon { .. }) => self.saved = Saved::Yes,
                Ok(()) => {}
                Err(reason) => self.fail(format!("the ledger could not be saved: {reason}")),
            },
            _ => {}
        }
    }

    fn acknowledged(&mut self, sent: &Sent, answer: Result<Answer, String>) {
        let refused = answer.and_then(|answer| taken(&answer)).err();
        if let Some(reason) = refused {
            return self.fail(format!("the run's lines were not stored: {reason}"));
        }
        if let Some(places) = &mut self.ledger.places {
            let streams = [&mut places.history, &mut places.events, &mut places.console];
            for (place, count) in streams.into_iter().zip(sent.counts.lines) {
                place.acknowledged += count;
            }
            for (place, sum) in [&mut places.history, &mut places.events].into_iter().zip(sent.sums)
            {
                place.crc32c = sum.or(place.crc32c);
            }
        }
        self.ledger.last_step = sent.counts.last_step.or(self.ledger.last_step);
        for name in &sent.files {
            if let Some(mark) = self.ledger.files.get_mut(name) {
                mark.told = true;
            }
        }
        // Without it, the server takes the run for one that goes on.
        if !self.greeting.is_superseded() {
            self.ledger.complete = sent.complete;
        }
        if sent.last { self.all_sent() } else { self.save_soon() }
    }

    /// Has the ledger saved when there is time.
    pub(super) const fn save_soon(&mut self) {
        if !matches!(self.saved, Saved::No { durable: true }) {
            self.saved = Saved::No { durable: !self.saved_once() };
        }
    }

    pub(super) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.ledger.stored = self.log_length;
        self.ledger.whole = self.problems().is_empty();
        self.saved = Saved::No { durable: true };
    }

    pub(super) fn fail(&mut self, reason: String) {
        self.problems.push(reason);
        self.phase = Phase::Failed;
    }
}

/// What a server says it can do. One that does not answer the question can do none of it.
fn features(answer: &Result<Answer, String>) -> Features {
    #[derive(serde::Deserialize)]
    struct Data {
        #[serde(rename = "serverInfo")]
        info: Option<Info>,
    }
    #[derive(serde::Deserialize)]
    struct Info {
        features: Vec<Option<Feature>>,
    }
    #[derive(serde::Deserialize)]
    struct Feature {
        name: String,
        #[serde(rename = "isEnabled")]
        enabled: bool,
    }
    let data = answer.as_ref().ok().and_then(|answer| read::<Data>(answer).ok());
    let features = data.and_then(|data| data.info).map(|info| info.features).unwrap_or_default();
    let has = |name| features.iter().flatten().any(|found| found.enabled && found.name == name);
    Features::Known {
        structured_console: has("STRUCTURED_CONSOLE_LOGS"),
        gzip: has("FILESTREAM_GZIP"),
    }
}
