//! Copies of logs: made by `recover` and `scrub`, or compressed. Of each row the server gets one.

use super::{Scene, only};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::recover::recover;
use wandb_offline::scrub::{Options, scrub};
use wandb_offline::sync::{RunReport, RunStatus, SyncOptions, SyncReport};

#[test]
fn a_run_with_a_scrubbed_copy_beside_it_is_left_out_also_when_the_copy_is_synced_already() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let copy = scrub(log.parent().unwrap(), &Options::default()).unwrap().log.unwrap();
    for (of_copy, times) in [(RunStatus::Synced, "first"), (RunStatus::Skipped, "second")] {
        let report = scene.sync();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(of(&report, &copy).status, of_copy, "the {times} time");
        let original = of(&report, &log);
        assert_eq!(original.status, RunStatus::Skipped);
        let (path, copy) = (log.display(), copy.display());
        let reason = format!("{copy} is a copy of it; name {path} alone to upload it");
        assert_eq!(original.problems, [reason]);
        scene.has_rows(5);
    }
}

#[test]
fn of_a_copy_of_a_copy_and_of_logs_without_run_directories_only_the_last_copy_goes() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let dir = log.parent().unwrap().to_owned();
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", dir.display()));
    super::copy(&dir, &beside("-recovered"));
    super::copy(&dir, &beside("-recovered-scrubbed"));
    let lone = scene.run("r2", 5);
    let stem = lone.with_extension("");
    std::fs::copy(&lone, format!("{}.recovered.wandb", stem.display())).unwrap();
    let report = scene.sync();
    let went: Vec<_> = report.runs.iter().filter(|run| run.status == RunStatus::Synced).collect();
    assert_eq!(went.len(), 2, "{report:?}");
    for run in went {
        let path = run.log.display().to_string();
        assert!(
            path.contains("-recovered-scrubbed") || path.contains(".recovered.wandb"),
            "{path}"
        );
    }
    assert!(scene.server.state().runs.values().all(|run| run.history().len() == 5));
}

#[test]
fn neither_goes_of_a_run_that_went_on_and_a_copy_that_was_made_before() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let copy = recover(log.parent().unwrap(), &Default::default()).unwrap().output;
    let file = std::fs::File::options().append(true).open(&log).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
    let report = scene.sync();
    assert_eq!(report.runs.len(), 2);
    for run in &report.runs {
        assert_eq!(run.status, RunStatus::Failed);
        assert!(run.problems[0].contains("was written to after its copy"), "{report:?}");
    }
    assert!(scene.server.state().runs.is_empty());
    // Named alone it goes, and so does a copy that is made anew.
    std::fs::remove_dir_all(&copy).unwrap();
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
}

#[test]
fn a_copy_of_a_run_that_is_uploaded_is_left_out() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    // Which leaves the marks of uploads behind.
    let copy = recover(log.parent().unwrap(), &Default::default()).unwrap().output;
    let copy = copy.join(log.file_name().unwrap());
    let report = scene.sync_again();
    assert_eq!(of(&report, &copy).status, RunStatus::Skipped);
    assert!(of(&report, &copy).problems[0].contains("is uploaded"), "{report:?}");
    assert_eq!(of(&report, &log).status, RunStatus::Already);
    scene.has_rows(5);
}

#[test]
fn a_log_under_two_names_is_one() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let other = beside(&scene, "other");
    std::fs::create_dir(&other).unwrap();
    std::fs::hard_link(&log, other.join(log.file_name().unwrap())).unwrap();
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(5);
}

#[test]
fn of_a_run_and_its_copy_the_one_that_has_most_goes_whatever_their_names() {
    for first in [false, true] {
        let scene = Scene::new();
        let run = scene.options("r1").create().unwrap();
        let log = |row: u32| run.log([("loss", f64::from(row))]).unwrap();
        (0..3).for_each(log);
        run.flush().unwrap();
        let copy =
            duplicate(&scene, run.path(), if first { "offline-run-1" } else { "offline-run-3" });
        (3..5).for_each(log);
        run.finish().unwrap();
        let again = duplicate(&scene, run.path(), "offline-run-9");
        compressed(&again);
        let report = scene.sync();
        let synced: Vec<_> =
            report.runs.iter().filter(|run| run.status == RunStatus::Synced).collect();
        assert!(synced.len() == 1 && synced[0].log != copy, "{report:?}");
        assert_eq!(of(&report, &copy).status, RunStatus::Skipped);
        let told = &of(&report, &copy).problems[0];
        assert!(told.contains("is a copy of it that has more; name "), "{told}");
        assert_eq!((report.runs.len(), report.is_complete()), (3, true));
        scene.has_rows(5);
        // The shorter one alone has nothing to add.
        let report = scene.sync_paths(&[copy], &Default::default(), &Default::default());
        assert!(only(&report).problems[0].contains("a longer copy"), "{report:?}");
        scene.has_rows(5);
    }
}

#[test]
fn a_log_that_says_it_is_another_one_is_refused_beside_it() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let other = duplicate(&scene, &log, "offline-run-9");
    super::resumed::rewritten(&other, |record| {
        if let RecordType::Exit(exit) = record {
            exit.exit_code = 7;
        }
        None
    });
    let report = scene.sync();
    assert_eq!(of(&report, &log).status, RunStatus::Synced);
    assert_eq!(of(&report, &other).status, RunStatus::Failed);
    let told = &of(&report, &other).problems[0];
    assert!(told.contains(&log.display().to_string()) && told.contains("--id"), "{told}");
    scene.has_rows(5);
    assert_eq!(scene.server.state().run().exit_code, Some(0));
}

#[test]
fn a_damaged_copy_is_left_out_whatever_its_name() {
    for name in ["offline-run-1", "offline-run-9"] {
        let scene = Scene::new();
        let log = scene.run("r1", 50);
        let copy = duplicate(&scene, &log, name);
        damage(&copy, 20..21);
        let report = scene.sync();
        assert_eq!(of(&report, &log).status, RunStatus::Synced, "{report:?}");
        let left_out = of(&report, &copy);
        assert_eq!(left_out.status, RunStatus::Skipped);
        let (original, copy) = (log.display(), copy.display());
        let reason = format!("a damaged copy of {original}; name {copy} alone to upload it");
        assert_eq!(left_out.problems, [reason]);
        scene.has_rows(50);
    }
}

#[test]
fn of_copies_that_are_damaged_at_other_places_the_one_goes_of_which_more_can_be_read() {
    let scene = Scene::new();
    let log = scene.run("r1", 50);
    let copy = duplicate(&scene, &log, "offline-run-1");
    damage(&copy, 30..34);
    damage(&log, 20..22);
    let report = scene.sync();
    assert_eq!(of(&report, &log).status, RunStatus::Partly, "{report:?}");
    assert_eq!(scene.server.state().run().history().len(), 49);
    let left_out = of(&report, &copy);
    assert_eq!(left_out.status, RunStatus::Skipped);
    assert!(
        left_out.problems[0].contains("which has more, but not 2 of its records"),
        "{report:?}"
    );
}

#[test]
fn of_copies_that_hold_the_same_the_one_in_a_run_directory_goes() {
    type Make = fn(&Path, &Path);
    let makes: [Make; 2] = [
        |from, to| assert!(std::fs::copy(from, to).unwrap() > 0),
        |from, to| std::fs::hard_link(from, to).unwrap(),
    ];
    for make in makes {
        let scene = Scene::new();
        let log = scene.run("r1", 5);
        // Which comes before all directories of runs.
        let outside = scene.root().join("a.wandb");
        make(&log, &outside);
        let report = scene.sync();
        assert_eq!(of(&report, &log).status, RunStatus::Synced, "{report:?}");
        assert!(!of(&report, &log).receipt.files.is_empty());
        assert!(!super::is_marked(&outside));
        scene.has_rows(5);
    }
}

#[test]
fn a_copy_of_a_log_that_is_stored_is_left_out_and_one_that_has_more_is_not() {
    let scene = Scene::new();
    let run = scene.options("r1").create().unwrap();
    let log = |row: u32| run.log([("loss", f64::from(row))]).unwrap();
    (0..3).for_each(log);
    run.flush().unwrap();
    let early = duplicate(&scene, run.path(), "offline-run-1");
    let mut options = SyncOptions::default();
    options.finish = true;
    let report = scene.sync_paths(&[run.path().to_owned()], &options, &Default::default());
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    let requests = scene.server.state().requests.len();
    let report = scene.sync();
    assert_eq!(of(&report, &early).status, RunStatus::Skipped);
    assert!(of(&report, &early).problems[0].contains("of which it is a copy, is uploaded"));
    assert_eq!(scene.server.state().requests.len(), requests);

    (3..5).for_each(log);
    run.finish().unwrap();
    let late = duplicate(&scene, run.path(), "offline-run-2");
    std::fs::copy(&early, run.path()).unwrap();
    let report = scene.sync();
    assert_eq!(of(&report, &late).status, RunStatus::Synced, "{report:?}");
    assert_eq!(of(&report, &early).status, RunStatus::Skipped);
    scene.has_rows(5);
}

/// Makes some of the log's records unreadable.
fn damage(log: &Path, records: Range<usize>) {
    let mut ends = Vec::new();
    let mut reader = wandb_offline::Reader::open(log).unwrap();
    while let Some(record) = reader.next_record().unwrap() {
        ends.push((record.span.offset + record.span.length) as usize);
    }
    let mut bytes = std::fs::read(log).unwrap();
    for end in &ends[records] {
        bytes[end - 1] ^= 0xff;
    }
    std::fs::write(log, bytes).unwrap();
}

/// A copy of a run directory, without what was noted of uploads.
fn duplicate(scene: &Scene, log: &Path, name: &str) -> PathBuf {
    let to = beside(scene, name);
    super::copy(log.parent().unwrap(), &to);
    to.join(log.file_name().unwrap())
}

fn beside(scene: &Scene, name: &str) -> PathBuf {
    scene.root().join(name)
}

#[test]
fn what_is_noted_of_a_compressed_log_stands_under_the_name_of_the_plain_one() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let packed = compressed(&log);
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(5);
    let names = std::fs::read_dir(log.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let noted: Vec<_> = names.filter(|name| name.contains(".gz.")).collect();
    assert_eq!(noted, [""; 0]);
    let (found, _) = wandb_offline::log::find(scene.root());
    assert!(found.len() == 1 && found[0].path == packed && found[0].synced, "{found:?}");
    assert_eq!(only(&scene.sync()).status, RunStatus::Skipped);
}

#[test]
fn a_log_that_is_compressed_after_its_upload_is_the_one_that_was_uploaded() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    scene.sync();
    compressed(&log);
    let report = scene.sync_again();
    let status = only(&report).status;
    assert!(matches!(status, RunStatus::Already | RunStatus::Synced), "{report:?}");
    scene.has_rows(5);
    let counts = scene.server.state().run().counts.clone();
    assert!(!counts.rewritten_same.contains_key("wandb-history.jsonl"), "{counts:?}");
}

/// Compresses a log in its place.
pub(super) fn compressed(log: &Path) -> PathBuf {
    let packed = log.with_extension("wandb.gz");
    let out = std::fs::File::create(&packed).unwrap();
    let mut out = flate2::write::GzEncoder::new(out, flate2::Compression::default());
    out.write_all(&std::fs::read(log).unwrap()).unwrap();
    out.finish().unwrap();
    std::fs::remove_file(log).unwrap();
    packed
}

#[track_caller]
fn of<'a>(report: &'a SyncReport, log: &Path) -> &'a RunReport {
    let found = report.runs.iter().find(|run| run.log == log);
    found.unwrap_or_else(|| panic!("nothing of {}: {report:?}", log.display()))
}
