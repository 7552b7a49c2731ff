//! What must hold of editing.

use std::num::NonZero;
use std::ops::Bound;
use wandb_offline::edit::{Options, RowEdit, ValueEdit, edit_log};
use wandb_offline::framing::block_log::BlockEncoder;
use wandb_offline::json::Value;
use wandb_offline::log::ReaderOptions;
use wandb_offline::record::{KeyRule, RawRecord, RecordKind};
use wandb_offline::rewrite::Template;
use wandb_offline::wire::Fields;

/// A byte that says what to change, and the records of a log, each behind its length in two bytes: the outcome
/// is sound to the strict reader and numbered, the
/// report counts what is in it, records that have nothing to change are there byte for byte, and editing it
/// once more for nothing gives the same file.
pub fn edit(input: &[u8]) {
    let Some((&what, records)) = input.split_first() else { return };
    let (options, log) = (options(what), &log(records)[..]);
    let mut output = Vec::new();
    let Ok(report) = edit_log(log, &mut output, &options) else { return };
    let written = payloads(&output, false);
    let total = report.total();
    assert_eq!(written.len() as u64, total.kept + total.changed + total.added);

    let mut again = Vec::new();
    edit_log(&output, &mut again, &Options::default()).expect("a sound log");
    assert!(again == output, "what is whole stays as it is");

    if what == 0 {
        assert_eq!(written, payloads(log, true), "nothing was to be changed");
    } else if what & ID == 0 {
        let untouched = |payloads: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
            payloads.into_iter().filter(|payload| !is_touched(payload)).collect()
        };
        assert_eq!(untouched(written), untouched(payloads(log, true)));
    }
}

/// A log of a record of the run and these.
fn log(mut records: &[u8]) -> Vec<u8> {
    let mut log = Vec::new();
    let mut encoder = BlockEncoder::new(&mut log);
    encoder.record(b"\x8a\x01\x06\x0a\x01r\x1a\x01p", &mut log);
    while let Some((length, rest)) = records.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (record, rest) = rest.split_at(length);
        encoder.record(record, &mut log);
        records = rest;
    }
    log
}

fn options(what: u8) -> Options {
    let has = |bit: u8| what & bit != 0;
    let template = |text| Template::new("text", text).expect("a template");
    let value = || vec![(vec!["a".to_owned(), "b".to_owned()], Value::Int(1))];
    let values = |bit| ValueEdit {
        remove: if has(bit) { vec![vec!["lr".into()]] } else { Vec::new() },
        set: if has(bit) { value() } else { Vec::new() },
    };
    let keys = match what & (RENAME | DROP) {
        RENAME => KeyRule::new(|key| Some(key.replace('l', "L."))),
        DROP => KeyRule::new(|key| (!key.contains('a')).then(|| key.to_owned())),
        0 => KeyRule::default(),
        _ => KeyRule::new(|key| (key.len() % 2 == 0).then(|| format!("x/{key}"))),
    };
    let rows = RowEdit {
        drop_steps: match has(ROWS) {
            true => vec![(Bound::Included(1), Bound::Excluded(3))],
            false => Vec::new(),
        },
        drop_where: match has(ROWS) {
            true => vec!["isnan(loss) or a.b > 1e3".parse().expect("a condition")],
            false => Vec::new(),
        },
        last_of_step: has(ROWS),
        every: has(THIN).then(|| NonZero::new(2)).flatten(),
        shift: if has(THIN) { 5 } else { 0 },
    };
    Options {
        id: has(ID).then(|| template("{id}-x")),
        project: has(ID).then(|| template("p")),
        config: values(CONFIG),
        summary: values(SUMMARY),
        keys,
        rows,
        ..Options::default()
    }
}

/// Every record that is a message, without its number, which must be that of its place in a sound log.
fn payloads(log: &[u8], lenient: bool) -> Vec<Vec<u8>> {
    let mut reader = ReaderOptions::default().lenient(lenient).read_slice(log);
    let mut payloads = Vec::new();
    while let Some(record) = reader.next_record().expect("readable") {
        let Ok(payload) = without_number(&record) else { continue };
        payloads.push(payload);
        assert!(lenient || record.num().expect("a message") == payloads.len() as i64);
    }
    assert!(lenient || reader.tail().is_some_and(|tail| tail.is_clean()));
    payloads
}

fn without_number(record: &RawRecord<'_>) -> Result<Vec<u8>, wandb_offline::wire::Malformed> {
    let mut rest = Vec::new();
    let mut fields = Fields::new(record.payload);
    loop {
        let from = fields.consumed();
        let Some(field) = fields.next() else { return Ok(rest) };
        if field?.number != 1 {
            rest.extend_from_slice(&record.payload[from..fields.consumed()]);
        }
    }
}

/// Whether a record is of a kind that an edit may change, drop or add.
fn is_touched(payload: &[u8]) -> bool {
    let fields = Fields::new(payload).flatten();
    let mut kinds = fields.filter_map(|field| RecordKind::from_field(field.number));
    kinds.any(|kind| {
        matches!(
            kind,
            RecordKind::History
                | RecordKind::Summary
                | RecordKind::Config
                | RecordKind::Run
                | RecordKind::Metric
                | RecordKind::Files
        )
    })
}

const ID: u8 = 1;
const RENAME: u8 = 2;
const DROP: u8 = 4;
const ROWS: u8 = 8;
const THIN: u8 = 16;
const CONFIG: u8 = 32;
const SUMMARY: u8 = 64;
