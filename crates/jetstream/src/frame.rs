//! Frames of the NATS protocol, as a server sends them: found in the bytes that were read, where they lie.
//!
//! A line, and behind `MSG` and `HMSG` as many bytes as the line says. Subjects, headers and bodies are
//! bytes: what a server stores is not always text. Every length is bounded before anything waits for it.

use memchr::memchr;

/// The longest control line: a subject and a reply subject of the longest kind that servers are
/// configured for, and `INFO`, which names every server of a cluster.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;
/// The largest message, header block included. `nats-server` refuses to be configured for more than 64 MiB, and
/// an answer that holds such a message holds it as base64.
pub const MESSAGE_BYTES_MAX: usize = 96 * 1024 * 1024;

/// One frame from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'b> {
    /// What the server says of itself: JSON.
    Info(&'b [u8]),
    /// A message on a subscription.
    Message(Message<'b>),
    /// To be answered with `PONG`.
    Ping,
    /// The answer to our `PING`.
    Pong,
    /// Never asked for, and harmless.
    Ok,
    /// The server's words for what it refuses.
    Error(&'b [u8]),
}

/// A message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'b> {
    /// Where it was published.
    pub subject: &'b [u8],
    /// Which subscription it came on.
    pub sid: u64,
    /// Where an answer is expected; for a record of a stream, its place. Empty without.
    pub reply: &'b [u8],
    /// The header block, version line and empty line included; empty without.
    pub headers: &'b [u8],
    /// The body.
    pub payload: &'b [u8],
}

/// What stands at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'b> {
    /// A whole frame, and how many bytes it takes.
    Frame(Frame<'b>, usize),
    /// The beginning of one, that takes at least so many bytes.
    Partial(usize),
}

/// Why bytes are no frame. What follows them cannot be read either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No end of line within the bound.
    #[error("a line is longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// Not a word of the protocol.
    #[error("a line begins with no word of the NATS protocol")]
    UnknownWord,
    /// A message's line has other parts than it should.
    #[error("the line of a message does not hold subject, subscription and lengths")]
    Line,
    /// A message is larger than any server stores.
    #[error("a message of more than {MESSAGE_BYTES_MAX} bytes is announced")]
    TooLarge,
    /// A message does not end where its line says.
    #[error("a message does not end where its line says")]
    End,
}

/// Finds the frame at the beginning of `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>, FrameError> {
    let Some(newline) = memchr(b'\n', bytes) else {
        if LINE_BYTES_MAX <= bytes.len() {
            return Err(FrameError::LineTooLong);
        }
        return begins_well(bytes).map(|()| Parsed::Partial(bytes.len().saturating_add(1)));
    };
    if LINE_BYTES_MAX <= newline {
        return Err(FrameError::LineTooLong);
    }
    let (line, rest) = bytes.split_at(newline);
    let rest = rest.get(1..).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let taken = newline.saturating_add(1);
    let (word, arguments) = first_word(line);
    if word.eq_ignore_ascii_case(b"HMSG") {
        return message(arguments, true, rest, taken);
    }
    if word.eq_ignore_ascii_case(b"MSG") {
        return message(arguments, false, rest, taken);
    }
    let frame = if word.eq_ignore_ascii_case(b"PING") {
        Frame::Ping
    } else if word.eq_ignore_ascii_case(b"PONG") {
        Frame::Pong
    } else if word.eq_ignore_ascii_case(b"+OK") {
        Frame::Ok
    } else if word.eq_ignore_ascii_case(b"-ERR") {
        Frame::Error(arguments.trim_ascii())
    } else if word.eq_ignore_ascii_case(b"INFO") {
        Frame::Info(arguments.trim_ascii())
    } else {
        return Err(FrameError::UnknownWord);
    };
    Ok(Parsed::Frame(frame, taken))
}

/// Whether a line that has not ended may become one: garbage is not waited for.
fn begins_well(bytes: &[u8]) -> Result<(), FrameError> {
    const WORDS: [&[u8]; 7] = [b"INFO", b"MSG", b"HMSG", b"PING", b"PONG", b"+OK", b"-ERR"];
    let (word, _) = first_word(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    let fits = |known: &&[u8]| {
        let beginning = known.get(..word.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
    };
    if WORDS.iter().any(fits) {
        Ok(())
    } else {
        Err(FrameError::UnknownWord)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn first_word(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| is_space(*byte)) {
        Some(end) => line.split_at(end),
        None => (line, &[]),
    }
}

fn message<'b>(
    arguments: &'b [u8],
    has_headers: bool,
    rest: &'b [u8],
    line: usize,
) -> Result<Parsed<'b>, FrameError> {
    let mut words = arguments
        .split(|byte| is_space(*byte))
        .filter(|word| !word.is_empty());
    let mut next = || words.next();
    let (Some(subject), Some(sid), Some(third)) = (next(), next(), next()) else {
        return Err(FrameError::Line);
    };
    let mut found = [third; 3];
    let mut count = 1;
    for word in words {
        *found.get_mut(count).ok_or(FrameError::Line)? = word;
        count = count.saturating_add(1);
    }
    let none: &[u8] = b"";
    let (reply, header_length, length) = match (has_headers, count, found) {
        (false, 1, [length, ..]) => (none, none, length),
        (false, 2, [reply, length, _]) => (reply, none, length),
        (true, 2, [headers, length, _]) => (none, headers, length),
        (true, 3, [reply, headers, length]) => (reply, headers, length),
        _ => return Err(FrameError::Line),
    };
    let length = size(length)?;
    let header_length = if has_headers { size(header_length)? } else { 0 };
    if length < header_length {
        return Err(FrameError::Line);
    }
    let Some((body, after)) = rest.split_at_checked(length) else {
        return Ok(Parsed::Partial(
            line.saturating_add(length).saturating_add(2),
        ));
    };
    match after {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => {
            return Ok(Parsed::Partial(
                line.saturating_add(length).saturating_add(2),
            ));
        }
        _ => return Err(FrameError::End),
    }
    let (headers, payload) = body.split_at(header_length);
    let message = Message {
        subject,
        sid: number(sid).ok_or(FrameError::Line)?,
        reply,
        headers,
        payload,
    };
    let taken = line.saturating_add(length).saturating_add(2);
    Ok(Parsed::Frame(Frame::Message(message), taken))
}

fn size(digits: &[u8]) -> Result<usize, FrameError> {
    // More digits than any bound has would be too large even if they fit into a number.
    let size = match digits.len() {
        0..=18 => number(digits).ok_or(FrameError::Line)?,
        _ if digits.iter().all(u8::is_ascii_digit) => return Err(FrameError::TooLarge),
        _ => return Err(FrameError::Line),
    };
    let size = usize::try_from(size).or(Err(FrameError::TooLarge))?;
    if MESSAGE_BYTES_MAX < size {
        return Err(FrameError::TooLarge);
    }
    Ok(size)
}

/// Decimal digits and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(bytes: &[u8]) -> (Frame<'_>, usize) {
        match parse(bytes) {
            Ok(Parsed::Frame(frame, taken)) => (frame, taken),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_is_what_its_line_says() {
        let (frame, taken) = whole(b"MSG a.b 1 5\r\nhello\r\nPING\r\n");
        let message = Message {
            subject: b"a.b",
            sid: 1,
            reply: b"",
            headers: b"",
            payload: b"hello",
        };
        assert_eq!((frame, taken), (Frame::Message(message), 20));
        let (frame, _) = whole(b"HMSG a.b 1 r.s 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
        let message = Message {
            reply: b"r.s",
            headers: b"NATS/1.0\r\n\r\n",
            payload: b"hi",
            ..message
        };
        assert_eq!(frame, Frame::Message(message));
    }

    #[test]
    fn subjects_and_headers_are_bytes() {
        let (frame, _) =
            whole(b"HMSG u\xc2\xa01 1 $JS.ACK.S.c.1.2.3.4.5 17 17\r\nNATS/1.0\r\na b\xff:\r\r\r\n");
        let Frame::Message(message) = frame else {
            panic!("{frame:?}")
        };
        assert_eq!(message.subject, b"u\xc2\xa01");
        assert_eq!(message.headers, b"NATS/1.0\r\na b\xff:\r\r");
    }

    #[test]
    fn what_is_no_frame_is_refused_at_once() {
        for (bytes, error) in [
            (&b"HTTP/1.1 400\r\n"[..], FrameError::UnknownWord),
            (b"\0\0\0", FrameError::UnknownWord),
            (b"\r\n", FrameError::UnknownWord),
            (b"MSG a 1\r\n", FrameError::Line),
            (b"MSG a 1 b c 5\r\n", FrameError::Line),
            (b"MSG a x 1\r\na\r\n", FrameError::Line),
            (b"MSG a 1 -1\r\n", FrameError::Line),
            (b"HMSG a 1 9 5\r\n", FrameError::Line),
            (b"MSG a 1 18446744073709551615\r\n", FrameError::TooLarge),
            (b"MSG a 1 99999999999999999999999\r\n", FrameError::TooLarge),
            (b"MSG a 1 2\r\nabc\r\n", FrameError::End),
        ] {
            assert_eq!(parse(bytes), Err(error), "{}", bytes.escape_ascii());
        }
        let endless = vec![b'M'; 8];
        assert_eq!(parse(&endless), Err(FrameError::UnknownWord));
        let mut endless = b"INFO ".to_vec();
        endless.resize(LINE_BYTES_MAX, b'x');
        assert_eq!(parse(&endless), Err(FrameError::LineTooLong));
    }

    fn frame() -> impl Strategy<Value = Vec<u8>> {
        let token = prop::collection::vec(prop::num::u8::ANY, 1..9).prop_map(|mut token| {
            token.retain(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
            token.push(b'x');
            token
        });
        let bytes = || prop::collection::vec(prop::num::u8::ANY, 0..40);
        let message = (token.clone(), prop::option::of(token), bytes(), bytes()).prop_map(
            |(subject, reply, headers, payload)| {
                let mut frame = b"HMSG ".to_vec();
                frame.extend_from_slice(&subject);
                frame.extend_from_slice(b" 7 ");
                if let Some(reply) = reply {
                    frame.extend_from_slice(&reply);
                    frame.push(b' ');
                }
                let all = headers.len() + payload.len();
                frame.extend_from_slice(format!("{} {all}\r\n", headers.len()).as_bytes());
                frame.extend_from_slice(&headers);
                frame.extend_from_slice(&payload);
                frame.extend_from_slice(b"\r\n");
                frame
            },
        );
        prop_oneof![
            4 => message,
            1 => Just(b"PING\r\n".to_vec()),
            1 => Just(b"-ERR 'Stale Connection'\r\n".to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn frames_are_found_wherever_the_bytes_are_cut(frames in prop::collection::vec(frame(), 1..6)) {
            let bytes = frames.concat();
            let mut rest = bytes.as_slice();
            for expected in &frames {
                for cut in 0..expected.len() {
                    let Ok(Parsed::Partial(needed)) = parse(&rest[..cut]) else {
                        return Err(TestCaseError::fail(format!("cut at {cut}")));
                    };
                    prop_assert!(cut < needed && needed <= expected.len());
                }
                let (_, taken) = whole(rest);
                prop_assert_eq!(taken, expected.len());
                rest = &rest[taken..];
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(prop::num::u8::ANY, 0..200)) {
            let _ = parse(&bytes);
            let mut line = b"HMSG ".to_vec();
            line.extend_from_slice(&bytes);
            let _ = parse(&line);
        }
    }
}
