//! Console output without the sequences that colour it, in which a secret may be split by them.

use std::ops::Range;

/// A text without its escape sequences, and where each of its bytes was.
pub(super) struct Plain {
    pub(super) text: String,
    /// Where pieces of the text begin, and by how many bytes they were moved forward; ascending.
    moved: Vec<(usize, usize)>,
    /// The text as it was, with blanks instead of sequences.
    pub(super) blanked: String,
}

impl Plain {
    /// `None` if there is no sequence in the text.
    pub(super) fn of(text: &str) -> Option<Self> {
        if !text.contains(ESCAPE) {
            return None;
        }
        let mut plain = Self {
            text: String::with_capacity(text.len()),
            moved: vec![(0, 0)],
            blanked: String::with_capacity(text.len()),
        };
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let until = rest.find(ESCAPE).unwrap_or(rest.len());
            let (words, sequence) = rest.split_at(until);
            plain.text.push_str(words);
            plain.blanked.push_str(words);
            let length = sequence_len(sequence);
            plain.blanked.extend(std::iter::repeat_n(' ', length));
            at += until + length;
            plain.moved.push((plain.text.len(), at - plain.text.len()));
        }
        Some(plain)
    }

    /// Where a stretch of the plain text was in the text, with all sequences in it.
    pub(super) fn range(&self, range: &Range<usize>) -> Range<usize> {
        let was = |at: usize| {
            let behind = self.moved.partition_point(|(from, _)| *from <= at);
            let moved = behind.checked_sub(1).and_then(|piece| self.moved.get(piece));
            at + moved.map_or(0, |(_, by)| *by)
        };
        match range.end.checked_sub(1) {
            Some(last) if !range.is_empty() => was(range.start)..was(last) + 1,
            _ => range.clone(),
        }
    }
}

/// The length of the sequence that the text begins with: up to its final byte, or, of a string for the terminal,
/// to what ends that. ECMA-48, sections 5.4 and 8.3.
fn sequence_len(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(ESCAPE) else { return 0 };
    let end = |rest: &str, is_end: &dyn Fn(char) -> bool| {
        rest.char_indices().take(LONGEST).find(|(_, c)| is_end(*c)).map(|(at, c)| at + c.len_utf8())
    };
    let behind = match rest.chars().next() {
        Some('[') => {
            rest.get(1..).and_then(|rest| Some(1 + end(rest, &|c| ('@'..='~').contains(&c))?))
        }
        Some(']' | 'P' | '^' | '_') => end(rest, &|c| c == '\u{7}' || c == '\\'),
        // Such as ESC ( B, which goes back to ASCII.
        Some(' '..='/') => end(rest, &|c| !(' '..='/').contains(&c)),
        Some(c) if c.is_ascii() => Some(1),
        _ => None,
    };
    1 + behind.unwrap_or_default()
}

const ESCAPE: char = '\u{1b}';

/// A sequence of more characters is none.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_taken_out_and_places_found_again() {
        let text = "a\u{1b}[31mb\u{1b}[0;1mc\u{1b}]0;title\u{7}é\u{1b}(Bd";
        let plain = Plain::of(text).unwrap();
        assert_eq!(plain.text, "abcéd");
        assert_eq!(plain.blanked.len(), text.len());
        for (at, c) in plain.text.char_indices() {
            let was = plain.range(&(at..at + c.len_utf8()));
            assert_eq!(&text[was], c.to_string());
        }
        assert_eq!(&text[plain.range(&(0..2))], "a\u{1b}[31mb");
        assert!(Plain::of("abc").is_none());
        for broken in
            ["\u{1b}", "\u{1b}[", "\u{1b}[999", "\u{1b}é", "\u{1b}]x", "\u{1b}(é", "\u{1b}("]
        {
            Plain::of(broken).unwrap();
        }
    }
}
