//! The records that open a run: who writes it, what it is, and where it runs.

use super::environ::Environ;
use super::git::{Checkout, without_password};
use super::settings::{Settings, project_fault};
use crate::error::Result;
use crate::io::host_name;
use crate::log::LogWriter;
use crate::proto::wandb_internal::{
    ConfigItem, ConfigRecord, CpuInfo, EnvironmentRecord, Feature, GitRepoRecord, HeaderRecord,
    MemoryInfo, RunRecord, TelemetryRecord, VersionInfo,
};
use crate::record::RecordKind;
use prost_types::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

/// The records that open a run, ready to be written.
pub(super) struct Opening {
    run: RunRecord,
    environment: EnvironmentRecord,
}

impl Opening {
    /// Writes them, and hands them to the operating system.
    pub(super) fn write<W: Write>(&self, log: &mut LogWriter<W>) -> Result<()> {
        log.message(RecordKind::Header, &header())?;
        log.message(RecordKind::Run, &self.run)?;
        log.message(RecordKind::Environment, &self.environment)?;
        log.message(RecordKind::Telemetry, &telemetry())?;
        log.flush()
    }
}

/// Makes them. What the environment has against it is said before there is anything on the disk.
pub(super) fn opening(
    settings: &Settings,
    config: Vec<ConfigItem>,
    environ: &Environ,
    root: &Path,
    start_time: SystemTime,
) -> Result<Opening> {
    let checkout = match environ.flag("WANDB_DISABLE_GIT")? {
        true => None,
        false => Checkout::around(Path::new(".")),
    };
    let git = git(checkout.as_ref(), environ)?;
    let start_time = timestamp(start_time);
    let host = match environ.text("WANDB_HOST")? {
        Some(host) => host.to_owned(),
        None => host_name(),
    };
    let run = RunRecord {
        project: project(settings, checkout.as_ref()),
        config: Some(first_config(config)),
        host: host.clone(),
        start_time: Some(start_time),
        telemetry: Some(telemetry()),
        git: git.clone(),
        ..run(settings)
    };
    let environment = EnvironmentRecord {
        started_at: Some(start_time),
        git,
        root: text(root.to_owned()),
        host,
        ..environment(environ)?
    };
    Ok(Opening { run, environment })
}

fn header() -> HeaderRecord {
    let version_info = VersionInfo {
        producer: concat!("wandb-offline/", env!("CARGO_PKG_VERSION")).to_owned(),
        min_consumer: MIN_SERVER.to_owned(),
        ..Default::default()
    };
    HeaderRecord { version_info: Some(version_info), ..Default::default() }
}

fn run(settings: &Settings) -> RunRecord {
    RunRecord {
        run_id: settings.id.clone(),
        entity: settings.entity.clone(),
        run_group: settings.group.clone(),
        job_type: settings.job_type.clone(),
        display_name: settings.name.clone(),
        notes: settings.notes.clone(),
        tags: settings.tags.clone(),
        ..Default::default()
    }
}

/// W&B's own corner comes first, and is always there.
fn first_config(items: Vec<ConfigItem>) -> ConfigRecord {
    let own = ConfigItem { key: "_wandb".into(), value_json: "{}".into(), ..Default::default() };
    let update = std::iter::once(own).chain(items).collect();
    ConfigRecord { update, ..Default::default() }
}

/// The project, where a name that was not given is W&B's guess.
fn project(settings: &Settings, checkout: Option<&Checkout>) -> String {
    if !settings.project.is_empty() {
        return settings.project.clone();
    }
    let name = checkout.and_then(Checkout::name).filter(|name| project_fault(name).is_none());
    name.unwrap_or("uncategorized").to_owned()
}

fn git(checkout: Option<&Checkout>, environ: &Environ) -> Result<Option<GitRepoRecord>> {
    let mut git = checkout.map(|checkout| checkout.record.clone()).unwrap_or_default();
    if let Some(url) = environ.text("WANDB_GIT_REMOTE_URL")? {
        git.remote_url = without_password(url);
    }
    if let Some(commit) = environ.text("WANDB_GIT_COMMIT")? {
        git.commit = commit.to_owned();
    }
    Ok(Some(git).filter(|git| *git != GitRepoRecord::default()))
}

/// What the program and the machine are. No Python is claimed: there is none.
fn environment(environ: &Environ) -> Result<EnvironmentRecord> {
    let executable = env::current_exe().map(text).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, |n| n.get() as u32);
    let cpu = CpuInfo { count: cpus, count_logical: cpus, ..Default::default() };
    let user = environ.first_lossy(&["WANDB_USERNAME", "USER", "LOGNAME", "USERNAME"]);
    let slurm = environ.with_prefix("SLURM_").filter(|(name, _)| !is_secret(name));
    Ok(EnvironmentRecord {
        os: os(),
        args: env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect(),
        program: environ.text("WANDB_PROGRAM")?.map_or_else(|| executable.clone(), str::to_owned),
        executable,
        username: user.unwrap_or_default(),
        docker: environ.text("WANDB_DOCKER")?.unwrap_or_default().to_owned(),
        cpu_count: cpus,
        cpu_count_logical: cpus,
        cpu: Some(cpu),
        memory: total_memory().map(|total| MemoryInfo { total }),
        slurm: slurm.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect(),
        writer_id: writer_id(),
        ..Default::default()
    })
}

/// Whether a variable of this name holds what must not be uploaded, such as `SLURM_JWT`.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["JWT", "TOKEN", "SECRET", "PASSWORD", "KEY"].iter().any(|word| name.contains(word))
}

fn telemetry() -> TelemetryRecord {
    TelemetryRecord {
        feature: Some(Feature { offline: true, ..Default::default() }),
        platform: format!("{}-{}", env::consts::OS, env::consts::ARCH),
        ..Default::default()
    }
}

fn os() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    match (env::consts::OS, release.trim()) {
        ("linux", "") => format!("Linux-{}", env::consts::ARCH),
        ("linux", release) => format!("Linux-{release}-{}", env::consts::ARCH),
        (os, _) => format!("{os}-{}", env::consts::ARCH),
    }
}

/// In bytes.
fn total_memory() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Tells the environments of a run's writers apart: a UUID of version 7.
fn writer_id() -> String {
    let mut bytes = [0u8; 16];
    // Two writers may share an id if there are no random numbers; that harms only this display.
    let _ = getrandom::fill(&mut bytes);
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut id = u128::from_be_bytes(bytes) >> 48 | (millis << 80);
    id = id & !(0xf << 76) | 7 << 76;
    id = id & !(0b11 << 62) | 0b10 << 62;
    let hex = format!("{id:032x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    parts.join("-")
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    // Microseconds, as W&B has them.
    Timestamp { seconds: since.as_secs() as i64, nanos: (since.subsec_micros() * 1000) as i32 }
}

fn text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

/// What W&B 0.31.0 writes: the oldest server that may take the run.
const MIN_SERVER: &str = "0.70.0";
