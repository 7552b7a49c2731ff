//! Following files while they are written: every record once, in order, as soon as it is whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use wandb_offline::Reader;
use wandb_offline::io::{End, News, Replaced};
use wandb_offline::log::Follower;
use wandb_offline::tfevents::{EventFollower, EventReader};

#[test]
fn a_writer_that_flushes_at_any_point_is_followed_in_a_thousand_ways() {
    let logs = ["0.31.0/basic", "0.31.0/killed", "0.12.21/minimal", "0.12.21/killed"];
    let logs = logs.map(|name| fs::read(fixture(name)).unwrap());
    let wants = logs.each_ref().map(|log| whole(log));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    for round in 0..1000u64 {
        let mut random = Random(round);
        let which = round as usize % logs.len();
        let log = &logs[which];
        let _ = fs::remove_file(&path);
        let mut follower = Follower::new(&path);
        let (mut got, mut written) = (Vec::new(), 0);
        assert!(matches!(follower.poll().unwrap(), News::Nothing), "there is no file");
        let mut file = File::create(&path).unwrap();
        let most = [1, 10, 300, 5000, 40_000][random.below(5)] * (1 + log.len() / 20_000);
        let (mut starts_slowly, mut flushes) = (round % 3 == 0, 0);
        while written < log.len() {
            let mut size = 1 + random.below(most);
            if std::mem::take(&mut starts_slowly) {
                size = random.below(8);
            }
            flushes += 1;
            let end = if flushes > 400 { log.len() } else { log.len().min(written + size) };
            file.write_all(&log[written..end]).unwrap();
            written = end;
            if random.below(4) > 0 {
                take(&mut follower, &mut got);
                let so_far = wants[which].iter().take_while(|(end, _)| *end <= written as u64);
                assert_eq!(got.len(), so_far.count(), "round {round}: as soon as they are whole");
            }
        }
        take(&mut follower, &mut got);
        let want: Vec<_> = wants[which].iter().map(|(_, payload)| payload.clone()).collect();
        assert!(got == want, "round {round}: {} records of {}", got.len(), want.len());
        assert!(!follower.gaps().is_lossy());
    }
}

#[test]
fn a_log_of_no_more_than_a_part_of_its_header_is_waited_for() {
    let log = fs::read(fixture("0.31.0/minimal")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for length in 0..=7 {
        let path = dir.path().join(format!("run-{length}.wandb"));
        fs::write(&path, &log[..length]).unwrap();
        let mut follower = Follower::new(&path);
        assert!(matches!(follower.poll().unwrap(), News::Nothing), "{length} bytes");
        append(&path, &log[length..]);
        let mut got = Vec::new();
        assert_eq!(take(&mut follower, &mut got), News::Over(End::Complete));
        assert_eq!(got.len(), 13, "after {length} bytes");
    }
}

#[test]
fn another_file_a_shorter_one_and_other_bytes_are_told_and_read_from_the_start() {
    let (first, second) = (fixture("0.31.0/minimal"), fixture("0.31.0/misc"));
    let (first, second) = (fs::read(first).unwrap(), fs::read(second).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    let start = |bytes: &[u8]| {
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
        let (mut follower, mut got) = (Follower::new(&path), Vec::new());
        take(&mut follower, &mut got);
        (follower, got.len())
    };
    let then = |follower: &mut Follower| {
        let News::Replaced(why) = follower.poll().unwrap() else { panic!("nothing is said") };
        let mut got = Vec::new();
        take(follower, &mut got);
        (why, got.len())
    };
    let (mut follower, read) = start(&second);
    assert_eq!(read, whole(&second).len());
    fs::write(&path, &first).unwrap();
    assert_eq!(then(&mut follower), (Replaced::Truncated, 13));

    let (mut follower, _) = start(&first);
    fs::write(&path, &second).unwrap();
    assert_eq!(then(&mut follower), (Replaced::Rewritten, whole(&second).len()));

    #[cfg(unix)]
    {
        let (mut follower, _) = start(&first);
        let other = dir.path().join("other");
        fs::write(&other, &second).unwrap();
        fs::rename(other, &path).unwrap();
        assert_eq!(then(&mut follower), (Replaced::OtherFile, whole(&second).len()));
    }
    // While it is away there is nothing to tell.
    let (mut follower, _) = start(&first[..first.len() - 60]);
    fs::remove_file(&path).unwrap();
    assert!(matches!(follower.poll().unwrap(), News::Nothing));
}

#[test]
fn a_copy_that_begins_with_what_was_read_goes_on_where_it_was() {
    let log = fs::read(fixture("0.31.0/killed")).unwrap();
    let want: Vec<_> = whole(&log).into_iter().map(|(_, payload)| payload).collect();
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("run-x.wandb"), dir.path().join("other"));
    fs::write(&path, &log[..1]).unwrap();
    let (mut follower, mut got) = (Follower::new(&path), Vec::new());
    for length in (1..log.len()).step_by(7919).chain([log.len()]) {
        // As rsync does it: another file gets the name.
        fs::write(&other, &log[..length]).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(take(&mut follower, &mut got), News::Nothing, "{length} bytes");
        // And as scp does it: the file is emptied, and filled again in pieces.
        let piece = length.div_ceil(3);
        fs::write(&path, "").unwrap();
        for part in log[..length].chunks(piece) {
            assert_eq!(take(&mut follower, &mut got), News::Nothing, "{length} bytes");
            append(&path, part);
        }
    }
    assert_eq!(take(&mut follower, &mut got), News::Nothing);
    assert!(got == want, "{} records of {}", got.len(), want.len());
}

#[test]
fn a_copy_that_differs_behind_its_first_bytes_is_told() {
    let log = fs::read(fixture("0.31.0/killed")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("run-x.wandb"), dir.path().join("other"));
    let all = whole(&log).len();
    // The same run, but for a record in the middle.
    let ends: Vec<_> = whole(&log).iter().map(|(end, _)| *end as usize).collect();
    let parts = [&log[..ends[9]], &log[ends[10]..], &log[ends[9]..ends[12]]];
    let differs = parts.concat();
    let start = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let (mut follower, mut got) = (Follower::new(&path), Vec::new());
        take(&mut follower, &mut got);
        assert_eq!(got.len(), all);
        follower
    };
    let mut follower = start(&log);
    fs::write(&other, &differs).unwrap();
    fs::rename(&other, &path).unwrap();
    let mut got = Vec::new();
    assert_eq!(take(&mut follower, &mut got), News::Replaced(Replaced::OtherFile));

    // One that stays short is another one, too.
    let mut follower = start(&log);
    fs::write(&path, &log[..50_000]).unwrap();
    assert_eq!(take(&mut follower, &mut got), News::Nothing, "it may grow");
    assert_eq!(take(&mut follower, &mut got), News::Replaced(Replaced::Truncated));
    take(&mut follower, &mut got);
    assert_eq!(got.len(), whole(&log[..50_000]).len(), "from its start");
}

#[test]
fn bytes_that_come_late_are_waited_for_and_not_taken_for_damage() {
    let log = fs::read(fixture("0.31.0/basic")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    for hole in [100..300, 2000..2001, 9000..12_000] {
        let mut late = log.clone();
        late[hole.clone()].fill(0);
        fs::write(&path, &late).unwrap();
        let (mut follower, mut got) = (Follower::new(&path), Vec::new());
        assert_eq!(take(&mut follower, &mut got), News::Nothing, "not yet: {hole:?}");
        fs::write(&path, &log).unwrap();
        assert_eq!(take(&mut follower, &mut got), News::Over(End::Complete));
        assert_eq!((got.len(), follower.gaps().count()), (88, 0), "{hole:?}");

        // And if they never come, it is damage.
        fs::write(&path, &late).unwrap();
        let (mut follower, mut got) = (Follower::new(&path), Vec::new());
        while take(&mut follower, &mut got) == News::Nothing {}
        assert_eq!(follower.gaps().count(), 1, "{hole:?}");
        assert!((70..88).contains(&got.len()), "{}", got.len());
    }
}

#[test]
fn a_log_is_over_behind_its_exit_record_or_its_footer() {
    let dir = tempfile::tempdir().unwrap();
    for (name, goes_on) in [("0.31.0/minimal", false), ("0.12.21/basic", true)] {
        let log = fs::read(fixture(name)).unwrap();
        let exit = records(&log).into_iter().find(|(_, kind)| kind == "exit").expect("an exit").0;
        let path = dir.path().join("run-x.wandb");
        fs::write(&path, &log[..exit as usize]).unwrap();
        let (mut follower, mut got) = (Follower::new(&path), Vec::new());
        let news = take(&mut follower, &mut got);
        assert!(follower.has_exit(), "{name}");
        let want = if goes_on { News::Nothing } else { News::Over(End::Complete) };
        assert_eq!(news, want, "{name}");
        append(&path, &log[exit as usize..]);
        assert_eq!(take(&mut follower, &mut got), News::Over(End::Complete), "{name}");
        assert_eq!(got.len(), records(&log).len(), "{name}");
    }
}

#[test]
fn a_silent_log_is_given_up_and_taken_up_again_when_it_grows() {
    let log = fs::read(fixture("0.31.0/killed")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    fs::write(&path, &log[..50_000]).unwrap();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().append(true).open(&path).unwrap().set_modified(hour_ago).unwrap();
    let minutes = Duration::from_secs(300);
    let (mut follower, mut got) = (Follower::new(&path).give_up_after(minutes), Vec::new());
    assert_eq!(take(&mut follower, &mut got), News::Nothing, "half a record is looked at twice");
    assert_eq!(take(&mut follower, &mut got), News::Over(End::Silent));
    assert!(follower.silent_for().unwrap() >= Duration::from_secs(3599));
    append(&path, &log[50_000..]);
    assert_eq!(take(&mut follower, &mut got), News::Nothing);
    assert_eq!(got.len(), whole(&log).len());
}

#[test]
fn waiting_is_left_to_the_caller_who_may_stop() {
    let log = fs::read(fixture("0.31.0/minimal")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    let (mut follower, mut written, mut waits) = (Follower::new(&path), 0, 0);
    let mut wait = |pace: Duration| {
        assert_eq!(pace, Duration::from_secs(7));
        let end = log.len().min(written + 100);
        fs::write(&path, &log[..end]).unwrap();
        written = end;
        waits += 1;
        false
    };
    let mut got = 0;
    while let News::Record(_) = follower.next(Duration::from_secs(7), &mut wait).unwrap() {
        got += 1;
    }
    assert_eq!((got, waits), (13, log.len().div_ceil(100)));
    let mut follower = Follower::new(dir.path().join("never.wandb"));
    let news = follower.next(Duration::ZERO, &mut |_| true).unwrap();
    assert!(matches!(news, News::Over(End::Stopped)), "{news:?}");
}

#[test]
fn what_is_no_log_is_an_error_and_a_file_at_rest_is_searched_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    fs::write(&path, "this is no log").unwrap();
    let error = Follower::new(&path).poll().expect_err("no log").to_string();
    assert!(error.starts_with("not a W&B log") && error.ends_with("run-x.wandb"), "{error}");

    // A length that claims more than there is hides the last records until the file is at rest.
    let mut log = fs::read(fixture("0.31.0/minimal")).unwrap();
    let last = whole(&log);
    let (fourth_last, all) = (last[last.len() - 4].0 as usize, last.len());
    log[fourth_last + 5] = 0x70;
    fs::write(&path, &log).unwrap();
    let (mut follower, mut got) = (Follower::new(&path), Vec::new());
    assert_eq!(take(&mut follower, &mut got), News::Nothing);
    assert_eq!(got.len(), all - 3);
    follower.set_at_rest(true);
    assert_eq!(take(&mut follower, &mut got), News::Over(End::Complete));
    assert_eq!((got.len(), follower.gaps().count()), (all - 1, 1));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_an_error_and_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run-x.wandb");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let error = Follower::new(&path).poll().expect_err("a pipe").to_string();
    assert!(error.contains("it is no file"), "{error}");
}

#[test]
fn event_files_are_followed_too() {
    let from = "fixtures/tensorboard/tensorboardX/scalars/events.out.tfevents.1795486703.vm";
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
    let bytes = fs::read(&from).unwrap();
    let (mut reader, mut want) = (EventReader::open(&from).unwrap(), Vec::new());
    while let Some(event) = reader.next_event().unwrap() {
        want.push(event.payload.to_vec());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.out.tfevents.1.host");
    for round in 0..100 {
        let mut random = Random(round);
        let _ = fs::remove_file(&path);
        let mut follower = EventFollower::new(&path).give_up_after(Duration::from_secs(3600));
        let (mut got, mut written) = (Vec::new(), 0);
        File::create(&path).unwrap();
        while written < bytes.len() {
            let end = bytes.len().min(written + 1 + random.below(200));
            append(&path, &bytes[written..end]);
            written = end;
            while let News::Record(event) = follower.poll().unwrap() {
                got.push(event.payload.to_vec());
            }
        }
        assert!(got == want, "round {round}");
    }
}

/// Takes what is new; the news that is no record.
fn take(follower: &mut Follower, got: &mut Vec<Vec<u8>>) -> News<()> {
    loop {
        match follower.poll().expect("readable") {
            News::Record(record) => got.push(record.payload.to_vec()),
            News::Nothing => return News::Nothing,
            News::Over(end) => return News::Over(end),
            News::Replaced(why) => return News::Replaced(why),
            other => panic!("{other:?}"),
        }
    }
}

/// Where each record of a log ends, and its bytes, read at once.
fn whole(log: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut reader = Reader::options().read_slice(log);
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().expect("sound") {
        records.push((record.span.offset + record.span.length, record.payload.to_vec()));
    }
    records
}

/// Where each record ends, and its kind.
fn records(log: &[u8]) -> Vec<(u64, String)> {
    let mut reader = Reader::options().read_slice(log);
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().expect("sound") {
        let kind = record.kind().expect("a message").map_or("null", |kind| kind.name());
        records.push((record.span.offset + record.span.length, kind.to_owned()));
    }
    records
}

fn append(path: &Path, bytes: &[u8]) {
    File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn fixture(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb").join(name);
    let mut entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.extension().is_some_and(|it| it == "wandb")).expect("a log")
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
