//! The program `wandb-offline sync`: what it takes, what it prints, and how it ends.

use super::Scene;
use super::server::{Fault, Target};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The program in the directory of a scene, with nothing from the surroundings.
fn program(scene: &Scene, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
    command
        .args(args)
        .current_dir(scene.dir.path())
        .env_clear()
        .env("HOME", scene.dir.path())
        .env("WANDB_BASE_URL", scene.server.url())
        .env("WANDB_API_KEY", "k".repeat(40));
    command
}

fn run(scene: &Scene, args: &[&str]) -> (i32, String, String) {
    told(&program(scene, args).output().unwrap())
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// The lines of its standard output as they come, and its end by force.
struct Going(Child);

impl Going {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The path as it is from the directory of the scene.
fn relative<'a>(scene: &Scene, log: &'a Path) -> std::path::Display<'a> {
    log.strip_prefix(scene.dir.path()).unwrap().display()
}

#[test]
fn a_run_is_told_when_it_begins_and_its_receipt_when_it_ends() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    let (code, out, err) = run(&scene, &["sync", "wandb"]);
    let log = relative(&scene, &log);
    let url = format!("{}/test-entity/p/runs/r1", scene.server.url());
    assert_eq!((code, &*err), (0, &*format!("wandb-offline: uploading {log} -> {url}\n")));
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some(&*format!("synced: {log} -> {url}")));
    let receipt = lines.next().unwrap();
    assert!(receipt.starts_with("  3 rows to step 2, 0 system samples, "), "{receipt}");
    assert_eq!(lines.next(), None);

    let (code, again, _) = run(&scene, &["sync", "--audit", "wandb"]);
    assert_eq!((code, again.lines().nth(1)), (0, Some(receipt)), "all is told again");
}

#[test]
fn what_was_told_before_a_kill_is_there() {
    for json in [false, true] {
        let scene = Scene::new();
        scene.run("r1", 3);
        scene.run("r2", 3);
        let stalled = Fault::none().delayed(Duration::from_secs(600));
        scene.server.inject(stalled.on(Target::Filestream).path_has("/r2/"));
        let mut command = program(&scene, &["sync", "wandb"]);
        command.args(json.then_some("--json"));
        let line = Going::start(command).first_line();
        let beginning = if json { "{\"event\":\"" } else { "synced: wandb/" };
        assert!(line.starts_with(beginning), "{line}");
    }
}

#[test]
fn files_are_told_one_by_one_in_json() {
    let scene = Scene::new();
    scene.run("r1", 3);
    let (code, out, _) = run(&scene, &["sync", "wandb", "--json"]);
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let files: Vec<_> = lines.iter().filter(|line| line["event"] == "file").collect();
    let report = lines.last().unwrap();
    assert_eq!(files.len(), report["runs"][0]["files"].as_array().unwrap().len());
    assert!(files.iter().all(|line| line["file"]["status"] == "stored"), "{files:?}");
    assert_eq!(report["server"], scene.server.url());
}

#[test]
fn only_what_is_stored_is_counted() {
    let scene = Scene::new();
    scene.run("r1", 3);
    scene.server.inject(Fault::status(403).on(Target::RunUpload).forever());
    let (code, out, _) = run(&scene, &["sync", "wandb", "-v"]);
    assert_eq!(code, 3);
    assert!(out.starts_with("synced in part: "), "{out}");
    assert!(
        out.contains("3 rows to step 2") && out.contains(", 0 of 3 files, 0 artifacts"),
        "{out}"
    );
    assert!(out.contains("  file config.yaml: not stored\n"), "{out}");
}

#[test]
fn patterns_that_no_shell_expanded_are_expanded() {
    let scene = Scene::new();
    for id in ["r1", "r2", "s1"] {
        scene.run(id, 1);
    }
    for (pattern, runs) in
        [("wandb/offline-run-*-r?", 2), ("**/*.wandb", 3), ("wandb/*/run-[rs]1.wandb", 2)]
    {
        let (code, out, err) = run(&scene, &["sync", pattern, "--dry-run"]);
        assert_eq!((code, out.matches("would be synced").count()), (0, runs), "{pattern}: {err}");
    }
    let (code, _, err) = run(&scene, &["sync", "wandb/nothing-*"]);
    assert_eq!((code, &*err), (1, "wandb-offline: no such path: wandb/nothing-*\n"));
    let (code, _, err) = run(&scene, &["watch", "wandb/nothing-*"]);
    assert!(code == 1 && err.contains("nothing fits this pattern"), "{err}");
}

#[test]
fn what_could_be_done_counts_in_a_dry_run_too() {
    let scene = Scene::new();
    scene.run("r1", 1);
    let at = format!(" at {}\n", scene.server.url());
    for (paths, code) in [(&["wandb"][..], 0), (&["nowhere", "wandb"], 3), (&["nowhere"], 1)] {
        let (got, out, _) = run(&scene, &[&["sync", "--dry-run"], paths].concat());
        assert_eq!(got, code, "{paths:?}");
        assert_eq!(out.contains("(default entity)/p/r1") && out.ends_with(&at), code != 1, "{out}");
    }
}

#[test]
fn a_dry_run_says_what_would_keep_an_upload_from_being_whole() {
    let scene = Scene::new();
    let log = scene.fixture("media");
    let image = std::fs::read_dir(log.with_file_name("files/media/images")).unwrap().next();
    std::fs::remove_file(image.unwrap().unwrap().path()).unwrap();
    let mut bytes = std::fs::read(&log).unwrap();
    let (middle, end) = (bytes.len() / 2, bytes.len() - 3);
    bytes[middle] ^= 1;
    bytes.truncate(end);
    std::fs::write(&log, bytes).unwrap();
    let (code, _, err) = run(&scene, &["sync", "--dry-run", "wandb"]);
    assert_eq!(code, 0, "{err}");
    for told in ["the log is damaged at byte", "the log has no end", "and not there"] {
        assert!(err.contains(told), "{told}: {err}");
    }
    assert!(err.lines().all(|line| line.contains(": note: ")), "{err}");
}

#[test]
fn several_logs_are_counted_at_the_end() {
    let scene = Scene::new();
    let log = scene.run("r1", 1);
    scene.run("r2", 1);
    let copy = log.with_file_name("run-other.wandb");
    std::fs::write(&copy, b"no log at all").unwrap();
    let (code, _, err) = run(&scene, &["sync", "wandb"]);
    assert_eq!(code, 3, "{err}");
    let last = err.lines().last();
    assert_eq!(last, Some("wandb-offline: 3 logs: 2 synced, 1 failed"));
}

#[test]
fn a_server_that_is_away_is_told_once_and_not_for_each_run() {
    let scene = Scene::new();
    for id in ["r1", "r2", "r3", "r4"] {
        scene.run(id, 1);
    }
    for _ in 0..4 {
        scene.server.inject(Fault::status(503));
    }
    let (code, _, err) = run(&scene, &["sync", "wandb"]);
    assert_eq!((code, err.matches("trying again").count()), (0, 1), "{err}");
    let (code, out, _) = {
        scene.server.inject(Fault::status(503));
        run(&scene, &["sync", "wandb", "--include-synced", "--repair", "--json"])
    };
    assert_eq!(code, 0, "{out}");
    let waits = out.lines().filter(|line| line.contains("\"event\":\"waiting\""));
    let waits = waits.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let times: Vec<f64> = waits.map(|wait| wait["time"].as_f64().unwrap()).collect();
    assert!(matches!(times[..], [time] if time > 0.0), "in seconds: {times:?}");
    assert_eq!(run(&scene, &["sync", "-n", "0", "wandb"]).0, 2);
}

#[test]
fn where_nothing_is_stored_the_code_says_failed() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    std::fs::write(log.with_file_name("run-other.wandb"), b"no log at all").unwrap();
    for target in [Target::Filestream, Target::RunUpload] {
        scene.server.inject(Fault::status(403).on(target).forever());
    }
    let (code, out, _) = run(&scene, &["sync", "wandb"]);
    assert_eq!(code, 1);
    let mut failed: Vec<_> = out.lines().collect();
    failed.sort_unstable();
    let other = log.with_file_name("run-other.wandb");
    assert_eq!(failed[0], format!("failed: {}", relative(&scene, &other)));
    assert!(failed.iter().all(|line| line.starts_with("failed: ")), "{out}");
}

#[test]
fn a_log_in_which_there_is_nothing_yet_is_left_out_and_one_of_another_header_is_to_be_recovered() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    for (header, told) in [
        (&b""[..], "left out: nothing was logged yet"),
        (b":W&B\xe1\xbe\0", "left out: nothing was logged yet"),
    ] {
        std::fs::write(&log, header).unwrap();
        let (code, out, err) = run(&scene, &["sync", "wandb"]);
        assert!((code, &*out) == (0, "") && err.contains(told), "{code} {out} {err}");
    }
    std::fs::write(&log, b":W&B\xe0\xbe\0").unwrap();
    let (code, _, err) = run(&scene, &["sync", "wandb"]);
    assert!(code == 1 && err.contains("0xbee0, want 0xbee1"), "{err}");
    assert!(err.contains("; `wandb-offline recover` makes a sound log"), "{err}");
}

#[test]
fn an_audit_says_what_the_server_lacks_and_a_repair_sends_it() {
    let scene = Scene::new();
    scene.run("r1", 3);
    assert_eq!(run(&scene, &["sync", "wandb"]).0, 0);
    scene.server.tamper(|state| {
        let run = state.runs.values_mut().next().unwrap();
        run.streams.get_mut("wandb-history.jsonl").unwrap().remove(&2);
    });
    scene.server.inject(Fault::status(400).body_has("RunState").forever());
    let (code, out, err) = run(&scene, &["sync", "--audit", "wandb"]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("  audit: rows: NOT as the log has it\n"), "{out}");
    assert!(err.contains("rows: the log comes to 3, the server has 2"), "{err}");
    let (code, out, _) = run(&scene, &["sync", "--repair", "wandb"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("  audit: rows: as the log has it\n"), "{out}");
    assert!(out.contains("  audit: the end: not told by the server, so not checked\n"), "{out}");
    scene.has_rows(3);
}

#[test]
fn files_that_the_server_does_not_tell_of_are_not_counted() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    assert_eq!(run(&scene, &["sync", "wandb"]).0, 0);
    std::fs::remove_file(super::ledger(&log)).unwrap();
    let counted = "3 rows to step 2, 0 system samples, 0 console lines, ";
    let (code, out, err) = run(&scene, &["sync", "--audit", "wandb"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains(&format!("{counted}3 files with ")), "{out}");
    scene.server.inject(Fault::status(400).body_has("RunFiles"));
    let (_, out, _) = run(&scene, &["sync", "--audit", "wandb"]);
    assert!(out.contains(&format!("{counted}0 artifacts\n")), "{out}");
}

#[test]
fn another_machines_rows_are_told_on_stderr_and_in_json() {
    let scene = Scene::new();
    let log = scene.run("r1", 3);
    assert_eq!(run(&scene, &["sync", "wandb"]).0, 0);
    for json in [false, true] {
        // As on a machine that has a copy only.
        std::fs::remove_file(super::ledger(&log)).unwrap();
        let mut args = vec!["sync", "wandb", "--include-synced"];
        args.extend(json.then_some("--json"));
        let (code, out, err) = run(&scene, &args);
        let notice = "the server already had 3 of these rows, which are not sent again (another machine sent \
                      them, or the ledger was lost)";
        let told = if json {
            format!("\"notices\":[\"{notice}\"]")
        } else {
            format!(": note: {notice}\n")
        };
        assert!(code == 0 && (if json { out } else { err }).contains(&told), "{told}");
    }
}

#[test]
fn options_of_the_official_client_are_taken_or_say_what_to_do_instead() {
    let scene = Scene::new();
    scene.run("r1", 1);
    let taken = ["sync", "wandb", "--skip-synced", "--skip-online", "--include-offline"];
    assert_eq!(run(&scene, &taken).0, 0);
    let both = |args: &[&str]| run(&scene, &[&["sync", "wandb"], args].concat()).1;
    assert_eq!(both(&["--include-synced", "--skip-synced"]), "", "the last one counts");
    assert!(both(&["--skip-synced", "--include-synced"]).starts_with("synced before: "));
    for (option, instead) in
        [("--sync-all", "sync wandb"), ("--clean", "ls"), ("--sync-tensorboard", "tb2wandb")]
    {
        let (code, _, err) = run(&scene, &["sync", option]);
        assert!(code == 2 && err.contains(option) && err.contains(instead), "{code}: {err}");
    }
}

#[test]
fn watch_is_short_for_sync_watch() {
    let scene = Scene::new();
    scene.run("r1", 3);
    let line =
        Going::start(program(&scene, &["watch", "wandb", "--look-every", "0.1"])).first_line();
    assert!(line.starts_with("synced: wandb/"), "{line}");
    let mut waiting = program(&scene, &["watch", "later", "--look-every", "0.01"]);
    let mut waiting = Going(waiting.stderr(Stdio::piped()).spawn().unwrap());
    let mut told = String::new();
    BufReader::new(waiting.0.stderr.take().unwrap()).read_line(&mut told).unwrap();
    assert!(told.contains("later is not there yet; waiting for it"), "{told}");
    let (code, out, _) = run(&scene, &["watch", "--help"]);
    assert!(code == 0 && out.contains("--look-every"), "{out}");
}

#[test]
fn what_is_passed_over_is_told_when_asked_for() {
    let scene = Scene::new();
    let log = scene.run("r1", 1);
    std::fs::create_dir(scene.root().join("old.wandb")).unwrap();
    let log = relative(&scene, &log).to_string();
    let args = ["sync", "--dry-run", "-v", "wandb", &*log, &*format!("./{log}")];
    let (code, out, err) = run(&scene, &args);
    assert_eq!((code, out.matches("would be synced").count()), (0, 1));
    assert!(err.contains("wandb/old.wandb: passed over: a directory"), "{err}");
    assert!(err.contains(&format!("./{log}: passed over: the same log as {log}")), "{err}");
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere", scene.root().join("gone.wandb")).unwrap();
        let (_, _, err) = run(&scene, &args);
        assert!(err.contains("wandb/gone.wandb: passed over: a link that leads nowhere"), "{err}");
        assert!(err.contains("wandb/latest-run: passed over: a link to a directory"), "{err}");
    }
}

#[test]
fn an_error_names_what_it_is_about_and_what_next() {
    let scene = Scene::new();
    scene.run("r1", 1);
    let with = |name: &str, value: &str| {
        told(&program(&scene, &["sync", "wandb"]).env(name, value).output().unwrap())
    };
    let (code, _, err) = with("SSL_CERT_FILE", "/nope");
    assert!(code == 1 && err.contains("SSL_CERT_FILE") && err.contains("/nope"), "{err}");

    scene.server.inject(Fault::status(404).body("<html>").operation("upsertBucket"));
    let (code, _, err) = run(&scene, &["sync", "wandb"]);
    assert!(code == 1 && err.contains("is WANDB_BASE_URL another server's?"), "{err}");
    scene.server.inject(Fault::status(429).header("Retry-After", "0").operation("upsertBucket"));
    let (code, _, err) = run(&scene, &["sync", "wandb"]);
    let what = format!("run-r1.wandb: UpsertBucket at {}: status 429; ", scene.server.url());
    assert!(code == 0 && err.contains(&what), "{err}");
}
