//! Rows: from anything serde can serialize to leaves as JSON text.
//!
//! No tree of values is built. Each leaf becomes text in a buffer that is reused, with a note of the
//! slot it belongs to. A row is staged first and merged into the pending row once all of it is sound.

use super::entries::{Entries, Map, TopLevel, ValueError};
use super::json::{Json, Nan, put_json};
use super::slots::{Role, SlotId, Slots, dotted, push_element};
use crate::error::{Error, ErrorKind, Result};
use serde::Serialize;
use serde::ser::{self, Serializer};

/// The kind of a leaf, and its value if it is a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Leaf {
    Null,
    Integer(f64),
    Float(f64),
    Other,
}

/// A leaf of a row: its slot, and where in the row's text its value is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) slot: SlotId,
    pub(super) leaf: Leaf,
    start: usize,
    end: usize,
}

/// Leaves, and the text of their values.
#[derive(Debug, Default)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    text: Vec<u8>,
}

impl Cells {
    #[inline]
    pub(super) fn get(&self, place: usize) -> Option<Cell> {
        self.cells.get(place).copied()
    }

    #[inline]
    pub(super) fn text(&self, cell: Cell) -> &[u8] {
        self.text.get(cell.start..cell.end).unwrap_or_default()
    }

    pub(super) const fn len(&self) -> usize {
        self.cells.len()
    }

    #[inline]
    pub(super) fn push(&mut self, slot: SlotId, put: impl FnOnce(&mut Vec<u8>) -> Leaf) {
        let start = self.text.len();
        let leaf = put(&mut self.text);
        self.cells.push(Cell { slot, leaf, start, end: self.text.len() });
    }

    fn clear(&mut self) {
        self.cells.clear();
        self.text.clear();
    }

    /// Drops text that no cell uses any more.
    fn compact(&mut self) {
        let live: usize = self.cells.iter().map(|cell| cell.end - cell.start).sum();
        if self.text.len() < COMPACT_FROM || live > self.text.len() / 2 {
            return;
        }
        let mut text = Vec::with_capacity(live * 2);
        for cell in &mut self.cells {
            let start = text.len();
            text.extend_from_slice(self.text.get(cell.start..cell.end).unwrap_or_default());
            (cell.start, cell.end) = (start, text.len());
        }
        self.text = text;
    }
}

/// The row that is being put together, and the one being staged for it.
#[derive(Debug)]
pub(super) struct PendingRow {
    pub(super) cells: Cells,
    /// Counts committed rows; tells which slots the pending one holds.
    pub(super) generation: u64,
    staged: Cells,
    path: Vec<u8>,
}

impl Default for PendingRow {
    fn default() -> Self {
        let (cells, staged, path) = (Cells::default(), Cells::default(), Vec::new());
        Self { cells, generation: 1, staged, path }
    }
}

impl PendingRow {
    /// Serializes `row`, without touching the pending row.
    pub(super) fn stage<R: Serialize>(&mut self, slots: &mut Slots, row: &R) -> Result<()> {
        self.staged.clear();
        self.path.clear();
        let (staged, path) = (&mut self.staged, &mut self.path);
        let mut leaves = Leaves { slots, cells: staged, path, depth: 0, previous: None };
        row.serialize(TopLevel(&mut leaves)).map_err(|error| self.explain(error))
    }

    /// Merges the staged row into the pending one: of two values of a key the last wins.
    pub(super) fn merge(&mut self, slots: &mut Slots) {
        let mut base = self.cells.text.len();
        if self.cells.cells.is_empty() {
            std::mem::swap(&mut self.cells.text, &mut self.staged.text);
            base = 0;
        } else {
            self.cells.text.extend_from_slice(&self.staged.text);
        }
        for cell in self.staged.cells.drain(..) {
            let Some(slot) = slots.get_mut(cell.slot) else { continue };
            let cell = Cell { start: cell.start + base, end: cell.end + base, ..cell };
            match self.cells.cells.get_mut(slot.place) {
                Some(earlier) if slot.row == self.generation => *earlier = cell,
                _ => {
                    (slot.row, slot.place) = (self.generation, self.cells.cells.len());
                    self.cells.cells.push(cell);
                }
            }
        }
        if base > 0 {
            self.cells.compact();
        }
    }

    /// Starts the next row.
    pub(super) fn clear(&mut self) {
        self.cells.clear();
        self.generation += 1;
    }

    #[cold]
    fn explain(&self, error: ValueError) -> Error {
        let ValueError(reason) = error;
        let reason = match self.path.is_empty() {
            true => reason,
            false => format!("key {:?}: {reason}", dotted(&self.path)),
        };
        Error::new(ErrorKind::Value(reason))
    }
}

/// Collects the leaves of a row.
struct Leaves<'a> {
    slots: &'a mut Slots,
    cells: &'a mut Cells,
    path: &'a mut Vec<u8>,
    /// Elements of the path.
    depth: usize,
    previous: Option<SlotId>,
}

impl Leaves<'_> {
    #[inline]
    fn leaf(
        &mut self,
        put: impl FnOnce(&mut Vec<u8>) -> Result<Leaf, ValueError>,
    ) -> Result<(), ValueError> {
        if self.depth > DEPTH {
            return Err(ValueError(format!("nested more than {DEPTH} deep")));
        }
        let start = self.cells.text.len();
        let leaf = put(&mut self.cells.text)?;
        self.finish(start, leaf);
        Ok(())
    }

    /// Makes a cell of the text from `start` on.
    #[inline]
    fn finish(&mut self, start: usize, leaf: Leaf) {
        let slot = self.slots.find(self.previous, self.path);
        self.previous = Some(slot);
        let dropped = self.slots.get(slot).is_some_and(|slot| match slot.role {
            Role::Metric => false,
            Role::Timestamp => leaf == Leaf::Null,
            Role::Own => true,
        });
        if dropped {
            self.cells.text.truncate(start);
            return;
        }
        self.cells.cells.push(Cell { slot, leaf, start, end: self.cells.text.len() });
    }
}

impl Entries for Leaves<'_> {
    const NEST: bool = true;

    #[inline]
    fn enter(&mut self, key: &str) -> Option<usize> {
        let mark = self.path.len();
        if mark == 0 && key.is_empty() {
            // So does W&B; an empty key further down it keeps.
            return None;
        }
        push_element(self.path, key);
        self.depth += 1;
        Some(mark)
    }

    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        value.serialize(Value(self))
    }

    fn raw(&mut self, text: &str) -> Result<(), ValueError> {
        self.leaf(|out| {
            out.extend_from_slice(text.as_bytes());
            Ok(match (text, text.parse()) {
                ("null", _) => Leaf::Null,
                (_, Err(_)) => Leaf::Other,
                (_, Ok(number)) if text.contains(['.', 'e', 'E']) => Leaf::Float(number),
                (_, Ok(number)) => Leaf::Integer(number),
            })
        })
    }

    #[inline]
    fn leave(&mut self, mark: usize) {
        self.path.truncate(mark);
        self.depth -= 1;
    }
}

/// Serializes the value at the present path: objects are entered, everything else is a leaf.
struct Value<'r, 'a>(&'r mut Leaves<'a>);

macro_rules! numbers {
    ($($method:ident: $type:ty => $kind:ident;)*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<(), ValueError> {
            self.0.leaf(|out| {
                Json { out, nan: Nan::Bare }.$method(value)?;
                Ok(Leaf::$kind(value as f64))
            })
        })*
    };
}

macro_rules! others {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $method(self, $($arg: $type),*) -> Result<(), ValueError> {
            self.0.leaf(|out| {
                Json { out, nan: Nan::Bare }.$method($($arg),*)?;
                Ok(Leaf::Other)
            })
        })*
    };
}

impl<'r, 'a> Serializer for Value<'r, 'a> {
    type Ok = ();
    type Error = ValueError;
    type SerializeSeq = List<'r, 'a>;
    type SerializeTuple = List<'r, 'a>;
    type SerializeTupleStruct = List<'r, 'a>;
    type SerializeTupleVariant = List<'r, 'a>;
    type SerializeMap = Map<'r, Leaves<'a>>;
    type SerializeStruct = Map<'r, Leaves<'a>>;
    type SerializeStructVariant = Map<'r, Leaves<'a>>;

    numbers! {
        serialize_i8: i8 => Integer;
        serialize_i16: i16 => Integer;
        serialize_i32: i32 => Integer;
        serialize_i64: i64 => Integer;
        serialize_i128: i128 => Integer;
        serialize_u8: u8 => Integer;
        serialize_u16: u16 => Integer;
        serialize_u32: u32 => Integer;
        serialize_u64: u64 => Integer;
        serialize_u128: u128 => Integer;
        serialize_f32: f32 => Float;
        serialize_f64: f64 => Float;
    }

    others! {
        serialize_bool(value: bool);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    fn serialize_none(self) -> Result<(), ValueError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), ValueError> {
        self.0.leaf(|out| {
            out.extend_from_slice(b"null");
            Ok(Leaf::Null)
        })
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), ValueError> {
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), ValueError> {
        self.0.entry(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'r, 'a>, ValueError> {
        Ok(List::open(self.0, None))
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'r, 'a>, ValueError> {
        Ok(List::open(self.0, None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'r, 'a>, ValueError> {
        Ok(List::open(self.0, None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'r, 'a>, ValueError> {
        let mark = self.0.enter(variant);
        Ok(List::open(self.0, mark))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map<'r, Leaves<'a>>, ValueError> {
        Ok(Map::new(self.0))
    }

    fn serialize_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Map<'r, Leaves<'a>>, ValueError> {
        Ok(Map::named(self.0, name))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Map<'r, Leaves<'a>>, ValueError> {
        Ok(Map::within(self.0, variant))
    }
}

/// A list, which is one leaf whatever it holds.
struct List<'r, 'a> {
    leaves: &'r mut Leaves<'a>,
    start: usize,
    /// The entry of the enum variant that this list is the value of.
    variant: Option<usize>,
}

impl<'r, 'a> List<'r, 'a> {
    fn open(leaves: &'r mut Leaves<'a>, variant: Option<usize>) -> Self {
        let start = leaves.cells.text.len();
        leaves.cells.text.push(b'[');
        Self { leaves, start, variant }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let out = &mut self.leaves.cells.text;
        if out.len() > self.start + 1 {
            out.push(b',');
        }
        put_json(out, Nan::Bare, value)
    }

    fn close(self) -> Result<(), ValueError> {
        self.leaves.cells.text.push(b']');
        self.leaves.finish(self.start, Leaf::Other);
        if let Some(mark) = self.variant {
            self.leaves.leave(mark);
        }
        Ok(())
    }
}

macro_rules! lists {
    ($($trait:ident, $method:ident;)*) => {
        $(impl ser::$trait for List<'_, '_> {
            type Ok = ();
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.element(value)
            }

            fn end(self) -> Result<(), ValueError> {
                self.close()
            }
        })*
    };
}

lists! {
    SerializeSeq, serialize_element;
    SerializeTuple, serialize_element;
    SerializeTupleStruct, serialize_field;
    SerializeTupleVariant, serialize_field;
}

/// Text is not compacted below this size.
const COMPACT_FROM: usize = 1 << 16;

/// Deepest key; readers, W&B's too, recurse over it.
const DEPTH: usize = 128;
