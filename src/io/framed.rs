//! The one loop that drives a decoder over a source.

use super::{Source, SourceEnd};
use crate::error::{Error, Result};
use crate::framing::{Decoder, Fault, FaultKind, Gap, Next, Span, Tail, TailKind};
use crate::limits::Limits;
use std::ops::Range;
use std::path::PathBuf;

/// A decoder, the source it reads, and what came of it so far.
#[derive(Debug)]
pub struct Framed<D, S> {
    decoder: D,
    source: S,
    path: Option<PathBuf>,
    lenient: bool,
    following: bool,
    /// Bytes the last step was done with; dropped only at the next one, since its event points there.
    pending: usize,
    /// A record of several pieces, put together.
    assembly: Vec<u8>,
    gaps: GapReport,
    tail: Option<Tail>,
    failed: Option<Fault>,
}

/// A record, and what there is to know about it.
pub(crate) struct InContext<'a, D> {
    pub(crate) span: Span,
    pub(crate) payload: &'a [u8],
    /// The record with its framing, if it stands in one piece.
    pub(crate) framed: Option<&'a [u8]>,
    pub(crate) decoder: &'a D,
    /// What was passed over up to it.
    pub(crate) gaps: &'a GapReport,
}

enum Found {
    Window(Range<usize>),
    Assembly,
}

impl<D: Decoder, S: Source> Framed<D, S> {
    /// Drives `decoder` over `source`.
    pub fn new(decoder: D, source: S, limits: &Limits) -> Self {
        Self {
            decoder,
            source,
            path: None,
            lenient: false,
            following: false,
            pending: 0,
            assembly: Vec::new(),
            gaps: GapReport::keeping(limits),
            tail: None,
            failed: None,
        }
    }

    /// Names the file in errors.
    #[must_use]
    pub fn named(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Passes over damage and reports it, instead of failing at it.
    #[must_use]
    pub const fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Takes the end of the source for the end so far: what is unfinished there is never given up.
    #[must_use]
    pub const fn following(mut self, following: bool) -> Self {
        self.following = following;
        self
    }

    /// Switches following on or off for the records to come.
    pub const fn set_following(&mut self, following: bool) {
        self.following = following;
    }

    /// The next record, `None` at the end. May be asked again when the source may have grown.
    ///
    /// # Errors
    /// What reading fails with; at damage, unless lenient, the fault, which is final.
    pub fn next_record(&mut self) -> Result<Option<(Span, &[u8])>> {
        Ok(self.next_with_decoder()?.map(|(span, payload, _)| (span, payload)))
    }

    /// The next record, and the decoder for what it has to say about it.
    ///
    /// # Errors
    /// As for [`Self::next_record`].
    pub fn next_with_decoder(&mut self) -> Result<Option<(Span, &[u8], &D)>> {
        let found = self.next_in_context()?;
        Ok(found.map(|found| (found.span, found.payload, found.decoder)))
    }

    /// The next record in its surroundings.
    #[inline]
    pub(crate) fn next_in_context(&mut self) -> Result<Option<InContext<'_, D>>> {
        if let Some(fault) = self.failed {
            return Err(self.named_error(fault.into()));
        }
        let Some((span, found)) = self.advance()? else { return Ok(None) };
        let window = self.source.window();
        let (payload, framed) = match found {
            Found::Window(range) => {
                let from =
                    usize::try_from(span.length).ok().and_then(|n| self.pending.checked_sub(n));
                (window.get(range), from.and_then(|from| window.get(from..self.pending)))
            }
            Found::Assembly => (Some(self.assembly.as_slice()), None),
        };
        let (decoder, gaps) = (&self.decoder, &self.gaps);
        Ok(payload.map(|payload| InContext { span, payload, framed, decoder, gaps }))
    }

    fn advance(&mut self) -> Result<Option<(Span, Found)>> {
        self.tail = None;
        let mut at_end = false;
        loop {
            self.source.consume(std::mem::take(&mut self.pending));
            let window = self.source.window();
            let step = self.decoder.step(window, at_end && !self.following);
            self.pending = step.consumed;
            match step.next {
                Next::Piece(piece) => {
                    let bytes = window.get(piece.payload.clone()).unwrap_or_default();
                    let whole = piece.first && piece.last;
                    if !whole {
                        if piece.first {
                            self.assembly.clear();
                        }
                        self.assembly.extend_from_slice(bytes);
                        if let Some(room) = self.source.room() {
                            self.decoder.limit(room);
                        }
                    }
                    if piece.last {
                        let length = self.decoder.position() - piece.record;
                        let span = Span { offset: piece.record, length };
                        let found =
                            if whole { Found::Window(piece.payload) } else { Found::Assembly };
                        return Ok(Some((span, found)));
                    }
                }
                Next::Gap(gap) => self.pass_over(gap)?,
                Next::More(want) => {
                    let left = window.len() - step.consumed;
                    if want <= left {
                        continue;
                    }
                    if at_end {
                        self.source.consume(std::mem::take(&mut self.pending));
                        self.end()?;
                        return Ok(None);
                    }
                    self.source.consume(std::mem::take(&mut self.pending));
                    at_end = !self.source.grow(want).map_err(|error| {
                        Error::io("read", self.path.clone().unwrap_or_default(), error)
                    })?;
                }
            }
        }
    }

    /// Takes down how the source ends. What a compressed stream still held behind damage is not known,
    /// so the gap it leaves has no length.
    fn end(&mut self) -> Result<()> {
        let mut tail = self.decoder.tail(self.source.window());
        let end = self.source.end();
        if end != SourceEnd::Complete {
            tail.kind = TailKind::Compressed;
        }
        if end == SourceEnd::Damaged {
            let offset = tail.offset + tail.length;
            let fault = Fault { offset, kind: FaultKind::Compressed };
            self.pass_over(Gap { offset, length: 0, fault })?;
        }
        self.tail = Some(tail);
        Ok(())
    }

    fn pass_over(&mut self, gap: Gap) -> Result<()> {
        self.assembly.clear();
        if !self.lenient || gap.fault.kind.is_foreign() {
            self.failed = Some(gap.fault);
            return Err(self.named_error(gap.fault.into()));
        }
        self.gaps.add(gap);
        Ok(())
    }

    fn named_error(&self, error: Error) -> Error {
        match &self.path {
            Some(path) => error.at(path),
            None => error,
        }
    }

    /// The file's name, if it was given.
    pub const fn path(&self) -> Option<&PathBuf> {
        self.path.as_ref()
    }

    /// The decoder.
    pub const fn decoder(&self) -> &D {
        &self.decoder
    }

    /// The source.
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// What was passed over so far.
    pub const fn gaps(&self) -> &GapReport {
        &self.gaps
    }

    /// How the source ends, as of the last time [`Self::next_record`] answered `None`.
    pub const fn tail(&self) -> Option<Tail> {
        self.tail
    }
}

/// The damage a lenient reader passed over.
#[derive(Clone, Debug, Default)]
pub struct GapReport {
    gaps: Vec<Gap>,
    kept_at_most: usize,
    count: u64,
    bytes: u64,
    end: u64,
}

impl GapReport {
    /// An empty report that keeps as many gaps as the limits say.
    pub(crate) fn keeping(limits: &Limits) -> Self {
        Self { kept_at_most: limits.gaps_kept, ..Self::default() }
    }

    /// Adds a gap; one that touches the gap before it is part of that one.
    pub(crate) fn add(&mut self, gap: Gap) {
        self.bytes = self.bytes.saturating_add(gap.length);
        let touches = self.count > 0 && self.end == gap.offset;
        self.end = gap.end();
        if touches {
            if self.count == self.gaps.len() as u64
                && let Some(last) = self.gaps.last_mut()
            {
                last.length = gap.end() - last.offset;
            }
            return;
        }
        self.count += 1;
        if self.gaps.len() < self.kept_at_most {
            self.gaps.push(gap);
        }
    }

    /// The gaps in file order; at most [`Limits::gaps_kept`] of them.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// How many gaps there are, also those not kept.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// How many bytes they take together.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether anything was passed over.
    pub const fn is_lossy(&self) -> bool {
        self.count > 0
    }
}
