//! The run's files: measured, given a signed URL, sent.
//!
//! A signed URL expires. The official client gives the file up then; here a new one is asked for.

use super::{LocalFile, Measured, Unreadable};
use crate::json::Value;
use crate::sync::api::{Answer, Body, Request, RequestKind, RunFiles, Target, operations};
use crate::sync::ledger::{FileMark, Ledger};
use crate::sync::report::{FileReport, FileStatus};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// The files of a run on their way.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: Vec<Upload>,
    by_name: HashMap<String, usize>,
    /// New; with what they hold known; with a URL. A run may have many files, so they stand in queues.
    fresh: VecDeque<usize>,
    ready: VecDeque<usize>,
    placed: VecDeque<usize>,
    measuring: usize,
    sending: usize,
    unfinished: usize,
    asking: bool,
    /// Stored, and not yet told to the server in the run's streams.
    untold: Vec<String>,
    /// Done with, and not yet told to the caller.
    settled: Vec<usize>,
}

#[derive(Debug)]
struct Upload {
    name: String,
    content: Content,
    state: State,
    /// What it holds, once that is known.
    mark: Option<FileMark>,
    asked: u32,
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Local(LocalFile),
    Bytes(Arc<[u8]>),
}

#[derive(Debug)]
enum State {
    New,
    Measuring,
    /// Has no URL yet.
    Ready(Body),
    Asked(Body),
    Placed(Body, String, Vec<(String, String)>),
    Sending(Body),
    Done(FileStatus),
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum FileStep {
    Measure(usize, LocalFile),
    Create(Vec<usize>, Vec<String>),
    Put(usize, Request),
}

impl Files {
    /// Has a file uploaded, unless one of that name is already. One whose bytes are at hand needs no measuring.
    pub(super) fn offer(&mut self, name: &str, content: Content, ledger: &Ledger) {
        if self.by_name.contains_key(name) {
            return;
        }
        let at = self.files.len();
        self.by_name.insert(name.to_owned(), at);
        let refused = FileStatus::Refused("its name leads out of the run's files".into());
        self.files.push(Upload {
            name: name.to_owned(),
            content: content.clone(),
            state: State::Done(refused.clone()),
            mark: None,
            asked: 0,
        });
        match content {
            _ if !is_contained(name) => self.set(at, State::Done(refused)),
            Content::Local(_) => self.set(at, State::New),
            Content::Bytes(bytes) => {
                let (measured, body) = (Measured::of(&bytes), Body::Bytes(bytes));
                self.settle(at, measured.size, measured.md5_hex(), body, ledger);
            }
        }
    }

    /// Puts a file into a state, and into the queue of those that are in it.
    fn set(&mut self, at: usize, state: State) {
        let Some(file) = self.files.get_mut(at) else { return };
        match &file.state {
            State::Measuring => self.measuring -= 1,
            State::Sending(_) => self.sending -= 1,
            State::Done(_) => self.unfinished += 1,
            _ => {}
        }
        match &state {
            State::New => self.fresh.push_back(at),
            State::Ready(_) => self.ready.push_back(at),
            State::Placed(..) => self.placed.push_back(at),
            State::Measuring => self.measuring += 1,
            State::Sending(_) => self.sending += 1,
            State::Done(_) => {
                self.unfinished -= 1;
                self.settled.push(at);
            }
            State::Asked(_) => {}
        }
        file.state = state;
    }

    /// Looks again for files that were not there when a log that was being written named them.
    pub(super) fn look_again(&mut self) {
        for at in 0..self.files.len() {
            let missing = |file: &Upload| matches!(file.state, State::Done(FileStatus::Missing));
            if self.files.get(at).is_some_and(missing) {
                self.set(at, State::New);
            }
        }
    }

    /// The next thing to do. With `all`, small batches are not waited with.
    pub(super) fn next(&mut self, all: bool) -> Option<FileStep> {
        if self.measuring < AT_ONCE
            && let Some(at) = self.fresh.pop_front()
            && let Content::Local(local) = &self.files.get(at)?.content
        {
            let local = local.clone();
            self.set(at, State::Measuring);
            return Some(FileStep::Measure(at, local));
        }
        if self.sending < AT_ONCE
            && let Some(at) = self.placed.pop_front()
        {
            return self.put(at);
        }
        let few = self.ready.len() < if all { 1 } else { BATCH };
        if self.asking || few || (all && self.measuring > 0) {
            return None;
        }
        let ready: Vec<_> = self.ready.drain(..self.ready.len().min(BATCH)).collect();
        let mut names = Vec::new();
        for &at in &ready {
            let Some(file) = self.files.get_mut(at) else { continue };
            names.push(file.name.clone());
            file.asked += 1;
            if let State::Ready(body) = &file.state {
                let body = body.clone();
                self.set(at, State::Asked(body));
            }
        }
        self.asking = true;
        Some(FileStep::Create(ready, names))
    }

    fn put(&mut self, at: usize) -> Option<FileStep> {
        let State::Placed(body, url, headers) = &self.files.get(at)?.state else { return None };
        let (body, target, headers) = (body.clone(), Target::Signed(url.clone()), headers.clone());
        self.set(at, State::Sending(body.clone()));
        Some(FileStep::Put(at, Request { kind: RequestKind::Upload, target, headers, body }))
    }

    pub(super) fn measured(
        &mut self,
        at: usize,
        found: Result<Measured, Unreadable>,
        ledger: &Ledger,
    ) {
        match found {
            Ok(found) => {
                let body = found.body(0, found.size);
                self.settle(at, found.size, found.md5_hex(), body, ledger);
            }
            Err(why) => self.set(at, State::Done(why.into())),
        }
    }

    /// It is known what a file holds.
    fn settle(&mut self, at: usize, size: u64, md5: String, body: Body, ledger: &Ledger) {
        let Some(file) = self.files.get_mut(at) else { return };
        let stored = ledger.files.get(&file.name);
        let unchanged = stored.filter(|mark| mark.md5 == md5 && mark.size == size);
        file.mark = Some(FileMark { md5, size, told: false });
        // An earlier sync may have been stopped before it could tell what it stored.
        if unchanged.is_some_and(|mark| !mark.told) {
            self.untold.push(file.name.clone());
        }
        self.set(
            at,
            match unchanged {
                Some(_) => State::Done(FileStatus::Unchanged),
                None => State::Ready(body),
            },
        );
    }

    /// The server has handed out URLs, or has not.
    pub(super) fn created(&mut self, asked: &[usize], answer: Result<RunFiles, String>) {
        self.asking = false;
        let (headers, mut urls, error) = match answer {
            Ok(found) => {
                let headers = found.headers();
                let urls = found.files.into_iter().map(|file| (file.name, file.url));
                (headers, urls.collect::<BTreeMap<_, _>>(), None)
            }
            Err(error) => (Vec::new(), BTreeMap::new(), Some(error)),
        };
        for &at in asked {
            let Some(file) = self.files.get(at) else { continue };
            let State::Asked(body) = &file.state else { continue };
            let state = match (&error, urls.remove(&file.name).flatten()) {
                (Some(error), _) => State::Done(FileStatus::Failed(error.clone())),
                (None, Some(url)) => State::Placed(body.clone(), url, headers.clone()),
                (None, None) => {
                    State::Done(FileStatus::Failed("the server gave no URL for it".into()))
                }
            };
            self.set(at, state);
        }
    }

    /// The answer to an upload, or why there is none.
    pub(super) fn sent(&mut self, at: usize, answer: &Result<Answer, String>, ledger: &mut Ledger) {
        let Some(file) = self.files.get(at) else { return };
        let State::Sending(body) = &file.state else { return };
        let state = match answer {
            Ok(answer) if answer.is_success() => {
                ledger.files.extend(file.mark.clone().map(|mark| (file.name.clone(), mark)));
                self.untold.push(file.name.clone());
                State::Done(FileStatus::Stored)
            }
            Ok(answer) if is_expired(answer.status) && file.asked < URLS_AT_MOST => {
                State::Ready(body.clone())
            }
            Ok(answer) => State::Done(FileStatus::Failed(format!(
                "the upload was answered {}",
                answer.status
            ))),
            Err(reason) => State::Done(FileStatus::Failed(reason.clone())),
        };
        self.set(at, state);
    }

    /// Whether nothing is left to do.
    pub(super) const fn is_done(&self) -> bool {
        self.unfinished == 0
    }

    /// The names of files stored since the last call, which the run's streams are to tell.
    pub(super) fn take_untold(&mut self) -> Vec<String> {
        std::mem::take(&mut self.untold)
    }

    pub(super) const fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// What became of the files that are done with since the last call.
    pub(super) fn take_settled(&mut self) -> Vec<FileReport> {
        let settled = std::mem::take(&mut self.settled);
        settled.iter().filter_map(|&at| self.files.get(at)).map(Upload::report).collect()
    }

    /// What became of the files so far, and those that the ledger has besides.
    pub(super) fn reports(&self, ledger: &Ledger) -> Vec<FileReport> {
        let others = ledger.files.iter().filter(|(name, _)| !self.by_name.contains_key(*name));
        self.files.iter().map(Upload::report).chain(others.map(FileReport::unchanged)).collect()
    }

    /// What is not stored, and why.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        self.files.iter().filter_map(|file| file.report().problem())
    }
}

impl Upload {
    fn report(&self) -> FileReport {
        FileReport {
            name: self.name.clone(),
            size: self.mark.as_ref().map(|mark| mark.size),
            md5: self.mark.as_ref().map(|mark| mark.md5.clone()),
            status: match &self.state {
                State::Done(status) => status.clone(),
                _ => FileStatus::Failed("not sent".into()),
            },
        }
    }
}

impl From<Unreadable> for FileStatus {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::Missing => Self::Missing,
            Unreadable::Refused(why) => Self::Refused(why),
            Unreadable::Failed(why) => Self::Failed(why),
        }
    }
}

/// The request for URLs.
pub(super) fn create_request(ledger: &Ledger, names: Vec<String>) -> Request {
    operations::CREATE_RUN_FILES.request(Value::from_iter([
        ("entity", Value::from(ledger.entity.as_str())),
        ("project", ledger.project.as_str().into()),
        ("run", ledger.run.as_str().into()),
        ("files", Value::Array(names.into_iter().map(Value::String).collect())),
    ]))
}

/// Whether a name stays below the directory it is relative to, on any system.
pub(crate) fn is_contained(name: &str) -> bool {
    let parts_fine = name.split(['/', '\\']).all(|part| !matches!(part, "" | "." | ".."));
    let drive = name.as_bytes().get(1) == Some(&b':');
    parts_fine && !drive && !name.contains('\0')
}

/// Statuses with which stores say that a signed URL has expired, or was never right.
pub(super) const fn is_expired(status: u16) -> bool {
    matches!(status, 400 | 401 | 403 | 404 | 410)
}

/// How often a URL is asked for.
pub(super) const URLS_AT_MOST: u32 = 4;

/// Uploads, and measurings, of a run at a time.
pub(super) const AT_ONCE: usize = 8;

/// Files in one request for URLs: few enough that the URLs do not expire before their turn.
const BATCH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["a", "media/images/x ?*[]1.png", "..a/b.", "code/a:b", "日/本"] {
            assert!(is_contained(name), "{name}");
        }
        for name in [
            "",
            "/etc/passwd",
            "..",
            "a/../b",
            "./a",
            "a//b",
            "..\\x",
            "\\\\host\\x",
            "C:\\x",
            "C:x",
            "a\0",
        ] {
            assert!(!is_contained(name), "{name:?}");
        }
    }
}
