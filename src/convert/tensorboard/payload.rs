//! Values that are too large to carry along: where they stand, so that they can be read again.
//!
//! While the files are read, a value that is no single number becomes a point that says where in its
//! file the value begins. When its row is written, it is read again. What cannot be found again by a
//! position, in compressed files and in messages that came in parts, is kept in an unnamed temporary
//! file.

use super::points::Point;
use super::scratch::Scratch;
use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::event::ValueView;
use crate::limits::Limits;
use crate::wire;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The files of a run as far as values are to be read again.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: Vec<Source>,
    spool: Option<Spool>,
}

#[derive(Debug)]
struct Source {
    /// No point that comes from this file has a lower number.
    first_seq: u64,
    path: PathBuf,
}

#[derive(Debug)]
struct Spool {
    file: File,
    directory: PathBuf,
    length: u64,
}

impl Sources {
    /// From here on points come from this file, and are numbered from `first_seq` on.
    pub(super) fn begin(&mut self, path: &Path, first_seq: u64) {
        self.files.push(Source { first_seq, path: path.to_owned() });
    }

    /// Keeps a value, a `Summary.Value`, and returns what its point is to say.
    pub(super) fn keep(&mut self, value: &[u8], scratch: &Scratch) -> Result<u64> {
        let failed = |error| Error::io("write a temporary file in", &scratch.directory, error);
        let spool = match &mut self.spool {
            Some(spool) => spool,
            None => self.spool.insert(Spool {
                file: scratch.file()?,
                directory: scratch.directory.clone(),
                length: 0,
            }),
        };
        let at = spool.length;
        let mut field = Vec::new();
        wire::put_length(&mut field, VALUE, value.len());
        spool.file.write_all(&field).and_then(|()| spool.file.write_all(value)).map_err(failed)?;
        spool.length += (field.len() + value.len()) as u64;
        Ok(at | SPOOLED)
    }

    /// Ready to read values again.
    pub(super) const fn finish(self) -> Payloads {
        Payloads { sources: self, open: Vec::new(), value: Vec::new() }
    }
}

/// Reads values again.
#[derive(Debug)]
pub(super) struct Payloads {
    sources: Sources,
    /// The files used last, the latest at the end.
    open: Vec<Open>,
    value: Vec<u8>,
}

#[derive(Debug)]
struct Open {
    /// Which file; `None` for the spool.
    file: Option<usize>,
    reader: BufReader<File>,
    position: u64,
}

impl Payloads {
    /// Reads the value a point stands for, and hands it on.
    pub(super) fn with<T>(
        &mut self,
        point: &Point,
        take: impl FnOnce(&ValueView<'_>) -> T,
    ) -> Result<T> {
        let files = &self.sources.files;
        let (mut file, mut path) = (None, PathBuf::new());
        if point.bits & SPOOLED == 0 {
            let after = files.partition_point(|file| file.first_seq <= point.seq);
            let at = after.saturating_sub(1);
            file = Some(at);
            path = files.get(at).map(|file| file.path.clone()).unwrap_or_default();
        } else if let Some(spool) = &self.sources.spool {
            path = spool.directory.clone();
        }
        let mut value = std::mem::take(&mut self.value);
        let whole = self.open(file).and_then(|open| match open {
            Some(open) => open.read(point.bits & !SPOOLED, &mut value),
            None => Ok(false),
        });
        self.value = value;
        let whole = whole.map_err(|error| Error::io("read again", &path, error))?;
        match ValueView::from_message(&self.value) {
            Ok(value) if whole => Ok(take(&value)),
            _ => Err(Error::misuse("it changed while it was being converted").at(path)),
        }
    }

    /// The reader of a file; it is the last of the open ones afterwards.
    fn open(&mut self, file: Option<usize>) -> io::Result<Option<&mut Open>> {
        if self.open.last().is_none_or(|open| open.file != file) {
            let entry = match self.open.iter().position(|open| open.file == file) {
                Some(at) => self.open.remove(at),
                None => {
                    let source = file.and_then(|file| self.sources.files.get(file));
                    let mut handle = match (source, &self.sources.spool) {
                        (Some(source), _) => File::open(&source.path)?,
                        (None, Some(spool)) => spool.file.try_clone()?,
                        (None, None) => return Ok(None),
                    };
                    handle.seek(SeekFrom::Start(0))?;
                    let reader = BufReader::with_capacity(BUFFER_LEN, handle);
                    Open { file, reader, position: 0 }
                }
            };
            if self.open.len() >= MOST_OPEN {
                self.open.remove(0);
            }
            self.open.push(entry);
        }
        Ok(self.open.last_mut())
    }
}

impl Open {
    /// Reads the bytes of the field at this offset; `false` if there is none.
    fn read(&mut self, offset: u64, value: &mut Vec<u8>) -> io::Result<bool> {
        value.clear();
        self.go(offset)?;
        let mut head = Vec::with_capacity(HEAD_LEN as usize);
        self.reader.by_ref().take(HEAD_LEN).read_to_end(&mut head)?;
        self.position += head.len() as u64;
        let mut cursor = Cursor::new(&head);
        let (Some(_), Some(length)) = (cursor.varint(), cursor.varint()) else { return Ok(false) };
        if length > Limits::DEFAULT.record_len {
            return Ok(false);
        }
        self.go(offset + (head.len() - cursor.rest().len()) as u64)?;
        self.reader.by_ref().take(length).read_to_end(value)?;
        self.position += value.len() as u64;
        Ok(value.len() as u64 == length)
    }

    /// Moves there, within the buffer if it reaches that far.
    fn go(&mut self, offset: u64) -> io::Result<()> {
        self.reader.seek_relative(offset.wrapping_sub(self.position) as i64)?;
        self.position = offset;
        Ok(())
    }
}

/// `Summary.value`.
const VALUE: u32 = 1;
/// Set in what a point says if the value is in the spool, not in its file.
const SPOOLED: u64 = 1 << 63;
/// The longest key and length there are.
const HEAD_LEN: u64 = 15;
const MOST_OPEN: usize = 16;
const BUFFER_LEN: usize = 32 << 10;
