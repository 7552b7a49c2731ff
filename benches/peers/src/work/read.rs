//! Works that read a log, and what they are held against.

use super::Clock;
use anyhow::{Result, ensure};
use rustc_hash::FxHashMap;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use wandb_offline::Reader;
use wandb_offline::record::{HistoryView, RecordKind};
use wandb_offline::run;

/// `Reader`: cuts the file into records and verifies their checksums.
pub(super) fn frames(log: &Path) -> Result<()> {
    let clock = Clock::start();
    let mut reader = Reader::open(log)?;
    while let Some(record) = reader.next_record()? {
        black_box(record.payload);
    }
    clock.stop();
    Ok(())
}

/// The same from memory, as little as it can be: a header of checksum, length and type before each chunk,
/// none of which crosses the end of a block.
pub(super) fn frames_by_hand(log: &Path) -> Result<()> {
    const FILE_HEADER: usize = 7;
    const BLOCK: usize = 32 << 10;
    const HEADER: usize = 7;
    let bytes = fs::read(log)?;
    let clock = Clock::start();
    let mut at = FILE_HEADER;
    while at + HEADER <= bytes.len() {
        let left = BLOCK - at % BLOCK;
        if left < HEADER {
            at += left;
            continue;
        }
        let stored = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let length = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        let end = at + HEADER + length;
        ensure!(crc32fast::hash(&bytes[at + 6..end]) == stored, "byte {at}: damage");
        black_box(&bytes[at + HEADER..end]);
        at = end;
    }
    clock.stop();
    Ok(())
}

/// One checksum over all bytes of the file, in memory.
pub(super) fn crc(log: &Path) -> Result<()> {
    let bytes = fs::read(log)?;
    let clock = Clock::start();
    black_box(crc32fast::hash(&bytes));
    clock.stop();
    Ok(())
}

/// The file, read into a buffer again and again.
pub(super) fn read(log: &Path) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let clock = Clock::start();
    let mut file = File::open(log)?;
    while file.read(&mut buffer)? > 0 {
        black_box(&buffer);
    }
    clock.stop();
    Ok(())
}

/// The payloads of a log's rows, each a whole `Record`.
fn payloads(log: &Path) -> Result<Vec<Vec<u8>>> {
    let mut payloads = Vec::new();
    let mut reader = Reader::open(log)?;
    while let Some(record) = reader.next_record()? {
        if record.kind()? == Some(RecordKind::History) {
            payloads.push(record.payload.to_vec());
        }
    }
    Ok(payloads)
}

/// The bodies of a log's rows, each a `HistoryRecord`.
fn bodies(log: &Path) -> Result<Vec<Vec<u8>>> {
    let mut bodies = Vec::new();
    let mut reader = Reader::open(log)?;
    while let Some(record) = reader.next_record()? {
        if let Some(body) = record.body()?
            && body.kind == RecordKind::History
        {
            bodies.push(body.message.to_vec());
        }
    }
    Ok(bodies)
}

/// This crate's view of a row.
pub(super) fn view(log: &Path) -> Result<()> {
    let bodies = bodies(log)?;
    let clock = Clock::start();
    for body in &bodies {
        for item in HistoryView::new(body).items() {
            black_box(item?);
        }
    }
    clock.stop();
    Ok(())
}

/// What prost makes of the same rows.
pub(super) fn prost(log: &Path) -> Result<()> {
    use prost::Message;
    use wandb_offline::proto::wandb_internal::HistoryRecord;
    let bodies = bodies(log)?;
    let clock = Clock::start();
    for body in &bodies {
        black_box(HistoryRecord::decode(&body[..])?);
    }
    clock.stop();
    Ok(())
}

/// What a walk by hand makes of them: keys and values, UTF-8 like those of the view.
pub(super) fn walk(log: &Path) -> Result<()> {
    let payloads = payloads(log)?;
    let clock = Clock::start();
    for payload in &payloads {
        items(payload, |key, value| {
            black_box((std::str::from_utf8(key)?, std::str::from_utf8(value)?));
            Ok(())
        })?;
    }
    clock.stop();
    Ok(())
}

/// This crate's columns.
pub(super) fn columns(log: &Path) -> Result<()> {
    let clock = Clock::start();
    black_box(run::Columns::read(log)?);
    clock.stop();
    Ok(())
}

/// Columns of floats by hand: what is no float is not kept, keys come as in the first row or are looked up.
pub(super) fn columns_by_hand(log: &Path) -> Result<()> {
    let clock = Clock::start();
    let mut numbers: FxHashMap<Vec<u8>, usize> = FxHashMap::default();
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let mut reader = Reader::open(log)?;
    while let Some(record) = reader.next_record()? {
        items(record.payload, |key, value| {
            let number = match numbers.get(key) {
                Some(number) => *number,
                None => {
                    numbers.insert(key.to_vec(), columns.len());
                    columns.push(Vec::new());
                    columns.len() - 1
                }
            };
            if let Ok(value) = std::str::from_utf8(value)?.parse() {
                columns[number].push(value);
            }
            Ok(())
        })?;
    }
    black_box(columns);
    clock.stop();
    Ok(())
}

/// `Reader`, and every record decoded by prost.
pub(super) fn read_prost(log: &Path) -> Result<()> {
    let clock = Clock::start();
    let mut reader = Reader::open(log)?;
    while let Some(record) = reader.next_record()? {
        black_box(record.decode()?);
    }
    clock.stop();
    Ok(())
}

/// Calls `each` with the key and the JSON of every item of a record, if it is a row.
#[inline]
fn items<'a>(
    record: &'a [u8],
    mut each: impl FnMut(&'a [u8], &'a [u8]) -> Result<()>,
) -> Result<()> {
    const HISTORY: u64 = 2;
    const ITEM: u64 = 1;
    const NESTED_KEY: u64 = 2;
    const VALUE_JSON: u64 = 16;
    for (_, row) in Fields(record).filter(|(number, _)| *number == HISTORY) {
        for (_, item) in Fields(row).filter(|(number, _)| *number == ITEM) {
            let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
            for (number, bytes) in Fields(item) {
                match number {
                    NESTED_KEY => key = bytes,
                    VALUE_JSON => value = bytes,
                    _ => {}
                }
            }
            each(key, value)?;
        }
    }
    Ok(())
}

/// The fields of a message: numbers, and the bytes of those that have bytes. Ends at what is none.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let length = match tag & 7 {
            0 => {
                self.varint()?;
                0
            }
            1 => 8,
            2 => self.varint()? as usize,
            5 => 4,
            _ => return None,
        };
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((tag >> 3, bytes))
    }
}

impl Fields<'_> {
    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
