//! Where bytes come from: a slice, or anything that implements [`Read`], such as a file that grows.

use std::io::{self, Read};

/// A window onto a stream of bytes that moves forward.
pub trait Source {
    /// The bytes at hand, from the current position on.
    fn window(&self) -> &[u8];

    /// Moves `n` bytes forward; at most the length of the window.
    fn consume(&mut self, n: usize);

    /// Tries to make the window at least `want` bytes long. `Ok(false)` says that no more bytes are
    /// there now; a file may have grown when asked again.
    ///
    /// # Errors
    /// What reading from the underlying stream fails with.
    fn grow(&mut self, want: usize) -> io::Result<bool>;

    /// How many bytes of a record may be held, given how few bytes they are made of; `None` if they are as they
    /// were stored.
    fn room(&self) -> Option<u64> {
        None
    }

    /// Why there are no more bytes, once [`Self::grow`] has said so.
    fn end(&self) -> SourceEnd {
        SourceEnd::Complete
    }
}

/// Moves up to `n` bytes forward, as far as there are bytes.
pub(crate) fn skip(source: &mut impl Source, mut n: u64) -> io::Result<()> {
    while n > 0 && (!source.window().is_empty() || source.grow(1)?) {
        let passed = usize::try_from(n).unwrap_or(usize::MAX).min(source.window().len());
        source.consume(passed);
        n -= passed as u64;
    }
    Ok(())
}

/// Why a source has no more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a driver must tell them apart")]
pub enum SourceEnd {
    /// These are all there are, as of now.
    Complete,
    /// They come out of a compressed stream that is cut off.
    Cut,
    /// They come out of a compressed stream that is damaged here.
    Damaged,
}

/// A slice as a source: its window is all of the rest.
#[derive(Clone, Debug)]
pub struct SliceSource<'a> {
    rest: &'a [u8],
}

impl<'a> SliceSource<'a> {
    /// A source at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl Source for SliceSource<'_> {
    #[inline]
    fn window(&self) -> &[u8] {
        self.rest
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.rest = self.rest.get(n..).unwrap_or_default();
    }

    fn grow(&mut self, _want: usize) -> io::Result<bool> {
        Ok(false)
    }
}

/// A stream as a source. It buffers, so the stream need not.
#[derive(Debug)]
pub struct StreamSource<R> {
    stream: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<R: Read> StreamSource<R> {
    /// A source at the current position of `stream`.
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, end: 0 }
    }

    /// The stream itself.
    pub const fn get_ref(&self) -> &R {
        &self.stream
    }

    /// Makes room behind the window once there is none left. The buffer at most doubles then, so a
    /// forged length costs no more memory than bytes really arrived; and the window moves to the front
    /// only when it is the smaller half, so that moving costs no more than was consumed.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end < self.buffer.len() {
            return;
        }
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        } else {
            let larger = (self.buffer.len() * 2).max(BUFFER_LEN);
            self.buffer.resize(larger, 0);
        }
    }
}

impl<R: Read> Source for StreamSource<R> {
    #[inline]
    fn window(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.start = self.end.min(self.start + n);
    }

    fn grow(&mut self, want: usize) -> io::Result<bool> {
        loop {
            self.make_room();
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.stream.read(free) {
                Ok(0) => return Ok(false),
                Ok(n) => self.end += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if self.end - self.start >= want {
                return Ok(true);
            }
        }
    }
}

/// Large enough that the system calls cost little beside the checksums.
const BUFFER_LEN: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_length_allocates_no_more_than_what_arrives() {
        let bytes = vec![7u8; 1000];
        let mut source = StreamSource::new(&bytes[..]);
        assert!(!source.grow(1 << 40).unwrap());
        assert_eq!(source.window().len(), 1000);
        assert_eq!(source.buffer.len(), BUFFER_LEN);
    }
}
