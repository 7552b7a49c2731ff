//! Event files that someone compressed: gzip or zlib around the whole file.
//!
//! Nothing in an event file says so, but its first twelve bytes, a length and the checksum of that
//! length, cannot match if they are those of a compressed stream.

use super::inflate::Inflate;
use crate::checksum::MaskedCrc32c;
use crate::cursor::Cursor;
use crate::framing::tfrecord::HEADER_LEN;
use crate::io::{Source, SourceEnd, StreamSource};
use std::fmt;
use std::io::{self, Chain, Read};

/// The bytes of an event file, decompressed on the way if they are gzip or zlib.
///
/// Decompression streams, so it costs no memory that grows with the file. Offsets count decompressed
/// bytes. What can be read in front of damage is read.
#[derive(Debug)]
pub struct EventSource<R> {
    stream: StreamSource<Stream<R>>,
}

impl<R: Read> EventSource<R> {
    /// A source at the current position of `stream`, which is that of its first byte.
    pub fn new(stream: R) -> Self {
        Self { stream: StreamSource::new(Stream::Start(stream)) }
    }

    /// Whether the bytes are not compressed; false until some were read.
    pub const fn is_plain(&self) -> bool {
        matches!(self.stream.get_ref(), Stream::Plain(_))
    }
}

impl<R: Read> Source for EventSource<R> {
    #[inline]
    fn window(&self) -> &[u8] {
        self.stream.window()
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.stream.consume(n);
    }

    fn grow(&mut self, want: usize) -> io::Result<bool> {
        self.stream.grow(want)
    }

    fn end(&self) -> SourceEnd {
        self.stream.get_ref().end()
    }
}

/// A stream whose first bytes were looked at.
type Sniffed<R> = Chain<io::Cursor<Vec<u8>>, R>;

enum Stream<R> {
    Start(R),
    Plain(Sniffed<R>),
    Compressed(Box<Inflate<Sniffed<R>>>),
    /// Looking at the first bytes failed.
    Failed,
}

impl<R: Read> Stream<R> {
    fn start(&mut self) -> io::Result<()> {
        match std::mem::replace(self, Self::Failed) {
            Self::Start(mut stream) => {
                let mut head = Vec::with_capacity(HEADER_LEN);
                stream.by_ref().take(HEADER_LEN as u64).read_to_end(&mut head)?;
                let form = Form::of(&head);
                let sniffed = io::Cursor::new(head).chain(stream);
                *self = match form {
                    Form::Plain => Self::Plain(sniffed),
                    Form::Gzip => Self::Compressed(Box::new(Inflate::gzip(sniffed))),
                    Form::Zlib => Self::Compressed(Box::new(Inflate::zlib(sniffed))),
                };
            }
            started => *self = started,
        }
        Ok(())
    }

    fn end(&self) -> SourceEnd {
        match self {
            Self::Compressed(stream) => stream.end(),
            _ => SourceEnd::Complete,
        }
    }
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self, Self::Start(_)) {
            self.start()?;
        }
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Compressed(stream) => stream.read(buffer),
            Self::Start(_) | Self::Failed => Ok(0),
        }
    }
}

impl<R> fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start(_) => "Start",
            Self::Plain(_) => "Plain",
            Self::Compressed(_) => "Compressed",
            Self::Failed => "Failed",
        })
    }
}

enum Form {
    Plain,
    Gzip,
    Zlib,
}

impl Form {
    fn of(head: &[u8]) -> Self {
        let mut cursor = Cursor::new(head);
        if let (Some(length), Some(stored)) = (cursor.u64_le(), cursor.u32_le())
            && MaskedCrc32c::of(&length.to_le_bytes()).0 == stored
        {
            return Self::Plain;
        }
        match *head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // The header of zlib is a multiple of 31; 8 is deflate, the only method there is.
            [first, second, ..]
                if first & 0x8f == 8
                    && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31) =>
            {
                Self::Zlib
            }
            _ => Self::Plain,
        }
    }
}
