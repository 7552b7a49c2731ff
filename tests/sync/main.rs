//! Runs are uploaded to a server on the loopback interface, which sometimes fails.

mod artifacts;
mod audit;
mod changing;
#[cfg(feature = "cli")]
mod command;
mod copies;
mod credentials;
#[cfg(all(feature = "cli", unix))]
mod disks;
mod faults;
mod gzip;
mod hostile;
mod interrupted;
#[cfg(feature = "cli")]
mod killed;
mod lacking;
mod live;
mod marks;
mod others;
mod packs;
mod proxies;
mod receipt;
mod resumed;
#[path = "../support/server/mod.rs"]
mod server;
mod whole;
#[path = "../support/written.rs"]
mod written;

use server::Server;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wandb_offline::sync::{HttpTransport, RunReport, Secret, Stop, SyncOptions, SyncReport, sync};
use wandb_offline::writer::WriterOptions;

/// A directory `wandb/` with runs, and the server they go to.
struct Scene {
    dir: tempfile::TempDir,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), server: Server::start() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("wandb")
    }

    /// A run of the fixtures.
    fn fixture(&self, name: &str) -> PathBuf {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/wandb/0.31.0").join(name);
        let to = self.root().join(format!("offline-run-20261124_000000-{name}"));
        copy(&from, &to);
        let log = only_log(&to);
        // The fixtures are logs alone.
        let (run, _) = wandb_offline::run::load(&log, true).unwrap();
        for file in run.files().iter() {
            let path = to.join("files").join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("what stands in {}", file.path)).unwrap();
        }
        log
    }

    /// A run of so many rows, with a config and a file.
    fn run(&self, id: &str, rows: u32) -> PathBuf {
        let run = self.options(id).config([("lr", 0.5)]).unwrap().create().unwrap();
        for step in 0..rows {
            run.log([("loss", f64::from(step))]).unwrap();
        }
        run.finish().unwrap();
        run.path().to_owned()
    }

    /// A run of which an image is a link to a file outside that holds `the secret`, or missing where there are no
    /// links.
    fn run_with_a_link_out(&self) {
        let log = self.fixture("media");
        let secret = self.dir.path().join("secret");
        std::fs::write(&secret, b"the secret").unwrap();
        let images = log.parent().unwrap().join("files/media/images");
        let image = std::fs::read_dir(images).unwrap().next().unwrap().unwrap().path();
        std::fs::remove_file(&image).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&secret, &image).unwrap();
    }

    /// A run whose rows go in several requests: each has a text of 1 MiB.
    fn large_run(&self, rows: u64) -> PathBuf {
        let run = self.options("r1").config([("lr", 0.5)]).unwrap().create().unwrap();
        let text = "x".repeat(1 << 20);
        for _ in 0..rows {
            run.log([("text", text.as_str())]).unwrap();
        }
        run.finish().unwrap();
        run.path().to_owned()
    }

    fn options(&self, id: &str) -> WriterOptions {
        written::options(self.dir.path()).id(id).project("p")
    }

    fn sync(&self) -> SyncReport {
        self.sync_as(&SyncOptions::default())
    }

    /// Also runs that are marked as synced.
    fn sync_again(&self) -> SyncReport {
        let mut options = SyncOptions::default();
        options.include_synced = true;
        self.sync_as(&options)
    }

    fn sync_as(&self, options: &SyncOptions) -> SyncReport {
        self.sync_until(options, &Stop::new())
    }

    fn sync_until(&self, options: &SyncOptions, stop: &Stop) -> SyncReport {
        self.sync_paths(&[self.root()], options, stop)
    }

    fn sync_paths(&self, paths: &[PathBuf], options: &SyncOptions, stop: &Stop) -> SyncReport {
        let (to, transport) = self.connection();
        sync(paths, &to, &transport, options, stop, &|_| {})
    }

    /// The way to the server.
    fn connection(&self) -> (wandb_offline::sync::Server, HttpTransport) {
        let mut to =
            wandb_offline::sync::Server::new(self.server.url(), Secret::new("k".repeat(40)))
                .unwrap();
        to.patience = to.patience.waiting_at_most(Duration::from_millis(1));
        let transport = HttpTransport::new(&to).unwrap();
        (to, transport)
    }

    /// The run's rows are those of the log, each once and at its place, and nobody did anything wrong.
    #[track_caller]
    fn has_rows(&self, rows: u64) {
        let state = self.server.state();
        let run = state.run();
        let steps: Vec<_> =
            run.history().iter().map(|row| row["_step"].as_u64().unwrap()).collect();
        assert!(steps.iter().copied().eq(0..rows), "{steps:?}");
        assert!(
            !run.counts.rewritten_different.contains_key("wandb-history.jsonl"),
            "{:?}",
            run.counts
        );
        assert!(run.counts.gaps.is_empty(), "{:?}", run.counts);
        assert_eq!(state.violations, [""; 0]);
    }
}

/// The report of the only run.
#[track_caller]
fn only(report: &SyncReport) -> &RunReport {
    assert_eq!(report.errors, [""; 0]);
    assert_eq!(report.runs.len(), 1, "{report:?}");
    &report.runs[0]
}

fn is_marked(log: &Path) -> bool {
    log.with_extension("wandb.synced").exists()
}

/// The ledger beside a log.
fn ledger(log: &Path) -> PathBuf {
    let files = std::fs::read_dir(log.parent().unwrap()).unwrap();
    let mut files = files.map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|found| found == "sync")).unwrap()
}

fn only_log(dir: &Path) -> PathBuf {
    wandb_offline::log::locate(dir).unwrap().path
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
