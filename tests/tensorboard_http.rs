//! TensorBoard itself, with both of its loaders, reads what is written here: every kind is compared over
//! its HTTP API with what was logged. Needs Python with the package `tensorboard`, as `python3` or as the
//! program that `TENSORBOARD_PYTHON` names; without it there is nothing to compare with, and the test
//! says so.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use wandb_offline::convert::wandb::{Options, to_tensorboard};
use wandb_offline::proto::tensorboard::chart::Content;
use wandb_offline::proto::tensorboard::{Category, Chart, Layout, MultilineChartContent};
use wandb_offline::tfevents::{
    HParams, Histogram, Image, LogDir, Mesh, Outcome, PrCurve, Scalars, SummaryWriter, discover,
};

#[test]
fn tensorboard_shows_what_was_written() {
    let python = std::env::var("TENSORBOARD_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import tensorboard"]).output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!("skipped: {python} has no tensorboard to compare with");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let logdir = dir.path().join("logs");
    let mut expected = write_every_kind(&logdir);
    let runs = ["fixtures/wandb/0.31.0", "fixtures/wandb/0.12.21"];
    let report = to_tensorboard(&runs, logdir.join("wandb"), &Options::default()).unwrap();
    assert_eq!(report.failures(), 0);
    for run in report.runs.iter().filter(|run| run.carried.hparams > 0) {
        let name = run.directory.as_ref().unwrap().strip_prefix(&logdir).unwrap();
        let (state, _) = wandb_offline::run::load(&run.log, true).unwrap();
        let status = match state.exit().map(|exit| exit.code) {
            None => "STATUS_UNKNOWN",
            Some(0) => "STATUS_SUCCESS",
            Some(_) => "STATUS_FAILURE",
        };
        expected["hparams"][name.to_str().unwrap()] = json!([null, status]);
    }
    expected["scalars"] = scalars(&discover(&logdir).unwrap());
    let path = dir.path().join("expected.json");
    fs::write(&path, expected.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tensorboard_http.py");
    let done = Command::new(&python).arg(script).arg(&logdir).arg(&path).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    println!("{out}");
    assert!(done.status.success(), "{out}{err}");
}

/// Two runs with something of every kind, and what TensorBoard should say of them.
fn write_every_kind(logdir: &Path) -> Value {
    let mut run = SummaryWriter::create(logdir.join("every/kind")).unwrap();
    run.hparams(&HParams::default().with("lr", 0.25).with("opt", "adam").with("amp", true))
        .unwrap();
    for step in 0..2000 {
        run.scalars(step, &[("loss", 1.0 / (step + 1) as f32), ("neg", -0.5)]).unwrap();
    }
    for (step, odd) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0].into_iter().enumerate() {
        run.scalar("odd", (step, 1.7e9 + step as f64 * 0.1), odd).unwrap();
    }
    let histogram = Histogram::from_buckets(&[-1.0, 0.0, 0.5, 2.0], &[1.0, 0.0, 3.0]).unwrap();
    run.histogram("h", (1, 1.7e9), &histogram).unwrap();
    run.histogram("h", (2, 1.7e9 + 1.0), &Histogram::of([1.0, 3.0], 2)).unwrap();
    let images = [[255, 0, 0], [0, 255, 0]].map(|pixel| Image::rgb8(1, 1, &pixel).unwrap());
    run.images("i", 3, &images).unwrap();
    let wav = wav();
    run.audio("a", 4, &[&wav]).unwrap();
    run.text("t", 5, "some **bold** text").unwrap();
    run.table("table", 5, &[["name", "value"], ["x", "1"]]).unwrap();
    let predictions = [(true, 0.9), (false, 0.6), (true, 0.3), (false, 0.1)];
    run.pr_curve("pr", 6, &PrCurve::of(predictions, 5)).unwrap();
    let mesh = Mesh {
        vertices: &[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.5, 0.0]],
        faces: &[[0, 1, 2]],
        colors: &[[255, 0, 0], [0, 255, 0], [0, 0, 255]],
        ..Mesh::default()
    };
    run.mesh("m", 7, &mesh).unwrap();
    let content = Some(Content::Multiline(MultilineChartContent { tag: vec!["loss".into()] }));
    let chart = vec![Chart { title: "chart".into(), content }];
    let category = vec![Category { title: "c".into(), chart, ..Category::default() }];
    run.custom_scalars(&Layout { category, ..Layout::default() }).unwrap();
    run.hparams_end(Outcome::Success).unwrap();
    run.finish().unwrap();
    let mut other = SummaryWriter::create(logdir.join("other")).unwrap();
    other.hparams(&HParams::default().with("lr", 0.5).with("extra", 3)).unwrap();
    other.scalar("loss", 1, 2.0).unwrap();
    other.hparams_end(Outcome::Failure).unwrap();
    other.finish().unwrap();
    let of = |tag: &str, points: Value| json!({"every/kind": {tag: points}});
    json!({
        "histograms": of("h", json!([
            [1.7e9, 1, [[-1.0, 0.0, 1.0], [0.0, 0.5, 0.0], [0.5, 2.0, 3.0]]],
            [1.7e9 + 1.0, 2, [[1.0, 2.0, 1.0], [2.0, 3.0, 1.0]]],
        ])),
        "images": of("i", json!([[3, images.map(|image| hex(image.file()))]])),
        "audio": of("a", json!([[4, [hex(&wav)]]])),
        "text": {"every/kind": {
            "t": [[5, "<strong>bold</strong>"]],
            "table": [[5, "<table>"]],
        }},
        "pr_curves": of("pr", json!([
            [6, [0.5, 2.0 / 3.0, 0.5, 1.0], [1.0, 1.0, 0.5, 0.5]],
        ])),
        "meshes": of("m", json!([[7,
            [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.5, 0.0], [0, 1, 2],
            [255, 0, 0, 0, 255, 0, 0, 0, 255],
        ]])),
        "hparams": {
            "every/kind": [{"lr": 0.25, "opt": "adam", "amp": true}, "STATUS_SUCCESS"],
            "other": [{"lr": 0.5, "extra": 3.0}, "STATUS_FAILURE"],
        },
        "layout": {"chart": ["loss"], "val/*": ["val/.*"]},
    })
}

/// The scalars of every run as TensorBoard gives them.
fn scalars(logdir: &LogDir) -> Value {
    let runs = logdir.runs.iter().map(|run| {
        let mut scalars = Scalars::default();
        for file in &run.files {
            scalars.read_file(file).unwrap();
        }
        let tags = scalars.series().map(|series| {
            let points = series.steps.iter().zip(&series.wall_times).enumerate();
            let points = points.map(|(i, (step, wall_time))| {
                let value = series.values.get(i).unwrap().as_f64();
                let value = if value.is_finite() { json!(value) } else { json!(value.to_string()) };
                json!([wall_time, step, value])
            });
            (series.tag.to_string(), points.collect::<Vec<_>>())
        });
        (run.name.clone(), tags.collect::<BTreeMap<_, _>>())
    });
    json!(runs.collect::<BTreeMap<_, _>>())
}

/// A tenth of a second of silence.
fn wav() -> Vec<u8> {
    let data = vec![0; 1600];
    let mut wav = b"RIFF".to_vec();
    wav.extend_from_slice(&(36 + data.len() as u32).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend_from_slice(&8000u32.to_le_bytes());
    wav.extend_from_slice(&16000u32.to_le_bytes());
    wav.extend_from_slice(b"\x02\0\x10\0data");
    wav.extend_from_slice(&(data.len() as u32).to_le_bytes());
    wav.extend_from_slice(&data);
    wav
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
