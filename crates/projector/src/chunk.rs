//! Records on their way from the source to the writer: many in a few buffers.
//!
//! A message of the client is a dozen allocations. Freed on the thread that made them they cost
//! little; freed on the other one they cost both threads more than decoding does. So a chunk copies
//! what it keeps, one piece behind the other, and the message ends where it came from.

use std::ops::ControlFlow;

use async_nats::{HeaderMap, Message};
use domain::{Fingerprint, RecordRef};

/// Records, each behind the one before in the stream.
#[derive(Default)]
pub(crate) struct Chunk {
    records: Vec<(Place, Lengths)>,
    /// Subjects, header names and header values.
    texts: String,
    /// Lengths of header names and values.
    headers: Vec<(usize, usize)>,
    payloads: Vec<u8>,
}

/// A record's place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) at: Fingerprint,
    /// How many records the stream had behind it when it was sent.
    pub(crate) pending: u64,
}

/// How long a record's pieces are.
struct Lengths {
    subject: usize,
    headers: usize,
    payload: usize,
}

impl Chunk {
    /// Copies a message to the end.
    pub(crate) fn push(&mut self, place: Place, message: &Message) {
        self.texts.push_str(&message.subject);
        let headers_before = self.headers.len();
        for (name, values) in message.headers.iter().flat_map(HeaderMap::iter) {
            let name: &str = name.as_ref();
            for value in values {
                let value = value.as_str();
                self.texts.push_str(name);
                self.texts.push_str(value);
                self.headers.push((name.len(), value.len()));
            }
        }
        self.payloads.extend_from_slice(&message.payload);
        let lengths = Lengths {
            subject: message.subject.len(),
            headers: self.headers.len() - headers_before,
            payload: message.payload.len(),
        };
        self.records.push((place, lengths));
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How much of the log it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.len().saturating_add(self.payloads.len())
    }

    /// Takes everything out, and keeps room for as much again.
    pub(crate) fn take(&mut self) -> Self {
        let room = Self {
            records: Vec::with_capacity(self.records.len()),
            texts: String::with_capacity(self.texts.len()),
            headers: Vec::with_capacity(self.headers.len()),
            payloads: Vec::with_capacity(self.payloads.len()),
        };
        std::mem::replace(self, room)
    }

    /// Lends the records to `each`, in order, until it fails or breaks off.
    pub(crate) fn try_each<E>(
        &self,
        mut each: impl FnMut(Place, &RecordRef<'_>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let (mut texts, mut payloads) = (self.texts.as_str(), self.payloads.as_slice());
        let mut lengths = self.headers.iter();
        let mut headers = Vec::new();
        for (place, record) in &self.records {
            let subject = text(&mut texts, record.subject);
            headers.clear();
            for (name, value) in lengths.by_ref().take(record.headers) {
                headers.push((text(&mut texts, *name), text(&mut texts, *value)));
            }
            let (payload, rest) = payloads
                .split_at_checked(record.payload)
                .unwrap_or_default();
            payloads = rest;
            let record = RecordRef {
                sequence: place.at.sequence,
                subject,
                headers: &headers,
                payload,
            };
            if each(*place, &record)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Takes the next piece of `texts`.
fn text<'t>(texts: &mut &'t str, length: usize) -> &'t str {
    let (piece, rest) = texts.split_at_checked(length).unwrap_or_default();
    *texts = rest;
    piece
}

#[cfg(test)]
mod tests {
    use domain::Sequence;

    use super::*;

    fn message(subject: &str, headers: &[(&str, &str)], payload: &str) -> Message {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), (*value).into()))
            .collect();
        Message {
            subject: subject.into(),
            reply: None,
            payload: payload.to_owned().into(),
            headers: (!headers.is_empty()).then_some(headers),
            status: None,
            description: None,
            length: 0,
        }
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let messages = [
            message("identity.v1.u1.user", &[("ce-id", "ä"), ("b", "")], "{}"),
            message("", &[], ""),
            message("identity.v1.u2.profile", &[("ce-id", "2")], "body"),
        ];
        let mut chunk = Chunk::default();
        for (sequence, message) in (1..).filter_map(Sequence::new).zip(&messages) {
            let at = Fingerprint {
                sequence,
                time_ns: 5,
            };
            let pending = 3 - sequence.get();
            let place = Place { at, pending };
            chunk.push(place, message);
        }
        let taken = chunk.take();
        assert!(chunk.is_empty() && chunk.bytes() == 0);
        assert_eq!(taken.len(), 3);
        let mut seen = Vec::new();
        taken
            .try_each(|place, record| {
                let mut headers = record.headers.to_vec();
                headers.sort_unstable();
                seen.push(format!(
                    "{} {} {headers:?} {:?} {}",
                    record.sequence, record.subject, record.payload, place.pending
                ));
                Ok::<_, ()>(ControlFlow::Continue(()))
            })
            .unwrap();
        assert_eq!(
            seen,
            [
                r#"1 identity.v1.u1.user [("b", ""), ("ce-id", "ä")] [123, 125] 2"#,
                "2  [] [] 1",
                r#"3 identity.v1.u2.profile [("ce-id", "2")] [98, 111, 100, 121] 0"#,
            ]
        );
    }
}
