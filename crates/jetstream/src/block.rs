//! Header blocks: lines behind a version line, as bytes.

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

/// The version line that a block of headers begins with.
pub const VERSION: &[u8] = b"NATS/1.0";

/// Headers that are published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderBlock(HeaderMap);

impl HeaderBlock {
    /// Adds a header, unless it would bring another one.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), InvalidHeader> {
        if name.is_empty() || value.contains('\0') {
            return Err(InvalidHeader);
        }
        let name: HeaderName = name.parse().map_err(|_illegal| InvalidHeader)?;
        let value: HeaderValue = value.parse().map_err(|_illegal| InvalidHeader)?;
        self.0.append(name, value);
        Ok(())
    }

    /// As it is sent, if there is a header.
    pub(crate) fn into_map(self) -> Option<HeaderMap> {
        (!self.0.is_empty()).then_some(self.0)
    }
}

/// A header holds what ends its line or its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a header holds what ends its line or its name")]
pub struct InvalidHeader;

/// A word of the server, said in the version line of a message without a place in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status<'b> {
    /// 100 for a sign of life, 404, 408, 409, 503 ...
    pub code: u16,
    /// What the server says of it.
    pub text: &'b str,
}

/// What a version line says behind the version, if it says something.
pub fn status(block: &[u8]) -> Option<Status<'_>> {
    let line = block.strip_prefix(VERSION)?;
    let end = memchr(b'\n', line).unwrap_or(line.len());
    let line = str::from_utf8(line.get(..end)?).ok()?.trim();
    let (code, text) = line.split_once(' ').unwrap_or((line, ""));
    Some(Status {
        code: code
            .parse()
            .ok()
            .filter(|code| (100..1000).contains(code))?,
        text: text.trim(),
    })
}

/// The first value of a header in a word of the server.
pub fn value<'b>(block: &'b [u8], name: &str) -> Option<&'b str> {
    let mut lines = block.split(|byte| *byte == b'\n').skip(1);
    lines.find_map(|line| {
        let colon = memchr(b':', line)?;
        let (found, value) = line.split_at(colon);
        let value = value.get(1..)?;
        if !found.eq_ignore_ascii_case(name.as_bytes()) {
            return None;
        }
        str::from_utf8(value).ok().map(str::trim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_server_is_read() {
        let block = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 17\r\n\r\n";
        let said = Status {
            code: 100,
            text: "Idle Heartbeat",
        };
        assert_eq!(status(block), Some(said));
        assert_eq!(value(block, "nats-last-consumer"), Some("17"));
        assert_eq!(value(block, "nats-last-stream"), None);
        let bare = b"NATS/1.0 503\r\n\r\n";
        assert_eq!(status(bare).unwrap().code, 503);
    }

    #[test]
    fn a_header_brings_no_other_one() {
        assert_eq!(HeaderBlock::default().into_map(), None);
        let mut block = HeaderBlock::default();
        for (name, value) in [
            ("x:y", "1"),
            ("", "1"),
            ("x", "1\r\nNats-Rollup: all"),
            ("x\n", ""),
        ] {
            assert_eq!(
                block.push(name, value),
                Err(InvalidHeader),
                "{name:?} {value:?}"
            );
        }
        block.push("ce-id", "a:b").unwrap();
        let sent = block.into_map().unwrap();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent.get("ce-id").unwrap().as_str(), "a:b");
    }

    #[test]
    fn other_blocks_say_nothing() {
        for block in [
            &b"NATS/1.0\r\na: b\r\n\r\n"[..],
            b"",
            b"NATS/2.0 100 x\r\n\r\n",
            b"NATS/1.0 1000 x\r\n\r\n",
            b"NATS/1.0 \xff\r\n\r\n",
        ] {
            assert_eq!(status(block), None, "{}", block.escape_ascii());
        }
    }
}
