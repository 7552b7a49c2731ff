//! From paths to logs: what is there, what is left out and why, and which logs are one run.

use super::copies::{Copies, distinct, has_files};
use super::driver::explained;
use super::ledger::{Ledger, ledgers};
use super::likeness::{Held, Likeness};
use super::marks;
use super::options::{SyncOptions, Terms};
use super::pack::{Packed, PackedLogs, is_packed};
use super::plan::{PlanOptions, target};
use super::report::{Receipt, RunReport, RunStatus};
use super::server::{Secret, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::framing::TailKind;
use crate::log::{self, LogFile, Reader};
use crate::run::RunState;
use prost_types::Timestamp;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A log that is to be uploaded.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) log: LogFile,
    /// Entity, project and id; entity and project may be empty.
    pub(super) target: Target,
    /// A copy that `recover` or `scrub` made of another log that is there.
    pub(super) is_copy: bool,
    pub(super) terms: Terms,
    /// What is packed with it, if it is in a pack.
    pub(super) packed: Option<Arc<Packed>>,
    /// Which part of the run it says it is: when that started, and the run's id as the log has it.
    part: (Start, String),
}

/// Entity, project and id of a run.
pub(super) type Target = (String, String, String);

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
    /// Logs in which there is nothing yet, left out as well.
    pub(super) unbegun: Vec<RunReport>,
    /// Paths at which there is nothing yet, and that is waited for.
    pub(super) awaited: Vec<PathBuf>,
    pub(super) errors: Vec<Error>,
    /// What looks like a log and is none, or is one that was named already.
    pub(super) passed: Vec<(PathBuf, String)>,
}

/// Finds the logs that `paths` mean: `.wandb` files, run directories, their `files/`, and directories of runs,
/// however deep. The same log is taken once, and only those that `is_news` says are looked into. What is in a
/// pack is left out, but for the logs that are said to be `packed`. Marked logs are those that are stored on this
/// `server`, or on any if none is given.
pub(super) fn select(
    paths: &[PathBuf],
    packed: &PackedLogs,
    server: Option<&str>,
    options: &SyncOptions,
    is_news: &dyn Fn(&LogFile) -> bool,
) -> Selection {
    let mut selection = Selection::default();
    let mut found: Vec<_> =
        paths.iter().flat_map(|path| logs(path, options, &mut selection)).collect();
    let passes_over_marked = passes_over_marked(options);
    for log in found.iter_mut().filter(|log| passes_over_marked && log.synced && is_news(log)) {
        let asked = || Some(candidate(log, packed.get(&log.path), options).ok()??.target);
        log.synced = marks::stands(log, server, asked);
    }
    let found = distinct(found, |log, first| {
        let why = format!("the same log as {}", first.path.display());
        selection.passed.push((log.path.clone(), why));
    });
    let copies = Copies::among(&found);
    let mut groups: BTreeMap<Target, Vec<Candidate>> = BTreeMap::new();
    for log in found.iter().filter(|log| is_news(log)) {
        let packed = packed.get(&log.path);
        let skipped = skipped(log, packed.is_some(), options);
        let objection = match skipped {
            Some(reason) => Some((RunStatus::Skipped, reason)),
            None => copies.objection(log),
        };
        if let Some((status, reason)) = objection {
            selection.left_out.push(left_out(log, status, reason));
            continue;
        }
        match candidate(log, packed, options) {
            Ok(Some(mut found)) => {
                found.is_copy = copies.is_copy(log);
                groups.entry(found.target.clone()).or_default().push(found);
            }
            Ok(None) => {
                selection.unbegun.push(left_out(log, RunStatus::Skipped, UNBEGUN.to_owned()));
            }
            Err(error) => {
                let reason = explained(&error, &log.path) + cure(&error);
                selection.left_out.push(left_out(log, RunStatus::Failed, reason));
            }
        }
    }
    let compares = passes_over_marked && !groups.is_empty();
    let marked = found.iter().filter(|log| compares && log.synced);
    // One that cannot be read is no reason to leave others out.
    let stored = marked.filter_map(|log| candidate(log, packed.get(&log.path), options).ok()?);
    let stored: Vec<_> = stored.collect();
    for group in groups.values_mut() {
        group.sort_by(|a, b| (&a.part, &a.log.path).cmp(&(&b.part, &b.log.path)));
        selection.left_out.extend(without_copies(group, &stored));
    }
    selection.groups = groups.into_values().filter(|group| !group.is_empty()).collect();
    selection
}

/// Whether logs that are marked as synced are left out.
const fn passes_over_marked(options: &SyncOptions) -> bool {
    !options.include_synced && !options.audit && !options.repair
}

fn logs(path: &Path, options: &SyncOptions, selection: &mut Selection) -> Vec<LogFile> {
    let Selection { errors, passed, awaited, .. } = selection;
    // Where runs are waited for there need not be any yet, nor the directory.
    let watches = options.live.is_some_and(|live| live.watch.is_some());
    if path.is_dir() {
        let (mut found, failed, others) = log::survey(path);
        errors.extend(failed);
        passed.extend(others.into_iter().map(|(path, why)| (path, why.to_owned())));
        if found.is_empty() && path.file_name().is_some_and(|name| name == "files") {
            // The run's own directory is above.
            found = log::locate(path).into_iter().collect();
        }
        if found.is_empty() && !watches {
            errors.push(Error::misuse("no .wandb file at or under this path").at(path));
        }
        found
    } else if watches && is_missing(path) {
        awaited.push(path.to_owned());
        Vec::new()
    } else {
        LogFile::at(path).map_err(|error| errors.push(error)).into_iter().collect()
    }
}

fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Takes out of the logs of a run what is there twice, or `stored` already. Of those that say they are the same part
/// of it the best goes; one that contradicts it is refused.
fn without_copies(group: &mut Vec<Candidate>, stored: &[Candidate]) -> Vec<RunReport> {
    let mut left_out = Vec::new();
    let mut kept: Vec<Candidate> = Vec::new();
    for mut candidate in group.drain(..) {
        let verdict = of_stored(&candidate, stored).or_else(|| beside(&mut kept, &mut candidate));
        match verdict {
            Some((status, reason)) => left_out.push(self::left_out(&candidate.log, status, reason)),
            None => kept.push(candidate),
        }
    }
    *group = kept;
    left_out
}

/// Why a log is left out.
type Verdict = (RunStatus, String);

/// Leaves out a log all of which one of the `stored` ones has.
fn of_stored(candidate: &Candidate, stored: &[Candidate]) -> Option<Verdict> {
    let path = &candidate.log.path;
    let has_all = |other: &&Candidate| {
        (&other.target, &other.part) == (&candidate.target, &candidate.part)
            && matches!(Likeness::of(&other.log.path, path), Ok(Likeness::Copies(_, own)) if own.alone == 0)
    };
    let other = stored.iter().find(has_all)?.log.path.display();
    let path = path.display();
    let reason =
        format!("{other}, of which it is a copy, is uploaded; name {path} alone to upload it");
    Some((RunStatus::Skipped, reason))
}

/// Compares a log with those that say they are the same part of the run. It takes the place of one that is not as
/// good, and what is left in `candidate` is left out.
fn beside(kept: &mut [Candidate], candidate: &mut Candidate) -> Option<Verdict> {
    for other in kept.iter_mut().filter(|other| other.part == candidate.part) {
        return Some(match Likeness::of(&other.log.path, &candidate.log.path) {
            Ok(Likeness::Contradictory) if other.part.0 == NO_START => continue,
            Ok(Likeness::Contradictory) => (RunStatus::Failed, contradicts(&other.log)),
            Ok(Likeness::Copies(mut best, mut copy)) => {
                let rank = |held: &Held, log: &LogFile| (held.rank(), has_files(log), log.synced);
                if rank(&copy, &candidate.log) > rank(&best, &other.log) {
                    std::mem::swap(other, candidate);
                    std::mem::swap(&mut best, &mut copy);
                }
                (RunStatus::Skipped, repeats(&candidate.log, &copy, &other.log, &best))
            }
            Err(error) => (RunStatus::Failed, explained(&error, &candidate.log.path)),
        });
    }
    None
}

/// Why a copy is left out beside the best one.
fn repeats(log: &LogFile, copy: &Held, other: &LogFile, best: &Held) -> String {
    let (path, other) = (log.path.display(), other.path.display());
    let what = match copy.alone {
        0 if copy.is_damaged() => format!("a damaged copy of {other}"),
        0 if best.alone > 0 => format!("{other} is a copy of it that has more"),
        0 => format!("{other} is a copy of it"),
        alone => {
            format!("a damaged copy of {other}, which has more, but not {alone} of its records")
        }
    };
    format!("{what}; name {path} alone to upload it")
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
    if log.synced && passes_over_marked(options) {
        let stored = ledgers(&log.path).into_iter().filter(|ledger| ledger.whole);
        let to: Vec<_> = stored.map(|ledger| url(&ledger)).collect();
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

/// Looks for the run record of a log, which comes second in a sound one; `None` if there is no record at all yet.
fn candidate(
    log: &LogFile,
    packed: Option<&Arc<Packed>>,
    options: &SyncOptions,
) -> Result<Option<Candidate>> {
    let terms = Terms::of(options);
    let terms = match packed {
        Some(packed) => terms.or(packed.terms().clone()),
        None => terms,
    };
    let mut reader = Reader::options().lenient(terms.salvage).open(&log.path)?;
    let mut run = RunState::keeping(0, &crate::Limits::DEFAULT);
    for count in 0..RECORDS_LOOKED_AT {
        let Some(record) = reader.next_record()? else {
            if count == 0 && is_unbegun(&reader) {
                return Ok(None);
            }
            break;
        };
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
    Ok(Some(Candidate { log, target, is_copy: false, terms, packed, part }))
}

/// Whether of a log without records nothing was lost either.
fn is_unbegun(log: &Reader) -> bool {
    log.gaps().count() == 0 && log.tail().is_none_or(|tail| tail.kind != TailKind::Compressed)
}

/// What helps with a log that cannot be read at all.
fn cure(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Damaged(fault) if fault.kind.is_foreign() => {
            "; `wandb-offline recover` makes a sound log of what is readable in it"
        }
        _ => "",
    }
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
    let found = logs.filter_map(|path| candidate(&LogFile::at(path).ok()?, None, options).ok()?);
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

const UNBEGUN: &str = "nothing was logged yet, or it is not on the disk";
