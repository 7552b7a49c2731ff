//! Event files that someone compressed: gzip or zlib around the whole file.
//!
//! Nothing in an event file says so, but its first twelve bytes, a length and the checksum of that
//! length, cannot match if they are those of a compressed stream.

use crate::checksum::MaskedCrc32c;
use crate::cursor::Cursor;
use crate::framing::tfrecord::HEADER_LEN;
use crate::io::{Source, SourceEnd, StreamSource};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use std::fmt;
use std::io::{self, Chain, Read};

/// The bytes of an event file, decompressed on the way if they are gzip or zlib.
///
/// Decompression streams, so it costs no memory that grows with the file. Offsets count decompressed
/// bytes. What can be read in front of damage is read.
#[derive(Debug)]
pub struct EventSource<R: Read> {
    stream: StreamSource<Stream<R>>,
}

impl<R: Read> EventSource<R> {
    /// A source at the current position of `stream`, which is that of its first byte.
    pub fn new(stream: R) -> Self {
        Self {
            stream: StreamSource::new(Stream {
                state: State::Start(stream),
                end: SourceEnd::Complete,
            }),
        }
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
        self.stream.get_ref().end
    }
}

struct Stream<R: Read> {
    state: State<R>,
    end: SourceEnd,
}

/// A stream whose first bytes were looked at.
type Sniffed<R> = Chain<io::Cursor<Vec<u8>>, R>;

enum State<R: Read> {
    Start(R),
    Plain(Sniffed<R>),
    Gzip(Box<MultiGzDecoder<Sniffed<R>>>),
    Zlib(Box<ZlibDecoder<Sniffed<R>>>),
    /// Looking at the first bytes failed.
    Failed,
}

impl<R: Read> Stream<R> {
    fn start(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Start(mut stream) => {
                let mut head = Vec::with_capacity(HEADER_LEN);
                stream.by_ref().take(HEADER_LEN as u64).read_to_end(&mut head)?;
                let form = Form::of(&head);
                let sniffed = io::Cursor::new(head).chain(stream);
                self.state = match form {
                    Form::Plain => State::Plain(sniffed),
                    Form::Gzip => State::Gzip(Box::new(MultiGzDecoder::new(sniffed))),
                    Form::Zlib => State::Zlib(Box::new(ZlibDecoder::new(sniffed))),
                };
            }
            state => self.state = state,
        }
        Ok(())
    }
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self.state, State::Start(_)) {
            self.start()?;
        }
        if self.end != SourceEnd::Complete {
            return Ok(0);
        }
        let read = match &mut self.state {
            State::Plain(stream) => return stream.read(buffer),
            State::Gzip(stream) => stream.read(buffer),
            State::Zlib(stream) => stream.read(buffer),
            State::Start(_) | State::Failed => return Ok(0),
        };
        read.or_else(|error| {
            self.end = match error.kind() {
                io::ErrorKind::UnexpectedEof => SourceEnd::Cut,
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => SourceEnd::Damaged,
                _ => return Err(error),
            };
            Ok(0)
        })
    }
}

impl<R: Read> fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::Start(_) => "Start",
            State::Plain(_) => "Plain",
            State::Gzip(_) => "Gzip",
            State::Zlib(_) => "Zlib",
            State::Failed => "Failed",
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
