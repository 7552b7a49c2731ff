//! Artifacts: all of one arrives, where the run is, or it is told what does not.

use super::resumed::rewritten;

use super::server::{Fault, Target, base64, md5};
use super::{Scene, is_marked, only};
use std::io::Write;
use std::path::{Path, PathBuf};
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::proto::wandb_internal::{
    ArtifactManifest, ArtifactManifestEntry, ArtifactRecord,
};
use wandb_offline::sync::{RunStatus, Stop, SyncOptions, SyncReport};

#[test]
fn all_of_an_artifact_arrives_and_no_path_of_this_machine() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    let contents = vec![
        staged(&scene, "a.txt", b"first"),
        staged(&scene, "d/b.bin", &[0; 3000]),
        staged(&scene, "empty", b""),
        reference("far", "s3://bucket/key"),
    ];
    log_artifact(&log, "data", contents);
    let report = sync(&scene, |_| {});
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");

    let state = scene.server.state();
    assert_eq!(state.violations, [""; 0]);
    let artifact = state.artifact("data");
    assert!(artifact.is_committed() && artifact.aliases.contains("latest"));
    assert_eq!(artifact.collection[..2], ["test-entity", "p"]);
    let sizes: Vec<_> = artifact.files.iter().map(|(name, f)| (&**name, f.size)).collect();
    assert_eq!(sizes, [("a.txt", Some(5)), ("d/b.bin", Some(3000)), ("empty", Some(0))]);
    let manifest = artifact.contents("FULL");
    assert_eq!(manifest["far"]["ref"], "s3://bucket/key");
    assert_eq!(manifest["a.txt"]["digest"], base64(&md5(b"first")));
    assert!(!manifest.to_string().contains(scene.dir.path().to_str().unwrap()));
}

#[test]
fn a_list_of_files_beside_the_log_is_read_whole_or_the_artifact_waits() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    let file = staged(&scene, "a.txt", b"first");
    let mut lines = format!(
        "{{\"path\":\"a.txt\",\"digest\":\"{}\",\"size\":5,\"extra\":{{}},\"local_path\":{},\"skip_cache\":false}}\n",
        file.digest,
        serde_json::json!(file.local_path),
    );
    for i in 0..5000 {
        lines += &format!(
            "{{\"path\":\"k{i}\",\"digest\":\"e\",\"ref\":\"s3://b/{i}\",\"extra\":{{\"etag\":\"e\"}}}}\n"
        );
    }
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(lines.as_bytes()).unwrap();
    let gz = gz.finish().unwrap();
    let list = scene.dir.path().join("staging/list.jl.gz");
    let path = list.to_str().unwrap().to_owned();
    let manifest = ArtifactManifest { manifest_file_path: path, ..manifest(Vec::new()) };
    log_manifest(&log, "data", "digest", manifest);
    for (bytes, why) in [(None, "gone"), (Some(&gz[..gz.len() / 2]), "cut off")] {
        bytes.iter().for_each(|bytes| std::fs::write(&list, bytes).unwrap());
        let report = sync(&scene, |_| {});
        assert_eq!(only(&report).status, RunStatus::Partly);
        assert!(only(&report).problems[0].contains(why), "{report:?}");
        assert!(scene.server.state().artifacts.is_empty(), "an artifact with less than all");
    }
    std::fs::write(&list, gz).unwrap();
    let report = sync(&scene, |_| {});
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    let state = scene.server.state();
    let manifest = state.artifact("data").contents("FULL");
    assert_eq!(manifest.as_object().unwrap().len(), 5001);
    assert_eq!(manifest["k4999"]["ref"], "s3://b/4999");
    assert_eq!(manifest["k4999"]["extra"]["etag"], "e");
    assert!(state.artifact("data").files["a.txt"].stored);
}

#[test]
fn an_artifact_goes_where_its_run_goes() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    log_artifact(&log, "data", vec![staged(&scene, "a.txt", b"first")]);
    let report = sync(&scene, |options| {
        options.overrides.entity = Some("test-team".into());
        options.overrides.project = Some("q".into());
        options.overrides.run_id = Some("other".into());
    });
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    let state = scene.server.state();
    assert_eq!(state.artifact("data").collection, ["test-team", "q", "data"]);
    assert_eq!(state.runs["test-team/q/other"].logged, [state.artifact("data").id.clone()]);
}

#[test]
fn an_artifact_that_cannot_be_sent_is_named_and_goes_next_time() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    let entry = staged(&scene, "a.txt", b"first");
    let local = PathBuf::from(&entry.local_path);
    log_artifact(&log, "data", vec![entry]);
    log_artifact(&log, "more", vec![staged(&scene, "b.txt", b"second")]);
    let away = scene.dir.path().join("away");
    std::fs::rename(&local, &away).unwrap();
    let report = sync(&scene, |_| {});
    let run = only(&report);
    assert_eq!(run.status, RunStatus::Partly);
    assert!(run.problems[0].contains("\"data\"") && run.problems[0].contains("--staging"));
    assert!(scene.server.state().artifact("more").is_committed() && !is_marked(&log));

    // Something else in its place is not sent either.
    std::fs::write(&local, b"other").unwrap();
    assert_eq!(only(&sync(&scene, |_| {})).status, RunStatus::Partly);
    std::fs::rename(&away, &local).unwrap();
    assert_eq!(only(&sync(&scene, |_| {})).status, RunStatus::Synced);
    let state = scene.server.state();
    assert!(state.artifact("data").is_committed() && is_marked(&log));
    assert_eq!(state.artifacts.len(), 2, "what was stored was not made again");
    scene.has_rows(2);
}

#[test]
fn an_artifact_that_was_broken_off_anywhere_is_completed() {
    let operations =
        ["createArtifact", "createArtifactManifest", "createArtifactFiles", "commitArtifact"];
    let mut faults: Vec<_> =
        operations.iter().map(|name| Fault::status(400).operation(name)).collect();
    faults.extend(operations.iter().map(|name| Fault::status(400).operation(name).applied()));
    faults.extend((0..2).map(|skip| Fault::status(422).on(Target::ArtifactUpload).skip(skip)));
    for fault in faults {
        let scene = Scene::new();
        let log = scene.run("r1", 2);
        log_artifact(&log, "data", vec![staged(&scene, "a.txt", b"first")]);
        scene.server.inject(fault.clone());
        assert_eq!(only(&sync(&scene, |_| {})).status, RunStatus::Partly, "{fault:?}");
        assert_eq!(scene.server.faults_left(), 0, "{fault:?}");
        assert_eq!(only(&sync(&scene, |_| {})).status, RunStatus::Synced, "{fault:?}");
        let state = scene.server.state();
        let made: Vec<_> = state.artifacts.iter().filter(|a| a.is_committed()).collect();
        assert_eq!(made.len(), 1, "{fault:?}");
        assert!(made[0].files["a.txt"].stored, "{fault:?}");
    }
}

#[test]
fn the_versions_of_an_artifact_keep_their_order() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    let texts: [&[u8]; 3] = [b"one", b"two", b"three"];
    for (i, text) in texts.iter().enumerate() {
        log_artifact(&log, "data", vec![staged(&scene, &format!("v{i}"), text)]);
    }
    assert_eq!(only(&sync(&scene, |_| {})).status, RunStatus::Synced);
    let state = scene.server.state();
    let mut versions: Vec<_> = state
        .artifacts
        .iter()
        .map(|artifact| (artifact.version.unwrap(), artifact.files.keys().next().unwrap().as_str()))
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, [(0, "v0"), (1, "v1"), (2, "v2")]);
}

/// Uploads with the files of artifacts allowed that lie beside the runs.
fn sync(scene: &Scene, change: impl FnOnce(&mut SyncOptions)) -> SyncReport {
    let mut options = SyncOptions::default();
    options.allow = vec![scene.dir.path().join("staging")];
    change(&mut options);
    scene.sync_paths(&[scene.root()], &options, &Stop::new())
}

/// A file of an artifact, staged beside the runs as the official client does in the user's home.
pub(super) fn staged(scene: &Scene, path: &str, bytes: &[u8]) -> ArtifactManifestEntry {
    let dir = scene.dir.path().join("staging");
    std::fs::create_dir_all(&dir).unwrap();
    let local = dir.join(path.replace('/', "-"));
    std::fs::write(&local, bytes).unwrap();
    ArtifactManifestEntry {
        path: path.to_owned(),
        digest: base64(&md5(bytes)),
        size: bytes.len() as i64,
        local_path: local.to_str().unwrap().to_owned(),
        ..ArtifactManifestEntry::default()
    }
}

fn reference(path: &str, to: &str) -> ArtifactManifestEntry {
    let (path, to) = (path.to_owned(), to.to_owned());
    ArtifactManifestEntry {
        path,
        digest: to.clone(),
        r#ref: to,
        ..ArtifactManifestEntry::default()
    }
}

fn manifest(contents: Vec<ArtifactManifestEntry>) -> ArtifactManifest {
    ArtifactManifest {
        version: 1,
        storage_policy: "wandb-storage-policy-v1".to_owned(),
        contents,
        ..ArtifactManifest::default()
    }
}

pub(super) fn log_artifact(log: &Path, name: &str, contents: Vec<ArtifactManifestEntry>) {
    let digest = contents.iter().map(|entry| &*entry.digest).collect::<String>();
    log_manifest(log, name, &digest, manifest(contents));
}

/// Puts an artifact before the end of a log, as the official client does.
fn log_manifest(log: &Path, name: &str, digest: &str, manifest: ArtifactManifest) {
    let record = ArtifactRecord {
        // What the log says, which overrides make wrong.
        entity: String::new(),
        project: "p".to_owned(),
        run_id: "r1".to_owned(),
        name: name.to_owned(),
        r#type: "dataset".to_owned(),
        client_id: format!("{name}-{digest}"),
        digest: digest.to_owned(),
        aliases: vec!["latest".to_owned()],
        manifest: Some(manifest),
        finalize: true,
        ..ArtifactRecord::default()
    };
    rewritten(log, |found| {
        matches!(found, RecordType::Exit(_)).then(|| RecordType::Artifact(record.clone()))
    });
}
