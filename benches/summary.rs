//! Writing event files: the cost of a step with five numbers.

use criterion::{Criterion, criterion_group, criterion_main};
use prost::Message;
use std::hint::black_box;
use std::time::Duration;
use wandb_offline::framing::tfrecord;
use wandb_offline::proto::tensorboard as tb;
use wandb_offline::tfevents::{Histogram, SummaryWriter};

const TAGS: [&str; 5] = ["train/loss", "train/lr", "train/grad_norm", "eval/acc", "eval/loss"];

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("summary");
    let dir = tempfile::tempdir().unwrap();
    let options = || SummaryWriter::options().flush_every(Duration::from_secs(3600));
    let mut run = options().create(dir.path()).unwrap();
    let mut step = 0i64;
    group.bench_function("5 scalars, an event each", |b| {
        b.iter(|| {
            step += 1;
            for (tag, value) in TAGS.into_iter().zip([0.5, 3e-4, 1.5, 0.75, 0.25]) {
                run.scalar(black_box(tag), step, value).unwrap();
            }
        });
    });
    group.bench_function("5 scalars, one event", |b| {
        let values = TAGS.map(|tag| (tag, 0.5f32));
        b.iter(|| {
            step += 1;
            run.scalars(step, black_box(&values)).unwrap();
        });
    });
    group.bench_function("5 scalars, by prost", |b| {
        let mut out = Vec::new();
        b.iter(|| {
            out.clear();
            for tag in TAGS {
                let value = Some(tb::summary::value::Value::SimpleValue(0.5));
                let value = tb::summary::Value { tag: tag.into(), value, ..Default::default() };
                let what = Some(tb::event::What::Summary(tb::Summary { value: vec![value] }));
                let event = tb::Event { wall_time: 1.7e9, step, what, ..Default::default() };
                tfrecord::encode(&event.encode_to_vec(), &mut out);
            }
            black_box(&out);
        });
    });
    group.bench_function("histogram of 1000 values", |b| {
        let values: Vec<f32> = (0..1000).map(|i| (i as f32).sin()).collect();
        b.iter(|| {
            step += 1;
            let histogram = Histogram::of(values.iter().copied(), Histogram::BUCKETS);
            run.histogram("weights", step, &histogram).unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
