//! The files that media objects name.

use crate::json::Value;

/// A file that a media object names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    pub(super) path: &'a str,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<&'a str>,
}

/// Shows `visit` every file that the objects in `value` name.
pub(super) fn each<'a>(value: &'a Value, visit: &mut dyn FnMut(Named<'a>)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each(item, visit)),
        Value::Object(members) => {
            object(value, visit);
            members.values().for_each(|member| each(member, visit));
        }
        _ => {}
    }
}

fn object<'a>(object: &'a Value, visit: &mut dyn FnMut(Named<'a>)) {
    let text = |key| object.get(key).and_then(Value::as_str);
    let Some(kind) = text("_type") else { return };
    if kind.ends_with("-file") || matches!(kind, "mask" | "boxes2D" | "bounding-boxes") {
        let size = object.get("size").and_then(Value::as_i64);
        let size = size.and_then(|size| u64::try_from(size).ok());
        if let Some(path) = text("path") {
            visit(Named { path, size, sha256: text("sha256") });
        }
    }
    // Other lists hold objects that name their files themselves.
    if matches!(kind, "images/separated" | "molecule") {
        let names = object.get("filenames").and_then(Value::as_array).unwrap_or_default();
        for path in names.iter().filter_map(Value::as_str) {
            visit(Named { path, size: None, sha256: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_objects_lists_and_layers() {
        let value = Value::parse(
            r#"{"a":{"_type":"image-file","path":"p","size":3,"sha256":"ab",
                "masks":{"m":{"_type":"mask","path":"q"}}},
               "b":{"_type":"images/separated","filenames":["r","s"]},
               "c":{"_type":"audio","audio":[{"_type":"audio-file","path":"t"}]},
               "d":{"_type":"object3D","filenames":["u"]},"e":{"path":"v"},"f":{"_type":"histogram"}}"#,
        );
        let mut named = Vec::new();
        let value = value.unwrap();
        each(&value, &mut |file| named.push(file));
        let paths: Vec<_> = named.iter().map(|file| file.path).collect();
        assert_eq!(paths, ["p", "q", "r", "s", "t"]);
        assert_eq!(named[0], Named { path: "p", size: Some(3), sha256: Some("ab") });
    }
}
