//! The second reading of a log, which writes the two runs.

use super::part::{Part, Side};
use super::survey::Survey;
use crate::error::Result;
use crate::log::Repeated;
use crate::proto::wandb_internal::{OutputRawRecord, OutputRecord, StatsRecord};
use crate::record::{Body, HistoryView, RawRecord, RecordKind};
use crate::rewrite::{Rewriter, RowSteps};
use crate::wire::Malformed;
use prost::Message;
use prost_types::Timestamp;
use std::io::Write;

/// Both runs and where they are written.
pub(super) struct Pass<'a, 'b, W> {
    pub(super) at: i64,
    pub(super) survey: &'a Survey,
    pub(super) parts: &'b mut [Part<'a>; 2],
    pub(super) logs: [&'b mut Rewriter<W>; 2],
    pub(super) steps: RowSteps,
    pub(super) is_behind: bool,
    pub(super) undecodable: u64,
}

impl<W: Write> Pass<'_, '_, W> {
    /// Reads the log again and writes both.
    pub(super) fn run(mut self, log: &Repeated) -> Result<u64> {
        let mut reader = log.reader()?;
        while let Some(record) = reader.next_record()? {
            match record.body() {
                Ok(Some(body)) => self.record(&record, &body)?,
                Ok(None) => {
                    let [first, second] = &mut self.logs;
                    (if self.is_behind { second } else { first }).keep(&record)?;
                }
                Err(_) => self.undecodable += 1,
            }
        }
        for (part, log) in self.parts.iter_mut().zip(&mut self.logs) {
            part.summarize(log)?;
        }
        let ([part, _], [log, _]) = (&*self.parts, &mut self.logs);
        part.exit(log)?;
        Ok(self.undecodable)
    }

    fn record(&mut self, record: &RawRecord<'_>, body: &Body<'_>) -> Result<()> {
        let mut step = None;
        let sides: &[Side] = match body.kind {
            RecordKind::History => match self.row(&body.message) {
                Ok((side, restated)) => {
                    self.is_behind |= side == Side::Second;
                    step = restated;
                    if side == Side::First { FIRST } else { SECOND }
                }
                Err(_) => {
                    self.undecodable += 1;
                    return Ok(());
                }
            },
            // They are made anew.
            RecordKind::Summary => return Ok(()),
            kind => self.sides(kind, &body.message),
        };
        let mut sound = true;
        for side in sides {
            let ([first_part, second_part], [first, second]) = (&mut *self.parts, &mut self.logs);
            let (part, log) = match side {
                Side::First => (first_part, first),
                Side::Second => (second_part, second),
            };
            if body.kind == RecordKind::Exit {
                part.summarize(log)?;
            }
            sound &= part.take(record, body, step, log)?;
        }
        self.undecodable += u64::from(!sound);
        Ok(())
    }

    /// Where a row goes, and the step it must state because the rows are counted anew.
    fn row(&mut self, message: &[u8]) -> Result<(Side, Option<i64>), Malformed> {
        let view = HistoryView::new(message);
        view.check()?;
        let stated = view.step()?;
        let step = self.steps.next(stated);
        let side = if step < self.at { Side::First } else { Side::Second };
        Ok((side, stated.is_none().then_some(step)))
    }

    /// Where a record goes that is no row.
    fn sides(&self, kind: RecordKind, message: &[u8]) -> &'static [Side] {
        let by_place = if self.is_behind { SECOND } else { FIRST };
        let by_time = |time: Option<Timestamp>| match (time, self.survey.cut_time) {
            (Some(time), Some(cut)) => {
                let time = time.seconds as f64 + f64::from(time.nanos) * 1e-9;
                if time < cut { FIRST } else { SECOND }
            }
            _ => by_place,
        };
        match kind {
            RecordKind::Exit | RecordKind::Final | RecordKind::Footer => SECOND,
            RecordKind::Header | RecordKind::Environment | RecordKind::UseArtifact => BOTH,
            // What is said once holds for all that comes after it.
            RecordKind::Run | RecordKind::Config | RecordKind::Metric | RecordKind::Telemetry => {
                if self.is_behind {
                    SECOND
                } else {
                    BOTH
                }
            }
            // Each part has those that name its files.
            RecordKind::Files => BOTH,
            RecordKind::Stats => by_time(time(StatsRecord::decode(message), |it| it.timestamp)),
            RecordKind::OutputRaw => {
                by_time(time(OutputRawRecord::decode(message), |it| it.timestamp))
            }
            RecordKind::Output => by_time(time(OutputRecord::decode(message), |it| it.timestamp)),
            _ => by_place,
        }
    }
}

fn time<M, E>(message: Result<M, E>, of: impl FnOnce(M) -> Option<Timestamp>) -> Option<Timestamp> {
    message.ok().and_then(of)
}

const FIRST: &[Side] = &[Side::First];
const SECOND: &[Side] = &[Side::Second];
const BOTH: &[Side] = &[Side::First, Side::Second];
