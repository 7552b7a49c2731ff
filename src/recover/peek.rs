//! What kinds of records were lost, from the damaged bytes themselves.
//!
//! Mostly a few bits of a record are wrong and the rest still says what it was. That is not proven by any
//! checksum; but where the bytes give a record a number, and it is one of those that are missing, the kind
//! next to it is right in all likelihood.

use super::report::Loss;
use crate::cursor::Cursor;
use crate::framing::block_log::CHUNK_HEADER_LEN;
use crate::io::{Source, skip};
use crate::record::RecordKind;
use std::io;
use std::ops::RangeInclusive;

/// Fills in the kinds of losses, whose bytes `file` has.
pub(super) fn fill_in(losses: &mut [Loss], mut file: impl Source) -> io::Result<()> {
    let mut at = 0;
    for loss in losses {
        let Some(first) = loss.first_number else { continue };
        skip(&mut file, loss.offset.saturating_sub(at))?;
        at = loss.offset;
        let length = usize::try_from(loss.length).map_or(LOOKED_AT, |length| length.min(LOOKED_AT));
        if file.window().len() < length {
            file.grow(length)?;
        }
        let bytes = file.window();
        let bytes = bytes.get(..length).unwrap_or(bytes);
        for kind in kinds(bytes, first..=loss.last_number.unwrap_or(i64::MAX)) {
            *loss.kinds.entry(kind.to_string()).or_default() += 1;
        }
    }
    Ok(())
}

/// The kinds of the records with these numbers, in bytes that begin with a chunk.
fn kinds(bytes: &[u8], numbers: RangeInclusive<i64>) -> Vec<RecordKind> {
    let (mut found, mut seen) = (Vec::new(), None);
    let mut rest = bytes;
    while let Some(&[_, _, _, _, low, high, kind]) = rest.first_chunk::<CHUNK_HEADER_LEN>() {
        let payload = rest.get(CHUNK_HEADER_LEN..).unwrap_or_default();
        if matches!(kind, FULL | FIRST)
            && let Some((number, kind)) = head(payload)
            && numbers.contains(&number)
            && seen.is_none_or(|seen| seen < number)
        {
            found.push(kind);
            seen = Some(number);
        }
        rest = payload.get(usize::from(u16::from_le_bytes([low, high]))..).unwrap_or_default();
    }
    found
}

/// Number and kind of the record that begins here, whose end need not be there.
fn head(payload: &[u8]) -> Option<(i64, RecordKind)> {
    let mut cursor = Cursor::new(payload);
    let mut number = None;
    loop {
        let tag = cursor.varint()?;
        let field = u32::try_from(tag >> 3).ok()?;
        match tag & 7 {
            0 if field == NUM => number = Some(cursor.varint()? as i64),
            2 => {
                if let (Some(number), Some(kind)) = (number, RecordKind::from_field(field)) {
                    return Some((number, kind));
                }
                let length = usize::try_from(cursor.varint()?).ok()?;
                cursor.take(length)?;
            }
            _ => return None,
        }
    }
}

const FULL: u8 = 1;
const FIRST: u8 = 2;

/// `Record.num`.
const NUM: u32 = 1;

/// More of one loss is not looked at.
const LOOKED_AT: usize = 1 << 20;
