//! The `CloudEvents` attributes of a record, in whichever of the three forms it has.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::wire::Envelope;
use super::{DATA_BYTES_MAX, HEADERS_BYTES_MAX, STRUCTURED_BYTES_MAX, json};
use crate::{Family, Fault, Headers, Lane, RecordRef};

/// The attributes that the contract reads.
pub(super) struct Attributes<'a> {
    pub(super) kind: Cow<'a, str>,
    pub(super) id: Cow<'a, str>,
    subject: Option<Cow<'a, str>>,
    message_id: Option<&'a str>,
}

/// Where the data is.
pub(super) enum Body<'a> {
    Bytes(&'a [u8]),
    Raw(&'a RawValue),
}

impl Attributes<'_> {
    /// The cross-checks that need no data.
    pub(super) fn check(&self, lane: &Lane) -> Result<(), Fault> {
        if self
            .subject
            .as_deref()
            .is_some_and(|subject| subject != lane.user.as_str())
        {
            return Err(Fault::Mismatch {
                left: "attribute subject",
                right: "the subject's user",
            });
        }
        if self
            .message_id
            .is_some_and(|message_id| message_id != self.id)
        {
            return Err(Fault::Mismatch {
                left: "header Nats-Msg-Id",
                right: "attribute id",
            });
        }
        // An operator's decision may have any id.
        if self.id.is_empty() && lane.family == Family::Quarantine {
            return Err(Fault::Attribute {
                name: "id",
                problem: "is empty",
            });
        }
        Ok(())
    }
}

/// Header values by attribute; names are compared without case.
#[derive(Default)]
struct Values<'a> {
    specversion: Option<&'a str>,
    id: Option<&'a str>,
    source: Option<&'a str>,
    kind: Option<&'a str>,
    subject: Option<&'a str>,
    time: Option<&'a str>,
    dataschema: Option<&'a str>,
    datacontenttype: Option<&'a str>,
    content_type: Option<&'a str>,
    message_id: Option<&'a str>,
}

impl<'a> Values<'a> {
    /// Of several conflicts the first name in the order of names is reported: a file may list headers in
    /// another order than the stream.
    fn read(headers: Headers<'a>) -> Result<Self, Fault> {
        let mut read = Self::default();
        let mut conflict: Option<String> = None;
        for header in headers.iter() {
            let (name, value) = header?;
            let Some(slot) = read.slot(name) else {
                continue;
            };
            if slot.is_some_and(|earlier| earlier != value) {
                let name = name.to_ascii_lowercase();
                conflict = Some(conflict.map_or(name.clone(), |other| other.min(name)));
            }
            *slot = Some(value);
        }
        match conflict {
            None => Ok(read),
            Some(name) => Err(Fault::HeaderConflict { name }),
        }
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        if name.eq_ignore_ascii_case("content-type") {
            return Some(&mut self.content_type);
        }
        if name.eq_ignore_ascii_case("nats-msg-id") {
            return Some(&mut self.message_id);
        }
        let (prefix, attribute) = name.split_at_checked(3)?;
        if !prefix.eq_ignore_ascii_case("ce-") {
            return None;
        }
        // Most are written as the contract has them, and whole texts compare faster.
        let is = |known: &str| attribute == known || attribute.eq_ignore_ascii_case(known);
        if is("specversion") {
            Some(&mut self.specversion)
        } else if is("id") {
            Some(&mut self.id)
        } else if is("source") {
            Some(&mut self.source)
        } else if is("type") {
            Some(&mut self.kind)
        } else if is("subject") {
            Some(&mut self.subject)
        } else if is("time") {
            Some(&mut self.time)
        } else if is("dataschema") {
            Some(&mut self.dataschema)
        } else if is("datacontenttype") {
            Some(&mut self.datacontenttype)
        } else {
            None
        }
    }

    fn is_binary(&self) -> bool {
        self.specversion
            .or(self.id)
            .or(self.source)
            .or(self.kind)
            .is_some()
    }
}

/// Reads the attributes of any of the three forms and finds the data.
pub(super) fn read_attributes<'a>(
    record: &RecordRef<'a>,
) -> Result<(Attributes<'a>, Body<'a>), Fault> {
    let block = record.headers.as_bytes();
    check_size("header block", block.len(), HEADERS_BYTES_MAX)?;
    let headers = Values::read(record.headers)?;
    match headers.content_type {
        Some(content_type) if is_media_type(content_type, "application/cloudevents+json") => {
            structured(&headers, record.payload)
        }
        None if !headers.is_binary() => structured(&headers, record.payload),
        _ => binary(&headers, record.payload),
    }
}

fn binary<'a>(
    headers: &Values<'a>,
    payload: &'a [u8],
) -> Result<(Attributes<'a>, Body<'a>), Fault> {
    check_size("data", payload.len(), DATA_BYTES_MAX)?;
    check_constants(headers.specversion, headers.source)?;
    // The binding gives the data's type as Content-Type; some producers repeat it as ce- header.
    check_json(headers.content_type)?;
    check_json(headers.datacontenttype)?;
    let attributes = Attributes {
        kind: required("type", headers.kind)?.into(),
        id: required("id", headers.id)?.into(),
        subject: headers.subject.map(Cow::from),
        message_id: headers.message_id,
    };
    Ok((attributes, Body::Bytes(payload)))
}

fn structured<'a>(
    headers: &Values<'a>,
    payload: &'a [u8],
) -> Result<(Attributes<'a>, Body<'a>), Fault> {
    check_size("body", payload.len(), STRUCTURED_BYTES_MAX)?;
    let envelope: Envelope<'a> = json::body(payload)?;
    if let Some(data) = envelope.data {
        check_size("data", data.get().len(), DATA_BYTES_MAX)?;
    }
    check_constants(envelope.specversion.as_deref(), envelope.source.as_deref())?;
    check_json(envelope.datacontenttype.as_deref())?;
    let repeated = [
        ("specversion", headers.specversion, &envelope.specversion),
        ("id", headers.id, &envelope.id),
        ("source", headers.source, &envelope.source),
        ("type", headers.kind, &envelope.kind),
        ("subject", headers.subject, &envelope.subject),
    ];
    for (name, header, member) in repeated {
        if header.is_some_and(|header| member.as_deref() != Some(header)) {
            return Err(Fault::Attribute {
                name,
                problem: "differs between header and body",
            });
        }
    }
    let data = envelope.data.ok_or(Fault::Attribute {
        name: "data",
        problem: "is missing",
    })?;
    let attributes = Attributes {
        kind: required("type", envelope.kind)?,
        id: required("id", envelope.id)?,
        subject: envelope.subject,
        message_id: headers.message_id,
    };
    Ok((attributes, Body::Raw(data)))
}

fn check_size(part: &'static str, bytes: usize, limit: usize) -> Result<(), Fault> {
    if bytes <= limit {
        return Ok(());
    }
    Err(Fault::TooLarge { part, bytes, limit })
}

fn required<T>(name: &'static str, value: Option<T>) -> Result<T, Fault> {
    value.ok_or(Fault::Attribute {
        name,
        problem: "is missing",
    })
}

fn check_constants(specversion: Option<&str>, source: Option<&str>) -> Result<(), Fault> {
    if required("specversion", specversion)? != "1.0" {
        return Err(Fault::Attribute {
            name: "specversion",
            problem: "expected 1.0",
        });
    }
    if required("source", source)?.is_empty() {
        return Err(Fault::Attribute {
            name: "source",
            problem: "is empty",
        });
    }
    Ok(())
}

fn check_json(media_type: Option<&str>) -> Result<(), Fault> {
    match media_type {
        Some(other) if !is_media_type(other, "application/json") => Err(Fault::Attribute {
            name: "datacontenttype",
            problem: "expected application/json",
        }),
        _ => Ok(()),
    }
}

/// Compares without parameters, space around, and case.
fn is_media_type(text: &str, expected: &str) -> bool {
    if text == expected {
        return true;
    }
    let essence = text.split_once(';').map_or(text, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case(expected)
}
