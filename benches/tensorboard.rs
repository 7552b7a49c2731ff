//! TensorBoard event files: cut into records, decoded, gathered, converted. Data is made in memory.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;
use std::fs;
use std::hint::black_box;
use wandb_offline::convert::tensorboard::{Options, convert};
use wandb_offline::event::EventView;
use wandb_offline::framing::tfrecord;
use wandb_offline::proto::tensorboard as tb;
use wandb_offline::tfevents::{EventReader, Scalars};

const POINTS: u64 = 100_000;
const TAGS: u64 = 20;

/// One event for each point, as the older writers and TensorFlow 2 store them.
fn log(tensors: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for i in 0..POINTS {
        let (step, tag) = (i / TAGS, i % TAGS);
        let number = 1.0 / (1 + i) as f32;
        let mut value = tb::summary::Value {
            tag: format!("layer_{tag:02}/attention/entropy"),
            value: Some(tb::summary::value::Value::SimpleValue(number)),
            ..Default::default()
        };
        if tensors {
            value.metadata = Some(tb::SummaryMetadata {
                plugin_data: Some(tb::summary_metadata::PluginData {
                    plugin_name: "scalars".into(),
                    ..Default::default()
                }),
                data_class: tb::DataClass::Scalar as i32,
                ..Default::default()
            });
            let shape = tb::TensorShapeProto::default();
            value.value = Some(tb::summary::value::Value::Tensor(tb::TensorProto {
                dtype: tb::DataType::DtFloat as i32,
                tensor_shape: Some(shape),
                float_val: vec![number],
                ..Default::default()
            }));
        }
        let event = tb::Event {
            wall_time: 1.7e9 + step as f64 * 0.013,
            step: step as i64,
            what: Some(tb::event::What::Summary(tb::Summary { value: vec![value] })),
            ..Default::default()
        };
        tfrecord::encode(&event.encode_to_vec(), &mut bytes);
    }
    bytes
}

fn bench(c: &mut Criterion) {
    for (form, tensors) in [("simple", false), ("tensor", true)] {
        let bytes = log(tensors);
        let mut group = c.benchmark_group(format!("tensorboard/{form}"));
        group.throughput(Throughput::Elements(POINTS)).sample_size(20);
        group.bench_function("records", |b| {
            b.iter(|| {
                let mut reader = EventReader::options().read_slice(&bytes);
                while let Some(event) = reader.next_event().unwrap() {
                    black_box(event.payload);
                }
            });
        });
        group.bench_function("views", |b| {
            b.iter(|| {
                let mut reader = EventReader::options().read_slice(&bytes);
                while let Some(event) = reader.next_event().unwrap() {
                    black_box(EventView::read(event.payload).unwrap());
                }
            });
        });
        group.bench_function("prost", |b| {
            b.iter(|| {
                let mut reader = EventReader::options().read_slice(&bytes);
                while let Some(event) = reader.next_event().unwrap() {
                    black_box(event.decode().unwrap());
                }
            });
        });
        group.bench_function("series", |b| {
            b.iter(|| {
                let mut scalars = Scalars::default();
                scalars.read(&mut EventReader::options().read_slice(&bytes)).unwrap();
                black_box(scalars)
            });
        });
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("events.out.tfevents.1700000000.bench"), &bytes).unwrap();
        group.bench_function("convert, not written", |b| {
            let options = Options { dry_run: true, ..Options::default() };
            b.iter(|| convert(&[dir.path()], &options).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
