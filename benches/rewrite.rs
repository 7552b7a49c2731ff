//! What makes something else of a log: repaired, edited, merged, as text, and read through gzip. The log is made here,
//! in memory.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::fs;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use wandb_offline::edit::{self, edit_log};
use wandb_offline::export::{Format, HistoryExport};
use wandb_offline::io::News;
use wandb_offline::log::Follower;
use wandb_offline::merge;
use wandb_offline::recover::recover_log;
use wandb_offline::rewrite::Template;
use wandb_offline::run::RunState;
use wandb_offline::{Reader, Writer};

const ROWS: u64 = 20_000;

/// Runs of one id, whose steps follow each other.
fn segments(dir: &Path) -> [PathBuf; 2] {
    [0, ROWS].map(|first| {
        let dir = dir.join(format!("from-{first}"));
        let run = Writer::options().id("bench").project("bench").dir(dir).create().unwrap();
        for step in first..first + ROWS {
            let x = step as f64;
            let row = [("loss", 1.0 / (x + 1.0)), ("lr", 3e-4), ("norm", x * 1e-7), ("epoch", x)];
            run.log_at(step, row).unwrap();
        }
        run.finish().unwrap();
        run.path().to_owned()
    })
}

/// A log with lines of text for the console, every tenth a progress bar drawn anew.
fn console(dir: &Path) -> Vec<u8> {
    use wandb_offline::log::LogWriter;
    use wandb_offline::proto::wandb_internal::OutputRawRecord;
    use wandb_offline::record::RecordKind;
    let mut log = LogWriter::create(dir.join("console.wandb")).unwrap();
    for line in 0..ROWS {
        let line = match line % 10 {
            0 => format!("\r 41%|████      | {line}/20000 [00:12<00:17, 1.63it/s]\x1b[K"),
            _ => format!("step {line}: loss 0.4331, 812 tokens a second\n"),
        };
        let record = OutputRawRecord { line, ..OutputRawRecord::default() };
        log.message(RecordKind::OutputRaw, &record).unwrap();
    }
    log.flush().unwrap();
    fs::read(dir.join("console.wandb")).unwrap()
}

fn fold(log: &[u8]) -> RunState {
    let mut run = RunState::default();
    let mut reader = Reader::options().read_slice(log);
    while let Some(record) = reader.next_record().unwrap() {
        run.apply(&record).unwrap();
    }
    run
}

fn follow(log: &Path) -> u64 {
    let (mut follower, mut records) = (Follower::new(log), 0);
    while let News::Record(record) = follower.poll().unwrap() {
        black_box(record.payload);
        records += 1;
    }
    records
}

fn benches(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let segments = segments(dir.path());
    let log = fs::read(&segments[0]).unwrap();
    let mut group = criterion.benchmark_group("rewrite");
    group.sample_size(20).throughput(Throughput::Bytes(log.len() as u64));
    group.bench_function("recover", |b| {
        b.iter(|| recover_log(&log[..], io::sink(), false).unwrap());
    });
    let project = Some(Template::new("project", "other").unwrap());
    let options = edit::Options { project, ..edit::Options::default() };
    group.bench_function("edit the project", |b| {
        b.iter(|| edit_log(&log, io::sink(), &options).unwrap());
    });
    group.bench_function("render as JSON", |b| {
        let mut text = String::new();
        b.iter(|| {
            let mut reader = Reader::options().read_slice(&log);
            while let Some(record) = reader.next_record().unwrap() {
                text.clear();
                record.append_json(&mut text).unwrap();
                black_box(&text);
            }
        });
    });
    group.bench_function("export as CSV", |b| {
        let export = HistoryExport::new(Format::Csv);
        b.iter(|| export.write(&segments[0], &mut io::sink()).unwrap());
    });
    group.bench_function("follow", |b| b.iter(|| follow(&segments[0])));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&log).unwrap();
    let gzip = gzip.finish().unwrap();
    group.bench_function("read through gzip", |b| {
        b.iter(|| {
            let mut reader = Reader::options().read_from(&gzip[..]);
            while let Some(record) = reader.next_record().unwrap() {
                black_box(record.payload);
            }
        });
    });
    group.throughput(Throughput::Bytes(2 * log.len() as u64));
    group.bench_function("merge two, on the disk", |b| {
        let output = || tempfile::tempdir_in(dir.path()).unwrap();
        let merge = |output: tempfile::TempDir| {
            let plan = merge::Plan::new(&segments, &merge::Options::default()).unwrap();
            plan.write(output.path().join("merged")).unwrap();
            output
        };
        b.iter_batched(output, merge, BatchSize::PerIteration);
    });
    group.finish();

    let console = console(dir.path());
    let mut group = criterion.benchmark_group("console");
    group.sample_size(20).throughput(Throughput::Elements(ROWS));
    group.bench_function("lines emulated", |b| b.iter(|| fold(black_box(&console))));
    group.finish();
}

criterion_group!(rewrite, benches);
criterion_main!(rewrite);
