//! The pass over a log.

use super::files::FileCheck;
use super::finding::{Place, Problem, Uploaded};
use super::report::{Findings, Format, Report};
use super::rows::{RowCheck, check_line};
use super::sync::{self, SyncForecast};
use super::{Options, media};
use crate::error::Result;
use crate::log::{LogFile, Reader};
use crate::proto::wandb_internal::RunExitRecord;
use crate::record::{Body, HistoryItem, RawRecord, RecordKind, join_key};
use crate::run::RunState;
use crate::secrets::{ConsoleScanner, ConsoleSecret, fragment};
use crate::wire::{Field, Fields};
use prost::Message;
use std::path::Path;

pub(super) fn verify(path: &Path, options: &Options) -> Result<Report> {
    let log = LogFile::at(path)?;
    let mut reader = Reader::options().lenient(true).open(path)?;
    let mut pass = Pass::new(&log, options);
    while let Some(record) = reader.next_record()? {
        pass.record(&record);
    }
    if reader.block_base() != 0 {
        pass.stops(reader.block_base());
        pass.findings.add(Place::default(), Problem::ShiftedBlocks);
    }
    if let Some(gap) = reader.gaps().gaps().first() {
        pass.stops(gap.fault.offset);
    }
    if let Some(tail) = reader.tail().filter(|tail| !tail.is_clean()) {
        pass.stops(tail.offset);
    }
    pass.finish(&log);
    let mut findings = pass.findings;
    findings.finish(reader.gaps(), reader.tail());
    let failed = pass.state.exit().is_none_or(|exit| exit.code != 0);
    let has_run = pass.state.info().run().is_some();
    Ok(Report {
        path: path.to_owned(),
        format: Format::Wandb,
        run_id: pass.state.info().run_id().to_owned(),
        records: pass.records,
        rows: pass.rows.rows(),
        findings,
        sync: Some(SyncForecast::new(&log, has_run, failed, pass.stops_at)),
    })
}

struct Pass<'a> {
    options: &'a Options,
    findings: Findings,
    state: RunState,
    rows: RowCheck,
    files: FileCheck,
    console: ConsoleScanner,
    records: u64,
    last_number: i64,
    unknown: u64,
    after_exit: u64,
    stops_at: Option<u64>,
}

impl<'a> Pass<'a> {
    fn new(log: &LogFile, options: &'a Options) -> Self {
        Self {
            options,
            findings: Findings::new(options),
            state: RunState::default(),
            rows: RowCheck::default(),
            files: FileCheck::beside(log),
            console: ConsoleScanner::default(),
            records: 0,
            last_number: 0,
            unknown: 0,
            after_exit: 0,
            stops_at: None,
        }
    }

    fn stops(&mut self, offset: u64) {
        self.stops_at = Some(self.stops_at.map_or(offset, |before| before.min(offset)));
    }

    fn record(&mut self, record: &RawRecord<'_>) {
        self.records += 1;
        let offset = Some(record.span.offset);
        let mut place = Place { offset, record: Some(self.records), step: None };
        let ended = self.state.exit().is_some();
        let applied = self.state.apply(record).and_then(|()| Ok((record.body()?, record.num()?)));
        let (body, number) = match applied {
            Ok(sound) => sound,
            Err(error) => {
                self.stops(record.span.offset);
                let reason = match error.kind() {
                    crate::ErrorKind::Message { reason, .. } => reason.clone(),
                    other => other.to_string(),
                };
                return self.findings.add(place, Problem::Malformed { reason });
            }
        };
        self.number(number, &place);
        let Some(body) = body else {
            self.unknown += 1;
            return;
        };
        self.after_exit += u64::from(ended && is_dropped(body.kind));
        self.body(&body, &mut place);
        self.secrets(record, &body, &place);
    }

    /// Numbers go up by one from 1 on; before 0.13.8 there were none.
    fn number(&mut self, number: i64, place: &Place) {
        let before = self.last_number;
        if number == 0 {
            return;
        }
        self.last_number = number;
        let problem = match number {
            _ if number == before + 1 => return,
            _ if number == before => Problem::NumberRepeated { number },
            _ if number < before => Problem::NumberBack { number, before },
            _ => Problem::NumberHole { number, before },
        };
        self.findings.add(place.clone(), problem);
    }

    fn body(&mut self, body: &Body<'_>, place: &mut Place) {
        let message = &*body.message;
        match body.kind {
            RecordKind::History => {
                if let Some(tree) = self.rows.check(message, place, &mut self.findings) {
                    let (files, findings) = (&mut self.files, &mut self.findings);
                    media::each(&tree, &mut |file| files.named(&file, place, findings));
                }
                self.only_typed(message, place);
            }
            RecordKind::Files => self.files.listed(message, place, &mut self.findings),
            RecordKind::Artifact => self.files.artifact(message, place, &mut self.findings),
            RecordKind::Exit => {
                let code = RunExitRecord::decode(message).map_or(0, |exit| exit.exit_code);
                if code != 0 {
                    self.findings.add(place.clone(), Problem::ExitCode { code });
                }
            }
            _ => {}
        }
    }

    /// wandb-core 0.31.0 wants `value_json` beside a typed value.
    fn only_typed(&mut self, message: &[u8], place: &Place) {
        for item in fields(message).filter(|field| field.number == 1) {
            let Some(item) = item.value.bytes() else { continue };
            let (mut typed, mut json) = (false, false);
            for field in fields(item) {
                typed |= matches!(field.number, 3..=8);
                json |= field.number == 16;
            }
            if typed && !json {
                let item = HistoryItem::read(item);
                let key = item.map(|item| join_key(item.path.elements())).unwrap_or_default();
                self.findings.add(place.clone(), Problem::OnlyTyped { key });
            }
        }
    }

    fn secrets(&mut self, record: &RawRecord<'_>, body: &Body<'_>, place: &Place) {
        let Some(scanner) = &self.options.secrets else { return };
        if let Some((stream, text)) = fragment(body) {
            let found = self.console.write(scanner, record.span.offset, stream, text);
            return self.console_secrets(found);
        }
        for secret in scanner.record(record.payload) {
            let (kind, field, name, masked) =
                (secret.kind, secret.field, secret.name, secret.masked);
            self.findings.add(place.clone(), Problem::Secret { kind, field, name, masked });
        }
    }

    fn console_secrets(&mut self, found: Vec<ConsoleSecret>) {
        for ConsoleSecret { kind, masked, pieces } in found {
            let offset = pieces.first().map(|(record, _)| *record);
            let place = Place { offset, ..Place::default() };
            let (field, name) = ("console output".to_owned(), String::new());
            self.findings.add(place, Problem::Secret { kind, field, name, masked });
        }
    }

    /// What can be said only at the end.
    fn finish(&mut self, log: &LogFile) {
        if let Some(scanner) = &self.options.secrets {
            let found = self.console.finish(scanner);
            self.console_secrets(found);
        }
        let nowhere = Place::default();
        let summary = self.state.summary();
        check_line(Uploaded::Summary, &summary, &nowhere, &mut self.findings);
        let (files, findings) = (&mut self.files, &mut self.findings);
        media::each(&summary, &mut |file| files.named(&file, &nowhere, findings));
        self.files.finish(&mut self.findings);
        sync::look(log, &mut self.findings);
        let keys = self.state.history().keys().count() as u64;
        let version = old_release(&self.state);
        let problems = [
            (self.unknown > 0).then_some(Problem::UnknownKinds { records: self.unknown }),
            (self.after_exit > 0).then_some(Problem::AfterExit { records: self.after_exit }),
            (keys > KEYS).then_some(Problem::ManyKeys { keys }),
            version.map(|version| Problem::OldRelease { version }),
            match (self.state.info().run(), self.state.exit()) {
                (None, _) => Some(Problem::NoRun),
                (Some(_), None) => Some(Problem::NoExit),
                _ => None,
            },
        ];
        for problem in problems.into_iter().flatten() {
            self.findings.add(nowhere.clone(), problem);
        }
    }
}

fn fields(message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    Fields::new(message).map_while(std::result::Result::ok)
}

/// The kinds that `wandb sync` drops behind an exit record.
const fn is_dropped(kind: RecordKind) -> bool {
    matches!(
        kind,
        RecordKind::History | RecordKind::Summary | RecordKind::OutputRaw | RecordKind::Output
    )
}

/// The release that wrote the log, if it is one before 0.18: its rows have nested values whole, and its
/// summary stands at the end.
fn old_release(state: &RunState) -> Option<String> {
    let version = &state.info().telemetry().cli_version;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next()??, parts.next()??);
    (major == 0 && minor < 18).then(|| version.clone())
}

/// From so many keys on users report pages that do not load.
const KEYS: u64 = 10_000;
