//! Runs, edited and read back.

#[path = "support/written.rs"]
mod support;

use std::fs;
use std::num::NonZero;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use support::{full_summary, options, records, rows, summary, values};
use wandb_offline::edit::{EditReport, Options, RowEdit, TagEdit, ValueEdit, edit};
use wandb_offline::json::Value;
use wandb_offline::proto::wandb_internal::record::RecordType;
use wandb_offline::record::KeyRule;
use wandb_offline::rewrite::Template;
use wandb_offline::run::{self, RunState};
use wandb_offline::writer::SummaryKind::{Max, Min};
use wandb_offline::{Reader, Writer};

/// A directory with a run, and what becomes of it.
struct Bench {
    dir: tempfile::TempDir,
    run: PathBuf,
}

impl Bench {
    /// A run `r` that a training loop wrote.
    fn write(write: impl FnOnce(&Writer)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let run = options(dir.path()).id("r").project("p").tags(["a", "b"]).create().unwrap();
        write(&run);
        run.finish().unwrap();
        let run = run.dir().to_owned();
        Self { dir, run }
    }

    /// A run of the fixtures, with a file for each medium that its rows name.
    fn fixture(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("offline-run-20260102_030405-x");
        fs::create_dir(&run).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb").join(name);
        let log = wandb_offline::log::locate(from).unwrap().path;
        let to = run.join(log.file_name().unwrap());
        fs::copy(log, &to).unwrap();
        for record in records_of(&to) {
            let Some(RecordType::Files(files)) = record else { continue };
            for file in files.files {
                let path = run.join("files").join(&file.path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, file.path).unwrap();
            }
        }
        Self { dir, run }
    }

    fn try_edit(&self, options: &Options) -> wandb_offline::Result<EditReport> {
        edit(&self.run, self.dir.path().join("out"), options)
    }

    fn edit(&self, options: &Options) -> (EditReport, PathBuf) {
        let before = fs::read(log(&self.run)).unwrap();
        let report = self.try_edit(options).unwrap();
        assert_eq!(fs::read(log(&self.run)).unwrap(), before, "the input is not changed");
        let log = log(&report.directory);
        (report, log)
    }

    fn state(&self, options: &Options) -> RunState {
        run::load(self.edit(options).1, false).unwrap().0
    }
}

fn log(run: &Path) -> PathBuf {
    wandb_offline::log::locate(run).unwrap().path
}

fn records_of(log: &Path) -> Vec<Option<RecordType>> {
    let mut reader = Reader::open(log).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record.decode().unwrap().record_type);
    }
    records
}

/// The payloads of a log without their numbers, which come first.
fn payloads(log: &Path) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(log).unwrap();
    let mut payloads = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let number = wandb_offline::wire::Fields::new(record.payload);
        let mut rest = number.clone();
        let behind = match rest.next() {
            Some(Ok(field)) if field.number == 1 => rest.consumed(),
            _ => 0,
        };
        payloads.push(record.payload[behind..].to_vec());
    }
    payloads
}

fn template(text: &str) -> Option<Template> {
    Some(Template::new("test", text).unwrap())
}

fn path(key: &str) -> Vec<String> {
    wandb_offline::record::split_key(key)
}

fn renaming(rule: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Options {
    Options { keys: KeyRule::new(rule), ..Options::default() }
}

fn with_rows(rows: RowEdit) -> Options {
    Options { rows, ..Options::default() }
}

#[test]
fn an_edit_that_changes_nothing_moves_every_record_byte_for_byte() {
    for fixture in ["0.31.0/basic", "0.12.21/basic", "0.19.11/basic", "0.31.0/typed"] {
        let bench = Bench::fixture(fixture);
        let (report, edited) = bench.edit(&Options::default());
        let total = report.total();
        assert_eq!((total.changed, total.dropped, total.added), (0, 0, 0), "{fixture}");
        assert_eq!(payloads(&edited), payloads(&log(&bench.run)), "{fixture}");
        let name = report.directory.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("offline-run-20260102_030405-"), "{name}");
        assert!(bench.try_edit(&Options::default()).unwrap_err().to_string().contains("exists"));
    }
}

#[test]
fn records_that_have_nothing_to_change_stay_whatever_is_changed() {
    let bench = Bench::fixture("0.31.0/basic");
    let options = Options {
        project: template("other"),
        keys: KeyRule::new(|key| Some(key.replace("loss", "cost"))),
        ..Options::default()
    };
    let (report, edited) = bench.edit(&options);
    let (old, new) = (payloads(&log(&bench.run)), payloads(&edited));
    let same = old.iter().zip(&new).filter(|(old, new)| old == new).count();
    assert_eq!((old.len(), same as u64), (new.len(), report.total().kept));
    assert!(report.total().changed > 0 && report.total().kept > report.total().changed);
}

#[test]
fn who_the_run_is_changes_in_every_place_that_says_so() {
    let bench = Bench::fixture("0.31.0/media");
    let options = Options {
        id: template("{id}-2"),
        project: template("p2"),
        entity: template("team"),
        name: template("{project}/{id}"),
        group: template("g"),
        job_type: template("j"),
        notes: template("{{n}}"),
        tags: TagEdit { add: vec![template("{project}").unwrap()], ..TagEdit::default() },
        ..Options::default()
    };
    let (report, edited) = bench.edit(&options);
    assert_eq!(report.run_id, "media001-2");
    assert!(report.directory.ends_with("offline-run-20260102_030405-media001-2"));
    assert_eq!(edited.file_name().unwrap(), "run-media001-2.wandb");
    let (state, _) = run::load(&edited, false).unwrap();
    let info = state.info();
    assert_eq!((info.run_id(), info.project(), info.entity()), ("media001-2", "p2", "team"));
    assert_eq!((info.name(), info.group(), info.job_type()), ("corpus/media001", "g", "j"));
    assert_eq!((info.notes(), info.tags()), ("{n}", &["corpus".to_owned()][..]));
    let mut reader = Reader::open(&edited).unwrap();
    let mut artifacts = 0;
    while let Some(record) = reader.next_record().unwrap() {
        let record = record.decode().unwrap();
        let stream = record.info.map(|info| info.stream_id).unwrap_or_default();
        assert!(["", "media001-2"].contains(&stream.as_str()), "{stream}");
        let Some(RecordType::Artifact(artifact)) = record.record_type else { continue };
        artifacts += 1;
        assert_eq!((artifact.run_id.as_str(), artifact.project.as_str()), ("media001-2", "p2"));
        assert_eq!(artifact.entity, "team");
        assert!(artifact.name.starts_with("run-media001-2-"), "{}", artifact.name);
    }
    assert!(artifacts > 0);
}

#[test]
fn tags_are_set_removed_and_added_in_this_order() {
    let bench = Bench::write(|_| ());
    let all = |texts: &[&str]| texts.iter().map(|text| template(text).unwrap()).collect();
    for (edit, want) in [
        (TagEdit { add: all(&["c", "a"]), ..TagEdit::default() }, &["a", "b", "c"][..]),
        (TagEdit { remove: all(&["a", "x"]), ..TagEdit::default() }, &["b"]),
        (
            TagEdit { set: Some(all(&["c", "d"])), remove: all(&["c"]), add: all(&["e"]) },
            &["d", "e"],
        ),
        (TagEdit { set: Some(Vec::new()), ..TagEdit::default() }, &[]),
    ] {
        let state = bench.state(&Options { tags: edit, ..Options::default() });
        assert_eq!(state.info().tags(), want);
        fs::remove_dir_all(bench.dir.path().join("out")).unwrap();
    }
}

#[test]
fn names_that_w_and_b_does_not_take_are_refused_and_nothing_is_written() {
    let bench = Bench::write(|_| ());
    for (options, want) in [
        (Options { id: template("a/b"), ..Options::default() }, "id: \"a/b\" contains '/'"),
        (Options { project: template("{group}"), ..Options::default() }, "project: a project has"),
        (Options { project: template("a:b"), ..Options::default() }, "project: \"a:b\" contains"),
    ] {
        let error = bench.try_edit(&options).unwrap_err().to_string();
        assert!(error.starts_with(want), "{error}");
    }
    assert!(!bench.dir.path().join("out").exists());
}

#[test]
fn config_values_are_set_and_removed_also_where_later_records_had_them() {
    let bench = Bench::write(|run| {
        run.config_update([("lr", 0.1), ("seed", 1.0)]).unwrap();
        run.log([("x", 1.0)]).unwrap();
        run.config_update([("lr", 0.2)]).unwrap();
        run.config_update([("late", 3.0)]).unwrap();
    });
    let config = ValueEdit {
        remove: vec![path("seed"), path("late")],
        set: vec![(path("lr"), Value::Float(0.5)), (path("opt.name"), Value::from("adam"))],
    };
    let options = Options { config, ..Options::default() };
    assert_eq!(bench.state(&options).config().to_string(), r#"{"lr":0.5,"opt":{"name":"adam"}}"#);
    let own = ValueEdit { remove: vec![path("_wandb.t")], ..ValueEdit::default() };
    let error = bench.try_edit(&Options { config: own, ..Options::default() }).unwrap_err();
    assert!(error.to_string().contains("W&B's own"), "{error}");
}

#[test]
fn summary_values_are_set_and_removed_in_the_end() {
    for fixture in ["0.31.0/basic", "0.12.21/basic"] {
        let bench = Bench::fixture(fixture);
        let (before, _) = run::load(log(&bench.run), false).unwrap();
        let edit = ValueEdit {
            remove: vec![path("train/lr")],
            set: vec![(path("best.epoch"), Value::Int(7))],
        };
        let after = bench.state(&Options { summary: edit, ..Options::default() });
        let mut want = before.summary();
        if let Value::Object(members) = &mut want {
            assert!(members.remove("train/lr").is_some());
            members.insert("best".into(), Value::parse(r#"{"epoch":7}"#).unwrap());
        }
        // NaN is equal to nothing but its text.
        assert_eq!(after.summary().to_string(), want.to_string(), "{fixture}");
    }
}

#[test]
fn a_key_is_renamed_in_history_summary_and_definitions() {
    let bench = Bench::write(|run| {
        run.define_metric("val/loss").step_metric("epoch").summary([Min]).apply().unwrap();
        run.define_metric("val/*").step_metric("epoch").apply().unwrap();
        for epoch in 0..3 {
            let epoch = f64::from(epoch);
            run.log([("epoch", epoch), ("val/loss", -epoch), ("val/acc", epoch)]).unwrap();
        }
    });
    let rule = |key: &str| match key {
        "epoch" => Some("e".to_owned()),
        key => Some(key.replace("val/", "eval.")),
    };
    let (report, edited) = bench.edit(&renaming(rule));
    assert_eq!(
        rows(&edited)[2].1,
        values([("e", "2.0"), ("eval>loss", "-2.0"), ("eval>acc", "2.0")])
    );
    let definitions: Vec<_> = records(&edited)
        .into_iter()
        .filter_map(|record| match record {
            RecordType::Metric(it) => Some((it.name, it.glob_name, it.step_metric)),
            _ => None,
        })
        .collect();
    let of = |name: &str| (name.to_owned(), String::new(), "e".to_owned());
    assert_eq!(definitions, [of("eval.loss"), of("eval.acc")], "no metric is left for the pattern");
    let (state, _) = run::load(&edited, false).unwrap();
    let drop_where = vec!["epoch > 1".parse().unwrap()];
    let rows = RowEdit { drop_where, ..RowEdit::default() };
    fs::remove_dir_all(bench.dir.path().join("out")).unwrap();
    let (refolded, log) = bench.edit(&Options { rows, ..renaming(rule) });
    assert_eq!(refolded.renamed_keys, report.renamed_keys);
    let refolded = run::load(log, false).unwrap().0.summary();
    let want = r#"{"acc":1.0,"loss":{"min":-1.0}}"#;
    assert_eq!(refolded.get("eval").unwrap().to_string(), want, "and where it is made anew");
    let want = r#"{"acc":2.0,"loss":{"min":-2.0}}"#;
    assert_eq!(state.summary().get("eval").unwrap().to_string(), want);
    assert_eq!(report.renamed_keys["val/loss"], "eval.loss");
}

#[test]
fn what_is_below_a_media_object_goes_where_the_object_goes() {
    let bench = Bench::fixture("0.31.0/media");
    let rule = |key: &str| match key {
        "img_box" => Some("boxes".to_owned()),
        "path" | "img_box.path" | "img_box.size" => None,
        key if key.contains("aud") => None,
        key => Some(key.to_owned()),
    };
    let (report, edited) = bench.edit(&renaming(rule));
    let (before, _) = run::load(log(&bench.run), false).unwrap();
    let (after, _) = run::load(&edited, false).unwrap();
    let (before, after) = (before.summary(), after.summary());
    assert!(before.get("img_box").and_then(|image| image.get("path")).is_some());
    assert_eq!(after.get("boxes"), before.get("img_box"));
    assert!(after.get("aud").is_none() && after.get("img_box").is_none());
    assert!(report.dropped_keys.contains("aud"));
    let left_out = &report.files_left_out;
    assert!(!left_out.is_empty() && left_out.iter().all(|it| it.starts_with("media/audio/")));
    let files = report.directory.join("files");
    assert!(left_out.iter().all(|name| !files.join(name).exists()));
    let listed = records(&edited).into_iter().filter_map(|record| match record {
        RecordType::Files(files) => Some(files.files),
        _ => None,
    });
    assert!(listed.flatten().all(|file| files.join(&file.path).is_file()), "none is missed");
    let config = run::load(&edited, false).unwrap().0.config_internal().to_string();
    assert!(config.contains("boxes_wandb_delimeter_pred"), "{config}");
    assert!(!config.contains("img_box_wandb_delimeter_pred"), "{config}");
}

#[test]
fn keys_inside_objects_are_reached_in_logs_of_every_release() {
    for fixture in ["0.12.21/basic", "0.31.0/basic"] {
        let bench = Bench::fixture(fixture);
        let (before, _) = run::load(log(&bench.run), false).unwrap();
        let nested = before.summary().get("nested").cloned();
        let (report, edited) = bench.edit(&renaming(|key| {
            Some(
                key.strip_prefix("nested.")
                    .map_or_else(|| key.to_owned(), |rest| format!("flat.{rest}")),
            )
        }));
        assert!(report.renamed_keys.keys().all(|key| key.starts_with("nested.")), "{fixture}");
        assert!(!report.renamed_keys.is_empty(), "{fixture}");
        let rows = rows(&edited);
        let has = |prefix: &str| {
            rows.iter().any(|(_, row)| row.keys().any(|key| key.starts_with(prefix)))
        };
        assert!(has("flat>") && !has("nested"), "{fixture}");
        let (after, _) = run::load(&edited, false).unwrap();
        assert_eq!(after.summary().get("flat").cloned(), nested, "{fixture}");
    }
}

#[test]
fn a_key_inside_an_object_is_kept_without_what_leads_there_in_logs_of_every_release() {
    for fixture in ["0.12.21/basic", "0.31.0/basic"] {
        let bench = Bench::fixture(fixture);
        let (before, _) = run::load(log(&bench.run), false).unwrap();
        let keys = KeyRule::default().keep(|key| key == "nested.b.c");
        let (_, edited) = bench.edit(&Options { keys, ..Options::default() });
        let kept = rows(&edited).into_iter().flat_map(|(_, row)| row);
        let want = ("nested>b>c".to_owned(), "2.5".to_owned());
        assert_eq!(kept.collect::<Vec<_>>(), [want], "{fixture}");
        let (after, _) = run::load(&edited, false).unwrap();
        let nested = |state: &RunState| state.summary().get("nested").map(ToString::to_string);
        let want = nested(&before).map(|_| r#"{"b":{"c":2.5}}"#.to_owned());
        assert_eq!(nested(&after), want, "{fixture}");
    }
}

#[test]
fn keys_that_would_meet_are_refused_before_anything_is_written() {
    let bench = Bench::write(|run| {
        run.log([("loss", 1.0)]).unwrap();
        run.log([("cost", 1.0)]).unwrap();
    });
    let error = bench.try_edit(&renaming(|_| Some("cost".into()))).unwrap_err().to_string();
    assert!(error.contains(r#""loss" and "cost" would both be "cost""#), "{error}");
    assert!(!bench.dir.path().join("out").exists());
}

/// Ten rows with metrics whose summaries are watched, and a value the program set itself.
fn ten_rows() -> Bench {
    Bench::write(|run| {
        run.define_metric("loss").summary([Min, Max]).apply().unwrap();
        for step in 0..10u32 {
            let loss = f64::from(step);
            run.log([("loss", loss), ("acc", loss / 10.0)]).unwrap();
            if step == 8 {
                run.log([("once", 1.0)]).unwrap();
            }
        }
        run.summary_set("best", 0.25).unwrap();
    })
}

fn steps(log: &Path) -> Vec<i64> {
    rows(log).into_iter().map(|(step, _)| step).collect()
}

#[test]
fn rows_are_dropped_by_step_and_the_summary_is_that_of_the_others() {
    let bench = ten_rows();
    let drop_steps =
        vec![(Bound::Included(2), Bound::Excluded(4)), (Bound::Included(8), Bound::Unbounded)];
    let (report, edited) = bench.edit(&with_rows(RowEdit { drop_steps, ..RowEdit::default() }));
    assert_eq!(steps(&edited), [0, 1, 4, 5, 6, 7]);
    assert_eq!(report.records["history"].dropped, 5);
    let want = values([("loss>max", "7.0"), ("loss>min", "0.0"), ("acc", "0.7"), ("best", "0.25")]);
    assert_eq!(summary(&edited), want, "what is left, and what the program set");
    assert_eq!(full_summary(&edited)["_step"], "7");
    let (state, _) = run::load(&edited, false).unwrap();
    assert_eq!(state.exit().map(|exit| exit.code), Some(0));
    let last = records(&edited).pop();
    assert!(matches!(last, Some(RecordType::Exit(_))), "the end is the last record: {last:?}");
}

#[test]
fn rows_are_dropped_by_what_is_in_them() {
    let bench = ten_rows();
    let drop_where =
        vec!["loss > 3 and not acc >= 0.8".parse().unwrap(), "has(once)".parse().unwrap()];
    let (_, edited) = bench.edit(&with_rows(RowEdit { drop_where, ..RowEdit::default() }));
    assert_eq!(steps(&edited), [0, 1, 2, 3, 8, 10]);
    assert_eq!(summary(&edited).get("once"), None);
}

#[test]
fn a_condition_that_no_row_meets_changes_nothing() {
    let bench = ten_rows();
    let drop_where = vec!["isnan(loss)".parse().unwrap()];
    let (report, edited) = bench.edit(&with_rows(RowEdit { drop_where, ..RowEdit::default() }));
    assert_eq!(report.total().kept as usize, records(&edited).len());
}

#[test]
fn rows_are_thinned_and_steps_shifted() {
    let bench = ten_rows();
    let every = NonZero::new(4);
    let edit = RowEdit { every, shift: 100, ..RowEdit::default() };
    let (_, edited) = bench.edit(&with_rows(edit));
    assert_eq!(steps(&edited), [100, 104, 108]);
    assert_eq!(full_summary(&edited)["_step"], "108");

    let bench = ten_rows();
    let (report, edited) = bench.edit(&with_rows(RowEdit { shift: 5, ..RowEdit::default() }));
    assert_eq!(steps(&edited), (5..16).collect::<Vec<_>>());
    assert_eq!(full_summary(&edited)["_step"], "15", "moved along where nothing is dropped");
    assert_eq!(report.records["history"].changed, 11);

    let error = ten_rows().try_edit(&with_rows(RowEdit { shift: -1, ..RowEdit::default() }));
    assert!(error.unwrap_err().to_string().contains("step 0 would become less than 0"));
}

#[test]
fn of_rows_of_one_step_the_last_is_kept() {
    use wandb_offline::proto::wandb_internal as pb;
    let row = |step, loss: &str| {
        let item = pb::HistoryItem {
            nested_key: vec!["loss".into()],
            value_json: loss.into(),
            ..Default::default()
        };
        let step = Some(pb::HistoryStep { num: step });
        RecordType::History(pb::HistoryRecord { item: vec![item], step, ..Default::default() })
    };
    let run = pb::RunRecord { run_id: "r".into(), project: "p".into(), ..Default::default() };
    let records = [RecordType::Run(run), row(0, "1"), row(0, "2"), row(1, "3"), row(0, "4")];
    let mut log = wandb_offline::log::LogWriter::new(Vec::new(), "memory");
    for record in records {
        let message = pb::Record { record_type: Some(record), ..Default::default() };
        let bytes = prost::Message::encode_to_vec(&message);
        log.fields(&bytes).unwrap();
    }
    log.flush().unwrap();
    let edit = RowEdit { last_of_step: true, ..RowEdit::default() };
    let mut out = Vec::new();
    wandb_offline::edit::edit_log(log.get_ref(), &mut out, &with_rows(edit)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.wandb");
    fs::write(&path, out).unwrap();
    let (columns, _) = run::load(&path, false).unwrap();
    assert_eq!(columns.history().rows(), 3);
    assert_eq!(columns.history().last(&["loss"]), Some(Value::Int(4)));
}

#[test]
fn a_dry_run_says_what_an_edit_does_and_writes_nothing() {
    let bench = Bench::fixture("0.31.0/basic");
    let options = |dry_run| Options {
        id: template("n"),
        keys: KeyRule::new(|key| (key != "epoch").then(|| key.to_owned())),
        dry_run,
        ..Options::default()
    };
    let planned = bench.try_edit(&options(true)).unwrap();
    assert!(!planned.written && !bench.dir.path().join("out").exists());
    let (done, _) = bench.edit(&options(false));
    assert_eq!((planned.records, planned.examples), (done.records, done.examples));
    assert_eq!((planned.directory, planned.files), (done.directory, done.files));
    assert!(bench.try_edit(&options(true)).unwrap_err().to_string().contains("exists"));
}

#[test]
fn damage_is_passed_over_and_reported_and_the_rest_is_edited() {
    let bench = Bench::fixture("0.31.0/basic");
    let path = log(&bench.run);
    let mut bytes = fs::read(&path).unwrap();
    bytes[2000] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let (report, edited) = bench.edit(&Options { project: template("q"), ..Options::default() });
    assert!(report.damage.is_lossy());
    assert_eq!(run::load(&edited, false).unwrap().0.info().project(), "q");
    assert_eq!(records(&edited).len() as u64, report.total().kept + report.total().changed);
}

#[test]
fn renderings_that_would_contradict_the_log_are_left_out() {
    let bench = Bench::write(|run| run.log([("x", 1.0)]).unwrap());
    let files = bench.run.join("files");
    for (name, text) in [("config.yaml", "lr: 1"), ("wandb-summary.json", r#"{"x":1}"#)] {
        fs::write(files.join(name), text).unwrap();
    }
    let (report, _) = bench.edit(&Options { project: template("q"), ..Options::default() });
    assert_eq!(report.files_left_out, [""; 0]);
    fs::remove_dir_all(bench.dir.path().join("out")).unwrap();
    let edit = || ValueEdit { set: vec![(path("k"), Value::Int(1))], ..ValueEdit::default() };
    let (report, _) =
        bench.edit(&Options { config: edit(), summary: edit(), ..Options::default() });
    assert_eq!(report.files_left_out, ["config.yaml", "wandb-summary.json"]);
}

#[cfg(feature = "cli")]
mod program {
    use super::*;
    use std::process::Command;

    fn run(dir: &Path, args: &[&str]) -> (String, String, Option<i32>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
        let output = command.args(args).current_dir(dir).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code())
    }

    #[test]
    fn every_run_of_a_directory_is_edited_and_one_that_fails_stops_none() {
        let bench = ten_rows();
        let second = options(bench.dir.path()).id("s").project("p").create().unwrap();
        second.log([("loss", 1.0)]).unwrap();
        second.finish().unwrap();
        let bad = bench.dir.path().join("wandb/bad.wandb");
        fs::write(&bad, "no log").unwrap();
        let args = ["edit", "wandb", "-o", "out", "--rename", "^loss$=train/loss", "-n", "{id}!"];
        let (out, err, code) = run(bench.dir.path(), &args);
        assert_eq!(code, Some(3), "{err}");
        assert!(err.contains("bad.wandb"), "{err}");
        assert_eq!(out.matches("renamed: loss -> train/loss").count(), 2, "{out}");
        let (found, _) = wandb_offline::log::find(bench.dir.path().join("out"));
        let names: Vec<_> = found
            .iter()
            .map(|log| run::load(&log.path, false).unwrap().0.info().name().to_owned())
            .collect();
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 2, "{names:?}");
        use wandb_offline::run;
    }

    #[test]
    fn a_dry_run_shows_counts_and_examples() {
        let bench = ten_rows();
        let args = ["edit", "wandb", "-o", "out", "--dry-run", "--set-config", "lr=0.5"];
        let (out, _, code) = run(bench.dir.path(), &args);
        assert_eq!(code, Some(0));
        assert!(out.contains("(not written)\n"), "{out}");
        assert!(out.contains("    run: 1 changed\n"), "{out}");
        assert!(out.contains("    + ") && out.contains("0.5"), "{out}");
        assert!(!bench.dir.path().join("out").exists());
        let (json, _, _) = run(bench.dir.path(), &[&args[..], &["--json"]].concat());
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["records"]["run"]["changed"], 1);
        assert_eq!(json["examples"][0]["kind"], "run");
    }

    #[test]
    fn wrong_usage_is_told_before_anything_is_done() {
        let bench = ten_rows();
        for (args, want) in [
            (&["--name", "{seed}"][..], "--name: no placeholder {seed}; there are {id}"),
            (&["--set-config", "lr"], "--set-config: want KEY=JSON, got \"lr\""),
            (&["--set-config", "opt=adam"], "a text is quoted: opt='\"text\"'"),
            (&["--drop-where", "loss >"], "a value is missing at its end"),
            (&["--drop-steps", "5-6"], "--drop-steps: want A..B, got \"5-6\""),
            (&["--rename", "loss"], "--rename: want REGEX=REPL"),
            (&["--id", "a/b"], "id: \"a/b\" contains '/'"),
        ] {
            let all = [&["edit", "wandb", "-o", "out"], args].concat();
            let (_, err, code) = run(bench.dir.path(), &all);
            assert!(code == Some(2) && err.contains(want), "{err}");
        }
        assert!(!bench.dir.path().join("out").exists());
    }

    #[test]
    fn steps_are_given_as_ranges() {
        let bench = ten_rows();
        for (range, want) in [
            ("2..=9", &[0, 1, 10][..]),
            ("..9", &[9, 10]),
            ("1..", &[0]),
            ("3", &[0, 1, 2, 4, 5, 6, 7, 8, 9, 10]),
        ] {
            let args = ["edit", "wandb", "-o", "out", "--drop-steps", range, "--json"];
            let (json, err, _) = run(bench.dir.path(), &args);
            let json: serde_json::Value = serde_json::from_str(&json).expect(&err);
            let directory = bench.dir.path().join(json["directory"].as_str().unwrap());
            assert_eq!(steps(&log(&directory)), want, "{range}");
            fs::remove_dir_all(bench.dir.path().join("out")).unwrap();
        }
    }
}
