//! One artifact on its way.

use super::manifest::{self, client_id};
use super::sending::{Outgoing, put};
use super::{ArtifactStep, Errand};
use crate::io::hex;
use crate::json::Value;
use crate::proto::wandb_internal::{ArtifactManifestEntry, ArtifactRecord};
use crate::sync::api::{
    Answer, Body, CreatedArtifact, CreatedFile, Manifest, committed_version, mapped_id, operations,
    read,
};
use crate::sync::ledger::{ArtifactMark, Ledger};
use crate::sync::plan::files::{URLS_AT_MOST, is_expired};
use crate::sync::plan::{LocalFile, Measured, Unreadable};
use crate::sync::report::{ArtifactReport, ArtifactStatus};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One artifact on its way.
#[derive(Debug)]
pub(super) struct Artifact {
    pub(super) record: ArtifactRecord,
    /// It was stored before.
    stored: Option<ArtifactMark>,
    stage: Stage,
    pub(super) files: Outgoing,
    /// A request is under way, of which there is one at a time besides uploads.
    waiting: bool,
    pub(super) id: String,
    /// As the server counts, once it has told.
    version: Option<u64>,
    pub(super) base: Option<String>,
    pub(super) manifest_id: String,
    /// The manifest's text, and how often a URL for it was asked for.
    text: Arc<[u8]>,
    asked: u32,
    upload: Option<(String, Vec<(String, String)>)>,
    refs: BTreeMap<String, String>,
    births: BTreeMap<usize, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// The list of its files is in a file of its own.
    List,
    Measure,
    Create,
    FirstManifest,
    Files,
    Refs,
    LastManifest,
    PutManifest,
    Commit,
    Use,
    Done(ArtifactStatus),
}

impl Artifact {
    pub(super) fn new(record: ArtifactRecord, ledger: &Ledger) -> Self {
        let stored = ledger.artifacts.get(&key(&record)).cloned();
        let stage = match (&stored, &record.manifest) {
            (Some(_), _) => Stage::Done(ArtifactStatus::Unchanged),
            (None, None) => {
                Stage::Done(ArtifactStatus::Failed("the log has no manifest of it".into()))
            }
            (None, Some(manifest)) if !manifest.manifest_file_path.is_empty() => Stage::List,
            (None, Some(_)) => Stage::Measure,
        };
        Self {
            files: outgoing(&record),
            record,
            stage,
            waiting: false,
            stored,
            id: String::new(),
            version: None,
            base: None,
            manifest_id: String::new(),
            text: Arc::default(),
            asked: 0,
            upload: None,
            refs: BTreeMap::new(),
            births: BTreeMap::new(),
        }
    }

    /// The entries of its manifest.
    pub(super) fn contents(&self) -> &[ArtifactManifestEntry] {
        self.record.manifest.as_ref().map(|manifest| &*manifest.contents).unwrap_or_default()
    }

    pub(super) fn collection(&self) -> (&str, &str) {
        (&self.record.r#type, &self.record.name)
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_)) && self.files.is_idle()
    }

    /// What tells it from others of its run.
    pub(super) fn key(&self) -> String {
        key(&self.record)
    }

    /// What became of it so far.
    pub(super) fn report(&self) -> ArtifactReport {
        let status = match &self.stage {
            Stage::Done(status) => status.clone(),
            _ => ArtifactStatus::Failed("not sent".into()),
        };
        ArtifactReport { artifact: self.stored.clone().unwrap_or_else(|| self.mark()), status }
    }

    fn mark(&self) -> ArtifactMark {
        ArtifactMark { id: self.id.clone(), version: self.version, ..mark(&self.record) }
    }

    /// The next thing to do for this artifact, the `at`-th of its run.
    pub(super) fn next(&mut self, at: usize, ledger: &Ledger) -> Option<ArtifactStep> {
        if self.stage == Stage::Measure {
            match self.files.next_to_measure() {
                Some(entry) => return self.measure(at, entry),
                None if self.files.is_measured() => self.stage = Stage::Create,
                None => return None,
            }
        }
        if self.waiting {
            return None;
        }
        let send = |what, request| Some(ArtifactStep::Send { artifact: at, what, request });
        match self.stage {
            Stage::List => {
                let path = self.record.manifest.as_ref()?.manifest_file_path.clone();
                Some(ArtifactStep::List { artifact: at, file: LocalFile::Staged(path) })
            }
            Stage::Create => send(Errand::Create, self.create(ledger)),
            Stage::FirstManifest => send(Errand::FirstManifest, self.manifest(ledger, "", false)),
            Stage::Files => return self.file_step(at, ledger),
            Stage::Refs => match self.open_reference() {
                Some(client) => {
                    let variables = Value::from_iter([("clientID", Value::from(client.as_str()))]);
                    let request = operations::CLIENT_ID_MAPPING.request(variables);
                    send(Errand::Mapping(client), request)
                }
                None => {
                    self.write_manifest();
                    self.stage = Stage::LastManifest;
                    return self.next(at, ledger);
                }
            },
            Stage::LastManifest => {
                let digest = Measured::of(&self.text).md5_base64();
                self.asked += 1;
                send(Errand::LastManifest, self.last_manifest(ledger, &digest))
            }
            Stage::PutManifest => {
                let (url, headers) = self.upload.clone()?;
                let body = Body::Bytes(self.text.clone());
                send(Errand::PutManifest, put(url, headers, body))
            }
            Stage::Commit => send(Errand::Commit, self.by_id(operations::COMMIT_ARTIFACT)),
            Stage::Use => send(Errand::Use, self.use_it(ledger)),
            Stage::Measure | Stage::Done(_) => None,
        }
        .inspect(|_| self.waiting = true)
    }

    /// The list of its files was read, or could not be.
    pub(super) fn listed(&mut self, text: Result<Vec<u8>, Unreadable>) {
        self.waiting = false;
        let failed = |why: String| format!("the list of its files cannot be read: {why}");
        let entries = match text {
            Ok(text) => manifest::entries(&text).map_err(failed),
            Err(why) => {
                let manifest = self.record.manifest.as_ref();
                Err(why.reason(manifest.map_or("", |manifest| &manifest.manifest_file_path)))
            }
        };
        match (entries, &mut self.record.manifest) {
            (Ok(entries), Some(manifest)) => {
                manifest.contents = entries;
                self.files = outgoing(&self.record);
                self.stage = Stage::Measure;
            }
            (Ok(_), None) => {}
            (Err(why), _) => self.fail(why),
        }
    }

    pub(super) fn measured(&mut self, at: usize, found: Result<Measured, Unreadable>) {
        let entry = self.contents().get(at);
        let (path, digest) =
            entry.map(|entry| (&*entry.local_path, &*entry.digest)).unwrap_or_default();
        let found = match found {
            Ok(found) if found.md5_base64() == digest => Ok(found),
            Ok(_) => Err(format!("{path} is not what it was when it was logged")),
            Err(why) => Err(why.reason(path)),
        };
        match found {
            Ok(found) => self.files.measured(at, Some(found)),
            Err(why) => {
                self.files.measured(at, None);
                self.fail(why);
            }
        }
    }

    fn measure(&self, artifact: usize, entry: usize) -> Option<ArtifactStep> {
        let file = LocalFile::Staged(self.contents().get(entry)?.local_path.clone());
        Some(ArtifactStep::Measure { artifact, entry, file })
    }

    /// The next thing to do for its files; when they are all stored, on to the references.
    fn file_step(&mut self, at: usize, ledger: &Ledger) -> Option<ArtifactStep> {
        let send = |(what, request)| Some(ArtifactStep::Send { artifact: at, what, request });
        if let Some(put) = self.files.next_put() {
            return send(put);
        }
        if let Some(join) = self.files.next_join(&self.id) {
            self.waiting = true;
            return send(join);
        }
        let ready = self.files.take_ready();
        if !ready.is_empty() {
            self.waiting = true;
            let request = self.urls(&ready);
            return send((Errand::Urls(ready), request));
        }
        if self.files.is_stored() {
            self.stage = Stage::Refs;
            return self.next(at, ledger);
        }
        None
    }

    fn fail(&mut self, why: impl Into<String>) {
        self.stage = Stage::Done(ArtifactStatus::Failed(why.into()));
    }

    /// Takes the answer to an errand.
    pub(super) fn answered(
        &mut self,
        what: &Errand,
        answer: &Result<Answer, String>,
        ledger: &mut Ledger,
    ) {
        match what {
            Errand::Put(_) | Errand::Part(..) => self.files.put_ended(),
            _ => self.waiting = false,
        }
        let taken = match answer {
            Ok(answer) => self.take(what, answer, ledger),
            Err(reason) => Err(reason.clone()),
        };
        if let Err(reason) = taken
            && !matches!(self.stage, Stage::Done(_))
        {
            self.fail(format!("{}: {reason}", what.name()));
        }
    }

    fn take(&mut self, what: &Errand, answer: &Answer, ledger: &mut Ledger) -> Result<(), String> {
        match what {
            Errand::Create => {
                let created = CreatedArtifact::of(answer)?;
                (self.id, self.version) = (created.id, created.version);
                self.base = Some(self.record.base_id.clone()).filter(|id| !id.is_empty());
                self.base = self.base.take().or(created.latest);
                match created.committed {
                    true => self.finish(ledger),
                    false => self.stage = Stage::FirstManifest,
                }
            }
            Errand::FirstManifest => {
                self.manifest_id = Manifest::of(answer)?.id;
                self.stage = Stage::Files;
            }
            Errand::Urls(entries) => {
                self.placed(entries, CreatedFile::list(answer, entries.len())?)?;
            }
            Errand::Put(entry) => self.files.put_answered(*entry, answer)?,
            Errand::Part(entry, part) => self.files.part_answered(*entry, *part, answer)?,
            Errand::Join => {
                read::<serde::de::IgnoredAny>(answer)?;
                self.files.joined();
            }
            Errand::Mapping(client) => {
                self.refs.insert(client.clone(), mapped(answer)?);
            }
            Errand::LastManifest => {
                self.upload = Manifest::of(answer)?.upload();
                self.stage = Stage::PutManifest;
                if self.upload.is_none() {
                    return Err("the server gave no URL for the manifest".into());
                }
            }
            Errand::PutManifest if answer.is_success() => {
                self.stage = if self.record.finalize { Stage::Commit } else { Stage::Use };
                if !self.record.finalize && !self.record.use_after_commit {
                    self.finish(ledger);
                }
            }
            Errand::PutManifest if is_expired(answer.status) && self.asked < URLS_AT_MOST => {
                self.stage = Stage::LastManifest;
            }
            Errand::PutManifest => {
                return Err(format!("the upload was answered {}", answer.status));
            }
            Errand::Commit => {
                self.version = committed_version(answer)?.or(self.version);
                match self.record.use_after_commit {
                    true => self.stage = Stage::Use,
                    false => self.finish(ledger),
                }
            }
            Errand::Use => {
                read::<serde::de::IgnoredAny>(answer)?;
                self.finish(ledger);
            }
        }
        Ok(())
    }

    fn finish(&mut self, ledger: &mut Ledger) {
        ledger.artifacts.insert(self.key(), self.mark());
        self.stage = Stage::Done(ArtifactStatus::Stored);
    }

    fn placed(&mut self, entries: &[usize], nodes: Vec<CreatedFile>) -> Result<(), String> {
        for (&entry, node) in entries.iter().zip(nodes) {
            let birth = node.birth_artifact().unwrap_or(&self.id).to_owned();
            self.births.insert(entry, birth);
            self.files.placed(entry, node)?;
        }
        Ok(())
    }

    /// A client id in a reference that has not been resolved.
    fn open_reference(&self) -> Option<String> {
        let clients = self.contents().iter().filter_map(|entry| client_id(&entry.r#ref));
        let mut open = clients.map(|(client, _)| client).filter(|c| !self.refs.contains_key(*c));
        open.next().map(str::to_owned)
    }

    fn write_manifest(&mut self) {
        if let Some(manifest) = &self.record.manifest {
            self.text = manifest::text(manifest, &self.refs, &self.births).into();
        }
    }
}

impl Errand {
    const fn name(&self) -> &'static str {
        match self {
            Self::Create => "making it",
            Self::FirstManifest | Self::LastManifest => "making its manifest",
            Self::Urls(_) => "asking where its files go",
            Self::Put(_) | Self::Part(..) => "uploading a file",
            Self::Join => "joining the parts of a file",
            Self::Mapping(_) => "resolving a reference",
            Self::PutManifest => "uploading its manifest",
            Self::Commit => "committing it",
            Self::Use => "marking it as used",
        }
    }
}

/// The files of an artifact on their way.
fn outgoing(record: &ArtifactRecord) -> Outgoing {
    Outgoing::new(staged_files(record).map(|(at, _)| at))
}

/// The files of an artifact that are on this machine: each one's number in the manifest, and its path.
pub(crate) fn staged_files(record: &ArtifactRecord) -> impl Iterator<Item = (usize, &str)> {
    let contents = record.manifest.as_ref().map(|manifest| manifest.contents.as_slice());
    let entries = contents.unwrap_or_default().iter().enumerate();
    let paths = entries.map(|(at, entry)| (at, entry.local_path.as_str()));
    paths.filter(|(_, path)| !path.is_empty())
}

/// What is known of an artifact before the server was asked.
pub(crate) fn mark(record: &ArtifactRecord) -> ArtifactMark {
    let manifest = record.manifest.as_ref();
    let contents = manifest.map(|manifest| &*manifest.contents).unwrap_or_default();
    let sizes = contents.iter().map(|entry| u64::try_from(entry.size).unwrap_or(0));
    ArtifactMark {
        name: record.name.clone(),
        kind: record.r#type.clone(),
        digest: record.digest.clone(),
        files: contents.len() as u64,
        size: sizes.fold(0, u64::saturating_add),
        ..ArtifactMark::default()
    }
}

/// What tells an artifact from others of its run.
pub(crate) fn key(record: &ArtifactRecord) -> String {
    match record.client_id.is_empty() {
        false => record.client_id.clone(),
        true => format!("{}:{}", record.name, record.digest),
    }
}

/// The id in the server's answer; references have it in hex.
fn mapped(answer: &Answer) -> Result<String, String> {
    let id = mapped_id(answer)?.ok_or("the server does not know the artifact it refers to")?;
    Ok(BASE64.decode(&id).map_or(id, |bytes| hex(&bytes)))
}
