//! TensorBoard log directories, merged and read back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use wandb_offline::event::What;
use wandb_offline::merge::{EventPlan, EventReport, Options, Overlap, Steps};
use wandb_offline::proto::tensorboard::{self as tb, event, summary};
use wandb_offline::tfevents::{EventReader, EventWriter, discover};

/// Writes an event file with values `(tag, steps, value)` and, in front, a restart at a step.
fn attempt(
    dir: &Path,
    second: u32,
    restart: Option<i64>,
    series: &[(&str, std::ops::RangeInclusive<i64>, f32)],
) {
    fs::create_dir_all(dir).unwrap();
    let mut file =
        EventWriter::create(dir.join(format!("events.out.tfevents.170000{second:04}.host")))
            .unwrap();
    let wall_time = f64::from(1_700_000_000 + second);
    let mut put = |step, what| {
        file.event(&tb::Event { wall_time, step, what: Some(what), ..Default::default() }).unwrap();
    };
    put(0, event::What::FileVersion("brain.Event:2".into()));
    if let Some(step) = restart {
        let status = tb::session_log::SessionStatus::Start.into();
        put(step, event::What::SessionLog(tb::SessionLog { status, ..Default::default() }));
    }
    for (tag, steps, number) in series {
        for step in steps.clone() {
            // As some writers do, only the first value says what it is.
            let metadata = (step == *steps.start()).then(|| tb::SummaryMetadata {
                display_name: format!("shown {tag}"),
                ..Default::default()
            });
            let value = summary::Value {
                tag: (*tag).into(),
                metadata,
                value: Some(summary::value::Value::SimpleValue(*number)),
                ..Default::default()
            };
            let summary = tb::Summary { value: vec![value] };
            put(step, event::What::Summary(summary));
        }
    }
    file.flush().unwrap();
}

/// The values of a run, as `tag first-last:value`, in the order of the file; each tag starts with metadata.
fn spans(dir: &Path) -> Vec<String> {
    let mut series: BTreeMap<String, Vec<(i64, i64, f32)>> = BTreeMap::new();
    let run = discover(dir).unwrap().runs.remove(0);
    assert_eq!(run.files.len(), 1);
    let mut reader = EventReader::open(&run.files[0]).unwrap();
    while let Some(raw) = reader.next_event().unwrap() {
        let event = raw.view().unwrap();
        assert!(!matches!(event.what, What::SessionLog(_)));
        let What::Summary(summary) = &event.what else { continue };
        for value in summary.values() {
            let number = value.scalar().unwrap().as_f64() as f32;
            let spans = series.entry(value.tag.to_owned()).or_default();
            assert!(!spans.is_empty() || value.metadata.is_some(), "{}", value.tag);
            match spans.last_mut() {
                Some((_, last, of)) if *last + 1 == event.step && *of == number => {
                    *last = event.step;
                }
                _ => spans.push((event.step, event.step, number)),
            }
        }
    }
    assert!(reader.tail().unwrap().is_clean());
    let spans = series.iter().flat_map(|(tag, spans)| {
        spans.iter().map(move |(first, last, number)| format!("{tag} {first}-{last}:{number}"))
    });
    spans.collect()
}

fn merge(paths: &[PathBuf], options: &Options) -> (EventReport, Vec<String>) {
    let output = paths[0].parent().unwrap().join("merged");
    let report = EventPlan::new(paths, options).unwrap().write(&output).unwrap();
    let found = spans(&output);
    fs::remove_dir_all(&output).unwrap();
    (report, found)
}

#[test]
fn each_step_of_a_tag_comes_once_by_the_rule_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    attempt(&paths[0], 1, None, &[("loss", 0..=212, 1.0), ("text", 0..=0, 1.0)]);
    attempt(&paths[1], 2, None, &[("loss", 201..=205, 2.0), ("text", 0..=0, 2.0)]);
    for (overlap, want) in [
        (Overlap::Newest, vec!["loss 0-200:1", "loss 201-205:2", "loss 206-212:1", "text 0-0:2"]),
        (Overlap::Oldest, vec!["loss 0-212:1", "text 0-0:1"]),
        (Overlap::Cut(vec![203]), vec!["loss 0-202:1", "loss 203-205:2", "text 0-0:1"]),
    ] {
        let (report, found) = merge(&paths, &Options { overlap, ..Options::default() });
        assert_eq!(found, want);
        assert_eq!(report.values + report.left_out, 220);
    }
    let refuse = Options { overlap: Overlap::Refuse, ..Options::default() };
    let error = EventPlan::new(&paths, &refuse).unwrap_err().to_string();
    assert_eq!(error, "tag \"loss\": segments 1 and 2 both have steps 201 to 205");
}

#[test]
fn a_restart_takes_back_what_it_takes_back_in_tensorboard() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    attempt(&paths[0], 1, None, &[("loss", 0..=99, 1.0)]);
    attempt(&paths[0], 2, Some(50), &[("loss", 50..=69, 2.0)]);
    attempt(&paths[1], 3, Some(60), &[("loss", 60..=64, 3.0)]);
    let (report, found) = merge(&paths, &Options::default());
    assert_eq!(found, ["loss 0-49:1", "loss 50-59:2", "loss 60-64:3"]);
    assert_eq!((report.taken_back, report.left_out), (50, 10));
}

#[test]
fn log_directories_can_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["b", "a"].map(|name| dir.path().join(name));
    attempt(&paths[0], 1, None, &[("loss", 0..=9, 1.0), ("acc", 5..=9, 1.0)]);
    attempt(&paths[1], 2, None, &[("loss", 0..=4, 2.0)]);
    let (_, found) = merge(&paths, &Options { steps: Steps::Shift, ..Options::default() });
    assert_eq!(found, ["acc 5-9:1", "loss 0-9:1", "loss 10-14:2"]);
}

#[test]
fn runs_of_one_name_belong_together_and_the_first_value_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| dir.path().join(name));
    for (second, path) in (1..).zip(&paths) {
        let first = i64::from(second) * 10;
        attempt(&path.join("train"), second, None, &[("loss", first..=first + 9, 1.0)]);
    }
    attempt(&paths[1].join("val"), 3, None, &[("loss", 0..=9, 1.0)]);
    let output = dir.path().join("merged");
    let cut = Options { overlap: Overlap::Cut(vec![25]), ..Options::default() };
    let report = EventPlan::new(&paths, &cut).unwrap().write(&output).unwrap();
    assert_eq!(report.runs, 2);
    assert_eq!(spans(&output.join("train")), ["loss 10-19:1", "loss 25-29:1"]);
    assert!(discover(&output).unwrap().runs.iter().any(|run| run.name == "val"));
    assert!(EventPlan::new(&paths, &Options::default()).unwrap().write(&output).is_err());
}

#[cfg(feature = "cli")]
#[test]
fn an_older_attempt_gives_the_values_between_many_newer_ones() {
    let root = tempfile::tempdir().unwrap();
    let dir = |name: &str| root.path().join(name);
    attempt(&dir("old"), 0, None, &[("a", 0..=100, 1.0), ("b", 0..=100, 1.0)]);
    let mut paths = vec![dir("old")];
    for (i, step) in (10..=90).step_by(10).enumerate() {
        let name = format!("new{step}");
        attempt(&dir(&name), 1 + i as u32, None, &[("a", step..=step, 2.0)]);
        paths.push(dir(&name));
    }
    let plan = EventPlan::new(&paths, &Options::default()).unwrap();
    let report = plan.write(dir("merged")).unwrap();
    assert_eq!((report.values, report.left_out), (202, 9));
    let spans = spans(&dir("merged"));
    let mut want = vec!["a 0-9:1".to_owned()];
    for step in (10..=90).step_by(10) {
        want.push(format!("a {step}-{step}:2"));
        want.push(format!("a {}-{}:1", step + 1, if step == 90 { 100 } else { step + 9 }));
    }
    want.push("b 0-100:1".into());
    assert_eq!(spans, want);
}

#[test]
fn what_is_named_twice_or_within_another_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    attempt(&a, 0, None, &[("x", 0..=1, 1.0)]);
    attempt(&b, 1, None, &[("x", 2..=3, 1.0)]);
    for paths in [vec![a.clone(), b.clone(), a.clone()], vec![a.clone(), root.path().to_owned()]] {
        let error = EventPlan::new(&paths, &Options::default()).unwrap_err().to_string();
        assert!(error.starts_with("all in it is in "), "{error}");
    }
}

#[test]
fn the_program_takes_event_files_for_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = "fixtures/tensorboard/tensorboardX/restart_overlap/events.out.tfevents";
    let merge = std::process::Command::new(env!("CARGO_BIN_EXE_wandb-offline"))
        .args(["merge", &format!("{fixture}.1795486706.vm"), &format!("{fixture}.1795486707.vm")])
        .arg("-o")
        .arg(dir.path().join("merged"))
        .output()
        .unwrap();
    let text = String::from_utf8(merge.stdout).unwrap();
    assert_eq!(merge.status.code(), Some(0), "{text}");
    assert!(
        text.contains("overlap: . loss: steps 0 to 5 from 1, steps 6 to 11 from 2\n"),
        "{text}"
    );
    assert!(
        text.contains("  left out: 4 values, whose steps another log directory has\n"),
        "{text}"
    );
}

#[test]
fn files_that_are_no_event_files_stay_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [dir.path().join("a"), dir.path().join("b")];
    for (second, path) in (1..).zip(&paths) {
        attempt(path, second, None, &[("loss", 0..=1, 1.0)]);
    }
    fs::create_dir_all(paths[1].join("plugins/profile/1")).unwrap();
    for file in ["plugins/profile/1/h.xplane.pb", "projector_config.pbtxt", "model.ckpt"] {
        fs::write(paths[1].join(file), b"").unwrap();
    }
    let plan = EventPlan::new(&paths, &Options::default()).unwrap();
    let beside: Vec<_> = plan.attempts.iter().map(|attempt| attempt.files_beside).collect();
    assert_eq!(beside, [0, 3]);
}

#[test]
fn a_file_that_changes_between_plan_and_merge_is_told_if_it_lacks_something() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [dir.path().join("a"), dir.path().join("b")];
    attempt(&paths[0], 1, None, &[("loss", 0..=5, 1.0)]);
    attempt(&paths[1], 2, None, &[("loss", 6..=9, 2.0)]);
    let plan = EventPlan::new(&paths, &Options::default()).unwrap();
    let file = discover(&paths[0]).unwrap().runs[0].files[0].clone();
    let bytes = fs::read(&file).unwrap();

    fs::write(&file, [&bytes[..], &bytes[..]].concat()).unwrap();
    plan.write(dir.path().join("grown")).unwrap();
    assert_eq!(spans(&dir.path().join("grown")), ["loss 0-5:1", "loss 6-9:2"]);

    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let error = plan.write(dir.path().join("cut")).unwrap_err().to_string();
    assert!(error.contains("was cut off since it was read"), "{error}");
    assert!(!dir.path().join("cut").exists());
}
