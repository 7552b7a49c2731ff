//! Events of an attempt with values that others stand between: read once, however many rounds they are for.

use super::attempt::{EventRun, walk};
use crate::error::{Error, Result};
use crate::event::{EventView, What};
use crate::framing::Span;
use crate::tfevents::RawEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The events of an attempt by the rounds in which values of theirs are wanted, in a temporary file.
#[derive(Debug)]
pub(super) struct LaterEvents {
    file: File,
    scratch: PathBuf,
    rounds: BTreeMap<usize, Vec<Kept>>,
    payload: Vec<u8>,
}

/// An event in the file.
#[derive(Clone, Copy, Debug)]
struct Kept {
    place: u64,
    span: Span,
    at: u64,
    length: usize,
}

impl LaterEvents {
    /// Reads the run. `round` says in which round a value of a tag at a step of the run is wanted, if in a later one;
    /// the file is made in `scratch`.
    pub(super) fn read(
        run: &EventRun,
        scratch: &Path,
        round: impl Fn(&str, i64) -> Option<usize>,
    ) -> Result<Self> {
        let failed = |error| Error::io("write a temporary file in", scratch, error);
        let mut file = BufWriter::new(tempfile::tempfile_in(scratch).map_err(failed)?);
        let mut rounds: BTreeMap<usize, Vec<Kept>> = BTreeMap::new();
        let mut at = 0;
        walk(&run.files, |place, event, raw| {
            let What::Summary(summary) = &event.what else { return Ok(()) };
            let wanted = summary.located().filter_map(|value| round(value.view.tag, event.step));
            let wanted: BTreeSet<usize> = wanted.collect();
            if wanted.is_empty() {
                return Ok(());
            }
            file.write_all(raw.payload).map_err(failed)?;
            let kept = Kept { place, span: raw.span, at, length: raw.payload.len() };
            wanted.into_iter().for_each(|round| rounds.entry(round).or_default().push(kept));
            at += raw.payload.len() as u64;
            Ok(())
        })?;
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok(Self { file, scratch: scratch.to_owned(), rounds, payload: Vec::new() })
    }

    /// Hands over the events of a round, with their places, in their order.
    pub(super) fn round(
        &mut self,
        round: usize,
        mut each: impl FnMut(u64, &EventView<'_>, &RawEvent<'_>) -> Result<()>,
    ) -> Result<()> {
        for Kept { place, span, at, length } in self.rounds.remove(&round).unwrap_or_default() {
            self.payload.resize(length, 0);
            let read = self.file.seek(SeekFrom::Start(at));
            read.and_then(|_| self.file.read_exact(&mut self.payload))
                .map_err(|error| Error::io("read a temporary file in", &self.scratch, error))?;
            let raw = RawEvent { span, payload: &self.payload, suspect: None };
            each(place, &raw.view()?, &raw)?;
        }
        Ok(())
    }
}
