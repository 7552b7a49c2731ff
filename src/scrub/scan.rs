//! The first pass: where the secrets are.

use super::files::{self, Found};
use super::report::{ScrubbedSecret, UnreadFile};
use crate::error::Result;
use crate::log::Repeated;
use crate::record::RawRecord;
use crate::rewrite::files_in;
use crate::secrets::{ConsoleScanner, ConsoleSecret, Secret, SecretKind, SecretScanner, fragment};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The secrets of a run, and what is to be changed where one record or file alone does not tell.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The first of them.
    pub(super) found: Vec<ScrubbedSecret>,
    pub(super) count: u64,
    /// What to change in console records, by their offsets.
    pub(super) console: HashMap<u64, Vec<Edit>>,
    /// The files that hold secrets, by their paths in the run directory, and what to change in them.
    pub(super) files: BTreeMap<PathBuf, Found>,
    pub(super) records: u64,
    pub(super) unread: Vec<UnreadFile>,
    pub(super) unread_count: u64,
    pub(super) gap_bytes: u64,
    pub(super) undecodable: u64,
}

/// A piece of a secret, and what takes its place: the mark, but for the later pieces of a split one.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) kind: Option<SecretKind>,
}

impl Scan {
    /// Scans a log, and the other files of its run directory.
    pub(super) fn of(log: &Repeated, dir: Option<&Path>, scanner: &SecretScanner) -> Result<Self> {
        let mut scan = Self::default();
        scan.log(log, scanner)?;
        if let Some(dir) = dir {
            scan.directory(dir, log.path(), scanner)?;
        }
        Ok(scan)
    }

    fn log(&mut self, log: &Repeated, scanner: &SecretScanner) -> Result<()> {
        let mut reader = log.reader()?;
        let mut console = ConsoleScanner::default();
        let mut numbers = HashMap::new();
        let mut number = 0;
        while let Some(record) = reader.next_record()? {
            number += 1;
            match record.body() {
                Ok(Some(body)) => match fragment(&body) {
                    Some((stream, text)) => {
                        numbers.insert(record.span.offset, number);
                        let found = console.write(scanner, record.span.offset, stream, text);
                        self.console(found, &mut numbers);
                    }
                    None => self.record(&record, number, scanner),
                },
                Ok(None) => self.record(&record, number, scanner),
                Err(_) => self.undecodable += 1,
            }
        }
        self.console(console.finish(scanner), &mut numbers);
        self.records = number;
        self.gap_bytes = reader.gaps().bytes();
        Ok(())
    }

    fn record(&mut self, record: &RawRecord<'_>, number: u64, scanner: &SecretScanner) {
        for secret in scanner.record(record.payload) {
            self.add(ScrubbedSecret {
                kind: secret.kind,
                file: None,
                record: Some(number),
                offset: Some(record.span.offset),
                field: secret.field,
                name: secret.name,
                masked: secret.masked,
            });
        }
    }

    fn console(&mut self, found: Vec<ConsoleSecret>, numbers: &mut HashMap<u64, u64>) {
        for ConsoleSecret { kind, masked, pieces } in found {
            let offset = pieces.first().map(|(record, _)| *record);
            self.add(ScrubbedSecret {
                kind,
                file: None,
                record: offset.and_then(|offset| numbers.get(&offset).copied()),
                offset,
                field: "console output".into(),
                name: String::new(),
                masked,
            });
            let mut kind = Some(kind);
            for (record, range) in pieces {
                let edit = Edit { range, kind: kind.take() };
                self.console.entry(record).or_default().push(edit);
            }
        }
        // Lines that go on for longer are scanned before.
        if numbers.len() > FRAGMENTS_NUMBERED {
            numbers.clear();
        }
    }

    fn directory(&mut self, dir: &Path, log: &Path, scanner: &SecretScanner) -> Result<()> {
        for name in files_in(dir)? {
            if Some(name.as_os_str()) == log.file_name() {
                continue;
            }
            match files::look(&dir.join(&name), scanner)? {
                Found::Nothing => {}
                Found::Unread(kind) => {
                    self.unread_count += 1;
                    if self.unread.len() < KEPT {
                        let file = name.to_string_lossy().into_owned();
                        self.unread.push(UnreadFile { file, kind });
                    }
                }
                found => {
                    let file = name.to_string_lossy().into_owned();
                    for mut secret in found.secrets() {
                        secret.file = Some(file.clone());
                        self.add(secret);
                    }
                    self.files.insert(name, found);
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, secret: ScrubbedSecret) {
        self.count += 1;
        if self.found.len() < KEPT {
            self.found.push(secret);
        }
    }
}

/// The text with the pieces replaced, which may come in any order but do not overlap.
pub(super) fn edited(text: &str, edits: &[Edit]) -> String {
    let mut sorted: Vec<_> = edits.iter().collect();
    sorted.sort_by_key(|edit| edit.range.start);
    let mut out = String::new();
    let mut done = 0;
    for Edit { range, kind } in sorted {
        out.push_str(text.get(done..range.start).unwrap_or_default());
        if let Some(kind) = kind {
            out.push_str(&Secret::mark(*kind));
        }
        done = range.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

const KEPT: usize = 1000;

/// Fragments whose record numbers are remembered.
const FRAGMENTS_NUMBERED: usize = 100_000;
