//! A disk that is full, at every size of the largest file, and directories that cannot be written to.

use crate::commands::{CASES, Place, Reference};
use std::fs;
use std::process::{Command, Stdio};

/// Runs a command whose files may not grow beyond so many blocks, and for which that is an error.
const FULL: &str = "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"";

#[test]
fn a_disk_that_is_full_anywhere_leaves_nothing_and_is_told() {
    for case in CASES {
        let reference = Reference::of(case);
        for blocks in 0.. {
            let place = Place::new();
            let limit = blocks.to_string();
            let ran = place.run(["sh", "-c", FULL, &limit], case);
            let how = format!("files of {blocks} blocks at most");
            if ran.status.code() == reference.code {
                place.check_tidy(&how);
                reference.check(&place, case, &how);
                assert!(blocks > 0 || case.name == "export");
                break;
            }
            let error = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert!(matches!(ran.status.code(), Some(1 | 3)), "{}, {how}: {error}", case.name);
            assert!(error.contains("File too large"), "{}, {how}: {error}", case.name);
            place.check_tidy(&format!("{}, {how}", case.name));
            reference.check(&place, case, &how);
        }
    }
}

#[test]
fn a_report_that_cannot_be_printed_is_an_error_and_the_output_is_whole() {
    for case in CASES {
        let reference = Reference::of(case);
        let place = Place::new();
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = place.command([], case).stdout(Stdio::from(full)).output().unwrap();
        let error = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{}: {error}", case.name);
        assert!(error.contains("No space left on device"), "{}: {error}", case.name);
        reference.check(&place, case, "with a report to a full device");
    }
}

#[test]
fn where_nothing_can_be_made_nothing_is_and_it_is_told() {
    for case in CASES.iter().filter(|case| case.name != "export") {
        let reference = Reference::of(case);
        let place = Place::new();
        // A file where the directory of the output should be stops root as well.
        fs::remove_file(place.path().join("out/theirs")).unwrap();
        fs::remove_dir(place.path().join("out")).unwrap();
        fs::write(place.path().join("out"), "a file").unwrap();
        let ran = place.run([], case);
        let error = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{}: {error}", case.name);
        assert!(error.contains("out"), "{}: {error}", case.name);
        assert_eq!(fs::read(place.path().join("out")).unwrap(), b"a file", "{}", case.name);

        let place = Place::new();
        let out = place.path().join("out");
        let mode = |mode: &str| Command::new("chmod").arg(mode).arg(&out).status().unwrap();
        assert!(mode("555").success());
        if fs::write(out.join("probe"), "").is_ok() {
            eprintln!("{}: not tried in a read-only directory, which stops nobody here", case.name);
            fs::remove_file(out.join("probe")).unwrap();
            continue;
        }
        let ran = place.run([], case);
        let error = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{}: {error}", case.name);
        assert!(error.contains("Permission denied"), "{}: {error}", case.name);
        assert!(mode("755").success());
        place.check_tidy(case.name);
        reference.check(&place, case, "in a read-only directory");
    }
}
