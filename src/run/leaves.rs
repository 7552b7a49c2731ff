//! The last value of each key, as text.
//!
//! A key is a path, and a value at `a` and a value at `a.b` exclude each other: whichever was set last
//! stands. Writing happens once per item and row, reading rarely, so writing only notes the time, and
//! reading sorts out who excludes whom.

use super::slots::{Path, Slots};
use crate::json::Value;
use crate::record::ItemValue;
use std::collections::BTreeMap;
use std::ops::Range;
use std::str;

/// The last value of each key.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaves {
    slots: Slots,
    leaves: Vec<Leaf>,
    /// Counts changes; later ones win.
    clock: u64,
    staged: Vec<Change>,
    removed: Vec<usize>,
    /// The texts of typed values that were staged.
    text: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct Leaf {
    value: Vec<u8>,
    count: u64,
    set: u64,
    removed: u64,
}

/// A value to be set once the whole record has proved well formed.
#[derive(Clone, Debug)]
struct Change {
    slot: usize,
    /// Where the text is in the message, or in [`Leaves::text`].
    range: Range<usize>,
    typed: bool,
}

impl Leaves {
    /// The leaves of summary records, whose items have no typed values.
    pub(super) fn untyped() -> Self {
        Self { slots: Slots::untyped(), ..Self::default() }
    }

    /// Takes so many keys; an item with another one is malformed.
    pub(super) fn at_most(mut self, keys: usize) -> Self {
        self.slots = self.slots.at_most(keys);
        self
    }

    /// Whether there are as many keys as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.slots.is_full()
    }

    /// Forgets what was staged.
    #[inline]
    pub(super) fn clear_staged(&mut self) {
        self.staged.clear();
        self.removed.clear();
        self.text.clear();
    }

    /// Stages the setting of a value: `item` is a submessage that ends at byte `end` of its message.
    /// `None` if it is malformed.
    #[inline]
    pub(super) fn stage(&mut self, item: &[u8], end: usize) -> Option<usize> {
        let (slot, value) = self.slots.find(item)?;
        let text = match value {
            ItemValue::Json(text) => text,
            value => {
                self.stage_typed(slot, value);
                return Some(slot);
            }
        };
        // In all layouts but the rarest the text ends the item.
        if text.as_bytes().as_ptr_range().end != item.as_ptr_range().end {
            self.stage_typed(slot, value);
            return Some(slot);
        }
        let range = end.checked_sub(text.len())?..end;
        self.staged.push(Change { slot, range, typed: false });
        Some(slot)
    }

    fn stage_typed(&mut self, slot: usize, value: ItemValue<'_>) {
        let start = self.text.len();
        if matches!(value, ItemValue::Missing) {
            return;
        }
        value.put_json(&mut self.text);
        self.staged.push(Change { slot, range: start..self.text.len(), typed: true });
    }

    /// Stages the removal of a key and all below it.
    pub(super) fn stage_removal(&mut self, item: &[u8]) -> Option<()> {
        let (slot, _) = self.slots.find(item)?;
        self.removed.push(slot);
        Some(())
    }

    /// The text staged for a key.
    pub(super) fn staged<'a>(&'a self, message: &'a [u8], slot: usize) -> Option<&'a str> {
        let change = self.staged.iter().rev().find(|change| change.slot == slot)?;
        str::from_utf8(change.text(message, &self.text)).ok()
    }

    /// Makes the staged changes: first what is set, then what is removed. A null sets nothing; with
    /// `null_removes` it removes. `seen` is told each value that is set.
    #[inline]
    pub(super) fn commit(
        &mut self,
        message: &[u8],
        null_removes: bool,
        mut seen: impl FnMut(usize, &[u8]),
    ) {
        if self.leaves.len() < self.slots.len() {
            self.leaves.resize_with(self.slots.len(), Leaf::default);
        }
        for change in &self.staged {
            let text = change.text(message, &self.text);
            let Some(leaf) = self.leaves.get_mut(change.slot) else { continue };
            self.clock += 1;
            if text == NULL {
                if null_removes {
                    leaf.removed = self.clock;
                }
                continue;
            }
            leaf.value.clear();
            leaf.value.extend_from_slice(text);
            leaf.count += 1;
            leaf.set = self.clock;
            seen(change.slot, text);
        }
        for &slot in &self.removed {
            self.clock += 1;
            if let Some(leaf) = self.leaves.get_mut(slot) {
                leaf.removed = self.clock;
            }
        }
    }

    /// Sets and removes what was set and removed in `later`, as if that had happened here.
    pub(super) fn append(&mut self, later: &Self) {
        for (path, slot) in later.slots.iter() {
            let slot_here = self.slots.add(path);
            if self.leaves.len() < self.slots.len() {
                self.leaves.resize_with(self.slots.len(), Leaf::default);
            }
            let (Some(leaf), Some(of_later)) =
                (self.leaves.get_mut(slot_here), later.leaves.get(slot))
            else {
                continue;
            };
            if of_later.set > 0 {
                leaf.value.clone_from(&of_later.value);
                leaf.count += of_later.count;
                leaf.set = self.clock + of_later.set;
            }
            if of_later.removed > 0 {
                leaf.removed = self.clock + of_later.removed;
            }
        }
        self.clock += later.clock;
    }

    /// How many keys were named so far, also those that have no value.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The number of a key.
    pub(super) fn slot(&self, path: &[String]) -> Option<usize> {
        self.slots.get(path)
    }

    /// The keys from number `first` on, in the order of their numbers.
    pub(super) fn keys_since(&self, first: usize) -> impl Iterator<Item = (usize, &Path)> {
        self.slots.since(first)
    }

    /// The keys in order, each with its number.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.slots.iter()
    }

    /// The last text of a key, whatever became of it, and how often it was set.
    pub(super) fn last(&self, slot: usize) -> Option<(&str, u64)> {
        let leaf = self.leaves.get(slot).filter(|leaf| leaf.count > 0)?;
        Some((str::from_utf8(&leaf.value).ok()?, leaf.count))
    }

    /// The keys that have a value now, in order, with its text. W&B drops the key that is empty, so it is
    /// never among them.
    pub(super) fn standing(&self) -> Vec<(&Path, usize, &str)> {
        let mut found = Vec::new();
        let mut above: Vec<Above<'_>> = Vec::new();
        for (path, slot) in self.slots.iter() {
            let Some(leaf) = self.leaves.get(slot) else { continue };
            while above.last().is_some_and(|top| !path.starts_with(top.path)) {
                Above::pop(&mut above, &mut found);
            }
            let cleared = above.last().map_or(0, |top| top.changed);
            let stands = leaf.set > leaf.removed && leaf.set > cleared;
            let changed = cleared.max(leaf.set).max(leaf.removed);
            above.push(Above { path, slot, leaf, stands, changed, set_below: 0 });
        }
        while !above.is_empty() {
            Above::pop(&mut above, &mut found);
        }
        found.sort_unstable_by_key(|(path, ..)| *path);
        found
    }

    /// The values as nested objects.
    pub(super) fn tree(&self, depth: usize) -> Value {
        let mut root = BTreeMap::new();
        for (path, _, text) in self.standing() {
            insert(&mut root, path, Value::parse_or_text(text, depth));
        }
        Value::Object(root)
    }
}

impl Change {
    #[inline]
    fn text<'a>(&self, message: &'a [u8], typed: &'a [u8]) -> &'a [u8] {
        let bytes = if self.typed { typed } else { message };
        bytes.get(self.range.clone()).unwrap_or_default()
    }
}

/// A key on the way from the root to the one being looked at.
struct Above<'a> {
    path: &'a Path,
    slot: usize,
    leaf: &'a Leaf,
    /// Nothing above it has taken its place.
    stands: bool,
    /// When it or anything above it was last set or removed, which clears what is below.
    changed: u64,
    /// When anything below it was last set, which takes its place.
    set_below: u64,
}

impl<'a> Above<'a> {
    fn pop(stack: &mut Vec<Self>, found: &mut Vec<(&'a Path, usize, &'a str)>) {
        let Some(top) = stack.pop() else { return };
        let nameless = matches!(&**top.path, [key] if key.is_empty());
        if top.stands
            && top.leaf.set > top.set_below
            && !nameless
            && let Ok(text) = str::from_utf8(&top.leaf.value)
        {
            found.push((top.path, top.slot, text));
        }
        if let Some(parent) = stack.last_mut() {
            parent.set_below = parent.set_below.max(top.set_below).max(top.leaf.set);
        }
    }
}

/// Puts a value at a path, making objects on the way; what is in the way is replaced.
pub(crate) fn insert(root: &mut BTreeMap<String, Value>, path: &[String], value: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut members = root;
    for key in parents {
        let next = members.entry(key.clone()).or_insert_with(Value::object);
        if !matches!(next, Value::Object(_)) {
            *next = Value::object();
        }
        let Value::Object(inner) = next else { return };
        members = inner;
    }
    members.insert(last.clone(), value);
}

const NULL: &[u8] = b"null";
