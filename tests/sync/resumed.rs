//! Runs of several logs.

use super::server::{Fault, Target};
use super::{Scene, is_marked, only};
use std::path::{Path, PathBuf};
use wandb_offline::Reader;
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::proto::wandb_internal::{FilesItem, FilesRecord, Record};
use wandb_offline::sync::{RunReport, RunStatus, Stop, SyncOptions};

#[test]
fn the_parts_of_a_run_go_one_after_another_and_their_steps_go_on() {
    let scene = Scene::new();
    resumed(&scene.run("r1", 3));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    resumed(&scene.run("r1", 4));
    let report = scene.sync();
    assert!(report.runs.iter().all(|run| run.status == RunStatus::Synced), "{report:?}");
    scene.has_rows(7);
    assert_eq!(scene.server.state().run().summary()["_step"], 6);
}

#[test]
fn a_part_that_comes_later_goes_on_where_the_server_is() {
    let scene = Scene::new();
    resumed(&scene.run("r1", 3));
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    resumed(&scene.run("r1", 4));
    let report = scene.sync();
    assert!(report.is_complete(), "{report:?}");
    scene.has_rows(7);
    let report = scene.sync_again();
    assert!(report.runs.iter().all(|run| run.status == RunStatus::Already), "{report:?}");
    scene.has_rows(7);
}

#[test]
fn an_earlier_part_of_which_a_file_was_missing_leaves_the_end_of_the_run_alone() {
    let scene = Scene::new();
    let first = part(&scene, "first", 3, 1);
    with_file(&first, "first.txt");
    scene.server.inject(Fault::status(403).on(Target::RunUpload).path_has("first.txt").forever());
    assert_eq!(only(&scene.sync()).status, RunStatus::Partly);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let second = part(&scene, "second", 4, 0);
    resumed(&second);
    let options = SyncOptions::default();
    let report = scene.sync_paths(std::slice::from_ref(&second), &options, &Stop::new());
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    assert_is_the_end_of_the_second(&scene);

    // As long as the file cannot be stored, every sync tries again.
    assert!(!scene.sync().is_complete());
    assert_is_the_end_of_the_second(&scene);
    scene.server.clear_faults();
    assert!(scene.sync().is_complete());
    assert_is_the_end_of_the_second(&scene);
    assert!(is_marked(&first));
    let state = scene.server.state();
    assert!(state.run().files["first.txt"].stored.is_some());
    assert!(state.run().uploaded.contains("first.txt"));
}

#[test]
fn a_part_without_an_end_leaves_no_run_open_if_another_goes_on_behind_it() {
    for finish in [false, true] {
        let scene = Scene::new();
        let first = scene.options("r1").create().unwrap();
        (0..3).for_each(|row| first.log([("loss", f64::from(row))]).unwrap());
        first.flush().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let second = scene.run("r1", 4);
        resumed(&second);
        let mut options = SyncOptions::default();
        options.finish = finish;
        let report = scene.sync_as(&options);
        let fine = |run: &RunReport| run.status == RunStatus::Synced && run.problems.is_empty();
        assert!(report.runs.len() == 2 && report.runs.iter().all(fine), "{report:?}");
        assert!(is_marked(first.path()) && is_marked(&second));
        let state = scene.server.state();
        assert_eq!((state.run().complete, state.run().exit_code), (true, Some(0)));
        assert_eq!(state.run().counts.complete_requests, 1);
        scene.has_rows(state.run().history().len() as u64);
    }
}

#[test]
fn a_part_that_was_broken_off_keeps_the_config_of_the_one_before() {
    let scene = Scene::new();
    part(&scene, "first", 3, 0);
    assert!(scene.sync().is_complete());
    std::thread::sleep(std::time::Duration::from_millis(1100));
    resumed(&part(&scene, "second", 4, 0));
    scene.server.inject(Fault::status(400).on(Target::Filestream));
    assert!(!scene.sync().is_complete());
    assert!(scene.sync().is_complete());
    assert_is_the_end_of_the_second(&scene);
}

#[track_caller]
fn assert_is_the_end_of_the_second(scene: &Scene) {
    scene.has_rows(7);
    let state = scene.server.state();
    let run = state.run();
    assert_eq!(run.config()["first"], 1.0);
    assert_eq!(run.config()["second"], 1.0);
    assert_eq!(run.summary()["_step"], 6);
    assert_eq!((run.complete, run.exit_code), (true, Some(0)));
}

/// A part of the run with a config key of its own.
fn part(scene: &Scene, key: &str, rows: u32, exit_code: i32) -> PathBuf {
    let run = scene.options("r1").config([(key, 1.0)]).unwrap().create().unwrap();
    for step in 0..rows {
        run.log([("loss", f64::from(step))]).unwrap();
    }
    run.finish_with(exit_code).unwrap();
    run.path().to_owned()
}

/// Puts a file into the run, which its log names.
fn with_file(log: &Path, name: &str) {
    std::fs::write(log.parent().unwrap().join("files").join(name), "text").unwrap();
    let file = FilesItem { path: name.to_owned(), ..FilesItem::default() };
    let files = FilesRecord { files: vec![file], ..FilesRecord::default() };
    rewritten(log, |record| {
        let exit = matches!(record, RecordType::Exit(_));
        exit.then(|| RecordType::Files(files.clone()))
    });
}

/// Makes the log that of a run started with `resume="allow"`, which the writer here has no word for.
pub(super) fn resumed(log: &Path) {
    rewritten(log, |record| {
        if let RecordType::Run(run) = record {
            run.resume = true;
        }
        None
    });
}

/// Writes the log anew, with records changed, and others put before them.
pub(super) fn rewritten(log: &Path, mut change: impl FnMut(&mut RecordType) -> Option<RecordType>) {
    let mut reader = Reader::open(log).unwrap();
    let mut records = Vec::new();
    while let Some(raw) = reader.next_record().unwrap() {
        let mut record = raw.decode().unwrap();
        let before = record.record_type.as_mut().and_then(&mut change);
        if let Some(kind) = before {
            let record = Record { record_type: Some(kind), ..Record::default() };
            records.push(prost::Message::encode_to_vec(&record));
        }
        record.num = 0;
        records.push(prost::Message::encode_to_vec(&record));
    }
    std::fs::remove_file(log).unwrap();
    let mut writer = LogWriter::create(log).unwrap();
    for record in &records {
        writer.fields(record).unwrap();
    }
    writer.flush().unwrap();
}
