//! Recovering damaged files: what is whole comes back byte for byte, the rest is told.
//!
//! What should come back is known from the undamaged file, read by a reader of its own that knows nothing of
//! damage, and from what was done to it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use wandb_offline::checksum::{Crc32, MaskedCrc32c};
use wandb_offline::recover::{Options, Recovered, recover, recover_events, recover_log};
use wandb_offline::{Reader, run};

#[test]
fn a_log_that_is_cut_anywhere_in_its_last_two_records_keeps_those_before_the_cut() {
    for name in ["0.12.21/basic", "0.19.11/basic", "0.31.0/edge"] {
        let log = fixture(name);
        let records = naive(&log, 0);
        let from = records[records.len() - 2].span.start;
        for cut in from..=log.len() {
            let (got, report) = recovered(&log[..cut]);
            let whole = records.iter().filter(|record| record.span.end <= cut);
            assert_same(&got, &payloads(whole), &format!("{name} cut at {cut}"));
            let clean = cut == log.len() || records.iter().any(|record| record.span.start == cut);
            assert_eq!(report.is_lossy(), !clean, "{name} cut at {cut}: {report:?}");
            if let Some(loss) = report.losses.first() {
                assert_eq!(loss.end(), cut as u64, "the rest is told");
            }
        }
    }
}

#[test]
fn a_flipped_byte_costs_the_record_it_is_in_and_no_other() {
    let log = fixture("0.31.0/minimal");
    let records = naive(&log, 0);
    for at in (0..log.len()).filter(|at| *at != VERSION_AT) {
        for flip in [0x01, 0xff] {
            let mut damaged = log.clone();
            damaged[at] ^= flip;
            let (got, report) = recovered(&damaged);
            let hit = |record: &&Record| record.span.contains(&at);
            let whole = records.iter().filter(|record| !hit(record));
            assert_same(&got, &payloads(whole), &format!("byte {at} ^ {flip:#x}"));
            let [loss] = &report.losses[..] else { panic!("byte {at}: {report:?}") };
            assert!((loss.offset..loss.end()).contains(&(at as u64)), "byte {at}: {loss:?}");
            let number = records.iter().position(|r| r.span.contains(&at)).map(|i| i as i64 + 1);
            if at >= records[records.len() - 1].span.start {
                assert_eq!((loss.first_number, loss.last_number), (number, None));
            } else {
                assert_eq!((loss.first_number, loss.last_number), (number, number), "byte {at}");
            }
        }
    }
    let mut newer = log;
    newer[VERSION_AT] = 1;
    let error = recover_log(&newer[..], &mut Vec::new(), false).expect_err("is locked out");
    assert_eq!(error.to_string(), "log format version 1, only 0 is known at byte 0");
}

#[test]
fn zeroed_and_doubled_and_missing_blocks_cost_the_records_they_touch() {
    let log = fixture("0.31.0/killed");
    let records = naive(&log, 0);
    for at in (0..log.len()).step_by(1024) {
        for length in [512, 4096, 32768] {
            let hole = at..(at + length).min(log.len());
            let mut zeroed = log.clone();
            zeroed[hole.clone()].fill(0);
            let untouched = records.iter().filter(|record| !overlap(&record.span, &hole));
            assert_same(&recovered(&zeroed).0, &payloads(untouched), &format!("zeroed {hole:?}"));

            let cut_out = [&log[..hole.start], &log[hole.end..]].concat();
            let untouched = records.iter().filter(|record| !overlap(&record.span, &hole));
            assert_same(&recovered(&cut_out).0, &payloads(untouched), &format!("without {hole:?}"));

            let twice = [&log[..hole.end], &log[hole.start..]].concat();
            let (got, report) = recovered(&twice);
            // A record over the end of the first copy is whole in what follows the second.
            assert_same(&got, &payloads(records.iter()), &format!("twice {hole:?}"));
            let within = |r: &&Record| hole.start <= r.span.start && r.span.end <= hole.end;
            assert_eq!(report.copies, records.iter().filter(within).count() as u64, "{hole:?}");
        }
    }
}

#[test]
fn garbage_between_records_and_blocks_hides_nothing() {
    let log = fixture("0.31.0/killed");
    let records = naive(&log, 0);
    let mut random = Random(1);
    for round in 0..200 {
        let at = random.below(log.len());
        let length = 1 + random.below(if round % 2 == 0 { 50 } else { 40_000 });
        let garbage: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let damaged = [&log[..at], &garbage, &log[at..]].concat();
        let cut = |record: &&Record| record.span.start < at && at < record.span.end;
        let whole = records.iter().filter(|record| !cut(record));
        assert_same(&recovered(&damaged).0, &payloads(whole), &format!("{length} bytes at {at}"));
    }
}

#[test]
fn two_logs_spliced_anywhere_give_the_records_of_both() {
    let (a, b) = (fixture("0.31.0/killed"), fixture("0.19.11/basic"));
    let (of_a, of_b) = (naive(&a, 0), naive(&b, 0));
    let mut random = Random(2);
    for _ in 0..200 {
        let (end, start) = (random.below(a.len()), random.below(b.len() / 2));
        let damaged = [&a[..end], &b[start..]].concat();
        let first = of_a.iter().filter(|record| record.span.end <= end);
        let second = of_b.iter().filter(|record| record.span.start >= start);
        let (got, report) = recovered(&damaged);
        assert_same(
            &got,
            &payloads(first.chain(second)),
            &format!("{end} bytes, then from {start} on"),
        );
        assert!(report.restarts <= 1);
    }
}

#[test]
fn blocks_counted_from_7_are_recovered_into_blocks_counted_from_0() {
    let mut random = Random(3);
    for round in 0..100 {
        let sizes = (0..200).map(|i| [3, 40, 700, 9000][(i + round) % 4] + random.below(30));
        let sizes: Vec<usize> = sizes.collect();
        let messages: Vec<Vec<u8>> =
            sizes.iter().enumerate().map(|(i, size)| message(i as u64 + 1, *size)).collect();
        let log = encoded(&messages, 7);
        let records = naive(&log, 7);
        let mut damaged = log.clone();
        let at = 7 + random.below(log.len() - 7);
        let hole = at..(at + 1 + random.below(5000)).min(log.len());
        damaged[hole.clone()].iter_mut().for_each(|byte| *byte ^= 0x55);
        let whole = payloads(records.iter().filter(|record| !overlap(&record.span, &hole)));
        let mut output = Vec::new();
        recover_log(&damaged[..], &mut output, false).expect("something is readable");
        assert_eq!(payloads(&naive(&output, 0)), whole, "round {round}, damage at {hole:?}");
    }
}

/// Small numbers look like the types of chunks, so nearly every byte may begin one.
#[test]
fn bytes_that_look_like_chunks_do_not_wear_the_search_out() {
    let payloads_of: Vec<Vec<u8>> = (1..400u64)
        .map(|number| {
            let mut payload = message(number, 900);
            payload.iter_mut().skip(12).enumerate().for_each(|(i, b)| *b = 1 + (i % 4) as u8);
            payload
        })
        .collect();
    let log = encoded(&payloads_of, 0);
    let records = naive(&log, 0);
    for victim in [0, 5, 100, 250] {
        let mut damaged = log.clone();
        damaged[records[victim].span.start + 4] ^= 0xff;
        let whole = records.iter().enumerate().filter(|(i, _)| *i != victim).map(|(_, r)| r);
        assert_same(&recovered(&damaged).0, &payloads(whole), &format!("record {victim}"));
    }
}

#[test]
fn a_lost_beginning_is_damage_like_any_other() {
    let log = fixture("0.31.0/basic");
    let records = naive(&log, 0);
    for start in [1, 3, 7, 8, 100, records[1].span.start, records[40].span.start] {
        let whole = records.iter().filter(|record| record.span.start >= start);
        assert_same(
            &recovered(&log[start..]).0,
            &payloads(whole),
            &format!("without {start} bytes"),
        );
    }
    for (name, bytes) in [("text", &b"this is no log at all"[..]), ("zeroes", &[0; 70_000])] {
        let error = recover_log(bytes, &mut Vec::new(), false).expect_err(name);
        assert!(error.to_string().starts_with("no record in this file can be rec"), "{error}");
    }
    for short in [0, 1, 6, 7] {
        recover_log(&log[..short], &mut Vec::new(), false).expect_err("no record yet");
    }
}

#[test]
fn what_is_no_message_is_left_out_and_told() {
    let mut messages: Vec<Vec<u8>> = (1..10).map(|number| message(number, 50)).collect();
    messages[4] = b"\x08\x05\x12\xff\xff\xff".to_vec();
    let log = encoded(&messages, 0);
    let (got, report) = recovered(&log);
    assert_eq!(got.len(), 8);
    let [loss] = &report.losses[..] else { panic!("{report:?}") };
    assert!(loss.cause.contains("is not a valid message"), "{loss:?}");
    assert_eq!((loss.first_number, loss.last_number), (Some(5), Some(5)));
}

#[test]
fn losses_name_numbers_kinds_and_steps() {
    let mut log = fixture("0.31.0/killed");
    let records = naive(&log, 0);
    let rows =
        |i: usize| records[i].payload.get(2) == Some(&0x12) || kind(&records[i]) == "history";
    let row = (200..records.len()).find(|i| rows(*i)).expect("a row");
    log[records[row].span.end - 1] ^= 0x10;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    std::fs::write(&path, &log).unwrap();
    let report = recover(&path, &Options::default()).unwrap().recovered;
    let [loss] = &report.losses[..] else { panic!("{report:?}") };
    let number = row as i64 + 1;
    assert_eq!((loss.first_number, loss.last_number), (Some(number), Some(number)));
    assert_eq!(loss.kinds.iter().collect::<Vec<_>>(), [(&"history".to_owned(), &1)]);
    let (last, next) = (loss.last_step.unwrap(), loss.next_step.unwrap());
    assert_eq!(next - last, 2, "one step is missing: {loss:?}");
}

#[test]
fn event_files_lose_the_event_that_is_hit_and_no_other() {
    let file = std::fs::read(event_fixture()).unwrap();
    let events = naive_events(&file);
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x04;
        let whole = events.iter().filter(|event| !event.span.contains(&at));
        let (got, report) = recovered_events(&damaged);
        assert_same(&got, &payloads(whole), &format!("byte {at}"));
        let [loss] = &report.losses[..] else { panic!("byte {at}: {report:?}") };
        assert!((loss.offset..loss.end()).contains(&(at as u64)), "byte {at}: {loss:?}");
    }
    for cut in events[events.len() - 2].span.start..file.len() {
        let whole = events.iter().filter(|event| event.span.end <= cut);
        assert_same(&recovered_events(&file[..cut]).0, &payloads(whole), &format!("cut at {cut}"));
        let spliced = [&file[..cut], &file[..]].concat();
        let whole = events.iter().filter(|event| event.span.end <= cut).chain(&events);
        assert_same(&recovered_events(&spliced).0, &payloads(whole), &format!("spliced at {cut}"));
    }
}

#[test]
fn a_run_directory_is_recovered_whole_beside_the_old_one() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("offline-run-20260102_030405-basic001");
    std::fs::create_dir_all(dir.join("files/media")).unwrap();
    let mut log = fixture("0.31.0/basic");
    log[2000] ^= 0xff;
    for (name, bytes) in [
        ("run-basic001.wandb", &log[..]),
        ("run-basic001.wandb.synced", b""),
        ("run-basic001.wandb.syncstate", b"{}"),
        ("files/output.log", b"hello"),
        ("files/media/a.png", b"png"),
    ] {
        std::fs::write(dir.join(name), bytes).unwrap();
    }
    for input in
        [dir.clone(), dir.join("files"), dir.join("run-basic001.wandb"), root.path().into()]
    {
        let report = recover(&input, &Options { dry_run: true, ..Options::default() }).unwrap();
        assert!(!report.written && report.output.ends_with(format!("{}-recovered", name(&dir))));
    }
    let before = tree(&dir);
    let report = recover(&dir, &Options::default()).unwrap();
    assert_eq!((report.files, report.recovered.records), (3, 87));
    assert_eq!(tree(&dir), before, "the input is as it was");
    let names: Vec<_> = tree(&report.output).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "files/media/a.png",
            "files/output.log",
            "run-basic001.wandb",
            "run-basic001.wandb.syncstate"
        ]
    );
    let (state, load) = run::load(report.output.join("run-basic001.wandb"), false).unwrap();
    assert!(load.tail.is_some_and(|tail| tail.is_clean()));
    assert_eq!(state.exit().map(|exit| exit.code), Some(0));
    let error = recover(&dir, &Options::default()).expect_err("the output exists");
    assert!(error.to_string().contains("nothing is overwritten"), "{error}");
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn an_exit_record_is_added_on_demand_where_there_is_none() {
    let root = tempfile::tempdir().unwrap();
    let log = root.path().join("killed.wandb");
    std::fs::write(&log, fixture("0.31.0/killed")).unwrap();
    let finish = Options { finish: true, ..Options::default() };
    let report = recover(&log, &finish).unwrap();
    assert!(report.recovered.finished);
    let (state, load) = run::load(&report.output, false).unwrap();
    assert_eq!(state.exit().map(|exit| exit.code), Some(1));
    assert!(f64::from(state.exit().unwrap().runtime) <= state.history().last_runtime().unwrap());
    assert_eq!(load.records, report.recovered.records + 1);
    let mut reader = Reader::open(&report.output).unwrap();
    let mut numbers = 0;
    while let Some(record) = reader.next_record().unwrap() {
        numbers += 1;
        assert_eq!(record.num().unwrap(), numbers);
    }
    let again = recover(&report.output, &finish).unwrap();
    assert!(!again.recovered.finished && !again.recovered.is_lossy());
    assert_eq!(std::fs::read(report.output).unwrap(), std::fs::read(again.output).unwrap());
}

#[test]
fn an_event_file_goes_to_a_directory_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("train");
    std::fs::create_dir(&run).unwrap();
    let file = run.join("events.out.tfevents.1.host");
    let mut bytes = std::fs::read(event_fixture()).unwrap();
    bytes.truncate(bytes.len() - 3);
    std::fs::write(&file, &bytes).unwrap();
    let report = recover(&file, &Options::default()).unwrap();
    assert_eq!(report.output, root.path().join("train-recovered/events.out.tfevents.1.host"));
    let events = naive_events(&bytes);
    assert_eq!(payloads(&naive_events(&std::fs::read(report.output).unwrap())), payloads(&events));
    assert_eq!(report.recovered.lost_ranges, 1);
}

#[test]
fn nothing_is_left_behind_when_nothing_can_be_recovered() {
    let root = tempfile::tempdir().unwrap();
    let log = root.path().join("run-x.wandb");
    std::fs::write(&log, b":W&B\xe1\xbe\x00").unwrap();
    let error = recover(&log, &Options::default()).expect_err("no record");
    let want = format!("this file holds no record yet: {}", log.display());
    assert_eq!(error.to_string(), want);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
}

/// The records of what `bytes` become, which become themselves again.
fn recovered(bytes: &[u8]) -> (Vec<Vec<u8>>, Recovered) {
    let mut output = Vec::new();
    let report = recover_log(bytes, &mut output, false).expect("something is readable");
    let mut again = Vec::new();
    let second = recover_log(&output[..], &mut again, false).expect("a sound log");
    assert!(again == output && !second.is_lossy() && second.copies == 0, "{second:?}");
    (payloads(&naive(&output, 0)), report)
}

fn recovered_events(bytes: &[u8]) -> (Vec<Vec<u8>>, Recovered) {
    let mut output = Vec::new();
    let report = recover_events(bytes, &mut output).expect("something is readable");
    let mut again = Vec::new();
    let second = recover_events(&output[..], &mut again).expect("a sound file");
    assert!(again == output && !second.is_lossy(), "{second:?}");
    (payloads(&naive_events(&output)), report)
}

/// A record, and the bytes it takes with all its chunks and what separates them.
struct Record {
    span: Range<usize>,
    payload: Vec<u8>,
}

/// Reads a sound log; at its end a record may be cut off.
fn naive(log: &[u8], base: usize) -> Vec<Record> {
    assert_eq!(&log[..7], b":W&B\xe1\xbe\x00");
    let (mut records, mut at, mut open) = (Vec::new(), 7, None::<Record>);
    loop {
        let left = BLOCK - (at + BLOCK - base) % BLOCK;
        if left < 7 {
            at += left;
        }
        let Some(header) = log.get(at..at + 7) else { return records };
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let Some(payload) = log.get(at + 7..at + 7 + length) else { return records };
        assert_eq!(Crc32::of_chunk(header[6], payload).0.to_le_bytes(), header[..4]);
        let record = open.get_or_insert(Record { span: at..at, payload: Vec::new() });
        record.payload.extend(payload);
        at += 7 + length;
        record.span.end = at;
        if matches!(header[6], 1 | 4) {
            records.extend(open.take());
        }
    }
}

/// Reads a sound event file; at its end an event may be cut off.
fn naive_events(file: &[u8]) -> Vec<Record> {
    let (mut events, mut at) = (Vec::new(), 0);
    while let Some(length) = file.get(at..at + 8) {
        let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
        let Some(payload) = file.get(at + 12..at + 12 + length) else { break };
        let Some(footer) = file.get(at + 12 + length..at + 16 + length) else { break };
        assert_eq!(MaskedCrc32c::of(payload).0.to_le_bytes(), footer);
        events.push(Record { span: at..at + 16 + length, payload: payload.to_vec() });
        at += 16 + length;
    }
    events
}

/// A log with these records and blocks counted from `base`.
fn encoded(payloads: &[Vec<u8>], base: usize) -> Vec<u8> {
    let mut log = b":W&B\xe1\xbe\x00".to_vec();
    for payload in payloads {
        let (mut rest, mut first) = (&payload[..], true);
        loop {
            let left = BLOCK - (log.len() + BLOCK - base) % BLOCK;
            if left < 7 {
                log.resize(log.len() + left, 0);
                continue;
            }
            let (part, after) = rest.split_at(rest.len().min(left - 7));
            let kind = match (first, after.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            log.extend(Crc32::of_chunk(kind, part).0.to_le_bytes());
            log.extend((part.len() as u16).to_le_bytes());
            log.push(kind);
            log.extend(part);
            (rest, first) = (after, false);
            if rest.is_empty() {
                break;
            }
        }
    }
    log
}

/// A numbered record with a field that no schema has.
fn message(number: u64, size: usize) -> Vec<u8> {
    let mut payload = vec![0x08];
    varint(number, &mut payload);
    payload.extend([0xfa, 0x7f]);
    varint(size as u64, &mut payload);
    payload.extend((0..size).map(|i| (i as u64 * 31 + number * 7) as u8));
    payload
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn kind(record: &Record) -> &'static str {
    let mut log = Vec::new();
    log.extend(encoded(std::slice::from_ref(&record.payload), 0));
    let mut reader = Reader::options().read_slice(&log);
    let raw = reader.next_record().unwrap().unwrap();
    raw.kind().unwrap().map_or("null", |kind| kind.name())
}

/// That the same records came back, and if not, which is the first that did not.
fn assert_same(got: &[Vec<u8>], want: &[Vec<u8>], what: &str) {
    let same = got.iter().zip(want).take_while(|(got, want)| got == want).count();
    assert!(
        got == want,
        "{what}: {} records instead of {}, {same} are the same: {:02x?} instead of {:02x?}",
        got.len(),
        want.len(),
        got.get(same).map(|record| &record[..record.len().min(20)]),
        want.get(same).map(|record| &record[..record.len().min(20)]),
    );
}

fn payloads<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<Vec<u8>> {
    records.into_iter().map(|record| record.payload.clone()).collect()
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

fn fixture(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb").join(name);
    let mut entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let log = entries.find(|path| path.extension().is_some_and(|extension| extension == "wandb"));
    std::fs::read(log.expect("a log")).unwrap()
}

fn event_fixture() -> PathBuf {
    let file = "fixtures/tensorboard/tensorboardX/scalars/events.out.tfevents.1795486703.vm";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The files under a directory, by name, and their bytes.
fn tree(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = walkdir::WalkDir::new(dir).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file());
    let read = |entry: walkdir::DirEntry| {
        let name = entry.path().strip_prefix(dir).unwrap().display().to_string();
        (name, std::fs::read(entry.path()).unwrap())
    };
    files.map(read).collect()
}

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

const BLOCK: usize = 32768;
const VERSION_AT: usize = 6;

#[cfg(feature = "cli")]
#[test]
fn the_command_tells_what_was_lost_and_turns_the_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("run-basic001.wandb");
    let mut bytes = fixture("0.31.0/basic");
    std::fs::write(&log, &bytes).unwrap();
    let command = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wandb-offline"));
        let output = command.arg("recover").args(args).arg(&log).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code())
    };
    let (out, err, code) = command(&["--dry-run"]);
    assert!(out.ends_with("(not written)\n  recovered: 88 records\n"), "{out}");
    assert_eq!((err.as_str(), code), ("", Some(0)));
    bytes[2000] ^= 0xff;
    std::fs::write(&log, &bytes).unwrap();
    let (out, _, code) = command(&[]);
    assert_eq!(code, Some(3), "{out}");
    let lost =
        "  lost: bytes 1928..2104, record 18 (1 summary), before step 0: chunk checksum stored";
    assert!(out.contains(lost), "{out}");
    let (_, err, code) = command(&[]);
    assert!(code == Some(1) && err.contains("nothing is overwritten"), "{err}");
    let (out, err, code) = command(&["--json", "--dry-run"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(3));
    assert_eq!((&report["records"], &report["losses"][0]["offset"]), (&87.into(), &1928.into()));
    assert!(err.contains("1 range of 176 bytes lost"), "{err}");
    std::fs::write(&log, "nothing of the kind").unwrap();
    assert_eq!(command(&["--dry-run"]).2, Some(1));
}
