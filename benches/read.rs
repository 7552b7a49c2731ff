//! How fast a log becomes a run model or columns. The logs are made here, in memory.

mod shape;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shape::{KEYS, Numbers};
use std::hint::black_box;
use wandb_offline::json::{put_f64, put_i64};
use wandb_offline::log::LogWriter;
use wandb_offline::record::RecordKind;
use wandb_offline::run::{Columns, RunState};
use wandb_offline::{Reader, wire};

const ROWS: i64 = 20_000;

/// What the made log looks like.
#[derive(Clone, Copy, PartialEq)]
enum Profile {
    /// History rows only, the keys in the same order in each.
    History,
    /// As above, the keys in random order, as Go writes them.
    Shuffled,
    /// Two summary records before each row, as the official client has it.
    Client,
}

fn item(body: &mut Vec<u8>, key: &str, json: &[u8]) {
    let mut item = Vec::with_capacity(64);
    wire::put_bytes(&mut item, 2, key.as_bytes());
    wire::put_bytes(&mut item, 16, json);
    wire::put_bytes(body, 1, &item);
}

fn items(numbers: &mut Numbers, step: i64, profile: Profile) -> Vec<u8> {
    let mut keys = KEYS;
    if profile == Profile::Shuffled {
        for i in (1..keys.len()).rev() {
            keys.swap(i, (numbers.next() % (i as u64 + 1)) as usize);
        }
    }
    let mut body = Vec::with_capacity(600);
    for key in keys {
        let mut json = Vec::with_capacity(24);
        match key {
            "_step" | "tokens/seen" => put_i64(&mut json, step),
            _ => put_f64(&mut json, numbers.float()),
        }
        item(&mut body, key, &json);
    }
    body
}

fn log(profile: Profile) -> Vec<u8> {
    let mut numbers = Numbers::new(0);
    let mut log = LogWriter::new(Vec::new(), "bench");
    for step in 0..ROWS {
        let mut body = items(&mut numbers, step, profile);
        if profile == Profile::Client {
            let mut runtime = Vec::new();
            item(&mut runtime, "_runtime", b"12");
            log.record(RecordKind::Summary, &runtime).expect("memory takes everything");
            log.record(RecordKind::Summary, &body).expect("memory takes everything");
        }
        wire::put_length(&mut body, 2, 1 + wire::varint_len(step as u64));
        wire::put_uint(&mut body, 1, step as u64);
        log.record(RecordKind::History, &body).expect("memory takes everything");
    }
    log.flush().expect("memory takes everything");
    log.get_ref().clone()
}

fn fold(log: &[u8]) -> RunState {
    let mut reader = Reader::options().read_slice(log);
    let mut run = RunState::default();
    while let Some(record) = reader.next_record().expect("the log is sound") {
        run.apply(&record).expect("the log is sound");
    }
    assert_eq!(run.history().last_step(), Some(ROWS - 1));
    run
}

fn columns(log: &[u8]) -> Columns {
    let mut reader = Reader::options().read_slice(log);
    Columns::from_reader(&mut reader).expect("the log is sound")
}

fn read(criterion: &mut Criterion) {
    let profiles = [
        ("history", Profile::History),
        ("shuffled", Profile::Shuffled),
        ("client", Profile::Client),
    ];
    for (name, profile) in profiles {
        let log = log(profile);
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20).throughput(Throughput::Bytes(log.len() as u64));
        group.bench_function("fold", |bencher| bencher.iter(|| fold(black_box(&log))));
        group.throughput(Throughput::Elements(ROWS as u64 * KEYS.len() as u64));
        group.bench_function("columns", |bencher| bencher.iter(|| columns(black_box(&log))));
        group.finish();
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
