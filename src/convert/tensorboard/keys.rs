//! Names: of keys, runs, projects.

use super::options::{BAD_IN_PROJECT, Options};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The path element under which a row keeps the wall times that are not its own.
pub(super) const WALL_TIME: &str = "_wall_time";

/// What W&B or this converter keeps for itself.
const RESERVED: [&str; 7] =
    ["", "_step", "_timestamp", "_runtime", "global_step", "_wandb", WALL_TIME];

/// Gives each of these tags a key of its own: the tag itself where that is possible, else with `tb/` in
/// front, as often as needed.
pub(super) fn assign(tags: &[String]) -> Vec<String> {
    let mut taken: HashSet<&str> = RESERVED.into_iter().collect();
    let own: Vec<bool> = tags.iter().map(|tag| taken.insert(tag)).collect();
    let mut made: HashSet<String> = HashSet::new();
    let keys = tags.iter().zip(own).map(|(tag, own)| {
        let mut key = tag.clone();
        if !own {
            while taken.contains(key.as_str()) || made.contains(&key) {
                key.insert_str(0, "tb/");
            }
            made.insert(key.clone());
        }
        key
    });
    keys.collect()
}

/// What a log directory is called.
pub(super) fn log_dir_name(path: &Path) -> String {
    let absolute: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "tensorboard".into())
}

/// The project: the one given, or the log directory's name as far as W&B takes it.
pub(super) fn project(options: &Options, log_dir: &str) -> String {
    if let Some(project) = &options.project {
        return project.clone();
    }
    let bad = |c: char| BAD_IN_PROJECT.contains(&c) || c.is_control();
    log_dir.chars().take(128).map(|c| if bad(c) { '_' } else { c }).collect()
}

/// A word in braces that stands for nothing.
pub(super) fn unknown_place(template: &str) -> Option<&str> {
    template.match_indices('{').find_map(|(at, _)| {
        let from = template.get(at..)?;
        let place = from.get(..=from.find('}')?)?;
        let is_word = place.trim_matches(['{', '}']).bytes().all(|b| b.is_ascii_lowercase());
        (is_word && !PLACES.contains(&place)).then_some(place)
    })
}

const PLACES: [&str; 3] = ["{run}", "{logdir}", "{parent}"];

/// The display name.
pub(super) fn display_name(template: &str, log_dir: &str, run: &str) -> String {
    let own = if run == "." { log_dir } else { run };
    let parent = match run.rsplit('/').nth(1) {
        Some(parent) => parent,
        None => log_dir,
    };
    // One pass, so that a directory called `{run}` stays what it is.
    let mut name = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        name.push_str(before);
        let mut places = PLACES.into_iter().zip([own, log_dir, parent]);
        match places.find(|(place, _)| from.starts_with(place)) {
            Some((place, value)) => {
                name.push_str(value);
                rest = from.get(place.len()..).unwrap_or_default();
            }
            None => {
                name.push('{');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    name.push_str(rest);
    name
}

/// A run id out of what identifies the run: eight of `a-z0-9`, always the same ones.
pub(super) struct IdHasher(u64);

impl IdHasher {
    pub(super) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Takes in some bytes and a separator.
    pub(super) fn part(&mut self, bytes: &[u8]) {
        for &byte in bytes.iter().chain(&[0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(super) fn id(&self) -> String {
        let mut left = self.0;
        let digits = (0..8).map(|_| {
            let digit = (left % 36) as u32;
            left /= 36;
            char::from_digit(digit, 36).unwrap_or('0')
        });
        digits.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_gets_a_key_of_its_own() {
        let tags = ["_step", "a", "tb/_step", "", "a", "tb/a", "_wandb"].map(String::from);
        let keys = assign(&tags);
        assert_eq!(keys, ["tb/tb/_step", "a", "tb/_step", "tb/", "tb/tb/a", "tb/a", "tb/_wandb"]);
    }

    #[test]
    fn names_fill_their_places_once() {
        assert_eq!(display_name("{run}", "logs", "a/b"), "a/b");
        assert_eq!(display_name("{run}", "logs", "."), "logs");
        assert_eq!(display_name("{logdir}-{parent}-{x}", "l", "a/b"), "l-a-{x}");
        assert_eq!(display_name("{parent}{", "l", "a"), "l{");
        assert_eq!(display_name("{run}", "l", "{logdir}"), "{logdir}");
    }

    #[test]
    fn a_place_that_stands_for_nothing_is_found() {
        assert_eq!(unknown_place("{run}-{name}"), Some("{name}"));
        assert_eq!(unknown_place("{}"), Some("{}"));
        assert_eq!(unknown_place("{logdir}{parent} {a b} {"), None);
    }

    #[test]
    fn ids_are_eight_letters_and_digits() {
        let mut hasher = IdHasher::new();
        hasher.part(b"run");
        let first = hasher.id();
        assert_eq!(first.len(), 8);
        assert!(first.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        hasher.part(b"");
        assert_ne!(hasher.id(), first);
    }
}
