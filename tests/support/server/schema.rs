//! Holds operations against `schema.graphql`, and puts the variables where they are used.

use super::graphql::{self, Field, Literal, Operation, Tokens, Type};
use super::json::wandb_json;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// A field of the schema, or an argument of one.
struct Definition {
    arguments: BTreeMap<String, Type>,
    kind: Type,
}

#[derive(Default)]
pub(super) struct Schema {
    scalars: BTreeSet<String>,
    enums: BTreeMap<String, Vec<String>>,
    types: BTreeMap<String, BTreeMap<String, Definition>>,
    inputs: BTreeMap<String, BTreeMap<String, Type>>,
}

pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::parse(include_str!("schema.graphql")).expect("the schema is well formed")
});

/// A field to be answered: checked, its variables in place.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) alias: String,
    /// The type that the field is of, and its name.
    pub(super) of: String,
    pub(super) name: String,
    pub(super) arguments: Value,
    pub(super) kind: Type,
    pub(super) fields: Vec<Self>,
}

/// An operation that may be performed.
pub(super) struct Plan {
    pub(super) fields: Vec<Selected>,
    /// Variables that came along undeclared.
    pub(super) undeclared: Vec<String>,
}

impl Schema {
    fn parse(text: &str) -> Result<Self, String> {
        let mut schema = Self::default();
        let built_in = ["String", "Int", "Float", "Boolean", "ID"].map(str::to_owned);
        schema.scalars.extend(built_in);
        let mut tokens = Tokens::new(text)?;
        while !tokens.at_end() {
            let (what, name) = (tokens.name()?, tokens.name()?);
            if what == "scalar" {
                schema.scalars.insert(name);
                continue;
            }
            tokens.expect("{")?;
            match what.as_str() {
                "enum" => {
                    let words = schema.enums.entry(name).or_default();
                    while !tokens.eat("}") {
                        words.push(tokens.name()?);
                    }
                }
                "input" => drop(schema.inputs.insert(name, typed(&mut tokens, "}")?)),
                "type" => {
                    let fields = schema.types.entry(name).or_default();
                    while !tokens.eat("}") {
                        let field = tokens.name()?;
                        let arguments = match tokens.eat("(") {
                            true => typed(&mut tokens, ")")?,
                            false => BTreeMap::new(),
                        };
                        tokens.expect(":")?;
                        fields.insert(field, Definition { arguments, kind: tokens.type_name()? });
                    }
                }
                _ => return Err(format!("unexpected {what}")),
            }
        }
        Ok(schema)
    }

    /// Checks the operation of a request and resolves its variables.
    pub(super) fn plan(
        &self,
        query: &str,
        name: Option<&str>,
        given: &Value,
    ) -> Result<Plan, String> {
        let mut operations = graphql::operations(query)?;
        operations
            .retain(|operation| name.is_none_or(|name| operation.name.as_deref() == Some(name)));
        let [operation] = &operations[..] else {
            return Err(format!("{} operations are named {name:?}", operations.len()));
        };
        let empty = Map::new();
        let given = given.as_object().unwrap_or(&empty);
        let planner = Planner { schema: self, operation, given, used: RefCell::default() };
        planner.check_variables()?;
        let fields = planner.fields(operation.root, &operation.fields)?;
        let used = planner.used.into_inner();
        if let Some((name, _)) = operation.variables.iter().find(|(name, _)| !used.contains(name)) {
            return Err(format!("variable ${name} is never used"));
        }
        let declared = |name: &String| operation.variables.iter().any(|(other, _)| other == name);
        let undeclared = given.keys().filter(|name| !declared(name)).cloned().collect();
        Ok(Plan { fields, undeclared })
    }

    /// Whether a value may stand where a type is wanted.
    fn check(&self, value: &Value, kind: &Type, place: &str) -> Result<(), String> {
        let wrong = || Err(format!("{place}: {kind} cannot be {value:.200}"));
        let name = match (kind, value) {
            (Type::NonNull(_), Value::Null) => return wrong(),
            (Type::NonNull(inner), _) => return self.check(value, inner, place),
            (_, Value::Null) => return Ok(()),
            (Type::List(inner), Value::Array(items)) => {
                return items.iter().try_for_each(|item| self.check(item, inner, place));
            }
            (Type::List(inner), _) => return self.check(value, inner, place),
            (Type::Named(name), _) => name.as_str(),
        };
        if let Some(fields) = self.inputs.get(name) {
            let Some(object) = value.as_object() else { return wrong() };
            self.check_names(object.keys(), fields, place)?;
            return fields.iter().try_for_each(|(field, kind)| {
                let value = object.get(field).unwrap_or(&Value::Null);
                self.check(value, kind, &format!("{place}.{field}"))
            });
        }
        let fits = match name {
            "Int" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
            "Int64" | "Duration" => value.is_i64(),
            "Float" => value.is_number(),
            "Boolean" => value.is_boolean(),
            "ID" => value.is_string() || value.is_i64(),
            "JSONString" => value.as_str().is_some_and(|text| wandb_json(text).is_ok()),
            _ => match (self.enums.get(name), value.as_str()) {
                (Some(words), Some(word)) => words.iter().any(|other| other == word),
                (None, Some(_)) => true,
                (_, None) => false,
            },
        };
        if fits { Ok(()) } else { wrong() }
    }

    fn check_names<'a>(
        &self,
        names: impl IntoIterator<Item = &'a String>,
        known: &BTreeMap<String, Type>,
        place: &str,
    ) -> Result<(), String> {
        match names.into_iter().find(|name| !known.contains_key(*name)) {
            Some(name) => Err(format!("{place}: unknown argument {name}")),
            None => Ok(()),
        }
    }
}

/// `name: Type …` up to some token.
fn typed(tokens: &mut Tokens, end: &str) -> Result<BTreeMap<String, Type>, String> {
    let mut fields = BTreeMap::new();
    while !tokens.eat(end) {
        let name = tokens.name()?;
        tokens.expect(":")?;
        fields.insert(name, tokens.type_name()?);
    }
    Ok(fields)
}

struct Planner<'a> {
    schema: &'a Schema,
    operation: &'a Operation,
    given: &'a Map<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

impl Planner<'_> {
    fn check_variables(&self) -> Result<(), String> {
        let Schema { scalars, enums, inputs, .. } = self.schema;
        self.operation.variables.iter().try_for_each(|(name, kind)| {
            let of = kind.name();
            if !(scalars.contains(of) || enums.contains_key(of) || inputs.contains_key(of)) {
                return Err(format!("variable ${name}: unknown type {of}"));
            }
            let value = self.given.get(name).unwrap_or(&Value::Null);
            self.schema.check(value, kind, &format!("variable ${name}"))
        })
    }

    /// The fields that are asked for; those left out by a condition are checked as well.
    fn fields(&self, of: &str, fields: &[Field]) -> Result<Vec<Selected>, String> {
        let known = &self.schema.types[of];
        let mut selected = Vec::new();
        for Field { alias, name, arguments, conditions, fields } in fields {
            let place = format!("{of}.{name}");
            let definition = known.get(name).ok_or_else(|| format!("unknown field {place}"))?;
            let is_object = self.schema.types.contains_key(definition.kind.name());
            if is_object == fields.is_empty() {
                return Err(format!("{place} is of type {}", definition.kind));
            }
            let arguments = self.object(arguments, &definition.arguments, &place)?;
            let fields = match is_object {
                true => self.fields(definition.kind.name(), fields)?,
                false => Vec::new(),
            };
            let mut wanted = true;
            for (include, condition) in conditions {
                let boolean = Type::NonNull(Type::Named("Boolean".to_owned()).into());
                let condition = self.value(condition, &boolean, &place)?;
                wanted &= condition == Some(Value::Bool(*include));
            }
            if wanted {
                let (alias, name, of, kind) =
                    (alias.clone(), name.clone(), of.to_owned(), definition.kind.clone());
                selected.push(Selected { alias, of, name, arguments, kind, fields });
            }
        }
        Ok(selected)
    }

    fn object(
        &self,
        written: &[(String, Literal)],
        known: &BTreeMap<String, Type>,
        place: &str,
    ) -> Result<Value, String> {
        self.schema.check_names(written.iter().map(|(name, _)| name), known, place)?;
        let mut object = Map::new();
        for (name, kind) in known {
            let place = format!("{place}.{name}");
            let literal = written.iter().find(|(other, _)| other == name);
            let value = match literal {
                Some((_, literal)) => self.value(literal, kind, &place)?,
                None => None,
            };
            match value {
                Some(value) => drop(object.insert(name.clone(), value)),
                None if matches!(kind, Type::NonNull(_)) => {
                    return Err(format!("{place}: {kind} is required"));
                }
                None => {}
            }
        }
        Ok(Value::Object(object))
    }

    /// A value with its variables in place; `None` for a variable that was not given.
    fn value(&self, literal: &Literal, kind: &Type, place: &str) -> Result<Option<Value>, String> {
        let nullable = match kind {
            Type::NonNull(inner) => inner,
            _ => kind,
        };
        let value = match (literal, nullable) {
            (Literal::Variable(name), _) => {
                let declared = self.operation.variables.iter().find(|(other, _)| other == name);
                let (_, declared) = declared.ok_or_else(|| format!("${name} is not declared"))?;
                if !fits(declared, kind) {
                    return Err(format!("{place}: ${name} is a {declared}, not a {kind}"));
                }
                self.used.borrow_mut().insert(name.clone());
                return Ok(self.given.get(name).cloned());
            }
            (Literal::Object(fields), Type::Named(name)) => {
                let known = self.schema.inputs.get(name);
                let known = known.ok_or_else(|| format!("{place}: {kind} is not an object"))?;
                return self.object(fields, known, place).map(Some);
            }
            (Literal::List(items), Type::List(inner)) => {
                let items = items.iter().map(|item| self.value(item, inner, place));
                Value::Array(
                    items
                        .map(|item| Ok(item?.unwrap_or_default()))
                        .collect::<Result<_, String>>()?,
                )
            }
            (Literal::Word(word), Type::Named(name)) if self.schema.enums.contains_key(name) => {
                word.as_str().into()
            }
            (Literal::Scalar(value), _) => value.clone(),
            _ => return Err(format!("{place}: {literal:?} is not a {kind}")),
        };
        self.schema.check(&value, kind, place)?;
        Ok(Some(value))
    }
}

/// Whether a variable of one type may stand where another is wanted.
fn fits(variable: &Type, wanted: &Type) -> bool {
    match (variable, wanted) {
        (Type::NonNull(variable), Type::NonNull(wanted)) => fits(variable, wanted),
        (Type::NonNull(variable), _) => fits(variable, wanted),
        (Type::List(variable), Type::List(wanted)) => fits(variable, wanted),
        (Type::Named(variable), Type::Named(wanted)) => variable == wanted,
        _ => false,
    }
}
