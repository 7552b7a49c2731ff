//! What a receipt says: what is stored, and nothing else.

use super::artifacts::{log_artifact, staged};
use super::server::{Fault, Target};
use super::{Scene, only};
use std::sync::Mutex;
use wandb_offline::sync::{
    ArtifactStatus, Event, FileStatus, Receipt, RunStatus, Stop, SyncOptions, sync,
};

fn stored_files(receipt: &Receipt) -> Vec<&str> {
    let stored = receipt.files.iter().filter(|file| file.status.is_stored());
    stored.map(|file| &*file.name).collect()
}

#[test]
fn files_and_artifacts_that_were_refused_are_not_told_as_stored() {
    let scene = Scene::new();
    let log = scene.run("r1", 4);
    log_artifact(&log, "data", vec![staged(&scene, "a.txt", b"first")]);
    for target in [Target::RunUpload, Target::ArtifactUpload] {
        scene.server.inject(Fault::status(403).on(target).forever());
    }
    let mut options = SyncOptions::default();
    options.allow = vec![scene.dir.path().join("staging")];
    let report = scene.sync_as(&options);
    let run = only(&report);
    assert_eq!(run.status, RunStatus::Partly);
    let receipt = &run.receipt;
    assert_eq!((receipt.rows, receipt.last_step), (4, Some(3)));
    assert!(!receipt.files.is_empty() && stored_files(receipt).is_empty(), "{receipt:?}");
    assert!(receipt.artifacts.iter().all(|artifact| !artifact.status.is_stored()), "{receipt:?}");
    assert_eq!(receipt.artifacts.len(), 1);
}

#[test]
fn a_file_that_is_not_there_has_no_size_and_no_hash() {
    let scene = Scene::new();
    let log = scene.fixture("media");
    let images = log.parent().unwrap().join("files/media/images");
    let image = std::fs::read_dir(images).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&image).unwrap();
    let report = scene.sync();
    let receipt = &only(&report).receipt;
    let (missing, others): (Vec<_>, Vec<_>) =
        receipt.files.iter().partition(|file| file.status == FileStatus::Missing);
    assert!(missing.iter().all(|file| file.size.is_none() && file.md5.is_none()), "{missing:?}");
    assert!(others.iter().all(|file| file.md5.as_ref().is_some_and(|md5| md5.len() == 32)));
    assert_eq!(missing.len(), 1);
}

#[test]
fn the_last_step_is_that_of_the_last_row_the_server_took() {
    let scene = Scene::new();
    scene.large_run(24);
    scene.server.inject(Fault::status(400).on(Target::Filestream).skip(1).forever());
    let report = scene.sync();
    let receipt = &only(&report).receipt;
    let rows = scene.server.state().run().history().len() as u64;
    assert!(rows > 0 && rows < 24, "{rows}");
    assert_eq!((receipt.rows, receipt.last_step), (rows, Some(rows as i64 - 1)));

    let none = Scene::new();
    none.run("r1", 10);
    none.server.inject(Fault::status(503).on(Target::Filestream).forever());
    let report = none.sync();
    let receipt = &only(&report).receipt;
    assert_eq!((receipt.rows, receipt.last_step), (0, None));
    assert!(!stored_files(receipt).is_empty(), "those are there");
}

#[test]
fn where_nothing_is_stored_nothing_is_told_as_stored_in_part() {
    let scene = Scene::new();
    scene.run("r1", 4);
    for target in [Target::Filestream, Target::RunUpload] {
        scene.server.inject(Fault::status(403).on(target).forever());
    }
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(!report.has_stored() && !only(&report).problems.is_empty());
}

#[test]
fn the_receipt_of_a_run_that_is_there_already_tells_all_that_is_there() {
    let scene = Scene::new();
    let log = scene.run("r1", 4);
    log_artifact(&log, "data", vec![staged(&scene, "a.txt", b"first")]);
    let mut options = SyncOptions::default();
    options.allow = vec![scene.dir.path().join("staging")];
    options.include_synced = true;
    let first = scene.sync_as(&options);
    let first = &only(&first).receipt;
    let artifact = &scene.server.state().artifacts[0];
    let told = &first.artifacts[0].artifact;
    assert_eq!((&*told.name, &*told.kind, told.files, told.size), ("data", "dataset", 1, 5));
    assert_eq!((&told.id, told.version), (&artifact.id, Some(0)));
    assert_eq!(told.digest, artifact.digest);

    let mut wanted = first.clone();
    wanted.files.iter_mut().for_each(|file| file.status = FileStatus::Unchanged);
    wanted.files.sort_by(|a, b| a.name.cmp(&b.name));
    wanted.artifacts[0].status = ArtifactStatus::Unchanged;
    for audit in [false, true] {
        options.audit = audit;
        let again = scene.sync_as(&options);
        assert_eq!(only(&again).status, RunStatus::Already);
        assert_eq!(only(&again).receipt, wanted);
        assert_eq!(only(&again).checks.is_empty(), !audit);
    }

    let mut planned = SyncOptions::default();
    (planned.dry_run, planned.include_synced) = (true, true);
    let report = scene.sync_as(&planned);
    assert_eq!(only(&report).status, RunStatus::Planned);
    assert_eq!(only(&report).receipt, wanted, "a dry run says what is there");
    assert_eq!(report.server, scene.server.url());
}

#[test]
fn a_run_that_is_left_open_is_told_whatever_else_is() {
    let scene = Scene::new();
    let run = scene.options("r1").config([("lr", 0.5)]).unwrap().create().unwrap();
    run.log([("loss", 0.5)]).unwrap();
    run.flush().unwrap();
    scene.server.inject(Fault::status(403).on(Target::RunUpload).forever());
    let report = scene.sync();
    let problems = &only(&report).problems;
    assert_eq!(only(&report).status, RunStatus::Partly);
    assert!(problems.iter().any(|problem| problem.contains("config.yaml")), "{problems:?}");
    let open = problems.iter().filter(|problem| problem.contains("--finish"));
    assert_eq!(open.count(), 1, "{problems:?}");
}

#[test]
fn what_becomes_of_each_file_and_artifact_is_told_when_it_is_known() {
    let scene = Scene::new();
    let log = scene.run("r1", 4);
    log_artifact(&log, "data", vec![staged(&scene, "a.txt", b"first")]);
    log_artifact(&log, "gone", vec![staged(&scene, "b.txt", b"second")]);
    std::fs::remove_file(scene.dir.path().join("staging/b.txt")).unwrap();
    scene.server.inject(Fault::status(403).on(Target::RunUpload).path_has("config.yaml").forever());
    let (to, transport) = scene.connection();
    let mut options = SyncOptions::default();
    options.allow = vec![scene.dir.path().join("staging")];
    let (files, artifacts) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let observe = |event: Event<'_>| match event {
        Event::File { file, .. } => files.lock().unwrap().push(file.clone()),
        Event::Artifact { artifact, .. } => artifacts.lock().unwrap().push(artifact.clone()),
        _ => {}
    };
    let report = sync(&[scene.root()], &to, &transport, &options, &Stop::new(), &observe);
    let receipt = &only(&report).receipt;
    let (mut files, mut artifacts) = (files.into_inner().unwrap(), artifacts.into_inner().unwrap());
    let mut wanted = receipt.files.clone();
    wanted.sort_by(|a, b| a.name.cmp(&b.name));
    files.sort_by(|a, b| a.name.cmp(&b.name));
    artifacts.sort_by(|a, b| a.artifact.name.cmp(&b.artifact.name));
    assert_eq!(files, wanted);
    assert_eq!(artifacts, receipt.artifacts);
    assert!(artifacts[0].status.is_stored() && !artifacts[1].status.is_stored());
    let json = serde_json::to_value(Event::File { log: &log, file: &files[0] }).unwrap();
    assert_eq!((&json["event"], &json["file"]["name"]), (&"file".into(), &"config.yaml".into()));
}

#[test]
fn a_log_that_is_left_out_as_synced_says_where_it_is() {
    let scene = Scene::new();
    scene.run("r1", 4);
    let mut options = SyncOptions::default();
    options.overrides.run_id = Some("other".into());
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Synced);
    let report = scene.sync_as(&options);
    let run = only(&report);
    assert_eq!(run.status, RunStatus::Skipped);
    let url = format!("synced, to {}/test-entity/p/runs/other;", scene.server.url());
    assert!(run.problems[0].contains(&url), "{:?}", run.problems);
}

#[test]
fn a_key_that_is_not_taken_is_told_by_where_it_is_from() {
    let scene = Scene::new();
    scene.run("r1", 1);
    scene.server.configure(|config| config.api_keys = Some(vec!["x".repeat(40)]));
    let report = scene.sync();
    let problem = &only(&report).problems[0];
    assert!(
        problem.contains("401") && problem.contains("the key is from the program"),
        "{problem}"
    );
    assert!(!problem.contains(&"k".repeat(40)), "{problem}");
}

#[test]
fn damage_is_told_with_its_place_and_what_helps() {
    let scene = Scene::new();
    let log = scene.large_run(3);
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[70_000] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let report = scene.sync();
    let run = only(&report);
    assert_eq!(run.status, RunStatus::Partly);
    let told = run.problems.iter().find(|problem| problem.contains("is damaged")).unwrap();
    assert!(told.contains("at byte ") && told.contains("`wandb-offline verify`"), "{told}");
}
