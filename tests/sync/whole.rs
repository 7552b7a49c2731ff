//! What arrives when nothing fails.

use super::resumed::rewritten;
use super::server::{Target, hex, md5};
use super::{Scene, is_marked, only};
use serde_json::json;
use wandb_offline::proto::wandb_internal::TbRecord;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::sync::{RunStatus, SyncOptions};

#[test]
fn a_run_arrives_whole() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    let report = scene.sync();
    let report = only(&report);
    assert_eq!((report.status, &report.problems[..]), (RunStatus::Synced, &[][..]));
    assert_eq!((report.receipt.rows, report.receipt.last_step), (3, Some(2)));
    assert_eq!(report.run.as_deref(), Some("test-entity/p/r1"));
    scene.has_rows(3);
    let state = scene.server.state();
    let run = state.run();
    assert_eq!(run.history()[2]["loss"], 2.0);
    assert_eq!(run.summary()["loss"], 2.0);
    assert_eq!(run.config()["lr"], 0.5);
    assert!(run.config()["_wandb"]["t"].is_object(), "or the server takes the run for not started");
    assert_eq!((run.status, run.exit_code), ("finished", Some(0)));
    for name in ["config.yaml", "wandb-summary.json"] {
        assert!(run.uploaded.contains(name), "{name}");
    }
    assert!(run.files["config.yaml"].text().contains("lr:\n    value: 0.5\n"));
    assert!(is_marked(&log));
}

#[test]
fn a_run_that_followed_tensorboard_is_one_like_others() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    // Its rows are in the log already, so the directory is of no interest, and may be gone.
    let directory = TbRecord { log_dir: "/gone".into(), save: true, ..TbRecord::default() };
    rewritten(&log, |record| {
        matches!(record, RecordType::History(_)).then(|| RecordType::Tbrecord(directory.clone()))
    });
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(3);
}

#[test]
fn the_program_is_that_of_the_run() {
    let scene = Scene::new();
    let log = scene.fixture("basic");
    scene.sync();
    let (run, _) = wandb_offline::run::load(&log, true).unwrap();
    let program = &run.info().environment().unwrap().program;
    assert!(!program.is_empty());
    let state = scene.server.state();
    assert_eq!(state.run().details["program"], program.as_str());
    let metadata: serde_json::Value =
        serde_json::from_str(state.run().files["wandb-metadata.json"].text()).unwrap();
    assert_eq!(metadata["program"], program.as_str());
}

#[test]
fn a_small_run_takes_the_fewest_requests_that_do() {
    let scene = Scene::new();
    scene.run("r1", 3);
    scene.sync();
    let state = scene.server.state();
    assert_eq!(state.variables_of("model").len(), 1);
    assert_eq!(state.variables_of("upsertBucket").len(), 1);
    assert_eq!(state.variables_of("createRunFiles").len(), 1);
    assert_eq!(state.requests_to(Target::Filestream).count(), 1);
}

#[test]
fn media_tables_and_artifacts_arrive() {
    let scene = Scene::new();
    let log = scene.fixture("media");
    let report = scene.sync();
    let run_report = only(&report);
    // The staged files of artifacts are not in the fixtures; everything else is.
    let lost: Vec<_> = run_report.problems.iter().filter(|p| !p.starts_with("artifact")).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let state = scene.server.state();
    let files = log.parent().unwrap().join("files");
    let media = state.run().files.iter().filter(|(name, _)| name.starts_with("media/"));
    let mut count = 0;
    for (name, file) in media {
        let bytes = std::fs::read(files.join(name)).unwrap();
        assert_eq!(file.md5(), hex(&md5(&bytes)), "{name}");
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn console_lines_carry_the_time_they_were_written() {
    let scene = Scene::new();
    scene.fixture("console");
    scene.sync();
    let first =
        scene.server.state().run().output().iter().map(|l| l.to_string()).collect::<Vec<_>>();
    assert!(first.iter().all(|line| line.contains("2026-") && line.contains('T')), "{first:?}");
    assert!(first.iter().any(|line| line.starts_with("ERROR ")));
}

#[test]
fn a_server_that_takes_structured_lines_gets_them() {
    let scene = Scene::new();
    scene
        .server
        .configure(|config| _ = config.features.insert("STRUCTURED_CONSOLE_LOGS".into(), true));
    scene.fixture("console");
    scene.sync();
    for line in scene.server.state().run().output() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["ts"].is_string() && line["content"].is_string(), "{line}");
    }
}

#[test]
fn what_is_not_finite_stays_so() {
    let scene = Scene::new();
    scene.fixture("nan");
    scene.sync();
    let state = scene.server.state();
    assert!(state.run().lines("wandb-history.jsonl").iter().any(|line| line.contains(":NaN")));
    assert_eq!(state.violations, [""; 0]);
}

#[test]
fn overrides_hold() {
    let scene = Scene::new();
    let run = scene.options("r1").tags(["old", "gone", "kept"]).create().unwrap();
    run.finish().unwrap();
    let mut options = SyncOptions::default();
    options.overrides.entity = Some("test-team".into());
    options.overrides.project = Some("q".into());
    options.overrides.run_id = Some("other".into());
    options.overrides.name = Some("a name".into());
    options.overrides.tags = vec![("old".into(), "new".into()), ("gone".into(), String::new())];
    scene.sync_as(&options);
    let state = scene.server.state();
    let run = &state.runs["test-team/q/other"];
    assert_eq!(run.details["displayName"], "a name");
    assert_eq!(run.details["tags"], json!(["new", "kept"]));
    assert!(run.complete);
}

#[test]
fn many_runs_go_side_by_side_and_a_bad_one_stops_none() {
    let scene = Scene::new();
    for i in 0..20 {
        scene.run(&format!("r{i}"), 5);
    }
    let bad = scene.root().join("offline-run-20261124_000000-bad");
    std::fs::create_dir(&bad).unwrap();
    std::fs::write(bad.join("run-bad.wandb"), b"not a log at all").unwrap();
    let report = scene.sync();
    let count = |status| report.runs.iter().filter(|run| run.status == status).count();
    assert_eq!((count(RunStatus::Synced), count(RunStatus::Failed)), (20, 1));
    assert!(!report.is_complete() && report.has_stored());
    assert!(scene.server.state().runs.values().all(|run| run.complete && run.history().len() == 5));
}

#[test]
fn what_is_synced_or_was_online_is_left_out_with_a_reason() {
    let scene = Scene::new();
    let log = scene.run("r1", 1);
    std::fs::write(log.with_extension("wandb.synced"), b"").unwrap();
    let online = scene.root().join("run-20261124_000000-r2");
    std::fs::create_dir(&online).unwrap();
    std::fs::copy(&log, online.join("run-r2.wandb")).unwrap();
    let report = scene.sync();
    assert!(report.runs.iter().all(|run| run.status == RunStatus::Skipped));
    assert!(report.runs[0].problems[0].contains("--include-"), "{:?}", report.runs[0].problems);
    assert!(scene.server.state().requests.is_empty());
    assert!(report.is_complete());
}

#[test]
fn a_log_without_an_end_leaves_its_run_open_unless_it_is_finished() {
    let scene = Scene::new();
    let log = scene.fixture("killed");
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Open);
    let rows = only(&report).receipt.rows;
    let run = scene.server.state().run().clone();
    assert!(!run.complete && !is_marked(&log));
    assert_eq!(run.history().len() as u64, rows);

    let mut options = SyncOptions::default();
    options.finish = true;
    let report = scene.sync_as(&options);
    assert_eq!(only(&report).status, RunStatus::Synced);
    let run = scene.server.state().run().clone();
    assert_eq!((run.exit_code, run.history().len() as u64), (Some(1), rows));
    // The summary goes whole each time.
    let again: Vec<_> = run.counts.rewritten_same.keys().collect();
    assert_eq!(again, ["wandb-summary.json"], "{:?}", run.counts);
    assert!(is_marked(&log));
}

#[test]
fn nothing_is_sent_in_a_dry_run() {
    let scene = Scene::new();
    scene.run("r1", 1);
    let mut options = SyncOptions::default();
    options.dry_run = true;
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Planned);
    assert!(scene.server.state().requests.is_empty());
}
