//! Runs go through a directory to a server that cannot be reached from where they were logged.

mod artifacts;
mod hostile;
#[cfg(feature = "cli")]
mod killed;

use super::server::{Fault, State, Target};
use super::{Scene, is_marked, ledger, only};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wandb_offline::sync::{
    PackReport, PackStatus, PackedRun, RunStatus, Stop, SyncOptions, SyncReport, pack, sync_pack,
};

impl Scene {
    fn stick(&self) -> PathBuf {
        self.dir.path().join("stick")
    }

    fn pack(&self) -> PackReport {
        self.pack_as(&SyncOptions::default())
    }

    #[track_caller]
    fn pack_as(&self, options: &SyncOptions) -> PackReport {
        pack(&[self.root()], &self.stick(), options).unwrap()
    }

    fn send(&self) -> SyncReport {
        self.send_as(&SyncOptions::default())
    }

    #[track_caller]
    fn send_as(&self, options: &SyncOptions) -> SyncReport {
        self.try_to_send(&self.stick(), options).unwrap()
    }

    fn try_to_send(&self, pack: &Path, options: &SyncOptions) -> wandb_offline::Result<SyncReport> {
        let (to, transport) = self.connection();
        sync_pack(pack, &to, &transport, options, &Stop::new(), &|_| {})
    }
}

#[track_caller]
fn only_packed(report: &PackReport) -> &PackedRun {
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(report.runs.len(), 1, "{report:?}");
    &report.runs[0]
}

/// Every file below a directory, and what it holds.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let found = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    let found = found.filter(|entry| entry.file_type().is_file());
    found.map(|entry| (entry.path().to_owned(), std::fs::read(entry.path()).unwrap())).collect()
}

/// What a server has, but for how it came there.
fn facts(state: &State) -> String {
    let mut facts = String::new();
    for (name, run) in &state.runs {
        let mut run = run.clone();
        run.counts = Default::default();
        run.files.values_mut().for_each(|file| (file.requested, file.puts) = (0, 0));
        run.files.values_mut().for_each(|file| file.headers.clear());
        facts += &format!("{name}: {run:#?}\n");
    }
    format!("{facts}{:#?}", state.artifacts)
}

#[test]
fn a_run_that_was_packed_and_moved_arrives_as_it_would_have_directly() {
    let names = ["minimal", "basic", "config_meta", "console", "define_metric", "edge", "killed"];
    for name in names.into_iter().chain(["media", "misc", "nan", "partial_step", "stats"]) {
        let scene = Scene::new();
        scene.fixture(name);
        let logged = files(&scene.root());
        assert!(scene.pack().has_packed(), "{name}");
        assert_eq!(files(&scene.root()), logged, "{name}: packing leaves no trace");
        assert!(scene.server.state().requests.is_empty(), "{name}: packing asks nobody");

        let moved = scene.dir.path().join("elsewhere");
        std::fs::rename(scene.stick(), &moved).unwrap();
        std::fs::rename(scene.root(), scene.dir.path().join("gone")).unwrap();
        let packed = scene.try_to_send(&moved, &SyncOptions::default()).unwrap();

        let direct = Scene::new();
        direct.fixture(name);
        let sent = direct.sync();
        assert_eq!(only(&packed).status, only(&sent).status, "{name}");
        let (arrived, wanted) = (&only(&packed).receipt, &only(&sent).receipt);
        assert_eq!(arrived.files, wanted.files, "{name}");
        assert_eq!((arrived.rows, arrived.events), (wanted.rows, wanted.events), "{name}");
        let (packed, direct) = (scene.server.state(), direct.server.state());
        assert_eq!(facts(&packed), facts(&direct), "{name}");
        assert_eq!(packed.violations, [""; 0], "{name}");
        assert!(!packed.run().history().is_empty() || name == "killed", "{name}");
    }
}

#[test]
fn what_was_sent_is_sent_no_more_not_even_when_the_pack_was_at_home_in_between() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    assert_eq!(only_packed(&scene.pack()).status, PackStatus::Packed);
    assert_eq!(only(&scene.send()).status, RunStatus::Synced);
    scene.has_rows(5);
    let requests = scene.server.state().requests.len();

    let mut all = SyncOptions::default();
    all.include_synced = true;
    assert_eq!(only(&scene.send()).status, RunStatus::Skipped);
    assert_eq!(only(&scene.send_as(&all)).status, RunStatus::Already);
    let again = scene.pack();
    assert_eq!(
        (only_packed(&again).status, only_packed(&again).copied),
        (PackStatus::Unchanged, 0)
    );
    assert_eq!(only(&scene.send()).status, RunStatus::Skipped);
    assert_eq!(scene.server.state().requests.len(), requests);
    assert!(!is_marked(&log), "nothing is marked where it was logged");
}

#[test]
fn a_run_that_grew_is_packed_again_and_each_row_arrives_once() {
    let scene = Scene::new();
    let run = scene.options("r1").create().unwrap();
    for part in 0..4 {
        for _ in 0..100 {
            run.log([("loss", 0.5)]).unwrap();
        }
        if part == 3 {
            run.clone().finish().unwrap();
        }
        let report = scene.pack();
        let packed = only_packed(&report);
        assert_eq!(packed.status, PackStatus::Packed);
        assert!(part == 0 || packed.copied < packed.log_bytes, "only what is new: {packed:?}");
        let status = if part == 3 { RunStatus::Synced } else { RunStatus::Open };
        assert_eq!(only(&scene.send()).status, status, "part {part}");
        scene.has_rows((part + 1) * 100);
    }
    let counts = scene.server.state().run().counts.clone();
    assert!(!counts.rewritten_same.contains_key("wandb-history.jsonl"), "{counts:?}");
}

#[test]
fn a_pack_of_which_only_copies_travel_sends_each_row_once_as_well() {
    let scene = Scene::new();
    let run = scene.options("r1").create().unwrap();
    for part in 0..3 {
        for _ in 0..50 {
            run.log([("loss", 0.5)]).unwrap();
        }
        if part == 2 {
            run.clone().finish().unwrap();
        }
        scene.pack();
        let travels = scene.dir.path().join(format!("copy-{part}"));
        super::copy(&scene.stick(), &travels);
        let report = scene.try_to_send(&travels, &SyncOptions::default()).unwrap();
        let status = if part == 2 { RunStatus::Synced } else { RunStatus::Open };
        assert_eq!(only(&report).status, status, "{report:?}");
        scene.has_rows((part + 1) * 50);
    }
}

#[test]
fn half_a_record_at_the_end_is_left_for_the_next_time() {
    let scene = Scene::new();
    let log = scene.run("r1", 50);
    let whole = std::fs::read(&log).unwrap();
    for cut in [1, 9, 40, 200] {
        std::fs::write(&log, &whole[..whole.len() - cut]).unwrap();
        let report = scene.pack();
        assert!(only_packed(&report).log_bytes <= (whole.len() - cut) as u64);
        std::fs::remove_dir_all(scene.stick()).unwrap();
    }
    std::fs::write(&log, &whole[..whole.len() - 40]).unwrap();
    scene.pack();
    assert_eq!(only(&scene.send()).status, RunStatus::Open);
    std::fs::write(&log, &whole).unwrap();
    scene.pack();
    assert_eq!(only(&scene.send()).status, RunStatus::Synced);
    scene.has_rows(50);
}

#[test]
fn what_was_sent_before_it_was_packed_is_not_sent_again() {
    let scene = Scene::new();
    scene.large_run(30);
    scene.server.inject(Fault::status(400).on(Target::Filestream).skip(2));
    assert_eq!(only(&scene.sync()).status, RunStatus::Partly);
    scene.pack();
    assert_eq!(only(&scene.send()).status, RunStatus::Synced);
    scene.has_rows(30);
    let counts = scene.server.state().run().counts.clone();
    assert!(counts.rewritten_same.is_empty(), "{counts:?}");
}

#[test]
fn of_two_ledgers_the_one_that_knows_more_is_kept_and_if_they_disagree_none() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    scene.pack();
    scene.send();
    // Someone sent it from where it was logged as well, and was stopped.
    scene.server.inject(Fault::status(400).on(Target::Filestream));
    scene.sync();
    assert_eq!(only_packed(&scene.pack()).status, PackStatus::Unchanged);
    assert_eq!(only(&scene.send()).status, RunStatus::Skipped);
    let own = ledger(&log);
    let text = std::fs::read_to_string(&own).unwrap();
    std::fs::write(&own, text.replacen("\"base\": 0", "\"base\": 7", 1)).unwrap();
    let report = scene.pack();
    assert_eq!(only_packed(&report).status, PackStatus::Failed);
    assert!(only_packed(&report).problems[0].contains("disagree"), "{report:?}");
    scene.has_rows(5);
}

#[test]
fn the_options_that_were_packed_hold_and_those_given_later_go_before() {
    let scene = Scene::new();
    let run = scene.options("r1").tags(["old"]).create().unwrap();
    run.log([("loss", 0.5)]).unwrap();
    let mut options = SyncOptions::default();
    options.overrides.project = Some("q".into());
    options.overrides.name = Some("packed".into());
    options.overrides.tags = vec![("old".into(), "new".into())];
    options.finish = true;
    scene.pack_as(&options);
    let mut now = SyncOptions::default();
    now.overrides.name = Some("sent".into());
    assert_eq!(only(&scene.send_as(&now)).status, RunStatus::Synced);
    let state = scene.server.state();
    let run = &state.runs["test-entity/q/r1"];
    assert_eq!(run.details["displayName"], "sent");
    assert_eq!(run.details["tags"], serde_json::json!(["new"]));
    assert_eq!(run.exit_code, Some(1), "it had no end and was to be finished");
}

#[test]
fn many_runs_are_packed_a_bad_one_stops_none_and_names_may_be_the_same() {
    let scene = Scene::new();
    for i in 0..5 {
        scene.run(&format!("r{i}"), 3);
    }
    // As two nodes of a cluster may have them.
    for node in ["a", "b"] {
        let log = scene.run(&format!("on-{node}"), 3);
        let dir = scene.root().join(node).join("offline-run-20261124_000000-same");
        std::fs::create_dir_all(dir.parent().unwrap()).unwrap();
        std::fs::rename(log.parent().unwrap(), &dir).unwrap();
        std::fs::rename(dir.join(log.file_name().unwrap()), dir.join("run-same.wandb")).unwrap();
    }
    let bad = scene.root().join("offline-run-20261124_000000-bad");
    std::fs::create_dir(&bad).unwrap();
    std::fs::write(bad.join("run-bad.wandb"), b"not a log at all").unwrap();
    for status in [PackStatus::Packed, PackStatus::Unchanged] {
        let report = scene.pack();
        let count = |status| report.runs.iter().filter(|run| run.status == status).count();
        assert_eq!((count(status), count(PackStatus::Failed)), (7, 1), "{report:?}");
        assert!(!report.is_complete() && report.has_packed());
    }
    assert!(scene.send().is_complete());
    let state = scene.server.state();
    assert_eq!(state.runs.len(), 7);
    assert!(state.runs.values().all(|run| run.complete && run.history().len() == 3));
}

#[test]
fn a_damaged_log_is_packed_as_it_is_and_its_damage_passed_over_when_it_is_sent() {
    let scene = Scene::new();
    let log = scene.run("r1", 2000);
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xff);
    std::fs::write(&log, &bytes).unwrap();
    let report = scene.pack();
    assert_eq!(only_packed(&report).status, PackStatus::Packed);
    assert_eq!(std::fs::read(packed_log(&scene)).unwrap(), bytes);
    let report = scene.send();
    let run = only(&report);
    assert_eq!(run.status, RunStatus::Partly);
    assert!(run.problems.iter().any(|problem| problem.contains("damaged")), "{:?}", run.problems);
    let rows = scene.server.state().run().history().len() as u64;
    assert!(rows > 1000 && rows == run.receipt.rows, "{rows}");
}

#[test]
fn nothing_is_written_in_a_dry_run() {
    let scene = Scene::new();
    scene.fixture("media");
    let mut options = SyncOptions::default();
    options.dry_run = true;
    let report = scene.pack_as(&options);
    let planned = only_packed(&report);
    assert!(planned.log_bytes > 0 && !planned.files.is_empty(), "{planned:?}");
    assert!(!scene.stick().exists());
    scene.pack();
    let before = files(&scene.stick());
    assert_eq!(only(&scene.send_as(&options)).status, RunStatus::Planned);
    scene.pack_as(&options);
    assert_eq!(files(&scene.stick()), before);
    assert!(scene.server.state().requests.is_empty());
}

#[test]
fn runs_in_a_pack_are_not_taken_for_others_that_lie_about() {
    let scene = Scene::new();
    scene.run("r1", 3);
    let stick = scene.root().join("stick");
    for _ in 0..2 {
        let report = pack(&[scene.root()], &stick, &SyncOptions::default()).unwrap();
        assert!(report.is_complete(), "{report:?}");
    }
    let report = scene.sync();
    let skipped = report.runs.iter().find(|run| run.status == RunStatus::Skipped).unwrap();
    assert!(skipped.problems[0].contains("--from"), "{report:?}");
    scene.has_rows(3);
}

#[test]
fn a_log_that_was_replaced_is_not_put_into_the_place_of_the_other() {
    let scene = Scene::new();
    let log = scene.run("r1", 50);
    scene.pack();
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let packed = files(&scene.stick());
    let report = scene.pack();
    assert_eq!(only_packed(&report).status, PackStatus::Failed);
    assert!(only_packed(&report).problems[0].contains("another directory"), "{report:?}");
    assert_eq!(files(&scene.stick()), packed);
}

/// The only log in the pack.
fn packed_log(scene: &Scene) -> PathBuf {
    super::only_log(&scene.stick())
}
