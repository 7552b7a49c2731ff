//! zstd (RFC 8878), decompressed as far as it goes.
//!
//! ruzstd's own reader holds back a window of bytes until a frame is over, which one that is cut off or
//! damaged never is. So its engine is driven block by block here, and a broken frame is ended with an empty
//! block, after which it hands out the rest.
//!
//! ```text
//! file  = (frame | skippable frame)+
//! frame = 28 b5 2f fd header block+ checksum(4)?          the last block says so
//! block = header(3: last 1 bit, type 2 bits, size 21 bits) data
//! ```

use super::SourceEnd;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, BufRead, BufReader, Read};

/// A decompressed stream. Its end is never an error: [`Self::end`] tells what it is.
pub(super) struct Unzstd<R> {
    input: Input<R>,
    /// Of the present frame.
    engine: FrameDecoder,
    stage: Stage,
    /// The largest window that is taken.
    window: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Before a frame; the first one, or one of the others, of which there may be none.
    Header {
        first: bool,
    },
    Body,
    /// The frame is broken; what was decoded of it is handed out.
    Broken(SourceEnd),
    End(SourceEnd),
}

/// The compressed bytes, and why there are no more of them.
struct Input<R> {
    stream: BufReader<R>,
    at_end: bool,
    failed: Option<io::Error>,
}

impl<R: Read> Unzstd<R> {
    pub(super) fn new(stream: R, window: u64) -> Self {
        let stream = BufReader::with_capacity(BUFFER_LEN, stream);
        let input = Input { stream, at_end: false, failed: None };
        Self { input, engine: FrameDecoder::new(), stage: Stage::Header { first: true }, window }
    }

    /// Why the stream is over, if it is.
    pub(super) const fn end(&self) -> SourceEnd {
        match self.stage {
            Stage::End(end) => end,
            _ => SourceEnd::Complete,
        }
    }

    fn header(&mut self, first: bool) -> io::Result<Stage> {
        if !first && self.input.stream.fill_buf()?.is_empty() {
            return Ok(Stage::End(SourceEnd::Complete));
        }
        // A used engine would set aside all of the window that the next frame claims.
        self.engine = FrameDecoder::new();
        self.engine.set_max_window_size(self.window);
        match self.engine.init(&mut self.input) {
            Ok(()) => Ok(Stage::Body),
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let length = u64::from(length);
                let skipped = io::copy(&mut self.input.by_ref().take(length), &mut io::sink())?;
                Ok(match skipped == length {
                    true => Stage::Header { first: false },
                    false => Stage::End(SourceEnd::Cut),
                })
            }
            Err(_) => self.input.end().map(Stage::End),
        }
    }

    fn body(&mut self) -> io::Result<Stage> {
        if self.engine.is_finished() {
            let stored = self.engine.get_checksum_from_data();
            let sound = stored.is_none() || stored == self.engine.get_calculated_checksum();
            return Ok(match sound {
                true => Stage::Header { first: false },
                false => Stage::End(SourceEnd::Damaged),
            });
        }
        let decoded =
            self.engine.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1));
        if decoded.is_ok() {
            return Ok(Stage::Body);
        }
        let end = self.input.end()?;
        // Should that fail too, a window of bytes is lost.
        let _ = self.engine.decode_blocks(EMPTY_LAST_BLOCK, BlockDecodingStrategy::All);
        Ok(Stage::Broken(end))
    }
}

impl<R: Read> Read for Unzstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            self.stage = match self.stage {
                Stage::End(_) => return Ok(0),
                Stage::Header { first } => self.header(first)?,
                Stage::Body | Stage::Broken(_) => match (self.engine.read(out)?, self.stage) {
                    (0, Stage::Broken(end)) => Stage::End(end),
                    (0, _) => self.body()?,
                    (read, _) => return Ok(read),
                },
            };
        }
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(out) {
            Ok(0) if !out.is_empty() => {
                self.at_end = true;
                Ok(0)
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
            read => read,
        }
    }
}

impl<R> Input<R> {
    /// Why decoding failed: since reading did, since there are no more bytes, or by what the bytes are.
    fn end(&mut self) -> io::Result<SourceEnd> {
        match self.failed.take() {
            Some(error) => Err(error),
            None if self.at_end => Ok(SourceEnd::Cut),
            None => Ok(SourceEnd::Damaged),
        }
    }
}

/// A raw block of no bytes that says it is the last, and a checksum, which nobody compares.
const EMPTY_LAST_BLOCK: &[u8] = &[1, 0, 0, 0, 0, 0, 0];

const BUFFER_LEN: usize = 32 << 10;
