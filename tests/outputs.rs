//! Where the verbs write: beside what they read, never into it, and under a name of its own until it is whole.

#[path = "support/written.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use wandb_offline::{edit, merge, recover, scrub, split};

/// Two segments of a run, in `root/wandb`.
fn segments() -> (tempfile::TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().unwrap();
    let segment = |first: u64| {
        let run = support::options(root.path()).id("r").group("job").create().unwrap();
        (first..first + 5).for_each(|step| run.log_at(step, [("loss", 1.0)]).unwrap());
        run.finish().unwrap();
        run.dir().to_owned()
    };
    let dirs = vec![segment(0), segment(5)];
    (root, dirs)
}

/// All files below, with their contents.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter();
    let files = entries.map(|entry| entry.unwrap().into_path()).filter(|path| path.is_file());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn no_verb_writes_into_a_run_directory_that_it_reads() {
    let (_root, dirs) = segments();
    let before = dirs.iter().map(|dir| contents(dir)).collect::<Vec<_>>();
    for (dir, below) in [(&dirs[0], "files/out"), (&dirs[1], "files/a/b"), (&dirs[1], "out")] {
        let output = dir.join(below);
        let options = merge::Options::default();
        let merged = merge::Plan::new(&dirs, &options).unwrap().write(&output).map(drop);
        let ranks = merge::Ranks::new(&dirs, "r{n}/", &options).unwrap().write(&output).map(drop);
        let to = Some(output.clone());
        let recovered = recover::recover(
            dir,
            &recover::Options { output: to.clone(), ..recover::Options::default() },
        );
        let log_alone = Some(output.with_extension("wandb"));
        let alone = recover::recover(
            dir,
            &recover::Options { output: log_alone.clone(), ..recover::Options::default() },
        );
        let scrubbed =
            scrub::scrub(dir, &scrub::Options { output: to, ..scrub::Options::default() });
        let scrubbed_alone =
            scrub::scrub(dir, &scrub::Options { output: log_alone, ..scrub::Options::default() });
        let edited = edit::edit(dir, &output, &edit::Options::default());
        let dry = edit::Options { dry_run: true, ..edit::Options::default() };
        let edited_dry = edit::edit(dir, &output, &dry);
        let at = if dir == &dirs[0] { 2 } else { 7 };
        let parted =
            split::split(dir, &output, &split::Options { at, ..split::Options::default() });
        let errors = [
            ("merge", merged.err()),
            ("ranks", ranks.err()),
            ("recover", recovered.err()),
            ("recover alone", alone.err()),
            ("scrub", scrubbed.err()),
            ("scrub alone", scrubbed_alone.err()),
            ("edit", edited.err()),
            ("edit, dry", edited_dry.err()),
            ("split", parted.err()),
        ];
        for (verb, error) in errors {
            let error = error.unwrap_or_else(|| panic!("{verb} to {below}")).to_string();
            assert!(error.contains("would stand within the input"), "{verb}: {error}");
        }
    }
    let after = dirs.iter().map(|dir| contents(dir)).collect::<Vec<_>>();
    assert!(before == after, "nothing was made there");
}

#[test]
fn event_files_are_not_merged_into_a_log_directory_that_is_read() {
    let root = tempfile::tempdir().unwrap();
    let dirs = ["a", "b"].map(|name| root.path().join(name));
    for (step, dir) in dirs.iter().enumerate() {
        let mut writer = wandb_offline::tfevents::SummaryWriter::create(dir).unwrap();
        writer.scalar("loss", step as i64, 1.0).unwrap();
        writer.finish().unwrap();
    }
    let plan = merge::EventPlan::new(&dirs, &merge::Options::default()).unwrap();
    let error = plan.write(dirs[1].join("c")).unwrap_err().to_string();
    assert!(error.contains("would stand within the input"), "{error}");
    plan.write(root.path().join("c")).unwrap();
}

#[cfg(all(unix, feature = "cli"))]
#[test]
fn what_a_killed_recovery_leaves_is_no_run_and_in_nobodys_way() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("offline-run-20260102_030405-r");
    fs::create_dir_all(dir.join("files")).unwrap();
    // The log is a pipe that never ends, so the program waits in the middle of its work.
    let pipe = dir.join("run-r.wandb");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut child = Command::new(env!("CARGO_BIN_EXE_wandb-offline"))
        .arg("recover")
        .arg(&pipe)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let bytes = fs::read(fixture()).unwrap();
    let mut writer = fs::File::options().write(true).open(&pipe).unwrap();
    writer.write_all(&bytes[..60_000]).unwrap();
    let unfinished = || {
        let entries = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut hidden = entries
            .filter(|path| path.file_name().unwrap().as_encoded_bytes().starts_with(b".tmp-"));
        hidden.next().filter(|dir| dir.join("log.part").exists())
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let left = loop {
        if let Some(left) = unfinished() {
            break left;
        }
        assert!(Instant::now() < deadline, "the output is begun");
        std::thread::sleep(Duration::from_millis(5));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    drop(writer);
    assert!(left.is_dir(), "it was killed");
    assert_eq!(contents(&left).len(), 1, "no log, but what is to become one");

    fs::remove_file(&pipe).unwrap();
    fs::write(&pipe, bytes).unwrap();
    assert_eq!(wandb_offline::log::find(root.path()).0.len(), 1, "what is left is no run");
    let report = recover::recover(&dir, &recover::Options::default()).unwrap();
    assert!(report.output.join("run-r.wandb").is_file());
    assert!(left.is_dir(), "and might be another process's");
}

#[cfg(all(unix, feature = "cli"))]
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb/0.31.0/killed/run-killed01.wandb")
}
