//! Changing the items of history, summary, config and system metric records.
//!
//! They all have the same layout: a path (`key` or `nested_key*`) and a value in W&B's JSON
//! (`value_json`), beside which history items of wandb 0.31.0 and later may carry the value typed.

use super::splice::{Fate, put_message, splice};
use crate::record::{HistoryItem, ItemValue, RecordKind};
use crate::wire::{self, Malformed, WireValue};
use std::convert::Infallible;

/// One item of a record, and its bytes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Item<'a> {
    /// Its path and value.
    pub view: HistoryItem<'a>,
    /// The message.
    pub bytes: &'a [u8],
    /// The number of the list it is in: updates and removals are two lists of one record.
    pub list: u32,
}

impl Item<'_> {
    /// Whether the path has this one element.
    pub fn is(&self, key: &str) -> bool {
        self.view.path.single() == Some(key)
    }

    /// Whether the item removes its key, which has no value then.
    pub fn is_removal(&self) -> bool {
        self.list == REMOVE
    }

    /// Appends the item with another value to `out`, in its list. A typed value stays typed.
    ///
    /// # Errors
    /// When the item is not a protobuf message.
    pub fn put_with_value(&self, value: ItemValue<'_>, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let mut typed = false;
        put_message(out, self.list, |out| {
            splice(self.bytes, out, |field, _| {
                typed |= (3..=8).contains(&field.number);
                let of_value = field.number == VALUE_JSON || (3..=8).contains(&field.number);
                Ok::<_, Malformed>(if of_value { Fate::Drop } else { Fate::Keep })
            })?;
            put_value(value, typed, out);
            Ok(())
        })
    }

    /// Appends the item with another path to `out`, in its list. It stays in the form it has, `key` or
    /// `nested_key`, unless a `key` is to have several elements.
    ///
    /// # Errors
    /// When the item is not a protobuf message.
    pub fn put_with_path<'p>(
        &self,
        path: impl IntoIterator<Item = &'p str>,
        out: &mut Vec<u8>,
    ) -> Result<(), Malformed> {
        let mut path = path.into_iter().peekable();
        put_message(out, self.list, |out| {
            let first = path.next().unwrap_or_default();
            let as_key = path.peek().is_none()
                && !wire::Fields::new(self.bytes)
                    .any(|field| field.is_ok_and(|field| field.number == NESTED_KEY));
            wire::put_bytes(out, if as_key { KEY } else { NESTED_KEY }, first.as_bytes());
            for element in path {
                wire::put_bytes(out, NESTED_KEY, element.as_bytes());
            }
            splice(self.bytes, out, |field, _| {
                let of_path = matches!(field.number, KEY | NESTED_KEY);
                Ok::<_, Malformed>(if of_path { Fate::Drop } else { Fate::Keep })
            })?;
            Ok(())
        })
    }
}

/// As [`splice`], for the items of a record of this kind, whose body is `body`. A run record has none of
/// its own: those of its config are in the body of its field 4 ([`splice_at`](super::splice_at)).
///
/// # Errors
/// When the bytes are not such a record, and what `edit` fails with.
pub fn splice_items<'m, E: From<Malformed>>(
    kind: RecordKind,
    body: &'m [u8],
    out: &mut Vec<u8>,
    mut edit: impl FnMut(Item<'m>, &mut Vec<u8>) -> Result<Fate, E>,
) -> Result<bool, E> {
    let lists = lists(kind);
    splice(body, out, |field, out| match field.value {
        WireValue::Bytes(bytes) if lists.contains(&field.number) => {
            let view = match kind {
                RecordKind::History => HistoryItem::read(bytes),
                _ => HistoryItem::read_untyped(bytes),
            };
            let view = view.ok_or(Malformed { at: 0 })?;
            edit(Item { view, bytes, list: field.number }, out)
        }
        _ => Ok(Fate::Keep),
    })
}

/// Appends a new item to the list `list` of a record (1 for updates): a path and a value in W&B's JSON.
pub fn put_item<'p>(
    list: u32,
    path: impl IntoIterator<Item = &'p str>,
    json: &str,
    out: &mut Vec<u8>,
) {
    let Ok(()) = put_message::<_, Infallible>(out, list, |out| {
        for element in path {
            wire::put_bytes(out, NESTED_KEY, element.as_bytes());
        }
        wire::put_bytes(out, VALUE_JSON, json.as_bytes());
        Ok(())
    });
}

/// The fields of a record of this kind that are lists of items.
const fn lists(kind: RecordKind) -> &'static [u32] {
    match kind {
        RecordKind::History => &[1],
        RecordKind::Summary | RecordKind::Config => &[UPDATE, REMOVE],
        RecordKind::Stats => &[3],
        _ => &[],
    }
}

/// Appends the fields of a value: its JSON, and typed too if it is to be.
fn put_value(value: ItemValue<'_>, typed: bool, out: &mut Vec<u8>) {
    if matches!(value, ItemValue::Missing) {
        return;
    }
    if typed {
        match value {
            ItemValue::Missing => {}
            ItemValue::Null => wire::put_uint(out, 3, 0),
            ItemValue::Bool(value) => wire::put_uint(out, 4, u64::from(value)),
            ItemValue::Integer(value) => wire::put_uint(out, 5, zigzag(value)),
            ItemValue::Number(value) => {
                wire::put_varint(out, 6 << 3 | 1);
                out.extend_from_slice(&value.to_bits().to_le_bytes());
            }
            ItemValue::Text(text) => wire::put_bytes(out, 7, text.as_bytes()),
            ItemValue::Json(text) => wire::put_bytes(out, 8, text.as_bytes()),
        }
    }
    let mut json = Vec::new();
    value.put_json(&mut json);
    wire::put_bytes(out, VALUE_JSON, &json);
}

const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

const KEY: u32 = 1;
const NESTED_KEY: u32 = 2;
const VALUE_JSON: u32 = 16;
const UPDATE: u32 = 1;
const REMOVE: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal::history_item::Value as Typed;
    use crate::proto::wandb_internal::{HistoryItem as Raw, HistoryRecord};
    use prost::Message;

    fn edit(item: Raw, mut with: impl FnMut(Item<'_>, &mut Vec<u8>)) -> Raw {
        let body = HistoryRecord { item: vec![item], ..Default::default() }.encode_to_vec();
        let mut out = Vec::new();
        splice_items(RecordKind::History, &body, &mut out, |item, out| {
            with(item, out);
            Ok::<_, Malformed>(Fate::Drop)
        })
        .unwrap();
        HistoryRecord::decode(&*out).unwrap().item.remove(0)
    }

    #[test]
    fn a_typed_value_stays_typed_and_a_text_a_text() {
        let step = Raw { key: "_step".into(), value_json: "7".into(), ..Default::default() };
        let shift = |item: Item<'_>, out: &mut Vec<u8>| {
            assert!(item.is("_step"));
            item.put_with_value(ItemValue::Integer(-9), out).unwrap();
        };
        let want = Raw { value_json: "-9".into(), ..step.clone() };
        assert_eq!(edit(step.clone(), shift), want);
        let typed = Raw { value: Some(Typed::Integer(7)), ..step };
        assert_eq!(edit(typed, shift), Raw { value: Some(Typed::Integer(-9)), ..want });
    }

    #[test]
    fn a_path_changes_and_keeps_its_form() {
        let rename = |path: &'static [&'static str]| {
            move |item: Item<'_>, out: &mut Vec<u8>| {
                item.put_with_path(path.iter().copied(), out).unwrap();
            }
        };
        let plain = Raw { key: "a".into(), value_json: "1".into(), ..Default::default() };
        let nested = |path: &[&str]| Raw {
            nested_key: path.iter().map(|&element| element.into()).collect(),
            value_json: "1".into(),
            ..Default::default()
        };
        assert_eq!(edit(plain.clone(), rename(&["b"])), Raw { key: "b".into(), ..plain.clone() });
        assert_eq!(edit(plain, rename(&["b", "c"])), nested(&["b", "c"]));
        assert_eq!(edit(nested(&["x", "y"]), rename(&["z"])), nested(&["z"]));
    }
}
