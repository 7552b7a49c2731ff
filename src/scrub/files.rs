//! Secrets in the files of a run directory.

use super::report::{ScrubbedSecret, Unread};
use super::scan::Edit;
use super::utf16;
use crate::error::{Error, Result};
use crate::json::Value;
use crate::secrets::{
    ConsoleScanner, ConsoleSecret, RecordSecret, Secret, SecretKind, SecretScanner,
};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// What a file holds.
#[derive(Debug)]
pub(super) enum Found {
    /// No secret, or it cannot be read, as a link that leads nowhere.
    Nothing,
    /// No text that can be looked into.
    Unread(Unread),
    /// Secrets in text in UTF-16, which is small enough to be walked whole.
    Utf16(Vec<ScrubbedSecret>),
    /// Secrets in text: what they are, and where, in order.
    Text(Vec<(String, Edit)>),
    /// Secrets in JSON, which is small enough to be walked whole.
    Json(Vec<RecordSecret>),
}

impl Found {
    pub(super) fn secrets(&self) -> Vec<ScrubbedSecret> {
        match self {
            Self::Nothing | Self::Unread(_) => Vec::new(),
            Self::Utf16(found) => found.clone(),
            Self::Text(found) => {
                let begun = found.iter().filter_map(|(masked, edit)| {
                    let offset = Some(edit.range.start as u64);
                    Some(secret(edit.kind?, offset, String::new(), masked.clone()))
                });
                begun.collect()
            }
            Self::Json(found) => {
                let found = found.iter();
                let named =
                    found.map(|one| secret(one.kind, None, one.name.clone(), one.masked.clone()));
                named.collect()
            }
        }
    }
}

fn secret(kind: SecretKind, offset: Option<u64>, name: String, masked: String) -> ScrubbedSecret {
    let (file, record, field) = (None, None, String::new());
    ScrubbedSecret { kind, file, record, offset, field, name, masked }
}

/// Looks for secrets in a file, following a link to it.
pub(super) fn look(path: &Path, scanner: &SecretScanner) -> Result<Found> {
    let Ok(found) = fs::metadata(path) else { return Ok(Found::Nothing) };
    if found.is_dir() {
        return Ok(Found::Unread(Unread::Linked));
    }
    if !found.is_file() {
        return Ok(Found::Nothing);
    }
    let read = |error| Error::io("read", path, error);
    if let Some(text) = json(path, found.len()).map_err(read)? {
        let scrubbed = scanner.scrub_json(&text);
        return Ok(scrubbed.map_or(Found::Nothing, |(_, secrets)| Found::Json(secrets)));
    }
    if let Some(text) = utf16::read(path, found.len()).map_err(read)? {
        let found = scanner.text(&text.text);
        let found: Vec<_> = found
            .iter()
            .map(|one| secret(one.kind, None, String::new(), one.masked(&text.text)))
            .collect();
        return Ok(if found.is_empty() { Found::Nothing } else { Found::Utf16(found) });
    }
    let mut file = File::open(path).map_err(read)?;
    scan(&mut file, scanner).map_err(read)
}

/// Writes the file without its secrets to `out`.
pub(super) fn write(
    path: &Path,
    found: &Found,
    scanner: &SecretScanner,
    out: &mut impl Write,
) -> io::Result<()> {
    if let (Found::Utf16(_), Some(text)) = (found, utf16::read(path, 0)?) {
        return text.with(&scanner.scrub(&text.text)).write(out);
    }
    let Found::Text(edits) = found else {
        let text = fs::read_to_string(path)?;
        let scrubbed = scanner.scrub_json(&text).map(|(scrubbed, _)| scrubbed);
        return out.write_all(scrubbed.unwrap_or(text).as_bytes());
    };
    let mut file = BufReader::new(File::open(path)?);
    let mut at = 0;
    for (_, Edit { range, kind }) in edits {
        let between = range.start.saturating_sub(at) as u64;
        io::copy(&mut file.by_ref().take(between), out)?;
        if let Some(kind) = kind {
            out.write_all(Secret::mark(*kind).as_bytes())?;
        }
        io::copy(&mut file.by_ref().take(range.len() as u64), &mut io::sink())?;
        at = range.end;
    }
    io::copy(&mut file, out)?;
    Ok(())
}

/// The text of a file that is JSON and can be walked whole.
fn json(path: &Path, length: u64) -> io::Result<Option<String>> {
    let named = path.extension().is_some_and(|extension| extension == "json");
    if !named || length > LARGEST_JSON {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST_JSON).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).ok();
    Ok(text.filter(|text| Value::parse(text).is_ok()))
}

/// Scans a text piece by piece. Bytes that are no text stand for one odd character each.
fn scan(file: &mut File, scanner: &SecretScanner) -> io::Result<Found> {
    let mut lines = ConsoleScanner::default();
    let mut edits = Vec::new();
    let mut buffer = vec![0; PIECE_LEN];
    let mut offset = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        if offset == 0
            && let Some(unread) = Unread::of(piece)
        {
            return Ok(Found::Unread(unread));
        }
        let mut text = String::with_capacity(read);
        for chunk in piece.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| '\u{1a}'));
        }
        take(lines.write(scanner, offset, 0, &text), &mut edits);
        offset += read as u64;
    }
    take(lines.finish(scanner), &mut edits);
    Ok(if edits.is_empty() { Found::Nothing } else { Found::Text(edits) })
}

fn take(found: Vec<ConsoleSecret>, edits: &mut Vec<(String, Edit)>) {
    for ConsoleSecret { kind, masked, pieces } in found {
        let mut kind = Some(kind);
        for (piece, range) in pieces {
            let from = piece as usize;
            let range = from + range.start..from + range.end;
            edits.push((masked.clone(), Edit { range, kind: kind.take() }));
        }
    }
}

const PIECE_LEN: usize = 32 << 10;

/// A larger one is read as text.
const LARGEST_JSON: u64 = 16 << 20;
