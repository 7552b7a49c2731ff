//! Runs at which others are, too: another machine with a copy, another client, somebody with a run of the same id.

use super::server::{Fault, Target};
use super::{Scene, copy, is_marked, ledger, only};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::sync::api::{Answer, Request, RequestKind};
use wandb_offline::sync::{
    HttpTransport, RunStatus, Stop, SyncOptions, SyncReport, Transport, TransportError, sync,
};

#[test]
fn the_run_of_somebody_else_keeps_its_config_name_and_tags() {
    let scene = Scene::new();
    let run = scene.options("r1").name("theirs").tags(["old"]).config([("lr", 0.5)]).unwrap();
    let run = run.create().unwrap();
    run.log([("loss", 1.0)]).unwrap();
    run.finish().unwrap();
    assert!(scene.sync().is_complete());
    let theirs = scene.server.state();
    let other = Scene { dir: tempfile::tempdir().unwrap(), server: scene.server };
    let run = other.options("r1").name("ours").tags(["new"]).config([("lr", 0.1)]).unwrap();
    let run = run.create().unwrap();
    run.log([("loss", 2.0)]).unwrap();
    run.finish().unwrap();

    let report = other.sync();
    assert_eq!(only(&report).status, RunStatus::Failed, "{report:?}");
    assert!(only(&report).problems[0].contains("--id"), "{report:?}");
    let state = other.server.state();
    let asked: Vec<_> = state.requests[theirs.requests.len()..].iter().collect();
    assert!(asked.iter().all(|asked| asked.operation.as_deref() == Some("model")), "{asked:?}");
    assert_eq!(state.run().config(), theirs.run().config());
    assert_eq!(state.run().details, theirs.run().details);
    assert_eq!(state.run().counts, theirs.run().counts);
}

#[test]
fn a_run_that_has_no_rows_yet_is_taken_for_ones_own() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    scene.server.inject(Fault::status(400).on(Target::Filestream));
    scene.sync();
    // As if the sync was killed before it could note that the run is there.
    std::fs::remove_file(ledger(&log)).unwrap();
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    assert!(only(&report).notices[0].contains("without rows"), "{report:?}");
    scene.has_rows(5);
}

#[test]
fn a_server_that_does_not_say_what_it_has_still_gets_the_run_and_nobody_elses() {
    let scene = Scene::new();
    scene.server.inject(Fault::graphql_error("no such field").operation("model").forever());
    scene.run("r1", 5);
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(5);
    let other = Scene { dir: tempfile::tempdir().unwrap(), server: scene.server };
    other.run("r1", 7);
    let report = other.sync();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("no such field"), "{report:?}");
    other.has_rows(5);
}

#[test]
fn only_a_run_without_a_ledger_is_asked_for() {
    let scene = Scene::new();
    scene.large_run(24);
    scene.server.inject(Fault::status(400).on(Target::Filestream).skip(1));
    assert_eq!(only(&scene.sync()).status, RunStatus::Partly);
    let asked = || scene.server.state().variables_of("model").len();
    assert_eq!(asked(), 1);
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    assert_eq!(asked(), 1);
    scene.has_rows(24);
}

#[test]
fn a_run_is_ended_at_once_also_if_the_ledger_is_lost() {
    let scene = Scene::new();
    let log = scene.fixture("killed");
    assert_eq!(only(&scene.sync()).status, RunStatus::Open);
    let rows = scene.server.state().run().history();
    std::fs::remove_file(ledger(&log)).unwrap();
    let report = scene.sync_as(&finishing());
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    let state = scene.server.state();
    assert_eq!((state.run().complete, state.run().exit_code), (true, Some(1)));
    assert_eq!(state.run().history(), rows);
    assert!(is_marked(&log));
}

#[test]
fn a_run_is_ended_at_once_also_if_a_copy_that_had_more_was_uploaded_in_between() {
    let scene = Scene::new();
    let run = scene.options("r1").create().unwrap();
    let log = |rows: u32| {
        (0..rows).for_each(|row| run.log([("loss", f64::from(row))]).unwrap());
        run.flush().unwrap();
    };
    log(3);
    assert_eq!(only(&scene.sync()).status, RunStatus::Open);
    log(4);
    let elsewhere = duplicate(&scene, run.path());
    let (options, stop) = (SyncOptions::default(), Stop::new());
    let report = scene.sync_paths(std::slice::from_ref(&elsewhere), &options, &stop);
    assert_eq!(only(&report).status, RunStatus::Open, "{report:?}");
    let had = scene.server.state().run().history().len();
    assert!(had > 3);

    let report = scene.sync_as(&finishing());
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    assert!(only(&report).notices[0].contains(" of these rows"), "{report:?}");
    scene.has_rows(had as u64);
    let state = scene.server.state();
    assert_eq!((state.run().complete, state.run().exit_code), (true, Some(1)));
    assert!(!state.run().counts.rewritten_same.contains_key("wandb-history.jsonl"));
}

#[test]
fn rows_that_another_machine_sent_are_told_and_not_sent_again() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let elsewhere = duplicate(&scene, &log);
    assert!(scene.sync().is_complete());
    let report = scene.sync_paths(&[elsewhere], &SyncOptions::default(), &Stop::new());
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    let notice = "the server already had 5 of these rows, which are not sent again (another machine sent \
                  them, or the ledger was lost)";
    assert_eq!(only(&report).notices, [notice]);
    scene.has_rows(5);
    let counts = scene.server.state().run().counts.clone();
    assert!(!counts.rewritten_same.contains_key("wandb-history.jsonl"), "{counts:?}");
}

#[test]
fn a_part_that_another_machine_sent_is_not_sent_behind_itself() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    super::resumed::resumed(&log);
    let elsewhere = duplicate(&scene, &log);
    assert!(scene.sync().is_complete());
    let report = scene.sync_paths(&[elsewhere], &SyncOptions::default(), &Stop::new());
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    scene.has_rows(5);
}

#[test]
fn another_sync_of_the_log_is_told_whenever_it_comes_in_between() {
    let moments: [(RequestKind, &str); 2] = [
        (RequestKind::GraphQl("UpsertBucket"), "already had 26 of these rows"),
        (RequestKind::FileStream, "another sync is uploading this run at the same time"),
    ];
    for (moment, told) in moments {
        let scene = Scene::new();
        let log = changing_run(&scene);
        let elsewhere = duplicate(&scene, &log);
        let report = meanwhile(&scene, &log, moment, || {
            let report = scene.sync_paths(&[elsewhere], &SyncOptions::default(), &Stop::new());
            assert!(report.has_stored(), "{report:?}");
        });
        assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
        let notices = &only(&report).notices;
        assert!(notices.iter().any(|notice| notice.contains(told)), "{notices:?}");
        scene.has_rows(26);
    }
}

#[test]
fn a_run_into_which_somebody_else_writes_at_the_same_time_is_not_ended_as_ones_own() {
    let scene = Scene::new();
    let log = changing_run(&scene);
    let other = tempfile::tempdir().unwrap();
    let run = super::written::options(other.path()).id("r1").project("p").create().unwrap();
    (0..30).for_each(|row| run.log([("other", f64::from(row))]).unwrap());
    run.flush().unwrap();
    let report = meanwhile(&scene, &log, RequestKind::FileStream, || {
        let paths = [run.path().to_owned()];
        let report = scene.sync_paths(&paths, &appending(), &Stop::new());
        assert!(report.has_stored(), "{report:?}");
    });
    assert_eq!(only(&report).status, RunStatus::Partly, "{report:?}");
    assert!(only(&report).problems[0].contains("another sync is at this run"), "{report:?}");
    assert!(!is_marked(&log) && !scene.server.state().run().complete);
}

#[test]
fn of_two_logs_that_make_a_run_at_once_one_is_sent_and_the_other_is_not() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let other = another(&scene, 30);
    let options = SyncOptions::default();
    let report = meanwhile(&scene, &log, RequestKind::GraphQl("UpsertBucket"), || {
        // It has made the run, and its rows are still to come.
        scene.server.inject(Fault::status(400).on(Target::Filestream));
        assert!(!scene.sync_paths(&other, &options, &Stop::new()).is_complete());
    });
    assert_eq!(only(&report).status, RunStatus::Failed, "{report:?}");
    assert!(only(&report).problems[0].contains("another sync made the run just now"), "{report:?}");
    assert!(scene.server.state().run().history().is_empty() && !is_marked(&log));

    assert!(scene.sync_paths(&other, &options, &Stop::new()).is_complete());
    scene.has_rows(30);
    let report = scene.sync_paths(&[log], &options, &Stop::new());
    assert!(only(&report).problems[0].contains("--id"), "{report:?}");
    scene.has_rows(30);
}

#[test]
fn the_answer_that_the_run_was_made_may_be_lost() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    scene.server.inject(Fault::cut_answer().operation("upsertBucket"));
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    assert!(only(&report).notices[0].contains("or the answer was lost"), "{report:?}");
    scene.has_rows(5);
    assert!(is_marked(&log));
}

#[test]
fn somebody_who_writes_between_the_last_look_and_the_end_is_noticed() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let other = another(&scene, 30);
    scene.server.inject(Fault::cut_answer().operation("upsertBucket"));
    let report = meanwhile(&scene, &log, RequestKind::FileStream, || {
        let report = scene.sync_paths(&other, &appending(), &Stop::new());
        assert!(report.is_complete(), "{report:?}");
    });
    assert_eq!(only(&report).status, RunStatus::Partly, "{report:?}");
    assert!(only(&report).problems[0].contains("another sync is at this run"), "{report:?}");
    let report =
        scene.sync_paths(std::slice::from_ref(&log), &SyncOptions::default(), &Stop::new());
    assert!(only(&report).problems[0].contains("not those of this log"), "{report:?}");
    assert!(!is_marked(&log));
}

#[test]
fn somebody_elses_run_without_rows_is_not_written_to() {
    for config in [true, false] {
        let scene = Scene::new();
        let options = scene.options("r1");
        let options = if config { options.config([("who", "them")]).unwrap() } else { options };
        let run = options.create().unwrap();
        run.summary_set("score", 0.9).unwrap();
        run.finish().unwrap();
        assert!(scene.sync().is_complete());
        if !config {
            // As a client that tells nothing of the machine.
            scene.server.tamper(|state| {
                state.runs.values_mut().for_each(|run| run.config_text = Some("{}".to_owned()));
            });
        }
        let before = scene.server.state();
        let other = Scene { dir: tempfile::tempdir().unwrap(), server: scene.server };
        let log = other.run("r1", 5);
        let report = other.sync();
        assert_eq!(only(&report).status, RunStatus::Failed, "{report:?}");
        assert!(only(&report).problems[0].contains("--append"), "{report:?}");
        let state = other.server.state();
        assert_eq!(state.run().config(), before.run().config());
        assert_eq!(state.run().summary(), before.run().summary());
        assert!(state.run().history().is_empty() && !is_marked(&log));

        assert!(other.sync_as(&appending()).is_complete());
        other.has_rows(5);
    }
}

#[test]
fn ones_own_run_without_rows_is_known_also_without_a_ledger() {
    let scene = Scene::new();
    let run = scene.options("r1").config([("lr", 0.5)]).unwrap().create().unwrap();
    run.summary_set("score", 0.9).unwrap();
    run.finish().unwrap();
    assert!(scene.sync().is_complete());
    for lr in ["0.5", "0.1"] {
        // Also if it was made before the config changed.
        scene.server.tamper(|state| {
            let run = state.runs.values_mut().next().unwrap();
            run.config_text = run.config_text.take().map(|text| text.replace("0.5", lr));
        });
        std::fs::remove_file(ledger(run.path())).unwrap();
        let report = scene.sync_again();
        assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    }
}

#[test]
fn a_server_that_does_not_count_still_keeps_the_rows_of_others_and_knows_those_of_the_log() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let copied = duplicate(&scene, &log);
    assert!(scene.sync().is_complete());
    let uncounted = |log: &Path| {
        let (to, inner) = scene.connection();
        let (options, stop) = (SyncOptions::default(), Stop::new());
        sync(&[log.to_owned()], &to, &Uncounted(inner), &options, &stop, &|_| {})
    };
    let report = uncounted(&another(&scene, 30)[0]);
    assert_eq!(only(&report).status, RunStatus::Failed, "{report:?}");
    assert!(only(&report).problems[0].contains("not those of this log"), "{report:?}");
    let report = uncounted(&copied);
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    scene.has_rows(5);
}

#[test]
fn a_server_that_has_fewer_rows_than_it_had_gets_the_rest_once_more() {
    for left in [0, 20] {
        let scene = Scene::new();
        let run = scene.options("r1").create().unwrap();
        let log = |rows: u32| {
            (0..rows).for_each(|row| run.log([("loss", f64::from(row))]).unwrap());
            run.flush().unwrap();
        };
        log(50);
        assert_eq!(only(&scene.sync()).status, RunStatus::Open);
        let had = scene.server.state().run().history().len() as u64;
        assert!(had > left);
        scene.server.tamper(|state| {
            let rows = state.runs.values_mut().flat_map(|run| run.streams.get_mut(HISTORY));
            rows.for_each(|rows| rows.retain(|place, _| *place < left));
        });
        log(40);
        run.finish().unwrap();
        let report = scene.sync();
        assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
        let told = format!("the server has {left} of the {had} rows");
        assert!(only(&report).notices[0].starts_with(&told), "{report:?}");
        scene.has_rows(90);
    }
}

#[test]
fn fewer_rows_of_somebody_else_are_left_alone() {
    let scene = Scene::new();
    let run = scene.options("r1").create().unwrap();
    (0..50).for_each(|row| run.log([("loss", f64::from(row))]).unwrap());
    run.flush().unwrap();
    assert_eq!(only(&scene.sync()).status, RunStatus::Open);
    let row = r#"{"_step":0,"other":1}"#.to_owned();
    scene.server.tamper(|state| {
        let rows = state.runs.values_mut().flat_map(|run| run.streams.get_mut(HISTORY));
        rows.for_each(|rows| *rows = [(0, row.clone())].into());
    });
    run.finish().unwrap();
    let report = scene.sync();
    assert!(only(&report).problems[0].contains("not those of this log"), "{report:?}");
    assert_eq!(scene.server.state().run().history().len(), 1);
}

#[test]
fn a_row_that_does_not_say_when_it_was_logged_is_not_taken_for_that_of_a_resumed_part() {
    let scene = Scene::new();
    let first = untimed(&scene, 10, false);
    assert!(scene.sync().is_complete());
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let second = [untimed(&scene, 6, true)];
    let report = scene.sync_paths(&second, &SyncOptions::default(), &Stop::new());
    assert_eq!(only(&report).status, RunStatus::Failed, "{report:?}");
    assert!(only(&report).problems[0].contains("--append"), "{report:?}");
    scene.has_rows(10);
    let report = scene.sync_paths(&second, &appending(), &Stop::new());
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    scene.has_rows(16);
    assert!(is_marked(&first) && is_marked(&second[0]));
}

/// A part of a run whose rows are all the same, and do not say when they were logged.
fn untimed(scene: &Scene, rows: usize, resumes: bool) -> PathBuf {
    let run = scene.options("r1").create().unwrap();
    (0..rows).for_each(|_| run.log([("loss", 1.0)]).unwrap());
    run.finish().unwrap();
    super::resumed::rewritten(run.path(), |record| {
        match record {
            RecordType::History(row) => row.item.retain(|item| {
                let mut names = item.nested_key.iter().chain([&item.key]);
                !names.any(|name| name.starts_with('_'))
            }),
            RecordType::Run(run) => run.resume = resumes,
            _ => {}
        }
        None
    });
    run.path().to_owned()
}

/// Another log of the run `r1`.
fn another(scene: &Scene, rows: u32) -> [PathBuf; 1] {
    let run = super::written::options(&scene.dir.path().join("another")).id("r1").project("p");
    let run = run.create().unwrap();
    (0..rows).for_each(|row| run.log([("other", f64::from(row))]).unwrap());
    run.finish().unwrap();
    [run.path().to_owned()]
}

/// A server that does not say how many rows a run has.
struct Uncounted(HttpTransport);

impl Transport for Uncounted {
    fn send(&self, request: &Request) -> Result<Answer, TransportError> {
        let mut answer = self.0.send(request)?;
        if let Ok(mut body) = serde_json::from_slice(&answer.body) {
            uncount(&mut body);
            answer.body = body.to_string().into();
        }
        Ok(answer)
    }
}

fn uncount(value: &mut Value) {
    let Some(members) = value.as_object_mut() else { return };
    if let Some(count) = members.get_mut("historyLineCount") {
        *count = Value::Null;
    }
    members.values_mut().for_each(uncount);
}

/// A run whose rows go in several requests, and whose config changes at its end: the server is told of that, and
/// says what it has.
fn changing_run(scene: &Scene) -> PathBuf {
    let run = scene.options("r1").create().unwrap();
    let text = "x".repeat(1 << 20);
    (0..26).for_each(|_| run.log([("text", text.as_str())]).unwrap());
    run.config_update([("lr", 0.5)]).unwrap();
    run.finish().unwrap();
    run.path().to_owned()
}

/// Syncs a log, and before the first request of some kind lets something else happen.
fn meanwhile(
    scene: &Scene,
    log: &Path,
    moment: RequestKind,
    other: impl FnOnce() + Send,
) -> SyncReport {
    let (to, inner) = scene.connection();
    let transport = Interrupted { inner, moment, other: Mutex::new(Some(other)) };
    let (options, stop) = (SyncOptions::default(), Stop::new());
    sync(&[log.to_owned()], &to, &transport, &options, &stop, &|_| {})
}

struct Interrupted<F> {
    inner: HttpTransport,
    moment: RequestKind,
    other: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send> Transport for Interrupted<F> {
    fn send(&self, request: &Request) -> Result<Answer, TransportError> {
        if request.kind == self.moment
            && let Some(other) = self.other.lock().unwrap().take()
        {
            other();
        }
        self.inner.send(request)
    }
}

/// A copy of a run on another machine, as it is now, without what was noted of uploads.
fn duplicate(scene: &Scene, log: &Path) -> PathBuf {
    let dir = log.parent().unwrap();
    let to = scene.dir.path().join("elsewhere").join(dir.file_name().unwrap());
    copy(dir, &to);
    for entry in std::fs::read_dir(&to).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.file_name() != log.file_name() {
            std::fs::remove_file(path).unwrap();
        }
    }
    to
}

fn finishing() -> SyncOptions {
    let mut options = SyncOptions::default();
    options.finish = true;
    options
}

fn appending() -> SyncOptions {
    let mut options = SyncOptions::default();
    options.append = true;
    options
}

const HISTORY: &str = "wandb-history.jsonl";
