//! A terminal just good enough for progress bars.

use super::console::{Command, ConsoleLine};
use std::collections::VecDeque;

/// The screen and cursor of one stream. It holds no text, only the numbers of the lines it shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Terminal {
    /// The lines on the screen, from its top; those below have not been begun.
    screen: VecDeque<u64>,
    row: usize,
    column: usize,
    /// An escape sequence whose end has not come yet.
    sequence: String,
}

/// Does what a command says, and names the line.
type Lines<'a> = dyn FnMut(Command) -> u64 + 'a;

impl Terminal {
    /// Writes a fragment.
    pub(super) fn write(&mut self, text: &str, lines: &mut Lines<'_>) {
        for char in text.chars() {
            if self.sequence.is_empty() {
                self.plain(char, lines);
            } else {
                self.escaped(char, lines);
            }
        }
    }

    fn plain(&mut self, char: char, lines: &mut Lines<'_>) {
        match char {
            '\r' => self.column = 0,
            '\n' => {
                self.column = 0;
                self.down();
            }
            ESCAPE => self.sequence.push(char),
            _ => self.put(char, lines),
        }
    }

    /// Goes on with `ESC [ digits letter`. What turns out to be something else is printed.
    fn escaped(&mut self, char: char, lines: &mut Lines<'_>) {
        let goes_on = match self.sequence.len() {
            1 => char == '[',
            length => char.is_ascii_digit() && length < LONGEST_SEQUENCE,
        };
        if goes_on {
            self.sequence.push(char);
            return;
        }
        let sequence = std::mem::take(&mut self.sequence);
        let digits = sequence.get(2..).filter(|_| char.is_ascii_alphabetic());
        let known = digits.is_some_and(|digits| self.control(digits, char, lines));
        if !known {
            for char in sequence.chars() {
                self.put(char, lines);
            }
            self.plain(char, lines);
        }
    }

    fn put(&mut self, char: char, lines: &mut Lines<'_>) {
        let line = self.line(lines);
        lines(Command::Put { line, column: self.column, char });
        self.column += 1;
    }

    /// Obeys a control sequence; `false` if it is none of those known here.
    fn control(&mut self, digits: &str, letter: char, lines: &mut Lines<'_>) -> bool {
        let number: usize = digits.parse().unwrap_or(0);
        let count = number.clamp(1, ConsoleLine::LONGEST);
        match letter {
            'A' => self.row = self.row.saturating_sub(count),
            'B' => (0..count.min(HEIGHT)).for_each(|_| self.down()),
            'C' => self.column = self.column.saturating_add(count).min(ConsoleLine::LONGEST),
            'D' => self.column = self.column.saturating_sub(count),
            'K' => {
                let columns = match number {
                    0 => self.column..usize::MAX,
                    1 => 0..self.column.saturating_add(1),
                    2 => 0..usize::MAX,
                    _ => return false,
                };
                if let Some(&line) = self.screen.get(self.row) {
                    lines(Command::Erase { line, columns });
                }
            }
            _ => return false,
        }
        true
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row >= HEIGHT {
            self.row -= 1;
            self.screen.pop_front();
        }
    }

    /// The line the cursor is in. It and those above it begin when something is first put there.
    fn line(&mut self, lines: &mut Lines<'_>) -> u64 {
        while self.screen.len() <= self.row {
            self.screen.push_back(lines(Command::NewLine));
        }
        self.screen.get(self.row).copied().unwrap_or_default()
    }
}

const ESCAPE: char = '\x1b';

/// W&B's own reader has a screen of this many lines.
const HEIGHT: usize = 64;

/// Digits beyond this make no sense, and a sequence must not grow without end.
const LONGEST_SEQUENCE: usize = 16;
