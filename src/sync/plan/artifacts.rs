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
use crate::sync::report::ArtifactReport;
use stage::Artifact;
use std::collections::HashSet;

pub(crate) use manifest::entries;
pub(crate) use sending::part_length;
pub(crate) use stage::{key, mark, staged_files};

/// The artifacts of a run on their way.
#[derive(Debug, Default)]
pub(super) struct Artifacts {
    artifacts: Vec<Artifact>,
    /// Done with, and not yet told to the caller.
    news: Vec<usize>,
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
        let artifact = Artifact::new(record, ledger);
        if artifact.is_done() {
            self.news.push(self.artifacts.len());
        }
        self.artifacts.push(artifact);
    }

    /// Has something happen to an artifact, and takes note if it is done with then.
    fn with(&mut self, at: usize, happen: impl FnOnce(&mut Artifact)) {
        let Some(artifact) = self.artifacts.get_mut(at) else { return };
        let was_done = artifact.is_done();
        happen(artifact);
        if !was_done && artifact.is_done() {
            self.news.push(at);
        }
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
        self.with(at, |artifact| artifact.listed(text));
    }

    pub(super) fn measured(
        &mut self,
        at: usize,
        entry: usize,
        found: Result<Measured, Unreadable>,
    ) {
        self.with(at, |artifact| artifact.measured(entry, found));
    }

    pub(super) fn answered(
        &mut self,
        at: usize,
        what: &Errand,
        answer: &Result<Answer, String>,
        ledger: &mut Ledger,
    ) {
        self.with(at, |artifact| artifact.answered(what, answer, ledger));
    }

    pub(super) fn is_done(&self) -> bool {
        self.artifacts.iter().all(Artifact::is_done)
    }

    /// What became of the artifacts that are done with since the last call.
    pub(super) fn take_settled(&mut self) -> Vec<ArtifactReport> {
        let news = std::mem::take(&mut self.news);
        news.iter().filter_map(|&at| self.artifacts.get(at)).map(Artifact::report).collect()
    }

    /// What became of the artifacts so far, and those that the ledger has besides.
    pub(super) fn reports(&self, ledger: &Ledger) -> Vec<ArtifactReport> {
        let own: HashSet<_> = self.artifacts.iter().map(Artifact::key).collect();
        let others = ledger.artifacts.iter().filter(|(key, _)| !own.contains(*key));
        let others = others.map(|(_, mark)| ArtifactReport::unchanged(mark.clone()));
        self.artifacts.iter().map(Artifact::report).chain(others).collect()
    }

    /// What is not stored, and why.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        self.artifacts.iter().filter_map(|artifact| artifact.report().problem())
    }
}

/// Artifacts of a run at a time.
const AT_ONCE: usize = 4;
