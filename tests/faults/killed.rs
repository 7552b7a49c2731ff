//! Programs that are killed: at each size their files reach, and at moments the clock chooses.

use crate::commands::{CASES, Case, Place, Reference};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Runs a command that is killed as soon as a file of it grows beyond so many blocks.
const KILLED: &str = "ulimit -c 0; ulimit -f \"$0\"; exec \"$@\"";

#[test]
fn a_program_killed_at_any_size_of_its_files_leaves_the_output_whole_or_not_there() {
    for case in CASES.iter().filter(|case| case.name != "export") {
        let reference = Reference::of(case);
        for blocks in 0.. {
            let place = Place::new();
            let ran = place.run(["sh", "-c", KILLED, &blocks.to_string()], case);
            reference.check(&place, case, &format!("killed at {blocks} blocks"));
            if ran.status.code() == reference.code {
                break;
            }
            assert_eq!(ran.status.code(), None, "{} was not killed", case.name);
        }
    }
}

#[test]
fn a_program_terminated_or_killed_at_any_time_leaves_the_output_whole_or_not_there() {
    let mut random = 1u64;
    for case in CASES {
        let reference = Reference::of(case);
        let duration = duration(case);
        for round in 0..16 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let place = Place::new();
            let mut child = place.command([], case).spawn().unwrap();
            let patience = duration.mul_f64((random >> 33) as f64 / f64::from(1u32 << 31) * 1.2);
            std::thread::sleep(patience);
            let signal = ["-TERM", "-KILL", "-INT"][round % 3];
            send(signal, &child);
            child.wait().unwrap();
            reference.check(&place, case, &format!("kill {signal} after {patience:?}"));
        }
    }
}

fn duration(case: &Case) -> Duration {
    let (place, start) = (Place::new(), Instant::now());
    place.run([], case);
    start.elapsed()
}

/// It may have ended by now.
fn send(signal: &str, child: &Child) {
    Command::new("kill").args([signal, &child.id().to_string()]).output().unwrap();
}
