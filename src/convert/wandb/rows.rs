//! The rows of a history, as values of keys.

use super::keys::{Class, Keys, as_integer};
use super::media;
use crate::error::Result;
use crate::json::{self, Number, Value};
use crate::limits::Limits;
use crate::record::{HistoryView, ItemValue, RawRecord};
use crate::run::Metrics;
use crate::run::slots::{Path, Slots};
use crate::wire::{Field, Fields};
use std::collections::BTreeMap;

/// Reads rows, and numbers the keys they have.
#[derive(Debug, Default)]
pub(super) struct RowReader {
    slots: Slots,
    roles: Vec<Role>,
    pub(super) keys: Keys,
    /// How many keys the metric definitions were looked up for.
    defined: usize,
    last_step: Option<i64>,
    /// For each key: in which row it was last, and where among its values.
    places: Vec<(u64, usize)>,
    count: u64,
    pub(super) row: Row,
}

/// The row read last.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) step: i64,
    pub(super) timestamp: Option<f64>,
    pub(super) runtime: Option<f64>,
    /// Wall times that hold for one key.
    pub(super) wall_times: Vec<(Path, f64)>,
    pub(super) values: Vec<(usize, Datum)>,
    pub(super) nulls: u64,
    /// Objects with a `_type` that has no class.
    pub(super) unsupported: Vec<String>,
}

/// A value of a row.
#[derive(Debug)]
pub(super) enum Datum {
    Number(Number),
    Text(String),
    /// A list.
    Json(Value),
    /// An object with a `_type`.
    Media(Value),
}

/// What the items of a slot are.
#[derive(Debug)]
enum Role {
    Step,
    Timestamp,
    Runtime,
    Internal,
    WallTime(Path),
    /// The `_type` of an object.
    Type(Path),
    /// Any other value, and its key's number once a number was found there.
    Leaf(Path, Option<usize>),
}

impl Role {
    fn of(path: &Path) -> Self {
        let elements: Vec<&str> = path.iter().map(String::as_str).collect();
        match &elements[..] {
            ["_step"] => Self::Step,
            ["_timestamp"] => Self::Timestamp,
            ["_runtime"] => Self::Runtime,
            ["_wandb", ..] => Self::Internal,
            ["_wall_time", _, ..] => Self::WallTime(path.iter().skip(1).cloned().collect()),
            [_, .., "_type"] => Self::Type(path.clone()),
            _ => Self::Leaf(path.clone(), None),
        }
    }

    const fn path(&self) -> Option<&Path> {
        match self {
            Self::Type(path) | Self::Leaf(path, _) => Some(path),
            _ => None,
        }
    }
}

impl RowReader {
    /// Reads the body of a history record into [`Self::row`].
    ///
    /// # Errors
    /// When it is none; it counts as a row all the same.
    pub(super) fn read(
        &mut self,
        record: &RawRecord<'_>,
        message: &[u8],
        metrics: &Metrics,
    ) -> Result<()> {
        self.count += 1;
        self.row.clear();
        let view = HistoryView::new(message);
        view.check().map_err(|error| record.malformed(error))?;
        let step = view.step().map_err(|error| record.malformed(error))?;
        let step = step.unwrap_or_else(|| self.last_step.map_or(0, |last| last.saturating_add(1)));
        (self.row.step, self.last_step) = (step, Some(step));
        self.items(message);
        for number in self.defined..self.keys.len() {
            self.keys.define(number, metrics);
        }
        // Defining a key may have made one for its step metric.
        self.defined = self.keys.len();
        Ok(())
    }

    /// Begins to read the rows again.
    pub(super) fn rewind(&mut self) {
        self.last_step = None;
    }

    fn items(&mut self, message: &[u8]) {
        let items = Fields::new(message).filter_map(|field| match field {
            Ok(Field { number: ITEM, value }) => value.bytes(),
            _ => None,
        });
        let found: Vec<_> = items.filter_map(|item| self.slots.find(item)).collect();
        for (_, path) in self.slots.since(self.roles.len()) {
            self.roles.push(Role::of(path));
        }
        let is_type = |(slot, _): &(usize, _)| matches!(self.roles.get(*slot), Some(Role::Type(_)));
        let has_objects = found.iter().any(is_type);
        let mut tree = BTreeMap::new();
        for (slot, value) in found {
            let Some(role) = self.roles.get_mut(slot) else { continue };
            let number = number(value);
            match role {
                Role::Step | Role::Internal => continue,
                Role::Timestamp => self.row.timestamp = number.map(Number::as_f64),
                Role::Runtime => self.row.runtime = number.map(Number::as_f64),
                Role::WallTime(path) => {
                    let time = number.map(|number| (path.clone(), number.as_f64()));
                    self.row.wall_times.extend(time);
                }
                Role::Leaf(path, key) if path.len() == 1 || !has_objects => match number {
                    Some(number) => {
                        let keys = &mut self.keys;
                        let key = *key.get_or_insert_with(|| keys.number(path, Class::Scalar));
                        self.put(key, Datum::Number(number));
                    }
                    None => {
                        let path = path.clone();
                        self.value(&path, parsed(value));
                    }
                },
                _ => {
                    let Some(path) = role.path() else { continue };
                    insert(&mut tree, path, parsed(value));
                }
            }
        }
        for (name, value) in tree {
            self.value(&[name], value);
        }
    }

    /// Takes in a value that is not just a number: an object is its members, unless it has a type.
    fn value(&mut self, path: &[String], value: Value) {
        let class = match &value {
            Value::Null => {
                self.row.nulls += 1;
                return;
            }
            Value::Object(members) => match members.get("_type").and_then(Value::as_str) {
                Some(name) => match media::class(name) {
                    Some(class) => class,
                    None => return self.row.unsupported.push(name.to_owned()),
                },
                None => {
                    let Value::Object(members) = value else { return };
                    for (name, value) in members {
                        let mut path = path.to_vec();
                        path.push(name);
                        self.value(&path, value);
                    }
                    return;
                }
            },
            Value::String(_) | Value::Array(_) => Class::Text,
            _ => Class::Scalar,
        };
        let key = self.keys.number(&path.into(), class);
        let number = match &value {
            Value::Bool(value) => Number::Int((*value).into()),
            Value::Int(value) => Number::Int(*value),
            Value::UInt(value) => Number::UInt(*value),
            other => Number::Float(other.as_f64().unwrap_or(f64::NAN)),
        };
        self.put(
            key,
            match value {
                Value::String(text) => Datum::Text(text),
                Value::Array(_) => Datum::Json(value),
                Value::Object(_) => Datum::Media(value),
                _ => Datum::Number(number),
            },
        );
    }

    /// Of two values for a key the last wins.
    fn put(&mut self, key: usize, datum: Datum) {
        if self.places.len() <= key {
            self.places.resize(key + 1, (0, 0));
        }
        let Some(place) = self.places.get_mut(key) else { return };
        if place.0 == self.count
            && let Some(value) = self.row.values.get_mut(place.1)
        {
            value.1 = datum;
            return;
        }
        *place = (self.count, self.row.values.len());
        self.row.values.push((key, datum));
    }

    /// The row and the keys, and a way to ask for the integers among the row's values.
    pub(super) fn parts(&mut self) -> (&mut Row, &mut Keys, Integers<'_>) {
        let integers = Integers { places: &self.places, count: self.count };
        (&mut self.row, &mut self.keys, integers)
    }
}

/// Where the values of a row are.
#[derive(Clone, Copy)]
pub(super) struct Integers<'a> {
    places: &'a [(u64, usize)],
    count: u64,
}

impl Integers<'_> {
    /// The row's value of a key, if it is an integer.
    pub(super) fn of(self, row: &Row, key: usize) -> Option<i64> {
        let (_, place) = self.places.get(key).filter(|(count, _)| *count == self.count)?;
        match row.values.get(*place)? {
            (_, Datum::Number(number)) => as_integer(*number),
            _ => None,
        }
    }
}

impl Row {
    fn clear(&mut self) {
        (self.timestamp, self.runtime, self.nulls) = (None, None, 0);
        self.wall_times.clear();
        self.values.clear();
        self.unsupported.clear();
    }
}

fn number(value: ItemValue<'_>) -> Option<Number> {
    match value {
        ItemValue::Bool(value) => Some(Number::Int(value.into())),
        ItemValue::Integer(value) => Some(Number::Int(value)),
        ItemValue::Number(value) => Some(Number::Float(value)),
        ItemValue::Json("true") => Some(Number::Int(1)),
        ItemValue::Json("false") => Some(Number::Int(0)),
        ItemValue::Json(text) => json::number(text),
        _ => None,
    }
}

fn parsed(value: ItemValue<'_>) -> Value {
    match value {
        ItemValue::Missing | ItemValue::Null => Value::Null,
        ItemValue::Bool(value) => Value::Bool(value),
        ItemValue::Integer(value) => Value::Int(value),
        ItemValue::Number(value) => Value::Float(value),
        ItemValue::Text(text) => Value::String(text.to_owned()),
        ItemValue::Json(text) => Value::parse_or_text(text, Limits::DEFAULT.json_depth),
    }
}

/// Puts a value where it belongs; what is in the way gives way.
fn insert(tree: &mut BTreeMap<String, Value>, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        tree.insert(name.clone(), value);
        return;
    }
    let inner = tree.entry(name.clone()).or_insert_with(Value::object);
    if inner.as_object().is_none() {
        *inner = Value::object();
    }
    if let Value::Object(members) = inner {
        insert(members, rest, value);
    }
}

const ITEM: u32 = 1;
