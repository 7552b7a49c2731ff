//! Programs whose system calls fail, one after another, or at which they are killed. `strace` sees to that;
//! where it is not there, nothing is tried.

use crate::commands::{CASES, Case, Place, Reference};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Calls that fail alike, with what the system says then.
const FAILURES: &[(&str, &str)] = &[
    ("write,copy_file_range,sendfile,ftruncate,fallocate", "ENOSPC"),
    ("fsync,fdatasync", "EIO"),
    ("mkdir,rename,renameat,renameat2,link,linkat,symlink,chmod,fchmod", "EACCES"),
    ("open,openat", "EMFILE"),
    ("read,pread64,getdents64", "EIO"),
];

const CHANGING: &str = "write,copy_file_range,sendfile,fsync,fdatasync,mkdir,rename,renameat,renameat2,\
                        link,linkat,symlink,unlink,unlinkat,openat";

#[test]
fn a_system_call_that_fails_leaves_the_output_whole_or_not_there_and_is_told() {
    if !has_strace() {
        return;
    }
    for case in CASES {
        let reference = Reference::of(case);
        for (calls, error) in FAILURES {
            let reads = calls.starts_with("open") || calls.starts_with("read");
            // Of the calls that change something each, of the others, of which there are many, some.
            let some = calls_of(case, calls).into_iter().step_by(if reads { 4 } else { 1 });
            for Call { name, number, line } in some {
                let place = Place::new();
                let inject = format!("inject={name}:error={error}:when={number}");
                let ran =
                    place.run(STRACE.into_iter().chain(["-o", "tmp/trace", "-e", &inject]), case);
                let how = format!("{error} at {number}, {line}");
                let told = String::from_utf8_lossy(&ran.stderr).into_owned();
                let trace = place.path().join("tmp/trace");
                let traced = std::fs::read(&trace).unwrap();
                std::fs::remove_file(trace).unwrap();
                // Each thread has such a call, and where it is one that tells of another there is nothing to see.
                let mut traced = traced.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
                let silenced =
                    traced.any(|line| line.contains("write(2,") && line.contains("INJECTED"));
                let code = ran.status.code();
                let in_report = code == Some(3) && !ran.stdout.is_empty();
                assert!(
                    matches!(code, Some(0 | 1 | 3 | NOT_LOADED)),
                    "{}, {how}: {code:?} {told}",
                    case.name
                );
                assert!(
                    code == reference.code || silenced || !told.is_empty() || in_report,
                    "{}, {how}: not told",
                    case.name
                );
                place.check_tidy(&format!("{}, {how}", case.name));
                match reads && code == Some(3) {
                    // What could not be read is told to be lost, so there is something else now.
                    true => place.check_inputs(&how),
                    false => reference.check(&place, case, &how),
                }
            }
        }
    }
}

#[test]
fn a_program_killed_at_any_system_call_leaves_the_output_whole_or_not_there() {
    if !has_strace() {
        return;
    }
    for case in CASES {
        let reference = Reference::of(case);
        for Call { name, number, line } in calls_of(case, CHANGING) {
            let place = Place::new();
            let inject = format!("inject={name}:signal=KILL:when={number}");
            place.run(STRACE.into_iter().chain(["-o", "/dev/null", "-e", &inject]), case);
            reference.check(&place, case, &format!("killed at {number}, {line}"));
        }
    }
}

/// A system call of a program.
struct Call {
    name: String,
    /// How many calls of this name its thread has made with it, which is how `strace` counts.
    number: usize,
    /// What it was called with.
    line: String,
}

/// Which of these calls a case makes that have to do with its files.
fn calls_of(case: &Case, calls: &str) -> Vec<Call> {
    let place = Place::new();
    let trace = format!("trace={calls}");
    place.run(STRACE.into_iter().chain(["-y", "-o", "trace", "-e", &trace]), case);
    let text = std::fs::read(place.path().join("trace")).unwrap();
    let text = String::from_utf8_lossy(&text);
    let root = place.path().display().to_string();
    let (mut counts, mut seen, mut found) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for line in text.lines().filter(|line| !line.contains("<... ") && !line.contains("+++")) {
        let (thread, call) = line.split_once(' ').unwrap();
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        let number: &mut usize = counts.entry((thread, name)).or_default();
        *number += 1;
        // Their own paths, those relative to where they run, and standard output.
        let ours =
            [root.as_str(), "\"in/", "\"out", "write(1<"].iter().any(|part| call.contains(part));
        if ours && seen.insert((name, *number)) {
            let line = call.chars().take(160).collect();
            found.push(Call { name: name.to_owned(), number: *number, line });
        }
    }
    found
}

fn has_strace() -> bool {
    let ran = Command::new("strace").args(["-o", "/dev/null", "-e", "trace=none", "true"]).output();
    let there = ran.is_ok_and(|ran| ran.status.success());
    if !there {
        eprintln!("not tried: there is no strace here that may trace");
    }
    there
}

/// The call of another thread was one that loads the program.
const NOT_LOADED: i32 = 127;

const STRACE: [&str; 3] = ["strace", "-f", "-qq"];
