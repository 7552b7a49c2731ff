//! What logging a row costs, against the system call it cannot do without.

use criterion::{Criterion, criterion_group, criterion_main};
use std::fs::File;
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

fn log_rows(c: &mut Criterion, name: &str, options: WriterOptions) {
    let dir = tempfile::tempdir_in(directory()).unwrap();
    let run = options.dir(dir.path()).create().unwrap();
    let mut i = 0;
    c.bench_function(name, |b| {
        b.iter(|| {
            i += 1;
            run.log(black_box(row(i))).unwrap();
        });
    });
    run.finish().unwrap();
}

/// Memory, if the system has a file system there: the disk is not what is measured.
fn directory() -> std::path::PathBuf {
    let memory = std::path::PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn benches(c: &mut Criterion) {
    log_rows(c, "log 5 scalars, written through", Writer::options());
    let every_second = Duration::from_secs(1);
    log_rows(c, "log 5 scalars, buffered", Writer::options().buffered(1000, every_second));

    let mut file = tempfile::tempfile_in(directory()).unwrap();
    let bytes = [b'x'; 300];
    c.bench_function("write 300 bytes", |b| b.iter(|| file.write_all(black_box(&bytes)).unwrap()));
    let mut null = File::options().write(true).open("/dev/null").unwrap();
    c.bench_function("write to /dev/null", |b| b.iter(|| null.write_all(&bytes).unwrap()));
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
