//! What must hold of recovering.

use wandb_offline::io::Source;
use wandb_offline::log::ReaderOptions;
use wandb_offline::recover::{Recovered, recover_events, recover_log};
use wandb_offline::tfevents::{EventReader, EventReaderOptions};

/// A file of either format: what is recovered is sound to the strict reader, all of it and nothing else
/// stood in the file, it has nothing more to recover, and every byte lost is within the file.
pub fn recover(bytes: &[u8]) {
    log(bytes);
    events(bytes);
}

fn log(bytes: &[u8]) {
    let mut output = Vec::new();
    let Ok(report) = recover_log(bytes, &mut output, false) else { return };
    let got = log_records(&output, false);
    assert_eq!(got.len() as u64, report.records);
    // The header may be what is damaged, which the reader takes for another format.
    if bytes.starts_with(&output[..7]) {
        let mut there = log_records(bytes, true).into_iter();
        assert!(got.iter().all(|payload| there.any(|other| other == *payload)), "in order");
    }
    assert_accounted(&report, bytes);
    let (mut again, mut finished) = (Vec::new(), Vec::new());
    let second = recover_log(&output[..], &mut again, false).expect("a sound log");
    assert!(again == output && !second.is_lossy() && second.copies == 0, "recovered for good");
    let third = recover_log(bytes, &mut finished, true).expect("as before");
    assert!(finished.starts_with(&output), "an exit record comes behind everything");
    let finished = log_records(&finished, false);
    assert_eq!(finished.len(), got.len() + usize::from(third.finished));
}

fn events(bytes: &[u8]) {
    let mut output = Vec::new();
    let Ok(report) = recover_events(bytes, &mut output) else { return };
    let strict = EventReaderOptions::default();
    let got = event_records(strict.read_slice(&output), true);
    assert_eq!(got.len() as u64, report.records);
    // As a stream, which is decompressed if it is compressed.
    let lenient = EventReaderOptions::default().lenient(true);
    let mut there = event_records(lenient.read_from(bytes), false).into_iter();
    assert!(got.iter().all(|payload| there.any(|other| other == *payload)), "in order");
    assert_accounted(&report, bytes);
    let mut again = Vec::new();
    let second = recover_events(&output[..], &mut again).expect("a sound file");
    assert!(again == output && !second.is_lossy(), "recovered for good");
}

/// Whether a file begins as gzip, zstd or zlib do.
fn is_compressed(bytes: &[u8]) -> bool {
    match *bytes {
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            true
        }
        [first, second, ..] => first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0,
        _ => false,
    }
}

fn assert_accounted(report: &Recovered, bytes: &[u8]) {
    let mut at = 0;
    for loss in &report.losses {
        // Offsets count what a compressed file stands for.
        let within = loss.end() <= bytes.len() as u64 || is_compressed(bytes);
        assert!(at <= loss.offset && within, "{loss:?}");
        at = loss.end();
    }
    let bytes: u64 = report.losses.iter().map(|loss| loss.length).sum();
    assert!(report.losses.len() == 1000 || bytes == report.lost_bytes);
}

/// The records of a log that prost takes for messages.
fn log_records(bytes: &[u8], lenient: bool) -> Vec<Vec<u8>> {
    let mut reader = ReaderOptions::default().lenient(lenient).read_slice(bytes);
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().expect("readable") {
        assert_eq!(record.check().is_ok(), record.decode().is_ok(), "{:02x?}", record.payload);
        if record.check().is_ok() {
            records.push(record.payload.to_vec());
        }
    }
    assert!(lenient || reader.tail().is_some_and(|tail| tail.is_clean()));
    records
}

fn event_records<S: Source>(mut reader: EventReader<S>, to_the_end: bool) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some(event) = reader.next_event().expect("readable") {
        if event.view().is_ok() {
            records.push(event.payload.to_vec());
        }
    }
    assert!(!to_the_end || reader.tail().is_some_and(|tail| tail.is_clean()));
    records
}
