//! Reads GraphQL: operations with variables, arguments, aliases, `@include` and `@skip`, and named fragments, which
//! are put in place of their spreads. What clients of the protocol do not write is a syntax error here.
//! The notation is that of <https://spec.graphql.org/October2021/>.

use super::json::string_length;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A type as written: `[String!]!`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Named(String),
    List(Box<Self>),
    NonNull(Box<Self>),
}

impl Type {
    /// The name inside all brackets.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::List(inner) | Self::NonNull(inner) => inner.name(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::List(inner) => write!(f, "[{inner}]"),
            Self::NonNull(inner) => write!(f, "{inner}!"),
        }
    }
}

/// A value as written in an operation.
#[derive(Debug, Clone)]
pub(super) enum Literal {
    Variable(String),
    /// A bare word: an enum's.
    Word(String),
    Scalar(Value),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) name: Option<String>,
    /// `Query` or `Mutation`.
    pub(super) root: &'static str,
    pub(super) variables: Vec<(String, Type)>,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    /// What the answer calls it.
    pub(super) alias: String,
    pub(super) name: String,
    pub(super) arguments: Vec<(String, Literal)>,
    /// `@include(if:)` with `true`, `@skip(if:)` with `false`.
    pub(super) conditions: Vec<(bool, Literal)>,
    pub(super) fields: Vec<Self>,
}

/// The operations of a document.
pub(super) fn operations(text: &str) -> Result<Vec<Operation>, String> {
    let mut tokens = Tokens::new(text)?;
    let (mut operations, mut fragments) = (Vec::new(), BTreeMap::new());
    while !tokens.at_end() {
        let (name, root) = match tokens.name()?.as_str() {
            "fragment" => {
                let name = tokens.name()?;
                tokens.expect("on")?;
                tokens.name()?;
                fragments.insert(name, tokens.selection()?);
                continue;
            }
            "query" => (tokens.optional_name(), "Query"),
            "mutation" => (tokens.optional_name(), "Mutation"),
            other => return Err(format!("syntax error: unexpected {other:?}")),
        };
        let mut variables = Vec::new();
        if tokens.eat("(") {
            while !tokens.eat(")") {
                tokens.expect("$")?;
                let name = tokens.name()?;
                tokens.expect(":")?;
                variables.push((name, tokens.type_name()?));
            }
        }
        operations.push(Operation { name, root, variables, fields: tokens.selection()? });
    }
    for operation in &mut operations {
        operation.fields = spread(std::mem::take(&mut operation.fields), &fragments, 0)?;
    }
    Ok(operations)
}

/// How a spread stands in a selection before its fragment replaces it: no field has such a name.
const SPREAD: &str = "...";
const MAX_DEPTH: usize = 32;

fn spread(
    fields: Vec<Field>,
    fragments: &BTreeMap<String, Vec<Field>>,
    depth: usize,
) -> Result<Vec<Field>, String> {
    if depth > MAX_DEPTH {
        return Err("the selection is too deep".to_owned());
    }
    let mut out = Vec::new();
    for mut field in fields {
        if field.alias == SPREAD {
            let fragment = fragments.get(&field.name);
            let fragment = fragment.ok_or_else(|| format!("unknown fragment {:?}", field.name))?;
            out.extend(spread(fragment.clone(), fragments, depth + 1)?);
        } else {
            field.fields = spread(field.fields, fragments, depth + 1)?;
            out.push(field);
        }
    }
    Ok(out)
}

/// The tokens of a text, from some point on.
pub(super) struct Tokens {
    tokens: Vec<String>,
    next: usize,
}

impl Tokens {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '#' => rest.find('\n').unwrap_or(rest.len()),
                '.' if rest.starts_with(SPREAD) => SPREAD.len(),
                '"' => string_length(rest).ok_or("syntax error: a string without an end")?,
                _ if is_word(first) || first == '-' => {
                    let word = |c| is_word(c) || matches!(c, '-' | '+' | '.');
                    rest.find(|c| !word(c)).unwrap_or(rest.len())
                }
                _ if first.is_whitespace() || "{}()[]:!$@,".contains(first) => first.len_utf8(),
                _ => return Err(format!("syntax error: unexpected {first:?}")),
            };
            let (token, after) = rest.split_at(length);
            if !(first.is_whitespace() || matches!(first, ',' | '#')) {
                tokens.push(token.to_owned());
            }
            rest = after;
        }
        Ok(Self { tokens, next: 0 })
    }

    pub(super) fn at_end(&self) -> bool {
        self.next == self.tokens.len()
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        self.next += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), String> {
        match self.eat(token) {
            true => Ok(()),
            false => Err(format!("syntax error: want {token:?}, got {:?}", self.peek())),
        }
    }

    pub(super) fn name(&mut self) -> Result<String, String> {
        let found = self.optional_name();
        found.ok_or_else(|| format!("syntax error: want a name, got {:?}", self.peek()))
    }

    fn optional_name(&mut self) -> Option<String> {
        let token = self.peek().to_owned();
        let is_name = token.starts_with(|c: char| is_word(c) && !c.is_ascii_digit());
        self.next += usize::from(is_name);
        is_name.then_some(token)
    }

    pub(super) fn type_name(&mut self) -> Result<Type, String> {
        let mut found = if self.eat("[") {
            let inner = self.type_name()?;
            self.expect("]")?;
            Type::List(inner.into())
        } else {
            Type::Named(self.name()?)
        };
        if self.eat("!") {
            found = Type::NonNull(found.into());
        }
        Ok(found)
    }

    fn peek(&self) -> &str {
        self.tokens.get(self.next).map_or("", String::as_str)
    }

    /// `{ field(…) @include(if: …) { … } … }`
    fn selection(&mut self) -> Result<Vec<Field>, String> {
        self.expect("{")?;
        let mut fields = Vec::new();
        while !self.eat("}") {
            if self.eat(SPREAD) {
                fields.push(Field::new(SPREAD.to_owned(), self.name()?));
                continue;
            }
            let alias = self.name()?;
            let name = if self.eat(":") { self.name()? } else { alias.clone() };
            let mut field = Field::new(alias, name);
            field.arguments = self.arguments()?;
            while self.eat("@") {
                let wanted = match self.name()?.as_str() {
                    "include" => true,
                    "skip" => false,
                    other => return Err(format!("unknown directive @{other}")),
                };
                let mut arguments = self.arguments()?.into_iter();
                let condition = arguments.find(|(name, _)| name == "if");
                let (_, condition) = condition.ok_or("a condition without an `if`")?;
                field.conditions.push((wanted, condition));
            }
            if self.peek() == "{" {
                field.fields = self.selection()?;
            }
            fields.push(field);
        }
        Ok(fields)
    }

    fn arguments(&mut self) -> Result<Vec<(String, Literal)>, String> {
        if self.eat("(") { self.pairs(")") } else { Ok(Vec::new()) }
    }

    fn pairs(&mut self, end: &str) -> Result<Vec<(String, Literal)>, String> {
        let mut pairs = Vec::new();
        while !self.eat(end) {
            let name = self.name()?;
            self.expect(":")?;
            pairs.push((name, self.literal()?));
        }
        Ok(pairs)
    }

    fn literal(&mut self) -> Result<Literal, String> {
        if self.eat("$") {
            return Ok(Literal::Variable(self.name()?));
        }
        if self.eat("{") {
            return Ok(Literal::Object(self.pairs("}")?));
        }
        if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                items.push(self.literal()?);
            }
            return Ok(Literal::List(items));
        }
        // Strings, numbers, `true`, `false` and `null` are written as in JSON.
        let token = self.peek();
        if let Ok(value) = serde_json::from_str(token) {
            self.next += 1;
            return Ok(Literal::Scalar(value));
        }
        Ok(Literal::Word(self.name()?))
    }
}

impl Field {
    fn new(alias: String, name: String) -> Self {
        Self { alias, name, arguments: Vec::new(), conditions: Vec::new(), fields: Vec::new() }
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}
