//! The files of one artifact on their way to the store.
//!
//! An artifact may have a hundred thousand files, so what is to be done next stands in queues.

use super::Errand;
use crate::io::hex;
use crate::json::Value;
use crate::proto::wandb_internal::ArtifactManifestEntry;
use crate::sync::api::{Answer, Body, CreatedFile, Request, RequestKind, Target, operations};
use crate::sync::plan::Measured;
use crate::sync::plan::files::{AT_ONCE, URLS_AT_MOST, is_expired};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::{BTreeMap, VecDeque};

/// The files of one artifact, by their number in the manifest.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    files: BTreeMap<usize, Sending>,
    /// Not looked at yet.
    fresh: VecDeque<usize>,
    measuring: usize,
    /// Measured, without a URL.
    ready: VecDeque<usize>,
    /// With a URL, not sent yet, or with parts that are not.
    placed: VecDeque<usize>,
    /// All parts are there and wait to be joined.
    parted: VecDeque<usize>,
    stored: usize,
    /// Uploads under way.
    under_way: usize,
}

/// A file of the artifact.
#[derive(Debug, Default)]
struct Sending {
    found: Option<Measured>,
    asked: u32,
    node: Option<CreatedFile>,
    etags: Vec<Option<String>>,
}

impl Outgoing {
    pub(super) fn new(entries: impl Iterator<Item = usize>) -> Self {
        let files: BTreeMap<_, _> = entries.map(|entry| (entry, Sending::default())).collect();
        let fresh = files.keys().copied().collect();
        Self { files, fresh, ..Self::default() }
    }

    /// The next file to be measured, unless enough are.
    pub(super) fn next_to_measure(&mut self) -> Option<usize> {
        let entry = if self.measuring < AT_ONCE { self.fresh.pop_front()? } else { return None };
        self.measuring += 1;
        Some(entry)
    }

    /// A file was measured; `None` if it cannot be sent.
    pub(super) fn measured(&mut self, entry: usize, found: Option<Measured>) {
        self.measuring = self.measuring.saturating_sub(1);
        if let (Some(file), Some(found)) = (self.files.get_mut(&entry), found) {
            file.found = Some(found);
            self.ready.push_back(entry);
        }
    }

    pub(super) fn is_measured(&self) -> bool {
        self.ready.len() == self.files.len()
    }

    pub(super) fn is_stored(&self) -> bool {
        self.stored == self.files.len()
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// Files for which URLs are to be asked for next.
    pub(super) fn take_ready(&mut self) -> Vec<usize> {
        let entries: Vec<_> = self.ready.drain(..self.ready.len().min(BATCH)).collect();
        for entry in &entries {
            if let Some(file) = self.files.get_mut(entry) {
                file.asked += 1;
            }
        }
        entries
    }

    /// What is said of a file to get a URL for it.
    pub(super) fn spec(
        &self,
        at: usize,
        entry: &ArtifactManifestEntry,
        artifact: &str,
        manifest: &str,
    ) -> Value {
        let found = self.files.get(&at).and_then(|file| file.found.as_ref());
        let parts = found.map(|found| found.parts.as_slice()).unwrap_or_default();
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

    /// The server has said where a file goes, or that it has it.
    pub(super) fn placed(&mut self, entry: usize, node: CreatedFile) -> Result<(), String> {
        let Some(file) = self.files.get_mut(&entry) else { return Ok(()) };
        let parts = file.found.as_ref().map_or(0, |found| found.parts.len());
        match &node.multipart {
            Some(asked) if asked.parts.len() != parts => {
                let asked = asked.parts.len();
                return Err(format!(
                    "the server asked for {asked} parts of a file that has {parts}"
                ));
            }
            None if node.url.is_none() => self.stored += 1,
            _ => self.placed.push_back(entry),
        }
        file.etags.clear();
        file.node = Some(node);
        Ok(())
    }

    /// The next upload: of a file, or of a part of a large one.
    pub(super) fn next_put(&mut self) -> Option<(Errand, Request)> {
        while self.under_way < AT_ONCE {
            let entry = *self.placed.front()?;
            let file = self.files.get_mut(&entry)?;
            let parts = file.node.as_ref().and_then(|node| node.multipart.as_ref());
            if parts.is_none_or(|parts| file.etags.len() + 1 >= parts.parts.len()) {
                self.placed.pop_front();
            }
            if let Some(put) = file.put(entry) {
                self.under_way += 1;
                return Some(put);
            }
        }
        None
    }

    /// An upload is over, one way or the other.
    pub(super) const fn put_ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    pub(super) fn put_answered(&mut self, entry: usize, answer: &Answer) -> Result<(), String> {
        let Some(file) = self.files.get_mut(&entry) else { return Ok(()) };
        if answer.is_success() {
            self.stored += 1;
        } else if is_expired(answer.status) && file.asked < URLS_AT_MOST {
            self.ready.push_back(entry);
        } else {
            return Err(format!("it was answered {}", answer.status));
        }
        Ok(())
    }

    pub(super) fn part_answered(
        &mut self,
        entry: usize,
        part: usize,
        answer: &Answer,
    ) -> Result<(), String> {
        let Some(file) = self.files.get_mut(&entry) else { return Ok(()) };
        let etag = answer.header("etag").filter(|_| answer.is_success());
        let etag =
            etag.ok_or_else(|| format!("part {} was answered {}", part + 1, answer.status))?;
        if let Some(place) = file.etags.get_mut(part) {
            *place = Some(etag.to_owned());
        }
        let parts = file.found.as_ref().map_or(0, |found| found.parts.len());
        if file.etags.len() == parts && file.etags.iter().all(Option::is_some) {
            self.parted.push_back(entry);
        }
        Ok(())
    }

    /// The request that joins the parts of the next file all of whose parts are there.
    pub(super) fn next_join(&mut self, artifact: &str) -> Option<(Errand, Request)> {
        let entry = self.parted.pop_front()?;
        Some((Errand::Join, self.files.get(&entry)?.join(artifact)))
    }

    /// The parts of a file were joined.
    pub(super) const fn joined(&mut self) {
        self.stored += 1;
    }
}

impl Sending {
    /// The request that sends the file, or its next part.
    fn put(&mut self, entry: usize) -> Option<(Errand, Request)> {
        let (node, found) = (self.node.as_ref()?, self.found.as_ref()?);
        let Some(parts) = &node.multipart else {
            let body = found.body(0, found.size);
            return Some((Errand::Put(entry), put(node.url.clone()?, node.headers(), body)));
        };
        let at = self.etags.len();
        let (part, md5) = parts.parts.get(at).zip(found.parts.get(at))?;
        self.etags.push(None);
        let length = part_length(found.size).unwrap_or(found.size);
        let offset = length.saturating_mul(at as u64);
        let length = length.min(found.size.saturating_sub(offset));
        let body = found.body(offset, length);
        let headers = vec![("Content-MD5".to_owned(), BASE64.encode(md5))];
        Some((Errand::Part(entry, at), put(part.url.clone(), headers, body)))
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

/// The request that sends bytes to a signed URL.
pub(super) fn put(url: String, headers: Vec<(String, String)>, body: Body) -> Request {
    Request { kind: RequestKind::Upload, target: Target::Signed(url), headers, body }
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
