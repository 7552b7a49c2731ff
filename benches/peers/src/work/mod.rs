//! What runs inside a process that is measured: the library, peers that are crates, and limits of the machine.

mod events;
mod log;
mod read;

use crate::measure::say;
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Calls of a work that logs, of five scalars each.
pub(crate) const CALLS: u64 = 100_000;

/// A work and what it works on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    work: Work,
    paths: Vec<PathBuf>,
}

/// The works.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Work {
    /// `Writer`, written through.
    Writer,
    /// `Writer`, buffered.
    WriterBuffered,
    /// `SummaryWriter`.
    SummaryWriter,
    /// The crate tensorboard-rs, writing.
    TensorboardRs,
    /// The crate tfrecord, writing.
    TfrecordWriter,
    /// A system call for each call.
    Writes,
    /// `Reader`, records not looked into.
    Frames,
    /// Frames of a file in memory, by hand.
    FramesByHand,
    /// A checksum over a file in memory.
    Crc,
    /// A file, read.
    Read,
    /// `HistoryView` over payloads in memory.
    View,
    /// `prost` over payloads in memory.
    Prost,
    /// A walk by hand over payloads in memory.
    Walk,
    /// `Columns`.
    Columns,
    /// `Reader`, then a walk by hand into vectors.
    ColumnsByHand,
    /// `Reader`, then `prost`.
    ReadProst,
    /// `Scalars`.
    Scalars,
    /// The crate tfrecord, reading.
    TfrecordReader,
    /// TensorBoard's data server.
    DataServer,
}

impl Work {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().into())
    }
}

/// Does a work, and says how long it took.
pub(crate) fn run(args: &Args) -> Result<()> {
    let path = args.paths.first().context("what to work on?")?;
    match args.work {
        Work::Writer => log::writer(path, false),
        Work::WriterBuffered => log::writer(path, true),
        Work::SummaryWriter => log::summary_writer(path),
        Work::TensorboardRs => log::tensorboard_rs(path),
        Work::TfrecordWriter => log::tfrecord(path),
        Work::Writes => log::writes(path),
        Work::Frames => read::frames(path),
        Work::FramesByHand => read::frames_by_hand(path),
        Work::Crc => read::crc(path),
        Work::Read => read::read(path),
        Work::View => read::view(path),
        Work::Prost => read::prost(path),
        Work::Walk => read::walk(path),
        Work::Columns => read::columns(path),
        Work::ColumnsByHand => read::columns_by_hand(path),
        Work::ReadProst => read::read_prost(path),
        Work::Scalars => events::scalars(path),
        Work::TfrecordReader => events::tfrecord(path),
        Work::DataServer => {
            let logdir = args.paths.get(1).map(PathBuf::as_path);
            events::data_server(path, logdir.unwrap_or(Path::new(".")))
        }
    }
}

/// Time by the clock and by the CPUs since some moment.
#[derive(Debug)]
struct Clock {
    wall: Instant,
    cpu: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    /// Says what passed.
    fn stop(&self) {
        say(self.wall.elapsed(), cpu() - self.cpu);
    }
}

/// CPU time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
