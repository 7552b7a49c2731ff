//! Signed URLs, and what is put to them.

use super::encoding::{base64, hex, md5};
use super::http::{Request, Response};
use super::service::World;
use super::state::{Artifact, Manifest};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a signed URL is for.
#[derive(Debug, Clone)]
pub(super) enum Upload {
    RunFile {
        run: String,
        name: String,
    },
    ArtifactFile {
        artifact: String,
        name: String,
        md5: String,
    },
    Manifest {
        id: String,
    },
    /// A part of a file of an artifact.
    Part {
        upload: String,
        number: i64,
    },
}

/// A file of an artifact that comes in parts.
#[derive(Debug, Clone)]
pub(super) struct Multipart {
    pub(super) artifact: String,
    pub(super) name: String,
    pub(super) md5: String,
    /// The digest of each part that was announced, in hexadecimal digits.
    pub(super) announced: BTreeMap<i64, String>,
    /// The size of each part that is stored.
    pub(super) stored: BTreeMap<i64, usize>,
}

impl World {
    pub(super) fn signed_url(&mut self, path: &str, upload: Upload) -> String {
        let token = self.token();
        let url = format!("{}/storage/{path}?token={token}", self.url);
        self.uploads.insert(token, upload);
        url
    }

    /// The headers that a PUT must carry, as answers list them.
    pub(super) fn upload_headers(&self, more: &[(&str, &str)]) -> Value {
        let all = self.config.upload_headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let more = more.iter().map(|(name, value)| format!("{name}: {value}"));
        all.chain(more).map(Value::from).collect()
    }

    pub(super) fn find_artifact(&mut self, id: &str) -> Option<&mut Artifact> {
        self.state.artifacts.iter_mut().find(|artifact| artifact.id == id)
    }

    pub(super) fn find_manifest(&mut self, id: &str) -> Option<&mut Manifest> {
        let artifacts = self.state.artifacts.iter_mut();
        artifacts.flat_map(|artifact| &mut artifact.manifests).find(|manifest| manifest.id == id)
    }

    /// What is wrong with a PUT, whatever its URL is for.
    fn refuse_upload(&mut self, request: &Request, upload: &Upload) -> Option<Response> {
        let path = &request.path;
        if request.header("Authorization").is_some() {
            // Stores such as S3 refuse a second authentication.
            self.state.violation(format_args!("Authorization at a signed URL: {path}"));
        }
        if request.method != "PUT" {
            return Some(Response::storage_error(405, "MethodNotAllowed"));
        }
        if request.chunked || request.header("Content-Length").is_none() {
            self.state.violation(format_args!("an upload without a length: {path}"));
            return Some(Response::storage_error(411, "MissingContentLength"));
        }
        let mut wanted = self.config.upload_headers.iter();
        let is_part = matches!(upload, Upload::Part { .. });
        let missing = wanted.find(|(name, value)| request.header(name) != Some(value)).cloned();
        if let Some((name, _)) = missing.filter(|_| !is_part) {
            self.state.violation(format_args!("an upload without the header {name}: {path}"));
            return Some(Response::storage_error(403, "SignatureDoesNotMatch"));
        }
        let sent = request.header("Content-MD5");
        let differs = sent.is_some_and(|sent| sent != base64(&md5(&request.body)));
        differs.then(|| Response::storage_error(400, "BadDigest"))
    }

    /// Stores what was put; false if it is not what was announced.
    fn store(&mut self, upload: Upload, request: &Request) -> bool {
        let digest = md5(&request.body);
        match upload {
            Upload::RunFile { run, name } => {
                let run = self.state.runs.get_mut(&run).expect("runs stay");
                let file = run.files.entry(name).or_default();
                file.puts += 1;
                file.stored = Some(request.body.clone());
                file.headers.clone_from(&request.headers);
            }
            Upload::ArtifactFile { artifact, name, md5 } => {
                if base64(&digest) != md5 {
                    return false;
                }
                let artifact = self.find_artifact(&artifact).expect("artifacts stay");
                let file = artifact.files.entry(name).or_default();
                file.stored = true;
                file.size = Some(request.body.len());
            }
            Upload::Manifest { id } => {
                let manifest = self.find_manifest(&id).expect("manifests stay");
                if !manifest.digest.is_empty() && base64(&digest) != manifest.digest {
                    return false;
                }
                manifest.body = Some(request.body.clone());
            }
            Upload::Part { upload, number } => {
                let multipart = self.multiparts.get_mut(&upload).expect("uploads stay");
                if multipart.announced.get(&number) != Some(&hex(&digest)) {
                    return false;
                }
                multipart.stored.insert(number, request.body.len());
            }
        }
        true
    }
}

pub(super) fn put(world: &mut World, request: &Request) -> Response {
    let token = request.parameter("token").unwrap_or_default();
    let Some(upload) = world.uploads.get(token).cloned() else {
        return Response::storage_error(403, "AccessDenied");
    };
    if let Some(refused) = world.refuse_upload(request, &upload) {
        return refused;
    }
    if !world.store(upload, request) {
        world.state.violation(format_args!("not the bytes that were announced: {}", request.path));
        return Response::storage_error(400, "BadDigest");
    }
    let tag = json!(hex(&md5(&request.body))).to_string();
    Response { status: 200, ..Response::default() }.with("ETag", &tag)
}
