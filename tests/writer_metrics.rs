//! Metric definitions, and the summaries and step values they lead to.

#[path = "support/written.rs"]
mod support;

use support::{full_summary, records, rows, run, summary, values};
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::writer::SummaryKind::{self, First, Last, Max, Mean, Min};
use wandb_offline::{Error, Writer};

/// The expected values are what wandb 0.31.0 wrote for the same calls, numbers as they read in Rust.
#[test]
fn summaries_of_defined_metrics_are_those_of_wandb() {
    let all = [Min, Max, Mean, First, Last];
    let last_of = |prepare: &dyn Fn(&Writer) -> Result<(), Error>| {
        let (_dir, run) = run();
        prepare(&run).unwrap();
        summary(run.path())
    };
    let tracked = last_of(&|run| {
        run.define_metric("m").summary(all).apply()?;
        run.log([("m", 1)])?;
        run.log([("m", "s")])?;
        run.log([("m", 3.5)])
    });
    let want = r#"{"min":1.0,"max":3.5,"mean":2.25,"first":1,"last":3.5}"#;
    assert_eq!(tracked, values([("m", want)]));

    let poisoned = last_of(&|run| {
        run.define_metric("m").summary(all).apply()?;
        run.log([("m", 1.0)])?;
        run.log([("m", f64::NAN)])?;
        run.log([("m", 2.0)])
    });
    let want = r#"{"min":NaN,"max":NaN,"mean":NaN,"first":1.0,"last":2.0}"#;
    assert_eq!(poisoned, values([("m", want)]));

    let late = last_of(&|run| {
        run.log([("m", 1)])?;
        run.log([("m", 5)])?;
        run.define_metric("m").summary([Min, Mean, First]).apply()?;
        run.log([("m", 3)])
    });
    assert_eq!(late, values([("m", r#"{"min":1,"mean":3.0,"first":1}"#)]));

    let merged = last_of(&|run| {
        run.define_metric("m").summary([Min]).apply()?;
        run.define_metric("m").summary([Max]).apply()?;
        run.define_metric("n").summary([SummaryKind::None]).apply()?;
        run.define_metric("k").summary([Min]).apply()?;
        run.define_metric("k").summary([Max]).overwrite(true).apply()?;
        run.define_metric("c").summary([SummaryKind::Copy]).apply()?;
        run.log([("m", 1), ("n", 1), ("k", 1), ("c", 1)])?;
        run.log([("m", 3), ("n", 2), ("k", 3), ("c", 2)])
    });
    let want = [("m", r#"{"min":1,"max":3}"#), ("k", r#"{"max":3}"#), ("c", "2")];
    assert_eq!(merged, values(want));

    let set = last_of(&|run| {
        run.define_metric("m").summary([Min]).apply()?;
        run.log([("m", 1)])?;
        run.summary_set("m", 9)?;
        run.log([("m", 4)])
    });
    assert_eq!(set, values([("m", "4")]));

    let set_and_defined = last_of(&|run| {
        run.define_metric("m").summary([Min]).apply()?;
        run.log([("m", 1)])?;
        run.summary_set("m", 9)?;
        run.log([("m", 4)])?;
        run.define_metric("m").summary([Max]).apply()?;
        run.log([("m", 2)])
    });
    assert_eq!(set_and_defined, values([("m", r#"{"min":1,"max":4}"#)]));
}

#[test]
fn globs_are_prefixes_that_definitions_by_name_win_over() {
    let (_dir, run) = run();
    run.define_metric("a.*").summary([Min]).apply().unwrap();
    run.define_metric("e/*").summary([Min]).apply().unwrap();
    run.define_metric("e/loss").summary([Max]).apply().unwrap();
    run.define_metric("z\\.y").summary([Max]).apply().unwrap();
    for v in [2, 1] {
        let row = serde_json::json!({
            "a": {"b": v}, "a.b": v, "e/loss": v, "e/acc": v, "_e": v, "z": {"y": v}, "z.y": v,
        });
        run.log(row).unwrap();
    }
    let want = [
        ("a>b", r#"{"min":1}"#),
        ("a.b", "1"),
        ("e/loss", r#"{"max":2}"#),
        ("e/acc", r#"{"min":1}"#),
        ("z>y", "1"),
        ("z.y", r#"{"max":2}"#),
    ];
    assert_eq!(summary(run.path()), values(want));
    run.define_metric("*").summary([First]).apply().unwrap();
    run.log([("_e", 3), ("new", 4)]).unwrap();
    let summary = full_summary(run.path());
    assert_eq!((summary["_e"].as_str(), summary["new"].as_str()), ("3", r#"{"first":4}"#));
}

#[test]
fn rows_get_the_step_metric_they_lack() {
    let (_dir, run) = run();
    run.define_metric("loss").step_metric("epoch").apply().unwrap();
    run.define_metric("free").step_metric("epoch").step_sync(false).apply().unwrap();
    run.define_metric("own").step_metric("_step").apply().unwrap();
    run.log([("loss", 1)]).unwrap();
    run.log((("epoch", 7), ("loss", 2))).unwrap();
    run.log([("loss", 3), ("own", 3)]).unwrap();
    run.log([("free", 4)]).unwrap();
    run.log((("epoch", "x"), ("loss", 5))).unwrap();
    run.log((("epoch", 1.5), ("other", 6))).unwrap();
    run.log([("loss", 7)]).unwrap();
    let epochs: Vec<_> =
        rows(run.path()).iter().map(|(_, row)| row.get("epoch").cloned()).collect();
    let want = [Some("0"), Some("7"), Some("7"), None, Some("\"x\""), Some("1.5"), Some("1.5")];
    assert_eq!(epochs, want.map(|epoch| epoch.map(str::to_owned)));
    assert_eq!(summary(run.path())["epoch"], "1.5");
}

#[test]
fn metric_names_wandb_refuses_are_refused() {
    let (_dir, run) = run();
    let message = |name: &str| run.define_metric(name).apply().unwrap_err().to_string();
    assert_eq!(
        message("a*b"),
        "define_metric: in \"a*b\" the `*` is not the last character, its only place"
    );
    assert_eq!(message(""), "define_metric: a metric has a name of at least one character");
    let error = run.define_metric("a").step_metric("e*").apply().unwrap_err();
    assert_eq!(error.to_string(), "step_metric: \"e*\" must name one metric, without `*`");
    assert!(records(run.path()).iter().all(|record| !matches!(record, RecordType::Metric(_))));
}
