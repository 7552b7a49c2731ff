//! Converting values that are no scalars: histograms, text, tensors, and what needs files.

#[path = "support/converted.rs"]
mod support;

use flate2::{Compression, write::GzEncoder};
use prost::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use support::*;
use wandb_offline::convert::tensorboard::{
    Conversion, Options, Reason, Restart, RunStatus, StepMode,
};
use wandb_offline::framing::tfrecord;
use wandb_offline::proto::tensorboard as tb;
use wandb_offline::tfevents::discover;

fn json_file(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    // serde_json by itself reads some numbers a bit off.
    let value = wandb_offline::json::Value::parse(text.trim_end()).unwrap();
    Some(serde_json::to_value(value).unwrap())
}

/// Every fixture with an expectation of this name.
fn cases(name: &str) -> Vec<(String, Value)> {
    let mut cases = Vec::new();
    for producer in ["synthetic", "tensorboardX", "tf2"] {
        for case in fs::read_dir(fixtures().join(producer)).unwrap() {
            let case = format!("{producer}/{}", case.unwrap().file_name().to_str().unwrap());
            if let Some(expected) = json_file(&fixtures().join(&case).join(name)) {
                cases.push((case, expected));
            }
        }
    }
    cases
}

/// The first half of the checksum, as the expectations have it.
fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// The paths of all files a value refers to.
fn paths(value: &Value) -> Vec<String> {
    if let Some(names) = value.get("filenames").filter(|_| value["_type"] == "images/separated") {
        return strings(names).into_iter().map(String::from).collect();
    }
    let lists = ["audio", "videos", "objects"].iter().filter_map(|key| value.get(key));
    let listed = lists.flat_map(|list| list.as_array().unwrap());
    let all = listed.chain([value]).filter_map(|file| file.get("path"));
    all.map(|path| path.as_str().unwrap().to_owned()).collect()
}

fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(flat).collect(),
        one => vec![one],
    }
}

/// Asserts that a value is what TensorBoard's data server returns for the point.
fn assert_is(got: &Value, point: &Value, plugin: &str, files: &Path) {
    let read = |path: &String| fs::read(files.join(path)).unwrap();
    if let Some(blobs) = point.get("blobs") {
        let skip = if plugin == "images" { 2 } else { 0 };
        let got: Vec<_> = paths(got).iter().map(|path| checksum(&read(path))).collect();
        assert_eq!(got, strings(blobs)[skip..]);
    } else if let Some(expected) = point.get("strings") {
        let table = paths(got).first().map(read);
        let table: Option<Value> = table.map(|bytes| serde_json::from_slice(&bytes).unwrap());
        let got = table.as_ref().map_or(got, |table| &table["data"]);
        let got = flat(got).into_iter().map(|text| checksum(text.as_str().unwrap().as_bytes()));
        assert_eq!(got.collect::<Vec<_>>(), strings(expected));
    } else if let Some(expected) = point.get("values") {
        let expected: Vec<f64> = expected.as_array().unwrap().iter().map(number).collect();
        match plugin {
            "histograms" => {
                let counts: f64 = flat(&got["values"]).into_iter().map(number).sum();
                assert_eq!(counts, expected.chunks(3).map(|row| row[2]).sum::<f64>());
            }
            "pr_curves" => {
                let table: Value = serde_json::from_slice(&read(&paths(got)[0])).unwrap();
                let n = expected.len() / 6;
                let rows = expected[5 * n..].iter().zip(&expected[4 * n..5 * n]);
                let rows = rows.flat_map(|(&recall, &precision)| [recall, precision]);
                let got = flat(&table["data"]).into_iter().map(number);
                assert_eq!(got.map(bits).collect::<Vec<_>>(), rows.map(bits).collect::<Vec<_>>());
            }
            "mesh" => {}
            _ => {
                let got: Vec<_> = flat(got).into_iter().map(number).collect();
                assert_eq!(got, expected);
            }
        }
    }
}

#[test]
fn every_series_has_the_values_that_tensorboard_shows() {
    let mut points = 0;
    for (case, expected) in cases("values.json") {
        let done = converted(fixtures().join(&case), |_| {});
        let runs = done.runs();
        for (name, series) in expected.as_object().unwrap() {
            let report = done.report.runs.iter().find(|run| run.name == *name).unwrap();
            let files = report.directory.as_ref().unwrap().join("files");
            for (tag, series) in series.as_object().unwrap() {
                let plugin = series["plugin"].as_str().unwrap();
                let is_part_of_mesh =
                    ["_2", "_3", "_FACE", "_COLOR"].iter().any(|end| tag.ends_with(end));
                if plugin.starts_with("graph") || (plugin == "mesh" && is_part_of_mesh) {
                    continue;
                }
                for point in series["points"].as_array().unwrap() {
                    if point["shape"].as_array().is_some_and(|shape| shape.contains(&json!(0))) {
                        continue;
                    }
                    if plugin == "custom_scalars" {
                        assert!(!runs[name].config["_tb"]["layout"].as_array().unwrap().is_empty());
                        continue;
                    }
                    let step = point["step"].as_i64().unwrap();
                    let got = runs[name].value(step, tag);
                    let got = got.unwrap_or_else(|| panic!("{case}: {tag} has no value at {step}"));
                    assert_is(&got, point, plugin, &files);
                    points += 1;
                }
            }
        }
    }
    assert!(points > 100, "{points}");
}

#[test]
fn rows_are_those_of_the_official_client_but_for_the_differences_in_the_docs() {
    let cases = cases("wandb.json");
    assert_eq!(cases.len(), 3);
    for (case, expected) in cases {
        let run = converted(fixtures().join(&case), |_| {}).only();
        for (tag, steps) in expected.as_object().unwrap() {
            for (step, want) in steps.as_object().unwrap() {
                let mut got = run.value(step.parse().unwrap(), tag).unwrap();
                let mut want = want.clone();
                // Names are random there, and tables have other digits of the same numbers.
                for value in [&mut got, &mut want] {
                    for key in ["filenames", "path", "sha256", "size"] {
                        value.as_object_mut().unwrap().remove(key);
                    }
                }
                if got["_type"] == "video-file" {
                    assert_eq!((&want["format"], &got["width"]), (&json!("gif"), &want["width"]));
                    continue;
                }
                if got["_type"] == "histogram" && case == "tensorboardX/histograms" {
                    assert_is_trimmed(&got, &mut want);
                }
                for key in ["bins", "values"] {
                    let numbers = |value: &Value| -> Vec<u64> {
                        let list = flat(value.get(key).unwrap_or(&Value::Null)).into_iter();
                        list.filter(|n| !n.is_null()).map(|n| number(n).to_bits()).collect()
                    };
                    assert_eq!(numbers(&got), numbers(&want), "{case}: {key} of {tag}");
                    for value in [&mut got, &mut want] {
                        value.as_object_mut().unwrap().remove(key);
                    }
                }
                assert_eq!(got, want, "{case}: {tag}");
            }
        }
    }
}

/// Asserts that the outer edges lie within those of the client, at the least and greatest value, and puts
/// them in their place. All else is the same, but for what the last bin gives to its neighbour if they
/// were made of more than 512.
fn assert_is_trimmed(got: &Value, want: &mut Value) {
    let numbers =
        |value: &Value, key: &str| flat(&value[key]).into_iter().map(number).collect::<Vec<_>>();
    let (got_bins, want_bins) = (numbers(got, "bins"), numbers(want, "bins"));
    let last = got_bins.len() - 1;
    assert!(got_bins[0] >= want_bins[0] && got_bins[last] <= want_bins[last]);
    for outer in [0, last] {
        want["bins"][outer] = got["bins"][outer].clone();
    }
    if last == 512 {
        let (got_counts, want_counts) = (numbers(got, "values"), numbers(want, "values"));
        let total = |counts: &[f64]| counts.iter().sum::<f64>();
        assert!((total(&got_counts) - total(&want_counts)).abs() < 1e-9);
        for of_last in [last - 2, last - 1] {
            want["values"][of_last] = got["values"][of_last].clone();
        }
    }
}

#[test]
fn a_files_record_stands_in_front_of_the_row_that_needs_the_file() {
    for case in
        ["tensorboardX/images", "tensorboardX/mesh", "tf2/audio", "synthetic/recommended_export"]
    {
        let done = converted(fixtures().join(case), |_| {});
        for report in &done.report.runs {
            let directory = report.directory.as_ref().unwrap();
            let run = Run::read(directory);
            let recorded: BTreeMap<_, _> = run.files.iter().cloned().collect();
            assert_eq!(recorded.len() as u64, report.media);
            let mut used = BTreeSet::new();
            for (at, row) in run.rows.iter().enumerate() {
                let keys: BTreeSet<_> = row.keys().map(|path| path[0].clone()).collect();
                let step = row[&vec!["global_step".to_owned()]].parse().unwrap();
                let values = keys.iter().filter_map(|key| run.value(step, key));
                for path in values.flat_map(|value| paths(&value)) {
                    assert!(recorded[&path] <= at, "{path}");
                    assert!(directory.join("files").join(&path).is_file(), "{path}");
                    used.insert(path);
                }
            }
            assert_eq!(used, recorded.into_keys().collect());
        }
    }
}

#[test]
fn the_summary_has_the_last_value_of_each_key() {
    let run = converted(fixtures().join("tensorboardX/mesh"), |_| {}).only();
    assert_eq!(run.last("m_1"), run.value(0, "m_1"));
    let run = converted(fixtures().join("tensorboardX/images"), |_| {}).only();
    assert_eq!(run.last("hwc"), run.value(1, "hwc"));
}

#[test]
fn a_pr_curve_has_a_chart() {
    let done = converted(fixtures().join("tensorboardX/pr_curve"), |_| {});
    let run = done.only();
    assert_eq!(run.charts.keys().collect::<Vec<_>>(), ["pr", "pr_raw"]);
    let panel = &run.charts["pr"]["panel_config"];
    assert_eq!(panel["stringSettings"]["title"], "pr Precision v. Recall");
    let query = &panel["userQuery"]["queryFields"][0]["fields"][3];
    assert_eq!(query["args"][0], json!({"name": "tableKey", "value": "pr"}));
    let table = run.value(0, "pr").unwrap();
    let sha256 = table["sha256"].as_str().unwrap();
    assert_eq!(sha256.len(), 64);
    assert_eq!(table["path"], format!("media/table/pr_0_{}.table.json", &sha256[..20]));
}

#[test]
fn a_mesh_with_faces_is_an_obj_file_and_one_without_a_cloud() {
    let done = converted(fixtures().join("tf2/mesh"), |_| {});
    let files = done.report.runs[0].directory.as_ref().unwrap().join("files");
    let mesh = done.only().value(0, "m_VERTEX").unwrap();
    assert_eq!(mesh["_type"], "object3D-file");
    let text = fs::read_to_string(files.join(mesh["path"].as_str().unwrap())).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "v 0.0 0.0 0.0 1.0 0.0 0.0");
    assert_eq!(lines[3], "f 1 2 3");
    let done = converted(fixtures().join("tensorboardX/mesh"), |_| {});
    let files = done.report.runs[0].directory.as_ref().unwrap().join("files");
    let cloud = done.only().value(0, "m_cfg_1").unwrap();
    let path = cloud["path"].as_str().unwrap();
    assert!(path.starts_with("media/object3D/m_cfg_1_0_") && path.ends_with(".pts.json"), "{path}");
    let points = json_file(&files.join(path)).unwrap();
    assert_eq!(points[1], json!([1.0, 0.0, 0.0]));
}

#[test]
fn compressed_files_and_messages_in_parts_give_the_same_rows() {
    for case in ["tensorboardX/images", "tf2/histograms", "tf2/text"] {
        let plain = converted(fixtures().join(case), |_| {}).only();
        let found = discover(fixtures().join(case)).unwrap();
        let file = &found.runs[0].files[0];
        let bytes = fs::read(file).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join(file.file_name().unwrap());
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes).unwrap();
        fs::write(&to, encoder.finish().unwrap()).unwrap();
        assert_eq!(converted(dir.path(), |_| {}).only().rows, plain.rows, "{case}");
        // An empty summary behind each event: by protobuf's rules the two are one.
        let mut parts = Vec::new();
        let mut reader = wandb_offline::tfevents::EventReader::open(file).unwrap();
        while let Some(event) = reader.next_event().unwrap() {
            let is_summary =
                matches!(event.decode().unwrap().what, Some(tb::event::What::Summary(_)));
            let tail: &[u8] = if is_summary { &[0x2a, 0] } else { &[] };
            tfrecord::encode(&[event.payload, tail].concat(), &mut parts);
        }
        fs::write(&to, parts).unwrap();
        assert_eq!(converted(dir.path(), |_| {}).only().rows, plain.rows, "{case}");
    }
}

#[test]
fn little_memory_gives_the_same_rows() {
    let text = |step: i64| {
        let string_val = vec![format!("step {step}").into_bytes()];
        let tensor = tb::TensorProto { dtype: 7, string_val, ..Default::default() };
        let value = Some(tb::summary::value::Value::Tensor(tensor));
        summary(step, 1.7e9, tb::summary::Value { tag: "t".into(), value, ..Default::default() })
    };
    let dir = log_dir(&(0..3000).map(|i| text(i * 7919 % 3001)).collect::<Vec<_>>());
    let run =
        |memory| converted(dir.path(), |o| (o.memory, o.restart) = (memory, Restart::Last)).only();
    let (plenty, little) = (run(1 << 20), run(0));
    assert_eq!(little.rows.len(), 3000);
    assert_eq!(little.text(17, "t"), Some("\"step 17\""));
    assert_eq!(plenty.rows, little.rows);
}

#[test]
fn a_restart_removes_histograms_too() {
    let case = fixtures().join("tensorboardX/restart_purge_step");
    let steps = |restart| {
        let done = converted(&case, |o| o.restart = restart);
        let run = done.only();
        let have = |step: &i64| run.value(*step, "h").is_some();
        (0..20).filter(have).count()
    };
    assert!(steps(Restart::TensorBoard) > 0);
    assert_eq!(steps(Restart::TensorBoard), steps(Restart::Last));
}

fn image(tag: &str, bytes: &[u8]) -> tb::Event {
    let image = tb::summary::Image { encoded_image_string: bytes.to_vec(), ..Default::default() };
    let value = Some(tb::summary::value::Value::Image(image));
    summary(3, 1.7e9, tb::summary::Value { tag: tag.into(), value, ..Default::default() })
}

const GIF: &[u8] = b"GIF89a\x02\0\x01\0";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x02";

#[test]
fn no_tag_makes_a_file_outside_of_the_run() {
    let long = "x".repeat(400);
    let tags =
        ["../../etc/passwd", "/abs", "a//b/./c", "..", "", "a\0b*?", &long, "img/image/0", "é/ü"];
    let events: Vec<_> = tags.iter().map(|tag| image(tag, PNG)).collect();
    let done = converted(log_dir(&events).path(), |_| {});
    let directory = done.report.runs[0].directory.as_ref().unwrap();
    let run = done.only();
    assert_eq!(done.report.runs[0].media, tags.len() as u64);
    for (path, _) in &run.files {
        assert!(path.starts_with("media/images/") && path.ends_with(".png"), "{path}");
        assert!(path.split('/').all(|element| !["", ".", ".."].contains(&element)), "{path}");
        assert!(directory.join("files").join(path).is_file(), "{path}");
    }
    assert_eq!(run.value(3, "img/image/0").unwrap()["width"], 1);
    assert!(done.out.path().join("wandb").read_dir().unwrap().count() == 1);
}

#[test]
fn animations_are_videos_and_what_is_no_image_is_told() {
    let events = [image("gif", GIF), image("bad", b"<svg/>"), image("png", PNG)];
    let done = converted(log_dir(&events).path(), |_| {});
    let gif = done.only().value(3, "gif").unwrap();
    assert_eq!((&gif["_type"], &gif["width"]), (&json!("video-file"), &json!(2)));
    assert!(gif["path"].as_str().unwrap().starts_with("media/videos/gif_3_"));
    assert_eq!(done.only().value(3, "bad"), None);
    assert_eq!(done.left_out(Reason::Malformed), 1);
    // A row of nothing but that is not written.
    let done = converted(log_dir(&[image("bad", b"")]).path(), |_| {});
    assert!(done.only().rows.is_empty());
}

#[test]
fn tensors_of_many_numbers_are_histograms() {
    let float_val: Vec<f32> = (0..100).map(|i| i as f32).collect();
    let dim = tb::tensor_shape_proto::Dim { size: 100, ..Default::default() };
    let tensor_shape = Some(tb::TensorShapeProto { dim: vec![dim], ..Default::default() });
    let tensor = tb::TensorProto { dtype: 1, tensor_shape, float_val, ..Default::default() };
    let value = Some(tb::summary::value::Value::Tensor(tensor));
    let value = tb::summary::Value { tag: "t".into(), value, ..Default::default() };
    let done = converted(log_dir(&[summary(0, 1.7e9, value)]).path(), |_| {});
    let got = done.only().value(0, "t").unwrap();
    assert_eq!(got["_type"], "histogram");
    assert_eq!((number(&got["bins"][0]), number(&got["bins"][32])), (0.0, 99.0));
    assert_eq!(flat(&got["values"]).into_iter().map(number).sum::<f64>(), 100.0);
}

#[test]
fn a_value_says_what_it_is_if_its_series_does_not() {
    let plugin_data =
        tb::summary_metadata::PluginData { plugin_name: "histograms".into(), ..Default::default() };
    let metadata = tb::SummaryMetadata { plugin_data: Some(plugin_data), ..Default::default() };
    let dim = |size| tb::tensor_shape_proto::Dim { size, ..Default::default() };
    let shape = tb::TensorShapeProto { dim: vec![dim(2), dim(3)], ..Default::default() };
    let value = |step, metadata| {
        let tensor = tb::TensorProto {
            dtype: 2,
            tensor_shape: Some(shape.clone()),
            double_val: vec![0.0, 1.0, 5.0, 1.0, 2.0, 7.0],
            ..Default::default()
        };
        let value = Some(tb::summary::value::Value::Tensor(tensor));
        summary(
            step,
            1.7e9,
            tb::summary::Value { tag: "h".into(), value, metadata, ..Default::default() },
        )
    };
    let dir = log_dir(&[value(0, None), value(1, Some(metadata.clone())), value(2, None)]);
    let run = converted(dir.path(), |_| {}).only();
    assert_eq!(run.value(0, "h"), Some(json!([[0.0, 1.0, 5.0], [1.0, 2.0, 7.0]])));
    assert_eq!(run.value(1, "h").unwrap()["bins"], json!([0, 1, 2]));
    // A series that says so speaks for all its values.
    let run = converted(log_dir(&[value(0, Some(metadata)), value(1, None)]).path(), |_| {}).only();
    assert_eq!(run.value(1, "h").unwrap()["values"], json!([5, 7]));
}

#[test]
fn a_tensor_of_too_many_dimensions_is_a_flat_list() {
    let dim = |size| tb::tensor_shape_proto::Dim { size, ..Default::default() };
    let value = |dimensions: usize, tensor: tb::TensorProto| {
        let dim = (0..dimensions).map(|at| dim(if at == 0 { 2 } else { 1 })).collect();
        let tensor_shape = Some(tb::TensorShapeProto { dim, ..Default::default() });
        let tensor = tb::TensorProto { tensor_shape, ..tensor };
        let value = Some(tb::summary::value::Value::Tensor(tensor));
        let value = tb::summary::Value { tag: "t".into(), value, ..Default::default() };
        let done = converted(log_dir(&[summary(0, 1.7e9, value)]).path(), |_| {});
        done.only().value(0, "t").unwrap().to_string()
    };
    let numbers = tb::TensorProto { dtype: 2, double_val: vec![1.5, 2.5], ..Default::default() };
    let string_val = vec![b"a".to_vec(), b"b".to_vec()];
    let texts = tb::TensorProto { dtype: 7, string_val, ..Default::default() };
    for (tensor, flat) in [(numbers, "[1.5,2.5]"), (texts, r#"["a","b"]"#)] {
        assert_eq!(value(16, tensor.clone()).matches('[').count(), 1 + 2 * 15, "{flat}");
        assert_eq!(value(17, tensor), flat);
    }
}

#[test]
fn a_file_that_cannot_be_read_does_not_fail_its_run() {
    let dir = log_dir(&[scalar("a", 1, 1.7e9, 1.0)]);
    let gone = dir.path().join("events.out.tfevents.1700000001.node");
    write_events(&gone, &[scalar("a", 2, 1.7e9, 1.0)]);
    let out = tempfile::tempdir().unwrap();
    let options = Options { output: out.path().join("wandb"), ..Options::default() };
    let plan = Conversion::plan(&[dir.path()], &options).unwrap();
    fs::remove_file(&gone).unwrap();
    let report = plan.run(&|_| {});
    let run = &report.runs[0];
    assert_eq!((run.status, run.points), (RunStatus::Converted, 1));
    assert_eq!(run.unreadable[0].file, gone);
    assert!(run.unreadable[0].error.starts_with("cannot open"));
    assert!(report.is_lossy());
    // If none can be read, there is no run.
    let plan = Conversion::plan(&[dir.path()], &options).unwrap();
    fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(plan.run(&|_| {}).runs[0].status, RunStatus::Failed);
}

/// What `add_hparams` writes into its sub-run.
fn session(metric: &str) -> Vec<tb::Event> {
    use wandb_offline::proto::tensorboard::hparams::{
        Experiment, MetricInfo, MetricName, SessionStartInfo, h_params_plugin_data::Data,
    };
    let name = Some(MetricName { tag: "hparam/acc".into(), ..Default::default() });
    let experiment = Experiment {
        metric_infos: vec![MetricInfo { name, ..Default::default() }],
        ..Default::default()
    };
    let lr = prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(0.5)) };
    let start = SessionStartInfo {
        hparams: [("lr".to_owned(), lr)].into(),
        group_name: "sweep".into(),
        ..Default::default()
    };
    vec![
        hparams_event(Data::Experiment(experiment)),
        hparams_event(Data::SessionStartInfo(start)),
        scalar(metric, 0, 1.7e9 + 5.0, 0.75),
    ]
}

#[test]
fn the_sub_run_of_add_hparams_is_a_part_of_its_run() {
    let dir = log_dir(&[scalar("loss", 0, 1.7e9, 1.0), scalar("loss", 1, 1.7e9, 0.5)]);
    let sub_run = |name: &str, metric| {
        let path = dir.path().join(name).join("events.out.tfevents.1700000001.node");
        write_events(&path, &session(metric));
    };
    sub_run("1700000001.5", "hparam/acc");
    let done = converted(dir.path(), |_| {});
    let run = done.only();
    assert_eq!(done.report.runs[0].folded, ["1700000001.5"]);
    assert_eq!((&run.config["lr"], &*run.run.run_group), (&json!(0.5), "sweep"));
    assert_eq!(run.value(0, "hparam/acc"), Some(json!(0.75)));
    assert_eq!(run.config["_tb"]["metrics"][0]["tag"], "hparam/acc");
    let apart = converted(dir.path(), |o| o.fold_hparams = false);
    assert_eq!(apart.runs().len(), 2);
    // Several are trials, and a directory with anything else in it is a run.
    sub_run("trial", "hparam/acc");
    assert_eq!(converted(dir.path(), |_| {}).runs().len(), 3);
    sub_run("trial", "loss");
    let done = converted(dir.path(), |_| {});
    assert_eq!(done.runs().keys().collect::<Vec<_>>(), [".", "trial"]);
}

#[test]
fn a_layout_of_custom_scalars_is_kept_in_the_config() {
    let config = converted(fixtures().join("tensorboardX/custom_scalars"), |_| {}).only().config;
    let layout = &config["_tb"]["layout"];
    let charts: Vec<_> =
        flat(layout).into_iter().flat_map(|category| flat(&category["charts"])).collect();
    assert!(charts.iter().any(|chart| chart["multiline"].is_array()), "{layout}");
    assert!(charts.iter().any(|chart| chart["margin"][0]["lower"].is_string()), "{layout}");
}

#[test]
fn a_shape_that_claims_more_than_memory_holds_costs_nothing() {
    let dim = |size| tb::tensor_shape_proto::Dim { size, ..Default::default() };
    let shape = tb::TensorShapeProto { dim: vec![dim(1 << 40), dim(3)], ..Default::default() };
    for plugin in ["", "histograms", "pr_curves", "mesh", "text"] {
        let tensor = tb::TensorProto {
            dtype: if plugin == "text" { 7 } else { 1 },
            tensor_shape: Some(shape.clone()),
            float_val: vec![1.0],
            string_val: vec![b"x".to_vec()],
            ..Default::default()
        };
        let plugin_data = tb::summary_metadata::PluginData {
            plugin_name: plugin.into(),
            content: tb::mesh::MeshPluginData { content_type: 1, ..Default::default() }
                .encode_to_vec(),
        };
        let metadata = tb::SummaryMetadata { plugin_data: Some(plugin_data), ..Default::default() };
        let value = tb::summary::Value {
            tag: "t".into(),
            metadata: Some(metadata),
            value: Some(tb::summary::value::Value::Tensor(tensor)),
            ..Default::default()
        };
        let done = converted(log_dir(&[summary(0, 1.7e9, value)]).path(), |_| {});
        let carried = done.only().value(0, "t").is_some();
        assert_eq!(carried, plugin.is_empty(), "{plugin}: only a histogram can count them");
    }
}

/// The official client drops a longer line of history, and a longer summary.
const LONGEST_LINE: usize = 10_383_360;

#[test]
fn no_row_is_longer_than_what_is_uploaded() {
    let histogram = |tag: usize| {
        let bins = 0..500;
        let histogram = tb::HistogramProto {
            bucket_limit: bins.clone().map(|bin| f64::from(bin) + 1.0 / 3.0).collect(),
            bucket: bins.map(|bin| f64::from(bin) / 7.0).collect(),
            ..Default::default()
        };
        let value = Some(tb::summary::value::Value::Histo(histogram));
        tb::summary::Value { tag: format!("h{tag}"), value, ..Default::default() }
    };
    let mut events: Vec<_> = (0..1000).map(|tag| summary(7, 1.7e9, histogram(tag))).collect();
    events.extend([scalar("loss", 7, 1.7e9, 0.5), scalar("loss", 8, 1.7e9 + 1.0, 0.25)]);
    let logs = log_dir(&events);
    let converted = converted(logs.path(), |_| {});
    let report = &converted.report.runs[0];
    assert!(report.counted_steps && !report.is_lossy());
    assert_eq!((report.points, report.not_in_summary > 0), (1002, true));
    let run = converted.only();
    // Quotes, colons and commas are 6 bytes an item.
    let length = |line: &BTreeMap<Vec<String>, String>| -> usize {
        let of = |(path, text): (&Vec<String>, &String)| path.concat().len() + text.len() + 6;
        line.iter().map(of).sum()
    };
    assert!(run.rows.len() > 2 && run.rows.iter().map(length).max().unwrap() < LONGEST_LINE);
    assert!(length(&run.summary) < LONGEST_LINE);
    assert_eq!(run.summary[&vec!["loss".to_owned()]], "0.25");
    let steps: Vec<_> = run.rows.iter().map(|row| &row[&vec!["global_step".to_owned()]]).collect();
    assert!(steps.ends_with(&[&"7".to_owned(), &"8".to_owned()]));
    assert!(steps.iter().filter(|step| **step == "7").count() > 1);
    assert!(run.rows[0].contains_key(&vec!["loss".to_owned()]), "numbers come first");
}

#[test]
fn a_text_with_no_room_in_a_row_becomes_a_table() {
    let text = "x".repeat(20 << 20);
    let tensor = tb::TensorProto {
        dtype: tb::DataType::DtString.into(),
        string_val: vec![text.clone().into()],
        ..Default::default()
    };
    let value = tb::summary::Value {
        tag: "note".into(),
        value: Some(tb::summary::value::Value::Tensor(tensor)),
        ..Default::default()
    };
    let logs = log_dir(&[summary(1, 1.7e9, value), scalar("loss", 1, 1.7e9, 0.5)]);
    let converted = converted(logs.path(), |_| {});
    assert_eq!(converted.report.runs[0].large_texts, 1);
    let run = converted.only();
    let at = |path: &[&str]| {
        let path: Vec<String> = path.iter().map(|element| (*element).to_owned()).collect();
        run.rows[0][&path].clone()
    };
    assert_eq!((run.rows.len(), at(&["loss"]).as_str()), (1, "0.5"));
    let path: String = serde_json::from_str(&at(&["note", "path"])).unwrap();
    let directory = converted.report.runs[0].directory.as_ref().unwrap();
    let table = json_file(&directory.join("files").join(path)).unwrap();
    assert_eq!(table["data"], json!([[text]]));
}

#[test]
fn what_no_row_has_room_for_is_left_out_and_counted() {
    let long = "t".repeat(9 << 20);
    let logs = log_dir(&[scalar(&long, 0, 1.7e9, 1.0), scalar("loss", 0, 1.7e9, 0.5)]);
    let done = converted(logs.path(), |_| {});
    let report = &done.report.runs[0];
    assert_eq!((report.points, report.tags, report.counted_steps), (1, 1, false));
    assert_eq!((done.left_out(Reason::TooLarge), report.is_lossy()), (1, true));
    // Steps that are not to be counted leave room for one row each.
    let text = |tag: &str| {
        let tensor = tb::TensorProto {
            dtype: tb::DataType::DtString.into(),
            string_val: vec!["x".repeat(3 << 20).into()],
            ..Default::default()
        };
        let value = Some(tb::summary::value::Value::Tensor(tensor));
        summary(0, 1.7e9, tb::summary::Value { tag: tag.into(), value, ..Default::default() })
    };
    let logs = log_dir(&[text("a"), text("b"), text("c"), scalar("loss", 0, 1.7e9, 0.5)]);
    let done = converted(logs.path(), |o| o.step_mode = StepMode::TensorBoard);
    assert_eq!((done.left_out(Reason::TooLarge), done.only().rows.len()), (1, 1));
    assert_eq!(done.only().text(0, "loss"), Some("0.5"));
    let done = converted(logs.path(), |_| {});
    assert_eq!((done.left_out(Reason::TooLarge), done.only().rows.len()), (0, 2));
}

#[test]
fn an_unreadable_image_costs_only_itself() {
    let png =
        |width: u8| [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0"[..], &[width, 0, 0, 0, 2]].concat();
    let strings = [b"1".to_vec(), b"2".to_vec(), png(1), b"no image".to_vec(), png(3)];
    let tensor = tb::TensorProto {
        dtype: tb::DataType::DtString.into(),
        string_val: strings.into(),
        ..Default::default()
    };
    let plugin_data =
        tb::summary_metadata::PluginData { plugin_name: "images".into(), ..Default::default() };
    let value = tb::summary::Value {
        tag: "image".into(),
        value: Some(tb::summary::value::Value::Tensor(tensor)),
        metadata: Some(tb::SummaryMetadata {
            plugin_data: Some(plugin_data),
            ..Default::default()
        }),
        ..Default::default()
    };
    let done = converted(log_dir(&[summary(0, 1.7e9, value)]).path(), |_| {});
    let image = done.only().value(0, "image").unwrap();
    assert_eq!((&image["count"], paths(&image).len()), (&json!(2), 2));
    assert_eq!((done.left_out(Reason::Malformed), done.report.is_lossy()), (1, true));
}

#[test]
fn bins_that_do_not_meet_have_an_empty_one_between_them() {
    let histogram = |tag: &str, rows: &[[f64; 3]]| {
        let dims = [rows.len() as i64, 3]
            .map(|size| tb::tensor_shape_proto::Dim { size, ..Default::default() });
        let tensor = tb::TensorProto {
            dtype: tb::DataType::DtDouble.into(),
            tensor_shape: Some(tb::TensorShapeProto { dim: dims.into(), ..Default::default() }),
            double_val: rows.concat(),
            ..Default::default()
        };
        let plugin_data = tb::summary_metadata::PluginData {
            plugin_name: "histograms".into(),
            ..Default::default()
        };
        let plugin_data = Some(plugin_data);
        let metadata = Some(tb::SummaryMetadata { plugin_data, ..Default::default() });
        let value = Some(tb::summary::value::Value::Tensor(tensor));
        let tag = tag.into();
        summary(0, 1.7e9, tb::summary::Value { tag, value, metadata, ..Default::default() })
    };
    let logs = log_dir(&[
        histogram("apart", &[[0.0, 1.0, 1.0], [5.0, 6.0, 2.0]]),
        histogram("overlapping", &[[0.0, 2.0, 1.0], [1.0, 3.0, 2.0]]),
    ]);
    let done = converted(logs.path(), |_| {});
    let run = done.only();
    let apart = run.value(0, "apart").unwrap();
    assert_eq!((&apart["bins"], &apart["values"]), (&json!([0, 1, 5, 6]), &json!([1, 0, 2])));
    assert_eq!(run.value(0, "overlapping").unwrap()["bins"], json!([0, 2, 3]));
    assert_eq!(done.report.runs[0].rebinned, 1, "what overlaps is told of");
}
