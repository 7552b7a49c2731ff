//! What is asked of the server for one artifact.

use super::stage::Artifact;
use crate::json::Value;
use crate::sync::api::{Operation, Request, operations};
use crate::sync::ledger::Ledger;
use std::collections::BTreeMap;

impl Artifact {
    pub(super) fn create(&self, ledger: &Ledger) -> Request {
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

    pub(super) fn manifest(&self, ledger: &Ledger, digest: &str, upload: bool) -> Request {
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

    pub(super) fn last_manifest(&self, ledger: &Ledger, digest: &str) -> Request {
        if self.manifest_kind().1 == "FULL" {
            return self.manifest(ledger, digest, true);
        }
        operations::UPDATE_MANIFEST.request(Value::from_iter([
            ("artifactManifestID", Value::from(self.manifest_id.as_str())),
            ("digest", digest.into()),
            ("baseArtifactID", self.base.clone().into()),
        ]))
    }

    /// Asks where these files go, by their number in the manifest.
    pub(super) fn urls(&self, entries: &[usize]) -> Request {
        let specs = entries.iter().filter_map(|&at| {
            let entry = self.contents().get(at)?;
            Some(self.files.spec(at, entry, &self.id, &self.manifest_id))
        });
        let input = Value::from_iter([
            ("artifactFiles", Value::Array(specs.collect())),
            ("storageLayout", "V2".into()),
        ]);
        operations::CREATE_ARTIFACT_FILES.request(Value::from_iter([("input", input)]))
    }

    pub(super) fn by_id(&self, operation: Operation) -> Request {
        operation.request(Value::from_iter([("artifactID", Value::from(self.id.as_str()))]))
    }

    pub(super) fn use_it(&self, ledger: &Ledger) -> Request {
        let input = Value::from_iter([
            ("entityName", Value::from(ledger.entity.as_str())),
            ("projectName", ledger.project.as_str().into()),
            ("runName", ledger.run.as_str().into()),
            ("artifactID", self.id.as_str().into()),
        ]);
        operations::USE_ARTIFACT.request(Value::from_iter([("input", input)]))
    }
}
