//! What becomes of single kinds of records, and of odd rows, when segments are merged.

#[path = "support/written.rs"]
mod support;

use std::path::{Path, PathBuf};
use support::{records, rows};
use wandb_offline::merge::{MergeReport, Options, Overlap, Plan, Ranks, Steps};
use wandb_offline::proto::wandb_internal::{
    EnvironmentRecord, Feature, HistoryItem, HistoryRecord, HistoryStep, RunExitRecord,
    RunPreemptingRecord, RunRecord, TelemetryRecord, record::RecordType,
};
use wandb_offline::record::RecordKind;
use wandb_offline::rewrite::Staged;
use wandb_offline::run;

/// A directory of segments that are written record by record.
struct Segments {
    dir: tempfile::TempDir,
    paths: Vec<PathBuf>,
}

impl Segments {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), paths: Vec::new() }
    }

    /// Adds a segment, which starts after those before it.
    fn add(&mut self, write: impl FnOnce(&mut Staged)) {
        let number = self.paths.len() as i64;
        let path = self.dir.path().join(format!("offline-run-20260102_{number:06}-r"));
        let mut staged = Staged::run(&path, "r").unwrap();
        let start_time = prost_types::Timestamp { seconds: 1_800_000_000 + number, nanos: 0 };
        let run =
            RunRecord { run_id: "r".into(), start_time: Some(start_time), ..RunRecord::default() };
        staged.log.add_message(RecordKind::Run, &run).unwrap();
        write(&mut staged);
        staged.prove().unwrap().publish().unwrap();
        self.paths.push(path);
    }

    fn rows(&mut self, steps: impl IntoIterator<Item = i64>, loss: &str) {
        let steps: Vec<_> = steps.into_iter().collect();
        self.add(|to| steps.iter().for_each(|step| row(to, Some(*step), &step.to_string(), loss)));
    }

    fn merge(&self, options: &Options) -> MergeReport {
        let plan = Plan::new(&self.paths, options).unwrap();
        plan.write(self.dir.path().join("merged")).unwrap()
    }

    fn merged(&self) -> PathBuf {
        self.dir.path().join("merged/run-r.wandb")
    }
}

/// Adds a row with this step, an item `_step`, and a loss.
fn row(to: &mut Staged, step: Option<i64>, stated: &str, loss: &str) {
    let item = |key: &str, json: &str| HistoryItem {
        nested_key: vec![key.into()],
        value_json: json.into(),
        ..HistoryItem::default()
    };
    let row = HistoryRecord {
        item: vec![item("_step", stated), item("loss", loss)],
        step: step.map(|num| HistoryStep { num }),
        ..HistoryRecord::default()
    };
    to.log.add_message(RecordKind::History, &row).unwrap();
}

#[test]
fn an_older_segment_gives_the_rows_between_many_newer_ones() {
    let in_order: Vec<i64> = (0..=200).collect();
    // Each pair the other way round, and one row far from its place.
    let mut shuffled: Vec<i64> =
        in_order.chunks(2).flat_map(|pair| pair.iter().rev().copied()).collect();
    let last = shuffled.pop().unwrap();
    shuffled.insert(3, last);
    for old in [in_order, shuffled] {
        let mut segments = Segments::new();
        segments.rows(old.clone(), "1");
        for step in (10..=190).step_by(10) {
            segments.rows([step], "2");
        }
        let options = Options { steps: Steps::Recorded, ..Options::default() };
        let report = segments.merge(&options);
        assert_eq!((report.rows, report.rows_left_out[0], report.odd_steps), (201, 19, 0));
        let got = rows(&segments.merged());
        let newer = got.iter().filter(|(_, row)| row["loss"] == "2").map(|(step, _)| *step);
        assert!(newer.eq((10..=190).step_by(10)));
        // By range, and within it as they were.
        let place = |step: i64| step.div_euclid(10) * 2 + i64::from(step % 10 != 0);
        let mut want: Vec<i64> = old.iter().copied().filter(|step| *step < 10).collect();
        for start in (10..=190).step_by(10) {
            want.push(start);
            let behind =
                |step: &i64| place(*step) == place(start) + 1 || (start == 190 && *step == 200);
            want.extend(old.iter().copied().filter(behind));
        }
        assert_eq!(got.iter().map(|(step, _)| *step).collect::<Vec<_>>(), want);
    }
}

#[test]
fn a_malformed_row_hides_none_behind_it() {
    let mut segments = Segments::new();
    segments.add(|to| {
        for step in 0..=30 {
            row(to, Some(step), &step.to_string(), "1");
            if step == 12 {
                // A step far ahead, and an item that is none.
                to.log.add(RecordKind::History, b"\x12\x02\x08\x7f\x0a\x02\x0a\x7f").unwrap();
            }
        }
    });
    segments.rows([10], "2");
    segments.rows([20], "3");
    let options = Options { steps: Steps::Recorded, ..Options::default() };
    let report = segments.merge(&options);
    assert_eq!(report.rows, 31);
    assert_eq!(rows(&segments.merged()).len(), 31);
}

#[test]
fn rows_whose_step_is_no_whole_number_from_0_on_are_counted() {
    let mut segments = Segments::new();
    segments.add(|to| {
        row(to, Some(0), "0", "1");
        for odd in ["NaN", "1.5", "\"seven\"", "null"] {
            row(to, None, odd, "1");
        }
        row(to, None, "9", "1");
        row(to, Some(-3), "-3", "1");
    });
    segments.rows([20, 21], "2");
    let report = segments.merge(&Options::default());
    assert_eq!((report.rows, report.odd_steps), (9, 5));
    let steps: Vec<_> = rows_of_any_step(&segments.merged());
    assert_eq!(steps, [0, 1, 2, 3, 4, 9, -3, 20, 21]);
}

fn rows_of_any_step(log: &Path) -> Vec<i64> {
    let rows = records(log).into_iter().filter_map(|record| match record {
        RecordType::History(row) => {
            let stated = row.item.iter().find(|item| item.nested_key == ["_step"]).unwrap();
            let stated: i64 = stated.value_json.parse().unwrap();
            assert!(row.step.is_none_or(|step| step.num == stated));
            Some(stated)
        }
        _ => None,
    });
    rows.collect()
}

#[test]
fn one_environment_and_one_telemetry_remain_and_a_preemption_is_told() {
    let mut segments = Segments::new();
    for number in 0..3 {
        segments.add(|to| {
            let feature = Feature { watch: number == 0, finish: number == 1, ..Feature::default() };
            let telemetry = TelemetryRecord {
                python_version: format!("3.1{number}"),
                feature: Some(feature),
                ..TelemetryRecord::default()
            };
            to.log.add_message(RecordKind::Telemetry, &telemetry).unwrap();
            // The newest was killed before it told where it ran.
            if number < 2 {
                let args = vec![format!("--part={number}"), "--lr=1".into()];
                let first = EnvironmentRecord { args, ..EnvironmentRecord::default() };
                let second =
                    EnvironmentRecord { cpu_count: 8 + number, ..EnvironmentRecord::default() };
                to.log.add_message(RecordKind::Environment, &first).unwrap();
                to.log.add_message(RecordKind::Environment, &second).unwrap();
            }
            row(to, Some(i64::from(number)), &number.to_string(), "1");
            to.log.add_message(RecordKind::Preempting, &RunPreemptingRecord::default()).unwrap();
            let exit = RunExitRecord { exit_code: 1, ..RunExitRecord::default() };
            to.log.add_message(RecordKind::Exit, &exit).unwrap();
        });
    }
    let report = segments.merge(&Options { overlap: Overlap::Refuse, ..Options::default() });
    assert_eq!(report.preemptings_left_out, 2);
    let count = |wanted: RecordKind| run::load(segments.merged(), false).unwrap().0.records(wanted);
    assert_eq!((count(RecordKind::Telemetry), count(RecordKind::Environment)), (1, 2));
    assert_eq!((count(RecordKind::Preempting), count(RecordKind::Exit)), (1, 1));
    let state = run::load(segments.merged(), false).unwrap().0;
    let environment = state.info().environment().unwrap();
    assert_eq!(environment.args, ["--part=1", "--lr=1"], "of the newest that has one, once");
    assert_eq!(environment.cpu_count, 9);
    let telemetry = state.info().telemetry();
    let feature = telemetry.feature.as_ref().unwrap();
    assert_eq!(
        (telemetry.python_version.as_str(), feature.watch, feature.finish),
        ("3.12", true, true)
    );
}

#[test]
fn prefixes_of_ranks_that_begin_each_other_are_refused() {
    let mut segments = Segments::new();
    (0..11).for_each(|_| segments.rows([0], "1"));
    let ranks = |prefix| Ranks::new(&segments.paths, prefix, &Options::default());
    let error = ranks("rank{n}").map(drop).unwrap_err().to_string();
    assert!(error.contains(r#"makes "rank1" and "rank10""#), "{error}");
    assert_eq!(ranks("rank{n}/").unwrap().ranks.len(), 11);
}

#[test]
fn ranks_have_the_environment_of_the_first_and_odd_steps_are_counted() {
    let mut segments = Segments::new();
    for rank in 0..2 {
        segments.add(|to| {
            let args = vec![format!("--rank={rank}")];
            let environment = EnvironmentRecord { args, ..EnvironmentRecord::default() };
            to.log.add_message(RecordKind::Environment, &environment).unwrap();
            row(to, Some(0), "0", "1");
            row(to, None, "NaN", "2");
        });
    }
    let ranks = Ranks::new(&segments.paths, "rank{n}/", &Options::default()).unwrap();
    let report = ranks.write(segments.dir.path().join("merged")).unwrap();
    assert_eq!((report.rows, report.odd_steps), (2, 2));
    let state = run::load(segments.merged(), false).unwrap().0;
    assert_eq!(state.info().environment().unwrap().args, ["--rank=0"]);
}
