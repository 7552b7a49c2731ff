//! What a training loop logs is what stands in the log.

#[path = "support/written.rs"]
mod support;

use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};
use support::{all_rows, full_summary, options, records, rows, run, summary, values};
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::writer::SummaryKind::{self, Last, Max};
use wandb_offline::{Error, ErrorKind, Writer};

#[test]
fn a_row_is_a_struct_a_map_or_pairs() {
    #[derive(Serialize)]
    struct Row {
        a: f64,
        b: u8,
    }
    let (_dir, run) = run();
    run.log(Row { a: 0.5, b: 1 }).unwrap();
    run.log(&Row { a: 0.5, b: 1 }).unwrap();
    run.log(Some(Row { a: 0.5, b: 1 })).unwrap();
    run.log((("a", 0.5), ("b", 1))).unwrap();
    run.log(BTreeMap::from([("a", 0.5f32), ("b", 1.0)])).unwrap();
    run.log(serde_json::json!({"a": 0.5, "b": 1})).unwrap();
    run.log([("a", 0.5), ("b", 1.0)]).unwrap();
    run.log(vec![("a".to_owned(), 0.5), ("b".to_owned(), 1.0)]).unwrap();
    for (step, row) in rows(run.path()) {
        let b = if [4, 6, 7].contains(&step) { "1.0" } else { "1" };
        assert_eq!(row, values([("a", "0.5"), ("b", b)]), "step {step}");
    }
    assert_eq!(run.step(), 8);
}

#[test]
fn a_row_of_another_shape_is_an_error_that_says_so() {
    let (_dir, run) = run();
    let message = |result: Result<(), Error>| {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Value(_)), "{error}");
        error.to_string()
    };
    let wanted = "cannot log this value: a struct, a map or a sequence of (key, value) pairs is wanted here, not";
    assert_eq!(message(run.log(1.5)), format!("{wanted} a number"));
    assert_eq!(message(run.log("loss")), format!("{wanted} a string"));
    assert_eq!(message(run.log(None::<f64>)), format!("{wanted} nothing"));
    let pairs = "cannot log this value: a sequence must hold (key, value) pairs here, not";
    let hint = "; a single pair is logged as [(key, value)]";
    assert_eq!(message(run.log(("loss", 0.5))), format!("{pairs} a string{hint}"));
    assert_eq!(message(run.log([1, 2])), format!("{pairs} a number{hint}"));
    assert_eq!(message(run.log([("a", 1, 2)])), format!("{pairs} more than two things{hint}"));
    assert_eq!(
        message(run.log([["a"]])),
        "cannot log this value: key \"a\": a sequence must hold (key, value) pairs here, \
         not fewer than two things; a single pair is logged as [(key, value)]"
    );
    assert_eq!(
        message(run.log([(1.5, 2)])),
        "cannot log this value: a key is a string, an integer or a boolean, not a float"
    );
    assert_eq!(run.step(), 0);
    assert_eq!(rows(run.path()), []);
}

#[test]
fn nested_objects_are_flattened_and_lists_are_leaves() {
    #[derive(Serialize)]
    enum Phase {
        Warmup,
        Cosine { t: u8 },
        Pair(u8, u8),
        Named(f64),
    }
    let (_dir, run) = run();
    run.log(serde_json::json!({"a": {"b": {"c": 1}, "": 2}, "x.y": {}, "l": [1, {"z": [null]}]}))
        .unwrap();
    run.log([("p", Phase::Warmup)]).unwrap();
    run.log([("p", Phase::Cosine { t: 1 })]).unwrap();
    run.log([("p", Phase::Pair(1, 2))]).unwrap();
    run.log([("p", Phase::Named(0.5))]).unwrap();
    run.log(Phase::Cosine { t: 2 }).unwrap();
    run.log(HashMap::from([(1, "é\u{1}\"")])).unwrap();
    run.log([("", 1)]).unwrap();
    let rows: Vec<_> = rows(run.path()).into_iter().map(|(_, row)| row).collect();
    let want = [
        values([("a>b>c", "1"), ("a>", "2"), ("l", r#"[1,{"z":[null]}]"#)]),
        values([("p", "\"Warmup\"")]),
        values([("p>Cosine>t", "1")]),
        values([("p>Pair", "[1,2]")]),
        values([("p>Named", "0.5")]),
        values([("Cosine>t", "2")]),
        values([("1", "\"é\\u0001\\\"\"")]),
        values([]),
    ];
    assert_eq!(rows, want);
}

#[test]
fn numbers_keep_their_kind_and_every_digit() {
    let (_dir, run) = run();
    let floats = (("one", 1.0), ("f32", 0.1f32), ("nan", f64::NAN), ("ninf", f32::NEG_INFINITY));
    run.log(floats).unwrap();
    run.log((("u64", u64::MAX), ("i64", i64::MIN), ("i128", i128::MIN), ("u128", u128::MAX)))
        .unwrap();
    let rows = rows(run.path());
    let floats = [("one", "1.0"), ("f32", "0.1"), ("nan", "NaN"), ("ninf", "-Infinity")];
    assert_eq!(rows[0].1, values(floats));
    let integers = [
        ("u64", "18446744073709551615"),
        ("i64", "-9223372036854775808"),
        ("i128", "-170141183460469231731687303715884105728"),
        ("u128", "340282366920938463463374607431768211455"),
    ];
    assert_eq!(rows[1].1, values(integers));
}

/// What serde_json makes of its numbers if some crate turns its `arbitrary_precision` on.
#[test]
fn numbers_that_serde_json_hands_over_as_text_are_numbers() {
    #[derive(Serialize)]
    #[serde(rename = "$serde_json::private::Number")]
    struct Number {
        #[serde(rename = "$serde_json::private::Number")]
        text: &'static str,
    }
    let number = |text| Number { text };
    let dir = tempfile::tempdir().unwrap();
    let config = [("lr", [number("1e-4")])];
    let run = options(dir.path()).config(config).unwrap().create().unwrap();
    run.define_metric("a").summary([Max]).apply().unwrap();
    run.log([("a", number("2")), ("b", number("0.50"))]).unwrap();
    run.log([("a", vec![number("1")])]).unwrap();
    run.log(number("1")).unwrap_err();
    let rows: Vec<_> = rows(run.path()).into_iter().map(|(_, row)| row).collect();
    assert_eq!(rows, [values([("a", "2"), ("b", "0.50")]), values([("a", "[1]")])]);
    assert_eq!(summary(run.path())["a"], r#"{"max":2}"#);
    let config = records(run.path()).into_iter().find_map(|record| match record {
        RecordType::Run(run) => run.config,
        _ => None,
    });
    assert_eq!(config.unwrap().update[1].value_json, "[1e-4]");
}

#[test]
fn none_is_null_in_the_history_and_leaves_the_summary_as_it_is() {
    let (_dir, run) = run();
    run.log([("a", Some(1)), ("b", Some(2))]).unwrap();
    run.log([("a", None), ("b", Some(3))]).unwrap();
    assert_eq!(rows(run.path())[1].1, values([("a", "null"), ("b", "3")]));
    assert_eq!(summary(run.path()), values([("a", "1"), ("b", "3")]));
}

#[test]
fn a_row_that_fails_midway_leaves_the_pending_row_as_it_was() {
    struct Bad;
    impl Serialize for Bad {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("out of ink"))
        }
    }
    let (_dir, run) = run();
    run.log_partial([("a", 1)]).unwrap();
    let error = run.log((("a", 2), ("c", BTreeMap::from([("d.e", Bad)])))).unwrap_err();
    assert_eq!(error.to_string(), r#"cannot log this value: key "c.d\\.e": out of ink"#);
    run.log_at(5, [("a", Bad)]).unwrap_err();
    assert_eq!(run.step(), 0);
    run.log([("b", 3)]).unwrap();
    assert_eq!(rows(run.path()), [(0, values([("a", "1"), ("b", "3")]))]);
}

#[test]
fn steps_go_on_as_they_do_in_wandb() {
    let (_dir, run) = run();
    run.log([("a", 1)]).unwrap();
    run.log_partial([("a", 2)]).unwrap();
    run.log_partial((("a", 3), ("b", 4))).unwrap();
    run.log([("c", 5)]).unwrap();
    run.log_at(10, [("d", 6)]).unwrap();
    run.log_at(10, [("e", 7)]).unwrap();
    let past = run.log_at(9, [("f", 8)]).unwrap_err();
    assert!(past.is_step_in_past());
    assert_eq!(
        past.to_string(),
        "row for step 9 was not logged: the run is at step 10, and steps only go up"
    );
    run.log_at(20, ()).unwrap();
    run.log([("g", 9)]).unwrap();
    assert_eq!(run.step(), 21);
    run.log(()).unwrap();
    run.commit().unwrap();
    run.log_at(30, [("h", 10)]).unwrap();
    run.commit().unwrap();
    assert_eq!(run.step(), 31);
    run.log_at(i64::MAX as u64 + 1, [("i", 11)]).unwrap_err();
    run.log_at(35, ()).unwrap();
    run.log_at(40, [("j", 12)]).unwrap();
    run.finish().unwrap();
    let want = [
        (0, values([("a", "1")])),
        (1, values([("a", "3"), ("b", "4"), ("c", "5")])),
        (10, values([("d", "6"), ("e", "7")])),
        (20, values([("g", "9")])),
        (21, values([])),
        (30, values([("h", "10")])),
        (40, values([("j", "12")])),
    ];
    assert_eq!(rows(run.path()), want);
}

#[test]
fn the_highest_step_is_the_last() {
    let (_dir, run) = run();
    run.log_at(i64::MAX as u64, [("a", 1)]).unwrap();
    run.commit().unwrap();
    let error = run.log([("a", 2)]).unwrap_err();
    let want = "step 9223372036854775808 is above the highest, 9223372036854775807";
    assert_eq!(error.to_string(), want);
    assert_eq!(rows(run.path()), [(i64::MAX, values([("a", "1")]))]);
}

/// The slow twin of the writer's guess at which key comes next, and of the bytes that the two records
/// of a row share.
#[test]
fn rows_with_keys_in_any_order_are_what_a_map_would_make_of_them() {
    let (_dir, run) = run();
    run.define_metric("k3").summary([Last]).apply().unwrap();
    run.define_metric("k4").summary([SummaryKind::None]).apply().unwrap();
    let mut random = 5u64;
    let mut below = |n: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) % n
    };
    let (mut want_rows, mut want_summary) = (Vec::new(), BTreeMap::new());
    for step in 0..500 {
        let row: Vec<_> = (0..below(8))
            .map(|_| (format!("k{}", below(6)), (below(4) > 0).then(|| below(1000))))
            .collect();
        run.log(&row).unwrap();
        let want: BTreeMap<_, _> = row
            .into_iter()
            .map(|(key, value)| (key, value.map_or_else(|| "null".to_owned(), |v| v.to_string())))
            .collect();
        for (key, text) in want.iter().filter(|(key, text)| *key != "k4" && *text != "null") {
            let last = format!("{{\"last\":{text}}}");
            want_summary.insert(key.clone(), if key == "k3" { last } else { text.clone() });
        }
        want_rows.push((step, want));
    }
    assert_eq!(rows(run.path()), want_rows);
    assert_eq!(summary(run.path()), want_summary);
}

#[test]
fn merging_into_one_row_for_ever_takes_no_more_memory_than_the_row() {
    let (_dir, run) = run();
    for i in 0..100_000u32 {
        run.log_partial([("text", "x".repeat(10)), ("i", i.to_string())]).unwrap();
    }
    run.commit().unwrap();
    let want = values([("text", "\"xxxxxxxxxx\""), ("i", "\"99999\"")]);
    assert_eq!(rows(run.path()), [(0, want)]);
}

#[test]
fn reserved_keys_are_the_writers_except_a_timestamp() {
    let (_dir, run) = run();
    run.log((("_step", 7), ("_runtime", -1), ("a", 1))).unwrap();
    run.log([("_timestamp", 12.5)]).unwrap();
    run.log([("_timestamp", None::<f64>)]).unwrap();
    let rows = all_rows(run.path());
    assert_eq!((rows[0].0, rows[1].0), (0, 1));
    let number = |row: usize, key: &str| rows[row].1[key].parse::<f64>().unwrap();
    assert!((0.0..60.0).contains(&number(0, "_runtime")));
    assert!(number(0, "_timestamp") > 1.7e9);
    assert_eq!(number(1, "_timestamp"), 12.5);
    assert!(number(2, "_timestamp") > 1.7e9);
    let last = full_summary(run.path());
    assert_eq!(last["_step"], "2");
    assert_eq!(last["_timestamp"], rows[2].1["_timestamp"]);
    assert_eq!(last["_wandb>runtime"], "0", "also without an end of the run");
}

#[test]
fn a_clock_that_jumps_moves_nothing_but_timestamps() {
    let (dir, run) = run();
    let times = [1.7e9, 1.7e9 - 3600.0, 4e9, 0.0, -5.0, 1.7e9];
    for (step, time) in times.into_iter().enumerate() {
        run.log((("_timestamp", time), ("loss", step))).unwrap();
    }
    run.finish().unwrap();
    let rows = all_rows(run.path());
    let number = |row: usize, key: &str| rows[row].1[key].parse::<f64>().unwrap();
    assert!(rows.iter().map(|(step, _)| *step).eq(0..6));
    assert!((0..6).all(|row| number(row, "_timestamp") == times[row]));
    let runtimes: Vec<_> = (0..6).map(|row| number(row, "_runtime")).collect();
    assert!(runtimes.is_sorted() && runtimes[0] >= 0.0 && runtimes[5] < 3600.0, "{runtimes:?}");

    // Nor is anything lost where rows are told by their times.
    let options = wandb_offline::convert::wandb::Options::default();
    let logdir = dir.path().join("logs");
    let report =
        wandb_offline::convert::wandb::to_tensorboard(&[run.path()], logdir, &options).unwrap();
    assert_eq!((report.runs[0].carried.scalars, report.is_lossy()), (6, false), "{report:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_that_is_started_does_not_have_the_log_open() {
    let (_dir, run) = run();
    let open = std::process::Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let open = String::from_utf8_lossy(&open.stdout).into_owned();
    assert!(open.contains(" 0 -> ") && !open.contains(".wandb"), "{open}");
    run.log([("loss", 0.5)]).unwrap();
}

#[test]
fn config_is_one_text_for_each_key() {
    #[derive(Serialize)]
    struct Config {
        lr: f64,
        opt: (&'static str, [f32; 2]),
        nan: f64,
        inf: f64,
    }
    let dir = tempfile::tempdir().unwrap();
    let config =
        Config { lr: 3e-4, opt: ("adam", [0.9, 0.999]), nan: f64::NAN, inf: f64::INFINITY };
    let options = options(dir.path()).config(&config).unwrap().config([("lr", 1)]).unwrap();
    let run = options.create().unwrap();
    run.config_set("lr", 0.5).unwrap();
    run.config_update(serde_json::json!({"a": {"b": [1]}, "c": null})).unwrap();
    run.config_update(()).unwrap();
    run.config_set("_wandb", 1).unwrap_err();
    let mut items = Vec::new();
    for record in records(run.path()) {
        let config = match record {
            RecordType::Run(run) => run.config.unwrap(),
            RecordType::Config(config) => config,
            _ => continue,
        };
        items.push(config.update.into_iter().map(|i| (i.key, i.value_json)).collect::<Vec<_>>());
    }
    let items: Vec<Vec<_>> =
        items.iter().map(|r| r.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()).collect();
    assert_eq!(
        items,
        [
            vec![
                ("_wandb", "{}"),
                ("opt", r#"["adam",[0.9,0.999]]"#),
                ("nan", "null"),
                ("inf", "Infinity"),
                ("lr", "1")
            ],
            vec![("lr", "0.5")],
            vec![("a", r#"{"b":[1]}"#), ("c", "null")],
        ]
    );
    let error = Writer::options().config(1).unwrap_err();
    assert!(error.to_string().contains("config: a struct, a map"), "{error}");
}

#[test]
fn a_run_begins_and_ends_with_the_records_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = options(dir.path())
        .environment([("SLURM_JOB_ID", "42"), ("USER", "me"), ("WANDB_HOST", "node7")])
        .project("p")
        .entity("e")
        .name("n")
        .notes("long")
        .group("g")
        .job_type("j")
        .id("my-id")
        .tags([" a ", "b", "a"])
        .create()
        .unwrap();
    run.log([("a", 1)]).unwrap();
    run.finish_with(3).unwrap();
    let records = records(run.path());
    let [
        RecordType::Header(header),
        RecordType::Run(record),
        RecordType::Environment(environment),
        RecordType::Telemetry(telemetry),
        RecordType::Summary(_),
        RecordType::History(_),
        RecordType::Summary(last),
        RecordType::Exit(exit),
    ] = records.as_slice()
    else {
        panic!("{records:#?}")
    };
    assert_eq!(header.version_info.as_ref().unwrap().min_consumer, "0.70.0");
    assert_eq!((&*record.run_id, &*record.project, &*record.entity), ("my-id", "p", "e"));
    assert_eq!((&*record.display_name, &*record.notes), ("n", "long"));
    assert_eq!((&*record.run_group, &*record.job_type), ("g", "j"));
    assert_eq!(record.tags, ["a", "b"]);
    assert_eq!((&*record.host, &*environment.host), ("node7", "node7"));
    assert!(record.start_time.is_some());
    assert!(telemetry.feature.as_ref().unwrap().offline);
    assert_eq!((&*telemetry.python_version, &*environment.python), ("", ""));
    assert_eq!((&*environment.username, &*environment.slurm["job_id"]), ("me", "42"));
    assert!(environment.executable.contains("writer"), "{}", environment.executable);
    assert_eq!(last.update[0].nested_key, ["_wandb", "runtime"]);
    assert_eq!(exit.exit_code, 3);
}

#[test]
fn after_finish_every_call_is_an_error() {
    let (_dir, run) = run();
    let other = run.clone();
    run.finish().unwrap();
    let length = std::fs::metadata(run.path()).unwrap().len();
    for result in [
        run.log([("a", 1)]),
        other.log_partial([("a", 1)]),
        run.log_at(5, [("a", 1)]),
        run.commit(),
        run.summary_set("a", 1),
        run.config_set("a", 1),
        run.define_metric("a").apply(),
        run.flush(),
        run.finish(),
    ] {
        let error = result.unwrap_err();
        let want = format!("the run is finished: {}", run.path().display());
        assert_eq!(error.to_string(), want);
    }
    drop((run.clone(), other));
    assert_eq!(std::fs::metadata(run.path()).unwrap().len(), length);
}

#[test]
fn dropping_without_finish_writes_what_is_pending_and_no_exit() {
    let dir = tempfile::tempdir().unwrap();
    let run = options(dir.path()).buffered(1000, Duration::from_secs(3600)).create().unwrap();
    run.log([("a", 1)]).unwrap();
    run.log_partial([("a", 2)]).unwrap();
    let path = run.path().to_owned();
    assert_eq!(rows(&path), []);
    let start = Instant::now();
    drop(run);
    assert!(start.elapsed() < Duration::from_secs(60), "the thread does not hold the drop up");
    assert_eq!(rows(&path), [(0, values([("a", "1")])), (1, values([("a", "2")]))]);
    assert!(!records(&path).iter().any(|record| matches!(record, RecordType::Exit(_))));
}

#[test]
fn buffered_rows_are_bound_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let run = options(dir.path()).buffered(3, Duration::from_secs(3600)).create().unwrap();
    let written = || rows(run.path()).len();
    for want in [0, 0, 3, 3] {
        run.log([("a", 1)]).unwrap();
        assert_eq!(written(), want);
    }
    run.flush().unwrap();
    assert_eq!(written(), 4);
}

#[test]
fn buffered_rows_are_bound_in_time_also_when_the_loop_stops() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path()).buffered(1_000_000, Duration::from_millis(40));
    let run = options.sync_every(Duration::from_millis(70)).create().unwrap();
    for round in 1..=3 {
        run.log([("a", round)]).unwrap();
        eventually(|| rows(run.path()).len() == round);
    }
    run.finish().unwrap();
    assert_eq!(rows(run.path()).len(), 3);
}

#[test]
fn threads_log_through_clones_and_nothing_is_lost() {
    let (_dir, run) = run();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let run = run.clone();
            scope.spawn(move || {
                for i in 0..500 {
                    run.log([(format!("t{thread}"), i)]).unwrap();
                }
            });
        }
    });
    run.finish().unwrap();
    let rows = rows(run.path());
    assert!(rows.iter().map(|(step, _)| *step).eq(0..2000));
    for thread in 0..4 {
        let key = format!("t{thread}");
        let logged = rows.iter().filter_map(|(_, row)| row.get(&key));
        assert!(logged.eq(&(0..500).map(|i| i.to_string()).collect::<Vec<_>>()));
    }
}

#[test]
fn a_disabled_run_touches_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("none");
    let run = options(&root).mode(wandb_offline::writer::Mode::Disabled).create().unwrap();
    run.log([("a", 1)]).unwrap();
    run.log_at(3, 5).unwrap();
    run.define_metric("a").apply().unwrap();
    run.summary_set("a", 1).unwrap();
    run.finish().unwrap();
    run.finish().unwrap();
    assert!(run.is_disabled());
    assert_eq!((run.step(), run.id().len()), (0, 8));
    assert!(run.dir().starts_with(&root) && !root.exists());
}

#[test]
fn a_panic_while_a_row_is_serialized_does_no_harm() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("not the writer's panic")
        }
    }
    let (_dir, run) = run();
    run.log_partial([("a", 1)]).unwrap();
    let clone = run.clone();
    std::thread::spawn(move || clone.log((("b", 2), ("c", Panics)))).join().unwrap_err();
    run.log([("d", 3)]).unwrap();
    assert_eq!(rows(run.path()), [(0, values([("a", "1"), ("d", "3")]))]);
}

#[test]
fn long_rows_span_blocks() {
    let (_dir, run) = run();
    let text = "é".repeat(50_000);
    for _ in 0..3 {
        run.log([("text", &text)]).unwrap();
    }
    run.finish().unwrap();
    let want = values([("text", &format!("\"{text}\""))]);
    assert!(rows(run.path()).iter().all(|(_, row)| *row == want));
}

#[test]
fn handles_go_between_threads() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<Writer>();
}

/// Waits for something another thread does, for as long as the slowest machine may take.
fn eventually(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came true");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_key_that_no_reader_takes_is_refused_and_the_run_goes_on() {
    let (_dir, run) = run();
    let mut row = serde_json::json!(1);
    for _ in 0..129 {
        row = serde_json::json!({ "a": row });
    }
    let error = run.log(&row).unwrap_err().to_string();
    assert!(error.contains("nested more than 128 deep"), "{error}");
    run.log(&row["a"]).unwrap();
    run.finish().unwrap();
    assert_eq!(rows(run.path()).len(), 1);
}
