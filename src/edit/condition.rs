//! Conditions on rows.
//!
//! ```text
//! condition  = both { ("or" | "||") both }
//! both       = one { ("and" | "&&") one }
//! one        = ("not" | "!") one | "(" condition ")" | test
//! test       = KEY ("<" | "<=" | ">" | ">=" | "==" | "=" | "!=") VALUE
//!            | ("isnan" | "isinf" | "has") "(" KEY ")"
//! KEY        = a word, or anything in double quotes; dots lead into objects
//! VALUE      = a number, nan, inf, -inf, true, false, null, or a text in double quotes
//! ```

use crate::error::{Error, Result};
use crate::json::{Value, number, quoted_len};
use crate::limits::Limits;
use crate::record::{HistoryView, ItemValue, split_key};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A condition that a row meets or not, such as `loss > 10 or isnan(loss)`.
///
/// A test of a key that the row does not have is never met, whatever it asks; so `not has(x)` asks for
/// its absence, and `x != 3` for another value. A NaN is `!=` to everything and nothing else; numbers are
/// compared with numbers and texts with texts. `_step` is the step of the row, also where it is not stated.
///
/// ```
/// use wandb_offline::edit::Condition;
///
/// let condition: Condition = r#"(loss > 10 and not "val.acc" >= 0.5) or isnan(loss)"#.parse()?;
/// assert_eq!(condition.to_string(), r#"(loss > 10 and not "val.acc" >= 0.5) or isnan(loss)"#);
/// let error = "loss >".parse::<Condition>().unwrap_err().to_string();
/// assert_eq!(error, "condition: \"loss >\": a value is missing at its end");
/// # Ok::<(), wandb_offline::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Condition {
    text: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Compare(Vec<String>, Comparison, Value),
    Is(Vec<String>, Property),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    Unequal,
}

#[derive(Clone, Copy, Debug)]
enum Property {
    Nan,
    Infinite,
    There,
}

impl Condition {
    /// Whether this row, whose step is `step`, meets the condition. Values that cannot be read meet none.
    pub fn is_met(&self, row: &HistoryView<'_>, step: i64) -> bool {
        self.test.is_met(row, step)
    }
}

impl FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parser = Parser { tokens: tokens(text).map_err(|reason| fault(text, &reason))? };
        parser.tokens.reverse();
        let test = parser.condition(0).map_err(|reason| fault(text, &reason))?;
        match parser.tokens.pop() {
            None => Ok(Self { text: text.to_owned(), test }),
            Some(token) => Err(fault(text, &format!("{token} is one too many"))),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn fault(text: &str, reason: &str) -> Error {
    Error::setting("condition", format!("{text:?}: {reason}"))
}

impl Test {
    fn is_met(&self, row: &HistoryView<'_>, step: i64) -> bool {
        match self {
            Self::Compare(key, comparison, value) => {
                find(row, step, key).is_some_and(|found| comparison.holds(&found, value))
            }
            Self::Is(key, property) => {
                find(row, step, key).is_some_and(|found| property.holds(&found))
            }
            Self::Not(test) => !test.is_met(row, step),
            Self::All(tests) => tests.iter().all(|test| test.is_met(row, step)),
            Self::Any(tests) => tests.iter().any(|test| test.is_met(row, step)),
        }
    }
}

impl Comparison {
    fn holds(self, a: &Value, b: &Value) -> bool {
        let order = match (a, b) {
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            _ => match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => a.partial_cmp(&b),
                _ => (a == b).then_some(Ordering::Equal),
            },
        };
        match self {
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            Self::Equal => order == Some(Ordering::Equal),
            Self::Unequal => order != Some(Ordering::Equal),
        }
    }
}

impl Property {
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Nan => value.as_f64().is_some_and(f64::is_nan),
            Self::Infinite => value.as_f64().is_some_and(f64::is_infinite),
            Self::There => true,
        }
    }
}

/// The value of a key in a row, also one inside an object; the last if it comes several times.
fn find(row: &HistoryView<'_>, step: i64, key: &[String]) -> Option<Value> {
    if key == ["_step"] {
        return Some(Value::Int(step));
    }
    let mut found = None;
    for item in row.items() {
        let item = item.ok()?;
        let mut rest = key.iter().map(String::as_str);
        if !item.path.elements().all(|element| rest.next() == Some(element)) {
            continue;
        }
        let value = match item.value {
            ItemValue::Missing => continue,
            ItemValue::Text(text) => Value::String(text.to_owned()),
            value => {
                let mut text = Vec::new();
                value.put_json(&mut text);
                Value::parse_or_text(&String::from_utf8_lossy(&text), Limits::DEFAULT.json_depth)
            }
        };
        found = value.at(rest).cloned().or(found);
    }
    found
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(text) | Self::Quoted(text) => write!(f, "{text:?}"),
            Self::Sign(sign) => write!(f, "\"{sign}\""),
        }
    }
}

/// The longer sign first where one begins like another.
const SIGNS: [&str; 12] = ["<=", ">=", "==", "!=", "&&", "||", "<", ">", "=", "!", "(", ")"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some((sign, after)) =
            SIGNS.iter().find_map(|sign| Some((*sign, rest.strip_prefix(sign)?)))
        {
            tokens.push(Token::Sign(sign));
            rest = after;
        } else if first == '"' {
            let end = quoted_len(rest).ok_or("a closing quote is missing")?;
            let (quoted, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let value = Value::parse(quoted).map_err(|error| format!("{quoted}: {error}"))?;
            tokens.push(Token::Quoted(value.as_str().unwrap_or_default().to_owned()));
            rest = after;
        } else {
            let ends = |c: char| c.is_whitespace() || "<>=!()&|\"".contains(c);
            let end = rest.find(ends).unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(end.max(1)).unwrap_or((rest, ""));
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// The tokens, the next one last.
struct Parser {
    tokens: Vec<Token>,
}

impl Parser {
    fn condition(&mut self, depth: usize) -> Result<Test, String> {
        let mut tests = vec![self.both(depth)?];
        while self.takes("or", "||") {
            tests.push(self.both(depth)?);
        }
        Ok(if tests.len() > 1 { Test::Any(tests) } else { tests.remove(0) })
    }

    fn both(&mut self, depth: usize) -> Result<Test, String> {
        let mut tests = vec![self.one(depth)?];
        while self.takes("and", "&&") {
            tests.push(self.one(depth)?);
        }
        Ok(if tests.len() > 1 { Test::All(tests) } else { tests.remove(0) })
    }

    fn one(&mut self, depth: usize) -> Result<Test, String> {
        if depth > DEPTH {
            return Err(format!("nested deeper than {DEPTH}"));
        }
        if self.takes("not", "!") {
            return Ok(Test::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.takes("(", "(") {
            let test = self.condition(depth + 1)?;
            self.closes()?;
            return Ok(test);
        }
        let first = self.tokens.pop().ok_or("a key is missing at its end")?;
        let (Token::Word(key) | Token::Quoted(key)) = &first else {
            return Err(format!("a key is missing before {first}"));
        };
        if let Token::Word(name) = &first
            && let Some(property) = property(name)
            && self.takes("(", "(")
        {
            let key = match self.tokens.pop() {
                Some(Token::Word(key) | Token::Quoted(key)) => split_key(&key),
                _ => return Err(format!("{name} wants a key in brackets")),
            };
            self.closes()?;
            return Ok(Test::Is(key, property));
        }
        let comparison = match self.tokens.pop() {
            Some(Token::Sign(sign)) => comparison(sign),
            _ => None,
        };
        let signs = "one of < <= > >= == !=";
        let comparison = comparison.ok_or_else(|| format!("{first} wants {signs} behind it"))?;
        Ok(Test::Compare(split_key(key), comparison, self.value()?))
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.tokens.pop().ok_or("a value is missing at its end")? {
            Token::Quoted(text) => Ok(Value::String(text)),
            Token::Word(word) => value(&word).ok_or_else(|| {
                format!("{word:?} is no number, nan, inf, true, false or null; quote a text")
            }),
            sign @ Token::Sign(_) => Err(format!("a value is missing before {sign}")),
        }
    }

    fn takes(&mut self, word: &str, sign: &str) -> bool {
        let takes = self.tokens.last().is_some_and(|token| match token {
            Token::Word(text) => text == word,
            Token::Sign(text) => *text == sign,
            Token::Quoted(_) => false,
        });
        if takes {
            self.tokens.pop();
        }
        takes
    }

    fn closes(&mut self) -> Result<(), String> {
        self.takes(")", ")").then_some(()).ok_or_else(|| "a ) is missing".into())
    }
}

fn property(name: &str) -> Option<Property> {
    Some(match name {
        "isnan" => Property::Nan,
        "isinf" => Property::Infinite,
        "has" => Property::There,
        _ => return None,
    })
}

fn comparison(sign: &str) -> Option<Comparison> {
    Some(match sign {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        "=" | "==" => Comparison::Equal,
        "!=" => Comparison::Unequal,
        _ => return None,
    })
}

fn value(word: &str) -> Option<Value> {
    Some(match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        "nan" => Value::Float(f64::NAN),
        "inf" => Value::Float(f64::INFINITY),
        "-inf" => Value::Float(f64::NEG_INFINITY),
        _ => {
            number(word)?;
            Value::parse(word).ok()?
        }
    })
}

const DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wandb_internal as pb;
    use prost::Message;

    fn is_met(condition: &str, items: &[(&[&str], &str)]) -> bool {
        let item = |(path, json): &(&[&str], &str)| pb::HistoryItem {
            nested_key: path.iter().map(|&element| element.into()).collect(),
            value_json: (*json).into(),
            ..Default::default()
        };
        let row =
            pb::HistoryRecord { item: items.iter().map(item).collect(), ..Default::default() };
        let bytes = row.encode_to_vec();
        condition.parse::<Condition>().unwrap().is_met(&HistoryView::new(&bytes), 7)
    }

    #[test]
    fn numbers_texts_and_properties_are_tested() {
        let row: &[(&[&str], &str)] = &[
            (&["loss"], "12.5"),
            (&["nan"], "NaN"),
            (&["inf"], "-Infinity"),
            (&["ok"], "true"),
            (&["no"], "null"),
            (&["phase"], r#""warm up""#),
            (&["a", "b"], "1"),
            (&["dict"], r#"{"x":{"y":2}}"#),
            (&["train/acc-1"], "0.5"),
        ];
        for condition in [
            "loss>10",
            "loss>=12.5&&loss<=1.25e1",
            "loss!=12",
            "nan != 1",
            "isnan(nan) and not isnan(loss)",
            "isinf(inf) and inf == -inf",
            "ok == true",
            "no = null",
            "has(no)",
            r#"phase == "warm up""#,
            r#"phase > "a""#,
            "a.b == 1",
            "dict.x.y == 2",
            "train/acc-1 < 1",
            r#""loss" > 10"#,
            "_step == 7",
            "loss < 0 or (loss > 10 and !(loss > 20))",
            "loss > 1 or loss > 2 and loss < 0",
        ] {
            assert!(is_met(condition, row), "{condition}");
        }
        for condition in [
            "loss < 10",
            "nan == nan",
            "nan > 0 or nan <= 0",
            "missing != 3",
            "missing < 3",
            "isnan(missing)",
            "phase > 3",
            "dict.x == 2",
            "a == 1",
            "not has(loss)",
        ] {
            assert!(!is_met(condition, row), "{condition}");
        }
    }

    #[test]
    fn what_is_no_condition_says_what_is_missing() {
        for (text, want) in [
            ("", "a key is missing at its end"),
            ("loss", "\"loss\" wants one of < <= > >= == != behind it"),
            ("loss > x", "\"x\" is no number, nan, inf, true, false or null; quote a text"),
            ("loss > (", "a value is missing before \"(\""),
            ("(loss > 1", "a ) is missing"),
            ("loss > 1)", "\")\" is one too many"),
            ("loss > 1 loss < 2", "\"loss\" is one too many"),
            ("isnan(", "isnan wants a key in brackets"),
            ("a == \"b", "a closing quote is missing"),
            ("> 3", "a key is missing before \">\""),
        ] {
            let error = text.parse::<Condition>().unwrap_err().to_string();
            assert_eq!(error, format!("condition: {text:?}: {want}"));
        }
        let deep = format!("{}a > 1{}", "(".repeat(100), ")".repeat(100));
        assert!(deep.parse::<Condition>().unwrap_err().to_string().ends_with("deeper than 64"));
    }
}
