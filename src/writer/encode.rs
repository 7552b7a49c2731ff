//! A committed row as the bodies of its two records.
//!
//! The summary and the history record of a row mostly hold the same bytes: `SummaryItem` and
//! `HistoryItem` have the same field numbers for path and value, and both lists are field 1. They part
//! ways at a null, which the summary does not take, and at a metric whose summary is not simply its
//! last value; from there on the summary has bytes of its own.

use super::metrics::Metrics;
use super::row::{Leaf, PendingRow};
use super::slots::{RUNTIME, Role, STEP, SlotId, Slots, TIMESTAMP, WANDB_RUNTIME};
use crate::json::{put_i64, put_u64};
use crate::wire;
use std::time::Duration;

/// When and where a row was committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) step: u64,
    /// Since the run started.
    pub(super) elapsed: Duration,
    /// Unix time in microseconds.
    pub(super) timestamp: u64,
}

/// Encodes rows, in buffers that are kept.
#[derive(Debug, Default)]
pub(super) struct RowEncoder {
    /// The items of the history record; also those of the summary, as long as they are the same.
    items: Vec<u8>,
    /// The items of the summary, once they are not.
    summary: Vec<u8>,
    diverged: bool,
    /// The summary's item of whole seconds, if they have changed.
    seconds_item: Vec<u8>,
    seconds: Option<u64>,
    step: Vec<u8>,
    text: Vec<u8>,
}

impl RowEncoder {
    /// The body of the summary record, in two parts.
    pub(super) fn summary(&self) -> [&[u8]; 2] {
        [if self.diverged { &self.summary } else { &self.items }, &self.seconds_item]
    }

    /// The body of the history record, in two parts.
    pub(super) fn history(&self) -> [&[u8]; 2] {
        [&self.items, &self.step]
    }

    /// Encodes the pending row.
    pub(super) fn encode(
        &mut self,
        pending: &mut PendingRow,
        slots: &mut Slots,
        metrics: &mut Metrics,
        moment: Moment,
    ) {
        self.items.clear();
        self.summary.clear();
        self.diverged = false;
        let logged = pending.cells.len();
        let mut own_timestamp = true;
        let mut place = 0;
        while let Some(cell) = pending.cells.get(place) {
            if slots.get(cell.slot).is_some_and(|slot| !slot.resolved) {
                metrics.apply(slots, cell.slot);
            }
            let Some(slot) = slots.get_mut(cell.slot) else { break };
            own_timestamp &= slot.role != Role::Timestamp;
            let step = slot.step.filter(|_| place < logged);
            let text = pending.cells.text(cell);
            slot.tracker.see(cell.leaf, text);
            let from = self.items.len();
            put_item(&mut self.items, &slot.path, text);
            if cell.leaf == Leaf::Null {
                self.diverge(from);
            } else if !slot.tracker.is_plain() {
                self.diverge(from);
                self.text.clear();
                slot.tracker.put_summary(&mut self.text, text);
                if !self.text.is_empty() {
                    put_item(&mut self.summary, &slot.path, &self.text);
                }
            } else {
                self.follow(from);
            }
            if let Some(step) = step {
                add_step(step, pending, slots);
            }
            place += 1;
        }
        self.put_own_items(own_timestamp, moment);
    }

    fn put_own_items(&mut self, timestamp: bool, moment: Moment) {
        let from = self.items.len();
        if timestamp {
            self.put_micros(TIMESTAMP, moment.timestamp);
        }
        self.put_micros(RUNTIME, moment.elapsed.as_micros() as u64);
        self.text.clear();
        put_u64(&mut self.text, moment.step);
        put_item(&mut self.items, STEP, &self.text);
        self.follow(from);

        self.step.clear();
        let empty = moment.step == 0;
        // Present and empty means step 0.
        wire::put_length(
            &mut self.step,
            STEP_FIELD,
            if empty { 0 } else { 1 + wire::varint_len(moment.step) },
        );
        if !empty {
            wire::put_uint(&mut self.step, 1, moment.step);
        }

        self.seconds_item.clear();
        let seconds = moment.elapsed.as_secs();
        if self.seconds.replace(seconds) != Some(seconds) {
            self.text.clear();
            put_u64(&mut self.text, seconds);
            put_item(&mut self.seconds_item, WANDB_RUNTIME, &self.text);
        }
    }

    fn put_micros(&mut self, path: &[u8], micros: u64) {
        self.text.clear();
        put_seconds(&mut self.text, micros);
        put_item(&mut self.items, path, &self.text);
    }

    /// Gives the summary bytes of its own, which so far are the items before `from`.
    fn diverge(&mut self, from: usize) {
        if !std::mem::replace(&mut self.diverged, true) {
            self.summary.extend_from_slice(self.items.get(..from).unwrap_or_default());
        }
    }

    /// Lets the summary have the items from `from` on too.
    #[inline]
    fn follow(&mut self, from: usize) {
        if self.diverged {
            self.summary.extend_from_slice(self.items.get(from..).unwrap_or_default());
        }
    }
}

/// Puts the last value of a step metric into the row, if the row lacks it.
fn add_step(id: SlotId, pending: &mut PendingRow, slots: &mut Slots) {
    let Some(slot) = slots.get_mut(id) else { return };
    if slot.row != pending.generation {
        (slot.row, slot.place) = (pending.generation, pending.cells.len());
        pending.cells.push(id, |out| slot.tracker.put_last_number(out));
    }
}

/// Appends an item of a history or summary record.
#[inline]
fn put_item(out: &mut Vec<u8>, path: &[u8], text: &[u8]) {
    let value = 2 + wire::varint_len(text.len() as u64) + text.len();
    wire::put_length(out, ITEM_FIELD, path.len() + value);
    out.extend_from_slice(path);
    wire::put_bytes(out, VALUE_JSON_FIELD, text);
}

/// Appends microseconds as seconds: a float, with as many digits as it takes.
fn put_seconds(out: &mut Vec<u8>, micros: u64) {
    put_u64(out, micros / 1_000_000);
    // The leading 1 keeps the zeroes behind the point; the point takes its place.
    let point = out.len();
    put_i64(out, (1_000_000 + micros % 1_000_000) as i64);
    if let Some(byte) = out.get_mut(point) {
        *byte = b'.';
    }
    while out.len() > point + 2 && out.last() == Some(&b'0') {
        out.pop();
    }
}

const ITEM_FIELD: u32 = 1;
const STEP_FIELD: u32 = 2;
const VALUE_JSON_FIELD: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_read_as_seconds() {
        for (micros, want) in [
            (0, "0.0"),
            (1, "0.000001"),
            (1_500_000, "1.5"),
            (10_000_000, "10.0"),
            (1_795_486_107_832_818, "1795486107.832818"),
        ] {
            let mut out = Vec::new();
            put_seconds(&mut out, micros);
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }
}
