//! A line that holds a message: the event that it carries, and where in the line its members stand.

use std::collections::BTreeMap;

use domain::Headers;
use event_lines::Message;
use serde_json::{Map, Value};

use super::fault::Fault;
use super::{encoding, json};

/// An event as it was carried by a message.
pub(super) struct Carried {
    /// Its structured form.
    pub(super) event: Value,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Binary,
    Structured,
}

impl Carried {
    /// The event of a message, in whichever of the three forms.
    pub(super) fn by(message: &Message) -> Result<Self, Fault> {
        let headers = headers_of(message)?;
        let payload = encoding::check(&message.payload)
            .and_then(|()| json::parse(&message.payload))
            .map_err(in_payload)?;
        let content_type = headers.get("content-type").map_or("", String::as_str);
        let is_binary = ["ce-specversion", "ce-id", "ce-source", "ce-type"]
            .iter()
            .any(|name| headers.contains_key(*name));
        // The same rule as the projector's.
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/cloudevents+json")
            || (content_type.is_empty() && !is_binary)
        {
            return Ok(Self {
                event: payload,
                form: Form::Structured,
            });
        }
        let mut event = Map::new();
        for (name, value) in headers {
            let attribute = match name.strip_prefix("ce-") {
                Some(attribute) => attribute.to_owned(),
                None if name == "content-type" => "datacontenttype".to_owned(),
                None => continue,
            };
            // Content-Type is what the binding means; the projector checks a repetition.
            event.entry(attribute).or_insert(value.into());
        }
        event.insert("data".to_owned(), payload);
        Ok(Self {
            event: event.into(),
            form: Form::Binary,
        })
    }

    pub(super) fn is_structured(&self) -> bool {
        matches!(self.form, Form::Structured)
    }

    /// The fault, told of the place in the line instead of the structured event.
    pub(super) fn place(&self, fault: Fault) -> Fault {
        let member = match self.form {
            Form::Structured if fault.member == "line" => "payload".to_owned(),
            Form::Structured => format!("payload.{}", fault.member),
            Form::Binary => match fault.member.strip_prefix("data") {
                Some("") => "payload".to_owned(),
                Some(rest) if rest.starts_with('.') => format!("payload{rest}"),
                _ if fault.member == "datacontenttype" => "headers.Content-Type".to_owned(),
                _ => format!("headers.ce-{}", fault.member),
            },
        };
        Fault { member, ..fault }
    }
}

fn in_payload(fault: Fault) -> Fault {
    Fault {
        member: "payload".to_owned(),
        ..fault
    }
}

/// The headers that count, by their names in lower case: one value each.
fn headers_of(message: &Message) -> Result<BTreeMap<String, String>, Fault> {
    let mut headers = BTreeMap::new();
    for header in Headers::of_block(&message.headers).iter() {
        let (name, value) = header.map_err(|fault| Fault {
            member: "headersBase64".to_owned(),
            found: fault.to_string(),
            expected: "a block of headers as servers store it".to_owned(),
        })?;
        let lower = name.to_ascii_lowercase();
        if !lower.starts_with("ce-") && lower != "content-type" && lower != "nats-msg-id" {
            continue;
        }
        let earlier = headers.insert(lower, value.to_owned());
        if earlier.is_some_and(|earlier| earlier != value) {
            return Err(Fault {
                member: format!("headers.{name}"),
                found: "another value than before".to_owned(),
                expected: "one value, whatever the case of the name".to_owned(),
            });
        }
    }
    Ok(headers)
}
