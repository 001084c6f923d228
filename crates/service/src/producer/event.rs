//! An event as it goes to NATS: a binary `CloudEvent`.

use std::fmt;

use bytes::Bytes;
use domain::{Headers, RecordRef, Sequence, block_of};
use serde_json::{Map, Value};

use super::repeats::Contents;

/// A checked event. Its record is exactly what the projector will read.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingEvent {
    /// The event's id.
    pub id: String,
    /// Where it is published.
    pub subject: String,
    /// Header names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The data.
    pub payload: Bytes,
    /// What it says, to be compared with another event of its id.
    pub contents: Contents,
}

/// Attributes and their headers. The trace context goes as plain headers too, where tracing tools look.
pub(crate) const HEADERS: [(&str, &str); 12] = [
    ("specversion", "ce-specversion"),
    ("id", "ce-id"),
    ("id", "Nats-Msg-Id"),
    ("source", "ce-source"),
    ("type", "ce-type"),
    ("subject", "ce-subject"),
    ("time", "ce-time"),
    ("dataschema", "ce-dataschema"),
    ("traceparent", "ce-traceparent"),
    ("tracestate", "ce-tracestate"),
    ("traceparent", "traceparent"),
    ("tracestate", "tracestate"),
];

impl OutgoingEvent {
    /// The binary form of a structured event. `None` when a member is missing that the schemas require.
    pub(super) fn of(event: &Map<String, Value>) -> Option<Self> {
        let data = event.get("data")?;
        let lane = event_lines::lane_of(event)?;
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        for (attribute, header) in HEADERS {
            if let Some(value) = event.get(attribute).and_then(Value::as_str) {
                headers.push((header, value.to_owned()));
            }
        }
        Some(Self {
            id: event.get("id")?.as_str()?.to_owned(),
            subject: lane.subject(),
            headers,
            payload: serde_json::to_vec(data).ok()?.into(),
            contents: Contents::of(event.get("type")?.as_str()?, data),
        })
    }

    /// Whether it says that a document is gone for good.
    pub(crate) fn is_erasure(&self) -> bool {
        let mut headers = self.headers.iter();
        headers.any(|(name, value)| *name == "ce-type" && value.ends_with(".erased.v1"))
    }

    /// Lends the event in the form that the projector reads.
    pub fn with_record<T>(&self, read: impl FnOnce(&RecordRef<'_>) -> T) -> T {
        let headers = block_of(self.headers.iter().map(|(n, v)| (*n, &**v)));
        read(&RecordRef {
            // It has no place yet, and its meaning does not depend on one.
            sequence: Sequence::FIRST,
            subject: &self.subject,
            headers: Headers::of_block(&headers),
            payload: &self.payload,
        })
    }
}

impl fmt::Debug for OutgoingEvent {
    /// Shows no content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingEvent")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}
