//! gzip (RFC 1952) and zlib (RFC 1950), decompressed up to the very byte that is damaged.
//!
//! flate2's own readers forget what a call produced before it failed, which can be a quarter of a
//! megabyte; so the engine is driven by hand here.
//!
//! ```text
//! gzip = member+
//! member = 1f 8b 08 flags mtime(4) xfl os | extra? name? comment? crc16? | deflate | crc32 size(4)
//! ```

use super::SourceEnd;
use flate2::{Decompress, FlushDecompress, Status};
use std::io::{self, Read};

/// A decompressed stream. Its end is never an error: [`Self::end`] tells what it is.
pub(super) struct Inflate<R> {
    input: R,
    buffer: Box<[u8]>,
    start: usize,
    filled: usize,
    engine: Decompress,
    stage: Stage,
    is_gzip: bool,
    crc: crc32fast::Hasher,
    size: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Before a member of a gzip stream; the first one, or one of the others, of which there may be none.
    Header {
        first: bool,
    },
    Body,
    Trailer,
    End(SourceEnd),
}

/// The stream is over here, for this reason.
enum Stop {
    Io(io::Error),
    End(SourceEnd),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: Read> Inflate<R> {
    pub(super) fn gzip(input: R) -> Self {
        Self::new(input, true)
    }

    pub(super) fn zlib(input: R) -> Self {
        Self::new(input, false)
    }

    fn new(input: R, is_gzip: bool) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER_LEN].into(),
            start: 0,
            filled: 0,
            engine: Decompress::new(!is_gzip),
            stage: if is_gzip { Stage::Header { first: true } } else { Stage::Body },
            is_gzip,
            crc: crc32fast::Hasher::new(),
            size: 0,
        }
    }

    /// Why the stream is over, if it is.
    pub(super) const fn end(&self) -> SourceEnd {
        match self.stage {
            Stage::End(end) => end,
            _ => SourceEnd::Complete,
        }
    }

    fn step(&mut self, out: &mut [u8]) -> Result<usize, Stop> {
        match self.stage {
            Stage::Header { first } => {
                self.header(first)?;
                self.stage = Stage::Body;
                Ok(0)
            }
            Stage::Body => self.body(out),
            Stage::Trailer => {
                self.trailer()?;
                self.stage = Stage::Header { first: false };
                Ok(0)
            }
            Stage::End(end) => Err(Stop::End(end)),
        }
    }

    fn header(&mut self, first: bool) -> Result<(), Stop> {
        if !first && self.input()?.is_empty() {
            return Err(Stop::End(SourceEnd::Complete));
        }
        let fixed = self.bytes::<10>()?;
        let [0x1f, 0x8b, 8, flags, ..] = fixed else { return Err(Stop::End(SourceEnd::Damaged)) };
        if flags & EXTRA != 0 {
            let length = u16::from_le_bytes(self.bytes()?);
            for _ in 0..length {
                self.bytes::<1>()?;
            }
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && self.bytes()? != [0] {}
        }
        if flags & HEADER_CRC != 0 {
            self.bytes::<2>()?;
        }
        Ok(())
    }

    fn body(&mut self, out: &mut [u8]) -> Result<usize, Stop> {
        let at_end = self.input()?.is_empty();
        let input = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let before = (self.engine.total_in(), self.engine.total_out());
        let status = self.engine.decompress(input, out, FlushDecompress::None);
        let consumed = (self.engine.total_in() - before.0) as usize;
        let produced = (self.engine.total_out() - before.1) as usize;
        self.start += consumed;
        if self.is_gzip {
            self.crc.update(out.get(..produced).unwrap_or_default());
            self.size = self.size.wrapping_add(produced as u32);
        }
        self.stage = match status {
            Err(_) => Stage::End(SourceEnd::Damaged),
            Ok(Status::StreamEnd) if self.is_gzip => Stage::Trailer,
            Ok(Status::StreamEnd) => Stage::End(SourceEnd::Complete),
            Ok(_) if produced > 0 || (consumed > 0 && !at_end) => Stage::Body,
            Ok(_) if at_end => Stage::End(SourceEnd::Cut),
            // Neither took nor gave anything, though it was offered both.
            Ok(_) => Stage::End(SourceEnd::Damaged),
        };
        Ok(produced)
    }

    fn trailer(&mut self) -> Result<(), Stop> {
        let crc = std::mem::take(&mut self.crc).finalize();
        let stored = (u32::from_le_bytes(self.bytes()?), u32::from_le_bytes(self.bytes()?));
        if stored != (crc, std::mem::take(&mut self.size)) {
            return Err(Stop::End(SourceEnd::Damaged));
        }
        self.engine.reset(false);
        Ok(())
    }

    /// The compressed bytes at hand; empty only at their end.
    fn input(&mut self) -> io::Result<&[u8]> {
        while self.start == self.filled {
            match self.input.read(&mut self.buffer) {
                Ok(filled) => {
                    (self.start, self.filled) = (0, filled);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.buffer.get(self.start..self.filled).unwrap_or_default())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = *self.input()?.first().ok_or(Stop::End(SourceEnd::Cut))?;
            self.start += 1;
        }
        Ok(bytes)
    }
}

impl<R: Read> Read for Inflate<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.step(out) {
                Ok(0) => {}
                Ok(produced) => return Ok(produced),
                Err(Stop::Io(error)) => return Err(error),
                Err(Stop::End(end)) => {
                    self.stage = Stage::End(end);
                    return Ok(0);
                }
            }
        }
    }
}

const BUFFER_LEN: usize = 32 << 10;

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
