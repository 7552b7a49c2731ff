//! One artifact on its way.

use super::manifest::{self, client_id};
use super::{ArtifactStep, Errand};
use crate::json::Value;
use crate::proto::wandb_internal::{ArtifactManifestEntry, ArtifactRecord};
use crate::sync::api::{
    Answer, Body, CreatedArtifact, CreatedFile, Manifest, Operation, Request, RequestKind, Target,
    operations, read,
};
use crate::sync::ledger::{Ledger, hex};
use crate::sync::plan::files::{AT_ONCE, URLS_AT_MOST, is_expired};
use crate::sync::plan::{LocalFile, Measured, Unreadable};
use crate::sync::report::ArtifactStatus;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One artifact on its way.
#[derive(Debug)]
pub(super) struct Artifact {
    record: ArtifactRecord,
    stage: Stage,
    /// The files to be sent, by their number in the manifest.
    files: BTreeMap<usize, Sending>,
    /// A request is under way, of which there is one at a time besides uploads.
    waiting: bool,
    sending: usize,
    id: String,
    base: Option<String>,
    manifest_id: String,
    /// The manifest's text, and how often a URL for it was asked for.
    text: Arc<[u8]>,
    asked: u32,
    upload: Option<(String, Vec<(String, String)>)>,
    refs: BTreeMap<String, String>,
    births: BTreeMap<usize, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
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

/// A file of the artifact.
#[derive(Debug, Default)]
struct Sending {
    state: SendState,
    found: Option<Measured>,
    asked: u32,
    node: Option<CreatedFile>,
    etags: Vec<Option<String>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SendState {
    #[default]
    New,
    Measuring,
    Ready,
    Asked,
    Placed,
    Sending,
    /// All parts are there and wait to be joined.
    Parted,
    Stored,
}

impl Artifact {
    pub(super) fn new(record: ArtifactRecord, ledger: &Ledger) -> Self {
        let files: BTreeMap<_, _> =
            staged_files(&record).map(|(entry, _)| (entry, Sending::default())).collect();
        let stage = match (ledger.artifacts.contains_key(&key(&record)), &record.manifest) {
            (true, _) => Stage::Done(ArtifactStatus::Unchanged),
            (false, None) => {
                Stage::Done(ArtifactStatus::Failed("the log has no manifest of it".into()))
            }
            (false, Some(_)) => Stage::Measure,
        };
        Self {
            record,
            stage,
            files,
            waiting: false,
            sending: 0,
            id: String::new(),
            base: None,
            manifest_id: String::new(),
            text: Arc::default(),
            asked: 0,
            upload: None,
            refs: BTreeMap::new(),
            births: BTreeMap::new(),
        }
    }

    pub(super) const fn record(&self) -> &ArtifactRecord {
        &self.record
    }

    pub(super) fn collection(&self) -> (String, String) {
        (self.record.r#type.clone(), self.record.name.clone())
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_)) && self.sending == 0
    }

    pub(super) fn status(&self) -> Option<ArtifactStatus> {
        match &self.stage {
            Stage::Done(status) => Some(status.clone()),
            _ => None,
        }
    }

    /// The next thing to do for this artifact, the `at`-th of its run.
    pub(super) fn next(&mut self, at: usize, ledger: &Ledger) -> Option<ArtifactStep> {
        if self.stage == Stage::Measure {
            match self.measure(at) {
                Some(step) => return Some(step),
                None if self.all(SendState::Ready) => self.stage = Stage::Create,
                None => return None,
            }
        }
        if self.waiting {
            return None;
        }
        let send = |what, request| Some(ArtifactStep::Send { artifact: at, what, request });
        match self.stage {
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

    pub(super) fn measured(&mut self, at: usize, found: Result<Measured, Unreadable>) {
        let Some(file) = self.files.get_mut(&at) else { return };
        let entry = self.record.manifest.as_ref().and_then(|manifest| manifest.contents.get(at));
        let (path, digest) =
            entry.map(|entry| (&*entry.local_path, &*entry.digest)).unwrap_or_default();
        let failure = match found {
            Ok(found) if found.md5_base64() == digest => {
                (file.state, file.found) = (SendState::Ready, Some(found));
                return;
            }
            Ok(_) => format!("{path} is not what it was when it was logged"),
            Err(Unreadable::Missing) => {
                format!("{path} is gone; name where it is now with --staging")
            }
            Err(Unreadable::Refused(why) | Unreadable::Failed(why)) => why,
        };
        self.fail(failure);
    }

    fn measure(&mut self, at: usize) -> Option<ArtifactStep> {
        let busy = self.files.values().filter(|file| file.state == SendState::Measuring).count();
        let (entry, file) = self.files.iter_mut().find(|(_, file)| file.state == SendState::New)?;
        if busy >= AT_ONCE {
            return None;
        }
        file.state = SendState::Measuring;
        let contents = self.record.manifest.as_ref().map(|manifest| &manifest.contents)?;
        let file = LocalFile::Staged(contents.get(*entry)?.local_path.clone());
        Some(ArtifactStep::Measure { artifact: at, entry: *entry, file })
    }

    /// The next thing to do for its files; when they are all stored, on to the references.
    fn file_step(&mut self, at: usize, ledger: &Ledger) -> Option<ArtifactStep> {
        let send = |what, request| Some(ArtifactStep::Send { artifact: at, what, request });
        if self.sending < AT_ONCE
            && let Some((what, request)) = self.next_put()
        {
            self.sending += 1;
            return send(what, request);
        }
        if let Some((&entry, file)) =
            self.files.iter().find(|(_, file)| file.state == SendState::Parted)
        {
            let request = file.join(&self.id);
            self.waiting = true;
            return send(Errand::Join(entry), request);
        }
        let ready = self.files.iter().filter(|(_, file)| file.state == SendState::Ready);
        let ready: Vec<_> = ready.map(|(&entry, _)| entry).take(BATCH).collect();
        if !ready.is_empty() {
            let request = self.urls(&ready);
            self.waiting = true;
            return send(Errand::Urls(ready), request);
        }
        if self.all(SendState::Stored) {
            self.stage = Stage::Refs;
            return self.next(at, ledger);
        }
        None
    }

    /// The next upload: of a file, or of a part of a large one.
    fn next_put(&mut self) -> Option<(Errand, Request)> {
        for (&entry, file) in &mut self.files {
            let (SendState::Placed, Some(node), Some(found)) =
                (file.state, &file.node, &file.found)
            else {
                continue;
            };
            let Some(parts) = &node.multipart else {
                file.state = SendState::Sending;
                let (path, length) = (found.path.clone(), found.size);
                let body = Body::File { path, offset: 0, length };
                return Some((Errand::Put(entry), put(node.url.clone()?, node.headers(), body)));
            };
            let at = file.etags.len();
            let Some((part, md5)) = parts.parts.get(at).zip(found.parts.get(at)) else { continue };
            file.etags.push(None);
            if file.etags.len() == found.parts.len() {
                file.state = SendState::Sending;
            }
            let length = part_length(found.size).unwrap_or(found.size);
            let offset = length.saturating_mul(at as u64);
            let length = length.min(found.size.saturating_sub(offset));
            let body = Body::File { path: found.path.clone(), offset, length };
            let headers = vec![("Content-MD5".to_owned(), BASE64.encode(md5))];
            return Some((Errand::Part(entry, at), put(part.url.clone(), headers, body)));
        }
        None
    }

    fn all(&self, state: SendState) -> bool {
        self.files.values().all(|file| file.state == state)
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
            Errand::Put(_) | Errand::Part(..) => self.sending = self.sending.saturating_sub(1),
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
                self.id = created.id;
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
                self.placed(entries, CreatedFile::list(answer, entries.len())?)
            }
            Errand::Put(entry) => self.put_answered(*entry, answer)?,
            Errand::Part(entry, part) => self.part_answered(*entry, *part, answer)?,
            Errand::Join(entry) => {
                read::<serde::de::IgnoredAny>(answer)?;
                if let Some(file) = self.files.get_mut(entry) {
                    file.state = SendState::Stored;
                }
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
                read::<serde::de::IgnoredAny>(answer)?;
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
        ledger.artifacts.insert(key(&self.record), self.id.clone());
        self.stage = Stage::Done(ArtifactStatus::Stored);
    }

    fn placed(&mut self, entries: &[usize], nodes: Vec<CreatedFile>) {
        for (entry, node) in entries.iter().zip(nodes) {
            let Some(file) = self.files.get_mut(entry) else { continue };
            let birth = node.birth_artifact().unwrap_or(&self.id).to_owned();
            self.births.insert(*entry, birth);
            let to_send = node.url.is_some() || node.multipart.is_some();
            file.state = if to_send { SendState::Placed } else { SendState::Stored };
            file.etags.clear();
            file.node = Some(node);
        }
    }

    fn put_answered(&mut self, entry: usize, answer: &Answer) -> Result<(), String> {
        let Some(file) = self.files.get_mut(&entry) else { return Ok(()) };
        if answer.is_success() {
            file.state = SendState::Stored;
        } else if is_expired(answer.status) && file.asked < URLS_AT_MOST {
            file.state = SendState::Ready;
        } else {
            return Err(format!("it was answered {}", answer.status));
        }
        Ok(())
    }

    fn part_answered(&mut self, entry: usize, part: usize, answer: &Answer) -> Result<(), String> {
        let Some(file) = self.files.get_mut(&entry) else { return Ok(()) };
        let etag = answer.header("etag").filter(|_| answer.is_success());
        let etag =
            etag.ok_or_else(|| format!("part {} was answered {}", part + 1, answer.status))?;
        if let Some(place) = file.etags.get_mut(part) {
            *place = Some(etag.to_owned());
        }
        if file.state == SendState::Sending && file.etags.iter().all(Option::is_some) {
            file.state = SendState::Parted;
        }
        Ok(())
    }

    /// A client id in a reference that has not been resolved.
    fn open_reference(&self) -> Option<String> {
        let contents = self.record.manifest.as_ref().map(|manifest| manifest.contents.as_slice());
        let clients =
            contents.unwrap_or_default().iter().filter_map(|entry| client_id(&entry.r#ref));
        let mut open = clients.map(|(client, _)| client).filter(|c| !self.refs.contains_key(*c));
        open.next().map(str::to_owned)
    }

    fn write_manifest(&mut self) {
        if let Some(manifest) = &self.record.manifest {
            self.text = manifest::text(manifest, &self.refs, &self.births).into();
        }
    }
}

// The requests.
impl Artifact {
    fn create(&self, ledger: &Ledger) -> Request {
        let record = &self.record;
        let text =
            |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned).into();
        let alias = |alias: &String| {
            Value::from_iter([
                ("artifactCollectionName", Value::from(record.name.as_str())),
                ("alias", alias.as_str().into()),
            ])
        };
        let mut input = BTreeMap::from(
            [
                ("entityName", Value::from(ledger.entity.as_str())),
                ("projectName", ledger.project.as_str().into()),
                ("artifactTypeName", record.r#type.as_str().into()),
                ("artifactCollectionName", record.name.as_str().into()),
                ("runName", Some(ledger.run.clone()).filter(|_| !record.user_created).into()),
                ("digest", record.digest.as_str().into()),
                ("digestAlgorithm", "MANIFEST_MD5".into()),
                ("description", text(&record.description)),
                ("aliases", Value::Array(record.aliases.iter().map(alias).collect())),
                ("metadata", text(&record.metadata)),
                ("enableDigestDeduplication", true.into()),
                ("distributedID", text(&record.distributed_id)),
                ("clientID", text(&record.client_id)),
                ("sequenceClientID", text(&record.sequence_client_id)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        if record.ttl_duration_seconds != 0 {
            input.insert("ttlDurationSeconds".into(), Value::Int(record.ttl_duration_seconds));
        }
        // Servers of before there were tags refuse the field.
        if !record.tags.is_empty() {
            let tag = |tag: &String| Value::from_iter([("tagName", Value::from(tag.as_str()))]);
            input.insert("tags".into(), Value::Array(record.tags.iter().map(tag).collect()));
        }
        operations::CREATE_ARTIFACT.request(Value::from_iter([("input", Value::Object(input))]))
    }

    /// How the manifest is called, which says whether it is all of it.
    fn manifest_kind(&self) -> (&'static str, &'static str) {
        if self.record.incremental_beta1 {
            ("wandb_manifest.incremental.json", "INCREMENTAL")
        } else if !self.record.distributed_id.is_empty() {
            ("wandb_manifest.patch.json", "PATCH")
        } else {
            ("wandb_manifest.json", "FULL")
        }
    }

    fn manifest(&self, ledger: &Ledger, digest: &str, upload: bool) -> Request {
        let (name, kind) = self.manifest_kind();
        operations::CREATE_MANIFEST.request(Value::from_iter([
            ("artifactID", Value::from(self.id.as_str())),
            ("baseArtifactID", self.base.clone().into()),
            ("name", name.into()),
            ("digest", digest.into()),
            ("entityName", ledger.entity.as_str().into()),
            ("projectName", ledger.project.as_str().into()),
            ("runName", ledger.run.as_str().into()),
            ("manifestType", kind.into()),
            ("includeUpload", upload.into()),
        ]))
    }

    fn last_manifest(&self, ledger: &Ledger, digest: &str) -> Request {
        if self.manifest_kind().1 == "FULL" {
            return self.manifest(ledger, digest, true);
        }
        operations::UPDATE_MANIFEST.request(Value::from_iter([
            ("artifactManifestID", Value::from(self.manifest_id.as_str())),
            ("digest", digest.into()),
            ("baseArtifactID", self.base.clone().into()),
        ]))
    }

    fn urls(&mut self, entries: &[usize]) -> Request {
        let empty = Vec::new();
        let contents = self.record.manifest.as_ref().map_or(&empty, |manifest| &manifest.contents);
        let mut specs = Vec::new();
        for entry in entries {
            let Some((file, spec)) = self.files.get_mut(entry).zip(contents.get(*entry)) else {
                continue;
            };
            file.state = SendState::Asked;
            file.asked += 1;
            specs.push(file.spec(spec, &self.id, &self.manifest_id));
        }
        let input = Value::from_iter([
            ("artifactFiles", Value::Array(specs)),
            ("storageLayout", "V2".into()),
        ]);
        operations::CREATE_ARTIFACT_FILES.request(Value::from_iter([("input", input)]))
    }

    fn by_id(&self, operation: Operation) -> Request {
        operation.request(Value::from_iter([("artifactID", Value::from(self.id.as_str()))]))
    }

    fn use_it(&self, ledger: &Ledger) -> Request {
        let input = Value::from_iter([
            ("entityName", Value::from(ledger.entity.as_str())),
            ("projectName", ledger.project.as_str().into()),
            ("runName", ledger.run.as_str().into()),
            ("artifactID", self.id.as_str().into()),
        ]);
        operations::USE_ARTIFACT.request(Value::from_iter([("input", input)]))
    }
}

impl Sending {
    fn spec(&self, entry: &ArtifactManifestEntry, artifact: &str, manifest: &str) -> Value {
        let parts = self.found.as_ref().map(|found| found.parts.as_slice()).unwrap_or_default();
        let part = |(i, md5): (usize, &[u8; 16])| {
            Value::from_iter([("partNumber", (i as u64 + 1).into()), ("hexMD5", hex(md5).into())])
        };
        let parts: Vec<_> = parts.iter().enumerate().map(part).collect();
        Value::from_iter([
            ("artifactID", Value::from(artifact)),
            ("artifactManifestID", manifest.into()),
            ("name", entry.path.as_str().into()),
            ("md5", entry.digest.as_str().into()),
            ("uploadPartsInput", Some(parts).filter(|parts| !parts.is_empty()).into()),
        ])
    }

    /// The request that joins the parts of a large file.
    fn join(&self, artifact: &str) -> Request {
        let node = self.node.as_ref();
        let numbers =
            node.and_then(|node| node.multipart.as_ref()).map(|parts| parts.parts.as_slice());
        let parts = numbers.unwrap_or_default().iter().zip(&self.etags).map(|(part, etag)| {
            let etag = etag.clone().unwrap_or_default();
            Value::from_iter([("partNumber", part.number.into()), ("hexMD5", etag.into())])
        });
        let upload = node.and_then(|node| node.multipart.as_ref()).map(|parts| parts.id.clone());
        let path = node.and_then(|node| node.storage_path.clone());
        operations::COMPLETE_MULTIPART.request(Value::from_iter([
            ("completeMultipartAction", Value::from("Complete")),
            ("completedParts", Value::Array(parts.collect())),
            ("artifactID", artifact.into()),
            ("storagePath", path.unwrap_or_default().into()),
            ("uploadID", upload.unwrap_or_default().into()),
        ]))
    }
}

impl Errand {
    const fn name(&self) -> &'static str {
        match self {
            Self::Create => "making it",
            Self::FirstManifest | Self::LastManifest => "making its manifest",
            Self::Urls(_) => "asking where its files go",
            Self::Put(_) | Self::Part(..) => "uploading a file",
            Self::Join(_) => "joining the parts of a file",
            Self::Mapping(_) => "resolving a reference",
            Self::PutManifest => "uploading its manifest",
            Self::Commit => "committing it",
            Self::Use => "marking it as used",
        }
    }
}

fn put(url: String, headers: Vec<(String, String)>, body: Body) -> Request {
    Request { kind: RequestKind::Upload, target: Target::Signed(url), headers, body }
}

/// The files of an artifact that are on this machine: each one's number in the manifest, and its path.
pub(crate) fn staged_files(record: &ArtifactRecord) -> impl Iterator<Item = (usize, &str)> {
    let contents = record.manifest.as_ref().map(|manifest| manifest.contents.as_slice());
    let entries = contents.unwrap_or_default().iter().enumerate();
    let paths = entries.map(|(at, entry)| (at, entry.local_path.as_str()));
    paths.filter(|(_, path)| !path.is_empty())
}

/// What tells an artifact from others of its run.
fn key(record: &ArtifactRecord) -> String {
    match record.client_id.is_empty() {
        false => record.client_id.clone(),
        true => format!("{}:{}", record.name, record.digest),
    }
}

/// The id in the server's answer; references have it in hex.
fn mapped(answer: &Answer) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "clientIDMapping")]
        mapping: Option<Mapping>,
    }
    #[derive(Deserialize)]
    struct Mapping {
        #[serde(rename = "serverID")]
        id: String,
    }
    let mapping = read::<Data>(answer)?.mapping;
    let id = mapping.ok_or("the server does not know the artifact it refers to")?.id;
    Ok(BASE64.decode(&id).map_or(id, |bytes| hex(&bytes)))
}

/// How long the parts of a file of this size are; `None` if it is sent whole. Parts of 100 MiB, or longer
/// if there would be more than 10,000 of them.
pub(crate) const fn part_length(size: u64) -> Option<u64> {
    if size < MULTIPART_FROM {
        return None;
    }
    let least = size.div_ceil(MOST_PARTS).next_multiple_of(4096);
    Some(if least > PART { least } else { PART })
}

const MULTIPART_FROM: u64 = 2 << 30;
const PART: u64 = 100 << 20;
const MOST_PARTS: u64 = 10_000;

/// Files in one request for URLs.
const BATCH: usize = 100;
