//! The files of all segments under one `files/`.

use super::segment::Segment;
use crate::error::{Error, Result};
use crate::json::{Value, put_str, quoted_len};
use crate::proto::wandb_internal::FilesItem;
use crate::record::ItemValue;
use crate::rewrite::{
    Fate, FilesDir, Item, Placed, files_in, put_message, set_bytes, splice, with_slashes,
};
use crate::wire::{Field, Malformed};
use prost::Message;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The files of one segment that have another name in the merged run.
#[derive(Clone, Debug, Default)]
pub(super) struct Renames {
    /// The new names by the old ones.
    names: HashMap<String, String>,
    /// Strings of JSON, as they are written, and what takes their place.
    texts: HashMap<String, String>,
}

/// A file that has another name in the merged run, since another file has its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RenamedFile {
    /// Whose it is, like `segment 1`.
    pub of: String,
    /// What it was called, below `files/`.
    pub old: String,
    /// What it is called now. Rows and records that name it do so by this name.
    pub new: String,
}

impl Renames {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn add(&mut self, old: String, new: String) {
        self.texts.insert(quoted(&old), quoted(&new));
        // Older clients write other characters than ASCII as escapes.
        self.texts.insert(escaped(&old), quoted(&new));
        // Lists of 3D objects name them from there on.
        let within = |path: &str| path.strip_prefix("media/object3D/").map(quoted);
        self.texts.extend(within(&old).zip(within(&new)));
        self.names.insert(old, new);
    }

    /// Appends an item that names a file by its old name with the new one instead.
    pub(super) fn put_renamed(
        &self,
        item: &Item<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Fate, Malformed> {
        match item.view.value {
            ItemValue::Json(text) => {
                let Some(renamed) = self.renamed(text) else { return Ok(Fate::Keep) };
                item.put_with_value(ItemValue::Json(&renamed), out)?;
            }
            ItemValue::Text(text) => {
                let Some(new) = self.names.get(text) else { return Ok(Fate::Keep) };
                item.put_with_value(ItemValue::Text(new), out)?;
            }
            _ => return Ok(Fate::Keep),
        }
        Ok(Fate::Drop)
    }

    /// JSON with new names; `None` if it names no file that has one.
    pub(super) fn renamed(&self, text: &str) -> Option<String> {
        let (mut renamed, mut told, mut at) = (String::new(), 0, 0);
        while let Some(from) = text.get(at..)?.find('"') {
            let from = at + from;
            at = from + quoted_len(text.get(from..)?).unwrap_or(text.len() - from);
            if let Some(new) = text.get(from..at).and_then(|old| self.texts.get(old)) {
                renamed.push_str(text.get(told..from)?);
                renamed.push_str(new);
                told = at;
            }
        }
        (told > 0).then(|| renamed + text.get(told..).unwrap_or_default())
    }

    /// A value with new names.
    pub(super) fn renamed_value(&self, value: &Value) -> Value {
        let renamed = self.renamed(&value.to_string());
        renamed.and_then(|text| Value::parse(&text).ok()).unwrap_or_else(|| value.clone())
    }

    /// Appends the body of a files record with new names; whether there are any.
    pub(super) fn splice_files(&self, body: &[u8], out: &mut Vec<u8>) -> Result<bool, Malformed> {
        splice(body, out, |field: Field<'_>, out| {
            let item = field.value.bytes().filter(|_| field.number == FILES);
            let named = item.and_then(|item| FilesItem::decode(item).ok());
            let new = named.and_then(|named| self.names.get(&named.path));
            let (Some(item), Some(new)) = (item, new) else { return Ok(Fate::Keep) };
            put_message(out, FILES, |out| set_bytes(item, PATH, Some(new.as_bytes()), out))?;
            Ok::<_, Malformed>(Fate::Drop)
        })
    }
}

/// Places the files of all segments: one with the same name and content once, and of those with the same
/// name only the one of the segment that comes first in `order` keeps it. Links and files alike; what is
/// neither is left out. The answer is in the order of `segments`.
pub(super) fn place(
    segments: &[Segment],
    order: impl Iterator<Item = usize>,
    files: &mut FilesDir,
) -> Result<(Vec<Renames>, Vec<RenamedFile>)> {
    let mut renames = vec![Renames::default(); segments.len()];
    let mut report = Vec::new();
    for i in order {
        let (Some(segment), Some(renames)) = (segments.get(i), renames.get_mut(i)) else {
            continue;
        };
        let dir = segment.files_dir();
        for name in files_in(&dir)? {
            let from = dir.join(&name);
            if files.place(&from, &name)? != Placed::Taken {
                continue;
            }
            let new = place_elsewhere(&from, &name, &segment.label, files)?;
            let (of, old) = (segment.label.clone(), with_slashes(&name));
            report.push(RenamedFile { of, old: old.clone(), new: new.clone() });
            renames.add(old, new);
        }
    }
    report.sort_by(|a, b| (&a.of, &a.old).cmp(&(&b.of, &b.old)));
    Ok((renames, report))
}

/// Places a file whose name is taken under another one, which it returns: `a/b.png` of "segment 2" as
/// `a/b.segment2.png`, or, where something else is called `a`, as `a.segment2/b.png`.
fn place_elsewhere(from: &Path, name: &Path, label: &str, files: &mut FilesDir) -> Result<String> {
    for part in name.ancestors().filter(|part| part.file_name().is_some()) {
        let below = name.strip_prefix(part).unwrap_or(name);
        let new = match below.as_os_str().is_empty() {
            true => labelled(part, label),
            false => labelled(part, label).join(below),
        };
        if files.place(from, &new)? != Placed::Taken {
            return Ok(with_slashes(&new));
        }
    }
    let reason = format!("its name is taken, and so are others of {label}; rename it");
    Err(Error::misuse(reason).at(from))
}

/// `a/b.png` of "segment 2" as `a/b.segment2.png`.
fn labelled(name: &Path, label: &str) -> PathBuf {
    let label = label.replace(' ', "");
    let text =
        |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let stem = text(name.file_stem()).unwrap_or_default();
    name.with_file_name(match text(name.extension()) {
        Some(extension) => format!("{stem}.{label}.{extension}"),
        None => format!("{stem}.{label}"),
    })
}

fn quoted(text: &str) -> String {
    let mut json = Vec::new();
    put_str(&mut json, text);
    String::from_utf8_lossy(&json).into_owned()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in quoted(text).chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

const FILES: u32 = 1;
const PATH: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal::FilesRecord;

    #[test]
    fn json_names_a_renamed_file_by_its_new_name_however_it_was_written() {
        let mut renames = Renames::default();
        renames.add("media/é.png".into(), "media/é.segment1.png".into());
        renames.add("media/object3D/a.obj".into(), "media/object3D/b.obj".into());
        for (text, want) in [
            (r#"{"path":"media/é.png"}"#, Some(r#"{"path":"media/é.segment1.png"}"#)),
            (r#""media/\u00e9.png""#, Some(r#""media/é.segment1.png""#)),
            (r#"["a.obj","x"]"#, Some(r#"["b.obj","x"]"#)),
            (r#""other/media/é.png""#, None),
        ] {
            assert_eq!(renames.renamed(text).as_deref(), want);
        }
    }

    #[test]
    fn files_records_follow() {
        let mut renames = Renames::default();
        renames.add("a".into(), "b".into());
        let item = |path: &str| FilesItem { path: path.into(), policy: 1, ..Default::default() };
        let record = |paths: &[&str]| FilesRecord {
            files: paths.iter().map(|path| item(path)).collect(),
            ..Default::default()
        };
        let mut out = Vec::new();
        assert!(renames.splice_files(&record(&["x", "a"]).encode_to_vec(), &mut out).unwrap());
        assert_eq!(FilesRecord::decode(&*out).unwrap(), record(&["x", "b"]));
    }

    #[test]
    fn a_name_says_where_the_file_came_from() {
        let name = |name: &str, label| labelled(Path::new(name), label);
        assert_eq!(name("media/a.b.png", "segment 2"), Path::new("media/a.b.segment2.png"));
        assert_eq!(name("LICENSE", "rank 1"), Path::new("LICENSE.rank1"));
    }
}
