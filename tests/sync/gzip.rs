//! Lines go zipped to servers that can unzip them.

use super::server::{Fault, State, Target};
use super::{Scene, only};
use wandb_offline::sync::{HttpTransport, RunStatus, Stop, SyncOptions, sync};

/// A server that can unzip, or cannot.
fn scene(gzip: bool) -> Scene {
    let scene = Scene::new();
    scene.server.configure(|config| {
        config.features.insert("FILESTREAM_GZIP".into(), gzip);
    });
    scene
}

/// Requests with lines: all, and those that were zipped.
fn requests(state: &State) -> (usize, usize) {
    (state.run().counts.filestream_requests, state.run().counts.gzip_requests)
}

fn asked(state: &State) -> usize {
    state.requests.iter().filter(|call| call.operation.as_deref() == Some("serverInfo")).count()
}

#[test]
fn large_requests_go_zipped_where_the_server_says_so() {
    for gzip in [true, false] {
        let scene = scene(gzip);
        scene.large_run(6);
        assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
        scene.has_rows(6);
        let state = scene.server.state();
        let (all, zipped) = requests(&state);
        assert!(all > 1, "it is more than one batch");
        assert_eq!(zipped > 0, gzip);
        assert_eq!(asked(&state), 1, "once is enough");
        let bytes: usize = state.requests_to(Target::Filestream).map(|call| call.bytes).sum();
        assert_eq!(bytes < 6 << 20, gzip, "{bytes}");
    }
}

#[test]
fn a_small_run_does_not_ask_whether_the_server_can_unzip() {
    let scene = scene(true);
    scene.run("r1", 100);
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    let state = scene.server.state();
    assert_eq!((asked(&state), requests(&state).1), (0, 0));
}

#[test]
fn what_is_known_of_the_server_anyway_is_used() {
    let scene = scene(true);
    scene.fixture("console");
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    let state = scene.server.state();
    assert_eq!(asked(&state), 1, "for the sake of the console");
    assert!(requests(&state).1 > 0);
    assert_eq!(state.violations, [""; 0]);
}

#[test]
fn a_zipped_request_is_the_same_when_it_is_sent_again() {
    let scene = scene(true);
    scene.large_run(6);
    for fault in [Fault::status(503), Fault::drop_connection().applied(), Fault::cut_answer()] {
        scene.server.inject(fault.on(Target::Filestream));
    }
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    assert_eq!(scene.server.faults_left(), 0);
    scene.has_rows(6);
    let state = scene.server.state();
    assert!(state.run().counts.rewritten_same.contains_key("wandb-history.jsonl"));
}

#[test]
fn who_wants_no_zip_gets_none() {
    let scene = scene(true);
    scene.large_run(1);
    let (mut to, _) = scene.connection();
    to.gzip = false;
    let transport = HttpTransport::new(&to).unwrap();
    let options = SyncOptions::default();
    let report = sync(&[scene.root()], &to, &transport, &options, &Stop::new(), &|_| {});
    assert_eq!(only(&report).status, RunStatus::Synced);
    let state = scene.server.state();
    assert_eq!((asked(&state), requests(&state).1), (0, 0));
}

#[test]
fn a_server_that_does_not_say_what_it_can_gets_plain_lines() {
    let scene = scene(true);
    scene.large_run(6);
    scene.server.inject(Fault::graphql_error("no such field").operation("serverInfo"));
    assert_eq!(only(&scene.sync()).status, RunStatus::Synced);
    scene.has_rows(6);
    assert_eq!(requests(&scene.server.state()).1, 0);
}
