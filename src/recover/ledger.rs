//! The accounts of a recovery: every byte of the input belongs to a record or to a loss.

use super::form::Facts;
use super::report::{Format, Loss, Recovered};
use crate::error::Error;
use crate::framing::block_log::{CHUNK_HEADER_LEN, FILE_HEADER};
use crate::framing::{Span, Tail};
use crate::io::GapReport;

/// Keeps the accounts while records come by.
#[derive(Debug)]
pub(super) struct Ledger {
    report: Recovered,
    /// What is being lost since the last record that was taken over.
    open: Option<Loss>,
    /// Where the last record, whole or not, ended.
    end: u64,
    gaps_seen: u64,
    number: i64,
    step: Option<i64>,
    /// The first of the losses whose next step has not come yet.
    stepless: usize,
}

impl Ledger {
    pub(super) const fn new(format: Format) -> Self {
        let report = Recovered {
            format,
            records: 0,
            copies: 0,
            restarts: 0,
            missing: 0,
            finished: false,
            lost_ranges: 0,
            lost_bytes: 0,
            losses: Vec::new(),
        };
        let end = match format {
            Format::Log => FILE_HEADER.len() as u64,
            Format::Events => 0,
        };
        Self { report, open: None, end, gaps_seen: 0, number: 0, step: None, stepless: 0 }
    }

    /// A record begins; what stands before it was passed over.
    pub(super) fn pass(&mut self, span: Span, gaps: &GapReport) {
        self.add_gaps(gaps, span.offset);
        let passed = span.offset.saturating_sub(self.end);
        if self.open.is_none() && passed >= CHUNK_HEADER_LEN as u64 {
            // The decoder says nothing of zeroes that fill a block. Whether they stand in the place of
            // records shows in the next number.
            self.lose(self.end, span.offset, || ZEROES.to_owned());
        }
    }

    /// The record is whole, but not what it should be.
    pub(super) fn leave_out(&mut self, span: Span, error: &Error) {
        self.lose(span.offset, span.offset + span.length, || error.to_string());
        self.end = span.offset + span.length;
    }

    /// The record was taken over before.
    pub(super) fn copy(&mut self, span: Span) {
        self.report.copies += 1;
        self.end = span.offset + span.length;
    }

    /// The record is taken over.
    pub(super) fn take(&mut self, span: Span, facts: &Facts) {
        let (before, number) = (self.number, facts.number);
        let missing = (before < number && (before > 0 || self.report.records == 0))
            .then(|| (before.saturating_add(1), number.saturating_sub(1)))
            .filter(|(first, last)| first <= last);
        self.report.restarts += u64::from(number > 0 && number <= before);
        match (self.open.take(), missing) {
            (Some(loss), None) if loss.cause == ZEROES && number > 0 && number == before + 1 => {}
            (Some(loss), missing) => self.close(Loss {
                first_number: missing.map(|(first, _)| first),
                last_number: missing.map(|(_, last)| last),
                ..loss
            }),
            (None, Some((first, last))) => {
                self.report.missing = self.report.missing.saturating_add(last.abs_diff(first) + 1);
            }
            (None, None) => {}
        }
        self.report.records += 1;
        self.number = number;
        self.end = span.offset + span.length;
        if facts.step.is_some() {
            self.step = facts.step;
            for loss in self.report.losses.iter_mut().skip(self.stepless) {
                loss.next_step = facts.step;
            }
            self.stepless = self.report.losses.len();
        }
    }

    /// The file ends.
    pub(super) fn end(&mut self, gaps: &GapReport, tail: Option<Tail>) {
        self.add_gaps(gaps, tail.map_or(self.end, |tail| tail.offset));
        if let Some(tail) = tail.filter(|tail| !tail.is_clean()) {
            self.lose(tail.offset, tail.offset + tail.length, || tail.to_string());
        }
        if let Some(loss) = self.open.take() {
            let next = self.number.checked_add(1).filter(|_| self.number > 0);
            self.close(Loss { first_number: next, ..loss });
        }
    }

    /// A record is added at the end; its number, if records are numbered.
    pub(super) fn add(&mut self) -> Option<u64> {
        self.report.finished = true;
        u64::try_from(self.number).ok().filter(|number| *number > 0).map(|number| number + 1)
    }

    /// Whether no record was taken over.
    pub(super) const fn is_empty(&self) -> bool {
        self.report.records == 0
    }

    pub(super) fn into_report(self) -> Recovered {
        self.report
    }

    /// Takes down the gaps since the last time, all of which end at or before `end`.
    fn add_gaps(&mut self, gaps: &GapReport, end: u64) {
        let new = gaps.count() - self.gaps_seen;
        if new == 0 {
            return;
        }
        let kept = gaps.gaps().get(self.gaps_seen as usize..).unwrap_or_default();
        for gap in kept {
            self.lose(gap.offset, gap.end(), || gap.fault.to_string());
        }
        if (kept.len() as u64) < new {
            self.lose(self.end, end, || "damaged".to_owned());
        }
        self.gaps_seen = gaps.count();
    }

    fn lose(&mut self, from: u64, to: u64, cause: impl FnOnce() -> String) {
        match &mut self.open {
            Some(loss) => loss.length = to.max(loss.end()) - loss.offset,
            open => {
                let (length, last_step) = (to.saturating_sub(from), self.step);
                *open = Some(Loss {
                    offset: from,
                    length,
                    cause: cause(),
                    last_step,
                    ..Loss::default()
                });
            }
        }
    }

    fn close(&mut self, loss: Loss) {
        self.report.lost_ranges += 1;
        self.report.lost_bytes = self.report.lost_bytes.saturating_add(loss.length);
        if self.report.losses.len() < LISTED {
            self.report.losses.push(loss);
        }
    }
}

const ZEROES: &str = "zeroed bytes where records should be";

/// So many losses are told one by one.
const LISTED: usize = 1000;
