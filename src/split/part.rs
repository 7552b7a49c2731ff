//! One of the two runs that a log becomes.

use super::survey::Survey;
use crate::error::Result;
use crate::json::Value;
use crate::proto::wandb_internal::RunExitRecord;
use crate::record::{Body, RawRecord, RecordKind};
use crate::rewrite::{
    Fate, Identity, Leaves, OwnSummary, Rewriter, fold, leaves, put_files, put_leaves, put_row,
    set, set_bytes,
};
use crate::run::RunState;
use crate::wire::Malformed;
use prost::Message;
use prost_types::Timestamp;
use std::io::Write;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// In front of the cut.
    First = 0,
    /// Behind it.
    Second = 1,
}

/// A run in the making.
#[derive(Debug)]
pub(super) struct Part<'a> {
    side: Side,
    survey: &'a Survey,
    pub(super) identity: Identity,
    old_id: &'a str,
    /// When it began, if it is to be another time than the record of the run says.
    start: Option<Timestamp>,
    /// Its rows and metric definitions.
    pub(super) kept: RunState,
    has_summary: bool,
    body: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> Part<'a> {
    pub(super) fn new(side: Side, survey: &'a Survey, identity: Identity, old_id: &'a str) -> Self {
        let start = match side {
            Side::First => None,
            Side::Second => start(survey),
        };
        Self {
            side,
            survey,
            identity,
            old_id,
            start,
            kept: RunState::default(),
            has_summary: false,
            body: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Takes a record over, changed where it says which run it is of; whether it was a valid message.
    pub(super) fn take<W: Write>(
        &mut self,
        record: &RawRecord<'_>,
        body: &Body<'_>,
        step: Option<i64>,
        to: &mut Rewriter<W>,
    ) -> Result<bool> {
        self.body.clear();
        let Ok(keeps) = self.put_body(body, step) else { return Ok(false) };
        if !keeps {
            return Ok(true);
        }
        self.payload.clear();
        let Ok(renamed) = self.identity.put_stream(self.old_id, record.payload, &mut self.payload)
        else {
            return Ok(false);
        };
        if matches!(body.kind, RecordKind::History | RecordKind::Metric) {
            fold(&mut self.kept, body.kind, &self.body);
        }
        if renamed {
            to.replace(&RawRecord::new(record.span, &self.payload), &self.body)?;
        } else if self.body != *body.message {
            to.replace(record, &self.body)?;
        } else {
            to.keep(record)?;
        }
        Ok(true)
    }

    /// Appends the body of a record as it is in this run; whether it has such a record.
    fn put_body(&mut self, body: &Body<'_>, step: Option<i64>) -> Result<bool, Malformed> {
        let (message, out) = (&*body.message, &mut self.body);
        match body.kind {
            RecordKind::History => {
                put_row(message, step, out, |_, _| Ok::<_, Malformed>(Fate::Keep))?;
            }
            RecordKind::Run => match self.start {
                Some(start) => {
                    let mut named = Vec::new();
                    self.identity.put_run(message, &mut named)?;
                    set_bytes(&named, START_TIME, Some(&start.encode_to_vec()), out)?;
                }
                None => self.identity.put_run(message, out)?,
            },
            RecordKind::Artifact => self.identity.put_artifact(self.old_id, message, out)?,
            RecordKind::Files => {
                let (survey, side) = (self.survey, self.side);
                let is_elsewhere = |path: &str| {
                    let [first, second] = survey.has_file(path);
                    !(if side == Side::First { first } else { second })
                };
                return put_files(message, out, is_elsewhere);
            }
            _ => out.extend_from_slice(message),
        }
        Ok(true)
    }

    /// Adds the summary, which its rows make, unless it has one or the log had none.
    pub(super) fn summarize<W: Write>(&mut self, to: &mut Rewriter<W>) -> Result<()> {
        let has_one = std::mem::replace(&mut self.has_summary, true);
        if has_one || self.survey.state.records(RecordKind::Summary) == 0 {
            return Ok(());
        }
        self.body.clear();
        put_leaves(&self.summary(), &mut self.body);
        to.add(RecordKind::Summary, &self.body)
    }

    fn summary(&self) -> Leaves {
        let Survey { state, rows, first, first_rows, damage, .. } = self.survey;
        let mut summary = leaves(self.kept.summary());
        let whole = !damage.is_lossy();
        let own = match self.side {
            Side::First => OwnSummary::of(first, first_rows, whole),
            Side::Second => OwnSummary::of(state, rows, whole),
        };
        let place = |path: &[String]| Ok::<_, std::convert::Infallible>(Some(path.to_vec()));
        let Ok(()) = own.apply(&mut summary, place, Value::clone);
        let wandb = |name: &str| vec!["_wandb".to_owned(), name.to_owned()];
        if self.side == Side::First {
            set(&mut summary, wandb("runtime"), Value::Int(self.runtime().into()));
            return summary;
        }
        // Both count on from the run's beginning.
        if let Some(runtime) = state.summary().get("_runtime") {
            set(&mut summary, vec!["_runtime".into()], runtime.clone());
        }
        for (name, value) in state.summary_internal().as_object().into_iter().flatten() {
            set(&mut summary, wandb(name), value.clone());
        }
        summary
    }

    /// Adds how it ended: well, for another run goes on.
    pub(super) fn exit<W: Write>(&self, to: &mut Rewriter<W>) -> Result<()> {
        let exit = RunExitRecord { runtime: self.runtime(), ..Default::default() };
        to.add_message(RecordKind::Exit, &exit)
    }

    /// `_runtime` of its last row, in whole seconds.
    fn runtime(&self) -> i32 {
        self.kept.history().last_runtime().unwrap_or_default() as i32
    }
}

/// When the second run began: at its first row.
fn start(survey: &Survey) -> Option<Timestamp> {
    let start = survey.state.info().start_time()?;
    let started = start.seconds as f64 + f64::from(start.nanos) * 1e-9;
    let began = survey.cut_time.or_else(|| Some(started + survey.cut_runtime?))?;
    // A clock that was set back must not put it in front of the first one.
    let began = began.max(started + MICROSECOND);
    let seconds = began.floor();
    Some(Timestamp { seconds: seconds as i64, nanos: ((began - seconds) * 1e6) as i32 * 1000 })
}

const MICROSECOND: f64 = 1e-6;
const START_TIME: u32 = 17;
