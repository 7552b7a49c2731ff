//! What happens when writing fails, which needs a sink that does.

use super::directory::RunDirectory;
use super::shared::Live;
use super::state::{Buffering, State};
use super::*;
use crate::Reader;
use crate::log::LogWriter;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A disk with room for so many bytes.
#[derive(Clone, Default)]
struct SmallDisk {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Write for SmallDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stored = self.bytes.lock().unwrap();
        let n = bytes.len().min(self.room - stored.len());
        stored.extend_from_slice(&bytes[..n]);
        if n == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(n) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn writer(sink: impl Write + Send + 'static, buffering: Option<Buffering>) -> Writer {
    let log = LogWriter::new(Box::new(sink) as state::Sink, "run-x.wandb");
    let state = State::new(log, Instant::now(), buffering);
    let live = Live::start(state, buffering.map(|b| b.time), None).unwrap();
    Writer::new("x".to_owned(), RunDirectory::plan(Path::new("."), "x"), Some(live))
}

/// The records of a log that may be cut off.
fn whole_records(bytes: &[u8]) -> usize {
    let mut reader = Reader::options().read_slice(bytes);
    std::iter::from_fn(|| reader.next_record().unwrap().map(drop)).count()
}

#[test]
fn a_failed_write_fails_every_later_call_and_says_why() {
    let disk = SmallDisk { room: 5000, ..SmallDisk::default() };
    let run = writer(disk.clone(), None);
    let mut logged = 0;
    let first = loop {
        match run.log([("loss", 0.5)]) {
            Ok(()) => logged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(first.to_string(), "cannot write to: no storage space: run-x.wandb");
    for later in [run.log([("loss", 0.5)]), run.commit(), run.summary_set("a", 1), run.finish()] {
        assert_eq!(
            later.unwrap_err().to_string(),
            "this log takes no more records since an earlier write failed (no storage space): \
             run-x.wandb"
        );
    }
    assert!(logged > 10);
    drop(run);
    let bytes = disk.bytes.lock().unwrap();
    let whole = whole_records(&bytes);
    assert!((2 * logged..=2 * logged + 1).contains(&whole), "{logged} rows, {whole} records");
}

#[test]
fn a_write_that_fails_in_the_background_fails_the_next_call() {
    let buffering = Buffering { rows: 1000, time: Duration::from_millis(5) };
    let run = writer(SmallDisk::default(), Some(buffering));
    run.log([("loss", 0.5)]).unwrap();
    let start = Instant::now();
    let error = loop {
        match run.log_partial([("loss", 0.5)]) {
            Ok(()) => assert!(start.elapsed() < Duration::from_secs(20)),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("an earlier write failed (no storage space)"), "{error}");
    run.finish().unwrap_err();
}

#[test]
fn a_clock_that_goes_back_is_not_taken_for_a_long_time() {
    let disk = SmallDisk { room: 5000, ..SmallDisk::default() };
    let buffering = Buffering { rows: 1000, time: Duration::from_secs(3600) };
    let log = LogWriter::new(Box::new(disk.clone()) as state::Sink, "run-x.wandb");
    let later = Instant::now() + Duration::from_secs(3600);
    let mut state = State::new(log, later, Some(buffering));
    state.log(&[("loss", 0.5)]).unwrap();
    let due = state.flush_if_due(Instant::now() - Duration::from_secs(1));
    assert_eq!((due, disk.bytes.lock().unwrap().len()), (Some(buffering.time), 0), "not due yet");
    state.finish(0).unwrap();
    let bytes = disk.bytes.lock().unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("_runtime") && !text.contains("3600"), "it began a moment ago");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error_of_the_operating_system() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let run = writer(full, None);
    let error = run.log([("loss", 0.5)]).unwrap_err();
    let ErrorKind::Io { source, .. } = error.kind() else { panic!("{error}") };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    run.log([("loss", 0.5)]).unwrap_err();
}
