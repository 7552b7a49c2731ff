//! The manifest of an artifact: the list of its files, as JSON.

use crate::json::Value;
use crate::proto::wandb_internal::{ArtifactManifest, ArtifactManifestEntry, ExtraItem};
use std::collections::BTreeMap;

/// The text of a manifest. `refs` has what references to artifacts by client id were resolved to, `births`
/// the artifact that first held a file, by entry.
pub(super) fn text(
    manifest: &ArtifactManifest,
    refs: &BTreeMap<String, String>,
    births: &BTreeMap<usize, String>,
) -> Vec<u8> {
    let mut config = Value::object();
    if let Value::Object(members) = &mut config {
        for item in &manifest.storage_policy_config {
            members.insert(item.key.clone(), json(&item.value_json));
        }
        members.entry("storageLayout".into()).or_insert_with(|| "V2".into());
    }
    let entries = manifest.contents.iter().enumerate();
    let contents =
        entries.map(|(i, entry)| (entry.path.clone(), self::entry(entry, refs, births.get(&i))));
    let value = Value::from_iter([
        ("version", Value::Int(i64::from(manifest.version))),
        ("storagePolicy", manifest.storage_policy.as_str().into()),
        ("storagePolicyConfig", config),
        ("contents", contents.collect()),
    ]);
    let mut text = Vec::new();
    value.write_json(&mut text);
    text
}

/// The entries in a list of them: one JSON object a line. The official client writes such a list beside the log
/// when a manifest has more than 100,000 entries (`_write_artifact_manifest_file` in its `interface.py`).
pub(crate) fn entries(text: &[u8]) -> Result<Vec<ArtifactManifestEntry>, String> {
    #[derive(serde::Deserialize)]
    struct Line {
        path: String,
        digest: String,
        #[serde(rename = "ref")]
        reference: Option<String>,
        #[serde(rename = "birthArtifactID")]
        birth_artifact_id: Option<String>,
        size: Option<i64>,
        #[serde(default)]
        extra: BTreeMap<String, serde_json::Value>,
        local_path: Option<String>,
        #[serde(default)]
        skip_cache: bool,
    }
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let entry = |(at, line): (usize, &[u8])| {
        let line: Line =
            serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", at + 1))?;
        let extra = line.extra.into_iter();
        let extra = extra.map(|(key, value)| ExtraItem { key, value_json: value.to_string() });
        Ok(ArtifactManifestEntry {
            path: line.path,
            digest: line.digest,
            r#ref: line.reference.unwrap_or_default(),
            size: line.size.unwrap_or(0),
            local_path: line.local_path.unwrap_or_default(),
            birth_artifact_id: line.birth_artifact_id.unwrap_or_default(),
            skip_cache: line.skip_cache,
            extra: extra.collect(),
            ..ArtifactManifestEntry::default()
        })
    };
    lines.map(entry).collect()
}

fn entry(
    entry: &ArtifactManifestEntry,
    refs: &BTreeMap<String, String>,
    birth: Option<&String>,
) -> Value {
    let mut members = BTreeMap::from([
        ("digest".to_owned(), Value::from(entry.digest.as_str())),
        ("size".to_owned(), Value::Int(entry.size)),
        ("skip_cache".to_owned(), Value::Bool(entry.skip_cache)),
    ]);
    let mut put = |key: &str, text: &str| {
        if !text.is_empty() {
            members.insert(key.to_owned(), text.into());
        }
    };
    put("ref", &resolved(&entry.r#ref, refs).unwrap_or_else(|| entry.r#ref.clone()));
    put("birthArtifactID", birth.map_or(&entry.birth_artifact_id, |birth| birth));
    if !entry.extra.is_empty() {
        let extra = entry.extra.iter().map(|item| (item.key.clone(), json(&item.value_json)));
        members.insert("extra".to_owned(), extra.collect());
    }
    Value::Object(members)
}

/// A reference by client id as one by the server's id.
fn resolved(reference: &str, refs: &BTreeMap<String, String>) -> Option<String> {
    let (client, path) = client_id(reference)?;
    Some(format!("wandb-artifact://{}/{path}", refs.get(client)?))
}

/// The client id in a reference, and the path behind it.
pub(super) fn client_id(reference: &str) -> Option<(&str, &str)> {
    reference.strip_prefix("wandb-client-artifact://")?.split_once('/')
}

fn json(text: &str) -> Value {
    Value::parse(text).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_paths_stay_at_home_and_references_are_resolved() {
        let file = ArtifactManifestEntry {
            path: "a.txt".into(),
            digest: "R7zlx09Yn0hn29V+nKn4CA==".into(),
            size: 3,
            local_path: "/home/u/secret/a.txt".into(),
            ..Default::default()
        };
        let reference = ArtifactManifestEntry {
            path: "b".into(),
            r#ref: "wandb-client-artifact://abc/x.json".into(),
            ..Default::default()
        };
        let manifest = ArtifactManifest {
            version: 1,
            storage_policy: "wandb-storage-policy-v1".into(),
            contents: vec![file, reference],
            ..Default::default()
        };
        let refs = BTreeMap::from([("abc".to_owned(), "00ff".to_owned())]);
        let births = BTreeMap::from([(0, "old".to_owned())]);
        let text = String::from_utf8(text(&manifest, &refs, &births)).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"contents":{"a.txt":{"birthArtifactID":"old","digest":"R7zlx09Yn0hn29V+nKn4CA==","size":3,"skip_cache":false},"#,
                r#""b":{"digest":"","ref":"wandb-artifact://00ff/x.json","size":0,"skip_cache":false}},"#,
                r#""storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{"storageLayout":"V2"},"version":1}"#
            )
        );
    }
}
