//! Comparing files: those that the log names, and those that were stored besides.

use super::expected::Expected;
use super::{Audit, Check};
use crate::json::Value;
use crate::sync::api::{FileFacts, operations, run_files};
use crate::sync::driver::Session;
use crate::sync::ledger::{FileMark, Ledger};
use crate::sync::local::{LocalFiles, measure};
use crate::sync::paths::Candidate;
use crate::sync::plan::{GENERATED, LocalFile, is_generated};
use crate::sync::report::{FileReport, FileStatus};
use std::collections::BTreeMap;

/// A file that the server should have.
#[derive(Clone, Debug, Default)]
struct Wanted {
    /// What it holds, if that counts and is known.
    mark: Option<FileMark>,
    /// The ledger does not say that it is stored.
    is_new: bool,
    /// It holds something else now than when it was stored.
    has_changed: bool,
    /// The log does not name it, but clients make it.
    is_optional: bool,
}

impl Session<'_> {
    /// Compares the files; of a part that others came after, which may have replaced them, only the names.
    pub(super) fn compare_files(
        &self,
        audit: &mut Audit,
        expected: &Expected,
        candidate: &Candidate,
        is_last: bool,
    ) {
        let wanted = self.wanted(audit, expected, candidate, is_last);
        let found = self.ask_for_files(&audit.ledger, candidate, &wanted);
        let mut wrong = Vec::new();
        for (name, file) in &wanted {
            let facts = found.as_ref().and_then(|found| found.get(name));
            let what = match &found {
                Some(_) if file.is_optional && facts.is_none() => continue,
                Some(_) => file.compare(name, facts),
                None if audit.is_known => file.noted(name),
                // Nothing is known of it.
                None => continue,
            };
            let mark = file.mark.as_ref().or_else(|| audit.ledger.files.get(name));
            let report = FileReport {
                name: name.clone(),
                size: mark.map(|mark| mark.size).or_else(|| facts?.size),
                md5: mark.map(|mark| mark.md5.clone()),
                status: match &what {
                    None => FileStatus::Unchanged,
                    Some(what) => FileStatus::Failed(format!("the server has {what}")),
                },
            };
            audit.files.push(report);
            match (what, &file.mark) {
                (Some(what), _) => {
                    audit.ledger.files.remove(name);
                    wrong.push(what);
                }
                (None, Some(mark)) if !audit.is_known => {
                    audit.ledger.files.insert(name.clone(), mark.clone());
                }
                _ => {}
            }
        }
        let log = match wanted.values().filter(|file| !file.is_optional).count() {
            0 if audit.is_known || found.is_some() => return,
            1 => "1 file".to_owned(),
            count => format!("{count} files"),
        };
        audit.checks.push(Check::things("files", log, &wrong, found.is_some()));
    }

    /// The files that the log names, and those that the ledger has besides.
    fn wanted(
        &self,
        audit: &Audit,
        expected: &Expected,
        candidate: &Candidate,
        is_last: bool,
    ) -> BTreeMap<String, Wanted> {
        let files = self.files(candidate);
        let stored = &audit.ledger.files;
        let mut wanted = BTreeMap::new();
        for name in expected.files.iter().chain(stored.keys()) {
            let (stored, is_new) = (stored.get(name), !stored.contains_key(name));
            let own = if is_last { own(&files, name) } else { None };
            let has_changed =
                own.as_ref().zip(stored).is_some_and(|(own, mark)| !own.is_same(mark));
            let mark = own.or_else(|| stored.cloned()).filter(|_| is_last);
            let file = Wanted { mark, is_new, has_changed, is_optional: false };
            wanted.insert(name.clone(), file);
        }
        for name in GENERATED.iter().filter(|_| !audit.is_known) {
            let file = Wanted { is_optional: true, ..Wanted::default() };
            wanted.entry((*name).to_owned()).or_insert(file);
        }
        wanted
    }

    /// What the server has of some files; `None` if it does not tell.
    fn ask_for_files(
        &self,
        ledger: &Ledger,
        candidate: &Candidate,
        wanted: &BTreeMap<String, Wanted>,
    ) -> Option<BTreeMap<String, FileFacts>> {
        let names: Vec<_> = wanted.keys().map(|name| Value::from(name.as_str())).collect();
        let mut found = BTreeMap::new();
        for names in names.chunks(FILES_AT_ONCE) {
            let count = Value::Int(names.len() as i64);
            let variables = [("names", Value::Array(names.to_vec())), ("first", count)];
            let answer = self.ask_of(ledger, candidate, operations::RUN_FILES, variables)?;
            found.extend(run_files(&answer)?);
        }
        Some(found)
    }

    /// Whether files of a run hold something else now than when they were stored.
    pub(in crate::sync) fn has_changed_files(
        &self,
        candidate: &Candidate,
        ledger: &Ledger,
    ) -> bool {
        let files = self.files(candidate);
        let has_changed = |(name, mark): (&String, &FileMark)| {
            own(&files, name).is_some_and(|own| !own.is_same(mark))
        };
        ledger.files.iter().any(has_changed)
    }
}

impl Wanted {
    /// What the server has in the place of this file, if anything is wrong with it.
    fn compare(&self, name: &str, found: Option<&FileFacts>) -> Option<String> {
        match (found, &self.mark) {
            (None, _) => Some(format!("not {name:?}")),
            _ if self.has_changed => Some(outdated(name)),
            (Some(facts), Some(mark)) if !facts.fit(mark) => Some(format!("another {name:?}")),
            _ => None,
        }
    }

    /// The same by the word of the ledger.
    fn noted(&self, name: &str) -> Option<String> {
        match (self.is_new, self.has_changed) {
            (true, _) => Some(format!("not {name:?}")),
            (false, true) => Some(outdated(name)),
            (false, false) => None,
        }
    }
}

fn outdated(name: &str) -> String {
    format!("{name:?} as it was before it changed here")
}

/// What a file of the run holds on this machine. What is made of the log anew is written otherwise by each client, so
/// the file that lies here does not count.
fn own(files: &LocalFiles, name: &str) -> Option<FileMark> {
    if is_generated(name) {
        return None;
    }
    let found = measure(files.find(&LocalFile::Run(name.to_owned())).ok()?).ok()?;
    Some(FileMark { md5: found.md5_hex(), size: found.size, told: true })
}

/// Names in one question.
const FILES_AT_ONCE: usize = 100;
