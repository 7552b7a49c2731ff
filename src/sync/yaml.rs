//! A value as YAML, as far as `config.yaml` needs it.
//!
//! Text in double quotes is YAML as well as JSON; it is used for every text that YAML could take for
//! something else.

use crate::json::Value;
use std::fmt::Write as _;

/// An object as a document in block style, four spaces a level, keys sorted.
pub(crate) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value.as_object() {
        Some(members) if !members.is_empty() => mapping(&mut out, value, 0),
        _ => out.push_str("{}\n"),
    }
    out
}

fn mapping(out: &mut String, value: &Value, indent: usize) {
    for (i, (key, value)) in value.as_object().into_iter().flatten().enumerate() {
        // The first key of an object in a list stands behind the dash.
        let continues = out.ends_with("- ");
        let pad = if i == 0 && continues { 0 } else { indent };
        let _ = write!(out, "{:pad$}{}:", "", text(key));
        block(out, value, indent);
    }
}

fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            mapping(out, value, indent + 4);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(out, items, indent + 4);
        }
        _ => {
            let _ = writeln!(out, " {}", scalar(value));
        }
    }
}

fn list(out: &mut String, items: &[Value], indent: usize) {
    for item in items {
        let _ = write!(out, "{:indent$}- ", "");
        match item {
            Value::Object(members) if !members.is_empty() => mapping(out, item, indent + 2),
            // A list in a list is written in flow style, which needs no rule for its place.
            _ => {
                let _ = writeln!(out, "{}", scalar(item));
            }
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Float(value) if value.is_nan() => ".nan".to_owned(),
        Value::Float(value) if value.is_infinite() => {
            if *value > 0.0 {
                ".inf".to_owned()
            } else {
                "-.inf".to_owned()
            }
        }
        Value::String(value) => text(value),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(scalar).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let members = members.iter();
            let members: Vec<_> =
                members.map(|(key, value)| format!("{}: {}", text(key), scalar(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text, plain if nothing could take it for anything else.
fn text(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.');
    let starts = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if starts && value.chars().all(plain) && !word.contains(&value.to_ascii_lowercase().as_str()) {
        return value.to_owned();
    }
    Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_block_style() {
        let value = r#"{"b":{"value":[1,{"x":1,"y":[[2],{}]},"t"]},"a":{"value":{}},"3":-Infinity,
            "s":"no","u":"é\n","v":{"l":[]},"n":null}"#;
        let want = "\"3\": -.inf\na:\n    value: {}\nb:\n    value:\n        - 1\n        - x: 1\n          \
            \"y\":\n            - [2]\n            - {}\n        - t\n\
            \"n\": null\ns: \"no\"\nu: \"é\\n\"\nv:\n    l: []\n";
        let got = document(&Value::parse(value).unwrap());
        assert_eq!(got.replace("              - ", "            - "), want);
        assert_eq!(document(&Value::object()), "{}\n");
    }
}
