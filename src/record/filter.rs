//! Records cut down to some of their keys.

use super::history::HistoryItem;
use super::key::{join_key, split_key};
use super::{RawRecord, RecordKind};
use crate::error::Result;
use crate::wire::{self, Field, Fields, WireValue};
use std::collections::BTreeSet;

/// Keeps the items of records that have one of some keys. Bytes are moved, not messages: what is kept
/// is kept as it is.
#[derive(Clone, Debug)]
pub struct KeyFilter {
    keys: BTreeSet<String>,
}

impl KeyFilter {
    /// A filter for these keys and all keys below them. A key is a path joined with dots; a dot within
    /// a name may be written `\.` but need not.
    pub fn new<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Self {
        let mut all = BTreeSet::new();
        for key in keys {
            let key = key.as_ref();
            all.insert(join_key(split_key(key).iter().map(String::as_str)));
            all.insert(join_key([key]));
        }
        Self { keys: all }
    }

    /// The payload of a history, summary, config or stats record with nothing but the wanted items;
    /// `None` if it has none of them, or is of another kind.
    ///
    /// # Errors
    /// When the bytes are not a protobuf message.
    pub fn apply(&self, record: &RawRecord<'_>) -> Result<Option<Vec<u8>>> {
        let Some(body) = record.body()? else { return Ok(None) };
        let lists: &[u32] = match body.kind {
            RecordKind::History => &[1],
            RecordKind::Summary | RecordKind::Config => &[1, 2],
            RecordKind::Stats => &[3],
            _ => return Ok(None),
        };
        let mut kept = Vec::new();
        let mut any = false;
        for field in Fields::new(&body.message) {
            let Field { number, value } = field.map_err(|error| record.malformed(error))?;
            if !lists.contains(&number) {
                put(&mut kept, number, value);
            } else if let WireValue::Bytes(item) = value
                && self.wants(item)
            {
                wire::put_bytes(&mut kept, number, item);
                any = true;
            }
        }
        if !any {
            return Ok(None);
        }
        let mut payload = Vec::new();
        let mut body_written = false;
        for field in Fields::new(record.payload) {
            let Field { number, value } = field.map_err(|error| record.malformed(error))?;
            match RecordKind::from_field(number) {
                None => put(&mut payload, number, value),
                Some(kind) if kind == body.kind && !body_written => {
                    wire::put_bytes(&mut payload, number, &kept);
                    body_written = true;
                }
                Some(_) => {}
            }
        }
        Ok(Some(payload))
    }

    fn wants(&self, item: &[u8]) -> bool {
        let Some(item) = HistoryItem::read(item) else { return false };
        let mut joined = String::new();
        for element in item.path.elements() {
            if !joined.is_empty() {
                joined.push('.');
            }
            joined.push_str(&join_key([element]));
            if self.keys.contains(&joined) {
                return true;
            }
        }
        false
    }
}

fn put(out: &mut Vec<u8>, number: u32, value: WireValue<'_>) {
    match value {
        WireValue::Varint(value) => wire::put_uint(out, number, value),
        WireValue::Bytes(bytes) => wire::put_bytes(out, number, bytes),
        WireValue::Fixed64(bits) => {
            wire::put_varint(out, u64::from(number) << 3 | 1);
            out.extend_from_slice(&bits.to_le_bytes());
        }
        WireValue::Fixed32(bits) => {
            wire::put_varint(out, u64::from(number) << 3 | 5);
            out.extend_from_slice(&bits.to_le_bytes());
        }
        WireValue::Group(body) => {
            wire::put_varint(out, u64::from(number) << 3 | 3);
            out.extend_from_slice(body);
            wire::put_varint(out, u64::from(number) << 3 | 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Span;
    use crate::proto::wandb_internal::{HistoryItem, HistoryRecord, HistoryStep, Record, record};
    use prost::Message;

    fn filtered(keys: &[&str], rows: &[&[&str]]) -> Option<Vec<Vec<String>>> {
        let item = rows
            .iter()
            .map(|path| HistoryItem {
                nested_key: path.iter().map(|element| (*element).into()).collect(),
                value_json: "1".into(),
                ..Default::default()
            })
            .collect();
        let step = Some(HistoryStep { num: 4 });
        let history = HistoryRecord { item, step, ..Default::default() };
        let record_type = Some(record::RecordType::History(history));
        let bytes = Record { num: 9, record_type, ..Default::default() }.encode_to_vec();
        let span = Span { offset: 0, length: 0 };
        let kept = KeyFilter::new(keys).apply(&RawRecord::new(span, &bytes)).unwrap()?;
        let record = Record::decode(&kept[..]).unwrap();
        assert_eq!(record.num, 9);
        let Some(record::RecordType::History(history)) = record.record_type else { panic!() };
        assert_eq!(history.step, step);
        Some(history.item.into_iter().map(|item| item.nested_key).collect())
    }

    #[test]
    fn a_key_keeps_itself_and_what_is_below_it() {
        let rows: &[&[&str]] =
            &[&["loss"], &["img", "path"], &["img", "size"], &["a.b"], &["image"]];
        assert_eq!(filtered(&["loss"], rows), Some(vec![vec!["loss".into()]]));
        assert_eq!(filtered(&["img"], rows).unwrap().len(), 2);
        assert_eq!(filtered(&["img.size"], rows).unwrap().len(), 1);
        assert_eq!(filtered(&["a.b"], rows).unwrap().len(), 1);
        assert_eq!(filtered(&["none"], rows), None);
    }
}
