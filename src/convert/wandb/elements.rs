//! The elements of a JSON array that may be large, one at a time: rows of a table, points of a cloud.
//!
//! Of a file only what is kept is held in memory; the rest is walked over by its quotes and brackets.

use crate::json::Value;
use std::io::{self, BufRead};

/// What a scan found beside the elements.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Scanned {
    /// The member `columns` of the object that the array is in.
    pub(super) columns: Option<Value>,
    /// Elements that were not taken.
    pub(super) left_out: u64,
}

/// Reads a JSON array, or the one that is the member `data` of an object. `take` gets its elements, until
/// it says that it has enough; those after that need not be valid.
///
/// # Errors
/// When the text is neither, ends too early, or an element that is wanted is no JSON or has more than
/// [`LONGEST`] bytes; and when reading fails.
pub(super) fn scan(input: impl BufRead, take: impl FnMut(Value) -> bool) -> io::Result<Scanned> {
    let mut scanner = Scanner {
        take,
        depth: 0,
        rows: 0,
        quoted: false,
        escaped: false,
        member: Member::Name,
        text: Vec::new(),
        blank: true,
        due: false,
        enough: false,
        found: Scanned::default(),
    };
    scanner.read(input)?;
    Ok(scanner.found)
}

/// The member at hand of the outermost object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    /// Its name is still to come.
    Name,
    Columns,
    Data,
    Other,
    /// The text is over.
    End,
}

struct Scanner<F> {
    take: F,
    depth: usize,
    /// The depth of the array's elements; 0 before the text has begun.
    rows: usize,
    quoted: bool,
    escaped: bool,
    member: Member,
    /// The text of what is wanted: a name, the columns or an element.
    text: Vec<u8>,
    /// Whether nothing of an element was seen yet.
    blank: bool,
    /// Whether one has to come, after a comma.
    due: bool,
    enough: bool,
    found: Scanned,
}

impl<F: FnMut(Value) -> bool> Scanner<F> {
    fn read(&mut self, mut input: impl BufRead) -> io::Result<()> {
        loop {
            let bytes = input.fill_buf()?;
            if bytes.is_empty() {
                return if self.member == Member::End { Ok(()) } else { Err(malformed()) };
            }
            for &byte in bytes {
                self.byte(byte)?;
            }
            let length = bytes.len();
            input.consume(length);
        }
    }

    fn byte(&mut self, byte: u8) -> io::Result<()> {
        if self.quoted {
            self.quoted = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return self.keep(byte);
        }
        match byte {
            // Within a value it may be what makes it none.
            b' ' | b'\n' | b'\r' | b'\t' if self.text.is_empty() => return Ok(()),
            b'[' | b'{' => return self.open(byte),
            b']' | b'}' => return self.close(byte),
            b':' if self.depth == 1 && self.member == Member::Name => return self.name(),
            b',' if self.depth == self.rows && self.member == Member::Data => {
                self.due = true;
                return self.element();
            }
            b',' if self.depth == 1 => return self.end_member(),
            b'"' => self.quoted = true,
            _ => {}
        }
        self.keep(byte)
    }

    fn open(&mut self, byte: u8) -> io::Result<()> {
        if self.depth == 0 {
            (self.rows, self.member) = match (byte, self.member) {
                (_, Member::End) => return Err(malformed()),
                (b'[', _) => (1, Member::Data),
                _ => (2, Member::Name),
            };
        } else if self.depth + 1 == self.rows && self.member == Member::Data {
            if byte != b'[' || !self.blank {
                return Err(malformed());
            }
        } else {
            self.keep(byte)?;
        }
        self.depth += 1;
        Ok(())
    }

    fn close(&mut self, byte: u8) -> io::Result<()> {
        if self.depth == self.rows && self.member == Member::Data {
            if byte != b']' {
                return Err(malformed());
            }
            if self.due || !self.blank {
                self.element()?;
            }
            self.due = false;
            if self.rows == 1 {
                self.member = Member::End;
            }
        } else if self.depth == 1 {
            self.end_member()?;
            self.member = Member::End;
        } else {
            self.keep(byte)?;
        }
        self.depth = self.depth.checked_sub(1).ok_or_else(malformed)?;
        Ok(())
    }

    fn keep(&mut self, byte: u8) -> io::Result<()> {
        let wanted = match self.member {
            Member::End => return Err(malformed()),
            Member::Other => false,
            Member::Name | Member::Columns => true,
            // What is the member itself must be an array.
            Member::Data if self.depth < self.rows => return Err(malformed()),
            Member::Data => !self.enough,
        };
        self.blank = false;
        if wanted && self.text.len() >= LONGEST {
            return Err(malformed());
        }
        if wanted {
            self.text.push(byte);
        }
        Ok(())
    }

    fn name(&mut self) -> io::Result<()> {
        self.member = match self.value()?.as_str() {
            Some("columns") => Member::Columns,
            Some("data") => Member::Data,
            _ => Member::Other,
        };
        Ok(())
    }

    fn end_member(&mut self) -> io::Result<()> {
        if self.member == Member::Columns {
            self.found.columns = Some(self.value()?);
        }
        self.text.clear();
        (self.member, self.blank) = (Member::Name, true);
        Ok(())
    }

    fn element(&mut self) -> io::Result<()> {
        if self.blank {
            return Err(malformed());
        }
        if !self.enough {
            let value = self.value()?;
            self.enough = !(self.take)(value);
        }
        self.found.left_out += u64::from(self.enough);
        self.blank = true;
        Ok(())
    }

    /// What was kept.
    fn value(&mut self) -> io::Result<Value> {
        let text = std::str::from_utf8(&self.text).map_err(|_| malformed())?;
        let value = Value::parse(text).map_err(|_| malformed())?;
        self.text.clear();
        self.blank = true;
        Ok(value)
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// The longest text of one element.
const LONGEST: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements that are wanted, and how many are not; read in pieces of any size, all the same.
    fn of(text: &str, most: usize) -> Option<(String, Scanned)> {
        let read = |size| {
            let mut rows = Vec::new();
            let input = io::BufReader::with_capacity(size, text.as_bytes());
            let found = scan(input, |row| {
                let room = rows.len() < most;
                rows.extend(room.then_some(row));
                room
            });
            Some((Value::Array(rows).to_string(), found.ok()?))
        };
        assert_eq!(read(1), read(4096), "{text}");
        read(1)
    }

    #[test]
    fn rows_are_those_of_the_whole_text() {
        let text = r#" {"columns": ["a", "],\"\\"], "data" : [[1, "x,]"], [NaN, {"b": [2]}], []], "x": {"data": [3]}} "#;
        let whole = Value::parse(text).unwrap();
        let (rows, found) = of(text, 9).unwrap();
        assert_eq!(
            Some(&Value::parse(&rows).unwrap().to_string()),
            whole.get("data").map(|d| d.to_string()).as_ref()
        );
        assert_eq!((found.columns.as_ref(), found.left_out), (whole.get("columns"), 0));
        assert_eq!(of(text, 1).unwrap().0, r#"[[1,"x,]"]]"#);
        assert_eq!(of(text, 1).unwrap().1.left_out, 2);
        assert_eq!(of("[]", 9).unwrap().0, "[]");
        assert_eq!(of("[1, [2], \"3\"]", 9).unwrap().0, r#"[1,[2],"3"]"#);
        assert_eq!(of(r#"{"data":[],"columns":[]}"#, 9).unwrap().0, "[]");
    }

    #[test]
    fn what_is_no_array_is_refused() {
        for text in [
            "",
            "[",
            "[1,]",
            "[,1]",
            "[1",
            "1",
            "\"a\"",
            r#"{"data":1}"#,
            r#"{"data":{}}"#,
            "[1]]",
            "]",
            "[1] 2",
            "[1][2]",
            r#"{"data":"[1]"}"#,
            r#"{"data":[1}"#,
            "[1 2]",
            "[x]",
            "{} {}",
        ] {
            assert_eq!(of(text, 9), None, "{text}");
        }
    }
}
