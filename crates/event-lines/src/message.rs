//! What one line stands for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Family, HeaderFault, Headers, Lane, Record, RecordRef, Sequence, UserId, block_of};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The header of a structured event.
const STRUCTURED: (&str, &str) = ("Content-Type", "application/cloudevents+json");

/// A message of a stream. `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its place in the stream it was read from; lines of events and new messages have none.
    pub sequence: Option<Sequence>,
    /// When the broker stored it, as RFC 3339 writes times; informative.
    pub time: Option<String>,
    /// Where it is published.
    pub subject: String,
    /// The header block as it stands in the stream; empty without headers.
    pub headers: Vec<u8>,
    /// The body.
    pub payload: Vec<u8>,
}

/// Why a line stands for no message. Holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// It is no JSON object, or one that is neither an event nor a message.
    #[error("{problem}")]
    Shape {
        /// What is wrong, and the column where the reader can tell it.
        problem: String,
    },
    /// It is an event whose type or user names no subject.
    #[error("the type and the user of its data name no subject")]
    NoSubject,
    /// It is an event that is longer than any right one. A message of any length is read.
    #[error(
        "the event has {bytes} bytes, the limit is {}",
        domain::STRUCTURED_BYTES_MAX
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is a message one of whose members in base64 is none.
    #[error("{member} is not base64")]
    NotBase64 {
        /// `payloadBase64` or `headersBase64`.
        member: &'static str,
    },
    /// It is a message with a name or a value in `headers` that no header has.
    #[error("headers: {fault}; headersBase64 takes a block of headers byte for byte")]
    Headers {
        /// What is wrong with the block that they make.
        fault: HeaderFault,
    },
}

/// Whether a JSON object is a message, and not an event.
pub fn is_message(object: &Map<String, Value>) -> bool {
    has_message(|name| object.contains_key(name))
}

fn has_message(has: impl Fn(&str) -> bool) -> bool {
    !has("specversion") && (has("payload") || has("payloadBase64"))
}

/// The lane that a structured event goes to: its user and its type's family.
pub fn lane_of(event: &Map<String, Value>) -> Option<Lane> {
    let data = event.get("data")?;
    let entity_user = || data.get("entity")?.get("userId");
    let user = data.get("userId").or_else(entity_user)?.as_str()?;
    let family = event.get("type")?.as_str()?.split('.').nth(2)?;
    Some(Lane {
        user: UserId::parse(user).ok()?,
        family: Family::parse(family)?,
    })
}

/// The JSON of a message. `payload` is taken as it is written, a text as its characters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire<'a> {
    sequence: Option<Sequence64>,
    time: Option<String>,
    subject: String,
    headers: Option<Named>,
    #[serde(borrow)]
    headers_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_base64: Option<Cow<'a, str>>,
}

/// A sequence is never 0.
struct Sequence64(Sequence);

impl<'de> Deserialize<'de> for Sequence64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let none = || serde::de::Error::custom("expected a sequence, from 1");
        let number = u64::deserialize(deserializer)?;
        Sequence::new(number).map(Self).ok_or_else(none)
    }
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn push(&mut self, value: &str) {
        match self {
            Self::More(values) => values.push(value.to_owned()),
            Self::One(first) => *self = Self::More(vec![std::mem::take(first), value.to_owned()]),
        }
    }
}

/// Headers by name, in their order: the members of an object.
#[derive(Default)]
struct Named(Vec<(String, OneOrMore)>);

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, values)| (name, values)))
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamedVisitor)
    }
}

struct NamedVisitor;

impl<'de> Visitor<'de> for NamedVisitor {
    type Value = Named;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of header names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Named, A::Error> {
        let mut named = Vec::new();
        while let Some(member) = members.next_entry()? {
            named.push(member);
        }
        Ok(Named(named))
    }
}

impl Message {
    /// What a line stands for.
    pub fn of_line(line: &[u8]) -> Result<Self, LineFault> {
        // A message can be very long, and as a tree many times as long.
        let members: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_slice(line).map_err(|e| shape(&e))?;
        if has_message(|name| members.contains_key(name)) {
            let wire = serde_json::from_slice(line).map_err(|e| shape(&e))?;
            return Self::of_wire(wire);
        }
        if line.len() > domain::STRUCTURED_BYTES_MAX {
            return Err(LineFault::TooLong { bytes: line.len() });
        }
        let object: Map<String, Value> = serde_json::from_slice(line).map_err(|e| shape(&e))?;
        let subject = lane_of(&object).ok_or(LineFault::NoSubject)?.subject();
        let (name, value) = STRUCTURED;
        Ok(Self {
            sequence: None,
            time: None,
            subject,
            headers: block_of([(name, value)]),
            payload: line.to_vec(),
        })
    }

    fn of_wire(wire: Wire<'_>) -> Result<Self, LineFault> {
        let payload = match (wire.payload, wire.payload_base64) {
            (Some(_), Some(_)) => {
                return Err(LineFault::Shape {
                    problem: "payload and payloadBase64 are both there".to_owned(),
                });
            }
            (Some(raw), None) => text_of(raw),
            (None, base64) => from_base64("payloadBase64", &base64.unwrap_or_default())?,
        };
        let headers = match (wire.headers, wire.headers_base64) {
            (Some(_), Some(_)) => {
                return Err(LineFault::Shape {
                    problem: "headers and headersBase64 are both there".to_owned(),
                });
            }
            (None, Some(base64)) => from_base64("headersBase64", &base64)?,
            (named, None) => block_of_named(&named.unwrap_or_default().0)?,
        };
        Ok(Self {
            sequence: wire.sequence.map(|Sequence64(sequence)| sequence),
            time: wire.time,
            subject: wire.subject,
            headers,
            payload,
        })
    }

    /// The line that stands for this message, without its end: [`Message::of_line`] gives it back.
    pub fn to_line(&self) -> String {
        let mut line = String::from("{");
        if let Some(sequence) = self.sequence {
            push(&mut line, "sequence", &sequence.get());
        }
        if let Some(time) = &self.time {
            push(&mut line, "time", time);
        }
        push(&mut line, "subject", &self.subject);
        match Headers::of_block(&self.headers).plain().and_then(named) {
            Some(headers) => push(&mut line, "headers", &headers),
            None => push(&mut line, "headersBase64", &STANDARD.encode(&self.headers)),
        }
        match std::str::from_utf8(&self.payload) {
            Ok(text) => match as_is(text) {
                Some(raw) => push(&mut line, "payload", raw),
                None if is_shorter_as_text(text) => push(&mut line, "payload", text),
                None => push(&mut line, "payloadBase64", &STANDARD.encode(text)),
            },
            Err(_) => push(&mut line, "payloadBase64", &STANDARD.encode(&self.payload)),
        }
        line.push('}');
        line
    }

    /// Lends the message in the form that is decoded and applied, at this place of a stream.
    pub fn with_record<T>(&self, at: Sequence, read: impl FnOnce(&RecordRef<'_>) -> T) -> T {
        read(&RecordRef {
            sequence: at,
            subject: &self.subject,
            headers: Headers::of_block(&self.headers),
            payload: &self.payload,
        })
    }
}

/// A record as it stands in a stream or is parked.
impl From<&Record> for Message {
    fn from(record: &Record) -> Self {
        Self {
            sequence: Some(record.sequence),
            time: None,
            subject: record.subject.to_string(),
            headers: record.headers.to_vec(),
            payload: record.payload.to_vec(),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

fn shape(error: &serde_json::Error) -> LineFault {
    let text = error.to_string();
    // Serde quotes the value that it did not expect.
    let problem = match text.split_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => text,
    };
    let problem = problem.replace(" at line 1 column ", " at column ");
    LineFault::Shape { problem }
}

fn from_base64(member: &'static str, text: &str) -> Result<Vec<u8>, LineFault> {
    let bytes = STANDARD.decode(text.as_bytes());
    bytes.map_err(|_base64| LineFault::NotBase64 { member })
}

/// The block that these headers make. A value that would be read as another
/// header, or not at all, makes none.
fn block_of_named(named: &[(String, OneOrMore)]) -> Result<Vec<u8>, LineFault> {
    let mut headers = Vec::new();
    for (name, values) in named {
        let values = match values {
            OneOrMore::One(value) => std::slice::from_ref(value),
            OneOrMore::More(values) => values,
        };
        headers.extend(values.iter().map(|value| (name.as_str(), value.as_str())));
    }
    let block = block_of(headers.iter().copied());
    let read: Result<Vec<_>, _> = Headers::of_block(&block).iter().collect();
    let read = read.map_err(|fault| LineFault::Headers { fault })?;
    let trimmed = headers
        .iter()
        .map(|(name, value)| (*name, value.trim_ascii()));
    if read.iter().copied().eq(trimmed) {
        Ok(block)
    } else {
        Err(LineFault::Headers {
            fault: HeaderFault {
                line: 0,
                problem: "is more than one: a name or a value holds a line break",
            },
        })
    }
}

/// Headers by name, if that leaves them in the order in which they are.
fn named(headers: Vec<(&str, &str)>) -> Option<Named> {
    let mut named: Vec<(String, OneOrMore)> = Vec::new();
    for (name, value) in headers {
        let is_known = named.iter().any(|(known, _)| known == name);
        match named.last_mut() {
            Some((last, values)) if last == name => values.push(value),
            _ if is_known => return None,
            _ => named.push((name.to_owned(), OneOrMore::One(value.to_owned()))),
        }
    }
    Some(Named(named))
}

/// The bytes of a `payload`: the characters of a JSON text, anything else as it is written.
fn text_of(raw: &RawValue) -> Vec<u8> {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => text.into_bytes(),
        Err(_) => raw.get().as_bytes().to_vec(),
    }
}

/// The text as a JSON object within a line, if it reads back as the same bytes.
fn as_is(text: &str) -> Option<&RawValue> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let is_same = raw.get() == text && text.starts_with('{') && !text.contains(['\n', '\r']);
    is_same.then_some(raw)
}

/// Whether a text takes no more room with JSON's escapes than in base64, about.
fn is_shorter_as_text(text: &str) -> bool {
    let escapes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..=0x1f => 5,
        _ => 0,
    });
    escapes.sum::<usize>() <= 80 + text.len() / 3
}

fn push<T: Serialize + ?Sized>(line: &mut String, name: &str, value: &T) {
    if line.len() > 1 {
        line.push(',');
    }
    line.push('"');
    line.push_str(name);
    line.push_str("\":");
    // Numbers, texts and maps of texts always have a JSON form.
    line.push_str(&serde_json::to_string(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(line: &str) -> Message {
        Message::of_line(line.as_bytes()).unwrap()
    }

    #[test]
    fn an_event_stands_for_the_structured_message_of_its_subject() {
        let line = r#"{"specversion":"1.0","type":"app.connvo.user.deleted.v1","data":{"entity":{"userId":"u1"}}}"#;
        let message = message(line);
        assert_eq!(message.subject, "identity.v1.u1.user");
        assert_eq!(message.payload, line.as_bytes());
        assert_eq!(message.headers, block_of([STRUCTURED]));
    }

    #[test]
    fn a_payload_is_taken_as_it_is_written() {
        for (payload, expected) in [
            (r#"{"a": 1.0,"a":1e2}"#, r#"{"a": 1.0,"a":1e2}"#),
            (r#""{\"a\"""#, r#"{"a""#),
            (r#""""#, ""),
            ("null", ""),
            ("[1 ]", "[1 ]"),
        ] {
            let line = format!(r#"{{"subject":"s","payload":{payload}}}"#);
            assert_eq!(message(&line).payload, expected.as_bytes());
        }
        let binary = message(r#"{"subject":"s","payloadBase64":"/wA="}"#);
        assert_eq!(binary.payload, [0xff, 0]);
    }

    #[test]
    fn headers_may_repeat() {
        let line = r#"{"sequence":7,"subject":"s","headers":{"b":["1","2"],"A":"3"},"payload":""}"#;
        let message = message(line);
        let headers = Headers::of_block(&message.headers).plain();
        assert_eq!(
            headers.as_deref(),
            Some(&[("b", "1"), ("b", "2"), ("A", "3")][..])
        );
        assert_eq!(message.sequence, Sequence::new(7));
    }

    #[test]
    fn what_stands_for_no_message_says_why_and_repeats_nothing() {
        let said = |line: &str| Message::of_line(line.as_bytes()).unwrap_err().to_string();
        let no_subject = "the type and the user of its data name no subject";
        assert_eq!(said("{}"), no_subject);
        assert_eq!(
            said(r#"{"subject":"s","payloadBase64":"?"}"#),
            "payloadBase64 is not base64"
        );
        assert_eq!(
            said(r#"{"sequence":"secret","subject":"s","payload":1}"#),
            "expected u64 at column 20"
        );
        assert!(said("{").starts_with("EOF while parsing"));
        assert!(said(r#"{"payload":1}"#).starts_with("missing field `subject`"));
        assert!(said(r#"{"subject":"s","payload":1,"sequence":0}"#).contains("from 1"));
        assert!(said(r#"{"subject":"s","payload":1,"payloadBase64":""}"#).contains("both"));
        for headers in [
            r#"{"a b":"c"}"#,
            r#"{"a":"b\nc: d"}"#,
            r#"{"":"b"}"#,
            r#"{"a":"b\rc"}"#,
        ] {
            let said = said(&format!(
                r#"{{"subject":"s","headers":{headers},"payload":1}}"#
            ));
            assert!(said.contains("headersBase64 takes"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn a_line_gives_the_message_back(
            payload in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[ -~\n]{0,40}".prop_map(String::into_bytes),
                r#"\{"a":[ 0-9.e]{0,6}\} ?"#.prop_map(String::into_bytes),
            ],
            headers in prop_oneof![
                prop::collection::vec(("[a-zA-Z-]{1,3}", "\\PC{0,5}"), 0..6).prop_map(|headers| {
                    block_of(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())))
                }),
                prop::collection::vec(any::<u8>(), 0..40),
            ],
            sequence in 0..9_u64,
        ) {
            let sequence = Sequence::new(sequence);
            let sent = Message { sequence, time: None, subject: "s".into(), headers, payload };
            let line = sent.to_line();
            prop_assert!(!line.contains('\n'));
            prop_assert!(Message::of_line(line.as_bytes()).unwrap() == sent, "{}", line);
        }
    }
}
