//! What the writer remembers of each key it has seen.
//!
//! A training loop logs the same keys in the same order, row after row. So each key has a slot that
//! holds its encoded form, and knows which slot came after it last time: one comparison finds the slot
//! of nearly every value, and only a surprise costs a hash.

use super::tracker::Tracker;
use crate::wire;
use std::collections::HashMap;

/// Which slot.
pub(super) type SlotId = u32;

/// The slots of all keys, found by path.
///
/// A path is held as the protobuf fields it becomes, `nested_key` after `nested_key`, which no two
/// paths have in common.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    index: HashMap<Box<[u8]>, SlotId>,
    /// The slot a row starts with.
    first: SlotId,
}

/// A key.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its path, as [`push_element`] makes it.
    pub(super) path: Box<[u8]>,
    /// What the writer does with values under it.
    pub(super) role: Role,
    /// The last row that held it, by [`super::row::PendingRow::generation`] ...
    pub(super) row: u64,
    /// ... and where in that row.
    pub(super) place: usize,
    /// What its summary is made from.
    pub(super) tracker: Tracker,
    /// The step metric to be put into rows that have this key and lack that one.
    pub(super) step: Option<SlotId>,
    /// Whether metric definitions have been looked up for it.
    pub(super) resolved: bool,
    next: SlotId,
}

/// What the writer does with values logged under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Writes them.
    Metric,
    /// Writes them instead of the clock's time.
    Timestamp,
    /// Drops them: the writer has its own.
    Own,
}

impl Slots {
    /// The slot of `path`, which comes after `previous` in its row.
    #[inline]
    pub(super) fn find(&mut self, previous: Option<SlotId>, path: &[u8]) -> SlotId {
        let guess = match previous.and_then(|id| self.get(id)) {
            Some(slot) => slot.next,
            None => self.first,
        };
        if self.get(guess).is_some_and(|slot| *slot.path == *path) {
            return guess;
        }
        self.find_by_hash(previous, path)
    }

    #[cold]
    fn find_by_hash(&mut self, previous: Option<SlotId>, path: &[u8]) -> SlotId {
        let id = self.intern(path);
        match previous.and_then(|id| self.get_mut(id)) {
            Some(slot) => slot.next = id,
            None => self.first = id,
        }
        id
    }

    /// The slot of `path`, made if there is none yet.
    pub(super) fn intern(&mut self, path: &[u8]) -> SlotId {
        if let Some(&id) = self.index.get(path) {
            return id;
        }
        let id = self.slots.len() as SlotId;
        let role = match path {
            TIMESTAMP => Role::Timestamp,
            STEP | RUNTIME => Role::Own,
            _ => Role::Metric,
        };
        self.slots.push(Slot {
            path: path.into(),
            role,
            row: 0,
            place: 0,
            tracker: Tracker::default(),
            step: None,
            resolved: false,
            next: id.saturating_add(1),
        });
        self.index.insert(path.into(), id);
        id
    }

    #[inline]
    pub(super) fn get(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(id as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(id as usize)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }
}

/// Appends one element to a path.
#[inline]
pub(super) fn push_element(path: &mut Vec<u8>, element: &str) {
    wire::put_bytes(path, NESTED_KEY, element.as_bytes());
}

/// The elements of a path.
pub(super) fn elements(path: &[u8]) -> impl Iterator<Item = &str> {
    wire::Fields::new(path).filter_map(|field| str::from_utf8(field.ok()?.value.bytes()?).ok())
}

/// A path as W&B prints and addresses it: joined with dots, dots within elements escaped.
pub(super) fn dotted(path: &[u8]) -> String {
    let elements: Vec<_> = elements(path).map(|element| element.replace('.', "\\.")).collect();
    elements.join(".")
}

/// The path that a dotted name addresses.
pub(super) fn parse_dotted(name: &str) -> Vec<u8> {
    let mut path = Vec::new();
    let mut element = String::new();
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek() == Some(&'.') => {
                rest.next();
                element.push('.');
            }
            '.' => push_element(&mut path, &std::mem::take(&mut element)),
            _ => element.push(c),
        }
    }
    push_element(&mut path, &element);
    path
}

/// Field 2 of `HistoryItem` and of `SummaryItem`.
const NESTED_KEY: u32 = 2;

/// The paths the writer fills in itself.
pub(super) const STEP: &[u8] = b"\x12\x05_step";
pub(super) const RUNTIME: &[u8] = b"\x12\x08_runtime";
pub(super) const TIMESTAMP: &[u8] = b"\x12\x0a_timestamp";
pub(super) const WANDB_RUNTIME: &[u8] = b"\x12\x06_wandb\x12\x07runtime";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_names_read_back_as_the_path_they_print() {
        for name in ["loss", "a.b", "a\\.b", "a\\.b.c/d", "", "a..b", "\\x"] {
            assert_eq!(dotted(&parse_dotted(name)), name);
        }
        assert_ne!(parse_dotted("a.b"), parse_dotted("a\\.b"));
        assert_eq!(parse_dotted("_step"), STEP);
        assert_eq!(parse_dotted("_wandb.runtime"), WANDB_RUNTIME);
    }

    #[test]
    fn a_row_whose_keys_come_in_another_order_finds_the_same_slots() {
        let mut slots = Slots::default();
        let (a, b) = (parse_dotted("a"), parse_dotted("b"));
        let first = slots.find(None, &a);
        let second = slots.find(Some(first), &b);
        assert_ne!(first, second);
        for _ in 0..3 {
            assert_eq!(slots.find(None, &b), second);
            assert_eq!(slots.find(Some(second), &a), first);
            assert_eq!(slots.find(None, &a), first);
        }
    }
}
