//! Files that someone compressed: gzip, zstd or zlib around the whole file.
//!
//! Nothing in such a file says of what format its content is, and nothing in the formats that they may be
//! compressed. The first bytes tell.

use super::inflate::Inflate;
#[cfg(feature = "zstd")]
use super::unzstd::Unzstd;
use super::{Source, SourceEnd, StreamSource};
use crate::limits::Limits;
use std::fmt;
use std::io::{self, Chain, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes of a file, decompressed on the way if they are compressed.
///
/// Decompression streams: it takes no memory that grows with the file, for gzip and zlib some 64 KiB, for zstd
/// as much as the window the file was compressed with, up to [a limit](Limits::zstd_window), and only as its bytes
/// arrive. Offsets count decompressed bytes. What can be read in front of damage is read.
///
/// zstd needs the feature `zstd`; without it such a file is an error that says so.
#[derive(Debug)]
pub struct Unpacked<R> {
    stream: StreamSource<Stream<R>>,
    /// How many bytes were read of the file.
    packed: Arc<AtomicU64>,
}

/// Tells from the first bytes of a file, at most [`HEAD_LEN`], whether and how it is compressed.
pub(crate) type Sniff = fn(&[u8]) -> Compression;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Plain,
    Gzip,
    Zlib,
    Zstd,
}

impl Compression {
    /// By the magic numbers of gzip and zstd.
    pub(crate) const fn by_magic(head: &[u8]) -> Self {
        match *head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            // A skippable frame may come first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}

impl<R: Read> Unpacked<R> {
    /// A source at the current position of `stream`, which is that of its first byte.
    pub(crate) fn new(stream: R, sniff: Sniff) -> Self {
        Self::within(stream, sniff, &Limits::DEFAULT)
    }

    /// The same, with other limits.
    pub(crate) fn within(stream: R, sniff: Sniff, limits: &Limits) -> Self {
        let packed = Arc::new(AtomicU64::new(0));
        let stream = Counted { stream, count: packed.clone() };
        let stream = StreamSource::new(Stream::Start(stream, sniff, limits.zstd_window));
        Self { stream, packed }
    }

    /// Whether the bytes are not compressed; false until some were read.
    pub const fn is_plain(&self) -> bool {
        matches!(self.stream.get_ref(), Stream::Plain(_))
    }
}

impl<R: Read> Source for Unpacked<R> {
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

    fn room(&self) -> Option<u64> {
        let by_size = || self.packed.load(Ordering::Relaxed).saturating_mul(MOST_TIMES);
        (!self.is_plain()).then(|| by_size().max(ALWAYS_ROOM))
    }

    fn end(&self) -> SourceEnd {
        self.stream.get_ref().end()
    }
}

/// A file whose bytes are counted.
struct Counted<R> {
    stream: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A stream whose first bytes were looked at.
type Sniffed<R> = Chain<io::Cursor<Vec<u8>>, Counted<R>>;

enum Stream<R> {
    /// With the largest window that is taken.
    Start(Counted<R>, Sniff, u64),
    Plain(Sniffed<R>),
    Inflate(Box<Inflate<Sniffed<R>>>),
    #[cfg(feature = "zstd")]
    Unzstd(Box<Unzstd<Sniffed<R>>>),
    /// Looking at the first bytes failed.
    Failed,
}

impl<R: Read> Stream<R> {
    fn start(&mut self) -> io::Result<()> {
        match std::mem::replace(self, Self::Failed) {
            Self::Start(mut stream, sniff, window) => {
                let mut head = Vec::with_capacity(HEAD_LEN);
                stream.by_ref().take(HEAD_LEN as u64).read_to_end(&mut head)?;
                let form = sniff(&head);
                let sniffed = io::Cursor::new(head).chain(stream);
                *self = match form {
                    Compression::Plain => Self::Plain(sniffed),
                    Compression::Gzip => Self::Inflate(Box::new(Inflate::gzip(sniffed))),
                    Compression::Zlib => Self::Inflate(Box::new(Inflate::zlib(sniffed))),
                    #[cfg(feature = "zstd")]
                    Compression::Zstd => Self::Unzstd(Box::new(Unzstd::new(sniffed, window))),
                    #[cfg(not(feature = "zstd"))]
                    Compression::Zstd => {
                        let _ = window;
                        return Err(io::Error::new(io::ErrorKind::Unsupported, NO_ZSTD));
                    }
                };
            }
            started => *self = started,
        }
        Ok(())
    }

    fn end(&self) -> SourceEnd {
        match self {
            Self::Inflate(stream) => stream.end(),
            #[cfg(feature = "zstd")]
            Self::Unzstd(stream) => stream.end(),
            _ => SourceEnd::Complete,
        }
    }
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(self, Self::Start(..)) {
            self.start()?;
        }
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Inflate(stream) => stream.read(buffer),
            #[cfg(feature = "zstd")]
            Self::Unzstd(stream) => stream.read(buffer),
            Self::Start(..) | Self::Failed => Ok(0),
        }
    }
}

impl<R> fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start(..) => "Start",
            Self::Plain(_) => "Plain",
            Self::Inflate(_) => "Inflate",
            #[cfg(feature = "zstd")]
            Self::Unzstd(_) => "Unzstd",
            Self::Failed => "Failed",
        })
    }
}

/// Records of a compressed file may be so many times as long as what was read of the file.
const MOST_TIMES: u64 = 1024;

/// Records of that many bytes may be, however well they are compressed.
const ALWAYS_ROOM: u64 = 64 << 20;

/// So many of a file's first bytes are looked at.
pub(crate) const HEAD_LEN: usize = 12;

#[cfg(not(feature = "zstd"))]
const NO_ZSTD: &str = "it is compressed with zstd, which takes the crate's feature `zstd`; \
                       decompress it with `zstd -d`";
