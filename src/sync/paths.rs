//! From paths to logs: what is there, what is left out and why, and which logs are one run.

use super::copies::{Copies, Identity, Likeness};
use super::driver::explained;
use super::ledger::{Ledger, ledgers};
use super::options::{SyncOptions, Terms};
use super::pack::{Packed, PackedLogs, is_packed};
use super::plan::{PlanOptions, target};
use super::report::{Receipt, RunReport, RunStatus};
use super::server::{Secret, Server};
use crate::error::{Error, Result};
use crate::log::{self, LogFile, Reader};
use crate::run::RunState;
use prost_types::Timestamp;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A log that is to be uploaded.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) log: LogFile,
    /// Entity, project and id; entity and project may be empty.
    pub(super) target: (String, String, String),
    /// A copy that `recover` or `scrub` made of another log that is there.
    pub(super) is_copy: bool,
    pub(super) terms: Terms,
    /// What is packed with it, if it is in a pack.
    pub(super) packed: Option<Arc<Packed>>,
    /// Which part of the run it says it is: when that started, and the run's id as the log has it.
    part: (Start, String),
}

/// Seconds and nanoseconds.
type Start = (i64, i32);

const NO_START: Start = (0, 0);

/// What paths come to.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// Logs of one run each, in the order in which the run wrote them.
    pub(super) groups: Vec<Vec<Candidate>>,
    /// Logs that are left out.
    pub(super) left_out: Vec<RunReport>,
    pub(super) errors: Vec<Error>,
    /// What looks like a log and is none, or is one that was named already.
    pub(super) passed: Vec<(PathBuf, String)>,
}

/// Finds the logs that `paths` mean: `.wandb` files, run directories, their `files/`, and directories of runs,
/// however deep. The same log is taken once, and only those that `is_news` says are looked into. What is in a
/// pack is left out, but for the logs that are said to be `packed`.
pub(super) fn select(
    paths: &[PathBuf],
    packed: &PackedLogs,
    options: &SyncOptions,
    is_news: &dyn Fn(&LogFile) -> bool,
) -> Selection {
    let mut selection = Selection::default();
    let mut seen: HashMap<Identity, PathBuf> = HashMap::new();
    let mut found: Vec<_> =
        paths.iter().flat_map(|path| logs(path, options, &mut selection)).collect();
    found.retain(|log| match seen.entry(Identity::of(&log.path)) {
        Entry::Vacant(first) => {
            first.insert(log.path.clone());
            true
        }
        Entry::Occupied(first) => {
            if *first.get() != log.path {
                let why = format!("the same log as {}", first.get().display());
                selection.passed.push((log.path.clone(), why));
            }
            false
        }
    });
    let copies = Copies::among(&found);
    let mut groups: BTreeMap<(String, String, String), Vec<Candidate>> = BTreeMap::new();
    for log in found.iter().filter(|log| is_news(log)) {
        let packed = packed.get(&log.path);
        let reason = skipped(log, packed.is_some(), options).or_else(|| copies.objection(log));
        if let Some(reason) = reason {
            selection.left_out.push(left_out(log, RunStatus::Skipped, reason));
            continue;
        }
        match candidate(log, packed, options) {
            Ok(mut found) => {
                found.is_copy = copies.is_copy(log);
                groups.entry(found.target.clone()).or_default().push(found);
            }
            Err(error) => {
                let reason = explained(&error, &log.path);
                selection.left_out.push(left_out(log, RunStatus::Failed, reason));
            }
        }
    }
    for group in groups.values_mut() {
        group.sort_by(|a, b| (&a.part, &a.log.path).cmp(&(&b.part, &b.log.path)));
        selection.left_out.extend(without_copies(group));
    }
    selection.groups = groups.into_values().collect();
    selection
}

fn logs(path: &Path, options: &SyncOptions, selection: &mut Selection) -> Vec<LogFile> {
    let Selection { errors, passed, .. } = selection;
    if path.is_dir() {
        let (mut found, failed, others) = log::survey(path);
        errors.extend(failed);
        passed.extend(others.into_iter().map(|(path, why)| (path, why.to_owned())));
        if found.is_empty() && path.file_name().is_some_and(|name| name == "files") {
            // The run's own directory is above.
            found = log::locate(path).into_iter().collect();
        }
        // Where runs are waited for there need not be any yet.
        if found.is_empty() && options.live.is_none_or(|live| live.watch.is_none()) {
            errors.push(Error::misuse("no .wandb file at or under this path").at(path));
        }
        found
    } else {
        LogFile::at(path).map_err(|error| errors.push(error)).into_iter().collect()
    }
}

/// Takes out of the logs of a run what is there twice. Of those that say they are the same part of it the one that
/// has most goes; one that contradicts it is refused.
fn without_copies(group: &mut Vec<Candidate>) -> Vec<RunReport> {
    let mut left_out = Vec::new();
    let mut kept: Vec<Candidate> = Vec::new();
    for mut candidate in group.drain(..) {
        let mut verdict = None;
        for other in kept.iter_mut().filter(|other| other.part == candidate.part) {
            match Likeness::of(&other.log.path, &candidate.log.path) {
                Ok(Likeness::Other) if other.part.0 == NO_START => continue,
                Ok(Likeness::Other) => verdict = Some((RunStatus::Failed, contradicts(&other.log))),
                Ok(likeness) => {
                    if likeness == Likeness::Shorter {
                        std::mem::swap(other, &mut candidate);
                    }
                    let more = likeness != Likeness::Equal;
                    verdict = Some((RunStatus::Skipped, repeats(&candidate.log, &other.log, more)));
                }
                Err(error) => {
                    verdict = Some((RunStatus::Failed, explained(&error, &candidate.log.path)));
                }
            }
            break;
        }
        match verdict {
            Some((status, reason)) => left_out.push(self::left_out(&candidate.log, status, reason)),
            None => kept.push(candidate),
        }
    }
    *group = kept;
    left_out
}

fn repeats(log: &LogFile, other: &LogFile, more: bool) -> String {
    let (path, other) = (log.path.display(), other.path.display());
    let what = if more { "is a copy of it that has more" } else { "is a copy of it" };
    format!("{other} {what}; name {path} alone to upload it")
}

fn contradicts(other: &LogFile) -> String {
    let other = other.path.display();
    format!(
        "it says it is the same part of the same run as {other}, with the same id and start, and has other records; \
         upload it as a run of its own with --id"
    )
}

fn skipped(log: &LogFile, packed: bool, options: &SyncOptions) -> Option<String> {
    if !packed && is_packed(log) {
        return Some("it is in a pack, which --from uploads".into());
    }
    let dir = log.dir().canonicalize().ok();
    let dir = dir.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    if log.synced && !options.include_synced && !options.audit && !options.repair {
        let to: Vec<_> = ledgers(&log.path).iter().map(url).collect();
        let to = if to.is_empty() { String::new() } else { format!(", to {}", to.join(" and ")) };
        return Some(format!(
            "it is marked as synced{to}; --include-synced uploads it all the same"
        ));
    }
    if dir.starts_with("run-") && !options.include_online {
        return Some("it was logged online; --include-online uploads it all the same".into());
    }
    None
}

fn left_out(log: &LogFile, status: RunStatus, reason: String) -> RunReport {
    RunReport {
        log: log.path.clone(),
        status,
        problems: vec![reason],
        notices: Vec::new(),
        url: None,
        run: None,
        name: None,
        checks: Vec::new(),
        receipt: Receipt::default(),
    }
}

/// The page of the run that a ledger is of.
fn url(ledger: &Ledger) -> String {
    let Ledger { server, entity, project, run, .. } = ledger;
    let known = Server::new(server, Secret::new(""));
    known.map_or_else(|_| server.clone(), |server| server.run_url(entity, project, run))
}

/// Looks for the run record of a log, which comes second in a sound one.
fn candidate(
    log: &LogFile,
    packed: Option<&Arc<Packed>>,
    options: &SyncOptions,
) -> Result<Candidate> {
    let terms = Terms::of(options);
    let terms = match packed {
        Some(packed) => terms.or(packed.terms().clone()),
        None => terms,
    };
    let mut reader = Reader::options().lenient(terms.salvage).open(&log.path)?;
    let mut run = RunState::keeping(0, &crate::Limits::DEFAULT);
    for _ in 0..RECORDS_LOOKED_AT {
        let Some(record) = reader.next_record()? else { break };
        let is_run = record.kind().ok().flatten() == Some(crate::record::RecordKind::Run);
        if is_run && run.apply(&record).is_ok() {
            break;
        }
    }
    if run.info().run().is_none() {
        let reason = "the log has no run record, so nobody knows which run it is";
        return Err(Error::misuse(reason).at(&log.path));
    }
    let plan = PlanOptions { overrides: terms.overrides.clone(), ..PlanOptions::default() };
    let Timestamp { seconds, nanos } = run.info().start_time().unwrap_or_default();
    let part = ((seconds, nanos), run.info().run_id().to_owned());
    let target = target(run.info(), &plan);
    if target.2.is_empty() {
        // A server would make up another one each time.
        let reason = "the log does not say which run it is: its id is empty; give it one with --id";
        return Err(Error::misuse(reason).at(&log.path));
    }
    let (log, packed) = (log.clone(), packed.cloned());
    Ok(Candidate { log, target, is_copy: false, terms, packed, part })
}

/// The other parts of the run of a log: those that go with it, and those in run directories beside its own.
pub(super) fn parts_beside(
    own: &Candidate,
    group: &[Candidate],
    options: &SyncOptions,
) -> Vec<Candidate> {
    let dir = own.log.dir().canonicalize().ok();
    let above = dir.as_deref().and_then(Path::parent);
    let dirs = above.and_then(|above| std::fs::read_dir(above).ok()).into_iter().flatten();
    let name = own.log.path.file_name().unwrap_or_default();
    let logs = dirs.flatten().map(|entry| entry.path().join(name)).filter(|path| path.is_file());
    let found = logs.filter_map(|path| candidate(&LogFile::at(path).ok()?, None, options).ok());
    let mut parts = BTreeMap::new();
    for part in group.iter().cloned().chain(found) {
        if part.target == own.target && part.part != own.part {
            parts.entry(part.part.clone()).or_insert(part);
        }
    }
    parts.into_values().collect()
}

/// A damaged beginning may push the run record back, but not for ever.
const RECORDS_LOOKED_AT: usize = 10_000;
