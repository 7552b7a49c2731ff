//! The values of a column, all of one kind as long as that loses nothing.

use crate::json::{Number, Value, number};
use crate::limits::Limits;
use crate::record::ItemValue;

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnKind {
    /// Integers. Go writes 1.0 as `1`, so this may well be a column of floats that happen to be whole.
    Int,
    /// Floats, and integers that a float holds exactly.
    Float,
    /// Booleans.
    Bool,
    /// Strings.
    Text,
    /// Lists, objects, and whatever is no W&B JSON, as text.
    Json,
    /// Values of several of these kinds.
    Mixed,
}

/// One value of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cell<'a> {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A boolean.
    Bool(bool),
    /// A string.
    Text(&'a str),
    /// A list, an object, an integer beyond 64 bits or what is no W&B JSON, as text.
    Json(&'a str),
}

impl Cell<'_> {
    /// A number as a float; integers beyond 2^53 are rounded.
    pub const fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// A value that owns its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Owned {
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Json(String),
}

/// The value of an item, if it is a number and an `i64` or `f64` holds it.
#[inline]
pub(super) fn read_number(value: ItemValue<'_>) -> Option<Number> {
    match value {
        ItemValue::Json(text) => match number(text)? {
            Number::UInt(_) => None,
            Number::Float(_) if is_long_integer(text) => None,
            number => Some(number),
        },
        ItemValue::Number(value) => Some(Number::Float(value)),
        ItemValue::Integer(value) => Some(Number::Int(value)),
        _ => None,
    }
}

impl Owned {
    /// The value of an item; `None` for null and for no value.
    pub(super) fn read(value: ItemValue<'_>) -> Option<Self> {
        Some(match (read_number(value), value) {
            (Some(Number::Int(value)), _) => Self::Int(value),
            (Some(Number::Float(value)), _) => Self::Float(value),
            (_, ItemValue::Json(text)) => return Self::read_other(text),
            (_, ItemValue::Bool(value)) => Self::Bool(value),
            (_, ItemValue::Text(text)) => Self::Text(text.into()),
            _ => return None,
        })
    }

    fn read_other(text: &str) -> Option<Self> {
        Some(match text.as_bytes() {
            b"null" => return None,
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            [b'"', ..] => match Value::parse_within(text, Limits::DEFAULT.json_depth) {
                Ok(Value::String(text)) => Self::Text(text),
                _ => Self::Json(text.into()),
            },
            _ => Self::Json(text.into()),
        })
    }

    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Int(value) => Cell::Int(*value),
            Self::Float(value) => Cell::Float(*value),
            Self::Bool(value) => Cell::Bool(*value),
            Self::Text(text) => Cell::Text(text),
            Self::Json(text) => Cell::Json(text),
        }
    }
}

/// Digits only, and more of them than 64 bits hold.
fn is_long_integer(text: &str) -> bool {
    text.len() > 18 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// The values of a column, without the rows that have none.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    Int(Vec<i64>),
    Float(Vec<f64>),
    Bool(Vec<bool>),
    Text(Vec<String>),
    Json(Vec<String>),
    Mixed(Vec<Owned>),
}

impl Default for Cells {
    fn default() -> Self {
        Self::Int(Vec::new())
    }
}

impl Cells {
    /// Whether these are numbers of the same kind.
    #[inline]
    pub(super) const fn takes_number(&self, number: Number) -> bool {
        matches!(
            (self, number),
            (Self::Float(_), Number::Float(_)) | (Self::Int(_), Number::Int(_))
        )
    }

    /// Adds a number, if it is [one of their kind](Self::takes_number). What nearly all values are, and an [`Owned`]
    /// is slow to hand on.
    #[inline]
    pub(super) fn push_number(&mut self, number: Number) {
        match (self, number) {
            (Self::Float(cells), Number::Float(value)) => cells.push(value),
            (Self::Int(cells), Number::Int(value)) => cells.push(value),
            _ => {}
        }
    }

    /// Adds a value, and changes the kind of the column first if the value needs it.
    pub(super) fn push(&mut self, value: Owned) {
        if self.len() == 0 {
            *self = Self::of_kind(&value);
        }
        match (&mut *self, value) {
            (Self::Float(cells), Owned::Int(value)) if is_exact(value) => cells.push(value as f64),
            (Self::Bool(cells), Owned::Bool(value)) => cells.push(value),
            (Self::Text(cells), Owned::Text(text)) => cells.push(text),
            (Self::Json(cells), Owned::Json(text)) => cells.push(text),
            (Self::Mixed(cells), value) => cells.push(value),
            (Self::Float(cells), Owned::Float(value)) => cells.push(value),
            (Self::Int(cells), Owned::Int(value)) => cells.push(value),
            (Self::Int(cells), Owned::Float(value)) if cells.iter().all(|cell| is_exact(*cell)) => {
                let floats = cells.iter().map(|cell| *cell as f64).chain([value]);
                *self = Self::Float(floats.collect());
            }
            (_, value) => {
                let mut mixed = std::mem::take(self).into_mixed();
                mixed.push(value);
                *self = Self::Mixed(mixed);
            }
        }
    }

    fn of_kind(value: &Owned) -> Self {
        match value {
            Owned::Int(_) => Self::Int(Vec::new()),
            Owned::Float(_) => Self::Float(Vec::new()),
            Owned::Bool(_) => Self::Bool(Vec::new()),
            Owned::Text(_) => Self::Text(Vec::new()),
            Owned::Json(_) => Self::Json(Vec::new()),
        }
    }

    /// Whether a value can be added as it is, and leaves all others as they are.
    pub(super) fn takes(&self, value: &Owned) -> bool {
        match (self, value) {
            (Self::Float(_), Owned::Float(_))
            | (Self::Int(_), Owned::Int(_))
            | (Self::Bool(_), Owned::Bool(_))
            | (Self::Text(_), Owned::Text(_))
            | (Self::Json(_), Owned::Json(_)) => true,
            _ => self.len() == 0,
        }
    }

    /// Adds the values of others, which changes the kind of the column as adding them one by one does.
    pub(super) fn append(&mut self, others: Self) {
        match (&mut *self, others) {
            (cells, others) if cells.len() == 0 => *cells = others,
            (Self::Int(cells), Self::Int(mut others)) => cells.append(&mut others),
            (Self::Float(cells), Self::Float(mut others)) => cells.append(&mut others),
            (Self::Bool(cells), Self::Bool(mut others)) => cells.append(&mut others),
            (Self::Text(cells), Self::Text(mut others))
            | (Self::Json(cells), Self::Json(mut others)) => cells.append(&mut others),
            (cells, others) => others.into_mixed().into_iter().for_each(|value| cells.push(value)),
        }
    }

    fn into_mixed(self) -> Vec<Owned> {
        match self {
            Self::Int(cells) => cells.into_iter().map(Owned::Int).collect(),
            Self::Float(cells) => cells.into_iter().map(Owned::Float).collect(),
            Self::Bool(cells) => cells.into_iter().map(Owned::Bool).collect(),
            Self::Text(cells) => cells.into_iter().map(Owned::Text).collect(),
            Self::Json(cells) => cells.into_iter().map(Owned::Json).collect(),
            Self::Mixed(cells) => cells,
        }
    }

    /// Takes the last value away.
    pub(super) fn pop(&mut self) {
        match self {
            Self::Int(cells) => drop(cells.pop()),
            Self::Float(cells) => drop(cells.pop()),
            Self::Bool(cells) => drop(cells.pop()),
            Self::Text(cells) | Self::Json(cells) => drop(cells.pop()),
            Self::Mixed(cells) => drop(cells.pop()),
        }
    }

    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Int(cells) => cells.len(),
            Self::Float(cells) => cells.len(),
            Self::Bool(cells) => cells.len(),
            Self::Text(cells) | Self::Json(cells) => cells.len(),
            Self::Mixed(cells) => cells.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Cell<'_>> {
        match self {
            Self::Int(cells) => cells.get(index).map(|value| Cell::Int(*value)),
            Self::Float(cells) => cells.get(index).map(|value| Cell::Float(*value)),
            Self::Bool(cells) => cells.get(index).map(|value| Cell::Bool(*value)),
            Self::Text(cells) => cells.get(index).map(|text| Cell::Text(text)),
            Self::Json(cells) => cells.get(index).map(|text| Cell::Json(text)),
            Self::Mixed(cells) => cells.get(index).map(Owned::cell),
        }
    }

    pub(super) const fn kind(&self) -> ColumnKind {
        match self {
            Self::Int(_) => ColumnKind::Int,
            Self::Float(_) => ColumnKind::Float,
            Self::Bool(_) => ColumnKind::Bool,
            Self::Text(_) => ColumnKind::Text,
            Self::Json(_) => ColumnKind::Json,
            Self::Mixed(_) => ColumnKind::Mixed,
        }
    }
}

/// Whether a float holds the integer exactly.
const fn is_exact(value: i64) -> bool {
    value.unsigned_abs() <= 1 << 53
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(texts: &[&str]) -> Cells {
        let mut cells = Cells::default();
        for value in texts.iter().filter_map(|text| Owned::read(ItemValue::Json(text))) {
            cells.push(value);
        }
        cells
    }

    #[test]
    fn a_column_is_of_one_kind_as_long_as_nothing_is_lost() {
        for (texts, want) in [
            (&["1", "2"][..], ColumnKind::Int),
            (&["1", "2.5", "3"], ColumnKind::Float),
            (&["NaN", "Infinity"], ColumnKind::Float),
            (&["true", "false"], ColumnKind::Bool),
            (&["\"a\"", "\"b\""], ColumnKind::Text),
            (&["[1]", "{}", "{bad", "123456789012345678901"], ColumnKind::Json),
            (&["1", "\"a\""], ColumnKind::Mixed),
            (&["9007199254740993", "0.5"], ColumnKind::Mixed),
            (&["0.5", "9007199254740993"], ColumnKind::Mixed),
        ] {
            let cells = cells(texts);
            assert_eq!((cells.kind(), cells.len()), (want, texts.len()), "{texts:?}");
        }
    }

    #[test]
    fn a_clash_of_kinds_loses_no_value() {
        let cells = cells(&["1", "0.5", "\"x\"", "true", "[1, 2]", "null", "9223372036854775808"]);
        let found: Vec<_> = (0..cells.len()).filter_map(|i| cells.get(i)).collect();
        assert_eq!(
            found,
            [
                Cell::Float(1.0),
                Cell::Float(0.5),
                Cell::Text("x"),
                Cell::Bool(true),
                Cell::Json("[1, 2]"),
                Cell::Json("9223372036854775808"),
            ]
        );
    }
}
