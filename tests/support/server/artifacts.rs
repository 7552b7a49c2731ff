//! The GraphQL operations on artifacts.

use super::encoding::percent_encode;
use super::json::wandb_json;
use super::runs::{id, text, texts};
use super::service::{Refused, World};
use super::state::{Artifact, ArtifactFile, Manifest};
use super::storage::{Multipart, Upload};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn owned(object: &Value, name: &str) -> String {
    text(object, name).unwrap_or_default().to_owned()
}

impl World {
    pub(super) fn create_artifact(&mut self, input: &Value) -> Result<Value, Refused> {
        let named = texts(&input["artifactCollectionNames"]).into_iter().next();
        let Some(name) = named.or_else(|| text(input, "artifactCollectionName").map(str::to_owned))
        else {
            return Err(Refused::new(400, "artifactCollectionName is required"));
        };
        let run = match text(input, "runName") {
            Some(_) => Some(self.named_run(input)?.0),
            None => None,
        };
        let index =
            self.created(input, [owned(input, "entityName"), owned(input, "projectName"), name]);
        let artifact = &mut self.state.artifacts[index];
        let each = |list: &str, field: &'static str| {
            let items = input[list].as_array().cloned().unwrap_or_default();
            items.into_iter().map(move |item| owned(&item, field))
        };
        artifact.aliases.extend(each("aliases", "alias"));
        artifact.tags.extend(each("tags", "tagName"));
        if let Some(metadata) = text(input, "metadata") {
            artifact.metadata = wandb_json(metadata).ok();
        }
        if let Some(client_id) = text(input, "clientID") {
            artifact.client_id = Some(client_id.to_owned());
        }
        let id = artifact.id.clone();
        if let Some(run) = run.and_then(|key| self.state.runs.get_mut(&key))
            && !run.logged.contains(&id)
        {
            run.logged.push(id);
        }
        Ok(json!({ "artifact": self.artifact_answer(index) }))
    }

    /// The artifact of a collection: one that is there with the same digest, or a new one.
    fn created(&mut self, input: &Value, collection: [String; 3]) -> usize {
        let digest = owned(input, "digest");
        let mut artifacts = self.state.artifacts.iter();
        let same = artifacts.position(|a| a.collection == collection && a.digest == digest);
        if let Some(same) = same.filter(|_| input["enableDigestDeduplication"] == true) {
            return same;
        }
        let number = self.state.artifacts.len() + 1;
        self.state.artifacts.push(Artifact {
            id: id("Artifact", &[&number.to_string()]),
            collection,
            kind: owned(input, "artifactTypeName"),
            digest,
            description: text(input, "description").map(str::to_owned),
            ..Artifact::default()
        });
        number - 1
    }

    fn artifact_answer(&self, index: usize) -> Value {
        let artifact = &self.state.artifacts[index];
        let committed = self.state.artifacts.iter().filter(|a| a.collection == artifact.collection);
        let latest = committed.filter(|a| a.is_committed()).max_by_key(|a| a.version);
        let plain = |artifact: &Artifact| {
            json!({
                "id": artifact.id, "digest": artifact.digest, "versionIndex": artifact.version,
                "state": if artifact.is_committed() { "COMMITTED" } else { "PENDING" },
            })
        };
        let mut answer = plain(artifact);
        answer["artifactSequence"] = json!({
            "id": id("ArtifactCollection", &artifact.collection.each_ref().map(String::as_str)),
            "name": artifact.name(), "latestArtifact": latest.map(plain),
        });
        answer
    }

    /// The artifact of an id; null if there is none.
    pub(super) fn artifact_of_id(&self, arguments: &Value) -> Value {
        let id = text(arguments, "id").unwrap_or_default();
        let found = self.state.artifacts.iter().position(|artifact| artifact.id == id);
        found.map_or(Value::Null, |index| self.artifact_answer(index))
    }

    fn artifact_index(&self, input: &Value) -> Result<usize, Refused> {
        let id = text(input, "artifactID").unwrap_or_default();
        let found = self.state.artifacts.iter().position(|artifact| artifact.id == id);
        found.ok_or_else(|| Refused::new(404, format!("artifact {id} not found")))
    }

    pub(super) fn create_artifact_manifest(&mut self, input: &Value) -> Result<Value, Refused> {
        let manifests: usize = self.state.artifacts.iter().map(|a| a.manifests.len()).sum();
        let index = self.artifact_index(input)?;
        let manifests_of = &mut self.state.artifacts[index].manifests;
        let kind = owned(input, "type");
        let manifest = match manifests_of.iter_mut().position(|manifest| manifest.kind == kind) {
            Some(found) => &mut manifests_of[found],
            None => {
                let id = id("ArtifactManifest", &[&(manifests + 1).to_string()]);
                manifests_of.push(Manifest { id, kind, ..Manifest::default() });
                manifests_of.last_mut().expect("just pushed")
            }
        };
        manifest.name = owned(input, "name");
        manifest.digest = owned(input, "digest");
        manifest.base = text(input, "baseArtifactID").map(str::to_owned);
        let manifest = manifest.clone();
        Ok(self.manifest_answer(&manifest))
    }

    pub(super) fn update_artifact_manifest(&mut self, input: &Value) -> Result<Value, Refused> {
        let found = self.find_manifest(text(input, "artifactManifestID").unwrap_or_default());
        let manifest = found.ok_or_else(|| Refused::new(404, "manifest not found"))?;
        if let Some(digest) = text(input, "digest") {
            manifest.digest = digest.to_owned();
        }
        if let Some(base) = text(input, "baseArtifactID") {
            manifest.base = Some(base.to_owned());
        }
        let manifest = manifest.clone();
        Ok(self.manifest_answer(&manifest))
    }

    fn manifest_answer(&mut self, manifest: &Manifest) -> Value {
        let Manifest { id, name, digest, .. } = manifest;
        let path = format!("manifests/{}/{}", percent_encode(id), percent_encode(name));
        let headers = [("Content-MD5", digest.as_str())];
        let headers = if digest.is_empty() { &[][..] } else { &headers };
        let file = json!({
            "id": super::runs::id("File", &[id]), "name": name,
            "uploadUrl": self.signed_url(&path, Upload::Manifest { id: id.clone() }),
            "uploadHeaders": self.upload_headers(headers),
        });
        json!({ "artifactManifest": { "id": id, "file": file } })
    }

    pub(super) fn create_artifact_files(&mut self, input: &Value) -> Result<Value, Refused> {
        let specs = input["artifactFiles"].as_array().into_iter().flatten();
        let edges = specs.map(|spec| Ok(json!({ "node": self.artifact_file(spec)? })));
        let edges: Vec<Value> = edges.collect::<Result<_, Refused>>()?;
        Ok(json!({ "files": { "edges": edges } }))
    }

    fn artifact_file(&mut self, spec: &Value) -> Result<Value, Refused> {
        let index = self.artifact_index(spec)?;
        let artifact = &self.state.artifacts[index];
        let (id, collection) = (artifact.id.clone(), artifact.collection.clone());
        let (name, md5) = (owned(spec, "name"), owned(spec, "md5"));
        // What an artifact of the collection already holds is not asked for again.
        let holds = |artifact: &&Artifact| {
            let mut files = artifact.files.values();
            artifact.collection == collection && files.any(|file| file.stored && file.md5 == md5)
        };
        let birth = self.state.artifacts.iter().position(|artifact| holds(&artifact));
        let known =
            self.state.artifacts[index].files.get(&name).filter(|file| file.md5 == md5).cloned();
        let mut file =
            known.unwrap_or_else(|| ArtifactFile { md5: md5.clone(), ..Default::default() });
        file.stored |= birth.is_some();
        self.state.artifacts[index].files.insert(name.clone(), file);

        let mimetype = text(spec, "mimetype").unwrap_or_default();
        let headers = self.upload_headers(&[("Content-MD5", &md5), ("Content-Type", mimetype)]);
        let mut node = json!({
            "id": super::runs::id("File", &[&id, &name]), "name": name, "md5": md5,
            "storagePath": format!("wandb_artifacts/{id}/{md5}"), "uploadHeaders": headers,
            "artifact": self.artifact_answer(birth.unwrap_or(index)),
        });
        if birth.is_none() {
            let path = format!("artifacts/{}/{}", percent_encode(&id), percent_encode(&name));
            if let Some(parts) = spec["uploadPartsInput"].as_array() {
                node["uploadMultipartUrls"] = self.multipart_urls(&path, &id, &name, &md5, parts);
            }
            let upload = Upload::ArtifactFile { artifact: id, name, md5 };
            node["uploadUrl"] = self.signed_url(&path, upload).into();
        }
        Ok(node)
    }

    fn multipart_urls(
        &mut self,
        path: &str,
        artifact: &str,
        name: &str,
        md5: &str,
        parts: &[Value],
    ) -> Value {
        let upload = self.token();
        let announced: BTreeMap<i64, String> = parts.iter().map(part).collect();
        let urls = announced.keys().map(|&number| {
            let part = Upload::Part { upload: upload.clone(), number };
            json!({ "partNumber": number, "uploadUrl": self.signed_url(path, part) })
        });
        let urls: Vec<Value> = urls.collect();
        let multipart = Multipart {
            artifact: artifact.to_owned(),
            name: name.to_owned(),
            md5: md5.to_owned(),
            announced,
            stored: BTreeMap::new(),
        };
        self.multiparts.insert(upload.clone(), multipart);
        json!({ "uploadID": upload, "uploadUrlParts": urls })
    }

    pub(super) fn complete_multipart_upload(&mut self, input: &Value) -> Result<Value, Refused> {
        let multipart = self.multiparts.get(text(input, "uploadID").unwrap_or_default()).cloned();
        let multipart = multipart.ok_or_else(|| Refused::new(404, "no such upload"))?;
        let parts = input["completedParts"].as_array().into_iter().flatten();
        let parts: Vec<(i64, String)> = parts.map(part).collect();
        // Each part must be stored, and named by the ETag that its PUT was answered with.
        let announced: Vec<_> = multipart.announced.clone().into_iter().collect();
        if parts != announced || !multipart.announced.keys().eq(multipart.stored.keys()) {
            return Err(Refused::new(400, "the parts do not complete the upload"));
        }
        let Multipart { artifact, name, md5, stored, .. } = multipart;
        let artifact = self.find_artifact(&artifact).expect("artifacts stay");
        let file = artifact.files.entry(name).or_default();
        file.stored = true;
        file.size = Some(stored.values().sum());
        Ok(json!({ "digest": md5 }))
    }

    pub(super) fn commit_artifact(&mut self, input: &Value) -> Result<Value, Refused> {
        let index = self.artifact_index(input)?;
        let artifact = &self.state.artifacts[index];
        if artifact.manifests.iter().all(|manifest| manifest.body.is_none()) {
            return Err(Refused::new(400, "cannot commit artifact: no manifest was uploaded"));
        }
        if let Some((name, _)) = artifact.files.iter().find(|(_, file)| !file.stored) {
            return Err(Refused::new(400, format!("cannot commit artifact: {name} is missing")));
        }
        if !artifact.is_committed() {
            let collection = artifact.collection.clone();
            let moves = artifact.aliases.contains("latest");
            let mut version = 0;
            let others = self.state.artifacts.iter_mut().filter(|a| a.collection == collection);
            for other in others.filter(|artifact| artifact.is_committed()) {
                version += 1;
                if moves {
                    other.aliases.remove("latest");
                }
            }
            self.state.artifacts[index].version = Some(version);
        }
        Ok(json!({ "artifact": self.artifact_answer(index) }))
    }

    pub(super) fn use_artifact(&mut self, input: &Value) -> Result<Value, Refused> {
        let index = self.artifact_index(input)?;
        let id = self.state.artifacts[index].id.clone();
        let (_, run) = self.named_run(input)?;
        if !run.used.contains(&id) {
            run.used.push(id);
        }
        Ok(json!({ "artifact": self.artifact_answer(index) }))
    }

    pub(super) fn client_id_mapping(&self, arguments: &Value) -> Value {
        let asked = text(arguments, "clientID");
        let found =
            self.state.artifacts.iter().find(|artifact| artifact.client_id.as_deref() == asked);
        found.map_or(Value::Null, |artifact| json!({ "serverID": artifact.id }))
    }
}

/// The number and the digest of a part of a file; an ETag stands in quotes.
fn part(part: &Value) -> (i64, String) {
    let number = part["partNumber"].as_i64().unwrap_or_default();
    (number, owned(part, "hexMD5").trim_matches('"').to_owned())
}
