//! The files of a run: what its log names, and what is there.

use super::finding::{Place, Problem};
use super::media::Named;
use super::report::Findings;
use crate::io::{Unreachable, Within, sha256};
use crate::log::LogFile;
use crate::wire::{Fields, WireValue};
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Looks up the files that a log names.
#[derive(Debug)]
pub(super) struct FileCheck {
    files: Within,
    dir: PathBuf,
    /// Files named though there is no directory for them.
    named: u64,
    /// What was looked up already; beyond some number, files are looked up again.
    done: HashSet<String>,
}

impl FileCheck {
    pub(super) fn beside(log: &LogFile) -> Self {
        let dir = log.dir().to_owned();
        Self { files: Within::new(&dir.join("files")), dir, named: 0, done: HashSet::new() }
    }

    /// Looks up the files of a `FilesRecord`.
    pub(super) fn listed(&mut self, message: &[u8], place: &Place, findings: &mut Findings) {
        for item in strings(message, 1) {
            for path in strings(item, 1).filter_map(|path| std::str::from_utf8(path).ok()) {
                // The client's own, made when a run is synced.
                if !SYNCED.contains(&path) {
                    let named = Named { path, size: None, sha256: None };
                    self.named(&named, place, findings);
                }
            }
        }
    }

    /// Looks up a file, its size and its digest.
    pub(super) fn named(&mut self, file: &Named<'_>, place: &Place, findings: &mut Findings) {
        // A listing says less than the row that follows.
        let key = format!("{}{}", if file.sha256.is_some() { "#" } else { "" }, file.path);
        if self.done.contains(&key) {
            return;
        }
        if self.done.len() < REMEMBERED && key.len() <= LONGEST_REMEMBERED {
            self.done.insert(key);
        }
        let path = || file.path.to_owned();
        let problem = match self.files.open(file.path) {
            Err(Unreachable::Outside) => Some(Problem::OutsideFiles { path: path() }),
            Err(Unreachable::Missing) if !self.files.exists() => {
                self.named += 1;
                None
            }
            // Said already when it was listed.
            Err(_) if file.sha256.is_some() && self.done.contains(file.path) => None,
            Err(_) => Some(Problem::MissingFile { path: path() }),
            Ok((_, got)) if file.size.is_some_and(|want| want != got) => {
                Some(Problem::FileSize { path: path(), got, want: file.size.unwrap_or(0) })
            }
            Ok((open, _)) => {
                let differs = file.sha256.is_some_and(|want| {
                    sha256(open).is_ok_and(|got| !got.eq_ignore_ascii_case(want))
                });
                differs.then(|| Problem::FileDigest { path: path() })
            }
        };
        if let Some(problem) = problem {
            findings.add(place.clone(), problem);
        }
    }

    /// Looks up the files of an `ArtifactRecord`, which are outside of the run directory mostly. Only
    /// whether they are there and how large they are is looked at.
    pub(super) fn artifact(&self, message: &[u8], place: &Place, findings: &mut Findings) {
        let name = strings(message, 5).last().map(String::from_utf8_lossy).unwrap_or_default();
        let mut outside = 0;
        for entry in strings(message, 12).flat_map(|manifest| strings(manifest, 4)) {
            let Some(path) = strings(entry, 6).last().filter(|path| !path.is_empty()) else {
                continue;
            };
            let path = String::from_utf8_lossy(path);
            let want = number(entry, 4);
            let (artifact, path) = (name.clone().into_owned(), path.into_owned());
            let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file);
            outside += u64::from(found.is_some() && !self.holds(Path::new(&path)));
            let problem = match found {
                None => Problem::MissingArtifactFile { artifact, path },
                Some(found) if want.is_some_and(|want| want != found.len()) => {
                    let (got, want) = (found.len(), want.unwrap_or(0));
                    Problem::ArtifactFileSize { artifact, path, got, want }
                }
                Some(_) => continue,
            };
            findings.add(place.clone(), problem);
        }
        if outside > 0 {
            let artifact = name.into_owned();
            findings.add(place.clone(), Problem::ArtifactOutside { artifact, files: outside });
        }
    }

    /// Whether a file is in the run directory.
    fn holds(&self, path: &Path) -> bool {
        match (path.canonicalize(), self.dir.canonicalize()) {
            (Ok(path), Ok(dir)) => path.starts_with(dir),
            _ => false,
        }
    }

    /// Looks at the links under `files/`, and says if it is not there at all.
    pub(super) fn finish(&self, findings: &mut Findings) {
        if self.named > 0 {
            findings.add(Place::default(), Problem::NoFiles { named: self.named });
        }
        let files = self.dir.join("files");
        let Ok(dir) = self.dir.canonicalize() else { return };
        let entries = WalkDir::new(&files).min_depth(1).sort_by_file_name().into_iter();
        for entry in entries.filter_map(Result::ok) {
            if !entry.path_is_symlink() {
                continue;
            }
            let path = entry.path().strip_prefix(&files).unwrap_or_else(|_| entry.path());
            let path = path.to_string_lossy().into_owned();
            let target = entry.path().canonicalize();
            let problem = match target {
                Ok(target) if target.starts_with(&dir) => continue,
                Ok(target) => {
                    Problem::LinkOut { path, target: target.to_string_lossy().into_owned() }
                }
                Err(_) if self.done.contains(&path) => continue,
                Err(_) => Problem::MissingFile { path },
            };
            findings.add(Place::default(), problem);
        }
    }
}

/// The contents of each field of that number that is bytes.
fn strings(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let fields = Fields::new(message).map_while(Result::ok);
    fields.filter(move |field| field.number == number).filter_map(|field| field.value.bytes())
}

fn number(message: &[u8], number: u32) -> Option<u64> {
    let mut fields = Fields::new(message).map_while(Result::ok);
    fields.find_map(|field| match field.value {
        WireValue::Varint(value) if field.number == number => Some(value),
        _ => None,
    })
}

/// Files that `wandb sync` makes itself, and the client only in some releases.
const SYNCED: &[&str] = &["config.yaml", "wandb-metadata.json", "wandb-summary.json", "output.log"];

const REMEMBERED: usize = 100_000;

const LONGEST_REMEMBERED: usize = 4096;
