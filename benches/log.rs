//! What logging a row costs, against the system call it cannot do without.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::io::Write;
use std::time::Duration;
use wandb_offline::Writer;
use wandb_offline::writer::WriterOptions;

fn row(i: u64) -> [(&'static str, f64); 5] {
    let x = i as f64;
    [
        ("train/loss", 1.0 / (x + 1.0)),
        ("train/lr", 3e-4 * (1.0 - x * 1e-9)),
        ("train/grad_norm", 1.234_567_89 + x * 1e-7),
        ("eval/success_rate", 0.5 + x * 1e-12),
        ("perf/tokens_per_second", 123_456.789 + x),
    ]
}

/// Logs runs of 10,000 rows: files small enough that it is not the kernel's search for free pages that
/// is measured.
fn log_rows(c: &mut Criterion, name: &str, options: &WriterOptions) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("10,000 rows of 5 scalars", |b| {
        b.iter_batched(
            || {
                let dir = tempfile::tempdir_in(directory()).unwrap();
                let run = options.clone().dir(dir.path()).create().unwrap();
                (dir, run)
            },
            |(dir, run)| {
                for i in 0..ROWS {
                    run.log(black_box(row(i))).unwrap();
                }
                run.finish().unwrap();
                (dir, run)
            },
            BatchSize::PerIteration,
        );
    });
}

const ROWS: u64 = 10_000;

/// Memory, if the system has a file system there: the disk is not what is measured.
fn directory() -> std::path::PathBuf {
    let memory = std::path::PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn benches(c: &mut Criterion) {
    log_rows(c, "written through", &Writer::options());
    log_rows(c, "buffered", &Writer::options().buffered(1000, Duration::from_secs(1)));
    let logdir = tempfile::tempdir_in(directory()).unwrap();
    let buffered = Writer::options().buffered(1000, Duration::from_secs(1));
    log_rows(c, "buffered, tensorboard as well", &buffered.tensorboard(logdir.path()));

    let mut group = c.benchmark_group("write");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("10,000 times 300 bytes", |b| {
        let file = || tempfile::tempfile_in(directory()).unwrap();
        b.iter_batched(
            file,
            |mut file| {
                for _ in 0..ROWS {
                    file.write_all(black_box(&[b'x'; 300])).unwrap();
                }
                file
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group! {
    name = log;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500))
        .without_plots();
    targets = benches
}
criterion_main!(log);
