//! The server is asked what it has, and what it lacks is sent if that is wanted.

use super::artifacts::{log_artifact, staged};
use super::resumed::resumed;
use super::server::{Fault, Run, State};
use super::{Scene, is_marked, ledger, only};
use std::path::Path;
use wandb_offline::sync::{Check, RunReport, RunStatus, Stop, SyncOptions, SyncReport};

#[test]
fn a_run_that_is_whole_is_asked_about_and_nothing_else() {
    for official in [false, true] {
        let scene = Scene::new();
        let log = scene.fixture("console");
        assert!(scene.sync().is_complete());
        if official {
            by_another_client(&log);
        }
        let report = scene.audited();
        let run = only(&report);
        assert_eq!((run.status, &run.problems[..]), (RunStatus::Already, &[][..]), "{report:?}");
        assert!(run.run.as_ref().is_some_and(|run| run.starts_with("test-entity/")), "{report:?}");
        assert!(run.checks.iter().all(|check| check.agrees == Some(true)), "{:?}", run.checks);
        let compared: Vec<_> = run.checks.iter().map(|check| check.what).collect();
        let wanted = [
            "rows",
            "system samples",
            "console lines",
            "the last row",
            "the summary",
            "the config",
            "the end",
            "files",
        ];
        assert!(compared.iter().all(|what| wanted.contains(what)), "{compared:?}");
        assert!(
            ["rows", "console lines", "the end", "files"]
                .iter()
                .all(|what| compared.contains(what))
        );
        let state = scene.server.state();
        assert_eq!(run.receipt.rows as usize, state.run().history().len());
        assert_eq!(run.receipt.console_lines as usize, state.run().output().len());
        assert!(run.receipt.log_bytes > 0 && is_marked(&log));
        assert_eq!(has_ledger(&log), !official, "nothing is noted of a look");
    }
}

#[test]
fn what_is_missing_or_other_is_told_and_nothing_is_sent_before_it_is_wanted() {
    type Change = fn(&mut Run);
    let changes: [(&str, Change); 6] = [
        ("rows", |run| lines(run).retain(|number, _| *number < 3)),
        ("the last row", |run| _ = lines(run).insert(4, r#"{"_step":4,"loss":7}"#.into())),
        ("the summary", |run| run.summary_text = Some(r#"{"loss":7}"#.into())),
        ("the config", |run| run.config_text = Some(r#"{"lr":{"value":7}}"#.into())),
        ("files", |run| _ = run.files.remove("config.yaml")),
        ("files", |run| run.files.get_mut("config.yaml").unwrap().stored = Some(b"x".to_vec())),
    ];
    for (what, change) in changes {
        let scene = Scene::new();
        scene.run("r1", 5);
        assert!(scene.sync().is_complete());
        let whole = scene.server.state().run().clone();
        scene.server.tamper(|state| change(run_of(state)));
        let report = scene.audited();
        assert_eq!(only(&report).status, RunStatus::Partly, "{what}: {report:?}");
        assert_eq!(wrong(only(&report)), [what]);
        assert!(!report.is_complete() && report.has_stored());
        if what == "the last row" {
            // Which is not the log's, and nobody knows whose it is.
            continue;
        }
        let report = scene.repaired();
        assert_eq!(only(&report).status, RunStatus::Synced, "{what}: {report:?}");
        assert_eq!(wrong(only(&report)), [""; 0]);
        scene.has_rows(5);
        let state = scene.server.state();
        assert_eq!(state.run().summary(), whole.summary());
        assert_eq!(state.run().config(), whole.config());
        assert_eq!(state.run().files["config.yaml"].bytes(), whole.files["config.yaml"].bytes());
        assert_eq!(
            state.run().files["wandb-summary.json"].puts,
            1,
            "what is there is not sent again"
        );
        assert_eq!(only(&scene.audited()).status, RunStatus::Already);
    }
}

#[test]
fn a_run_of_the_official_client_that_is_short_is_told_and_the_rest_is_sent() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    assert!(scene.sync().is_complete());
    by_another_client(&log);
    scene.server.tamper(|state| {
        lines(run_of(state)).retain(|number, _| *number < 2);
        run_of(state).files.remove("wandb-summary.json");
    });
    let report = scene.audited();
    assert_eq!(only(&report).status, RunStatus::Partly, "{report:?}");
    assert!(only(&report).problems[0].contains("rows: the log comes to 5, the server has 2"));
    assert_eq!(only(&report).receipt.rows, 2);
    let report = scene.repaired();
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    scene.has_rows(5);
    let state = scene.server.state();
    let again = state.run().counts.rewritten_same.get("wandb-history.jsonl");
    assert_eq!(again, None, "only what is missing goes");
    assert!(state.run().complete && state.run().files.contains_key("wandb-summary.json"));
}

#[test]
fn a_server_that_has_more_than_the_log_is_told() {
    for official in [false, true] {
        let scene = Scene::new();
        let log = scene.run("r1", 5);
        assert!(scene.sync().is_complete());
        if official {
            by_another_client(&log);
        }
        scene
            .server
            .tamper(|state| _ = lines(run_of(state)).insert(5, r#"{"_step":5,"x":1}"#.into()));
        let report = scene.audited();
        assert_eq!(only(&report).status, RunStatus::Partly, "{report:?}");
        assert!(only(&report).problems[0].contains("rows: the log comes to 5, the server has 6"));
        let report = scene.repaired();
        assert_eq!(only(&report).status, RunStatus::Partly, "{report:?}");
        assert_eq!(scene.server.state().run().history().len(), 6, "which is nobody's to take away");
    }
}

#[test]
fn rows_that_are_there_twice_are_not_as_the_log_has_them() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    assert!(scene.sync().is_complete());
    by_another_client(&log);
    // As if that client had been run twice.
    scene.server.tamper(|state| {
        let rows = lines(run_of(state));
        let again: Vec<_> = rows.iter().map(|(at, row)| (at + 5, row.clone())).collect();
        rows.extend(again);
    });
    let report = scene.audited();
    assert_eq!(only(&report).status, RunStatus::Partly, "{report:?}");
    assert!(only(&report).problems[0].contains("rows: the log comes to 5, the server has 10"));
}

#[test]
fn more_than_a_log_has_may_be_other_parts_of_the_run() {
    for official in [false, true] {
        let scene = Scene::new();
        let first = scene.run("r1", 3);
        resumed(&first);
        std::thread::sleep(std::time::Duration::from_millis(1100));
        let second = scene.run("r1", 4);
        resumed(&second);
        assert!(scene.sync().is_complete());
        if official {
            by_another_client(&first);
            by_another_client(&second);
        }
        let report = scene.audited();
        let fine = |run: &RunReport| run.status == RunStatus::Already;
        assert!(report.runs.len() == 2 && report.runs.iter().all(fine), "{report:?}");
        for log in [&first, &second] {
            let report = scene.audited_of(log);
            let compared: Vec<_> = only(&report).checks.iter().map(|check| check.what).collect();
            assert_eq!(compared.contains(&"the config"), log == &second, "{compared:?}");
            assert!(fine(only(&report)), "{report:?}");
        }
        // Of the second part a row is missing.
        scene.server.tamper(|state| _ = lines(run_of(state)).remove(&6));
        let report = scene.audited_of(&second);
        assert_eq!(wrong(only(&report)), ["rows"], "{report:?}");
    }
}

#[test]
fn what_a_server_does_not_tell_is_no_disagreement() {
    let scene = Scene::new();
    scene.run("r1", 5);
    assert!(scene.sync().is_complete());
    for query in ["RunFiles", "RunState"] {
        scene.server.inject(Fault::status(400).body_has(query).forever());
    }
    let report = scene.audited();
    let run = only(&report);
    assert_eq!(run.status, RunStatus::Already, "{report:?}");
    let told = |check: &&Check| check.agrees.is_none();
    let untold: Vec<_> = run.checks.iter().filter(told).map(|check| check.what).collect();
    assert_eq!(untold, ["the end", "files"]);
}

#[test]
fn a_run_that_is_not_there_is_not_stored() {
    let scene = Scene::new();
    scene.run("r1", 5);
    assert!(scene.sync().is_complete());
    scene.server.tamper(|state| state.runs.clear());
    let report = scene.audited();
    assert_eq!(only(&report).status, RunStatus::Failed, "{report:?}");
    assert!(!report.has_stored() && only(&report).receipt.rows == 0);
    assert!(only(&report).problems[0].ends_with("no such run; --repair uploads it"), "{report:?}");
    assert_eq!(only(&scene.repaired()).status, RunStatus::Synced);
    scene.has_rows(5);
}

#[test]
fn how_a_run_ended_is_compared() {
    let scene = Scene::new();
    scene.run("r1", 5);
    assert!(scene.sync().is_complete());
    for (state, agrees) in [("running", false), ("failed", false), ("finished", true)] {
        scene.server.tamper(|world| run_of(world).status = state);
        let report = scene.audited();
        let wanted: &[&str] = if agrees { &[] } else { &["the end"] };
        assert_eq!(wrong(only(&report)), wanted, "{state}");
    }
    scene.server.tamper(|world| run_of(world).status = "running");
    assert_eq!(only(&scene.repaired()).status, RunStatus::Synced);
    assert_eq!(scene.server.state().run().status, "finished");
}

#[test]
fn an_artifact_that_is_gone_is_told_and_made_again() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    log_artifact(&log, "data", vec![staged(&scene, "a.txt", b"first")]);
    let mut options = SyncOptions::default();
    options.allow = vec![scene.dir.path().join("staging")];
    assert!(scene.sync_as(&options).is_complete());
    options.audit = true;
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Already);
    scene.server.tamper(|state| state.artifacts.clear());
    let report = scene.sync_as(&options);
    assert_eq!(wrong(only(&report)), ["artifacts"]);
    assert!(only(&report).problems[0].contains("not \"data\""), "{report:?}");
    options.repair = true;
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Synced);
    assert!(scene.server.state().artifact("data").is_committed());
}

#[test]
fn a_run_that_is_not_marked_is_uploaded_and_then_compared() {
    let scene = Scene::new();
    scene.run("r1", 5);
    let mut options = SyncOptions::default();
    options.audit = true;
    let report = scene.sync_as(&options);
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    assert!(only(&report).checks.iter().all(|check| check.agrees == Some(true)), "{report:?}");
    scene.has_rows(5);
}

#[test]
fn a_run_that_was_sent_has_not_failed_because_the_server_cannot_be_asked() {
    let scene = Scene::new();
    scene.run("r1", 5);
    // The first question is whether the run is there.
    scene.server.inject(Fault::status(400).operation("model").skip(1).forever());
    let mut options = SyncOptions::default();
    options.audit = true;
    let report = scene.sync_as(&options);
    assert_eq!(only(&report).status, RunStatus::Partly, "{report:?}");
    assert_eq!(only(&report).receipt.rows, 5);
    assert!(only(&report).problems[0].starts_with("the audit failed: "), "{report:?}");
    scene.has_rows(5);
}

impl Scene {
    /// Compares all runs; of the server nothing is asked but what it has.
    #[track_caller]
    pub(super) fn audited(&self) -> SyncReport {
        self.audited_of(&self.root())
    }

    #[track_caller]
    fn audited_of(&self, path: &Path) -> SyncReport {
        let before = self.server.state().requests.len();
        let mut options = SyncOptions::default();
        options.audit = true;
        let report = self.sync_paths(&[path.to_owned()], &options, &Stop::new());
        let state = self.server.state();
        let operations = state.requests[before..].iter().map(|asked| asked.operation.as_deref());
        let others: Vec<_> = operations.filter(|asked| *asked != Some("model")).collect();
        assert!(others.is_empty() && state.requests.len() > before, "{others:?}");
        report
    }

    fn repaired(&self) -> SyncReport {
        let mut options = SyncOptions::default();
        options.repair = true;
        self.sync_as(&options)
    }
}

/// The marks as the official client leaves them: no ledger.
pub(super) fn by_another_client(log: &Path) {
    std::fs::remove_file(ledger(log)).unwrap();
}

fn has_ledger(log: &Path) -> bool {
    let mut files = std::fs::read_dir(log.parent().unwrap()).unwrap();
    files.any(|entry| entry.unwrap().path().extension().is_some_and(|found| found == "sync"))
}

pub(super) fn run_of(state: &mut State) -> &mut Run {
    state.runs.values_mut().next().unwrap()
}

/// The lines of the history, by number.
pub(super) fn lines(run: &mut Run) -> &mut std::collections::BTreeMap<u64, String> {
    run.streams.get_mut("wandb-history.jsonl").unwrap()
}

/// What was found to be other than in the log.
pub(super) fn wrong(run: &RunReport) -> Vec<&str> {
    let wrong = run.checks.iter().filter(|check| check.agrees == Some(false));
    wrong.map(|check| check.what).collect()
}
