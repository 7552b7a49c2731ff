//! Converting log directories: what is in the runs that come out, and what the report says.

#[path = "support/converted.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZero;
use std::path::PathBuf;
use support::*;
use wandb_offline::convert::tensorboard::{
    ConvertReport, KeyRule, Options, Reason, Restart, RunStatus, StepMode, convert,
};
use wandb_offline::proto::tensorboard as tb;
use wandb_offline::proto::tensorboard::hparams::{self, h_params_plugin_data::Data};
use wandb_offline::record::RecordKind;

/// Cases where more comes out than the reader returns, which stops at damage or does not know a type.
const MORE: [&str; 8] = [
    "synthetic/corrupt_len_crc",
    "synthetic/corrupt_data_byte",
    "synthetic/huge_len_valid_crc",
    "synthetic/invalid_utf8_tag",
    "synthetic/metadata_first_wins",
    "synthetic/scalar_tensor_dtypes",
    "synthetic/wall_time_nan",
    "tf2/tensors",
];

fn cases() -> Vec<String> {
    let mut cases = Vec::new();
    for producer in ["synthetic", "tensorboardX", "tf2"] {
        for case in fs::read_dir(fixtures().join(producer)).unwrap() {
            let name = case.unwrap().file_name().into_string().unwrap();
            cases.push(format!("{producer}/{name}"));
        }
    }
    cases
}

fn assert_holds(case: &str, runs: &BTreeMap<String, Run>, want: &BTreeMap<String, Points>) {
    for (name, want) in want {
        let got = runs[name].points();
        for (tag, want) in want {
            let got = got.get(tag).unwrap_or_else(|| panic!("{case}: {tag} is missing"));
            if MORE.contains(&case) {
                want.iter().for_each(|point| assert!(got.contains(point), "{case} {tag}"));
            } else {
                assert_eq!(got, want, "{case}: {tag}");
            }
        }
        if !MORE.contains(&case) {
            let tags = |points: &Points| points.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(tags(&got), tags(want), "{case}");
        }
    }
}

#[test]
fn runs_hold_exactly_what_tensorboard_shows() {
    for case in cases() {
        let done = converted(fixtures().join(&case), |_| {});
        assert_eq!(done.report.failures(), 0, "{case}: {:?}", done.report);
        let runs = done.runs();
        assert_holds(&case, &runs, &expected(&case, "tensorboard"));
        for run in runs.values() {
            assert!(run.steps.is_sorted_by(|a, b| a < b), "{case}");
        }
    }
}

#[test]
fn the_session_rule_is_that_of_tensorboards_python_reader() {
    for case in [
        "synthetic/session_start_twice",
        "synthetic/restart_two_files",
        "synthetic/out_of_order_v2",
        "tensorboardX/restart_overlap",
        "tensorboardX/restart_purge_step",
        "tensorboardX/two_files",
        "tf2/restart_overlap",
    ] {
        let done = converted(fixtures().join(case), |o| o.restart = Restart::Session);
        let (runs, want) = (done.runs(), expected(case, "python"));
        for (name, want) in &want {
            let mut got = runs[name].points();
            for (tag, want) in want {
                let (mut got, mut want) = (got.remove(tag).unwrap(), want.clone());
                got.sort_unstable();
                want.sort_unstable();
                assert_eq!(got, want, "{case}: {tag}");
            }
        }
    }
}

#[test]
fn a_file_without_a_version_is_purged_by_its_steps_going_back() {
    let (a, b) = (|s, v| scalar("a", s, 1.7e9, v), |s, v| scalar("b", s, 1.7e9, v));
    let events = [a(1, 1.0), a(2, 2.0), b(3, 3.0), a(2, 4.0), b(2, 5.0), b(1, 6.0)];
    let done = converted(log_dir(&events).path(), |o| o.restart = Restart::Session);
    let points = done.only().points();
    let values = |tag: &str| -> Vec<(i64, f32)> {
        points[tag].iter().map(|p| (p.0, f32::from_bits(p.2))).collect()
    };
    assert_eq!(values("a"), [(1, 1.0), (2, 4.0)]);
    // The second point of b is not a step back: the summary before it stood at the same step.
    assert_eq!(values("b"), [(1, 6.0)]);
    assert_eq!(done.left_out(Reason::Restart), 3);
}

#[test]
fn keeping_everything_gives_a_tag_that_comes_twice_a_further_row() {
    let events = [
        scalar("a", 5, 1.7e9, 1.0),
        scalar("b", 5, 1.7e9, 2.0),
        scalar("a", 5, 1.7e9 + 1.0, 3.0),
        scalar("a", 2, 1.7e9 + 2.0, 4.0),
    ];
    let dir = log_dir(&events);
    let done = converted(dir.path(), |o| o.restart = Restart::All);
    let run = done.only();
    assert_eq!(done.report.runs[0].points, 4);
    assert!(done.report.runs[0].counted_steps && !done.report.is_lossy());
    assert_eq!(run.steps, [0, 1, 2]);
    let row = |row, key| run.text(row, key);
    assert_eq!((row(0, "global_step"), row(0, "a"), row(0, "b")), (Some("2"), Some("4.0"), None));
    assert_eq!((row(1, "a"), row(1, "b")), (Some("1.0"), Some("2.0")));
    assert_eq!((row(2, "a"), row(2, "b")), (Some("3.0"), None));
    // Forced onto TensorBoard's steps there is room for one, and the report says so.
    let forced = converted(dir.path(), |o| {
        (o.restart, o.step_mode) = (Restart::All, StepMode::TensorBoard);
    });
    assert_eq!(forced.only().steps, [2, 5]);
    assert_eq!(forced.left_out(Reason::SameStep), 1);
    assert!(forced.report.is_lossy());
    let last = converted(dir.path(), |o| o.restart = Restart::Last);
    assert_eq!(last.only().steps, [2, 5]);
    assert_eq!(last.only().text(1, "a"), Some("3.0"));
    assert!(!last.report.is_lossy());
}

#[test]
fn negative_steps_are_counted_and_the_axis_is_defined() {
    let dir = log_dir(&[scalar("a", -3, 1.7e9, 1.0), scalar("a", 4, 1.7e9, 2.0)]);
    let run = converted(dir.path(), |_| {}).only();
    assert_eq!(run.steps, [0, 1]);
    assert_eq!(run.text(0, "global_step"), Some("-3"));
    assert_eq!(run.kinds[2..4], [RecordKind::Metric, RecordKind::Metric]);
    let forced = converted(dir.path(), |o| o.step_mode = StepMode::TensorBoard);
    assert_eq!(forced.report.runs[0].status, RunStatus::Failed);
    assert!(forced.report.runs[0].error.as_deref().unwrap().contains("step -3"));
    let counted = converted(fixtures().join("tf2/scalars"), |o| o.step_mode = StepMode::Counter);
    assert!(counted.report.runs[0].counted_steps);
}

#[test]
fn every_point_keeps_its_own_wall_time() {
    let early = 1_700_000_000.000_000_2;
    let dir = log_dir(&[
        scalar("a", 1, early, 1.0),
        scalar("b", 1, 1_700_000_009.25, 2.0),
        scalar("c", 1, 1_700_000_009.25, 3.0),
    ]);
    let done = converted(dir.path(), |_| {});
    let run = done.only();
    assert_eq!(done.report.runs[0].other_wall_times, 1);
    assert_eq!(run.text(0, "_timestamp"), Some("1700000009.25"));
    assert_eq!(run.points()["a"][0].1, f64::to_bits(early));
    assert_eq!(run.points()["c"][0].1, 1_700_000_009.25f64.to_bits());
    let without = converted(dir.path(), |o| o.wall_times = false);
    assert!(without.report.runs[0].wall_times_dropped);
    assert!(without.only().rows[0].keys().all(|path| path.len() == 1));
}

#[test]
fn the_ends_of_a_run_are_those_of_its_events() {
    let dir = log_dir(&[scalar("a", 0, 1.7e9, 0.1), scalar("a", 9, 1.7e9 + 61.5, 0.2)]);
    let done = converted(dir.path(), |o| o.tags = vec!["x".into()]);
    let run = done.only();
    assert_eq!(run.kinds[..2], [RecordKind::Header, RecordKind::Run]);
    assert_eq!(run.kinds[4..], [RecordKind::Summary, RecordKind::Exit]);
    assert_eq!(run.exit, Some(0));
    let name = dir.path().file_name().unwrap().to_str().unwrap();
    assert_eq!(run.run.run_group, name);
    assert_eq!((run.run.display_name.as_str(), run.run.host.as_str()), (name, "node"));
    assert_eq!(run.run.start_time.unwrap().seconds, 1_700_000_000);
    let summary = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|element| (*element).into()).collect();
        run.summary[&path].clone()
    };
    assert_eq!(summary(&["a"]), "0.2");
    assert_eq!(summary(&["_step"]), "9");
    assert_eq!(summary(&["_runtime"]), "61.5");
    assert_eq!(summary(&["_wandb", "runtime"]), "61");
}

#[test]
fn keys_that_wandb_keeps_for_itself_are_renamed_and_told() {
    let tags = ["", "_step", "_wandb", "global_step", "tb/_step", "a.b", "a/b", "_wall_time"];
    let events: Vec<_> =
        (0u8..).zip(tags).map(|(i, tag)| scalar(tag, 0, 1.7e9, i.into())).collect();
    let done = converted(log_dir(&events).path(), |_| {});
    let run = done.only();
    for (key, value) in [
        ("tb/", "0.0"),
        ("tb/tb/_step", "1.0"),
        ("tb/_wandb", "2.0"),
        ("tb/global_step", "3.0"),
        ("tb/_step", "4.0"),
        ("a.b", "5.0"),
        ("a/b", "6.0"),
        ("tb/_wall_time", "7.0"),
        ("_step", "0"),
        ("global_step", "0"),
    ] {
        assert_eq!(run.text(0, key), Some(value), "{key}");
    }
    assert_eq!(done.report.runs[0].renamed.len(), 5);
}

#[test]
fn integers_and_booleans_are_exact() {
    let tensor = |dtype: tb::DataType, content: &[u8]| tb::TensorProto {
        dtype: dtype as i32,
        tensor_content: content.to_vec(),
        ..Default::default()
    };
    let event = |tag: &str, tensor| {
        let plugin_data = tb::summary_metadata::PluginData {
            plugin_name: "scalars".into(),
            ..Default::default()
        };
        let metadata = tb::SummaryMetadata { plugin_data: Some(plugin_data), ..Default::default() };
        let value = tb::summary::Value {
            tag: tag.into(),
            metadata: Some(metadata),
            value: Some(tb::summary::value::Value::Tensor(tensor)),
            ..Default::default()
        };
        summary(0, 1.7e9, value)
    };
    let events = [
        event("u64", tensor(tb::DataType::DtUint64, &u64::MAX.to_le_bytes())),
        event("i64", tensor(tb::DataType::DtInt64, &i64::MIN.to_le_bytes())),
        event("bool", tensor(tb::DataType::DtBool, &[1])),
        event("f64", tensor(tb::DataType::DtDouble, &0.1f64.to_le_bytes())),
        event("f8", tensor(tb::DataType::DtFloat8E5m2, &[0xbc])),
        event("nan", tensor(tb::DataType::DtFloat, &f32::NAN.to_le_bytes())),
    ];
    let run = converted(log_dir(&events).path(), |_| {}).only();
    assert_eq!(run.text(0, "u64"), Some("18446744073709551615"));
    assert_eq!(run.text(0, "i64"), Some("-9223372036854775808"));
    assert_eq!(run.text(0, "bool"), Some("true"));
    assert_eq!(run.text(0, "f64"), Some("0.1"));
    assert_eq!(run.text(0, "f8"), Some("-1.0"));
    assert_eq!(run.text(0, "nan"), Some("NaN"));
}

#[test]
fn hyperparameters_become_config() {
    let runs = converted(fixtures().join("tensorboardX/hparams"), |_| {}).runs();
    let config = &runs["trial_1"].config;
    assert_eq!(config["lr"], 0.1);
    assert_eq!(config["bsize"], 32.0);
    assert_eq!(config["opt"], "adam");
    assert_eq!(config["nesterov"], true);
    assert_eq!(config["_tb"]["run"], "trial_1");
    let runs = converted(fixtures().join("tf2/hparams"), |_| {}).runs();
    assert_eq!(runs["run_0"].config["_tb"]["group_name"], "trial0");
}

#[test]
fn a_failed_session_exits_with_1_and_a_running_one_not_at_all() {
    for (status, exit) in [
        (hparams::Status::Success, Some(0)),
        (hparams::Status::Failure, Some(1)),
        (hparams::Status::Running, None),
    ] {
        let end = hparams::SessionEndInfo { status: status as i32, ..Default::default() };
        let events = [scalar("a", 0, 1.7e9, 1.0), hparams_event(Data::SessionEndInfo(end))];
        assert_eq!(converted(log_dir(&events).path(), |_| {}).only().exit, exit);
    }
}

// What the official client does wrong: section by section of its live import.

#[test]
fn nested_runs_are_read_once() {
    let done = converted(fixtures().join("tf2/multi_run"), |_| {});
    let points: u64 = done.report.runs.iter().map(|run| run.points).sum();
    let want: usize = expected("tf2/multi_run", "tensorboard")
        .values()
        .flat_map(BTreeMap::values)
        .map(Vec::len)
        .sum();
    assert_eq!(points, want as u64);
}

#[test]
fn no_run_asks_the_client_to_read_the_directory_again() {
    for run in converted(fixtures().join("tensorboardX/two_files"), |_| {}).runs().values() {
        assert!(!run.kinds.contains(&RecordKind::Tbrecord));
    }
}

#[test]
fn sub_directories_can_be_merged_into_one_run() {
    let done = converted(fixtures().join("tensorboardX/add_scalars"), |o| o.merge = true);
    let points = done.only().points();
    let mut want = 0;
    for (run, series) in expected("tensorboardX/add_scalars", "tensorboard") {
        for (tag, list) in series {
            let key = if run == "." { tag } else { format!("{run}/{tag}") };
            want += list.len();
            assert_eq!(points[&key], list);
        }
    }
    assert_eq!(points.values().map(Vec::len).sum::<usize>(), want);
}

#[test]
fn converting_again_is_refused_and_changes_nothing() {
    let dir = log_dir(&[scalar("a", 0, 1.7e9, 1.0)]);
    let done = converted(dir.path(), |_| {});
    let output = done.out.path().join("wandb");
    let names = || -> Vec<_> {
        fs::read_dir(&output).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    };
    let before = names();
    assert_eq!(before.len(), 1, "nothing but the run: {before:?}");
    let options = Options { output: output.clone(), ..Options::default() };
    let again = convert(&[dir.path()], &options).unwrap();
    assert!(again.runs[0].error.as_deref().unwrap().starts_with("already converted; `--update`"));
    assert_eq!((again.failures(), again.converted()), (1, 0));
    assert_eq!(names(), before);
}

#[test]
fn a_dry_run_reports_the_same_and_writes_nothing() {
    let path = fixtures().join("tensorboardX/restart_purge_step");
    let (wet, dry) = (converted(&path, |_| {}), converted(&path, |o| o.dry_run = true));
    assert!(!dry.out.path().join("wandb").exists());
    let (wet, dry) = (&wet.report.runs[0], &dry.report.runs[0]);
    assert_eq!((wet.points, wet.rows, wet.events), (dry.points, dry.rows, dry.events));
    assert_eq!(wet.left_out, dry.left_out);
    assert_eq!(wet.run_id, dry.run_id);
}

#[test]
fn points_that_do_not_fit_into_memory_come_out_the_same() {
    let mut state = 88_172_645_463_325_252u64;
    let mut below = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut events = vec![tb::Event {
        wall_time: 1.7e9,
        what: Some(tb::event::What::FileVersion("brain.Event:2".into())),
        ..Default::default()
    }];
    for i in 0..20_000u32 {
        if below(4000) == 0 {
            let session = tb::SessionLog { status: 1, ..Default::default() };
            let what = Some(tb::event::What::SessionLog(session));
            let step = below(2000) as i64;
            events.push(tb::Event { wall_time: 1.7e9, step, what, ..Default::default() });
        }
        let step = i64::from(i / 7) - below(40) as i64;
        let tag = format!("t{}", below(9));
        events.push(scalar(&tag, step.max(0), 1.7e9 + below(1000) as f64, i as f32));
    }
    let dir = log_dir(&events);
    for restart in [Restart::TensorBoard, Restart::Session, Restart::All, Restart::Last] {
        let log = |memory| {
            let done = converted(dir.path(), |o| (o.restart, o.memory) = (restart, memory));
            (done.report.runs[0].points, fs::read(log_file(&done)).unwrap())
        };
        let (points, bytes) = log(64 << 20);
        assert!(points > 1000);
        assert_eq!(log(1), (points, bytes), "{restart:?}");
    }
}

fn log_file(done: &Converted) -> PathBuf {
    let directory = done.report.runs[0].directory.clone().unwrap();
    directory.join(format!("run-{}.wandb", done.report.runs[0].run_id))
}

#[test]
fn any_number_of_jobs_gives_the_same_runs_in_the_same_order() {
    let all = |jobs| {
        let done = converted(fixtures().join("tensorboardX"), |o| o.jobs = NonZero::new(jobs));
        let runs = done.report.runs.iter();
        runs.map(|run| (run.name.clone(), run.run_id.clone(), run.points)).collect::<Vec<_>>()
    };
    let one = all(1);
    assert!(one.len() > 10 && one.is_sorted());
    assert_eq!(all(4), one);
}

#[test]
fn damage_costs_its_record_and_is_told_with_its_place() {
    let done = converted(fixtures().join("synthetic/corrupt_len_crc"), |_| {});
    let damage = &done.report.runs[0].damage;
    assert_eq!((damage.len(), damage[0].offset, damage[0].length), (1, 116, 39));
    assert!(done.report.is_lossy());
    assert_eq!(done.report.runs[0].points, 5);
    let done = converted(fixtures().join("synthetic/trunc_in_data"), |_| {});
    assert_eq!(done.report.runs[0].damage[0].offset, 233);
    let done = converted(fixtures().join("synthetic/corrupt_data_byte"), |_| {});
    assert_eq!(done.report.runs[0].suspect_events, 1);
    let strict = converted(fixtures().join("synthetic/corrupt_data_byte"), |o| o.suspects = false);
    assert_eq!(strict.report.runs[0].points, 5);
}

#[test]
fn a_suspect_event_never_removes_a_sound_one() {
    let events: Vec<_> = (0..10).map(|i| scalar("a", i, 1.7e9, i as f32)).collect();
    let dir = log_dir(&events);
    let path = dir.path().join("events.out.tfevents.1700000000.node.1.0");
    let mut bytes = fs::read(&path).unwrap();
    // The event of step 9 says step 1 after this.
    let at = bytes.windows(2).rposition(|window| window == [0x10, 9]).unwrap();
    bytes[at + 1] = 1;
    fs::write(&path, bytes).unwrap();
    let done = converted(dir.path(), |_| {});
    assert_eq!(done.only().points()["a"].len(), 9);
}

#[test]
fn a_suspect_event_has_no_say_in_restarts_nor_in_what_steps_are() {
    let mut events: Vec<_> = (0..10).map(|i| scalar("a", i, 1.7e9, i as f32)).collect();
    events.push(scalar("a", 7, 1.7e9, 7.0));
    let dir = log_dir(&events);
    let path = dir.path().join("events.out.tfevents.1700000000.node.1.0");
    let sound = fs::read(&path).unwrap();
    let at = sound.windows(2).rposition(|window| window == [0x10, 7]).unwrap();
    let mut bytes = sound.clone();
    // Without a version, a step back is a restart; this one is a flipped bit.
    bytes[at + 1] = 0;
    fs::write(&path, &bytes).unwrap();
    let done = converted(dir.path(), |o| o.restart = Restart::Session);
    assert_eq!(done.left_out(Reason::Restart), 0);
    assert!(done.only().points()["a"].len() >= 10);

    // Nor does an event at a negative step turn steps into a counter, if its checksum is wrong.
    let negative = tb::Event { step: -1, ..scalar("a", 0, 1.7e9, 0.0) };
    *events.last_mut().unwrap() = negative;
    write_events(&path, &events);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let done = converted(dir.path(), |_| {});
    assert_eq!(done.only().steps, (0..10).collect::<Vec<_>>());
    assert!(done.report.is_lossy());
}

#[test]
fn wall_times_that_no_calendar_has_do_not_say_when_a_run_began() {
    let events =
        [scalar("a", 0, 1.7e12, 0.0), scalar("a", 1, 1.7e9, 1.0), scalar("a", 2, 1e300, 2.0)];
    let done = converted(log_dir(&events).path(), |_| {});
    assert_eq!(done.report.runs[0].odd_wall_times, 2);
    let run = done.only();
    assert_eq!(run.run.start_time.unwrap().seconds, 1_700_000_000);
    assert_eq!(run.points()["a"][0].1, 1.7e12f64.to_bits(), "the row keeps it");
}

#[test]
fn a_merged_run_has_the_id_of_none_of_its_parts() {
    let of = |merge| ids(&converted(fixtures().join("tf2/multi_run"), |o| o.merge = merge).report);
    let (parts, merged) = (of(false), of(true));
    assert_eq!((parts.len(), merged.len()), (3, 1));
    assert!(parts.is_disjoint(&merged));
}

#[test]
fn runs_that_are_not_the_same_have_not_the_same_id() {
    let logs = tempfile::tempdir().unwrap();
    let [one, copy] = ["one", "copy"].map(|name| logs.path().join(name));
    let file = "events.out.tfevents.1700000000.node";
    for path in [&one, &copy] {
        for run in [".", "train"] {
            write_events(&path.join(run).join(file), &[scalar("a", 0, 1.7e9, 1.0)]);
        }
    }
    let both = converted_all(&[&one, &copy], |_| {});
    assert_eq!((both.failures(), ids(&both).len()), (0, 4), "{both:?}");
    // Wherever it lies, and whichever of its files is named.
    assert!(ids(&both).is_superset(&ids(&converted_all(&[&one.join("../one")], |_| {}))));
    assert!(ids(&both).is_superset(&ids(&converted_all(&[&one.join(file)], |_| {}))));
    let apart = converted_all(&[&one], |o| o.fold_hparams = false);
    assert!(ids(&both).is_disjoint(&ids(&apart)), "a run that nothing is folded into is another");
}

#[test]
fn the_runs_of_a_log_directory_can_be_given_one_by_one() {
    let case = fixtures().join("tensorboardX/multi_run");
    let names = [".", "eval", "nested/deep/run", "train", "validation"];
    let all = converted(&case, |_| {});
    assert_eq!(all.runs().keys().collect::<Vec<_>>(), names);
    let paths = names.map(|name| case.join(name));
    let single: Vec<_> = paths.iter().skip(1).collect();
    let report = converted_all(&single, |_| {});
    assert_eq!((report.failures(), ids(&report).len()), (0, 4), "{report:?}");
    let rows = |report: &ConvertReport| report.runs.iter().map(|run| run.rows).collect::<Vec<_>>();
    assert_eq!(rows(&report), rows(&all.report)[1..]);
}

fn converted_all(
    paths: &[impl AsRef<std::path::Path>],
    change: impl FnOnce(&mut Options),
) -> ConvertReport {
    let out = tempfile::tempdir().unwrap();
    let mut options = Options { output: out.path().join("wandb"), ..Options::default() };
    change(&mut options);
    convert(paths, &options).unwrap()
}

fn ids(report: &ConvertReport) -> BTreeSet<String> {
    report.runs.iter().map(|run| run.run_id.clone()).collect()
}

#[test]
fn what_is_not_carried_is_counted_by_kind() {
    let done = converted(fixtures().join("synthetic/event_kinds"), |_| {});
    let kinds: BTreeSet<_> =
        done.report.runs.iter().flat_map(|run| &run.left_out).map(|l| l.what.as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["graph", "log message", "meta graph", "run metadata"]));
    assert!(done.report.is_lossy());
    let done = converted(fixtures().join("synthetic/recommended_export"), |_| {});
    assert!(!done.report.is_lossy(), "{:?}", done.report);
}

#[test]
fn bytes_changed_anywhere_never_stop_a_conversion() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.out.tfevents.1700000000.x");
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    for case in [
        "tensorboardX/scalars",
        "synthetic/scalar_tensor_dtypes",
        "synthetic/recommended_export",
        "synthetic/tensor_encodings",
        "tensorboardX/images",
        "tensorboardX/mesh",
        "tensorboardX/pr_curve",
        "tf2/audio",
        "tf2/tensors",
        "tf2/text",
    ] {
        let found = wandb_offline::tfevents::discover(fixtures().join(case)).unwrap();
        let whole = fs::read(&found.runs[0].files[0]).unwrap();
        for _ in 0..100 {
            let mut bytes = whole.clone();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                match below(3) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] ^= 1 << below(8),
                    _ => bytes.insert(at, below(256) as u8),
                }
            }
            fs::write(&path, &bytes).unwrap();
            let done = converted(dir.path(), |o| (o.dry_run, o.jobs) = (true, NonZero::new(1)));
            let run = &done.report.runs[0];
            // A file that ends where a record does shows no sign of having been longer.
            let unnoticed = whole.starts_with(&bytes) || run.status == RunStatus::Empty;
            assert!(done.report.is_lossy() || unnoticed);
        }
    }
}

#[test]
fn any_number_of_foreign_kinds_is_counted_in_bounded_space() {
    let value = |i: usize| {
        let plugin_name = format!("plugin{i}");
        let plugin_data =
            Some(tb::summary_metadata::PluginData { plugin_name, ..Default::default() });
        let metadata = Some(tb::SummaryMetadata { plugin_data, ..Default::default() });
        tb::summary::Value { tag: format!("t{i}"), metadata, ..Default::default() }
    };
    let events: Vec<_> = (0..1000).map(|i| summary(0, 1.7e9, value(i))).collect();
    let done = converted(log_dir(&events).path(), |_| {});
    assert_eq!(done.left_out(Reason::Unsupported), 1000);
    assert!(done.report.runs[0].left_out.len() <= 101);
}

#[test]
fn tags_can_be_renamed_and_left_out() {
    let event = |tag, step| scalar(tag, step, 1.7e9, 1.0);
    let dir = log_dir(&[event("epoch_loss", 1), event("epoch_acc", 1), event("debug/x", 2)]);
    let rule = |tag: &str| (!tag.starts_with("debug")).then(|| tag.replace("epoch_", "epoch/"));
    let done = converted(dir.path(), |o| o.key_rule = KeyRule::new(rule));
    let run = done.only();
    assert_eq!((run.text(0, "epoch/loss"), run.text(0, "epoch/acc")), (Some("1.0"), Some("1.0")));
    assert_eq!((run.rows.len(), done.left_out(Reason::NotWanted)), (1, 1));
    assert_eq!(done.report.runs[0].renamed[0].tag, "epoch_loss");
    assert!(!done.report.is_lossy());
    let same = converted(dir.path(), |o| o.key_rule = KeyRule::new(|_| Some("same".into())));
    let run = &same.report.runs[0];
    assert_eq!(run.status, RunStatus::Failed);
    let want = r#"tags "epoch_loss" and "epoch_acc" would both have the key "same""#;
    assert_eq!(run.error.as_deref(), Some(want));
    // What W&B keeps for itself is kept from renamed tags too.
    let dir = log_dir(&[event("a", 1)]);
    let done = converted(dir.path(), |o| o.key_rule = KeyRule::new(|_| Some("_step".into())));
    assert_eq!(done.only().text(0, "tb/_step"), Some("1.0"));
}

#[test]
fn a_directory_without_event_files_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let done = converted(dir.path(), |_| {});
    assert!(done.report.errors[0].error.contains("no TensorBoard event files"));
    assert_eq!(done.report.converted(), 0);
}

#[cfg(feature = "cli")]
mod binary {
    use super::*;
    use serde_json::Value;
    use std::path::Path;
    use std::process::{Command, Output};

    fn tb2wandb(args: &[&str], path: &Path) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tb2wandb"));
        command.args(args).arg(path).env_remove("WANDB_PROJECT").env_remove("WANDB_ENTITY");
        command.output().unwrap()
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn exit_codes_tell_how_it_went() {
        let out = tempfile::tempdir().unwrap();
        let output = out.path().to_str().unwrap();
        let run =
            |case: &str| tb2wandb(&["-o", output], &fixtures().join(case)).status.code().unwrap();
        assert_eq!(run("tensorboardX/scalars"), 0);
        assert_eq!(run("tensorboardX/scalars"), 1, "refused the second time");
        assert_eq!(run("synthetic/trunc_in_data"), 3);
        assert_eq!(run("no/such/directory"), 1);
        let usage = tb2wandb(&["--step-mode", "x"], &fixtures());
        assert_eq!(usage.status.code(), Some(2));
        let usage = tb2wandb(&["--project", "a/b", "-o", output], &fixtures());
        assert_eq!(usage.status.code(), Some(2));
    }

    #[test]
    fn rules_for_tags_are_regular_expressions() {
        let case = fixtures().join("tensorboardX/scalars");
        let args = ["-n", "--json", "--drop", "^loss$", "--rename", "^(.)(.*)$=${2}_$1"];
        let report: Value = serde_json::from_slice(&tb2wandb(&args, &case).stdout).unwrap();
        let run = &report["runs"][0];
        assert_eq!(
            (&run["left_out"][0]["reason"], &run["points"]),
            (&"not_wanted".into(), &25.into())
        );
        assert!(run["renamed"].as_array().unwrap().iter().all(|r| r["tag"] != r["key"]));
        let kept = tb2wandb(&["-n", "--json", "--keep", "^loss$"], &case);
        let report: Value = serde_json::from_slice(&kept.stdout).unwrap();
        assert_eq!(report["runs"][0]["tags"], 1);
        for args in [["-n", "--keep", "("], ["-n", "--rename", "x"], ["-n", "--drop", "*"]] {
            let out = tb2wandb(&args, &case);
            assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
        }
        let same = tb2wandb(&["-n", "--rename", ".*=x"], &case);
        assert_eq!(same.status.code(), Some(1));
        assert!(text(&same.stderr).contains("would both have the key"));
    }

    #[test]
    fn the_report_is_text_or_json() {
        let case = fixtures().join("tensorboardX/scalars");
        let plain = tb2wandb(&["--dry-run"], &case);
        assert!(text(&plain.stdout).contains("carried: 45 points of 7 tags in 22 rows"));
        let json = tb2wandb(&["--dry-run", "--json", "--project", "p"], &case);
        let report: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!(report["runs"][0]["points"], 45);
        assert_eq!(report["runs"][0]["status"], "converted");
    }

    #[test]
    fn what_is_no_event_file_is_a_clear_error_and_leaves_nothing() {
        let out = tempfile::tempdir().unwrap();
        let (text_file, output) = (out.path().join("README.md"), out.path().join("wandb"));
        fs::write(&text_file, "# Not events\n".repeat(100)).unwrap();
        let done = tb2wandb(&["-o", output.to_str().unwrap()], &text_file);
        assert_eq!(done.status.code(), Some(1));
        assert!(text(&done.stderr).contains("not a TensorBoard event file"));
        assert!(!output.exists());
        // What begins like one is one, whatever it is called.
        let events = fixtures().join("tensorboardX/scalars");
        let mut events = fs::read_dir(events).unwrap().map(|entry| entry.unwrap().path());
        let events = events.find(|path| path.to_string_lossy().contains("tfevents"));
        fs::copy(events.unwrap(), &text_file).unwrap();
        assert_eq!(tb2wandb(&["-n"], &text_file).status.code(), Some(0));
    }

    #[test]
    fn slips_in_names_and_rules_are_told() {
        let case = fixtures().join("tensorboardX/scalars");
        let usage = tb2wandb(&["-n", "--name-template", "{run}-{name}"], &case);
        assert_eq!(usage.status.code(), Some(2));
        assert!(text(&usage.stderr).contains("{name}"), "{}", text(&usage.stderr));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tb2wandb"));
        let of_environment = command.arg("-n").arg(&case).env("WANDB_PROJECT", "a/b").output();
        let of_environment = of_environment.unwrap();
        assert_eq!(of_environment.status.code(), Some(2));
        assert!(text(&of_environment.stderr).contains("WANDB_PROJECT"));
        let nothing = tb2wandb(&["-n", "--keep", "no such tag"], &case);
        assert!(text(&nothing.stderr).contains("--keep and --drop leave no tag of it"));
        let some = tb2wandb(&["-n", "--keep", "loss"], &case);
        assert!(some.stderr.is_empty());
    }

    #[test]
    fn an_empty_directory_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let out = tb2wandb(&[], dir.path());
        assert_eq!(out.status.code(), Some(1));
        assert!(text(&out.stderr).contains("no TensorBoard event files here"));
        assert!(out.stdout.is_empty());
    }
}
