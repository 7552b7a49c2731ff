//! Syncs that are repeated, broken off, or have lost their memory.

use super::server::{Fault, Target};
use super::{Scene, is_marked, ledger, only};
use std::time::Duration;
use wandb_offline::sync::{RunStatus, Stop, SyncOptions, SyncReport};

#[test]
fn a_sync_that_is_repeated_sends_nothing() {
    let scene = Scene::new();
    scene.run("r1", 5);
    scene.sync();
    let before = scene.server.state().requests.len();
    assert_eq!(only(&scene.sync_again()).status, RunStatus::Already);
    assert_eq!(scene.server.state().requests.len(), before);
}

#[test]
fn a_mark_that_an_interrupt_prevented_is_made_up_for() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    scene.sync();
    std::fs::remove_file(log.with_extension("wandb.synced")).unwrap();
    assert_eq!(only(&scene.sync()).status, RunStatus::Already);
    assert!(is_marked(&log));
}

#[test]
fn a_large_run_goes_on_where_it_was_broken_off() {
    let scene = Scene::new();
    scene.large_run(30);
    for skip in 0..3 {
        scene.server.inject(Fault::status(400).on(Target::Filestream).skip(skip));
        let status = if skip == 0 { RunStatus::Failed } else { RunStatus::Partly };
        assert_eq!(only(&scene.sync()).status, status, "{skip}");
    }
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(30);
    let counts = scene.server.state().run().counts.clone();
    assert!(counts.rewritten_same.is_empty(), "what was acknowledged was sent again: {counts:?}");
}

#[test]
fn an_answer_lost_for_good_is_made_up_for_by_the_next_sync() {
    let scene = Scene::new();
    scene.run("r1", 5);
    // The lines are stored, and all the client hears is a refusal.
    scene.server.inject(Fault::status(400).on(Target::Filestream).applied());
    assert_eq!(only(&scene.sync()).status, RunStatus::Partly);
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(5);
}

#[test]
fn files_that_were_stored_and_not_told_are_told_by_the_next_sync() {
    let scene = Scene::new();
    scene.run("r1", 5);
    // Lines go only when all files are stored.
    scene.server.inject(Fault::status(400).on(Target::Filestream));
    assert_eq!(only(&scene.sync()).status, RunStatus::Partly);
    let stored = |scene: &Scene| scene.server.state().run().files.clone();
    let before = stored(&scene);
    assert!(before.len() > 1);
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    let state = scene.server.state();
    assert!(state.run().uploaded.iter().eq(before.keys()), "{:?}", state.run().uploaded);
    assert!(before.iter().all(|(name, file)| state.run().files[name].puts == file.puts));
}

#[test]
fn a_lost_ledger_is_made_up_from_the_servers_rows() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    scene.sync();
    std::fs::remove_file(ledger(&log)).unwrap();
    assert_eq!(only(&scene.sync_again()).status, RunStatus::Synced);
    scene.has_rows(5);
}

#[test]
fn another_runs_rows_are_not_added_to() {
    let scene = Scene::new();
    scene.run("r1", 5);
    scene.sync();
    let other = Scene { dir: tempfile::tempdir().unwrap(), server: scene.server };
    other.run("r1", 7);
    let report = other.sync();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("--id"), "{report:?}");
    other.has_rows(5);

    let mut options = SyncOptions::default();
    options.append = true;
    assert_eq!(only(&other.sync_as(&options)).status, RunStatus::Synced);
    other.has_rows(12);
}

#[test]
fn a_ledger_of_another_log_or_a_damaged_one_is_refused() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    scene.sync();
    let requests = scene.server.state().requests.len();
    std::fs::write(ledger(&log), b"{").unwrap();
    let report = scene.sync_again();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("damaged"), "{report:?}");
    assert_eq!(scene.server.state().requests.len(), requests);
}

#[test]
fn rows_that_come_back_after_damage_are_not_put_in_the_place_of_others() {
    for again in [false, true] {
        let scene = Scene::new();
        let log = scene.run("r1", 2000);
        let whole = std::fs::read(&log).unwrap();
        // As a copy that is under way, or a network file system that has not got all blocks yet.
        let mut hole = whole.clone();
        hole[32 << 10..64 << 10].fill(0);
        std::fs::write(&log, &hole).unwrap();
        assert_eq!(only(&scene.sync()).status, RunStatus::Partly);
        let before = scene.server.state().run().history();
        assert!(before.len() < 2000);
        if again {
            // The same damage again is no news.
            assert!(only(&scene.sync()).problems[0].contains("is damaged"));
        }
        std::fs::write(&log, &whole).unwrap();
        let report = scene.sync();
        assert_eq!(only(&report).status, RunStatus::Partly);
        assert!(only(&report).problems[0].contains("--id"), "{report:?}");
        assert!(!is_marked(&log));
        assert_eq!(scene.server.state().run().history(), before, "no row is there twice");
    }
}

#[test]
fn of_a_log_that_is_damaged_at_its_end_nothing_is_sent_if_that_is_wanted() {
    let scene = Scene::new();
    let log = scene.large_run(12);
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.len() - (64 << 10);
    bytes[at..][..100].fill(0xff);
    std::fs::write(&log, bytes).unwrap();
    let mut options = SyncOptions::default();
    options.salvage = false;
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Failed);
    assert!(scene.server.state().requests.is_empty());
}

#[test]
fn two_at_once_are_one_and_the_other_says_so() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    scene.sync();
    let lock = ledger(&log).with_extension("sync.lock");
    let held = std::fs::File::options().append(true).open(lock).unwrap();
    fs4::FileExt::lock(&held).unwrap();
    let report = scene.sync_again();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("another process"), "{report:?}");
}

#[test]
fn two_machines_with_a_copy_each_double_nothing_and_one_says_so() {
    for round in 0..6 {
        let scene = Scene::new();
        let log = scene.run("r1", 300);
        let dir = log.parent().unwrap();
        let copy = scene.dir.path().join("other").join(dir.file_name().unwrap());
        super::copy(dir, &copy);
        // Requests of the two meet at other moments each time.
        let pause = Duration::from_millis(3 * round);
        scene.server.inject(Fault::none().delayed(pause).on(Target::Graphql).skip(1).times(3));
        let (options, stop) = (SyncOptions::default(), Stop::new());
        let both = [scene.root(), copy];
        let sync = |path| scene.sync_paths(std::slice::from_ref(path), &options, &stop);
        let reports = std::thread::scope(|scope| {
            let started = both.each_ref().map(|path| scope.spawn(|| sync(path)));
            started.map(|thread| thread.join().unwrap())
        });
        let stored = |report: &SyncReport| only(report).status == RunStatus::Synced;
        assert!(reports.iter().any(stored), "{reports:?}");
        for report in reports.iter().filter(|report| !stored(report)) {
            assert!(!only(report).problems.is_empty(), "{report:?}");
        }
        let tells = |report: &SyncReport| {
            !only(report).notices.is_empty() || !only(report).problems.is_empty()
        };
        assert!(reports.iter().any(tells), "{reports:?}");
        scene.has_rows(300);
        assert!(scene.sync().is_complete() && is_marked(&log));
        scene.has_rows(300);
    }
}

#[test]
fn a_damaged_log_gives_what_is_readable_once() {
    let scene = Scene::new();
    let log = scene.run("r1", 2000);
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xff);
    std::fs::write(&log, bytes).unwrap();
    let report = scene.sync();
    let run = only(&report);
    assert_eq!(run.status, RunStatus::Partly);
    assert!(run.problems.iter().any(|problem| problem.contains("damaged")), "{:?}", run.problems);
    assert!(!is_marked(&log));
    let rows = scene.server.state().run().history().len() as u64;
    assert!(rows > 1000 && rows == run.receipt.rows, "{rows}");

    scene.sync();
    let run = scene.server.state().run().clone();
    assert_eq!(run.history().len() as u64, rows);
    assert!(!run.counts.rewritten_different.contains_key("wandb-history.jsonl"));
}
