//! Names: of directories and tags.

use std::collections::HashMap;

/// The directory of a run: `<name>-<id>`, or the id alone, as far as a file system takes it.
pub(super) fn directory(name: &str, id: &str) -> String {
    let whole = if name.is_empty() || name == id { id.to_owned() } else { format!("{name}-{id}") };
    let mut safe: String = whole.chars().map(|c| if is_bad(c) { '_' } else { c }).collect();
    if let Some(excess) = safe.len().checked_sub(LONGEST) {
        // The id at the end makes it one of a kind.
        let from = (excess..safe.len()).find(|&at| safe.is_char_boundary(at));
        safe.drain(..from.unwrap_or_default());
    }
    if safe.starts_with('.') {
        safe.replace_range(..1, "_");
    }
    let kept = safe.trim_end_matches(['.', ' ']);
    match kept {
        "" => "run".into(),
        device if is_device(device) => format!("{device}_"),
        kept => kept.to_owned(),
    }
}

/// Whether Windows takes a file of this name for a device.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    ["CON", "PRN", "AUX", "NUL"].contains(&&*stem)
        || port
            .is_some_and(|number| number.len() == 1 && ('1'..='9').any(|c| number.starts_with(c)))
}

fn is_bad(c: char) -> bool {
    c.is_control() || r#"/\:*?"<>|"#.contains(c)
}

/// Names that are taken, each with the number to try next for one that would be called the same.
pub(super) type Taken = HashMap<String, u64>;

/// A name that is not taken yet: `name` or, if it is taken, with a number behind it. Takes it.
pub(super) fn unique(name: &str, taken: &mut Taken) -> String {
    let mut free = name.to_owned();
    while taken.contains_key(&free) {
        let number = taken.entry(name.to_owned()).or_insert(FIRST_NUMBER);
        free = format!("{name}-{number}");
        *number += 1;
    }
    taken.insert(free.clone(), FIRST_NUMBER);
    free
}

/// Undoes what [`tensorboard`](crate::convert::tensorboard) did to tags that are reserved in W&B: among
/// keys that are `tb/`, perhaps repeated, and a reserved name, the one with the most is it.
pub(super) fn original_tag(key: &str, exists: impl Fn(&str) -> bool) -> Option<&str> {
    let mut name = key.strip_prefix(MARK)?;
    let tag = name;
    while let Some(rest) = name.strip_prefix(MARK) {
        name = rest;
    }
    (RESERVED.contains(&name) && !exists(&format!("{MARK}{key}"))).then(|| {
        // Of `tb/tb/_step` beside `tb/_step` only the first had its tag changed, from `_step`.
        if exists(tag) { name } else { tag }
    })
}

const MARK: &str = "tb/";

/// What W&B or the other converter keep for themselves.
const RESERVED: [&str; 7] =
    ["", "_step", "_timestamp", "_runtime", "global_step", "_wandb", "_wall_time"];

const LONGEST: usize = 200;

pub(super) const FIRST_NUMBER: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_safe_on_any_file_system() {
        assert_eq!(directory("", "ab12"), "ab12");
        assert_eq!(directory("sweet: run", "ab12"), "sweet_ run-ab12");
        assert_eq!(directory("../x", "a/b"), "_._x-a_b");
        assert_eq!(directory("", ".."), "_");
        assert_eq!(directory("", ""), "run");
        assert_eq!(directory("n\u{1}", "i. "), "n_-i");
        for (id, name) in
            [("con", "con_"), ("COM7.x", "COM7.x_"), ("con2", "con2"), ("COM10", "COM10")]
        {
            assert_eq!(directory("", id), name);
        }
        let long = directory(&"ä".repeat(300), "id");
        assert!(long.len() <= 200 && long.ends_with("-id"), "{long}");
    }

    #[test]
    fn names_that_are_taken_get_a_number() {
        let mut taken = Taken::new();
        let names = ["a", "a", "a-2", "a"].map(|name| unique(name, &mut taken));
        assert_eq!(names, ["a", "a-2", "a-2-2", "a-3"]);
    }

    #[test]
    fn reserved_tags_get_their_names_back() {
        let original =
            |key, keys: &[&str]| original_tag(key, |name| keys.contains(&name)).map(str::to_owned);
        assert_eq!(original("tb/_step", &["tb/_step"]), Some("_step".into()));
        assert_eq!(original("tb/", &[]), Some(String::new()));
        let both = ["tb/_step", "tb/tb/_step"];
        assert_eq!(original("tb/_step", &both), None);
        assert_eq!(original("tb/tb/_step", &both), Some("_step".into()));
        assert_eq!(original("tb/loss", &[]), None);
        assert_eq!(original("loss", &[]), None);
    }
}
