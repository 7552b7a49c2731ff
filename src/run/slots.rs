//! Keys numbered in the order in which they first appear, found again without hashing.
//!
//! The records of a log repeat the same keys thousands of times, most often in the same order. So each
//! key remembers which one followed it last time, and an item is first compared, bytes to bytes, with
//! that one. Go writes the items of a row in random order; then a small table says which key the bytes
//! probably are. Only if that is wrong as well they are looked up for good.
//!
//! ```text
//! HistoryItem, SummaryItem, ConfigItem:  1 key | 2 nested_key*   16 value_json
//!                                        `------ form -------'
//! ```

use crate::cursor::Cursor;
use crate::record::{HistoryItem, ItemValue, KEY, NESTED_KEY, VALUE_JSON, join_key};
use std::collections::{BTreeMap, HashMap};
use std::str;
use std::sync::Arc;

/// The elements of a key.
pub(crate) type Path = Arc<[String]>;

/// The numbering of the keys of one kind of message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots {
    forms: Vec<Form>,
    by_form: HashMap<Box<[u8]>, usize>,
    /// The form that bytes of this hash last had. Being wrong costs time only, so a cheap hash will do.
    hints: Vec<usize>,
    by_path: BTreeMap<Path, usize>,
    /// Whether the items have no typed values, as those of summary and config records.
    untyped: bool,
    paths: Vec<Path>,
    /// The form that the last item had.
    last: usize,
    /// The form that the next item is expected to have.
    expected: usize,
    /// How many keys there may be, and forms of keys.
    most: Option<usize>,
}

/// The encoded key of an item. The same key has two forms if it comes both as `key` and `nested_key`.
#[derive(Clone, Debug)]
struct Form {
    bytes: Box<[u8]>,
    slot: usize,
    next: usize,
}

impl Slots {
    /// A numbering of the keys of summary or config records.
    pub(crate) fn untyped() -> Self {
        Self { untyped: true, ..Self::default() }
    }

    /// Takes so many keys, and as many forms of keys. An item with another one is none.
    pub(crate) const fn at_most(mut self, keys: usize) -> Self {
        self.most = Some(keys);
        self
    }

    /// Whether there are as many keys, or forms of keys, as there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.paths.len().max(self.forms.len()) >= most)
    }

    /// The number of the item's key, and its value; `None` if the item is malformed.
    #[inline]
    pub(crate) fn find<'a>(&mut self, item: &'a [u8]) -> Option<(usize, ItemValue<'a>)> {
        if let Some(form) = self.forms.get(self.expected)
            && let Some(rest) = item.strip_prefix(&*form.bytes)
            && let Some(value) = json_alone(rest)
        {
            self.last = self.expected;
            self.expected = form.next;
            return Some((form.slot, value));
        }
        self.search(item)
    }

    fn search<'a>(&mut self, item: &'a [u8]) -> Option<(usize, ItemValue<'a>)> {
        let Some((bytes, value)) = split(item) else {
            let item = self.read(item)?;
            return Some((self.slot(&item)?, item.value));
        };
        let hash = cheap_hash(bytes);
        let hint = self.hints.get(hash).copied().unwrap_or_default();
        let form = match self.forms.get(hint) {
            Some(form) if *form.bytes == *bytes => hint,
            _ => self.look_up(bytes, hash, item)?,
        };
        if let Some(last) = self.forms.get_mut(self.last) {
            last.next = form;
        }
        let found = self.forms.get(form)?;
        self.last = form;
        self.expected = found.next;
        Some((found.slot, value))
    }

    fn look_up(&mut self, bytes: &[u8], hash: usize, item: &[u8]) -> Option<usize> {
        let form = match self.by_form.get(bytes) {
            Some(&form) => form,
            None if self.is_full() => return None,
            None => {
                let slot = self.slot(&self.read(item)?)?;
                let form = self.forms.len();
                self.forms.push(Form { bytes: bytes.into(), slot, next: 0 });
                self.by_form.insert(bytes.into(), form);
                form
            }
        };
        self.hints.resize(HINTS, 0);
        if let Some(hint) = self.hints.get_mut(hash) {
            *hint = form;
        }
        Some(form)
    }

    fn read<'a>(&self, item: &'a [u8]) -> Option<HistoryItem<'a>> {
        if self.untyped { HistoryItem::read_untyped(item) } else { HistoryItem::read(item) }
    }

    fn slot(&mut self, item: &HistoryItem<'_>) -> Option<usize> {
        let path = no_deeper(item.path.elements().map(Into::into).collect());
        let path: Path = path.into();
        let fits = !self.is_full() || self.by_path.contains_key(&path);
        fits.then(|| self.add(&path))
    }

    /// The number of a key, a new one if it has none yet.
    pub(crate) fn add(&mut self, path: &Path) -> usize {
        let slot = *self.by_path.entry(path.clone()).or_insert(self.paths.len());
        if slot == self.paths.len() {
            self.paths.push(path.clone());
        }
        slot
    }

    /// How many keys there are.
    pub(crate) const fn len(&self) -> usize {
        self.paths.len()
    }

    /// The number of a key.
    pub(crate) fn get(&self, path: &[String]) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// The keys from number `first` on, in the order of their numbers.
    pub(crate) fn since(&self, first: usize) -> impl Iterator<Item = (usize, &Path)> {
        self.paths.iter().enumerate().skip(first)
    }

    /// The keys and their numbers in order, which puts each key right before those below it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.by_path.iter().map(|(path, &slot)| (path, slot))
    }
}

/// A key of at most [`DEPTH`] elements: of one that has more, what is too deep is joined with dots into the last.
pub(super) fn no_deeper(mut path: Vec<String>) -> Vec<String> {
    if path.len() > DEPTH {
        let rest = path.split_off(DEPTH - 1);
        path.push(join_key(rest.iter().map(String::as_str)));
    }
    path
}

/// Cuts an item that is a key and a `value_json`, in that order and nothing else, between the two.
fn split(item: &[u8]) -> Option<(&[u8], ItemValue<'_>)> {
    let mut cursor = Cursor::new(item);
    while let Some(KEY | NESTED_KEY) = cursor.rest().first().copied() {
        cursor.u8();
        let length = usize::try_from(cursor.varint()?).ok()?;
        cursor.take(length)?;
    }
    let form = item.get(..item.len() - cursor.rest().len())?;
    Some((form, json_alone(cursor.rest())?))
}

/// The text of a `value_json` field, if the bytes are nothing else.
#[inline]
fn json_alone(bytes: &[u8]) -> Option<ItemValue<'_>> {
    let mut cursor = Cursor::new(bytes.strip_prefix(&VALUE_JSON)?);
    let length = cursor.varint()?;
    if length != cursor.rest().len() as u64 {
        return None;
    }
    let text = str::from_utf8(cursor.rest()).ok()?;
    Some(if text.is_empty() { ItemValue::Missing } else { ItemValue::Json(text) })
}

/// A hash below [`HINTS`].
#[inline]
fn cheap_hash(bytes: &[u8]) -> usize {
    let mix =
        |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(0, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let rest = rest.iter().fold(1, |rest, byte| rest << 8 | u64::from(*byte));
    (mix(hash, rest) % HINTS as u64) as usize
}

const HINTS: usize = 1024;

/// Deepest key; W&B's own readers recurse over it, and so does a tree of values.
const DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use prost::Message;

    fn item(key: &str, nested: &[&str], json: &str) -> Vec<u8> {
        let nested_key = nested.iter().map(|element| (*element).into()).collect();
        pb::SummaryItem { key: key.into(), nested_key, value_json: json.into() }.encode_to_vec()
    }

    #[test]
    fn a_key_has_one_number_in_whatever_form_and_order_it_comes() {
        let mut slots = Slots::default();
        let rows = [["a", "b", "c"], ["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]];
        let mut seen = HashMap::new();
        for (i, key) in rows.iter().flatten().enumerate() {
            let text = i.to_string();
            let item = if i % 2 == 0 { item(key, &[], &text) } else { item("", &[key], &text) };
            let (slot, value) = slots.find(&item).unwrap();
            assert_eq!(value, ItemValue::Json(&text));
            assert_eq!(*seen.entry(key).or_insert(slot), slot, "{key}");
        }
        assert_eq!(slots.len(), 3);
    }

    #[test]
    fn it_finds_what_the_decoder_of_items_finds() {
        let mut slots = Slots::default();
        let mut odd = item("", &["a", "b"], "1");
        odd.extend_from_slice(&[0x20, 1]);
        let typed = odd.clone();
        odd.extend_from_slice(&[0x12, 1, b'c']);
        for bytes in [item("x", &["y"], "2"), typed, odd, item("", &[], ""), item("x", &[], "")] {
            let want = HistoryItem::read(&bytes).unwrap();
            let (slot, value) = slots.find(&bytes).unwrap();
            let path: Path = want.path.elements().map(Into::into).collect();
            assert_eq!((Some(slot), value), (slots.get(&path), want.value));
        }
    }

    #[test]
    fn beyond_so_many_keys_there_are_no_more_and_those_that_are_there_are_found() {
        let mut slots = Slots::default().at_most(2);
        let (a, b) = (item("a", &[], "1"), item("", &["b", "c"], "2"));
        assert!(slots.find(&a).is_some() && !slots.is_full());
        assert!(slots.find(&b).is_some() && slots.is_full());
        assert!(slots.find(&item("d", &[], "3")).is_none());
        assert_eq!([slots.find(&a), slots.find(&b)].map(|found| found.unwrap().0), [0, 1]);
    }

    #[test]
    fn of_a_key_that_is_too_deep_the_end_is_one_element() {
        let mut slots = Slots::default();
        let deep: Vec<String> = (0..130).map(|element| element.to_string()).collect();
        let elements: Vec<&str> = deep.iter().map(String::as_str).collect();
        assert_eq!(slots.find(&item("", &elements, "1")).unwrap().1, ItemValue::Json("1"));
        let (path, _) = slots.iter().next().unwrap();
        assert_eq!((path.len(), path.last().unwrap().as_str()), (DEPTH, "127.128.129"));
    }

    #[test]
    fn malformed_items_have_no_number() {
        let mut slots = Slots::default();
        let good = item("a", &[], "1");
        assert!(slots.find(&good).is_some());
        assert!(slots.find(&good[..good.len() - 1]).is_none());
        assert!(
            slots.find(&[0x0a, 1, 0xff, 0x82, 1, 1, b'1']).is_none(),
            "a key that is not UTF-8"
        );
        assert!(slots.find(&[0x0a, 1, b'a', 0x82, 1, 1, 0xff]).is_none(), "nor is this value");
        assert!(slots.find(&good).is_some());
    }
}
