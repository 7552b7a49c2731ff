//! Works that read event files: checksums are verified, and every point is kept.

use super::Clock;
use anyhow::{Context as _, Result};
use rustc_hash::FxHashMap;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tfrecord::protobuf::{event::What, summary::value::Value};
use walkdir::WalkDir;
use wandb_offline::tfevents::{Scalars, discover};

/// This crate's `Scalars`, one for each run, as many runs at a time as there are cores.
pub(super) fn scalars(logdir: &Path) -> Result<()> {
    let clock = Clock::start();
    let runs = discover(logdir)?.runs;
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<Scalars>> {
        let mut read = Vec::new();
        while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut scalars = Scalars::default();
            run.files.iter().try_for_each(|file| scalars.read_file(file))?;
            read.push(scalars);
        }
        Ok(read)
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(runs.len());
    let read = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("reading panics never"));
        joined.collect::<Result<Vec<_>>>()
    })?;
    clock.stop();
    black_box(read);
    Ok(())
}

/// Step, wall time and value.
type Point = (i64, f64, f32);

/// The crate tfrecord, one file after another.
pub(super) fn tfrecord(logdir: &Path) -> Result<()> {
    let clock = Clock::start();
    let mut series: FxHashMap<(usize, String), Vec<Point>> = FxHashMap::default();
    for (run, file) in event_files(logdir)?.into_iter().enumerate() {
        let events: tfrecord::EventIter<_> = tfrecord::EventIter::open(file, Default::default())?;
        for event in events {
            let event = event?;
            let Some(What::Summary(summary)) = event.what else { continue };
            for value in summary.value {
                if let Some(Value::SimpleValue(number)) = value.value {
                    let points = series.entry((run, value.tag)).or_default();
                    points.push((event.step, event.wall_time, number));
                }
            }
        }
    }
    clock.stop();
    black_box(series);
    Ok(())
}

fn event_files(logdir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in WalkDir::new(logdir) {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// TensorBoard's data server, from its start until it says that all is loaded. Its CPU time is that of a child,
/// which whoever measures this process sees.
pub(super) fn data_server(program: &Path, logdir: &Path) -> Result<()> {
    let started = Instant::now();
    let mut server = Command::new(program)
        .arg("--logdir")
        .arg(logdir)
        .args(["--port", "0", "--reload", "once", "--checksum", "--verbose"])
        .args(["--samples-per-plugin", "scalars=all,images=0"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| program.display().to_string())?;
    let said = server.stderr.take().context("no stderr")?;
    let loaded = BufReader::new(said)
        .lines()
        .find(|line| line.as_ref().map_or(true, |line| line.contains("Finished load cycle")));
    let seconds: Duration = started.elapsed();
    server.kill()?;
    server.wait()?;
    loaded.context("the server ended before it had loaded all")??;
    println!("seconds {}", seconds.as_secs_f64());
    Ok(())
}
