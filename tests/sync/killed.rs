//! The program `wandb-offline sync` is killed while it uploads, and run again.

use super::server::Fault;
use super::{Scene, is_marked};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[test]
fn an_upload_that_is_killed_anywhere_and_run_again_leaves_each_row_once() {
    let requests = requests_of_a_whole_upload();
    assert!(requests > 8, "{requests}");
    let mut random = 1u64;
    let mut killed = 0;
    for round in 0..20 {
        let scene = Scene::new();
        let log = scene.large_run(ROWS);
        for _ in 0..=round % 3 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let at = (random >> 33) as usize % requests;
            // Either the request never arrives, or its answer never does.
            let fault = match random >> 62 {
                0 | 1 => Fault::none().delayed(Duration::from_secs(600)),
                _ => Fault::cut_answer(),
            };
            scene.server.inject(fault.skip(at));
            let mut child = upload(&scene);
            while scene.server.faults_left() > 0 && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros((random >> 20) % 2000));
            killed += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            scene.server.clear_faults();
        }
        let output = upload(&scene).wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "round {round}: {err}");
        scene.has_rows(ROWS);
        assert!(scene.server.state().run().complete, "round {round}");
        assert!(is_marked(&log), "round {round}");
    }
    assert!(killed >= 20, "only {killed} were killed under way");
}

#[cfg(unix)]
#[test]
fn an_upload_that_is_terminated_anywhere_says_so_and_goes_on_when_it_is_run_again() {
    let requests = requests_of_a_whole_upload();
    let mut interrupted = 0;
    for at in 0..requests {
        let scene = Scene::new();
        let log = scene.large_run(ROWS);
        scene.server.inject(Fault::none().delayed(Duration::from_millis(50)).skip(at));
        let child = upload(&scene);
        while scene.server.faults_left() > 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        let signal = ["-TERM", "-INT"][at % 2];
        Command::new("kill").args([signal, &child.id().to_string()]).output().unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            // All was under way already.
            Some(0) => assert!(is_marked(&log), "{at}: {told}"),
            Some(1 | 3) => {
                assert!(told.contains("interrupted; sync again to go on"), "{at}: {told}");
                assert!(!is_marked(&log), "{at}: {told}");
                interrupted += 1;
            }
            code => panic!("{at}: {code:?} {told}"),
        }
        assert!(upload(&scene).wait().unwrap().success(), "{at}");
        scene.has_rows(ROWS);
        assert!(scene.server.state().run().complete && is_marked(&log), "{at}");
    }
    assert!(interrupted > requests / 2, "{interrupted} of {requests}");
}

fn requests_of_a_whole_upload() -> usize {
    let scene = Scene::new();
    scene.large_run(ROWS);
    assert!(upload(&scene).wait().unwrap().success());
    scene.server.state().requests.len()
}

fn upload(scene: &Scene) -> Child {
    Command::new(env!("CARGO_BIN_EXE_wandb-offline"))
        .args(["sync", "--include-synced"])
        .arg(scene.root())
        .env_clear()
        .env("HOME", scene.dir.path())
        .env("WANDB_BASE_URL", scene.server.url())
        .env("WANDB_API_KEY", "k".repeat(40))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

const ROWS: u64 = 24;
