//! What the server lacks is told by what the log has, whoever uploaded it, and a log of which something is lacking is
//! not marked as synced.

use super::artifacts::{log_artifact, staged};
use super::audit::{by_another_client, lines, run_of, wrong};
use super::server::{Fault, Server};
use super::{Scene, is_marked, only};
use std::path::{Path, PathBuf};
use wandb_offline::sync::{RunStatus, SyncOptions, SyncReport};

#[test]
fn a_repair_that_fails_leaves_no_mark_and_nothing_that_says_it_is_all_there() {
    let scene = Scene::new();
    let log = run_with_artifacts(&scene);
    assert!(scene.sync_staged(|_| {}).is_complete() && is_marked(&log));
    scene.server.tamper(|state| {
        state.runs.clear();
        state.artifacts.clear();
    });
    let (staging, away) = (staging(&scene), scene.dir.path().join("away"));
    std::fs::rename(&staging, &away).unwrap();
    let report = scene.sync_staged(|options| options.repair = true);
    assert_eq!(only(&report).status, RunStatus::Partly, "{report:?}");
    assert!(!is_marked(&log));

    let report = scene.sync_staged(|_| {});
    assert_eq!(only(&report).status, RunStatus::Partly, "it is not left out: {report:?}");
    let report = scene.sync_staged(|options| options.audit = true);
    assert_eq!(wrong(only(&report)), ["artifacts"], "{report:?}");

    std::fs::rename(&away, &staging).unwrap();
    let report = scene.sync_staged(|options| options.repair = true);
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    assert!(is_marked(&log) && scene.server.state().artifact("more").is_committed());
}

#[test]
fn an_artifact_that_the_ledger_does_not_know_is_lacking_however_the_log_is_marked() {
    let scene = Scene::new();
    let log = run_with_artifacts(&scene);
    std::fs::remove_dir_all(staging(&scene)).unwrap();
    assert_eq!(only(&scene.sync_staged(|_| {})).status, RunStatus::Partly);
    std::fs::write(log.with_extension("wandb.synced"), b"").unwrap();
    let report = scene.audited();
    let run = only(&report);
    assert_eq!((run.status, wrong(run)), (RunStatus::Partly, vec!["artifacts"]), "{report:?}");
    assert!(run.problems[0].contains("the log comes to 2 artifacts"), "{report:?}");
    let stored = run.receipt.artifacts.iter().map(|artifact| artifact.status.is_stored());
    assert_eq!(stored.collect::<Vec<_>>(), [false, false]);
}

#[test]
fn artifacts_that_another_client_did_not_commit_are_told_and_made() {
    let scene = Scene::new();
    let log = run_with_artifacts(&scene);
    assert!(scene.sync_staged(|_| {}).is_complete());
    by_another_client(&log);
    let report = scene.sync_staged(|options| options.audit = true);
    assert_eq!((only(&report).status, wrong(only(&report))), (RunStatus::Already, vec![]));
    assert_eq!(only(&report).receipt.artifacts.len(), 2, "{report:?}");

    scene.server.tamper(|state| {
        // As if it were another's, which keeps the numbers of what the server made.
        let (more, data): (Vec<_>, Vec<_>) =
            state.artifacts.iter_mut().partition(|artifact| artifact.name() == "more");
        more.into_iter().for_each(|more| more.version = None);
        for data in data {
            (data.client_id, data.collection) = (None, ["e", "p", "other"].map(str::to_owned));
        }
    });
    let report = scene.sync_staged(|options| options.audit = true);
    let told = r#"the server has not "data", "more" as PENDING"#;
    assert!(only(&report).problems[0].ends_with(told), "{report:?}");
    assert_eq!(only(&report).status, RunStatus::Partly);

    scene.server.inject(Fault::status(400).body_has("ClientIDMapping"));
    let report = scene.sync_staged(|options| options.audit = true);
    let check = only(&report).checks.iter().find(|check| check.what == "artifacts").unwrap();
    assert_eq!((check.agrees, &*check.server), (None, "not told by the server, so not checked"));
    assert!(only(&report).receipt.artifacts.is_empty(), "{report:?}");

    let report = scene.sync_staged(|options| options.repair = true);
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    let state = scene.server.state();
    assert!(["data", "more"].iter().all(|name| state.artifact(name).is_committed()));
}

#[test]
fn a_run_that_another_client_ended_is_not_opened_again() {
    for repair in [false, true] {
        let scene = Scene::new();
        let log = scene.fixture("killed");
        assert!(scene.sync_staged(|options| options.finish = true).is_complete());
        by_another_client(&log);
        if repair {
            scene.server.tamper(|state| _ = lines(run_of(state)).pop_last());
        }
        let sync = || {
            scene.sync_staged(|options| {
                options.repair = repair;
                options.include_synced = !repair;
            })
        };
        // The first attempt does not come to the end.
        scene.server.inject(Fault::status(400).body_has("\"complete\":true"));
        assert_eq!(only(&sync()).status, RunStatus::Partly);
        let report = sync();
        assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
        let state = scene.server.state();
        assert_eq!((state.run().status, state.run().exit_code), ("failed", Some(1)));
        assert!(is_marked(&log));
    }
}

#[test]
fn the_step_of_the_summary_is_that_of_the_last_row() {
    let scene = Scene::new();
    let log = scene.fixture("killed");
    assert!(scene.sync_staged(|options| options.finish = true).is_complete());
    let (run, _) = wandb_offline::run::load(&log, true).unwrap();
    let last = run.history().last_step().unwrap();
    let noted = run.summary().get("_step").and_then(|step| step.as_i64()).unwrap();
    assert_eq!(noted, last + 1, "it was written before a row that was not");
    assert_eq!(scene.server.state().run().summary()["_step"], last);
    assert_eq!(only(&scene.audited()).status, RunStatus::Already);
}

#[test]
fn a_file_that_changed_after_it_was_stored_is_told_and_sent_again() {
    let scene = Scene::new();
    let log = scene.fixture("console");
    assert!(scene.sync().is_complete());
    let text = change(&log);
    for tells in [true, false] {
        if !tells {
            scene.server.inject(Fault::status(400).body_has("RunFiles"));
        }
        let report = scene.audited();
        let told = r#"the server has "requirements.txt" as it was before it changed here"#;
        assert!(only(&report).problems[0].ends_with(told), "{report:?}");
        assert_eq!(only(&report).status, RunStatus::Partly);
    }
    let report = scene.sync_staged(|options| options.repair = true);
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    assert_eq!(stored(&scene.server), (text, 2));
    assert_eq!(scene.server.state().run().files["config.yaml"].puts, 1);
    assert_eq!(only(&scene.audited()).status, RunStatus::Already);
}

#[test]
fn of_a_run_that_was_left_open_files_are_sent_that_changed_though_its_log_did_not_grow() {
    let scene = Scene::new();
    let log = scene.fixture("killed");
    assert_eq!(only(&scene.sync()).status, RunStatus::Open);
    let requests = scene.server.state().requests.len();
    assert_eq!(only(&scene.sync()).status, RunStatus::Open);
    assert_eq!(scene.server.state().requests.len(), requests, "nothing is new");
    let text = change(&log);
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Open, "{report:?}");
    assert_eq!(stored(&scene.server), (text, 2));
}

impl Scene {
    /// Uploads with the files of artifacts allowed that lie beside the runs.
    fn sync_staged(&self, change: impl FnOnce(&mut SyncOptions)) -> SyncReport {
        let mut options = SyncOptions::default();
        options.allow = vec![staging(self)];
        change(&mut options);
        self.sync_as(&options)
    }
}

fn staging(scene: &Scene) -> PathBuf {
    scene.dir.path().join("staging")
}

fn run_with_artifacts(scene: &Scene) -> PathBuf {
    let log = scene.run("r1", 2);
    log_artifact(&log, "data", vec![staged(scene, "a.txt", b"first")]);
    log_artifact(&log, "more", vec![staged(scene, "b.txt", b"second")]);
    log
}

/// Writes something else into a file of a run.
fn change(log: &Path) -> Vec<u8> {
    let path = log.parent().unwrap().join("files/requirements.txt");
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"x\n");
    std::fs::write(&path, &text).unwrap();
    text
}

/// What the server has of that file, and how often it was sent.
fn stored(server: &Server) -> (Vec<u8>, u64) {
    let state = server.state();
    let file = &state.run().files["requirements.txt"];
    (file.bytes().to_vec(), file.puts as u64)
}
