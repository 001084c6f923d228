//! What a server answers requests with. Nothing keeps a producer from naming one of the stream's subjects for the answer to
//! what it publishes: then the answer is stored, as a record of that subject.

use std::borrow::Cow;

use serde::Deserialize;

use crate::RecordRef;

/// Answers about streams are the largest.
const BYTES_MAX: usize = 64 * 1024;
/// What the types of the API's answers begin with.
const API: &str = "io.nats.";

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    seq: Option<u64>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// Whether a record that is no event is an acknowledgement, or another answer of a server.
pub(super) fn is_one(record: &RecordRef<'_>) -> bool {
    if !record.headers.as_bytes().is_empty() || BYTES_MAX < record.payload.len() {
        return false;
    }
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(record.payload) else {
        return false;
    };
    let is_ack = answer.stream.is_some() && answer.seq.is_some();
    is_ack || answer.kind.is_some_and(|kind| kind.starts_with(API))
}

#[cfg(test)]
mod tests {
    use crate::{Decoded, Fault, Headers, RecordRef, Sequence, decode};

    #[test]
    fn answers_of_servers_are_told_apart() {
        let answers = [
            r#"{"stream":"S","seq":5}"#,
            r#"{"stream":"S","domain":"hub","seq":5,"duplicate":true}"#,
            r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 7"},"stream":"S","seq":0}"#,
            r#"{"type":"io.nats.jetstream.api.v1.stream_info_response","config":{}}"#,
        ];
        let others = [
            r#"{"stream":"S"}"#,
            r#"{"type":"app.connvo.user.updated.v1","seq":1}"#,
            r#"["stream","seq"]"#,
            "+OK",
            "",
        ];
        let is_answer = |payload: &str, headers: &[u8]| {
            let record = RecordRef {
                sequence: Sequence::new(1).unwrap(),
                subject: "identity.v1.u1.profile",
                headers: Headers::of_block(headers),
                payload: payload.as_bytes(),
            };
            match decode(&record) {
                Decoded::Invalid { fault, lane } => {
                    assert!(lane.is_some());
                    fault == Fault::Answer
                }
                Decoded::Event(_) | Decoded::UnknownType(_) => panic!("{payload} is an event"),
            }
        };
        for answer in answers {
            assert!(is_answer(answer, b""), "{answer}");
            assert!(!is_answer(answer, b"NATS/1.0\r\na: b\r\n\r\n"), "{answer}");
        }
        for other in others {
            assert!(!is_answer(other, b""), "{other}");
        }
    }
}
