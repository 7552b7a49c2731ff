//! Works that log: until what was logged is with the operating system.

use super::{CALLS, Clock};
use crate::data::METRICS;
use crate::shape::Numbers;
use anyhow::Result;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use wandb_offline::Writer;
use wandb_offline::tfevents::SummaryWriter;

/// The tags, and for each call their values.
fn rows() -> (&'static [&'static str; 5], impl Iterator<Item = (usize, [f64; 5])>) {
    let tags = METRICS.first_chunk().unwrap_or(&[""; 5]);
    let mut numbers = Numbers::new(0);
    let rows = (0..CALLS as usize).map(move |call| (call, [(); 5].map(|()| numbers.float())));
    (tags, rows)
}

/// This crate's `Writer`.
pub(super) fn writer(dir: &Path, buffered: bool) -> Result<()> {
    let options = Writer::options().environment([("WANDB_DISABLE_GIT", "true")]).dir(dir);
    let run = match buffered {
        true => options.buffered(1000, Duration::from_secs(1)).create()?,
        false => options.create()?,
    };
    let (tags, rows) = rows();
    let clock = Clock::start();
    for (_, values) in rows {
        let row: [(&str, f64); 5] = std::array::from_fn(|i| (tags[i], values[i]));
        run.log(black_box(row))?;
    }
    run.finish()?;
    clock.stop();
    Ok(())
}

/// This crate's `SummaryWriter`.
pub(super) fn summary_writer(dir: &Path) -> Result<()> {
    let mut run = SummaryWriter::create(dir)?;
    let (tags, rows) = rows();
    let clock = Clock::start();
    for (step, values) in rows {
        for (tag, value) in tags.iter().zip(values) {
            run.scalar(tag, step as i64, value as f32)?;
        }
    }
    run.finish()?;
    clock.stop();
    Ok(())
}

/// The crate tensorboard-rs.
pub(super) fn tensorboard_rs(dir: &Path) -> Result<()> {
    let mut run = tensorboard_rs::summary_writer::SummaryWriter::new(dir);
    let (tags, rows) = rows();
    let clock = Clock::start();
    for (step, values) in rows {
        for (tag, value) in tags.iter().zip(values) {
            run.add_scalar(tag, value as f32, step);
        }
    }
    run.flush();
    drop(run);
    clock.stop();
    Ok(())
}

/// The crate tfrecord.
pub(super) fn tfrecord(dir: &Path) -> Result<()> {
    let config = tfrecord::EventWriterConfig { auto_flush: false };
    let prefix = dir.join("run").display().to_string();
    let mut run = tfrecord::EventWriter::from_prefix(prefix, "", config)?;
    let (tags, rows) = rows();
    let clock = Clock::start();
    for (step, values) in rows {
        for (tag, value) in tags.iter().zip(values) {
            run.write_scalar(*tag, step as i64, value as f32)?;
        }
    }
    run.flush()?;
    drop(run);
    clock.stop();
    Ok(())
}

/// The least that handing each call's bytes to the operating system costs.
pub(super) fn writes(dir: &Path) -> Result<()> {
    let mut file = File::create(dir.join("bytes"))?;
    let clock = Clock::start();
    for _ in 0..CALLS {
        file.write_all(black_box(&[b'x'; 300]))?;
    }
    clock.stop();
    Ok(())
}
