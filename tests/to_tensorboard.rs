//! W&B runs to TensorBoard: what is in the event files that come out, and what the report says.

#[path = "support/converted.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::*;
use wandb_offline::convert::tensorboard::StepMode;
use wandb_offline::convert::wandb::{
    Changed, ConvertReport, LeftOut, Options as ToOptions, Reason, RunReport, follow,
    to_tensorboard,
};
use wandb_offline::event::{ValueKind, What};
use wandb_offline::json::Value as Json;
use wandb_offline::proto::tensorboard as tb;
use wandb_offline::record::{HistoryView, ItemValue, RecordKind};
use wandb_offline::tfevents::{
    EventReader, Image, Mesh, Scalars, SummaryWriter, discover, is_event_file,
};
use wandb_offline::{Reader, Writer};

/// A log directory that was written, and what was said about it.
struct LogDir {
    dir: tempfile::TempDir,
    report: ConvertReport,
}

impl LogDir {
    fn of(runs: &[impl AsRef<Path>], options: &ToOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let report = to_tensorboard(runs, dir.path(), options).unwrap();
        Self { dir, report }
    }

    fn only(&self) -> &RunReport {
        let [run] = &self.report.runs[..] else { panic!("{:?}", self.report) };
        assert_eq!(run.error, None);
        run
    }

    fn points(&self) -> Points {
        points(self.only().directory.as_ref().unwrap())
    }

    fn left_out(&self, reason: Reason) -> Vec<(&str, u64)> {
        let all = self.only().left_out.iter().filter(|left_out| left_out.reason == reason);
        all.map(|left_out| (left_out.what.as_str(), left_out.count)).collect()
    }

    fn changed(&self, what: Changed) -> u64 {
        let all = self.only().changed.iter();
        all.filter(|change| change.what == what).map(|change| change.count).sum()
    }

    /// The values that are not scalars: tag, step, plugin of the tag's first value, strings.
    fn others(&self) -> Vec<(String, i64, Vec<Vec<u8>>)> {
        let mut others = Vec::new();
        for (file, _) in event_files(self.only().directory.as_ref().unwrap()) {
            let mut reader = EventReader::open(file).unwrap();
            while let Some(raw) = reader.next_event().unwrap() {
                let event = raw.decode().unwrap();
                let Some(tb::event::What::Summary(summary)) = event.what else { continue };
                for value in summary.value {
                    if let Some(tb::summary::value::Value::Tensor(tensor)) = value.value {
                        others.push((value.tag, event.step, tensor.string_val));
                    }
                }
            }
        }
        others
    }
}

/// The event files directly in a directory, and their sizes.
fn event_files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| is_event_file(&entry.file_name()));
    files.map(|entry| (entry.path(), entry.metadata().unwrap().len())).collect()
}

/// The scalars of a run by tag: step, bits of the wall time, bits of the value.
fn points(dir: &Path) -> Points {
    let mut scalars = Scalars::default();
    for (file, _) in event_files(dir) {
        scalars.read_file(file).unwrap();
    }
    let mut points = Points::new();
    for series in scalars.series() {
        let values = (0..series.steps.len()).map(|i| series.values.get(i).unwrap().as_f64());
        let axes = series.steps.iter().zip(&series.wall_times);
        let all =
            axes.zip(values).map(|((step, time), value)| (*step, time.to_bits(), bits(value)));
        points.insert(series.tag.to_string(), all.collect());
    }
    points
}

fn wandb_fixtures() -> Vec<PathBuf> {
    let (logs, errors) =
        wandb_offline::log::find(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb"));
    assert!(errors.is_empty());
    logs.into_iter().map(|log| log.path).collect()
}

/// From TensorBoard and back.
fn there_and_back(case: &str, mode: StepMode) -> BTreeMap<String, (LogDir, Points)> {
    let done = converted(fixtures().join(case), |options| options.step_mode = mode);
    let runs = done.report.runs.iter().filter_map(|run| Some((run, run.directory.as_ref()?)));
    let back = runs.map(|(run, directory)| {
        let back = LogDir::of(&[directory], &ToOptions::default());
        let points = back.points();
        (run.name.clone(), (back, points))
    });
    back.collect()
}

#[test]
fn scalars_come_back_from_wandb_as_they_were() {
    for producer in ["synthetic", "tensorboardX", "tf2"] {
        for entry in fs::read_dir(fixtures().join(producer)).unwrap() {
            let case = format!("{producer}/{}", entry.unwrap().file_name().display());
            let there = converted(fixtures().join(&case), |_| {}).runs();
            for (name, (back, mut got)) in there_and_back(&case, StepMode::Auto) {
                // What is in the runs is checked against TensorBoard itself elsewhere; there tags that
                // W&B reserves are listed as they were.
                let want = there[&name].points();
                if want.is_empty() {
                    // The axis is a metric of its own where it is the axis of no other.
                    got.remove("global_step");
                }
                assert_eq!(got, want, "{case}: {name}");
                // Captions, tables of points and the like have no place in TensorBoard; the rest has.
                let lost = back.report.runs.iter().flat_map(|run| &run.left_out);
                let is_foreign =
                    |lost: &LeftOut| !lost.reason.is_loss() || lost.reason == Reason::Unsupported;
                assert!(lost.into_iter().all(is_foreign), "{case}: {:?}", back.report);
                assert_eq!(back.changed(Changed::Counted), 0, "{case}");
            }
        }
    }
}

#[test]
fn steps_come_back_also_from_rows_that_were_counted() {
    for case in ["tensorboardX/scalars", "synthetic/multi_value_events", "tf2/restart_overlap"] {
        let want = expected(case, "tensorboard");
        for (name, (_, got)) in there_and_back(case, StepMode::Counter) {
            assert_eq!(got, want[&name], "{case}: {name}");
        }
    }
}

#[test]
fn hyperparameters_come_back_from_wandb() {
    let back = there_and_back("tf2/hparams", StepMode::Auto);
    assert!(back.values().map(|(back, _)| back.only().carried.hparams).sum::<u64>() > 0);
    let hparams = |tag: &str, back: &LogDir| back.others().iter().any(|(t, ..)| t == tag);
    let (run, _) = &back["run_0"];
    assert!(hparams("_hparams_/session_start_info", run));
    assert!(hparams("_hparams_/session_end_info", run));
    assert!(!hparams("_hparams_/experiment", run), "one would hide the columns of the others");
}

/// The numbers of a log by tag, read in another way than the converter does.
fn numbers(log: &Path) -> BTreeMap<String, Vec<u32>> {
    let mut numbers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut reader = Reader::options().lenient(true).open(log).unwrap();
    while let Some(raw) = reader.next_record().unwrap() {
        let Some(body) = raw.body().unwrap().filter(|body| body.kind == RecordKind::History) else {
            continue;
        };
        let view = HistoryView::new(&body.message);
        let items: Vec<_> = view.items().map(Result::unwrap).collect();
        let types: Vec<Vec<&str>> = items
            .iter()
            .map(|item| item.path.elements().collect::<Vec<_>>())
            .filter(|path| path.len() > 1 && path.last() == Some(&"_type"))
            .collect();
        for item in items {
            let path: Vec<&str> = item.path.elements().collect();
            let within = |of: &Vec<&str>| path.starts_with(&of[..of.len() - 1]);
            if types.iter().any(within) || ["_step", "_timestamp", "_runtime"].contains(&path[0]) {
                continue;
            }
            let value = match item.value {
                ItemValue::Json(text) => Json::parse(text).unwrap(),
                ItemValue::Integer(value) => value.into(),
                ItemValue::Number(value) => value.into(),
                ItemValue::Bool(value) => value.into(),
                _ => continue,
            };
            leaves(&path.join("/"), &value, &mut numbers);
        }
    }
    numbers
}

fn leaves(tag: &str, value: &Json, numbers: &mut BTreeMap<String, Vec<u32>>) {
    match value {
        Json::Object(members) if members.contains_key("_type") => {}
        Json::Object(members) => {
            members
                .iter()
                .for_each(|(name, value)| leaves(&format!("{tag}/{name}"), value, numbers));
        }
        Json::Bool(value) => {
            numbers.entry(tag.into()).or_default().push(bits((*value).into()));
        }
        _ => {
            if let Some(value) = value.as_f64() {
                numbers.entry(tag.into()).or_default().push(bits(value));
            }
        }
    }
}

#[test]
fn every_number_of_every_fixture_is_a_scalar() {
    for log in wandb_fixtures() {
        let done = LogDir::of(&[&log], &ToOptions::default());
        let mut want = numbers(&log);
        let got = done.points();
        for (tag, points) in &got {
            assert!(points.is_sorted_by(|a, b| a.0 < b.0), "{log:?}: steps of {tag} rise");
            let values: Vec<u32> = points.iter().map(|point| point.2).collect();
            let tag = tag.strip_suffix("/scalar").unwrap_or(tag);
            assert_eq!(Some(values), want.remove(tag), "{log:?}: {tag}");
        }
        want.remove("global_step");
        assert!(want.is_empty(), "{log:?}: {want:?}");
        let carried: usize = got.values().map(Vec::len).sum();
        assert_eq!(done.only().carried.scalars, carried as u64, "{log:?}");
    }
}

fn writer(dir: &Path) -> Writer {
    let vars: [(&str, &str); 1] = [("WANDB_DISABLE_GIT", "true")];
    Writer::options().dir(dir).environment(vars).id("run1").create().unwrap()
}

/// What becomes of a run that `log` logs.
fn logged(options: &ToOptions, log: impl FnOnce(&Writer)) -> LogDir {
    let dir = tempfile::tempdir().unwrap();
    let run = writer(dir.path());
    log(&run);
    run.finish().unwrap();
    LogDir::of(&[run.dir()], options)
}

#[test]
fn nested_keys_are_joined_and_stay_apart() {
    let log = |run: &Writer| {
        let nested: BTreeMap<_, _> = [("b", 1.0)].into();
        run.log((("a", nested), ("a/b", 2.0), ("a.b", 3.0))).unwrap();
    };
    let done = logged(&ToOptions::default(), log);
    let tags: Vec<_> = done.points().into_keys().collect();
    assert_eq!(tags, ["a.b", "a/b", "a/b/scalar"]);
    assert_eq!(done.changed(Changed::Renamed), 1);
    let done = logged(&ToOptions { separator: "::".into(), ..ToOptions::default() }, log);
    assert!(done.points().contains_key("a::b"));
}

#[test]
fn numbers_stay_what_they_are_as_far_as_single_precision_goes() {
    let done = logged(&ToOptions::default(), |run| {
        run.log((("nan", f64::NAN), ("inf", f64::NEG_INFINITY), ("yes", true))).unwrap();
        run.log((("pi", std::f64::consts::PI), ("tenth", 0.1), ("big", (1u64 << 53) + 2))).unwrap();
    });
    let points = done.points();
    let value = |tag: &str| f32::from_bits(points[tag][0].2);
    assert!(value("nan").is_nan());
    assert_eq!((value("inf"), value("yes"), value("tenth")), (f32::NEG_INFINITY, 1.0, 0.1));
    assert_eq!(done.changed(Changed::Rounded), 2, "pi and the big integer");
    assert_eq!(points["pi"][0].0, 1, "the step");
    assert!(!done.report.is_lossy());
}

#[test]
fn a_tag_has_the_first_axis_on_which_its_steps_rise() {
    let done = logged(&ToOptions::default(), |run| {
        run.define_metric("epoch").apply().unwrap();
        run.define_metric("val/*").step_metric("epoch").step_sync(false).apply().unwrap();
        run.log_at(10, (("global_step", 100), ("loss", 1.0))).unwrap();
        run.log_at(20, (("global_step", 200), ("loss", 2.0), ("val/acc", 0.5), ("epoch", 1)))
            .unwrap();
        run.log_at(30, (("val/acc", 0.6), ("epoch", 2), ("back", 1.0))).unwrap();
        run.log_at(40, (("val/odd", 0.6), ("epoch", 2), ("back", 2.0))).unwrap();
        run.log_at(50, (("val/odd", 0.7), ("epoch", 2))).unwrap();
    });
    let points = done.points();
    let steps = |tag: &str| points[tag].iter().map(|point| point.0).collect::<Vec<_>>();
    assert_eq!(steps("loss"), [100, 200], "global_step");
    assert_eq!(steps("val/acc"), [1, 2], "the step metric");
    assert_eq!(steps("val/odd"), [40, 50], "the step metric does not rise");
    assert_eq!(steps("back"), [30, 40]);
    assert_eq!(steps("epoch"), [20, 30, 40, 50]);
    assert!(!points.contains_key("global_step"), "it is an axis");
    assert_eq!(done.only().carried.charts, 1);
}

#[test]
fn text_is_written_when_it_changes() {
    let done = logged(&ToOptions::default(), |run| {
        for split in ["train", "train", "eval", "train"] {
            run.log((("split", split), ("list", vec![1, 2]))).unwrap();
        }
    });
    let others = done.others();
    let steps = |tag: &str| -> Vec<i64> {
        others.iter().filter(|(t, ..)| t == tag).map(|(_, step, _)| *step).collect()
    };
    assert_eq!((steps("split"), steps("list")), (vec![0, 2, 3], vec![0]));
    assert_eq!(done.changed(Changed::JsonText), 1);
    assert_eq!(done.left_out(Reason::Repeated), [("text", 4)]);
    assert!(!done.report.is_lossy());
}

#[test]
fn keys_that_are_called_like_tags_of_the_converter_stay_apart_from_them() {
    let options = ToOptions { console: true, summary: true, ..ToOptions::default() };
    let done = logged(&options, |run| {
        run.define_metric("val/*").apply().unwrap();
        run.config_update([("lr", 0.1)]).unwrap();
        run.log((("console", 1.0), ("custom_scalars__config__", 2.0), ("summary/best", 3.0)))
            .unwrap();
        let hparams = BTreeMap::from([("session_start_info", 4.0), ("session_end_info", 5.0)]);
        run.log((("_hparams_", hparams), ("val/x", 6.0))).unwrap();
        run.summary_set("best", 7.0).unwrap();
        run.summary_set("a", BTreeMap::from([("b", 8.0)])).unwrap();
        run.summary_set("a/b", 9.0).unwrap();
    });
    let values: BTreeMap<_, _> = done.points().into_iter().map(|(tag, p)| (tag, p[0].2)).collect();
    let value = |tag: &str| f32::from_bits(values[tag]);
    assert_eq!(value("console/scalar"), 1.0);
    assert_eq!(value("custom_scalars__config__/scalar"), 2.0);
    assert_eq!((value("summary/best"), value("summary/best-2")), (3.0, 7.0));
    assert_eq!(value("_hparams_/session_start_info/scalar"), 4.0);
    assert_eq!(value("_hparams_/session_end_info/scalar"), 5.0);
    assert_eq!((value("summary/a/b"), value("summary/a/b-2")), (8.0, 9.0));
    assert_eq!(values.len(), 9, "{values:?}");
    assert_eq!(done.changed(Changed::Renamed), 6);
    let tags: Vec<_> = done.others().into_iter().map(|(tag, ..)| tag).collect();
    let own = ["custom_scalars__config__", "_hparams_/session_start_info"];
    assert_eq!(tags[..2], own);
    assert_eq!(tags.last().unwrap(), "_hparams_/session_end_info");
}

#[test]
fn hyperparameters_that_read_the_same_are_all_there() {
    let done = logged(&ToOptions::default(), |run| {
        let nested = BTreeMap::from([("b", 1)]);
        run.config_update((("a", nested), ("a/b", 2), ("none", None::<f64>))).unwrap();
        run.log([("loss", 1.0)]).unwrap();
    });
    assert_eq!(done.only().carried.hparams, 2);
    assert_eq!(done.changed(Changed::Renamed), 1);
    assert_eq!(done.left_out(Reason::Null), [("config", 1)]);
}

#[test]
fn of_a_large_table_only_what_is_wanted_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let run = writer(dir.path());
    fs::create_dir(run.files_dir().join("media")).unwrap();
    let table = format!(r#"{{"data":[[0]{}],"columns":["n"]}}"#, ",[1]".repeat(5 << 20));
    fs::write(run.files_dir().join("media/t.json"), table).unwrap();
    let object = BTreeMap::from([("_type", "table-file"), ("path", "media/t.json")]);
    run.log([("table", object)]).unwrap();
    run.finish().unwrap();
    let done = LogDir::of(&[run.dir()], &ToOptions::default());
    assert_eq!(done.only().carried.tables, 1);
    assert_eq!(done.changed(Changed::TableRows), (5 << 20) - 999);
    assert_eq!(done.others()[0].2.len(), 1001, "and the header");
}

/// Every tensor of a run: tag, step, wall time, plugin of the tag's first value.
fn tensors(dir: &Path) -> Vec<(String, i64, u64, String, tb::TensorProto)> {
    let mut plugins = BTreeMap::new();
    let mut tensors = Vec::new();
    for (file, _) in event_files(dir) {
        let mut reader = EventReader::open(file).unwrap();
        while let Some(raw) = reader.next_event().unwrap() {
            let event = raw.decode().unwrap();
            let Some(tb::event::What::Summary(summary)) = event.what else { continue };
            for value in summary.value {
                let Some(tb::summary::value::Value::Tensor(tensor)) = value.value else { continue };
                if let Some(data) = value.metadata.and_then(|metadata| metadata.plugin_data) {
                    plugins.insert(value.tag.clone(), data.plugin_name);
                }
                let plugin = plugins[&value.tag].clone();
                tensors.push((value.tag, event.step, event.wall_time.to_bits(), plugin, tensor));
            }
        }
    }
    tensors.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    tensors
}

#[test]
fn images_sounds_texts_and_meshes_come_back_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("there");
    let mut run = SummaryWriter::options().start(1.7e9).create(&logdir).unwrap();
    let png = Image::rgb8(2, 1, &[255, 0, 0, 0, 1, 2]).unwrap();
    let gif = Image::encoded(b"GIF89a\x05\x00\x06\x00".to_vec()).unwrap();
    let wav = [
        &b"RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0"[..],
        b"\x10\0data\x02\0\0\0ab",
    ]
    .concat();
    for step in 0..3 {
        let at = (step, 1.7e9 + step as f64 * 0.1);
        run.images("png", at, &[png.clone(), png.clone()]).unwrap();
        run.images("gif", at, std::slice::from_ref(&gif)).unwrap();
        run.audio("sound", at, &[&wav]).unwrap();
        run.text("repeated", at, "**the same** each time").unwrap();
        run.table("table", at, &[["name", "value"], ["x", "1"]]).unwrap();
        let vertices = &[[0.1, 0.0, -1.5], [1.0, 0.3, 0.0], [0.0, 1.0, 1e-7]];
        let colors = &[[0, 128, 255], [1, 2, 3], [9, 8, 7]];
        run.mesh("cloud", at, &Mesh { vertices, ..Mesh::default() }).unwrap();
        run.mesh("colored", at, &Mesh { vertices, colors, ..Mesh::default() }).unwrap();
        let faces = &[[0, 1, 2], [2, 1, 0]];
        run.mesh("mesh", at, &Mesh { vertices, colors, faces, ..Mesh::default() }).unwrap();
    }
    run.finish().unwrap();
    let there = converted(&logdir, |_| {});
    let back =
        LogDir::of(&[there.report.runs[0].directory.as_ref().unwrap()], &ToOptions::default());
    assert!(back.only().left_out.is_empty() && back.only().changed.is_empty(), "{:?}", back.only());
    let (want, got) = (tensors(&logdir), tensors(back.only().directory.as_ref().unwrap()));
    assert_eq!(want.len(), 3 * (5 + 1 + 2 + 3));
    assert_eq!(got, want);
}

#[test]
fn texts_of_any_rank_come_back() {
    let text = |tag: &str, shape: &[i64], strings: &[&str]| {
        let dim =
            shape.iter().map(|&size| tb::tensor_shape_proto::Dim { size, ..Default::default() });
        let tensor = tb::TensorProto {
            dtype: tb::DataType::DtString as i32,
            tensor_shape: Some(tb::TensorShapeProto { dim: dim.collect(), ..Default::default() }),
            string_val: strings.iter().map(|text| text.as_bytes().to_vec()).collect(),
            ..Default::default()
        };
        let plugin_data =
            tb::summary_metadata::PluginData { plugin_name: "text".into(), ..Default::default() };
        summary(
            1,
            1.7e9,
            tb::summary::Value {
                tag: tag.into(),
                metadata: Some(tb::SummaryMetadata {
                    plugin_data: Some(plugin_data),
                    data_class: tb::DataClass::Tensor as i32,
                    ..Default::default()
                }),
                value: Some(tb::summary::value::Value::Tensor(tensor)),
                ..Default::default()
            },
        )
    };
    let strings = ["a", "0", "", "ä", "[1]", "f"];
    let logdir = log_dir(&[
        text("0", &[], &["one"]),
        text("1", &[6], &strings),
        text("2", &[3, 2], &strings),
        text("3", &[1, 2, 3], &strings),
        text("row", &[1, 6], &strings),
        text("column", &[6, 1], &strings),
    ]);
    let there = converted(logdir.path(), |_| {});
    let back =
        LogDir::of(&[there.report.runs[0].directory.as_ref().unwrap()], &ToOptions::default());
    let (want, got) = (tensors(logdir.path()), tensors(back.only().directory.as_ref().unwrap()));
    assert_eq!((got.len(), got), (6, want));
    assert_eq!(back.only().carried.texts + back.only().carried.tables, 6);
}

#[test]
fn media_are_read_from_the_run_and_from_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let run = writer(dir.path());
    let gif = b"GIF89a\x05\x00\x06\x00".to_vec();
    fs::create_dir(run.files_dir().join("media")).unwrap();
    fs::write(run.files_dir().join("media/a.gif"), &gif).unwrap();
    fs::write(run.files_dir().join("media/bad.png"), "no image").unwrap();
    fs::write(run.dir().join("secret.gif"), &gif).unwrap();
    let table = r#"{"columns":["n","x"],"data":[[1,NaN],["a",null],[3,4]]}"#;
    fs::write(run.files_dir().join("media/t.json"), table).unwrap();
    let absolute = run.dir().join("secret.gif").display().to_string();
    let object = |kind: &str, path: &str| {
        BTreeMap::from([("_type", kind.to_owned()), ("path", path.to_owned())])
    };
    let paths = ["media/a.gif", "media/bad.png", "media/none.png", "../secret.gif", &absolute];
    for path in paths {
        run.log([("image", object("image-file", path))]).unwrap();
    }
    run.log([("video", object("video-file", "media/a.gif"))]).unwrap();
    run.log([("table", object("table-file", "media/t.json"))]).unwrap();
    run.log([("cloud", object("object3D-file", "media/x"))]).unwrap();
    run.log([("water", object("molecule-file", "media/x"))]).unwrap();
    run.finish().unwrap();
    let done = LogDir::of(&[run.dir()], &ToOptions { table_rows: 2, ..ToOptions::default() });
    let carried = done.only().carried;
    assert_eq!((carried.images, carried.tables), (2, 1));
    assert_eq!(done.left_out(Reason::UnusableFile), [("image-file", 1)]);
    assert_eq!(done.left_out(Reason::MissingFile), [("image-file", 1), ("object3D-file", 1)]);
    assert_eq!(done.left_out(Reason::OutsideFiles), [("image-file", 2)]);
    assert_eq!(done.left_out(Reason::Unsupported), [("molecule-file", 1)]);
    assert_eq!(done.changed(Changed::TableRows), 1);
    assert!(done.report.is_lossy());
    let others = done.others();
    assert_eq!(others[0], ("image".into(), 0, vec![b"5".to_vec(), b"6".to_vec(), gif]));
    let cells = ["n", "x", "1", "NaN", "a", ""].map(|cell| cell.as_bytes().to_vec());
    assert_eq!(others[2], ("table".into(), 6, cells.to_vec()));
}

#[test]
fn nothing_is_overwritten_and_one_bad_run_stops_no_other() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb/0.31.0/minimal");
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("logs");
    let runs = [dir.path().join("nowhere"), fixture.clone(), fixture];
    let report = to_tensorboard(&runs, &logdir, &ToOptions::default()).unwrap();
    assert_eq!((report.converted(), report.errors.len()), (2, 1));
    let names: Vec<_> = report.runs.iter().map(|run| run.directory.clone().unwrap()).collect();
    assert_eq!(names, [logdir.join("minimal1"), logdir.join("minimal1-2")]);
    let before = event_files(&names[0]);
    let again = to_tensorboard(&runs[1..2], &logdir, &ToOptions::default()).unwrap();
    assert!(again.runs[0].error.as_ref().unwrap().contains("nothing is overwritten"));
    assert_eq!(event_files(&names[0]), before);
    assert_eq!(fs::read_dir(&logdir).unwrap().count(), 2, "nothing unfinished is left");
}

/// Follows a run, logging with `log` between rounds until it says to stop; the event file of each round.
fn followed(
    run: &Writer,
    logdir: &Path,
    log: &mut dyn FnMut(usize) -> bool,
) -> (ConvertReport, Vec<Vec<u8>>) {
    let mut files = Vec::new();
    let mut wait = |_| {
        for entry in fs::read_dir(logdir).unwrap() {
            let (file, _) = event_files(&entry.unwrap().path()).remove(0);
            files.push(fs::read(file).unwrap());
        }
        log(files.len())
    };
    let options = ToOptions { console: true, summary: true, ..Default::default() };
    let report =
        follow(&[run.dir()], logdir, &options, Duration::ZERO, &mut wait, &mut |_| {}).unwrap();
    (report, files)
}

#[test]
fn a_run_that_is_followed_ends_as_one_converted_at_once() {
    for interrupted in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let logdir = dir.path().join("logs");
        let run = writer(dir.path());
        let (report, files) = followed(&run, &logdir, &mut |rounds| {
            if rounds == 3 && !interrupted {
                run.finish().unwrap();
            } else if rounds < 3 {
                run.log((("loss", 1.0 / (rounds + 1) as f64), ("split", "train"))).unwrap();
                run.flush().unwrap();
            }
            rounds == 3 && interrupted
        });
        assert_eq!((report.converted(), report.failures()), (1, 0), "{report:?}");
        let options = ToOptions { console: true, summary: true, ..Default::default() };
        let at_once = LogDir::of(&[run.dir()], &options);
        let file =
            |run: &RunReport| fs::read(&event_files(run.directory.as_ref().unwrap())[0].0).unwrap();
        let (last, want) = (file(&report.runs[0]), file(at_once.only()));
        assert_eq!(last, want);
        assert_eq!(report.runs[0].carried, at_once.only().carried);
        assert_eq!(files.len(), 3);
        let grown = files
            .windows(2)
            .all(|pair| pair[1].len() > pair[0].len() && pair[1].starts_with(&pair[0]));
        assert!(grown && last.starts_with(&files[2]));
    }
}

#[test]
fn a_run_whose_past_changes_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("logs");
    let run = writer(dir.path());
    run.log((("loss", 1.0), ("global_step", 100))).unwrap();
    let foreign = "notes.txt";
    let (report, files) = followed(&run, &logdir, &mut |rounds| {
        match rounds {
            1 => run.log([("loss", 2.0)]).unwrap(),
            2 => run.config_update([("lr", 0.1)]).unwrap(),
            3 => {
                let place = logdir.join("run1");
                fs::write(place.join(foreign), "mine").unwrap();
                run.log([("loss", 3.0)]).unwrap();
            }
            _ => run.finish().unwrap(),
        }
        run.flush().ok();
        false
    });
    assert_eq!((report.converted(), report.failures()), (1, 0), "{report:?}");
    let followed = &report.runs[0];
    let rewritten = followed.changed.iter().find(|change| change.what == Changed::Rewritten);
    assert_eq!(rewritten.unwrap().count, 2, "the axis, and the config");
    assert!(!files[1].starts_with(&files[0]) && files[3].starts_with(&files[2]));
    let place = followed.directory.as_ref().unwrap();
    assert_eq!(fs::read_to_string(place.join(foreign)).unwrap(), "mine");
    let [(file, _)] = &event_files(place)[..] else { panic!("the old ones are gone") };
    let options = ToOptions { console: true, summary: true, ..Default::default() };
    let at_once = LogDir::of(&[run.dir()], &options);
    let want = &event_files(at_once.only().directory.as_ref().unwrap())[0].0;
    assert_eq!(fs::read(file).unwrap(), fs::read(want).unwrap());
}

#[test]
fn what_somebody_else_touched_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("logs");
    let run = writer(dir.path());
    run.log([("loss", 1.0)]).unwrap();
    let (report, _) = followed(&run, &logdir, &mut |_| {
        let (file, _) = event_files(&logdir.join("run1")).remove(0);
        fs::write(file, "changed").unwrap();
        run.log([("loss", 2.0)]).unwrap();
        false
    });
    let failed = &report.runs[0];
    assert!(failed.error.as_ref().unwrap().contains("left as it is"), "{failed:?}");
    assert_eq!((report.converted(), report.failures()), (0, 1));
    let (file, _) = event_files(failed.directory.as_ref().unwrap()).remove(0);
    assert_eq!(fs::read(file).unwrap(), b"changed");
}

#[test]
fn a_run_that_has_no_row_yet_is_refused_at_once_where_its_directory_exists() {
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("logs");
    let run = writer(dir.path());
    fs::create_dir_all(logdir.join("run1")).unwrap();
    let (every, mut seen) = (Duration::ZERO, 0);
    let report =
        follow(&[run.dir()], &logdir, &ToOptions::default(), every, &mut |_| true, &mut |run| {
            assert!(run.error.as_ref().unwrap().contains("nothing is overwritten"), "{run:?}");
            seen += 1;
        });
    assert_eq!((seen, report.unwrap().failures()), (1, 1));
    assert_eq!(fs::read_dir(logdir.join("run1")).unwrap().count(), 0);
}

#[test]
fn system_metrics_are_appended_while_a_run_is_followed() {
    let fixture = "fixtures/wandb/0.31.0/stats";
    let log = wandb_offline::log::locate(fixture).unwrap().path;
    let bytes = fs::read(&log).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (logdir, growing) = (dir.path().join("logs"), dir.path().join("run-stats.wandb"));
    let mut length = 0;
    let mut grow = || {
        length = (length + 700).min(bytes.len());
        fs::write(&growing, &bytes[..length]).unwrap();
        length == bytes.len()
    };
    grow();
    let mut sizes = Vec::new();
    let mut wait = |_| {
        let run = fs::read_dir(&logdir).unwrap().next().map(|entry| entry.unwrap().path());
        if let Some(system) = run.map(|run| run.join("system")).filter(|system| system.is_dir()) {
            sizes.push(fs::read(&event_files(&system)[0].0).unwrap());
        }
        grow();
        false
    };
    let options = ToOptions::default();
    let report = follow(&[&growing], &logdir, &options, Duration::ZERO, &mut wait, &mut |_| {});
    let report = report.unwrap();
    assert_eq!((report.converted(), report.failures()), (1, 0), "{report:?}");
    sizes.dedup();
    assert!(sizes.len() > 1 && sizes.windows(2).all(|pair| pair[1].starts_with(&pair[0])));
    let at_once = LogDir::of(&[&log], &options);
    let system = |run: &RunReport| {
        fs::read(&event_files(&run.directory.as_ref().unwrap().join("system"))[0].0).unwrap()
    };
    assert_eq!(system(&report.runs[0]), system(at_once.only()));
}

#[test]
fn a_log_directory_of_many_runs_is_one_tensorboard_finds() {
    let done =
        LogDir::of(&["fixtures/wandb/0.31.0"], &ToOptions { console: true, ..Default::default() });
    let found = discover(done.dir.path()).unwrap();
    let names: Vec<_> = found.runs.iter().map(|run| run.name.clone()).collect();
    assert!(names.contains(&"minimal1".into()) && names.contains(&"minimal1/system".into()));
    assert_eq!(done.report.converted(), done.report.runs.len());
    let console: u64 = done.report.runs.iter().map(|run| run.carried.console_lines).sum();
    assert!(console > 0);
}

#[test]
fn events_that_come_out_are_sound_to_the_strict_reader() {
    let done = LogDir::of(&wandb_fixtures(), &ToOptions::default());
    for run in &done.report.runs {
        for (file, _) in event_files(run.directory.as_ref().unwrap()) {
            let mut reader = EventReader::open(file).unwrap();
            let mut count = 0;
            while let Some(event) = reader.next_event().unwrap() {
                if let What::Summary(summary) = event.view().unwrap().what {
                    count += summary.values().filter(|v| v.kind != ValueKind::None).count();
                }
            }
            assert!(reader.tail().unwrap().is_clean());
            assert!(count > 0 || run.rows == 0, "{run:?}");
        }
    }
}

/// Numbers that look random and are always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn records_with_any_bytes_are_converted_or_counted() {
    let mut random = Random(7);
    let dir = tempfile::tempdir().unwrap();
    for case in ["edge", "media", "typed", "define_metric", "stats", "config_meta"] {
        let log = wandb_fixtures().into_iter().find(|log| {
            log.components().any(|part| part.as_os_str() == case) && !log.ends_with("0.19.11")
        });
        let mut reader = Reader::open(log.unwrap()).unwrap();
        let mut bodies = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            bodies
                .extend(record.body().unwrap().map(|body| (body.kind, body.message.into_owned())));
        }
        for round in 0..40 {
            let path = dir.path().join(format!("{case}-{round}.wandb"));
            let mut writer = wandb_offline::log::LogWriter::create(&path).unwrap();
            for (kind, body) in &bodies {
                let mut body = body.clone();
                for _ in 0..random.below(4) {
                    if !body.is_empty() {
                        let at = random.below(body.len());
                        body[at] ^= 1 << random.below(8);
                    }
                }
                writer.record(*kind, &body).unwrap();
            }
            writer.flush().unwrap();
            let done = LogDir::of(
                &[&path],
                &ToOptions { summary: true, console: true, ..Default::default() },
            );
            let run = done.only();
            for points in points(run.directory.as_ref().unwrap()).values() {
                assert!(points.is_sorted_by(|a, b| a.0 < b.0), "{path:?}");
                assert!(points.iter().all(|point| f64::from_bits(point.1).is_finite()));
            }
        }
    }
}

/// The histograms of a log directory as TensorBoard shows them: rows of left edge, right edge and count,
/// in the precision of its `data_compat.py`, which trims the older form.
fn shown_histograms(dir: &Path) -> BTreeMap<(String, i64), Vec<[f32; 3]>> {
    use tb::summary::value::Value;
    let mut shown = BTreeMap::new();
    for (file, _) in event_files(dir) {
        let mut reader = EventReader::open(file).unwrap();
        while let Some(raw) = reader.next_event().unwrap() {
            let Ok(event) = raw.decode() else { continue };
            let Some(tb::event::What::Summary(summary)) = event.what else { continue };
            for value in summary.value {
                let rows = match value.value {
                    Some(Value::Histo(histogram)) => trimmed(&histogram),
                    Some(Value::Tensor(tensor)) if tensor.dtype == DOUBLE => {
                        let numbers = tensor.tensor_content.chunks_exact(8);
                        let numbers = numbers.map(|b| f64::from_le_bytes(b.try_into().unwrap()));
                        rows_of(&numbers.chain(tensor.double_val).collect::<Vec<_>>())
                    }
                    _ => continue,
                };
                shown.insert((value.tag, event.step), rows);
            }
        }
    }
    shown
}

const DOUBLE: i32 = tb::DataType::DtDouble as i32;

fn rows_of(numbers: &[f64]) -> Vec<[f32; 3]> {
    numbers.chunks_exact(3).map(|row| [row[0] as f32, row[1] as f32, row[2] as f32]).collect()
}

fn trimmed(histogram: &tb::HistogramProto) -> Vec<[f32; 3]> {
    let (counts, limits) = (&histogram.bucket, &histogram.bucket_limit);
    if counts.len() != limits.len() {
        return Vec::new();
    }
    let Some(first) = counts.iter().position(|count| *count > 0.0) else { return Vec::new() };
    let last = counts.iter().rposition(|count| *count > 0.0).unwrap();
    let lefts = [&[histogram.min], &limits[first..last]].concat();
    let rights = [&limits[first..last], &[histogram.max]].concat();
    let rows = lefts.into_iter().zip(rights).zip(&counts[first..=last]);
    rows_of(&rows.flat_map(|((left, right), count)| [left, right, *count]).collect::<Vec<_>>())
}

#[test]
fn histograms_come_back_from_wandb_as_tensorboard_shows_them() {
    let mut same = 0;
    for case in [
        "synthetic/histograms_v1",
        "synthetic/histograms_v2",
        "tensorboardX/histograms",
        "tf2/histograms",
    ] {
        let before = shown_histograms(&fixtures().join(case));
        let rebinned = converted(fixtures().join(case), |_| {}).report.runs[0].rebinned;
        for (_, (back, _)) in there_and_back(case, StepMode::Auto) {
            let after = shown_histograms(back.only().directory.as_ref().unwrap());
            let mut others = 0;
            for (of, want) in &before {
                // What is not finite has no place in a chart.
                let finite = want.iter().flatten().all(|number| number.is_finite());
                match after.get(of) {
                    Some(got) if got == want => same += 1,
                    _ if want.is_empty() || !finite => {}
                    _ => {
                        assert!(want.len() > 512, "{case}: {of:?}: {want:?}, {:?}", after.get(of));
                        others += 1;
                    }
                }
            }
            assert_eq!(others, rebinned, "{case}: those of too many bins are told of");
        }
    }
    assert!(same > 20, "{same}");
}
