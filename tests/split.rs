//! Runs, split and read back, and merged again.

#[path = "support/written.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use support::{full_summary, options, records, rows, summary, values};
use wandb_offline::json::Value;
use wandb_offline::merge::{self, Plan};
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::rewrite::Template;
use wandb_offline::run::{self, RunState};
use wandb_offline::split::{Options, SplitReport, split};
use wandb_offline::writer::SummaryKind::{Max, Min};

fn at(at: i64) -> Options {
    Options { at, ..Options::default() }
}

fn log(run: &Path) -> PathBuf {
    wandb_offline::log::locate(run).unwrap().path
}

fn load(run: &Path) -> RunState {
    run::load(log(run), false).unwrap().0
}

/// A run of ten rows, whose program says things before and after the fifth.
fn ten_rows(dir: &Path) -> PathBuf {
    let run = options(dir).id("r").project("p").create().unwrap();
    run.define_metric("loss").summary([Min, Max]).apply().unwrap();
    run.config_update([("early", 1.0)]).unwrap();
    for step in 0..10u32 {
        run.log([("loss", f64::from(step)), ("acc", 0.5)]).unwrap();
        if step == 2 {
            run.summary_set("best", 0.25).unwrap();
        }
        if step == 7 {
            run.config_update([("late", 2.0)]).unwrap();
            run.summary_set("best", 0.75).unwrap();
        }
    }
    run.finish().unwrap();
    run.dir().to_owned()
}

/// A run of the fixtures, with a file for each that its records list.
fn fixture(dir: &Path, name: &str) -> PathBuf {
    let run = dir.join("offline-run-20260102_030405-x");
    fs::create_dir(&run).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb").join(name);
    let from = log(&from);
    let to = run.join(from.file_name().unwrap());
    fs::copy(from, &to).unwrap();
    for file in run::load(&to, true).unwrap().0.files().iter() {
        let path = run.join("files").join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.path).unwrap();
    }
    run
}

#[test]
fn rows_go_by_their_step_and_each_run_has_a_summary_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let run = ten_rows(dir.path());
    let before = fs::read(log(&run)).unwrap();
    let report = split(&run, dir.path().join("out"), &at(5)).unwrap();
    assert_eq!(fs::read(log(&run)).unwrap(), before, "the input is not changed");
    let [first, second] = &report.parts;
    assert_eq!((first.run_id.as_str(), first.first_step, first.last_step), ("r", Some(0), Some(4)));
    assert_eq!((second.run_id.as_str(), second.rows), ("r-from5", 5));
    let logs = [first, second].map(|part| log(&part.directory));
    let losses =
        logs.each_ref().map(|log| rows(log).into_iter().map(|(step, _)| step).collect::<Vec<_>>());
    assert_eq!(losses, [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]);
    let common = [("acc", "0.5")];
    let with = |more: [(&str, &str); 3]| {
        let mut all = values(more);
        all.extend(values(common));
        all
    };
    assert_eq!(
        summary(&logs[0]),
        with([("loss>min", "0.0"), ("loss>max", "4.0"), ("best", "0.25")])
    );
    assert_eq!(
        summary(&logs[1]),
        with([("loss>min", "5.0"), ("loss>max", "9.0"), ("best", "0.75")])
    );
    assert_eq!(full_summary(&logs[0])["_step"], "4");
}

#[test]
fn both_are_runs_with_config_definitions_and_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let run = ten_rows(dir.path());
    let options = Options {
        second_id: Some(Template::new("id", "{id}b").unwrap()),
        first_name: Some(Template::new("name", "warm up of {id}").unwrap()),
        second_name: Some(Template::new("name", "{project}").unwrap()),
        ..at(5)
    };
    let report = split(&run, dir.path().join("out"), &options).unwrap();
    let [first, second] = report.parts.each_ref().map(|part| load(&part.directory));
    assert_eq!((first.info().run_id(), first.info().name()), ("r", "warm up of r"));
    assert_eq!((second.info().run_id(), second.info().name()), ("rb", "p"));
    assert_eq!(first.config().to_string(), r#"{"early":1.0}"#);
    assert_eq!(second.config().to_string(), r#"{"early":1.0,"late":2.0}"#);
    for state in [&first, &second] {
        assert!(state.metrics().definition_for("loss").is_some());
        assert!(state.info().environment().is_some());
        assert_eq!(state.exit().map(|exit| exit.code), Some(0));
    }
    let start = |state: &RunState| {
        let time = state.info().start_time().unwrap();
        (time.seconds, time.nanos)
    };
    assert!(start(&first) < start(&second), "the second starts later");
    for part in &report.parts {
        let records = records(&log(&part.directory));
        assert!(matches!(records.last(), Some(RecordType::Exit(_))));
        assert_eq!(records.len() as u64, part.records.records());
    }
}

#[test]
fn media_go_with_the_rows_that_name_them_and_console_and_stats_are_not_lost() {
    for name in ["0.31.0/media", "0.31.0/basic", "0.12.21/basic", "0.19.11/basic"] {
        let dir = tempfile::tempdir().unwrap();
        let run = fixture(dir.path(), name);
        let whole = load(&run);
        let cut = whole.history().last_step().unwrap() / 2;
        let report = split(&run, dir.path().join("out"), &at(cut.max(1))).unwrap();
        let mut counts = [(0, 0); 3];
        for (state, part) in report.parts.iter().map(|part| (load(&part.directory), part)) {
            let files = part.directory.join("files");
            for file in state.files().iter() {
                let is_rendering = ["output.log", "wandb-summary.json", "config.yaml"];
                let there = files.join(&file.path).is_file();
                assert!(
                    there || is_rendering.contains(&file.path.as_str()),
                    "{name}: {}",
                    file.path
                );
            }
            for (path, count) in named_media(&log(&part.directory)) {
                assert!(count > 0 && files.join(&path).is_file(), "{name}: {path}");
            }
            use wandb_offline::record::RecordKind::{History, OutputRaw, Stats};
            for (total, kind) in counts.iter_mut().zip([OutputRaw, Stats, History]) {
                *total = (total.0 + state.records(kind), whole.records(kind));
            }
        }
        assert!(counts.iter().all(|(parts, whole)| parts == whole), "{name}: {counts:?}");
    }
}

/// The files that rows name by `path`.
fn named_media(log: &Path) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for record in records_or_none(log) {
        let Some(RecordType::History(row)) = record else { continue };
        for item in
            row.item.iter().filter(|item| item.nested_key.last().is_some_and(|key| key == "path"))
        {
            let path = item.value_json.trim_matches('"');
            if path.starts_with("media/") {
                found.push((path.to_owned(), 1));
            }
        }
    }
    found
}

fn records_or_none(log: &Path) -> Vec<Option<RecordType>> {
    let mut reader = wandb_offline::Reader::open(log).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record.decode().unwrap().record_type);
    }
    records
}

#[test]
fn merging_what_was_split_gives_the_run_there_was() {
    for name in [
        "written",
        "0.31.0/media",
        "0.31.0/basic",
        "0.31.0/define_metric",
        "0.19.11/basic",
        "0.12.21/basic",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let run = match name {
            "written" => ten_rows(dir.path()),
            name => fixture(dir.path(), name),
        };
        let whole = load(&run);
        let cut = whole.history().last_step().unwrap() / 2 + 1;
        let out = dir.path().join("out");
        split(&run, &out, &at(cut)).unwrap();
        let id = whole.info().run_id().to_owned();
        let merge = merge::Options { new_id: Some(id), ..merge::Options::default() };
        let plan = Plan::new(&[&out], &merge).unwrap();
        assert!(
            plan.segments
                .iter()
                .all(|segment| segment.offset == 0 && segment.runtime_offset == 0.0)
        );
        let merged = load(&plan.write(dir.path().join("merged")).unwrap().directory);
        assert_same(name, &whole, &merged);
        let rows = |run: &Path| -> Vec<_> {
            let rows = records_or_none(&log(run)).into_iter();
            rows.filter(|record| matches!(record, Some(RecordType::History(_)))).collect()
        };
        assert_eq!(rows(&run), rows(&dir.path().join("merged")), "{name}: rows");
    }
}

fn assert_same(name: &str, a: &RunState, b: &RunState) {
    let info = |state: &RunState| {
        let info = state.info();
        (
            info.run_id().to_owned(),
            info.name().to_owned(),
            info.project().to_owned(),
            info.start_time(),
        )
    };
    assert_eq!(info(a), info(b), "{name}");
    let mut config = b.config().clone();
    if let Value::Object(members) = &mut config {
        assert!(members.remove("_wandb_offline").is_some(), "{name}: where it came from");
    }
    assert_eq!(*a.config(), config, "{name}: config");
    assert_eq!(a.exit().map(|exit| exit.code), b.exit().map(|exit| exit.code), "{name}: exit");
    let files = |state: &RunState| {
        let mut files: Vec<_> = state.files().iter().map(|file| file.path.clone()).collect();
        files.sort();
        files
    };
    assert_eq!(files(a), files(b), "{name}: files");
    let lines = |state: &RunState| {
        state.console().lines().map(|line| line.text().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lines(a), lines(b), "{name}: console");
    assert_eq!(a.stats().records(), b.stats().records(), "{name}: system metrics");
    let metrics = |state: &RunState| state.metrics().iter().cloned().collect::<Vec<_>>();
    assert_eq!(metrics(a), metrics(b), "{name}: definitions");
    let summary = |state: &RunState| {
        let mut summary = state.summary();
        if let Value::Object(members) = &mut summary {
            // Merging takes it from the last row, where clients have whole seconds.
            members.remove("_runtime");
        }
        summary.to_string().replace(".0", "")
    };
    assert_eq!(summary(a), summary(b), "{name}: summary");
}

#[test]
fn a_step_that_leaves_a_run_without_rows_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = ten_rows(dir.path());
    for step in [-3, 0, 10] {
        let error = split(&run, dir.path().join("out"), &at(step)).unwrap_err().to_string();
        assert!(error.starts_with("at: the run has steps 0 to 9;"), "{error}");
    }
    let same = Options { second_id: Some(Template::new("id", "{id}").unwrap()), ..at(5) };
    let error = split(&run, dir.path().join("out"), &same).unwrap_err().to_string();
    assert!(error.starts_with("id: \"r\" is the first run's id"), "{error}");
    assert!(!dir.path().join("out").exists());
}

#[test]
fn a_dry_run_says_what_a_split_does_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = ten_rows(dir.path());
    let out = dir.path().join("out");
    let split = |dry_run| split(&run, &out, &Options { dry_run, ..at(3) });
    let planned: SplitReport = split(true).unwrap();
    assert!(!planned.written && !out.exists());
    let done = split(false).unwrap();
    let shown = |report: &SplitReport| format!("{:?}", report.parts);
    assert_eq!(shown(&planned), shown(&done));
    assert!(split(true).unwrap_err().to_string().contains("exists already"));
    assert!(split(false).unwrap_err().to_string().contains("exists already"));
}

#[cfg(feature = "cli")]
#[test]
fn the_program_says_where_both_are() {
    let dir = tempfile::tempdir().unwrap();
    ten_rows(dir.path());
    let run = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
        let output = command.args(args).current_dir(dir.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code())
    };
    let (out, _, code) = run(&["split", "wandb", "--at", "5", "-o", "out"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("  5 rows of steps 0 to 4, 0 files, "), "{out}");
    assert!(out.contains("-r-from5\n  5 rows of steps 5 to 9, "), "{out}");
    let (_, err, code) = run(&["split", "wandb", "--at", "0", "-o", "out2"]);
    assert!(code == Some(2) && err.contains("at: the run has steps 0 to 9"), "{err}");
    let (json, _, _) = run(&["split", "wandb", "--at", "4", "-o", "out3", "--json", "--dry-run"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["written"], &json["parts"][1]["rows"]), (&false.into(), &6.into()));
}
