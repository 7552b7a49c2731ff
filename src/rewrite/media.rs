//! Which files rows name.
//!
//! Media are objects with a `_type`, whose files are named by paths under `files/`, all of which begin with
//! `media/`: in `path`, in lists such as `filenames`, in the masks and boxes of images. Only the list of
//! several 3D objects names its files from `media/object3D/` on.

use super::splice::{Fate, splice};
use crate::json::Value;
use crate::proto::wandb_internal::FilesItem;
use crate::record::{HistoryItem, ItemValue};
use crate::wire::{Field, Malformed};
use prost::Message;

/// Calls `found` with each file that an item could name. What is none is no harm: it is in no list of files.
pub(crate) fn media_paths(item: &HistoryItem<'_>, mut found: impl FnMut(&str)) {
    match item.value {
        ItemValue::Text(text) => name(text, false, &mut found),
        ItemValue::Json(text) if is_candidate(item, text) => {
            if let Ok(value) = Value::parse(text) {
                walk(&value, false, &mut found);
            }
        }
        _ => {}
    }
}

/// Appends the body of a files record without the files that `leave_out` names; whether any is left.
pub(crate) fn put_files(
    body: &[u8],
    out: &mut Vec<u8>,
    leave_out: impl Fn(&str) -> bool,
) -> Result<bool, Malformed> {
    let mut left = false;
    splice(body, out, |field: Field<'_>, _| {
        if field.number != FILES {
            return Ok::<_, Malformed>(Fate::Keep);
        }
        let item = field.value.bytes().and_then(|item| FilesItem::decode(item).ok());
        let drop = item.is_some_and(|item| leave_out(&item.path));
        left |= !drop;
        Ok(if drop { Fate::Drop } else { Fate::Keep })
    })?;
    Ok(left)
}

#[inline]
fn is_candidate(item: &HistoryItem<'_>, text: &str) -> bool {
    match text.as_bytes().first() {
        // Numbers are most of what there is.
        Some(b'"' | b'[' | b'{') => {
            text.contains(MEDIA)
                || text.contains(OBJECTS)
                || item.path.elements().last() == Some(NAMES)
        }
        _ => false,
    }
}

fn walk(value: &Value, in_list: bool, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => name(text, in_list, found),
        Value::Array(items) => items.iter().for_each(|item| walk(item, true, found)),
        Value::Object(members) => members.values().for_each(|value| walk(value, false, found)),
        _ => {}
    }
}

fn name(text: &str, in_list: bool, found: &mut impl FnMut(&str)) {
    if text.starts_with(MEDIA) {
        found(text);
    } else if in_list {
        found(&format!("{MEDIA}{OBJECTS}/{text}"));
    }
}

const MEDIA: &str = "media/";
const OBJECTS: &str = "object3D";
const NAMES: &str = "filenames";
const FILES: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;

    fn paths(key: &[&str], json: &str) -> Vec<String> {
        let item = pb::HistoryItem {
            nested_key: key.iter().map(|&element| element.into()).collect(),
            value_json: json.into(),
            ..Default::default()
        };
        let bytes = item.encode_to_vec();
        let mut paths = Vec::new();
        media_paths(&HistoryItem::read(&bytes).unwrap(), |path| paths.push(path.to_owned()));
        paths
    }

    #[test]
    fn files_are_found_wherever_media_name_them() {
        assert_eq!(paths(&["img", "path"], r#""media/images/a.png""#), ["media/images/a.png"]);
        let object =
            r#"{"_type":"image-file","path":"media/a.png","masks":{"m":{"path":"media/m.png"}}}"#;
        assert_eq!(paths(&["img"], object), ["media/m.png", "media/a.png"]);
        assert_eq!(paths(&["i", "filenames"], r#"["media/a","media/b"]"#), ["media/a", "media/b"]);
        assert_eq!(paths(&["o", "filenames"], r#"["a.obj"]"#), ["media/object3D/a.obj"]);
        assert!(paths(&["loss"], "1.5").is_empty());
        assert!(paths(&["text"], r#""some media/ in a text""#).is_empty());
    }

    #[test]
    fn a_files_record_loses_what_is_left_out() {
        let item = |path: &str| FilesItem { path: path.into(), ..Default::default() };
        let record = pb::FilesRecord { files: vec![item("a"), item("b")], ..Default::default() };
        let mut out = Vec::new();
        assert!(put_files(&record.encode_to_vec(), &mut out, |path| path == "a").unwrap());
        assert_eq!(pb::FilesRecord::decode(&*out).unwrap().files, [item("b")]);
        out.clear();
        assert!(!put_files(&record.encode_to_vec(), &mut out, |_| true).unwrap());
        assert!(out.is_empty());
    }
}
