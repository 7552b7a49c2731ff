//! The command `tail`, run as a user runs it.
#![cfg(feature = "cli")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

#[test]
fn the_last_rows_stand_under_each_other_below_their_keys() {
    let (out, err, code) = tail(&["-n", "2", &fixture("killed")]);
    let want = "step    i        loss\n 302  302  0.00330033\n 303  303  0.00328947\n";
    assert_eq!((out.as_str(), err.as_str(), code), (want, "", Some(0)));
    let (out, _, _) = tail(&["-n", "1", "-k", "l?ss,_run*", &fixture("killed")]);
    assert_eq!(out, "step  _runtime        loss\n 303   1.12516  0.00328947\n");
    let (out, _, _) = tail(&["-n", "0", &fixture("killed")]);
    assert_eq!(out, "");
}

#[test]
fn several_runs_have_headings_and_one_that_is_none_is_told() {
    let (out, err, code) = tail(&["-n", "1", &fixture("minimal"), "no/run", &fixture("killed")]);
    let headings: Vec<_> = out.lines().filter(|line| line.starts_with("==>")).collect();
    assert_eq!(headings.len(), 2, "{out}");
    assert!(headings[0].ends_with("run-minimal1.wandb <=="), "{out}");
    assert!(err.contains("no/run") && code == Some(3), "{err}");
    assert_eq!(tail(&["no/run"]).2, Some(1));
    assert_eq!(tail(&["-f", "--interval", "-1", &fixture("killed")]).2, Some(2));
}

#[test]
fn json_has_a_line_per_row_with_its_values_as_they_are() {
    let (out, _, _) = tail(&["--json", &fixture("nan")]);
    let rows: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(rows.iter().any(|row| row["values"].as_object().unwrap().values().any(|v| v == "NaN")));
    let (out, _, _) = tail(&["--json", "-n", "1", &fixture("killed")]);
    let row: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&row["step"], &row["values"]["i"]), (&303.into(), &303.into()));
    assert_eq!(row["values"]["loss"], 0.003289473684210526);
}

#[test]
fn damage_is_passed_over_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    let mut log = fs::read(fixture("killed")).unwrap();
    log[40_000] ^= 0xff;
    fs::write(&path, log).unwrap();
    let (out, err, code) = tail(&["-n", "9999", &path.display().to_string()]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("skipped: chunk checksum"), "{err}");
    assert!(out.lines().count() >= 304, "{out}");
}

#[test]
fn a_run_is_followed_from_before_its_log_is_there_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    let child = follow(&["--json", "--interval", "0.01", &path.display().to_string()]);
    let log = fs::read(fixture("basic")).unwrap();
    let mut file = File::create(&path).unwrap();
    for part in log.chunks(700) {
        file.write_all(part).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let out = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let (state, rows) = lines.split_last().expect("lines");
    assert_eq!((&state["state"], &state["exit_code"]), (&"finished".into(), &0.into()));
    let steps: Vec<_> = rows.iter().map(|row| row["step"].as_i64().expect("a step")).collect();
    assert!(steps.is_sorted_by(|a, b| a < b), "each row once, in order: {steps:?}");
    assert_eq!(steps.last(), Some(&15));
}

#[test]
fn rows_of_a_log_that_a_copy_takes_the_place_of_are_shown_once() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("run-x.wandb"), dir.path().join("other"));
    let log = fs::read(fixture("basic")).unwrap();
    fs::write(&path, &log[..100]).unwrap();
    let mut child = follow(&["--json", "--interval", "0.01", &path.display().to_string()]);
    for end in (700..log.len()).step_by(700).chain([log.len()]) {
        fs::write(&other, &log[..end]).unwrap();
        fs::rename(&other, &path).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let rows = lines.filter(|line| !line.contains("\"state\""));
    let steps: Vec<_> = rows
        .map(|line| serde_json::from_str::<serde_json::Value>(&line).expect("JSON"))
        .map(|row| row["step"].as_i64().expect("a step"))
        .collect();
    assert!(child.wait().unwrap().success());
    assert!(steps.is_sorted_by(|a, b| a < b), "each row once, in order: {steps:?}");
    assert_eq!(steps.last(), Some(&15));
}

#[test]
fn a_run_that_was_silent_for_too_long_is_taken_for_crashed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    fs::copy(fixture("killed"), &path).unwrap();
    let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    File::options().append(true).open(&path).unwrap().set_modified(hour_ago).unwrap();
    let args = ["-f", "-n", "1", "--interval", "0.01", "--give-up-after", "60"];
    let (out, err, code) = tail(&[&args[..], &[&path.display().to_string()]].concat());
    assert_eq!((out.lines().count(), code), (2, Some(0)), "{out}");
    assert!(err.starts_with("wandb-offline: crashed: "), "{err}");
}

#[cfg(unix)]
#[test]
fn runs_that_appear_in_a_directory_are_shown_until_an_interrupt() {
    let root = tempfile::tempdir().unwrap();
    let mut child = follow(&["--json", "--interval", "0.01", &root.path().display().to_string()]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for name in ["minimal", "misc"] {
        let dir = root.path().join(format!("offline-run-20260102_030405-{name}"));
        fs::create_dir(&dir).unwrap();
        fs::copy(fixture(name), dir.join("run-x.wandb")).unwrap();
        loop {
            let line = lines.next().expect("the program goes on").unwrap();
            if line.contains("\"state\"") {
                assert!(line.contains(name), "{line}");
                break;
            }
        }
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0), "ends cleanly");
    assert!(lines.next().is_none());
}

fn tail(args: &[&str]) -> (String, String, Option<i32>) {
    let output = command(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

fn follow(args: &[&str]) -> Child {
    let mut command = command(&[&["-f"], args].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
    command.arg("tail").args(args);
    command
}

fn fixture(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb/0.31.0").join(name);
    let mut entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let log: Option<PathBuf> = entries.find(|p| p.extension().is_some_and(|it| it == "wandb"));
    log.expect("a log").display().to_string()
}

#[cfg(unix)]
#[test]
fn a_run_is_shown_once_though_latest_run_links_to_it() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("offline-run-20260102_030405-minimal1");
    fs::create_dir(&dir).unwrap();
    let log = fs::read(fixture("minimal")).unwrap();
    fs::write(dir.join("run-minimal1.wandb"), &log[..log.len() - 200]).unwrap();
    std::os::unix::fs::symlink(&dir, root.path().join("latest-run")).unwrap();
    let root_path = root.path().display().to_string();
    let mut child = follow(&["--json", "--interval", "0.01", &root_path]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::write(dir.join("run-minimal1.wandb"), &log).unwrap();
    let mut got = Vec::new();
    while got.last().is_none_or(|line: &String| !line.contains("\"state\"")) {
        got.push(lines.next().expect("the program goes on").unwrap());
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    got.extend(lines.map(|line| line.unwrap()));
    assert_eq!(got.len(), 2, "a row and the end: {got:?}");
    assert!(got[0].contains("offline-run-20260102_030405-minimal1"), "by its own name: {got:?}");
}
