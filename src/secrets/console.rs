//! Console output, whose fragments say something only together.
//!
//! `print("key:", key)` makes four records, so the fragments of each stream are joined to lines before
//! they are scanned, and what is found is given back to the fragments it came from. The pieces that a long
//! file is read in are such fragments too.

use super::{SecretKind, SecretScanner};
use crate::record::{Body, RecordKind};
use crate::wire::{Fields, WireValue};
use std::collections::VecDeque;
use std::ops::Range;

/// Joins the fragments of both streams to lines and scans these.
#[derive(Debug, Default)]
pub(crate) struct ConsoleScanner {
    streams: [Lines; 2],
}

/// A secret in console output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsoleSecret {
    pub(crate) kind: SecretKind,
    pub(crate) masked: String,
    /// Where its record begins, and its bytes in the text of that record; several if it is split.
    pub(crate) pieces: Vec<(u64, Range<usize>)>,
}

/// The end of a stream that is not scanned yet.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    /// The fragments in it: record, where it begins in the text, and how much of it was cut off before.
    fragments: VecDeque<Fragment>,
    /// Whether a private key has begun and not ended.
    in_key: bool,
}

#[derive(Debug)]
struct Fragment {
    record: u64,
    range: Range<usize>,
    /// Bytes of the fragment in front of this range.
    before: usize,
}

impl ConsoleScanner {
    /// Takes in the fragment of the record at `offset`; what the lines that it ends hold.
    pub(crate) fn write(
        &mut self,
        scanner: &SecretScanner,
        offset: u64,
        stream: usize,
        text: &str,
    ) -> Vec<ConsoleSecret> {
        let Some(lines) = self.streams.get_mut(stream) else { return Vec::new() };
        let start = lines.text.len();
        lines.text.push_str(text);
        lines.follow_key(start);
        let range = start..lines.text.len();
        lines.fragments.push_back(Fragment { record: offset, range, before: 0 });
        let ends = text.rfind('\n').map(|at| start + at + 1);
        let mut found = match ends {
            Some(end) if !lines.in_key && !lines.ends_key_behind(end) => lines.scan(scanner, end),
            _ => Vec::new(),
        };
        if lines.text.len() > LONGEST {
            lines.in_key = false;
            found.extend(lines.scan(scanner, lines.last_delimiter()));
        }
        found
    }

    /// What is left at the end.
    pub(crate) fn finish(&mut self, scanner: &SecretScanner) -> Vec<ConsoleSecret> {
        let mut found = Vec::new();
        for lines in &mut self.streams {
            found.extend(lines.scan(scanner, lines.text.len()));
        }
        found
    }
}

impl Lines {
    /// Notes private keys that begin or end in the text from `start` on.
    fn follow_key(&mut self, start: usize) {
        let mut at = start.saturating_sub(PEM_BEGIN.len());
        loop {
            let mark = if self.in_key { PEM_END } else { PEM_BEGIN };
            let rest = self.text.as_bytes().get(at..).unwrap_or_default();
            let found = rest.windows(mark.len()).position(|window| window == mark.as_bytes());
            let Some(found) = found else { return };
            self.in_key = !self.in_key;
            at += found + mark.len();
        }
    }

    /// Whether the last line of a private key has begun behind this place and goes on.
    fn ends_key_behind(&self, end: usize) -> bool {
        self.text.get(end..).unwrap_or_default().contains(PEM_END)
    }

    /// The end of the last character that ends a word, where a secret is least likely to be cut.
    fn last_delimiter(&self) -> usize {
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';');
        let last = self.text.char_indices().rfind(|(_, c)| ends(*c));
        last.map_or(self.text.len(), |(at, c)| at + c.len_utf8())
    }

    fn scan(&mut self, scanner: &SecretScanner, end: usize) -> Vec<ConsoleSecret> {
        let text: String = self.text.drain(..end).collect();
        let secrets = scanner.console(&text);
        let found = secrets.iter().map(|secret| ConsoleSecret {
            kind: secret.kind,
            masked: secret.masked(&text),
            pieces: self.pieces(&secret.range),
        });
        let found = found.collect();
        self.fragments.retain_mut(|fragment| {
            let (start, stop) = (fragment.range.start, fragment.range.end);
            fragment.before += end.saturating_sub(start);
            fragment.range = start.saturating_sub(end)..stop.saturating_sub(end);
            stop > end
        });
        found
    }

    fn pieces(&self, range: &Range<usize>) -> Vec<(u64, Range<usize>)> {
        let piece = |fragment: &Fragment| {
            let start = fragment.range.start.max(range.start);
            let end = fragment.range.end.min(range.end);
            let to_own = |at| at - fragment.range.start + fragment.before;
            (start < end).then(|| (fragment.record, to_own(start)..to_own(end)))
        };
        self.fragments.iter().filter_map(piece).collect()
    }
}

/// The stream and the text of a console record; `None` if it is none.
pub(crate) fn fragment<'a>(body: &'a Body<'_>) -> Option<(usize, &'a str)> {
    if !matches!(body.kind, RecordKind::OutputRaw | RecordKind::Output) {
        return None;
    }
    let (mut stream, mut line) = (0, "");
    for field in Fields::new(&body.message).map_while(Result::ok) {
        match (field.number, field.value) {
            (1, WireValue::Varint(value)) => stream = usize::from(value != 0),
            (3, WireValue::Bytes(bytes)) => line = std::str::from_utf8(bytes).ok()?,
            _ => {}
        }
    }
    Some((stream, line))
}

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_END: &str = "-----END ";

/// A line that goes on for more bytes is scanned in parts.
const LONGEST: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";

    fn pieces(fragments: &[(usize, &str)]) -> Vec<Vec<(u64, Range<usize>)>> {
        let scanner = SecretScanner::default();
        let mut console = ConsoleScanner::default();
        let mut found = Vec::new();
        for (offset, (stream, text)) in (0..).zip(fragments) {
            found.extend(console.write(&scanner, offset, *stream, text));
        }
        found.extend(console.finish(&scanner));
        found.into_iter().map(|secret| secret.pieces).collect()
    }

    #[test]
    fn a_secret_is_found_across_fragments() {
        let (head, tail) = KEY.split_at(15);
        let found =
            pieces(&[(1, "key: "), (1, head), (0, "warning\n"), (1, tail), (1, "\nmore\n")]);
        assert_eq!(found, [[(1, 0..15), (3, 0..25)]]);
    }

    #[test]
    fn what_comes_before_in_the_line_says_what_a_fragment_is() {
        assert!(pieces(&[(1, "commit"), (1, " "), (1, KEY), (1, "\n")]).is_empty());
        assert_eq!(pieces(&[(1, "token"), (1, " "), (1, KEY), (1, "\n")]), [[(2, 0..40)]]);
    }

    #[test]
    fn a_fragment_with_a_line_end_belongs_to_both_lines() {
        let fragment = format!("a\n{}", &KEY[..20]);
        let found = pieces(&[(1, "x"), (1, &fragment), (1, &KEY[20..])]);
        assert_eq!(found, [[(1, 2..22), (2, 0..20)]]);
    }

    #[test]
    fn private_keys_are_one_secret_over_many_lines() {
        let lines = ["-----BEGIN PRIVATE KEY-----\n", "MIIEvQ\n", "-----END PRIVATE KEY-----\n"];
        let found = pieces(&lines.map(|line| (1, line)));
        assert_eq!(found, [[(0, 0..28), (1, 0..7), (2, 0..25)]]);
    }

    #[test]
    fn a_private_key_is_found_however_its_marks_are_split() {
        let pem = "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\nx\n";
        for at in 1..pem.len() {
            let (head, rest) = pem.split_at(at);
            let found = pieces(&[(1, head), (1, rest)]);
            assert_eq!(found.len(), 1, "split at {at}");
            let length: usize = found[0].iter().map(|(_, range)| range.len()).sum();
            assert_eq!(length, pem.len() - 3, "split at {at}");
        }
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_it_may() {
        let scanner = SecretScanner::default();
        let mut console = ConsoleScanner::default();
        for offset in 0..1000 {
            console.write(&scanner, offset, 1, &"x".repeat(1000));
            assert!(console.streams[1].text.len() <= LONGEST);
        }
    }
}
