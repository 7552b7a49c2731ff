//! What planning an upload costs, without a network: records in, requests out, answered at once.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::fs;
use std::hint::black_box;
use wandb_offline::sync::api::{Answer, Request, RequestKind};
use wandb_offline::sync::plan::{Outcome, Plan, PlanOptions, Step};
use wandb_offline::{Reader, Writer};

const ROWS: u64 = 20_000;

fn log() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let run = Writer::options().project("bench").dir(dir.path()).create().unwrap();
    for step in 0..ROWS {
        let x = step as f64;
        run.log([("loss", 1.0 / (x + 1.0)), ("lr", 3e-4), ("norm", x * 1e-7), ("epoch", x)])
            .unwrap();
    }
    run.finish().unwrap();
    fs::read(run.path()).unwrap()
}

/// What a server that has nothing of the run says.
fn answer(request: &Request) -> Answer {
    let body = match request.kind {
        RequestKind::GraphQl("UpsertBucket") => UPSERTED,
        RequestKind::GraphQl("CreateRunFiles") => CREATED,
        _ => "{}",
    };
    Answer::new(200, body.into())
}

const UPSERTED: &str = r#"{"data":{"upsertBucket":{"bucket":{"id":"x","name":"r","displayName":"r",
    "historyLineCount":0,"project":{"name":"p","entity":{"name":"e"}}},"inserted":true}}}"#;

const CREATED: &str = r#"{"data":{"createRunFiles":{"runID":"x","uploadHeaders":[],"files":[]}}}"#;

/// Does what a plan wants until it wants nothing more; counts the bytes of its requests.
fn play(plan: &mut Plan) -> u64 {
    let mut bytes = 0;
    while let Some((ticket, step)) = plan.next_step() {
        let outcome = match step {
            Step::Send(request) => {
                bytes += request.body.len();
                Outcome::Answer(Ok(answer(black_box(&request))))
            }
            Step::Save { .. } => Outcome::Saved(Ok(())),
            step => panic!("a run without files wants {step:?}"),
        };
        plan.done(ticket, outcome);
    }
    bytes
}

fn benches(criterion: &mut Criterion) {
    let log = log();
    let mut group = criterion.benchmark_group("sync");
    group.sample_size(20).throughput(Throughput::Elements(ROWS));
    group.bench_function("plan of a run", |bencher| {
        bencher.iter(|| {
            let mut plan = Plan::new(PlanOptions::default(), None);
            let mut reader = Reader::options().read_slice(&log);
            let mut bytes = 0;
            while let Some(record) = reader.next_record().unwrap() {
                plan.record(&record).unwrap();
                if !plan.wants_records() {
                    bytes += play(&mut plan);
                }
            }
            plan.end(log.len() as u64);
            bytes += play(&mut plan);
            assert_eq!(plan.receipt_rows(), ROWS, "{:?}", plan.problems());
            bytes
        });
    });
    group.finish();
}

criterion_group!(sync, benches);
criterion_main!(sync);
