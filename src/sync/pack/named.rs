//! What has to be packed with a log: what the plan would ask for.

use crate::error::{Error, Result};
use crate::framing::TailKind;
use crate::io::Compression;
use crate::log::Reader;
use crate::proto::wandb_internal::ArtifactRecord;
use crate::record::RecordKind;
use crate::run::RunState;
use crate::sync::local::{LocalFiles, text as text_of};
use crate::sync::plan::{LocalFile, entries, staged_files};
use prost::Message;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What a log names.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// How many bytes of the log hold whole records; all of it, if it is compressed.
    pub(super) length: u64,
    /// Files below the run's `files/`, and files of artifacts.
    pub(super) files: Vec<LocalFile>,
}

impl Named {
    /// Reads a log, past damage. The lists of files that it names are among `files`.
    pub(super) fn by(log: &Path, files: &LocalFiles) -> Result<Self> {
        let length = length(log)?;
        let mut reader = Reader::options().lenient(true).open(log)?;
        let mut run = RunState::keeping(0, &crate::Limits::DEFAULT);
        let mut staged = BTreeSet::new();
        while let Some(record) = reader.next_record()? {
            // What is no message is no message on the other side, either, and told there.
            let Ok(Some(body)) = record.body() else { continue };
            match body.kind {
                RecordKind::Files => _ = run.apply(&record),
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
        Ok(Self { length, files: files.chain(staged.into_iter().map(LocalFile::Staged)).collect() })
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
