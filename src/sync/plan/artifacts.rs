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
mod stage;

use super::{LocalFile, Measured, Unreadable};
use crate::proto::wandb_internal::ArtifactRecord;
use crate::sync::api::{Answer, Request};
use crate::sync::ledger::Ledger;
use crate::sync::report::{ArtifactReport, ArtifactStatus};
use stage::Artifact;

pub(crate) use stage::{part_length, staged_files};

/// The artifacts of a run on their way.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    artifacts: Vec<Artifact>,
}

/// What is to be done next for an artifact.
#[derive(Debug)]
pub(super) enum ArtifactStep {
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
    Join(usize),
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
        let mut names = Vec::new();
        for (i, artifact) in self.artifacts.iter_mut().enumerate() {
            if artifact.is_done() {
                continue;
            }
            // An earlier artifact of this name goes first, and only so many go at once.
            if names.contains(&artifact.collection()) || names.len() >= AT_ONCE {
                names.push(artifact.collection());
                continue;
            }
            names.push(artifact.collection());
            if let Some(step) = artifact.next(i, ledger) {
                return Some(step);
            }
        }
        None
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
