//! Console output: fragments in, lines out.
//!
//! A log holds what each `write` call wrote, so that progress bars arrive as thousands of fragments that
//! overwrite one another. Each of the two streams has a small terminal that knows carriage returns, line
//! feeds and the cursor movements progress bars use; both write into one list of lines. Whatever else a
//! terminal might understand, like colours, stays in the text.

use super::terminal::Terminal;
use prost_types::Timestamp;
use std::collections::VecDeque;

/// The console output of a run: its last lines, and how many there were.
#[derive(Clone, Debug)]
pub struct Console {
    stdout: Terminal,
    stderr: Terminal,
    lines: Lines,
    logger_lines: u64,
}

/// Where a console line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A logger of the program.
    Logger,
}

impl Stream {
    /// The name of the stream, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Logger => "logger",
        }
    }
}

impl Console {
    /// A console that keeps the last `lines` lines.
    pub(super) fn new(lines: usize) -> Self {
        let lines = Lines { kept: VecDeque::new(), kept_at_most: lines, count: 0 };
        Self { stdout: Terminal::default(), stderr: Terminal::default(), lines, logger_lines: 0 }
    }

    /// Writes a fragment to a stream.
    pub(super) fn write(&mut self, stream: Stream, time: Option<Timestamp>, text: &str) {
        let terminal = match stream {
            Stream::Stderr => &mut self.stderr,
            _ => &mut self.stdout,
        };
        terminal.write(text, &mut |command| match command {
            Command::NewLine => self.lines.push(stream, time),
            Command::Put { line, column, char } => {
                self.lines.put(line, column, char);
                line
            }
            Command::Erase { line, columns } => {
                self.lines.erase(line, columns);
                line
            }
        });
    }

    /// Adds the lines of a logger.
    pub(super) fn log(&mut self, text: &str) {
        for line in text.lines() {
            let number = self.lines.push(Stream::Logger, None);
            self.lines.fill(number, line);
            self.logger_lines += 1;
        }
    }

    /// Takes the lines that are no longer kept, once the last `window` of them are: oldest first.
    #[cfg(feature = "sync")]
    pub(crate) fn take_settled(
        &mut self,
        window: usize,
    ) -> impl Iterator<Item = ConsoleLine> + use<'_> {
        let settled = self.lines.kept.len().saturating_sub(window);
        self.lines.kept.drain(..settled)
    }

    /// How many lines there were, also those no longer kept.
    pub const fn count(&self) -> u64 {
        self.lines.count
    }

    /// How many of them came from loggers.
    pub const fn logger_lines(&self) -> u64 {
        self.logger_lines
    }

    /// The lines kept, oldest first, in the order in which they were begun.
    pub fn lines(
        &self,
    ) -> impl ExactSizeIterator<Item = &ConsoleLine> + DoubleEndedIterator + Clone {
        self.lines.kept.iter()
    }
}

/// One line of console output.
#[derive(Clone, Debug)]
pub struct ConsoleLine {
    stream: Stream,
    time: Option<Timestamp>,
    chars: Vec<char>,
}

impl ConsoleLine {
    /// The stream it was written to.
    pub const fn stream(&self) -> Stream {
        self.stream
    }

    /// When its first character was written.
    pub const fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Its text, at most [`Self::LONGEST`] characters of it.
    pub fn text(&self) -> String {
        self.chars.iter().collect()
    }

    /// Characters kept of a line; W&B cuts its lines there, too.
    pub const LONGEST: usize = 4096;
}

/// What a terminal does to the lines. The answer is the number of the line it was done to.
#[derive(Clone, Debug)]
pub(super) enum Command {
    NewLine,
    Put { line: u64, column: usize, char: char },
    Erase { line: u64, columns: std::ops::Range<usize> },
}

#[derive(Clone, Debug)]
struct Lines {
    kept: VecDeque<ConsoleLine>,
    kept_at_most: usize,
    count: u64,
}

impl Lines {
    fn push(&mut self, stream: Stream, time: Option<Timestamp>) -> u64 {
        if self.kept.len() >= self.kept_at_most {
            self.kept.pop_front();
        }
        if self.kept_at_most > 0 {
            self.kept.push_back(ConsoleLine { stream, time, chars: Vec::new() });
        }
        self.count += 1;
        self.count - 1
    }

    /// The characters of a line, unless it is no longer kept.
    fn chars(&mut self, line: u64) -> Option<&mut Vec<char>> {
        let dropped = self.count - self.kept.len() as u64;
        let index = usize::try_from(line.checked_sub(dropped)?).ok()?;
        self.kept.get_mut(index).map(|line| &mut line.chars)
    }

    fn put(&mut self, line: u64, column: usize, char: char) {
        let Some(chars) = self.chars(line) else { return };
        if column >= ConsoleLine::LONGEST {
            return;
        }
        if column >= chars.len() {
            chars.resize(column, ' ');
            chars.push(char);
        } else if let Some(place) = chars.get_mut(column) {
            *place = char;
        }
    }

    fn erase(&mut self, line: u64, columns: std::ops::Range<usize>) {
        let Some(chars) = self.chars(line) else { return };
        if columns.end >= chars.len() {
            chars.truncate(columns.start);
        } else if let Some(erased) = chars.get_mut(columns) {
            erased.fill(' ');
        }
    }

    fn fill(&mut self, line: u64, text: &str) {
        if let Some(chars) = self.chars(line) {
            chars.extend(text.chars().take(ConsoleLine::LONGEST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shows(fragments: &[&str], want: &[&str]) {
        let mut console = Console::new(1000);
        for (second, text) in (0..).zip(fragments) {
            console.write(Stream::Stdout, Some(Timestamp { seconds: second, nanos: 0 }), text);
        }
        let lines: Vec<_> = console.lines().map(ConsoleLine::text).collect();
        assert_eq!(lines, want);
        assert_eq!(console.count(), want.len() as u64);
    }

    #[test]
    fn fragments_become_lines() {
        shows(&["a", " ", "1", "\n"], &["a 1"]);
        shows(&["a\nb\n\nc"], &["a", "b", "", "c"]);
        shows(&["a\n\n", "\n"], &["a"]);
        shows(&["", ""], &[]);
        shows(&["l1\r\nl2\r\n"], &["l1", "l2"]);
    }

    #[test]
    fn a_carriage_return_overwrites() {
        shows(&["no newline", "\rcarriage\n"], &["carriagene"]);
        shows(&["日本語\rab\n"], &["ab語"]);
    }

    #[test]
    fn the_cursor_moves_within_the_screen() {
        shows(&["l1\nl2\nl3\n", "\x1b[A\rnew\n"], &["l1", "l2", "new"]);
        shows(&["a\nb\nc\n", "\x1b[A\x1b[A\rBB\x1b[Bx\n"], &["a", "BB", "c x"]);
        shows(&["l1\nl2\nl3\n", "\x1b[2A\rX"], &["l1", "X2", "l3"]);
        shows(&["a\x1b[Bb\n"], &["a", " b"]);
        shows(&["abc\x1b[2DX\x1b[1CY\n"], &["aXcY"]);
        shows(&["\x1b[9Ax\n"], &["x"]);
        shows(&["l1\nl2\x1b[", "A\rX\n"], &["X1", "l2"]);
    }

    #[test]
    fn lines_that_scrolled_off_the_screen_cannot_be_reached() {
        let many: String = (0..100).map(|i| format!("l{i}\n")).collect();
        let mut console = Console::new(1000);
        console.write(Stream::Stdout, None, &many);
        console.write(Stream::Stdout, None, &format!("{}\rTOP", "\x1b[A".repeat(200)));
        let top = console.lines().position(|line| line.text() == "TOP");
        assert_eq!(top, Some(37));
    }

    #[test]
    fn lines_are_erased_in_part_or_whole() {
        shows(&["hello\r\x1b[Kxy\n"], &["xy"]);
        shows(&["hello\x1b[3D\x1b[K\n"], &["he"]);
        shows(&["hello\x1b[3D\x1b[1K\n"], &["   lo"]);
        shows(&["hello\x1b[2K\rx\n"], &["x"]);
    }

    #[test]
    fn other_sequences_stay_in_the_text() {
        shows(&["\x1b[31mred\x1b[0m\n"], &["\x1b[31mred\x1b[0m"]);
        shows(&["a\x1b[5;5Zb\x1bMc\x1b[?25l\n"], &["a\x1b[5;5Zb\x1bMc\x1b[?25l"]);
        shows(&["abc\x1b", "\nx"], &["abc\x1b", "x"]);
        let endless = format!("\x1b[{}\n", "1".repeat(50));
        shows(&[&endless], &[endless.trim_end()]);
    }

    #[test]
    fn both_streams_write_into_one_list_at_their_own_cursor() {
        let mut console = Console::new(10);
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        console.write(Stream::Stdout, at(1), "out1");
        console.write(Stream::Stderr, at(2), "err1\n");
        console.write(Stream::Stdout, at(3), "out2\n");
        console.log("one\ntwo\n");
        let lines: Vec<_> = console
            .lines()
            .map(|line| (line.text(), line.stream(), line.time().map(|time| time.seconds)))
            .collect();
        assert_eq!(
            lines,
            [
                ("out1out2".into(), Stream::Stdout, Some(1)),
                ("err1".into(), Stream::Stderr, Some(2)),
                ("one".into(), Stream::Logger, None),
                ("two".into(), Stream::Logger, None),
            ]
        );
    }

    #[test]
    fn memory_is_bounded_in_both_directions() {
        let mut console = Console::new(3);
        for i in 0..1000 {
            console.write(Stream::Stdout, None, &format!("line {i}\n"));
        }
        console.write(Stream::Stdout, None, &"x".repeat(10_000));
        console.write(Stream::Stdout, None, "\x1b[9999999999C!");
        let lines: Vec<_> = console.lines().map(ConsoleLine::text).collect();
        assert_eq!(lines[..2], ["line 998", "line 999"]);
        assert_eq!((lines[2].len(), console.count()), (ConsoleLine::LONGEST, 1001));
        assert_eq!(Console::new(0).lines().len(), 0);
    }
}
