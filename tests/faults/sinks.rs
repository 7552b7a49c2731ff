//! A sink that fails at its first call, at its second, and so on through all of them.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::rc::Rc;
use wandb_offline::export::{Format, HistoryExport};
use wandb_offline::log::LogWriter;
use wandb_offline::proto::wandb_internal::OutputRawRecord;
use wandb_offline::record::RecordKind;
use wandb_offline::tfevents::{EventReader, EventWriter, SummaryWriter};
use wandb_offline::{Reader, Result, edit, recover};

/// What a sink does at one of its calls.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Refuses with this error.
    Refuses(ErrorKind),
    /// Takes nothing, and says so.
    TakesNothing,
    /// Takes half of the bytes, and refuses the rest.
    TakesHalf,
    /// Takes half of the bytes, and the rest when it is asked again.
    TakesHalfForNow,
}

impl Fault {
    const FATAL: [Self; 5] = [
        Self::Refuses(ErrorKind::StorageFull),
        Self::Refuses(ErrorKind::WouldBlock),
        Self::Refuses(ErrorKind::PermissionDenied),
        Self::TakesNothing,
        Self::TakesHalf,
    ];

    /// What a writer goes on after.
    const PASSING: [Self; 2] = [Self::Refuses(ErrorKind::Interrupted), Self::TakesHalfForNow];
}

#[derive(Default)]
struct Happened {
    bytes: Vec<u8>,
    calls: usize,
    /// Calls of `write` after the one that failed for good.
    calls_after: usize,
    failed: bool,
}

/// A sink with a fault at call number `at`, counted from 0 over `write` and `flush`.
struct Faulty {
    happened: Rc<RefCell<Happened>>,
    fault: Option<(Fault, usize)>,
    half_taken: bool,
}

impl Faulty {
    fn due(&self) -> Option<Fault> {
        let mut happened = self.happened.borrow_mut();
        let call = happened.calls;
        happened.calls += 1;
        self.fault.filter(|(_, at)| *at == call).map(|(fault, _)| fault)
    }

    fn refuse(&self, kind: ErrorKind) -> io::Error {
        self.happened.borrow_mut().failed = kind != ErrorKind::Interrupted;
        kind.into()
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let after = self.happened.borrow().failed;
        self.happened.borrow_mut().calls_after += usize::from(after);
        if std::mem::take(&mut self.half_taken) {
            return Err(self.refuse(ErrorKind::StorageFull));
        }
        let taken = match self.due() {
            Some(Fault::Refuses(kind)) => return Err(self.refuse(kind)),
            Some(Fault::TakesNothing) => {
                self.happened.borrow_mut().failed = true;
                0
            }
            Some(Fault::TakesHalf) => {
                self.half_taken = true;
                bytes.len() / 2
            }
            Some(Fault::TakesHalfForNow) => bytes.len().div_ceil(2),
            None => bytes.len(),
        };
        // Where half of one byte is nothing, the sink that takes half has no room at all.
        if taken == 0 && self.half_taken {
            return Err(self.refuse(ErrorKind::StorageFull));
        }
        self.happened.borrow_mut().bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.due() {
            Some(Fault::Refuses(kind)) if kind != ErrorKind::Interrupted => Err(self.refuse(kind)),
            _ => Ok(()),
        }
    }
}

/// Something that is written to a sink, from beginning to end.
type Job = fn(Faulty) -> Result<()>;

fn run(job: Job, fault: Option<(Fault, usize)>) -> (Result<()>, Happened) {
    let happened = Rc::new(RefCell::new(Happened::default()));
    let sink = Faulty { happened: Rc::clone(&happened), fault, half_taken: false };
    let result = job(sink);
    let happened = Rc::try_unwrap(happened).ok().expect("the sink is gone").into_inner();
    (result, happened)
}

/// Runs the job with each fault at each call; returns what it writes without.
fn at_every_call(job: Job, at_least: usize, check: fn(&[u8])) {
    let (sound, whole) = run(job, None);
    sound.unwrap();
    check(&whole.bytes);
    assert!(whole.calls >= at_least, "{} calls", whole.calls);
    for at in 0..whole.calls {
        for fault in Fault::PASSING {
            let (result, happened) = run(job, Some((fault, at)));
            result.unwrap_or_else(|error| panic!("{fault:?} at call {at}: {error}"));
            assert!(happened.bytes == whole.bytes, "{fault:?} at call {at}: other bytes");
        }
        for fault in Fault::FATAL {
            let (result, happened) = run(job, Some((fault, at)));
            // Not every fault is one of flushing.
            let failed = happened.failed;
            assert_eq!(result.is_err(), failed, "{fault:?} at call {at}: {result:?}");
            if let Err(error) = result {
                let text = error.to_string();
                assert!(text.contains("write") && !error.is_corrupt(), "call {at}: {text}");
            }
            assert_eq!(happened.calls_after, 0, "{fault:?} at call {at}: written on");
            assert!(whole.bytes.starts_with(&happened.bytes), "{fault:?} at call {at}: no prefix");
            check(&happened.bytes);
        }
    }
}

/// What is there of a log reads as whole records and a tail, without damage.
fn is_log(bytes: &[u8]) {
    let mut reader = Reader::options().read_slice(bytes);
    while reader.next_record().unwrap().is_some() {}
    assert_eq!(reader.gaps().count(), 0);
}

fn is_event_file(bytes: &[u8]) {
    let mut reader = EventReader::options().read_slice(bytes);
    while reader.next_event().unwrap().is_some() {}
    assert_eq!(reader.gaps().count(), 0);
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)).unwrap()
}

/// Writes each step; after one that fails the next must fail too, and say why.
fn steps<W>(
    writer: &mut W,
    steps: usize,
    mut step: impl FnMut(&mut W, usize) -> Result<()>,
) -> Result<()> {
    for at in 0..steps {
        if let Err(error) = step(writer, at) {
            let later = step(writer, at + 1).expect_err("a failed writer stays failed").to_string();
            assert!(later.contains("since an earlier write failed"), "{later}");
            return Err(error);
        }
    }
    Ok(())
}

#[test]
fn a_log_is_a_beginning_of_itself_wherever_writing_fails() {
    let job = |sink| {
        let mut log = LogWriter::new(sink, "log");
        steps(&mut log, 6, |log, at| {
            log.record(RecordKind::OutputRaw, &vec![0; [0, 10, 40_000, 7, 70_000, 3, 1][at]])?;
            log.flush()
        })
    };
    at_every_call(job, 12, is_log);
}

#[test]
fn an_event_file_is_a_beginning_of_itself_wherever_writing_fails() {
    let job = |sink| {
        let mut events = EventWriter::new(sink, "events");
        steps(&mut events, 6, |events, at| {
            events.payload(&[0; 1000][..100 * at])?;
            events.flush()
        })
    };
    at_every_call(job, 12, is_event_file);
}

#[test]
fn a_summary_writer_fails_at_every_call_and_stays_failed() {
    let job = |sink| {
        let mut run = SummaryWriter::options().start(1.7e9).write_to(sink)?;
        steps(&mut run, 5, |run, at| {
            run.scalar("x", (at as i64, 1.7e9), 1.0)?;
            run.text("t", (at as i64, 1.7e9), &"x".repeat(at * 40_000))?;
            run.flush()
        })
    };
    at_every_call(job, 12, is_event_file);
}

#[test]
fn recovering_to_a_sink_fails_where_the_sink_fails() {
    // Large enough that it is written in several pieces.
    let log = |sink| {
        let mut log = LogWriter::new(Vec::new(), "log");
        for line in 0..80 {
            let line = format!("{line} {}", "x".repeat(10_000));
            log.message(RecordKind::OutputRaw, &OutputRawRecord { line, ..Default::default() })?;
        }
        log.flush()?;
        let mut bytes = log.get_ref().clone();
        bytes[30_000] ^= 1;
        recover::recover_log(&bytes[..], sink, true).map(drop)
    };
    at_every_call(log, 4, is_log);
    let events = |sink| {
        let mut events = Vec::new();
        let file =
            fixture("tensorboard/synthetic/garbage_tail/events.out.tfevents.1700000000.host");
        while events.len() < 700 << 10 {
            events.extend_from_slice(&file);
        }
        recover::recover_events(&events[..], sink).map(drop)
    };
    at_every_call(events, 4, is_event_file);
}

#[test]
fn editing_and_exporting_to_a_sink_fail_where_the_sink_fails() {
    let edited = |sink| {
        let log = fixture("wandb/0.31.0/killed/run-killed01.wandb");
        edit::edit_log(&log, sink, &edit::Options::default()).map(drop)
    };
    at_every_call(edited, 2, is_log);
    for job in [Format::Csv, Format::JsonLines].map(|format| match format {
        Format::Csv => (|sink| export(Format::Csv, sink)) as Job,
        _ => |sink| export(Format::JsonLines, sink),
    }) {
        at_every_call(job, 1, |_| {});
    }
}

fn export(format: Format, mut sink: Faulty) -> Result<()> {
    let log = "fixtures/wandb/0.31.0/killed/run-killed01.wandb";
    HistoryExport::new(format).write(log, &mut sink).map(drop)
}
