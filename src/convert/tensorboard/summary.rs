//! The summary: the last value of each key, and what the last row says.

use super::line::{ITEM_OVERHEAD, LINE_LEN, RESERVED_LEN, text_len};
use super::rows::{Last, Rows, put_value};
use crate::json::{put_f64, put_i64};
use crate::proto::wandb_internal as pb;
use std::io::Write;

/// The summary after these rows of a run that took so many seconds, and how many keys are not in it, for
/// it must not be longer than a row: numbers come first, then what fits.
pub(super) fn summary<W: Write>(
    keys: &[String],
    rows: &Rows<'_, W>,
    seconds: i64,
) -> (pb::SummaryRecord, u64) {
    let mut summary = Summary { update: Vec::new(), room: LINE_LEN - RESERVED_LEN, left_out: 0 };
    let mut items = Vec::new();
    for (series, last) in rows.last_values() {
        let Some(key) = keys.get(series) else { continue };
        match last {
            Last::Scalar(value) => {
                let mut json = Vec::new();
                put_value(&mut json, value);
                summary.value(key, [("", json.as_slice())]);
            }
            Last::Items(last) => items.push((key, last)),
            Last::TooLarge => summary.left_out += 1,
        }
    }
    for (key, last) in items {
        summary.value(key, last.iter());
    }
    let mut put = |path: &[&str], put: &dyn Fn(&mut Vec<u8>)| {
        let mut json = Vec::new();
        put(&mut json);
        summary.update.push(item(path.iter().copied(), &json));
    };
    if let Some(row) = rows.last_row {
        put(&["global_step"], &|text| put_i64(text, row.step));
        put(&["_step"], &|text| put_i64(text, row.number));
        put(&["_timestamp"], &|text| put_f64(text, row.timestamp));
        put(&["_runtime"], &|text| put_f64(text, row.runtime));
    }
    put(&["_wandb", "runtime"], &|text| put_i64(text, seconds));
    let Summary { update, left_out, .. } = summary;
    (pb::SummaryRecord { update, ..pb::SummaryRecord::default() }, left_out)
}

struct Summary {
    update: Vec<pb::SummaryItem>,
    /// Bytes that are left.
    room: usize,
    left_out: u64,
}

impl Summary {
    /// Adds the items of a value, all or none.
    fn value<'a>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = (&'static str, &'a [u8]), IntoIter: Clone>,
    ) {
        let (items, key_len) = (items.into_iter(), text_len(key));
        let of_item = |(element, json): (&str, &[u8])| element.len() + json.len() + ITEM_OVERHEAD;
        let length: usize = items.clone().map(|item| key_len + of_item(item)).sum();
        let Some(room) = self.room.checked_sub(length) else {
            self.left_out += 1;
            return;
        };
        self.room = room;
        self.update.extend(items.map(|(element, json)| {
            let element = Some(element).filter(|element| !element.is_empty());
            item([key].into_iter().chain(element), json)
        }));
    }
}

fn item<'a>(path: impl Iterator<Item = &'a str>, json: &[u8]) -> pb::SummaryItem {
    pb::SummaryItem {
        nested_key: path.map(str::to_owned).collect(),
        value_json: String::from_utf8_lossy(json).into_owned(),
        ..pb::SummaryItem::default()
    }
}
