//! Marks of logs that are synced: of what is stored where they count, and nowhere else.

use super::copies::compressed;
use super::server::Server;
use super::{Scene, is_marked, ledger, only};
use std::path::PathBuf;
use wandb_offline::sync::plan::Overrides;
use wandb_offline::sync::{RunStatus, SyncOptions};

/// A run that was taken for one that crashed, uploaded and marked, and went on.
fn suspended(scene: &Scene) -> PathBuf {
    let run = scene.options("r1").create().unwrap();
    let log = |row: u32| run.log([("loss", f64::from(row))]).unwrap();
    (0..300).for_each(log);
    run.flush().unwrap();
    let mut options = SyncOptions::default();
    options.finish = true;
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Synced);
    assert!(is_marked(run.path()));
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Skipped, "as long as it is so");
    (300..305).for_each(log);
    run.finish().unwrap();
    run.path().to_owned()
}

#[test]
fn a_log_that_has_grown_since_it_was_marked_is_taken_up_again() {
    for compresses in [false, true] {
        let scene = Scene::new();
        let log = suspended(&scene);
        if compresses {
            compressed(&log);
        }
        let report = scene.sync();
        assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
        scene.has_rows(305);
        assert_eq!(scene.server.state().run().exit_code, Some(0));
        assert_eq!(only(&scene.sync()).status, RunStatus::Skipped);
    }
}

#[test]
fn a_log_that_was_only_compressed_since_it_was_marked_is_left_out() {
    let scene = Scene::new();
    let log = scene.run("r1", 300);
    scene.sync();
    let length = std::fs::metadata(&log).unwrap().len();
    let packed = compressed(&log);
    assert!(std::fs::metadata(packed).unwrap().len() < length, "so its length says nothing");
    assert_eq!(only(&scene.sync()).status, RunStatus::Skipped);
}

#[test]
fn a_mark_beside_a_ledger_that_is_not_whole_does_not_count() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    scene.sync();
    let ledger = ledger(&log);
    let text = std::fs::read_to_string(&ledger).unwrap();
    std::fs::write(&ledger, text.replace("\"whole\": true", "\"whole\": false")).unwrap();
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    assert_eq!(only(&scene.sync()).status, RunStatus::Skipped);
    scene.has_rows(3);
}

fn named(set: impl FnOnce(&mut Overrides)) -> SyncOptions {
    let mut options = SyncOptions::default();
    set(&mut options.overrides);
    options
}

#[test]
fn a_mark_counts_for_the_run_it_was_made_of() {
    let scene = Scene::new();
    scene.run("r1", 3);
    scene.sync();
    let elsewhere =
        [named(|to| to.project = Some("other".into())), named(|to| to.run_id = Some("r2".into()))];
    for options in &elsewhere {
        assert_eq!(only(&scene.sync_as(options)).status, RunStatus::Synced, "{options:?}");
        assert_eq!(only(&scene.sync_as(options)).status, RunStatus::Skipped, "{options:?}");
    }
    let state = scene.server.state();
    assert!(state.runs.len() == 3 && state.runs.values().all(|run| run.history().len() == 3));
    drop(state);
    let same = named(|to| to.entity = Some("test-entity".into()));
    for options in [SyncOptions::default(), same] {
        assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Skipped, "{options:?}");
    }
}

#[test]
fn a_mark_counts_for_the_server_it_was_made_of() {
    let mut scene = Scene::new();
    scene.run("r1", 3);
    scene.sync();
    scene.server = Server::start();
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(3);
    assert_eq!(only(&scene.sync()).status, RunStatus::Skipped);
}

#[test]
fn the_official_clients_mark_counts_everywhere() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    std::fs::write(log.with_extension("wandb.synced"), b"").unwrap();
    let options = named(|to| to.project = Some("other".into()));
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Skipped);
}
