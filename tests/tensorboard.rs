//! Reading event files: real ones of several producers, damaged ones, and bytes nobody ever wrote.

use serde_json::Value;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use wandb_offline::event::{ScalarValue, What};
use wandb_offline::framing::{TailKind, tfrecord};
use wandb_offline::io::Source;
use wandb_offline::tfevents::{EventReader, RunFiles, Scalars, discover};

#[path = "../fuzz/oracles.rs"]
mod oracles;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tensorboard")
}

/// Every log directory of the fixtures, with what TensorBoard's readers find in it.
fn cases() -> Vec<(PathBuf, Value)> {
    let mut cases = Vec::new();
    for producer in ["synthetic", "tensorboardX", "tf2"] {
        for case in fs::read_dir(fixtures().join(producer)).unwrap() {
            let path = case.unwrap().path();
            let text = fs::read_to_string(path.join("scalars.json")).unwrap();
            cases.push((path, serde_json::from_str(&text).unwrap()));
        }
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(cases.len() > 35);
    cases
}

fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

/// All points of a run, whatever a restart made of them.
fn points(run: &RunFiles) -> Vec<(String, i64, u64, u32)> {
    let mut scalars = Scalars::default();
    for file in &run.files {
        let reader = EventReader::options().lenient(true).suspects(true);
        scalars.read(&mut reader.open(file).unwrap()).unwrap();
    }
    let mut points = Vec::new();
    for series in scalars.series() {
        for (i, (&step, &wall_time)) in series.steps.iter().zip(&series.wall_times).enumerate() {
            let value = series.values.get(i).unwrap().as_f64() as f32;
            points.push((series.tag.to_string(), step, wall_time.to_bits(), bits(value)));
        }
    }
    points
}

/// The bits, with all NaN the same.
fn bits(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}

#[test]
fn every_point_tensorboard_shows_is_read() {
    for (path, expected) in cases() {
        let found = discover(&path).unwrap();
        for (run, series) in expected["tensorboard"].as_object().unwrap() {
            let run = found.runs.iter().find(|candidate| candidate.name == *run).unwrap();
            let points = points(run);
            for (tag, wanted) in series.as_object().unwrap() {
                for point in wanted.as_array().unwrap() {
                    let (step, wall_time) = (point[0].as_i64().unwrap(), number(&point[1]));
                    let value = bits(number(&point[2]) as f32);
                    let want = (tag.clone(), step, wall_time.to_bits(), value);
                    assert!(points.contains(&want), "{}: {want:?}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_element_type_is_decoded_exactly() {
    let path = fixtures().join("synthetic/scalar_tensor_dtypes");
    let mut scalars = Scalars::default();
    scalars.read_file(&discover(path).unwrap().runs[0].files[0]).unwrap();
    let value = |tag: &str| {
        let series = scalars.series().find(|series| &*series.tag == tag)?;
        series.values.get(0)
    };
    for (tag, want) in [
        ("f32_float_val", Some(ScalarValue::F32(1.5))),
        ("f32_content", Some(ScalarValue::F32(1.5))),
        ("f32_noshape", Some(ScalarValue::F32(1.5))),
        ("f64", Some(ScalarValue::F64(1.5))),
        ("half", Some(ScalarValue::F32(1.5))),
        ("bf16", Some(ScalarValue::F32(1.5))),
        ("i32", Some(ScalarValue::I64(3))),
        ("i64", Some(ScalarValue::I64(1 << 60))),
        ("bool", Some(ScalarValue::Bool(true))),
        ("rank1_len1", Some(ScalarValue::F32(1.5))),
        ("empty_val_implicit_zero", Some(ScalarValue::F32(0.0))),
        ("rank0_two_vals", None),
        ("string", None),
    ] {
        assert_eq!(value(tag), want, "{tag}");
    }
}

fn payloads() -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for (path, _) in cases() {
        for file in discover(&path).unwrap().runs.iter().flat_map(|run| &run.files) {
            let mut reader = EventReader::options().lenient(true).open(file).unwrap();
            while let Some(event) = reader.next_event().unwrap() {
                payloads.push(event.payload.to_vec());
            }
        }
    }
    payloads
}

#[test]
fn views_agree_with_prost_on_real_events() {
    payloads().iter().for_each(|payload| oracles::event(payload));
}

/// The first file of a case, as bytes.
fn file(case: &str) -> Vec<u8> {
    fs::read(&discover(fixtures().join(case)).unwrap().runs[0].files[0]).unwrap()
}

fn count<R: Read>(stream: R) -> (usize, Option<TailKind>, bool) {
    let mut reader = EventReader::options().lenient(true).read_from(stream);
    let mut events = 0;
    while reader.next_event().unwrap().is_some() {
        events += 1;
    }
    (events, reader.tail().map(|tail| tail.kind), reader.gaps().is_lossy())
}

#[test]
fn compressed_files_are_read_like_plain_ones() {
    let plain = file("tensorboardX/scalars");
    let (events, ..) = count(&plain[..]);
    let level = flate2::Compression::default();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
    zlib.write_all(&plain).unwrap();
    let zlib = zlib.finish().unwrap();
    for whole in [&gzip, &zlib] {
        assert_eq!(count(&whole[..]), (events, Some(TailKind::Clean), false));
        let (some, tail, lossy) = count(&whole[..whole.len() / 2]);
        assert!(some > 0 && some < events, "{some}");
        assert_eq!((tail, lossy), (Some(TailKind::Compressed), false), "cut is not damaged");
        let mut damaged = whole.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let (all, tail, lossy) = count(&damaged[..]);
        assert_eq!((all, tail, lossy), (events, Some(TailKind::Compressed), true));
        let mut strict = EventReader::options().read_from(&damaged[..]);
        let error = loop {
            match strict.next_event() {
                Ok(event) => assert!(event.is_some()),
                Err(error) => break error,
            }
        };
        assert!(error.is_corrupt());
    }
}

/// Delivers a byte at a time, and says "end" in between, as a file that grows does.
struct Crumbs<'a>(&'a [u8], bool);

impl Read for Crumbs<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        match (self.0.split_first(), buffer.first_mut()) {
            (Some((&byte, rest)), Some(slot)) if self.1 => {
                (*slot, self.0) = (byte, rest);
                Ok(1)
            }
            _ => Ok(0),
        }
    }
}

#[test]
fn a_growing_file_is_followed() {
    let bytes = file("tensorboardX/restart_purge_step");
    let (events, ..) = count(&bytes[..]);
    let mut reader = EventReader::options().following(true).read_from(Crumbs(&bytes, true));
    let mut found = 0;
    for _ in 0..bytes.len() * 2 {
        found += usize::from(reader.next_event().unwrap().is_some());
    }
    assert_eq!(found, events);
}

#[test]
fn forged_lengths_cost_no_memory_and_lose_nothing_before_them() {
    for length in [1u64 << 40, u64::MAX, u64::MAX - 15, 1 << 31] {
        let mut bytes = file("tensorboardX/scalars");
        let (events, ..) = count(&bytes[..]);
        let at = bytes.len() as u64;
        bytes.extend_from_slice(&forged_header(length));
        bytes.extend_from_slice(b"abc");
        let mut reader = EventReader::options().lenient(true).read_slice(&bytes);
        let mut found = 0;
        while reader.next_event().unwrap().is_some() {
            found += 1;
        }
        assert_eq!(found, events);
        assert_eq!(reader.gaps().gaps()[0].offset, at);
    }
}

/// Each byte is walked once, whatever claims to begin there: a reader that checked every claim for itself would take
/// hours over these files.
#[test]
fn claims_that_lie_across_each_other_cost_no_more_than_their_bytes() {
    let claim = forged_header(1 << 21);
    let claims = claim.repeat(400_000);
    let mut sound = Vec::new();
    tfrecord::encode(b"", &mut sound);
    let mixed = [&sound[..], &claim].concat().repeat(150_000);
    // Damaged records that end in the file, and a damaged one full of claims that do not.
    let followed = [&mixed[..], &vec![1; 1 << 22]].concat();
    let within = [
        &forged_header(1 << 22)[..],
        &forged_header(1 << 22).repeat(200_000),
        &forged_header(8),
        &vec![1; 4 << 20],
    ];
    let files = [(claims, 0), (mixed, 150_000), (followed, 150_000), (within.concat(), 0)];
    for (bytes, records) in files {
        let streamed = EventReader::options().lenient(true).read_from(&bytes[..]);
        assert_eq!(records_of(streamed), records);
        let sliced = EventReader::options().lenient(true).read_slice(&bytes);
        assert_eq!(records_of(sliced), records);
    }
}

#[test]
fn what_looks_like_a_record_within_a_damaged_one_hides_none_that_follow() {
    let mut inside = vec![7; 4];
    inside.extend_from_slice(&forged_header(42));
    inside.resize(37, 7);
    // What the claim ends at looks like a header as well.
    let mut behind = vec![7; 9];
    behind.extend_from_slice(&forged_header(0));
    let mut bytes = Vec::new();
    tfrecord::encode(&inside, &mut bytes);
    let second = bytes.len() as u64;
    assert_eq!(second + 12 + 9, 16 + 12 + 42 + 4);
    tfrecord::encode(&behind, &mut bytes);
    bytes[0] ^= 1;
    let mut reader = EventReader::options().lenient(true).read_slice(&bytes);
    assert_eq!(reader.next_event().unwrap().unwrap().span.offset, second);
    assert!(reader.next_event().unwrap().is_none());
}

#[test]
fn behind_damage_an_unfinished_record_is_still_one() {
    let mut bytes = Vec::new();
    tfrecord::encode(b"first", &mut bytes);
    let second = bytes.len() as u64;
    tfrecord::encode(b"second", &mut bytes);
    bytes.truncate(bytes.len() - 3);
    bytes[0] ^= 1;
    let mut reader = EventReader::options().lenient(true).read_slice(&bytes);
    assert!(reader.next_event().unwrap().is_none());
    let tail = reader.tail().unwrap();
    assert_eq!((tail.kind, tail.offset), (TailKind::Payload, second));
}

fn records_of<S: Source>(mut reader: EventReader<S>) -> usize {
    let mut records = 0;
    while reader.next_event().unwrap().is_some() {
        records += 1;
    }
    records
}

/// A header whose checksum is right.
fn forged_header(length: u64) -> [u8; 12] {
    let mut header = [0; 12];
    header[..8].copy_from_slice(&length.to_le_bytes());
    let crc = wandb_offline::checksum::MaskedCrc32c::of(&length.to_le_bytes());
    header[8..].copy_from_slice(&crc.0.to_le_bytes());
    header
}

#[test]
fn an_event_that_is_none_is_told_and_stepped_over() {
    let path = fixtures().join("synthetic/invalid_utf8_tag");
    let mut reader = EventReader::open(&discover(path).unwrap().runs[0].files[0]).unwrap();
    assert!(reader.next_event().unwrap().unwrap().view().is_ok());
    let error = reader.next_event().unwrap().unwrap().view().unwrap_err();
    assert_eq!(error.offset(), Some(40));
    assert!(error.to_string().contains("Value.tag"), "{error}");
    assert!(reader.next_event().unwrap().unwrap().view().is_ok());
    assert!(reader.next_event().unwrap().is_none());
    assert!(reader.tail().unwrap().is_clean());
}

#[test]
fn suspect_events_are_damage_unless_asked_for() {
    let bytes = file("synthetic/corrupt_data_byte");
    let mut strict = EventReader::options().read_slice(&bytes);
    for _ in 0..3 {
        assert!(strict.next_event().unwrap().is_some());
    }
    assert_eq!(strict.next_event().unwrap_err().offset(), Some(116));
    let mut asking = EventReader::options().suspects(true).read_slice(&bytes);
    let mut suspects = Vec::new();
    while let Some(event) = asking.next_event().unwrap() {
        suspects.extend(event.suspect.map(|fault| fault.offset));
    }
    assert_eq!(suspects, [116]);
}

#[test]
fn an_empty_record_is_an_event_without_anything() {
    let mut bytes = Vec::new();
    tfrecord::encode(b"", &mut bytes);
    let mut reader = EventReader::options().read_slice(&bytes);
    let event = reader.next_event().unwrap().unwrap().view().unwrap();
    assert_eq!((event.wall_time, event.step, event.what), (0.0, 0, What::None));
}
