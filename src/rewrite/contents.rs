//! What a log holds, in few bytes: to tell whether what was written is what was meant.

use super::splice::{Fate, splice};
use crate::checksum::Digest;
use crate::error::{Error, Result};
use crate::framing::Tail;
use crate::log::Reader;
use crate::tfevents::EventReader;
use crate::wire::{Fields, Malformed};
use std::borrow::Cow;
use std::io;
use std::path::Path;

/// The records of a file, counted and digested: all of each, but for the number of those that are numbered
/// anew, which follows from its place.
///
/// The digest, which is none of the checksums of the formats, goes on from record to record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    records: u64,
    bytes: u64,
    digest: Digest,
}

impl Contents {
    /// Adds a record with these fields, `num` aside if it is going to be another.
    #[inline]
    pub(crate) fn add(&mut self, fields: &[u8]) {
        self.add_digested(fields.len(), Digest::of(fields));
    }

    /// Adds a record of this length and digest.
    #[inline]
    pub(crate) fn add_digested(&mut self, length: usize, digest: Digest) {
        self.records += 1;
        self.bytes += length as u64;
        self.digest = self.digest.then(digest);
    }

    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// Reads the log `path` and compares it with what it should hold.
    pub(super) fn prove(&self, path: &Path) -> Result<()> {
        let mut reader = Reader::open(path)?;
        let mut found = Self::default();
        while let Some(record) = reader.next_record()? {
            let (num, fields) =
                split_num(record.payload).map_err(|error| record.malformed(error).at(path))?;
            found.add(&fields);
            if num != Some(found.records) {
                return Err(unlike(path, format!("record {} has another number", found.records)));
            }
        }
        self.compare(&found, reader.tail(), path)
    }

    /// As [`Self::prove`], for the payloads of an event file.
    pub(crate) fn prove_events(&self, path: &Path) -> Result<()> {
        let mut reader = EventReader::open(path)?;
        let mut found = Self::default();
        while let Some(event) = reader.next_event()? {
            found.add(event.payload);
        }
        self.compare(&found, reader.tail(), path)
    }

    /// Compares what a file should hold with what was `found` in it, up to its `tail`.
    pub(crate) fn compare(&self, found: &Self, tail: Option<Tail>, path: &Path) -> Result<()> {
        if found != self {
            let reason = format!(
                "{} records of {} bytes instead of {} of {}, or others",
                found.records, found.bytes, self.records, self.bytes
            );
            return Err(unlike(path, reason));
        }
        match tail {
            Some(tail) if tail.is_clean() => Ok(()),
            _ => Err(unlike(path, "it is cut off".into())),
        }
    }
}

fn unlike(path: &Path, reason: String) -> Error {
    let reason = format!("it does not read back as it was written: {reason}");
    Error::io("rely on the disk", path, io::Error::other(reason))
}

/// Parts a record's number from the rest of it.
#[inline]
pub(super) fn split_num(payload: &[u8]) -> Result<(Option<u64>, Cow<'_, [u8]>), Malformed> {
    let (mut num, mut behind, mut elsewhere) = (None, 0, false);
    let mut fields = Fields::new(payload);
    loop {
        let from = fields.consumed();
        let Some(field) = fields.next() else { break };
        let field = field?;
        if field.number == NUM {
            elsewhere |= from > 0;
            behind = fields.consumed();
            num = field.value.varint();
        }
    }
    if !elsewhere {
        return Ok((num, Cow::Borrowed(payload.get(behind..).unwrap_or_default())));
    }
    let mut rest = Vec::with_capacity(payload.len());
    splice(payload, &mut rest, |field, _| {
        Ok::<_, Malformed>(if field.number == NUM { Fate::Drop } else { Fate::Keep })
    })?;
    Ok((num, Cow::Owned(rest)))
}

/// `Record.num`.
pub(super) const NUM: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_parted_wherever_it_stands() {
        let split = |bytes| split_num(bytes).unwrap();
        assert_eq!(split(b"\x08\x07\x12\x01x"), (Some(7), Cow::Borrowed(&b"\x12\x01x"[..])));
        assert_eq!(split(b"\x12\x01x"), (None, Cow::Borrowed(&b"\x12\x01x"[..])));
        assert_eq!(split(b"\x12\x01x\x08\x07"), (Some(7), Cow::Borrowed(&b"\x12\x01x"[..])));
        assert!(split_num(b"\x12\x09x").is_err());
    }

    #[test]
    fn digests_tell_where_one_record_ends_and_the_next_begins() {
        let contents = |records: &[&[u8]]| {
            let mut contents = Contents::default();
            records.iter().for_each(|record| contents.add(record));
            contents
        };
        assert_ne!(contents(&[b"ab", b"c"]), contents(&[b"a", b"bc"]));
        assert_ne!(contents(&[b"", b"a"]), contents(&[b"a", b""]));
    }
}
