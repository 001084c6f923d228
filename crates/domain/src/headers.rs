//! Header blocks: bytes, as a stream stores them.
//!
//! Servers store whatever a client put there, so a block is text only once it was read as such. It is
//! kept as it came, to be shown, written to files and judged again.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// The line that a block begins with.
const VERSION: &str = "NATS/1.0";

/// A record's header block: a version line, one line for each header, an empty line. Empty for a record
/// without headers. `Debug` shows no content (D5).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Headers<'a>(&'a [u8]);

/// Why a block is none. Names a line, never what stands in it (D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the header block {problem}")]
pub struct HeaderFault {
    /// From 1, the version line.
    pub line: usize,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Self = Self(&[]);

    /// A block as it came.
    pub fn of_block(block: &'a [u8]) -> Self {
        Self(block)
    }

    /// The block as it came.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The headers in the order of their lines, without the space around values. A name may repeat. Ends
    /// with the first line that is none.
    pub fn iter(self) -> impl Iterator<Item = Result<(&'a str, &'a str), HeaderFault>> {
        Lines::of(self.0)
    }

    /// Every header by itself. `None` if a line is none, or if [`block_of`] makes another block of them.
    pub fn plain(self) -> Option<Vec<(&'a str, &'a str)>> {
        let headers: Vec<_> = self.iter().collect::<Result<_, _>>().ok()?;
        (block_of(headers.iter().copied()) == self.0).then_some(headers)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Headers")
            .field("bytes", &self.0.len())
            .finish_non_exhaustive()
    }
}

/// The block that clients send for these headers; nothing for none.
pub fn block_of<'h>(headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        if block.is_empty() {
            block.extend_from_slice(VERSION.as_bytes());
            block.extend_from_slice(b"\r\n");
        }
        for part in [name, ": ", value, "\r\n"] {
            block.extend_from_slice(part.as_bytes());
        }
    }
    if !block.is_empty() {
        block.extend_from_slice(b"\r\n");
    }
    block
}

/// A subject as text. What is not UTF-8 is replaced, and names no lane.
pub fn subject_text(subject: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(subject)
}

/// A line without its end.
struct Line<'a> {
    /// Where it begins.
    at: usize,
    bytes: &'a [u8],
    may_hold_returns: bool,
}

struct Lines<'a> {
    block: &'a [u8],
    /// The block, where all of it is text: it is looked at once rather than piece by piece.
    text: Option<&'a str>,
    /// Where the next line begins.
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn of(block: &'a [u8]) -> Self {
        Self {
            block,
            text: str::from_utf8(block).ok(),
            at: 0,
            line: 0,
        }
    }

    /// The next line.
    fn take(&mut self) -> Option<Line<'a>> {
        let at = self.at;
        let rest = self.block.get(at..).filter(|rest| !rest.is_empty())?;
        self.line = self.line.saturating_add(1);
        let first = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let is_end = rest.get(first) == Some(&b'\r') && rest.get(first + 1) == Some(&b'\n');
        let (bytes, length, may_hold_returns) = if is_end {
            (rest.get(..first)?, first + 1, false)
        } else {
            // A bare line feed, or a carriage return that ends nothing.
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..length)?;
            (line.strip_suffix(b"\r").unwrap_or(line), length, true)
        };
        self.at = at.saturating_add(length).saturating_add(1);
        Some(Line {
            at,
            bytes,
            may_hold_returns,
        })
    }

    fn header(&mut self) -> Result<Option<(&'a str, &'a str)>, &'static str> {
        if self.line == 0 {
            let Some(version) = self.take() else {
                return Ok(None);
            };
            if version.bytes.trim_ascii_end() != VERSION.as_bytes() {
                return Err("is not NATS/1.0");
            }
        }
        let Some(Line {
            at,
            bytes: line,
            may_hold_returns,
        }) = self.take()
        else {
            return Ok(None);
        };
        if line.is_empty() {
            if self.block.len() <= self.at {
                return Ok(None);
            }
            return Err("is empty, and others follow");
        }
        let is_end = |byte: &u8| *byte == b':' || !byte.is_ascii_graphic();
        let colon = line.iter().position(is_end).unwrap_or(line.len());
        if colon == 0 || line.get(colon) != Some(&b':') {
            return Err(why_no_header(line));
        }
        let value = colon.saturating_add(1);
        let name = self.text(at, line, 0..colon)?;
        let value = self.text(at, line, value..line.len())?.trim_ascii();
        if may_hold_returns && value.contains('\r') {
            return Err("has a carriage return within");
        }
        Ok(Some((name, value)))
    }

    /// A part of the line that begins at `at`.
    fn text(&self, at: usize, line: &'a [u8], part: Range<usize>) -> Result<&'a str, &'static str> {
        let part = match self.text {
            Some(text) => text.get(at.saturating_add(part.start)..at.saturating_add(part.end)),
            None => line.get(part).and_then(|part| str::from_utf8(part).ok()),
        };
        part.ok_or(NOT_TEXT)
    }
}

const NOT_TEXT: &str = "is not UTF-8";

/// What is wrong with a line that does not begin with a name and a colon.
fn why_no_header(line: &[u8]) -> &'static str {
    match str::from_utf8(line) {
        Err(_utf8) => NOT_TEXT,
        Ok(line) if line.contains(':') => {
            "has a name with spaces or other characters that no header's name has"
        }
        Ok(_) => "has no colon",
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<(&'a str, &'a str), HeaderFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.header();
        if header.is_err() {
            self.at = self.block.len();
        }
        let line = self.line;
        header
            .map_err(|problem| HeaderFault { line, problem })
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(block: &[u8]) -> Result<Vec<(&str, &str)>, HeaderFault> {
        Headers::of_block(block).iter().collect()
    }

    #[test]
    fn headers_are_read_as_they_were_sent() {
        let headers = [("ce-id", "ä:b"), ("a", ""), ("a", "2 3")];
        let block = block_of(headers);
        assert_eq!(read(&block), Ok(headers.to_vec()));
        assert_eq!(
            Headers::of_block(&block).plain().as_deref(),
            Some(&headers[..])
        );
        assert_eq!(read(b""), Ok(vec![]));
        let bare = b"NATS/1.0\r\na:1  \r\nb:\t2\r\n";
        assert_eq!(read(bare), Ok(vec![("a", "1"), ("b", "2")]));
        assert_eq!(Headers::of_block(bare).plain(), None);
    }

    #[test]
    fn a_line_that_is_no_header_is_named_by_its_number() {
        for (block, line, problem) in [
            (&b"NATS/1.0 404 No Messages\r\n\r\n"[..], 1, "NATS/1.0"),
            (b"NATS/2.0\r\na: b\r\n\r\n", 1, "NATS/1.0"),
            (b"a: b\r\n\r\n", 1, "NATS/1.0"),
            (b"NATS/1.0\r\nuser name: x\r\n\r\n", 2, "spaces"),
            (b"NATS/1.0\r\na: b\r\n: x\r\n\r\n", 3, "name"),
            (b"NATS/1.0\r\nx\r\n\r\n", 2, "colon"),
            (b"NATS/1.0\r\nx: M\xfcller\r\n\r\n", 2, "UTF-8"),
            (b"NATS/1.0\r\nx: a\rb\r\n\r\n", 2, "carriage"),
            (b"NATS/1.0\r\n\r\na: b\r\n\r\n", 2, "others follow"),
        ] {
            let fault = read(block).unwrap_err();
            assert_eq!(fault.line, line, "{}", block.escape_ascii());
            assert!(fault.problem.contains(problem), "{}", fault.problem);
        }
    }
}
