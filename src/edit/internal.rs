//! What W&B's own part of the config says about keys.
//!
//! ```text
//! _wandb.visualize.<chart>                  a chart; {"name": "tableKey", "value": "<chart>_table"} in it
//! _wandb."mask/class_labels"                labels by <key>_wandb_delimeter_<layer> (spelt so),
//! _wandb."bounding_box/class_labels"        which each of them repeats as its "key"
//! ```

use super::Stop;
use super::keys::KeyMap;
use crate::error::Result;
use crate::json::Value;
use crate::limits::Limits;
use crate::record::{ItemValue, RecordKind};
use crate::rewrite::{Fate, splice_items};
use std::mem;

/// Appends the body of a config record, with the keys it names as they are now. A chart whose table is
/// dropped goes too.
pub(super) fn put_internal(
    keys: &mut KeyMap<'_>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Stop> {
    let mut charts = Vec::with_capacity(body.len());
    splice_items(RecordKind::Config, body, &mut charts, |item, out| {
        let path: Vec<_> = item.view.path.elements().collect();
        let ["_wandb", "visualize", name] = *path else { return Ok(Fate::Keep) };
        if keys.named(&format!("{name}{TABLE}"))?.is_none() {
            return Ok(Fate::Drop);
        }
        match keys.named(name)? {
            Some(new) if new != name => {
                item.put_with_path(["_wandb", "visualize", &new], out)?;
                Ok::<_, Stop>(Fate::Drop)
            }
            _ => Ok(Fate::Keep),
        }
    })?;
    splice_items(RecordKind::Config, &charts, out, |item, out| {
        let ItemValue::Json(text) = item.view.value else { return Ok(Fate::Keep) };
        let is_internal = item.view.path.elements().next() == Some("_wandb");
        if !is_internal || !(text.contains(DELIMITER) || text.contains(TABLE_KEY)) {
            return Ok(Fate::Keep);
        }
        let Ok(was) = Value::parse_within(text, Limits::DEFAULT.json_depth) else {
            return Ok(Fate::Keep);
        };
        let mut value = was.clone();
        rename(keys, &mut value)?;
        if value == was {
            return Ok(Fate::Keep);
        }
        item.put_with_value(ItemValue::Json(&value.to_string()), out)?;
        Ok::<_, Stop>(Fate::Drop)
    })?;
    Ok(())
}

/// Renames the keys that are named in a value.
fn rename(keys: &mut KeyMap<'_>, value: &mut Value) -> Result<()> {
    match value {
        Value::String(text) => {
            if let Some(new) = layer(keys, text)? {
                *text = new;
            }
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| rename(keys, item))?,
        Value::Object(members) => {
            let names_table = members.get("name").and_then(Value::as_str) == Some(TABLE_KEY);
            if let (true, Some(Value::String(table))) = (names_table, members.get_mut("value"))
                && let Some(new) = keys.named(table)?
            {
                *table = new;
            }
            for (key, mut value) in mem::take(members) {
                rename(keys, &mut value)?;
                members.insert(layer(keys, &key)?.unwrap_or(key), value);
            }
        }
        _ => {}
    }
    Ok(())
}

/// `<key>_wandb_delimeter_<layer>` with the key as it is now.
fn layer(keys: &mut KeyMap<'_>, text: &str) -> Result<Option<String>> {
    let Some((key, layer)) = text.split_once(DELIMITER) else { return Ok(None) };
    Ok(keys.named(key)?.map(|key| format!("{key}{DELIMITER}{layer}")))
}

const DELIMITER: &str = "_wandb_delimeter_";
const TABLE: &str = "_table";
const TABLE_KEY: &str = "tableKey";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use crate::record::KeyRule;
    use prost::Message;

    #[test]
    fn charts_and_class_labels_follow_their_keys() {
        let rule = KeyRule::new(|key| (!key.starts_with("gone")).then(|| key.replace("a", "b")));
        let item = |path: &[&str], json: &str| pb::ConfigItem {
            nested_key: path.iter().map(|&element| element.into()).collect(),
            value_json: json.into(),
            ..Default::default()
        };
        let chart =
            |table: &str| format!(r#"{{"args":[{{"name":"tableKey","value":"{table}"}}]}}"#);
        let labels = |key: &str| {
            format!(
                r#"{{"mask/class_labels":{{"{key}_wandb_delimeter_gt":{{"key":"{key}_wandb_delimeter_gt"}}}}}}"#
            )
        };
        let record = |items: &[pb::ConfigItem]| pb::ConfigRecord {
            update: items.to_vec(),
            ..Default::default()
        };
        let was = record(&[
            item(&["_wandb", "visualize", "a1"], &chart("a1_table")),
            item(&["_wandb", "visualize", "gone"], &chart("gone_table")),
            item(&["_wandb"], &labels("a")),
            item(&["lr_a"], "1"),
        ]);
        let mut out = Vec::new();
        put_internal(&mut KeyMap::new(&rule), &was.encode_to_vec(), &mut out).unwrap();
        let want = record(&[
            item(&["_wandb", "visualize", "b1"], &chart("b1_tbble")),
            item(&["_wandb"], &labels("b")),
            item(&["lr_a"], "1"),
        ]);
        assert_eq!(pb::ConfigRecord::decode(&*out).unwrap(), want);
    }
}
