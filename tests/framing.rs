//! Framing of `.wandb` files, on files of the official client and on damaged copies of them.

use std::path::{Path, PathBuf};
use wandb_offline::checksum::Crc32;
use wandb_offline::framing::block_log::{BLOCK_LEN, BlockEncoder, CHUNK_HEADER_LEN};
use wandb_offline::framing::{Fault, FaultKind, TailKind};
use wandb_offline::io::Source;
use wandb_offline::log::ReaderOptions;
use wandb_offline::{ErrorKind, Limits, Reader};

#[test]
fn every_fixture_reads_as_the_naive_reader_reads_it() {
    for path in fixtures() {
        let bytes = std::fs::read(&path).expect("readable");
        let want = naive(&bytes);
        assert!(!want.is_empty(), "{}", path.display());
        let strict = ReaderOptions::default();
        assert_eq!(payloads(strict.read_slice(&bytes)), want, "slice of {}", path.display());
        assert_eq!(payloads(strict.open(&path).expect("opens")), want, "{}", path.display());
        let crumbs = strict.read_from(bytes.chunks(1).fold(Crumbs::default(), Crumbs::then));
        assert_eq!(payloads(crumbs), want, "single bytes of {}", path.display());
    }
}

#[test]
fn records_have_the_offsets_lengths_and_kinds_the_official_decoder_finds() {
    let mut compared = 0;
    for path in fixtures() {
        let Ok(want) = std::fs::read_to_string(path.with_file_name("records.tsv")) else {
            continue;
        };
        let mut got = String::new();
        let mut reader = Reader::open(&path).expect("opens");
        while let Some(record) = reader.next_record().expect("sound") {
            let kind = record.kind().expect("a message").map_or("null", |kind| kind.name());
            got += &format!("{}\t{}\t{kind}\n", record.span.offset, record.payload.len());
        }
        assert_eq!(got, want, "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 10, "goldens are there");
}

#[test]
fn a_log_encoded_again_from_its_records_is_the_same_file() {
    for path in fixtures() {
        let bytes = std::fs::read(&path).expect("readable");
        let mut again = Vec::new();
        let mut encoder = BlockEncoder::new(&mut again);
        for (offset, payload) in naive(&bytes) {
            assert_eq!(encoder.record(&payload, &mut again), offset);
        }
        // A killed writer leaves the beginning of a record, which no whole record stands for.
        assert!(bytes.starts_with(&again), "{}", path.display());
        assert_eq!(encoder.offset(), again.len() as u64);
        if !path.to_string_lossy().contains("killed") {
            assert_eq!(bytes.len(), again.len(), "{}", path.display());
        }
    }
}

/// Damaged copies, what is left of them, and how they end.
#[test]
fn damage_costs_only_the_records_it_hits() {
    let basic = fixture("0.31.0/basic/run-basic001.wandb");
    let killed = fixture("0.31.0/killed/run-killed01.wandb");
    let cases: &[(&str, Vec<u8>, usize, u64, TailKind)] = &[
        ("empty", vec![], 0, 0, TailKind::Empty),
        ("short header", basic[..5].to_vec(), 0, 0, TailKind::FileHeader),
        ("header only", basic[..7].to_vec(), 0, 0, TailKind::Clean),
        ("cut at a boundary", basic[..15378].to_vec(), 87, 0, TailKind::Clean),
        ("cut in a chunk header", basic[..15381].to_vec(), 87, 0, TailKind::RecordHeader),
        ("cut in a payload", basic[..15395].to_vec(), 87, 0, TailKind::Payload),
        ("flipped payload", flipped(&basic, 2000), 87, 1, TailKind::Clean),
        ("zeroes behind", with(&basic, &[0; 4096]), 88, 0, TailKind::Clean),
        ("zero block behind", with(&basic, &[0; 50114]), 88, 0, TailKind::Clean),
        ("garbage behind", with(&basic, b"garbage garbage!"), 88, 1, TailKind::Clean),
        ("flip in block 0 of 3", flipped(&killed, 1000), 920, 1, TailKind::Clean),
        ("block 1 of 3 zeroed", zeroed(&killed, 32768..65536), 615, 1, TailKind::Clean),
    ];
    for (name, bytes, records, gaps, tail) in cases {
        let mut reader = ReaderOptions::default().lenient(true).read_slice(bytes);
        let mut count = 0;
        while reader.next_record().expect("a lenient reader passes over damage").is_some() {
            count += 1;
        }
        assert_eq!(count, *records, "{name}");
        assert_eq!(reader.gaps().count(), *gaps, "{name}");
        assert_eq!(reader.tail().map(|tail| tail.kind), Some(*tail), "{name}");
    }
}

#[test]
fn a_strict_reader_names_the_damage_and_stays_failed() {
    let basic = fixture("0.31.0/basic/run-basic001.wandb");
    let bytes = flipped(&basic, 2000);
    let mut reader = ReaderOptions::default().read_slice(&bytes);
    let mut read = 0;
    let error = loop {
        match reader.next_record() {
            Ok(Some(_)) => read += 1,
            Ok(None) => panic!("the damage must not go unseen"),
            Err(error) => break error,
        }
    };
    assert_eq!((read, error.offset(), error.is_corrupt()), (17, Some(1928), true));
    assert_eq!(
        error.to_string(),
        "chunk checksum stored 0xa89e2c28, computed 0x1d9222f5 at byte 1928"
    );
    let again = reader.next_record().expect_err("final");
    assert_eq!(again.to_string(), error.to_string());
}

#[test]
fn a_foreign_file_is_refused_even_by_a_lenient_reader() {
    let basic = fixture("0.31.0/basic/run-basic001.wandb");
    for (at, kind) in [
        (3, FaultKind::NotALog { got: *b":W&C" }),
        (4, FaultKind::HeaderMagic { got: 0xbee0 }),
        (6, FaultKind::Version { got: 1 }),
    ] {
        let mut bytes = basic.clone();
        bytes[at] ^= 1;
        let mut reader = ReaderOptions::default().lenient(true).read_slice(&bytes);
        let error = reader.next_record().expect_err("not a log");
        assert!(
            matches!(error.kind(), ErrorKind::Damaged(fault) if *fault == Fault { offset: 0, kind }),
            "{error}"
        );
    }
}

#[test]
fn blocks_counted_from_7_are_found_out_and_read_to_the_end() {
    for lengths in [vec![50, 300, 900], vec![32761], vec![40_000, 3, 100_000], vec![32_743, 5]] {
        let payloads: Vec<Vec<u8>> = lengths
            .iter()
            .cycle()
            .take(90)
            .map(|&n| (0..n).map(|i| (i * 7) as u8).collect())
            .collect();
        let bytes = encode_with_base(&payloads, 7);
        let mut reader = ReaderOptions::default().read_slice(&bytes);
        let mut read = Vec::new();
        while let Some(record) = reader.next_record().expect("no damage here") {
            read.push(record.payload.to_vec());
        }
        assert!(read == payloads, "{lengths:?}: {} of {}", read.len(), payloads.len());
        assert_eq!(reader.block_base(), 7, "{lengths:?}");
        assert!(reader.tail().is_some_and(|tail| tail.is_clean()));
    }
}

#[test]
fn a_first_chunk_without_bytes_fills_the_last_seven_of_a_block() {
    let mut bytes = Vec::new();
    let mut encoder = BlockEncoder::new(&mut bytes);
    encoder.record(&vec![1; BLOCK_LEN - 7 - 2 * CHUNK_HEADER_LEN], &mut bytes);
    assert_eq!(encoder.record(b"abc", &mut bytes), (BLOCK_LEN - CHUNK_HEADER_LEN) as u64);
    assert_eq!(bytes[BLOCK_LEN - 7..BLOCK_LEN], [0xa1, 0x8e, 0x0c, 0x3c, 0, 0, 2]);
    let read = payloads(ReaderOptions::default().read_slice(&bytes));
    assert_eq!(read[1], ((BLOCK_LEN - CHUNK_HEADER_LEN) as u64, b"abc".to_vec()));
}

#[test]
fn known_answers_of_the_format_decode() {
    let mut bytes = b":W&B\xe1\xbe\x00".to_vec();
    bytes.extend([0x1b, 0xdf, 0x05, 0xa5, 0, 0, 1]);
    bytes.extend([0x90, 0x45, 0xeb, 0x48, 2, 0, 1, 8, 0x0d]);
    let read = payloads(ReaderOptions::default().read_slice(&bytes));
    assert_eq!(read, [(7, vec![]), (14, vec![8, 0x0d])]);
}

#[test]
fn a_record_over_the_limit_is_a_gap_and_costs_no_memory() {
    let mut bytes = Vec::new();
    let mut encoder = BlockEncoder::new(&mut bytes);
    for length in [10, 200_000, 20] {
        encoder.record(&vec![9; length], &mut bytes);
    }
    let mut limits = Limits::DEFAULT;
    limits.record_len = 100_000;
    let options = ReaderOptions::default().limits(limits);
    let mut strict = options.read_slice(&bytes);
    assert!(strict.next_record().expect("short").is_some());
    let error = strict.next_record().expect_err("too long").to_string();
    assert!(error.contains("limit is 100000 bytes"), "{error}");
    let mut lenient = options.lenient(true).read_slice(&bytes);
    let mut lengths = Vec::new();
    while let Some(record) = lenient.next_record().expect("lenient") {
        lengths.push(record.payload.len());
    }
    assert_eq!(lengths, [10, 20]);
    assert_eq!(lenient.gaps().count(), 1);
}

#[test]
fn a_file_is_followed_while_it_grows() {
    let basic = fixture("0.31.0/basic/run-basic001.wandb");
    let want = naive(&basic);
    let folder = tempfile::tempdir().expect("temporary directory");
    let path = folder.path().join("run-grow.wandb");
    std::fs::write(&path, b"").expect("writable");
    let mut reader = ReaderOptions::default().following(true).open(&path).expect("opens");
    let mut read = Vec::new();
    for piece in basic.chunks(777) {
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("appends");
        std::io::Write::write_all(&mut file, piece).expect("writable");
        while let Some(record) = reader.next_record().expect("sound") {
            read.push((record.span.offset, record.payload.to_vec()));
        }
    }
    assert_eq!(read, want);
}

/// Reads a sound log the slow and obvious way, straight from the format's definition.
fn naive(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
    assert_eq!(bytes[..7], *b":W&B\xe1\xbe\x00");
    let (mut at, mut records, mut open) = (7, Vec::new(), None);
    while at + 7 <= bytes.len() {
        let left = BLOCK_LEN - at % BLOCK_LEN;
        if left < 7 {
            at += left;
            continue;
        }
        let stored = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
        let length = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        let kind = bytes[at + 6];
        let Some(payload) = bytes.get(at + 7..at + 7 + length) else { break };
        assert!(7 + length <= left);
        assert_eq!(Crc32::of_chunk(kind, payload), Crc32(stored));
        match kind {
            1 => records.push((at as u64, payload.to_vec())),
            2 => open = Some((at as u64, payload.to_vec())),
            _ => {
                let (start, mut whole) = open.take().expect("open");
                whole.extend_from_slice(payload);
                if kind == 4 { records.push((start, whole)) } else { open = Some((start, whole)) }
            }
        }
        at += 7 + length;
    }
    records
}

/// Frames records the slow way, with blocks counted from `base`.
fn encode_with_base(payloads: &[Vec<u8>], base: usize) -> Vec<u8> {
    let mut out = b":W&B\xe1\xbe\x00".to_vec();
    let chunk = |out: &mut Vec<u8>, kind: u8, payload: &[u8]| {
        out.extend(Crc32::of_chunk(kind, payload).0.to_le_bytes());
        out.extend((payload.len() as u16).to_le_bytes());
        out.push(kind);
        out.extend_from_slice(payload);
    };
    for payload in payloads {
        let left = BLOCK_LEN - (out.len() - base) % BLOCK_LEN;
        if left < 7 {
            out.resize(out.len() + left, 0);
        }
        let (mut rest, mut first) = (&payload[..], true);
        loop {
            let room = BLOCK_LEN - (out.len() - base) % BLOCK_LEN - 7;
            let part = &rest[..room.min(rest.len())];
            rest = &rest[part.len()..];
            let kind = match (first, rest.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            chunk(&mut out, kind, part);
            first = false;
            if rest.is_empty() {
                break;
            }
        }
    }
    out
}

fn payloads<S: Source>(mut reader: Reader<S>) -> Vec<(u64, Vec<u8>)> {
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().expect("a sound log") {
        records.push((record.span.offset, record.payload.to_vec()));
    }
    records
}

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb");
    let logs: Vec<_> = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.expect("readable").into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wandb"))
        .collect();
    assert!(logs.len() >= 3, "fixtures are there");
    logs
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0xff;
    bytes
}

fn zeroed(bytes: &[u8], range: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[range].fill(0);
    bytes
}

fn with(bytes: &[u8], behind: &[u8]) -> Vec<u8> {
    [bytes, behind].concat()
}

/// A stream that hands out what it was given piece by piece.
#[derive(Default)]
struct Crumbs(std::collections::VecDeque<Vec<u8>>);

impl Crumbs {
    fn then(mut self, piece: &[u8]) -> Self {
        self.0.push_back(piece.to_vec());
        self
    }
}

impl std::io::Read for Crumbs {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(piece) = self.0.pop_front() else { return Ok(0) };
        buffer[..piece.len()].copy_from_slice(&piece);
        Ok(piece.len())
    }
}
