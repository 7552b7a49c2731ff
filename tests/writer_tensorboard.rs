//! A run that is written for TensorBoard as well.

#[path = "support/written.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;
use support::*;
use wandb_offline::tfevents::{Scalars, discover};

type Points = BTreeMap<String, Vec<(i64, f64, f64)>>;

/// The scalars of the only run of a log directory, by tag: step, wall time, value.
fn points(logdir: &Path) -> Points {
    let found = discover(logdir).unwrap();
    let [run] = &found.runs[..] else { panic!("{found:?}") };
    let mut scalars = Scalars::default();
    run.files.iter().for_each(|file| scalars.read_file(file).unwrap());
    let series = scalars.series().map(|series| {
        let axes = series.steps.iter().zip(&series.wall_times).enumerate();
        let point = |(i, (step, time)): (usize, (&i64, &f64))| {
            (*step, *time, series.values.get(i).unwrap().as_f64())
        };
        (series.tag.to_string(), axes.map(point).collect())
    });
    series.collect()
}

#[test]
fn rows_go_to_both_files_with_the_same_steps_and_times() {
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("logs");
    let run = options(dir.path()).tensorboard(&logdir).create().unwrap();
    let nested = BTreeMap::from([("b", 1.5)]);
    let image =
        BTreeMap::from([("_type", "image-file".to_owned()), ("path", "media/x".to_owned())]);
    run.log((("loss", 0.5), ("a", &nested), ("ok", true), ("name", "x"), ("list", [1, 2])))
        .unwrap();
    run.log_at(7, (("loss", f64::NAN), ("_timestamp", 1.7e9), ("none", None::<f64>))).unwrap();
    run.log_at(7, (("image", (("size", 9), ("_type", "image-file"))), ("loss", 0.25))).unwrap();
    run.log((("image", image), ("a/b", 3))).unwrap();
    run.finish().unwrap();
    let rows = all_rows(run.path());
    let times: Vec<f64> = rows.iter().map(|(_, row)| row["_timestamp"].parse().unwrap()).collect();
    let got = points(&logdir);
    assert_eq!(got["loss"], [(0, times[0], 0.5), (7, 1.7e9, 0.25)]);
    assert_eq!(times[1], 1.7e9);
    assert_eq!(got["a/b"], [(0, times[0], 1.5)]);
    assert_eq!(got["a/b_"][0].2, 3.0, "another key that reads the same");
    assert_eq!(got["ok"], [(0, times[0], 1.0)]);
    let tags: Vec<_> = got.keys().map(String::as_str).collect();
    assert_eq!(tags, ["a/b", "a/b_", "loss", "ok"], "media are not numbers");
}

#[test]
fn rows_are_in_the_event_file_after_a_flush_or_when_the_writer_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("logs");
    let run = options(dir.path()).tensorboard(&logdir).create().unwrap();
    run.log([("loss", 1.0)]).unwrap();
    run.flush().unwrap();
    assert_eq!(points(&logdir)["loss"].len(), 1);
    run.log([("loss", 2.0)]).unwrap();
    drop(run);
    assert_eq!(points(&logdir)["loss"].len(), 2);
}

#[test]
fn the_config_and_the_end_are_hyperparameters() {
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("logs");
    let run = options(dir.path()).tensorboard(&logdir).config([("lr", 0.1)]).unwrap();
    run.create().unwrap().finish_with(3).unwrap();
    let found = discover(&logdir).unwrap();
    let bytes = std::fs::read(&found.runs[0].files[0]).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("_hparams_/session_start_info") && has("_hparams_/session_end_info"));
}

#[test]
fn a_run_that_cannot_be_written_for_tensorboard_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    assert!(options(dir.path()).tensorboard(&file).create().is_err());
    assert_eq!(std::fs::read_dir(dir.path().join("wandb")).unwrap().count(), 0);
}
