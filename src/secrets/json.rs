//! The strings of a JSON text, with their names, in place: what is not touched keeps its bytes.

use crate::json::{Value, put_str};

/// Shows `visit` each string of a JSON text, with its name, and puts what it answers in its place; `None`
/// if it never answers. The name is `name` and the keys on the way, joined with dots. In a list of
/// arguments the name of what follows a flag is the flag.
///
/// Texts that are not quite JSON are walked as far as they make sense.
pub(super) fn rewrite(
    text: &str,
    name: &str,
    visit: &mut dyn FnMut(&str, &str) -> Option<String>,
) -> Option<String> {
    let mut walk = Walk { text, at: 0, name: name.to_owned(), frames: Vec::new() };
    let mut out: Option<String> = None;
    let mut copied = 0;
    while let Some((start, string)) = walk.next_value() {
        let replaced = visit(walk.value_name(), &string);
        walk.note_flag(&string);
        if let Some(replaced) = replaced {
            let out = out.get_or_insert_default();
            out.push_str(text.get(copied..start).unwrap_or_default());
            let mut literal = Vec::new();
            put_str(&mut literal, &replaced);
            out.push_str(&String::from_utf8_lossy(&literal));
            copied = walk.at;
        }
    }
    if let Some(out) = &mut out {
        out.push_str(text.get(copied..).unwrap_or_default());
    }
    out
}

struct Walk<'a> {
    text: &'a str,
    at: usize,
    name: String,
    frames: Vec<Frame>,
}

/// An object or array that is open.
struct Frame {
    object: bool,
    /// Length of its own name.
    name_len: usize,
    expects_key: bool,
    /// The flag that the last string of an array was.
    flag: Option<String>,
}

impl Walk<'_> {
    /// The next string that is a value: where its quotes begin, and what it says.
    fn next_value(&mut self) -> Option<(usize, String)> {
        loop {
            let start = self.at;
            let byte = *self.text.as_bytes().get(start)?;
            self.at += 1;
            match byte {
                b'"' => {
                    let string = self.string(start);
                    match self.frames.last_mut() {
                        Some(frame) if frame.object && frame.expects_key => {
                            frame.expects_key = false;
                            self.name.truncate(frame.name_len);
                            if self.frames.len() <= NAMED_DEPTH {
                                if !self.name.is_empty() {
                                    self.name.push('.');
                                }
                                self.name.push_str(&string);
                            }
                        }
                        _ => return Some((start, string)),
                    }
                }
                b'{' | b'[' => self.frames.push(Frame {
                    object: byte == b'{',
                    name_len: self.name.len(),
                    expects_key: byte == b'{',
                    flag: None,
                }),
                b'}' | b']' => {
                    if let Some(frame) = self.frames.pop() {
                        self.name.truncate(frame.name_len);
                    }
                }
                b',' => {
                    if let Some(frame) = self.frames.last_mut() {
                        frame.expects_key = frame.object;
                        self.name.truncate(frame.name_len);
                    }
                }
                _ => {}
            }
        }
    }

    /// Goes past the string whose quote stands at `start`, and decodes it.
    fn string(&mut self, start: usize) -> String {
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'"' if !escaped => break,
                b'\\' => escaped = !escaped,
                _ => escaped = false,
            }
        }
        let literal = self.text.get(start..self.at).unwrap_or_default();
        match Value::parse(literal) {
            Ok(Value::String(string)) => string,
            _ => literal.trim_matches('"').to_owned(),
        }
    }

    fn value_name(&self) -> &str {
        let flag = self.frames.last().and_then(|frame| frame.flag.as_deref());
        flag.unwrap_or(&self.name)
    }

    fn note_flag(&mut self, string: &str) {
        if let Some(frame) = self.frames.last_mut().filter(|frame| !frame.object) {
            frame.flag = is_flag(string).then(|| string.to_owned());
        }
    }
}

/// Whether an argument is a flag whose value comes next.
pub(super) fn is_flag(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains(['=', ' ']) && argument.len() < 100
}

/// Names grow no further in deeper nesting.
const NAMED_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn visited(text: &str) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        let unchanged = rewrite(text, "c", &mut |name, string| {
            seen.push((name.to_owned(), string.to_owned()));
            None
        });
        assert_eq!(unchanged, None);
        seen
    }

    #[test]
    fn strings_are_visited_with_their_names() {
        let text = r#"{"a": "x", "b": {"c\"": ["y", 1, {"d": "z"}]}, "e": NaN, "f": "é\n"}"#;
        let want = [("c.a", "x"), ("c.b.c\"", "y"), ("c.b.c\".d", "z"), ("c.f", "é\n")];
        let want = want.map(|(name, string)| (name.to_owned(), string.to_owned()));
        assert_eq!(visited(text), want);
        assert_eq!(visited("\"top\""), [("c".to_owned(), "top".to_owned())]);
        assert!(visited("1.5e+06").is_empty());
    }

    #[test]
    fn an_argument_behind_a_flag_is_named_by_it() {
        let names: Vec<_> =
            visited(r#"["--key", "k", "x", "-v"]"#).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["c", "--key", "c", "c"]);
    }

    #[test]
    fn only_what_is_replaced_changes() {
        let text = r#"{ "a" : "x" , "n":1e+06,"b":["y"]}"#;
        let new = rewrite(text, "", &mut |_, s| (s == "x").then(|| "\"new\"".into()));
        assert_eq!(new.unwrap(), r#"{ "a" : "\"new\"" , "n":1e+06,"b":["y"]}"#);
    }

    #[test]
    fn broken_texts_end_the_walk_and_nothing_else() {
        for text in ["{\"a\": \"x", "]]}}\"a\"", "{{{\"a\"", "\"\\"] {
            visited(text);
        }
        visited(&"{\"a\":".repeat(100_000));
    }
}
