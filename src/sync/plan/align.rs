//! Finding a row of the server's in the log.

use super::rows::Rows;
use super::streams::LONGEST_LINE;
use crate::error::Result;
use crate::json::Value;
use crate::log::Reader;
use crate::record::RecordKind;
use std::path::Path;

/// The number, from 0, of the row of `log` that is the server's line `line`, by meaning: another client may
/// have written its numbers otherwise. If the line has no step, those of the rows do not count.
pub(crate) fn find_row(log: &Path, starting_step: i64, line: &str) -> Result<Option<u64>> {
    let Ok(wanted) = Value::parse(line) else { return Ok(None) };
    let step = wanted.get("_step").and_then(Value::as_i64);
    let mut reader = Reader::options().lenient(true).open(log)?;
    let mut rows = Rows::new(starting_step);
    let mut number = 0;
    while let Some(record) = reader.next_record()? {
        let Ok(Some(body)) = record.body() else { continue };
        if body.kind != RecordKind::History {
            continue;
        }
        let Ok(line) = rows.line(&body.message) else { continue };
        // Such a row has no place on the server.
        if line.len() > LONGEST_LINE {
            continue;
        }
        let row = Value::parse(line).unwrap_or(Value::Null);
        let is_step = step.is_some() && row.get("_step").and_then(Value::as_i64) == step;
        if (is_step && is_same(&row, &wanted))
            || (step.is_none() && is_same(&without_step(row), &wanted))
        {
            return Ok(Some(number));
        }
        if is_step {
            return Ok(None);
        }
        number += 1;
    }
    Ok(None)
}

fn without_step(mut row: Value) -> Value {
    if let Value::Object(members) = &mut row {
        members.remove("_step");
    }
    row
}

/// Whether two values mean the same: 1 is 1.0.
pub(crate) fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((x, a), (y, b))| x == y && is_same(a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a == b || (a.is_nan() && b.is_nan()),
            _ => a == b,
        },
    }
}
