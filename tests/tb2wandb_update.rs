//! Bringing runs that were converted before up to date.

#[path = "support/converted.rs"]
mod support;

use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::*;
use tempfile::TempDir;
use wandb_offline::convert::tensorboard::{Options, RunReport, RunStatus, convert, follow};
use wandb_offline::proto::tensorboard as tb;
use wandb_offline::proto::tensorboard::hparams::{SessionStartInfo, h_params_plugin_data::Data};

/// A log directory that grows, and the run it became.
struct Growing {
    logs: TempDir,
    out: TempDir,
    events: Vec<tb::Event>,
}

impl Growing {
    fn new(events: &[tb::Event]) -> Self {
        let (logs, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut growing = Self { logs, out, events: Vec::new() };
        growing.grow(events);
        assert_eq!(growing.update().status, RunStatus::Converted);
        growing
    }

    fn grow(&mut self, events: &[tb::Event]) {
        self.events.extend_from_slice(events);
        write_events(&self.logs.path().join("events.out.tfevents.1700000000.node"), &self.events);
    }

    fn update(&self) -> RunReport {
        let output = self.out.path().to_owned();
        let options = Options { output, update: true, ..Options::default() };
        convert(&[self.logs.path()], &options).unwrap().runs.remove(0)
    }

    fn directory(&self) -> PathBuf {
        let entries = fs::read_dir(self.out.path()).unwrap();
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(paths.len(), 1, "{paths:?}");
        paths.remove(0)
    }

    fn log(&self) -> PathBuf {
        let directory = self.directory();
        let is_log = |path: &PathBuf| path.extension().is_some_and(|e| e == "wandb");
        let mut paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        paths.find(is_log).unwrap()
    }

    /// Asserts that the run is what the log directory gives when it is converted anew.
    fn assert_is_whole(&self) {
        let (got, want) = (Run::read(&self.directory()), converted(self.logs.path(), |_| {}));
        let want = want.only();
        assert_eq!(got.rows, want.rows);
        assert_eq!((got.summary, got.config), (want.summary, want.config));
        assert_eq!((got.exit, got.run.run_group), (want.exit, want.run.run_group));
        for (path, _) in &got.files {
            assert!(self.directory().join("files").join(path).is_file(), "{path}");
        }
    }

    /// Asserts that an update is refused for this reason, and changes nothing.
    fn assert_refused(&self, reason: &str) {
        let before = fs::read(self.log()).unwrap();
        let report = self.update();
        assert_eq!(report.status, RunStatus::Failed);
        let error = report.error.unwrap();
        assert!(error.contains(reason), "{error}");
        assert_eq!(fs::read(self.log()).unwrap(), before);
    }

    fn mark_synced(&self) -> PathBuf {
        let path = self.log().with_extension("wandb.synced");
        fs::write(&path, b"").unwrap();
        path
    }
}

fn loss(step: i64) -> tb::Event {
    scalar("loss", step, 1.7e9 + step as f64, 1.0 / (1 + step) as f32)
}

fn image(step: i64) -> tb::Event {
    let png = format!("\u{89}PNG{step}");
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x02".to_vec();
    bytes.extend(png.into_bytes());
    let image = tb::summary::Image { encoded_image_string: bytes, ..Default::default() };
    let value = Some(tb::summary::value::Value::Image(image));
    let value = tb::summary::Value { tag: "image".into(), value, ..Default::default() };
    summary(step, 1.7e9 + step as f64, value)
}

#[test]
fn what_a_log_directory_has_more_is_added() {
    let mut growing = Growing::new(&[loss(0), image(0), loss(1), image(1)]);
    let before = fs::read(growing.log()).unwrap();
    assert_eq!(growing.update().status, RunStatus::Unchanged);
    assert_eq!(fs::read(growing.log()).unwrap(), before);
    // The last step was not complete.
    growing.grow(&[scalar("accuracy", 1, 1.7e9 + 1.5, 0.5), loss(2), image(2)]);
    let report = growing.update();
    assert_eq!((report.status, report.rows_added), (RunStatus::Updated, 2));
    growing.assert_is_whole();
    let after = fs::read(growing.log()).unwrap();
    let common = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    assert!(common > 400, "the head and the first row stay as they are: {common}");
    // A training that goes on in another file.
    let path = growing.logs.path().join("events.out.tfevents.1700000100.node");
    write_events(&path, &(3..2000).map(loss).collect::<Vec<_>>());
    assert_eq!(growing.update().rows_added, 1997);
    growing.assert_is_whole();
    assert_eq!(growing.update().status, RunStatus::Unchanged);
}

#[test]
fn hyperparameters_that_come_later_are_added() {
    let mut growing = Growing::new(&[loss(0), loss(1)]);
    for (name, value) in [("lr", 0.5), ("momentum", 0.9), ("lr", 0.25)] {
        let kind = Some(prost_types::value::Kind::NumberValue(value));
        let start = SessionStartInfo {
            hparams: [(name.to_owned(), prost_types::Value { kind })].into(),
            group_name: name.into(),
            ..Default::default()
        };
        growing.grow(&[hparams_event(Data::SessionStartInfo(start))]);
        assert_eq!(growing.update().status, RunStatus::Updated);
        growing.assert_is_whole();
        assert_eq!(growing.update().status, RunStatus::Unchanged);
        growing.grow(&[loss(growing.events.len() as i64)]);
        assert_eq!(growing.update().rows_added, 1);
        growing.assert_is_whole();
    }
    assert_eq!(Run::read(&growing.directory()).config["lr"], json!(0.25));
}

#[test]
fn a_log_directory_is_followed_until_it_is_enough() {
    let (logs, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = Options { output: out.path().to_owned(), ..Options::default() };
    let run = |name: &str| -> Option<Run> {
        let entries = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| Run::read(&path)).find(|run| run.run.display_name == name)
    };
    let write = |run: &str, events: &[tb::Event]| {
        let path = logs.path().join(run).join("events.out.tfevents.1700000000.node");
        write_events(&path, events);
    };
    let mut round = 0;
    let mut wait = |_| {
        round += 1;
        match round {
            // There is nothing yet.
            1 => write("a", &[loss(0), loss(1)]),
            2 => {
                let a = run("a").unwrap();
                assert_eq!((a.rows.len(), a.exit), (2, None));
                write("a", &[loss(0), loss(1), loss(2)]);
                write("b", &[loss(0)]);
            }
            3 => assert_eq!((run("a").unwrap().rows.len(), run("b").unwrap().exit), (3, None)),
            _ => write("b", &[loss(0), loss(7)]),
        }
        round == 4
    };
    let every = Duration::from_millis(1);
    let report = follow(&[logs.path()], &options, every, &mut wait, &|_| {}).unwrap();
    assert_eq!((report.converted(), report.failures()), (2, 0));
    for name in ["a", "b"] {
        let (got, want) = (run(name).unwrap(), converted(logs.path(), |_| {}).runs());
        assert_eq!((&got.rows, got.exit), (&want[name].rows, Some(0)));
    }
}

#[test]
fn a_row_that_was_uploaded_stays() {
    let mut growing = Growing::new(&[loss(0), loss(1)]);
    let synced = growing.mark_synced();
    assert_eq!(growing.update().status, RunStatus::Unchanged);
    assert!(synced.exists());
    growing.grow(&[loss(2)]);
    assert_eq!(growing.update().status, RunStatus::Updated);
    assert!(!synced.exists(), "it has rows that are not uploaded");
    growing.assert_is_whole();
    growing.mark_synced();
    growing.grow(&[scalar("accuracy", 2, 1.7e9 + 2.0, 0.5)]);
    growing.assert_refused("its last row, which was uploaded, is another one now");
}

#[test]
fn a_run_that_becomes_another_one_is_replaced_until_it_is_uploaded() {
    let images = |steps: std::ops::Range<i64>| steps.flat_map(|step| [loss(step), image(step)]);
    let mut growing = Growing::new(&images(0..10).collect::<Vec<_>>());
    // A training that is resumed further back than the last row.
    growing.grow(&images(5..6).collect::<Vec<_>>());
    let report = growing.update();
    assert_eq!((report.status, report.rows_replaced), (RunStatus::Updated, 4));
    growing.assert_is_whole();
    let media = growing.directory().join("files/media/images");
    assert_eq!(fs::read_dir(media).unwrap().count(), 6, "what no row names is gone");
    // The run starts at another time.
    growing.grow(&[scalar("warmup", 0, 1.6e9, 1.0)]);
    assert_eq!(growing.update().status, RunStatus::Updated);
    growing.assert_is_whole();
    growing.mark_synced();
    growing.grow(&[loss(3)]);
    growing.assert_refused("it was uploaded, and its last");
}

#[test]
fn a_run_that_was_uploaded_in_part_stays() {
    let mut growing = Growing::new(&[loss(0), loss(1), loss(2)]);
    fs::write(growing.log().with_extension("wandb.syncstate"), b"{}").unwrap();
    growing.grow(&[loss(0)]);
    growing.assert_refused("it was uploaded");
}

#[test]
fn a_log_directory_that_lost_rows_is_refused() {
    let mut growing = Growing::new(&(0..10).map(loss).collect::<Vec<_>>());
    growing.events.clear();
    growing.grow(&(0..5).map(loss).collect::<Vec<_>>());
    growing.assert_refused("less than before: 5 rows, not 10");
}

#[cfg(unix)]
#[test]
fn nothing_is_moved_through_a_link() {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut growing = Growing::new(&[loss(0), image(0)]);
    let media = growing.directory().join("files/media");
    fs::remove_dir_all(&media).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &media).unwrap();
    growing.grow(&[image(1), image(2)]);
    growing.assert_refused("a link is in the place of its files");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn a_log_that_is_damaged_or_of_somebody_else_is_refused() {
    let mut growing = Growing::new(&[loss(0), loss(1)]);
    growing.grow(&[loss(2)]);
    let log = growing.log();
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 3]).unwrap();
    growing.assert_refused("cut off");
    let at = whole.windows(9).position(|window| window == b"wandb-off").unwrap();
    let mut damaged = whole.clone();
    damaged[at] = b'x';
    fs::write(&log, &damaged).unwrap();
    growing.assert_refused("checksum");
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb");
    let other =
        walkdir::WalkDir::new(other).into_iter().filter_map(Result::ok).map(|e| e.into_path());
    let mut other = other.filter(|path| path.extension().is_some_and(|e| e == "wandb"));
    fs::copy(other.next().unwrap(), &log).unwrap();
    growing.assert_refused("it was not made by this program");
}

#[cfg(all(feature = "cli", unix))]
#[test]
fn an_interrupt_finishes_what_is_followed() {
    use std::process::{Command, Stdio};
    use std::time::Instant;
    let (logs, out) = (log_dir(&[loss(0), loss(1)]), tempfile::tempdir().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_tb2wandb"));
    command.args(["--follow", "--interval", "100", "-o"]).arg(out.path()).arg(logs.path());
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let logs_of_runs = || {
        let paths = walkdir::WalkDir::new(out.path()).into_iter().filter_map(Result::ok);
        let is_run = |path: &PathBuf| {
            path.extension().is_some_and(|e| e == "wandb")
                && !path.to_string_lossy().contains(".tmp-")
        };
        paths.map(|entry| entry.into_path()).filter(is_run).collect::<Vec<_>>()
    };
    let began = Instant::now();
    while logs_of_runs().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(Run::read(logs_of_runs()[0].parent().unwrap()).exit, Some(0));
}
