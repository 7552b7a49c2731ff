//! A server that fails.

use super::server::{Fault, Target};
use super::{Scene, is_marked, only};
use std::path::Path;
use wandb_offline::sync::api::{Answer, Request};
use wandb_offline::sync::{
    Event, HttpTransport, RunStatus, Stop, SyncOptions, Transport, TransportError, sync,
};

#[test]
fn what_may_pass_is_tried_again_at_every_operation() {
    for status in [429, 500, 502, 503, 504] {
        let scene = Scene::new();
        scene.run("r1", 4);
        for target in [Target::Graphql, Target::Filestream, Target::RunUpload] {
            scene.server.inject(Fault::status(status).on(target).times(2));
        }
        assert_eq!(only(&scene.sync()).status, RunStatus::Synced, "{status}");
        assert_eq!(scene.server.faults_left(), 0);
        scene.has_rows(4);
    }
}

#[test]
fn what_will_not_pass_is_told_and_leaves_no_mark() {
    for status in [400, 401, 403, 404, 410, 413, 422, 501] {
        for operation in ["upsertBucket", "createRunFiles"] {
            let scene = Scene::new();
            let log = scene.run("r1", 4);
            scene.server.inject(Fault::status(status).operation(operation).forever());
            let report = scene.sync();
            let run = only(&report);
            assert!(
                matches!(run.status, RunStatus::Failed | RunStatus::Partly),
                "{status} {operation}"
            );
            assert!(run.problems[0].contains(&status.to_string()), "{:?}", run.problems);
            assert!(!is_marked(&log));

            scene.server.clear_faults();
            assert_eq!(only(&scene.sync()).status, RunStatus::Synced, "{status} {operation}");
            scene.has_rows(4);
            assert!(is_marked(&log));
        }
    }
}

#[test]
fn a_dead_stream_is_no_success() {
    for status in [400, 401, 403, 404, 409, 410, 413, 422, 501] {
        let scene = Scene::new();
        let log = scene.run("r1", 4);
        scene.server.inject(Fault::status(status).on(Target::Filestream));
        assert_eq!(only(&scene.sync()).status, RunStatus::Partly, "{status}");
        assert!(!is_marked(&log) && !scene.server.state().run().complete);
        assert_eq!(only(&scene.sync()).status, RunStatus::Synced, "{status}");
        scene.has_rows(4);
    }
}

#[test]
fn a_page_of_a_proxy_is_no_answer_to_lines() {
    for body in ["<html>Please sign in</html>", r#"{"errors":[{"message":"no"}]}"#, "[]"] {
        let scene = Scene::new();
        let log = scene.run("r1", 4);
        scene.server.inject(Fault::status(200).body(body).on(Target::Filestream));
        let report = scene.sync();
        assert_eq!(only(&report).status, RunStatus::Partly, "{body}");
        assert!(!is_marked(&log));
        assert_eq!(only(&scene.sync()).status, RunStatus::Synced, "{body}");
        scene.has_rows(4);
    }
}

#[test]
fn half_a_page_of_a_proxy_is_no_answer_to_lines_either() {
    let scene = Scene::new();
    let log = scene.run("r1", 4);
    let page = Fault::status(200).body("<html>Please sign in</html>").cut();
    scene.server.inject(page.clone().on(Target::Filestream).forever());
    assert_eq!(only(&scene.sync()).status, RunStatus::Partly);
    assert!(!is_marked(&log));
    scene.server.clear_faults();
    scene.server.inject(page.on(Target::Filestream).times(3));
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(4);
}

#[test]
fn a_refusal_with_status_200_is_a_refusal() {
    let scene = Scene::new();
    scene.run("r1", 1);
    scene.server.inject(Fault::graphql_error("no such team").operation("upsertBucket"));
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Failed);
    assert!(only(&report).problems[0].contains("no such team"), "{report:?}");
}

#[test]
fn lost_answers_and_lost_connections_double_nothing() {
    for fault in [Fault::drop_connection(), Fault::cut_answer(), Fault::drop_connection().applied()]
    {
        for target in [Target::Graphql, Target::Filestream, Target::RunUpload] {
            let scene = Scene::new();
            scene.run("r1", 4);
            scene.server.inject(fault.clone().on(target));
            assert_eq!(only(&scene.sync()).status, RunStatus::Synced, "{fault:?}");
            scene.has_rows(4);
        }
    }
}

#[test]
fn a_run_that_was_deleted_is_told_after_a_few_tries() {
    let scene = Scene::new();
    scene.run("r1", 1);
    scene.server.inject(Fault::status(409).operation("upsertBucket").forever());
    assert_eq!(only(&scene.sync()).status, RunStatus::Failed);
    assert_eq!(scene.server.state().variables_of("upsertBucket").len(), 5);
}

#[test]
fn an_expired_url_or_a_slow_line_is_no_end_of_an_upload() {
    for status in [403, 400, 408] {
        let scene = Scene::new();
        scene.run("r1", 1);
        scene.server.inject(Fault::status(status).on(Target::RunUpload).times(2));
        assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
        assert_eq!(scene.server.faults_left(), 0);
        let asked = scene.server.state().variables_of("createRunFiles").len();
        assert_eq!(asked > 1, status != 408, "{status}: only an expired URL needs another");
    }
}

#[test]
fn a_file_that_cannot_be_stored_is_named_and_sent_next_time() {
    let scene = Scene::new();
    let log = scene.run("r1", 4);
    scene.server.inject(Fault::status(403).on(Target::RunUpload).path_has("config.yaml").forever());
    let report = scene.sync();
    assert_eq!(only(&report).status, RunStatus::Partly);
    assert!(only(&report).problems[0].contains("config.yaml"), "{report:?}");
    assert!(!is_marked(&log));
    scene.server.clear_faults();
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    let state = scene.server.state();
    assert!(state.run().uploaded.contains("config.yaml"));
    assert_eq!(state.run().files["wandb-summary.json"].puts, 1, "what is stored is not sent again");
    scene.has_rows(4);
}

#[test]
fn the_server_may_ask_for_a_pause() {
    let scene = Scene::new();
    scene.run("r1", 4);
    let busy = Fault::status(429).header("Retry-After", "0.01").on(Target::Filestream);
    scene.server.inject(busy.times(3));
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(4);
}

#[test]
fn a_panic_of_the_transport_or_the_observer_ends_one_run_and_no_other() {
    struct Breaking(HttpTransport);
    impl Transport for Breaking {
        fn send(&self, request: &Request) -> Result<Answer, TransportError> {
            assert!(!format!("{request:?}").contains("broken"), "the transport broke");
            self.0.send(request)
        }
    }
    for observes in [false, true] {
        let scene = Scene::new();
        let log = scene.run("broken", 3);
        scene.run("r1", 3);
        let (to, transport) = scene.connection();
        let breaking = Breaking(scene.connection().1);
        let transport: &dyn Transport = if observes { &transport } else { &breaking };
        let observe = |event: Event<'_>| {
            let is_broken = matches!(event, Event::Started { log: started } if started == log);
            assert!(!(observes && is_broken), "the observer broke");
        };
        let options = SyncOptions::default();
        let report = sync(&[scene.root()], &to, transport, &options, &Stop::new(), &observe);
        let run = |log: &Path| report.runs.iter().find(|run| run.log == log).unwrap();
        assert_eq!(run(&log).status, RunStatus::Failed, "{report:?}");
        let said = if observes { "the observer broke" } else { "the transport broke" };
        assert!(run(&log).problems[0].contains(said), "{report:?}");
        let fine = report.runs.iter().filter(|run| run.status == RunStatus::Synced).count();
        assert_eq!((report.runs.len(), fine), (2, 1), "{report:?}");
        assert!(!is_marked(&log));
    }
}
