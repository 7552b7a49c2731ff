//! Where the keys of metrics go.

use super::Stop;
use crate::error::{Error, Result};
use crate::json::Value;
use crate::limits::Limits;
use crate::record::{HistoryView, ItemValue, KeyRule, RecordKind, join_key, split_key};
use crate::rewrite::{Fate, Item, KEY_DEPTH, Leaves, RESERVED, TRACKED, put_item};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// What becomes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Same,
    Gone,
    At(Vec<String>),
}

/// The rule, asked once for each key, and what came of it.
///
/// The key of a value inside an object is the path to it; the rule is asked for all of it first, then for
/// what leads there, from the longest part on, and the first answer that is another than the question
/// counts. A key is kept if any of these is. What is below a media object, such as `_type` and `path`, is no
/// key: it goes where the object goes; nor is what is nested deeper than [`KEY_DEPTH`].
#[derive(Debug)]
pub(super) struct KeyMap<'r> {
    rule: &'r KeyRule,
    places: HashMap<String, Place>,
    /// Who has a key now: the name it had.
    taken: HashMap<String, String>,
    /// Some key, as it is called now, below each.
    below: HashMap<String, String>,
    /// The names that metric definitions have, and have now.
    names: HashMap<String, Option<String>>,
    pub(super) renamed: BTreeMap<String, String>,
    pub(super) dropped: BTreeSet<String>,
}

impl<'r> KeyMap<'r> {
    pub(super) fn new(rule: &'r KeyRule) -> Self {
        Self {
            rule,
            places: HashMap::new(),
            taken: HashMap::new(),
            below: HashMap::new(),
            names: HashMap::new(),
            renamed: BTreeMap::new(),
            dropped: BTreeSet::new(),
        }
    }

    pub(super) const fn is_none(&self) -> bool {
        self.rule.is_none()
    }

    /// Where a key goes. `medium` says how many elements lead to the media object it is part of.
    ///
    /// # Errors
    /// When two keys would go to the same place, and when one would go where none can.
    pub(super) fn place(
        &mut self,
        path: &[&str],
        medium: impl FnOnce() -> Option<usize>,
    ) -> Result<&Place> {
        let joined = join_key(path.iter().copied());
        if !self.places.contains_key(&joined) {
            let place = match path.first() {
                Some(first) if !RESERVED.contains(first) => self.ask(path, medium())?,
                _ => Place::Same,
            };
            self.take(&joined, &place)?;
            self.places.insert(joined.clone(), place);
        }
        Ok(self.places.get(&joined).unwrap_or(&Place::Same))
    }

    /// What a metric definition is for now that was for the metric `name`; `None` if that is dropped.
    pub(super) fn named(&mut self, name: &str) -> Result<Option<String>> {
        if self.is_none() {
            return Ok(Some(name.to_owned()));
        }
        if let Some(new) = self.names.get(name) {
            return Ok(new.clone());
        }
        let path = split_key(name);
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let is_reserved = path.first().is_some_and(|first| RESERVED.contains(first));
        let is_fixed = is_reserved || path.len() > KEY_DEPTH;
        let new = match if is_fixed { Place::Same } else { self.ask(&path, None)? } {
            Place::Same => Some(name.to_owned()),
            Place::Gone => None,
            Place::At(path) => Some(join_key(path.iter().map(String::as_str))),
        };
        self.names.insert(name.to_owned(), new.clone());
        Ok(new)
    }

    fn ask(&mut self, path: &[&str], medium: Option<usize>) -> Result<Place> {
        let longest = medium.unwrap_or(path.len());
        let key = |length| join_key(path.iter().take(length).copied());
        if !(1..=longest).any(|length| self.rule.keeps(&key(length))) {
            self.dropped.insert(key(longest));
            return Ok(Place::Gone);
        }
        for length in (1..=longest).rev() {
            let (name, rest) = (key(length), path.get(length..).unwrap_or_default());
            let Some(new) = self.rule.name(&name) else {
                self.dropped.insert(name);
                return Ok(Place::Gone);
            };
            if new == name {
                continue;
            }
            let mut to = split_key(&new);
            if to.iter().any(String::is_empty) {
                return Err(Error::misuse(format!(
                    "key {name:?} would get an empty name: {new:?}"
                )));
            }
            if to.len() > KEY_DEPTH {
                let reason = format!("key {name:?} would be nested deeper than {KEY_DEPTH}");
                return Err(Error::misuse(reason));
            }
            if to.first().is_some_and(|first| RESERVED.contains(&first.as_str())) {
                return Err(Error::misuse(format!("key {name:?} would become W&B's own {new:?}")));
            }
            self.renamed.insert(name, new);
            to.extend(rest.iter().map(|&element| element.to_owned()));
            return Ok(Place::At(to));
        }
        Ok(Place::Same)
    }

    /// Notes who has a key now, which must be no other, nor one that is part of it.
    fn take(&mut self, old: &str, place: &Place) -> Result<()> {
        let new = match place {
            Place::Gone => return Ok(()),
            Place::Same => old.to_owned(),
            Place::At(path) => join_key(path.iter().map(String::as_str)),
        };
        let clash = |other: &str| {
            Error::misuse(format!("keys {old:?} and {other:?} would both be {new:?}; rename one"))
        };
        if let Some(other) = self.taken.get(&new).filter(|other| *other != old) {
            return Err(clash(other));
        }
        // Keys that were inside each other may stay so.
        let check = |outer: (&str, &str), inner: (&str, &str)| {
            let was_inside = inner.0.strip_prefix(outer.0).is_some_and(|it| it.starts_with('.'));
            let (outer, inner) = (outer.1, inner.1);
            let reason = || {
                format!(
                    "key {outer:?} would have key {inner:?} inside it; a key has a value or other keys"
                )
            };
            if was_inside { Ok(()) } else { Err(Error::misuse(reason())) }
        };
        if let Some(inner) = self.below.get(&new)
            && let Some(other) = self.taken.get(inner)
        {
            check((old, &new), (other, inner))?;
        }
        let path = split_key(&new);
        for length in 1..path.len() {
            let outer = join_key(path.iter().take(length).map(String::as_str));
            if let Some(other) = self.taken.get(&outer) {
                check((other, &outer), (old, &new))?;
            }
            self.below.entry(outer).or_insert_with(|| new.clone());
        }
        self.taken.insert(new, old.to_owned());
        Ok(())
    }

    /// Appends an item of a history or summary record, in which these `media` are, as its key goes.
    pub(super) fn put(
        &mut self,
        kind: RecordKind,
        media: &Media<'_>,
        item: &Item<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Fate, Stop> {
        let whole: Vec<_> = item.view.path.elements().collect();
        let (path, below) = whole.split_at(whole.len().min(KEY_DEPTH));
        let otherwise = match self.place(path, || media.around(path))? {
            Place::At(to) => {
                let to = to.iter().map(String::as_str);
                item.put_with_path(to.chain(below.iter().copied()), out)?;
                return Ok(Fate::Drop);
            }
            // Of an object that is not kept something in it may be.
            Place::Gone => Fate::Drop,
            Place::Same => Fate::Keep,
        };
        match item.view.value {
            ItemValue::Json(text) if text.starts_with('{') && path.len() < KEY_DEPTH => {
                let places = self.places_in(kind, path, text, otherwise == Fate::Drop)?;
                if places.is_none() {
                    return Ok(otherwise);
                }
                for (path, value) in places.into_iter().flatten() {
                    let path = path.iter().map(String::as_str);
                    put_item(item.list, path, &value.to_string(), out);
                }
                Ok(Fate::Drop)
            }
            _ => Ok(otherwise),
        }
    }

    /// The values in an object, under the keys they go by, unless it stays or `is_gone` as a whole. Python's
    /// client (0.17 and older) wrote objects whole.
    fn places_in(
        &mut self,
        kind: RecordKind,
        path: &[&str],
        text: &str,
        is_gone: bool,
    ) -> Result<Option<Leaves>> {
        let Ok(value) = Value::parse_within(text, Limits::DEFAULT.json_depth) else {
            return Ok(None);
        };
        let is_tally = kind == RecordKind::Summary
            && value
                .as_object()
                .is_some_and(|members| members.keys().all(|name| TRACKED.contains(&name.as_str())));
        if is_tally || path.first().is_some_and(|first| RESERVED.contains(first)) {
            return Ok(None);
        }
        let mut leaves = Vec::new();
        walk(&value, &mut path.iter().map(|&key| key.to_owned()).collect(), &mut leaves);
        let mut moved = is_gone;
        let mut places = Leaves::new();
        for (path, value) in leaves {
            let key: Vec<_> = path.iter().map(String::as_str).collect();
            let place = self.place(&key, || None)?.clone();
            moved |= place != Place::Same;
            match place {
                Place::Gone => continue,
                Place::Same => places.insert(path, value.clone()),
                Place::At(path) => places.insert(path, value.clone()),
            };
        }
        Ok(moved.then_some(places))
    }
}

/// The media objects of a row or summary record, found when they are first asked for.
pub(super) struct Media<'m> {
    body: &'m [u8],
    objects: OnceCell<HashSet<Vec<&'m str>>>,
}

impl<'m> Media<'m> {
    pub(super) const fn of(body: &'m [u8]) -> Self {
        Self { body, objects: OnceCell::new() }
    }

    /// How many elements of a key lead to the object it is part of.
    fn around(&self, path: &[&str]) -> Option<usize> {
        let objects = self.objects.get_or_init(|| {
            let items = HistoryView::new(self.body).items().flatten();
            let paths = items.map(|item| item.path.elements().collect::<Vec<_>>());
            paths
                .filter(|path| path.last() == Some(&TYPE))
                .filter_map(|mut path| {
                    path.pop();
                    (!path.is_empty()).then_some(path)
                })
                .collect()
        });
        (1..path.len()).find(|length| path.get(..*length).is_some_and(|it| objects.contains(it)))
    }
}

/// The values of an object that are no objects, or media, or empty ones, or too deep to have a key of their own,
/// by path.
fn walk<'v>(value: &'v Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, &'v Value)>) {
    match value {
        Value::Object(members)
            if path.len() < KEY_DEPTH && !members.is_empty() && !members.contains_key(TYPE) =>
        {
            for (key, value) in members {
                path.push(key.clone());
                walk(value, path, found);
                path.pop();
            }
        }
        value => found.push((path.clone(), value)),
    }
}

/// What every media object has.
pub(super) const TYPE: &str = "_type";

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(rule: fn(&str) -> Option<String>) -> KeyRule {
        KeyRule::new(rule)
    }

    #[test]
    fn the_whole_key_is_asked_for_first_and_then_what_leads_there() {
        let rule = rule(|key| match key {
            "a" => Some("x.y".into()),
            "a.b" => Some("z".into()),
            "img.size" | "gone" => None,
            key => Some(key.into()),
        });
        let mut keys = KeyMap::new(&rule);
        let at = |path: &[&str]| Place::At(path.iter().map(|&key| key.to_owned()).collect());
        assert_eq!(*keys.place(&["a", "b"], || None).unwrap(), at(&["z"]));
        assert_eq!(*keys.place(&["a", "c"], || None).unwrap(), at(&["x", "y", "c"]));
        assert_eq!(*keys.place(&["gone"], || None).unwrap(), Place::Gone);
        assert_eq!(*keys.place(&["img", "size"], || Some(1)).unwrap(), Place::Same);
        assert_eq!(*keys.place(&["_step"], || None).unwrap(), Place::Same);
        assert_eq!(keys.renamed.len(), 2);
    }

    #[test]
    fn keys_that_would_meet_are_an_error_that_names_both() {
        let clash = |rule: KeyRule, paths: &[&[&str]]| {
            let mut keys = KeyMap::new(&rule);
            let mut places = paths.iter().map(|path| keys.place(path, || None).map(drop));
            places.find_map(Result::err).unwrap().to_string()
        };
        let to_b = || rule(|_| Some("b".into()));
        assert_eq!(
            clash(to_b(), &[&["a"], &["b"]]),
            r#"keys "b" and "a" would both be "b"; rename one"#
        );
        let nest = || rule(|key| Some(if key == "a" { "b.c".into() } else { key.into() }));
        let want = r#"key "b" would have key "b.c" inside it; a key has a value or other keys"#;
        assert_eq!(clash(nest(), &[&["a"], &["b"]]), want);
        assert_eq!(clash(nest(), &[&["b"], &["a"]]), want);
        assert!(clash(rule(|_| Some("_step".into())), &[&["a"]]).contains("W&B's own"));
        assert!(clash(rule(|_| Some("a.".into())), &[&["a"]]).contains("empty name"));
    }

    #[test]
    fn keys_that_were_inside_each_other_may_stay_so() {
        let rules: [fn(&str) -> Option<String>; 2] =
            [|key| Some(key.into()), |key| Some(key.replace('a', "x"))];
        for of in rules {
            let rule = rule(of);
            let mut keys = KeyMap::new(&rule);
            for path in [&["a"][..], &["a", "b"], &["a", "c"], &["a"]] {
                keys.place(path, || None).unwrap();
            }
        }
    }
}
