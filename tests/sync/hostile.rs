//! Servers and logs that mean harm.

use super::server::{Fault, Target};
use super::{Scene, only};
use wandb_offline::sync::RunStatus;

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
