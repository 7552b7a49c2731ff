//! Files of artifacts, which lie somewhere else than the run.

use super::super::server::md5;
use super::{Scene, facts, only, only_packed};
use std::path::{Path, PathBuf};
use wandb_offline::Reader;
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal as pb;
use wandb_offline::record::RecordKind;
use wandb_offline::sync::{PackStatus, RunStatus, SyncOptions};

#[test]
fn artifacts_arrive_though_their_files_stay_behind() {
    let (scene, direct) = (Scene::new(), Scene::new());
    for scene in [&scene, &direct] {
        with_artifact(scene);
    }
    let mut options = SyncOptions::default();
    options.staging = vec![scene.dir.path().join("staging")];
    let report = scene.pack_as(&options);
    assert_eq!(only_packed(&report).status, PackStatus::Packed, "{report:?}");
    std::fs::remove_dir_all(scene.dir.path().join("staging")).unwrap();
    assert_eq!(only(&scene.send()).status, RunStatus::Synced);

    options.staging = vec![direct.dir.path().join("staging")];
    assert_eq!(only(&direct.sync_as(&options)).status, RunStatus::Synced);
    let (packed, direct) = (scene.server.state(), direct.server.state());
    assert_eq!(facts(&packed), facts(&direct));
    let artifact = packed.artifact("data");
    assert!(artifact.is_committed() && artifact.files.len() == 2, "{artifact:?}");
    assert!(artifact.files.values().all(|file| file.stored));
}

#[test]
fn a_file_that_is_gone_is_named_and_may_be_supplied_later() {
    let scene = Scene::new();
    with_artifact(&scene);
    let staging = scene.dir.path().join("staging");
    let mut options = SyncOptions::default();
    options.staging = vec![staging.clone()];
    std::fs::rename(staging.join("b"), scene.dir.path().join("b")).unwrap();
    let report = scene.pack_as(&options);
    let packed = only_packed(&report);
    assert_eq!(packed.status, PackStatus::Partly);
    assert!(
        packed.problems[0].contains("/b of an artifact is gone")
            && packed.problems[0].contains("--staging"),
        "{packed:?}"
    );
    let sent = scene.send();
    assert_eq!(only(&sent).status, RunStatus::Partly, "the rest is sent all the same");
    assert!(
        only(&sent).problems[0].contains("/gone/staging/b was not there when the run was packed"),
        "{sent:?}"
    );
    scene.has_rows(1);

    std::fs::rename(scene.dir.path().join("b"), staging.join("b")).unwrap();
    assert_eq!(only_packed(&scene.pack_as(&options)).status, PackStatus::Packed);
    // What is in the pack may go where it was.
    std::fs::remove_dir_all(&staging).unwrap();
    assert_eq!(only_packed(&scene.pack_as(&options)).status, PackStatus::Unchanged);
    assert_eq!(only(&scene.send()).status, RunStatus::Synced);
    assert!(scene.server.state().artifact("data").is_committed());
    scene.has_rows(1);
}

#[test]
fn files_of_the_machine_that_sends_are_not_read_though_the_log_names_them() {
    let scene = Scene::new();
    with_artifact(&scene);
    scene.pack();
    // Where the log has them there are files here, too, and the caller even allows it.
    let mut options = SyncOptions::default();
    options.staging = vec![scene.dir.path().join("staging")];
    options.allow = vec![scene.dir.path().to_owned()];
    assert_eq!(only(&scene.send_as(&options)).status, RunStatus::Partly);
    assert!(!scene.server.state().artifacts.iter().any(|artifact| artifact.is_committed()));
}

/// A run that logged an artifact of two files, which lie in `staging/`.
fn with_artifact(scene: &Scene) -> PathBuf {
    let staging = scene.dir.path().join("staging");
    std::fs::create_dir(&staging).unwrap();
    let contents = ["a", "b"].map(|name| {
        let bytes = format!("what stands in {name}");
        std::fs::write(staging.join(name), &bytes).unwrap();
        pb::ArtifactManifestEntry {
            path: format!("data/{name}"),
            digest: super::super::server::base64(&md5(bytes.as_bytes())),
            size: bytes.len() as i64,
            local_path: format!("/gone/staging/{name}"),
            ..Default::default()
        }
    });
    let manifest = Some(pb::ArtifactManifest {
        version: 1,
        storage_policy: "wandb-storage-policy-v1".into(),
        contents: contents.into(),
        ..Default::default()
    });
    let artifact = pb::ArtifactRecord {
        name: "data".into(),
        r#type: "dataset".into(),
        digest: "d".repeat(32),
        client_id: "c".repeat(64),
        sequence_client_id: "s".repeat(64),
        aliases: vec!["latest".into()],
        manifest,
        finalize: true,
        ..Default::default()
    };
    let log = scene.fixture("minimal");
    let with = log.with_extension("new");
    insert(&log, &with, &artifact);
    std::fs::rename(&with, &log).unwrap();
    log
}

/// Copies a log with an artifact before its end.
fn insert(log: &Path, to: &Path, artifact: &pb::ArtifactRecord) {
    let mut reader = Reader::open(log).unwrap();
    let mut writer = LogWriter::create(to).unwrap();
    while let Some(record) = reader.next_record().unwrap() {
        let body = record.body().unwrap().unwrap();
        if body.kind == RecordKind::Exit {
            writer.message(RecordKind::Artifact, artifact).unwrap();
        }
        writer.record(body.kind, &body.message).unwrap();
    }
    writer.flush().unwrap();
}
