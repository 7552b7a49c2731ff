//! A process that is killed, or whose disk is full, loses no row whose `log` has returned.
//!
//! A program of its own, without the test harness: it runs itself again as the process to be killed.

#[path = "support/written.rs"]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
#[cfg(unix)]
use wandb_offline::record::RecordKind;

fn main() {
    match std::env::var_os(CHILD_DIR) {
        Some(dir) => log_until_killed(Path::new(&dir)),
        None => {
            no_committed_row_is_lost_however_the_process_is_killed();
            #[cfg(unix)]
            a_full_disk_is_told_and_no_committed_row_is_lost();
        }
    }
}

fn no_committed_row_is_lost_however_the_process_is_killed() {
    let mut random = 1u64;
    for round in 0..100 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Killed after so many rows, and then at a moment the clock chooses.
        let patience = (random >> 33) % 200;
        let logged =
            |line: std::io::Result<String>| line.ok()?.strip_prefix("logged ")?.parse().ok();
        let before = lines.by_ref().filter_map(logged).take(patience as usize + 1).last();
        std::thread::sleep(Duration::from_micros((random >> 20) % 2000));
        child.kill().unwrap();
        child.wait().unwrap();
        let last: i64 = lines.filter_map(logged).last().or(before).unwrap();
        let log = dir.path().join("wandb").join(latest(dir.path())).join("run-crash.wandb");
        let steps: Vec<_> = support::rows(&log).into_iter().map(|(step, _)| step).collect();
        assert!(steps.iter().copied().eq(0..steps.len() as i64), "round {round}: a gap");
        assert!(steps.len() as i64 > last, "round {round}: logged {last}, read {}", steps.len());
    }
    println!("100 processes killed, no committed row lost");
}

/// Runs a program whose files may not grow beyond so many blocks, and for which that is an error.
#[cfg(unix)]
const FULL: &str = "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"";

#[cfg(unix)]
fn a_full_disk_is_told_and_no_committed_row_is_lost() {
    for blocks in [8, 9, 70, 200] {
        let dir = tempfile::tempdir().unwrap();
        let mut program = Command::new("sh");
        program.args(["-c", FULL, &blocks.to_string()]).arg(std::env::current_exe().unwrap());
        let output = program.env(CHILD_DIR, dir.path()).output().unwrap();
        let (out, told) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        let logged = out.lines().filter(|line| line.starts_with("logged ")).count();
        assert!(told.contains("cannot write to: File too large"), "{blocks} blocks: {told}");
        let log = dir.path().join("wandb").join(latest(dir.path())).join("run-crash.wandb");
        let mut reader = wandb_offline::Reader::open(&log).unwrap();
        let mut rows = 0;
        while let Some(record) = reader.next_record().unwrap() {
            rows += usize::from(record.kind().unwrap() == Some(RecordKind::History));
        }
        assert_eq!(reader.gaps().count(), 0, "{blocks} blocks");
        assert!(logged > 0 && rows >= logged, "{blocks} blocks: logged {logged}, read {rows}");
    }
    println!("4 disks filled, no committed row lost");
}

fn log_until_killed(dir: &Path) {
    let run = support::options(dir).id("crash").create().unwrap();
    let mut out = std::io::stdout();
    for step in 0.. {
        run.log((("loss", 1.0 / f64::from(step + 1)), ("text", "x".repeat(step as usize % 300))))
            .unwrap();
        // The word only goes out once `log` has returned.
        writeln!(out, "logged {step}").and_then(|()| out.flush()).unwrap();
    }
}

fn latest(root: &Path) -> std::ffi::OsString {
    let runs = std::fs::read_dir(root.join("wandb")).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    runs.map(name).find(|name| name.to_string_lossy().starts_with("offline-run-")).unwrap()
}

const CHILD_DIR: &str = "WANDB_OFFLINE_CRASH_TEST_DIR";
