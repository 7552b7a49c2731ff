//! What the programs say in their help, and when they cannot do what they are asked to.
#![cfg(feature = "cli")]

use std::path::Path;
use std::process::{Command, Stdio};

const RUNS: &str = "fixtures/wandb/0.31.0";
const EVENTS: &str = "fixtures/tensorboard/tf2/multi_run/train";

#[test]
fn what_makes_another_run_of_one_takes_none_of_several() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().display().to_string();
    for args in [
        &["scrub", "--dry-run", RUNS][..],
        &["recover", "--dry-run", RUNS],
        &["split", "--at", "1", "-o", &out, RUNS],
    ] {
        let (stdout, stderr, code) = wandb_offline(args);
        assert_eq!((code, stdout.as_str()), (1, ""), "{args:?}");
        assert!(stderr.contains(" runs are here; name one of them, such as fixtures/"), "{stderr}");
    }
    let (_, stderr, code) = wandb_offline(&["scrub", "--dry-run", "fixtures/wandb/0.31.0/minimal"]);
    assert_eq!(code, 0, "one run is taken: {stderr}");
}

#[test]
fn help_says_what_there_is() {
    let (help, _, _) = wandb_offline(&["merge", "--help"]);
    assert!(help.contains("--rank-prefix <rank{n}/>"), "{help}");
    assert!(help.contains("--dry-run"), "{help}");
    for command in ["merge", "edit"] {
        let (help, _, _) = wandb_offline(&[command, "--help"]);
        assert!(help.contains(&format!("\nExamples:\n  wandb-offline {command} ")), "{help}");
    }
    let (help, _, _) = wandb_offline(&["scrub", "--help"]);
    assert!(help.contains("private keys"), "{help}");
    let (help, _, _) = wandb_offline(&["--help"]);
    assert!(help.contains("upload") && help.contains("sync"), "{help}");
}

#[test]
fn a_plan_is_a_dry_run() {
    let segments = "fixtures/segments/0.31.0";
    let plan = wandb_offline(&["merge", "--plan", segments]);
    assert_eq!(wandb_offline(&["merge", "--dry-run", segments]), plan);
    assert!(plan.0.starts_with("run resume01: 2 segments"), "{plan:?}");
}

#[cfg(not(feature = "sync"))]
#[test]
fn a_program_without_uploading_says_so() {
    for args in [&["sync"][..], &["sync", "wandb", "--live"], &["sync", "--help"]] {
        let (_, stderr, code) = wandb_offline(args);
        let said = "this program was built without uploading; build it with --features cli,sync";
        assert_eq!((code, stderr), (1, format!("wandb-offline: {said}\n")));
    }
}

#[cfg(feature = "sync")]
#[test]
fn help_of_sync_says_where_server_key_and_ledger_are() {
    let (help, _, _) = wandb_offline(&["sync", "--help"]);
    for word in [
        "WANDB_API_KEY",
        "WANDB_BASE_URL",
        "netrc",
        "ledger",
        "https://api.forge.coreweave.com",
        "--to <DIR>",
        "sync --from /",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[cfg(feature = "sync")]
#[test]
fn options_of_sync_that_would_do_nothing_are_refused_with_those_they_need() {
    for (args, said) in [
        (&["--pace", "3"][..], "<--live|--watch>"),
        (&["--give-up-after", "3"], "<--live|--watch>"),
        (&["--look-every", "3"], "--watch"),
        (&["--look-every", "3", "--live"], "--watch"),
        (&["--to", "a", "--from", "b"], "'--from <DIR>'"),
        (&["--to", "a", "--live"], "'--live'"),
        (&["--from", "a", "--watch"], "'--watch'"),
        (&["--from", "a", "wandb"], "'[PATHS]...'"),
        (&["--from", "a", "--staging", "b"], "'--staging <DIR>'"),
    ] {
        let (_, stderr, code) = wandb_offline(&[&["sync"], args].concat());
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
}

#[cfg(feature = "sync")]
#[test]
fn a_dry_run_of_sync_needs_no_key_and_names_what_the_server_chooses() {
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("offline-run-20260102_030405-minimal1");
    std::fs::create_dir(&run).unwrap();
    let log = run.join("run-minimal1.wandb");
    std::fs::copy("fixtures/wandb/0.31.0/minimal/run-minimal1.wandb", &log).unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_wandb-offline"), &["sync", "--dry-run"]);
    let output = command.arg(&run).env_clear().env("HOME", home.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let to = format!("would be synced: {} -> (default entity)/", log.display());
    let to_end = "/minimal1 at https://api.forge.coreweave.com\n";
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.starts_with(&to) && stdout.ends_with(to_end), "{stdout}");
}

#[test]
fn a_file_of_the_other_format_is_told_with_the_program_for_it() {
    let events = std::fs::read_dir(EVENTS).unwrap().next().unwrap().unwrap().path();
    let events = events.display().to_string();
    let said = format!(
        "wandb-offline: a TensorBoard event file, no W&B log; tb2wandb makes a run of it: {events}\n"
    );
    for command in ["info", "cat", "export", "scrub"] {
        let (_, stderr, code) = wandb_offline(&[command, &events]);
        assert_eq!((code, stderr.as_str()), (1, said.as_str()), "{command}");
    }
    let out = tempfile::tempdir().unwrap();
    let out = out.path().display().to_string();
    let (_, stderr, code) = wandb_offline(&["to-tensorboard", &events, "-o", &out]);
    assert_eq!((code, stderr), (1, said));

    let log = "fixtures/wandb/0.31.0/minimal/run-minimal1.wandb";
    let (_, stderr, code) = run(env!("CARGO_BIN_EXE_tb2wandb"), &[log, "-o", &out]);
    assert_eq!(code, 1);
    let said = format!("a W&B log, which `wandb-offline to-tensorboard` converts: {log}");
    assert!(stderr.contains(&said), "{stderr}");
}

#[test]
fn a_path_that_is_not_there_is_told_in_few_words() {
    let path = "no/such/run";
    for args in [
        &["ls", path][..],
        &["info", path],
        &["cat", path],
        &["export", path],
        &["tail", path],
        &["verify", path],
        &["recover", path],
        &["scrub", path],
        &["edit", path, "-o", "unused"],
        &["merge", path, "-o", "unused"],
        &["split", path, "--at", "1", "-o", "unused"],
    ] {
        let (_, stderr, code) = wandb_offline(args);
        assert_eq!(stderr, "wandb-offline: no such path: no/such/run\n", "{args:?}");
        assert_eq!(code, 1, "{args:?}");
    }
}

#[test]
fn options_are_called_as_they_are_written() {
    let out = tempfile::tempdir().unwrap();
    let out = out.path().display().to_string();
    let minimal = "fixtures/wandb/0.31.0/minimal";
    for (args, option) in [
        (&["split", minimal, "--at", "0", "-o", &out][..], "--at: "),
        (&["to-tensorboard", minimal, "-o", &out, "--separator", ""], "--separator: "),
        (&["edit", minimal, "-o", &out, "--project", ""], "--project: "),
        (&["edit", minimal, "-o", &out, "--drop-where", "loss >"], "--drop-where: "),
        (&["scrub", minimal, "--dry-run", "--pattern", "*"], "--pattern: "),
    ] {
        let (_, stderr, code) = wandb_offline(args);
        assert!(stderr.starts_with(&format!("wandb-offline: {option}")), "{stderr}");
        assert_eq!(code, 2, "{args:?}");
    }
}

#[test]
fn keys_that_nothing_has_are_told() {
    let minimal = "fixtures/wandb/0.31.0/minimal";
    for (args, said) in [
        (["cat", minimal, "--keys", "lss"], "no record has a key of --keys lss"),
        (["tail", minimal, "--keys", "lss*"], "no row has a key that fits --keys lss*"),
    ] {
        let (stdout, stderr, code) = wandb_offline(&args);
        assert_eq!((code, stdout.as_str()), (1, ""));
        assert!(stderr.contains(said), "{stderr}");
    }
}

#[test]
fn a_log_without_a_record_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("x.wandb");
    let whole = std::fs::read("fixtures/wandb/0.31.0/minimal/run-minimal1.wandb").unwrap();
    for header in [&[][..], &whole[..7]] {
        std::fs::write(&log, header).unwrap();
        let path = log.display().to_string();
        for args in [&["cat", &path][..], &["info", &path], &["scrub", &path, "--dry-run"]] {
            let (_, stderr, code) = wandb_offline(args);
            assert!(stderr.ends_with(&format!("no record here: {path}\n")), "{args:?}: {stderr}");
            assert_eq!(code, 3, "{args:?}");
        }
    }
}

#[test]
fn tail_says_what_it_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("x.wandb").display().to_string();
    let mut command = command(env!("CARGO_BIN_EXE_wandb-offline"), &["tail", "-f", &log]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line, format!("wandb-offline: no such path yet, waiting: {log}\n"));
}

#[test]
fn a_recovered_event_file_is_said_to_be_a_second_run_for_tensorboard() {
    let dir = tempfile::tempdir().unwrap();
    let train = dir.path().join("train");
    std::fs::create_dir(&train).unwrap();
    let events = std::fs::read_dir(EVENTS).unwrap().next().unwrap().unwrap();
    let file = train.join(events.file_name());
    std::fs::copy(events.path(), &file).unwrap();
    let (_, stderr, code) = wandb_offline(&["recover", &file.display().to_string()]);
    assert_eq!(code, 0);
    assert!(
        stderr.contains("this is a second run") && stderr.contains("train-recovered"),
        "{stderr}"
    );
    assert!(Path::new(&dir.path().join("train-recovered")).is_dir());
}

fn wandb_offline(args: &[&str]) -> (String, String, i32) {
    run(env!("CARGO_BIN_EXE_wandb-offline"), args)
}

fn run(program: &str, args: &[&str]) -> (String, String, i32) {
    let output = command(program, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args);
    command
}
