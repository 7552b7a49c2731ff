//! The program `wandb-offline`, run as a user runs it.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn ls_lists_each_run_once_and_says_what_became_of_it() {
    let (out, err, code) = run(&["ls", "fixtures/wandb"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("ID"), "{out}");
    let misc = lines.iter().find(|line| line.starts_with("misc0001")).expect("listed");
    assert!(misc.contains("failed") && misc.contains("  no "), "{misc}");
    assert!(misc.ends_with("fixtures/wandb/0.31.0/misc/run-misc0001.wandb"), "{misc}");
    let (json, _, _) = run(&["ls", "fixtures/wandb", "--json"]);
    assert_eq!(json.lines().count(), lines.len() - 1);
    let first: serde_json::Value =
        serde_json::from_str(json.lines().next().unwrap()).expect("JSON");
    assert_eq!((&first["id"], &first["rows"]), (&"basic001".into(), &12.into()));
}

#[cfg(unix)]
#[test]
fn ls_finds_a_run_once_though_latest_run_links_to_it() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let dir = folder.path().join("offline-run-20260102_030405-minimal1");
    std::fs::create_dir(&dir).expect("writable");
    let log = dir.join("run-minimal1.wandb");
    std::fs::copy(fixture("0.31.0/minimal/run-minimal1.wandb"), &log).expect("copies");
    std::fs::write(dir.join("run-minimal1.wandb.synced"), "").expect("writable");
    std::os::unix::fs::symlink(&dir, folder.path().join("latest-run")).expect("links");
    let (out, _, code) = run(&["ls", &folder.path().display().to_string()]);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    assert!(out.lines().nth(1).expect("a run").contains("  yes "), "{out}");
}

#[test]
fn info_shows_what_the_official_reader_shows() {
    let (out, _, code) = run(&["info", "--json", "fixtures/wandb/0.31.0/basic/run-basic001.wandb"]);
    assert_eq!(code, 0);
    let got: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let want =
        std::fs::read_to_string(fixture("0.31.0/basic/leet-summary.json")).expect("readable");
    let want: serde_json::Value = serde_json::from_str(&want).expect("JSON");
    for (member, want) in want.as_object().expect("an object") {
        let (got, want) = (floats(&got[member]), floats(want));
        assert_eq!(got, want, "{member}");
    }
    let (out, _, _) = run(&["info", "fixtures/wandb/0.31.0/basic"]);
    assert!(out.contains("state     finished (exit code 0)\n"), "{out}");
    assert!(out.contains("  stdout  carriagene\n"), "{out}");
}

#[test]
fn cat_prints_a_line_of_json_per_record() {
    let log = "fixtures/wandb/0.31.0/edge/run-edge0001.wandb";
    let (out, _, code) = run(&["cat", log]);
    assert_eq!((code, out.lines().count()), (0, 71));
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).expect("JSON");
    assert_eq!((&first["offset"], &first["kind"]), (&7.into(), &"header".into()));
    let (out, _, _) = run(&["cat", log, "--kind", "run,exit"]);
    assert_eq!(out.lines().count(), 2);
    let (out, _, _) =
        run(&["cat", "fixtures/wandb/0.31.0/basic", "--kind", "history", "--keys", "epoch"]);
    assert!(out.lines().all(|line| line.contains(r#""item":[{"nested_key":["epoch"],"#)), "{out}");
    assert_eq!(out.lines().count(), 3);
    let (_, err, code) = run(&["cat", log, "--kind", "histroy"]);
    assert_eq!(code, 2);
    assert!(err.contains("no kind \"histroy\"; the kinds are history, summary"), "{err}");
}

#[test]
fn damage_is_told_and_turns_the_exit_code_and_hides_nothing() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("run-basic001.wandb");
    let mut bytes = std::fs::read(fixture("0.31.0/basic/run-basic001.wandb")).expect("readable");
    bytes[2000] ^= 0xff;
    std::fs::write(&path, bytes).expect("writable");
    let path = path.display().to_string();
    for command in [&["cat", &path][..], &["info", &path], &["export", &path], &["ls", &path]] {
        let (out, err, code) = run(command);
        assert_eq!(code, 3, "{command:?}: {err}");
        assert!(!out.is_empty());
        let told = command[0] == "ls" || err.contains("bytes 1928..2104 skipped: chunk checksum");
        assert!(told, "{command:?}: {err}");
    }
    assert_eq!(run(&["cat", &path]).0.lines().count(), 87);
}

#[test]
fn a_file_that_is_no_log_fails_and_the_others_are_listed() {
    let folder = tempfile::tempdir().expect("temporary directory");
    std::fs::write(folder.path().join("a.wandb"), "this is no log").expect("writable");
    let good = folder.path().join("b.wandb");
    std::fs::copy(fixture("0.31.0/minimal/run-minimal1.wandb"), good).expect("copies");
    let (out, err, code) = run(&["ls", &folder.path().display().to_string()]);
    assert_eq!((code, out.lines().count()), (3, 2), "{out}");
    assert!(err.contains("not a W&B log"), "{err}");
    let (_, err, code) = run(&["info", &folder.path().join("a.wandb").display().to_string()]);
    assert_eq!(code, 1, "{err}");
    let (_, err, code) = run(&["info", "no/such/run"]);
    assert!(code == 1 && err.contains("no/such/run"), "{err}");
}

#[test]
fn verify_says_what_is_wrong_and_goes_on_to_the_next_file() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let dir = folder.path().join("offline-run-20260102_030405-minimal1");
    std::fs::create_dir_all(dir.join("files")).expect("writable");
    std::fs::write(dir.join("files/requirements.txt"), "wandb==0.31.0\n").expect("writable");
    let log = dir.join("run-minimal1.wandb");
    std::fs::copy(fixture("0.31.0/minimal/run-minimal1.wandb"), &log).expect("copies");
    let root = folder.path().display().to_string();
    let (out, err, code) = run(&["verify", &root]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.starts_with("clean  ") && out.contains("as finished\n"), "{out}");
    assert_eq!(run(&["doctor", "-q", &root]), (String::new(), String::new(), 0));

    let mut bytes = std::fs::read(&log).expect("readable");
    bytes[1300] ^= 1;
    std::fs::write(folder.path().join("damaged.wandb"), bytes).expect("writable");
    let (out, _, code) = run(&["verify", &root, "--json"]);
    assert_eq!((code, out.lines().count()), (3, 2), "{out}");
    let report: serde_json::Value =
        serde_json::from_str(out.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&report["verdict"], &report["run_id"]), (&"damaged".into(), &"minimal1".into()));
    let gap = &report["findings"][0];
    assert_eq!(
        (&gap["code"], &gap["offset"], &gap["severity"]),
        (&"gap".into(), &1247.into(), &"error".into())
    );
    assert_eq!(
        (&report["sync"]["skip"], &report["sync"]["stops_at"]),
        (&"online".into(), &1247.into())
    );

    std::fs::write(folder.path().join("no.wandb"), "this is no log").expect("writable");
    let (out, err, code) = run(&["verify", "--quiet", &root]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("not a W&B log") && err.contains("`wandb-offline recover`"), "{err}");
    assert!(out.starts_with("damaged  "), "the others are verified: {out}");
    assert_eq!(run(&["verify", &root, "--pattern", "a*"]).2, 2);
}

#[test]
fn scrub_writes_a_copy_and_shows_no_secret() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let options = wandb_offline::Writer::options().dir(folder.path()).project("p");
    let secret = "hunter2hunter2";
    let run_ = options.config([("password", secret)]).and_then(|options| options.create());
    let run_ = run_.expect("created");
    run_.finish().expect("finished");
    let log = run_.path().display().to_string();
    let (out, err, code) = run(&["scrub", "--dry-run", &log]);
    assert_eq!((code, err.as_str()), (3, ""), "{out}");
    assert!(out.contains("(no copy written)\n  1 secret: 1 password\n"), "{out}");
    let copy = folder.path().join("copy").display().to_string();
    let (out, err, code) = run(&["scrub", &log, "-o", &copy]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("changed: 1 record, 0 files") && !out.contains(secret), "{out}");
    let (out, _, code) = run(&["scrub", "--dry-run", "--json", &copy]);
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &report["found"]), (0, &0.into()));
    let (_, err, code) = run(&["scrub", &log, "-o", &copy]);
    assert!(code == 1 && err.contains("nothing is overwritten"), "{err}");
    assert_eq!(run(&["scrub", "--dry-run", "--allow", "password", &log]).2, 0);
}

#[test]
fn export_writes_tables_for_other_programs() {
    let (out, _, code) = run(&["export", "fixtures/wandb/0.31.0/minimal", "--keys", "loss"]);
    assert_eq!((code, out.as_str()), (0, "_step,loss\n0,1.5\n"));
    let (out, _, _) = run(&["export", "fixtures/wandb/0.31.0/minimal", "--format", "jsonl"]);
    let row: serde_json::Value = serde_json::from_str(&out).expect("one row");
    assert_eq!(row["loss"], 1.5);
}

#[test]
fn a_run_is_found_by_its_id() {
    let folder = tempfile::tempdir().expect("temporary directory");
    for (log, id) in [
        ("minimal/run-minimal1", "ab12"),
        ("edge/run-edge0001", "ab12x"),
        ("nan/run-naninf01", "ac99"),
    ] {
        let dir = folder.path().join(format!("wandb/offline-run-20260102_030405-{id}"));
        std::fs::create_dir_all(&dir).expect("writable");
        let to = dir.join(format!("run-{id}.wandb"));
        std::fs::copy(fixture(&format!("0.31.0/{log}.wandb")), to).expect("copies");
    }
    let run = |id: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
        let done = command.args(["info", id]).current_dir(folder.path()).output().expect("runs");
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    assert!(run("ac").0.contains("run-ac99.wandb"), "the beginning is enough");
    assert!(run("ab12").0.contains("run-ab12.wandb"), "a whole id is meant as such");
    assert!(run("ab").1.contains("several runs begin with it: ab12, ab12x"));
    assert!(run("zz").1.contains("no run in wandb has this id"));
}

#[test]
fn the_latest_run_is_meant_whatever_its_kind() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let place = |dir: &str, log: &str| {
        let dir = folder.path().join(dir);
        std::fs::create_dir(&dir).expect("writable");
        let to = dir.join(Path::new(log).file_name().expect("a name"));
        std::fs::copy(fixture(log), to).expect("copies");
    };
    place("run-20200101_000000-misc0001", "0.31.0/misc/run-misc0001.wandb");
    place("offline-run-20261124_053112-minimal1", "0.31.0/minimal/run-minimal1.wandb");
    let (out, _, code) = run(&["export", &folder.path().display().to_string(), "--keys", "loss"]);
    assert_eq!((code, out.as_str()), (0, "_step,loss\n0,1.5\n"));
}

#[cfg(unix)]
#[test]
fn pipes_neither_hang_a_listing_nor_lose_rows_where_a_log_is_read_twice() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let pipe = folder.path().join("x.wandb");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
    assert!(made.success());
    let (out, err, code) = run(&["ls", &folder.path().display().to_string()]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let (pipe, new) = (pipe.display().to_string(), folder.path().join("new").display().to_string());
    for verb in [
        &["export", &pipe][..],
        &["edit", &pipe, "-p", "other", "-o", &new],
        &["split", &pipe, "--at", "3", "-o", &new],
        &["scrub", &pipe, "-o", &new],
        &["to-tensorboard", &pipe, "-o", &new],
        &[
            "merge",
            &pipe,
            &fixture("0.31.0/minimal/run-minimal1.wandb").display().to_string(),
            "-o",
            &new,
        ],
    ] {
        let (out, err, code) = run(verb);
        assert!(code == 1 && err.contains("takes a regular file"), "{verb:?}: {out}{err}");
    }
}

#[test]
fn an_export_of_keys_that_no_row_has_fails() {
    let (_, err, code) = run(&["export", "fixtures/wandb/0.31.0/minimal", "--keys", "lss"]);
    assert_eq!(code, 1);
    assert!(err.contains("no row has the key \"lss\""), "{err}");
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_failure() {
    let log = fixture("0.31.0/killed/run-killed01.wandb");
    let mut child =
        command(&["cat", &log.display().to_string()]).stdout(Stdio::piped()).spawn().expect("runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("ends").success());
}

#[test]
fn what_a_terminal_would_obey_is_escaped_in_text_also_for_a_pipe() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let hostile = "a\x1b[31m\x07\u{9b}b\u{202e}c\nd\r";
    let writer = wandb_offline::Writer::options()
        .dir(folder.path())
        .name(hostile)
        .notes(hostile)
        .config([(hostile, hostile)])
        .expect("config")
        .create()
        .expect("a run");
    writer.log([(hostile, hostile)]).expect("a row");
    writer.summary_set("seen", hostile).expect("a summary");
    writer.finish().expect("ends");
    let log = writer.path().display().to_string();
    // The directory, too, is called what its owner likes.
    let odd = folder.path().join("odd\x1b[1m");
    std::fs::create_dir(&odd).expect("writable");
    let copy = odd.join("run-x.wandb");
    std::fs::copy(writer.path(), &copy).expect("copies");
    let mut bytes = std::fs::read(&copy).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&copy, bytes).expect("writable");
    let root = folder.path().display().to_string();
    let copy = copy.display().to_string();
    for args in [
        &["info", &log][..],
        &["ls", &root],
        &["tail", &log, &copy],
        &["cat", &copy],
        &["verify", &root],
        &["scrub", "--dry-run", &log],
        &["recover", "--dry-run", &copy],
        &["edit", "--dry-run", "--name", "x", &log],
        &["merge", "--plan", &root],
    ] {
        let (out, err, _) = run(args);
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        // Data is data: JSON escapes what it must, and the rest is as it was logged.
        let out = if args[0] == "cat" { String::new() } else { out };
        let raw: Vec<_> =
            [&out, &err].iter().flat_map(|text| text.chars()).filter(|c| obeyed(*c)).collect();
        assert!(raw.is_empty(), "{args:?}: {raw:?}\n{out:?}\n{err:?}");
        assert!(!(out + &err).is_empty(), "{args:?}");
    }
}

fn run(args: &[&str]) -> (String, String, i32) {
    let output = command(args).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.code().expect("an exit code"))
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args);
    command
}

/// The value with every number a float, as JSON readers see them.
fn floats(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => number.as_f64().into(),
        serde_json::Value::Array(items) => items.iter().map(floats).collect(),
        serde_json::Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), floats(value))).collect()
        }
        _ => value.clone(),
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb").join(name)
}

#[test]
fn to_tensorboard_makes_a_log_directory_and_says_what_it_left_out() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let logdir = folder.path().join("logs").display().to_string();
    let args = ["to-tensorboard", "fixtures/wandb/0.31.0/minimal", "-o", &logdir];
    let (out, err, code) = run(&args);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let carried = "1 scalar, 1 hyperparameter, 12 system metrics, from 1 row with 1 tag\n";
    assert!(out.contains(carried), "{out}");
    let (_, err, code) = run(&args);
    assert!(code == 1 && err.contains("nothing is overwritten"), "{err}");
    let args = ["to-tensorboard", "fixtures/wandb/0.31.0", "-o", &logdir, "--json"];
    let (out, _, code) = run(&args);
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let runs = report["runs"].as_array().expect("a list");
    let converted = runs.iter().filter(|run| run["status"] == "converted").count();
    assert_eq!((code, converted), (3, runs.len() - 1), "the one that is there fails");
    let (_, _, code) = run(&["to-tensorboard", "fixtures/wandb", "-o", &logdir, "--separator", ""]);
    assert_eq!(code, 2);
}
