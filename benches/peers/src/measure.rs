//! One run of one job, in a process of its own.

use anyhow::{Context as _, Result, bail};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use wait4::Wait4;
use walkdir::WalkDir;

/// A process that does a work.
#[derive(Debug)]
pub(crate) struct Job {
    /// What the table calls it.
    pub(crate) name: String,
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(String, String)>,
    /// How many units of its group one run does.
    pub(crate) units: u64,
    /// Whether the process itself says how long the work took, so that its start does not count.
    pub(crate) inside: bool,
    /// It runs three times at most.
    pub(crate) slow: bool,
    /// Copied into the scratch directory before each run, which is not measured.
    copied: Option<PathBuf>,
    /// Why it cannot run here.
    pub(crate) missing: Option<String>,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds by the clock.
    pub(crate) seconds: f64,
    /// CPU seconds, of the user and of the system, with those of processes it started.
    pub(crate) cpu: f64,
    /// The most bytes that the largest of its processes had in memory at a time.
    pub(crate) memory: u64,
}

impl Job {
    /// A job that runs `program` and does `units` of the work.
    pub(crate) fn new(name: impl Into<String>, program: impl Into<PathBuf>, units: u64) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            envs: Vec::new(),
            units,
            inside: false,
            slow: false,
            copied: None,
            missing: None,
        }
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// The process prints `seconds <x>` itself, and `cpu <x>` if it can.
    pub(crate) fn inside(mut self) -> Self {
        self.inside = true;
        self
    }

    /// It takes long.
    pub(crate) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// It works on a copy of this directory, of the same name in the scratch directory.
    pub(crate) fn on_copy_of(mut self, dir: impl Into<PathBuf>) -> Self {
        self.copied = Some(dir.into());
        self
    }

    /// It cannot run here, if there is a reason.
    pub(crate) fn unless(mut self, missing: Option<String>) -> Self {
        self.missing = missing;
        self
    }

    /// Runs it once. The scratch directory is emptied before and afterwards.
    pub(crate) fn run(&self, scratch: &Path) -> Result<Sample> {
        empty(scratch)?;
        if let Some(dir) = &self.copied {
            copy(dir, scratch)?;
        }
        let mut complaints = tempfile::tempfile()?;
        let started = Instant::now();
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .current_dir(scratch)
            .stdin(Stdio::null())
            .stdout(if self.inside { Stdio::piped() } else { Stdio::null() })
            .stderr(complaints.try_clone()?)
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        let output = said(&mut child)?;
        let used = child.wait4()?;
        let wall = started.elapsed();
        empty(scratch)?;
        if !used.status.success() {
            bail!("{}", complaint(used.status, &mut complaints)?);
        }
        let whole = (used.rusage.utime + used.rusage.stime).as_secs_f64();
        let seconds = match self.inside {
            true => figure(&output, "seconds").context("it did not say how long it took")?,
            false => wall.as_secs_f64(),
        };
        let cpu = figure(&output, "cpu").unwrap_or(whole);
        Ok(Sample { seconds, cpu, memory: used.rusage.maxrss })
    }
}

/// Ends a work inside a process: prints what [`Job::run`] reads.
pub(crate) fn say(seconds: Duration, cpu: Duration) {
    println!("seconds {}\ncpu {}", seconds.as_secs_f64(), cpu.as_secs_f64());
}

fn said(child: &mut Child) -> Result<String> {
    let mut output = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut output)?;
    }
    Ok(output)
}

fn figure(output: &str, name: &str) -> Option<f64> {
    let line = output.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// The end of what a process that failed complained about.
fn complaint(status: ExitStatus, complaints: &mut fs::File) -> Result<String> {
    let mut text = Vec::new();
    complaints.seek(SeekFrom::Start(0))?;
    complaints.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no word");
    Ok(format!("{status}: {}", last.trim()))
}

fn empty(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())
}

/// Copies a directory into another, but no links.
fn copy(dir: &Path, into: &Path) -> Result<()> {
    let around = dir.parent().unwrap_or(dir);
    for entry in WalkDir::new(dir) {
        let entry = entry?;
        let to = into.join(entry.path().strip_prefix(around)?);
        if entry.file_type().is_dir() {
            fs::create_dir(&to)?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}
