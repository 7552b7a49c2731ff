//! Artifacts: made, their files sent, their manifest sent, committed.
//!
//! ```text
//! createArtifact → (COMMITTED: done) → createArtifactManifest, empty → createArtifactFiles, PUT each
//!   → clientIDMapping for references to other artifacts → createArtifactManifest with its digest, PUT it
//!   → commitArtifact → useArtifact, if it is used as well
//! ```
//!
//! One at a time of a name, for each version builds on the one before. The official client sends the
//! project and entity that the log has, which are wrong as soon as anything is overridden; here they are
//! those that the server answered. It also leaves local paths in the manifest, and takes relative ones from
//! wherever it happens to run.

mod manifest;
mod requests;
mod sending;
mod stage;

use super::{LocalFile, Measured, Unreadable};
use crate::proto::wandb_internal::ArtifactRecord;
use crate::sync::api::{Answer, Request};
use crate::sync::ledger::Ledger;
use crate::sync::report::{ArtifactReport, ArtifactStatus};
use stage::Artifact;

pub(crate) use manifest::entries;
pub(crate) use sending::part_length;
pub(crate) use stage::staged_files;

/// The artifacts of a run on their way.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    artifacts: Vec<Artifact>,
    /// How many at the beginning are done.
    settled: usize,
}

/// What is to be done next for an artifact.
#[derive(Debug)]
pub(super) enum ArtifactStep {
    List { artifact: usize, file: LocalFile },
    Measure { artifact: usize, entry: usize, file: LocalFile },
    Send { artifact: usize, what: Errand, request: Request },
}

/// What a request for an artifact was for.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    Create,
    FirstManifest,
    Urls(Vec<usize>),
    Put(usize),
    Part(usize, usize),
    Join,
    Mapping(String),
    LastManifest,
    PutManifest,
    Commit,
    Use,
}

impl Artifacts {
    pub(super) fn add(&mut self, record: ArtifactRecord, ledger: &Ledger) {
        self.artifacts.push(Artifact::new(record, ledger));
    }

    pub(super) fn next(&mut self, ledger: &Ledger) -> Option<ArtifactStep> {
        let open = |artifact: &Artifact| !artifact.is_done();
        while self.artifacts.get(self.settled).is_some_and(|artifact| !open(artifact)) {
            self.settled += 1;
        }
        let mut active: Vec<usize> = Vec::new();
        for at in self.settled..self.artifacts.len() {
            let Some(artifact) = self.artifacts.get(at).filter(|found| open(found)) else {
                continue;
            };
            let same = |other: &Artifact| other.collection() == artifact.collection();
            // An earlier artifact of this name goes first, and only so many go at once.
            if active.iter().filter_map(|&other| self.artifacts.get(other)).any(same) {
                continue;
            }
            if active.len() >= AT_ONCE {
                break;
            }
            active.push(at);
            if let Some(step) = self.artifacts.get_mut(at)?.next(at, ledger) {
                return Some(step);
            }
        }
        None
    }

    pub(super) fn listed(&mut self, at: usize, text: Result<Vec<u8>, Unreadable>) {
        if let Some(artifact) = self.artifacts.get_mut(at) {
            artifact.listed(text);
        }
    }

    pub(super) fn measured(
        &mut self,
        at: usize,
        entry: usize,
        found: Result<Measured, Unreadable>,
    ) {
        if let Some(artifact) = self.artifacts.get_mut(at) {
            artifact.measured(entry, found);
        }
    }

    pub(super) fn answered(
        &mut self,
        at: usize,
        what: &Errand,
        answer: &Result<Answer, String>,
        ledger: &mut Ledger,
    ) {
        if let Some(artifact) = self.artifacts.get_mut(at) {
            artifact.answered(what, answer, ledger);
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.artifacts.iter().all(Artifact::is_done)
    }

    pub(super) fn reports(&self) -> Vec<ArtifactReport> {
        let report = |artifact: &Artifact| {
            let (name, status) = (artifact.record().name.clone(), artifact.status());
            let kind = artifact.record().r#type.clone();
            ArtifactReport {
                name,
                kind,
                status: status.unwrap_or_else(|| ArtifactStatus::Failed("not sent".into())),
            }
        };
        self.artifacts.iter().map(report).collect()
    }
}

/// Artifacts of a run at a time.
const AT_ONCE: usize = 4;
