//! Segments of a run, merged and read back.

#[path = "support/written.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use support::{all_rows, full_summary, options, records, rows};
use wandb_offline::Writer;
use wandb_offline::json::Value;
use wandb_offline::merge::{MergeReport, Options, Overlap, Plan, Ranks, Steps};
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::record::RecordKind;
use wandb_offline::run::{self, RunState};
use wandb_offline::writer::SummaryKind::{Max, Mean, Min};

/// A directory of runs with segments of the run `r`.
struct Segments {
    dir: tempfile::TempDir,
}

impl Segments {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Adds a segment, which starts after those before it.
    fn add(&self, write: impl FnOnce(&Writer)) -> PathBuf {
        let run = options(self.dir.path()).id("r").create().unwrap();
        write(&run);
        run.finish().unwrap();
        run.dir().to_owned()
    }

    /// Adds a segment with a row for each of these steps; `loss` says which attempt it is.
    fn attempt(&self, steps: std::ops::RangeInclusive<u64>, loss: f64) -> PathBuf {
        self.add(|run| steps.for_each(|step| run.log_at(step, [("loss", loss)]).unwrap()))
    }

    fn plan(&self, options: &Options) -> Plan {
        Plan::new(&[self.dir.path().join("wandb")], options).unwrap()
    }

    fn merge(&self, options: &Options) -> (MergeReport, Merged) {
        let output = self.dir.path().join("merged");
        let report = self.plan(options).write(&output).unwrap();
        (report, Merged { log: output.join("run-r.wandb") })
    }
}

struct Merged {
    log: PathBuf,
}

impl Merged {
    fn state(&self) -> RunState {
        run::load(&self.log, false).unwrap().0
    }

    /// Steps and losses, run together: `0-200:1` is loss 1 at steps 0 to 200.
    fn losses(&self) -> Vec<String> {
        let mut spans: Vec<(i64, i64, String)> = Vec::new();
        for (step, row) in rows(&self.log) {
            let loss = row["loss"].trim_end_matches(".0").to_owned();
            match spans.last_mut() {
                Some((_, last, of)) if *last + 1 == step && *of == loss => *last = step,
                _ => spans.push((step, step, loss)),
            }
        }
        spans.into_iter().map(|(first, last, loss)| format!("{first}-{last}:{loss}")).collect()
    }
}

#[test]
fn of_overlapping_attempts_each_step_is_there_once() {
    for (second, want) in [
        (201..=300, vec!["0-200:1", "201-300:2", "301-400:3"]),
        (201..=205, vec!["0-200:1", "201-205:2", "206-212:1", "301-400:3"]),
    ] {
        let segments = Segments::new();
        segments.attempt(0..=212, 1.0);
        segments.attempt(second, 2.0);
        segments.attempt(301..=400, 3.0);
        let (report, merged) = segments.merge(&Options::default());
        assert_eq!(merged.losses(), want);
        assert_eq!(report.rows as usize, rows(&merged.log).len());
    }
}

#[test]
fn the_oldest_can_win_or_each_segment_end_at_a_given_step() {
    for (overlap, want) in [
        (Overlap::Oldest, ["0-212:1", "213-300:2"]),
        (Overlap::Cut(vec![208]), ["0-207:1", "208-300:2"]),
    ] {
        let segments = Segments::new();
        segments.attempt(0..=212, 1.0);
        segments.attempt(201..=300, 2.0);
        let (report, merged) = segments.merge(&Options { overlap, ..Options::default() });
        assert_eq!(merged.losses(), want);
        assert_eq!(report.rows, 301);
        assert_eq!(report.rows_left_out.iter().sum::<u64>(), 12);
    }
}

#[test]
fn segments_that_count_from_zero_follow_each_other_in_step_and_runtime() {
    let segments = Segments::new();
    for loss in [1.0, 2.0, 3.0] {
        segments.attempt(0..=9, loss);
    }
    let (_, merged) = segments.merge(&Options::default());
    assert_eq!(merged.losses(), ["0-9:1", "10-19:2", "20-29:3"]);
    let rows = all_rows(&merged.log);
    let runtimes: Vec<f64> = rows.iter().map(|(_, row)| row["_runtime"].parse().unwrap()).collect();
    assert!(runtimes.is_sorted(), "{runtimes:?}");
    assert!(rows.iter().all(|(step, row)| row["_step"] == step.to_string()));
    let exit = merged.state().exit().unwrap();
    assert_eq!((exit.code, exit.runtime), (0, *runtimes.last().unwrap() as i32));
}

#[test]
fn where_wandb_sync_placed_a_segment_is_where_it_goes() {
    let segments = Segments::new();
    segments.attempt(0..=9, 1.0);
    let second = segments.attempt(0..=9, 2.0);
    fs::write(second.join("run-r.wandb.syncstate"), r#"{"starting_step":100}"#).unwrap();
    let (_, merged) = segments.merge(&Options::default());
    assert_eq!(merged.losses(), ["0-9:1", "100-109:2"]);
}

#[test]
fn where_a_compressed_segment_was_placed_stands_under_the_name_of_the_plain_one() {
    let segments = Segments::new();
    segments.attempt(0..=9, 1.0);
    let second = segments.attempt(0..=9, 2.0);
    fs::write(second.join("run-r.wandb.syncstate"), r#"{"starting_step":100}"#).unwrap();
    let log = second.join("run-r.wandb");
    let packed = fs::File::create(second.join("run-r.wandb.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    packed.write_all(&fs::read(&log).unwrap()).unwrap();
    packed.finish().unwrap();
    fs::remove_file(log).unwrap();
    let (_, merged) = segments.merge(&Options::default());
    assert_eq!(merged.losses(), ["0-9:1", "100-109:2"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_where_the_place_would_stand_is_not_waited_for() {
    let segments = Segments::new();
    segments.attempt(0..=9, 1.0);
    let pipe = segments.attempt(0..=9, 2.0).join("run-r.wandb.syncstate");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (_, merged) = segments.merge(&Options::default());
    assert_eq!(merged.losses(), ["0-9:1", "10-19:2"]);
}

#[test]
fn recorded_steps_are_left_alone_on_request() {
    let segments = Segments::new();
    segments.attempt(0..=9, 1.0);
    segments.attempt(0..=4, 2.0);
    let (report, merged) =
        segments.merge(&Options { steps: Steps::Recorded, ..Options::default() });
    assert_eq!(merged.losses(), ["0-4:2", "5-9:1"]);
    assert_eq!(report.rows_left_out, [5, 0]);
}

#[test]
fn every_release_that_resumed_a_run_leaves_segments_that_merge() {
    for release in ["0.12.21", "0.19.11", "0.31.0"] {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new("fixtures/segments").join(release);
        let plan = Plan::new(&[&source], &Options::default()).unwrap();
        let report = plan.write(dir.path().join("merged")).unwrap();
        let merged = Merged { log: report.directory.join("run-resume01.wandb") };
        assert_eq!(
            merged.losses(),
            ["0-0:0", "1-1:1", "2-2:2", "3-3:10", "4-4:11", "5-5:12"],
            "{release}"
        );
        let state = merged.state();
        assert_eq!(state.summary().get("loss").and_then(Value::as_f64), Some(12.0), "{release}");
        assert_eq!(state.summary().get("_step").and_then(Value::as_i64), Some(5), "{release}");
        assert_eq!(state.config().get("part"), Some(&Value::Int(0)), "{release}");
        assert_eq!(state.exit().map(|exit| exit.code), Some(0), "{release}");
        assert!(report.directory.join("files/requirements.txt").is_file(), "{release}");
        let kinds: Vec<_> = records(&merged.log).into_iter().collect();
        let exits = kinds.iter().filter(|kind| matches!(kind, RecordType::Exit(_))).count();
        assert_eq!(exits, 1, "{release}");
    }
}

#[test]
fn records_that_are_only_moved_keep_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let segments = ["fixtures/segments/0.31.0"];
    let plan = Plan::new(&segments, &Options::default()).unwrap();
    let report = plan.write(dir.path().join("merged")).unwrap();
    let payloads = |log: &Path| {
        let mut reader = wandb_offline::Reader::open(log).unwrap();
        let mut payloads = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            // The number, of one byte in logs as short as these, stands in front.
            payloads.push((record.kind().unwrap().unwrap(), record.payload[2..].to_vec()));
        }
        payloads
    };
    let merged = payloads(&report.directory.join("run-resume01.wandb"));
    let made_anew = [
        RecordKind::Header,
        RecordKind::Run,
        RecordKind::Telemetry,
        RecordKind::Summary,
        RecordKind::Exit,
    ];
    for (number, segment) in plan.segments.iter().enumerate() {
        let mut moved = payloads(&segment.log);
        moved.retain(|(kind, _)| !made_anew.contains(kind));
        // The environment is that of the newest.
        let is_newest = number + 1 == plan.segments.len();
        moved.retain(|(kind, _)| is_newest || *kind != RecordKind::Environment);
        // The rows of the second segment are shifted.
        moved.retain(|(kind, _)| number == 0 || *kind != RecordKind::History);
        assert!(moved.len() >= 3);
        assert!(moved.iter().all(|record| merged.contains(record)));
    }
}

#[test]
fn the_summary_is_that_of_one_process() {
    let define = |run: &Writer| run.define_metric("acc").summary([Min, Max, Mean]).apply().unwrap();
    let whole = Segments::new();
    let whole = whole.add(|run| {
        define(run);
        for acc in [0.5, 0.1, 0.9, 0.3] {
            run.log([("acc", acc)]).unwrap();
        }
    });
    let parts = Segments::new();
    parts.add(|run| {
        define(run);
        run.log([("acc", 0.5)]).unwrap();
        run.log([("acc", 0.1)]).unwrap();
        run.summary_set("mine", "first").unwrap();
        run.summary_set("acc2", 1).unwrap();
    });
    parts.add(|run| {
        define(run);
        run.log([("acc", 0.9)]).unwrap();
        run.log([("acc", 0.3)]).unwrap();
        run.summary_set("mine", "second").unwrap();
    });
    let (_, merged) = parts.merge(&Options::default());
    let (got, want) = (merged.state().summary(), run::load(whole.join("run-r.wandb"), false));
    assert_eq!(got.get("acc"), want.unwrap().0.summary().get("acc"));
    assert_eq!(got.get("mine").and_then(Value::as_str), Some("second"));
    assert_eq!(got.get("acc2"), Some(&Value::Int(1)));
    let definitions = records(&merged.log);
    let definitions = definitions.iter().filter(|kind| matches!(kind, RecordType::Metric(_)));
    assert_eq!(definitions.count(), 1, "what was defined twice is defined once");
}

#[test]
fn values_of_rows_that_are_left_out_are_not_in_the_summary() {
    let segments = Segments::new();
    segments.attempt(0..=212, 1.0);
    segments.attempt(201..=205, 2.0);
    let overlap = Overlap::Cut(vec![201]);
    let (_, merged) = segments.merge(&Options { overlap, ..Options::default() });
    let summary = full_summary(&merged.log);
    assert_eq!((summary["loss"].as_str(), summary["_step"].as_str()), ("2.0", "205"));
}

#[test]
fn config_tags_and_names_of_all_segments_are_joined_and_conflicts_told() {
    let segments = Segments::new();
    let write = |name: &str, tags: &[&str], lr: f64, own: &str| {
        let run = options(segments.dir.path())
            .id("r")
            .name(name)
            .tags(tags.iter().copied())
            .config([("lr", lr), (own, 1.0)])
            .unwrap();
        let run = run.create().unwrap();
        run.log([("loss", 1)]).unwrap();
        run.finish().unwrap();
    };
    write("first", &["a", "b"], 0.1, "x");
    write("second", &["b", "c"], 0.2, "y");
    let (report, merged) = segments.merge(&Options::default());
    let state = merged.state();
    assert_eq!((state.info().name(), state.info().tags().join(",")), ("second", "a,b,c".into()));
    let value = |key: &str| state.config().get(key).and_then(Value::as_f64);
    assert_eq!((value("lr"), value("x"), value("y")), (Some(0.2), Some(1.0), Some(1.0)));
    let conflicts: Vec<_> = report.config_conflicts.iter().map(|of| of.key.as_str()).collect();
    assert_eq!(conflicts, ["lr"]);
    let lineage = state.config().at(["_wandb_offline", "segments"]).cloned();
    let lineage = lineage.as_ref().and_then(Value::as_array).unwrap();
    assert_eq!(lineage.len(), 2);
    assert_eq!(lineage[1].get("offset"), Some(&Value::Int(1)));
}

#[test]
fn a_file_whose_name_is_taken_gets_another_one_wherever_it_is_named() {
    let segments = Segments::new();
    for (number, text) in [("1", "old"), ("2", "new")] {
        let dir = segments.add(|run| {
            let row = serde_json::json!({"img": {"_type": "image-file", "path": "media/a.png"}});
            run.log(row).unwrap();
        });
        fs::create_dir_all(dir.join("files/media")).unwrap();
        fs::write(dir.join("files/media/a.png"), text).unwrap();
        fs::write(dir.join("files/same.txt"), "same").unwrap();
        fs::write(dir.join(format!("files/{number}.txt")), number).unwrap();
    }
    let (report, merged) = segments.merge(&Options::default());
    let file =
        |name: &str| fs::read_to_string(merged.log.with_file_name("files").join(name)).unwrap();
    assert_eq!(
        (file("media/a.png").as_str(), file("media/a.segment1.png").as_str()),
        ("new", "old")
    );
    assert_eq!(report.files, 5);
    let paths: Vec<_> =
        rows(&merged.log).into_iter().map(|(_, row)| row["img>path"].clone()).collect();
    assert_eq!(paths, [r#""media/a.segment1.png""#, r#""media/a.png""#]);
}

#[cfg(unix)]
#[test]
fn what_is_a_directory_in_one_segment_may_be_a_link_or_a_file_in_another() {
    let segments = Segments::new();
    let outside = segments.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let old = segments.attempt(0..=0, 1.0);
    let new = segments.attempt(1..=1, 2.0);
    for dir in ["link", "file"] {
        fs::create_dir_all(old.join("files").join(dir)).unwrap();
        fs::write(old.join("files").join(dir).join("a.png"), "old").unwrap();
    }
    std::os::unix::fs::symlink(&outside, new.join("files/link")).unwrap();
    fs::write(new.join("files/file"), "new").unwrap();
    let (report, merged) = segments.merge(&Options::default());
    let files = merged.log.with_file_name("files");
    for dir in ["link", "file"] {
        let moved = files.join(format!("{dir}.segment1/a.png"));
        assert_eq!(fs::read_to_string(moved).unwrap(), "old");
    }
    let new: Vec<_> = report.renamed_files.iter().map(|file| file.new.as_str()).collect();
    assert_eq!(new, ["file.segment1/a.png", "link.segment1/a.png"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "nothing is written through a link");
}

#[test]
fn nothing_that_exists_is_touched_and_failures_leave_nothing_behind() {
    let segments = Segments::new();
    let first = segments.attempt(0..=9, 1.0);
    segments.attempt(5..=14, 2.0);
    let before = fs::read(first.join("run-r.wandb")).unwrap();
    let plan = segments.plan(&Options::default());
    let error = plan.write(&first).unwrap_err();
    assert!(error.to_string().starts_with("this exists already"), "{error}");
    assert_eq!(fs::read(first.join("run-r.wandb")).unwrap(), before);
    let refuse = Options { overlap: Overlap::Refuse, ..Options::default() };
    let error = Plan::new(&[segments.dir.path()], &refuse).unwrap_err();
    assert_eq!(error.to_string(), "segments 1 and 2 both have steps 5 to 9");
    assert_eq!(fs::read_dir(segments.dir.path()).unwrap().count(), 1);
}

#[test]
fn segments_of_several_runs_are_not_mixed_unless_the_result_has_an_id_of_its_own() {
    let segments = Segments::new();
    segments.attempt(0..=9, 1.0);
    segments.attempt(10..=19, 2.0);
    let other = options(segments.dir.path()).id("other").create().unwrap();
    other.log_at(20, [("loss", 3)]).unwrap();
    other.finish().unwrap();
    let plan = |options: Options| Plan::new(&[segments.dir.path()], &options);
    let error = plan(Options::default()).unwrap_err().to_string();
    assert!(error.contains("\"r\"") && error.contains("\"other\""), "{error}");
    let one = plan(Options { run_id: Some("r".into()), ..Options::default() }).unwrap();
    assert_eq!((one.run_id.as_str(), one.segments.len()), ("r", 2));
    let all = plan(Options { new_id: Some("all".into()), ..Options::default() }).unwrap();
    let report = all.write(segments.dir.path().join("all")).unwrap();
    let merged = Merged { log: report.directory.join("run-all.wandb") };
    assert_eq!(merged.losses(), ["0-9:1", "10-19:2", "20-20:3"]);
    assert_eq!(merged.state().info().run_id(), "all");
    assert!(plan(Options { run_id: Some("other".into()), ..Options::default() }).is_err());
}

#[test]
fn a_damaged_segment_gives_what_is_readable() {
    let segments = Segments::new();
    let first = segments.attempt(0..=999, 1.0);
    segments.attempt(1000..=1009, 2.0);
    let log = first.join("run-r.wandb");
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(b'?');
    fs::write(&log, bytes).unwrap();
    let plan = segments.plan(&Options::default());
    assert!(plan.is_lossy());
    let report = plan.write(segments.dir.path().join("merged")).unwrap();
    let merged = Merged { log: report.directory.join("run-r.wandb") };
    assert_eq!(report.rows as usize, rows(&merged.log).len());
    assert!((500..1010).contains(&report.rows), "{}", report.rows);
    assert_eq!(merged.losses().last().unwrap(), "1000-1009:2");
}

#[test]
fn a_killed_segment_and_one_without_rows_are_segments_too() {
    let segments = Segments::new();
    let first = segments.attempt(0..=99, 1.0);
    let log = first.join("run-r.wandb");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 300]).unwrap();
    let second = segments.add(|_| ());
    fs::write(second.join("run-r.wandb"), &bytes[..7]).unwrap();
    segments.attempt(90..=109, 2.0);
    let plan = segments.plan(&Options::default());
    assert!(!plan.is_lossy(), "an unfinished end was never whole");
    let report = plan.write(segments.dir.path().join("merged")).unwrap();
    let merged = Merged { log: report.directory.join("run-r.wandb") };
    assert_eq!(merged.losses(), ["0-89:1", "90-109:2"]);
}

#[test]
fn ranks_are_joined_step_by_step_with_their_number_in_front_of_their_keys() {
    let dir = tempfile::tempdir().unwrap();
    for (rank, steps) in [(0u8, [0, 1, 2]), (1, [0, 2, 3])] {
        let run = options(dir.path()).id(format!("r{rank}")).group("job");
        let run = run.config([("lr", 0.1), ("seed", f64::from(rank))]).unwrap().create().unwrap();
        run.define_metric("loss").summary([Min]).apply().unwrap();
        for step in steps {
            run.log_at(step, [("loss", f64::from(rank) + step as f64)]).unwrap();
        }
        run.summary_set("best", rank).unwrap();
        run.finish().unwrap();
    }
    let ranks = |prefix| Ranks::new(&[dir.path().join("wandb")], prefix, &Options::default());
    let plan = ranks("rank{n}/").unwrap();
    let report = plan.write(dir.path().join("job")).unwrap();
    let log = report.directory.join("run-r0.wandb");
    let rows: Vec<_> = rows(&log)
        .into_iter()
        .map(|(step, row)| {
            format!("{step} {:?} {:?}", row.get("rank0/loss"), row.get("rank1/loss"))
        })
        .collect();
    let want = [
        r#"0 Some("0.0") Some("1.0")"#,
        r#"1 Some("1.0") None"#,
        r#"2 Some("2.0") Some("3.0")"#,
        r#"3 None Some("4.0")"#,
    ];
    assert_eq!(rows, want);
    assert_eq!(all_rows(&log)[0].1.keys().filter(|key| *key == "_runtime").count(), 1);
    let state = run::load(&log, false).unwrap().0;
    let summary = state.summary();
    assert_eq!(summary.at(["rank1/loss", "min"]).and_then(Value::as_f64), Some(1.0));
    assert_eq!(summary.get("rank0/best").and_then(Value::as_i64), Some(0));
    assert_eq!(summary.get("rank1/best").and_then(Value::as_i64), Some(1));
    assert_eq!(state.config().get("seed").and_then(Value::as_f64), Some(0.0));
    let conflicts: Vec<_> = report.config_conflicts.iter().map(|of| of.key.as_str()).collect();
    assert_eq!(conflicts, ["seed"]);
    assert!(ranks("rank/").unwrap_err().to_string().contains("{n}"));
}

#[cfg(feature = "cli")]
#[test]
fn the_program_draws_the_plan_and_writes_what_it_says() {
    let segments = Segments::new();
    segments.attempt(0..=212, 1.0);
    segments.attempt(201..=205, 2.0);
    let merge = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
        command.arg("merge").arg("wandb").args(more).current_dir(segments.dir.path());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text, String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    let (plan, _, code) = merge(&["--plan"]);
    assert_eq!(code, Some(0));
    assert!(plan.starts_with("run r: 2 segments, steps 0 to 212\n"), "{plan}");
    assert!(plan.contains("keeps steps 0 to 200 and steps 206 to 212"), "{plan}");
    assert!(plan.contains("overlap: steps 201 to 205 are in segments 1 and 2\n"), "{plan}");
    assert_eq!(fs::read_dir(segments.dir.path()).unwrap().count(), 1, "a plan writes nothing");

    let (json, _, code) = merge(&["-o", "merged", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["report"]["rows"]), (Some(0), &213.into()));
    assert_eq!(json["plan"]["segments"][0]["kept"][1]["first"], 206);
    let (_, err, code) = merge(&["-o", "merged"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("this exists already"), "{err}");
    assert_eq!(merge(&["-o", "x", "--cut", "5,4"]).2, Some(2));
    assert_eq!(merge(&[]).2, Some(2), "neither a plan nor an output");
}
