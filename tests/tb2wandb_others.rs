//! Converting what Keras, TensorFlow and torch write beside plain summaries.

#[path = "support/converted.rs"]
mod support;

use serde_json::json;
use std::fs;
use support::*;
use wandb_offline::convert::tensorboard::{LogDirBeside, Reason};
use wandb_offline::tfevents::discover;

fn case(name: &str) -> std::path::PathBuf {
    fixtures().join("others").join(name)
}

#[test]
fn hyperparameters_above_the_metrics_of_keras_are_those_of_the_runs_below() {
    let done = converted(case("keras_hparams"), |_| {});
    let runs = done.runs();
    assert_eq!(runs.keys().collect::<Vec<_>>(), [".", "run0/train", "run0/validation"]);
    for name in ["run0/train", "run0/validation"] {
        let run = &runs[name];
        assert_eq!((&run.config["lr"], &run.config["drop"]), (&json!(0.1), &json!(0.2)));
        assert!(run.run.run_group.starts_with("d8ebed80"), "the session's group");
        assert_eq!((run.last("epoch_loss").is_some(), run.exit), (true, Some(0)));
    }
    let infos = &runs["."].config["_tb"]["hparam_infos"];
    assert_eq!(infos[0], json!({"name": "lr", "type": "float64", "domain": [0.1, 0.2]}));
    assert_eq!(infos[1]["domain"], json!({"min": 0.1, "max": 0.5}));
    let folded: Vec<_> = done.report.runs.iter().map(|run| run.folded.as_slice()).collect();
    assert_eq!(folded, [&[][..], &["run0".to_owned()], &["run0".to_owned()]]);

    let apart = converted(case("keras_hparams"), |o| o.fold_hparams = false).runs();
    assert_eq!((apart.len(), apart["run0"].rows.len()), (4, 0));
    assert!(!apart["run0/train"].config.contains_key("lr"));
}

#[test]
fn a_trial_in_a_directory_that_is_no_run_itself_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    for (from, to) in [
        (case("keras_hparams/run0"), "run0"),
        (case("keras_hparams/run0/train"), "run0/train"),
        (fixtures().join("tensorboardX/hparams/trial_1"), "run0/trial"),
    ] {
        let to = dir.path().join(to);
        fs::create_dir_all(&to).unwrap();
        for file in &discover(from).unwrap().runs[0].files {
            fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
        }
    }
    let runs = converted(dir.path(), |_| {}).runs();
    assert_eq!(runs.keys().collect::<Vec<_>>(), ["run0/train", "run0/trial"]);
    assert_eq!(runs["run0/train"].config["lr"], json!(0.1));
    assert!(!runs["run0/trial"].rows.is_empty());
}

#[test]
fn of_several_sessions_in_one_run_no_parameter_is_lost() {
    let run = converted(case("two_sessions"), |o| o.merge = true).only();
    assert_eq!(
        (&run.config["version_0/lr"], &run.config["version_1/lr"]),
        (&json!(0.1), &json!(0.2))
    );
    assert!(!run.config.contains_key("lr"));
    // A session alone needs no name in front.
    let run = converted(case("keras_hparams"), |o| o.merge = true).only();
    assert_eq!(run.config["lr"], json!(0.1));
}

#[test]
fn a_histogram_with_an_infinite_value_keeps_the_others() {
    let done = converted(case("infinite_histogram"), |_| {});
    let histogram = done.only().value(0, "grad").unwrap();
    assert_eq!((&histogram["values"], &histogram["bins"]), (&json!([2]), &json!([1, 1])));
    let report = &done.report.runs[0];
    let left_out = report.left_out.iter().map(|of| (of.reason, of.what.as_str(), of.count));
    let nan = (Reason::Malformed, "histogram of what is no number", 1);
    assert_eq!((left_out.collect::<Vec<_>>(), report.rebinned), (vec![nan], 1));
}

#[test]
fn parts_of_a_mesh_that_cannot_be_shown_are_no_points() {
    let done = converted(case("mesh_rgba"), |_| {});
    let report = &done.report.runs[0];
    let left_out: Vec<_> = report.left_out.iter().map(|of| (of.what.as_str(), of.count)).collect();
    assert_eq!((left_out, report.points), (vec![("mesh", 2)], 2));
    let row = &done.only().rows[0];
    assert!(row.keys().flatten().all(|element| !element.starts_with("m_")), "{row:?}");
}

#[test]
fn sounds_without_labels_have_no_captions() {
    let sounds = converted(case("audio_captions"), |_| {}).only().value(0, "snd").unwrap();
    assert_eq!((&sounds["count"], sounds.get("captions")), (&json!(2), None));
}

#[test]
fn embeddings_and_profiles_beside_event_files_are_not_passed_over_in_silence() {
    let report = converted(case("embedding"), |_| {}).report;
    let [LogDirBeside { embeddings: 1, profiles: 0, .. }] = report.beside[..] else {
        panic!("{:?}", report.beside);
    };
    assert!(report.is_lossy());
}
