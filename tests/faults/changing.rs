//! Files that vanish, are replaced, cut and appended to while they are read.

use crate::commands::{CASES, Place, Reference};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use wandb_offline::Reader;
use wandb_offline::log::LogWriter;
use wandb_offline::record::RecordKind;

#[test]
fn a_reader_reads_on_in_the_file_it_opened() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("run-x.wandb");
    let all = 60;
    let opened = || {
        let _ = fs::remove_file(&log);
        // More than a reader reads at once.
        let mut writer = LogWriter::create(&log).unwrap();
        for _ in 0..all {
            writer.record(RecordKind::OutputRaw, &[0; 10_000]).unwrap();
        }
        writer.flush().unwrap();
        let mut reader = Reader::open(&log).unwrap();
        reader.next_record().unwrap().unwrap();
        reader
    };
    let mut reader = opened();
    fs::remove_file(&log).unwrap();
    assert_eq!(count(&mut reader), all - 1, "though it is gone");

    let mut reader = opened();
    fs::write(dir.path().join("other"), "another file").unwrap();
    fs::rename(dir.path().join("other"), &log).unwrap();
    assert_eq!(count(&mut reader), all - 1, "though another one has its name");

    let mut reader = opened();
    fs::File::options().write(true).open(&log).unwrap().set_len(500_000).unwrap();
    assert!((1..all - 1).contains(&count(&mut reader)), "what is left of it");
    assert!(!reader.tail().unwrap().is_clean());
}

fn count(reader: &mut Reader) -> usize {
    std::iter::from_fn(|| reader.next_record().unwrap().map(drop)).count()
}

#[test]
fn commands_survive_that_their_input_changes_and_what_they_make_is_sound() {
    for case in CASES {
        Reference::of(case);
        for round in 0..12 {
            let place = Place::new();
            let files = inputs(&place.path().join("in"));
            let over = AtomicBool::new(false);
            let ran = std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut at = round;
                    while !over.load(Ordering::Relaxed) {
                        at += 1;
                        change(&files[at % files.len()], at);
                    }
                });
                let ran = place.run([], case);
                over.store(true, Ordering::Relaxed);
                ran
            });
            let error = String::from_utf8_lossy(&ran.stderr);
            assert!(matches!(ran.status.code(), Some(0 | 1 | 3)), "{}: {error}", case.name);
            place.check_tidy(&format!("{}: {error}", case.name));
            for log in inputs(&place.path().join("out")) {
                if log.extension().is_some_and(|extension| extension == "wandb") {
                    let mut reader = Reader::open(&log).unwrap();
                    count(&mut reader);
                    assert!(reader.tail().unwrap().is_clean(), "{}", case.name);
                }
            }
        }
    }
}

fn inputs(dir: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.into_path())
        .collect();
    files.sort();
    files
}

/// Does something to a file that others are reading.
fn change(file: &Path, how: usize) {
    let Ok(before) = fs::read(file) else { return };
    let aside = file.with_extension("aside");
    let _ = match how % 5 {
        0 => fs::rename(file, &aside).and_then(|()| fs::rename(&aside, file)),
        1 => {
            fs::File::options().append(true).open(file).and_then(|mut file| file.write_all(b"more"))
        }
        2 => fs::write(file, &before[..before.len() / 2]).and_then(|()| fs::write(file, &before)),
        3 => fs::write(&aside, b"another")
            .and_then(|()| fs::rename(&aside, file))
            .and_then(|()| fs::write(file, &before)),
        _ => fs::remove_file(file).and_then(|()| fs::write(file, &before)),
    };
}
