//! Judges events as strictly as the contract allows.

use std::collections::HashMap;

use domain::{Decoded, Sequence};
use event_lines::{LINE_BYTES_MAX, Line, Message, is_message};
use jsonschema::Validator;
use serde_json::{Map, Value};

use super::event::OutgoingEvent;
use super::fault::{Fault, describe, text_at};
use super::message::Carried;
use super::schema_fault::faults_of;
use super::schemas::{self, EVENT_TYPES};
use super::{encoding, json};

/// The longest line of an event that can be right: a body of the largest size with nothing but escapes,
/// and as much for headers. What is longer is not read as a tree, which takes many times its length.
const EVENT_LINE_BYTES_MAX: usize = 12 * domain::STRUCTURED_BYTES_MAX;

/// Faults told of one line; a line can be wrong in more places than anybody reads.
const FAULTS_MAX: usize = 20;

/// The compiled schemas.
#[derive(Debug)]
pub struct Checker {
    schemas: HashMap<&'static str, Validator>,
}

impl Checker {
    /// Compiles the schemas; takes some milliseconds.
    pub fn new() -> anyhow::Result<Self> {
        let schemas = schemas::compile()?;
        Ok(Self { schemas })
    }

    /// Judges one line of a file: an event, or a message that carries one.
    pub fn check(&self, line: &Line<'_>) -> Result<OutgoingEvent, Vec<Fault>> {
        let text = line.text.ok_or_else(|| {
            let expected = format!("one event a line (`jq -c .`), at most {LINE_BYTES_MAX} bytes");
            vec![whole_line("a longer line", &expected)]
        })?;
        encoding::check(text).map_err(|fault| vec![fault])?;
        if text.len() > EVENT_LINE_BYTES_MAX {
            return Err(vec![too_long(text)]);
        }
        let value = json::parse(text).map_err(|fault| vec![fault])?;
        match value.as_object() {
            Some(object) if is_message(object) => self.check_message(text),
            _ => {
                let outgoing = self.check_event(&value)?;
                Self::check_size(text, &value)?;
                Ok(outgoing)
            }
        }
    }

    /// An event is sent in binary mode; a replay of the file reads it as it is written there, with
    /// spaces and escapes.
    fn check_size(text: &[u8], event: &Value) -> Result<(), Vec<Fault>> {
        if text.len() <= domain::DATA_BYTES_MAX {
            return Ok(());
        }
        let Ok(message) = Message::of_line(text) else {
            return Ok(());
        };
        match message.with_record(Sequence::FIRST, domain::decode) {
            Decoded::Event(_) => Ok(()),
            other @ (Decoded::UnknownType(_) | Decoded::Invalid { .. }) => {
                Err(vec![cross_fault(&other, event)])
            }
        }
    }

    /// Judges one structured event: first by its schema, then by what the projector makes of it.
    pub fn check_event(&self, event: &Value) -> Result<OutgoingEvent, Vec<Fault>> {
        let outgoing = self.check_schema(event)?;
        match outgoing.with_record(domain::decode) {
            Decoded::Event(_) => Ok(outgoing),
            other @ (Decoded::UnknownType(_) | Decoded::Invalid { .. }) => {
                Err(vec![cross_fault(&other, event)])
            }
        }
    }

    /// Judges a message as it stands in a stream, and the event that it carries. What passes goes out
    /// in binary mode, whatever form it had.
    fn check_message(&self, line: &[u8]) -> Result<OutgoingEvent, Vec<Fault>> {
        let message = Message::of_line(line).map_err(|problem| {
            let expected = "a message: subject, headers, payload";
            vec![whole_line(&format!("something else ({problem})"), expected)]
        })?;
        let carried = Carried::by(&message).map_err(|fault| vec![fault])?;
        let placed = |faults: Vec<Fault>| faults.into_iter().map(|fault| carried.place(fault));
        let outgoing = self
            .check_schema(&carried.event)
            .map_err(|faults| placed(faults).collect::<Vec<Fault>>())?;
        match message.with_record(Sequence::FIRST, domain::decode) {
            Decoded::Event(_) => Ok(outgoing),
            other @ (Decoded::UnknownType(_) | Decoded::Invalid { .. }) => {
                Err(vec![message_fault(&other, &message, &carried)])
            }
        }
    }

    fn check_schema(&self, value: &Value) -> Result<OutgoingEvent, Vec<Fault>> {
        let Value::Object(event) = value else {
            let found = describe("line", Some(value));
            let expected = match value {
                Value::Array(_) => {
                    "an object (`jq -c '.[]'` writes the items of an array, one a line)"
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => "an object",
            };
            return Err(vec![whole_line(&found, expected)]);
        };
        let schema = self.schema_of(event).map_err(|fault| vec![fault])?;
        if !schema.is_valid(value) {
            let faults = schema
                .iter_errors(value)
                .flat_map(|error| faults_of(&error));
            return Err(faults.take(FAULTS_MAX).collect());
        }
        OutgoingEvent::of(event)
            .ok_or_else(|| vec![whole_line("no user", "an event of the contract")])
    }

    fn schema_of(&self, event: &Map<String, Value>) -> Result<&Validator, Fault> {
        event
            .get("type")
            .and_then(Value::as_str)
            .and_then(|kind| self.schemas.get(kind))
            .ok_or_else(|| unknown_type(event))
    }
}

/// What is wrong with a line that is longer than any right one.
fn too_long(text: &[u8]) -> Fault {
    let limit = domain::DATA_BYTES_MAX;
    match Message::of_line(text) {
        Ok(message) if message.payload.len() > limit => Fault {
            member: "payload".to_owned(),
            found: format!("{} bytes", message.payload.len()),
            expected: format!("at most {limit} bytes"),
        },
        Ok(_) | Err(_) => whole_line(
            &format!("{} bytes", text.len()),
            &format!("one event a line (`jq -c .`), its data at most {limit} bytes"),
        ),
    }
}

fn whole_line(found: &str, expected: &str) -> Fault {
    Fault {
        member: "line".to_owned(),
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}

/// Names the types of the family that was meant, all of them where that is unclear.
fn unknown_type(event: &Map<String, Value>) -> Fault {
    let found = event
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let family = |kind: &str| kind.split('.').nth(2).map(str::to_owned);
    let is_near = |kind: &&&str| family(kind) == family(found);
    let mut near: Vec<&str> = EVENT_TYPES.iter().filter(is_near).copied().collect();
    if near.is_empty() {
        near = EVENT_TYPES.to_vec();
    }
    Fault {
        member: "type".to_owned(),
        found: describe("type", event.get("type")),
        expected: format!("one of {}", near.join(", ")),
    }
}

/// A fault that the schema cannot say, told of the structured form.
fn cross_fault(decoded: &Decoded, event: &Value) -> Fault {
    let fault = match decoded {
        Decoded::Invalid { fault, .. } => fault,
        Decoded::UnknownType(_) | Decoded::Event(_) => {
            return unknown_type(event.as_object().unwrap_or(&Map::new()));
        }
    };
    match fault {
        domain::Fault::Mismatch { left, right } => {
            let member = left.trim_start_matches("attribute ");
            let pointer = format!("/{}", member.replace('.', "/"));
            Fault {
                found: describe(member, event.pointer(&pointer)),
                expected: match *right {
                    // The subject is derived from here.
                    "the subject's user" => "data.entity.userId".to_owned(),
                    other => other.to_owned(),
                },
                member: member.to_owned(),
            }
        }
        domain::Fault::TooLarge { part, bytes, limit } => Fault {
            member: if *part == "body" { "line" } else { part }.to_owned(),
            found: format!("{bytes} bytes"),
            expected: format!("at most {limit} bytes"),
        },
        other @ (domain::Fault::Subject
        | domain::Fault::NotJson { .. }
        | domain::Fault::Member { .. }
        | domain::Fault::Attribute { .. }
        | domain::Fault::Answer
        | domain::Fault::Headers(_)
        | domain::Fault::HeaderConflict { .. }
        | domain::Fault::UnknownMajor { .. }) => whole_line(
            &format!("an event that cannot be applied ({other})"),
            "none such",
        ),
    }
}

/// A fault of a message whose event is right by its schema: of its subject and headers, or one that
/// an event by itself could have too.
fn message_fault(decoded: &Decoded, message: &Message, carried: &Carried) -> Fault {
    let fault = |member: &str, found: String, expected: &str| Fault {
        member: member.to_owned(),
        found,
        expected: expected.to_owned(),
    };
    match decoded {
        Decoded::Invalid { fault: why, .. } => match why {
            domain::Fault::Subject => fault(
                "subject",
                text_at(true, &message.subject),
                "identity.v1.<userId>.<user|profile|quarantine>",
            ),
            domain::Fault::Mismatch { left, right } if left.starts_with("header ") => {
                let name = left.trim_start_matches("header ");
                fault(
                    &format!("headers.{name}"),
                    "another value".to_owned(),
                    right,
                )
            }
            domain::Fault::Mismatch { left, right } if right.starts_with("the subject's ") => {
                fault(
                    "subject",
                    text_at(true, &message.subject),
                    &format!("one that agrees with {left}"),
                )
            }
            domain::Fault::Attribute { name, problem } => fault(
                &format!("headers.ce-{name}"),
                format!("a value that {problem}"),
                "the same value as in the body",
            ),
            domain::Fault::TooLarge { part, bytes, limit } => fault(
                match (*part, carried.is_structured()) {
                    ("data", true) => "payload.data",
                    _ => "payload",
                },
                format!("{bytes} bytes"),
                &format!("at most {limit} bytes"),
            ),
            domain::Fault::Mismatch { .. }
            | domain::Fault::Answer
            | domain::Fault::Headers(_)
            | domain::Fault::NotJson { .. }
            | domain::Fault::Member { .. }
            | domain::Fault::HeaderConflict { .. }
            | domain::Fault::UnknownMajor { .. } => {
                carried.place(cross_fault(decoded, &carried.event))
            }
        },
        Decoded::UnknownType(_) | Decoded::Event(_) => {
            carried.place(cross_fault(decoded, &carried.event))
        }
    }
}

#[cfg(test)]
mod tests;
