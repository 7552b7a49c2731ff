//! Which logs are under way: one round of looking, or round after round as long as runs are followed.

use super::caught::caught;
use super::driver::{Course, Session};
use super::event::Event;
use super::paths::{Candidate, Selection, select};
use super::plan::PlanOptions;
use super::report::{RunReport, RunStatus, SyncReport};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, Scope};
use std::time::Duration;

/// Entity, project and id of a run.
type Target = (String, String, String);

/// The logs of one run that are done with, and where their lines end.
type Done = (Target, Vec<RunReport>, Option<[u64; 3]>);

/// The rounds of one sync.
pub(super) struct Rounds<'a> {
    session: &'a Session<'a>,
    paths: &'a [PathBuf],
    /// What is known of logs that are not under way.
    known: HashMap<PathBuf, Known>,
    queue: VecDeque<Vec<Candidate>>,
    /// Logs in the queue or being uploaded, and their runs.
    taken: HashSet<PathBuf>,
    busy: HashSet<Target>,
    under_way: usize,
    /// Where the lines of runs end of which a log was uploaded.
    ends: HashMap<Target, [u64; 3]>,
    /// Logs without a run record or any, which may get one.
    headless: BTreeMap<PathBuf, RunReport>,
    reports: BTreeMap<PathBuf, RunReport>,
    /// What looks like a log, and was told that it is passed over.
    passed: HashSet<PathBuf>,
    /// What is not there yet, and was told to be waited for.
    awaited: HashSet<PathBuf>,
    errors: BTreeSet<String>,
    next_look: Duration,
}

/// What is known of a log that was looked at.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Its length then; if it is another, it is looked at again.
    length: u64,
    /// When it is looked at again in any case.
    again_at: Option<Duration>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(session: &'a Session<'a>, paths: &'a [PathBuf]) -> Self {
        Self {
            session,
            paths,
            known: HashMap::new(),
            queue: VecDeque::new(),
            taken: HashSet::new(),
            busy: HashSet::new(),
            under_way: 0,
            ends: HashMap::new(),
            headless: BTreeMap::new(),
            reports: BTreeMap::new(),
            passed: HashSet::new(),
            awaited: HashSet::new(),
            errors: BTreeSet::new(),
            next_look: Duration::ZERO,
        }
    }

    /// Uploads until nothing is left, or as long as there may be more.
    pub(super) fn run(mut self) -> SyncReport {
        thread::scope(|scope| {
            let (sender, done) = channel();
            self.look();
            loop {
                self.start(scope, &sender);
                if self.under_way == 0 && !self.expects_more() {
                    break;
                }
                self.wait(&done);
                if self.expects_more() && self.session.sender.now() >= self.next_look {
                    self.look();
                }
            }
        });
        for (log, report) in std::mem::take(&mut self.headless) {
            (self.session.observe)(Event::Ended { report: &report });
            self.reports.insert(log, report);
        }
        SyncReport {
            server: self.session.server.base.clone(),
            runs: self.reports.into_values().collect(),
            errors: self.errors.into_iter().collect(),
        }
    }

    /// Whether logs may still come: in a directory that is watched, or out of a file that has no run yet.
    fn expects_more(&self) -> bool {
        let Some(live) = self.session.options.live else { return false };
        let patient = self.session.sender.now() < live.silence;
        let more = live.watch.is_some() || (patient && !self.headless.is_empty());
        more && !self.session.options.dry_run && !self.session.sender.is_stopped()
    }

    /// Looks for logs that are new, or have changed since they were looked at.
    fn look(&mut self) {
        let Selection { groups, left_out, unbegun, awaited, errors, passed } = {
            let now = self.session.sender.now();
            let is_news = |log: &crate::log::LogFile| {
                let has_changed = |known: &Known| {
                    known.length != log.size || known.again_at.is_some_and(|time| now >= time)
                };
                !self.taken.contains(&log.path) && self.known.get(&log.path).is_none_or(has_changed)
            };
            let Session { server, packed, options, .. } = self.session;
            select(self.paths, packed, Some(&server.base), options, &is_news)
        };
        self.errors.extend(errors.iter().map(ToString::to_string));
        for (path, why) in passed {
            if self.passed.insert(path.clone()) {
                (self.session.observe)(Event::Passed { path: &path, why: &why });
            }
        }
        for path in awaited {
            if self.awaited.insert(path.clone()) {
                let text = format!("{} is not there yet; waiting for it", path.display());
                (self.session.observe)(Event::Remark { text: &text });
            }
        }
        for report in left_out {
            let may_change = report.status == RunStatus::Failed;
            self.leave_out(report, may_change);
        }
        unbegun.into_iter().for_each(|report| self.leave_out(report, true));
        let mut logs = 0;
        for group in groups {
            let Some(target) = group.first().map(|first| first.target.clone()) else { continue };
            // Logs of a run go one after another, so what has come since waits.
            if !self.busy.insert(target) {
                continue;
            }
            logs += group.len();
            for candidate in &group {
                self.headless.remove(&candidate.log.path);
                self.taken.insert(candidate.log.path.clone());
            }
            self.queue.push_back(group);
        }
        if logs > 0 {
            (self.session.observe)(Event::Found { logs });
        }
        if let Some(live) = self.session.options.live {
            self.next_look = self.session.sender.now() + live.watch.unwrap_or(live.poll);
        }
    }

    fn leave_out(&mut self, report: RunReport, may_change: bool) {
        let known = Known { length: length(&report.log), again_at: None };
        self.known.insert(report.log.clone(), known);
        self.headless.remove(&report.log);
        if may_change && self.session.options.live.is_some() {
            self.headless.insert(report.log.clone(), report);
            return;
        }
        (self.session.observe)(Event::Ended { report: &report });
        self.reports.insert(report.log.clone(), report);
    }

    /// Starts as many runs as may go at a time.
    fn start<'scope>(&mut self, scope: &'scope Scope<'scope, '_>, done: &Sender<Done>)
    where
        'a: 'scope,
    {
        let places = self.session.options.runs_at_once.max(1);
        let side_by_side = (self.under_way + self.queue.len()).clamp(1, places);
        let batch = (BATCHES / side_by_side).clamp(SMALLEST_BATCH, PlanOptions::default().batch);
        while self.under_way < places
            && let Some(group) = self.queue.pop_front()
        {
            let Some(target) = group.first().map(|first| first.target.clone()) else { continue };
            // A copy has the lines of its original, and is compared with what the server has of it.
            let is_copy = group.iter().any(|candidate| candidate.is_copy);
            let behind = self.ends.get(&target).copied().filter(|_| !is_copy);
            let course = Course { behind, goes_on: false, follow: None, batch };
            let (session, done) = (self.session, done.clone());
            scope.spawn(move || {
                let (reports, ends) = caught(|| session.group(&group, course))
                    .unwrap_or_else(|why| (session.broken(&group, &why), None));
                // The other end waits for this.
                let _ = done.send((target, reports, ends));
            });
            self.under_way += 1;
        }
    }

    /// Waits until a run is done with, or not much longer than until it is time to look again.
    fn wait(&mut self, done: &Receiver<Done>) {
        let time = if self.session.options.live.is_some() { SLICE } else { Duration::MAX };
        match done.recv_timeout(time) {
            Ok(done) => self.done(done),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn done(&mut self, (target, reports, ends): Done) {
        self.under_way -= 1;
        self.busy.remove(&target);
        // A log that is not stored says nothing of where the next one begins.
        if let Some(ends) = ends
            && reports.iter().all(|report| report.receipt.log_bytes > 0)
        {
            self.ends.insert(target, ends);
        }
        for report in reports {
            let stored = report.receipt.log_bytes;
            let length = if stored > 0 { stored } else { length(&report.log) };
            let failed = matches!(report.status, RunStatus::Failed | RunStatus::Partly);
            let again_at = failed.then(|| self.session.sender.now() + TRIED_AGAIN_AFTER);
            self.taken.remove(&report.log);
            self.known.insert(report.log.clone(), Known { length, again_at });
            self.reports.insert(report.log.clone(), report);
        }
    }
}

fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |found| found.len())
}

/// How soon an interrupt is noticed.
const SLICE: Duration = Duration::from_millis(100);

/// Where runs are watched for, one that failed is tried again after this time, even if it did not grow.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(5 * 60);

/// Bytes of lines that wait in all runs together; as many again are being sent.
const BATCHES: usize = 16 << 20;
const SMALLEST_BATCH: usize = 256 << 10;
