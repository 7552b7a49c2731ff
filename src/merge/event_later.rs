//! Events of an attempt with values that others stand between: read once, however many rounds they are for.

use super::attempt::EventRun;
use super::spool::{Spool, Stored};
use crate::error::Result;
use crate::event::{EventView, What};
use crate::framing::Span;
use crate::tfevents::RawEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The events of an attempt by the rounds in which values of theirs are wanted, in a temporary file.
#[derive(Debug)]
pub(super) struct LaterEvents {
    spool: Spool,
    rounds: BTreeMap<usize, Vec<Kept>>,
}

/// An event in the file.
#[derive(Clone, Copy, Debug)]
struct Kept {
    place: u64,
    span: Span,
    stored: Stored,
}

impl LaterEvents {
    /// Reads the run. `round` says in which round a value of a tag at a step of the run is wanted, if in a later one;
    /// the file is made in `scratch`.
    pub(super) fn read(
        run: &EventRun,
        scratch: &Path,
        round: impl Fn(&str, i64) -> Option<usize>,
    ) -> Result<Self> {
        let mut spool = Spool::new(scratch)?;
        let mut rounds: BTreeMap<usize, Vec<Kept>> = BTreeMap::new();
        run.again(|place, event, raw| {
            let What::Summary(summary) = &event.what else { return Ok(()) };
            let wanted = summary.located().filter_map(|value| round(value.view.tag, event.step));
            let wanted: BTreeSet<usize> = wanted.collect();
            if wanted.is_empty() {
                return Ok(());
            }
            let kept = Kept { place, span: raw.span, stored: spool.add(raw.payload)? };
            wanted.into_iter().for_each(|round| rounds.entry(round).or_default().push(kept));
            Ok(())
        })?;
        Ok(Self { spool, rounds })
    }

    /// Hands over the events of a round, with their places, in their order.
    pub(super) fn round(
        &mut self,
        round: usize,
        mut each: impl FnMut(u64, &EventView<'_>, &RawEvent<'_>) -> Result<()>,
    ) -> Result<()> {
        for Kept { place, span, stored } in self.rounds.remove(&round).unwrap_or_default() {
            let raw = RawEvent { span, payload: self.spool.get(stored)?, suspect: None };
            each(place, &raw.view()?, &raw)?;
        }
        Ok(())
    }
}
