//! The program `wandb-offline sync` on a disk that is full, so that its ledger cannot be written.

use super::{Scene, is_marked, ledger};
use std::path::Path;
use std::process::{Command, Output};

/// Runs a command whose files may not grow beyond so many blocks, and for which that is an error.
const FULL: &str = "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"";

#[test]
fn without_a_ledger_no_line_is_sent_and_it_is_told() {
    let scene = Scene::new();
    let log = scene.run("r1", 4);
    let (code, told) = sync_with(&scene, 0);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("File too large") && told.contains(".sync"), "{told}");
    let state = scene.server.state();
    assert_eq!(
        state.run().counts.filestream_requests,
        0,
        "the place of a line must be known first"
    );
    assert!(state.run().uploaded.is_empty() && !is_marked(&log));
    assert_eq!(hidden(&log), [""; 0]);
    whole(&scene, &log, 4);
}

#[test]
fn a_ledger_that_cannot_be_written_any_more_is_told_and_each_row_is_there_once_at_last() {
    // Two runs: one whose ledger is there already, and one whose ledger is not.
    for has_ledger in [false, true] {
        for blocks in 0.. {
            let scene = Scene::new();
            let log = scene.large_run(ROWS);
            if has_ledger {
                scene.server.inject(super::server::Fault::status(410).body_has("complete"));
                scene.sync();
                assert!(ledger(&log).exists() && !is_marked(&log));
            }
            let (code, told) = sync_with(&scene, blocks);
            if code == Some(0) {
                assert!(blocks > 0 && is_marked(&log), "{blocks}: {told}");
                scene.has_rows(ROWS);
                break;
            }
            assert!(matches!(code, Some(1 | 3)), "{blocks} blocks: {code:?} {told}");
            assert!(told.contains("File too large"), "{blocks} blocks: {told}");
            assert!(!is_marked(&log) && !scene.server.state().run().complete, "{told}");
            assert_eq!(hidden(&log), [""; 0]);
            whole(&scene, &log, ROWS);
        }
    }
}

/// With room again, all of the run is stored, and each row once.
#[track_caller]
fn whole(scene: &Scene, log: &Path, rows: u64) {
    let report = scene.sync();
    assert!(report.is_complete() && is_marked(log), "{report:?}");
    scene.has_rows(rows);
}

/// Uploads with files of so many blocks at most: the code, and what was told.
fn sync_with(scene: &Scene, blocks: u32) -> (Option<i32>, String) {
    let mut command = Command::new("sh");
    command.args(["-c", FULL, &blocks.to_string(), env!("CARGO_BIN_EXE_wandb-offline"), "sync"]);
    command.arg(scene.root()).env("HOME", scene.dir.path());
    command.env("WANDB_BASE_URL", scene.server.url()).env("WANDB_API_KEY", "k".repeat(40));
    let Output { status, stdout, stderr } = command.output().unwrap();
    (
        status.code(),
        [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat(),
    )
}

/// What was left beside the log under hidden names.
fn hidden(log: &Path) -> Vec<String> {
    let files = std::fs::read_dir(log.parent().unwrap()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

const ROWS: u64 = 12;
