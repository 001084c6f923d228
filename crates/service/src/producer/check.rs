//! Judges events as strictly as the contract allows.

use std::collections::HashMap;

use domain::Decoded;
use event_lines::{LINE_BYTES_MAX, Line};
use jsonschema::Validator;
use serde_json::{Map, Value};

use super::event::OutgoingEvent;
use super::fault::{Fault, describe};
use super::json;
use super::schema_fault::faults_of;
use super::schemas::{self, EVENT_TYPES};

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

    /// Judges one line of a file.
    pub fn check(&self, line: &Line<'_>) -> Result<OutgoingEvent, Vec<Fault>> {
        let text = line.text.ok_or_else(|| {
            let expected = format!("at most {LINE_BYTES_MAX} bytes");
            vec![whole_line("more bytes", &expected)]
        })?;
        let value = json::parse(text).map_err(|fault| vec![fault])?;
        self.check_event(&value)
    }

    /// Judges one structured event: first by its schema, then by what the projector makes of it.
    pub fn check_event(&self, value: &Value) -> Result<OutgoingEvent, Vec<Fault>> {
        let Value::Object(event) = value else {
            return Err(vec![whole_line(
                &describe("line", Some(value)),
                "an object",
            )]);
        };
        let schema = self.schema_of(event).map_err(|fault| vec![fault])?;
        if !schema.is_valid(value) {
            let faults = schema
                .iter_errors(value)
                .flat_map(|error| faults_of(&error));
            return Err(faults.take(FAULTS_MAX).collect());
        }
        let outgoing = OutgoingEvent::of(event)
            .ok_or_else(|| vec![whole_line("no user", "an event of the contract")])?;
        match outgoing.with_record(domain::decode) {
            Decoded::Event(_) => Ok(outgoing),
            Decoded::UnknownType(_) => Err(vec![unknown_type(event)]),
            Decoded::Invalid { fault, .. } => Err(vec![cross_fault(&fault, value)]),
        }
    }

    fn schema_of(&self, event: &Map<String, Value>) -> Result<&Validator, Fault> {
        event
            .get("type")
            .and_then(Value::as_str)
            .and_then(|kind| self.schemas.get(kind))
            .ok_or_else(|| unknown_type(event))
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
fn cross_fault(fault: &domain::Fault, event: &Value) -> Fault {
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
        domain::Fault::TooLarge { bytes, limit } => Fault {
            member: "data".to_owned(),
            found: format!("{bytes} bytes"),
            expected: format!("at most {limit} bytes"),
        },
        other @ (domain::Fault::Subject
        | domain::Fault::NotJson { .. }
        | domain::Fault::Member { .. }
        | domain::Fault::Attribute { .. }
        | domain::Fault::HeaderConflict { .. }
        | domain::Fault::UnknownMajor { .. }) => whole_line(
            &format!("an event that cannot be applied ({other})"),
            "none such",
        ),
    }
}

#[cfg(test)]
mod tests;
