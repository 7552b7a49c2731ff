//! The program is killed while it packs, or while it uploads a pack, and run again.

use super::super::server::Fault;
use super::{Scene, files, packed_log};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[test]
fn a_packing_that_is_killed_anywhere_leaves_each_run_whole_as_it_was_or_as_it_is() {
    let mut random = Random(1);
    let mut killed = 0;
    for round in 0..30 {
        let scene = Scene::new();
        let run = scene.options("r1").create().unwrap();
        let text = "x".repeat(1 << 18);
        let mut rows = 0;
        for part in 0..3 {
            for _ in 0..8 {
                run.log([("text", text.as_str())]).unwrap();
                rows += 1;
            }
            if part == 2 {
                run.clone().finish().unwrap();
            }
            let mut child = to(&scene);
            std::thread::sleep(Duration::from_micros(random.below(30_000)));
            killed += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            // Whatever is there now can be sent.
            if scene.stick().join("pack.json").exists() {
                let output = from(&scene).wait_with_output().unwrap();
                let err = String::from_utf8_lossy(&output.stderr);
                assert!(!err.contains("pack"), "round {round}: {err}");
            }
        }
        let output = to(&scene).wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "round {round}: {err}");
        let output = from(&scene).wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "round {round}: {err}");
        scene.has_rows(rows);
        assert!(scene.server.state().run().complete, "round {round}");
    }
    assert!(killed >= 20, "only {killed} were killed under way");
}

#[test]
fn an_upload_of_a_pack_that_is_killed_anywhere_and_run_again_leaves_each_row_once() {
    let mut random = Random(2);
    let requests = {
        let scene = large_pack();
        assert!(from(&scene).wait().unwrap().success());
        scene.server.state().requests.len()
    };
    assert!(requests > 8, "{requests}");
    let mut killed = 0;
    for round in 0..15 {
        let scene = large_pack();
        for _ in 0..=round % 3 {
            let fault = match random.below(4) {
                // The request never arrives, or its answer never does.
                0 | 1 => Fault::none().delayed(Duration::from_secs(600)),
                _ => Fault::cut_answer(),
            };
            scene.server.inject(fault.skip(random.below(requests as u64) as usize));
            let mut child = from(&scene);
            while scene.server.faults_left() > 0 && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(random.below(2000)));
            killed += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            scene.server.clear_faults();
            // At home in between.
            assert!(to(&scene).wait().unwrap().success());
        }
        let output = from(&scene).wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "round {round}: {err}");
        scene.has_rows(24);
        assert!(scene.server.state().run().complete, "round {round}");
        assert!(super::is_marked(&packed_log(&scene)), "round {round}");
    }
    assert!(killed >= 15, "only {killed} were killed under way");
}

#[test]
fn packing_needs_no_key_and_packs_none() {
    let scene = Scene::new();
    scene.fixture("media");
    let key = "0123456789abcdef0123456789abcdef01234567";
    let mut command = program(&scene, &["--to"], &scene.stick());
    command.arg(scene.root()).env("WANDB_API_KEY", key).env("NETRC", "/nowhere");
    command.env("WANDB_BASE_URL", format!("http://user:{key}@127.0.0.1:1"));
    command.status().unwrap();
    let held = files(&scene.stick());
    assert!(held.len() > 5);
    for (path, bytes) in held {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(key), "{}", path.display());
    }
    assert!(to(&scene).wait().unwrap().code().is_some_and(|code| code == 0 || code == 3));
}

/// A packed run whose rows go in several requests.
fn large_pack() -> Scene {
    let scene = Scene::new();
    scene.large_run(24);
    assert!(to(&scene).wait().unwrap().success());
    scene
}

fn to(scene: &Scene) -> Child {
    let mut command = program(scene, &["--to"], &scene.stick());
    command.arg(scene.root()).spawn().unwrap()
}

fn from(scene: &Scene) -> Child {
    let mut command = program(scene, &["--from"], &scene.stick());
    command.env("WANDB_BASE_URL", scene.server.url()).env("WANDB_API_KEY", "k".repeat(40));
    command.spawn().unwrap()
}

fn program(scene: &Scene, arguments: &[&str], pack: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
    command.arg("sync").args(arguments).arg(pack).env_clear().env("HOME", scene.dir.path());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % end
    }
}
