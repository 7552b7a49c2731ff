//! JSON as W&B writes it: with the words `NaN`, `Infinity` and `-Infinity` for numbers.
//!
//! A reader of its own: the library's is under test, and `serde_json` without `float_roundtrip` is one digit
//! off now and then.

use serde_json::{Map, Number, Value};

/// Deeper nesting is refused.
const MAX_DEPTH: usize = 512;

/// Reads a text. The three words come back as strings of the same letters.
pub(crate) fn wandb_json(text: &str) -> Result<Value, String> {
    let mut reader = Reader { rest: text };
    match reader.value(0).filter(|_| reader.next().is_none()) {
        Some(value) => Ok(value),
        None => Err(format!("not JSON at byte {}", text.len() - reader.rest.len())),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The next character that is not blank; it stays.
    fn next(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest.chars().next()
    }

    fn eat(&mut self, word: &str) -> Option<()> {
        self.next();
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.next()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            '"' => self.string().map(Value::String),
            _ => {
                let word = self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
                match word {
                    "null" => Some(Value::Null),
                    "true" => Some(true.into()),
                    "false" => Some(false.into()),
                    "NaN" | "Infinity" | "-Infinity" => Some(word.into()),
                    _ => number(word),
                }
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut object = Map::new();
        self.eat("{")?;
        while self.eat("}").is_none() {
            if !object.is_empty() {
                self.eat(",")?;
            }
            self.next();
            let key = self.string()?;
            self.eat(":")?;
            object.insert(key, self.value(depth + 1)?);
        }
        Some(object.into())
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        self.eat("[")?;
        while self.eat("]").is_none() {
            if !items.is_empty() {
                self.eat(",")?;
            }
            items.push(self.value(depth + 1)?);
        }
        Some(items.into())
    }

    fn string(&mut self) -> Option<String> {
        let (quoted, rest) = self.rest.split_at(string_length(self.rest)?);
        self.rest = rest;
        serde_json::from_str(quoted).ok()
    }

    fn take(&mut self, mut wanted: impl FnMut(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

/// The length of the string in quotes that a text begins with.
pub(super) fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    let inner = text.strip_prefix('"')?;
    let end = inner.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

/// An integer as exactly as there is a type for it, else the nearest `f64`.
fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let leading_zero = whole > 1 && digits.starts_with('0');
    let bare_point = digits[whole..].starts_with('.')
        && !digits[whole + 1..].starts_with(|c: char| c.is_ascii_digit());
    if whole == 0 || leading_zero || bare_point {
        return None;
    }
    let integer =
        text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    match integer {
        Ok(integer) => Some(integer.into()),
        Err(_) => Number::from_f64(text.parse().ok()?).map(Value::Number),
    }
}
