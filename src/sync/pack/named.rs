//! What has to be packed with a log: what the plan would ask for.

use crate::error::{Error, Result};
use crate::framing::TailKind;
use crate::io::{Compression, GapReport};
use crate::log::Reader;
use crate::proto::wandb_internal::ArtifactRecord;
use crate::record::RecordKind;
use crate::run::RunState;
use crate::sync::local::{LocalFiles, text as text_of};
use crate::sync::plan::{LocalFile, Unreadable, entries, is_generated, staged_files};
use crate::sync::report::{FileReport, FileStatus};
use crate::sync::upload::damage;
use prost::Message;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a log names.
#[derive(Debug, Default)]
pub(in crate::sync) struct Named {
    /// How many bytes of the log hold whole records; all of it, if it is compressed.
    pub(super) length: u64,
    /// Files below the run's `files/`, and files of artifacts.
    pub(super) files: Vec<LocalFile>,
    /// What was passed over.
    gaps: GapReport,
    /// Whether the run has ended.
    has_end: bool,
}

impl Named {
    /// Reads a log, past damage. The lists of files that it names are among `files`.
    pub(in crate::sync) fn by(log: &Path, files: &LocalFiles) -> Result<Self> {
        let length = length(log)?;
        let mut reader = Reader::options().lenient(true).open(log)?;
        let mut run = RunState::keeping(0, &crate::Limits::DEFAULT);
        let mut staged = BTreeSet::new();
        while let Some(record) = reader.next_record()? {
            // What is no message is no message on the other side, either, and told there.
            let Ok(Some(body)) = record.body() else { continue };
            match body.kind {
                RecordKind::Files | RecordKind::Exit => _ = run.apply(&record),
                RecordKind::Artifact => {
                    if let Ok(artifact) = ArtifactRecord::decode(&*body.message) {
                        staged.extend(self::staged(artifact, files));
                    }
                }
                _ => {}
            }
        }
        let length = match (length, reader.tail()) {
            (None, Some(tail)) if tail.kind != TailKind::Empty => tail.offset,
            (length, _) => length.unwrap_or(0),
        };
        let files = run.files().iter().map(|file| LocalFile::Run(file.path.clone()));
        let files = files.chain(staged.into_iter().map(LocalFile::Staged)).collect();
        let has_end = run.exit().is_some();
        Ok(Self { length, files, gaps: reader.gaps().clone(), has_end })
    }

    /// Where the files are, and what is wrong with the others, unless it is known that they need not be there.
    pub(super) fn located(
        &self,
        files: &LocalFiles,
        is_known: impl Fn(&LocalFile) -> bool,
    ) -> (Vec<(LocalFile, PathBuf)>, Vec<String>) {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for file in &self.files {
            match files.find(file) {
                Ok(path) => found.push((file.clone(), path)),
                Err(Unreadable::Missing) if is_generated(name(file)) || is_known(file) => {}
                Err(why @ Unreadable::Missing) if matches!(file, LocalFile::Staged(_)) => {
                    problems.push(why.reason(&format!("{} of an artifact", name(file))));
                }
                Err(why) => {
                    let (name, status) = (name(file).to_owned(), FileStatus::from(why));
                    problems.extend(FileReport { name, size: None, md5: None, status }.problem());
                }
            }
        }
        (found, problems)
    }

    /// What will keep an upload from being whole, as far as that is known here.
    pub(in crate::sync) fn obstacles(&self, files: &LocalFiles, finish: bool) -> Vec<String> {
        let damaged = self.gaps.is_lossy().then(|| damage(&self.gaps));
        let open = !self.has_end && !finish;
        let open = open
            .then(|| "the log has no end: its run would be left open; --finish ends it".to_owned());
        let missing = self.located(files, |_| false).1;
        damaged.into_iter().chain(open).chain(missing).collect()
    }
}

/// The name of a file in reports.
pub(super) fn name(file: &LocalFile) -> &str {
    match file {
        LocalFile::Run(name) | LocalFile::Staged(name) => name,
        LocalFile::Console => "output.log",
    }
}

/// The paths of an artifact's files. If they are in a list of their own, that is one of them; what is wrong with
/// it is told when it is sent.
fn staged(mut artifact: ArtifactRecord, files: &LocalFiles) -> Vec<String> {
    let manifest = artifact.manifest.get_or_insert_default();
    let list = Some(manifest.manifest_file_path.clone()).filter(|path| !path.is_empty());
    let text = list.clone().and_then(|path| files.find(&LocalFile::Staged(path)).ok());
    let text = text.and_then(|path| text_of(&path).ok());
    if let Some(listed) = text.and_then(|text| entries(&text).ok()) {
        manifest.contents = listed;
    }
    let paths = staged_files(&artifact).map(|(_, path)| path.to_owned());
    paths.chain(list).collect()
}

/// The length of a log that is compressed. Any other may grow, and what matters is how far it is read.
fn length(log: &Path) -> Result<Option<u64>> {
    let failed = |error| Error::io("read", log, error);
    let mut file = File::open(log).map_err(failed)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut head).map_err(failed)?;
    Ok(match Compression::by_magic(&head) {
        Compression::Plain => None,
        _ => Some(file.metadata().map_err(failed)?.len()),
    })
}

/// Bytes that tell whether a file is compressed.
const HEAD: u64 = 4;
