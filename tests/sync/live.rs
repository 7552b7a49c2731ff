//! Runs that are uploaded while they are written.

use super::{Scene, is_marked, ledger, only};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use wandb_offline::record::RecordKind;
use wandb_offline::sync::api::{Answer, Body, RequestKind};
use wandb_offline::sync::plan::{Outcome, Pace, Plan, PlanOptions, Step};
use wandb_offline::sync::{Live, RunStatus, Stop, SyncOptions, SyncReport};
use wandb_offline::{Reader, Writer};

/// Follows closely, and gives up after so long.
fn following(silence: Duration) -> SyncOptions {
    let mut live = Live::default();
    live.pace = Pace::of(Duration::from_millis(6));
    live.poll = Duration::from_millis(2);
    live.silence = silence;
    let mut options = SyncOptions::default();
    options.live = Some(live);
    options
}

fn watching(silence: Duration) -> SyncOptions {
    let mut options = following(silence);
    options.live.as_mut().unwrap().watch = Some(Duration::from_millis(5));
    options
}

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(300);

/// Waits for what must come.
#[track_caller]
fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(120), "this does not come");
        thread::sleep(Duration::from_millis(2));
    }
}

impl Scene {
    /// Syncs while `meanwhile` goes on.
    fn sync_during(&self, options: &SyncOptions, meanwhile: impl FnOnce(&Stop)) -> SyncReport {
        let stop = Stop::new();
        thread::scope(|scope| {
            let syncing = scope.spawn(|| self.sync_until(options, &stop));
            meanwhile(&stop);
            syncing.join().unwrap()
        })
    }

    /// How many rows the server has of a run.
    fn rows(&self, id: &str) -> usize {
        let state = self.server.state();
        let run = state.runs.values().find(|run| run.name == id);
        run.map_or(0, |run| run.history().len())
    }

    fn writing(&self, id: &str) -> Writer {
        let run = self.options(id).config([("lr", 0.5)]).unwrap().create().unwrap();
        run.flush().unwrap();
        run
    }
}

/// Logs rows, and has them on the disk.
fn log(run: &Writer, rows: u32) {
    for row in 0..rows {
        run.log([("loss", f64::from(row))]).unwrap();
    }
    run.flush().unwrap();
}

#[test]
fn rows_arrive_while_the_run_goes_on() {
    let scene = Scene::new();
    let run = scene.writing("r1");
    log(&run, 3);
    let path = run.path().to_owned();
    let report = scene.sync_during(&following(LONG), |_| {
        until(|| scene.rows("r1") >= 2);
        assert!(!scene.server.state().run().complete);
        assert_eq!(scene.server.state().run().config()["lr"], 0.5);
        log(&run, 4);
        until(|| scene.rows("r1") >= 6);
        until(|| scene.server.state().run().counts.heartbeats > 1);
        run.finish().unwrap();
    });
    assert_eq!(only(&report).status, RunStatus::Synced, "{report:?}");
    scene.has_rows(7);
    let state = scene.server.state();
    assert_eq!((state.run().status, state.run().exit_code), ("finished", Some(0)));
    assert_eq!(state.run().summary()["loss"], 3.0);
    assert!(is_marked(&path));
}

#[test]
fn a_change_of_the_config_does_not_wait_for_the_end() {
    let scene = Scene::new();
    let run = scene.writing("r1");
    scene.sync_during(&following(LONG), |_| {
        until(|| scene.server.state().runs.values().any(|run| run.config()["lr"] == 0.5));
        run.config_update([("lr", 0.25)]).unwrap();
        run.flush().unwrap();
        until(|| scene.server.state().run().config()["lr"] == 0.25);
        run.finish().unwrap();
    });
}

#[test]
fn a_log_that_does_not_grow_is_given_up_and_taken_up_later() {
    let scene = Scene::new();
    let run = scene.writing("r1");
    log(&run, 3);
    let report = scene.sync_during(&following(SHORT), |_| {});
    assert_eq!(only(&report).status, RunStatus::Open);
    assert!(!scene.server.state().run().complete);
    assert!(only(&report).problems[0].contains("--finish"), "{report:?}");
    log(&run, 2);
    run.finish().unwrap();
    let report = scene.sync_during(&following(SHORT), |_| {});
    assert_eq!(only(&report).status, RunStatus::Synced);
    scene.has_rows(5);
}

#[test]
fn a_run_that_goes_on_after_its_end_was_told_is_ended_again() {
    let scene = Scene::new();
    let run = scene.writing("r1");
    log(&run, 3);
    let mut options = following(SHORT);
    options.finish = true;
    scene.sync_during(&options, |_| {});
    assert!(scene.server.state().run().complete);
    log(&run, 2);
    run.finish_with(1).unwrap();
    scene.sync_during(&options, |_| {});
    let state = scene.server.state();
    assert_eq!((state.run().status, state.run().history().len()), ("failed", 5));
    let requests = state.requests.len();
    // Once told, it is left alone.
    scene.sync_during(&options, |_| {});
    assert_eq!(scene.server.state().requests.len(), requests);
}

#[test]
fn a_run_that_died_is_ended_if_that_is_wanted() {
    let scene = Scene::new();
    let run = scene.writing("r1");
    log(&run, 3);
    let mut options = following(SHORT);
    options.finish = true;
    let report = scene.sync_during(&options, |_| {});
    assert_eq!(only(&report).status, RunStatus::Synced);
    assert_eq!(scene.server.state().run().exit_code, Some(1));
}

#[test]
fn one_that_is_stopped_goes_on_where_it_was() {
    let scene = Scene::new();
    let run = scene.writing("r1");
    for round in 1..=3_usize {
        log(&run, 5);
        let report = scene.sync_during(&following(LONG), |stop| {
            // The writer holds the last row back.
            until(|| scene.rows("r1") >= 5 * round - 1);
            stop.stop();
        });
        assert_eq!(only(&report).status, RunStatus::Partly);
        assert!(only(&report).problems[0].contains("interrupted"), "{report:?}");
        assert!(ledger(run.path()).exists());
    }
    run.finish().unwrap();
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(15);
    let counts = scene.server.state().run().counts.clone();
    let again = counts.rewritten_same.get("wandb-history.jsonl");
    assert_eq!(again, None, "what was acknowledged was sent again");
}

#[test]
fn a_log_that_is_cut_off_while_it_is_followed_is_stored_in_part() {
    let scene = Scene::new();
    let run = scene.writing("r1");
    log(&run, 5);
    let report = scene.sync_during(&following(LONG), |_| {
        until(|| scene.rows("r1") >= 4);
        let file = std::fs::File::options().write(true).open(run.path()).unwrap();
        file.set_len(7).unwrap();
    });
    assert_eq!(only(&report).status, RunStatus::Partly);
    assert!(only(&report).problems[0].contains("replaced"), "{report:?}");
    assert!(only(&report).receipt.rows >= 4, "{report:?}");
}

#[test]
fn a_copy_that_comes_while_runs_are_watched_doubles_nothing() {
    let scene = Scene::new();
    let log = scene.run("r1", 5);
    let copy = scene.root().join("offline-run-9").join(log.file_name().unwrap());
    let report = scene.sync_during(&watching(LONG), |stop| {
        until(|| is_marked(&log));
        std::fs::create_dir(copy.parent().unwrap()).unwrap();
        std::fs::copy(&log, &copy).unwrap();
        // One that comes after it is found after it.
        let last = scene.run("r2", 1);
        until(|| is_marked(&last));
        stop.stop();
    });
    let of_copy = report.runs.iter().find(|run| run.log == copy).unwrap();
    assert_eq!(of_copy.status, RunStatus::Skipped, "{report:?}");
    assert!(of_copy.problems[0].contains("is uploaded"), "{report:?}");
    assert_eq!((scene.rows("r1"), scene.rows("r2")), (5, 1));
}

#[test]
fn a_log_that_has_only_begun_is_waited_for() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    let whole = std::fs::read(&log).unwrap();
    std::fs::write(&log, &whole[..7]).unwrap();
    let report = scene.sync_during(&following(LONG), |_| {
        thread::sleep(Duration::from_millis(20));
        std::fs::write(&log, &whole).unwrap();
    });
    assert_eq!(only(&report).status, RunStatus::Synced);
    scene.has_rows(3);
}

#[test]
fn one_that_stays_empty_is_told_in_the_end() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    std::fs::write(&log, &std::fs::read(&log).unwrap()[..7]).unwrap();
    let report = scene.sync_during(&following(SHORT), |_| {});
    assert_eq!(only(&report).status, RunStatus::Skipped);
    let watching = scene.sync_during(&watching(LONG), |stop| {
        thread::sleep(Duration::from_millis(20));
        stop.stop();
    });
    for report in [report, watching] {
        assert!(only(&report).problems[0].starts_with("nothing was logged yet"), "{report:?}");
        assert!(report.is_complete());
    }
}

#[test]
fn a_directory_that_is_not_there_yet_is_waited_for_by_a_watch_alone() {
    let scene = Scene::new();
    let report = scene.sync_during(&watching(LONG), |stop| {
        thread::sleep(Duration::from_millis(20));
        let log = scene.run("r1", 3);
        until(|| is_marked(&log));
        stop.stop();
    });
    assert_eq!(only(&report).status, RunStatus::Synced);
    scene.has_rows(3);
    let nowhere = [scene.dir.path().join("nowhere")];
    let report = scene.sync_paths(&nowhere, &following(LONG), &Stop::new());
    assert_eq!(report.errors, [format!("no such path: {}", nowhere[0].display())]);
}

#[test]
fn a_watch_finds_what_is_new_and_what_grows_again() {
    let scene = Scene::new();
    std::fs::create_dir(scene.root()).unwrap();
    let watch = || scene.sync_during(&watching(SHORT), |stop| watched(&scene, stop));
    let report = watch();
    assert_eq!(report.errors, [""; 0]);
    let statuses: Vec<_> = report.runs.iter().map(|run| run.status).collect();
    assert_eq!(statuses, [RunStatus::Synced; 3], "{report:?}");

    // Run again, it has nothing to do.
    let before = scene.server.state().requests.len();
    scene.sync_during(&watching(SHORT), |stop| {
        thread::sleep(Duration::from_millis(50));
        stop.stop();
    });
    assert_eq!(scene.server.state().requests.len(), before);
}

#[test]
fn a_copy_of_a_run_that_was_given_up_doubles_no_row() {
    let scene = Scene::new();
    let run = scene.options("r1").create().unwrap();
    let rows = 5;
    (0..rows).for_each(|step| run.log([("loss", f64::from(step))]).unwrap());
    let report = scene.sync_during(&watching(SHORT), |stop| {
        until(|| scene.rows("r1") == rows as usize);
        thread::sleep(SHORT * 2);
        let options = wandb_offline::recover::Options { finish: true, ..Default::default() };
        wandb_offline::recover::recover(run.path().parent().unwrap(), &options).unwrap();
        until(|| scene.server.state().run().complete);
        stop.stop();
    });
    assert_eq!(report.runs.len(), 2, "{report:?}");
    scene.has_rows(rows as u64);
}

fn watched(scene: &Scene, stop: &Stop) {
    let silent = scene.writing("silent");
    log(&silent, 3);
    until(|| scene.rows("silent") >= 2);
    let first = scene.run("first", 4);
    let second = scene.run("second", 5);
    until(|| is_marked(&first) && is_marked(&second));
    assert_eq!((scene.rows("first"), scene.rows("second")), (4, 5));
    // Given up in the meantime, perhaps.
    thread::sleep(2 * SHORT);
    log(&silent, 3);
    let path: PathBuf = silent.path().to_owned();
    silent.finish().unwrap();
    until(|| is_marked(&path));
    assert_eq!(scene.rows("silent"), 6);
    stop.stop();
}

/// Plays the server for a plan at a time, without any clock. What was sent: names of requests, and the bodies
/// of those that carry lines.
fn played(plan: &mut Plan, seconds: u64) -> Vec<String> {
    plan.tick(Duration::from_secs(seconds));
    let mut sent = Vec::new();
    while let Some((ticket, step)) = plan.next_step() {
        let outcome = match step {
            Step::Send(request) => {
                let (name, answer) = match request.kind {
                    RequestKind::GraphQl(name) => (name.to_owned(), UPSERTED),
                    _ => (body(&request.body), "{}"),
                };
                sent.push(name);
                Outcome::Answer(Ok(Answer::new(200, answer.into())))
            }
            Step::Save { .. } => Outcome::Saved(Ok(())),
            step => panic!("{step:?}"),
        };
        plan.done(ticket, outcome);
    }
    sent
}

fn body(body: &Body) -> String {
    let Body::Json(bytes) = body else { panic!("{body:?}") };
    String::from_utf8(bytes.clone()).unwrap()
}

const UPSERTED: &str = r#"{"data":{"upsertBucket":{"bucket":{"id":"x","name":"r1","displayName":"n",
    "historyLineCount":0,"project":{"name":"p","entity":{"name":"e"}}},"inserted":true}}}"#;

#[test]
fn the_pace_is_that_of_the_official_client() {
    let scene = Scene::new();
    let run = scene.writing("r1");
    log(&run, 5);
    let mut options = PlanOptions::default();
    options.live = Some(Pace::default());
    let mut plan = Plan::new(options, None);
    let mut records = Reader::open(run.path()).unwrap();
    let mut feed = |plan: &mut Plan, rows| {
        let mut seen = 0;
        while seen < rows {
            let record = records.next_record().unwrap().expect("the log has more");
            seen += usize::from(record.kind().unwrap() == Some(RecordKind::History));
            plan.record(&record).unwrap();
        }
    };
    feed(&mut plan, 1);
    let sent = played(&mut plan, 0);
    assert_eq!(sent[0], "RunResumeStatus", "it may be somebody else's run");
    assert_eq!(sent[1], "UpsertBucket", "the server knows of the run at once");
    assert!(sent[2].contains(r#""offset":0"#) && sent.len() == 3, "{sent:?}");
    feed(&mut plan, 1);
    assert_eq!(played(&mut plan, 14), [""; 0]);
    let sent = played(&mut plan, 15);
    assert!(sent[0].contains(r#""offset":1"#) && sent.len() == 1, "{sent:?}");
    assert_eq!(played(&mut plan, 44), [""; 0]);
    assert_eq!(played(&mut plan, 45), ["{}"], "a sign of life");
    assert_eq!(played(&mut plan, 74), [""; 0]);
    feed(&mut plan, 1);
    assert_eq!(played(&mut plan, 74).len(), 1, "what is new after a silence does not wait");
}
