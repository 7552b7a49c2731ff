//! Servers and logs that mean harm.

use super::resumed::rewritten;
use super::server::{Fault, Target};
use super::{Scene, is_marked, ledger, only};
use wandb_offline::proto::wandb_internal::RunRecord;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::sync::{RunStatus, Stop, SyncOptions, sync};

#[test]
fn the_key_does_not_follow_a_redirect_to_another_host() {
    let scene = Scene::new();
    let elsewhere = Scene::new();
    scene.run("r1", 1);
    let to = format!("{}/graphql", elsewhere.server.url());
    for status in [301, 307, 308] {
        scene
            .server
            .inject(Fault::status(status).header("Location", &to).operation("upsertBucket"));
        let report = scene.sync();
        assert_eq!(only(&report).status, RunStatus::Failed);
        assert!(only(&report).problems[0].contains("redirects"), "{report:?}");
    }
    assert!(elsewhere.server.state().requests.is_empty());
}

#[test]
fn answers_of_the_wrong_shape_are_refused() {
    for body in
        ["", "[]", "{\"data\":{\"upsertBucket\":{\"bucket\":{\"id\":{},\"name\":1}}}}", "\u{0}"]
    {
        let scene = Scene::new();
        scene.run("r1", 1);
        scene.server.inject(Fault::status(200).body(body).operation("upsertBucket"));
        assert_eq!(only(&scene.sync()).status, RunStatus::Failed, "{body}");
    }
}

#[test]
fn an_endless_answer_is_not_read_to_its_end() {
    let scene = Scene::new();
    scene.run("r1", 1);
    let body = "x".repeat(65 << 20);
    scene.server.inject(Fault::status(200).body(&body).operation("upsertBucket"));
    let report = scene.sync();
    assert!(only(&report).problems[0].contains("longer than"), "{report:?}");
}

#[test]
fn a_long_answer_to_lines_or_to_a_file_is_not_read_to_its_end() {
    for target in [Target::Filestream, Target::RunUpload] {
        let scene = Scene::new();
        let log = scene.run("r1", 1);
        let body = format!("{{\"x\":\"{}\"}}", "x".repeat(2 << 20));
        scene.server.inject(Fault::status(200).body(&body).on(target));
        let report = scene.sync();
        assert_eq!(only(&report).status, RunStatus::Partly, "{target:?}");
        assert!(only(&report).problems[0].contains("longer than"), "{report:?}");
        assert!(!is_marked(&log));
    }
}

#[test]
fn a_zipped_answer_is_not_unzipped() {
    use std::io::Write;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    bomb.write_all(&vec![b' '; 64 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let scene = Scene::new();
    scene.run("r1", 1);
    let zipped = Fault::status(200).bytes(bomb).header("Content-Encoding", "gzip");
    scene.server.inject(zipped.operation("upsertBucket"));
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("not a W&B server's"), "{report:?}");
    let state = scene.server.state();
    assert!(state.requests.iter().all(|call| call.header("Accept-Encoding").is_none()));
}

#[test]
fn answers_that_are_deep_end_no_process() {
    for body in ["[".repeat(1 << 20), "{\"data\":".repeat(1 << 17), "{\"errors\":[".repeat(1 << 17)]
    {
        for target in [Target::Graphql, Target::Filestream] {
            let scene = Scene::new();
            let log = scene.run("r1", 1);
            scene.server.inject(Fault::status(200).body(&body).on(target));
            assert_ne!(only(&scene.sync()).status, RunStatus::Synced);
            assert!(!is_marked(&log));
        }
    }
}

#[test]
fn how_long_an_answer_may_be_is_an_option() {
    let scene = Scene::new();
    scene.run("r1", 1);
    let (to, transport) = scene.connection();
    let transport = transport.longest_answer(20);
    let (options, stop) = (SyncOptions::default(), Stop::new());
    let report = sync(&[scene.root()], &to, &transport, &options, &stop, &|_| {});
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("longer than 20 bytes"), "{report:?}");
}

#[test]
fn a_ledger_larger_than_any_is_not_read() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    scene.sync();
    let path = ledger(&log);
    // Nothing but a length, where the file system has holes.
    std::fs::File::options().write(true).open(&path).unwrap().set_len((1 << 30) + 1).unwrap();
    let report = scene.sync_again();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("it is too large"), "{report:?}");
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_run_is_not_followed() {
    let scene = Scene::new();
    scene.run_with_a_link_out();
    let report = scene.sync();
    let run = only(&report);
    assert_eq!(run.status, RunStatus::Partly);
    assert!(run.problems.iter().any(|problem| problem.contains("--allow")), "{:?}", run.problems);
    let state = scene.server.state();
    assert!(state.run().files.values().all(|file| file.stored.as_deref() != Some(b"the secret")));
    let uploads = state.requests_to(Target::RunUpload).count();
    assert!(uploads > 0, "the other files are stored all the same");
}

#[test]
fn a_server_that_complains_without_end_is_quoted_briefly() {
    for (status, body) in [
        (200, format!(r#"{{"errors":[{}{{}}]}}"#, r#"{"message":"no"},"#.repeat(1 << 20))),
        (400, format!(r#"{{"errors":[],"data":[{}0]}}"#, "[],".repeat(1 << 20))),
    ] {
        let scene = Scene::new();
        scene.run("r1", 1);
        scene.server.inject(Fault::status(status).body(&body).operation("upsertBucket"));
        let report = scene.sync();
        assert_eq!(only(&report).status, RunStatus::Failed);
        assert!(only(&report).problems[0].len() < 500, "{report:?}");
    }
}

#[test]
fn a_run_without_a_name_and_lines_without_number_are_refused() {
    let run = |id: &str, lines: &str| {
        format!(
            r#"{{"data":{{"upsertBucket":{{"bucket":{{"id":"{id}","name":"{id}","historyLineCount":{lines},
               "project":{{"name":"p","entity":{{"name":"e"}}}}}}}}}}}}"#
        )
    };
    for body in [run("", "0"), run("r1", "18446744073709551615"), run("r1", "0.5")] {
        let scene = Scene::new();
        let log = scene.run("r1", 1);
        scene.server.inject(Fault::status(200).body(&body).operation("upsertBucket"));
        let report = scene.sync();
        assert_eq!(only(&report).status, RunStatus::Failed, "{body}");
        assert!(!is_marked(&log));
    }
}

#[test]
fn a_ledger_that_knows_of_more_lines_than_there_can_be_is_no_success() {
    for (lines, status, why) in [
        ("9", RunStatus::Partly, "fewer rows"),
        ("18446744073709551615", RunStatus::Failed, "damaged"),
    ] {
        let scene = Scene::new();
        let log = scene.run("r1", 4);
        scene.sync();
        let path = ledger(&log);
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replacen(r#""acknowledged": 4"#, &format!(r#""acknowledged": {lines}"#), 1);
        std::fs::write(&path, text.replace(r#""whole": true"#, r#""whole": false"#)).unwrap();
        scene.server.tamper(|state| {
            let streams = state.runs.values_mut().map(|run| &mut run.streams);
            let rows = streams.filter_map(|streams| streams.get_mut("wandb-history.jsonl"));
            rows.for_each(|rows| rows.extend((4..9).map(|row| (row, "{}".to_owned()))));
        });
        let report = scene.sync_again();
        assert_eq!(only(&report).status, status, "{report:?}");
        assert!(only(&report).problems[0].contains(why), "{report:?}");
    }
}

#[test]
fn a_log_that_does_not_say_which_run_it_is_needs_an_id() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    rewritten(&log, |record| {
        if let RecordType::Run(run) = record {
            run.run_id.clear();
        }
        None
    });
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("--id"), "{report:?}");
    assert!(scene.server.state().requests.is_empty());
    let mut options = SyncOptions::default();
    options.overrides.run_id = Some("r1".to_owned());
    assert_eq!(only(&scene.sync_as(&options)).status, RunStatus::Synced);
    scene.has_rows(2);
}

#[test]
fn a_run_stays_the_one_it_began_as() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    let other = RunRecord { run_id: "other".into(), project: "p".into(), ..RunRecord::default() };
    rewritten(&log, |record| {
        let exit = matches!(record, RecordType::Exit(_));
        exit.then(|| RecordType::Run(other.clone()))
    });
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Synced);
    assert!(only(&report).run.as_ref().unwrap().ends_with("/p/r1"), "{report:?}");
    scene.has_rows(2);
}

#[cfg(unix)]
#[test]
fn a_pipe_in_the_place_of_a_ledger_is_not_waited_for() {
    let scene = Scene::new();
    let log = scene.run("r1", 2);
    scene.sync();
    let path = ledger(&log);
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let report = scene.sync_again();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("it is no file"), "{report:?}");
}
