//! Any bytes where bytes from others are read: what must hold of each, whatever they are.
//!
//! The gate runs every target on `fuzz/seeds` and on a fixed number of changes of them (`e2e/fuzz.rs`).
//! `cargo +nightly fuzz run frames corpus/frames seeds/frames` in the folder `tests` goes on for as long as
//! one likes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    reason = "a target fails by panicking, and tells on what"
)]

mod auth;
mod changes;
mod snapshot;

use std::time::Duration;

use convex_wire::sync::{Received, Session};
use convex_wire::{TextMode, Timestamp};
use domain::testing::Oracle;
use domain::{Headers, Lane, MemoryState, Record, Sequence, apply, block_of, subject_text};
use event_lines::Message as Line;
use jetstream::frame::{Frame, LINE_BYTES_MAX, MESSAGE_BYTES_MAX, Message, Parsed, parse};
use jetstream::{Frames, block};
use serde_json::Value;

pub use auth::{bearer, jwks};
pub use changes::run;
pub use snapshot::snapshot;

/// Frames of a server are those that a slow reader finds, and lie where they should.
pub fn frames(bytes: &[u8]) {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        match parse(rest) {
            Err(_) => break,
            Ok(Parsed::Partial(needed)) => {
                assert!(rest.len() < needed, "it waits for what is there");
                assert!(needed <= LINE_BYTES_MAX + MESSAGE_BYTES_MAX + 2);
                break;
            }
            Ok(Parsed::Frame(frame, taken)) => {
                assert!(0 < taken && taken <= rest.len());
                let (frame_bytes, behind) = rest.split_at(taken);
                if let Frame::Message(message) = frame {
                    assert_eq!(slow_parts(frame_bytes), parts(&message));
                    assert_reads_back(&message);
                    messages.push(parts(&message));
                }
                rest = behind;
            }
        }
    }
    if let Ok(all) = Frames::parse(bytes.to_vec().into()) {
        assert_eq!(
            all.iter().map(|found| parts(&found)).collect::<Vec<_>>(),
            messages
        );
    }
}

type Parts = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, u64);

fn parts(message: &Message<'_>) -> Parts {
    (
        message.subject.to_vec(),
        message.reply.to_vec(),
        message.headers.to_vec(),
        message.payload.to_vec(),
        message.sid,
    )
}

/// A message as its frame says it word by word.
fn slow_parts(frame: &[u8]) -> Parts {
    let end = frame.iter().position(|byte| *byte == b'\n').unwrap();
    let line = frame[..end].strip_suffix(b"\r").unwrap_or(&frame[..end]);
    let words: Vec<&[u8]> = line
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
        .collect();
    let number = |word: &[u8]| str::from_utf8(word).unwrap().parse::<usize>().unwrap();
    let has_headers = words[0].eq_ignore_ascii_case(b"HMSG");
    let sizes = if has_headers { 2 } else { 1 };
    let reply = if words.len() == 3 + sizes {
        &[][..]
    } else {
        words[3]
    };
    let all = number(words[words.len() - 1]);
    let head = if has_headers {
        number(words[words.len() - 2])
    } else {
        0
    };
    let body = &frame[end + 1..];
    assert_eq!(&body[all..], b"\r\n");
    let sid = u64::try_from(number(words[2])).unwrap();
    (
        words[1].to_vec(),
        reply.to_vec(),
        body[..head].to_vec(),
        body[head..all].to_vec(),
        sid,
    )
}

fn assert_reads_back(message: &Message<'_>) {
    let all = message.headers.len() + message.payload.len();
    let sid = message.sid.to_string();
    let sizes = [message.headers.len(), all].map(|size| size.to_string());
    let line = [
        &b"HMSG"[..],
        message.subject,
        sid.as_bytes(),
        message.reply,
        sizes[0].as_bytes(),
        sizes[1].as_bytes(),
    ]
    .join(&b' ');
    let again = [
        &line,
        &b"\r\n"[..],
        message.headers,
        message.payload,
        b"\r\n",
    ]
    .concat();
    let Ok(Parsed::Frame(Frame::Message(found), taken)) = parse(&again) else {
        panic!("what was read is not read again");
    };
    assert_eq!((parts(&found), taken), (parts(message), again.len()));
}

/// A header block is the headers that it is read as, or names one of its lines; a subject names the lane that names it.
pub fn header_block(bytes: &[u8]) {
    let headers = Headers::of_block(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    match headers.iter().collect::<Result<Vec<_>, _>>() {
        Err(fault) => {
            assert!((1..=lines).contains(&fault.line), "{fault}");
            assert_eq!(headers.plain(), None);
        }
        Ok(found) => {
            assert!(found.len() <= lines);
            let again = block_of(found.iter().copied());
            let again: Result<Vec<_>, _> = Headers::of_block(&again).iter().collect();
            assert_eq!(again.as_ref(), Ok(&found));
            assert_eq!(slow_headers(bytes), found);
        }
    }
    if let Some(said) = block::status(bytes) {
        assert!(bytes.starts_with(block::VERSION) && (100..1000).contains(&said.code));
    }
}

/// The headers of a block that is one.
fn slow_headers(bytes: &[u8]) -> Vec<(&str, &str)> {
    let text = str::from_utf8(bytes).expect("the lines are UTF-8");
    let lines = text.split('\n').skip(1);
    let lines = lines.map(|line| line.strip_suffix('\r').unwrap_or(line));
    let lines = lines.filter(|line| !line.is_empty());
    let header = lines.map(|line| line.split_once(':').expect("a header has a colon"));
    header
        .map(|(name, value)| (name, value.trim_matches(|c: char| c.is_ascii_whitespace())))
        .collect()
}

/// A subject names the lane that names it, or none.
pub fn subject(bytes: &[u8]) {
    if let Some(lane) = Lane::of_subject(&subject_text(bytes)) {
        assert_eq!(lane.subject().as_bytes(), bytes);
    }
}

/// Lines of a sync socket: taken only if they are messages, and a session holds no more than it may.
pub fn sync_message(bytes: &[u8]) {
    const KNOWN: [&str; 6] = [
        "Connect",
        "Authenticate",
        "ModifyQuerySet",
        "Mutation",
        "Action",
        "Event",
    ];
    const QUERIES_MAX: usize = 4;
    let text = String::from_utf8_lossy(bytes);
    let wall = Duration::from_secs(1_700_000_000);
    let mut session = Session::new(TextMode::Redacted, QUERIES_MAX, 4096, |_, _, _| Ok(()));
    let connect = r#"{"type":"Connect","sessionId":"1c0a7b6e-0000-4000-8000-000000000000","connectionCount":0}"#;
    if !text.contains("Connect") {
        session.receive(connect, Timestamp::ZERO, wall).unwrap();
    }
    for line in text.lines() {
        let known: Option<Value> = serde_json::from_str(line).ok();
        let word = known.as_ref().and_then(|message| message["type"].as_str());
        let is_known = word.is_some_and(|word| KNOWN.contains(&word));
        match session.receive(line, Timestamp::ZERO, wall) {
            Err(end) => {
                assert!(!end.label().is_empty());
                if let Some(farewell) = end.farewell() {
                    serde_json::from_str::<Value>(&farewell).expect("what is said last is JSON");
                }
                return;
            }
            Ok(received) => {
                assert!(is_known, "this was taken for a message");
                if let Received::Reply(reply) = received {
                    serde_json::from_str::<Value>(&reply).expect("a reply is JSON");
                }
            }
        }
        if session.update(wall).is_err() {
            return;
        }
    }
}

/// A line that is a message stands for what its own line stands for, and the fold of it is the oracle's.
pub fn event_line(bytes: &[u8]) {
    let Ok(message) = Line::of_line(bytes) else {
        return;
    };
    let line = message.to_line();
    assert!(!line.contains('\n'), "a line has no end within");
    let again = Line::of_line(line.as_bytes()).expect("what was written is read");
    assert_eq!(again.subject, message.subject);
    assert_eq!(
        (again.sequence, again.time),
        (message.sequence, message.time.clone())
    );
    assert!(again.headers == message.headers && again.payload == message.payload);
    let (mut oracle, mut state) = (Oracle::default(), MemoryState::default());
    for sequence in [1, 2] {
        let at = Sequence::new(sequence).unwrap();
        let record = message.with_record(at, |record| Record::from(record));
        oracle.take(&record);
        let Ok(_) = record.with_ref(|record| apply(&mut state, record));
    }
    assert_eq!(domain::testing::Seen::from(&state), oracle.seen());
}
