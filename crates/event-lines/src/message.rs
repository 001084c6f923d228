//! What one line stands for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Family, Lane, Record, RecordRef, Sequence, UserId};
use serde::{Deserialize, Serialize};
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
    /// Header names and values, in the order of the names.
    pub headers: Vec<(String, String)>,
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
    /// It is a message whose `payloadBase64` is none.
    #[error("payloadBase64 is not base64")]
    NotBase64,
}

/// Whether a JSON object is a message, and not an event.
pub fn is_message(object: &Map<String, Value>) -> bool {
    let has = |name| object.contains_key(name);
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
    #[serde(default)]
    headers: BTreeMap<String, OneOrMore>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_base64: Option<Cow<'a, str>>,
}

/// A sequence is never 0.
struct Sequence64(Sequence);

impl<'de> Deserialize<'de> for Sequence64 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
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

impl Message {
    /// What a line stands for.
    pub fn of_line(line: &[u8]) -> Result<Self, LineFault> {
        let object: Map<String, Value> = serde_json::from_slice(line).map_err(|e| shape(&e))?;
        if is_message(&object) {
            let wire = serde_json::from_slice(line).map_err(|e| shape(&e))?;
            return Self::of_wire(wire);
        }
        let subject = lane_of(&object).ok_or(LineFault::NoSubject)?.subject();
        let (name, value) = STRUCTURED;
        Ok(Self {
            sequence: None,
            time: None,
            subject,
            headers: vec![(name.to_owned(), value.to_owned())],
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
            (None, base64) => {
                let base64 = base64.unwrap_or_default();
                let bytes = STANDARD.decode(base64.as_bytes());
                bytes.ok().ok_or(LineFault::NotBase64)?
            }
        };
        let headers = wire.headers.into_iter().flat_map(|(name, values)| {
            let values = match values {
                OneOrMore::One(value) => vec![value],
                OneOrMore::More(values) => values,
            };
            values.into_iter().map(move |value| (name.clone(), value))
        });
        Ok(Self {
            sequence: wire.sequence.map(|Sequence64(sequence)| sequence),
            time: wire.time,
            subject: wire.subject,
            headers: headers.collect(),
            payload,
        })
    }

    /// The line that stands for this message, without its end: [`Message::of_line`] gives it back.
    pub fn to_line(&self) -> String {
        let mut headers: BTreeMap<&str, OneOrMore> = BTreeMap::new();
        for (name, value) in &self.headers {
            match headers.get_mut(name.as_str()) {
                None => {
                    headers.insert(name, OneOrMore::One(value.clone()));
                }
                Some(OneOrMore::More(values)) => values.push(value.clone()),
                Some(one @ OneOrMore::One(_)) => {
                    if let OneOrMore::One(first) = std::mem::replace(one, OneOrMore::More(vec![])) {
                        *one = OneOrMore::More(vec![first, value.clone()]);
                    }
                }
            }
        }
        let mut line = String::from("{");
        if let Some(sequence) = self.sequence {
            push(&mut line, "sequence", &sequence.get());
        }
        if let Some(time) = &self.time {
            push(&mut line, "time", time);
        }
        push(&mut line, "subject", &self.subject);
        push(&mut line, "headers", &headers);
        match std::str::from_utf8(&self.payload) {
            Ok(text) => match as_is(text) {
                Some(raw) => push(&mut line, "payload", raw),
                None => push(&mut line, "payload", text),
            },
            Err(_) => push(&mut line, "payloadBase64", &STANDARD.encode(&self.payload)),
        }
        line.push('}');
        line
    }

    /// Lends the message in the form that is decoded and applied, at this place of a stream.
    pub fn with_record<T>(&self, at: Sequence, read: impl FnOnce(&RecordRef<'_>) -> T) -> T {
        let headers = self.headers.iter();
        let headers: Vec<(&str, &str)> = headers.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        read(&RecordRef {
            sequence: at,
            subject: &self.subject,
            headers: &headers,
            payload: &self.payload,
        })
    }
}

/// A record as it stands in a stream or is parked.
impl From<&Record> for Message {
    fn from(record: &Record) -> Self {
        let headers = record.headers.iter();
        Self {
            sequence: Some(record.sequence),
            time: None,
            subject: record.subject.to_string(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
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
        let (name, value) = STRUCTURED;
        assert_eq!(message.headers, [(name.to_owned(), value.to_owned())]);
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
        let headers: Vec<(&str, &str)> = message
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(headers, [("A", "3"), ("b", "1"), ("b", "2")]);
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
    }

    proptest! {
        #[test]
        fn a_line_gives_the_message_back(
            payload in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[ -~\n]{0,40}".prop_map(String::into_bytes),
                r#"\{"a":[ 0-9.e]{0,6}\} ?"#.prop_map(String::into_bytes),
            ],
            headers in prop::collection::vec(("[a-zA-Z-]{1,3}", "\\PC{0,5}"), 0..6),
            sequence in 0..9_u64,
        ) {
            let mut headers = headers;
            headers.sort_by(|(one, _), (other, _)| one.cmp(other));
            let sequence = Sequence::new(sequence);
            let sent = Message { sequence, time: None, subject: "s".into(), headers, payload };
            let line = sent.to_line();
            prop_assert!(!line.contains('\n'));
            prop_assert!(Message::of_line(line.as_bytes()).unwrap() == sent, "{}", line);
        }
    }
}
