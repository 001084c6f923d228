//! The lines of a file of any size, in bounded memory.

use std::io::{self, BufRead, BufReader, Read};

/// The largest message, headers and body, that a server can be told to take.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest line: the largest message as [`crate::Message::to_line`] writes it, a body in base64 and
/// headers with escapes. A line that stands for a right event is shorter by far.
pub const LINE_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// Reads line by line; a line that is too long is passed over without being held.
#[derive(Debug)]
pub struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
    longest: usize,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1, blank ones too.
    pub number: u64,
    /// Without its end; `None` when longer than the limit, which is [`LINE_BYTES_MAX`] if none is given.
    pub text: Option<&'a [u8]>,
    /// How much of the input has been read, this line included.
    pub bytes_read: u64,
}

impl Line<'_> {
    /// Whether it begins a JSON value that cannot end in this line, as pretty-printed files do.
    pub fn is_unfinished(&self) -> bool {
        let text = self.text.unwrap_or_default();
        let begins = matches!(text.first(), Some(b'{' | b'['));
        let goes_on = matches!(text.last(), Some(b'{' | b'[' | b',' | b':'));
        begins && goes_on
    }
}

impl<R: Read> Lines<R> {
    /// The lines of `input`.
    pub fn of(input: BufReader<R>) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            bytes: 0,
            longest: LINE_BYTES_MAX,
        }
    }

    /// The same with a lower limit, for files whose lines are no messages.
    #[must_use]
    pub fn of_at_most(self, bytes: usize) -> Self {
        Self {
            longest: bytes.min(LINE_BYTES_MAX),
            ..self
        }
    }

    /// The next line that is not blank; `None` at the end.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            // One byte more than the longest line and its end tells the two apart.
            let limit = u64::try_from(self.longest).unwrap_or(u64::MAX) + 1;
            let read = self
                .input
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.count(read);
            let is_whole = self.line.last() == Some(&b'\n');
            if !is_whole && self.line.len() > self.longest {
                self.pass_over_rest()?;
                return Ok(Some(self.line(false)));
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(self.line(true)));
            }
        }
    }

    /// Whether the next line may have to be waited for.
    pub fn may_wait(&self) -> bool {
        !self.input.buffer().contains(&b'\n')
    }

    fn line(&self, fits: bool) -> Line<'_> {
        Line {
            number: self.number,
            text: fits.then(|| self.line.trim_ascii()),
            bytes_read: self.bytes,
        }
    }

    fn count(&mut self, read: usize) {
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }

    fn pass_over_rest(&mut self) -> io::Result<()> {
        let skipped = self.input.skip_until(b'\n')?;
        self.count(skipped);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_pretty_printed_value_is_unfinished() {
        let is_unfinished = |text: &str| {
            let mut lines = Lines::of(BufReader::new(text.as_bytes()));
            lines.next_line().unwrap().unwrap().is_unfinished()
        };
        for text in ["{\n", " [\n", "{\"a\": 1,\n", "[{\n", "{\"a\":\n", "{\r\n"] {
            assert!(is_unfinished(text), "{text}");
        }
        for text in ["{}", "[]", "{\"a\":1", "{\"a\":\"x,\"}", "x{", "7,"] {
            assert!(!is_unfinished(text), "{text}");
        }
    }

    fn lines(input: &[u8]) -> Vec<(u64, Option<usize>, u64)> {
        let mut lines = Lines::of(BufReader::with_capacity(7, input));
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            seen.push((line.number, line.text.map(<[u8]>::len), line.bytes_read));
        }
        seen
    }

    #[test]
    fn blank_lines_count_and_long_ones_are_passed_over() {
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"a\r\n\n  \nbc"), [(1, Some(1), 3), (4, Some(2), 9)]);
        let longest = "x".repeat(LINE_BYTES_MAX);
        let input = format!("{longest}\n{longest}x\na\n{longest}y");
        let numbers: Vec<_> = lines(input.as_bytes())
            .into_iter()
            .map(|(number, length, _)| (number, length))
            .collect();
        let max = Some(LINE_BYTES_MAX);
        assert_eq!(numbers, [(1, max), (2, None), (3, Some(1)), (4, None)]);
        assert_eq!(
            lines(input.as_bytes()).last().unwrap().2,
            u64::try_from(input.len()).unwrap()
        );
    }
}
